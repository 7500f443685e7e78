package session_test

import (
	"errors"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/session"
)

// TestWords compares columns with impossible words. DuckDB alone would return no rows, or those of another
// head.
func TestWords(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for _, c := range []struct {
		sql, want, hint string
		column          int
	}{
		{"FROM contribution WHERE side = 'keys'", `side has no "keys"`, "there is query, key", 25},
		{"SELECT 1 FROM contribution AS c WHERE 'keys' = c.side", `side has no "keys"`, "there is query, key", 48},
		{"FROM contribution WHERE side <> 'keys'", `side has no "keys"`, "there is query, key", 25},
		{"FROM contribution WHERE quadrant IN ('par_par', 'parpar')", `quadrant has no "parpar"`, "there is par_par, par_perp, perp_par, perp_perp", 25},
		{"SELECT 1\nFROM contribution WHERE\n  kind = 'heads'", `kind has no "heads"`, "there is embed, pos_embed, head", 3},
		{"FROM run WHERE status = 'done'", `status has no "done"`, "there is running, complete", 16},
		{"FROM head_score WHERE head = '2.1'", `head has no "2.1": write "L2H1", or head_label('2.1')`, "", 23},
		{"FROM head_score WHERE head = '9.9'", `head has no "9.9"`, "there is L2H0, L2H1", 23},
		{"FROM head_score WHERE head = 2.1", "head is compared with the number 2.1, want text: as a number, 11.10 is 11.1", "there is L2H0, L2H1", 23},
		{"FROM head_score WHERE head IN (11.10, 2.1)", "head is compared with the number 2.1", "", 23},
		{"FROM contribution WHERE query_basis = 'unembd'", `query_basis has no "unembd"`, "there is none, unembed", 25},
		{"FROM contribution WHERE key_basis = 'unembed'", `key_basis has no "unembed"`, "mlp0", 25},
		{"FROM contribution WHERE component = 'MLP9'", `component has no "MLP9"`, "W_E, W_pos", 25},
		{"FROM heatmap(head := '9.1')", `head has no "9.1"`, "there is L2H0, L2H1", 22},
		{"FROM heatmap(head := 2.1)", "head is compared with the number 2.1", "there is L2H0, L2H1", 22},
		{"FROM heatmap(side := 'keys')", `side has no "keys"`, "there is query, key", 22},
		{"FROM heatmap(query_basis := 'unembd')", `query_basis has no "unembd"`, "there is none, unembed", 29},
		{"FROM pct_explained(key_basis := 'x')", `key_basis has no "x"`, "mlp0", 33},
		{"FROM head_substitution WHERE vector = 'W_U[IO]'", `vector has no "W_U[IO]"`, "W_U[key]", 30},
		{"SELECT 1 FROM head_score WHERE key_token = 'Mary'", `key_token has no "Mary"`, `there is " Mary"`, 32},
		{"FROM head_projection WHERE measure = 'previous'", `measure has no "previous"`, "there is score, diff", 28},
		{"SELECT 'keys'::side", `side has no "keys"`, "there is query, key", 8},
		{"EXPLAIN FROM contribution WHERE side = 'keys'", `side has no "keys"`, "there is query, key", 33},
	} {
		_, err := ask(t.Context(), s, c.sql, nil)
		var e *session.SQLError
		if !errors.As(err, &e) {
			t.Errorf("%s: error %v, want a SQLError", c.sql, err)
			continue
		}
		if !strings.Contains(e.Message, c.want) || !strings.Contains(hint(err), c.hint) || e.Column != c.column {
			t.Errorf("%s: column %d %s (%s)\nwant column %d, %s (%s)", c.sql, e.Column, e.Message, hint(err), c.column, c.want, c.hint)
		}
	}
	for _, sql := range []string{
		"FROM contribution WHERE side = 'key' AND quadrant IN ('par_par', 'perp_perp') AND head = 'L2H1'",
		"FROM head_score WHERE head = head_label('2.1')", "FROM heatmap(head := '2.1')", "FROM heatmap(head := 'L2H1', quadrant := NULL)",
		"FROM head WHERE head = 1", "FROM component WHERE head = 0 AND kind = 'head'", "FROM basis WHERE kind = 'whole'",
		"SELECT 1 FROM (SELECT 'left' AS side FROM run) WHERE side = 'left'", "WITH x(head) AS (SELECT 'mine') FROM x WHERE head = 'mine'",
		"SELECT 1 FROM (VALUES ('mine')) AS v(side) WHERE side = 'mine'", "SELECT 1 FROM run WHERE 'a' = 'b'",
		"FROM head_score WHERE key_token = 'Nobody'", "FROM head_score WHERE key_token = ' Mary'", "FROM head_projection WHERE vector = 'x'",
		"FROM head_measure_mean WHERE measure = 'previous'", "FROM prompt_measure WHERE measure = 'induction'", "FROM head_projection WHERE measure = 'diff'",
		"FROM head_measure AS m, projection AS p WHERE m.measure = 'previous' AND p.measure = 'diff'",
		"FROM head_score WHERE head LIKE 'L9%'", "FROM contribution WHERE side IS NOT DISTINCT FROM NULL",
	} {
		if _, err := ask(t.Context(), s, sql, nil); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if _, err := ask(t.Context(), s, "FROM contribution WHERE side = $s", map[string]string{"s": "keys"}); err == nil || !strings.Contains(err.Error(), `side has no "keys"`) {
		t.Errorf("a parameter: %v", err)
	}
}

// TestUnsetParameter runs SQL with a parameter that is not set.
func TestUnsetParameter(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	_, err := ask(t.Context(), s, "SELECT count(*) FROM run WHERE run_id = $r", nil)
	var unset *queries.UnsetError
	if !errors.As(err, &unset) || unset.Name != "r" || hint(err) != "give it one with --set r=..." {
		t.Errorf("error %v (%s)", err, hint(err))
	}
}

// TestHeadNames passes the parameter head in both forms.
func TestHeadNames(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for _, name := range []string{"2.0", "L2H0"} {
		result, err := s.Run(t.Context(), embedded(t, "key_components"), map[string]string{"head": name})
		if err != nil {
			t.Fatal(err)
		}
		if title, err := result.Expand("{head}"); err != nil || title != "2.0" {
			t.Errorf("head %s: title %q, %v; want 2.0", name, title, err)
		}
	}
	for _, c := range []struct{ query, param, value string }{
		{"query_substitution_scores", "mover", "L1H1"}, {"drill_down", "component", "L1H0"}, {"pct_explained_name_movers", "heads", "L1H1, 0.0"},
	} {
		if _, err := s.Run(t.Context(), embedded(t, c.query), map[string]string{c.param: c.value}); err != nil {
			t.Errorf("%s: %v", c.query, err)
		}
	}
}
