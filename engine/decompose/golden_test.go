package decompose_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// The bases that the reference's call arguments can ask for, by their index in the inputs below.
var (
	goldenQueryBases = []string{"none", "unembed", "unembed+baseline", "sub_unembed"}
	goldenKeyBases   = []string{"none", "mlp0", "mlp0+attn0", "effective", "effective+attn0", "sub_mlp0"}
)

// call is one call of the reference's decomposition, and the part of its answer that a row of an array holds.
type call struct {
	Row              int
	DecomposeBy      string   `json:"decompose_by"`
	Subtract         bool     `json:"subtract_S1_attn_scores"`
	InterveneOnQuery *string  `json:"intervene_on_query"`
	InterveneOnKey   *string  `json:"intervene_on_key"`
	IncludeS1        bool     `json:"include_S1_in_unembed_projection"`
	EffectiveEmbed   bool     `json:"use_effective_embedding"`
	Layer0Heads      bool     `json:"use_layer0_heads"`
	Part             []string `json:"part"`

	// In identities.json only: means and maximum over the prompts.
	MeanSum        float64 `json:"mean_sum"`
	MeanModelScore float64 `json:"mean_model_score"`
	MaxAbsBO       float64 `json:"max_abs_bO_term"`
}

// callIndex is an index file: what the rows of its array are.
type callIndex struct {
	Head [2]int
	Rows []call
}

func (c call) side() schema.Side {
	if c.DecomposeBy == "keys" {
		return schema.Key
	}
	return schema.Query
}

func (c call) queryBasis() string {
	switch {
	case c.InterveneOnQuery == nil:
		return "none"
	case *c.InterveneOnQuery == "sub_W_U_IO":
		return "sub_unembed"
	case c.IncludeS1:
		return "unembed+baseline"
	}
	return "unembed"
}

func (c call) keyBasis() string {
	if c.InterveneOnKey == nil {
		return "none"
	}
	if *c.InterveneOnKey == "sub_MLP0" {
		return "sub_mlp0"
	}
	name := "mlp0"
	if c.EffectiveEmbed {
		name = "effective"
	}
	if c.Layer0Heads {
		name += "+attn0"
	}
	return name
}

// quadrants are those that the part adds up: both parts of a side that it calls unchanged or replaced.
func (c call) quadrants() []schema.Quadrant {
	query, key := []int{0, 1}, []int{0, 1}
	for _, part := range c.Part {
		switch part {
		case "IO_dir":
			query = []int{0}
		case "IO_perp":
			query = []int{1}
		case "MLP0_dir":
			key = []int{0}
		case "MLP0_perp":
			key = []int{1}
		}
	}
	var list []schema.Quadrant
	for _, q := range query {
		for _, k := range key {
			list = append(list, schema.Quadrants()[2*q+k])
		}
	}
	return list
}

// group names what the rows of one printed difference share.
func (c call) group() string {
	baseline := "to IO"
	if c.Subtract {
		baseline = "IO - S1"
	}
	return fmt.Sprintf("%s side, query %s, key %s, %s", c.side(), c.queryBasis(), c.keyBasis(), baseline)
}

// share gives the entries of the call in one table: the score's, or score less baseline.
func (c call) share(t decompose.Table) []float64 {
	out := make([]float64, len(t.Score))
	for i := range out {
		for _, q := range c.quadrants() {
			out[i] += t.Score[i][q]
			if c.Subtract {
				out[i] -= t.Baseline[i][q]
			}
		}
	}
	return out
}

// table finds the call's table among those of an output.
func (c call) table(tb testing.TB, out decompose.Output) decompose.Table {
	tb.Helper()
	for _, t := range out.Tables {
		if t.Side == c.side() && goldenQueryBases[t.QueryBasis] == c.queryBasis() && goldenKeyBases[t.KeyBasis] == c.keyBasis() {
			return t
		}
	}
	tb.Fatalf("no table for %s", c.group())
	return decompose.Table{}
}

// reference is a model of the reference data with the examples its arrays are about.
type reference[T blas.Float] struct {
	layout    schema.Layout
	heads     int
	head      schema.Head
	inputs    []decompose.Input[T]
	model     *model.Model[T]
	cache     *model.Cache[T]
	sequences []model.Sequence // positions END, IO, S1
}

