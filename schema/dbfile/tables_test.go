package dbfile_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

// firstColumn returns the first column of a query's result as text.
func firstColumn(t *testing.T, db *dbfile.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return list
}

// answers gives the second column of an answer, by the first, in its order.
func answers(t *testing.T, db *dbfile.DB, query string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, row := range firstColumn(t, db, "SELECT #1 || chr(9) || #2 FROM ("+query+")") {
		key, value, _ := strings.Cut(row, "\t")
		all[key] = append(all[key], value)
	}
	return all
}

// number gives an answer of one number.
func number(t *testing.T, db *dbfile.DB, query string, args ...any) (x float64) {
	t.Helper()
	if err := db.SQL().QueryRowContext(t.Context(), query, args...).Scan(&x); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return x
}

// TestFileDocumentsItself checks that a finished file documents every table, view, column, macro and type in
// its catalog.
func TestFileDocumentsItself(t *testing.T) {
	t.Parallel()
	db, err := dbfile.OpenWriter(t.Context(), newFile(t), dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for what, query := range map[string]string{
		"tables":  "FROM duckdb_tables() WHERE database_name = 'data'",
		"views":   "FROM duckdb_views() WHERE database_name = 'data' AND NOT internal",
		"columns": "FROM duckdb_columns() WHERE database_name = 'data'",
		"macros":  "FROM duckdb_functions() WHERE database_name = 'data' AND NOT internal",
		"types":   "FROM duckdb_types() WHERE database_name = 'data' AND logical_type = 'ENUM' AND type_name <> 'enum'",
	} {
		if n := number(t, db, "SELECT count(*) "+query); n < 4 {
			t.Errorf("only %v %s", n, what)
		}
		if n := number(t, db, "SELECT count(*) "+query+" AND coalesce(length(comment), 0) < 7"); n != 0 {
			t.Errorf("%v %s have no comment", n, what)
		}
	}
	want := []string{"about", "created_by", "schema_version"}
	if got := firstColumn(t, db, "SELECT key FROM meta ORDER BY key"); !slices.Equal(got, want) {
		t.Errorf("meta holds %q, want %q", got, want)
	}
}

func TestContributionViews(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 2, Index: 3}, schema.Head{Layer: 1, Index: 0}), Bases: schematest.Bases()}
	results := schematest.Random(run, 11, 3)
	schematest.Insert(t, db, run, results)
	components := schematest.Layout(run.Model).Components()

	// Each row of the tidy view against the number it was made from.
	const question = `SELECT concat_ws(' ', example_id, head, side, component, query_basis, key_basis, quadrant),
		score || ' ' || baseline || ' ' || diff || ' ' || kind || ' ' || coalesce(component_layer, -1) || ' ' || coalesce(component_head, -1) FROM contribution WHERE run_id = 1`
	tidy, seen := answers(t, db, question), 0
	for _, r := range results {
		for _, h := range r.Heads {
			for _, c := range h.Contributions {
				q, k := run.Bases[c.QueryBasis], run.Bases[c.KeyBasis]
				for _, quadrant := range schema.Quadrants() {
					rows := tidy[fmt.Sprint(r.Example.Index, " ", h.Head.TLName(), " ", c.Side, " ", components[c.Component].Label(), " ", q.Name, " ", k.Name, " ", quadrant)]
					none := (q.Kind == schema.Whole && quadrant <= schema.ParPerp) || (k.Kind == schema.Whole && (quadrant == schema.ParPar || quadrant == schema.PerpPar))
					if none {
						if len(rows) != 0 {
							t.Errorf("%v of %s, %s: rows %q, want none", quadrant, q.Name, k.Name, rows)
						}
						continue
					}
					seen++
					var score, baseline, diff float32
					var kind string
					var layer, head int
					if len(rows) != 1 {
						t.Fatalf("%d rows, want 1", len(rows))
					}
					if _, err := fmt.Sscan(rows[0], &score, &baseline, &diff, &kind, &layer, &head); err != nil {
						t.Fatal(err)
					}
					want := components[c.Component]
					if score != c.Score[quadrant] || baseline != c.Baseline[quadrant] || diff != score-baseline || kind != want.Kind.String() || layer != want.Layer || head != want.Head {
						t.Errorf("%v: row %q, want %v less %v, %+v", quadrant, rows[0], c.Score[quadrant], c.Baseline[quadrant], want)
					}
				}
			}
		}
	}
	if seen < 100 || seen != len(tidy) {
		t.Errorf("%d of %d rows compared", seen, len(tidy))
	}

	// Compute mean and standard error of one cell by hand.
	var sum, squares float64
	for _, r := range results {
		for _, c := range r.Heads[0].Contributions {
			if c.Side == schema.Key && components[c.Component].Label() == "MLP0" && run.Bases[c.QueryBasis].Name == "unembed" && run.Bases[c.KeyBasis].Name == "mlp0" {
				x := float64(c.Score[schema.ParPerp] - c.Baseline[schema.ParPerp])
				sum, squares = sum+x, squares+x*x
			}
		}
	}
	const cell = " FROM contribution_mean WHERE head = 'L2H3' AND side = 'key' AND component = 'MLP0' AND query_basis = 'unembed' AND key_basis = 'mlp0' AND quadrant = 'par_perp'"
	mean := sum / 3
	se := math.Sqrt((squares - 3*mean*mean) / 2 / 3)
	for column, want := range map[string]float64{"mean_diff": mean, "se_diff": se, "n": 3, "n_baseline": 3, "mean_score - mean_baseline": mean} {
		if got := number(t, db, "SELECT "+column+cell); math.Abs(got-want) > 1e-7 {
			t.Errorf("%s is %v, want %v", column, got, want)
		}
	}

	// The score is the same for every split.
	if got := number(t, db, "SELECT max(abs(c.s - s.score)) FROM (SELECT example_id, head, side, query_basis, key_basis, sum(score) AS s FROM contribution GROUP BY ALL) AS c JOIN head_score AS s USING (example_id, head)"); got > 1e-5 {
		t.Errorf("sums of contribution are off by %v", got)
	}
	if got := number(t, db, "SELECT max(abs(c.s - s.diff)) FROM (SELECT example_id, head, side, sum(diff) AS s FROM contribution_unsplit GROUP BY ALL) AS c JOIN head_score AS s USING (example_id, head)"); got > 1e-5 {
		t.Errorf("sums of contribution_unsplit are off by %v", got)
	}
	if got := number(t, db, "SELECT max(greatest(score_residual, baseline_residual)) FROM contribution_sum"); got > 1e-5 {
		t.Errorf("residual %v in contribution_sum", got)
	}
	if got := number(t, db, "SELECT count(*) FROM contribution_sum"); got != 3*2*2*4 {
		t.Errorf("%v sums, want examples x heads x sides x pairs = 48", got)
	}
	if got := number(t, db, "SELECT count(*) FROM head_attention WHERE token = ' Mary' AND pos = 1"); got != 6 {
		t.Errorf("%v rows of head_attention, want 6", got)
	}
}

