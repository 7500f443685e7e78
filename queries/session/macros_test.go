package session_test

import (
	"errors"
	"strings"
	"testing"

	"ducklens/queries/session"
)

// TestWrongCalls uses macros, tables and views as what they are not. The hint is the right call.
func TestWrongCalls(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	const interval = "bootstrap_ci(list): 95 % interval of the mean of a list, as a struct of low and high; for example SELECT head, avg(diff), bootstrap_ci(list("
	for sql, c := range map[string]struct{ want, hint string }{
		"SELECT * FROM bootstrap_ci()":             {"bootstrap_ci gives a value, not a table: want it in SELECT, not in FROM", interval},
		"SELECT bootstrap_ci()":                    {"bootstrap_ci does not take these arguments", interval},
		"SELECT bootstrap_ci(1)":                   {"bootstrap_ci takes a list", interval},
		"SELECT bootstrap_ci(diff) FROM score":     {"bootstrap_ci takes a list, such as list(diff)", interval},
		"FROM Head_Label('x')":                     {"head_label gives a value, not a table", "head_label(name): the label of a head in tables"},
		"SELECT what_if(1)":                        {"what_if does not take these arguments", "what_if(prob, change): the attention probability"},
		"SELECT 1 AS a,\n heatmap('2.1')":          {"heatmap gives a table: want it in FROM, not in SELECT", "FROM heatmap(run := 1, head := '10.7', "},
		"FROM heatmap":                             {"heatmap is a macro, want parentheses behind its name", "FROM heatmap(run := 1, "},
		"FROM heatmap(hed := '2.1')":               {"heatmap does not take these arguments", "FROM heatmap(run := 1, head := '10.7', "},
		"FROM heatmap(side = 'key', head = '2.1')": {"side = in the call of heatmap is a comparison, want an argument", "write side := ..."},
		"FROM moments()":                           {"moments does not take these arguments", "FROM moments(latest_run(), 'prompt_order=ABBA'): "},
		"FROM score()":                             {"score is a table or view, not a function", "write FROM score"},
		"SELECT head_score()":                      {"head_score is a table or view, not a function", "write FROM head_score"},
		// These are not about our names.
		"SELECT sqt(2)":       {"Scalar Function with name sqt does not exist", "there is sqrt"},
		"FROM pct_explaned()": {"Table Function with name pct_explaned does not exist", "there is pct_explained"},
		"SELECT [1]::DOUBLE":  {"DOUBLE", ""},
		"SELECT x FROM heatmap(side := 'key') WHERE side = 1": {"Referenced column", "there is "},
	} {
		_, err := ask(t.Context(), s, sql, nil)
		var e *session.SQLError
		if !errors.As(err, &e) || !strings.Contains(e.Message, c.want) || !strings.HasPrefix(hint(err), c.hint) {
			t.Errorf("%s: %v (%s)\nwant %s (%s)", sql, err, hint(err), c.want, c.hint)
		}
	}
}
