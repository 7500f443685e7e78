package model_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/engine/model/plain"
	"ducklens/schema"
)

// source compares what is kept of a source: its attention, the values that it weighs, and that both with W_O
// and the norm after attention make what it wrote.
func (c *comparison[T]) source(cache *model.Cache[T], run *plain.Run, h schema.Head, i, j, p int) {
	c.head(cache, run, h, i, j, p)
	o, kv := &run.Layer[h.Layer], c.KVHead(h.Index)
	first, row, wo := cache.FirstKey(h, i, j), cache.Pattern(h, i, j), c.m.WO(h).Data().([]T)
	var got []T
	var want []float64
	z := make([]float64, c.DHead)
	for k, v := range cache.Values(h, i, j) {
		got = append(got, v...)
		for e, x := range o.Value[first+k][kv] {
			if c.form == schema.Raw || c.Sinks {
				x += o.ValueBias[kv][e]
			}
			want = append(want, x)
			z[e] += float64(row[k]) * float64(v[e])
		}
	}
	c.check(fmt.Sprintf("values of head %v at position %d", h, p), got, want...)
	wrote := make([]float64, c.DModel)
	for e, x := range z {
		for d := range wrote {
			wrote[d] += x * float64(wo[e*c.DModel+d])
		}
	}
	if c.PostNorm {
		if c.Spec.Norm.Centre {
			less(wrote)
		}
		for d := range wrote {
			wrote[d] /= float64(cache.PostAttnScale(h.Layer, i, j))
		}
		for d, g := range c.m.PostAttnGain(h.Layer) {
			wrote[d] *= float64(g)
		}
	}
	written := make([]T, len(wrote))
	for d, x := range wrote {
		written[d] = T(x)
	}
	whole := o.Head[p][h.Index]
	if c.form == schema.Raw {
		whole = o.HeadRaw[p][h.Index]
	}
	c.check(fmt.Sprintf("what head %v wrote at position %d", h, p), written, c.written(whole)...)
}

// Sources change no other number of a pass, and must be below the layer where it ends.
func TestSourcesChangeNothingElse(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 1)
	m := load[float32](t, c, schema.Processed)
	seqs := randomSequences(c.Spec, 5)
	seqs = append(seqs, sharedBeginnings(c.Spec, seqs[2])...)
	heads := []schema.Head{{Layer: 3, Index: 0}, {Layer: 1, Index: 1}}
	sources := []schema.Head{{Layer: 0, Index: 2}, {Layer: 1, Index: 1}, {Layer: 2, Index: 0}}
	wanted := model.Wanted{Heads: heads, Sources: sources, Parts: true, Streams: true}
	with, err := m.ForwardFor(t.Context(), seqs, wanted)
	if err != nil {
		t.Fatal(err)
	}
	without := mustForward(t, m, seqs, heads)
	for i := range seqs {
		if !slices.Equal(wholeCache(with, heads, i, 3), wholeCache(without, heads, i, 3)) {
			t.Errorf("sequence %d has other numbers with sources", i)
		}
		alone, err := m.ForwardFor(t.Context(), seqs[i:i+1], wanted)
		if err != nil {
			t.Fatal(err)
		}
		for j := range 3 {
			for _, h := range sources {
				a, b := slices.Concat(with.Values(h, i, j)...), slices.Concat(alone.Values(h, 0, j)...)
				if !slices.Equal(a, b) || !slices.Equal(with.Pattern(h, i, j), alone.Pattern(h, 0, j)) {
					t.Errorf("sequence %d, position %d, source %v: other numbers alone", i, j, h)
				}
			}
		}
	}
	for _, h := range []schema.Head{{Layer: 3, Index: 1}, {Layer: 0, Index: 3}, {Layer: -1}} {
		if _, err := m.ForwardFor(t.Context(), seqs, model.Wanted{Heads: heads, Sources: []schema.Head{h}}); !errors.Is(err, model.ErrInput) {
			t.Errorf("source %v of a pass to layer 3: %v, want ErrInput", h, err)
		}
	}
}
