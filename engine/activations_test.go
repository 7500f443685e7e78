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
	"ducklens/engine/exchange/exchangetest"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// activationFolder runs a model folder over examples and writes what heads of it read to a folder of activations.
func activationFolder[T blas.Float](tb testing.TB, dir string, form schema.Processing, e *engine.Engine, examples []schema.Example) string {
	tb.Helper()
	opened := modeltest.OpenPath(tb, dir)
	provider, err := blas.ByName(e.BLAS())
	if err != nil {
		tb.Fatal(err)
	}
	m, err := model.Load[T](opened.Checkpoint, opened.Spec, opened.Sources, form, provider, 1)
	if err != nil {
		tb.Fatal(err)
	}
	out := tb.TempDir()
	if err := exchangetest.Of(tb, m, e.Model(), e.BOS(), e.Heads(), examples).Write(out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// openActivations opens a folder of activations for the length of the test.
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

// differs says where two values first differ; "" nowhere. Numbers are equal within some roundings of float32, NaN
// equals NaN, and of prompts it is not asked how they name positions.
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

// A folder of the activations of a model gives the results that the model gives: every family, both forms of the
// weights, both precisions.
func TestActivationsAreTheModels(t *testing.T) {
	t.Parallel()
	for i, kind := range familytest.Types() {
		form, precision := schema.Processing(i%2), []string{engine.Float32, engine.Float64}[i/2%2]
		t.Run(fmt.Sprintf("%s, %s, %s", kind, form, precision), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := errors.Join(familytest.Write(dir, familytest.Tiny(kind).With("vocab_size", vocabulary), uint64(i)), writeVocabulary(dir)); err != nil {
				t.Fatal(err)
			}
			options := engine.Options{Heads: []schema.Head{{Layer: 2, Index: 1}, {Layer: 1, Index: 3}}, Processing: form, Precision: precision,
				NullBases: 1, Factors: true, Pairs: i < 2, Substitutions: true, Projections: true, Norms: true, Gram: 4, BOS: engine.BOSOff}
			e := open(t, dir, options)
			var examples []schema.Example
			for j, p := range []schema.Prompt{
				{Text: "Then Ada and Bo spoke to Ada, and Bo", Query: schema.AtIndex(-1), Key: schema.AtIndex(-3), Baseline: schema.AtIndex(-2)},
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
			}
			explain := func(e *engine.Engine, examples []schema.Example) []schema.PromptResult {
				t.Helper()
				if err := e.Prepare(t.Context(), examples); err != nil {
					t.Fatal(err)
				}
				results, err := e.Explain(t.Context(), examples)
				if err != nil {
					t.Fatal(err)
				}
				return results
			}
			want := explain(e, examples)

			var folder string
			if precision == engine.Float64 {
				folder = activationFolder[float64](t, dir, form, e, examples)
			} else {
				folder = activationFolder[float32](t, dir, form, e, examples)
			}
			options.Processing, options.Precision = schema.Processed, "" // the folder knows
			g := openActivations(t, folder, options)
			var again []schema.Example
			for p, err := range g.GivenPrompts() {
				if err != nil {
					t.Fatal(err)
				}
				x, err := g.Example(p)
				if err != nil {
					t.Fatal(err)
				}
				x.Index, x.PromptIndex = len(again), len(again)
				again = append(again, x)
			}
			got := explain(g, again)

			a, b := e.Run(), g.Run()
			a.Threads, b.Threads, a.BOSPolicy, b.BOSPolicy = 0, 0, "", ""
			if diff := cmp.Diff(a, b, cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("runs (-model +folder):\n%s", diff)
			}
			// The effective embedding needs the model; positions of prompts are given as numbers.
			effective := func(s schema.Substitution) bool {
				return s.Vector == engine.VectorEffective || s.Vector == engine.VectorEffectiveMLP
			}
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
			// Maps that are folded in another order differ by a rounding where something is normalised anew.
			if where := differs(reflect.ValueOf(want), reflect.ValueOf(got)); where != "" {
				t.Errorf("results%s (model, folder)", where)
			}
		})
	}
}
