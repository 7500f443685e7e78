package queries_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"ducklens/queries"
)

const good = `-- name: score_by_prompt
-- title: Head {head}: the score of every prompt
-- description: The score of each prompt,
--   highest first.
-- param: head TEXT = 'it''s, 10.7', target head
-- param: least DOUBLE
-- param: n INTEGER = 40, how many
-- chart: bar
-- x: example_id
-- y: score
-- x_title: prompt

-- A comment that belongs to the SQL: $no ?
SELECT example_id, score, '$no' AS s, $tag$ ; ? $tag$ AS t /* $no /* ; */ */
FROM score WHERE label = $head AND score > $least
ORDER BY score DESC LIMIT $n;
`

func TestParse(t *testing.T) {
	t.Parallel()
	q, err := queries.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	want := queries.Query{
		Name:        "score_by_prompt",
		Title:       "Head {head}: the score of every prompt",
		Description: "The score of each prompt, highest first.",
		Params: []queries.Param{
			{Name: "head", Type: queries.TextParam, Default: "it's, 10.7", Doc: "target head"},
			{Name: "least", Type: queries.DoubleParam},
			{Name: "n", Type: queries.IntegerParam, Default: int64(40), Doc: "how many"},
		},
		Chart: queries.Chart{Mark: queries.Bar, X: "example_id", Y: "score", XTitle: "prompt"},
		SQL:   strings.TrimSpace(good[strings.Index(good, "-- A comment"):]),
		Line:  13,
	}
	if !reflect.DeepEqual(q, want) {
		t.Errorf("got  %#v\nwant %#v", q, want)
	}
	if q, err := queries.Parse("\ufeff" + good); err != nil || !reflect.DeepEqual(q, want) {
		t.Errorf("with a byte order mark: %v, %#v", err, q)
	}
}

