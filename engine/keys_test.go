package engine_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// meanKinds are the baselines that are means of keys.
var meanKinds = []schema.BaselineKind{schema.BaselineMean, schema.BaselineAttention}

// openBare opens the folder's model for its heads, with the bases that every position has.
func (g *familyGolden) openBare(model string, options engine.Options) *engine.Engine {
	g.Helper()
	for _, label := range g.Heads {
		h, err := schema.ParseHead(label)
		if err != nil {
			g.Fatal(err)
		}
		options.Heads = append(options.Heads, h)
	}
	if g.BOS == nil {
		options.BOS = engine.BOSOff
	}
	options.QueryBases, options.KeyBases = []string{"none", "unembed", "sub_unembed"}, []string{"none", "mlp0", "effective", "sub_mlp0"}
	options.NullBases = 1
	e := open(g.T, filepath.Join(g.dir, model), options)
	return e
}

// explained analyses examples and returns them by prompt.
func explained(t *testing.T, e *engine.Engine, examples []schema.Example) []schema.PromptResult {
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

// everyKey returns an example for each position that all heads see from the query of x, in order.
func everyKey(e *engine.Engine, x schema.Example) (list []schema.Example) {
	first := 0
	for _, h := range e.Targets() {
		if h.Window > 0 {
			first = max(first, x.Query+1-h.Window)
		}
	}
	for key := first; key <= x.Query; key++ {
		at := x
		at.Key, at.Baseline = key, schema.NoPosition
		list = append(list, at)
	}
	return list
}

// TestMeansAndRowsOfFamilies compares rows and baselines that are means with the engine's results for each
// position as a key, one after the other: over all families (windows, sinks, soft caps, shared keys,
// rotations of all kinds), in every pair of bases and quadrant, on both sides, and for substituted vectors.
func TestMeansAndRowsOfFamilies(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(refdata.Families(t), "*", "golden.json"))
	if err != nil || len(folders) < 24 {
		t.Fatalf("%d folders, want 24: %v", len(folders), err)
	}
	for _, file := range folders {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			g := readFamily(t, filepath.Dir(file))
			prompts := []int{1, 2}
			if n := len(g.Prompts); len(g.Prompts[n-1].Text) > 400 && !testing.Short() { // beyond what longrope and windows are made for
				prompts = append(prompts, n-1)
			}
			for _, i := range prompts {
				g.meansAndRows(i, meanKinds[i%2])
			}
		})
	}
}

func (g *familyGolden) meansAndRows(i int, kind schema.BaselineKind) {
	g.Helper()
	options := engine.Options{Precision: engine.Float64, Substitutions: true, Factors: true, Movers: []schema.Head{{Layer: 0, Index: 1}}}
	plain := g.openBare("model", options)
	options.Baseline, options.Keys = kind, schema.Keys{All: true, QueryBasis: "unembed", KeyBasis: "mlp0"}
	e := g.openBare("model", options)
	x := g.examples(e)[i]
	x.PromptIndex = i
	keys := everyKey(plain, x)
	if len(keys) > 60 { // a few of a long prompt, the key among them
		options.Baseline = ""
		keys = slices.Concat(keys[:20], keys[len(keys)-40:])
		kind = ""
	}
	var others []schema.Example // each position as the baseline of the key
	for _, at := range keys {
		at.Key, at.Baseline = x.Key, at.Key
		others = append(others, at)
	}
	single, against := explained(g.T, plain, keys), explained(g.T, plain, others)
	result := explained(g.T, e, []schema.Example{x})[0]
	if len(result.Rows) != len(e.Heads()) || len(result.Examples) != 1 {
		g.Fatalf("prompt %d: %d rows of %d heads, %d examples", i, len(result.Rows), len(e.Heads()), len(result.Examples))
	}
	for h, head := range result.Examples[0].Heads {
		row := result.Rows[h]
		if row.Head != head.Head || row.FirstKey != head.FirstKey || row.Query != x.Query || len(row.Tables) != 4 {
			g.Fatalf("prompt %d: row of head %s from %d to %d with %d tables", i, row.Head, row.FirstKey, row.Query, len(row.Tables))
		}
		size := 1.0
		for _, at := range head.Attention {
			size = max(size, math.Abs(float64(at.Score)))
		}
		same := func(what string, got, want float64) {
			g.Helper()
			if !(math.Abs(got-want) <= 1e-6*size) {
				g.Errorf("prompt %d, head %s, %s: %v, want %v", i, head.Head, what, got, want)
			}
		}
		for _, table := range row.Tables {
			for j, key := range keys {
				pos := key.Key - row.FirstKey
				n := row.Query + 1 - row.FirstKey
				for c, component := range table.Components {
					want := contributionOf(single[j].Examples[0].Heads[h].Contributions, table.Side, table.QueryBasis, table.KeyBasis, component)
					for q, of := range table.Score {
						got := 0.0
						if of != nil {
							got = float64(of[c*n+pos])
						}
						same(fmt.Sprintf("%s side, component %d at position %d, quadrant %d", table.Side, component, key.Key, q), got, float64(want.Score[q]))
					}
				}
			}
		}
		if kind == "" {
			continue
		}
		weights := weightsOf(e, h, head, kind, x.Key-head.FirstKey)
		mean := func(of func(schema.HeadResult) float32) (sum float64) {
			for j, w := range weights {
				if w != 0 {
					sum += w * float64(of(against[j].Examples[0].Heads[h]))
				}
			}
			return sum
		}
		if head.FirstKey != keys[0].Key {
			continue // another head has a narrower window, and the examples begin there
		}
		same("baseline", float64(head.Score.Baseline), mean(func(r schema.HeadResult) float32 { return r.Score.Baseline }))
		same("probability", float64(head.Score.BaselineProb), mean(func(r schema.HeadResult) float32 { return r.Score.BaselineProb }))
		for c, got := range head.Contributions {
			for q := range got.Baseline {
				same(fmt.Sprintf("baseline of %s side, bases %d and %d, component %d, quadrant %d", got.Side, got.QueryBasis, got.KeyBasis, got.Component, q),
					float64(got.Baseline[q]), mean(func(r schema.HeadResult) float32 { return r.Contributions[c].Baseline[q] }))
			}
		}
		for _, got := range head.Substitutions {
			same("baseline of "+got.Side.String()+" substitution "+got.Vector, float64(got.Baseline), mean(func(r schema.HeadResult) float32 {
				other := slices.IndexFunc(r.Substitutions, func(o schema.Substitution) bool { return o.Side == got.Side && o.Vector == got.Vector })
				if other < 0 {
					g.Fatalf("no substitution %s", got.Vector)
				}
				return r.Substitutions[other].Baseline
			}))
		}
		g.meanFactors(e, head, against, h, weights, same)
	}
}

