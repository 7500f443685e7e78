package plain

import "math"

// Norm is x -> gain * centred(x) / scale(x) + shift. The zero Norm leaves x as it is.
type Norm struct {
	Is          bool // false: no norm
	Centre      bool
	Eps         float64
	Gain, Shift []float64 // [d]; nil: ones, zeros
}

// Centred returns x [d], minus its mean if the norm subtracts it.
func (n Norm) Centred(x []float64) []float64 {
	if n.Centre {
		return less(x)
	}
	return x
}

// Scale returns what the norm divides x [d] by.
func (n Norm) Scale(x []float64) float64 {
	if !n.Is {
		return 1
	}
	y := n.Centred(x)
	return math.Sqrt(dot(y, y)/float64(len(y)) + n.Eps)
}

// Linear returns what the norm does to a part x [d] of the stream if its scale is fixed. The shift belongs to
// no part.
func (n Norm) Linear(x []float64, scale float64) []float64 {
	if !n.Is {
		return x
	}
	y := scaled(n.Centred(x), 1/scale)
	if n.Gain != nil {
		y = times(y, n.Gain)
	}
	return y
}

// Apply returns the norm of x: [d] -> [d].
func (n Norm) Apply(x []float64) []float64 { return add(n.Linear(x, n.Scale(x)), n.Shift) }
