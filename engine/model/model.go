package model

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/schema"
)

var (
	// ErrInput is returned for sequences, positions or heads that do not fit the model.
	ErrInput = errors.New("unsuitable input")
	// ErrNotFinite is returned if the residual stream contains NaN or infinities, or cannot be normalised.
	// See [ScaleError].
	ErrNotFinite = errors.New("not finite")
	// ErrNoUnembedding is returned if a checkpoint does not have W_U.
	ErrNoUnembedding = errors.New("no unembedding")
	// ErrFolded is returned if raw processing is asked for and the checkpoint's weights are already
	// processed: a TransformerLens state dict with LayerNorm folded in. The raw weights cannot be recovered
	// from it.
	ErrFolded error = folded{}
)

// ScaleError says where a norm cannot divide: what it reads is not finite, or it is constant and eps is zero.
// It is an [ErrNotFinite].
type ScaleError struct {
	Sequence, Position int // sequence of the call, and position in the sequence
	Layer              int // layer of the norm
	// Norm is ln1 or ln2 (before attention and MLP), ln1_post or ln2_post (after them), q_norm or k_norm.
	Norm  string
	Scale float64
}

func (e *ScaleError) Error() string {
	why := ErrNotFinite.Error()
	if e.Scale == 0 {
		why = "constant, and eps is zero"
	}
	return fmt.Sprintf("sequence %d, position %d: residual stream at %s of layer %d has scale %v: %s",
		e.Sequence, e.Position, e.Norm, e.Layer, e.Scale, why)
}

// Is reports whether target is [ErrNotFinite].
func (e *ScaleError) Is(target error) bool { return target == ErrNotFinite }

type folded struct{}

func (folded) Error() string {
	return "weights are a processed state dict (LayerNorm folded in), want stored ones for raw processing"
}

// Hint says what to do instead.
func (folded) Hint() string {
	return "use processed weights, which give the same scores, or the folder that the state dict was made " +
		"from"
}

// Model is a decoder with its weights. It is immutable and safe for concurrent use. It reads the embedding
// tables from its checkpoint, which must stay open as long as the model is used.
type Model[T blas.Float] struct {
	spec       *Spec
	processing schema.Processing
	layout     schema.Layout
	provider   blas.Provider
	threads    int
	reach      int // the last layer whose queries and keys it can compute; Layers: it runs to the end
	layers     []layer[T]
	// W_pos [rows, d_model]; the first PositionOffset rows belong to no position.
	position   blas.Matrix[T]
	embedding  table // W_E as stored [d_vocab, d_model]
	unembed    unembedding[T]
	turns      []*turns[T] // the different rotations of the layers
	workspaces spares[*workspace[T]]
	caches     spares[*Cache[T]]
	gathered   spares[[]T] // keys and values of a block of attention
}

// Load processes the weights of c. With [schema.Processed] they get the form that TransformerLens gives them
// by default (fold_ln, center_writing_weights, center_unembed, fold_value_biases). With [schema.Raw], what
// writes into the stream stays as stored; for a state dict that is already processed this is an [ErrFolded].
// Scores are the same in both forms. A tensor with a number that is NaN or infinite is an error that names
// it. The provider multiplies on at most threads goroutines (0 means 1). Neither threads nor the batch
// changes a result.
func Load[T blas.Float](c *checkpoint.Checkpoint, spec *Spec, sources *Sources,
	processing schema.Processing, provider blas.Provider, threads int) (*Model[T], error) {
	return LoadTo[T](c, spec, sources, spec.Layers, processing, provider, threads)
}

// LoadTo loads only what [Model.Forward] to heads in layers up to reach needs, what
// [Model.EffectiveEmbedding] needs, and the embedding tables. It does not read the rest, which includes most
// of the weights of the last layer, and does not check its numbers.
func LoadTo[T blas.Float](c *checkpoint.Checkpoint, spec *Spec, sources *Sources, reach int,
	processing schema.Processing, provider blas.Provider, threads int) (*Model[T], error) {
	m := &Model[T]{spec: spec, processing: processing, layout: spec.Layout(processing),
		provider: provider, threads: max(1, threads), reach: reach}
	if err := m.load(c, sources); err != nil {
		return nil, err
	}
	return m, nil
}

// Spec returns the spec that the model was loaded with. It must not be changed.
func (m *Model[T]) Spec() *Spec { return m.spec }

// Layout returns the components of the model in the form that its weights have.
func (m *Model[T]) Layout() schema.Layout { return m.layout }

// Processing returns the form of the weights.
func (m *Model[T]) Processing() schema.Processing { return m.processing }

// Provider returns the matrix-multiply provider that the model uses.
func (m *Model[T]) Provider() blas.Provider { return m.provider }

// centres reports whether processed weights that write into the stream lose their mean, because only
// LayerNorms read it.
func (m *Model[T]) centres() bool {
	return m.processing == schema.Processed && m.spec.Norm.Centre && m.spec.PreNorm && !m.spec.PostNorm
}

// QK is the query and key map of one head, with the norm before attention folded in: q = W_Q^T n(x)/sigma +
// b_Q, k = W_K^T n(x)/sigma + b_K, where n subtracts the mean for LayerNorm. QK-norm, its gain and the
// rotation come after it.
type QK[T blas.Float] struct {
	WQ, WK       *tensor.Dense // [d_model, d_head]
	BQ, BK       []T           // [d_head]; zeros where the model has none
	QGain, KGain []T           // of QK-norm [d_head], or nil
}