// meanFactors compares the factors of the mean key with the mean of factors.
func (g *familyGolden) meanFactors(e *engine.Engine, head schema.HeadResult, against []schema.PromptResult, h int, weights []float64, same func(string, float64, float64)) {
	g.Helper()
	atBaseline := func(r schema.HeadResult) schema.Factors {
		return r.Factors[slices.IndexFunc(r.Factors, func(f schema.Factors) bool { return f.AtBaseline })]
	}
	got := atBaseline(head)
	if len(got.Axes) != 0 {
		g.Errorf("head %s: the mean key has %d axes", head.Head, len(got.Axes))
	}
	want := make([]float64, len(got.Vectors))
	for j, w := range weights {
		for i, v := range atBaseline(against[j].Examples[0].Heads[h]).Vectors {
			want[i] += w * float64(v)
		}
	}
	for i, v := range got.Vectors {
		same(fmt.Sprintf("number %d of the mean key's factors", i), float64(v), want[i])
	}
	// Pairs: of whole vectors they have the baseline, where the key is split they have none.
	maker, err := engine.NewPairMaker("", e.Bases())
	if err != nil {
		g.Fatal(err)
	}
	tables, err := maker.Tables(1, head.Factors)
	if err != nil {
		g.Fatal(err)
	}
	for _, t := range tables {
		if whole := e.Bases()[t.KeyBasis].Kind == schema.Whole; whole != (t.Baseline != nil) {
			g.Errorf("head %s, bases %d and %d: a baseline of pairs: %t", head.Head, t.QueryBasis, t.KeyBasis, t.Baseline != nil)
		}
	}
}

// contributionOf returns a row of contributions.
func contributionOf(list []schema.Contribution, side schema.Side, query, key, component int) schema.Contribution {
	i := slices.IndexFunc(list, func(c schema.Contribution) bool {
		return c.Side == side && c.QueryBasis == query && c.KeyBasis == key && c.Component == component
	})
	if i < 0 {
		return schema.Contribution{Score: [4]float32{float32(math.NaN())}}
	}
	return list[i]
}

// weightsOf computes the weights of a baseline directly from their definition.
func weightsOf(e *engine.Engine, h int, r schema.HeadResult, kind schema.BaselineKind, key int) []float64 {
	weights, sum := make([]float64, len(r.Attention)), 0.0
	soft := e.Targets()[h].SoftCap
	for i, a := range r.Attention {
		s := float64(a.Score)
		if soft > 0 {
			s = soft * math.Tanh(s/soft)
		}
		if weights[i] = math.Exp(s); kind == schema.BaselineMean {
			weights[i] = 1
		}
		if i == key {
			weights[i] = 0
		}
		sum += weights[i]
	}
	for i := range weights {
		weights[i] /= sum
	}
	return weights
}

