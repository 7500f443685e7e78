package decompose

import (
	"ducklens/engine/blas"
	"ducklens/schema"
)

// fixed is the vector of the side that is held fixed, split by its basis. The components of the other side
// are read against par + perp.
type fixed struct {
	par  []float64 // [d_head]; nil if the part is zero by definition (a whole vector)
	perp []float64 // [d_head]
}

// whole returns the vector before it was split.
func (f fixed) whole() []float64 {
	sum := append([]float64(nil), f.perp...)
	if f.par != nil {
		axpy(1, f.par, sum)
	}
	return sum
}

// splitFixed splits the model's own vector v (q, or k at one position) along a basis; m made it from the
// stream. r is n(p.Stream), sigma is p.Scale, U projects on the axes, and F is the frame of the position.
//
//	Whole                    par = 0                         perp = v
//	Subspace, exact          par = F W^T U r / sigma         perp = v - par
//	Subspace, notebook       par = W^T U r / std             perp = W^T (r - U r) / std + b
//	Replacement by x, exact  par = F' W^T x / sigma(x)       perp = F' b
//	Replacement, notebook    par = W^T x / std               perp = b       (query only)
//
// F' has the scale that QK-norm gives the replacement. The published code normalises a projected or replaced
// fixed side by std = sqrt(|r|^2 / (d_model - 1)), the sample standard deviation without eps, and an unsplit
// one as the model does. Since v = W^T r / sigma + b, its perp is (sigma / std) (v - b) + b - par. It writes
// its replacement of the key at a position that is never read, and so leaves the key unchanged.
func (in *Input[T]) splitFixed(p *Position[T], m sideMaps[T], basis Basis) fixed {
	dHead := len(p.Vector)
	v := widen(p.Vector)
	switch basis.kind {
	case schema.Subspace:
		r := centred(in.Norm, p.Stream)
		sigma := float64(p.Scale)
		if in.Convention == schema.Notebook {
			std := sampleScale(r)
			for i, b := range m.bias {
				v[i] = sigma/std*(v[i]-float64(b)) + float64(b)
			}
			sigma = std
		}
		inside := make([]float64, len(r))
		for _, axis := range basis.axes {
			axpy(dot(axis, r)/sigma, axis, inside)
		}
		par := applyTransposed(m.w, inside, dHead)
		frameAt(m, p).apply(par)
		axpy(-1, par, v)
		return fixed{par: par, perp: v}
	case schema.Replacement:
		sigma := in.scaleOf(basis.replacement)
		par := applyTransposed(m.w, basis.replacement, dHead)
		scale(par, 1/sigma)
		perp := make([]float64, dHead)
		copy(perp, widen(m.bias))
		f := frameWith(m, p, in.qkScale(m.side, basis.replacement, sigma))
		f.apply(par)
		f.apply(perp)
		return fixed{par: par, perp: perp}
	}
	return fixed{perp: v}
}

// scaleOf returns the scale of a centred vector that replaces the whole stream:
//
//	exact      as the norm has it
//	notebook   sqrt(|c|^2 / (d_model - 1)), the sample standard deviation
func (in *Input[T]) scaleOf(c []float64) float64 {
	if in.Convention == schema.Notebook {
		return sampleScale(c)
	}
	return in.Norm.scale(c)
}

// qkScale returns the scale that QK-norm gives to what a side makes of c / sigma.
func (in *Input[T]) qkScale(side schema.Side, c []float64, sigma float64) float64 {
	if in.QKScale == nil {
		return 1
	}
	normalised := append([]float64(nil), c...)
	scale(normalised, 1/sigma)
	return in.QKScale(side, normalised)
}

// applyTransposed returns w^T x [d_head], where w is [d_model, d_head].
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
