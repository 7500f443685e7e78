package prompts_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"ducklens/ingest/prompts"
	"ducklens/schema"
)

// read collects the prompts of a file and the error that ended it.
func read(t *testing.T, path string) ([]schema.Prompt, error) {
	t.Helper()
	var list []schema.Prompt
	for p, err := range prompts.File(t.Context(), path) {
		if err != nil {
			return list, err
		}
		list = append(list, p)
	}
	return list, nil
}

// write makes a file of the given name in a new folder.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeParquet makes a Parquet file of a query.
func writeParquet(t *testing.T, query string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "prompts.parquet")
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "COPY ("+query+") TO '"+path+"' (FORMAT parquet)"); err != nil {
		t.Fatal(err)
	}
	return path
}

// threePrompts is what the good files below hold.
var threePrompts = []schema.Prompt{
	{Text: "The cat, said Tom, sat", Query: schema.AtIndex(-1), Key: schema.AtWord("cat"), Baseline: schema.AtWord("Tom")},
	{Text: `He said "no" to 12`, Query: schema.AtWord("to"), Key: schema.AtIndex(1), Template: "t1", Order: "ABBA"},
	{Text: "Ann met Bo. Bo waved to Ann", Query: schema.AtIndex(-2), Key: schema.AtWord("Ann"), Baseline: schema.AtWord("Bo")},
}

