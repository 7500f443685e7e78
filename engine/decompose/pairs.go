package decompose

import (
	"fmt"
	"math"
	"slices"

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
	return new(PairSpace[T]).Pairs(nil, provider, query, key)
}

// PairSpace is memory for [PairSpace.Pairs] to use again from call to call. The zero value is ready.
type PairSpace[T blas.Float] struct{ query, key, products []T }

// Pairs is the function [Pairs], with the table in the memory of out where that is large enough.
func (s *PairSpace[T]) Pairs(out [][4]T, provider blas.Provider, query, key Factors[T]) ([][4]T, error) {
	q, err := query.stacked(&s.query)
	if err != nil {
		return nil, fmt.Errorf("decompose: query factors: %w", err)
	}
	k, err := key.stacked(&s.key)
	if err != nil {
		return nil, fmt.Errorf("decompose: key factors: %w", err)
	}
	if query.DHead != key.DHead {
		return nil, fmt.Errorf("decompose: query factors have d_head %d, key factors %d: %w", query.DHead, key.DHead, ErrShape)
	}
	unit := T(1 / math.Sqrt(float64(query.DHead)))
	for i := range q.Data {
		q.Data[i] *= unit
	}
	s.products = slices.Grow(s.products[:0], q.Rows*k.Rows)[:q.Rows*k.Rows]
	products := blas.NewMatrix(q.Rows, k.Rows, s.products)
	blas.Gemm(provider, 1, products, q, k.T(), false)
	rows, columns := q.Rows/2, k.Rows/2
	out = slices.Grow(out[:0], rows*columns)[:rows*columns]
	for i := range rows {
		par, perp := products.Row(i), products.Row(rows+i)
		to := out[i*columns : (i+1)*columns]
		for j := range to {
			to[j] = [4]T{par[j], par[columns+j], perp[j], perp[columns+j]} // in the order of schema.Quadrants
		}
	}
	return out, nil
}

// stacked puts Par above Perp [2 rows, d_head], in the memory of space.
func (f *Factors[T]) stacked(space *[]T) (blas.Matrix[T], error) {
	rows := len(f.Rows) + 1
	if f.DHead < 1 || len(f.Par) != rows*f.DHead || len(f.Perp) != rows*f.DHead {
		return blas.Matrix[T]{}, fmt.Errorf("%d parallel and %d perpendicular numbers for %d rows of d_head %d: %w",
			len(f.Par), len(f.Perp), rows, f.DHead, ErrShape)
	}
	*space = append(append((*space)[:0], f.Par...), f.Perp...)
	return blas.NewMatrix(2*rows, f.DHead, *space), nil
}
