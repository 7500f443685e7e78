package tokenizer

import (
	"math"
	"math/rand/v2"
)

// pairTable maps a pair of token ids to the rank of their merge and the resulting token. It is a hash table
// with open addressing; with a Go map, prose takes 1.6 times as long (BenchmarkEncode).
type pairTable struct {
	slots []pairSlot // the length is a power of two; at most half full
	shift uint
	used  int
}

// hashFactor is odd and random in each process, so that no file can make all of its pairs collide.
var hashFactor = rand.Uint64() | 1

type pairSlot struct {
	key   uint64 // left<<32 | right, plus 1; 0: empty
	merge uint64 // rank<<32 | token
}

// noMerge is the merge of a pair that has none; its rank is above all others.
const noMerge = math.MaxUint64

// newPairTable returns a table with room for n pairs; it grows if there are more.
func newPairTable(n int) *pairTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	return &pairTable{slots: make([]pairSlot, 1<<bits), shift: 64 - bits}
}

func pairKey(left, right uint32) uint64 { return uint64(left)<<32 | uint64(right) + 1 }

// add adds a merge. If a pair is added several times, the last one counts.
func (t *pairTable) add(left, right, rank, token uint32) {
	if 2*t.used >= len(t.slots) {
		t.grow()
	}
	t.put(pairSlot{pairKey(left, right), uint64(rank)<<32 | uint64(token)})
}

func (t *pairTable) put(slot pairSlot) {
	for i := slot.key * hashFactor >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		if old := t.slots[i].key; old == 0 || old == slot.key {
			if old == 0 {
				t.used++
			}
			t.slots[i] = slot
			return
		}
	}
}

func (t *pairTable) grow() {
	bigger := newPairTable(len(t.slots))
	for _, slot := range t.slots {
		if slot.key != 0 {
			bigger.put(slot)
		}
	}
	*t = *bigger
}

func (t *pairTable) merge(left, right uint32) uint64 {
	key := pairKey(left, right)
	for i := key * hashFactor >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		switch t.slots[i].key {
		case key:
			return t.slots[i].merge
		case 0:
			return noMerge
		}
	}
}

// shortPiece is the longest piece, in bytes, for which all pairs are looked at again after every merge. That
// is quadratic, and fastest for words. Longer pieces use a heap.
const shortPiece = 64

// mergePiece merges the tokens of a piece in place: always the pair of lowest rank, and of equal ones the
// leftmost. It returns the number of tokens left.
func (t *pairTable) mergePiece(ids []uint32) int {
	if len(ids) <= shortPiece {
		return t.mergeShort(ids)
	}
	return t.mergeLong(ids)
}

// mergeShort is mergePiece for at most shortPiece tokens.
func (t *pairTable) mergeShort(ids []uint32) int {
	var merges [shortPiece]uint64 // of ids[i] and ids[i+1]
	n := len(ids)
	for i := range n - 1 {
		merges[i] = t.merge(ids[i], ids[i+1])
	}
	for n > 1 {
		best, at := uint64(noMerge), 0
		for i, m := range merges[:n-1] {
			if m>>32 < best>>32 {
				best, at = m, i
			}
		}
		if best == noMerge {
			break
		}
		ids[at] = uint32(best)
		copy(ids[at+1:n-1], ids[at+2:n])
		copy(merges[at:n-2], merges[at+1:n-1])
		n--
		if at > 0 {
			merges[at-1] = t.merge(ids[at-1], ids[at])
		}
		if at < n-1 {
			merges[at] = t.merge(ids[at], ids[at+1])
		}
	}
	return n
}

// mergeLong is mergePiece in n log n time, for a piece of any length.
func (t *pairTable) mergeLong(ids []uint32) int {
	n := int32(len(ids))
	next, prev := make([]int32, n+1), make([]int32, n+1) // a linked list of the remaining tokens; n ends it
	for i := range n {
		next[i], prev[i+1] = i+1, i
	}
	prev[0] = -1
	var h pairHeap
	push := func(at int32) {
		if at < 0 || next[at] >= n {
			return
		}
		if m := t.merge(ids[at], ids[next[at]]); m != noMerge {
			h.push(m>>32<<32 | uint64(at))
		}
	}
	const gone = -1 // in next: merged into the token before it
	for i := range n {
		push(i)
	}
	for len(h) > 0 {
		p := h.pop()
		at := int32(uint32(p))
		if next[at] == gone || next[at] >= n {
			continue
		}
		right := next[at]
		m := t.merge(ids[at], ids[right])
		if m == noMerge || m>>32 != p>>32 {
			continue // one of the two has been merged since; the new pair is in the heap
		}
		ids[at] = uint32(m)
		next[at], next[right] = next[right], gone
		prev[next[at]] = at
		push(prev[at])
		push(at)
	}
	k := 0
	for i := int32(0); i < n; i = next[i] {
		ids[k] = ids[i]
		k++
	}
	return k
}

// pairHeap is a binary heap of candidates for a merge, ordered by rank and then from left to right. An entry
// has the rank in its upper half, and the index of the left token in its lower half.
type pairHeap []uint64

func (h *pairHeap) push(p uint64) {
	*h = append(*h, p)
	s := *h
	for i := len(s) - 1; i > 0; {
		above := (i - 1) / 2
		if s[above] <= p {
			break
		}
		s[i], s[above] = s[above], p
		i = above
	}
}

func (h *pairHeap) pop() uint64 {
	s := *h
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	for i := 0; i < len(s); {
		below := 2*i + 1
		if below >= len(s) {
			s[i] = last
			break
		}
		if below+1 < len(s) && s[below+1] < s[below] {
			below++
		}
		if last <= s[below] {
			s[i] = last
			break
		}
		s[i] = s[below]
		i = below
	}
	return top
}