// load runs prompt set A (N=50, seed 42, BOS) through the model in dir, and makes inputs for head.
func load[T blas.Float](tb testing.TB, dir string, head schema.Head) reference[T] {
	tb.Helper()
	arrays := refdata.Npz(tb, filepath.Join(dir, "golden", "forward_A_f64.npz"))
	toks, positions := arrays["toks"], arrays["positions_end_io_s1"]
	var sequences []model.Sequence
	for p := range toks.Shape[0] {
		end := positions.Ints(0, p)[0]
		sequences = append(sequences, model.Sequence{
			Tokens:    toks.Ints(p)[:end+1],
			Positions: []int{end, positions.Ints(1, p)[0], positions.Ints(2, p)[0]},
		})
	}
	return loadSequences[T](tb, dir, head, sequences)
}

// loadSequences runs prompts, whose positions are END, IO and S1, through the model in dir.
func loadSequences[T blas.Float](tb testing.TB, dir string, head schema.Head, sequences []model.Sequence) reference[T] {
	tb.Helper()
	model := modeltest.Load[T](tb, modeltest.OpenPath(tb, filepath.Join(dir, "model")), "auto", schema.Processed, 1)
	cache, err := model.Forward(tb.Context(), sequences, []schema.Head{head})
	if err != nil {
		tb.Fatal(err)
	}
	spec, layout := model.Spec(), model.Layout()
	r := reference[T]{layout: layout, heads: spec.Heads, head: head, model: model, cache: cache, sequences: sequences}
	qk := model.QK(head)
	for seq, s := range sequences {
		scores := cache.Scores(head, seq, 0)
		at := func(i int) decompose.Position[T] {
			p := decompose.Position[T]{
				Components: cache.ComponentsBefore(head.Layer, seq, i),
				Stream:     cache.ResidPre(head.Layer, seq, i),
				Scale:      cache.NormScale(head.Layer, seq, i),
				Score:      scores[s.Positions[i]],
				Vector:     cache.K(head, seq, i),
			}
			if i == 0 {
				p.Vector = cache.Q(head, seq, i)
			}
			return p
		}
		baseline := at(2)
		in := decompose.Input[T]{
			Convention: schema.Notebook,
			Norm:       decompose.Norm{Eps: spec.Norm.Eps},
			AttnScale:  spec.AttnScale,
			Components: layout.Components()[:layout.Below(head.Layer)],
			Maps:       decompose.Maps[T]{WQ: qk.WQ, WK: qk.WK, BQ: qk.BQ, BK: qk.BK},
			Query:      at(0), Key: at(1), Baseline: &baseline,
		}
		io, s1 := s.Tokens[s.Positions[1]], s.Tokens[s.Positions[2]]
		for _, name := range goldenQueryBases {
			b, err := decompose.QueryBasis(ln, name, model, io, s1, in.Query.Components, layout)
			if err != nil {
				tb.Fatal(err)
			}
			in.QueryBases = append(in.QueryBases, b)
		}
		for _, name := range goldenKeyBases {
			var b decompose.KeyBases
			if b.AtKey, err = decompose.KeyBasis(ln, name, model, io, in.Key.Components, layout); err != nil {
				tb.Fatal(err)
			}
			if b.AtBaseline, err = decompose.KeyBasis(ln, name, model, s1, in.Baseline.Components, layout); err != nil {
				tb.Fatal(err)
			}
			in.KeyBases = append(in.KeyBases, b)
		}
		r.inputs = append(r.inputs, in)
	}
	return r
}

// outputs decomposes every example.
func (r reference[T]) outputs(tb testing.TB, convention schema.Convention) []decompose.Output {
	tb.Helper()
	list := make([]decompose.Output, len(r.inputs))
	for i, in := range r.inputs {
		in.Convention = convention
		var err error
		if list[i], err = decompose.Contributions(in); err != nil {
			tb.Fatal(err)
		}
	}
	return list
}

// cells lays the call's entries out as the reference does, [1 + L, n_heads + 1].
func (r reference[T]) cells(tb testing.TB, c call, out decompose.Output) []float64 {
	tb.Helper()
	width := r.heads + 1
	grid := make([]float64, (1+r.head.Layer)*width)
	entries := c.share(c.table(tb, out))
	for i, row := range out.Rows {
		y, x := r.inputs[0].Components[row].Grid(r.heads)
		grid[y*width+x] = entries[i]
	}
	bias := schema.Component{Kind: schema.KBias}
	y, x := bias.Grid(r.heads)
	grid[y*width+x] = entries[len(entries)-1]
	return grid
}

