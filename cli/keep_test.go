package cli_test

import (
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/session"
)

// fromMeans are the shipped queries whose numbers a run with only means has.
var fromMeans = []string{"key_components", "query_components", "key_quadrants", "query_quadrants", "key_components_unembed_query"}

// rowQuestions are the queries that need rows of single prompts.
var rowQuestions = []string{"basis_shares", "pct_explained_mlp0", "pct_explained_all_mlps", "pct_explained_name_movers", "drill_down"}

// TestKeepMeans checks that a run with only means answers every shipped query, and the macros and views of
// means, with the numbers of a run that keeps all rows, or says why it cannot.
func TestKeepMeans(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files, sessions := map[string]string{}, map[string]*session.Session{}
	for _, keep := range []string{"all", "means"} {
		files[keep] = filepath.Join(dir, keep+".duckdb")
		args := []string{"ingest", "--model", demoModel(t), "--head", "3.0,2.1", "-n", "60", "--null", "2", "--norms", "off", "--keep", keep, "-o", files[keep]}
		if keep == "means" {
			args = append(args, "--by", "prompt_order", "--batch", "7")
		}
		succeed(t, args...)
		sessions[keep] = opened(t, files[keep])
	}
	succeed(t, "verify", files["means"])
	// same compares the answers of the two, and gives the number of their rows; with none of means, also what
	// ducklens query says of it.
	same := func(name string, q queries.Query, set map[string]string) (rows int, said string) {
		t.Helper()
		all, err := sessions["all"].Run(t.Context(), q, set)
		if err != nil {
			t.Errorf("%s of all: %v", name, err)
			return 0, ""
		}
		means, err := sessions["means"].Run(t.Context(), q, set)
		if err != nil {
			t.Errorf("%s of means: %v", name, err)
			return 0, ""
		}
		if len(means.Rows) == 0 {
			args := []string{"query", files["means"], name}
			for key, value := range set {
				args = append(args, "--set", key+"="+value)
			}
			_, said = succeed(t, args...)
			return 0, said
		}
		if len(all.Rows) != len(means.Rows) {
			t.Errorf("%s: %d rows of means, %d of rows", name, len(means.Rows), len(all.Rows))
			return 0, ""
		}
		for i := range all.Rows {
			for j, want := range all.Rows[i] {
				if got := means.Rows[i][j]; !agrees(got, want) {
					t.Errorf("%s: row %d: %s is %v of means, %v of rows", name, i+1, all.Columns[j].Name, got, want)
					return len(all.Rows), ""
				}
			}
		}
		return len(all.Rows), ""
	}
	byMeans, byRows := map[string]bool{}, map[string]bool{}
	for _, name := range fromMeans {
		byMeans[name] = true
	}
	for _, name := range rowQuestions {
		byRows[name] = true
	}
	for _, q := range queries.Embedded() {
		rows, said := same(q.Name, q, nil)
		switch {
		case byMeans[q.Name] && rows == 0:
			t.Errorf("%s has no answer of means: %s", q.Name, said)
		case byRows[q.Name] && (rows > 0 || !strings.Contains(said, "ingest without --keep means")):
			t.Errorf("%s: %d rows, and %q", q.Name, rows, said)
		}
	}
	for _, name := range fromMeans {
		q, err := queries.Find(queries.Embedded(), name)
		if err != nil {
			t.Fatal(err)
		}
		if rows, said := same(name, q, map[string]string{"only": "prompt_order=ABBA", "head": "2.1"}); rows == 0 {
			t.Errorf("%s of some prompts: %s", name, said)
		}
		if _, said := same(name, q, map[string]string{"only": "template=The"}); !strings.Contains(said, "no rows") {
			t.Errorf("%s by another field: %q", name, said)
		}
	}
	for _, sql := range []string{
		"SELECT * FROM component_mean ORDER BY ALL", "SELECT * FROM contribution_mean ORDER BY ALL",
		"SELECT * FROM heatmap(head := '2.1', side := 'query')", "SELECT * FROM heatmap(query_basis := 'unembed', key_basis := 'mlp0')",
		"SELECT * FROM heatmap(query_basis := 'unembed', key_basis := 'mlp0', quadrant := 'perp_par')",
		"SELECT * FROM pct_explained()", "SELECT * FROM pct_explained(head := '2.1', side := 'query', key_basis := 'none', subtract := false)",
		"SELECT * FROM pair_mean WHERE head = 'L3H0' ORDER BY ALL LIMIT 500",
	} {
		q, err := queries.AdHoc(sql)
		if err != nil {
			t.Fatal(err)
		}
		if len(answer(t, sessions["means"], sql)) == 0 {
			t.Errorf("%s: no rows of means", sql)
		} else {
			same(sql, q, nil)
		}
	}
}

// agrees compares values of two answers, numbers within 1e-12 of their size.
func agrees(a, b any) bool {
	x, isX := queries.Number(a)
	y, isY := queries.Number(b)
	if !isX || !isY {
		return reflect.DeepEqual(a, b)
	}
	return math.Abs(x-y) <= 1e-12*max(math.Abs(x), math.Abs(y), 1e-3)
}
