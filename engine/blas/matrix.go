package blas

import "fmt"

// Float is the type of a model's numbers. Users run float32; float64 proves that a difference is rounding
// noise.
type Float interface{ float32 | float64 }

// Matrix is a view of [Rows, Cols] numbers in a slice that it does not own. Element (i, j) is
// Data[i*Stride+j], or Data[j*Stride+i] if Trans is set.
type Matrix[T Float] struct {
	Rows, Cols int
	Stride     int // number of elements from one stored row to the next
	Trans      bool
	Data       []T
}

// NewMatrix returns data as a dense matrix, row by row.
func NewMatrix[T Float](rows, cols int, data []T) Matrix[T] {
	return Matrix[T]{Rows: rows, Cols: cols, Stride: cols, Data: data}
}

// T returns the transpose without copying.
func (m Matrix[T]) T() Matrix[T] {
	m.Rows, m.Cols, m.Trans = m.Cols, m.Rows, !m.Trans
	return m
}

// Slice returns the part of m with rows [r0, r1) and columns [c0, c1), without copying.
func (m Matrix[T]) Slice(r0, r1, c0, c1 int) Matrix[T] {
	if r0 < 0 || r1 < r0 || r1 > m.Rows || c0 < 0 || c1 < c0 || c1 > m.Cols {
		panic(fmt.Sprintf("blas: slice [%d:%d, %d:%d] of a matrix [%d %d]", r0, r1, c0, c1, m.Rows, m.Cols))
	}
	m.Rows, m.Cols = r1-r0, c1-c0
	if m.Trans {
		r0, c0 = c0, r0
	}
	if m.Rows > 0 && m.Cols > 0 {
		m.Data = m.Data[r0*m.Stride+c0:]
	} else {
		m.Data = nil
	}
	return m
}

// At returns element (i, j).
func (m Matrix[T]) At(i, j int) T {
	if m.Trans {
		i, j = j, i
	}
	return m.Data[i*m.Stride+j]
}

// Row returns row i of a matrix that is not transposed; writing to it writes to the matrix.
func (m Matrix[T]) Row(i int) []T {
	if m.Trans {
		panic("blas: row of a transposed matrix")
	}
	return m.Data[i*m.Stride : i*m.Stride+m.Cols : i*m.Stride+m.Cols]
}

// clearUnless sets the result of empty sums: zeros, unless they are to be added.
func (m Matrix[T]) clearUnless(add bool) {
	if add {
		return
	}
	for i := range m.Rows {
		clear(m.Row(i))
	}
}

// check panics unless the slice holds every element of the view.
func (m Matrix[T]) check(name string) {
	rows, cols := m.Rows, m.Cols
	if m.Trans {
		rows, cols = cols, rows
	}
	if rows < 0 || cols < 0 || m.Stride < cols || rows > 0 && cols > 0 &&
		len(m.Data) < (rows-1)*m.Stride+cols {
		panic(fmt.Sprintf("blas: %s of shape [%d %d], stride %d, transposed %t, on %d elements",
			name, m.Rows, m.Cols, m.Stride, m.Trans, len(m.Data)))
	}
}

// checkProduct panics unless the shapes of C = A B fit and C is not transposed. The caller must see to it
// that C does not share memory with A or B.
func checkProduct[T Float](c, a, b Matrix[T]) {
	a.check("A")
	b.check("B")
	c.check("C")
	if a.Cols != b.Rows || c.Rows != a.Rows || c.Cols != b.Cols || c.Trans {
		panic(fmt.Sprintf("blas: C [%d %d] (transposed %t) = A [%d %d] B [%d %d]",
			c.Rows, c.Cols, c.Trans, a.Rows, a.Cols, b.Rows, b.Cols))
	}
}
