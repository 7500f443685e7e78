package model

import (
	"fmt"

	"ducklens/engine/blas"
)

// LogitMap returns the logit of a token as a map of the final stream, with the scale sigma of the last norm
// held: x adds x . column / sigma to the model's own logit, before any cap, and bias is added once. The
// column [d_model] is W_U[:, token] times the norm's gain, minus its mean if the norm centres. The bias is
// b_U plus what the norm's shift adds. Both are the same for processed and raw weights: the mean over the
// vocabulary is not subtracted.
func (m *Model[T]) LogitMap(token int) (column []float64, bias float64) {
	m.mustUnembed()
	u := &m.unembed
	column = make([]float64, u.table.d)
	tableRows(column, u.table, token)
	m.releaseTables()
	bias = blas.Dot(u.shift, column)
	if u.bias != nil {
		bias += float64(u.bias[token])
	}
	for i, g := range u.gain {
		column[i] *= g
	}
	if u.centre {
		centre(column)
	}
	return column, bias
}

// LogitsOf returns the model's own logits of some tokens for a final stream [d_model], before any cap. Their
// mean over the vocabulary is not subtracted.
func (m *Model[T]) LogitsOf(final []T, tokens []int) []T {
	m.mustUnembed()
	u, d := &m.unembed, m.spec.DModel
	if len(final) != d {
		panic(fmt.Sprintf("model: logits of a stream of %d numbers, want d_model = %d", len(final), d))
	}
	x, row, out := make([]T, d), make([]T, d), make([]T, len(tokens))
	copy(x, final)
	m.lastNorm().apply(blas.NewMatrix(1, d, x), blas.NewMatrix(1, d, x), make([]T, 1))
	wide := make([]float64, d)
	for j, v := range x {
		wide[j] = float64(v)*u.gain[j] + u.shift[j]
	}
	for i, token := range tokens {
		tableRows(row, u.table, token)
		sum := blas.Dot(row, wide)
		if u.bias != nil {
			sum += float64(u.bias[token])
		}
		out[i] = T(sum)
	}
	m.releaseTables()
	return out
}
