package decompose

import (
	"math"

	"ducklens/engine/blas"
)

// Norm is what stands between the stream and the query and key maps. Its gain and shift are folded into the
// maps, so that only three things are left to know: whether it takes the mean away, its epsilon, and whether
// it is there at all.
type Norm struct {
	Kind NormKind
	Eps  float64
}

// NormKind says how a norm makes the scale that a vector is divided by.
type NormKind uint8

// LN centres the vector and divides by sqrt(mean(x^2) + eps) of what is left (arXiv:1607.06450), RMS does so
// without centring (arXiv:1910.07467), NoNorm leaves the vector as it is.
const (
	LN NormKind = iota
	RMS
	NoNorm
)

// String gives the word that the model table has for it.
func (k NormKind) String() string { return [...]string{"LN", "RMS", "none"}[k] }

// centred widens x and takes its mean away where the norm does.
func centred[T blas.Float](n Norm, x []T) []float64 {
	if n.Kind == LN {
		return centre(x)
	}
	return widen(x)
}

// centre widens x and takes its mean away.
func centre[T blas.Float](x []T) []float64 {
	c := make([]float64, len(x))
	sum := 0.0
	for i, v := range x {
		c[i] = float64(v)
		sum += c[i]
	}
	mean := sum / float64(len(x))
	for i := range c {
		c[i] -= mean
	}
	return c
}

// scale is what the norm divides a vector by that takes the place of the whole stream; c is the vector,
// centred.
func (n Norm) scale(c []float64) float64 {
	if n.Kind == NoNorm {
		return 1
	}
	return math.Sqrt(variance(c, 0) + n.Eps)
}

// sampleScale is the scale of the notebook convention: the sample standard deviation, without epsilon.
func sampleScale(centred []float64) float64 { return math.Sqrt(variance(centred, 1)) }

// variance is the sum of squares of a centred vector divided by n - ddof.
func variance(centred []float64, ddof int) float64 {
	return dot(centred, centred) / float64(len(centred)-ddof)
}
