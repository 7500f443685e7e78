package prompts_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"ducklens/ingest/prompts"
	"ducklens/schema"
)

// read returns the prompts of a file and the error that ended it.
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

// write writes a file with the given name in a new folder.
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

// writeParquet writes the result of a query to a Parquet file.
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

// utf16Text encodes a text as UTF-16.
func utf16Text(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// threePrompts is the content of the valid files below.
var threePrompts = []schema.Prompt{
	{Text: "The cat, said Tom, sat", Query: schema.AtIndex(-1), Key: schema.AtWord("cat"), Baseline: schema.AtWord("Tom")},
	{Text: `He said "no" to 12`, Query: schema.AtWord("to"), Key: schema.AtIndex(1), Template: "t1", Order: "ABBA"},
	{Text: "Ann met Bo. Bo waved to Ann", Query: schema.AtIndex(-2), Key: schema.AtWord("Ann").First(), Baseline: schema.AtWord("Bo").First()},
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
		"jsonl":                                  write(t, "p.jsonl", jsonl),
		"ndjson":                                 write(t, "P.NDJSON", jsonl),
		"csv":                                    write(t, "p.csv", table),
		"crlf and BOM":                           write(t, "p.csv", "\ufeff"+strings.ReplaceAll(table, "\n", "\r\n")),
		"tsv":                                    write(t, "p.tsv", "text\tquery\tkey\tbaseline\tIO\tS\ttemplate\torder\nThe cat, said Tom, sat\t-1\tcat\tTom\t\t\t\t\n\"He said \"\"no\"\" to 12\"\tto\t1\t\t\t\tt1\tABBA\nAnn met Bo. Bo waved to Ann\t\t\t\tAnn\tBo\t\t\n"),
		"UTF-16":                                 write(t, "p.csv", utf16Text(binary.LittleEndian, "\ufeff"+table)),
		"UTF-16, the other order":                write(t, "p.jsonl", utf16Text(binary.BigEndian, "\ufeff"+jsonl)),
		"UTF-16 without a mark":                  write(t, "p.jsonl", utf16Text(binary.LittleEndian, jsonl)),
		"UTF-16 without a mark, the other order": write(t, "p.csv", utf16Text(binary.BigEndian, table)),
		"BOM":                                    write(t, "p.jsonl", "\ufeff"+jsonl),
		"old line ends":                          write(t, "p.csv", strings.ReplaceAll(table, "\n", "\r")),
		"old line ends, JSONL":                   write(t, "p.jsonl", strings.ReplaceAll(jsonl, "\n", "\r")),
		"all line ends":                          write(t, "p.csv", "\r\n"+strings.Replace(strings.Replace(table, "\n", "\r", 1), "\n", "\r\n\n", 1)),
		"no final newline":                       write(t, "p.csv", strings.TrimSuffix(table, "\n")),
		"spaces in the header, empty rows":       write(t, "p.csv", strings.Replace(table, "text,query", "text , query", 1)+",,,,,,,,\n \n"),
		"semicolons":                             write(t, "p.csv", "text;query;key;baseline;IO;S;template;order\nThe cat, said Tom, sat;-1;cat;Tom;;;;\n;;;;;;;\n\"He said \"\"no\"\" to 12\";to;1;;;;t1;ABBA\nAnn met Bo. Bo waved to Ann;;;;Ann;Bo;;\n"),
		// DuckDB's readers would interpret these names as patterns, quotes or partitions.
		"awkward name": write(t, filepath.Join("text=wrong", "it's [1] * ? 100%.jsonl"), jsonl),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, path)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				got[i].Fields = nil // see TestFields
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
		`SELECT 'A b' AS text, 1.5 AS query, 1 AS key`:                  "row 1: query is 1.5, which is no whole number",
		`SELECT 'A b' AS text, [1] AS key, 1 AS query`:                  "row 1: key is the list [1], want a token index or a word",
		`SELECT 'A b' AS txt, 1 AS key, 1 AS query`:                     "no column text, found txt, key, query",
		`SELECT 'A b'::BLOB AS text, 1 AS key, 1 AS query`:              "column text holds bytes, want text",
		`SELECT 3 AS text, 1 AS key, 1 AS query`:                        "row 1: text is the number 3, want text",
		`SELECT 'A' AS text, 1 AS key, (2::BIGINT << 40) AS query`:      "row 1: query is 2199023255552, and no text has so many tokens",
		`SELECT 'A' AS text, 1 AS key, 1e300::DOUBLE AS query`:          "row 1: query is 1e300, and no text has so many tokens",
		`FROM (VALUES ('A', 1, 0), ('B', 1, NULL)) t(text, query, key)`: "row 2: key is empty, want a token index",
		`SELECT 'A b' AS text, 1 AS query, 0 AS key, 1 AS baselines`:    "row 1: \"baselines\" is there, and baseline is not",
	} {
		if _, err := read(t, writeParquet(t, query)); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: error %v, want %q", query, err, message)
		}
	}
}

