package model

import (
	"context"
	"fmt"
	"slices"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// A Variant is a sequence of a pass in which something else replaces what a component wrote, as it reached
// the stream.
type Variant[T blas.Float] struct {
	Sequence  int   // of the pass
	Component int   // number of a head or an MLP in [Model.Layout]
	Positions []int // where it is replaced; nil: everywhere
	// Instead replaces it [d_model]; nil: zero. FirstInstead does at position 0; nil: the same as Instead.
	Instead, FirstInstead []T
}

// RunOn runs variants of the sequences of a pass from the point where their component is written, so that all
// later layers respond. Everything below comes from the cache of the pass, which must have kept, with Parts
// and Streams, all positions up to the last of every sequence, in order. The components must be heads of one
// layer, or the MLP of one layer. Variant i is sequence i of the new cache, which keeps its last position.
// The new cache has what wanted says, except components, for layers after that of the variants.
func (m *Model[T]) RunOn(
	ctx context.Context, c *Cache[T], seqs []Sequence, variants []Variant[T], wanted Wanted,
) (*Cache[T], error) {
	list := m.layout.Components()
	layer, kind := -1, schema.HeadOut
	own := make([]Sequence, len(variants))
	for i, v := range variants {
		if v.Component < 0 || v.Component >= len(list) || list[v.Component].Kind != schema.HeadOut &&
			list[v.Component].Kind != schema.MLP {
			return nil, fmt.Errorf("component number %d in a variant, want a head or an MLP: %w", v.Component,
				ErrInput)
		}
		if of := list[v.Component]; i == 0 {
			layer, kind = of.Layer, of.Kind
		} else if of.Layer != layer || of.Kind != kind {
			return nil,
				fmt.Errorf("components of different layers or kinds in one pass of variants: %w", ErrInput)
		}
		if v.Sequence < 0 || v.Sequence >= len(seqs) {
			return nil, fmt.Errorf("variant of sequence %d of %d: %w", v.Sequence, len(seqs), ErrInput)
		}
		s := seqs[v.Sequence]
		for p, at := range s.Positions {
			if p != at {
				return nil,
					fmt.Errorf("a variant of sequence %d, of which not all positions are kept: %w",
						v.Sequence, ErrInput)
			}
		}
		own[i] = s
		own[i].Positions = []int{len(s.Positions) - 1}
	}
	stop := layer + 1
	for _, h := range wanted.Heads {
		stop = max(stop, h.Layer)
	}
	if wanted.All {
		stop = m.spec.Layers
	}
	wanted.Parts = false
	if err := m.checkInput(own, wanted.Heads); err != nil {
		return nil, err
	}
	if len(variants) == 0 || c.stop < layer+1 || stop > m.reach || c.parts == nil {
		return nil,
			fmt.Errorf(
				"%d variants in layer %d to layer %d, of a pass to layer %d of a model that was loaded up "+
					"to %d: %w",
				len(variants), layer, stop, c.stop, m.reach, ErrInput)
	}
	r := m.newRun(own, wanted, stop, true)
	defer m.workspaces.put(r.workspace)
	if kind == schema.MLP || m.spec.Parallel { // nothing else in the layer reads what it wrote
		r.takeUp(c, variants, layer+1)
		r.replace(c, variants, layer)
		r.keepStream(layer + 1)
		return r.through(ctx, layer+1, stop)
	}
	r.takeUp(c, variants, layer)
	if err := r.attentionOf(c, variants, layer); err != nil {
		return nil, err
	}
	r.replace(c, variants, layer)
	if err := r.afterwards(layer); err != nil {
		return nil, err
	}
	return r.through(ctx, layer+1, stop)
}

// takeUp sets the stream before layer l to that of another pass.
func (r *run[T]) takeUp(c *Cache[T], variants []Variant[T], l int) {
	for i, v := range variants {
		for p, row := range r.rows[i] {
			copy(r.stream.Row(row), c.ResidPre(l, v.Sequence, p))
		}
	}
}

// attentionOf computes what attention of layer l wrote in another pass, by the same products.
func (r *run[T]) attentionOf(c *Cache[T], variants []Variant[T], l int) error {
	z, _ := c.part(l)
	for i, v := range variants {
		for p, row := range r.rows[i] {
			copy(r.z.Row(row), z.Row(c.kept(v.Sequence, p)))
		}
	}
	w := &r.layers[l]
	w.wo.Multiply(r.threads, r.out, r.z, blas.Epilogue[T]{Bias: w.bo})
	return r.afterAttention(l)
}

// replace replaces the components of variants in the stream, in layer l.
func (r *run[T]) replace(c *Cache[T], variants []Variant[T], l int) {
	d := r.spec.DModel
	for i, v := range variants {
		positions := v.Positions
		if positions == nil {
			positions = make([]int, len(r.rows[i]))
			for p := range positions {
				positions[p] = p
			}
		}
		list := make([]int, len(positions))
		for j, p := range positions {
			list[j] = c.kept(v.Sequence, p)
		}
		written := c.written(l, v.Component, list)
		for j, p := range positions {
			row, instead := r.stream.Row(r.rows[i][p]), v.Instead
			if p == 0 && v.FirstInstead != nil {
				instead = v.FirstInstead
			}
			for k, x := range written.Row(j)[:d] {
				row[k] -= x
				if instead != nil {
					row[k] += instead[k]
				}
			}
		}
	}
}

// written returns what a component of layer l, a head or the MLP, wrote at kept positions [len(list),
// d_model].
func (c *Cache[T]) written(l, component int, list []int) blas.Matrix[T] {
	d := c.model.spec.DModel
	into := blas.NewMatrix(len(list), d, make([]T, len(list)*d))
	if component == c.model.layout.MLP(l) {
		_, mlp := c.part(l)
		for i, kept := range list {
			copy(into.Row(i), mlp.Row(kept))
		}
		return into
	}
	c.makeHead(l, component-c.model.layout.Below(l), list, into)
	return into
}

// Written returns what a head or an MLP, by its index in [Model.Layout], wrote at some kept positions of a
// sequence [len(positions), d_model].
func (c *Cache[T]) Written(component, seq int, positions []int) [][]T {
	list := make([]int, len(positions))
	for i, p := range positions {
		list[i] = c.kept(seq, p)
	}
	of := c.model.layout.Components()[component]
	x := c.written(of.Layer, component, list)
	rows := make([][]T, len(list))
	for i := range rows {
		rows[i] = slices.Clip(x.Row(i))
	}
	return rows
}
