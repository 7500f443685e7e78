package decompose

import (
	"math"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// fixed is the vector of the side that is held fixed, split by its basis: par + perp is what the
// components of the other side are read against.
type fixed struct {
	par  []float64 // [d_head]; nil where the part is zero by definition (a whole vector)
	perp []float64 // [d_head]
}

// whole is the vector before it was split.
func (f fixed) whole() []float64 {
	sum := append([]float64(nil), f.perp...)
	if f.par != nil {
		axpy(1, f.par, sum)
	}
	return sum
}

// splitFixed splits the model's own vector v (q, or k at one position) along a basis; w [d_model, d_head]
// and bias [d_head] are the map that made it from the stream. r is centre(p.Stream) and sigma is p.Scale,
// U the projection on the axes.
//
//	Whole                    par = 0                        perp = v
//	Subspace, exact          par = W^T U r / sigma          perp = v - par
//	Subspace, notebook       par = W^T U r / std            perp = W^T (r - U r) / std + b
//	Replacement by x, exact  par = W^T x / sqrt(var + eps)  perp = b
//	Replacement, notebook    par = W^T x / std              perp = b       (query only)
//
// The published code normalises a projected or replaced fixed side by std = sqrt(|r|^2 / (d_model - 1)), the sample
// standard deviation without eps, and an unsplit one as the model does. Since v = W^T r / sigma + b, its
// perp is (sigma / std) (v - b) + b - par. Its replacement of the key is written at a position nobody reads, and so leaves
// the key as it was.
func splitFixed[T blas.Float](p *Position[T], w []T, bias []T, basis Basis, convention schema.Convention, eps float64) fixed {
	dHead := len(p.Vector)
	v := widen(p.Vector)
	switch basis.kind {
	case schema.Subspace:
		r := centre(p.Stream)
		sigma := float64(p.Scale)
		if convention == schema.Notebook {
			std := math.Sqrt(variance(r, 1))
			for i, b := range bias {
				v[i] = sigma/std*(v[i]-float64(b)) + float64(b)
			}
			sigma = std
		}
		inside := make([]float64, len(r))
		for _, axis := range basis.axes {
			axpy(dot(axis, r)/sigma, axis, inside)
		}
		par := applyTransposed(w, inside, dHead)
		axpy(-1, par, v)
		return fixed{par: par, perp: v}
	case schema.Replacement:
		par := applyTransposed(w, basis.replacement, dHead)
		scale(par, 1/layerNormScale(basis.replacement, convention, eps))
		return fixed{par: par, perp: widen(bias)}
	}
	return fixed{perp: v}
}

// applyTransposed gives w^T x [d_head], w being [d_model, d_head].
func applyTransposed[T blas.Float](w []T, x []float64, dHead int) []float64 {
	return blas.Combine(w, x, dHead)
}

func widen[T blas.Float](x []T) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}
