package model

import (
	"slices"

	"ducklens/engine/blas"
)

// EffectiveEmbedding is what layer 0 makes of a token without context or position, attention fixed on itself:
// attn = sum_h LN(W_E) W_V,h W_O,h, without biases, and mlp = MLP_0(LN2(W_E + attn)), written W_EE0; each [d_model], the
// caller's own. W_E + attn + mlp is W_EE, the effective embedding of arXiv:2310.04625.
func (m *Model[T]) EffectiveEmbedding(token int) (mlp, attn []T) {
	mlps, attns := m.EffectiveEmbeddings([]int{token})
	return mlps[0], attns[0]
}

// EffectiveEmbeddings is [Model.EffectiveEmbedding] of many tokens, which costs little more than of one.
func (m *Model[T]) EffectiveEmbeddings(tokens []int) (mlp, attn [][]T) {
	n, d, dmlp := len(tokens), m.config.DModel, m.config.DMLP
	w := &m.layers[0]
	matrix := func(cols int) blas.Matrix[T] { return blas.NewMatrix(n, cols, make([]T, n*cols)) }
	stream, norm, values, attns, hidden, mlps := matrix(d), matrix(d), matrix(d), matrix(d), matrix(dmlp), matrix(d)
	scales := make([]T, n)
	for i, t := range tokens {
		m.embedInto(stream.Row(i), t)
		m.releaseTables()
	}
	blas.LayerNorm(norm.Data, stream.Data, scales, d, m.config.LNEps)
	w.qkv.Slice(0, d, 2*d, 3*d).Multiply(m.threads, values, norm, blas.Epilogue[T]{})
	w.wo.Multiply(m.threads, attns, values, blas.Epilogue[T]{})
	for i, v := range attns.Data {
		stream.Data[i] += v
	}
	blas.LayerNorm(norm.Data, stream.Data, scales, d, m.config.LNEps)
	w.win.Multiply(m.threads, hidden, norm, blas.Epilogue[T]{Bias: w.bin, GELU: true})
	w.wout.Multiply(m.threads, mlps, hidden, blas.Epilogue[T]{Bias: w.bout})
	return rowsOf(mlps), rowsOf(attns)
}

func rowsOf[T blas.Float](x blas.Matrix[T]) [][]T {
	rows := make([][]T, 0, x.Rows)
	for i := range x.Rows {
		rows = append(rows, slices.Clip(x.Row(i)))
	}
	return rows
}
