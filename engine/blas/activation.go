package blas

import "math"

// Activation is a function of single numbers, the nonlinearity of an MLP.
type Activation uint8

// GELUTanh is the tanh form of GELU that GPT-2 uses; GELU is the form with erf (arXiv:1606.08415, section 2).
// SiLU is x / (1 + exp(-x)) (ibid., section 4).
const (
	NoActivation Activation = iota
	GELUTanh
	GELU
	SiLU
	ReLU
)

// Activate replaces every x by act(x). In float32 the result is within 3e-7 max(1, |x|) of the exact value.
func Activate[T Float](x []T, act Activation) {
	if f, ok := any(x).([]float32); ok && activate32(f, act) {
		return
	}
	for i, v := range x {
		x[i] = T(act.at(float64(v)))
	}
}

func (a Activation) at(v float64) float64 {
	switch a {
	case GELUTanh:
		return 0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
	case GELU:
		return 0.5 * v * math.Erfc(-v/math.Sqrt2)
	case SiLU:
		return v / (1 + math.Exp(-v))
	case ReLU:
		return max(0, v)
	}
	return v
}
