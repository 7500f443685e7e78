package engine_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ducklens/engine"
	"ducklens/engine/blas"
	"ducklens/engine/exchange"
	"ducklens/engine/exchange/exchangetest"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// activationFolder runs a model folder over examples and writes what its heads read to a folder of
// activations, in the given form.
func activationFolder[T blas.Float](tb testing.TB, dir string, processing schema.Processing, e *engine.Engine, form string, examples []schema.Example) string {
	tb.Helper()
	opened := modeltest.OpenPath(tb, dir)
	m := modeltest.Load[T](tb, opened, e.BLAS(), processing, 1)
	out := tb.TempDir()
	if err := exchangetest.Of(tb, m, e.Model(), e.BOS(), e.Heads(), form, examples).Write(out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// openActivations opens a folder of activations until the test ends.
func openActivations(tb testing.TB, dir string, options engine.Options) *engine.Engine {
	tb.Helper()
	e, err := engine.OpenActivations(dir, options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// differs says where two values first differ; "" means nowhere. Numbers are equal to within some float32
// roundings, NaN equals NaN, and the way in which prompts name positions is ignored.
func differs(a, b reflect.Value) string {
	switch a.Kind() {
	case reflect.Float32, reflect.Float64:
		x, y := a.Float(), b.Float()
		if !(math.Abs(x-y) <= 3e-6*max(1, math.Abs(x))) && !(math.IsNaN(x) && math.IsNaN(y)) {
			return fmt.Sprintf(": %v and %v", x, y)
		}
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return fmt.Sprintf(": %d and %d entries", a.Len(), b.Len())
		}
		for i := range a.Len() {
			if where := differs(a.Index(i), b.Index(i)); where != "" {
				return fmt.Sprintf("[%d]%s", i, where)
			}
		}
	case reflect.Struct:
		for i := range a.NumField() {
			if name := a.Type().Field(i).Name; name != "Prompt" || a.Type() != reflect.TypeFor[schema.Example]() {
				if where := differs(a.Field(i), b.Field(i)); where != "" {
					return "." + name + where
				}
			}
		}
	case reflect.Pointer:
		if !a.IsNil() && !b.IsNil() {
			return differs(a.Elem(), b.Elem())
		}
		if a.IsNil() != b.IsNil() {
			return ": one is nil"
		}
	default:
		if !a.Equal(b) {
			return fmt.Sprintf(": %v and %v", a, b)
		}
	}
	return ""
}

// A folder of a model's activations gives the same results as the model, for every family, both forms of the
// weights, both precisions, both forms of what components wrote, and several edges of a prompt.
func TestActivationsAreTheModels(t *testing.T) {
	t.Parallel()
	for i, kind := range familytest.Types() {
		processing, precision := schema.Processing(i%2), []string{engine.Float32, engine.Float64}[i/2%2]
		t.Run(fmt.Sprintf("%s, %s, %s", kind, processing, precision), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := errors.Join(familytest.Write(dir, familytest.Tiny(kind).With("vocab_size", vocabulary), uint64(i)), writeVocabulary(dir)); err != nil {
				t.Fatal(err)
			}
			options := engine.Options{Heads: []schema.Head{{Layer: 2, Index: 1}, {Layer: 1, Index: 3}}, Processing: processing, Precision: precision,
				NullBases: 1, Factors: true, Pairs: i < 2, Substitutions: true, Projections: true, Norms: true, Gram: 4, BOS: engine.BOSOff}
			e := open(t, dir, options)
			var examples, grouped []schema.Example
			for j, p := range []schema.Prompt{
				{Text: "Then Ada and Bo spoke to Ada, and Bo", Query: schema.AtIndex(-1), Key: schema.AtIndex(-3), Baseline: schema.AtIndex(-2)},
				{Text: "Then Ada and Bo spoke to Ada, and Bo", Query: schema.AtIndex(-1), Key: schema.AtIndex(-2)},
				{Text: "Then Ada and Bo spoke to Ada, and Bo", Query: schema.AtIndex(-2), Key: schema.AtIndex(-3), Baseline: schema.AtIndex(-2)},
				{Text: "Bo gave the key to Ada", Query: schema.AtIndex(4), Key: schema.AtIndex(4)},
				{Text: "Ada gave the key to Cy", Query: schema.AtIndex(-2), Key: schema.AtIndex(-4), Baseline: schema.AtIndex(-2)},
				{Text: "Ada and Bo", Query: schema.AtIndex(-1), Key: schema.AtIndex(1), Baseline: schema.AtIndex(1)},
			} {
				x, err := e.Example(p)
				if err != nil {
					t.Fatal(err)
				}
				x.Index, x.PromptIndex = j, j
				examples = append(examples, x)
				x.PromptIndex = max(0, j-2) // the first three are edges of one prompt of the folder
				grouped = append(grouped, x)
			}
			want := explained(t, e, examples)

			// The effective embedding needs the model.
			for i := range want {
				for j := range want[i].Examples {
					for h := range want[i].Examples[j].Heads {
						r := &want[i].Examples[j].Heads[h]
						if r.Substitutions = slices.DeleteFunc(r.Substitutions, effective); len(r.Contributions) == 0 {
							t.Fatal("no contributions")
						}
					}
				}
			}
			for _, form := range []string{exchange.Vectors, exchange.Parts} {
				var folder string
				if precision == engine.Float64 {
					folder = activationFolder[float64](t, dir, processing, e, form, grouped)
				} else {
					folder = activationFolder[float32](t, dir, processing, e, form, grouped)
				}
				other := options
				other.Processing, other.Precision = schema.Processed, "" // the folder knows
				g := openActivations(t, folder, other)
				got := explained(t, g, given(t, g))

				a, b := e.Run(), g.Run()
				a.Threads, b.Threads, a.BOSPolicy, b.BOSPolicy = 0, 0, "", ""
				if diff := cmp.Diff(a, b, cmpopts.EquateNaNs()); diff != "" {
					t.Errorf("%s: runs (-model +folder):\n%s", form, diff)
				}
				// Maps that are folded in another order differ by a rounding where something is normalised
				// anew.
				if where := differs(reflect.ValueOf(want), reflect.ValueOf(got)); where != "" {
					t.Errorf("%s: results%s (model, folder)", form, where)
				}
			}
		})
	}
}

// effective reports whether a substitution needs a model that runs.
func effective(s schema.Substitution) bool {
	return s.Vector == engine.VectorEffective || s.Vector == engine.VectorEffectiveMLP
}

// given returns the examples of the prompts of a folder of activations.
func given(tb testing.TB, e *engine.Engine) (list []schema.Example) {
	tb.Helper()
	for p, err := range e.GivenPrompts() {
		if err != nil {
			tb.Fatal(err)
		}
		x, err := e.Example(p)
		if err != nil {
			tb.Fatal(err)
		}
		x.Index, x.PromptIndex = len(list), len(list)
		list = append(list, x)
	}
	return list
}

// For whole prompts, a folder gives the same results as the model about all positions: rules that choose
// edges, measures of heads, baselines that are means, rows of all keys.
func TestActivationsOfWholePrompts(t *testing.T) {
	t.Parallel()
	for i, kind := range []string{"gpt2", "llama", "qwen3", "gemma2", "olmo2"} {
		for _, baseline := range []schema.BaselineKind{schema.BaselineAttention, schema.BaselineMean, schema.BaselineNone} {
			t.Run(fmt.Sprintf("%s, %s", kind, baseline), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				if err := errors.Join(familytest.Write(dir, familytest.Tiny(kind).With("vocab_size", vocabulary), uint64(i)), writeVocabulary(dir)); err != nil {
					t.Fatal(err)
				}
				options := engine.Options{Heads: []schema.Head{{Layer: 2, Index: 1}, {Layer: 1, Index: 3}}, Precision: engine.Float64, BOS: engine.BOSOff,
					Factors: true, Substitutions: true, Projections: true, Norms: true, Measures: true, Baseline: baseline, MaxEdges: 9,
					Keys: schema.Keys{All: true, QueryBasis: "unembed", KeyBasis: "mlp0"}}
				for _, rule := range []string{"top:2", "previous", "duplicate", "sample:3"} {
					r, err := schema.ParseEdgeRule(rule)
					if err != nil {
						t.Fatal(err)
					}
					options.Edges = append(options.Edges, r)
				}
				e := open(t, dir, options)
				var examples []schema.Example
				for j, text := range []string{"Then Ada and Bo spoke to Ada, and Bo", "Bo gave the key to Ada"} {
					x, err := e.Example(schema.Prompt{Text: text})
					if err != nil {
						t.Fatal(err)
					}
					x.Baseline, x.Index, x.PromptIndex = schema.NoPosition, j, j
					examples = append(examples, x)
				}
				want, edges := explained(t, e, examples), 0
				for i := range want {
					edges += len(want[i].Examples)
					for j := range want[i].Examples {
						for h := range want[i].Examples[j].Heads {
							r := &want[i].Examples[j].Heads[h]
							r.Substitutions = slices.DeleteFunc(r.Substitutions, effective)
						}
					}
				}
				if edges < 12 || len(want[0].Measures) == 0 || len(want[0].Rows) == 0 {
					t.Fatalf("%d edges, %d measures, %d rows", edges, len(want[0].Measures), len(want[0].Rows))
				}
				for _, form := range []string{exchange.Vectors, exchange.Parts} {
					g := openActivations(t, activationFolder[float64](t, dir, schema.Processed, e, form, examples), options)
					if where := differs(reflect.ValueOf(want), reflect.ValueOf(explained(t, g, given(t, g)))); where != "" {
						t.Errorf("%s: results%s (model, folder)", form, where)
					}
				}
			})
		}
	}
}

// Features of a dictionary and its error replace an MLP. Their contributions add up to the MLP's, in the
// tables of one side and by feature in pairs, and a feature that is absent contributes 0.
func TestActivationsOfFeatures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(familytest.Write(dir, familytest.Tiny("llama").With("vocab_size", vocabulary), 5), writeVocabulary(dir)); err != nil {
		t.Fatal(err)
	}
	options := engine.Options{Heads: []schema.Head{{Layer: 2, Index: 1}}, Precision: engine.Float64, QueryBases: []string{"none"}, KeyBases: []string{"none"}, Pairs: true}
	e := open(t, dir, options)
	var examples []schema.Example
	for i, text := range []string{"Then Ada and Bo spoke to Ada, and Bo", "Bo gave the key to Ada"} {
		x, err := e.Example(schema.Prompt{Text: text, Query: schema.AtIndex(-1), Key: schema.AtIndex(2), Baseline: schema.AtIndex(3)})
		if err != nil {
			t.Fatal(err)
		}
		x.Index, x.PromptIndex = i, i
		examples = append(examples, x)
	}
	want, err := e.Explain(t.Context(), examples)
	if err != nil {
		t.Fatal(err)
	}
	opened := modeltest.OpenPath(t, dir)
	m := modeltest.Load[float64](t, opened, e.BLAS(), schema.Processed, 1)
	f := exchangetest.Of(t, m, e.Model(), e.BOS(), e.Heads(), exchange.Vectors, examples)
	layer, mlp0 := 0, e.Layout().MLP(0)
	named := []exchange.Component{
		{Kind: "feature", Layer: &layer, Label: "f17", Source: "a dictionary"},
		{Kind: "feature", Layer: &layer, Label: "f4", Source: "a dictionary"},
		{Kind: "error", Layer: &layer, Label: "rest", Source: "a dictionary"},
	}
	const absent = 1 // part, in prompt 0
	f.Replace(mlp0, named, func(prompt, place, part int) float64 {
		switch {
		case prompt == 0:
			return [][]float64{{0.7, 0, 0.3}, {1.5, 0, -0.5}, {0.1, 0, 0.9}}[place][part]
		}
		return []float64{0.2, 0.5, 0.3}[part]
	})
	folder := t.TempDir()
	if err := f.Write(folder); err != nil {
		t.Fatal(err)
	}
	g := openActivations(t, folder, options)
	if c := g.Components()[mlp0+1]; c.Kind != schema.Feature || c.Label() != "f4" || c.Source != "a dictionary" {
		t.Errorf("component %+v, want feature f4 of a dictionary", c)
	}
	got, err := g.Explain(t.Context(), given(t, g))
	if err != nil {
		t.Fatal(err)
	}
	// Of a component of the folder: the one of the model, and whether it is a part of it.
	origin := func(c int) (int, bool) {
		switch {
		case c < mlp0:
			return c, false
		case c < mlp0+len(named):
			return mlp0, true
		}
		return c - len(named) + 1, false
	}
	near := func(what string, a, b float64) {
		t.Helper()
		if !(math.Abs(a-b) <= 2e-6*max(1, math.Abs(a))) { // they pass through float32
			t.Errorf("%s: %v, want %v", what, b, a)
		}
	}
	for i := range want {
		a, b := &want[i].Examples[0].Heads[0], &got[i].Examples[0].Heads[0]
		type row struct {
			side      schema.Side
			component int
		}
		sums := map[row]float64{}
		for _, c := range b.Contributions {
			of, part := origin(c.Component)
			sums[row{c.Side, of}] += float64(c.Score[schema.PerpPerp])
			if part && i == 0 && c.Component == mlp0+absent && c.Score != [4]float32{} {
				t.Errorf("prompt %d: an absent feature contributes %v, want 0", i, c.Score)
			}
		}
		for _, c := range a.Contributions {
			near(fmt.Sprintf("prompt %d, %s side, component %d", i, c.Side, c.Component), float64(c.Score[schema.PerpPerp]), sums[row{c.Side, c.Component}])
		}
		x, y := a.Pairs[0], b.Pairs[0]
		pairs := map[[2]int]float64{}
		for at, v := range y.Score {
			q, _ := origin(y.QueryComponents[at/len(y.KeyComponents)])
			k, _ := origin(y.KeyComponents[at%len(y.KeyComponents)])
			pairs[[2]int{q, k}] += float64(v[schema.PerpPerp])
		}
		for at, v := range x.Score {
			pair := [2]int{x.QueryComponents[at/len(x.KeyComponents)], x.KeyComponents[at%len(x.KeyComponents)]}
			near(fmt.Sprintf("prompt %d, pair %v", i, pair), float64(v[schema.PerpPerp]), pairs[pair])
		}
	}
	if _, err := engine.OpenActivations(folder, engine.Options{KeyBases: []string{"mlp0"}}); !errors.Is(err, engine.ErrBasis) {
		t.Errorf("basis mlp0 without an MLP0: %v, want an %v", err, engine.ErrBasis)
	}
}
