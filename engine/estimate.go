package engine

import (
	"errors"
	"fmt"
	"time"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/schema"
)

// Estimate says what a run over prompts will take, before it is made: memory within a fifth, time within a
// factor of two.
type Estimate struct {
	Weights int64   // bytes of the weights that are loaded
	Pass    int64   // bytes of a full forward pass and of its results
	Bytes   int64   // most memory of the process: both, and what loading and writing take
	FLOPs   float64 // of one prompt
	Rate    float64 // FLOP a second that products have here
	Seconds float64 // a prompt
}

// What a run takes beside weights, passes and products. Measured on GPT-2 small, on models of its depth and a
// sixteenth of its width, on SmolLM2-135M, and on shapes of Pythia 160M, Gemma 3 270M and Llama 3.2 1B, with the
// default options:
const (
	loading      = 0.3         // of the weights: what is left of their making, and pages of the file
	loadingMost  = 100_000_000 // and no more than this
	loadingMore  = 0.05        // with so much of the weights: of large ones, one matrix at a time is being made
	otherMemory  = 110_000_000 // the program and the writer
	tokenMemory  = 500         // of each token of the vocabulary
	promptMemory = 40_000      // what the writer remembers of each prompt and head
	besideRate   = 0.2         // of the products' time: what else a forward pass does
	rowSeconds   = 100e-6      // a component and head, on one thread: decomposition and writing
)

// EstimateRun says what a run with these options over so many prompts of so many tokens takes on this
// machine. It reads the configuration of the model, none of its weights, and measures products for a tenth of
// a second.
func EstimateRun(path string, options Options, prompts, tokens int) (schema.Model, Estimate, error) {
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
	estimate := e.estimate(prompts, tokens)
	if options.Precision == Float64 {
		estimate.Rate = productRate[float64](e)
	} else {
		estimate.Rate = productRate[float32](e)
	}
	rows := 0
	for _, h := range e.heads {
		rows += e.layout.Below(h.Layer)
	}
	estimate.Seconds = (1+besideRate)*estimate.FLOPs/estimate.Rate + float64(rows)*rowSeconds/float64(options.threads())
	return e.description, estimate, nil
}

// estimate works out memory and the number of operations.
func (e *Engine) estimate(prompts, tokens int) Estimate {
	b, n := e.bounds(), int64(tokens)
	kept, share := b.given(tokens-1), int64(0)
	if keyed := e.chooses() || e.options.Keys.All || isMean(e.options.Baseline); keyed || e.options.Measures {
		if kept = (b.position + b.key) * n; keyed {
			kept += b.keyed * n
		}
		share = max(b.kept-kept, int64(leastShare*float64(b.kept)))
	}
	together := max(1, min(int64(prompts), b.rows/(b.row*n), b.kept/kept)) // prompts of a pass
	x := Estimate{Weights: e.weightBytes(), Pass: together*(kept+b.row*n) + share}
	weights := float64(x.Weights)
	x.Bytes = x.Weights + int64(min(loading*weights, loadingMost+loadingMore*weights)) + x.Pass + otherMemory +
		tokenMemory*int64(e.spec.DVocab) + promptMemory*int64(prompts*len(e.heads))
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
