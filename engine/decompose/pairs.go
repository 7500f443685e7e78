package decompose

import (
	"fmt"
	"math"

	"ducklens/engine/blas"
)

// Pairs splits a score over pairs of a query row and a key row of factors: entry i*K + j, K being the number of key
// rows, bias included, is query row i with key row j,
//
//	f_i,part . g_j,part / sqrt(d_head)
//
// in the four quadrants. The product of all parts runs on provider, in the number type of the factors. Margins of the
// table are contributions of the sides, its sum is the score. Factors read back from a file do as well as computed
// ones. It returns [ErrShape] where the factors do not fit each other.
func Pairs[T blas.Float](provider blas.Provider, query, key Factors[T]) ([][4]T, error) {
	q, err := query.stacked()
	if err != nil {
		return nil, fmt.Errorf("decompose: query factors: %w", err)
	}
	k, err := key.stacked()
	if err != nil {
		return nil, fmt.Errorf("decompose: key factors: %w", err)
	}
	if query.DHead != key.DHead {
		return nil, fmt.Errorf("decompose: query factors have d_head %d, key factors %d: %w", query.DHead, key.DHead, ErrShape)
	}
	return pairs(provider, q, k), nil
}

// stacked gives Par above Perp, [2 rows, d_head].
func (f *Factors[T]) stacked() (blas.Matrix[T], error) {
	rows := len(f.Rows) + 1
	if f.DHead < 1 || len(f.Par) != rows*f.DHead || len(f.Perp) != rows*f.DHead {
		return blas.Matrix[T]{}, fmt.Errorf("%d parallel and %d perpendicular numbers for %d rows of d_head %d: %w",
			len(f.Par), len(f.Perp), rows, f.DHead, ErrShape)
	}
	all := make([]T, 0, 2*len(f.Par))
	return blas.NewMatrix(2*rows, f.DHead, append(append(all, f.Par...), f.Perp...)), nil
}

// pairs multiplies the stacked factors of both sides and sorts the products into quadrants.
func pairs[T blas.Float](provider blas.Provider, query, key blas.Matrix[T]) [][4]T {
	unit := T(1 / math.Sqrt(float64(query.Cols)))
	for i := range query.Data {
		query.Data[i] *= unit
	}
	products := blas.NewMatrix(query.Rows, key.Rows, make([]T, query.Rows*key.Rows))
	blas.Gemm(provider, 1, products, query, key.T(), false)
	rows, columns := query.Rows/2, key.Rows/2
	out := make([][4]T, rows*columns)
	for i := range rows {
		par, perp := products.Row(i), products.Row(rows+i)
		to := out[i*columns : (i+1)*columns]
		for j := range to {
			to[j] = [4]T{par[j], par[columns+j], perp[j], perp[columns+j]} // in the order of schema.Quadrants
		}
	}
	return out
}
