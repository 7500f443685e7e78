package model

import (
	"fmt"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
)

// reader reads parameters from a checkpoint. It keeps the first error, after which everything that it returns
// is empty.
type reader[T blas.Float] struct {
	checkpoint *checkpoint.Checkpoint
	views      map[string]checkpoint.View // opened tensors, whose numbers are finite
	buffers    *spares[[]T]               // for one matrix each
	fault      error
}

// tensor opens the tensor of a source: all of it, or the part of one expert.
func (r *reader[T]) tensor(s Source) (v checkpoint.View, ok bool) {
	if r.fault != nil {
		return v, false
	}
	if s.Scales != "" {
		if v, r.fault = r.checkpoint.MXFP4(s.Tensor, s.Scales, s.Expert); r.fault == nil {
			r.fault = checkFinite(r.checkpoint, v)
		}
		return v, r.fault == nil
	}
	v, ok = r.views[s.Tensor]
	if !ok {
		if v, r.fault = r.checkpoint.Tensor(s.Tensor); r.fault == nil {
			r.fault = checkFinite(r.checkpoint, v)
		}
		if r.fault != nil {
			return v, false
		}
		r.views[s.Tensor] = v
	}
	if s.Experts > 0 {
		if len(v.Shape) < 2 || v.Shape[0] != s.Experts {
			r.misfit(v, fmt.Sprintf("%d experts", s.Experts))
			return v, false
		}
		v = v.Rows(s.Expert, s.Expert+1)
		v.Shape = v.Shape[1:]
	}
	return v, true
}

func (r *reader[T]) misfit(v checkpoint.View, want string) {
	r.fault = fmt.Errorf("checkpoint %s: tensor %q has shape %v, want %s", r.checkpoint.Path(), v.Name,
		v.Shape, want)
}

// release releases the pages that were read.
func (r *reader[T]) release() {
	for _, v := range r.views {
		v.Release(0, v.Len())
	}
}

// vector reads a parameter of n numbers; nil if it is not stored.
func (r *reader[T]) vector(s Source, n int) []float64 {
	if !s.Stored() {
		return nil
	}
	v, ok := r.tensor(s)
	if !ok {
		return nil
	}
	if last := s.last(n); last > v.Len() {
		r.misfit(v, fmt.Sprintf("at least %d numbers", last))
		return nil
	}
	x := make([]float64, n)
	for _, p := range s.pieces(n, v.Len()+1) {
		checkpoint.Copy(x[p.to:p.to+p.n], v, p.from)
	}
	plus(x, s.Plus)
	return x
}

// gain reads the gain of a norm; nil if it is not stored. A gain of zeros is an error: everything behind it
// would be the same for every prompt, and would have no parts.
func (r *reader[T]) gain(s Source, n int, norm string) []float64 {
	x := r.vector(s, n)
	if x == nil || slices.ContainsFunc(x, func(v float64) bool { return v != 0 }) {
		return x
	}
	r.fault = &ZeroGainError{Path: r.checkpoint.Path(), Tensor: s.Tensor, Norm: norm}
	return nil
}

// ZeroGainError says that all numbers of a norm's gain are zero.
type ZeroGainError struct{ Path, Tensor, Norm string }

func (e *ZeroGainError) Error() string {
	return fmt.Sprintf(
		"checkpoint %s: the gain of %s is 0 throughout (tensor %q), want a number other than 0", e.Path,
		e.Norm, e.Tensor)
}

// Hint says where such weights come from.
func (e *ZeroGainError) Hint() string {
	return "the weights are not those of a trained model, or were spoilt when they were saved; " +
		"get the model again"
}

// zeros is vector, but returns zeros if the parameter is not stored.
func (r *reader[T]) zeros(s Source, n int) []float64 {
	if x := r.vector(s, n); x != nil {
		return x
	}
	return make([]float64, n)
}

// plus adds more to every number. If more is 0 it leaves x alone, so that zeros keep their sign.
func plus[T blas.Float](x []T, more float64) {
	if more == 0 {
		return
	}
	for i := range x {
		x[i] = T(float64(x[i]) + more)
	}
}

// piece is a run of outputs that are adjacent both in a parameter and in its tensor.
type piece struct{ to, from, n int }

// last returns how many outputs the tensor must have if the parameter has n.
func (s Source) last(n int) int {
	last := 0
	for i := range n {
		last = max(last, s.OutputOf(i)+1)
	}
	return last
}

// pieces returns the pieces of n outputs. If unit is above 0, none crosses a multiple of it in the tensor.
func (s Source) pieces(n, unit int) []piece {
	var list []piece
	for i := range n {
		from := s.OutputOf(i)
		if k := len(list) - 1; k >= 0 && list[k].from+list[k].n == from && from%unit != 0 {
			list[k].n++
		} else {
			list = append(list, piece{i, from, 1})
		}
	}
	return list
}

