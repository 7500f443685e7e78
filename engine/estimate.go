package engine

import (
	"errors"
	"time"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/schema"
)

// Estimate says beforehand what a run over prompts will take: memory to within a fifth, time to within a
// factor of two.
type Estimate struct {
	Weights int64   // bytes of the weights that are loaded
	Pass    int64   // bytes of a full forward pass and its results
	Bytes   int64   // peak memory of the process: both of these, and what loading and writing take
	FLOPs   float64 // for one prompt
	Rate    float64 // FLOP per second of matrix products on this machine
	Seconds float64 // for one prompt
}

// What a run takes besides weights, passes and products. Measured with the default options on GPT-2 small, on
// models of its depth and a sixteenth of its width, on SmolLM2-135M, and on shapes of Pythia 160M, Gemma 3
// 270M and Llama 3.2 1B.
const (
	loading     = 0.3         // share of the weights: left over from loading, and pages of the file
	loadingMost = 100_000_000 // bytes, the maximum of that
	// But at least this share of the weights: of large ones, one matrix at a time is being processed.
	loadingMore  = 0.05
	otherMemory  = 110_000_000 // the program and the writer
	tokenMemory  = 500         // for each token of the vocabulary
	promptMemory = 40_000      // what the writer remembers of each prompt and head
	besideRate   = 0.2         // of the products' time: everything else in a forward pass
	rowSeconds   = 100e-6      // for a component and head, on one thread: decomposition and writing
)

// EstimateRun says what a run with these options over this many prompts, of this many tokens each, takes on
// this machine. It reads the model's configuration but not its weights, and times matrix products for a tenth
// of a second.
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
		return schema.Model{}, Estimate{}, err
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
	estimate.Seconds = (1+besideRate)*estimate.FLOPs/estimate.Rate + float64(rows)*rowSeconds/float64(
		options.threads())
	return e.description, estimate, nil
}

// estimate computes memory and the number of operations.
func (e *Engine) estimate(prompts, tokens int) Estimate {
	b, n := e.bounds(), int64(tokens)
	kept, share := b.given(tokens-1), int64(0)
	if keyed := e.chooses() || e.options.Keys.All || isMean(e.options.Baseline); keyed || e.options.Measures {
		if kept = (b.position + b.key) * n; keyed {
			kept += b.keyed * n
		}
		share = max(b.kept-kept, int64(leastShare*float64(b.kept)))
	}
	together := max(1, min(int64(prompts), b.rows/(b.row*n), b.kept/kept)) // prompts in a pass
	x := Estimate{Weights: e.weightBytes(), Pass: together*(kept+b.row*n) + share}
	weights := float64(x.Weights)
	x.Bytes = x.Weights + int64(min(loading*weights,
		loadingMost+loadingMore*weights)) + x.Pass + otherMemory +
		tokenMemory*int64(e.spec.DVocab) + promptMemory*int64(prompts*len(e.heads))
	s := e.spec
	active := float64(layerParameters(s))
	if s.Experts != nil {
		active -= float64(s.Experts.Count-s.Experts.Top) * float64(mlpParameters(s))
	}
	// q . k and the sum of values; the mask leaves half of a square.
	attention := 2 * float64(s.Heads*s.DHead*(tokens+1))
	qk := float64(s.DModel) * float64((s.Heads+2*s.KVHeads)*s.DHead)
	x.FLOPs = 2 * float64(tokens) * (float64(e.stop())*(active+attention/2) + qk)
	return x
}

// productRate times products of the MLP's shape.
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
	// Not timed, because it touches memory for the first time.
	b.Multiply(e.options.threads(), c, a, blas.Epilogue[T]{})
	operations, start := 0.0, time.Now()
	for time.Since(start) < 100*time.Millisecond {
		b.Multiply(e.options.threads(), c, a, blas.Epilogue[T]{})
		operations += 2 * rows * float64(d) * float64(wide)
	}
	return operations / time.Since(start).Seconds()
}
