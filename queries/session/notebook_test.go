package session_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/schematest"
)

// sampleHead returns the results for the first head, 2.1, in run 2 of the sample file, by example.
func sampleHead() []schema.HeadResult {
	var list []schema.HeadResult
	for _, r := range schematest.Random(small(), 2, 3) {
		list = append(list, r.Heads[0])
	}
	return list
}

// fileOf creates a file of one run and opens it.
func fileOf(t *testing.T, run schema.Run, results []schema.Result) *session.Session {
	t.Helper()
	db := schematest.NewDB(t)
	schematest.Insert(t, db, run, results)
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	return openFile(t, db.Path(), session.Options{})
}

func TestSubstitutionHistograms(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for _, c := range []struct {
		query, column string
		set           map[string]string
		side          schema.Side
		series        map[string]string // vector to series
		value         func(schema.Substitution) float32
	}{
		{"query_substitution_scores", "score", nil, schema.Query, querySeries("1.1"), func(s schema.Substitution) float32 { return s.Score }},
		{"query_substitution_scores", "score", map[string]string{"subtract": "true", "mover": "0.0"}, schema.Query, querySeries("0.0"),
			func(s schema.Substitution) float32 { return s.Score - s.Baseline }},
		{"query_substitution_probs", "prob", nil, schema.Query, querySeries("1.1"), func(s schema.Substitution) float32 { return s.Prob }},
		{"key_substitution_scores", "score", nil, schema.Key, keySeries("%s[IO]", "%s"), func(s schema.Substitution) float32 { return s.Score }},
		{"key_substitution_probs", "prob", nil, schema.Key, keySeries("%s[IO]", "%s"), func(s schema.Substitution) float32 { return s.Prob }},
		{"key_substitution_diff", "diff", nil, schema.Key, keySeries("%[1]s[IO] - %[1]s[S1]", "%s, IO - S1"),
			func(s schema.Substitution) float32 { return s.Score - s.Baseline }},
	} {
		t.Run(c.query, func(t *testing.T) {
			result := ran(t, s, embedded(t, c.query), c.set)
			want := map[string][]float64{}
			for _, h := range sampleHead() {
				for _, sub := range h.Substitutions {
					if series, ok := c.series[sub.Vector]; sub.Side == c.side && ok {
						want[series] = append(want[series], float64(c.value(sub)))
					}
				}
			}
			if len(want) != len(c.series) {
				t.Fatalf("sample has %d of the vectors %v", len(want), c.series)
			}
			if got := len(result.result.Rows); got != 3*len(want) {
				t.Fatalf("%d rows, want 3 of each of %d series", got, len(want))
			}
			last := math.Inf(1)
			for i := range result.result.Rows {
				series := result.text(i, "series")
				values, ok := want[series]
				if !ok {
					t.Fatalf("series %q, want one of %v", series, c.series)
				}
				mean, se := meanSE(values)
				example := int(result.number(i, "example_id"))
				if got := result.number(i, c.column); example != i%3 || got != values[example] {
					t.Errorf("%s, example %d: %v, want %v", series, example, got, values[example])
				}
				if !near(result.number(i, "mean"), mean) || !near(result.number(i, "se"), se) || result.number(i, "n") != 3 {
					t.Errorf("%s: %v, want mean %v se %v n 3", series, result.result.Rows[i], mean, se)
				}
				if mean > last+tolerance {
					t.Errorf("%s: mean %v behind %v, want falling", series, mean, last)
				}
				last = mean
			}
		})
	}
	for set, want := range map[string]string{
		"mover=1.0":     "is not a mover of the run, which has 1.1, 0.0",
		"subtract=true": "notebook convention only",
	} {
		name, value, _ := strings.Cut(set, "=")
		_, err := s.Run(t.Context(), embedded(t, "query_substitution_probs"), map[string]string{name: value})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", set, err, want)
		}
	}
}

// querySeries maps the query-side vectors to their names in a figure of IOI prompts. The outputs of other
// movers are not shown.
func querySeries(mover string) map[string]string {
	return map[string]string{
		"W_U[key]": "W_U[IO]", "W_U[baseline]": "W_U[S]", "W_U[random name]": "W_U[random name]", "W_U[random]": "W_U[random]",
		mover: mover + " output", mover + " perp W_U[key]": mover + " output ⊥ W_U[IO]", "unpatched": "unpatched",
	}
}

