package decompose

import (
	"errors"
	"fmt"
	"math"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// ErrDegenerate is returned if directions leave no usable subspace: one is zero once centred, or contains a
// NaN or an infinity. No axis is ever made up instead.
var ErrDegenerate = errors.New("degenerate direction")

// parallelTolerance is the relative length |v - P v| / |v| below which a direction counts as lying in the
// span of the earlier ones and adds no dimension. Float32 inputs carry rounding of about 1e-7 of their
// length, so rounding would decide the direction of an axis shorter than 1e-5 to within a hundredth. Real
// pairs of token directions are at 0.1 and above.
const parallelTolerance = 1e-5

// Basis says how the vector of one side, at one position of one example, is split. The zero value is
// [schema.Whole]: a subspace of dimension 0, so that everything is in the perpendicular part.
type Basis struct {
	kind schema.BasisKind
	// axes [Dim][d_model] are orthonormal, and have mean zero if the norm centres. They are empty unless kind
	// is Subspace.
	axes [][]float64
	// replacement [d_model] is centred if the norm centres, and not yet divided by its scale. It is nil
	// unless kind is Replacement.
	replacement []float64
}

// Kind returns whether the basis leaves the vector whole, projects it or replaces it.
func (b Basis) Kind() schema.BasisKind { return b.kind }

// Dim returns the dimension of the subspace: 0 for a whole vector and for a replacement.
func (b Basis) Dim() int { return len(b.axes) }

// First returns the basis of the first k axes, or of all if there are fewer.
func (b Basis) First(k int) Basis {
	if k < len(b.axes) {
		b.axes = b.axes[:k]
	}
	return b
}

// Span returns the basis that projects onto the span of directions, each [d_model] and of any length. If n is
// a LayerNorm, which lets only centred vectors through, they are centred first. A direction that lies in the
// span of the earlier ones, to within parallelTolerance, adds no dimension, so [Basis.Dim] can be less than
// the number of directions. A zero or non-finite direction is [ErrDegenerate].
func Span[T blas.Float](n Norm, directions ...[]T) (Basis, error) {
	if len(directions) == 0 {
		return Basis{}, fmt.Errorf("span of no directions: %w", ErrDegenerate)
	}
	b := Basis{kind: schema.Subspace}
	for i, direction := range directions {
		if len(direction) != len(directions[0]) {
			return Basis{}, fmt.Errorf("direction %d has %d entries, want %d as the first", i, len(direction),
				len(directions[0]))
		}
		v, err := usable(n, direction)
		if err != nil {
			return Basis{}, fmt.Errorf("direction %d of %d: %w", i, len(directions), err)
		}
		scale(v, 1/largestEntry(v)) // first, so that no square underflows or overflows
		scale(v, 1/norm(v))
		// Gram-Schmidt, twice: the second pass removes what cancellation left over in the first.
		for range 2 {
			for _, axis := range b.axes {
				axpy(-dot(axis, v), axis, v)
			}
		}
		if length := norm(v); length > parallelTolerance {
			scale(v, 1/length)
			b.axes = append(b.axes, v)
		}
	}
	return b, nil
}

// Replace returns the basis that replaces the whole vector of its side by v [d_model], normalised with v's
// own scale. A zero or non-finite v is [ErrDegenerate].
func Replace[T blas.Float](n Norm, v []T) (Basis, error) {
	c, err := usable(n, v)
	if err != nil {
		return Basis{}, fmt.Errorf("replacement: %w", err)
	}
	return Basis{kind: schema.Replacement, replacement: c}, nil
}

// Split returns the part of x inside the basis and the part perpendicular to it, each [d_model]. They add up
// to x, which is centred first if n is a LayerNorm. Split panics unless the basis has as many entries as x.
func Split[T blas.Float](n Norm, b Basis, x []T) (par, perp []float64) {
	perp = centred(n, x)
	par = make([]float64, len(perp))
	for _, axis := range b.axes {
		axpy(dot(axis, perp), axis, par)
	}
	axpy(-1, par, perp)
	return par, perp
}

// fits reports whether the basis is for vectors of dModel entries; a whole one fits any.
func (b Basis) fits(dModel int) bool {
	switch {
	case len(b.axes) > 0:
		return len(b.axes[0]) == dModel
	case b.replacement != nil:
		return len(b.replacement) == dModel
	}
	return true
}

// usable returns v as the norm lets it through, or an error that says why no direction is left of it.
func usable[T blas.Float](n Norm, v []T) ([]float64, error) {
	before := 0.0
	for i, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil, fmt.Errorf("entry %d is %v, want a finite number: %w", i, x, ErrDegenerate)
		}
		before = max(before, math.Abs(float64(x)))
	}
	if before == 0 && n.Kind != LN {
		return nil, fmt.Errorf("every entry is 0, want a direction: %w", ErrDegenerate)
	}
	c := centred(n, v)
	// Centring a constant vector leaves the rounding noise of its entries, not exact zeros.
	if after := largestEntry(c); before == 0 || after <= parallelTolerance*before {
		return nil, fmt.Errorf("largest entry %g, after centring %g, want a vector that is not constant: %w",
			before, after, ErrDegenerate)
	}
	return c, nil
}

func largestEntry(v []float64) float64 {
	largest := 0.0
	for _, x := range v {
		largest = max(largest, math.Abs(x))
	}
	return largest
}

func dot(a, b []float64) float64 { return blas.Dot(a, b) }

func norm(a []float64) float64 { return math.Sqrt(dot(a, a)) }

func scale(a []float64, by float64) {
	for i := range a {
		a[i] *= by
	}
}

// axpy adds alpha x to y.
func axpy(alpha float64, x, y []float64) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += alpha * v
	}
}
