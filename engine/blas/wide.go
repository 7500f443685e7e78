package blas

import "fmt"

// The products of a decomposition: few columns, sums in float64.

// Dots returns X G^T [rows, len(columns)] for x [rows, d] and columns of d numbers each, with sums in
// float64. Every entry is summed in the same order, whatever the number of rows and columns.
func Dots[T Float](x []T, d int, columns [][]float64) Matrix[float64] {
	if d < 1 || len(x)%d != 0 {
		panic(fmt.Sprintf("blas: rows of %d numbers in %d", d, len(x)))
	}
	rows := len(x) / d
	out := NewMatrix(rows, len(columns), make([]float64, rows*len(columns)))
	if len(out.Data) == 0 {
		return out
	}
	together := scratchFor[float64](len(columns) * d)
	defer together.release()
	for j, c := range columns {
		if len(c) != d {
			panic(fmt.Sprintf("blas: column %d of %d numbers, want %d", j, len(c), d))
		}
		copy(together.data[j*d:], c)
	}
	if f, ok := any(x).([]float32); ok && dots32(out.Data, f, d, together.data[:len(columns)*d]) {
		return out
	}
	for r := range rows {
		row, sums := x[r*d:(r+1)*d], out.Row(r)
		for j, c := range columns {
			sums[j] = Dot(row, c)
		}
	}
	return out
}

// Dot returns x . g in float64. It uses four partial sums, so that the processor does not wait for one
// addition to begin the next.
func Dot[T Float](x []T, g []float64) float64 {
	g = g[:len(x)]
	var a, b, c, d float64
	for len(x) >= 4 {
		a += float64(x[0]) * g[0]
		b += float64(x[1]) * g[1]
		c += float64(x[2]) * g[2]
		d += float64(x[3]) * g[3]
		x, g = x[4:], g[4:]
	}
	for i, v := range x {
		a += float64(v) * g[i]
	}
	return (a + b) + (c + d)
}

// Combine returns W^T x [cols] for w [len(x), cols], with sums in float64 in the order of x.
func Combine[T Float](w []T, x []float64, cols int) []float64 {
	if len(w) != len(x)*cols {
		panic(fmt.Sprintf("blas: %d numbers in %d rows of %d", len(w), len(x), cols))
	}
	out := make([]float64, cols)
	if len(w) == 0 {
		return out
	}
	if f, ok := any(w).([]float32); ok && combine32(out, f, x) {
		return out
	}
	for i, xi := range x {
		for j, v := range w[i*cols : (i+1)*cols] {
			out[j] += xi * float64(v)
		}
	}
	return out
}