// TestParseMalformed replaces a text in a valid query, and expects the line and the text of an error.
func TestParseMalformed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, old, new string
		line           int
		want           string
	}{
		{"unknown key", "-- x_title: prompt", "-- colour: red", 11, `unknown key "colour", want `},
		{"repeated key", "-- x_title: prompt", "-- x: score", 11, `key "x" again, it is on line 9 already`},
		{"repeated name", "-- x_title: prompt", "-- name: other", 11, `key "name" again, it is on line 1 already`},
		{"no colon", "-- x_title: prompt", "-- x_title prompt", 11, `want "-- key: value"`},
		{"no space", "-- x_title: prompt", "--x_title: prompt", 11, `want "-- key: value"`},
		{"two spaces", "-- x_title: prompt", "--  x_title: prompt", 11, `want "-- key: value"`},
		{"capital key", "-- x_title: prompt", "-- X_title: prompt", 11, `want "-- key: value"`},
		{"empty value", "-- x_title: prompt", "-- x_title:   ", 11, `key "x_title" has no value`},
		{"comment in header", "-- x_title: prompt", "--", 11, `want "-- key: value"`},
		{"no name", "-- name: score_by_prompt", "-- subtitle: x", 1, `no "name" in the header`},
		{"no title", "-- title: Head {head}: the score of every prompt", "-- subtitle: x", 1, `no "title" in the header`},
		{"name with blanks", "-- name: score_by_prompt", "-- name: score by prompt", 1, `want lower case letters, digits and _`},
		{"name with a path", "-- name: score_by_prompt", "-- name: ../../etc/passwd", 1, `want lower case letters`},
		{"long name", "score_by_prompt", strings.Repeat("a", 64), 1, `at most 63`},
		{"open brace", "{head}", "{head", 2, `want braces only as {column}`},
		{"closed brace", "{head}", "head}", 2, `want braces only as {column}`},
		{"empty braces", "{head}", "{}", 2, `want braces only as {column}`},
		{"title without a column", "{head}", "{hed}", 2, `{hed} in the title: neither the SQL nor the header has that name`},
		{"title without a run", "{head}", "{model}", 2, `a query with the parameter run has it: -- param: run INTEGER = NULL`},
		{"axis without a column", "-- x_title: prompt", "-- x_title: {prompt}", 11, `{prompt} in the x_title`},
		{"choice without an other", "{head}", "{head?a}", 2, `want braces only as {column}`},
		{"scale and zmax", "-- chart: bar", "-- chart: heatmap\n-- fill: score\n-- scale: panel\n-- zmax: 3", 11, `want one of them`},
		{"unknown scale", "-- x_title: prompt", "-- scale: log", 11, `scale "log", want one of figure, frame, panel, quantile`},
		{"zmax of nothing", "-- x_title: prompt", "-- zmax: 0", 11, `want a number above 0`},
		{"hide nothing", "-- x_title: prompt", "-- hide: a,,b", 11, `an empty name`},
		{"say of another", "-- x_title: prompt", "-- say: nothing, some words", 11, `no parameter "nothing"`},
		{"say nothing", "-- x_title: prompt", "-- say: head", 11, `want "NAME, TEXT" or "NAME = VALUE, TEXT"`},
		{"unknown mark", "-- chart: bar", "-- chart: pie", 8, `chart "pie", want one of table, scalar, heatmap`},
		{"missing key of the mark", "-- y: score", "-- label: score", 8, `chart bar needs the key "y"`},
		{"key of another mark", "-- x_title: prompt", "-- bins: 20", 11, `chart bar has no key "bins"`},
		{"count not a number", "-- x_title: prompt", "-- facet_columns: two", 11, `want a whole number from 1 to 4096`},
		{"count of 0", "-- x_title: prompt", "-- facet_columns: 0", 11, `want a whole number from 1 to 4096`},
		{"column with SQL", "-- x: example_id", "-- x: example_id; DROP TABLE run", 9, `want the name of a column`},
		{"param type", "param: least DOUBLE", "param: least NUMBER", 6, `parameter type "NUMBER", want one of TEXT, INTEGER, DOUBLE, BOOLEAN`},
		{"param without type", "param: least DOUBLE", "param: least", 6, `parameter type ""`},
		{"param name", "param: least DOUBLE", "param: Least DOUBLE", 6, `parameter name "Least"`},
		{"param again", "param: least DOUBLE", "param: head DOUBLE", 6, `parameter "head" again, it is on line 5 already`},
		{"param unused", "$least", "0", 6, `parameter "least" is not used`},
		{"param undeclared", "LIMIT $n", "LIMIT $n + $m", 16, `parameter $m is not in the header`},
		{"param without comma", "least DOUBLE", "least DOUBLE = 1 two", 6, `"1 two", want a finite number`},
		{"text without quotes", "'it''s, 10.7'", "10.7", 5, `want NULL or a text in single quotes`},
		{"text without end", "'it''s, 10.7'", "'it''s, 10.7", 5, `want NULL or a text in single quotes`},
		{"text then more", "'it''s, 10.7'", "'it''s' 10.7", 5, `"10.7, target head" after it`},
		{"integer default", "= 40", "= 4.5", 7, `"4.5", want a whole number`},
		{"infinite default", "DOUBLE", "DOUBLE = inf", 6, `"inf", want a finite number`},
		{"positional ?", "LIMIT $n", "LIMIT $n + ?", 16, `parameter ?, want $name`},
		{"positional $1", "LIMIT $n", "LIMIT $n + $1", 16, `parameter $1 is not in the header`},
		{"second statement", "LIMIT $n;", "LIMIT $n; SELECT 1", 16, `a second statement`},
		{"open string", "'$no'", "'$no", 14, `quote ' without an end`},
		{"open comment", "/* ; */ */", "/* ; */", 14, `comment /* without an end`},
		{"open dollar quote", "$tag$ AS", "$gat$ AS", 14, `quote $tag$ without an end`},
		{"no SQL", good[strings.Index(good, "-- A comment"):], "-- nothing\n;", 13, `no SQL after the header`},
		{"escape code", "the score of", "the \x1b[31m score of", 2, `character U+001B`},
		{"UTF-16", good[:8], "\xfe\xff\x00-\x00-", 1, `a text of UTF-16, want UTF-8`},
		{"not UTF-8", "the score of", "the \xff score of", 2, `bytes that are not UTF-8`},
		{"text that runs backwards", "the score of", "the \u202e score of", 2, `character U+202E`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(good, c.old) {
				t.Fatalf("%q is not in the good query", c.old)
			}
			q, err := queries.Parse(strings.Replace(good, c.old, c.new, 1))
			if err == nil {
				t.Fatalf("no error, query %#v", q)
			}
			want := fmt.Sprintf("line %d: ", c.line)
			if !strings.Contains(err.Error(), c.want) || !lineHas(err.Error(), want, c.want) {
				t.Errorf("error %q, want %q with %q", err, want, c.want)
			}
			var syntax *queries.SyntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("error %v is no SyntaxError", err)
			}
		})
	}
}

