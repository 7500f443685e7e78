package engine_test

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// smollm2 is the pretrained model beside the checkout, and its numbers.
func smollm2(t *testing.T, prompts int) *familyGolden {
	t.Helper()
	g := readFamily(t, filepath.Join(refdata.Models(t), "smollm2-135m"))
	g.Prompts = g.Prompts[:prompts]
	return g
}

// TestSmolLM2 runs the GGUF through the engine, and compares with numbers made with transformers.
func TestSmolLM2(t *testing.T) {
	for _, c := range []struct {
		precision string
		prompts   int
		tolerance float64
	}{{engine.Float32, 32, 5e-5}, {engine.Float64, 2, 1e-6}} {
		t.Run(c.precision, func(t *testing.T) {
			if testing.Short() && c.precision == engine.Float64 {
				t.Skip("float64 takes a while")
			}
			g := smollm2(t, c.prompts)
			g.tolerance = c.tolerance
			g.smollm2(c.precision)
			for _, quantity := range slices.Sorted(maps.Keys(g.worst)) {
				t.Logf("%s: %.1e", quantity, g.worst[quantity])
			}
		})
	}
}

func (g *familyGolden) smollm2(precision string) {
	options := engine.Options{Precision: precision, QueryBases: []string{"none", "unembed"}, KeyBases: []string{"none", "mlp0"},
		Movers: []schema.Head{{Layer: 22, Index: 3}}, Substitutions: true, Logits: true}
	for _, label := range g.Heads {
		h, err := schema.ParseHead(label)
		if err != nil {
			g.Fatal(err)
		}
		options.Heads = append(options.Heads, h)
	}
	e := open(g.T, filepath.Join(g.dir, "SmolLM2-135M-Instruct.Q4_1.gguf"), options)
	if e.BOS() {
		g.Error("BOS stands in front, and the tokenizer has none")
	}
	direct := map[string]float64{} // mean effect of heads on IO - S
	results := analyze(g.T, e, g.examples(e))
	for i, r := range results {
		for _, h := range r.Heads {
			prefix := fmt.Sprintf("%d/%s/", i, h.Head)
			g.labels(e, h.Head, g.Components)
			g.compare(prefix+"key_side", "key side", g.side(e, h, schema.Key, "none", "none", false))
			g.compare(prefix+"query_side", "query side", g.side(e, h, schema.Query, "none", "none", false))
			if _, ok := g.arrays[prefix+"key_side/unembed,mlp0"]; ok {
				g.compare(prefix+"key_side/unembed,mlp0", "key side quadrants", g.side(e, h, schema.Key, "unembed", "mlp0", true))
				g.compare(prefix+"query_side/unembed,mlp0", "query side quadrants", g.side(e, h, schema.Query, "unembed", "mlp0", true))
			}
			g.rows(r.Example, h, prefix)
			g.substitutions(h, prefix)
			g.scales(h, prefix)
			g.closure(prefix, h.Score.Closure)
		}
		for name, own := range map[string]float32{"logit_io": r.Logits.Key, "logit_s": r.Logits.Baseline} {
			all := g.arrays[name].Float64
			difference := math.Abs(float64(own)-all[i]) / slices.Max(all)
			g.worst["logits"] = max(g.worst["logits"], difference)
			if !(difference <= g.tolerance) {
				g.Errorf("prompt %d: %s is %v, want %v", i, name, own, all[i])
			}
		}
		g.closure("logits", r.Logits.Closure)
		for _, effect := range r.Logits.Effects {
			direct[e.Components()[effect.Component].Label()] += float64(effect.Key-effect.Baseline) / float64(len(results))
		}
	}
	// As ../shared/models/README.md has them, from another program.
	if len(results) == 32 {
		for label, want := range map[string]float64{"23.3": 1.9, "23.0": 0.55, "24.4": -0.40, "29.1": 0.73, "29.0": -0.44} {
			if !(math.Abs(direct[label]-want) <= 0.05) {
				g.Errorf("direct effect of %s on IO - S: %.3f, want %.2f", label, direct[label], want)
			}
		}
	}
}

// The second mention of a word can be a position.
func TestSmolLM2FindsTheSecondMention(t *testing.T) {
	g := smollm2(t, 1)
	e := open(t, filepath.Join(g.dir, "SmolLM2-135M-Instruct.Q4_1.gguf"), engine.Options{Heads: []schema.Head{{Layer: 1}}, AttentionOnly: true})
	x, err := e.Example(schema.Prompt{Text: g.Prompts[0].Text, Query: schema.AtIndex(-1), Key: schema.ParseWord("Caroline#2"), Baseline: schema.AtWord("Caroline")})
	if err != nil {
		t.Fatal(err)
	}
	if x.Tokens[x.Key].ID != x.Tokens[x.Baseline].ID || x.Key <= x.Baseline {
		t.Errorf("second mention at %d, first at %d of %v", x.Key, x.Baseline, x.Tokens)
	}
	_, err = e.Example(schema.Prompt{Text: g.Prompts[0].Text, Query: schema.AtIndex(-1), Key: schema.ParseWord("Caroline#3")})
	if err == nil || !strings.Contains(err.Error(), `"Caroline" is there 2 times`) {
		t.Errorf("error %v", err)
	}
}
