package schematest

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// GPT2Small has the shape of GPT-2 small (Radford et al. 2019); it names no weights.
func GPT2Small() schema.Model {
	return schema.Model{Name: "gpt2-shape", SHA256: fmt.Sprintf("%064d", 0), NLayers: 12, NHeads: 12, DModel: 768, DHead: 64,
		DMLP: 3072, DVocab: 50257, NCtx: 1024, LNEps: 1e-5, Activation: "gelu_new"}
}

// Example is a prompt of five made-up tokens, the last of which attends to the second (key) and is
// compared with the third (baseline).
func Example(i int) schema.Example {
	e := schema.Example{Index: i, Query: 4, Key: 1, Baseline: 2, RandomName: schema.NoToken, RandomToken: schema.NoToken}
	for pos, text := range []string{"<|endoftext|>", " Mary", " John", " gave", " to"} {
		e.Tokens = append(e.Tokens, schema.Token{ID: pos, Text: text})
	}
	e.Prompt = schema.Prompt{Text: " Mary John gave to", Query: schema.AtIndex(-1), Key: schema.AtWord("Mary"),
		Baseline: schema.AtWord("John"), Template: "[A] [B] gave to", Order: "ABBA"}
	return e
}

// Finish makes a head's result from its contributions: the scores to key and baseline (NaN without a baseline), an
// attention row that has them and is 0 elsewhere, and the closure residual.
func Finish(e schema.Example, head schema.Head, score, baseline float32, list []schema.Contribution) schema.HeadResult {
	nan := float32(math.NaN())
	r := schema.HeadResult{Head: head, Contributions: list, Attention: make([]schema.Attention, e.Query+1)}
	r.Score = schema.Score{Score: score, Baseline: nan, BaselineProb: nan, QueryScale: 1, KeyScale: 1, BaselineScale: nan}
	r.Attention[e.Key].Score = score
	if e.Baseline != schema.NoPosition {
		r.Attention[e.Baseline].Score = baseline
		r.Score.Baseline, r.Score.BaselineScale = baseline, 1
	}
	var total float64
	for _, a := range r.Attention {
		total += math.Exp(float64(a.Score))
	}
	for i, a := range r.Attention {
		r.Attention[i].Prob = float32(math.Exp(float64(a.Score)) / total)
	}
	r.Score.Prob = r.Attention[e.Key].Prob
	if e.Baseline != schema.NoPosition {
		r.Score.BaselineProb = r.Attention[e.Baseline].Prob
	}
	r.Score.Closure = closure(r.Score, list)
	return r
}

// closure gives the largest distance between a score and the sum of its contributions.
func closure(s schema.Score, list []schema.Contribution) float64 {
	type group struct {
		side                 schema.Side
		queryBasis, keyBasis int
	}
	sums := map[group]*[2]float64{}
	for _, c := range list {
		g := group{c.Side, c.QueryBasis, c.KeyBasis}
		if sums[g] == nil {
			sums[g] = new([2]float64)
		}
		for _, q := range schema.Quadrants() {
			sums[g][0] += float64(c.Score[q])
			sums[g][1] += float64(c.Baseline[q])
		}
	}
	worst := 0.0
	for _, sum := range sums {
		for _, d := range []float64{sum[0] - float64(s.Score), sum[1] - float64(s.Baseline)} {
			if d = math.Abs(d); d > worst { // false for NaN
				worst = d
			}
		}
	}
	return worst
}

// Bases lists a few ways to split: none and one subspace on each side, and none else.
func Bases() []schema.Basis {
	return []schema.Basis{
		{Side: schema.Query, Kind: schema.Whole, Name: "none", Description: "not split"},
		{Side: schema.Query, Kind: schema.Subspace, Name: "unembed", Dimension: 1, Description: "W_U of the key token"},
		{Side: schema.Key, Kind: schema.Whole, Name: "none", Description: "not split"},
		{Side: schema.Key, Kind: schema.Subspace, Name: "mlp0", Dimension: 1, Description: "output of MLP0"},
	}
}

// Synthetic inserts an exact run of random contributions that add up: examples prompts, for the heads of a model of
// GPT-2 small's shape, over [Bases]. The same seed gives the same numbers. It returns the run_id.
func Synthetic(tb testing.TB, db *dbfile.DB, seed uint64, examples int, heads ...schema.Head) int {
	tb.Helper()
	run := schema.Run{Model: GPT2Small(), Heads: heads, Bases: Bases(), Seed: int64(seed), BOS: true}
	return Insert(tb, db, run, Random(run, seed, examples))
}

// Random makes results for a run: contributions drawn from a normal distribution around a mean per component, so
// arranged that every side and pair of bases adds up to the same score. Every pair of bases must be of kind Whole or Subspace.
func Random(run schema.Run, seed uint64, examples int) []schema.Result {
	rng := rand.New(rand.NewPCG(seed, 1))
	var results []schema.Result
	for i := range examples {
		result := schema.Result{Example: Example(i)}
		for _, head := range run.Heads {
			score, baseline := float32(2+rng.NormFloat64()), float32(rng.NormFloat64())
			var list []schema.Contribution
			for _, side := range []schema.Side{schema.Query, schema.Key} {
				list = append(list, randomSide(rng, run, head, side, score, baseline)...)
			}
			result.Heads = append(result.Heads, Finish(result.Example, head, score, baseline, list))
		}
		results = append(results, result)
	}
	return results
}

