package plain

import "math"

// mul returns W x: [out][in], [in] -> [out].
func mul(w [][]float64, x []float64) []float64 {
	y := make([]float64, len(w))
	for o, row := range w {
		y[o] = dot(row, x)
	}
	return y
}

// dot returns a . b.
func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// add returns a + b; b may be nil.
func add(a, b []float64) []float64 {
	y := append([]float64(nil), a...)
	for i := range b {
		y[i] += b[i]
	}
	return y
}

// sub returns a - b.
func sub(a, b []float64) []float64 { return add(a, scaled(b, -1)) }

// scaled returns a x.
func scaled(x []float64, a float64) []float64 {
	y := make([]float64, len(x))
	for i := range x {
		y[i] = a * x[i]
	}
	return y
}

// times returns x * y, element by element.
func times(x, y []float64) []float64 {
	z := make([]float64, len(x))
	for i := range x {
		z[i] = x[i] * y[i]
	}
	return z
}

// mean returns the mean of x.
func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}

// less subtracts the mean from every element.
func less(x []float64) []float64 {
	m := mean(x)
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] - m
	}
	return y
}

// softmax returns the softmax of x; -Inf masks a column.
func softmax(x []float64) []float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	y, sum := make([]float64, len(x)), 0.0
	for i, v := range x {
		y[i] = math.Exp(v - top)
		sum += y[i]
	}
	return scaled(y, 1/sum)
}

// capped returns cap tanh(s / cap), or s if there is no cap.
func capped(s, limit float64) float64 {
	if limit == 0 || math.IsInf(s, -1) {
		return s
	}
	return limit * math.Tanh(s/limit)
}

// sigmoid returns 1 / (1 + exp(-x)).
func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// project returns the part of x in the span of the directions (Gram-Schmidt, twice for accuracy).
func project(x []float64, directions ...[]float64) []float64 {
	var basis [][]float64
	for _, u := range directions {
		whole := math.Sqrt(dot(u, u))
		v := append([]float64(nil), u...)
		for range 2 {
			for _, b := range basis {
				v = sub(v, scaled(b, dot(b, v)))
			}
		}
		if length := math.Sqrt(dot(v, v)); length > 1e-10*whole {
			basis = append(basis, scaled(v, 1/length))
		}
	}
	y := make([]float64, len(x))
	for _, b := range basis {
		y = add(y, scaled(b, dot(b, x)))
	}
	return y
}

// grid returns zeros [rows][columns].
func grid(rows, columns int) [][]float64 {
	g := make([][]float64, rows)
	for i := range g {
		g[i] = make([]float64, columns)
	}
	return g
}
