package model

import (
	"reflect"
	"sync"

	"ducklens/engine/blas"
	"ducklens/engine/rotary"
)

// turns are the angles of one rotation, by position. Layers that rotate in the same way share them.
type turns[T blas.Float] struct {
	rotary.Rotary
	mu        sync.Mutex
	positions int // for which table has angles
	// [positions, dims] cosines, then sines, as [blas.Rotate] has them; then the same for long prompts.
	table []T
}

// makeTurns finds the different rotations of the model.
func (m *Model[T]) makeTurns() {
	for l := range m.spec.Layers {
		if r := m.spec.RotaryOf(l); r.Dims > 0 && m.turnsOf(l) == nil {
			m.turns = append(m.turns, &turns[T]{Rotary: r})
		}
	}
}

// turnsOf returns the rotation of a layer, or nil if it does not rotate.
func (m *Model[T]) turnsOf(layer int) *turns[T] {
	r := m.spec.RotaryOf(layer)
	for _, t := range m.turns {
		if r.Dims > 0 && reflect.DeepEqual(t.Rotary, r) {
			return t
		}
	}
	return nil
}

// upTo returns a table with angles for at least n positions, and the number of positions it has. Angles are
// computed in float64 for every T.
func (t *turns[T]) upTo(n int) (table []T, positions int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.positions >= n {
		return t.table, t.positions
	}
	t.positions, t.table = max(n, 2*t.positions), nil
	t.add(0)
	if t.LongFrequencies != nil {
		t.add(t.LongFrom + 1)
	}
	return t.table, t.positions
}

// add appends the angles of prompts of n tokens.
func (t *turns[T]) add(n int) {
	for p := range t.positions {
		turn := t.At(p, n)
		for _, list := range [][]float64{turn.Cos, turn.Sin} {
			for _, v := range list {
				t.table = append(t.table, T(v))
			}
		}
	}
}

// lengthClass returns a number for a prompt's length; prompts share rows of a pass only if their numbers are
// equal. It is 0 unless a rotation treats long prompts differently.
func (m *Model[T]) lengthClass(n int) int {
	class := 0
	for i, t := range m.turns {
		if t.isLong(n) {
			class |= 1 << i
		}
	}
	return class
}

func (t *turns[T]) isLong(n int) bool { return t.LongFrequencies != nil && n > t.LongFrom }

// rotation is the rotation of a layer in one pass. Its zero value does not rotate.
type rotation[T blas.Float] struct {
	dims  int
	pairs bool
	table []T
	at    []int64 // the row of the table for each row of the pass
}

// rotations returns those of the layers up to stop, for the sequences of a pass.
func (r *run[T]) rotations(stop int, seqs []Sequence) []rotation[T] {
	list := make([]rotation[T], min(stop+1, r.spec.Layers))
	made := map[*turns[T]]rotation[T]{}
	for l := range list {
		t := r.turnsOf(l)
		if t == nil {
			continue
		}
		if _, ok := made[t]; !ok {
			made[t] = r.rotation(t, seqs)
		}
		list[l] = made[t]
	}
	return list
}

func (r *run[T]) rotation(t *turns[T], seqs []Sequence) rotation[T] {
	longest := 0
	for _, rows := range r.rows {
		longest = max(longest, len(rows))
	}
	table, positions := t.upTo(longest)
	at := make([]int64, r.stream.Rows)
	for s, rows := range r.rows {
		first := 0
		if t.isLong(seqs[s].length()) {
			first = positions
		}
		for p, row := range rows {
			at[row] = int64(first + p)
		}
	}
	return rotation[T]{t.Dims, t.Pairs, table, at}
}
