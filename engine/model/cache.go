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
}

// Cache is what a forward pass keeps. It is memory of its own, independent of the model and of later passes,
// and is read-only: the slices and tensors it gives are views of it, good as long as the caller holds them, or until [Model.Recycle]. A
// position is named by the number of its sequence and by its index i in [Sequence.Positions].
//
// Methods panic on a layer, head or position that the pass was not asked for.
type Cache[T blas.Float] struct {
	model *Model[T]
	stop  int     // layers that ran; the stream before layer stop is the last there is
	first []int   // number of the first kept position of each sequence, and of all at the end
	row   []int   // of each kept position in the matrices of the pass
	seen  [][]int // the rows of the positions that it attends to: 0 to itself

	components []T   // [kept, StreamComponents(stop), d_model]
	resid      []T   // [kept, stop+1, d_model]
	ln1, ln2   [][]T // [layer][kept]; the last of ln1 is before layer stop, ln_final when all ran
	heads      map[schema.Head]*headRows[T]
	rowStart   []int // of each kept position's attention row in a headRows, and their total length
}

// headRows is what is kept of a target head.
type headRows[T blas.Float] struct {
	q, k            []T // [kept, d_head]
	scores, pattern []T // [rowStart], one row of position+1 after the other
}

// newCache takes the rows of each sequence's tokens.
func newCache[T blas.Float](m *Model[T], stop int, seqs []Sequence, rows [][]int, heads []schema.Head) *Cache[T] {
	c := &Cache[T]{model: m, stop: stop, first: []int{0}, rowStart: []int{0}, heads: map[schema.Head]*headRows[T]{}}
	for i, s := range seqs {
		for _, p := range s.Positions {
			c.row = append(c.row, rows[i][p])
			c.seen = append(c.seen, rows[i][:p+1])
			c.rowStart = append(c.rowStart, c.rowStart[len(c.rowStart)-1]+p+1)
		}
		c.first = append(c.first, len(c.row))
	}
	kept, d, dh := len(c.row), m.config.DModel, m.config.DHead()
	if old := m.caches.take(); old != nil {
		c.components, c.resid = old.components, old.resid
	}
	c.components = fitted(c.components, kept*schema.StreamComponents(stop, m.config.NHeads)*d)
	c.resid = fitted(c.resid, kept*(stop+1)*d)
	for range stop + 1 {
		c.ln1 = append(c.ln1, make([]T, kept))
	}
	for range stop {
		c.ln2 = append(c.ln2, make([]T, kept))
	}
	for _, h := range heads {
		rows := c.rowStart[kept]
		c.heads[h] = &headRows[T]{q: make([]T, kept*dh), k: make([]T, kept*dh), scores: make([]T, rows), pattern: make([]T, rows)}
	}
	return c
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

// Components is what each component wrote into the stream at a position [StreamComponents(Stop), d_model], in
// the order of [schema.Components]. Their sum is the stream before layer Stop; the first StreamComponents(l) rows
// make the one before layer l.
func (c *Cache[T]) Components(seq, i int) *tensor.Dense {
	p, d := c.kept(seq, i), c.model.config.DModel
	n := schema.StreamComponents(c.stop, c.model.config.NHeads)
	return c.model.dense(blas.NewMatrix(n, d, c.components[p*n*d:(p+1)*n*d:(p+1)*n*d]))
}

// ComponentsBefore is the first StreamComponents(layer) rows of [Cache.Components]: what wrote before layer.
func (c *Cache[T]) ComponentsBefore(layer, seq, i int) *tensor.Dense {
	c.checkLayer(layer, c.stop)
	p, d := c.kept(seq, i), c.model.config.DModel
	n, all := schema.StreamComponents(layer, c.model.config.NHeads), schema.StreamComponents(c.stop, c.model.config.NHeads)
	return c.model.dense(blas.NewMatrix(n, d, c.components[p*all*d:(p*all+n)*d:(p*all+n)*d]))
}

// ResidPre is the residual stream before layer, 0 to Stop [d_model]. Before layer NLayers it is the final stream.
func (c *Cache[T]) ResidPre(layer, seq, i int) []T {
	c.checkLayer(layer, c.stop)
	p, d := c.kept(seq, i)*(c.stop+1)+layer, c.model.config.DModel
	return c.resid[p*d : (p+1)*d : (p+1)*d]
}

// LN1Scale is sigma = sqrt(mean((r - mean r)^2) + eps) of the stream before the attention of layer, 0 to Stop;
// before layer NLayers it is the scale of ln_final.
func (c *Cache[T]) LN1Scale(layer, seq, i int) T {
	c.checkLayer(layer, c.stop)
	return c.ln1[layer][c.kept(seq, i)]
}

// LN2Scale is the scale of the stream before the MLP of layer, 0 to Stop-1.
func (c *Cache[T]) LN2Scale(layer, seq, i int) T {
	c.checkLayer(layer, c.stop-1)
	return c.ln2[layer][c.kept(seq, i)]
}

// Q is the query vector of a target head, bias included [d_head].
func (c *Cache[T]) Q(head schema.Head, seq, i int) []T {
	p, dh := c.kept(seq, i), c.model.config.DHead()
	return c.head(head).q[p*dh : (p+1)*dh : (p+1)*dh]
}

// K is the key vector of a target head, bias included [d_head].
func (c *Cache[T]) K(head schema.Head, seq, i int) []T {
	p, dh := c.kept(seq, i), c.model.config.DHead()
	return c.head(head).k[p*dh : (p+1)*dh : (p+1)*dh]
}

// Scores is the attention row of a target head from the position to positions 0 to itself: q.k / sqrt(d_head),
// before softmax.
func (c *Cache[T]) Scores(head schema.Head, seq, i int) []T {
	p := c.kept(seq, i)
	return c.head(head).scores[c.rowStart[p]:c.rowStart[p+1]:c.rowStart[p+1]]
}

// Pattern is the softmax of [Cache.Scores].
func (c *Cache[T]) Pattern(head schema.Head, seq, i int) []T {
	p := c.kept(seq, i)
	return c.head(head).pattern[c.rowStart[p]:c.rowStart[p+1]:c.rowStart[p+1]]
}

func (c *Cache[T]) kept(seq, i int) int {
	if seq < 0 || seq+1 >= len(c.first) || i < 0 || i >= c.first[seq+1]-c.first[seq] {
		panic(fmt.Sprintf("gpt2: cache of %d sequences asked for position %d of sequence %d", len(c.first)-1, i, seq))
	}
	return c.first[seq] + i
}

func (c *Cache[T]) checkLayer(layer, last int) {
	if layer < 0 || layer > last {
		panic(fmt.Sprintf("gpt2: cache of a pass that stopped before layer %d asked for layer %d", c.stop, layer))
	}
}

func (c *Cache[T]) head(h schema.Head) *headRows[T] {
	rows, ok := c.heads[h]
	if !ok {
		panic(fmt.Sprintf("gpt2: cache asked for head %v, which is not a target of the pass", h))
	}
	return rows
}