func keySeries(embedding, other string) map[string]string {
	series := map[string]string{"MLP0": fmt.Sprintf(other, "MLP0 output"), "unpatched": fmt.Sprintf(other, "unpatched")}
	for _, name := range []string{"W_E", "W_EE", "W_EE0"} {
		series[name] = fmt.Sprintf(embedding, name)
	}
	return series
}

// TestNotebookProbabilities checks that only runs of the notebook convention have the softmax of a difference
// of scores.
func TestNotebookProbabilities(t *testing.T) {
	t.Parallel()
	run := small()
	run.Convention = schema.Notebook
	results := schematest.Random(run, 7, 3)
	for i := range results {
		for n := range results[i].Heads[0].Substitutions {
			results[i].Heads[0].Substitutions[n].DiffProb = float32(i+1) / 8
		}
	}
	s := fileOf(t, run, results)
	for _, side := range []string{"query", "key"} {
		result := ran(t, s, embedded(t, side+"_substitution_probs"), map[string]string{"subtract": "true"})
		for i := range result.result.Rows {
			if got, want := result.number(i, "prob"), (result.number(i, "example_id")+1)/8; got != want {
				t.Errorf("%s row %d: %v, want %v", side, i, got, want)
			}
		}
	}
}

// TestNamesWithoutIOI checks that figures of other prompts use the words key and baseline.
func TestNamesWithoutIOI(t *testing.T) {
	t.Parallel()
	run := small()
	results := schematest.Random(run, 7, 3)
	for i := range results {
		results[i].Example.Prompt.Order = ""
	}
	s := fileOf(t, run, results)
	names := func(query string) (list []string) {
		result := ran(t, s, embedded(t, query), nil)
		for i := range result.result.Rows {
			if name := result.text(i, "series"); !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
		slices.Sort(list)
		return list
	}
	want := []string{"1.1 output", "1.1 output ⊥ W_U[key]", "W_U[baseline]", "W_U[key]", "W_U[random name]", "W_U[random]", "unpatched"}
	if got := names("query_substitution_scores"); !slices.Equal(got, want) {
		t.Errorf("series %q, want %q", got, want)
	}
	want = []string{"MLP0 output, key - baseline", "W_EE0[key] - W_EE0[baseline]", "W_EE[key] - W_EE[baseline]", "W_E[key] - W_E[baseline]", "unpatched, key - baseline"}
	if got := names("key_substitution_diff"); !slices.Equal(got, want) {
		t.Errorf("series %q, want %q", got, want)
	}
	if got := ran(t, s, embedded(t, "key_components_unembed_query"), nil); !strings.HasSuffix(got.text(len(got.result.Rows)-1, "panel"), "query W_U[key]") {
		t.Errorf("panel %q, want it named after the key", got.text(len(got.result.Rows)-1, "panel"))
	}
}

// TestReplacedQuery compares all cells of the four panels with the stored contributions.
func TestReplacedQuery(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	q := embedded(t, "key_components_unembed_query")
	result := ran(t, s, q, nil)
	components := schema.Components(3, 2)
	row := 0
	for _, subtract := range []bool{true, false} {
		for _, basis := range []string{"none", "sub_unembed"} {
			terms := sampleTerms(2, schema.Head{Layer: 2, Index: 1}, schema.Key, basis, "none")
			for i := range terms[0] {
				var values []float64
				for _, list := range terms {
					x := float64(list[i].Score[schema.ParPerp]) + float64(list[i].Score[schema.PerpPerp])
					if subtract {
						x -= float64(list[i].Baseline[schema.ParPerp]) + float64(list[i].Baseline[schema.PerpPerp])
					}
					values = append(values, x)
				}
				mean, se := meanSE(values)
				panel := map[bool]string{true: "baseline subtracted, ", false: "baseline not subtracted, "}[subtract] +
					map[string]string{"none": "own query", "sub_unembed": "query W_U[IO]"}[basis]
				if result.text(row, "panel") != panel || result.text(row, "component") != components[terms[0][i].Component].Label() ||
					!near(result.number(row, "mean"), mean) || !near(result.number(row, "se"), se) || result.number(row, "n") != 3 {
					t.Errorf("row %d: %v, want %s %v %v", row, result.result.Rows[row], panel, mean, se)
				}
				row++
			}
		}
	}
	if row != len(result.result.Rows) {
		t.Errorf("%d rows, want %d", len(result.result.Rows), row)
	}
	if _, err := s.Run(t.Context(), q, map[string]string{"query_basis": "unembed"}); err == nil || !strings.Contains(err.Error(), "splits query vectors, want a basis that replaces them") {
		t.Errorf("a basis that replaces nothing: error %v", err)
	}
}

// TestPairs compares the matrix with the tables of the examples, and the ranking with the matrix.
func TestPairs(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	run := small()
	components := schema.Components(3, 2)
	type cell struct{ query, key, quadrant string }
	for _, c := range []struct {
		set      map[string]string
		basis    string
		subtract bool
	}{
		{nil, "unembed+baseline", true},
		{map[string]string{"query_basis": "unembed", "subtract": "false"}, "unembed", false},
	} {
		want := map[cell][]float64{}
		for _, h := range sampleHead() {
			for _, p := range h.Pairs {
				if run.Bases[p.QueryBasis].Name != c.basis || run.Bases[p.KeyBasis].Name != "mlp0" {
					continue
				}
				for i := range p.Score {
					for _, quadrant := range schema.Quadrants() {
						x := float64(p.Score[i][quadrant])
						if c.subtract {
							x -= float64(p.Baseline[i][quadrant])
						}
						at := cell{components[p.QueryComponents[i/len(p.KeyComponents)]].Label(), components[p.KeyComponents[i%len(p.KeyComponents)]].Label(), quadrant.String()}
						want[at] = append(want[at], x)
					}
				}
			}
		}
		result := ran(t, s, embedded(t, "pair_matrix"), c.set)
		if len(result.result.Rows) != len(want) || len(want) == 0 {
			t.Fatalf("%d cells, want %d", len(result.result.Rows), len(want))
		}
		var total float64
		means := map[cell]float64{}
		for i := range result.result.Rows {
			at := cell{result.text(i, "query_component"), result.text(i, "key_component"), result.text(i, "quadrant")}
			mean, se := meanSE(want[at])
			total += mean
			means[at] = mean
			if !near(result.number(i, "mean"), mean) || !near(result.number(i, "se"), se) || result.number(i, "n") != 3 || result.text(i, "query_basis") != c.basis {
				t.Errorf("%v: %v, want %v %v", at, result.result.Rows[i], mean, se)
			}
		}
		var scores []float64
		for _, h := range sampleHead() {
			x := float64(h.Score.Score)
			if c.subtract {
				x -= float64(h.Score.Baseline)
			}
			scores = append(scores, x)
		}
		if mean, _ := meanSE(scores); math.Abs(mean-total) > 1e-4 {
			t.Errorf("cells add up to %v, want the mean score %v", total, mean)
		}
		top := ran(t, s, embedded(t, "top_pairs"), c.set)
		if len(top.result.Rows) != 40 {
			t.Fatalf("%d pairs, want 40", len(top.result.Rows))
		}
		ranked := make([]float64, 0, len(means))
		for _, mean := range means {
			ranked = append(ranked, -math.Abs(mean))
		}
		slices.Sort(ranked)
		for i := range top.result.Rows {
			at := cell{top.text(i, "query_component"), top.text(i, "key_component"), top.text(i, "quadrant")}
			if got := top.number(i, "pct"); math.Abs(got-100*means[at]/total) > 1e-4*math.Abs(got) || !near(math.Abs(means[at]), -ranked[i]) {
				t.Errorf("rank %d, %v: %v %%, want %v of %v, absolute %v", i, at, got, means[at], total, -ranked[i])
			}
			category := "not expected"
			if (at.query == "1.1" || at.query == "0.0") && at.key == "MLP0" {
				category = map[string]string{"par_par": "expected", "perp_par": "half expected"}[at.quadrant]
				if category == "" {
					category = "not expected"
				}
			}
			if got := top.text(i, "category"); got != category {
				t.Errorf("%v: %s, want %s", at, got, category)
			}
		}
	}
	all := ran(t, s, embedded(t, "top_pairs"), map[string]string{"most": "10000", "expected_heads": "0.1"})
	counts := map[string]int{}
	var sum float64
	for i := range all.result.Rows {
		counts[all.text(i, "category")]++
		sum += all.number(i, "pct")
	}
	if counts["expected"] != 1 || counts["half expected"] != 1 || math.Abs(sum-100) > 1e-3 {
		t.Errorf("categories %v, shares %v: want one expected, one half expected, 100 in all", counts, sum)
	}
	if _, err := s.Run(t.Context(), embedded(t, "top_pairs"), map[string]string{"expected_heads": "2.1"}); err == nil || !strings.Contains(err.Error(), "2.1 is not a head below the target head") {
		t.Errorf("expected head 2.1: error %v", err)
	}
}

// TestProjectionQueries compares fractions, lengths and cosines with the stored rows, in both conventions.
func TestProjectionQueries(t *testing.T) {
	t.Parallel()
	for _, convention := range []schema.Convention{schema.Exact, schema.Notebook} {
		t.Run(convention.String(), func(t *testing.T) {
			t.Parallel()
			run := small()
			run.Convention = convention
			results := schematest.Random(run, 11, 5)
			s := fileOf(t, run, results)
			values := func(side schema.Side, vector, basis string, diff bool, f func(schema.Projection) float64) (list []float64) {
				for _, r := range results {
					for _, p := range r.Heads[0].Projections {
						if p.Side == side && p.Vector == vector && run.Bases[p.Basis].Name == basis && p.Diff == diff {
							list = append(list, f(p))
						}
					}
				}
				return list
			}
			check := func(t *testing.T, result table, row int, column, se string, want []float64) {
				t.Helper()
				mean, err := meanSE(want)
				if len(want) != 5 || !near(result.number(row, column), mean) || !near(result.number(row, se), err) {
					t.Errorf("row %d: %s %v, %s %v, want %v, %v", row, column, result.value(row, column), se, result.value(row, se), mean, err)
				}
			}
			fraction := func(t *testing.T, result table, row int, column string, norms []float64) {
				t.Helper()
				mean, se := meanSE(norms)
				want, wantSE := mean*mean, 2*mean*se
				if convention == schema.Exact {
					var squares []float64
					for _, x := range norms {
						squares = append(squares, x*x)
					}
					want, wantSE = meanSE(squares)
				}
				if got := result.number(row, column); !near(got, want) || !near(result.number(row, column+"_se"), wantSE) {
					t.Errorf("%s %v, want %v and %v", column, result.result.Rows[row], want, wantSE)
				}
			}
			parNorm := func(p schema.Projection) float64 { return float64(p.ParNorm) }
			perpNorm := func(p schema.Projection) float64 { return float64(p.PerpNorm) }
			unembed := ran(t, s, embedded(t, "unembed_fraction"), nil)
			if len(unembed.result.Rows) != 4 { // 2 movers, 2 subspaces, no random basis
				t.Errorf("%d fractions, want 4: %v", len(unembed.result.Rows), unembed.result.Rows)
			}
			for i := range unembed.result.Rows {
				vector, basis := unembed.text(i, "vector"), unembed.text(i, "basis")
				par, perp := values(schema.Query, vector, basis, false, parNorm), values(schema.Query, vector, basis, false, perpNorm)
				check(t, unembed, i, "par_norm", "par_norm_se", par)
				check(t, unembed, i, "perp_norm", "perp_norm_se", perp)
				fraction(t, unembed, i, "par_fraction", par)
				fraction(t, unembed, i, "perp_fraction", perp)
			}
			norms := ran(t, s, embedded(t, "mlp0_norms"), nil)
			if len(norms.result.Rows) != 1 {
				t.Errorf("%d rows, want 1", len(norms.result.Rows))
			}
			par, perp := values(schema.Key, "resid_pre", "mlp0", false, parNorm), values(schema.Key, "resid_pre", "mlp0", false, perpNorm)
			check(t, norms, 0, "par_norm", "par_norm_se", par)
			fraction(t, norms, 0, "par_fraction", par)
			fraction(t, norms, 0, "perp_fraction", perp)
			if got := norms.number(0, "fraction_sum"); !near(got, norms.number(0, "par_fraction")+norms.number(0, "perp_fraction")) {
				t.Errorf("fraction_sum %v", got)
			}
			cosines := ran(t, s, embedded(t, "map_cosines"), nil)
			if len(cosines.result.Rows) != 10 { // (2 movers x 2 bases + 1) x 2
				t.Errorf("%d rows, want 10: %v", len(cosines.result.Rows), cosines.result.Rows)
			}
			for i := range cosines.result.Rows {
				side, err := schema.ParseSide(cosines.text(i, "side"))
				if err != nil {
					t.Fatal(err)
				}
				get := func(f func(schema.Projection) float64) []float64 {
					return values(side, cosines.text(i, "vector"), cosines.text(i, "basis"), cosines.text(i, "subtract") == "true", f)
				}
				check(t, cosines, i, "par_cos", "par_se", get(func(p schema.Projection) float64 { return float64(p.ParCos) }))
				check(t, cosines, i, "perp_cos", "perp_se", get(func(p schema.Projection) float64 { return float64(p.PerpCos) }))
			}
			heads := ran(t, s, embedded(t, "head_cosines"), nil)
			if len(heads.result.Rows) != 2 {
				t.Errorf("%d rows, want 2", len(heads.result.Rows))
			}
			for i := range heads.result.Rows {
				var list []float64
				for _, r := range results {
					for _, c := range r.Heads[0].Cosines {
						if c.VectorA == heads.text(i, "vector_a") && run.Bases[c.Basis].Name == heads.text(i, "basis") {
							list = append(list, float64(c.PerpCos))
						}
					}
				}
				check(t, heads, i, "perp_cos", "perp_se", list)
			}
		})
	}
}

// TestBootstrap computes the interval and the null band of a percentage in Go.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	run := small()
	const n = 40
	results := schematest.Random(run, 3, n)
	s := fileOf(t, run, results)
	q := embedded(t, "pct_explained_mlp0")
	components := schema.Components(3, 2)
	shares := func(basis string) (parts, wholes []float64) {
		for _, r := range results {
			var part, whole float64
			for _, c := range r.Heads[0].Contributions {
				name := run.Bases[c.KeyBasis].Name
				if c.Side != schema.Key || run.Bases[c.QueryBasis].Name != basis || name != "mlp0" && name != basis || components[c.Component].Kind == schema.KBias {
					continue
				}
				for i := range c.Score {
					whole += float64(c.Score[i] - c.Baseline[i])
				}
				if components[c.Component].Label() == "MLP0" {
					part += float64(c.Score[schema.ParPar] - c.Baseline[schema.ParPar])
				}
			}
			parts, wholes = append(parts, part), append(wholes, whole)
		}
		return parts, wholes
	}
	parts, wholes := shares("unembed")
	resample := func(seed, count int) []float64 {
		var list []float64
		for b := range count {
			var part, whole float64
			for i := range n {
				x := uint32(b*2654435761 + i*40503 + seed*97)
				for range 2 {
					x = (x ^ x>>16) * 73244475
				}
				place := uint64(x^x>>16) * n >> 32
				part, whole = part+parts[place], whole+wholes[place]
			}
			list = append(list, 100*part/whole)
		}
		slices.Sort(list)
		return list
	}
	quantile := func(sorted []float64, p float64) float64 {
		at := p * float64(len(sorted)-1)
		i := int(at)
		if i+1 == len(sorted) {
			return sorted[i]
		}
		return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
	}
	var null []float64
	for i := range 2 {
		p, _ := shares(schema.NullBasis(i))
		mean, _ := meanSE(p)
		whole, _ := meanSE(wholes)
		null = append(null, 100*mean/whole)
	}
	slices.Sort(null)
	for _, c := range []struct {
		resamples, seed int
		level           float64
	}{{1000, 0, 0.95}, {200, 7, 0.8}} {
		set := map[string]string{"resamples": strconv.Itoa(c.resamples), "seed": strconv.Itoa(c.seed), "level": fmt.Sprint(c.level)}
		result := ran(t, s, q, set)
		list := resample(c.seed, c.resamples)
		for column, want := range map[string]float64{
			"low": quantile(list, (1-c.level)/2), "high": quantile(list, (1+c.level)/2),
			"null_low": quantile(null, (1-c.level)/2), "null_high": quantile(null, (1+c.level)/2), "null_n": 2,
		} {
			if got := result.number(0, column); math.Abs(got-want) > 1e-4*max(1, math.Abs(want)) {
				t.Errorf("%v: %s %v, want %v", set, column, got, want)
			}
		}
		if again := ran(t, s, q, set); fmt.Sprint(again.result.Rows) != fmt.Sprint(result.result.Rows) {
			t.Errorf("%v: %v, then %v", set, result.result.Rows, again.result.Rows)
		}
		// The interval at 80 % is roughly as wide as the normal approximation; a ratio has heavy tails.
		if width, normal := result.number(0, "high")-result.number(0, "low"), 2*1.2816*result.number(0, "se"); c.level == 0.8 && (width < 0.7*normal || width > 1.4*normal) {
			t.Errorf("%v: interval of %v, normal approximation %v", set, width, normal)
		}
	}
	for _, level := range []string{"1.5", "-2"} {
		if _, err := s.Run(t.Context(), q, map[string]string{"level": level}); err == nil {
			t.Errorf("level %s: no error", level)
		}
	}
	none := ran(t, s, q, map[string]string{"resamples": "0"})
	if none.value(0, "low") != nil || !near(none.number(0, "pct"), ran(t, s, q, nil).number(0, "pct")) {
		t.Errorf("no resamples: %v", none.result.Rows)
	}
}