// lineHas reports whether a line of text begins with start and contains part.
func lineHas(text, start, part string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) && strings.Contains(line, part) {
			return true
		}
	}
	return false
}

func TestParseAllFaults(t *testing.T) {
	t.Parallel()
	_, err := queries.Parse("-- name: X\n-- hue: red\n\nSELECT $a")
	for _, want := range []string{"line 1: name", "line 2: unknown key", `no "title"`, "line 4: parameter $a"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestParseTooLong(t *testing.T) {
	t.Parallel()
	if _, err := queries.Parse(good + strings.Repeat(" ", queries.MaxLength)); err == nil || !strings.Contains(err.Error(), "at most 262144") {
		t.Errorf("error %v", err)
	}
}

func TestQueryString(t *testing.T) {
	t.Parallel()
	q, err := queries.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	q.Description = strings.Repeat("twenty letters each, ", 20) + "and  two blanks, stay."
	q.Params[0].Doc = strings.Repeat("long ", 50) + "end"
	roundTrip(t, q)
}

// roundTrip checks that Parse is the inverse of String.
func roundTrip(t *testing.T, q queries.Query) {
	t.Helper()
	again, err := queries.Parse(q.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, q)
	}
	q.Line, again.Line = 0, 0
	if !reflect.DeepEqual(q, again) {
		t.Fatalf("got  %#v\nwant %#v\nfrom\n%s", again, q, q)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	for _, q := range queries.Embedded() {
		f.Add(q.String())
	}
	f.Add("-- name: a\n-- title: t\n-- description: d\n\nSELECT e'\\'', $$;$$ /*/**/*/ --")
	f.Add("-- name: a\r\n-- title: t\r\n-- description: d\r\n--    more\r\nFROM x")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := queries.Parse(text)
		if err != nil {
			return
		}
		roundTrip(t, q)
	})
}

func TestAdHoc(t *testing.T) {
	t.Parallel()
	q, err := queries.AdHoc("SELECT $a, '$b', $c, $a")
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Params) != 2 || q.Params[0].Name != "a" || q.Params[1].Name != "c" {
		t.Errorf("parameters %v, want a and c", q.Params)
	}
	if q, err = queries.AdHoc(good); err != nil || q.Name != "score_by_prompt" {
		t.Errorf("with a header: name %q, error %v", q.Name, err)
	}
	for _, bad := range []string{"SELECT ?", "SELECT\n$A", "SELECT 'x", strings.Repeat(" ", queries.MaxLength+1)} {
		if _, err := queries.AdHoc(bad); err == nil {
			t.Errorf("%.20q: no error", bad)
		}
	}
}

func ExampleParse() {
	q, err := queries.Parse(`-- name: long_prompts
-- title: Prompts with many tokens
-- description: Prompts of a run that have at least so many tokens.
-- param: least INTEGER = 20, tokens, BOS included

SELECT example_id, n_tokens FROM example WHERE n_tokens >= $least ORDER BY example_id
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(q.Name, q.Chart.Mark)
	fmt.Println(q.Params[0])
	// Output:
	// long_prompts table
	// least INTEGER = 20, tokens, BOS included
}

func ExampleParse_errors() {
	_, err := queries.Parse(`-- name: long_prompts
-- titel: Prompts with many tokens
-- description: Prompts of a run that have at least so many tokens.

SELECT example_id FROM example WHERE n_tokens >= $least ORDER BY example_id
`)
	fmt.Println(err)
	// Output:
	// line 1: no "title" in the header
	// line 2: unknown key "titel", want title
	// line 5: parameter $least is not in the header, want "-- param: least TYPE = DEFAULT"
}
