package model

import (
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/internal/workers"
)

// part returns what is kept of layer l to compute components from: weighted values [kept, heads d_head] and
// what the MLP wrote [kept, d_model].
func (c *Cache[T]) part(l int) (z, mlp blas.Matrix[T]) {
	kept, wide, d := len(c.row), c.model.spec.Heads*c.model.spec.DHead, c.model.spec.DModel
	data := c.parts[l*kept*(wide+d):][:kept*(wide+d)]
	return blas.NewMatrix(kept, wide, data[:kept*wide]), blas.NewMatrix(kept, d, data[kept*wide:])
}

// Weighted returns the weighted values of all heads of a layer below Stop at a position [heads d_head]. Each
// head's values times its W_O are what the head wrote, before the norm after attention.
func (c *Cache[T]) Weighted(layer, seq, i int) []T {
	z, _ := c.part(layer)
	return slices.Clip(z.Row(c.kept(seq, i)))
}

// Place is a kept position: the number of its sequence and its index in [Sequence.Positions].
type Place struct{ Sequence, Index int }

// Make computes the component matrices of several kept positions together, which costs a fraction of
// computing each alone. They replace those of the previous call. No other goroutine may read the cache during
// the call. The numbers do not depend on which positions are computed together.
func (c *Cache[T]) Make(places []Place) {
	for i := range c.made {
		c.made[i] = -1
	}
	var list []int
	for _, p := range places {
		if kept := c.kept(p.Sequence, p.Index); c.made[kept] < 0 {
			c.made[kept] = len(list)
			list = append(list, kept)
		}
	}
	c.components = fitted(c.components, len(list)*c.before*c.model.spec.DModel)
	c.make(c.model.threads, c.components, list)
}

// makeAtOnce is the number of positions in one product of [Cache.make].
const makeAtOnce = 256

// make writes the component matrices of kept positions [len(list), before, d_model].
func (c *Cache[T]) make(threads int, into []T, list []int) {
	if len(list) == 0 {
		return
	}
	if len(list) > makeAtOnce {
		size := makeAtOnce * c.before * c.model.spec.DModel
		c.make(threads, into[:size], list[:makeAtOnce])
		c.make(threads, into[size:], list[makeAtOnce:])
		return
	}
	m, s, layout := c.model, c.model.spec, c.model.layout
	stride := c.before * s.DModel
	component := func(i, index int) []T { return into[i*stride+index*s.DModel:][:s.DModel] }
	workers.Do(threads, 1+c.stop*(s.Heads+1), func(task int) {
		l, h := (task-1)/(s.Heads+1), (task-1)%(s.Heads+1)
		switch {
		case task == 0:
			for i, kept := range list {
				m.embedInto(component(i, layout.Embed()), c.token[kept])
				if s.Position {
					copy(component(i, layout.PosEmbed()), m.positionRow(len(c.seen[kept])-1))
				}
			}
			m.releaseTables()
		case h == s.Heads:
			c.makeOthers(l, list, component)
		default:
			c.makeHead(l, h, list,
				blas.Matrix[T]{Rows: len(list), Cols: s.DModel, Stride: stride,
					Data: into[(layout.Below(l)+h)*s.DModel:]})
		}
	})
}

// makeHead computes what a head wrote: its weighted values times its part of W_O, after the norm that follows
// attention.
func (c *Cache[T]) makeHead(l, h int, list []int, into blas.Matrix[T]) {
	w, s := &c.model.layers[l], c.model.spec
	from, to := h*s.DHead, (h+1)*s.DHead
	all, _ := c.part(l)
	z := blas.NewMatrix(len(list), s.DHead, make([]T, len(list)*s.DHead))
	for i, kept := range list {
		copy(z.Row(i), all.Row(kept)[from:to])
	}
	w.wo.Slice(from, to, 0, s.DModel).Multiply(1, into, z, blas.Epilogue[T]{})
	after := c.model.postNorm(w.attnGain)
	for i, kept := range list {
		after.linear(into.Row(i), c.attnScale[l][kept])
	}
}

// makeOthers copies what the MLP of a layer wrote, and b_O.
func (c *Cache[T]) makeOthers(l int, list []int, component func(i, index int) []T) {
	w, layout := &c.model.layers[l], c.model.layout
	_, mlp := c.part(l)
	after := c.model.postNorm(w.attnGain)
	for i, kept := range list {
		copy(component(i, layout.MLP(l)), mlp.Row(kept))
		if w.bo != nil {
			bias := component(i, layout.AttnBiasOf(l))
			copy(bias, w.bo)
			after.linear(bias, c.attnScale[l][kept])
		}
	}
}

// makeAll computes the matrices of every kept position.
func (c *Cache[T]) makeAll() {
	var all []Place
	for s := range len(c.first) - 1 {
		for i := range c.first[s+1] - c.first[s] {
			all = append(all, Place{s, i})
		}
	}
	c.Make(all)
}
