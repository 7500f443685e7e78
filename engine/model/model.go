package model

import (
	"errors"
	"fmt"
	"sync"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/schema"
)

// Config holds the sizes of a model: any GPT-2 (small, medium, large, xl, distilgpt2) is only a Config.
type Config = checkpoint.Config

var (
	// ErrInput is returned for sequences, positions or heads that the model does not have room for.
	ErrInput = errors.New("unsuitable input")
	// ErrNotFinite is returned when the residual stream has become NaN or infinite, or cannot be normalised. See [ScaleError].
	ErrNotFinite = errors.New("not finite")
	// ErrFolded is returned for raw processing of a checkpoint whose weights are already processed: a TransformerLens state dict
	// with LayerNorm folded in. What it stores is not raw, and what was raw is lost.
	ErrFolded error = folded{}
)

// ScaleError says where LayerNorm has nothing to divide by: the residual stream is not finite there, or it is constant and eps is
// zero. It is an [ErrNotFinite].
type ScaleError struct {
	Sequence, Position int    // of the call's sequences, and in it
	Layer              int    // of the LayerNorm
	Norm               string // ln1 or ln2
	Scale              float64
}

func (e *ScaleError) Error() string {
	why := ErrNotFinite.Error()
	if e.Scale == 0 {
		why = "constant, and eps is zero"
	}
	return fmt.Sprintf("gpt2: sequence %d, position %d: residual stream at %s of layer %d has scale %v: %s", e.Sequence, e.Position, e.Norm, e.Layer, e.Scale, why)
}

// Is makes a ScaleError an [ErrNotFinite].
func (e *ScaleError) Is(target error) bool { return target == ErrNotFinite }

type folded struct{}

func (folded) Error() string {
	return "weights are a processed state dict (LayerNorm folded in), want stored ones for raw processing"
}

// Hint says what to do instead.
func (folded) Hint() string {
	return "use processed weights, which give the same scores, or the folder that the state dict was made from"
}

// Model is a GPT-2 with its weights. It is immutable and safe for concurrent use. It reads the embedding
// tables from its checkpoint, which must stay open as long as the model is used.
type Model[T blas.Float] struct {
	config     Config
	processing schema.Processing
	provider   blas.Provider
	threads    int
	reach      int // the last layer whose queries and keys it can compute; NLayers: it runs to the end
	layers     []layer[T]
	position   blas.Matrix[T]  // W_pos [n_ctx, d_model]
	embedding  checkpoint.View // W_E as stored [d_vocab, d_model]
	unembed    unembedding[T]
	workspaces spares[*workspace[T]]
	caches     spares[*Cache[T]]
	gathered   spares[[]T] // keys and values of a block of attention
}

// layer holds one block. The maps that read the stream have the LayerNorm before them folded in, in
// both forms of the weights: they act on a vector that is centred and divided by its scale.
type layer[T blas.Float] struct {
	qkv     blas.Packed[T] // W_Q, W_K, W_V [d_model, 3 d_model]: in each, head after head
	qkvBias []T            // b_Q, b_K, b_V [3 d_model]; b_V is 0 when processed
	wo      blas.Packed[T] // W_O [n_heads d_head, d_model]
	bo      []T            // b_O [d_model]
	win     blas.Packed[T] // W_in [d_model, d_mlp]
	bin     []T            // b_in [d_mlp]
	wout    blas.Packed[T] // W_out [d_mlp, d_model]
	bout    []T            // b_out [d_model]
}

// Load processes the weights of c. With [schema.Processed] they take the form that TransformerLens gives
// them by default (fold_ln, center_writing_weights, center_unembed, fold_value_biases); with [schema.Raw] what writes
// into the stream stays as stored; that of an already processed state dict is an [ErrFolded]. A tensor with a number that is NaN or
// infinite is an error that names it. Scores are the same either way. The provider multiplies, on at most threads
// goroutines (0 means 1); neither threads nor the batch changes a result.
func Load[T blas.Float](c *checkpoint.Checkpoint, processing schema.Processing, provider blas.Provider, threads int) (*Model[T], error) {
	return LoadTo[T](c, c.Config().NLayers, processing, provider, threads)
}

