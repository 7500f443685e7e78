package model

import (
	"fmt"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// A source is a head whose output is to be split by the positions that it read. The cache has its attention
// rows, like those of a target head, and the values that they weight.

// checkSources returns an error for sources that a pass to layer stop does not run.
func (m *Model[T]) checkSources(sources []schema.Head, stop int) error {
	for _, h := range sources {
		if h.Layer < 0 || h.Layer >= stop || h.Index < 0 || h.Index >= m.spec.Heads {
			return fmt.Errorf("head %v as source of a pass to layer %d of %d heads each, want one below: %w",
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

// Values returns the values that a source of the pass weights by its [Cache.Pattern] at a position, one
// [d_head] for each entry of it. They include the value bias unless it is folded into b_O.
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

// WO returns the matrix by which a head writes its values [d_head, d_model]. The head adds z W_O to the
// stream, through the norm after attention if there is one, where z is its attention-weighted values. The
// array is the caller's. WO panics if the head's layer was not loaded completely.
func (m *Model[T]) WO(head schema.Head) *tensor.Dense {
	from := head.Index * m.spec.DHead
	return m.dense(m.layers[head.Layer].wo.Slice(from, from+m.spec.DHead, 0, m.spec.DModel).Unpack())
}

// PostAttnGain returns the gain of the norm after the attention of a layer [d_model], or nil if there is
// none. The caller must not change it.
func (m *Model[T]) PostAttnGain(layer int) []T { return m.layers[layer].attnGain }
