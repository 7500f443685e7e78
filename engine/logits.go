package engine

import (
	"math"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// directLogits splits the logits of the key's and the baseline's token at the query position over all
// components of the model. Like the norms before attention, the last norm is linear once its scale is held. A
// component x therefore adds x . m / sigma, where m is the token's column of W_U with the gain of that norm,
// centred if the norm centres.
func (p *pass[T]) directLogits(x schema.Example, seq int) (*schema.Logits, error) {
	layers := p.engine.spec.Layers
	tokens := []int{x.Tokens[x.Key].ID}
	if x.Baseline != schema.NoPosition {
		tokens = append(tokens, x.Tokens[x.Baseline].ID)
	}
	columns, biases := make([][]float64, len(tokens)), make([]float64, len(tokens))
	for i, t := range tokens {
		columns[i], biases[i] = p.model.LogitMap(t)
	}
	query := p.place(x, seq, atQuery)
	own := p.model.LogitsOf(p.cache.ResidPre(layers, seq, query), tokens)
	sigma := float64(p.cache.NormScale(layers, seq, query))
	effects := blas.Dots(p.cache.Components(seq, query).Data().([]T), len(columns[0]), columns)

	nan := float32(math.NaN())
	out := &schema.Logits{Cap: p.engine.spec.LogitCap, Scale: float32(sigma), Baseline: nan,
		BaselineBias: nan,
		Effects:      make([]schema.LogitEffect, effects.Rows)}
	sums, relative := append([]float64(nil), biases...), 0.0
	for c := range out.Effects {
		row := effects.Row(c)
		for i := range row {
			row[i] /= sigma
			sums[i] += row[i]
		}
		out.Effects[c] = schema.LogitEffect{Component: c, Key: float32(row[0]), Baseline: nan}
		if len(row) > 1 {
			out.Effects[c].Baseline = float32(row[1])
		}
	}
	out.Key, out.KeyBias = float32(own[0]), float32(biases[0])
	if len(tokens) > 1 {
		out.Baseline, out.BaselineBias = float32(own[1]), float32(biases[1])
	}
	for i, logit := range own {
		residual := math.Abs(float64(logit) - sums[i])
		out.Closure = max(out.Closure, residual) // if residual is NaN, so is the closure
		relative = max(relative, residual/schema.ClosureScale(float64(logit)))
	}
	if tolerance := p.engine.closureTolerance(); !(relative <= tolerance) {
		return nil, &ClosureError{Example: x.Index, Logits: true, Residual: relative, Tolerance: tolerance}
	}
	return out, nil
}
