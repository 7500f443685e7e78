package engine

import (
	"errors"
	"fmt"
	"time"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/schema"
)

// Estimate says what a run over prompts will take, before it is made.
type Estimate struct {
	Weights int64   // bytes of the weights that are loaded
	Pass    int64   // bytes of a full forward pass and of its results
	Bytes   int64   // most memory of the process: both, and what loading and all the rest takes
	FLOPs   float64 // of one prompt
	Rate    float64 // FLOP a second that products have here
	Seconds float64 // a prompt
}

// What a run takes beside its products, measured on GPT-2 small: the decomposition and what else a pass does to each number, as a part of the
// products' time; and the memory of the program, its tables and the writer.
const (
	beside      = 0.45
	otherMemory = 150_000_000
)

// EstimateRun says what a run with these options over prompts of so many tokens takes on this machine. It reads the configuration of the
// model, none of its weights, and measures products for a tenth of a second.
func EstimateRun(path string, options Options, tokens int) (schema.Model, Estimate, error) {
	if err := options.Validate(); err != nil {
		return schema.Model{}, Estimate{}, err
	}
	ckpt, err := checkpoint.Open(path)
	if err != nil {
		return schema.Model{}, Estimate{}, err
	}
	e, err := describe(path, ckpt, options)
	if err == nil {
		err = e.targetHeads()
	}
	if err = errors.Join(err, ckpt.Close()); err != nil {
		return schema.Model{}, Estimate{}, err
	}
	if e.provider, err = blas.ByName(options.blasName()); err != nil {
		return schema.Model{}, Estimate{}, fmt.Errorf("engine: %w", err)
	}
	estimate := e.estimate(tokens)
	if options.Precision == Float64 {
		estimate.Rate = productRate[float64](e)
	} else {
		estimate.Rate = productRate[float32](e)
	}
	estimate.Seconds = (1 + beside) * estimate.FLOPs / estimate.Rate
	return e.description, estimate, nil
}

// estimate works out memory and the number of operations.
func (e *Engine) estimate(tokens int) Estimate {
	b := e.bounds()
	x := Estimate{Weights: e.weightBytes(), Pass: b.rows + b.kept}
	x.Bytes = x.Weights + x.Pass + int64(e.options.threads())*2*e.largestMatrix() + otherMemory
	s := e.spec
	active := float64(layerParameters(s))
	if s.Experts != nil {
		active -= float64(s.Experts.Count-s.Experts.Top) * float64(mlpParameters(s))
	}
	attention := 2 * float64(s.Heads*s.DHead*(tokens+1)) // q . k and the sum of values, half of a square
	qk := float64(s.DModel) * float64((s.Heads+2*s.KVHeads)*s.DHead)
	x.FLOPs = 2 * float64(tokens) * (float64(e.stop())*(active+attention/2) + qk)
	return x
}

// largestMatrix is the size of the largest matrix of a layer, which a thread holds beside its packed form while it loads.
func (e *Engine) largestMatrix() int64 {
	s := e.spec
	columns := max(s.DMLP, (s.Heads+2*s.KVHeads)*s.DHead)
	return e.numberSize() * int64(s.DModel) * int64(columns)
}

// productRate measures products of the shape of the MLP's.
func productRate[T blas.Float](e *Engine) float64 {
	const rows = 512
	d, wide := e.spec.DModel, min(e.spec.DMLP, 4096)
	matrix := func(rows, cols int) blas.Matrix[T] {
		x := blas.NewMatrix(rows, cols, make([]T, rows*cols))
		for i := range x.Data {
			x.Data[i] = T(i%7) - 3
		}
		return x
	}
	a, c, b := matrix(rows, d), matrix(rows, wide), blas.Pack(e.provider, matrix(d, wide))
	b.Multiply(e.options.threads(), c, a, blas.Epilogue[T]{}) // not counted: memory is new
	operations, start := 0.0, time.Now()
	for time.Since(start) < 100*time.Millisecond {
		b.Multiply(e.options.threads(), c, a, blas.Epilogue[T]{})
		operations += 2 * rows * float64(d) * float64(wide)
	}
	return operations / time.Since(start).Seconds()
}
