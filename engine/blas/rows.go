package blas

import (
	"fmt"
	"math"
)

// Causal says what causal attention does to scores.
type Causal[T Float] struct {
	// First is the number of positions that the first row looks at. Each row looks at one more than the row
	// before.
	First  int
	Window int // number of the last of these that a row really looks at; 0: all
	Scale  T   // of the scores
	Cap    T   // scaled scores s become Cap tanh(s / Cap); 0: they do not
}

// begin returns the first position that row r looks at.
func (c Causal[T]) begin(r int) int {
	if c.Window == 0 {
		return 0
	}
	return max(0, c.First+r-c.Window)
}

// SoftmaxCausal replaces each row of the matrix x [rows, cols] by the softmax of the entries that c lets it
// look at, scaled and capped; the rest becomes 0. sink is one more entry of every row, which is dropped
// afterwards; -Inf: none.
func SoftmaxCausal[T Float](x Matrix[T], c Causal[T], sink T) {
	x.check("softmax")
	if x.Trans || x.Rows > 0 && (c.First < 1 || c.First+x.Rows-1 > x.Cols || c.Window < 0) {
		panic(fmt.Sprintf("blas: causal softmax of [%d %d] (transposed %t), first row of %d, window of %d",
			x.Rows, x.Cols, x.Trans, c.First, c.Window))
	}
	if x.Rows == 0 {
		return
	}
	if f, ok := any(x).(Matrix[float32]); ok && softmaxCausal32(f, any(c).(Causal[float32]), float32(sink)) {
		return
	}
	for r := range x.Rows {
		row := x.Row(r)
		from, to := c.begin(r), c.First+r
		clear(row[:from])
		softmaxRow(row[from:to], c.Scale, c.Cap, sink)
		clear(row[to:])
	}
}

func softmaxRow[T Float](row []T, scale, limit, sink T) {
	largest := float64(sink)
	for i, v := range row {
		row[i] = v * scale
		if limit > 0 {
			row[i] = limit * T(math.Tanh(float64(row[i]/limit)))
		}
		largest = max(largest, float64(row[i]))
	}
	sum := 0.0
	for i, v := range row {
		e := math.Exp(float64(v) - largest)
		sum += e
		row[i] = T(e)
	}
	sum += math.Exp(float64(sink) - largest)
	for i, v := range row {
		row[i] = T(float64(v) / sum)
	}
}

// LayerNorm centres every row of x [len(scales), width], divides it by its scale and writes it to dst;
// scales[r] = sqrt(mean((x_r - mean x_r)^2) + eps) (arXiv:1607.06450, without gain and bias). dst may be x.
// The scale of a row is NaN or infinite if the row contains NaN or infinity or is too large to be squared.
func LayerNorm[T Float](dst, x, scales []T, width int, eps float64) {
	if len(x) != len(scales)*width || len(dst) != len(x) {
		panic(fmt.Sprintf("blas: LayerNorm of %d numbers into %d, want %d rows of %d", len(x), len(dst),
			len(scales), width))
	}
	if len(x) == 0 {
		return
	}
	if f, ok := any(x).([]float32); ok &&
		layerNorm32(any(dst).([]float32), f, any(scales).([]float32), width, float32(eps)) {
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

// RMSNorm divides every row of x, or each of groups equal parts of it, by its scale sqrt(mean(x^2) + eps)
// (arXiv:1910.07467), with the sum in float64, multiplies it by gain [width of a group], unless that is nil,
// and writes it to dst. scales has one number for each group of each row. dst may be x.
func RMSNorm[T Float](dst, x Matrix[T], scales []T, groups int, gain []T, eps float64) {
	dst.check("result of RMSNorm")
	x.check("RMSNorm")
	if dst.Rows != x.Rows || dst.Cols != x.Cols || x.Trans || dst.Trans || groups < 1 || x.Cols%groups != 0 ||
		len(scales) != x.Rows*groups ||
		gain != nil && len(gain) != x.Cols/groups {
		panic(fmt.Sprintf("blas: RMSNorm of [%d %d] into [%d %d] with %d scales and %d gains, %d groups",
			x.Rows, x.Cols, dst.Rows, dst.Cols, len(scales), len(gain), groups))
	}
	if x.Rows == 0 || x.Cols == 0 {
		return
	}
	if f, ok := any(x).(Matrix[float32]); ok &&
		rmsNorm32(any(dst).(Matrix[float32]), f, any(scales).([]float32), groups, any(gain).([]float32),
			eps) {
		return
	}
	width := x.Cols / groups
	for i := range scales {
		r, from := i/groups, i%groups*width
		row, out := x.Row(r)[from:from+width], dst.Row(r)[from:from+width]
		squares := 0.0
		for _, v := range row {
			squares += float64(v) * float64(v)
		}
		scale := math.Sqrt(squares/float64(width) + eps)
		scales[i] = T(scale)
		for j, v := range row {
			y := float64(v) / scale
			if gain != nil {
				y *= float64(gain[j])
			}
			out[j] = T(y)
		}
	}
}

// Rotate turns planes of the first dims numbers of each of the adjacent heads in x [rows, heads d_head]:
// numbers 2i and 2i+1 if pairs is set, otherwise i and i + dims/2. Row at[r] of the table [positions, dims]
// has the cosines of the angles of row r, then the sines (arXiv:2104.09864).
func Rotate[T Float](x Matrix[T], heads, dims int, pairs bool, table []T, at []int64) {
	x.check("rotation")
	if x.Trans || heads < 1 || x.Cols%heads != 0 || dims < 0 || dims%2 != 0 || dims > x.Cols/heads ||
		len(at) != x.Rows {
		panic(fmt.Sprintf("blas: rotation of %d numbers of %d heads in [%d %d] at %d positions", dims, heads,
			x.Rows, x.Cols, len(at)))
	}
	for _, p := range at {
		if p < 0 || (int(p)+1)*dims > len(table) {
			panic(fmt.Sprintf("blas: rotation by row %d of a table of %d numbers, %d a row", p, len(table),
				dims))
		}
	}
	if x.Rows == 0 || dims == 0 {
		return
	}
	if f, ok := any(x).(Matrix[float32]); ok && rotate32(f, heads, dims, pairs, any(table).([]float32), at) {
		return
	}
	half, dh := dims/2, x.Cols/heads
	for r := range x.Rows {
		angles := table[int(at[r])*dims:][:dims]
		for h := range heads {
			v := x.Row(r)[h*dh:][:dh]
			for i := range half {
				a, b := i, i+half
				if pairs {
					a, b = 2*i, 2*i+1
				}
				c, s := angles[i], angles[half+i]
				v[a], v[b] = v[a]*c-v[b]*s, v[b]*c+v[a]*s
			}
		}
	}
}
