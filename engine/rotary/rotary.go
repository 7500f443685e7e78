// Package rotary rotates query and key vectors by their position (rotary position embedding,
// arXiv:2104.09864). A rotation is linear, so a decomposition either rotates what it splits or rotates back
// what it holds fixed: [Turn.Apply] and [Turn.Undo].
package rotary

import "math"

// Rotary turns the first Dims dimensions of q and k by position * frequency (arXiv:2104.09864).
type Rotary struct {
	Dims        int       // even, at most d_head
	Pairs       bool      // dimensions 2i and 2i+1 turn together (GPT-J); else i and i + Dims/2
	Frequencies []float64 // [Dims/2] radians a position
	Factor      float64   // cos and sin times this; 1 but for yarn and longrope

	// Longrope: LongFrequencies replace Frequencies in a prompt of more than LongFrom tokens. nil: never.
	LongFrequencies []float64
	LongFrom        int
}

// At returns the rotation at a position, counted from 0, of a prompt of n tokens. Angles are computed in
// float64.
func (r Rotary) At(position, n int) Turn {
	if r.Dims == 0 {
		return Turn{}
	}
	frequencies := r.FrequenciesOf(n)
	t := Turn{Pairs: r.Pairs, Cos: make([]float64, len(frequencies)), Sin: make([]float64, len(frequencies))}
	for i, f := range frequencies {
		sin, cos := math.Sincos(float64(position) * f)
		t.Cos[i], t.Sin[i] = r.Factor*cos, r.Factor*sin
	}
	return t
}

// FrequenciesOf returns the radians per position by which each pair of dimensions turns [Dims/2] in a prompt
// of n tokens.
func (r Rotary) FrequenciesOf(n int) []float64 {
	if r.LongFrequencies != nil && n > r.LongFrom {
		return r.LongFrequencies
	}
	return r.Frequencies
}

// Turn is a rotation, times the factor of the rotary embedding. The zero Turn leaves a vector unchanged.
type Turn struct {
	Pairs    bool
	Cos, Sin []float64 // [dims/2]
}

// Apply rotates v [d_head] in place.
func (t Turn) Apply(v []float64) {
	for i, c := range t.Cos {
		a, b := t.Plane(i)
		v[a], v[b] = v[a]*c-v[b]*t.Sin[i], v[b]*c+v[a]*t.Sin[i]
	}
}

// Undo applies the transpose to v [d_head] in place: u . Apply(v) is Undo(u) . v.
func (t Turn) Undo(v []float64) {
	for i, c := range t.Cos {
		a, b := t.Plane(i)
		v[a], v[b] = v[a]*c+v[b]*t.Sin[i], v[b]*c-v[a]*t.Sin[i]
	}
}

// Plane returns the two dimensions of pair i, which turn together.
func (t Turn) Plane(i int) (a, b int) {
	if t.Pairs {
		return 2 * i, 2*i + 1
	}
	return i, i + len(t.Cos)
}

// IsZero reports whether t is the zero Turn, which leaves every vector unchanged.
func (t Turn) IsZero() bool { return t.Cos == nil }