func TestClosureView(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t, verify.NotClosed)
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 1, Index: 0}), Bases: schematest.Bases()}
	for _, off := range []float32{0, 0.5} {
		for _, convention := range []schema.Convention{schema.Exact, schema.Notebook} {
			run.Convention = convention
			results := schematest.Random(run, 3, 3)
			h := &results[2].Heads[0]
			h.Contributions[0].Score[schema.PerpPerp] += off
			*h = schematest.Finish(results[2].Example, h.Head, h.Score.Score, h.Score.Baseline, h.Contributions)
			schematest.Insert(t, db, run, results)
		}
	}
	got := firstColumn(t, db, `SELECT format('run {}, {}: {} scores, tolerance {}, ok {}, worst at {} of {} is {}', run_id, convention, n_scores, tolerance,
		coalesce(ok::VARCHAR, 'not judged'), worst_head, CASE WHEN worst_residual > 0.1 THEN worst_example_id ELSE -1 END, round(worst_residual, 3)) FROM closure ORDER BY run_id`)
	want := []string{
		"run 1, exact: 3 scores, tolerance 0.0001, ok true, worst at L1H0 of -1 is 0.0",
		"run 2, notebook: 3 scores, tolerance 0.0001, ok not judged, worst at L1H0 of -1 is 0.0",
		"run 3, exact: 3 scores, tolerance 0.0001, ok false, worst at L1H0 of 2 is 0.5",
		"run 4, notebook: 3 scores, tolerance 0.0001, ok not judged, worst at L1H0 of 2 is 0.5",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if tolerance := number(t, db, "SELECT max(tolerance) FROM closure"); tolerance != schema.ClosureTolerance {
		t.Errorf("the view allows %v, Go %v", tolerance, schema.ClosureTolerance)
	}
}

