package engine_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ducklens/engine"
	"ducklens/engine/blas"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// movers12 are the reference data's mover heads for testdata/m2.
var movers12 = []schema.Head{{Layer: 1, Index: 2}, {Layer: 1, Index: 3}}

// everything asks for everything about the reference data's target head.
func everything(tb testing.TB, options engine.Options) engine.Options {
	tb.Helper()
	options = head(tb, options)
	options.Movers = movers12
	options.Factors, options.Pairs, options.Substitutions, options.Projections = true, true, true, true
	return options
}

// promptSet returns the examples of a reference prompt set of testdata/m2.
func promptSet(tb testing.TB, name string) []schema.Example {
	tb.Helper()
	var sets map[string]struct {
		Tokens      [][]int
		End, IO, S1 []int
	}
	refdata.JSON(tb, filepath.Join(refdata.M2(tb), "golden", "prompt_tokens.json"), &sets)
	set, ok := sets[name]
	if !ok {
		tb.Fatalf("no prompt set %s", name)
	}
	var list []schema.Example
	for i, tokens := range set.Tokens {
		x := schema.Example{Index: i, Query: set.End[i], Key: set.IO[i], Baseline: set.S1[i], RandomName: schema.NoToken, RandomToken: schema.NoToken}
		for _, id := range tokens {
			x.Tokens = append(x.Tokens, schema.Token{ID: id})
		}
		list = append(list, x)
	}
	return list
}

// basisNamed returns the index of a basis.
func basisNamed(tb testing.TB, e *engine.Engine, side schema.Side, name string) int {
	tb.Helper()
	i := slices.IndexFunc(e.Bases(), func(b schema.Basis) bool { return b.Side == side && b.Name == name })
	if i < 0 {
		tb.Fatalf("no %s basis %s", side, name)
	}
	return i
}

// The margins of pair tables are the rows of the sides, and their sum is the score, in the form that ingest
// gets.
func TestPairsAddUp(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	examples := referenceExamples(t)[:6]
	examples[2].Baseline = schema.NoPosition
	for _, options := range []engine.Options{
		{},
		{Processing: schema.Raw, KeyBases: []string{"effective", "mlp0"}},
		{Precision: engine.Float64, NullBases: 2},
		{QueryBases: []string{"none"}, KeyBases: []string{"none"}},
	} {
		e := open(t, dir, everything(t, options))
		for _, r := range analyze(t, e, examples) {
			h := r.Heads[0]
			type place struct {
				side             schema.Side
				query, key, part int
			}
			sides := map[place][4]float32{}
			for _, c := range h.Contributions {
				sides[place{c.Side, c.QueryBasis, c.KeyBasis, c.Component}] = c.Score
			}
			if len(h.Pairs) == 0 {
				t.Fatal("no pair tables")
			}
			for _, table := range h.Pairs {
				rows, columns := len(table.QueryComponents), len(table.KeyComponents)
				if len(table.Score) != rows*columns || (table.Baseline != nil) != (r.Example.Baseline != schema.NoPosition) {
					t.Fatalf("%d scores for %d x %d pairs, %d baselines", len(table.Score), rows, columns, len(table.Baseline))
				}
				byQuery, byKey := make([][4]float64, rows), make([][4]float64, columns)
				score, baseline := 0.0, 0.0
				for i := range table.Score {
					for q, v := range table.Score[i] {
						byQuery[i/columns][q] += float64(v)
						byKey[i%columns][q] += float64(v)
						score += float64(v)
						if table.Baseline != nil {
							baseline += float64(table.Baseline[i][q])
						}
					}
				}
				compare := func(side schema.Side, components []int, margins [][4]float64) {
					for i, component := range components {
						want, ok := sides[place{side, table.QueryBasis, table.KeyBasis, component}]
						if !ok {
							t.Fatalf("no %s contribution of component %d under bases %d and %d", side, component, table.QueryBasis, table.KeyBasis)
						}
						for q := range want {
							if d := math.Abs(margins[i][q] - float64(want[q])); !(d <= 2e-5) {
								t.Errorf("%s component %d, quadrant %d: pairs add up to %g, contribution %g", side, component, q, margins[i][q], want[q])
							}
						}
					}
				}
				compare(schema.Query, table.QueryComponents, byQuery)
				compare(schema.Key, table.KeyComponents, byKey)
				if d := math.Abs(score - float64(h.Score.Score)); !(d <= 5e-5) {
					t.Errorf("pairs miss the score by %g", d)
				}
				if d := math.Abs(baseline - float64(h.Score.Baseline)); table.Baseline != nil && !(d <= 5e-5) {
					t.Errorf("pairs miss the baseline by %g", d)
				}
			}
		}
	}
}

