package cli_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFingerprint checks that the same prompts on the same model have the same fingerprint, whatever else
// differs in the file, that other data have another one, and that every kind of figure contains that of its
// run.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	do := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := run(t.Context(), args...)
		if code != 0 {
			t.Fatalf("%q: exit code %d: %s", args, code, stderr)
		}
		return stdout
	}
	// of gives the fingerprints of the runs of a file.
	of := func(file string) (list []string) {
		t.Helper()
		var runs []struct {
			Data string `json:"data_sha256"`
		}
		if err := json.Unmarshal([]byte(do("info", in(file), "--json")), &runs); err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if len(r.Data) != 64 {
				t.Fatalf("%s: fingerprint %q, want 64 digits", file, r.Data)
			}
			list = append(list, r.Data)
		}
		return list
	}
	model := demoModel(t)
	do("ingest", "--model", model, "--head", "3.2", "-n", "5", "--threads", "1", "--batch", "2", "-o", in("a.duckdb"))
	do("ingest", "--model", model, "--head", "3.2", "-n", "5", "--threads", "2", "-o", in("b.duckdb"))
	// Two directions of the user under one name.
	for i, name := range []string{"one.npy", "other.npy"} {
		values := make([]float32, 96)
		values[i] = 1
		if err := os.WriteFile(in(name), npyFile([]int{len(values)}, values), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range [][]string{
		{"--head", "3.2", "-n", "5", "--query-basis", "none,mine=" + in("one.npy")}, {"--head", "3.2", "-n", "5", "--query-basis", "none,mine=" + in("other.npy")},
		{"--head", "3.1", "-n", "5"}, {"--head", "3.2", "-n", "4"}, {"--head", "3.2", "-n", "5", "--seed", "7"},
		{"--head", "3.2", "-n", "5", "--convention", "notebook"}, {"--head", "3.2", "-n", "5", "--null", "2"},
	} {
		do(append([]string{"ingest", "--model", model, "--append", "-o", in("b.duckdb")}, other...)...)
	}
	a, b := of("a.duckdb"), of("b.duckdb")
	if a[0] != b[0] {
		t.Errorf("two files with the same data: %s and %s", a[0], b[0])
	}
	if different := slices.Compact(slices.Sorted(slices.Values(b))); len(different) != len(b) {
		t.Errorf("runs of different data have the fingerprints %q", b)
	}
	if err := os.Rename(in("one.npy"), in("moved.npy")); err != nil {
		t.Fatal(err)
	}
	do("ingest", "--model", model, "--head", "3.2", "-n", "5", "--query-basis", "none,mine="+in("moved.npy"), "-o", in("moved.duckdb"))
	if moved := of("moved.duckdb"); moved[0] != b[1] {
		t.Errorf("the same directions from a file of another name: %s, want %s", moved[0], b[1])
	}
	do("merge", in("b.duckdb"), in("a.duckdb"), "-o", in("c.duckdb"))
	if c := of("c.duckdb"); !slices.Equal(c[:len(b)], b) {
		t.Errorf("after a merge %q, want %q first", c, b)
	}

	for _, name := range []string{"f.svg", "f.png", "f.pdf", "f.html", "f.json"} {
		do("plot", in("b.duckdb"), "key_components", "--set", "run=2", "-o", in(name))
	}
	do("report", in("b.duckdb"), "--set", "run=2", "-o", in("report.html"))
	for _, name := range []string{"f.svg", "f.png", "f.pdf", "f.html", "f.json", "report.html"} {
		content, err := os.ReadFile(in(name))
		if err != nil {
			t.Fatal(err)
		}
		for i, data := range b {
			if got := bytes.Contains(content, []byte(data)); got != (i == 1) {
				t.Errorf("%s of run 2 has the fingerprint of run %d: %t", name, i+1, got)
			}
		}
	}

	db, err := sql.Open("duckdb", in("a.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE score SET score = score + 0.001 WHERE example_id = 3"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if changed := of("a.duckdb"); changed[0] == a[0] {
		t.Error("a changed score does not change the fingerprint")
	}
	if db, err = sql.Open("duckdb", in("moved.duckdb")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE edge SET random_name_id = random_name_id + 1 WHERE example_id = 3"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if changed := of("moved.duckdb"); changed[0] == b[1] {
		t.Error("another random name does not change the fingerprint")
	}
}