// TestReferenceRows compares rows and both baselines with the reference's numbers.
func TestReferenceRows(t *testing.T) {
	type folder struct {
		dir, model string
		prompts    int
		heads      []string
	}
	var folders []folder
	for _, name := range []string{"gpt2", "llama3", "qwen3", "gemma2"} {
		folders = append(folders, folder{filepath.Join(refdata.Families(t), name), "model", 3, nil})
	}
	if !testing.Short() {
		folders = append(folders, folder{filepath.Join(refdata.Models(t), "smollm2-135m"), "SmolLM2-135M-Instruct.Q4_1.gguf", 1, []string{"24.4"}})
	}
	for _, f := range folders {
		for precision, tolerance := range map[string]float64{engine.Float64: 1e-6, engine.Float32: 5e-5} {
			t.Run(filepath.Base(f.dir)+"/"+precision, func(t *testing.T) {
				g := readFamily(t, f.dir)
				deep := refdata.Npz(t, filepath.Join(f.dir, "deep.npz"))
				if f.heads != nil {
					g.Heads = f.heads
				}
				g.Prompts = g.Prompts[:f.prompts]
				for _, kind := range meanKinds {
					e := g.openBare(f.model, engine.Options{Precision: precision, Baseline: kind, Keys: schema.Keys{All: true}})
					examples := g.examples(e)
					g.arrays, g.tolerance = deep, tolerance
					for i := range examples {
						examples[i].PromptIndex = i
					}
					for i, r := range explained(t, e, examples) {
						for h, head := range r.Examples[0].Heads {
							g.compareFinite(fmt.Sprintf("%d/%s/rows", i, head.Head), g.row(e, r.Rows[h]))
							g.compareFinite(fmt.Sprintf("%d/%s/baseline_%s", i, head.Head, kind), g.difference(e, head))
						}
					}
					g.arrays = readFamily(t, f.dir).arrays
				}
			})
		}
	}
}

// compareFinite is compare for arrays that have NaN where a query does not see.
func (g *familyGolden) compareFinite(name string, got []float64) {
	g.Helper()
	want := g.arrays[name].Float64
	top, off := 0.0, 0.0
	for i, w := range want {
		if len(got) != len(want) || math.IsNaN(w) != math.IsNaN(got[i]) {
			g.Errorf("%s: %d numbers, want %d with NaN at the same places", name, len(got), len(want))
			return
		}
		if !math.IsNaN(w) {
			top, off = max(top, math.Abs(w)), max(off, math.Abs(got[i]-w))
		}
	}
	if !(off <= g.tolerance*top) || top == 0 {
		g.Errorf("%s: off by %g, the largest is %g", name, off, top)
	}
}

// row returns the key side of a row in the shape of the arrays: [component and bias, position].
func (g *familyGolden) row(e *engine.Engine, row schema.Row) (list []float64) {
	n := row.Query + 1 - row.FirstKey
	for c := range e.Layout().Below(row.Head.Layer) + 1 {
		for pos := range row.Query + 1 {
			switch {
			case pos < row.FirstKey:
				list = append(list, math.NaN())
			case c == len(row.Tables[schema.Key].Components):
				list = append(list, 0)
			default:
				list = append(list, float64(row.Tables[schema.Key].Score[schema.PerpPerp][c*n+pos-row.FirstKey]))
			}
		}
	}
	return list
}

// difference is score - baseline of the key side, unsplit [component and bias].
func (g *familyGolden) difference(e *engine.Engine, head schema.HeadResult) []float64 {
	list := make([]float64, 0, e.Layout().Below(head.Head.Layer)+1)
	for _, c := range head.Contributions {
		if c.Side == schema.Key && c.QueryBasis == 0 && e.Bases()[c.KeyBasis].Kind == schema.Whole {
			list = append(list, float64(c.Score[schema.PerpPerp])-float64(c.Baseline[schema.PerpPerp]))
		}
	}
	if len(list) < cap(list) {
		list = append(list, 0)
	}
	return list
}

func TestKeysAndBaselinesThatCannotBe(t *testing.T) {
	all := schema.Keys{All: true}
	for name, o := range map[string]engine.Options{
		"notebook baseline": {Convention: schema.Notebook, Baseline: schema.BaselineMean},
		"notebook keys":     {Convention: schema.Notebook, Keys: all},
		"attention only":    {AttentionOnly: true, Keys: all},
		"one basis":         {Keys: schema.Keys{All: true, QueryBasis: "unembed"}},
		"bases of no keys":  {Keys: schema.Keys{QueryBasis: "unembed", KeyBasis: "mlp0"}},
	} {
		if err := o.Validate(); !errors.Is(err, engine.ErrOptions) {
			t.Errorf("%s: %v, want %v", name, err, engine.ErrOptions)
		}
	}
	for _, bases := range [][2]string{{"unembed", "mlp1"}, {"sub_unembed", "mlp0"}, {"unembed+baseline", "mlp0"}} {
		o := engine.Options{Heads: []schema.Head{{Layer: 2, Index: 1}}, Keys: schema.Keys{All: true, QueryBasis: bases[0], KeyBasis: bases[1]}}
		if e, err := engine.Open(filepath.Join(refdata.M2(t), "model"), o); !errors.Is(err, engine.ErrBasis) {
			t.Errorf("rows split by %v: %v, want %v", bases, err, engine.ErrBasis)
			if err == nil {
				e.Close()
			}
		}
	}
}
