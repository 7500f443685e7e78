package session_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/schematest"
)

// TestEmbedded runs every shipped query, with its defaults and for the other head of an older run, and checks
// what all results have in common.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	s, sinks := open(t, session.Options{}), openFile(t, sinkFile(t), session.Options{})
	shipped := map[string]bool{
		"key_components": false, "query_components": false, "key_quadrants": false, "query_quadrants": false,
		"pct_explained_mlp0": false, "pct_explained_all_mlps": false, "pct_explained_name_movers": false,
		"closure": false, "top_heads": false, "drill_down": false,
		"query_substitution_scores": false, "query_substitution_probs": false, "key_substitution_scores": false,
		"key_substitution_probs": false, "key_substitution_diff": false, "key_components_unembed_query": false,
		"pair_matrix": false, "top_pairs": false, "unembed_fraction": false, "map_cosines": false, "head_cosines": false, "mlp0_norms": false, "basis_shares": false, "direct_logit": false, "head_measures": false,
		"component_sources": false, "example_sources": false, "position_content": false, "sink_components": false,
		"row_components": false, "row_softmax": false, "nearest_tokens": false,
	}
	for _, q := range queries.Embedded() {
		shipped[q.Name] = true
		t.Run(q.Name, func(t *testing.T) {
			s := s
			if q.Name == "sink_components" {
				s = sinks
			}
			if len(q.Description) < 60 {
				t.Errorf("description %q, want some sentences", q.Description)
			}
			for _, p := range q.Params {
				if p.Doc == "" {
					t.Errorf("parameter %s has no text", p.Name)
				}
			}
			upper := strings.ToUpper(q.SQL)
			if strings.Contains(upper, "SELECT *") || strings.Contains(q.SQL, ".*") {
				t.Error("SELECT *, want the columns by name")
			}
			if last := upper[strings.LastIndex(upper, "\nFROM "):]; !strings.Contains(last, "\nORDER BY ") {
				t.Error("no ORDER BY at the end")
			}
			if err := s.Check(t.Context(), q); err != nil {
				t.Errorf("check: %v", err)
			}
			sets := []map[string]string{nil}
			if len(q.Params) > 0 && q.Params[0].Name == "run" {
				sets = append(sets, map[string]string{"run": "1"})
			}
			if len(q.Params) > 1 && q.Params[1].Name == "head" {
				sets = append(sets, map[string]string{"run": "1", "head": "2.0"})
			}
			for _, set := range sets {
				result, err := s.Run(t.Context(), q, set)
				if err != nil {
					t.Fatalf("%v: %v", set, err)
				}
				if len(result.Rows) == 0 {
					t.Fatalf("%v: no rows", set)
				}
				for _, text := range []string{q.Title, q.Subtitle} {
					if _, err := result.Expand(text); err != nil {
						t.Errorf("%v: %v", set, err)
					}
				}
				if q.Chart.Mark != queries.Table && q.Chart.Mark != queries.Scalar {
					if _, err := figure.New(q, result); err != nil {
						t.Errorf("%v: figure: %v", set, err)
					}
				}
				for _, c := range q.Chart.Columns() {
					if c.Column != "" && result.Index(c.Column) < 0 {
						t.Errorf("%s: column %q is not in %v", c.Key, c.Column, result.Names())
					}
				}
			}
		})
	}
	for name, found := range shipped {
		if !found {
			t.Errorf("query %s does not ship", name)
		}
	}
}

