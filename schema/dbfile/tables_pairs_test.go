package dbfile_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

// TestPairViews checks that the views pair, which multiplies factors, and pair_contribution, which is stored,
// return the numbers that they were made from, and pair_mean their means.
func TestPairViews(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 2, Index: 3}, schema.Head{Layer: 1, Index: 0}), Bases: schematest.AllBases(), Factors: true, Pairs: true}
	results := schematest.Random(run, 11, 3)
	schematest.Insert(t, db, run, results)
	components := schematest.Layout(run.Model).Components()
	const tolerance = 1e-6 // of products of 64 float32 numbers of size 1

	type sums struct{ score, diff, squares float64 }
	cell := sums{}
	seen := 0
	views := map[string]map[string][]string{}
	for _, view := range []string{"pair", "pair_contribution"} {
		views[view] = answers(t, db, `SELECT concat_ws(' ', head, query_component, key_component, query_basis, key_basis), quadrant || ' ' || score || ' ' || baseline || ' ' || diff
			|| ' ' || query_kind || ' ' || coalesce(query_layer, -1) || ' ' || coalesce(query_head, -1) || ' ' || key_kind || ' ' || coalesce(key_layer, -1) || ' ' || coalesce(key_head, -1)
			FROM `+view+" WHERE run_id = 1 AND example_id = 1")
	}
	for _, r := range results {
		for _, h := range r.Heads {
			for _, p := range h.Pairs {
				for i, s := range p.Score {
					q, k := components[p.QueryComponents[i/len(p.KeyComponents)]], components[p.KeyComponents[i%len(p.KeyComponents)]]
					if q.Label() == "MLP0" && k.Label() == "0.3" && h.Head.Layer == 2 && run.Bases[p.QueryBasis].Name == "unembed" {
						x := float64(s[schema.PerpPar])
						d := x - float64(p.Baseline[i][schema.PerpPar])
						cell.score, cell.diff, cell.squares = cell.score+x, cell.diff+d, cell.squares+d*d
					}
					if r.Example.Index != 1 || i%97 != 0 {
						continue // a sample is enough
					}
					for _, view := range []string{"pair", "pair_contribution"} {
						rows := views[view][fmt.Sprint(h.Head.TLName(), " ", q.Label(), " ", k.Label(), " ", run.Bases[p.QueryBasis].Name, " ", run.Bases[p.KeyBasis].Name)]
						slices.Sort(rows)                                     // by their quadrants
						split := run.Bases[p.QueryBasis].Kind != schema.Whole // on both sides, or on none
						if want := map[bool]int{true: 4, false: 1}[split]; len(rows) != want {
							t.Fatalf("%s of %s and %s: %d rows, want %d", view, q.Label(), k.Label(), len(rows), want)
						}
						for quadrant, row := range rows {
							if !split {
								quadrant = int(schema.PerpPerp)
							}
							var word, queryKind, keyKind string
							var score, baseline, diff float64
							var queryLayer, queryHead, keyLayer, keyHead int
							if _, err := fmt.Sscan(row, &word, &score, &baseline, &diff, &queryKind, &queryLayer, &queryHead, &keyKind, &keyLayer, &keyHead); err != nil {
								t.Fatal(err)
							}
							wantScore, wantBaseline := float64(s[quadrant]), float64(p.Baseline[i][quadrant])
							if word != schema.Quadrant(quadrant).String() || math.Abs(score-wantScore) > tolerance || math.Abs(baseline-wantBaseline) > tolerance || math.Abs(diff-(wantScore-wantBaseline)) > 2*tolerance ||
								queryKind != q.Kind.String() || queryLayer != q.Layer || queryHead != q.Head || keyKind != k.Kind.String() || keyLayer != k.Layer || keyHead != k.Head {
								t.Errorf("%s: row %q, want %s %v less %v, %+v, %+v", view, row, schema.Quadrant(quadrant), wantScore, wantBaseline, q, k)
							}
							seen++
						}
					}
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d rows compared", seen)
	}
	const where = " FROM pair_mean WHERE head = 'L2H3' AND query_component = 'MLP0' AND key_component = '0.3' AND query_basis = 'unembed' AND key_basis = 'mlp0' AND quadrant = 'perp_par'"
	mean := cell.diff / 3
	for columns, want := range map[string]float64{"mean_score": cell.score / 3, "mean_diff": mean, "se_diff": math.Sqrt((cell.squares - 3*mean*mean) / 2 / 3), "n": 3, "n_baseline": 3} {
		if got := number(t, db, "SELECT "+columns+where); math.Abs(got-want) > tolerance {
			t.Errorf("%s is %v, want %v", columns, got, want)
		}
	}
	// Two pairs of bases with four quadrants, and the pairs of whole vectors. Layer 2 reads 2 + 2*14 writers,
	// layer 1 reads 2 + 14, and each side has its bias.
	if got := number(t, db, "SELECT count(*) FROM pair_mean"); got != (2*4+1)*(31*31+17*17) {
		t.Errorf("%v means", got)
	}
}

// TestPairsOfWholeVectors checks that a whole basis has no parallel part, and that the pairs of a run without
// subspaces are unsplit.
func TestPairsOfWholeVectors(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	bases := slices.DeleteFunc(schematest.AllBases(), func(b schema.Basis) bool { return b.Kind != schema.Whole })
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 1, Index: 0}), Bases: bases, Factors: true, Pairs: true}
	schematest.Insert(t, db, run, schematest.Random(run, 4, 2))
	for view, want := range map[string]float64{"pair": 2 * 17 * 17, "pair_contribution": 2 * 17 * 17, "pair_mean": 17 * 17} {
		if got := number(t, db, "SELECT count(*) FROM "+view); got != want {
			t.Errorf("%v rows in %s, want %v", got, view, want)
		}
		if got := number(t, db, "SELECT count(*) FROM "+view+" WHERE quadrant <> 'perp_perp' OR query_basis <> 'none' OR key_basis <> 'none'"); got != 0 {
			t.Errorf("%v rows of %s have a part", got, view)
		}
	}
}

