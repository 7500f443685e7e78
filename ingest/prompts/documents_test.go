package prompts_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ducklens/ingest/prompts"
	"ducklens/schema"
)

// textFile writes a file with the given name in a new folder.
func textFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// documents returns all documents, or the error.
func documents(t *testing.T, d *prompts.Documents) (list []schema.Prompt, err error) {
	t.Helper()
	for p, err := range d.Prompts(t.Context()) {
		if err != nil {
			return list, err
		}
		list = append(list, p)
	}
	return list, nil
}

// TestDocuments checks that each format gives the same documents, with ids or numbers and with fields, and
// skips empty ones.
func TestDocuments(t *testing.T) {
	t.Parallel()
	parquet := filepath.Join(t.TempDir(), "a.parquet")
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `COPY (SELECT * FROM (VALUES ('One, two.', 'a', 'x'), (NULL, 'b', 'y'), ('42', NULL, 'z')) AS v(text, id, "group")) TO '`+parquet+`' (FORMAT parquet)`); err != nil {
		t.Fatal(err)
	}
	group := func(v string) schema.Fields { return schema.Fields{{Name: "group", Value: v}} }
	records := []schema.Prompt{{Text: "One, two.", Document: "a", Fields: group(`"x"`)}, {Text: "42", Document: "3", Fields: group(`"z"`)}}
	for name, c := range map[string]struct {
		path    string
		whole   bool
		want    []schema.Prompt
		skipped int
	}{
		"text":    {textFile(t, "a.txt", "One.\n\n  \nTwo \" three\r\nfour"), false, []schema.Prompt{{Text: "One.", Document: "1"}, {Text: "Two \" three", Document: "4"}, {Text: "four", Document: "5"}}, 2},
		"whole":   {textFile(t, "book.md", "One.\n\nTwo.\n"), true, []schema.Prompt{{Text: "One.\n\nTwo.\n", Document: "book.md"}}, 0},
		"utf-16":  {textFile(t, "a.txt", "\xff\xfeO\x00n\x00\n\x00e\x00"), false, []schema.Prompt{{Text: "On", Document: "1"}, {Text: "e", Document: "2"}}, 0},
		"jsonl":   {textFile(t, "a.jsonl", `{"text": "One, two.", "id": "a", "group": "x"}`+"\n\n"+`{"text": "", "id": "b", "group": "y"}`+"\n"+`{"group": "z", "text": "42"}`), false, records, 1},
		"csv":     {textFile(t, "a.csv", "text,id,group\n\"One, two.\",a,x\n,b,y\n42,,z\n"), false, records, 1},
		"tsv":     {textFile(t, "a.tsv", "text\tid\tgroup\nOne, two.\ta\tx\n\tb\ty\n42\t\tz\n"), false, records, 1},
		"parquet": {parquet, false, records, 1},
		"fields of prompts": {textFile(t, "a.jsonl", `{"text": "a", "id": 7, "query": -1, "key": "b", "baseline": null}`), false,
			[]schema.Prompt{{Text: "a", Document: "7", Fields: schema.Fields{{Name: "query", Value: "-1"}, {Name: "key", Value: `"b"`}, {Name: "baseline", Value: "null"}}}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &prompts.Documents{Paths: []string{c.path}, Whole: c.whole}
			for range 2 { // the second pass gives the same
				got, err := documents(t, d)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(schema.Position{})); diff != "" {
					t.Error(diff)
				}
				notices := d.Notices()
				if (len(notices) > 0) != (c.skipped > 0) || c.skipped == 2 && notices[0] != "2 empty documents are left out" {
					t.Errorf("notices %q, want %d left out", notices, c.skipped)
				}
			}
		})
	}
}

// TestDocumentsOfSeveralFiles checks that the names of documents begin with the names of their files.
func TestDocumentsOfSeveralFiles(t *testing.T) {
	t.Parallel()
	d := &prompts.Documents{Paths: []string{textFile(t, "a.txt", "x\ny"), textFile(t, "b.jsonl", `{"text": "z"}`+"\n"+`{"text": "w", "id": "named"}`)}}
	got, err := documents(t, d)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range got {
		names = append(names, p.Document)
	}
	if diff := cmp.Diff([]string{"a.txt:1", "a.txt:2", "b.jsonl:1", "named"}, names); diff != "" {
		t.Error(diff)
	}
}

// TestHostileDocuments checks that files that are not text are refused, with the reason and the place.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "pipe.txt")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := strings.Repeat("a", 16<<20+1)
	for name, c := range map[string]struct {
		path  string
		whole bool
		want  string
		kind  error
	}{
		"pipe":            {fifo, false, "it is a pipe, want a regular file", prompts.ErrFormat},
		"folder":          {t.TempDir(), false, "it is a folder, want a file", prompts.ErrFormat},
		"missing":         {filepath.Join(t.TempDir(), "x.txt"), false, "no such file", os.ErrNotExist},
		"zero byte":       {textFile(t, "a.txt", "ab\nc\x00d"), false, "line 2: a zero byte", prompts.ErrFormat},
		"not UTF-8":       {textFile(t, "a.txt", "ab\nc\xe4d"), false, "line 2: the byte 0xE4 is not UTF-8", prompts.ErrFormat},
		"long line":       {textFile(t, "a.txt", "ab\n"+huge), false, "line 2: longer than 16 MiB, want one document a line", prompts.ErrFormat},
		"long file":       {textFile(t, "a.txt", huge), true, "more than 16 MiB", prompts.ErrFormat},
		"zero in whole":   {textFile(t, "a.txt", "ab\x00"), true, "a zero byte", prompts.ErrFormat},
		"gzip":            {textFile(t, "a.txt", "\x1f\x8b\x08"), false, "compressed by gzip", prompts.ErrFormat},
		"Parquet as text": {textFile(t, "a.txt", "PAR1xxxx"), false, "Parquet file by its content", prompts.ErrFormat},
		"no text":         {textFile(t, "a.jsonl", `{"id": 1, "body": "x"}`), false, "line 1: no text, want the text of the document; found id, body", prompts.ErrRecord},
		"Text":            {textFile(t, "a.jsonl", `{"Text": "x"}`), false, `"Text" is not text: upper and lower case count`, prompts.ErrRecord},
		"CSV without":     {textFile(t, "a.csv", "id,body\n1,x\n"), false, "no column text, found id, body", prompts.ErrFormat},
		"text a number":   {textFile(t, "a.jsonl", `{"text": 3}`), false, "text is the number 3, want text", prompts.ErrRecord},
		"id a list":       {textFile(t, "a.jsonl", `{"text": "x", "id": [1]}`), false, "id is the list [1], want text", prompts.ErrRecord},
		"whole records":   {textFile(t, "a.jsonl", `{"text": "x"}`), true, "it holds records by its name", prompts.ErrFormat},
		"cut JSON":        {textFile(t, "a.jsonl", `{"text": "x`), false, "the JSON ends too early", prompts.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := documents(t, &prompts.Documents{Paths: []string{c.path}, Whole: c.whole})
			if err == nil || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "text file "+c.path+": ") {
				t.Errorf("error %v, want %v with %q and the name of the file", err, c.kind, c.want)
			}
		})
	}
}
