package blas

import (
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"ducklens/engine/internal/workers"
)

// gonumProvider multiplies with gonum's pure Go kernels. It uses them so that every element of C is one sum
// over k, in order: tiles are so small that gonum does not split them (its blocks have size 64, and it starts
// goroutines of its own from four blocks on), and B is never transposed (its dot products sum in several
// lanes).
type gonumProvider struct{}

const (
	gonumRows = 64
	gonumCols = 192
)

func (gonumProvider) Name() string { return "gonum" }

func (gonumProvider) Gemm(threads int, c, a, b Matrix[float32], add bool) {
	gonumGemm(threads, c, a, b, add, gonum.Implementation{}.Sgemm)
}

func (gonumProvider) Gemm64(threads int, c, a, b Matrix[float64], add bool) {
	gonumGemm(threads, c, a, b, add, gonum.Implementation{}.Dgemm)
}

type gemmFunc[T Float] func(tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int,
	beta T, c []T, ldc int)

func gonumGemm[T Float](threads int, c, a, b Matrix[T], add bool, gemm gemmFunc[T]) {
	checkProduct(c, a, b)
	if c.Rows == 0 || c.Cols == 0 {
		return
	}
	if a.Cols == 0 { // gonum's length checks reject empty sums
		c.clearUnless(add)
		return
	}
	beta := T(0)
	if add {
		beta = 1
	}
	if b.Trans {
		buf := scratchFor[T](b.Rows * b.Cols)
		defer buf.release()
		b = transposed(threads, b, buf.data)
	}
	transA := blas.NoTrans
	if a.Trans {
		transA = blas.Trans
	}
	rowTiles := (c.Rows + gonumRows - 1) / gonumRows
	colTiles := (c.Cols + gonumCols - 1) / gonumCols
	workers.Do(threads, rowTiles*colTiles, func(i int) {
		r, s := i/colTiles*gonumRows, i%colTiles*gonumCols
		rEnd, sEnd := min(r+gonumRows, c.Rows), min(s+gonumCols, c.Cols)
		ct := c.Slice(r, rEnd, s, sEnd)
		at := a.Slice(r, rEnd, 0, a.Cols)
		bt := b.Slice(0, b.Rows, s, sEnd)
		gemm(transA, blas.NoTrans, ct.Rows, ct.Cols, a.Cols, 1, at.Data, at.Stride, bt.Data, bt.Stride, beta,
			ct.Data, ct.Stride)
	})
}

// transposed writes the transposed view b to data as a matrix that is not transposed, in blocks that fit into
// the cache.
func transposed[T Float](threads int, b Matrix[T], data []T) Matrix[T] {
	const block = 32
	workers.Rows(threads, b.Rows, block, func(from, to int) {
		for j := 0; j < b.Cols; j += block {
			for i := from; i < to; i++ {
				for jj := j; jj < min(b.Cols, j+block); jj++ {
					data[i*b.Cols+jj] = b.Data[jj*b.Stride+i]
				}
			}
		}
	})
	return NewMatrix(b.Rows, b.Cols, data)
}

// scratch is a slice for the duration of one call, with arbitrary content.
type scratch[T Float] struct {
	data []T
	pool *sync.Pool
}

var scratch32, scratch64 sync.Pool

func scratchFor[T Float](n int) *scratch[T] {
	pool := &scratch32
	if _, ok := any(T(0)).(float64); ok {
		pool = &scratch64
	}
	s, _ := pool.Get().(*scratch[T])
	if s == nil {
		s = &scratch[T]{pool: pool}
	}
	if cap(s.data) < n {
		s.data = make([]T, n)
	}
	s.data = s.data[:n]
	return s
}

func (s *scratch[T]) release() { s.pool.Put(s) }
