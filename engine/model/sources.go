package model

import (
	"fmt"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// A source is a head whose writing is to be split by the positions that it read: the cache has its attention
// rows as it has those of a target head, and beside them the values that they weigh.

// checkSources refuses sources that a pass to layer stop does not run.
func (m *Model[T]) checkSources(sources []schema.Head, stop int) error {
	for _, h := range sources {
		if h.Layer < 0 || h.Layer >= stop || h.Index < 0 || h.Index >= m.spec.Heads {
			return fmt.Errorf("model: head %v as source of a pass to layer %d of %d heads each, want one below: %w",
				h, stop, m.spec.Heads, ErrInput)
		}
	}
	return nil
}

// keepValues copies the values of layer l that sources read, at all rows of the pass.
func (r *run[T]) keepValues(l int) {
	for at := range r.cache.values {
		if at.Layer != l {
			continue
		}
		from, dh := r.section(values, at.Index, at.Index+1), r.spec.DHead
		kept := blas.NewMatrix(from.Rows, dh, make([]T, from.Rows*dh))
		for i := range from.Rows {
			copy(kept.Row(i), from.Row(i))
		}
		r.cache.values[at] = kept
	}
}

// Values are the values that a source of the pass weighs by its [Cache.Pattern] at a position, one [d_head] for
// each entry of it. They have the bias of values in them unless it is folded into b_O.
func (c *Cache[T]) Values(head schema.Head, seq, i int) [][]T {
	kept := c.kept(seq, i)
	all, ok := c.values[schema.Head{Layer: head.Layer, Index: c.model.spec.KVHead(head.Index)}]
	if !ok {
		panic(fmt.Sprintf("model: cache asked for values of head %v, which is no source of the pass", head))
	}
	var list [][]T
	for _, row := range c.seen[kept][c.head(head).firstKey(c, kept):] {
		list = append(list, all.Row(row))
	}
	return list
}

// WO is what a head writes its values by [d_head, d_model]: it adds z W_O to the stream, z being its values
// weighted by attention, through the norm after attention where there is one. The array is the caller's own.
// It panics on a head of a layer that was not loaded whole.
func (m *Model[T]) WO(head schema.Head) *tensor.Dense {
	from := head.Index * m.spec.DHead
	return m.dense(m.layers[head.Layer].wo.Slice(from, from+m.spec.DHead, 0, m.spec.DModel).Unpack())
}

// PostAttnGain is the gain of the norm after the attention of a layer [d_model], nil where there is none. The
// caller must not change it.
func (m *Model[T]) PostAttnGain(layer int) []T { return m.layers[layer].attnGain }
