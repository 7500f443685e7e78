package model

import (
	"math"

	"ducklens/engine/blas"
	"ducklens/engine/internal/workers"
)

// norm divides rows by their scales. Its shift, and before attention and MLP its gain, are folded into what
// reads it.
type norm[T blas.Float] struct {
	none   bool // rows stay as they are
	centre bool // LayerNorm, else RMSNorm
	eps    float64
	gain   []T // nil: ones
}

// preNorm is the norm before attention and before the MLP, lastNorm the one before the unembedding.
func (m *Model[T]) preNorm() norm[T] {
	return norm[T]{none: !m.spec.PreNorm, centre: m.spec.Norm.Centre, eps: m.spec.Norm.Eps}
}

func (m *Model[T]) lastNorm() norm[T] {
	return norm[T]{none: m.spec.NoFinalNorm, centre: m.spec.Norm.Centre, eps: m.spec.Norm.Eps}
}

// postNorm is a norm of what attention or MLP writes.
func (m *Model[T]) postNorm(gain []T) norm[T] {
	return norm[T]{none: !m.spec.PostNorm, centre: m.spec.Norm.Centre, eps: m.spec.Norm.Eps, gain: gain}
}

// apply normalises the rows of x [len(scales), width], which has no gaps, into dst, which may be x. Where
// there is no norm, a scale is finite if its row is.
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

// finiteness is 1, or NaN where a number of x is NaN or infinite.
func finiteness[T blas.Float](x []T) T {
	var sum T
	for _, v := range x {
		sum += v * 0
	}
	return 1 + sum
}

// linear is what the norm does to a part of a row that it divided by that scale.
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

// normalise applies n to the rows of x into dst, with their scales in r.scale, and keeps those of the kept
// positions. name and layer say where, if a row cannot be normalised.
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

// checkScales looks at the scales of all rows, so many for each.
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

// badScale tells whether nothing can be divided by a scale. Zero is that of a constant stream where eps is
// zero: what it divides is 0/0.
func badScale(f float64) bool { return math.IsNaN(f) || math.IsInf(f, 0) || f == 0 }