func TestFactorsOfWhichBases(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	x := referenceExamples(t)[:1]
	for name, c := range map[string]struct {
		options engine.Options
		want    []string // axes of the query, then of the key
		tables  []string
	}{
		"default": {engine.Options{}, []string{"unembed", "unembed+baseline", "unembed+baseline", "mlp0"},
			[]string{"none none", "unembed mlp0", "unembed+baseline mlp0"}},
		"none":     {engine.Options{QueryBases: []string{"sub_unembed"}, KeyBases: []string{"none"}, NullBases: 2}, nil, []string{"none none"}},
		"one side": {engine.Options{QueryBases: []string{"none"}, KeyBases: []string{"mlp0"}}, []string{"mlp0"}, []string{"none none", "none mlp0"}},
	} {
		e := open(t, dir, everything(t, c.options))
		h := analyze(t, e, x)[0].Heads[0]
		if len(h.Factors) != 3 || h.Factors[0].Side != schema.Query || h.Factors[1].AtBaseline || !h.Factors[2].AtBaseline {
			t.Fatalf("%s: %d factors, want those of query, key and baseline", name, len(h.Factors))
		}
		var got, tables []string
		for i, f := range h.Factors {
			for _, a := range f.Axes {
				if i < 2 { // the baseline's are the key's
					got = append(got, e.Bases()[a.Basis].Name)
				}
				if len(a.Image) != 8 {
					t.Errorf("%s: an image of %d numbers, want d_head = 8", name, len(a.Image))
				}
			}
			// 2 + 2 (4+2) writers below layer 2, and the bias.
			if n := len(f.Components); n != 15 || len(f.Vectors) != n*8 || len(f.Coordinates) != n*len(f.Axes) {
				t.Errorf("%s: %d components, %d numbers, %d coordinates, want 15 of 8 numbers", name, n, len(f.Vectors), len(f.Coordinates))
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		for _, table := range h.Pairs {
			tables = append(tables, e.Bases()[table.QueryBasis].Name+" "+e.Bases()[table.KeyBasis].Name)
		}
		if d := cmp.Diff(c.tables, tables); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	// The notebook has no b_O.
	e := open(t, dir, everything(t, engine.Options{Convention: schema.Notebook}))
	if n := len(analyze(t, e, x)[0].Heads[0].Factors[0].Components); n != 13 {
		t.Errorf("notebook: factors of %d components, want 13", n)
	}
}

// pairTables multiplies factors in memory that was used before, for larger and for smaller tables.
func pairTables(e *engine.Engine, factors []schema.Factors, blasName string) ([]schema.PairTable, error) {
	pairs, err := engine.NewPairMaker(blasName, e.Bases())
	if err != nil {
		return nil, err
	}
	two := func(side schema.Side, value float32) schema.Factors {
		return schema.Factors{Side: side, Components: []int{7, 8}, DHead: 1, Vectors: []float32{value, value}}
	}
	for _, before := range [][]schema.Factors{{two(schema.Query, 1), two(schema.Key, 2)}, factors, {two(schema.Key, 3), two(schema.Query, 4)}} {
		if _, err := pairs.Tables(7, before); err != nil {
			return nil, err
		}
	}
	return pairs.Tables(e.Targets()[0].ScoreScale, factors)
}

// Factors read back from a file, in any order, give the same table to the bit.
func TestPairTablesOfFactors(t *testing.T) {
	t.Parallel()
	e := open(t, modelFolder(t), everything(t, engine.Options{}))
	h := analyze(t, e, referenceExamples(t)[:1])[0].Heads[0]
	for name, spoil := range map[string]func([]schema.Factors) []schema.Factors{
		"as they are": func(f []schema.Factors) []schema.Factors { return f },
		"backwards":   func(f []schema.Factors) []schema.Factors { slices.Reverse(f); return f },
	} {
		tables, err := pairTables(e, spoil(slices.Clone(h.Factors)), e.BLAS())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(h.Pairs, tables); d != "" {
			t.Errorf("%s: %.500s", name, d)
		}
	}
	for name, c := range map[string]struct {
		spoil func([]schema.Factors) []schema.Factors
		want  string
	}{
		"none":       {func([]schema.Factors) []schema.Factors { return nil }, "want factors of the query and of the key"},
		"no key":     {func(f []schema.Factors) []schema.Factors { return f[:1] }, "want factors of the query and of the key"},
		"twice":      {func(f []schema.Factors) []schema.Factors { return append(f, f[0]) }, "the query side is given twice"},
		"cut":        {func(f []schema.Factors) []schema.Factors { f[1].Vectors = f[1].Vectors[:7]; return f }, "7 numbers and 15 coordinates on the key side, want 120 and 15"},
		"components": {func(f []schema.Factors) []schema.Factors { f[2].Components = f[0].Components; return f }, "at the baseline"},
		"another model": {func(f []schema.Factors) []schema.Factors {
			f[0].DHead, f[0].Vectors = 4, f[0].Vectors[:60]
			f[0].Axes = nil
			f[0].Coordinates = nil
			return f
		}, "d_head 4, key factors 8"},
		"a basis without baseline": {func(f []schema.Factors) []schema.Factors {
			f[2].Axes = []schema.Axis{{Basis: 99, Image: f[2].Axes[0].Image}}
			return f
		}, "bases [99] at the baseline"},
	} {
		_, err := pairTables(e, c.spoil(slices.Clone(h.Factors)), "")
		if !errors.Is(err, engine.ErrFactors) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.want)
		}
	}
	if _, err := pairTables(e, h.Factors, "abacus"); !errors.Is(err, blas.ErrProvider) {
		t.Errorf("error %v, want ErrProvider", err)
	}
}

// substituted returns the row with a name.
func substituted(tb testing.TB, h schema.HeadResult, side schema.Side, vector string) schema.Substitution {
	tb.Helper()
	for _, s := range h.Substitutions {
		if s.Side == side && s.Vector == vector {
			return s
		}
	}
	tb.Fatalf("no %s substitution %q", side, vector)
	return schema.Substitution{}
}

// The engine's rows agree by name with the reference's histograms.
func TestSubstitutionsAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	arrays := refdata.Npz(t, filepath.Join(refdata.M2(t), "golden", "hist_f64.npz"))
	e := open(t, dir, everything(t, engine.Options{Convention: schema.Notebook, BOS: engine.BOSOff}))
	scores, probs := map[string][]float64{}, map[string][]float64{}
	for batch := range 2 {
		examples := promptSet(t, fmt.Sprintf("mixed_n40_seed%d_nobos", batch))
		for i := range examples {
			examples[i].RandomName = arrays["queries/sub0/random_name_token_ids"].Ints()[40*batch+i]
			examples[i].RandomToken = arrays["queries/sub0/random_token_ids"].Ints()[40*batch+i]
		}
		for _, r := range analyze(t, e, examples) {
			if n := len(r.Heads[0].Substitutions); n != 9+5 { // two movers
				t.Fatalf("%d substitutions, want 14", n)
			}
			for _, s := range r.Heads[0].Substitutions {
				name := s.Side.String() + " " + s.Vector
				scores[name] = append(scores[name], float64(s.Score))
				scores[name+" diff"] = append(scores[name+" diff"], float64(s.Score)-float64(s.Baseline))
				probs[name] = append(probs[name], float64(s.Prob))
				probs[name+" diff"] = append(probs[name+" diff"], float64(s.DiffProb))
			}
		}
	}
	for vector, c := range map[string][3]string{ // array names: of scores, of differences, of probabilities
		"query W_U[key]":          {"queries/sub0/score/W_U[IO]", "queries/sub1/score/W_U[IO]", "W_U[IO]"},
		"query W_U[baseline]":     {"queries/sub0/score/W_U[S]", "queries/sub1/score/W_U[S]", "W_U[S]"},
		"query W_U[random name]":  {"queries/sub0/score/W_U[random_name]", "queries/sub1/score/W_U[random_name]", "W_U[random_name]"},
		"query W_U[random]":       {"queries/sub0/score/W_U[random]", "queries/sub1/score/W_U[random]", "W_U[random]"},
		"query 1.2":               {"queries/sub0/score/NMH_9.9_output", "queries/sub1/score/NMH_9.9_output", "NMH_9.9_output"},
		"query 1.2 perp W_U[key]": {"queries/sub0/score/NMH_9.9,_perp_W_U[IO]", "queries/sub1/score/NMH_9.9,_perp_W_U[IO]", "NMH_9.9,_perp_W_U[IO]"},
		"query unpatched":         {"queries/sub0/score/No_patching", "queries/sub1/score/No_patching", "No_patching"},
		"key W_E":                 {"keys/sub0/score/W_E[IO]", "keys/sub1/score/W_E[IO]_-_W_E[S1]", "W_E[IO]"},
		"key W_EE":                {"keys/sub0/score/W_EE[IO]", "keys/sub1/score/W_EE[IO]_-_W_EE[S1]", "W_EE[IO]"},
		"key W_EE0":               {"keys/sub0/score/W_EE_subE[IO]", "keys/sub1/score/W_EE_subE[IO]_-_W_EE_subE[S1]", "W_EE_subE[IO]"},
		"key MLP0":                {"keys/sub0/score/MLP0_out", "keys/sub1/score/MLP0_out_(IO_-_S1)", "MLP0_out"},
		"key unpatched":           {"keys/sub0/score/No_patching", "keys/sub1/score/No_patching_(IO_-_S1)", "No_patching"},
	} {
		side, _, _ := strings.Cut(c[0], "/")
		refdata.Compare(t, vector, scores[vector], arrays[c[0]].Float64, refdata.Float32)
		refdata.Compare(t, vector+" diff", scores[vector+" diff"], arrays[c[1]].Float64, refdata.Float32)
		refdata.Compare(t, vector+" prob", probs[vector], arrays[side+"/sub0/prob/"+c[2]].Float64, refdata.Float32Prob)
		refdata.Compare(t, vector+" diff prob", probs[vector+" diff"], arrays[side+"/sub1/prob/"+c[2]].Float64, refdata.Float32Prob)
	}
}

