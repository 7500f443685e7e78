package blas

import (
	"errors"
	"fmt"
	"unsafe"

	"gorgonia.org/tensor"
)

// Engine is an execution engine for tensors whose MatMul uses a provider; everything else is tensor.StdEng.
// Pass it to a tensor by tensor.WithEngine. Unlike StdEng it reads the strides of its operands, so that T()
// views, row slices and column slices (one head of a projection, for example) are multiplied correctly and
// without a copy.
type Engine struct {
	tensor.StdEng
	Provider Provider
	Threads  int // goroutines in one product; 0 means 1
}

var (
	_ tensor.Engine   = Engine{}
	_ tensor.MatMuler = Engine{}
)

// ErrOperand is returned for a product whose operands the engine cannot read or write in place.
var ErrOperand = errors.New("unsuitable operand")

// MatMul sets prealloc = a b. (*tensor.Dense).MatMul calls it.
func (e Engine) MatMul(a, b, prealloc tensor.Tensor) error {
	switch a.Dtype() {
	case tensor.Float32:
		return engineMatMul[float32](e, a, b, prealloc)
	case tensor.Float64:
		return engineMatMul[float64](e, a, b, prealloc)
	}
	return fmt.Errorf("product of %v, want float32 or float64: %w", a.Dtype(), ErrOperand)
}

func engineMatMul[T Float](e Engine, a, b, c tensor.Tensor) error {
	am, err := Of[T](a)
	if err != nil {
		return fmt.Errorf("left operand: %w", err)
	}
	bm, err := Of[T](b)
	if err != nil {
		return fmt.Errorf("right operand: %w", err)
	}
	cm, err := Of[T](c)
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	if am.Cols != bm.Rows || cm.Rows != am.Rows || cm.Cols != bm.Cols {
		return fmt.Errorf("product of %v and %v into %v: %w", a.Shape(), b.Shape(), c.Shape(), ErrOperand)
	}
	if overlap(cm.Data, am.Data) || overlap(cm.Data, bm.Data) {
		return fmt.Errorf("result shares memory with an operand: %w", ErrOperand)
	}
	if cm.Trans { // C^T = B^T A^T
		am, bm, cm = bm.T(), am.T(), cm.T()
	}
	Gemm(e.Provider, max(1, e.Threads), cm, am, bm, false)
	return nil
}

// Of returns a two-dimensional tensor as a [Matrix], with its strides, without copying.
func Of[T Float](t tensor.Tensor) (Matrix[T], error) {
	d, ok := t.(*tensor.Dense)
	if !ok {
		return Matrix[T]{}, fmt.Errorf("%T, want *tensor.Dense: %w", t, ErrOperand)
	}
	shape, strides := d.Shape(), d.Strides()
	if len(shape) != 2 || len(strides) != 2 {
		return Matrix[T]{},
			fmt.Errorf("shape %v with strides %v, want two dimensions: %w", shape, strides, ErrOperand)
	}
	data, ok := d.Data().([]T)
	if !ok {
		return Matrix[T]{}, fmt.Errorf("numbers are %v, want %T: %w", d.Dtype(), T(0), ErrOperand)
	}
	m := Matrix[T]{Rows: shape[0], Cols: shape[1], Data: data}
	switch {
	case strides[1] == 1 && strides[0] >= m.Cols:
		m.Stride = strides[0]
	case strides[0] == 1 && strides[1] >= m.Rows:
		m.Stride, m.Trans = strides[1], true
	default:
		return Matrix[T]{},
			fmt.Errorf("strides %v of shape %v, want 1 in one dimension: %w", strides, shape, ErrOperand)
	}
	rows, cols := m.Rows, m.Cols
	if m.Trans {
		rows, cols = cols, rows
	}
	if len(data) < (rows-1)*m.Stride+cols {
		return Matrix[T]{},
			fmt.Errorf("%d numbers for shape %v with strides %v: %w", len(data), shape, strides, ErrOperand)
	}
	return m, nil
}

func overlap[T Float](x, y []T) bool {
	if len(x) == 0 || len(y) == 0 {
		return false
	}
	x0, y0 := uintptr(unsafe.Pointer(&x[0])), uintptr(unsafe.Pointer(&y[0]))
	size := unsafe.Sizeof(x[0])
	return x0 < y0+size*uintptr(len(y)) && y0 < x0+size*uintptr(len(x))
}