// inTheirWords fails if an error mentions Go, SQL or a library, which the author of the file has not used.
func inTheirWords(t *testing.T, err error, path string) {
	t.Helper()
	if strings.Count(err.Error(), path) != 1 {
		t.Errorf("%v, want it to name the file once", err)
	}
	text := strings.ReplaceAll(err.Error(), path, "")
	for _, word := range []string{
		"unmarshal", "Go value", "json:", "csv:", "read_", "SELECT", "Error:", "Binder", "DuckDB", "duckdb", "state machine",
		"looking for beginning", "EOF", "infinit", "control", "prompts.",
	} {
		if strings.Contains(text, word) {
			t.Errorf("%v, want it without %s", err, word)
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
		{"unknown ending", "p.txt", good, prompts.ErrFormat, `not a prompt file by its name, which ends in ".txt", want .jsonl`},
		{"broken JSON", "p.jsonl", good + `{"text": "a`, prompts.ErrFormat, ": line 2, column 12: the JSON ends too early"},
		{"pretty JSON", "p.jsonl", "{\n\"text\": \"a\"\n}", prompts.ErrFormat, ": line 1, column 2: the JSON ends too early"},
		{"out of place", "p.jsonl", good + "\n" + `{"text": "é", query: 3}`, prompts.ErrFormat, `: line 3, column 15: not JSON: "query" does not belong here`},
		{"NaN before", "p.jsonl", `{"text": "a", "x": NaN, query: 3}`, prompts.ErrFormat, `: line 1, column 25: not JSON: "query" does not belong here`},
		{"two on a line", "p.jsonl", good[:len(good)-1] + good, prompts.ErrFormat, `: line 1, column 38: not JSON: "{" does not belong here`},
		{"not an object", "p.jsonl", good + "17\n", prompts.ErrFormat, ": line 2: 17, want a JSON object"},
		{"a list of records", "p.jsonl", `[{"text": "a b", "query": 1, "key": 0}]`, prompts.ErrFormat, ": line 1: the list [{"},
		{"twice", "p.jsonl", `{"text": "a b", "query": 1, "key": 0, "key": 1}`, prompts.ErrFormat, `: line 1: "key" is there twice`},
		{"Latin-1 line", "p.jsonl", good + "{\"text\": \"Ren\xe9\"}", prompts.ErrFormat, ": line 2, column 14: the byte 0xE9 is not UTF-8"},
		{"half a pair", "p.jsonl", good + `{"text": "\\ud83d \ud83d"}`, prompts.ErrFormat, `: line 2, column 19: \ud83d is half of a surrogate pair`},
		{"deep", "p.jsonl", `{"x": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, prompts.ErrFormat, ": line 1, column 106: more than 100 lists and objects within each other"},
		{"no final newline", "p.jsonl", `{"text": "a b", "query": 1}`, prompts.ErrRecord, ": line 1: no key, want a token index (-1 is the last token) or a word, or IO and S; found text, query"},
		{"no text", "p.jsonl", good + `{"query": 1, "key": 0}`, prompts.ErrRecord, ": line 2: no text, want the text of the prompt; found query, key"},
		{"no fields", "p.jsonl", "{}", prompts.ErrRecord, ": line 1: no text, want the text of the prompt; found none"},
		{"empty text", "p.csv", "text,query,key\n\"\",1,0\n", prompts.ErrRecord, ": line 2: text is empty, want the text of the prompt"},
		{"no text, misspelt", "p.jsonl", `{"txt": "a b", "query": 1, "key": 0}`, prompts.ErrRecord, `: line 1: "txt" is there, and text is not`},
		{"key misspelt", "p.csv", "text,query,keys\na b,1,0\n", prompts.ErrRecord, `: line 2: "keys" is there, and key is not`},
		{"baseline misspelt", "p.jsonl", good + `{"text": "a b c", "query": 1, "key": 0, "baselin": 2}`, prompts.ErrRecord, `: line 2: "baselin" is there, and baseline is not`},
		{"baseline in two words", "p.csv", "text,query,key,Base line\na b c,1,0,\n", prompts.ErrRecord, `: line 2: "Base line" is there, and baseline is not`},
		{"query misspelt beside IO and S", "p.tsv", "text\tIO\tS\tqeury\na b a\ta\tb\t0\n", prompts.ErrRecord, `: line 2: "qeury" is there, and query is not`},
		{"text a number", "p.jsonl", `{"text": 5, "query": 1, "key": 0}`, prompts.ErrRecord, ": line 1: text is the number 5, want text"},
		{"no key", "p.jsonl", good + "\r\n" + good + `{"text": "a b", "query": 1}`, prompts.ErrRecord, ": line 4: no key, want a token index"},
		{"no query", "p.jsonl", `{"text": "a b", "key": 1}`, prompts.ErrRecord, "no query"},
		{"fraction", "p.jsonl", `{"text": "a b", "query": 1.5, "key": 0}`, prompts.ErrRecord, "query is 1.5, which is no whole number"},
		{"fraction in a table", "p.csv", "text,query,key\na b,-1,2.5\n", prompts.ErrRecord, ": line 2: key is 2.5, which is no whole number"},
		{"large", "p.jsonl", `{"text": "a b", "query": 1e300, "key": 0}`, prompts.ErrRecord, "query is 1e300, and no text has so many tokens"},
		{"huge", "p.jsonl", `{"text": "a b", "query": -1e999, "key": 0}`, prompts.ErrRecord, "query is -1e999, and no text has so many tokens"},
		{"list", "p.jsonl", `{"text": "a b", "query": [1], "key": 0}`, prompts.ErrRecord, "query is the list [1], want a token index or a word"},
		{"bool", "p.jsonl", `{"text": "a b", "query": true, "key": 0}`, prompts.ErrRecord, "query is true, want a token index or a word"},
		{"empty word", "p.jsonl", `{"text": "a b", "query": " ", "key": 0}`, prompts.ErrRecord, "query is blank"},
		{"IO alone", "p.jsonl", `{"text": "a b", "IO": "a"}`, prompts.ErrRecord, "only one of IO and S"},
		{"IO and s", "p.csv", "text,IO,s\na b,a,b\n", prompts.ErrRecord, "only one of IO and S"},
		{"IO and key", "p.jsonl", `{"text": "a b", "IO": "a", "S": "b", "key": 0}`, prompts.ErrRecord, "key beside IO and S"},
		{"order", "p.jsonl", `{"text": "a b", "query": 1, "key": 0, "order": "AB"}`, prompts.ErrRecord, `order is "AB", want ABBA or BABA`},
		{"order of their own", "p.csv", "text,query,key,order\na b,1,0,3\n", prompts.ErrRecord, `order is "3", want ABBA or BABA`},
		{"template", "p.jsonl", `{"text": "a b", "query": 1, "key": 0, "template": ["t"]}`, prompts.ErrRecord, `template is the list ["t"], want text`},
		{"letter case", "p.csv", "text,query,key,Baseline\na b,1,0,0\n", prompts.ErrRecord, `: line 2: "Baseline" is not baseline: upper and lower case count`},
		{"no text column", "p.csv", "txt,query,key\na b,1,0\n", prompts.ErrFormat, ": line 1: no column text, found txt, query, key"},
		{"ragged", "p.csv", "text,query,key\na b,1,0\na b,1,0,7,8\n", prompts.ErrFormat, ": line 3: 5 fields, and the header line has 3"},
		{"short line", "p.csv", "text,query,key\r\n\"a\r\nb\",1,0\r\na b,1\r\n", prompts.ErrFormat, ": line 4: 2 fields, and the header line has 3"},
		{"two columns", "p.csv", "text,query,text\n", prompts.ErrFormat, `: line 1: columns 1 and 3 both have the name "text"`},
		{"two of their own", "p.csv", "text,query,key,x,y,x\n", prompts.ErrFormat, `columns 4 and 6 both have the name "x"`},
		{"empty table", "p.csv", "", prompts.ErrFormat, "it is empty, want a header line"},
		{"blank table", "p.tsv", "\n\r\n \n", prompts.ErrFormat, "it is empty, want a header line"},
		{"open quote", "p.csv", "text,query,key\na b,1,0\n\"a b,1,0\n", prompts.ErrFormat, ": line 3: a quote opens a field, and nothing closes it"},
		{"text after a quote", "p.csv", "text,query,key\n\"a \\\"b\\\"\",1,0\n", prompts.ErrFormat, `: line 2: after the closing quote of "a \\" comes more text`},
		{"Latin-1 table", "p.csv", "text,query,key\nRen\xe9,1,0\n", prompts.ErrFormat, ": line 2, field text: the byte 0xE9 is not UTF-8"},
		{"Latin-1 header", "p.csv", "text,query,key,\xe9\n", prompts.ErrFormat, ": line 1: the byte 0xE9 is not UTF-8"},
		{"zero byte", "p.csv", "text,query,key\na\x00b,1,0\n", prompts.ErrFormat, ": line 2: a zero byte"},
		{"half a character", "p.csv", "\xff\xfet\x00e", prompts.ErrFormat, "it is UTF-16 and ends within a character"},
		{"half a pair, UTF-16", "p.jsonl", "\xff\xfe\n\x00\x00\xd8\n\x00", prompts.ErrFormat, ": line 2: it is UTF-16, and half of a surrogate pair stands alone"},
		{"UTF-32", "p.csv", "\xff\xfe\x00\x00t\x00\x00\x00", prompts.ErrFormat, "it is UTF-32"},
		{"workbook", "p.csv", "PK\x03\x04...", prompts.ErrFormat, "a workbook of a spreadsheet program"},
		{"gzip", "p.jsonl", "\x1f\x8b...", prompts.ErrFormat, "compressed by gzip"},
		{"Parquet called CSV", "p.csv", "PAR1...", prompts.ErrFormat, "it is a Parquet file by its content"},
		{"JSONL called Parquet", "p.parquet", good, prompts.ErrFormat, "it is text by its content, not Parquet"},
		{"empty Parquet", "p.parquet", "", prompts.ErrFormat, "it has less than 4 bytes"},
		{"short Parquet", "p.parquet", "PAR1abcdefgh", prompts.ErrFormat, "the file has been cut short"},
		{"damaged Parquet", "p.parquet", "PAR1abcdefgh\x04\x00\x00\x00PAR1", prompts.ErrFormat, "it is damaged, or in a form of Parquet that is not known here"},
		{"other bytes called Parquet", "p.parquet", "\x89HDF....", prompts.ErrFormat, `it begins with "\x89HDF", want PAR1`},
		{"long value", "p.jsonl", `{"text": "a b", "query": {"x": "` + strings.Repeat("y", 1000) + `"}, "key": 0}`, prompts.ErrRecord, `yyy...`},
		{"long word", "p.jsonl", `{"text": "a b", "query": 1, "key": 0, "order": "` + strings.Repeat("y", 1000) + `"}`, prompts.ErrRecord, `yyy..."`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, c.file, c.content)
			_, err := read(t, path)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %v with %q and the path", err, c.want, c.message)
			}
			if err == nil {
				return
			}
			if len(err.Error()) > 600 || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is too long: %v", err)
			}
			inTheirWords(t, err, path)
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

// TestFileEmpty checks that a file without records has no prompts and is no error of this package.
func TestFileEmpty(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"p.jsonl": "", "q.jsonl": "\n\n", "p.csv": "text,query,key\n"} {
		got, err := read(t, write(t, name, content))
		if err != nil || len(got) != 0 {
			t.Errorf("%s with %q: %d prompts, error %v", name, content, len(got), err)
		}
	}
}

// TestFilePages reads more records than fit a page, twice, and stops early.
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

// TestFields checks that the author's fields stay with the prompt, all of them, in the order of the file, and
// with numbers as they are written.
func TestFields(t *testing.T) {
	t.Parallel()
	parquet := `SELECT 3 AS "S1", 'A b' AS text, -1::DOUBLE AS query, 'A' AS key, 's' AS s, 1.5 AS f, {'a': [1, NULL]} AS "nested one", true AS b,
		NULL::INT AS none, 'NaN'::DOUBLE AS nan, '-inf'::DOUBLE AS inf, 9007199254740993 AS large, DATE '2024-02-03' AS day, '\xFF'::BLOB AS bytes`
	for name, c := range map[string]struct{ path, want string }{
		"JSONL": {
			write(t, "p.jsonl", `{"id": 12345678901234567890, "text": "A b", "query": -1.0, "k": 1, "key": "A", "KEY": "x", "label": "12", "n": {"b": [1, {}], "a": "<\u00e9>"}, "t": true, "z": null, "nan": NaN, "i": [-Infinity, "NaN"], "e": 1e300, "family": "\u200d"}`),
			`{"id": 12345678901234567890, "k": 1, "KEY": "x", "label": "12", "n": {"b":[1,{}],"a":"<\u00e9>"}, "t": true, "z": null, "nan": null, "i": ["-Infinity","NaN"], "e": 1e300, "family": "\u200d"}`,
		},
		"CSV": {
			write(t, "p.csv", ",id,text,query,key,KEY,label,n,zip,\"two\nlines\",e,,\n0,12345678901234567890,A b,-1.0,A,x,abc,2.50,01234,\"a\r\nb\",1e300,,\n"),
			`{"column 1": 0, "id": 12345678901234567890, "KEY": "x", "label": "abc", "n": 2.50, "zip": "01234", "two\nlines": "a\r\nb", "e": 1e300}`,
		},
		"Parquet": {
			writeParquet(t, parquet),
			`{"S1": 3, "s": "s", "f": 1.5, "nested one": {"a":[1,null]}, "b": true, "none": null, "nan": null, "inf": "-Infinity", "large": 9007199254740993, "day": "2024-02-03", "bytes": "\\xFF"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, c.path)
			if err != nil || len(got) != 1 {
				t.Fatalf("%d prompts, error %v", len(got), err)
			}
			if diff := cmp.Diff(c.want, got[0].Fields.JSON()); diff != "" || !json.Valid([]byte(c.want)) {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if p := got[0]; p.Text != "A b" || p.Query != schema.AtIndex(-1) || p.Key != schema.AtWord("A") {
				t.Errorf("prompt %+v", p)
			}
		})
	}
}

// TestMisspelt checks which columns of the author's are said to be misspelt. Those that are positions are
// errors: see TestFileErrors.
func TestMisspelt(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"text": "a b", "query": 1, "key": 0, "templat": "x"}`:                                        `column "templat" is kept as one of your own; did you mean template?`,
		`{"text": "a b", "query": 1, "key": 0, "Order": "ABBA"}`:                                       `column "Order" is kept as one of your own; did you mean order?`,
		`{"text": "a b", "query": 1, "key": 0, "template": "x", "templates": 3}`:                       "",
		`{"text": "a b", "query": 1, "key": 0, "queries": 1, "key 2": 1, "test": "x", "line": "base"}`: "",
		`{"text": "a b", "query": 1, "key": 0, "baseline": null, "baseline2": 1}`:                      "",
		`{"text": "a b a", "IO": "a", "S": "b", "keys": 1, "base_line": 1}`:                            "",
	} {
		got, err := read(t, write(t, "p.jsonl", line))
		if err != nil || len(got) != 1 || len(got[0].Fields) == 0 {
			t.Errorf("%s: %d prompts, error %v", line, len(got), err)
		} else if note := prompts.Misspelt(got[0]); note != want {
			t.Errorf("%s: %q, want %q", line, note, want)
		}
	}
}

// TestParquetAwkwardName reads files whose names DuckDB would interpret as patterns, quotes or partitions.
func TestParquetAwkwardName(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(writeParquet(t, `SELECT 'A b' AS text, -1 AS query, 'A' AS key`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(t, write(t, filepath.Join("text=wrong", "it's [1] * ? 100%.parquet"), string(data)))
	if err != nil || len(got) != 1 || got[0].Text != "A b" {
		t.Errorf("%+v, error %v", got, err)
	}
}

// TestLetterCase checks that names of columns may differ only in case, in every format.
func TestLetterCase(t *testing.T) {
	t.Parallel()
	want := schema.Prompt{Text: "A b", Query: schema.AtIndex(-1), Key: schema.AtWord("A").First(), Baseline: schema.AtWord("b").First(),
		Fields: schema.Fields{{Name: "s", Value: `"x"`}, {Name: "io", Value: "1"}}}
	for name, path := range map[string]string{
		"JSONL":   write(t, "p.jsonl", `{"text": "A b", "S": "b", "s": "x", "io": 1, "IO": "A"}`),
		"CSV":     write(t, "p.csv", "text,S,s,io,IO\nA b,b,x,1,A\n"),
		"Parquet": letterCaseParquet(t),
	} {
		got, err := read(t, path)
		if diff := cmp.Diff([]schema.Prompt{want}, got, cmp.AllowUnexported(schema.Position{})); err != nil || diff != "" {
			t.Errorf("%s: error %v, prompts (-want +got):\n%s", name, err, diff)
		}
	}
}

// letterCaseParquet writes a Parquet file with columns that differ only in case. DuckDB cannot write one, so
// two names are replaced in its bytes.
func letterCaseParquet(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(writeParquet(t, `SELECT 'A b' AS text, 'b' AS "S", 'x' AS z, 1 AS jo, 'A' AS "IO"`))
	if err != nil {
		t.Fatal(err)
	}
	// Parquet stores a name as its length and its bytes.
	data = bytes.ReplaceAll(data, []byte("\x01z"), []byte("\x01s"))
	data = bytes.ReplaceAll(data, []byte("\x02jo"), []byte("\x02io"))
	return write(t, "p.parquet", string(data))
}

func TestWords(t *testing.T) {
	t.Parallel()
	path := write(t, "p.jsonl", `{"text": "Mary met Łukasz and Mary saw Łukasz", "query": "last of Łukasz", "key": "Mary#2", "baseline": "first of Łukasz#1"}
{"text": "Mary and Łukasz. Mary saw Łukasz", "IO": "last of Łukasz", "S": "Mary#2"}
{"text": "Mary and Łukasz. Mary", "IO": "last of Łukasz", "S": "Mary"}
`)
	want := []schema.Prompt{
		{Text: "Mary met Łukasz and Mary saw Łukasz", Query: schema.AtPart("Łukasz", 0, schema.LastToken), Key: schema.AtOccurrence("Mary", 2), Baseline: schema.AtPart("Łukasz", 1, schema.FirstToken)},
		{Text: "Mary and Łukasz. Mary saw Łukasz", Query: schema.AtPart("Łukasz", 0, schema.FirstToken).Before(), Key: schema.AtPart("Łukasz", 1, schema.LastToken), Baseline: schema.AtOccurrence("Mary", 2)},
		{Text: "Mary and Łukasz. Mary", Query: schema.AtIndex(-1), Key: schema.AtPart("Łukasz", 1, schema.LastToken), Baseline: schema.AtWord("Mary").First()},
	}
	got, err := read(t, path)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(schema.Position{})); err != nil || diff != "" {
		t.Errorf("error %v, prompts (-want +got):\n%s", err, diff)
	}
	table := write(t, "p.csv", "text,query,key,baseline\nroom 12 of 12,12#1, 3.0,12#2\n")
	got, err = read(t, table)
	want = []schema.Prompt{{Text: "room 12 of 12", Query: schema.AtOccurrence("12", 1), Key: schema.AtIndex(3), Baseline: schema.AtOccurrence("12", 2)}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(schema.Position{})); err != nil || diff != "" {
		t.Errorf("error %v, prompts (-want +got):\n%s", err, diff)
	}
}

// TestWholeNumbers checks that whole numbers are positions in any notation.
func TestWholeNumbers(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"JSONL":   write(t, "p.jsonl", `{"text": "A b", "query": -1.0, "key": 2.00, "baseline": 3e0}`),
		"CSV":     write(t, "p.csv", "text,query,key,baseline\nA b,-1.0,2.,03\n"),
		"Parquet": writeParquet(t, `SELECT 'A b' AS text, -1::DOUBLE AS query, 2.00::DECIMAL(5, 2) AS key, 3::FLOAT AS baseline`),
	} {
		got, err := read(t, path)
		want := []schema.Prompt{{Text: "A b", Query: schema.AtIndex(-1), Key: schema.AtIndex(2), Baseline: schema.AtIndex(3)}}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(schema.Position{})); err != nil || diff != "" {
			t.Errorf("%s: error %v, prompts (-want +got):\n%s", name, err, diff)
		}
	}
	// pandas writes integers as floats in a column with missing numbers.
	for name, path := range map[string]string{
		"JSONL":   write(t, "p.jsonl", `{"text": "A b", "query": 2.0, "key": 1.0, "baseline": NaN}`),
		"Parquet": writeParquet(t, `SELECT 'A b' AS text, 2::DOUBLE AS query, 1::DOUBLE AS key, 'NaN'::DOUBLE AS baseline`),
	} {
		got, err := read(t, path)
		if err != nil || len(got) != 1 || !got[0].Baseline.IsNone() {
			t.Errorf("%s: %+v, error %v, want no baseline", name, got, err)
		}
	}
}

// TestFileBounds checks that fields, records and lists beyond their bounds are refused.
func TestFileBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("y", 1<<20)
	record := `{"text": "a b", "query": 1, "key": 0`
	var many strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&many, `, "f%d": 0`, i)
	}
	for _, c := range []struct{ name, path, message string }{
		{"a large field", write(t, "p.jsonl", record+"}\n"+record+`, "note": 1, "vector": "`+long+`"}`), `: line 2: its own columns hold 1048589 bytes, want at most 1048576; the largest is "vector"`},
		{"many fields", write(t, "p.jsonl", record+many.String()+"}"), ": line 1: more than 1000 fields"},
		{"many columns", write(t, "p.csv", "text"+strings.Repeat(",", 1000)+"\n"), ": line 1: more than 1000 fields"},
		{"a long line", write(t, "p.jsonl", record+"}\n"+record+`, "note": "`+strings.Repeat(long, 16)+`"}`), ": line 2: longer than 16 MiB"},
		{"an open quote", write(t, "p.csv", "text,query,key\n\"a b,1,0\n"+strings.Repeat(long+"\n", 17)), "a record of more than 16 MiB: is a quote left open before?"},
		{"a large Parquet field", writeParquet(t, `SELECT 'a b' AS text, 1 AS query, 0 AS key, repeat('y', 1 << (18 + i::INT)) AS note FROM range(3) t(i)`), ": row 3: its own columns hold"},
		{"a long Parquet record", writeParquet(t, `SELECT 'a b' AS text, 1 AS query, 0 AS key, repeat('y', (17 << 20) * i::INT) AS note FROM range(2) t(i)`), ": row 2: 17825"},
		{"larger than memory", writeParquet(t, `SELECT 'a b' AS text, 1 AS query, 0 AS key, repeat('y', 1 << 25) AS note FROM range(4) t(i)`), ": its records are too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, c.path)
			if err == nil || !strings.Contains(err.Error(), c.message) || len(err.Error()) > 600 {
				t.Fatalf("error %v, want %q", err, c.message)
			}
			inTheirWords(t, err, c.path)
		})
	}
}