// Every vector that replaces another changes the score, and unpatched does not.
func TestInterventionsMoveTheScore(t *testing.T) {
	t.Parallel()
	e := open(t, modelFolder(t), everything(t, engine.Options{}))
	examples := referenceExamples(t)[:5]
	for i := range examples {
		examples[i].RandomName, examples[i].RandomToken = 300, 700
	}
	results := analyze(t, e, examples)
	for _, vector := range []string{"query W_U[key]", "query W_U[baseline]", "query W_U[random name]", "query W_U[random]", "query 1.2", "query 1.2 perp W_U[key]",
		"query 1.3", "query 1.3 perp W_U[key]", "query unpatched", "key W_E", "key W_EE", "key W_EE0", "key MLP0", "key unpatched"} {
		side, name, _ := strings.Cut(vector, " ")
		for _, r := range results {
			h := r.Heads[0]
			s := substituted(t, h, map[string]schema.Side{"query": schema.Query, "key": schema.Key}[side], name)
			moved := math.Abs(float64(s.Score - h.Score.Score))
			movedBaseline, movedProb := math.Abs(float64(s.Baseline-h.Score.Baseline)), math.Abs(float64(s.Prob-h.Score.Prob))
			if !math.IsNaN(float64(s.DiffProb)) {
				t.Errorf("%s: exact probability of a difference", vector)
			}
			if name == "unpatched" {
				if moved != 0 || movedBaseline != 0 || movedProb > 1e-6 {
					t.Errorf("%s: moved by %g, %g, %g", vector, moved, movedBaseline, movedProb)
				}
			} else if moved < 1e-3 || movedBaseline < 1e-3 || movedProb < 1e-5 {
				t.Errorf("%s, example %d: moved by %g, %g, %g", vector, r.Example.Index, moved, movedBaseline, movedProb)
			}
		}
	}
	// A replaced fixed side: the sums of the other side's rows.
	for _, c := range []struct {
		side       schema.Side
		query, key string
	}{{schema.Key, "sub_unembed", "none"}, {schema.Query, "none", "sub_mlp0"}} {
		query, key := basisNamed(t, e, schema.Query, c.query), basisNamed(t, e, schema.Key, c.key)
		for _, r := range results {
			score, baseline := 0.0, 0.0
			for _, row := range r.Heads[0].Contributions {
				if row.Side == c.side && row.QueryBasis == query && row.KeyBasis == key {
					for q := range row.Score {
						score, baseline = score+float64(row.Score[q]), baseline+float64(row.Baseline[q])
					}
				}
			}
			// The same vector as a substitution, whole.
			s := substituted(t, r.Heads[0], schema.Query, "W_U[key]")
			if c.side == schema.Query {
				s = substituted(t, r.Heads[0], schema.Key, "MLP0")
			}
			if math.Abs(score-float64(s.Score)) > 1e-4 || math.Abs(baseline-float64(s.Baseline)) > 1e-4 {
				t.Errorf("query %s, key %s: rows add up to %g and %g, the substitution gives %g and %g", c.query, c.key, score, baseline, s.Score, s.Baseline)
			}
			if math.Abs(score-float64(r.Heads[0].Score.Score)) < 1e-3 || math.Abs(baseline-float64(r.Heads[0].Score.Baseline)) < 1e-3 {
				t.Errorf("query %s, key %s: the score did not move", c.query, c.key)
			}
		}
	}
}

