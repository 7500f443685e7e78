package blas

import "fmt"

// attender is a provider with causal attention of its own in float32.
type attender interface {
	attention(z, q, k, v Matrix[float32], heads, first int, scale float32)
}

// Attention sets z [rows, heads d_head] = softmax(scale q k^T) v for each of the heads, which lie beside each other, with q [rows,
// heads d_head] and k, v [seen, heads d_head]. It is causal: row r looks at the first first+r positions. It runs in the
// caller's goroutine. It panics when shapes do not fit or a matrix is transposed.
func Attention[T Float](p Provider, z, q, k, v Matrix[T], heads, first int, scale T) {
	for _, m := range []Matrix[T]{z, q, k, v} {
		m.check("attention")
		if m.Trans || heads < 1 || m.Cols%heads != 0 || m.Cols != z.Cols {
			panic(fmt.Sprintf("blas: attention of %d heads with a matrix [%d %d] (transposed %t) beside z [%d %d]", heads, m.Rows, m.Cols, m.Trans, z.Rows, z.Cols))
		}
	}
	if q.Rows != z.Rows || k.Rows != v.Rows || first < 1 || z.Rows > 0 && first+z.Rows-1 > k.Rows {
		panic(fmt.Sprintf("blas: attention of %d rows to %d, from %d rows, %d keys and %d values, the first row looking at %d",
			q.Rows, z.Rows, q.Rows, k.Rows, v.Rows, first))
	}
	if z.Rows == 0 || z.Cols == 0 {
		return
	}
	if own, ok := p.(attender); ok {
		if z, is := any(z).(Matrix[float32]); is {
			own.attention(z, any(q).(Matrix[float32]), any(k).(Matrix[float32]), any(v).(Matrix[float32]), heads, first, float32(scale))
			return
		}
	}
	attendPlain(p, z, q, k, v, heads, first, scale)
}

// attendPlain takes head after head through [Gemm] and [SoftmaxCausal].
func attendPlain[T Float](p Provider, z, q, k, v Matrix[T], heads, first int, scale T) {
	dh := z.Cols / heads
	scores := NewMatrix(q.Rows, k.Rows, make([]T, q.Rows*k.Rows))
	for h := range heads {
		head := func(m Matrix[T]) Matrix[T] { return m.Slice(0, m.Rows, h*dh, (h+1)*dh) }
		Gemm(p, 1, scores, head(q), head(k).T(), false)
		SoftmaxCausal(scores, first, scale)
		Gemm(p, 1, head(z), scores, head(v), false)
	}
}
