package model

import (
	"fmt"
	"slices"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// Sequence is one input of a forward pass.
type Sequence struct {
	Tokens    []int // ids, including BOS if there is one
	Positions []int // the positions to keep, from 0, in any order; methods of the cache take indices into it

	// Length is the number of tokens of the whole prompt if Tokens is only its beginning; 0: Tokens is all of
	// it. Rotations that depend on the length (longrope) are those of the whole prompt.
	Length int
}

func (s Sequence) length() int { return max(s.Length, len(s.Tokens)) }

// Wanted says how far a pass runs, and what it keeps of the kept positions in addition to the scales of norms
// and to what the attention rows of its heads are computed from.
type Wanted struct {
	Heads []schema.Head // targets, each once
	// All asks for all layers. Otherwise those below the last layer of Heads are run, and queries and keys of
	// that layer.
	All bool
	// Sources are heads below the last layer, for [Cache.Values] and the attention rows that weight them.
	Sources []schema.Head
	Parts   bool // for [Cache.Components]: what heads and MLPs wrote
	// Streams asks for the stream before every layer. Otherwise the pass keeps those before the layers of
	// Heads, and the last one if Parts is set.
	Streams bool
}

// Cache is what a forward pass keeps. Its memory is its own, independent of the model's weights and of later
// passes. It is read-only, except for [Cache.Make]: the slices and tensors that it returns stay valid as long
// as the caller holds them, or until [Model.Recycle]. A position is given by the number of its sequence and
// its index i in [Sequence.Positions].
//
// A component matrix is large, so the cache keeps what it is computed from (the weighted values of all heads
// together are as long as one output of a head) and computes it when asked. The same holds for attention
// rows, which are computed from queries and keys.
//
// Methods panic on a layer, head or position that the pass was not asked for.
type Cache[T blas.Float] struct {
	model  *Model[T]
	stop   int     // layers that ran; the stream before layer stop is the last there is
	before int     // components before layer stop
	first  []int   // number of the first kept position of each sequence, and of all at the end
	row    []int   // of each kept position in the matrices of the pass
	token  []int   // of each kept position
	seen   [][]int // for each row, the rows of the positions from 0 to its own

	// [stop, kept, heads d_head + d_model]: weighted values, and what the MLP wrote; nil if not wanted.
	parts []T
	resid []T   // [streams, kept, d_model]
	at    []int // by layer up to stop: the index in resid of the stream before it, or -1

	made []int // for each kept position: the index of its matrix in components, or -1
	// component matrices [made, before, d_model]
	components []T

	heads map[schema.Head]*headRows[T]
	keys  map[schema.Head]blas.Matrix[T] // by key-value head: keys of all rows [rows, d_head]
	// By key-value head that sources read: values of all rows [rows, d_head].
	values map[schema.Head]blas.Matrix[T]

	// Scales of norms, by layer and kept position; 1 if there is no norm.
	// Before attention; the last is before layer stop, or of the last norm if all layers ran.
	scale       [][]T
	mlpScale    [][]T // before the MLP
	attnScale   [][]T // after attention
	mlpOutScale [][]T // after the MLP
}

// headRows is what is kept of a target head.
type headRows[T blas.Float] struct {
	window         int
	scale, sink    float64        // of scores, and the logit of the sink
	q              []T            // [kept, d_head]
	k              blas.Matrix[T] // keys of all rows of the pass
	qScale, kScale []T            // [kept] of QK-norm
}

// firstKey returns the first position that kept position i sees.
func (h *headRows[T]) firstKey(c *Cache[T], i int) int {
	if h.window == 0 {
		return 0
	}
	return max(0, len(c.seen[i])-h.window)
}

// newCache returns a cache for sequences whose tokens have these rows.
func newCache[T blas.Float](m *Model[T], stop int, seqs []Sequence, rows [][]int, wanted Wanted) *Cache[T] {
	c := &Cache[T]{model: m, stop: stop, before: m.layout.Below(stop), first: []int{0},
		heads: map[schema.Head]*headRows[T]{}, keys: map[schema.Head]blas.Matrix[T]{},
		values: map[schema.Head]blas.Matrix[T]{}}
	for i, s := range seqs {
		for _, p := range s.Positions {
			c.row = append(c.row, rows[i][p])
			c.token = append(c.token, s.Tokens[p])
			c.seen = append(c.seen, rows[i][:p+1])
		}
		c.first = append(c.first, len(c.row))
	}
	kept, d, streams := len(c.row), m.spec.DModel, 0
	for l := range stop + 1 {
		c.at = append(c.at, -1)
		of := func(h schema.Head) bool { return h.Layer == l }
		if wanted.Streams || wanted.Parts && (l == stop || slices.ContainsFunc(wanted.Heads, of)) {
			c.at[l] = streams
			streams++
		}
	}
	old := m.caches.take()
	if old == nil {
		old = &Cache[T]{}
	}
	if wanted.Parts {
		c.parts = fitted(old.parts, stop*kept*(m.spec.Heads*m.spec.DHead+d))
		c.components = old.components
	}
	c.resid = fitted(old.resid, streams*kept*d)
	c.made = make([]int, kept)
	for i := range c.made {
		c.made[i] = -1
	}
	for _, list := range []struct {
		scales *[][]T
		layers int
		one    bool // nothing fills them
	}{
		{&c.scale, stop + 1, false}, {&c.mlpScale, stop, false},
		{&c.attnScale, stop, !m.spec.PostNorm}, {&c.mlpOutScale, stop, !m.spec.PostNorm},
	} {
		for range list.layers {
			s := make([]T, kept)
			for i := range s {
				if list.one {
					s[i] = 1
				}
			}
			*list.scales = append(*list.scales, s)
		}
	}
	for _, h := range slices.Concat(wanted.Heads, wanted.Sources) {
		c.heads[h] = c.newHead(h)
	}
	for _, h := range wanted.Sources {
		c.values[schema.Head{Layer: h.Layer, Index: m.spec.KVHead(h.Index)}] = blas.Matrix[T]{}
	}
	return c
}

func (c *Cache[T]) newHead(head schema.Head) *headRows[T] {
	kept, s := len(c.row), c.model.spec
	return &headRows[T]{window: s.WindowOf(head.Layer), scale: 1 / s.AttnScaleOf(head.Layer),
		sink: c.model.Sink(head),
		q:    make([]T, kept*s.DHead), qScale: make([]T, kept), kScale: make([]T, kept)}
}

// used returns the length of the part of a sequence that anything kept can depend on. Attention looks back
// only.
func used(s Sequence) int {
	n := 0
	for _, p := range s.Positions {
		n = max(n, p+1)
	}
	return n
}

// Stop returns the layer before which the pass ended, that is, the number of layers that ran completely.
func (c *Cache[T]) Stop() int { return c.stop }

// Components returns what each component wrote into the stream at a position [n, d_model], for the n
// components below layer Stop, in the order of [Model.Layout]. They add up to the stream before layer Stop;
// the first of them, those below layer l, add up to the stream before layer l. For a position that was not
// passed to [Cache.Make] the matrix is computed at every call.
func (c *Cache[T]) Components(seq, i int) *tensor.Dense { return c.ComponentsBefore(c.stop, seq, i) }

// ComponentsBefore returns the first rows of [Cache.Components]: those that were written before layer.
func (c *Cache[T]) ComponentsBefore(layer, seq, i int) *tensor.Dense {
	c.checkLayer(layer, c.stop)
	kept, d, n := c.kept(seq, i), c.model.spec.DModel, c.model.layout.Below(layer)
	var data []T
	if place := c.made[kept]; place >= 0 {
		data = c.components[place*c.before*d:]
	} else {
		data = make([]T, c.before*d)
		c.make(1, data, []int{kept})
	}
	return c.model.dense(blas.NewMatrix(n, d, data[:n*d:n*d]))
}

// ResidPre returns the residual stream before layer, 0 to Stop [d_model]. Before layer Layers it is the final
// stream. It exists for the layers that the pass was asked for.
func (c *Cache[T]) ResidPre(layer, seq, i int) []T {
	c.checkLayer(layer, c.stop)
	if c.at[layer] < 0 {
		panic(fmt.Sprintf(
			"model: cache asked for the stream before layer %d, which the pass was not asked for", layer))
	}
	p, d := c.at[layer]*len(c.row)+c.kept(seq, i), c.model.spec.DModel
	return c.resid[p*d : (p+1)*d : (p+1)*d]
}

// NormScale returns what the norm before the attention of layer, 0 to Stop, divided the stream x by: sigma =
// sqrt(mean(x^2) + eps), where LayerNorm first subtracts the mean of x. Before layer Layers it is the scale
// of the last norm. Like the other scales, it is 1 if there is no norm.
func (c *Cache[T]) NormScale(layer, seq, i int) T { return c.scaleOf(c.scale, c.stop, layer, seq, i) }

// MLPNormScale returns the scale of the norm before the MLP of layer, 0 to Stop-1.
func (c *Cache[T]) MLPNormScale(layer, seq, i int) T {
	return c.scaleOf(c.mlpScale, c.stop-1, layer, seq, i)
}

// PostAttnScale returns the scale of the norm after the attention of layer, 0 to Stop-1.
func (c *Cache[T]) PostAttnScale(layer, seq, i int) T {
	return c.scaleOf(c.attnScale, c.stop-1, layer, seq, i)
}

// PostMLPScale returns the scale of the norm after the MLP of layer, 0 to Stop-1.
func (c *Cache[T]) PostMLPScale(layer, seq, i int) T {
	return c.scaleOf(c.mlpOutScale, c.stop-1, layer, seq, i)
}

func (c *Cache[T]) scaleOf(scales [][]T, last, layer, seq, i int) T {
	c.checkLayer(layer, last)
	return scales[layer][c.kept(seq, i)]
}

// Q returns the query vector of a target head [d_head], including the bias, after QK-norm and rotation.
func (c *Cache[T]) Q(head schema.Head, seq, i int) []T {
	p, dh := c.kept(seq, i), c.model.spec.DHead
	return c.head(head).q[p*dh : (p+1)*dh : (p+1)*dh]
}

// K returns the key vector of a target head [d_head], including the bias, after QK-norm and rotation.
func (c *Cache[T]) K(head schema.Head, seq, i int) []T {
	return slices.Clip(c.head(head).k.Row(c.row[c.kept(seq, i)]))
}

// QNormScale returns the scale of QK-norm of a target head's query, or 1 if the model has none.
func (c *Cache[T]) QNormScale(head schema.Head, seq, i int) T {
	return c.head(head).qScale[c.kept(seq, i)]
}

// KNormScale returns the scale of QK-norm of a target head's key, or 1 if the model has none.
func (c *Cache[T]) KNormScale(head schema.Head, seq, i int) T {
	return c.head(head).kScale[c.kept(seq, i)]
}

// FirstKey returns the first position that a position sees: 0, except in layers with a window.
func (c *Cache[T]) FirstKey(head schema.Head, seq, i int) int {
	return c.head(head).firstKey(c, c.kept(seq, i))
}

// Row is the attention row of a target head at one position.
type Row[T blas.Float] struct {
	First  int // the first position that the head sees
	Scores []T // of positions First to the query: q.k over the model's scale, before the cap and softmax
	// Pattern is the softmax of the scores, which are capped if the model caps them. With a sink it does not
	// add up to one.
	Pattern []T
	Sink    T // what a sink takes of the softmax; 0 if there is none
}

// Row computes the attention row of a target head at a position, with sums in float64. It uses the memory of
// dst if that is large enough.
func (c *Cache[T]) Row(dst Row[T], head schema.Head, seq, i int) Row[T] {
	h, kept := c.head(head), c.kept(seq, i)
	dst.First = h.firstKey(c, kept)
	rows := c.seen[kept][dst.First:]
	dst.Scores, dst.Pattern = fitted(dst.Scores, len(rows)), fitted(dst.Pattern, len(rows))
	scores(dst.Scores, c.Q(head, seq, i), h.k, rows, h.scale)
	dst.Sink = T(softmax(dst.Pattern, dst.Scores, c.model.spec.SoftCap, h.sink))
	return dst
}

// RowOf computes an attention row from its scores, those of position first on, by the softmax of a model with
// this cap (0: none) and this logit of a sink (-Inf: none). The row holds s itself.
func RowOf[T blas.Float](dst Row[T], first int, s []T, softCap, sink float64) Row[T] {
	dst.First, dst.Scores, dst.Pattern = first, s, fitted(dst.Pattern, len(s))
	dst.Sink = T(softmax(dst.Pattern, s, softCap, sink))
	return dst
}

// Scores returns [Row.Scores] of a target head's attention row at a position: the scores to the positions
// from [Cache.FirstKey] to itself.
func (c *Cache[T]) Scores(head schema.Head, seq, i int) []T {
	return c.Row(Row[T]{}, head, seq, i).Scores
}

// Pattern returns [Row.Pattern], the softmax of [Cache.Scores].
func (c *Cache[T]) Pattern(head schema.Head, seq, i int) []T {
	return c.Row(Row[T]{}, head, seq, i).Pattern
}

// SinkProb returns the part of the softmax that a head's sink takes; 0 if there is no sink.
func (c *Cache[T]) SinkProb(head schema.Head, seq, i int) T {
	return c.Row(Row[T]{}, head, seq, i).Sink
}

func (c *Cache[T]) kept(seq, i int) int {
	if seq < 0 || seq+1 >= len(c.first) || i < 0 || i >= c.first[seq+1]-c.first[seq] {
		panic(fmt.Sprintf("model: cache of %d sequences asked for position %d of sequence %d", len(c.first)-1,
			i, seq))
	}
	return c.first[seq] + i
}

func (c *Cache[T]) checkLayer(layer, last int) {
	if layer < 0 || layer > last {
		panic(fmt.Sprintf("model: cache of a pass that stopped before layer %d asked for layer %d", c.stop,
			layer))
	}
}

func (c *Cache[T]) head(h schema.Head) *headRows[T] {
	rows, ok := c.heads[h]
	if !ok {
		panic(fmt.Sprintf("model: cache asked for head %v, which is not a target of the pass", h))
	}
	return rows
}
