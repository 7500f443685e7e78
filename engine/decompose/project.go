package decompose

import (
	"math"

	"ducklens/engine/blas"
)

// Projected says how a vector scaled to unit length divides between a basis and the rest, and how both parts
// point relative to a linear map.
type Projected struct {
	ParNorm, PerpNorm float64
	ParCos, PerpCos   float64 // with the map; NaN if the part or the map is zero
}

// Project splits x/|x| along a basis. The map [d_model] is the Map of a [Linear]. If n is a LayerNorm, x is
// centred first, because the norm lets nothing else through. (Outputs of processed weights are centred
// already.)
//
// The norm of the parallel part is the square root of the fraction of |x|^2 that the basis explains. A part
// shorter than parallelTolerance counts as zero, because rounding decides its direction. A zero x has zero
// norms.
func Project[T blas.Float](n Norm, basis Basis, x []T, direction []float64) Projected {
	par, perp := unitParts(n, basis, x)
	return projected(par, perp, direction)
}

// ProjectDiff is [Project] for the difference of two vectors, each scaled to unit length and split along its
// own basis: the parts of x minus those of y.
func ProjectDiff[T blas.Float](
	n Norm, xBasis Basis, x []T, yBasis Basis, y []T, direction []float64,
) Projected {
	par, perp := unitParts(n, xBasis, x)
	yPar, yPerp := unitParts(n, yBasis, y)
	axpy(-1, yPar, par)
	axpy(-1, yPerp, perp)
	return projected(par, perp, direction)
}

// Cosine returns the cosine of the parallel parts of two vectors [d_model] and that of their perpendicular
// parts. A cosine is NaN if a part of either vector is zero.
func Cosine[T blas.Float](n Norm, basis Basis, a, b []T) (par, perp float64) {
	aPar, aPerp := unitParts(n, basis, a)
	bPar, bPerp := unitParts(n, basis, b)
	return partCosine(aPar, bPar), partCosine(aPerp, bPerp)
}

// unitParts splits x/|x|; both parts are zero if x is.
func unitParts[T blas.Float](n Norm, basis Basis, x []T) (par, perp []float64) {
	par, perp = Split(n, basis, x)
	length := math.Hypot(norm(par), norm(perp))
	if length > 0 {
		scale(par, 1/length)
		scale(perp, 1/length)
	}
	return par, perp
}

func projected(par, perp, direction []float64) Projected {
	p := Projected{ParNorm: norm(par), PerpNorm: norm(perp), ParCos: math.NaN(), PerpCos: math.NaN()}
	if length := norm(direction); length > 0 {
		unit := append([]float64(nil), direction...)
		scale(unit, 1/length)
		p.ParCos, p.PerpCos = partCosine(par, unit), partCosine(perp, unit)
	}
	return p
}

// partCosine returns the cosine of two parts of unit vectors, or NaN if one is too short to have a direction.
func partCosine(a, b []float64) float64 {
	na, nb := norm(a), norm(b)
	if !(na > parallelTolerance && nb > parallelTolerance) {
		return math.NaN()
	}
	return max(-1, min(1, dot(a, b)/(na*nb)))
}
