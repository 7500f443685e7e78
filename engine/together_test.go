package engine_test

import (
	"testing"

	"ducklens/engine"
	"ducklens/schema"
)

// Options work together: baselines that are means with sources, bands, singular directions, rows, norms,
// logits and the rest, on edges that rules choose and on edges that are given.
func TestEverythingTogether(t *testing.T) {
	t.Parallel()
	for _, kind := range edgeFamilies {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := tinyFamily(t, kind, 64)
			for _, baseline := range []schema.BaselineKind{schema.BaselineAttention, schema.BaselineMean, schema.BaselineNone} {
				e := open(t, dir, engine.Options{Heads: twoHeads, Baseline: baseline, Edges: []schema.EdgeRule{{Name: schema.EdgePrevious}, {Name: schema.EdgeTop, Count: 2}},
					QueryBases: []string{"none", "unembed", "svd:2"}, KeyBases: []string{"none", "mlp0", "svd:2"}, Keys: schema.Keys{All: true}, TopSources: 2,
					Rotary: kind != "gpt2", Norms: true, Gram: 3, Factors: true, Pairs: true, Logits: true, Substitutions: true, Projections: true})
				x := openPrompt(0, randomText(4, 12, 8))
				if err := e.Prepare(t.Context(), []schema.Example{x}); err != nil {
					t.Fatal(err)
				}
				results, err := e.Explain(t.Context(), []schema.Example{x})
				if err != nil {
					t.Fatalf("baseline %s: %v", baseline, err)
				}
				if len(results) != 1 || len(results[0].Examples) < len(x.Tokens) || len(results[0].Rows) == 0 {
					t.Errorf("baseline %s: %d results, want one with the edges of %d tokens and their rows", baseline, len(results), len(x.Tokens))
				}
			}
		})
	}
}