// embedded returns a shipped query.
func embedded(t *testing.T, name string) queries.Query {
	t.Helper()
	q, err := queries.Find(queries.Embedded(), name)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// table reads the rows of a result by column name.
type table struct {
	*testing.T
	result *queries.Result
}

func (t table) text(row int, column string) string {
	return queries.String(t.value(row, column))
}

func (t table) number(row int, column string) float64 {
	t.Helper()
	x, ok := queries.Number(t.value(row, column))
	if !ok {
		t.Fatalf("row %d, column %s: %v is not a number", row, column, t.value(row, column))
	}
	return x
}

func (t table) value(row int, column string) any {
	t.Helper()
	i := t.result.Index(column)
	if i < 0 {
		t.Fatalf("no column %s in %v", column, t.result.Names())
	}
	return t.result.Rows[row][i]
}

// ran runs a query that must succeed.
func ran(t *testing.T, s *session.Session, q queries.Query, set map[string]string) table {
	t.Helper()
	result, err := s.Run(t.Context(), q, set)
	if err != nil {
		t.Fatal(err)
	}
	return table{t, result}
}

// sampleTerms returns the contributions of a run of the sample file, as computed before they were stored.
func sampleTerms(seed uint64, head schema.Head, side schema.Side, query, key string) [][]schema.Contribution {
	run := small()
	var examples [][]schema.Contribution
	for _, r := range schematest.Random(run, seed, 3) {
		var list []schema.Contribution
		for _, h := range r.Heads {
			for _, c := range h.Contributions {
				if h.Head == head && c.Side == side && run.Bases[c.QueryBasis].Name == query && run.Bases[c.KeyBasis].Name == key {
					list = append(list, c)
				}
			}
		}
		examples = append(examples, list)
	}
	return examples
}

// meanSE returns mean and standard error.
func meanSE(list []float64) (mean, se float64) {
	n := float64(len(list))
	for _, x := range list {
		mean += x / n
	}
	for _, x := range list {
		se += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(se / (n - 1) / n)
}

// tolerance is for sums of float32 in another order; the sums are about 1.
const tolerance = 2e-6

func near(a, b float64) bool { return math.Abs(a-b) <= tolerance*max(1, math.Abs(b)) }

// TestComponents compares all cells with the stored contributions.
func TestComponents(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	components := schema.Components(3, 2)
	for _, side := range []schema.Side{schema.Query, schema.Key} {
		result := ran(t, s, embedded(t, side.String()+"_components"), map[string]string{"run": "1", "head": "2.0"})
		terms := sampleTerms(1, schema.Head{Layer: 2, Index: 0}, side, "none", "none")
		n := len(terms[0])
		if len(result.result.Rows) != 2*n {
			t.Fatalf("%v: %d rows, want 2 panels of %d", side, len(result.result.Rows), n)
		}
		for i := range 2 * n {
			c := components[terms[0][i%n].Component]
			panel := []string{"baseline subtracted", "baseline not subtracted"}[i/n]
			var values []float64
			for _, list := range terms {
				x := list[i%n].Score[schema.PerpPerp]
				if i < n {
					x -= list[i%n].Baseline[schema.PerpPerp]
				}
				values = append(values, float64(x))
			}
			mean, se := meanSE(values)
			row, column := c.Grid(2)
			if result.text(i, "panel") != panel || result.text(i, "component") != c.Label() ||
				!near(result.number(i, "mean"), mean) || !near(result.number(i, "se"), se) || result.number(i, "n") != 3 ||
				int(result.number(i, "grid_row")) != row || int(result.number(i, "grid_column")) != column {
				t.Errorf("%v row %d: %v, want %s %s %v %v 3 at %d, %d", side, i, result.result.Rows[i], panel, c.Label(), mean, se, row, column)
			}
		}
	}
}

func TestQuadrants(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	components := schema.Components(3, 2)
	for _, side := range []schema.Side{schema.Query, schema.Key} {
		result := ran(t, s, embedded(t, side.String()+"_quadrants"), nil) // run 2, head 2.1
		row := 0
		for _, frame := range []struct {
			name, basis string
			subtract    bool
		}{
			{"baseline subtracted", "unembed", true},
			{"baseline subtracted, query split along both unembeddings", "unembed+baseline", true},
			{"baseline not subtracted", "unembed", false},
		} {
			terms := sampleTerms(2, schema.Head{Layer: 2, Index: 1}, side, frame.basis, "mlp0")
			for _, quadrant := range schema.Quadrants() {
				for i := range terms[0] {
					var values []float64
					for _, list := range terms {
						x := list[i].Score[quadrant]
						if frame.subtract {
							x -= list[i].Baseline[quadrant]
						}
						values = append(values, float64(x))
					}
					mean, se := meanSE(values)
					label := components[terms[0][i].Component].Label()
					if result.text(row, "frame") != frame.name || result.text(row, "quadrant") != quadrant.String() || result.text(row, "component") != label ||
						!near(result.number(row, "mean"), mean) || !near(result.number(row, "se"), se) {
						t.Fatalf("%v row %d: %v, want %s %v %s %v %v", side, row, result.result.Rows[row], frame.name, quadrant, label, mean, se)
					}
					row++
				}
			}
		}
		if row != len(result.result.Rows) {
			t.Errorf("%v: %d rows, want %d", side, len(result.result.Rows), row)
		}
	}
}

// TestPercentages compares the three percentages with those computed here and those of the macro.
func TestPercentages(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	components := schema.Components(3, 2)
	for _, c := range []struct {
		query, macro string
		set          map[string]string
		side         schema.Side
		part         func(schema.Component) bool
	}{
		{"pct_explained_mlp0", "component = 'MLP0'", nil, schema.Key, func(c schema.Component) bool { return c.Label() == "MLP0" }},
		{"pct_explained_all_mlps", "kind = 'mlp'", nil, schema.Key, func(c schema.Component) bool { return c.Kind == schema.MLP }},
		{"pct_explained_name_movers", "component IN ('1.1', '0.0')", map[string]string{"heads": "0.0, 1.1"}, schema.Query,
			func(c schema.Component) bool { return c.Label() == "1.1" || c.Label() == "0.0" }},
	} {
		result := ran(t, s, embedded(t, c.query), c.set)
		var parts, wholes, linear []float64
		for _, list := range sampleTerms(2, schema.Head{Layer: 2, Index: 1}, c.side, "unembed", "mlp0") {
			var part, whole float64
			for _, term := range list {
				component := components[term.Component]
				for _, quadrant := range schema.Quadrants() {
					x := float64(term.Score[quadrant] - term.Baseline[quadrant])
					if component.Kind != schema.KBias {
						whole += x
					}
					if quadrant == schema.ParPar && c.part(component) {
						part += x
					}
				}
			}
			parts, wholes = append(parts, part), append(wholes, whole)
		}
		explained, _ := meanSE(parts)
		denominator, _ := meanSE(wholes)
		for i := range parts {
			linear = append(linear, parts[i]-explained/denominator*wholes[i])
		}
		_, se := meanSE(linear)
		for column, want := range map[string]float64{"pct": 100 * explained / denominator, "se": 100 * se / math.Abs(denominator), "explained": explained, "denominator": denominator, "n": 3} {
			if got := result.number(0, column); !near(got, want) {
				t.Errorf("%s: %s %v, want %v", c.query, column, got, want)
			}
		}
		macro, err := ask(t.Context(), s, "SELECT sum(pct) AS pct FROM pct_explained(side := '"+c.side.String()+"') WHERE quadrant = 'par_par' AND "+c.macro, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := (table{t, macro}).number(0, "pct"); !near(got, result.number(0, "pct")) {
			t.Errorf("%s: macro pct_explained %v, query %v", c.query, got, result.number(0, "pct"))
		}
	}
}

// TestBasisShares compares all shares with sums over the view of contributions.
func TestBasisShares(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for _, subtract := range []string{"true", "false"} {
		value := map[string]string{"true": "diff", "false": "score"}[subtract]
		result := ran(t, s, embedded(t, "basis_shares"), map[string]string{"run": "1", "head": "2.0", "subtract": subtract})
		if len(result.result.Rows) != 3 {
			t.Errorf("%d rows, want unembed, unembed+baseline and mlp0", len(result.result.Rows))
		}
		for i := range result.result.Rows {
			side, basis := result.text(i, "side"), result.text(i, "basis")
			other := map[string]string{"key": "query", "query": "key"}[side]
			parts := map[string]string{"key": "'par_par', 'perp_par'", "query": "'par_par', 'par_perp'"}[side]
			sums, err := ask(t.Context(), s, "SELECT avg(part) AS part, avg(whole) AS whole, count(*) AS n FROM (SELECT example_id, "+
				"sum("+value+"::DOUBLE) FILTER (quadrant IN ("+parts+")) AS part, sum("+value+"::DOUBLE) AS whole FROM contribution "+
				"WHERE run_id = 1 AND head = 'L2H0' AND side = '"+side+"' AND "+side+"_basis = '"+basis+"' AND "+other+"_basis = 'none' GROUP BY example_id)", nil)
			if err != nil {
				t.Fatal(err)
			}
			want := table{t, sums}
			pct := 100 * want.number(0, "part") / want.number(0, "whole")
			if !near(result.number(i, "pct"), pct) || result.number(i, "n") != 3 || result.number(i, "n") != want.number(0, "n") ||
				!near(result.number(i, "low")+result.number(i, "high"), 2*pct) || result.number(i, "null_n") < 1 {
				t.Errorf("%s along %s: %v, want %v", side, basis, result.result.Rows[i], pct)
			}
		}
	}
}

// TestPercentageOfNothing checks that the percentage of missing quadrants is NULL, not 0.
func TestPercentageOfNothing(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for _, q := range queries.Embedded() {
		if q.Chart.Mark == queries.Scalar {
			if pct := ran(t, s, q, map[string]string{"query_basis": "none"}).value(0, "pct"); pct != nil {
				t.Errorf("%s without a query basis: %v, want NULL", q.Name, pct)
			}
		}
	}
}

// TestNameMovers checks which heads are chosen, and that an unknown head is an error.
func TestNameMovers(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	q := embedded(t, "pct_explained_name_movers")
	if got := ran(t, s, q, nil).text(0, "heads"); got != "1.1 + 0.0" && got != "0.0 + 1.1" {
		t.Errorf("heads %q, want the movers of the run, 1.1 and 0.0", got)
	}
	// A run without movers: the two largest heads are chosen.
	db := schematest.NewDB(t)
	run := small()
	run.Movers = nil
	schematest.Insert(t, db, run, schematest.Random(run, 5, 3))
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	without := openFile(t, db.Path(), session.Options{})
	largest, err := ask(t.Context(), without, `SELECT string_agg(component, ' + ' ORDER BY mean_diff DESC) AS heads FROM (
		SELECT component, mean_diff FROM contribution_mean WHERE run_id = 1 AND head = 'L2H1' AND side = 'query' AND kind = 'head'
		AND query_basis = 'unembed' AND key_basis = 'mlp0' AND quadrant = 'par_par' ORDER BY mean_diff DESC LIMIT 2)`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ran(t, without, q, nil).text(0, "heads"), queries.String(largest.Rows[0][0]); got != want {
		t.Errorf("heads %q, want the two largest, %q", got, want)
	}
	if got := ran(t, s, q, map[string]string{"heads": "0.1,0.1"}).text(0, "heads"); got != "0.1" {
		t.Errorf("heads %q, want 0.1 once", got)
	}
	for _, heads := range []string{"9.9", "2.1", "", "0.1,"} {
		_, err := s.Run(t.Context(), q, map[string]string{"heads": heads})
		if err == nil || !strings.Contains(err.Error(), "is not a head below the target head") {
			t.Errorf("heads %q: error %v", heads, err)
		}
	}
}

func TestDrillDown(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	q := embedded(t, "drill_down")
	result := ran(t, s, q, map[string]string{"side": "query", "component": "1.0", "query_basis": "unembed", "key_basis": "mlp0", "quadrant": "par_perp"})
	terms := sampleTerms(2, schema.Head{Layer: 2, Index: 1}, schema.Query, "unembed", "mlp0")
	components := schema.Components(3, 2)
	last := math.Inf(1)
	for i := range result.result.Rows {
		for _, term := range terms[int(result.number(i, "example_id"))] {
			if components[term.Component].Label() == "1.0" {
				want := float64(term.Score[schema.ParPerp] - term.Baseline[schema.ParPerp])
				if got := result.number(i, "value"); !near(got, want) || math.Abs(got) > last {
					t.Errorf("row %d: value %v, want %v, falling", i, got, want)
				}
				last = math.Abs(result.number(i, "value"))
			}
		}
	}
	if len(result.result.Rows) != 3 {
		t.Errorf("%d rows, want 3", len(result.result.Rows))
	}
	if rows := ran(t, s, q, map[string]string{"most": "1"}).result.Rows; len(rows) != 1 {
		t.Errorf("%d rows, want 1", len(rows))
	}
	for param, want := range map[string]string{"component": `component "MLP9": not in this file`, "side": `side has no "MLP9"`, "quadrant": `quadrant has no "MLP9"`} {
		_, err := s.Run(t.Context(), q, map[string]string{param: "MLP9"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", param, err, want)
		}
	}
}

func TestClosureQuery(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	result := ran(t, s, embedded(t, "closure"), nil)
	if len(result.result.Rows) != 3 || result.text(0, "ok") != "true" || result.text(2, "status") != "running" {
		t.Errorf("rows %v, want runs 1 to 3", result.result.Rows)
	}
	if worst := result.number(0, "worst_relative"); worst > schema.ClosureTolerance {
		t.Errorf("worst residual %v", worst)
	}
}

func TestTopHeads(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	result := ran(t, s, embedded(t, "top_heads"), nil)
	if len(result.result.Rows) != 2 || result.number(0, "mean_prob") < result.number(1, "mean_prob") {
		t.Errorf("rows %v, want both heads, the larger first", result.result.Rows)
	}
	if rows := ran(t, s, embedded(t, "top_heads"), map[string]string{"most": "1"}).result.Rows; len(rows) != 1 {
		t.Errorf("%d rows, want 1", len(rows))
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	facts := map[string]string{}
	for _, f := range ran(t, s, embedded(t, "key_components"), map[string]string{"run": "1", "head": "2.0"}).result.Facts {
		facts[f.Name] = f.Value
	}
	for name, want := range map[string]string{"run": "1", "head": "2.0", "model": "small", "prompts": "3", "source": "ioi", "convention": "exact", "seed": "42"} {
		if facts[name] != want {
			t.Errorf("fact %s is %q, want %q", name, facts[name], want)
		}
	}
	if facts := ran(t, s, embedded(t, "closure"), nil).result.Facts; facts != nil {
		t.Errorf("facts %v of a query about all runs", facts)
	}
}

// TestOnly checks that the parameter only restricts a query to prompts with a value in a field.
func TestOnly(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	token, err := ask(t.Context(), s, "SELECT trim(key_token) AS token, count(*) OVER (PARTITION BY trim(key_token)) AS n FROM example WHERE run_id = latest_run() ORDER BY example_id LIMIT 1", nil)
	if err != nil {
		t.Fatal(err)
	}
	only, n := "key_token="+table{t, token}.text(0, "token"), table{t, token}.number(0, "n")
	for _, q := range queries.Embedded() {
		result := ran(t, s, q, nil)
		if slices.Contains([]string{"closure", "head_measures", "row_components", "example_sources"}, q.Name) || strings.Contains(q.SQL, "pair_mean") { // these are about all prompts or about one
			if strings.Contains(q.SQL, "$only") {
				t.Errorf("%s takes only", q.Name)
			}
			continue
		}
		some := ran(t, s, q, map[string]string{"only": only})
		if column := some.result.Index("n"); column >= 0 {
			for i := range some.result.Rows {
				if got := some.number(i, "n"); got > n || n < 3 && got == result.number(0, "n") {
					t.Errorf("%s: n = %v of prompts with %s, want at most %v", q.Name, got, only, n)
					break
				}
			}
		}
		if none := ran(t, s, q, map[string]string{"only": "key_token=nobody"}); len(none.result.Rows) != 0 {
			t.Errorf("%s: %d rows of no prompt", q.Name, len(none.result.Rows))
		}
	}
	means, err := ask(t.Context(), s, "SELECT component, avg(u.diff) AS mean FROM contribution_unsplit AS u JOIN example AS e USING (run_id, example_id) "+
		"WHERE u.run_id = latest_run() AND u.head = 'L2H1' AND u.side = 'key' AND trim(e.key_token) = $token GROUP BY component", map[string]string{"token": table{t, token}.text(0, "token")})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{}
	for i := range means.Rows {
		want[table{t, means}.text(i, "component")] = table{t, means}.number(i, "mean")
	}
	some := ran(t, s, embedded(t, "key_components"), map[string]string{"only": only})
	for i := range some.result.Rows {
		if some.text(i, "panel") == "baseline subtracted" && !near(some.number(i, "mean"), want[some.text(i, "component")]) {
			t.Errorf("%s: %v, want %v", some.text(i, "component"), some.number(i, "mean"), want[some.text(i, "component")])
		}
	}
	if _, err := s.Run(t.Context(), embedded(t, "key_components"), map[string]string{"only": "template"}); err == nil || !strings.Contains(err.Error(), "want FIELD=VALUE") {
		t.Errorf("error %v", err)
	}
}

// TestPairMatrixMost checks that a pair matrix restricted to the largest components is a part of the whole,
// and says which part.
func TestPairMatrixMost(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	q := embedded(t, "pair_matrix")
	all, some := ran(t, s, q, nil), ran(t, s, q, map[string]string{"most": "2"})
	weights, sum := map[string]float64{}, 0.0
	for i := range all.result.Rows {
		size := math.Abs(all.number(i, "mean"))
		weights[all.text(i, "query_component")] += size
		sum += size
	}
	shown := map[string]bool{}
	for i := range some.result.Rows {
		shown[some.text(i, "query_component")] = true
	}
	if len(some.result.Rows) != 4*2*2 || len(shown) != 2 || !near(some.number(0, "whole"), sum) || !near(all.number(0, "whole"), sum) {
		t.Errorf("%d rows of %v with the whole %v, want 16 of two components and %v", len(some.result.Rows), shown, some.number(0, "whole"), sum)
	}
	for name, weight := range weights {
		for kept := range shown {
			if !shown[name] && weight > weights[kept] {
				t.Errorf("%s is left out, and carries more than %s", name, kept)
			}
		}
	}
	f, err := figure.New(q, some.result)
	if err != nil {
		t.Fatal(err)
	}
	if lead := strings.Join(f.Lead(), "\n"); !strings.Contains(lead, "shown is a part of a larger matrix: ") || !strings.Contains(f.Frames[0].Panels[0].X.Title, "key component (2 of ") {
		t.Errorf("the figure says %q over %q", lead, f.Frames[0].Panels[0].X.Title)
	}
}
