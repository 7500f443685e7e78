package schematest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// GPT2Small returns a model with the shape of GPT-2 small (Radford et al. 2019), without weights.
func GPT2Small() schema.Model {
	return schema.Model{Name: "gpt2-shape", Family: "gpt2", SHA256: fmt.Sprintf("%064d", 0),
		ConfigSHA: fmt.Sprintf("%064d", 1), NLayers: 12, NHeads: 12, NKVHeads: 12,
		DModel: 768, DHead: 64, DMLP: 3072, DVocab: 50257, NCtx: 1024, Norm: "LN", LNEps: 1e-5,
		Activation: "gelu_new"}
}

// Layout returns the layout of a model with all components of GPT-2.
func Layout(m schema.Model) schema.Layout {
	return schema.Layout{Layers: m.NLayers, Heads: m.NHeads, Position: true, AttnBias: true, QKBias: true}
}

// Targets returns heads of GPT-2 small as targets.
func Targets(heads ...schema.Head) (list []schema.Target) {
	for _, h := range heads {
		list = append(list,
			schema.Target{Head: h, KVHead: h.Index, ScoreScale: 1.0 / 8, SinkLogit: math.NaN()})
	}
	return list
}

// Example returns a prompt of five made-up tokens. The last one attends to the second (key), compared with
// the third (baseline).
func Example(i int) schema.Example {
	e := schema.Example{Index: i, PromptIndex: i, Query: 4, Key: 1, Baseline: 2, RandomName: schema.NoToken,
		RandomToken: schema.NoToken}
	for pos, text := range []string{"<|endoftext|>", " Mary", " John", " gave", " to"} {
		e.Tokens = append(e.Tokens, schema.Token{ID: pos, Text: text})
	}
	e.Prompt = schema.Prompt{Text: " Mary John gave to", Query: schema.AtIndex(-1),
		Key:      schema.AtWord("Mary"),
		Baseline: schema.AtWord("John"), Template: "[A] [B] gave to", Order: "ABBA"}
	return e
}