// TestRandomBases checks that no shipped query uses a random direction as a basis.
func TestRandomBases(t *testing.T) {
	t.Parallel()
	full := small()
	results := schematest.Random(full, 9, 3)
	bare := full
	bare.Bases = nil
	kept := map[int]int{}
	for i, b := range full.Bases {
		if _, random := b.NullNumber(); !random {
			kept[i] = len(bare.Bases)
			bare.Bases = append(bare.Bases, b)
		}
	}
	with := fileOf(t, full, results)
	without := fileOf(t, bare, withoutRandom(results, kept))
	for _, q := range queries.Embedded() {
		a, b := ran(t, with, q, nil), ran(t, without, q, nil)
		if len(a.result.Rows) != len(b.result.Rows) {
			t.Errorf("%s: %d rows with random directions, %d without", q.Name, len(a.result.Rows), len(b.result.Rows))
			continue
		}
		for i := range a.result.Rows {
			for n, column := range a.result.Columns {
				if strings.HasPrefix(column.Name, "null_") || q.Name == "closure" {
					continue
				}
				x, y := a.result.Rows[i][n], b.result.Rows[i][n]
				u, number := queries.Number(x)
				v, _ := queries.Number(y)
				if number && !near(u, v) || !number && x != y {
					t.Fatalf("%s row %d: %s %v with random directions, %v without", q.Name, i, column.Name, x, y)
				}
			}
		}
		for _, p := range q.Params {
			if p.Name == "query_basis" || p.Name == "key_basis" {
				if _, err := with.Run(t.Context(), q, map[string]string{p.Name: schema.NullBasis(0)}); err == nil {
					t.Errorf("%s: %s = random0 is no error", q.Name, p.Name)
				}
			}
		}
	}
}

