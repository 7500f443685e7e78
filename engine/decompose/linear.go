package decompose

import (
	"math"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// Linear is the score as a function of the vector v of one side, the other side held fixed and LayerNorm
// applied to v: score = Map . LN(v) + Bias.
//
//	query side, key k fixed:   Map = centre(W_Q k) / sqrt(d_head)   Bias = b_Q . k / sqrt(d_head)
//	key side, query q fixed:   Map = centre(W_K q) / sqrt(d_head)   Bias = b_K . q / sqrt(d_head)
//
// With a folded LayerNorm W_Q k has mean zero already; LN(v) has, so that centring the map changes no score.
type Linear struct {
	Map  []float64 // [d_model]
	Bias float64
}

// QueryLinear gives the maps from the query side to the score at the key and to the score at the baseline; the
// second is zero where the example has none. k is the model's own key, bias included.
func QueryLinear[T blas.Float](in Input[T]) (toKey, toBaseline Linear, err error) {
	if err := in.check(); err != nil {
		return Linear{}, Linear{}, err
	}
	toKey = newLinear(data[T](in.Maps.WQ), in.Maps.BQ, in.Key.Vector)
	if in.Baseline != nil {
		toBaseline = newLinear(data[T](in.Maps.WQ), in.Maps.BQ, in.Baseline.Vector)
	}
	return toKey, toBaseline, nil
}

// KeyLinear gives the map from the key side to the score: the same at the key and at the baseline position.
func KeyLinear[T blas.Float](in Input[T]) (Linear, error) {
	if err := in.check(); err != nil {
		return Linear{}, err
	}
	return newLinear(data[T](in.Maps.WK), in.Maps.BK, in.Query.Vector), nil
}

// newLinear takes the map w [d_model, d_head] and bias [d_head] of the free side and the fixed vector [d_head] of the other.
func newLinear[T blas.Float](w, bias, fixedVector []T) Linear {
	f := widen(fixedVector)
	scale(f, 1/math.Sqrt(float64(len(f))))
	return Linear{Map: centre(products(w, len(f), [][]float64{f}).Data), Bias: dot(widen(bias), f)}
}

// Minus is the map to the difference of two scores; the zero Linear takes nothing away.
func (l Linear) Minus(other Linear) Linear {
	diff := append([]float64(nil), l.Map...)
	axpy(-1, other.Map, diff)
	return Linear{Map: diff, Bias: l.Bias - other.Bias}
}

// Score is the score that the vector v [d_model] gives, normalised as the convention does.
func (l Linear) Score(v []float64, convention schema.Convention, eps float64) float64 {
	c := centre(v)
	return dot(l.Map, c)/layerNormScale(c, convention, eps) + l.Bias
}

// layerNormScale is the scale of a centred vector that takes the place of the whole stream:
//
//	exact      sqrt(|c|^2 / d_model + eps), as the model's LayerNorm has it
//	notebook   sqrt(|c|^2 / (d_model - 1)), the sample standard deviation
func layerNormScale(centred []float64, convention schema.Convention, eps float64) float64 {
	if convention == schema.Notebook {
		return math.Sqrt(variance(centred, 1))
	}
	return math.Sqrt(variance(centred, 0) + eps)
}