// QK returns the maps of a head, which are the same for processed and raw weights. The arrays are the
// caller's. It panics if the model has no such head.
func (m *Model[T]) QK(head schema.Head) QK[T] {
	if head.Layer < 0 || head.Layer >= len(m.layers) || head.Index < 0 || head.Index >= m.spec.Heads {
		panic(fmt.Sprintf("model: head %v of a model with %d layers of %d heads", head, len(m.layers),
			m.spec.Heads))
	}
	l, kv := &m.layers[head.Layer], m.spec.KVHead(head.Index)
	part := func(section, index int) (*tensor.Dense, []T) {
		w, bias := l.part(m.spec, section, index, index+1)
		b := make([]T, m.spec.DHead)
		copy(b, bias)
		return m.dense(w.Unpack()), b
	}
	var qk QK[T]
	qk.WQ, qk.BQ = part(queries, head.Index)
	qk.WK, qk.BK = part(keys, kv)
	qk.QGain, qk.KGain = m.headGain(l.qGain, head.Index), m.headGain(l.kGain, kv)
	return qk
}

// headGain returns the part of a QK-norm's gain that belongs to a head [d_head], or nil.
func (m *Model[T]) headGain(gain []T, head int) []T {
	if gain == nil {
		return nil
	}
	if m.spec.QKNorm == FullWidth {
		gain = gain[head*m.spec.DHead:]
	}
	return append([]T(nil), gain[:m.spec.DHead]...)
}

// QKNormScale returns the scale that QK-norm divides by if a vector replaces the stream. normalised is the
// vector after the norm before attention, without its gain and shift [d_model]. The scale is 1 if the model
// has no QK-norm.
func (m *Model[T]) QKNormScale(head schema.Head, side schema.Side, normalised []float64) float64 {
	if m.spec.QKNorm == NoQKNorm {
		return 1
	}
	section, from, to := m.normedHeads(head, side)
	w, bias := m.layers[head.Layer].part(m.spec, section, from, to)
	x, y := make([]T, len(normalised)), make([]T, w.Cols)
	round(x, normalised)
	w.Multiply(1, blas.NewMatrix(1, w.Cols, y), blas.NewMatrix(1, w.Rows, x), blas.Epilogue[T]{Bias: bias})
	squares := 0.0
	for _, v := range y {
		squares += float64(v) * float64(v)
	}
	return math.Sqrt(squares/float64(len(y)) + m.spec.QKNormEps)
}

// QKNormMap returns the map [d_model, m] to the numbers that the QK-norm of a head's query or key looks at
// together, with the norm before attention folded in, and their bias [m]. m is d_head, or the width of all
// heads. It panics if the model has no QK-norm.
func (m *Model[T]) QKNormMap(head schema.Head, side schema.Side) (w *tensor.Dense, bias []T) {
	if m.spec.QKNorm == NoQKNorm {
		panic("model: no QK-norm")
	}
	section, from, to := m.normedHeads(head, side)
	part, b := m.layers[head.Layer].part(m.spec, section, from, to)
	return m.dense(part.Unpack()), b
}

// normedHeads returns the heads of a section whose numbers QK-norm looks at together.
func (m *Model[T]) normedHeads(head schema.Head, side schema.Side) (section, from, to int) {
	section, from = queries, head.Index
	if side == schema.Key {
		section, from = keys, m.spec.KVHead(head.Index)
	}
	if m.spec.QKNorm == FullWidth {
		return section, 0, m.spec.sectionHeads(section)
	}
	return section, from, from + 1
}

// Sink returns the logit of a head's sink, which is one more entry of the softmax over its scores; -Inf if
// there is none.
func (m *Model[T]) Sink(head schema.Head) float64 {
	sinks := m.layers[head.Layer].sinks
	if sinks == nil {
		return math.Inf(-1)
	}
	return float64(sinks[head.Index])
}

// BO returns b_O of a layer [d_model], which its attention adds at every position before any norm after it.
// In processed weights it includes the folded value biases. It is nil if the layout has no such component.
// The caller must not change it.
func (m *Model[T]) BO(layer int) []T { return m.layers[layer].bo }

// releaseTables tells the system that the rows of W_E and W_U that were read are not needed for now. Reading
// a row of 3 kB may map up to half a megabyte of the file, which counts as the process's memory.
func (m *Model[T]) releaseTables() {
	m.embedding.release()
	if m.unembed.stored && !m.unembed.tied {
		m.unembed.table.release()
	}
}

// Recycle gives the memory of a cache to the next pass. Nothing that the cache returned may be used
// afterwards. A cache that is not recycled is left to the garbage collector.
func (m *Model[T]) Recycle(c *Cache[T]) { m.caches.put(c) }

// spares keeps values that one pass is done with for the next. (A sync.Pool would drop them after one or two
// garbage collections.)
type spares[X any] struct {
	mu   sync.Mutex
	list []X
}

func (s *spares[X]) put(x X) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, x)
}

// take returns one of them, or the zero value.
func (s *spares[X]) take() (x X) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.list) - 1; last >= 0 {
		x, s.list = s.list[last], s.list[:last]
	}
	return x
}

// fitted returns a slice of n numbers with arbitrary values, in the memory of x if that is large enough.
func fitted[T blas.Float](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}

// dense returns a matrix without gaps as a tensor. A product with it runs on one goroutine; a caller with
// many products distributes them.
func (m *Model[T]) dense(x blas.Matrix[T]) *tensor.Dense {
	return tensor.New(tensor.WithShape(x.Rows, x.Cols), tensor.WithBacking(x.Data[:x.Rows*x.Cols]),
		tensor.WithEngine(blas.Engine{Provider: m.provider, Threads: 1}))
}