// Finish makes a head's result from its contributions: the scores at key and baseline (NaN without a
// baseline), an attention row with these scores and 0 elsewhere, and the closure residual.
func Finish(e schema.Example, head schema.Head, score, baseline float32,
	list []schema.Contribution) schema.HeadResult {
	nan := float32(math.NaN())
	r := schema.HeadResult{Head: head, Contributions: list, Attention: make([]schema.Attention, e.Query+1)}
	r.Score = schema.Score{Score: score, Baseline: nan, BaselineProb: nan, QueryScale: 1, KeyScale: 1,
		BaselineScale: nan,
		SinkProb:      nan, QueryNormScale: nan, KeyNormScale: nan, BaselineNormScale: nan}
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

// closure returns the largest distance between a score and the sum of its contributions.
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

// Bases returns the bases none and one subspace on each side.
func Bases() []schema.Basis {
	return []schema.Basis{
		{Side: schema.Query, Kind: schema.Whole, Name: "none", Description: "not split"},
		{Side: schema.Query, Kind: schema.Subspace, Name: "unembed", Dimension: 1,
			Description: "W_U of the key token"},
		{Side: schema.Key, Kind: schema.Whole, Name: "none", Description: "not split"},
		{Side: schema.Key, Kind: schema.Subspace, Name: "mlp0", Dimension: 1, Description: "output of MLP0"},
	}
}

// Synthetic inserts an exact run of random contributions that add up, for the given number of examples and
// heads of a model of GPT-2 small's shape, over [Bases]. The same seed gives the same numbers. It returns the
// run_id.
func Synthetic(tb testing.TB, db *dbfile.DB, seed uint64, examples int, heads ...schema.Head) int {
	tb.Helper()
	run := schema.Run{Model: GPT2Small(), Heads: Targets(heads...), Bases: Bases(),
		Seed: int64(seed), BOS: true}
	return Insert(tb, db, run, Random(run, seed, examples))
}

// AllBases returns bases of every kind: those of [Bases], more subspaces, replacements and two random
// directions.
func AllBases() []schema.Basis {
	list := Bases()
	list = slices.Insert(list, 2,
		schema.Basis{Side: schema.Query, Kind: schema.Subspace, Name: "unembed+baseline", Dimension: 2,
			Description: "W_U of the key and the baseline token"},
		schema.Basis{Side: schema.Query, Kind: schema.Replacement, Name: "sub_unembed",
			Description: "query replaced by W_U of the key token"},
		schema.Basis{Side: schema.Query, Kind: schema.Subspace, Name: schema.NullBasis(0), Dimension: 1,
			Description: "random"},
		schema.Basis{Side: schema.Query, Kind: schema.Subspace, Name: schema.NullBasis(1), Dimension: 1,
			Description: "random"})
	return append(list,
		schema.Basis{Side: schema.Key, Kind: schema.Replacement, Name: "sub_mlp0",
			Description: "key replaced by the output of MLP0"},
		schema.Basis{Side: schema.Key, Kind: schema.Subspace, Name: schema.NullBasis(0), Dimension: 1,
			Description: "random"},
		schema.Basis{Side: schema.Key, Kind: schema.Subspace, Name: schema.NullBasis(1), Dimension: 1,
			Description: "random"})
}

// FullOptions is the value of Run.Options for contributions to every key and the two nearest tokens.
const FullOptions = `{"keys": "all", "nearest": 2}`

// Full inserts a run like that of [Synthetic] with rows in every table: over [AllBases], with factors, all
// pairs, logits, norms, ablations, sources, contributions to every key, nearest tokens, and the movers 0.1
// and 0.0. Target heads must be in layers above 0.
func Full(tb testing.TB, db *dbfile.DB, seed uint64, examples int, heads ...schema.Head) int {
	tb.Helper()
	run := schema.Run{Model: GPT2Small(), Heads: Targets(heads...), Bases: AllBases(),
		Movers: []schema.Head{{Layer: 0, Index: 1}, {Layer: 0, Index: 0}},
		Seed:   int64(seed), BOS: true, Factors: true, Pairs: true, Logits: true, Gram: []int{0, 3, 5},
		Options: FullOptions}
	id := Insert(tb, db, run, AddSources(run, AddNorms(run, AddLayerScales(Random(run, seed, examples)))))
	AddMeasures(tb, db, id)
	AddAblations(tb, db, id)
	return id
}

// AddMeasures adds made-up measures of heads on the prompts of a run.
func AddMeasures(tb testing.TB, db *dbfile.DB, run int) {
	tb.Helper()
	conn, err := db.Conn(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if err := db.InTx(tb.Context(), conn, func() error {
		_, err := conn.ExecContext(tb.Context(), `INSERT INTO head_measure (run_id, prompt_id, head_id, measure, n, value)
			SELECT p.run_id, p.prompt_id, h.head_id, m.measure, p.n_tokens - (m.measure <> 'self')::INTEGER, (0.1 + (7 * p.prompt_id + 3 * h.head_id + length(m.measure)) % 10 / 20)::FLOAT
			FROM prompt AS p JOIN head AS h ON h.run_id = p.run_id,
				(SELECT unnest(['previous', 'first', 'self', 'duplicate', 'induction', 'entropy', 'distance', 'above']) AS measure) AS m
			WHERE p.run_id = ? ORDER BY ALL`, run)
		return err
	}); err != nil {
		tb.Fatalf("insert measures: %v", err)
	}
}

// SideComponents lists the components of one side of a head in a run, the bias last. The notebook convention
// has no rows for b_O.
func SideComponents(m schema.Model, convention schema.Convention, head schema.Head, side schema.Side) []int {
	layout := Layout(m)
	all := layout.Components()
	var list []int
	for i, c := range all[:layout.Below(head.Layer)] {
		if c.Kind != schema.AttnBias || convention == schema.Exact {
			list = append(list, i)
		}
	}
	if side == schema.Key {
		return append(list, layout.KBias())
	}
	return append(list, layout.QBias())
}

// Panel is one published heatmap: a value for each component, for one side, one pair of bases and one
// quadrant. An unsplit heatmap has the bases none and the quadrant perp_perp.
type Panel struct {
	Side                 schema.Side
	QueryBasis, KeyBasis string
	Quadrant             schema.Quadrant
	Values               map[string]float32 // by component label, such as MLP0
}

// Panels inserts published heatmaps as one complete notebook run of a model of GPT-2 small's shape, with one
// head and one example. A value becomes the score, and the baseline is 0, so the difference is the value. It
// returns the run_id. Sides and pairs of bases without a panel are missing, so [NewDB] must tolerate
// [verify.Incomplete].
func Panels(tb testing.TB, db *dbfile.DB, head schema.Head, panels []Panel) int {
	tb.Helper()
	run := schema.Run{Model: GPT2Small(), Heads: Targets(head), Convention: schema.Notebook,
		PromptSource: "published", BOS: true}
	numbers := map[string]int{}
	for i, c := range Layout(run.Model).Components() {
		numbers[c.Label()] = i
	}
	basis := func(side schema.Side, name string) int {
		i := slices.IndexFunc(run.Bases,
			func(b schema.Basis) bool { return b.Side == side && b.Name == name })
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
		for _, label := range slices.Sorted(maps.Keys(p.Values)) { // in a fixed order
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
				i, list = len(list), append(list,
					schema.Contribution{Side: p.Side, Component: number, QueryBasis: q, KeyBasis: k})
			}
			list[i].Score[p.Quadrant] += value
			score += float64(value)
		}
	}
	if len(panels) > 0 {
		score /= float64(len(panels))
	}
	e := Example(0)
	return Insert(tb, db, run,
		[]schema.Result{{Example: e, Heads: []schema.HeadResult{Finish(e, head, float32(score), 0, list)}}})
}
