package decompose

import (
	"slices"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// Linear is the score as a function of the vector v of one side, normalised with its own scale, while the
// other side is fixed: score = (Map . n(v)/sigma + Bias) / s, where s is the scale of QK-norm, or 1 in a
// model without it. With f the fixed vector, turned back from the position of v and times the gain of
// QK-norm:
//
//	query side, f the key:   Map = n(W_Q f) / attn_scale   Bias = b_Q . f / attn_scale
//	key side, f the query:   Map = n(W_K f) / attn_scale   Bias = b_K . f / attn_scale
//
// n centres if the norm does. With a folded LayerNorm, W_Q f has mean zero already; n(v) has too, so centring
// the map changes no score.
type Linear struct {
	Map  []float64 // [d_model]
	Bias float64
}

// QueryLinear returns the maps from the query side to the score at the key and to the score at the baseline.
// The second is zero if the example has no baseline.
func QueryLinear[T blas.Float](in Input[T]) (toKey, toBaseline Linear, err error) {
	if err := in.check(); err != nil {
		return Linear{}, Linear{}, err
	}
	toKey = in.linear(schema.Query, &in.Query, widen(in.Key.Vector))
	switch {
	case in.Baseline != nil:
		toBaseline = in.linear(schema.Query, &in.Query, widen(in.Baseline.Vector))
	case in.Mean != nil: // the mean of the maps to all keys
		toBaseline = in.linear(schema.Query, &in.Query, slices.Clone(in.Mean.vector))
	}
	return toKey, toBaseline, nil
}

// KeyLinear returns the maps from the key side to the score, at the key position and at the baseline
// position. They are the same if keys are not rotated. The second is zero if the example has no baseline
// position: a mean has no stream that a map could read.
func KeyLinear[T blas.Float](in Input[T]) (atKey, atBaseline Linear, err error) {
	if err := in.check(); err != nil {
		return Linear{}, Linear{}, err
	}
	query := widen(in.Query.Vector)
	atKey = in.linear(schema.Key, &in.Key, slices.Clone(query))
	switch {
	case in.Baseline == nil:
	case in.Key.Turn.IsZero() && in.Baseline.Turn.IsZero():
		atBaseline = atKey
	default:
		atBaseline = in.linear(schema.Key, in.Baseline, query)
	}
	return atKey, atBaseline, nil
}

// linear takes the position of the free side and the fixed vector [d_head] of the other, which it overwrites.
func (in *Input[T]) linear(side schema.Side, p *Position[T], f []float64) Linear {
	m := in.maps(side)
	scale(f, 1/in.AttnScale)
	f = frameWith(m, p, 1).undo(f)
	return Linear{Map: centred(in.Norm, products(m.w, len(f), [][]float64{f}).Data),
		Bias: dot(widen(m.bias), f)}
}

// Minus returns the map to the difference of two scores; the zero Linear subtracts nothing.
func (l Linear) Minus(other Linear) Linear {
	diff := append([]float64(nil), l.Map...)
	axpy(-1, other.Map, diff)
	return Linear{Map: diff, Bias: l.Bias - other.Bias}
}