// Projections, cosines and norms by prompt agree with the notebook's.
func TestProjectionsAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	arrays := refdata.Npz(t, filepath.Join(refdata.M2(t), "golden", "notebook_per_prompt_f64.npz"))
	e := open(t, modelFolder(t), everything(t, engine.Options{Convention: schema.Notebook}))
	got := map[string][]float64{}
	add := func(name string, v float32) { got[name] = append(got[name], float64(v)) }
	one, two, mlp0 := basisNamed(t, e, schema.Query, "unembed"), basisNamed(t, e, schema.Query, "unembed+baseline"), basisNamed(t, e, schema.Key, "mlp0")
	for _, r := range analyze(t, e, promptSet(t, "mixed_n100_seed42_bos")) {
		h := r.Heads[0]
		if len(h.Projections) != 2*2*2+2 || len(h.Cosines) != 2 {
			t.Fatalf("%d projections, %d cosines", len(h.Projections), len(h.Cosines))
		}
		for _, p := range h.Projections {
			switch {
			case p.Side == schema.Query && p.Vector == "1.2" && p.Basis == one && !p.Diff:
				add("In14/io_component_norm", p.ParNorm)
				add("In14/io_perp_component_norm", p.PerpNorm)
				add("In15/cos_io", p.ParCos)
				add("In15/cos_io_perp", p.PerpCos)
			case p.Side == schema.Query && p.Vector == "1.2" && p.Basis == one:
				add("In15/cos_io_sub", p.ParCos)
				add("In15/cos_io_perp_sub", p.PerpCos)
			case p.Side == schema.Query && p.Vector == "1.2" && p.Basis == two && p.Diff:
				add("In14/io_s_component_norm", p.ParNorm)
				add("In14/io_s_perp_component_norm", p.PerpNorm)
				add("In15/cos_io_s_sub", p.ParCos)
				add("In15/cos_io_s_perp_sub", p.PerpCos)
			case p.Side == schema.Key && p.Vector == "resid_pre" && p.Basis == mlp0 && !p.Diff:
				add("MLP0/component_norm", p.ParNorm)
				add("MLP0/perp_component_norm", p.PerpNorm)
				add("MLP0/cos", p.ParCos)
				add("MLP0/cos_perp", p.PerpCos)
			case p.Side == schema.Key && p.Vector == "resid_pre" && p.Basis == mlp0:
				add("MLP0/cos_sub", p.ParCos)
				add("MLP0/cos_perp_sub", p.PerpCos)
			}
		}
		for _, c := range h.Cosines {
			if c.Basis == two && c.VectorA == "1.2" && c.VectorB == "1.3" {
				add("In16/cos_parallel", c.ParCos)
				add("In16/cos_perp", c.PerpCos)
			}
		}
	}
	for name, want := range arrays {
		if !strings.HasPrefix(name, "linear_map/") {
			refdata.Compare(t, name, got[name], want.Float64, refdata.Float32Prob)
		}
	}
}

