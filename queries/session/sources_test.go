package session_test

import (
	"database/sql"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/session"
)

// sinkFile returns the sample file with the first token as the key of every example.
func sinkFile(t *testing.T) string {
	t.Helper()
	path := sampleFile(t)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE edge SET key_pos = 0"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// one returns the single number of a query's result.
func one(t *testing.T, s *session.Session, sql string, args ...any) float64 {
	t.Helper()
	q, err := queries.Parse("-- name: one\n-- title: t\n-- description: d\n\n" + strings.Replace(fmt.Sprintf(sql, args...), " FROM", " AS one FROM", 1) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	rows := ran(t, s, q, nil)
	if len(rows.result.Rows) != 1 {
		t.Fatalf("%d rows, want one number", len(rows.result.Rows))
	}
	return rows.number(0, "one")
}

// TestComponentSources checks that the cells of a row of component_sources add up to the contribution of the
// component.
func TestComponentSources(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for set, number := range map[string]string{"": "diff", "false": "score"} {
		about := map[string]string{"run": "2", "head": "2.1"}
		if set != "" {
			about["subtract"] = set
		}
		rows := ran(t, s, embedded(t, "component_sources"), about)
		sums := map[[2]string]float64{}
		for i := range rows.result.Rows {
			sums[[2]string{rows.text(i, "panel"), rows.text(i, "component")}] += rows.number(i, "mean")
		}
		if len(sums) != 4 {
			t.Errorf("%d rows of cells, want two components on two sides", len(sums))
		}
		for at, got := range sums {
			side := map[string]string{"by way of the key": "key", "by way of the query": "query"}[at[0]]
			want := one(t, s, "SELECT avg(c.%s) FROM contribution_unsplit AS c WHERE c.run_id = 2 AND c.head = 'L2H1' AND c.side = '%s' AND c.component = '%s'", number, side, at[1])
			if !(math.Abs(got-want) <= 1e-5*max(1, math.Abs(want))) {
				t.Errorf("%v: cells add up to %v, want %v", at, got, want)
			}
		}
	}
	rows := ran(t, s, embedded(t, "example_sources"), map[string]string{"run": "2", "example": "1"})
	sums := map[[2]string]float64{}
	for i := range rows.result.Rows {
		sums[[2]string{rows.text(i, "panel"), rows.text(i, "component")}] += rows.number(i, "value")
	}
	for at, got := range sums {
		side := map[string]string{"by way of the key": "key", "by way of the query": "query"}[at[0]]
		want := one(t, s, "SELECT c.score FROM contribution_unsplit AS c WHERE c.run_id = 2 AND c.example_id = 1 AND c.head = 'L2H1' AND c.side = '%s' AND c.component = '%s'", side, at[1])
		if !(math.Abs(got-want) <= 1e-5*max(1, math.Abs(want))) {
			t.Errorf("example 1, %v: cells add up to %v, want %v", at, got, want)
		}
	}
}

// TestPositionContent computes the contribution of W_pos from its pairs, one by one.
func TestPositionContent(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for set, number := range map[string]string{"true": "diff", "false": "score"} {
		rows := ran(t, s, embedded(t, "position_content"), map[string]string{"run": "2", "head": "2.0", "subtract": set})
		total := 0.0
		for part, where := range map[string]string{
			"without W_pos":      "p.query_component <> 'W_pos' AND p.key_component <> 'W_pos'",
			"W_pos in the query": "p.query_component = 'W_pos' AND p.key_component <> 'W_pos'",
			"W_pos in the key":   "p.query_component <> 'W_pos' AND p.key_component = 'W_pos'",
			"W_pos in both":      "p.query_component = 'W_pos' AND p.key_component = 'W_pos'",
		} {
			want := one(t, s, "SELECT sum(p.%s) / count(DISTINCT p.example_id) FROM pair AS p WHERE p.run_id = 2 AND p.head = 'L2H0' AND p.query_basis = 'none' AND p.key_basis = 'none' AND %s", number, where)
			total += want
			for i := range rows.result.Rows {
				if rows.text(i, "part") == part {
					if got := rows.number(i, "mean"); !(math.Abs(got-want) <= 1e-4*max(1, math.Abs(want))) {
						t.Errorf("%s, subtract %s: %v, want %v", part, set, got, want)
					}
				}
			}
		}
		if want := one(t, s, "SELECT avg(s.%s) FROM head_score AS s WHERE s.run_id = 2 AND s.head = 'L2H0'", number); !(math.Abs(total-want) <= 1e-4*max(1, math.Abs(want))) {
			t.Errorf("parts add up to %v, want the score %v", total, want)
		}
	}
}

// TestSinkComponents checks that the part with b_Q is the sum of its pairs, and that both parts add up to the
// contribution.
func TestSinkComponents(t *testing.T) {
	t.Parallel()
	s := openFile(t, sinkFile(t), session.Options{})
	rows := ran(t, s, embedded(t, "sink_components"), map[string]string{"run": "2", "head": "2.1", "most": "3"})
	if len(rows.result.Rows) != 6 {
		t.Fatalf("%d rows, want two parts of three components", len(rows.result.Rows))
	}
	for i := range rows.result.Rows {
		c, want := rows.text(i, "component"), 0.0
		switch rows.text(i, "meets") {
		case "b_Q":
			want = one(t, s, "SELECT sum(p.diff) / 3 FROM pair AS p WHERE p.run_id = 2 AND p.head = 'L2H1' AND p.query_basis = 'none' AND p.key_basis = 'none' AND p.query_component = 'b_Q' AND p.key_component = '%s'", c)
		case "the rest of the query":
			want = one(t, s, "SELECT sum(p.diff) / 3 FROM pair AS p WHERE p.run_id = 2 AND p.head = 'L2H1' AND p.query_basis = 'none' AND p.key_basis = 'none' AND p.query_component <> 'b_Q' AND p.key_component = '%s'", c)
		default:
			t.Errorf("row %d meets %s", i, rows.text(i, "meets"))
		}
		if got := rows.number(i, "mean"); !(math.Abs(got-want) <= 1e-4*max(1, math.Abs(want))) {
			t.Errorf("%s with %s: %v, want %v", c, rows.text(i, "meets"), got, want)
		}
	}
}