func TestFile(t *testing.T) {
	t.Parallel()
	const jsonl = `{"text": "The cat, said Tom, sat", "query": -1, "key": "cat", "baseline": "Tom", "IO": null}
{"text": "He said \"no\" to 12", "query": "to", "key": 1, "template": "t1", "order": "ABBA", "note": {"a": [1]}}

{"text": "Ann met Bo. Bo waved to Ann", "IO": "Ann", "S": "Bo"}
`
	const table = `text,query,key,baseline,IO,S,template,order,note
"The cat, said Tom, sat",-1,cat,Tom,,,,,x
"He said ""no"" to 12",to,1,,,,t1,ABBA,
Ann met Bo. Bo waved to Ann,,,,Ann,Bo,,,
`
	for name, path := range map[string]string{
		"jsonl":        write(t, "p.jsonl", jsonl),
		"ndjson":       write(t, "P.NDJSON", jsonl),
		"csv":          write(t, "p.csv", table),
		"crlf and BOM": write(t, "p.csv", "\ufeff"+strings.ReplaceAll(table, "\n", "\r\n")),
		"tsv":          write(t, "p.tsv", "text\tquery\tkey\tbaseline\tIO\tS\ttemplate\torder\nThe cat, said Tom, sat\t-1\tcat\tTom\t\t\t\t\n\"He said \"\"no\"\" to 12\"\tto\t1\t\t\t\tt1\tABBA\nAnn met Bo. Bo waved to Ann\t\t\t\tAnn\tBo\t\t\n"),
		// Names that DuckDB's readers would take for patterns, quotes or partitions.
		"awkward name": write(t, filepath.Join("text=wrong", "it's [1] * ? 100%.jsonl"), jsonl),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(threePrompts, got, cmp.AllowUnexported(schema.Position{})); diff != "" {
				t.Errorf("prompts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParquet(t *testing.T) {
	t.Parallel()
	path := writeParquet(t, `SELECT * FROM (VALUES ('A b c', 'c', 1::UTINYINT, '12'), ('D e f', 'f', 2, NULL)) AS t("text", query, "key", baseline)`)
	got, err := read(t, path)
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.Prompt{
		{Text: "A b c", Query: schema.AtWord("c"), Key: schema.AtIndex(1), Baseline: schema.AtWord("12")},
		{Text: "D e f", Query: schema.AtWord("f"), Key: schema.AtIndex(2)},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(schema.Position{})); diff != "" {
		t.Errorf("prompts (-want +got):\n%s", diff)
	}
	for query, message := range map[string]string{
		`SELECT 'A b' AS text, 1.5 AS query, 1 AS key`:             "field query has the type DECIMAL(2,1)",
		`SELECT 'A b' AS text, [1] AS key, 1 AS query`:             "field key has the type INTEGER[]",
		`SELECT 'A b' AS txt, 1 AS key, 1 AS query`:                "no field text, found key, query, txt",
		`SELECT 'A b'::BLOB AS text, 1 AS key, 1 AS query`:         "field text has the type BLOB",
		`SELECT 3 AS text, 1 AS key, 1 AS query`:                   "record 1: not a usable prompt: text is the number \"3\"",
		`SELECT 'A' AS text, 1 AS key, (2::BIGINT << 40) AS query`: "record 1: not a usable prompt: query is the number",
	} {
		if _, err := read(t, writeParquet(t, query)); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: error %v, want %q", query, err, message)
		}
	}
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	const good = `{"text": "a b", "query": 1, "key": 0}` + "\n"
	for _, c := range []struct {
		name, file, content string
		want                error
		message             string
	}{
		{"unknown ending", "p.txt", good, prompts.ErrFormat, `its name ends in ".txt", want .jsonl`},
		{"broken JSON", "p.jsonl", good + `{"text": "a`, prompts.ErrFormat, "Malformed JSON"},
		{"not an object", "p.jsonl", good + "17\n", prompts.ErrFormat, ""},
		{"no text", "p.jsonl", good + `{"query": 1, "key": 0}`, prompts.ErrRecord, "record 2: not a usable prompt: text is missing"},
		{"text a number", "p.jsonl", `{"text": 5, "query": 1, "key": 0}`, prompts.ErrRecord, `record 1: not a usable prompt: text is the number "5", want a string`},
		{"no key", "p.jsonl", good + good + `{"text": "a b", "query": 1}`, prompts.ErrRecord, "record 3: not a usable prompt: no key, want a token index"},
		{"no query", "p.jsonl", `{"text": "a b", "key": 1}`, prompts.ErrRecord, "no query"},
		{"fraction", "p.jsonl", `{"text": "a b", "query": 1.5, "key": 0}`, prompts.ErrRecord, `query is the number "1.5"`},
		{"list", "p.jsonl", `{"text": "a b", "query": [1], "key": 0}`, prompts.ErrRecord, `query is "[1]", want a string or a whole number`},
		{"bool", "p.jsonl", `{"text": "a b", "query": true, "key": 0}`, prompts.ErrRecord, `query is "true"`},
		{"empty word", "p.jsonl", `{"text": "a b", "query": " ", "key": 0}`, prompts.ErrRecord, `query is " "`},
		{"IO alone", "p.jsonl", `{"text": "a b", "IO": "a"}`, prompts.ErrRecord, "only one of IO and S"},
		{"IO and key", "p.jsonl", `{"text": "a b", "IO": "a", "S": "b", "key": 0}`, prompts.ErrRecord, "key beside IO and S"},
		{"order", "p.jsonl", `{"text": "a b", "query": 1, "key": 0, "order": "AB"}`, prompts.ErrRecord, `order is "AB", want ABBA or BABA`},
		{"no text column", "p.csv", "txt,query,key\na b,1,0\n", prompts.ErrFormat, "no field text, found key, query, txt"},
		{"ragged", "p.csv", "text,query,key\na b,1,0\na b,1,0,7,8\n", prompts.ErrFormat, "Line: 3"},
		{"short line", "p.csv", "text,query,key\na b,1,0\na b,1\n", prompts.ErrFormat, "Line: 3"},
		{"two columns", "p.csv", "text,query,text\n", prompts.ErrFormat, `two columns "text"`},
		{"nameless column", "p.csv", "text,query,\n", prompts.ErrFormat, "column 3 has no name"},
		{"empty table", "p.csv", "", prompts.ErrFormat, "header line: EOF"},
		{"open quote", "p.csv", "text,query,key\na b,1,0\n\"a b,1,0\n", prompts.ErrFormat, ""},
		{"not Parquet", "p.parquet", good, prompts.ErrFormat, ""},
		{"long value", "p.jsonl", `{"text": "a b", "query": {"x": "` + strings.Repeat("y", 1000) + `"}, "key": 0}`, prompts.ErrRecord, `yyy..."`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, c.file, c.content)
			_, err := read(t, path)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %v with %q and the path", err, c.want, c.message)
			}
			if err != nil && (len(err.Error()) > 600 || strings.Contains(err.Error(), "\n")) {
				t.Errorf("the error is too long: %v", err)
			}
		})
	}
	if _, err := read(t, filepath.Join(t.TempDir(), "absent.jsonl")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	folder := filepath.Join(t.TempDir(), "folder.jsonl")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, folder); !errors.Is(err, prompts.ErrFormat) {
		t.Errorf("a folder: %v", err)
	}
}

