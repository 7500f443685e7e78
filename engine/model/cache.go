package model

import (
	"fmt"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// Sequence is one input of a forward pass.
type Sequence struct {
	Tokens    []int // ids, BOS included where there is one
	Positions []int // the positions to keep, from 0, in any order: what the cache is asked for by index

	// Length is the number of tokens of the whole prompt, where Tokens is only its beginning; 0: Tokens is
	// all of it. Rotations that depend on it (longrope) are those of the whole prompt.
	Length int
}

func (s Sequence) length() int { return max(s.Length, len(s.Tokens)) }

// Cache is what a forward pass keeps. It is memory of its own, independent of the model and of later passes,
// and is read-only: the slices and tensors it gives are views of it, good as long as the caller holds them,
// or until [Model.Recycle]. A position is named by the number of its sequence and by its index i in
// [Sequence.Positions].
//
// Methods panic on a layer, head or position that the pass was not asked for.
type Cache[T blas.Float] struct {
	model  *Model[T]
	stop   int     // layers that ran; the stream before layer stop is the last there is
	before int     // components before layer stop
	first  []int   // number of the first kept position of each sequence, and of all at the end
	row    []int   // of each kept position in the matrices of the pass
	seen   [][]int // the rows of the positions up to it, 0 to itself

	components []T // [kept, before, d_model]
	resid      []T // [kept, stop+1, d_model]
	heads      map[schema.Head]*headRows[T]

	// Scales of norms, by layer and kept position. Where there is no norm they are 1.
	scale       [][]T // before attention; the last is before layer stop, or that of the last norm when all ran
	mlpScale    [][]T // before the MLP
	attnScale   [][]T // after attention
	mlpOutScale [][]T // after the MLP
}

// headRows is what is kept of a target head.
type headRows[T blas.Float] struct {
	window          int
	q, k            []T   // [kept, d_head]
	qScale, kScale  []T   // [kept] of QK-norm
	sinkProb        []T   // [kept]
	rowStart        []int // of each kept position's row in scores and pattern, and their length
	scores, pattern []T   // one row of the positions that are seen after the other
}

// firstKey is the first position that kept position i sees.
func (h *headRows[T]) firstKey(c *Cache[T], i int) int {
	if h.window == 0 {
		return 0
	}
	return max(0, len(c.seen[i])-h.window)
}

// row is the part of scores or pattern that belongs to kept position i.
func (h *headRows[T]) row(x []T, i int) []T {
	return x[h.rowStart[i]:h.rowStart[i+1]:h.rowStart[i+1]]
}

// newCache takes the rows of each sequence's tokens.
func newCache[T blas.Float](m *Model[T], stop int, seqs []Sequence, rows [][]int, heads []schema.Head) *Cache[T] {
	c := &Cache[T]{model: m, stop: stop, before: m.layout.Below(stop), first: []int{0},
		heads: map[schema.Head]*headRows[T]{}}
	for i, s := range seqs {
		for _, p := range s.Positions {
			c.row = append(c.row, rows[i][p])
			c.seen = append(c.seen, rows[i][:p+1])
		}
		c.first = append(c.first, len(c.row))
	}
	kept, d := len(c.row), m.spec.DModel
	if old := m.caches.take(); old != nil {
		c.components, c.resid = old.components, old.resid
	}
	c.components = fitted(c.components, kept*c.before*d)
	c.resid = fitted(c.resid, kept*(stop+1)*d)
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
	for _, h := range heads {
		c.heads[h] = c.newHead(h)
	}
	return c
}

func (c *Cache[T]) newHead(head schema.Head) *headRows[T] {
	kept, dh := len(c.row), c.model.spec.DHead
	numbers := func(n int) []T { return make([]T, n) }
	h := &headRows[T]{window: c.model.spec.WindowOf(head.Layer), q: numbers(kept * dh), k: numbers(kept * dh),
		qScale: numbers(kept), kScale: numbers(kept), sinkProb: numbers(kept), rowStart: []int{0}}
	for i, seen := range c.seen {
		h.rowStart = append(h.rowStart, h.rowStart[i]+len(seen)-h.firstKey(c, i))
	}
	h.scores, h.pattern = numbers(h.rowStart[kept]), numbers(h.rowStart[kept])
	return h
}

// used is the length of the part of a sequence that anything kept can depend on: attention looks back only.
func used(s Sequence) int {
	n := 0
	for _, p := range s.Positions {
		n = max(n, p+1)
	}
	return n
}

// Stop is the layer before which the pass ended: the number of layers that ran whole.
func (c *Cache[T]) Stop() int { return c.stop }

// Components is what each component wrote into the stream at a position [n, d_model], n components being
// below layer Stop, in the order of [Model.Layout]. Their sum is the stream before layer Stop; the first of
// them that are below layer l make the one before layer l.
func (c *Cache[T]) Components(seq, i int) *tensor.Dense { return c.ComponentsBefore(c.stop, seq, i) }

// ComponentsBefore is the first rows of [Cache.Components]: what wrote before layer.
func (c *Cache[T]) ComponentsBefore(layer, seq, i int) *tensor.Dense {
	c.checkLayer(layer, c.stop)
	from, d := c.kept(seq, i)*c.before, c.model.spec.DModel
	n := c.model.layout.Below(layer)
	return c.model.dense(blas.NewMatrix(n, d, c.components[from*d:(from+n)*d:(from+n)*d]))
}

// ResidPre is the residual stream before layer, 0 to Stop [d_model]. Before layer Layers it is the final
// stream.
func (c *Cache[T]) ResidPre(layer, seq, i int) []T {
	c.checkLayer(layer, c.stop)
	p, d := c.kept(seq, i)*(c.stop+1)+layer, c.model.spec.DModel
	return c.resid[p*d : (p+1)*d : (p+1)*d]
}

// NormScale is what the norm before the attention of layer, 0 to Stop, divided the stream by: sigma =
// sqrt(mean(x^2) + eps), of the stream x less its mean for LayerNorm. Before layer Layers it is the scale of
// the last norm. It is 1 where there is no norm, as are the other scales.
func (c *Cache[T]) NormScale(layer, seq, i int) T { return c.scaleOf(c.scale, c.stop, layer, seq, i) }

// MLPNormScale is the scale of the norm before the MLP of layer, 0 to Stop-1.
func (c *Cache[T]) MLPNormScale(layer, seq, i int) T {
	return c.scaleOf(c.mlpScale, c.stop-1, layer, seq, i)
}

// PostAttnScale is the scale of the norm after the attention of layer, 0 to Stop-1, and PostMLPScale of that
// after its MLP.
func (c *Cache[T]) PostAttnScale(layer, seq, i int) T {
	return c.scaleOf(c.attnScale, c.stop-1, layer, seq, i)
}

// PostMLPScale is the scale of the norm after the MLP of layer, 0 to Stop-1.
func (c *Cache[T]) PostMLPScale(layer, seq, i int) T {
	return c.scaleOf(c.mlpOutScale, c.stop-1, layer, seq, i)
}

func (c *Cache[T]) scaleOf(scales [][]T, last, layer, seq, i int) T {
	c.checkLayer(layer, last)
	return scales[layer][c.kept(seq, i)]
}

// Q is the query vector of a target head [d_head], bias included, after QK-norm and rotation.
func (c *Cache[T]) Q(head schema.Head, seq, i int) []T { return c.vector(c.head(head).q, seq, i) }

// K is the key vector of a target head [d_head], bias included, after QK-norm and rotation.
func (c *Cache[T]) K(head schema.Head, seq, i int) []T { return c.vector(c.head(head).k, seq, i) }

func (c *Cache[T]) vector(x []T, seq, i int) []T {
	p, dh := c.kept(seq, i), c.model.spec.DHead
	return x[p*dh : (p+1)*dh : (p+1)*dh]
}

// QNormScale and KNormScale are the scales of QK-norm of a target head's query and key, 1 where the model has
// none.
func (c *Cache[T]) QNormScale(head schema.Head, seq, i int) T {
	return c.head(head).qScale[c.kept(seq, i)]
}

// KNormScale is the scale of QK-norm of a target head's key, 1 where the model has none.
func (c *Cache[T]) KNormScale(head schema.Head, seq, i int) T {
	return c.head(head).kScale[c.kept(seq, i)]
}

// FirstKey is the first position that a position sees: 0, but for layers with a window.
func (c *Cache[T]) FirstKey(head schema.Head, seq, i int) int {
	return c.head(head).firstKey(c, c.kept(seq, i))
}

// Scores is the attention row of a target head from the position to positions [Cache.FirstKey] to itself: q.k
// over the model's scale, before the cap and softmax.
func (c *Cache[T]) Scores(head schema.Head, seq, i int) []T {
	h := c.head(head)
	return h.row(h.scores, c.kept(seq, i))
}

// Pattern is the softmax of [Cache.Scores], capped where the model caps them. With a sink it does not add up
// to one.
func (c *Cache[T]) Pattern(head schema.Head, seq, i int) []T {
	h := c.head(head)
	return h.row(h.pattern, c.kept(seq, i))
}

// SinkProb is what a head's sink takes of the softmax, 0 where there is none.
func (c *Cache[T]) SinkProb(head schema.Head, seq, i int) T {
	return c.head(head).sinkProb[c.kept(seq, i)]
}

func (c *Cache[T]) kept(seq, i int) int {
	if seq < 0 || seq+1 >= len(c.first) || i < 0 || i >= c.first[seq+1]-c.first[seq] {
		panic(fmt.Sprintf("model: cache of %d sequences asked for position %d of sequence %d", len(c.first)-1, i, seq))
	}
	return c.first[seq] + i
}

func (c *Cache[T]) checkLayer(layer, last int) {
	if layer < 0 || layer > last {
		panic(fmt.Sprintf("model: cache of a pass that stopped before layer %d asked for layer %d", c.stop, layer))
	}
}

func (c *Cache[T]) head(h schema.Head) *headRows[T] {
	rows, ok := c.heads[h]
	if !ok {
		panic(fmt.Sprintf("model: cache asked for head %v, which is not a target of the pass", h))
	}
	return rows
}