// folders lists the reference folders there are: the one in the repository always, the full ones where they
// lie beside the checkout.
func folders(t *testing.T, run func(t *testing.T, dir, stem string)) {
	t.Run("m2", func(t *testing.T) { run(t, refdata.M2(t), "decompose_target") })
	t.Run("full/m2", func(t *testing.T) { run(t, refdata.Goldens(t, "m2"), "decompose_target") })
	t.Run("full/m1", func(t *testing.T) { run(t, refdata.Goldens(t, "m1"), "decompose_target") })
	t.Run("full/m1 second head", func(t *testing.T) { run(t, refdata.Goldens(t, "m1"), "decompose_second") })
}

// readIndex reads an index file and the array it describes.
func readIndex(t *testing.T, dir, index, array string) (callIndex, refdata.Array) {
	t.Helper()
	var calls callIndex
	refdata.JSON(t, filepath.Join(dir, "golden", index+"_index.json"), &calls)
	values := refdata.Npy(t, filepath.Join(dir, "golden", array+".npy"))
	if len(calls.Rows) == 0 || len(calls.Rows) != values.Shape[0] {
		t.Fatalf("%s has %d rows, its array %v", index, len(calls.Rows), values.Shape)
	}
	return calls, values
}

// grouped collects pairs of numbers by name and compares each group at the end.
type grouped struct {
	got, want map[string][]float64
}

func (g *grouped) add(group string, got, want []float64) {
	if g.got == nil {
		g.got, g.want = map[string][]float64{}, map[string][]float64{}
	}
	g.got[group] = append(g.got[group], got...)
	g.want[group] = append(g.want[group], want...)
}

func (g *grouped) compare(t *testing.T, tol refdata.Tolerance) {
	t.Helper()
	var names []string
	for name := range g.got {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		refdata.Compare(t, name, g.got[name], g.want[name], tol)
	}
}

func TestReferenceMeans(t *testing.T) {
	folders(t, func(t *testing.T, dir, stem string) {
		calls, values := readIndex(t, dir, stem, stem+"_f64")
		if len(calls.Rows) != 360 {
			t.Errorf("%d rows, want the 360 of a full set of calls", len(calls.Rows))
		}
		head := schema.Head{Layer: calls.Head[0], Index: calls.Head[1]}
		t.Run("float64", func(t *testing.T) {
			compareMeans(t, load[float64](t, dir, head), calls, values, refdata.Float64)
		})
		t.Run("float32", func(t *testing.T) {
			compareMeans(t, load[float32](t, dir, head), calls, values, refdata.Float32Mean)
		})
	})
}

func compareMeans[T blas.Float](t *testing.T, r reference[T], calls callIndex, values refdata.Array, tol refdata.Tolerance) {
	outs := r.outputs(t, schema.Notebook)
	var groups grouped
	for _, c := range calls.Rows {
		mean := make([]float64, values.Shape[1]*values.Shape[2])
		for _, out := range outs {
			for i, v := range r.cells(t, c, out) {
				mean[i] += v / float64(len(outs))
			}
		}
		groups.add(c.group(), mean, values.At(c.Row))
	}
	groups.compare(t, tol)
}

func TestReferencePrompts(t *testing.T) {
	folders(t, func(t *testing.T, dir, stem string) {
		if stem != "decompose_target" {
			t.Skip("the reference has no cells by prompt for the second head")
		}
		calls, values := readIndex(t, dir, "per_prompt", "per_prompt_f64")
		head := schema.Head{Layer: calls.Head[0], Index: calls.Head[1]}
		t.Run("float64", func(t *testing.T) {
			comparePrompts(t, load[float64](t, dir, head), calls, values, refdata.Float64)
		})
		t.Run("float32", func(t *testing.T) {
			comparePrompts(t, load[float32](t, dir, head), calls, values, refdata.Float32)
		})
	})
}

func comparePrompts[T blas.Float](t *testing.T, r reference[T], calls callIndex, values refdata.Array, tol refdata.Tolerance) {
	outs := r.outputs(t, schema.Notebook)
	var groups grouped
	for _, c := range calls.Rows {
		for p, out := range outs {
			groups.add(c.group(), r.cells(t, c, out), values.At(c.Row, p))
		}
	}
	groups.compare(t, tol)
}