// TestNotAFile checks that irregular files are refused at once; opening a pipe would wait for ever.
func TestNotAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.jsonl")
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		t.Skipf("no pipe can be made here: %v", err)
	}
	for _, path := range []string{pipe, os.DevNull} {
		what := map[string]string{pipe: "it is a pipe, want a regular file", os.DevNull: "it is a device, want a regular file"}[path]
		_, ferr := read(t, path)
		_, terr := prompts.ReadTemplates(path)
		_, nerr := prompts.ReadNames(path)
		for _, err := range []error{ferr, terr, nerr} {
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%v, want %s", err, what)
			}
		}
	}
}

// TestNoTemporaryFolder checks that a missing temporary folder is not reported as a fault of the prompt file,
// and that only Parquet needs one.
func TestNoTemporaryFolder(t *testing.T) {
	parquet := writeParquet(t, `SELECT 'a b' AS text, 1 AS query, 0 AS key`)
	lines := write(t, "p.jsonl", `{"text": "a b", "query": 1, "key": 0}`)
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	if _, err := read(t, lines); err != nil {
		t.Errorf("JSONL: %v", err)
	}
	_, err := read(t, parquet)
	var hint interface{ Hint() string }
	if err == nil || strings.Contains(err.Error(), parquet) || !strings.Contains(err.Error(), os.Getenv("TMPDIR")) || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "TMPDIR") {
		t.Errorf("Parquet: %v, want it to speak of the temporary folder", err)
	}
}