// TestNullViews checks that random directions have a view of their own and do not enter the views that
// average.
func TestNullViews(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	schematest.Full(t, db, 3, 2, schema.Head{Layer: 1, Index: 0})
	for query, want := range map[string]float64{
		"SELECT count(*) FROM contribution WHERE query_basis LIKE 'random%' OR key_basis LIKE 'random%'":                               0,
		"SELECT count(*) FROM contribution_mean WHERE query_basis LIKE 'random%' OR key_basis LIKE 'random%'":                          0,
		"SELECT count(*) FROM pair_mean WHERE query_basis LIKE 'random%' OR key_basis LIKE 'random%'":                                  0,
		"SELECT count(DISTINCT draw) FROM contribution_null":                                                                           2,
		"SELECT count(*) FROM contribution_null":                                                                                       2 * 2 * 2 * 17 * 4, // examples, draws, sides, components, quadrants
		"SELECT count(*) FROM contribution_wide JOIN basis USING (run_id) WHERE basis_id = query_basis_id AND null_number IS NOT NULL": 2 * 2 * 2 * 17,
		"SELECT (max(abs(t.s - h.score)) < 1e-5)::INTEGER FROM (SELECT example_id, head, side, draw, sum(score) AS s FROM contribution_null GROUP BY ALL) AS t JOIN head_score AS h USING (example_id, head)": 1,
		"SELECT count(*) FROM pct_explained(query_basis := 'random1', key_basis := 'random1')":                                                                                                                17 * 4, // QK-norm keeps b_K from cancelling
	} {
		if got := number(t, db, query); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

func TestVectorViews(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	schematest.Full(t, db, 3, 2, schema.Head{Layer: 1, Index: 0}, schema.Head{Layer: 2, Index: 5})
	for query, want := range map[string]float64{
		"SELECT count(*) FROM head_substitution WHERE head = 'L2H5' AND side = 'query'":                                                                 2 * 9,
		"SELECT count(*) FROM head_substitution JOIN substitution USING (run_id, example_id, side, vector, score) WHERE head_id = 29 AND head = 'L2H5'": 2 * 14,
		"SELECT max(abs(diff - (score - baseline))) FROM head_substitution":                                                                             0,
		"SELECT count(*) FROM head_substitution AS t JOIN head_score AS s USING (example_id, head, score) WHERE vector = 'unpatched'":                   2 * 2 * 2,
		"SELECT count(diff_prob) FROM substitution":                                                                                                     0,
		"SELECT count(*) FROM head_projection WHERE basis = 'unembed+baseline' AND head = 'L1H0' AND measure = 'diff'":                                  2 * 2,
		"SELECT (max(abs(par_fraction - par_norm * par_norm)) < 1e-6)::INTEGER FROM head_projection":                                                    1,
		"SELECT count(DISTINCT basis) FROM head_projection":                                                                                             3,
	} {
		if got := number(t, db, query); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

// BenchmarkPair queries the view pair, for a head in layer 10 of GPT-2 small's shape: one pair over all
// prompts, by name, and all pairs of one prompt. BenchmarkPair/stored queries pair_contribution.
func BenchmarkPair(b *testing.B) {
	path := pairFile(b)
	for _, view := range []string{"pair", "pair_contribution"} {
		for name, where := range map[string]string{
			"one-pair":    "query_component = '9.9' AND key_component = 'MLP0' AND query_basis = 'unembed' AND quadrant = 'par_par'",
			"one-example": "example_id = 7 AND query_basis = 'unembed'",
		} {
			b.Run(view+"/"+name, func(b *testing.B) {
				db, err := dbfile.OpenReader(b.Context(), path, dbfile.Options{})
				if err != nil {
					b.Fatal(err)
				}
				defer db.Close()
				for b.Loop() {
					var n int
					var mean float64
					if err := db.SQL().QueryRowContext(b.Context(), "SELECT count(*), avg(diff) FROM "+view+" WHERE "+where).Scan(&n, &mean); err != nil || n == 0 {
						b.Fatal(n, err)
					}
				}
			})
		}
	}
}

// pairFile returns a file of 20 prompts with factors and pairs.
func pairFile(b *testing.B) string {
	b.Helper()
	db := schematest.NewDB(b)
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 10, Index: 7}), Bases: schematest.Bases(), Factors: true, Pairs: true}
	schematest.Insert(b, db, run, schematest.Random(run, 4, 20))
	if err := db.Finalize(b.Context()); err != nil {
		b.Fatal(err)
	}
	return db.Path()
}
