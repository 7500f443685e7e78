package engine_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// TestAblate compares scores, probabilities and logits without each head and MLP with reference numbers.
func TestAblate(t *testing.T) {
	t.Parallel()
	root := refdata.Families(t)
	type folder struct {
		dir, model string
		prompts    int
		cap        float64
	}
	folders := map[string]folder{"smollm2": {filepath.Join(refdata.Models(t), "smollm2-135m"),
		filepath.Join(refdata.Models(t), "smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf"), 1, 0}}
	for name, limit := range map[string]float64{"gpt2": 0, "llama3": 0, "qwen3": 0, "gemma2": 10} {
		folders[name] = folder{filepath.Join(root, name), filepath.Join(root, name, "model"), 3, limit}
	}
	for name, f := range folders {
		for precision, tolerance := range map[string]float64{engine.Float32: 5e-5, engine.Float64: 1e-6} {
			t.Run(name+" "+precision, func(t *testing.T) {
				t.Parallel()
				if name == "smollm2" && (precision == engine.Float64 || testing.Short()) {
					t.Skip("takes a minute; float32 is compared")
				}
				compareAblations(t, f.dir, f.model, f.prompts, f.cap, precision, tolerance)
			})
		}
	}
}

func compareAblations(t *testing.T, dir, path string, prompts int, limit float64, precision string, tolerance float64) {
	g := readFamily(t, dir)
	arrays := refdata.Npz(t, filepath.Join(dir, "deep.npz"))
	worst, compared := 0.0, 0
	for _, label := range g.Heads {
		if _, ok := arrays["0/"+label+"/ablate"]; !ok {
			continue
		}
		head, err := schema.ParseHead(label)
		if err != nil {
			t.Fatal(err)
		}
		options := engine.Options{Heads: []schema.Head{head}, Precision: precision, Ablations: true, AttentionOnly: true, Threads: 1}
		if g.BOS == nil {
			options.BOS = engine.BOSOff
		}
		e := open(t, path, options)
		components := e.Components()[:e.Layout().Below(head.Layer)]
		var wanted []int
		for c := range components {
			if engine.Ablatable(components[c]) {
				wanted = append(wanted, c)
			}
		}
		var examples []schema.Example
		for i, p := range g.Prompts[:prompts] {
			x, err := e.Example(schema.Prompt{Text: p.Text, Query: schema.AtIndex(p.Query), Key: schema.AtIndex(p.Key), Baseline: schema.AtIndex(p.Baseline)})
			if err != nil {
				t.Fatal(err)
			}
			x.Index = i
			examples = append(examples, x)
		}
		got, err := e.Ablate(t.Context(), examples, engine.Ablation{Components: wanted, Place: engine.Everywhere})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(wanted)*len(examples) {
			t.Fatalf("%d results of %d components on %d examples", len(got), len(wanted), len(examples))
		}
		for i, r := range got {
			want := arrays[fmt.Sprintf("%d/%s/ablate", r.Example, label)]
			if r.Component != wanted[i%len(wanted)] || r.Example != i/len(wanted) || r.Head != head {
				t.Fatalf("result %d is of component %d on example %d", i, r.Component, r.Example)
			}
			capped := func(v float32) float64 {
				if limit > 0 {
					return limit * math.Tanh(float64(v)/limit)
				}
				return float64(v)
			}
			for column, v := range []float64{float64(r.Score), float64(r.Baseline), float64(r.Prob), capped(r.KeyLogit), capped(r.BaselineLogit)} {
				scale := 0.0
				for _, w := range want.Float64 {
					if !math.IsNaN(w) {
						scale = max(scale, math.Abs(w))
					}
				}
				w := want.At(r.Component)[column]
				worst = max(worst, math.Abs(v-w)/scale)
				if !(math.Abs(v-w) <= tolerance*scale) {
					t.Errorf("prompt %d, head %s, %s ablated, column %d: %v, want %v", r.Example, label, components[r.Component].Label(), column, v, w)
				}
				compared++
			}
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
	t.Logf("largest difference %.2g of the largest number, %d numbers", worst, compared)
}

// TestAblationPlaces checks that ablating a component at the query alone leaves keys unchanged, and vice
// versa, that means change nothing if all examples are the same, and that groups of examples change no bit.
func TestAblationPlaces(t *testing.T) {
	t.Parallel()
	head := schema.Head{Layer: 3, Index: 0}
	e := open(t, filepath.Join("..", "cli", "demo", "model"), engine.Options{Heads: []schema.Head{head, {Layer: 2, Index: 1}}, Ablations: true, AttentionOnly: true})
	var examples []schema.Example
	for i, text := range []string{"Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to", "When Ruth and Olga went home, Olga wrote a letter to"} {
		x, err := e.Example(schema.Prompt{Text: text, Query: schema.AtIndex(-1), Key: schema.AtIndex(4), Baseline: schema.AtIndex(2)})
		if err != nil {
			t.Fatal(err)
		}
		x.Index = i
		examples = append(examples, x)
	}
	components := []int{e.Layout().MLP(0), e.Layout().Head(schema.Head{Layer: 2, Index: 0}), e.Layout().Head(schema.Head{Layer: 1, Index: 2})}
	ask := func(examples []schema.Example, a engine.Ablation) []schema.Ablated {
		t.Helper()
		got, err := e.Ablate(t.Context(), examples, a)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	all := map[string][]schema.Ablated{}
	for _, place := range []string{engine.Everywhere, engine.AtQuery, engine.AtKey} {
		a := engine.Ablation{Components: components, Place: place}
		all[place] = ask(examples, a)
		if want := 2 * (2 + 1 + 2); len(all[place]) != want {
			t.Fatalf("%d results at %s, want %d: heads above the component", len(all[place]), place, want)
		}
		if alone := slices.Concat(ask(examples[:1], a), ask(examples[1:], a)); !slices.Equal(alone, all[place]) {
			t.Errorf("at %s: other results for examples alone", place)
		}
		// Each example alone has means that are what it has at one position.
		one := engine.NewComponentMeans(place, components)
		if err := e.AddMeans(t.Context(), one, examples[:1]); err != nil {
			t.Fatal(err)
		}
		same := ask(examples[:1], engine.Ablation{Components: components, Place: place, Means: one})
		changed := 0.0
		for _, r := range same {
			changed = max(changed, math.Abs(float64(r.KeyLogit-r.OwnKeyLogit)))
		}
		if (changed < 1e-4) != (place != engine.Everywhere) {
			t.Errorf("at %s: the mean of one example changes a logit by %g", place, changed)
		}
	}
	for i, r := range all[engine.AtKey] {
		if q := all[engine.AtQuery][i]; r.Score == q.Score || r == all[engine.Everywhere][i] {
			t.Errorf("component %d away at the key and at the query give one score, %v", r.Component, r.Score)
		}
	}
	for _, a := range []engine.Ablation{{Components: []int{0}, Place: engine.AtKey}, {Components: components, Place: "sometimes"},
		{Components: components, Place: engine.AtKey, Means: engine.NewComponentMeans(engine.AtKey, components)}} {
		if _, err := e.Ablate(t.Context(), examples, a); err == nil {
			t.Errorf("%+v is not refused", a)
		}
	}
}