// The notebook's cells miss the model's score by b_O and by the norm of the fixed side; the exact ones do
// not.
func TestReferenceIdentities(t *testing.T) {
	folders(t, func(t *testing.T, dir, stem string) {
		if stem != "decompose_target" {
			t.Skip("the reference has no identities for the second head")
		}
		calls, _ := readIndex(t, dir, stem, stem+"_f64")
		head := schema.Head{Layer: calls.Head[0], Index: calls.Head[1]}
		t.Run("float64", func(t *testing.T) {
			compareIdentities(t, load[float64](t, dir, head), dir, refdata.Float64)
		})
		t.Run("float32", func(t *testing.T) {
			compareIdentities(t, load[float32](t, dir, head), dir, refdata.Float32)
		})
	})
}

func compareIdentities[T blas.Float](t *testing.T, r reference[T], dir string, tol refdata.Tolerance) {
	terms := refdata.Npz(t, filepath.Join(dir, "golden", "identity_terms_f64.npz"))
	var entries []call
	refdata.JSON(t, filepath.Join(dir, "golden", "identities.json"), &entries)
	notebook, exact := r.outputs(t, schema.Notebook), r.outputs(t, schema.Exact)

	// The notebook's arithmetic with its b_O rows put back: the rows are kept once they have another kind.
	complete := r
	complete.inputs = slices.Clone(r.inputs)
	var biases []int
	for i, in := range complete.inputs {
		in.Components = slices.Clone(in.Components)
		for row, c := range in.Components {
			if c.Kind == schema.AttnBias {
				in.Components[row].Kind = schema.MLP
				if i == 0 {
					biases = append(biases, row)
				}
			}
		}
		complete.inputs[i] = in
	}
	completed := complete.outputs(t, schema.Notebook)

	var groups grouped
	term := func(name string, p int) float64 {
		a, ok := terms[name]
		if !ok {
			t.Fatalf("no term %s", name)
		}
		return a.Float64[p]
	}
	// total adds up the given rows of a call, all rows where there are none.
	total := func(c call, out decompose.Output, rows []int) float64 {
		entries := c.share(c.table(t, out))
		sum := 0.0
		for i, v := range entries {
			if rows == nil || i < len(out.Rows) && slices.Contains(rows, out.Rows[i]) {
				sum += v
			}
		}
		return sum
	}
	for _, c := range entries {
		// What the reference's terms call the fixed side of this call.
		stem := "keys_q_" + map[string]string{"none": "none", "sub_unembed": "sub"}[c.queryBasis()]
		if c.side() == schema.Query {
			stem = "queries_k_" + map[string]string{"none": "none", "sub_mlp0": "none"}[c.keyBasis()]
		}
		if strings.HasSuffix(stem, "_") {
			stem += "project"
		}
		value := func(what string, p int) float64 {
			v := term(stem+"_"+what+"_io", p)
			if c.Subtract {
				v -= term(stem+"_"+what+"_s1", p)
			}
			return v
		}
		var meanSum, meanScore, maxBO float64
		for p := range r.inputs {
			sum := total(c, notebook[p], nil)
			groups.add("cells = score - b_O: "+c.group(), []float64{sum}, []float64{value("score", p) - value("bO", p)})
			bO := total(c, completed[p], biases)
			groups.add("b_O rows, the notebook's fixed side: "+c.group(), []float64{bO}, []float64{value("bO", p)})
			meanSum += sum / float64(len(r.inputs))
			maxBO = max(maxBO, math.Abs(bO))
			score := term("score_io", p)
			if c.Subtract {
				score -= term("score_s1", p)
			}
			meanScore += score / float64(len(r.inputs))

			replaced := c.queryBasis() == "sub_unembed" || c.keyBasis() == "sub_mlp0"
			if replaced {
				continue // another score, another arithmetic: the closure covers it
			}
			groups.add("exact cells = the model's score: "+c.group(), []float64{total(c, exact[p], nil)}, []float64{score})
			if strings.HasSuffix(stem, "none") {
				groups.add("exact b_O rows = what the notebook misses: "+c.group(), []float64{total(c, exact[p], biases)}, []float64{value("bO", p)})
			}
		}
		groups.add("means of identities.json: "+c.group(), []float64{meanSum, meanScore, maxBO}, []float64{c.MeanSum, c.MeanModelScore, c.MaxAbsBO})
	}
	groups.compare(t, tol)

	tolerance := tolerance64
	if tol.Name != refdata.Float64.Name {
		tolerance = tolerance32
	}
	worst := 0.0
	for _, out := range exact {
		worst = max(worst, out.RelativeClosure)
	}
	t.Logf("largest relative closure, exact: %.2e", worst)
	if !(worst <= tolerance) {
		t.Errorf("relative closure %g, want at most %g", worst, tolerance)
	}
}
