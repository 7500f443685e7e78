package engine_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// openPrompt returns a prompt whose edges are chosen by rules.
func openPrompt(index int, ids []int) schema.Example {
	x := schema.Example{Index: index, PromptIndex: index, Query: schema.NoPosition, Key: schema.NoPosition, Baseline: schema.NoPosition,
		RandomName: schema.NoToken, RandomToken: schema.NoToken}
	for _, id := range ids {
		x.Tokens = append(x.Tokens, schema.Token{ID: id})
	}
	return x
}

// explain calls [engine.Engine.Explain], which must succeed.
func explain(tb testing.TB, e *engine.Engine, prompts ...schema.Example) []schema.PromptResult {
	tb.Helper()
	results, err := e.Explain(tb.Context(), prompts)
	if err != nil {
		tb.Fatal(err)
	}
	return results
}

// rule parses an edge rule.
func rule(tb testing.TB, text string) schema.EdgeRule {
	tb.Helper()
	r, err := schema.ParseEdgeRule(text)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// TestSmolLM2Measures compares the measures of all heads on a text, on code and on repeated random tokens
// with those of another program. There, duplicates and induction targets are only those of the second copy;
// the mean over all queries that have one is the same if no token is repeated within a copy. The test also
// compares that program's own sums of attention.
func TestSmolLM2Measures(t *testing.T) {
	for _, c := range []struct {
		precision string
		tolerance float64
	}{{engine.Float32, 5e-5}, {engine.Float64, 1e-6}} {
		t.Run(c.precision, func(t *testing.T) {
			if testing.Short() && c.precision == engine.Float64 {
				t.Skip("float64 takes a while")
			}
			g := smollm2(t, 0)
			g.tolerance = c.tolerance
			e := open(t, filepath.Join(refdata.Models(t), "smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf"),
				engine.Options{AttentionOnly: true, Precision: c.precision, Edges: []schema.EdgeRule{rule(t, "self")}})
			var prompts []schema.Example
			for i := range 3 {
				prompts = append(prompts, openPrompt(i, g.arrays[fmt.Sprintf("doc%d/tokens", i)].Ints()))
			}
			results := explain(t, e, prompts...)
			for i, r := range results {
				for _, measure := range []string{engine.MeasurePrevious, engine.MeasureFirst, engine.MeasureSelf} {
					g.compare(fmt.Sprintf("doc%d/%s", i, measure), measure, valuesOf(t, e, r, measure))
				}
			}
			twice := results[2]
			n := len(twice.Prompt.Tokens) / 2
			for measure, back := range map[string]int{engine.MeasureInduction: n - 1, engine.MeasureDuplicate: n} {
				sums := make([]float64, len(e.Heads()))
				for _, x := range twice.Examples {
					for h := range x.Heads {
						if x.Example.Query >= n {
							sums[h] += float64(x.Heads[h].Attention[x.Example.Query-back].Prob) / float64(n)
						}
					}
				}
				g.compare("doc2/"+measure, measure+", summed", sums)
				distinct := map[int]bool{}
				for _, token := range twice.Prompt.Tokens {
					distinct[token.ID] = true
				}
				if len(distinct) == n {
					g.compare("doc2/"+measure, measure, valuesOf(t, e, twice, measure))
				} else {
					t.Logf("%d of %d tokens are different", len(distinct), n)
				}
			}
			for _, quantity := range slices.Sorted(maps.Keys(g.worst)) {
				t.Logf("%s: %.1e", quantity, g.worst[quantity])
			}
		})
	}
}

// valuesOf returns a measure of a prompt by head.
func valuesOf(tb testing.TB, e *engine.Engine, r schema.PromptResult, measure string) []float64 {
	tb.Helper()
	var list []float64
	for _, m := range r.Measures {
		if m.Measure == measure {
			if m.Head != e.Heads()[len(list)] {
				tb.Fatalf("%s of head %s, want %s", measure, m.Head, e.Heads()[len(list)])
			}
			list = append(list, m.Value)
		}
	}
	return list
}