// The extra rows do not depend on the batch, on threads or on other examples.
func TestEverythingDependsOnTheExampleAlone(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	options := everything(t, engine.Options{NullBases: 3, Threads: 1})
	examples := referenceExamples(t)[:12]
	for i := range examples {
		examples[i].RandomName, examples[i].RandomToken = 5*i, schema.NoToken
	}
	examples[7].Baseline = schema.NoPosition
	together := analyze(t, open(t, dir, options), examples)
	options.Threads = 4
	e := open(t, dir, options)
	positions := cmp.Comparer(func(a, b schema.Position) bool { return a == b })
	for i := len(examples) - 1; i >= 0; i-- {
		if d := cmp.Diff(together[i], analyze(t, e, examples[i:i+1])[0], cmpopts.EquateNaNs(), positions); d != "" {
			t.Errorf("example %d alone: %.1000s", i, d)
		}
	}
	for _, s := range together[0].Heads[0].Substitutions {
		if s.Vector == engine.VectorUnembedRandom {
			t.Errorf("a row of %s, and no random token was drawn", s.Vector)
		}
	}
	without := together[7].Heads[0]
	for _, s := range without.Substitutions {
		if s.Vector == engine.VectorUnembedBaseline || !math.IsNaN(float64(s.Baseline)) {
			t.Errorf("no baseline: %+v", s)
		}
	}
	for _, p := range without.Projections {
		if p.Diff || p.Basis == basisNamed(t, e, schema.Query, "unembed+baseline") {
			t.Errorf("no baseline: %+v", p)
		}
	}
	for _, f := range without.Factors {
		if f.AtBaseline {
			t.Errorf("no baseline: factor %+v", f)
		}
	}
}