// LoadTo is [Load] of what [Model.Forward] to heads in layers up to reach needs, of [Model.EffectiveEmbedding], and of the embedding
// tables. What comes after, most of the weights of the last layer among it, is not looked at: not its numbers either.
func LoadTo[T blas.Float](c *checkpoint.Checkpoint, reach int, processing schema.Processing, provider blas.Provider, threads int) (*Model[T], error) {
	m := &Model[T]{config: c.Config(), processing: processing, provider: provider, threads: max(1, threads), reach: reach}
	if err := m.load(c); err != nil {
		return nil, fmt.Errorf("gpt2: %w", err)
	}
	return m, nil
}

// Config gives the sizes of the model.
func (m *Model[T]) Config() Config { return m.config }

// Processing tells which form the weights have.
func (m *Model[T]) Processing() schema.Processing { return m.processing }

// Provider gives the matrix multiply the model uses.
func (m *Model[T]) Provider() blas.Provider { return m.provider }

// QK is the query and key map of one head, with the LayerNorm before it folded in:
// q = W_Q^T centre(x)/sigma + b_Q, k = W_K^T centre(x)/sigma + b_K.
type QK[T blas.Float] struct {
	WQ, WK *tensor.Dense // [d_model, d_head]
	BQ, BK []T           // [d_head]
}

// QK gives the maps of a head, the same for processed and raw weights. The arrays are the caller's own.
// It panics when the model has no such head.
func (m *Model[T]) QK(head schema.Head) QK[T] {
	d, dh := m.config.DModel, m.config.DHead()
	l := &m.layers[head.Layer]
	part := func(section int) (*tensor.Dense, []T) {
		from := section*d + head.Index*dh
		return m.dense(l.qkv.Slice(0, d, from, from+dh).Unpack()), append([]T(nil), l.qkvBias[from:from+dh]...)
	}
	if head.Index < 0 || head.Index >= m.config.NHeads {
		panic(fmt.Sprintf("gpt2: head %v of a model with %d heads a layer", head, m.config.NHeads))
	}
	var qk QK[T]
	qk.WQ, qk.BQ = part(0)
	qk.WK, qk.BK = part(1)
	return qk
}

// BO is b_O of a layer [d_model], what its attention adds at every position; the folded value biases are in it
// when processed. The caller must not change it.
func (m *Model[T]) BO(layer int) []T { return m.layers[layer].bo }

// releaseTables tells the system that the rows of W_E and W_U that were read are not needed for now. A row of 3 kB may bring up to half a
// megabyte of the file with it, which counts as the process's memory.
func (m *Model[T]) releaseTables() {
	m.embedding.Release(0, m.embedding.Len())
	if !m.oneTable() {
		m.unembed.table.Release(0, m.unembed.table.Len())
	}
}

// oneTable tells whether W_E and W_U are the same numbers in memory, as where Hugging Face's file ties them.
func (m *Model[T]) oneTable() bool { return &m.embedding.Bytes()[0] == &m.unembed.table.Bytes()[0] }

// Recycle gives the memory of a cache to the next pass. Nothing that the cache gave may be used afterwards. A cache that is not
// recycled is garbage one day.
func (m *Model[T]) Recycle(c *Cache[T]) { m.caches.put(c) }

// spares keeps what one pass has done with for another. (A sync.Pool would let it go with the garbage of a pass or two.)
type spares[X any] struct {
	mu   sync.Mutex
	list []X
}

func (s *spares[X]) put(x X) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, x)
}

// take gives one, or the zero value.
func (s *spares[X]) take() (x X) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.list) - 1; last >= 0 {
		x, s.list = s.list[last], s.list[:last]
	}
	return x
}

// fitted gives a list of n numbers, whatever they are, in the memory of x where that is large enough.
func fitted[T blas.Float](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}

// Embed is W_E[token] [d_model], the component that the token embedding writes.
func (m *Model[T]) Embed(token int) []T {
	row := make([]T, m.config.DModel)
	m.embedInto(row, token)
	m.releaseTables()
	return row
}

func (m *Model[T]) embedInto(row []T, token int) {
	wide := make([]float64, len(row))
	checkpoint.Copy(wide, m.embedding, token*len(row))
	if m.processing == schema.Processed {
		centre(wide)
	}
	round(row, wide)
}

// dense makes a tensor of a matrix without gaps. A product with it runs on one goroutine: whoever has
// many products shares them out.
func (m *Model[T]) dense(x blas.Matrix[T]) *tensor.Dense {
	return tensor.New(tensor.WithShape(x.Rows, x.Cols), tensor.WithBacking(x.Data[:x.Rows*x.Cols]),
		tensor.WithEngine(blas.Engine{Provider: m.provider, Threads: 1}))
}