func TestRunAndHeadMacros(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t, verify.Unfinished)
	if got := firstColumn(t, db, "SELECT coalesce(latest_run()::VARCHAR, 'none') || ' ' || coalesce(default_head(1), 'none')"); got[0] != "none none" {
		t.Errorf("an empty file has run and head %q", got[0])
	}
	if err := asked(t, db, "FROM heatmap()"); err == nil || !strings.Contains(err.Error(), "the file has no complete run") {
		t.Errorf("heatmap() of an empty file: error %v", err)
	}
	schematest.Synthetic(t, db, 1, 1, schema.Head{Layer: 2, Index: 1}, schema.Head{Layer: 1, Index: 0})
	schematest.Synthetic(t, db, 2, 1, schema.Head{Layer: 1, Index: 5})
	schematest.Synthetic(t, db, 3, 1, schema.Head{Layer: 1, Index: 6})
	if _, err := db.SQL().ExecContext(t.Context(), "UPDATE run SET status = 'running' WHERE run_id = 3"); err != nil {
		t.Fatal(err)
	}
	if got := firstColumn(t, db, "SELECT latest_run() || ' ' || default_head(1) || ' ' || default_head(latest_run())"); got[0] != "2 L2H1 L1H5" {
		t.Errorf("run and heads %q, want the last complete one and the first asked for: 2 L2H1 L1H5", got[0])
	}
	// These are the defaults of the macros' parameters.
	if got := number(t, db, "SELECT count(*) FROM heatmap()"); got != 17 {
		t.Errorf("%v cells, want those of a head of layer 1: 17", got)
	}
	// The parameters refer to the run, not to columns of the same name.
	for query, want := range map[string]float64{
		"SELECT count(*) FROM heatmap(run := 1)":                                                                                                                  31,
		"SELECT count(*) FROM heatmap(run := 1, head := '1.0')":                                                                                                   17,
		"SELECT count(*) FROM heatmap(run := 3, head := '1.6', side := 'query')":                                                                                  17,
		"SELECT n FROM heatmap(example := 0) LIMIT 1":                                                                                                             1,
		"SELECT count(*) FROM heatmap(side := 'key') WHERE component = 'b_K'":                                                                                     1,
		"SELECT count(*) FROM heatmap(side := 'query') WHERE component = 'b_K'":                                                                                   0,
		"SELECT count(*) FROM pct_explained(run := 1)":                                                                                                            30 * 4,
		"SELECT count(*) FROM pct_explained(run := 1, side := 'query')":                                                                                           31 * 4,
		"SELECT count(*) FROM pct_explained(run := 1, subtract := false)":                                                                                         31 * 4,
		"SELECT round(sum(pct), 9) FROM pct_explained(run := 1)":                                                                                                  100,
		"SELECT round(sum(pct), 9) FROM pct_explained(run := 1, head := '1.0', side := 'query')":                                                                  100,
		"SELECT round(sum(pct), 9) FROM pct_explained(run := 1, subtract := false, side := 'query')":                                                              100,
		"SELECT count(DISTINCT denominator_is) FROM (FROM pct_explained() UNION FROM pct_explained(side := 'query') UNION FROM pct_explained(subtract := false))": 3,
	} {
		if got := number(t, db, query); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for query, want := range map[string]string{
		"SELECT * FROM heatmap(quadrant := 'pp')":     "quadrant pp, want par_par, par_perp, perp_par, perp_perp or NULL",
		"SELECT * FROM heatmap(side := 'keys')":       "keys",
		"FROM heatmap(run := 1, head := '1.5')":       "run 1 has no target head 1.5, it has L2H1, L1H0",
		"FROM heatmap(head := 'L1H9')":                "run 2 has no target head L1H9, it has L1H5",
		"FROM heatmap(run := 7)":                      "there is no run 7, there is 1, 2, 3",
		"FROM heatmap(query_basis := 'nonsense')":     "run 2 has no query basis nonsense, it has none, unembed",
		"FROM pct_explained(key_basis := 'nonsense')": "run 2 has no key basis nonsense, it has none, mlp0",
		"FROM pct_explained(run := 9)":                "there is no run 9",
		"FROM heatmap(example := 5)":                  "run 2 has no example 5, it has 0 to 0",
		"SELECT * FROM pct_explained(side := 'no')":   "no",
	} {
		if err := asked(t, db, query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", query, err, want)
		}
	}
}