// randomSide splits score and baseline over the components of one side, the same for every pair of bases before
// it is divided among the quadrants.
func randomSide(rng *rand.Rand, run schema.Run, head schema.Head, side schema.Side, score, baseline float32) []schema.Contribution {
	components := SideComponents(run.Model, run.Convention, head, side)
	bias := components[len(components)-1]
	shares := make(map[int][2]float64, len(components))
	rest := [2]float64{float64(score), float64(baseline)}
	for _, c := range components {
		if c == bias {
			shares[c] = rest
			break
		}
		for p := range rest {
			x := rng.NormFloat64() / 10
			rest[p] -= x
			v := shares[c]
			v[p] = x
			shares[c] = v
		}
	}
	var list []schema.Contribution
	for qi, q := range run.Bases {
		for ki, k := range run.Bases {
			if q.Side != schema.Query || k.Side != schema.Key {
				continue
			}
			for _, c := range components {
				row := schema.Contribution{Side: side, Component: c, QueryBasis: qi, KeyBasis: ki}
				row.Score = divide(rng, shares[c][0], q, k)
				row.Baseline = divide(rng, shares[c][1], q, k)
				list = append(list, row)
			}
		}
	}
	return list
}

// divide spreads x over the quadrants that the bases leave open.
func divide(rng *rand.Rand, x float64, q, k schema.Basis) (out [4]float32) {
	rest := x
	for _, quadrant := range schema.Quadrants() {
		queryPar := quadrant == schema.ParPar || quadrant == schema.ParPerp
		keyPar := quadrant == schema.ParPar || quadrant == schema.PerpPar
		switch {
		case quadrant == schema.PerpPerp:
			out[quadrant] = float32(rest)
		case (queryPar && q.Kind == schema.Whole) || (keyPar && k.Kind == schema.Whole):
		default:
			part := x * rng.Float64() / 3
			out[quadrant] = float32(part)
			rest -= part
		}
	}
	return out
}

// SideComponents lists the components that a run has rows for on one side of a head, the bias last. The notebook
// convention has none for b_O.
func SideComponents(m schema.Model, convention schema.Convention, head schema.Head, side schema.Side) []int {
	all := schema.Components(m.NLayers, m.NHeads)
	var list []int
	for i, c := range all[:schema.StreamComponents(head.Layer, m.NHeads)] {
		if c.Kind != schema.AttnBias || convention == schema.Exact {
			list = append(list, i)
		}
	}
	bias := schema.QBias
	if side == schema.Key {
		bias = schema.KBias
	}
	return append(list, slices.IndexFunc(all, func(c schema.Component) bool { return c.Kind == bias }))
}

// Panel is one published heatmap: a value per component, for one side, one pair of bases and one quadrant.
// A heatmap that is not split has the bases none and the quadrant perp_perp.
type Panel struct {
	Side                 schema.Side
	QueryBasis, KeyBasis string
	Quadrant             schema.Quadrant
	Values               map[string]float32 // by component label, such as MLP0
}

// Panels inserts published heatmaps as one complete notebook run of a model of GPT-2 small's shape, with
// one head and one example: a value becomes the score, and the baseline 0, so that the difference is
// the value again. It returns the run_id. Sides and pairs of bases that no panel has are missing: let
// [NewDB] tolerate [dbfile.Incomplete].
func Panels(tb testing.TB, db *dbfile.DB, head schema.Head, panels []Panel) int {
	tb.Helper()
	run := schema.Run{Model: GPT2Small(), Heads: []schema.Head{head}, Convention: schema.Notebook, PromptSource: "published", BOS: true}
	numbers := map[string]int{}
	for i, c := range schema.Components(run.Model.NLayers, run.Model.NHeads) {
		numbers[c.Label()] = i
	}
	basis := func(side schema.Side, name string) int {
		i := slices.IndexFunc(run.Bases, func(b schema.Basis) bool { return b.Side == side && b.Name == name })
		if i < 0 {
			b := schema.Basis{Side: side, Kind: schema.Subspace, Name: name, Dimension: 1, Description: name}
			if name == "none" {
				b.Kind, b.Dimension = schema.Whole, 0
			}
			i, run.Bases = len(run.Bases), append(run.Bases, b)
		}
		return i
	}
	var list []schema.Contribution
	var score float64
	for _, p := range panels {
		q, k := basis(schema.Query, p.QueryBasis), basis(schema.Key, p.KeyBasis)
		for _, label := range slices.Sorted(maps.Keys(p.Values)) { // the same order every time
			number, ok := numbers[label]
			if !ok {
				tb.Fatalf("component %q is none of the model", label)
			}
			value := p.Values[label]
			same := func(c schema.Contribution) bool {
				return c.Side == p.Side && c.Component == number && c.QueryBasis == q && c.KeyBasis == k
			}
			i := slices.IndexFunc(list, same)
			if i < 0 {
				i, list = len(list), append(list, schema.Contribution{Side: p.Side, Component: number, QueryBasis: q, KeyBasis: k})
			}
			list[i].Score[p.Quadrant] += value
			score += float64(value)
		}
	}
	if len(panels) > 0 {
		score /= float64(len(panels))
	}
	e := Example(0)
	return Insert(tb, db, run, []schema.Result{{Example: e, Heads: []schema.HeadResult{Finish(e, head, float32(score), 0, list)}}})
}
