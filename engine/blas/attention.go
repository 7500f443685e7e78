package blas

import (
	"fmt"
	"math"
)

// Heads are attention heads whose columns are adjacent.
type Heads[T Float] struct {
	Query, KV int // each KV head is shared by Query / KV neighbours
	// Sinks [Query] holds one more score of every row, which is dropped after the softmax; nil: none.
	Sinks []T
}

// sink returns the score of head h that is dropped.
func (h Heads[T]) sink(i int) T {
	if h.Sinks == nil {
		return T(math.Inf(-1))
	}
	return h.Sinks[i]
}

// attender is a provider that has its own causal attention in float32.
type attender interface {
	attention(z, q, k, v Matrix[float32], h Heads[float32], c Causal[float32])
}

// Attention sets z [rows, heads d_head] = softmax(q k^T) v for each of the heads, with q [rows, heads d_head]
// and k, v [seen, kv_heads d_head]. c says what the softmax looks at and how. Attention runs in the caller's
// goroutine. It panics if shapes do not fit or a matrix is transposed.
func Attention[T Float](p Provider, z, q, k, v Matrix[T], h Heads[T], c Causal[T]) {
	if h.KV < 1 || h.Query < 1 || h.Query%h.KV != 0 || h.Sinks != nil && len(h.Sinks) != h.Query {
		panic(fmt.Sprintf("blas: attention of %d heads with %d key and value heads and %d sinks", h.Query,
			h.KV, len(h.Sinks)))
	}
	for i, m := range []Matrix[T]{z, q, k, v} {
		m.check("attention")
		heads := h.Query
		if i > 1 {
			heads = h.KV
		}
		if m.Trans || m.Cols%heads != 0 || m.Cols/heads != z.Cols/h.Query {
			panic(fmt.Sprintf(
				"blas: attention of %d heads with a matrix [%d %d] (transposed %t) beside z [%d %d]", heads,
				m.Rows, m.Cols, m.Trans, z.Rows, z.Cols))
		}
	}
	if q.Rows != z.Rows || k.Rows != v.Rows || c.First < 1 || z.Rows > 0 && c.First+z.Rows-1 > k.Rows ||
		c.Window < 0 {
		panic(fmt.Sprintf(
			"blas: attention of %d rows to %d, from %d rows, %d keys and %d values, "+
				"the first row looking at %d, window %d",
			q.Rows, z.Rows, q.Rows, k.Rows, v.Rows, c.First, c.Window))
	}
	if z.Rows == 0 || z.Cols == 0 {
		return
	}
	if own, ok := p.(attender); ok {
		if z, is := any(z).(Matrix[float32]); is {
			own.attention(z, any(q).(Matrix[float32]), any(k).(Matrix[float32]), any(v).(Matrix[float32]),
				any(h).(Heads[float32]), any(c).(Causal[float32]))
			return
		}
	}
	attendPlain(p, z, q, k, v, h, c)
}

// attendPlain computes head after head by [Gemm] and [SoftmaxCausal].
func attendPlain[T Float](p Provider, z, q, k, v Matrix[T], h Heads[T], c Causal[T]) {
	dh := z.Cols / h.Query
	scores := NewMatrix(q.Rows, k.Rows, make([]T, q.Rows*k.Rows))
	part := func(m Matrix[T], head int) Matrix[T] { return m.Slice(0, m.Rows, head*dh, (head+1)*dh) }
	for i := range h.Query {
		kv := i * h.KV / h.Query
		Gemm(p, 1, scores, part(q, i), part(k, kv).T(), false)
		SoftmaxCausal(scores, c, h.sink(i))
		Gemm(p, 1, part(z, i), scores, part(v, kv), false)
	}
}