// Nothing is computed that was not asked for, and cosines, which belong to no target head, are returned once.
func TestOnlyWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	x := referenceExamples(t)[:1]
	heads := []schema.Head{{Layer: 2, Index: 1}, {Layer: 2, Index: 3}}
	for name, c := range map[string]struct {
		options engine.Options
		want    [5]bool // factors, pairs, substitutions, projections, cosines
	}{
		"nothing":       {engine.Options{}, [5]bool{}},
		"factors":       {engine.Options{Factors: true}, [5]bool{true}},
		"pairs":         {engine.Options{Pairs: true}, [5]bool{false, true}},
		"substitutions": {engine.Options{Substitutions: true}, [5]bool{2: true}},
		"projections":   {engine.Options{Projections: true}, [5]bool{3: true, 4: true}},
	} {
		c.options.Heads, c.options.Movers = heads, movers12
		for i, h := range analyze(t, open(t, dir, c.options), x)[0].Heads {
			got := [5]bool{h.Factors != nil, h.Pairs != nil, h.Substitutions != nil, h.Projections != nil, h.Cosines != nil}
			want := c.want
			want[4] = want[4] && i == 0
			if got != want || len(h.Contributions) == 0 {
				t.Errorf("%s, head %s: %v, want %v", name, h.Head, got, want)
			}
		}
	}
}
