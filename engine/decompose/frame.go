package decompose

import (
	"ducklens/engine/blas"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// sideMaps is what makes the vectors of one side of a head.
type sideMaps[T blas.Float] struct {
	side schema.Side
	w    []T // [d_model, d_head]
	bias []T // [d_head]; nil if there is none
	gain []T // of QK-norm [d_head]; nil if there is none
}

// maps returns what makes the vectors of a side.
func (in *Input[T]) maps(side schema.Side) sideMaps[T] {
	if side == schema.Query {
		return sideMaps[T]{side, data[T](in.Maps.WQ), in.Maps.BQ, in.Maps.QGain}
	}
	return sideMaps[T]{side, data[T](in.Maps.WK), in.Maps.BK, in.Maps.KGain}
}

// frame takes the result of a map to the vector that the score reads: it multiplies by the gain of QK-norm,
// divides by its scale and rotates to the position. It is linear. A frame that is zero except for a scale of
// 1 changes nothing.
type frame struct {
	gain  []float64 // nil: none
	scale float64
	turn  rotary.Turn
}

// frameAt returns the frame of a side at a position, with the scale that QK-norm had there.
func frameAt[T blas.Float](m sideMaps[T], p *Position[T]) frame {
	return frameWith(m, p, p.vectorScale())
}

// frameWith returns the frame at a position with another scale of QK-norm.
func frameWith[T blas.Float](m sideMaps[T], p *Position[T], scale float64) frame {
	f := frame{scale: scale, turn: p.Turn}
	if m.gain != nil {
		f.gain = widen(m.gain)
	}
	return f
}

// apply takes v [d_head] into the frame, in place.
func (f frame) apply(v []float64) {
	for i, g := range f.gain {
		v[i] *= g
	}
	if f.scale != 1 {
		scale(v, 1/f.scale)
	}
	f.turn.Apply(v)
}

// undo returns the transpose of apply on a: a . apply(v) is undo(a) . v. It does not change a.
func (f frame) undo(a []float64) []float64 {
	if f.identity() {
		return a
	}
	v := append([]float64(nil), a...)
	f.turn.Undo(v)
	for i, g := range f.gain {
		v[i] *= g
	}
	scale(v, 1/f.scale)
	return v
}

// identity reports whether the frame changes nothing.
func (f frame) identity() bool { return f.gain == nil && f.scale == 1 && f.turn.IsZero() }
