package blas

import (
	"fmt"
	"math"
)

// GELU replaces every x by the tanh form of GELU that GPT-2 uses,
// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (arXiv:1606.08415, section 2).
// float32 is within 3e-7 max(1, |x|) of the exact value.
func GELU[T Float](x []T) {
	if f, ok := any(x).([]float32); ok && gelu32(f) {
		return
	}
	for i, v := range x {
		v := float64(v)
		x[i] = T(0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v))))
	}
}

// SoftmaxCausal replaces each row of the matrix x [rows, cols] by the softmax of scale times its first
// entries, as causal attention has it: row r keeps the first first+r, and the rest becomes 0.
func SoftmaxCausal[T Float](x Matrix[T], first int, scale T) {
	x.check("softmax")
	if x.Trans || x.Rows > 0 && (first < 1 || first+x.Rows-1 > x.Cols) {
		panic(fmt.Sprintf("blas: causal softmax of [%d %d] (transposed %t), first row of %d", x.Rows, x.Cols, x.Trans, first))
	}
	if x.Rows == 0 {
		return
	}
	if f, ok := any(x.Data).([]float32); ok && softmaxCausal32(f, x.Rows, x.Cols, x.Stride, first, float32(scale)) {
		return
	}
	for r := range x.Rows {
		row := x.Row(r)
		largest := math.Inf(-1)
		for _, v := range row[:first+r] {
			largest = max(largest, float64(v*scale))
		}
		sum := 0.0
		for i, v := range row[:first+r] {
			e := math.Exp(float64(v*scale) - largest)
			sum += e
			row[i] = T(e)
		}
		for i, v := range row[:first+r] {
			row[i] = T(float64(v) / sum)
		}
		clear(row[first+r:])
	}
}

// LayerNorm centres every row of x [len(scales), width], divides it by its scale and writes it to dst;
// scales[r] = sqrt(mean((x_r - mean x_r)^2) + eps) (arXiv:1607.06450, without gain and bias). dst may be x. A row
// with NaN or infinity, or too large for its squares, gets a scale that is NaN or infinite.
func LayerNorm[T Float](dst, x, scales []T, width int, eps float64) {
	if len(x) != len(scales)*width || len(dst) != len(x) {
		panic(fmt.Sprintf("blas: LayerNorm of %d numbers into %d, want %d rows of %d", len(x), len(dst), len(scales), width))
	}
	if len(x) == 0 {
		return
	}
	if f, ok := any(x).([]float32); ok && layerNorm32(any(dst).([]float32), f, any(scales).([]float32), width, float32(eps)) {
		return
	}
	for r := range scales {
		row, out := x[r*width:(r+1)*width], dst[r*width:(r+1)*width]
		mean := 0.0
		for _, v := range row {
			mean += float64(v)
		}
		mean /= float64(width)
		squares := 0.0
		for _, v := range row {
			squares += (float64(v) - mean) * (float64(v) - mean)
		}
		scale := math.Sqrt(squares/float64(width) + eps)
		scales[r] = T(scale)
		for i, v := range row {
			out[i] = T((float64(v) - mean) / scale)
		}
	}
}
