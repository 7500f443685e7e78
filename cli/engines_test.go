package cli_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

// engineTable holds what an engine reads from a table of a data set.
type engineTable struct {
	Rows int64
	Runs map[string]int64 // rows of each
	Sums map[string]float64
}

// TestEngines reads a data set of three exports, each with a run 1, with the engines in the Python of
// DUCKLENS_PYTHON, and with the DuckDB clients in the folders of DUCKLENS_DUCKDB_CLIENTS.
func TestEngines(t *testing.T) {
	t.Parallel()
	interpreter := os.Getenv("DUCKLENS_PYTHON")
	if interpreter == "" {
		t.Skip("DUCKLENS_PYTHON names no Python with duckdb, polars, pandas or pyarrow")
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	want := map[string]engineTable{}
	for _, file := range sparkFiles(t, dir) {
		if code, _, stderr := run(t.Context(), "export", file, "--parquet", data, "--add"); code != 0 {
			t.Fatal(stderr)
		}
		addTables(t, want, file)
	}
	type reader struct{ engine, path string }
	readers := []reader{{engine: "duckdb"}, {engine: "polars"}, {engine: "pandas"}, {engine: "pyarrow"}}
	for _, folder := range filepath.SplitList(os.Getenv("DUCKLENS_DUCKDB_CLIENTS")) {
		readers = append(readers, reader{"duckdb", folder})
	}
	for i, r := range readers {
		t.Run(fmt.Sprintf("%s %d", r.engine, i), func(t *testing.T) { readWith(t, interpreter, r.engine, r.path, data, want) })
	}
}

// TestDiffOfCopies: a copy of a file does not differ from it, whatever tables have rows. A key that lacks a
// column of a table would match rows with others.
func TestDiffOfCopies(t *testing.T) {
	t.Parallel()
	for _, file := range sparkFiles(t, t.TempDir()) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		again := filepath.Join(t.TempDir(), "copy.duckdb")
		if err := os.WriteFile(again, content, 0o666); err != nil {
			t.Fatal(err)
		}
		succeed(t, "diff", file, again)
	}
}

// addTables adds the rows and sums of a file with one run.
func addTables(t *testing.T, want map[string]engineTable, file string) {
	t.Helper()
	db, err := dbfile.OpenFor(t.Context(), file, dbfile.Options{Threads: 1}, storedNames(t)...)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	key := schematest.Texts(t, db.SQL(), "SELECT key FROM run")[0]
	tables, err := dbfile.Tables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		w := want[table.Name]
		if w.Sums == nil {
			w.Runs, w.Sums = map[string]int64{}, map[string]float64{}
		}
		number := func(expression string) (x float64) {
			if err := db.SQL().QueryRowContext(context.WithoutCancel(t.Context()), "SELECT coalesce("+expression+", 0)::DOUBLE FROM "+dbfile.QuoteName(table.Name)).Scan(&x); err != nil {
				t.Fatal(err)
			}
			return x
		}
		n := int64(number("count(*)"))
		w.Rows += n
		if (table.Column("run_id") >= 0 || table.Column("model_id") >= 0) && n > 0 {
			w.Runs[key] += n
		}
		for _, c := range append(table.Columns, table.Generated...) {
			switch c.Type {
			case "INTEGER", "BIGINT", "FLOAT", "DOUBLE":
				w.Sums[c.Name] += number("sum(" + dbfile.QuoteName(c.Name) + "::DOUBLE)")
			}
		}
		want[table.Name] = w
	}
}

// readWith reads the data set with an engine and compares.
func readWith(t *testing.T, interpreter, engine, path, data string, want map[string]engineTable) {
	t.Helper()
	module := map[string]string{"pyarrow": "pyarrow, pandas", "pandas": "pandas, pyarrow"}[engine]
	if module == "" {
		module = engine
	}
	python := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), interpreter, args...)
		cmd.Env = append(os.Environ(), "PYTHONPATH="+path)
		return cmd
	}
	if out, err := python("-c", "import "+module).CombinedOutput(); err != nil {
		t.Skipf("%s lacks %s: %s", interpreter, module, lastLine(string(out)))
	}
	cmd := python("testdata/engines.py", engine, data)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var found struct {
		Version  string
		Tables   map[string]engineTable
		Answer   [][]any
		Comments map[string]string
	}
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	numbers := 0
	for name, w := range want {
		got, ok := found.Tables[name]
		if !ok || got.Rows != w.Rows {
			t.Errorf("table %s has %d rows, want %d", name, got.Rows, w.Rows)
		}
		for key, n := range w.Runs {
			if got.Runs[key] != n {
				t.Errorf("table %s has %d rows of run %s, want %d", name, got.Runs[key], key, n)
			}
		}
		for column, sum := range w.Sums {
			numbers++
			if x, ok := got.Sums[column]; !ok || !(math.Abs(x-sum) <= 1e-9*max(1, math.Abs(sum))) {
				t.Errorf("column %s of table %s adds up to %v, want %v", column, name, x, sum)
			}
		}
	}
	const heads, rounding = 4, 1e-5 // polars adds up FLOAT in FLOAT
	if len(found.Answer) != heads {
		t.Errorf("the question has %d answers, want %d: %v", len(found.Answer), heads, found.Answer)
	}
	for _, row := range found.Answer {
		if miss, ok := row[3].(float64); !ok || !(miss < rounding) {
			t.Errorf("contributions of run %v, head %v miss the score by %v", row[0], row[1], row[3])
		}
	}
	if c := found.Comments; c != nil && (!strings.HasPrefix(c["score"], "Attention score to the key position") || c["spark"] != c["score"] || c["table"] == "") {
		t.Errorf("the files say %q", c)
	}
	t.Logf("%s %s: %d tables of three exports, %d sums", engine, found.Version, len(found.Tables), numbers)
}