// asked returns the error of a query, which may come with its rows.
func asked(t *testing.T, db *dbfile.DB, query string) error {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

// TestPctExplainedDenominator computes the share of one component by hand. On the key side b_K does not count
// if it cancels; on the query side b_Q counts.
func TestPctExplainedDenominator(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t, verify.Incomplete)
	for _, side := range []schema.Side{schema.Key, schema.Query} {
		schematest.Panels(t, db, schema.Head{Layer: 1, Index: 0}, []schematest.Panel{
			{Side: side, QueryBasis: "unembed", KeyBasis: "mlp0", Quadrant: schema.ParPar, Values: map[string]float32{"MLP0": 1, "W_E": 1}},
			{Side: side, QueryBasis: "unembed", KeyBasis: "mlp0", Quadrant: schema.PerpPerp, Values: map[string]float32{"MLP0": 2, "b_K": 4, "b_Q": 4}},
		})
	}
	for query, want := range map[string]float64{
		"SELECT pct FROM pct_explained(run := 1) WHERE component = 'MLP0' AND quadrant = 'par_par'":                         100. / 8, // 1 of 1 + 1 + 2 + 4 (b_Q)
		"SELECT denominator FROM pct_explained(run := 1) LIMIT 1":                                                           8,
		"SELECT sum(pct) FROM pct_explained(run := 1) WHERE component = 'MLP0'":                                             300. / 8,
		"SELECT count(*) FROM pct_explained(run := 1) WHERE kind = 'k_bias'":                                                0,
		"SELECT denominator FROM pct_explained(run := 1, subtract := false) LIMIT 1":                                        12,
		"SELECT pct FROM pct_explained(run := 2, side := 'query') WHERE component = 'b_Q' AND quadrant = 'perp_perp'":       50,
		"SELECT explained FROM pct_explained(run := 2, side := 'query') WHERE component = 'b_Q' AND quadrant = 'perp_perp'": 4,
	} {
		if got := number(t, db, query); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	// Keys that are divided by their own norms differ although they are not rotated, and so does b_K.
	if _, err := db.SQL().ExecContext(t.Context(), "UPDATE score SET query_norm_scale = 2, key_norm_scale = 2, baseline_norm_scale = 2 WHERE run_id = 1"); err != nil {
		t.Fatal(err)
	}
	if got := number(t, db, "SELECT denominator FROM pct_explained(run := 1) LIMIT 1"); got != 12 {
		t.Errorf("the denominator with QK-norm is %v, want 12 with b_K", got)
	}
}

// TestPublishedPercentages reproduces figure K33, published for GPT-2 small (testdata/published): MLP0
// explains 23.48 %, all MLPs 41.95 %. With the b_K cells in the denominator it would be 22.35 % and 39.92 %.
func TestPublishedPercentages(t *testing.T) {
	t.Parallel()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "published", "heatmaps.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	panels := map[schema.Quadrant]map[string]float32{}
	for _, r := range records[1:] { // figure, side, baseline, query, query_part, key_part, component, value
		if r[0] != "K33" {
			continue
		}
		quadrant, err := schema.ParseQuadrant(r[4] + "_" + r[5])
		if err != nil {
			t.Fatal(err)
		}
		value, err := strconv.ParseFloat(r[7], 32)
		if err != nil {
			t.Fatal(err)
		}
		if panels[quadrant] == nil {
			panels[quadrant] = map[string]float32{}
		}
		panels[quadrant][r[6]] = float32(value)
	}
	var list []schematest.Panel
	for _, q := range schema.Quadrants() {
		if len(panels[q]) != 133 {
			t.Fatalf("%d values of %v, want 133", len(panels[q]), q)
		}
		list = append(list, schematest.Panel{Side: schema.Key, QueryBasis: "unembed", KeyBasis: "mlp0", Quadrant: q, Values: panels[q]})
	}
	db := schematest.NewDB(t, verify.Incomplete)
	schematest.Panels(t, db, schema.Head{Layer: 10, Index: 7}, list)
	for query, want := range map[string]string{
		"SELECT pct FROM pct_explained() WHERE component = 'MLP0' AND quadrant = 'par_par'":                                   "23.483356", // printed 23.48
		"SELECT sum(pct) FROM pct_explained() WHERE kind = 'mlp' AND quadrant = 'par_par'":                                    "41.945716", // printed 41.95
		"SELECT pct FROM pct_explained(subtract := false) WHERE component = 'MLP0' AND quadrant = 'par_par'":                  "22.351843",
		"SELECT sum(pct) FROM pct_explained(subtract := false) WHERE kind = 'mlp' AND quadrant = 'par_par'":                   "39.924620",
		"SELECT sum(pct) FROM pct_explained(head := '10.7', side := 'key') WHERE component = 'MLP0' AND quadrant = 'par_par'": "23.483356",
	} {
		if got := fmt.Sprintf("%.6f", number(t, db, query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	// The macro returns the cells unchanged.
	for q, values := range panels {
		for component, want := range values {
			got := number(t, db, "SELECT mean_diff FROM heatmap(query_basis := 'unembed', key_basis := 'mlp0', quadrant := ?) WHERE component = ?", q.String(), component)
			if got != float64(want) {
				t.Errorf("%v %s: %v, want %v", q, component, got, want)
			}
			if component != "MLP0" && component != "b_K" && !strings.HasPrefix(component, "9.") {
				break // a few are enough
			}
		}
	}
}

// BenchmarkContribution queries the tidy view for one heatmap among 20 examples, 10 heads and 4 pairs of
// bases.
func BenchmarkContribution(b *testing.B) {
	db := schematest.NewDB(b)
	var heads []schema.Head
	for i := range 10 {
		heads = append(heads, schema.Head{Layer: 9 + i/12, Index: i % 12})
	}
	schematest.Synthetic(b, db, 1, 20, heads...)
	for name, query := range map[string]string{
		"unsplit":  "SELECT component, avg(diff) FROM contribution_unsplit WHERE head = 'L9H9' AND side = 'key' GROUP BY component",
		"quadrant": "SELECT component, avg(diff) FROM contribution WHERE head = 'L9H9' AND side = 'key' AND query_basis = 'unembed' AND key_basis = 'mlp0' AND quadrant = 'par_par' GROUP BY component",
		"one":      "SELECT quadrant, diff FROM contribution WHERE head = 'L9H9' AND side = 'key' AND query_basis = 'unembed' AND key_basis = 'mlp0' AND component = 'MLP0' AND example_id = 7",
		"means":    "SELECT component, mean_diff FROM contribution_mean WHERE head = 'L9H9' AND side = 'key' AND query_basis = 'unembed' AND key_basis = 'mlp0' AND quadrant = 'par_par'",
		"macro":    "SELECT component, mean_diff FROM heatmap(head := '9.9', query_basis := 'unembed', key_basis := 'mlp0', quadrant := 'par_par')",
		"all":      "SELECT count(*), sum(mean_diff) FROM contribution_mean",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := db.SQL().ExecContext(b.Context(), query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
