package decompose

import "ducklens/engine/blas"

// table is a small row-major matrix.
type table struct{ blas.Matrix[float64] }

func (t table) row(i int) []float64 { return t.Row(i) }

// products returns X G^T [rows, len(columns)], where x is [rows, d] and each column is [d]. Sums are in
// float64, and their order does not depend on the number of rows or columns.
func products[T blas.Float](x []T, d int, columns [][]float64) table {
	return table{blas.Dots(x, d, columns)}
}
