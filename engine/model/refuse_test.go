package model_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// A checkpoint without W_U gives scores all the same; what needs W_U says that it is missing.
func TestMissingUnembedding(t *testing.T) {
	c := modeltest.OpenFamily(t, familytest.Tiny("llama"), 1)
	whole := map[schema.Processing]*model.Model[float32]{}
	for _, form := range []schema.Processing{schema.Processed, schema.Raw} {
		whole[form] = load[float32](t, c, form)
		if err := whole[form].CheckUnembedding(); err != nil {
			t.Fatal(err)
		}
	}
	without := *c.Sources
	without.Unembed = model.Source{}
	c.Sources = &without
	seqs, head := randomSequences(c.Spec, 3), schema.Head{Layer: 2, Index: 1}
	for _, form := range []schema.Processing{schema.Processed, schema.Raw} {
		m := load[float32](t, c, form)
		if err := m.CheckUnembedding(); !errors.Is(err, model.ErrNoUnembedding) {
			t.Errorf("%s: %v, want ErrNoUnembedding", form, err)
		}
		got := mustForward(t, m, seqs, []schema.Head{head}).Scores(head, 0, 0)
		if want := mustForward(t, whole[form], seqs, []schema.Head{head}).Scores(head, 0, 0); !slices.Equal(got, want) {
			t.Errorf("%s: scores %v without W_U, want %v", form, got, want)
		}
		m.Embed(3)
		for name, f := range map[string]func(){"Unembed": func() { m.Unembed(3) }, "Logits": func() { m.Logits(make([]float32, c.Spec.DModel)) }} {
			func() {
				defer func() {
					if err, _ := recover().(error); !errors.Is(err, model.ErrNoUnembedding) {
						t.Errorf("%s, %s: panic with %v, want ErrNoUnembedding", form, name, err)
					}
				}()
				f()
			}()
		}
	}
}

// Specifications and sources that do not belong to the checkpoint are errors that say what was found and
// wanted.
func TestLoadRefusesMisfits(t *testing.T) {
	provider, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	c := modeltest.OpenFamily(t, familytest.Tiny("llama"), 1)
	for want, change := range map[string]func(*model.Spec, *model.LayerSources){
		"has 4 heads, want a multiple of its 3 key-value heads": func(s *model.Spec, _ *model.LayerSources) { s.KVHeads = 3 },
		"has a size below 1 among":                              func(s *model.Spec, _ *model.LayerSources) { s.DMLP = 0 },
		"divides scores by 0, want more than 0":                 func(s *model.Spec, _ *model.LayerSources) { s.AttnScale = 0 },
		"3 rotations and 1 windows, want one for each":          func(s *model.Spec, _ *model.LayerSources) { s.Window = []int{4} },
		"turns 6 of 2 dimensions":                               func(s *model.Spec, _ *model.LayerSources) { s.DHead = 2 },
		"want at least 80 numbers":                              func(s *model.Spec, _ *model.LayerSources) { s.DMLP = 80 },
		"has shape [40 24], want 24 inputs and at least 40 out": func(_ *model.Spec, l *model.LayerSources) { l.In.Order = model.InOut },
		`no tensor is called "nothing"`:                         func(_ *model.Spec, l *model.LayerSources) { l.Q.Tensor = "nothing" },
		"stored in different orders, want one":                  func(_ *model.Spec, l *model.LayerSources) { l.V.Order = model.InOut },
		"has shape [24], want at least 25 numbers":              func(_ *model.Spec, l *model.LayerSources) { l.QBias.Out = func(i int) int { return i + 1 } },
	} {
		spec, sources := *c.Spec, *c.Sources
		layer := sources.Layer(0)
		change(&spec, &layer)
		sources.Layer = func(l int) model.LayerSources {
			if l > 0 {
				return c.Sources.Layer(l)
			}
			return layer
		}
		if _, err := model.Load[float32](c.Checkpoint, &spec, &sources, schema.Processed, provider, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