// TestReportedFiles reads files of other programs from public bug reports.
func TestReportedFiles(t *testing.T) {
	t.Parallel()
	const text = " the war said he the war"
	want := schema.Prompt{Text: text, Query: schema.AtIndex(-1), Key: schema.AtIndex(2), Baseline: schema.AtIndex(3)}
	for name, n := range map[string]int{"float.jsonl": 1, "float.csv": 1, "pandas-index.csv": 1, "utf16.csv": 1, "mixed-eol.csv": 2, "S-and-s.csv": 1} {
		got, err := read(t, reference(t, "reports", "prompt-files", name))
		if err != nil || len(got) != n {
			t.Errorf("%s: %d prompts, error %v, want %d", name, len(got), err, n)
			continue
		}
		want := want
		switch name {
		case "pandas-index.csv":
			want.Fields = schema.Fields{{Name: "column 1", Value: "0"}}
		case "S-and-s.csv":
			want = schema.Prompt{Text: " the war said he the war", Query: schema.AtIndex(-1), Key: schema.AtWord("said").First(), Baseline: schema.AtWord("he").First(), Fields: schema.Fields{{Name: "s", Value: `"x"`}}}
		}
		for _, p := range got {
			if diff := cmp.Diff(want, p, cmp.AllowUnexported(schema.Position{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// FuzzFile checks that a file either is refused with an error in its author's terms or gives prompts whose
// fields are JSON.
func FuzzFile(f *testing.F) {
	endings := []string{"p.jsonl", "p.csv", "p.tsv"}
	f.Add(uint8(0), []byte(`{"text": "a \ud83d\ude00 b", "query": -1.0, "key": "Mary#2", "x": [NaN, {"y": 1}]}`+"\r\n"))
	f.Add(uint8(1), []byte("\xff\xfet\x00e\x00x\x00t\x00,\x00k\x00\n\x00"))
	f.Add(uint8(1), []byte(",text,IO,S,s\r0,\"a\r\n\"\"b\"\"\",a,b,1.50\r\n"))
	f.Add(uint8(2), []byte("text\tquery\tkey\nlast of a\tlast of a#2\t1e3\n"))
	f.Fuzz(func(t *testing.T, ending uint8, file []byte) {
		path := filepath.Join(t.TempDir(), endings[int(ending)%len(endings)])
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := read(t, path)
		if err != nil {
			if !errors.Is(err, prompts.ErrFormat) && !errors.Is(err, prompts.ErrRecord) {
				t.Errorf("error %v, want ErrFormat or ErrRecord", err)
			}
			if text := err.Error(); strings.Contains(text, "Go value") || strings.Contains(text, "looking for") || len(text) > 1000 {
				t.Errorf("error %v", err)
			}
		}
		for _, p := range list {
			if fields := p.Fields.JSON(); p.Text == "" || p.Query.IsNone() || p.Key.IsNone() || fields != "" && !json.Valid([]byte(fields)) {
				t.Errorf("prompt %+v", p)
			}
		}
	})
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
	// query -2, key "Ann#1", baseline "Bo#1": Ann met Bo. Bo waved to Ann
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

// TestErrorsNameTheFileOnce checks that an error about a file names it exactly once.
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
