package decompose

import (
	"fmt"
	"slices"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
)

// Squares is what it takes to recompute the scale of the norm before a head if components are removed from
// the stream at one position. With n(x) the stream as the norm centres it, and d = d_model,
//
//	Whole = |n(x)|^2 / d + eps    With[c] = n(x_c) . n(x) / d    Squared[c] = |n(x_c)|^2 / d
//
// so that the scale without component c is
//
//	sigma'^2 = Whole - 2 With[c] + Squared[c]
//
// and without a set S of them Whole - 2 sum_c With[c] + sum_c sum_c' n(x_c) . n(x_c') / d. Everything is in
// float64: for a massive activation the three are large and what they leave is small.
type Squares struct {
	Whole         float64
	With, Squared []float64   // by component
	Gram          [][]float64 // of the components that were asked for, in their order: n(x_c) . n(x_c') / d
}

// StreamSquares returns the squares of the stream at a position. gram lists the components that sets may
// contain. Without a norm there are no squares: it returns the zero value.
func StreamSquares[T blas.Float](n Norm, p *Position[T], gram []int) Squares {
	if n.Kind == NoNorm {
		return Squares{}
	}
	d := len(p.Stream)
	x := centred(n, p.Stream)
	s := Squares{Whole: dot(x, x)/float64(d) + n.Eps}
	rows := p.Components.Shape()[0]
	var kept [][]float64
	for i := range rows {
		c := centred(n, p.Component(i))
		s.With = append(s.With, dot(c, x)/float64(d))
		s.Squared = append(s.Squared, dot(c, c)/float64(d))
	}
	for _, i := range gram {
		kept = append(kept, centred(n, p.Component(i)))
	}
	s.Gram = gramOf(kept, float64(d))
	return s
}

// VectorSquares is the same for QK-norm, which divides by the root of a mean square over m numbers: those of
// a head, or of all heads together. Let W be the maps to these numbers, f_c = W^T n(x_c) / sigma what
// component c adds to them before the gain, b their bias, and u = sum_c f_c. Then
//
//	Whole = |u|^2 / m    WholeBias = u . b / m    Constant = |b|^2 / m + eps
//	With[c] = f_c . u / m    WithBias[c] = f_c . b / m    Squared[c] = |f_c|^2 / m
//
// The norm before the head multiplies all f by r = sigma / sigma' if c is removed, and leaves b unchanged, so
// QK-norm divides by
//
//	tau'^2 = r^2 (Whole - 2 With[c] + Squared[c]) + 2 r (WholeBias - WithBias[c]) + Constant.
type VectorSquares struct {
	Squares
	WholeBias, Constant float64
	WithBias            []float64 // by component
}

// QKMap makes the numbers that a QK-norm looks at together.
type QKMap[T blas.Float] struct {
	W    *tensor.Dense // [d_model, m]
	Bias []T           // [m]; nil if there is none
	Eps  float64
}

// SquaresOfVectors returns the squares of QK-norm at a position; w is the map of the side. The products are
// computed by the engine of the component tensors, in their number type.
func SquaresOfVectors[T blas.Float](n Norm, p *Position[T], w QKMap[T], gram []int) (VectorSquares, error) {
	d, m := len(p.Stream), w.W.Shape()[1]
	if err := checkMatrix[T]("map of QK-norm", w.W, d, m); err != nil {
		return VectorSquares{}, err
	}
	product, err := p.Components.MatMul(w.W)
	if err != nil {
		return VectorSquares{}, fmt.Errorf("product of %v and %v: %w", p.Components.Shape(), w.W.Shape(), err)
	}
	sigma, y := float64(p.Scale), product.Data().([]T)
	u := applyTransposed(data[T](w.W), centred(n, p.Stream), m)
	scale(u, 1/sigma)
	var sums []float64 // of the rows of W: centre(X) W is X W minus mean(x_c) times these
	if n.Kind == LN {
		ones := make([]float64, d)
		for i := range ones {
			ones[i] = 1
		}
		sums = applyTransposed(data[T](w.W), ones, m)
	}
	bias := make([]float64, m)
	copy(bias, widen(w.Bias))
	by := float64(m)
	s := VectorSquares{Squares: Squares{Whole: dot(u, u) / by}, WholeBias: dot(u, bias) / by,
		Constant: dot(bias, bias)/by + w.Eps}
	vectors := make([][]float64, len(gram))
	for i := range p.Components.Shape()[0] {
		f := widen(y[i*m : (i+1)*m])
		if sums != nil {
			axpy(-mean(p.Component(i)), sums, f)
		}
		scale(f, 1/sigma)
		s.With = append(s.With, dot(f, u)/by)
		s.WithBias = append(s.WithBias, dot(f, bias)/by)
		s.Squared = append(s.Squared, dot(f, f)/by)
		if k := slices.Index(gram, i); k >= 0 {
			vectors[k] = f
		}
	}
	s.Gram = gramOf(vectors, by)
	return s, nil
}

// gramOf returns the inner products of vectors with each other, divided by a number.
func gramOf(vectors [][]float64, by float64) [][]float64 {
	var g [][]float64
	for _, a := range vectors {
		row := make([]float64, len(vectors))
		for j, b := range vectors {
			row[j] = dot(a, b) / by
		}
		g = append(g, row)
	}
	return g
}

// mean returns the mean of a vector's numbers.
func mean[T blas.Float](x []T) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	return sum / float64(len(x))
}
