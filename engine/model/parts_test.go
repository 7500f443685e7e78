package model_test

import (
	"slices"
	"testing"

	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// Component matrices and attention rows are the same bits however they are made: all together, a few at a
// time, more at a time than a product takes, one when it is asked for, one after the other in the same
// memory.
func TestMade(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 1)
	m := load[float32](t, c, schema.Processed)
	heads := []schema.Head{{Layer: 3, Index: 0}, {Layer: 1, Index: 1}}
	seqs := randomSequences(c.Spec, 3)
	var long model.Sequence // every position of which is kept
	for p := range 290 {
		long.Tokens, long.Positions = append(long.Tokens, p*7%c.Spec.DVocab), append(long.Positions, p)
	}
	seqs = append(seqs, long)
	want := mustForward(t, m, seqs, heads)
	wanted := model.Wanted{Heads: heads, Parts: true}
	got, err := m.ForwardFor(t.Context(), seqs, wanted)
	if err != nil {
		t.Fatal(err)
	}
	var all []model.Place
	for s, seq := range seqs {
		for i := range seq.Positions {
			all = append(all, model.Place{Sequence: s, Index: i})
		}
	}
	check := func(how string, places []model.Place) {
		t.Helper()
		for _, p := range places {
			for _, layer := range []int{1, 3} {
				if !slices.Equal(got.ComponentsBefore(layer, p.Sequence, p.Index).Data().([]float32), want.ComponentsBefore(layer, p.Sequence, p.Index).Data().([]float32)) {
					t.Fatalf("%s: other bits at %v before layer %d", how, p, layer)
				}
				if !slices.Equal(got.ResidPre(layer, p.Sequence, p.Index), want.ResidPre(layer, p.Sequence, p.Index)) {
					t.Fatalf("%s: another stream at %v before layer %d", how, p, layer)
				}
			}
		}
	}
	check("when asked for", all[:20])
	got.Make(all)
	check("together", all)
	for part := range slices.Chunk(all, 7) {
		got.Make(append(slices.Clone(part), part[0])) // twice is once
		check("a few", part)
	}
	check("others", all[:3])
	var row model.Row[float32]
	for _, p := range all {
		row = got.Row(row, heads[0], p.Sequence, p.Index)
		if !slices.Equal(row.Scores, want.Scores(heads[0], p.Sequence, p.Index)) || !slices.Equal(row.Pattern, want.Pattern(heads[0], p.Sequence, p.Index)) || row.First != 0 || row.Sink != 0 {
			t.Fatalf("another attention row at %v", p)
		}
	}
	for name, f := range map[string]func(){
		"stream": func() { got.ResidPre(2, 0, 0) },
		"components": func() {
			bare, err := m.ForwardFor(t.Context(), seqs, model.Wanted{Heads: heads})
			if err != nil {
				t.Fatal(err)
			}
			bare.Components(0, 0)
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s that the pass was not asked for: no panic", name)
				}
			}()
			f()
		}()
	}
}
