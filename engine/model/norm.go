package model

import (
	"math"

	"ducklens/engine/blas"
	"ducklens/engine/internal/workers"
)

// norm divides rows by their scales. Its shift is folded into what reads it, and so is the gain of a norm
// before attention or MLP.
type norm[T blas.Float] struct {
	none   bool // rows stay as they are
	centre bool // LayerNorm, else RMSNorm
	eps    float64
	gain   []T // nil: ones
}

// preNorm returns the norm before attention and before the MLP; lastNorm returns that before the unembedding.
func (m *Model[T]) preNorm() norm[T] {
	return norm[T]{none: !m.spec.PreNorm, centre: m.spec.Norm.Centre, eps: m.spec.Norm.Eps}
}

func (m *Model[T]) lastNorm() norm[T] {
	return norm[T]{none: m.spec.NoFinalNorm, centre: m.spec.Norm.Centre, eps: m.spec.Norm.Eps}
}

// postNorm returns a norm of what attention or MLP writes.
func (m *Model[T]) postNorm(gain []T) norm[T] {
	return norm[T]{none: !m.spec.PostNorm, centre: m.spec.Norm.Centre, eps: m.spec.Norm.Eps, gain: gain}
}

// apply writes the normalised rows of x [len(scales), width], which has no gaps, to dst, which may be x. If
// there is no norm, the scale of a finite row is finite.
func (n norm[T]) apply(dst, x blas.Matrix[T], scales []T) {
	numbers := x.Rows * x.Cols
	switch {
	case n.none:
		copy(dst.Data[:numbers], x.Data[:numbers])
		for i := range scales {
			scales[i] = finiteness(x.Row(i))
		}
	case n.centre:
		blas.LayerNorm(dst.Data[:numbers], x.Data[:numbers], scales, x.Cols, n.eps)
		for i := range scales {
			for j, g := range n.gain {
				dst.Row(i)[j] *= g
			}
		}
	default:
		blas.RMSNorm(dst, x, scales, 1, n.gain, n.eps)
	}
}

// finiteness returns 1, or NaN if a number of x is NaN or infinite.
func finiteness[T blas.Float](x []T) T {
	var sum T
	for _, v := range x {
		sum += v * 0
	}
	return 1 + sum
}

// linear applies to part of a row what the norm did when it divided the row by scale.
func (n norm[T]) linear(part []T, scale T) {
	if n.none {
		return
	}
	mean := 0.0
	if n.centre {
		for _, v := range part {
			mean += float64(v)
		}
		mean /= float64(len(part))
	}
	for i, v := range part {
		x := (float64(v) - mean) / float64(scale)
		if n.gain != nil {
			x *= float64(n.gain[i])
		}
		part[i] = T(x)
	}
}

// normalise writes the normalised rows of x to dst and their scales to r.scale, and keeps those of the kept
// positions. If a row cannot be normalised, the error says where by name and layer.
func (r *run[T]) normalise(n norm[T], dst, x blas.Matrix[T], layer int, name string, kept []T) error {
	workers.Rows(r.threads, x.Rows, rowsAtOnce, func(from, to int) {
		n.apply(dst.Slice(from, to, 0, x.Cols), x.Slice(from, to, 0, x.Cols), r.scale[from:to])
	})
	if err := r.checkScales(r.scale, 1, layer, name); err != nil {
		return err
	}
	for i, row := range r.cache.row {
		kept[i] = r.scale[row]
	}
	return nil
}

// checkScales checks the scales of all rows, each of them per row.
func (r *run[T]) checkScales(scales []T, each, layer int, name string) error {
	for s, rows := range r.rows {
		for p := r.shared[s]; p < len(rows); p++ {
			for _, v := range scales[rows[p]*each:][:each] {
				if f := float64(v); badScale(f) {
					return &ScaleError{Sequence: s, Position: p, Layer: layer, Norm: name, Scale: f}
				}
			}
		}
	}
	return nil
}

// badScale reports whether a scale cannot divide anything. A constant stream has scale zero if eps is zero:
// the result would be 0/0.
func badScale(f float64) bool { return math.IsNaN(f) || math.IsInf(f, 0) || f == 0 }
