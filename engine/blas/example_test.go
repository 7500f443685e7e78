package blas_test

import (
	"fmt"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
)

func ExampleGemm() {
	p, err := blas.ByName("auto")
	if err != nil {
		fmt.Println(err)
		return
	}
	a := blas.NewMatrix(2, 3, []float32{1, 2, 3, 4, 5, 6})
	c := blas.NewMatrix(2, 2, make([]float32, 4))
	blas.Gemm(p, 1, c, a, a.T(), false)
	fmt.Println(c.Data)
	// Output: [14 32 32 77]
}

// One head of a projection is a column slice, which needs no copy.
func ExampleEngine() {
	p, err := blas.ByName("auto")
	if err != nil {
		fmt.Println(err)
		return
	}
	engine := tensor.WithEngine(blas.Engine{Provider: p})
	x := tensor.New(tensor.WithShape(1, 2), tensor.WithBacking([]float32{10, 1}), engine)
	w := tensor.New(tensor.WithShape(2, 4), tensor.WithBacking([]float32{1, 2, 3, 4, 5, 6, 7, 8}), engine)
	head, err := w.Slice(nil, tensor.S(2, 4))
	if err != nil {
		fmt.Println(err)
		return
	}
	y, err := x.MatMul(head)
	fmt.Println(y.Data(), err)
	// Output: [37 48] <nil>
}

func ExampleActivate() {
	x := []float64{-1, 0, 1}
	blas.Activate(x, blas.GELUTanh)
	fmt.Printf("%.4f\n", x)
	// Output: [-0.1588 0.0000 0.8412]
}
