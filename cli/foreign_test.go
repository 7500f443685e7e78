package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// foreignClient returns a function that runs a program in Node.js with the packages in DUCKLENS_NODE_MODULES,
// or skips the test.
func foreignClient(t *testing.T) func(args ...string) []byte {
	t.Helper()
	modules := os.Getenv("DUCKLENS_NODE_MODULES")
	if modules == "" {
		t.Skip("DUCKLENS_NODE_MODULES is not set: npm install @duckdb/node-api somewhere, and name its node_modules")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	return func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), node, args...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		return output
	}
}

// TestForeignClient opens a finished file in a DuckDB client that shares no code with ducklens, npm's
// @duckdb/node-api, and looks for what a colleague without ducklens needs: comments, views, macros, and parts
// that add up. It needs node, and DUCKLENS_NODE_MODULES set to the node_modules folder with that package
// (.ci/run does both).
func TestForeignClient(t *testing.T) {
	t.Parallel()
	foreign := foreignClient(t)
	// A colleague's copy: another folder, and nobody may write to the file.
	shared := t.TempDir()
	file := runCopy(t, filepath.Join(shared, "theirs.duckdb"), "--head", "3.1,3.2", "-n", "7")
	if err := os.Chmod(file, 0o444); err != nil {
		t.Fatal(err)
	}

	output := foreign("testdata/foreign.cjs", file)
	type named struct {
		Name    string
		Comment string
	}
	var found struct {
		Client                         string
		Tables, Columns, Views, Macros []named
		Examples                       int
		Residual                       float64
		Heatmap                        []map[string]any
	}
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Logf("DuckDB %s: %d tables, %d columns, %d views, %d macros", found.Client, len(found.Tables), len(found.Columns), len(found.Views), len(found.Macros))
	for _, c := range []struct {
		kind string
		list []named
		want []string
	}{
		{"table", found.Tables, []string{"basis", "component", "contribution_wide", "edge", "head", "model", "prompt", "run", "saved_query", "score"}},
		{"view", found.Views, []string{"attention", "example", "token", "closure", "contribution", "contribution_mean", "contribution_unsplit"}},
		{"macro", found.Macros, []string{"default_head", "heatmap", "latest_run", "pct_explained"}},
		{"column", found.Columns, []string{"score.score", "contribution.diff"}},
	} {
		for _, name := range c.want {
			if !slices.ContainsFunc(c.list, func(n named) bool { return n.Name == name }) {
				t.Errorf("no %s %s", c.kind, name)
			}
		}
		for _, n := range c.list {
			if n.Comment == "" {
				t.Errorf("%s %s has no comment", c.kind, n.Name)
			}
		}
	}
	if found.Examples != 7 {
		t.Errorf("%d examples, want 7", found.Examples)
	}
	// Float32 parts of scores of order 1, some hundred of them: rounding stays far below this.
	if !(found.Residual < 1e-5) {
		t.Errorf("contributions miss the score by %g", found.Residual)
	}
	if len(found.Heatmap) != 3 {
		t.Errorf("%d rows of the view contribution_mean, want 3", len(found.Heatmap))
	}
	if entries, err := os.ReadDir(shared); err != nil || len(entries) != 1 {
		t.Errorf("beside the file lies %v (%v), want nothing", entries, err)
	}
}

// TestForeignParquet reads a folder of export with the same client.
func TestForeignParquet(t *testing.T) {
	t.Parallel()
	foreign := foreignClient(t)
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "run.duckdb"), filepath.Join(dir, "run")
	succeed(t, "merge", runFile(t, "--head", "3.1,3.2", "-n", "7"), runFile(t, "--head", "2.0", "-n", "3"), "-o", file)
	succeed(t, "export", file, "--parquet", folder)
	var found struct {
		Client   string
		Rows     map[string]int
		Runs     []int
		Residual float64
	}
	output := foreign("testdata/parquet.cjs", folder)
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	total := 0
	for table, rows := range storedTables(t, file) {
		total += len(rows)
		runs := 1
		if table == "model" || table == "component" { // each run has its own
			runs = 2
		}
		if found.Rows[table] != runs*len(rows) {
			t.Errorf("table %s has %d rows as Parquet, want %d", table, found.Rows[table], runs*len(rows))
		}
	}
	t.Logf("DuckDB %s reads %d rows of %d tables", found.Client, total, len(found.Rows))
	if !slices.Equal(found.Runs, []int{1, 2}) {
		t.Errorf("runs %v, want 1 and 2", found.Runs)
	}
	// Float32 parts of scores of order 1, some hundred of them: rounding stays far below this.
	if !(found.Residual < 1e-5) {
		t.Errorf("contributions miss the score by %g", found.Residual)
	}
}