// TestFileEmpty: a file with no records has no prompts, and that is not this package's error.
func TestFileEmpty(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"p.jsonl": "", "q.jsonl": "\n\n", "p.csv": "text,query,key\n"} {
		got, err := read(t, write(t, name, content))
		if err != nil || len(got) != 0 {
			t.Errorf("%s with %q: %d prompts, error %v", name, content, len(got), err)
		}
	}
}

// TestFilePages reads more records than are handed on at a time, twice, and stops early.
func TestFilePages(t *testing.T) {
	t.Parallel()
	for _, n := range []int{255, 256, 257, 1000} {
		var lines strings.Builder
		for i := range n {
			fmt.Fprintf(&lines, `{"text": "text %d", "query": %d, "key": 0}`+"\n", i, i)
		}
		path := write(t, "p.jsonl", lines.String())
		source := prompts.File(t.Context(), path)
		for range 2 {
			i := 0
			for p, err := range source {
				if err != nil {
					t.Fatal(err)
				}
				if p.Text != fmt.Sprintf("text %d", i) || p.Query != schema.AtIndex(i) {
					t.Fatalf("prompt %d of %d: %+v", i, n, p)
				}
				i++
			}
			if i != n {
				t.Errorf("%d prompts, want %d", i, n)
			}
		}
		for range source {
			break
		}
	}
}

func TestFileCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	path := write(t, "p.jsonl", strings.Repeat(`{"text": "a b", "query": 1, "key": 0}`+"\n", 2000))
	n := 0
	var last error
	for _, err := range prompts.File(ctx, path) {
		if last = err; err != nil {
			break
		}
		if n++; n == 300 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) || n > 512 {
		t.Errorf("after the cancel: %d prompts, error %v, want the cancel after the page", n, last)
	}
}

func ExampleFile() {
	dir, err := os.MkdirTemp("", "prompts-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "mine.jsonl")
	lines := `{"text": "The cat sat on the mat", "query": -1, "key": "cat", "baseline": 1}
{"text": "Ann met Bo. Bo waved to Ann", "IO": "Ann", "S": "Bo"}`
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	for p, err := range prompts.File(context.Background(), path) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("query %s, key %s, baseline %s: %s\n", p.Query, p.Key, p.Baseline, p.Text)
	}
	// Output:
	// query -1, key "cat", baseline 1: The cat sat on the mat
	// query -2, key "Ann", baseline "Bo": Ann met Bo. Bo waved to Ann
}

func BenchmarkFile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "p.jsonl")
	if err := os.WriteFile(path, []byte(strings.Repeat(`{"text": "Ann met Bo. Bo waved to Ann", "IO": "Ann", "S": "Bo"}`+"\n", 10_000)), 0o644); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		for _, err := range prompts.File(b.Context(), path) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "prompts/s")
}

// An error about a file names it once.
func TestErrorsNameTheFileOnce(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.jsonl")
	var err error
	for _, err = range prompts.File(t.Context(), missing) {
	}
	_, terr := prompts.ReadTemplates(missing)
	for _, err := range []error{err, terr} {
		if !errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), missing) != 1 {
			t.Errorf("%v, want fs.ErrNotExist that names %s once", err, missing)
		}
	}
}
