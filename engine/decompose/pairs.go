package decompose

import (
	"fmt"
	"slices"

	"ducklens/engine/blas"
)

// Pairs splits a score over pairs of a query row and a key row of factors. With K key rows, entry i*K + j is
// query row i with key row j, in the four quadrants of a query basis and a key basis,
//
//	f_i,part . g_j,part * scale
//
// where scale is what the head multiplies q . k by. A basis without axes leaves its side whole. The margins
// of the table are contributions of the sides; its sum is the score. Factors may be computed or read back
// from a file. Pairs returns [ErrShape] if the factors do not fit together.
func Pairs[T blas.Float](
	provider blas.Provider, scale float64, query, key Factors[T], queryBasis, keyBasis int,
) ([][4]T, error) {
	var s PairSpace[T]
	if err := s.Multiply(provider, scale, query, key); err != nil {
		return nil, err
	}
	return s.Split(nil, queryBasis, keyBasis), nil
}

// PairSpace computes the pair tables of one query and one key, for all bases from one product: whole vectors
// are multiplied once, and quadrants follow from scalars. With a and b the coordinates of a pair along axes u
// and v, all of unit length,
//
//	par par = a b (u . v)    par perp = a (u . g) - par par    perp par = b (f . v) - par par    perp perp = f . g - the three
//
// where u and v stand for their images; with more axes they are sums over axes. The zero value is ready for
// use, and its memory is reused from call to call.
type PairSpace[T blas.Float] struct {
	query, key    Factors[T]
	scaled        []T            // query vectors times scale
	products      blas.Matrix[T] // [query row, key row]
	queryOnAxes   []T            // f . v, scaled [key axis, query row]
	keyOnAxes     []T            // u . g, scaled [query axis, key row]
	axes          []T            // u . v, scaled [query axis, key axis]
	keyCoordinate []T            // [key axis, key row]
	sums          [3][]T         // of one query row: par par, par whole, whole par [key row]
}

// Multiply multiplies the factors of a query and of a key, which must not change until the last Split.
func (s *PairSpace[T]) Multiply(provider blas.Provider, scale float64, query, key Factors[T]) error {
	if err := query.check(); err != nil {
		return fmt.Errorf("query factors: %w", err)
	}
	if err := key.check(); err != nil {
		return fmt.Errorf("key factors: %w", err)
	}
	if query.DHead != key.DHead {
		return fmt.Errorf("query factors have d_head %d, key factors %d: %w", query.DHead, key.DHead,
			ErrShape)
	}
	s.query, s.key = query, key
	rows, columns, dHead := query.rows(), key.rows(), query.DHead
	s.scaled = append(s.scaled[:0], query.Vectors...)
	for i := range s.scaled {
		s.scaled[i] *= T(scale)
	}
	s.products = blas.NewMatrix(rows, columns, resized(&s.products.Data, rows*columns))
	q, k := blas.NewMatrix(rows, dHead, s.scaled), blas.NewMatrix(columns, dHead, key.Vectors)
	blas.Gemm(provider, 1, s.products, q, k.T(), false)
	queryAxes, keyAxes := images(query.Axes, scale), images(key.Axes, 1)
	spread(resized(&s.queryOnAxes, rows*len(keyAxes)), blas.Dots(s.scaled, dHead, keyAxes))
	spread(resized(&s.keyOnAxes, columns*len(queryAxes)), blas.Dots(key.Vectors, dHead, queryAxes))
	resized(&s.axes, len(queryAxes)*len(keyAxes))
	for i, u := range queryAxes {
		for j, v := range keyAxes {
			s.axes[i*len(keyAxes)+j] = T(dot(u, v))
		}
	}
	resized(&s.keyCoordinate, columns*len(keyAxes))
	for i, a := range key.Coordinates {
		s.keyCoordinate[i%len(keyAxes)*columns+i/len(keyAxes)] = a
	}
	for i := range s.sums {
		resized(&s.sums[i], columns)
	}
	return nil
}

// Split returns the table of a pair of bases, in the memory of out if that is large enough.
func (s *PairSpace[T]) Split(out [][4]T, queryBasis, keyBasis int) [][4]T {
	rows, columns := s.products.Rows, s.products.Cols
	out = slices.Grow(out[:0], rows*columns)[:rows*columns]
	queryFrom, queryTo := s.query.axesOf(queryBasis)
	keyFrom, keyTo := s.key.axesOf(keyBasis)
	both, query, key := s.sums[0], s.sums[1], s.sums[2]
	for i := range rows {
		clear(both)
		clear(query)
		clear(key)
		a := s.query.Coordinates[i*len(s.query.Axes):]
		for u := queryFrom; u < queryTo; u++ {
			add(query, a[u], s.keyOnAxes[u*columns:])
		}
		for v := keyFrom; v < keyTo; v++ {
			b := s.keyCoordinate[v*columns:]
			along := T(0) // of the query's parallel part
			for u := queryFrom; u < queryTo; u++ {
				along += a[u] * s.axes[u*len(s.key.Axes)+v]
			}
			add(both, along, b)
			add(key, s.queryOnAxes[v*rows+i], b)
		}
		table, product := out[i*columns:][:columns], s.products.Row(i)
		for j := range table {
			table[j] = [4]T{both[j], query[j] - both[j], key[j] - both[j],
				product[j] - query[j] - key[j] + both[j]}
		}
	}
	return out
}

// add computes y += alpha x, for as many numbers as y has.
func add[T blas.Float](y []T, alpha T, x []T) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] += alpha * v
	}
}

// axesOf returns the range of the axes of a basis, which are consecutive; it is empty if there are none.
func (f *Factors[T]) axesOf(basis int) (from, to int) {
	from = max(0, slices.IndexFunc(f.Axes, func(a Axis[T]) bool { return a.Basis == basis }))
	for to = from; to < len(f.Axes) && f.Axes[to].Basis == basis; to++ {
	}
	return from, to
}

// rows returns the number of rows, including the bias.
func (f *Factors[T]) rows() int {
	if f.Bias {
		return len(f.Rows) + 1
	}
	return len(f.Rows)
}

// check checks that there are as many numbers as rows and axes need.
func (f *Factors[T]) check() error {
	if f.DHead < 1 || len(f.Vectors) != f.rows()*f.DHead || len(f.Coordinates) != f.rows()*len(f.Axes) {
		return fmt.Errorf("%d numbers and %d coordinates for %d rows of d_head %d and %d axes: %w",
			len(f.Vectors), len(f.Coordinates), f.rows(), f.DHead, len(f.Axes), ErrShape)
	}
	for _, a := range f.Axes {
		if len(a.Image) != f.DHead {
			return fmt.Errorf("axis %d of basis %d has %d numbers, want d_head = %d: %w",
				a.Number, a.Basis, len(a.Image), f.DHead, ErrShape)
		}
	}
	return nil
}

// images returns the images of axes times by.
func images[T blas.Float](axes []Axis[T], by float64) [][]float64 {
	list := make([][]float64, len(axes))
	for i, a := range axes {
		list[i] = widen(a.Image)
		scale(list[i], by)
	}
	return list
}

// spread writes the columns of x one after the other.
func spread[T blas.Float](to []T, x blas.Matrix[float64]) {
	for i := range x.Rows {
		for j, v := range x.Row(i) {
			to[j*x.Rows+i] = T(v)
		}
	}
}

// resized returns n numbers with arbitrary values, in the memory of list if that is large enough.
func resized[T blas.Float](list *[]T, n int) []T {
	*list = slices.Grow((*list)[:0], n)[:n]
	return *list
}