// part is one of the parameters that make up a matrix, and its number of outputs.
type part struct {
	Source
	outputs int
}

// matrix reads parameters with the same inputs, side by side: [inputs, all outputs], transposed if they are
// stored so. The numbers belong to the file or are in buffer, which release returns.
func (r *reader[T]) matrix(inputs int, parts ...part) (m blas.Matrix[T], buffer []T) {
	n := 0
	for _, p := range parts {
		n += p.outputs
	}
	transposed := parts[0].Order == OutIn
	as := func(data []T) blas.Matrix[T] {
		if transposed {
			return blas.NewMatrix(n, inputs, data).T()
		}
		return blas.NewMatrix(inputs, n, data)
	}
	buffer = fitted(r.buffers.take(), inputs*n)
	if data, ok := r.inPlace(inputs, n, parts); ok {
		return as(data), buffer
	}
	m = as(buffer)
	at := 0
	for _, p := range parts {
		if (p.Order == OutIn) != transposed {
			r.fault = fmt.Errorf("tensors %q and %q are stored in different orders, want one",
				parts[0].Tensor, p.Tensor)
		}
		v, ok := r.tensor(p.Source)
		if !ok || r.fault != nil || !r.fits(v, inputs, p) {
			return m, buffer
		}
		if transposed {
			copyRows(buffer[at*inputs:], v, inputs, p)
		} else {
			copyColumns(m.Slice(0, inputs, at, at+p.outputs), v, p)
		}
		at += p.outputs
	}
	return m, buffer
}

// inPlace returns the numbers of a matrix without copying, if the matrix is a whole tensor.
func (r *reader[T]) inPlace(inputs, n int, parts []part) ([]T, bool) {
	_, single := any(T(0)).(float32)
	at := 0
	for _, p := range parts {
		whole := len(p.pieces(p.outputs, n+1)) == 1 && p.OutputOf(0) == at
		if !single || !whole || p.Tensor != parts[0].Tensor || p.Order == HeadInOut || p.Plus != 0 ||
			p.Experts > 0 {
			return nil, false
		}
		at += p.outputs
	}
	v, ok := r.tensor(parts[0].Source)
	if !ok || v.DType != checkpoint.F32 || v.Len() != inputs*n || !r.fits(v, inputs, parts[0]) {
		return nil, false
	}
	return checkpoint.Values[T](v), true
}

// fits checks the shape of a tensor against what a part needs.
func (r *reader[T]) fits(v checkpoint.View, inputs int, p part) bool {
	want := map[Order]int{OutIn: 2, InOut: 2, HeadInOut: 3, HeadOutIn: 3}[p.Order]
	dims := len(v.Shape)
	found, outputs := 0, 0
	if dims == want {
		switch p.Order {
		case OutIn:
			found, outputs = v.Shape[1], v.Shape[0]
		case InOut:
			found, outputs = v.Shape[0], v.Shape[1]
		case HeadInOut:
			found, outputs = v.Shape[1], v.Shape[0]*v.Shape[2]
		case HeadOutIn:
			found, outputs = v.Shape[0]*v.Shape[1], v.Shape[2]
		}
	}
	last := p.last(p.outputs)
	if found == inputs && last <= outputs {
		return true
	}
	r.misfit(v, fmt.Sprintf("%d inputs and at least %d outputs", inputs, last))
	return false
}

// copyRows copies the outputs of a part, each with its inputs, one after the other.
func copyRows[T blas.Float](dst []T, v checkpoint.View, inputs int, p part) {
	for _, run := range p.pieces(p.outputs, p.outputs+1) {
		checkpoint.Copy(dst[run.to*inputs:][:run.n*inputs], v, run.from*inputs)
	}
	plus(dst[:p.outputs*inputs], p.Plus)
}

// copyColumns copies the outputs of a part to the columns of dst [inputs, outputs].
func copyColumns[T blas.Float](dst blas.Matrix[T], v checkpoint.View, p part) {
	width := v.Shape[len(v.Shape)-1] // outputs that are adjacent in the tensor
	for _, run := range p.pieces(p.outputs, width) {
		block := run.from / width * dst.Rows // for HeadInOut, the rows of other heads
		for i := range dst.Rows {
			checkpoint.Copy(dst.Row(i)[run.to:run.to+run.n], v, (block+i)*width+run.from%width)
		}
	}
	if p.Plus != 0 {
		for i := range dst.Rows {
			plus(dst.Row(i), p.Plus)
		}
	}
}

func checkFinite(c *checkpoint.Checkpoint, v checkpoint.View) error {
	if err := v.CheckFinite(); err != nil {
		return fmt.Errorf("checkpoint %s: %w", c.Path(), err)
	}
	return nil
}