// withoutRandom leaves out the rows of bases that are not kept, and renumbers the others.
func withoutRandom(results []schema.Result, kept map[int]int) []schema.Result {
	var list []schema.Result
	for _, r := range results {
		heads := r.Heads
		r.Heads = nil
		for _, h := range heads {
			h.Contributions = keep(h.Contributions, func(c *schema.Contribution) bool {
				q, ok := kept[c.QueryBasis]
				k, also := kept[c.KeyBasis]
				c.QueryBasis, c.KeyBasis = q, k
				return ok && also
			})
			h.Pairs = keep(h.Pairs, func(p *schema.PairTable) bool {
				p.QueryBasis, p.KeyBasis = kept[p.QueryBasis], kept[p.KeyBasis]
				return true
			})
			h.Factors = keep(h.Factors, func(f *schema.Factors) bool { withoutAxes(f, kept); return true })
			h.Projections = keep(h.Projections, func(p *schema.Projection) (ok bool) { p.Basis, ok = kept[p.Basis]; return ok })
			h.Cosines = keep(h.Cosines, func(c *schema.VectorCosine) (ok bool) { c.Basis, ok = kept[c.Basis]; return ok })
			r.Heads = append(r.Heads, h)
		}
		list = append(list, r)
	}
	return list
}

// withoutAxes leaves out the axes of bases that are not kept.
func withoutAxes(f *schema.Factors, kept map[int]int) {
	var axes []schema.Axis
	var coordinates []float32
	for i, a := range f.Axes {
		if basis, ok := kept[a.Basis]; ok {
			axes = append(axes, schema.Axis{Basis: basis, Number: a.Number, Image: f.Axes[i].Image})
		}
	}
	for row := range f.Components {
		for i, a := range f.Axes {
			if _, ok := kept[a.Basis]; ok {
				coordinates = append(coordinates, f.Coordinates[row*len(f.Axes)+i])
			}
		}
	}
	f.Axes, f.Coordinates = axes, coordinates
}

func keep[T any](list []T, f func(*T) bool) []T {
	var kept []T
	for _, x := range list {
		if f(&x) {
			kept = append(kept, x)
		}
	}
	return kept
}
