package model

import (
	"slices"

	"ducklens/engine/blas"
)

// EffectiveEmbedding returns what layer 0 makes of a token without context or position, with attention fixed
// on the token itself: attn = sum_h n(W_E) W_V,h W_O,h, without biases and rotations, and mlp, written W_EE0,
// which is MLP_0 of W_E + attn (of W_E alone in a parallel model). Each is [d_model] and belongs to the
// caller. Norms are recomputed, including those after attention and MLP. If the model has sinks, value biases
// are part of attn, as they are of its heads. W_E + attn + mlp is W_EE, the effective embedding of
// arXiv:2310.04625.
func (m *Model[T]) EffectiveEmbedding(token int) (mlp, attn []T) {
	mlps, attns := m.EffectiveEmbeddings([]int{token})
	return mlps[0], attns[0]
}

// EffectiveEmbeddings is [Model.EffectiveEmbedding] for many tokens. It costs little more than for one.
func (m *Model[T]) EffectiveEmbeddings(tokens []int) (mlp, attn [][]T) {
	n, s, w := len(tokens), m.spec, &m.layers[0]
	matrix := func(cols int) blas.Matrix[T] { return blas.NewMatrix(n, cols, make([]T, n*cols)) }
	stream, norm, attns, mlps := matrix(s.DModel), matrix(s.DModel), matrix(s.DModel), matrix(s.DModel)
	own, z := matrix(s.KVHeads*s.DHead), matrix(s.Heads*s.DHead)
	scales := make([]T, n)
	for i, t := range tokens {
		m.embedInto(stream.Row(i), t)
		m.releaseTables()
	}
	m.preNorm().apply(norm, stream, scales)
	toValues, bias := w.part(s, values, 0, s.KVHeads)
	if !s.Sinks {
		bias = nil
	}
	toValues.Multiply(m.threads, own, norm, blas.Epilogue[T]{Bias: bias})
	for i := range n {
		for h := range s.Heads {
			copy(z.Row(i)[h*s.DHead:][:s.DHead], own.Row(i)[s.KVHead(h)*s.DHead:])
		}
	}
	w.wo.Multiply(m.threads, attns, z, blas.Epilogue[T]{})
	m.postNorm(w.attnGain).apply(attns, attns, scales)
	if !s.Parallel {
		for i, v := range attns.Data {
			stream.Data[i] += v
		}
		m.preNorm().apply(norm, stream, scales)
	}
	m.feedForward(0, mlps, matrix(s.DMLP), norm)
	m.postNorm(w.mlpGain).apply(mlps, mlps, scales)
	return rowsOf(mlps), rowsOf(attns)
}

func rowsOf[T blas.Float](x blas.Matrix[T]) [][]T {
	rows := make([][]T, 0, x.Rows)
	for i := range x.Rows {
		rows = append(rows, slices.Clip(x.Row(i)))
	}
	return rows
}