// TestCatalogueClients asks a catalogue with stock clients of DuckDB, which bind its views over Parquet
// files: every table and view has the rows that it has in a file of the whole run, and contributions and a
// macro give the same numbers. So they do after the data set was moved.
func TestCatalogueClients(t *testing.T) {
	t.Parallel()
	interpreter := os.Getenv("DUCKLENS_PYTHON")
	if interpreter == "" {
		t.Skip("DUCKLENS_PYTHON names no Python with duckdb")
	}
	whole, catalogue := catalogueOf(t, 2, "--head", "3.1", "-n", "4", "--logits", "--null", "1", "--sources", "top:1", "--keys", "all")
	tables, err := dbfile.Tables()
	if err != nil {
		t.Fatal(err)
	}
	views, err := schema.Views()
	if err != nil {
		t.Fatal(err)
	}
	var counts []string
	count := func(name string) {
		counts = append(counts, fmt.Sprintf("SELECT '%s' AS name, count(*) AS value FROM %s", name, dbfile.QuoteName(name)))
	}
	for _, table := range tables {
		if table.Name != "saved_query" && table.Name != "meta" && table.Name != "pair_contribution_wide" {
			count(table.Name)
		}
	}
	for _, s := range views {
		if rest, ok := strings.CutPrefix(s, "CREATE VIEW "); ok {
			count(strings.Fields(rest)[0])
		}
	}
	statements := []string{
		strings.Join(counts, " UNION ALL ") + " ORDER BY name",
		"SELECT side || component || query_basis || key_basis || quadrant AS name, avg(diff) AS value FROM contribution GROUP BY ALL ORDER BY name",
		"SELECT component AS name, mean_diff AS value FROM heatmap(head := '3.1', side := 'query', query_basis := 'unembed', key_basis := 'mlp0') ORDER BY name",
	}
	type row struct {
		name  string
		value float64
	}
	var want [][]row
	for _, s := range statements {
		stdout, _ := succeed(t, "query", whole, "--format", "csv", "-e", s)
		records, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
		if err != nil || len(records) < 10 {
			t.Fatalf("%d rows, %v: %s", len(records), err, s)
		}
		var list []row
		for _, r := range records[1:] {
			value, err := strconv.ParseFloat(r[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, row{r[0], value})
		}
		want = append(want, list)
	}
	asked, err := json.Marshal(statements)
	if err != nil {
		t.Fatal(err)
	}
	runs, moved := filepath.Join(filepath.Dir(catalogue), "runs"), filepath.Join(t.TempDir(), "elsewhere")
	for _, data := range []string{"", moved} {
		if data != "" {
			if err := os.Rename(runs, moved); err != nil {
				t.Fatal(err)
			}
		}
		for _, folder := range append([]string{""}, filepath.SplitList(os.Getenv("DUCKLENS_DUCKDB_CLIENTS"))...) {
			cmd := exec.CommandContext(t.Context(), interpreter, "testdata/catalogue.py", catalogue, data)
			cmd.Env = append(os.Environ(), "PYTHONPATH="+folder)
			cmd.Stdin = bytes.NewReader(asked)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			output, err := cmd.Output()
			if err != nil {
				if strings.Contains(stderr.String(), "No module named 'duckdb'") {
					t.Skipf("%s lacks duckdb", interpreter)
				}
				t.Fatalf("client in %q, data set in %q: %v\n%s", folder, data, err, stderr.String())
			}
			var found struct {
				Version string
				Answers [][][2]any
			}
			if err := json.Unmarshal(output, &found); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			for i, list := range want {
				if len(found.Answers[i]) != len(list) {
					t.Errorf("DuckDB %s, data set in %q: %d rows, want %d: %s", found.Version, data, len(found.Answers[i]), len(list), statements[i])
					continue
				}
				for j, w := range list {
					name, value := found.Answers[i][j][0], found.Answers[i][j][1]
					// Sums are added in the order of the rows of the Parquet files.
					if x, ok := value.(float64); name != w.name || !ok || !(math.Abs(x-w.value) <= answersTolerance*max(1, math.Abs(w.value))) {
						t.Errorf("DuckDB %s, data set in %q: %v is %v, want %v of %s", found.Version, data, name, value, w.value, w.name)
					}
				}
			}
			t.Logf("DuckDB %s: %d tables and views, %d contributions", found.Version, len(want[0]), len(want[1]))
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
