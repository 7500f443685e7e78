package tokenizer

import "math"

// pairTable maps a pair of token ids to the rank of their merge and the token that it makes, in a hash
// table with open addressing: with a Go map in its place prose takes 1.6 times as long (BenchmarkEncode).
type pairTable struct {
	slots []pairSlot // a power of two, at most half full
	shift uint
}

type pairSlot struct {
	key   uint64 // left<<32 | right, plus 1; 0: empty
	merge uint64 // rank<<32 | token
}

// noMerge is the merge of a pair that has none; its rank is above all others.
const noMerge = math.MaxUint64

func newPairTable(n int) *pairTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	return &pairTable{slots: make([]pairSlot, 1<<bits), shift: 64 - bits}
}

func pairKey(left, right uint32) uint64 { return uint64(left)<<32 | uint64(right) + 1 }

// add enters a merge and tells whether the pair was new.
func (t *pairTable) add(left, right, rank, token uint32) bool {
	key := pairKey(left, right)
	for i := key * 0x9e3779b97f4a7c15 >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		switch t.slots[i].key {
		case key:
			return false
		case 0:
			t.slots[i] = pairSlot{key, uint64(rank)<<32 | uint64(token)}
			return true
		}
	}
}

func (t *pairTable) merge(left, right uint32) uint64 {
	key := pairKey(left, right)
	for i := key * 0x9e3779b97f4a7c15 >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		switch t.slots[i].key {
		case key:
			return t.slots[i].merge
		case 0:
			return noMerge
		}
	}
}

// shortPiece is the longest piece, in bytes, that is merged by looking at all pairs again after every
// merge. That is quadratic, and fastest for words; longer pieces go through a heap.
const shortPiece = 64

// mergePiece merges the tokens of a piece in place: always the pair of lowest rank, the leftmost of several. It gives the number
// of tokens left.
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
	n := len(ids)
	next, prev := make([]int, n+1), make([]int, n+1) // a list of the tokens that remain; n ends it
	for i := range n {
		next[i], prev[i+1] = i+1, i
	}
	prev[0] = -1
	var h pairHeap
	push := func(at int) {
		if at < 0 || next[at] >= n {
			return
		}
		if m := t.merge(ids[at], ids[next[at]]); m != noMerge {
			h.push(pairAt{rank: uint32(m >> 32), at: at})
		}
	}
	gone := make([]bool, n)
	for i := range n {
		push(i)
	}
	for len(h) > 0 {
		p := h.pop()
		if gone[p.at] || next[p.at] >= n {
			continue
		}
		right := next[p.at]
		m := t.merge(ids[p.at], ids[right])
		if m == noMerge || uint32(m>>32) != p.rank {
			continue // one of the two has been merged since; its new pair is in the heap
		}
		ids[p.at] = uint32(m)
		gone[right] = true
		next[p.at] = next[right]
		prev[next[right]] = p.at
		push(prev[p.at])
		push(p.at)
	}
	k := 0
	for i := 0; i < n; i = next[i] {
		ids[k] = ids[i]
		k++
	}
	return k
}

// pairAt is a candidate for a merge: the token at an index with the one after it.
type pairAt struct {
	rank uint32
	at   int
}

func (p pairAt) before(q pairAt) bool {
	return p.rank < q.rank || p.rank == q.rank && p.at < q.at
}

// pairHeap is a binary heap, the lowest rank and then the leftmost pair first.
type pairHeap []pairAt

func (h *pairHeap) push(p pairAt) {
	*h = append(*h, p)
	s := *h
	for i := len(s) - 1; i > 0; {
		above := (i - 1) / 2
		if !s[i].before(s[above]) {
			break
		}
		s[i], s[above] = s[above], s[i]
		i = above
	}
}

func (h *pairHeap) pop() pairAt {
	s := *h
	top := s[0]
	s[0] = s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	for i := 0; ; {
		below := 2*i + 1
		if below >= len(s) {
			break
		}
		if below+1 < len(s) && s[below+1].before(s[below]) {
			below++
		}
		if !s[below].before(s[i]) {
			break
		}
		s[i], s[below] = s[below], s[i]
		i = below
	}
	return top
}
