package blas_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
)

func randomDense(rng *rand.Rand, e blas.Engine, rows, cols int, opts ...tensor.ConsOpt) *tensor.Dense {
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return tensor.New(append([]tensor.ConsOpt{tensor.WithShape(rows, cols), tensor.WithBacking(x), tensor.WithEngine(e)}, opts...)...)
}

// values reads a tensor element by element, which goes through its strides.
func values(t *testing.T, x tensor.Tensor) blas.Matrix[float32] {
	t.Helper()
	m := blas.NewMatrix(x.Shape()[0], x.Shape()[1], make([]float32, x.Shape()[0]*x.Shape()[1]))
	for i := range m.Rows {
		for j := range m.Cols {
			v, err := x.At(i, j)
			if err != nil {
				t.Fatal(err)
			}
			m.Row(i)[j] = v.(float32)
		}
	}
	return m
}

func slice(t *testing.T, x *tensor.Dense, r0, r1, c0, c1 int) *tensor.Dense {
	t.Helper()
	v, err := x.Slice(tensor.S(r0, r1), tensor.S(c0, c1))
	if err != nil {
		t.Fatal(err)
	}
	return v.(*tensor.Dense)
}

func transpose(t *testing.T, x *tensor.Dense) *tensor.Dense {
	t.Helper()
	if err := x.T(); err != nil {
		t.Fatal(err)
	}
	return x
}

// Every kind of view gives the product of what it shows. The tensor package's own engine gets column slices
// wrong without an error.
func TestEngineViews(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, p := range providers(t) {
		e := blas.Engine{Provider: p, Threads: 2}
		views := func(rows, cols int) map[string]*tensor.Dense {
			return map[string]*tensor.Dense{
				"whole":               randomDense(rng, e, rows, cols),
				"T()":                 transpose(t, randomDense(rng, e, cols, rows)),
				"row slice":           slice(t, randomDense(rng, e, rows+5, cols), 2, rows+2, 0, cols),
				"column slice":        slice(t, randomDense(rng, e, rows, cols+9), 0, rows, 4, cols+4),
				"block":               slice(t, randomDense(rng, e, rows+3, cols+9), 1, rows+1, 4, cols+4),
				"T() of column slice": transpose(t, slice(t, randomDense(rng, e, cols, rows+9), 0, cols, 4, rows+4)),
				"column major":        randomDense(rng, e, rows, cols, tensor.AsFortran(nil)),
			}
		}
		const m, n, k = 6, 5, 40
		for aName, a := range views(m, k) {
			for bName, b := range views(k, n) {
				av, bv := values(t, a), values(t, b)
				want, size := naive(blas.NewMatrix[float32](m, n, nil), av, bv, false)
				got, err := a.MatMul(b)
				if err != nil {
					t.Errorf("%s: %s x %s: %v", p.Name(), aName, bName, err)
					continue
				}
				gv := values(t, got)
				for i := range want {
					if d := float64(gv.Data[i]) - want[i]; !(max(d, -d) <= tolerance32*size[i]) {
						t.Errorf("%s: %s x %s: %v at %d, want %v", p.Name(), aName, bName, gv.Data[i], i, want[i])
						break
					}
				}
			}
		}
	}
}

func TestEngineReuseAndKinds(t *testing.T) {
	p, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	e := blas.Engine{Provider: p}
	a := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float64{1, 2, 3, 4}), tensor.WithEngine(e))
	b := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float64{0, 1, 1, 0}), tensor.WithEngine(e))
	c := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking(make([]float64, 4)), tensor.WithEngine(e))
	got, err := a.MatMul(b, tensor.WithReuse(c))
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{2, 1, 4, 3}; !slices.Equal(c.Data().([]float64), want) || got != c {
		t.Errorf("product %v, want %v in the reused tensor", c.Data(), want)
	}
	if _, ok := got.Engine().(blas.Engine); !ok {
		t.Errorf("engine of the product is %T", got.Engine())
	}
	if err := e.MatMul(a, b, a); !errors.Is(err, blas.ErrOperand) {
		t.Errorf("product into its own operand: %v, want ErrOperand", err)
	}
	if err := e.MatMul(a, b, tensor.New(tensor.WithShape(3, 2), tensor.Of(tensor.Float64))); !errors.Is(err, blas.ErrOperand) {
		t.Errorf("product into a wrong shape: %v, want ErrOperand", err)
	}
	ints := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]int{1, 2, 3, 4}))
	if err := e.MatMul(ints, ints, ints); !errors.Is(err, blas.ErrOperand) {
		t.Errorf("product of integers: %v, want ErrOperand", err)
	}
	single := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float32{1, 2, 3, 4}))
	if err := e.MatMul(a, single, c); !errors.Is(err, blas.ErrOperand) {
		t.Errorf("product of float64 and float32: %v, want ErrOperand", err)
	}
	every, err := a.Slice(nil, tensor.S(0, 2, 2)) // a step of two in both dimensions has no leading dimension
	if err == nil {
		_, err = blas.Of[float64](every)
		if !errors.Is(err, blas.ErrOperand) {
			t.Errorf("view of shape %v: %v, want ErrOperand", every.Shape(), err)
		}
	}
}
