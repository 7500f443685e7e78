package decompose

import (
	"math"

	"ducklens/engine/blas"
)

// Norm is the norm between the stream and the query and key maps. Its gain and shift are folded into the
// maps, so only three things about it matter: whether it subtracts the mean, its epsilon, and whether it
// exists.
type Norm struct {
	Kind NormKind
	Eps  float64
}

// NormKind says how a norm computes the scale that it divides by.
type NormKind uint8

// LN centres the vector and divides by sqrt(mean(x^2) + eps) of the centred one (arXiv:1607.06450). RMS does
// so without centring (arXiv:1910.07467). NoNorm leaves the vector unchanged.
const (
	LN NormKind = iota
	RMS
	NoNorm
)

// String returns the word that the model table uses.
func (k NormKind) String() string { return [...]string{"LN", "RMS", "none"}[k] }

// centred widens x and subtracts its mean if the norm does.
func centred[T blas.Float](n Norm, x []T) []float64 {
	if n.Kind == LN {
		return centre(x)
	}
	return widen(x)
}

// centre widens x and subtracts its mean.
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

// scale returns what the norm divides a vector by that replaces the whole stream; c is the vector, centred.
func (n Norm) scale(c []float64) float64 {
	if n.Kind == NoNorm {
		return 1
	}
	return math.Sqrt(variance(c, 0) + n.Eps)
}

// sampleScale returns the scale of the notebook convention: the sample standard deviation, without epsilon.
func sampleScale(centred []float64) float64 { return math.Sqrt(variance(centred, 1)) }

// variance returns the sum of squares of a centred vector divided by n - ddof.
func variance(centred []float64, ddof int) float64 {
	return dot(centred, centred) / float64(len(centred)-ddof)
}
