package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

// ask runs SQL that a user has typed.
func ask(ctx context.Context, s *session.Session, sql string, set map[string]string) (*queries.Result, error) {
	q, err := queries.AdHoc(sql)
	if err != nil {
		return nil, err
	}
	return s.Run(ctx, q, set)
}

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// TestValues reads one value of every DuckDB type that a Result can hold.
func TestValues(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for _, c := range []struct {
		sql  string
		typ  queries.Type
		want any
		text string
	}{
		{"NULL", queries.Integer, nil, ""},
		{"true", queries.Bool, true, "true"},
		{"(-7)::TINYINT", queries.Integer, int64(-7), "-7"},
		{"7::USMALLINT", queries.Integer, int64(7), "7"},
		{"18446744073709551615::UBIGINT", queries.Integer, nil, "18446744073709551615"},
		{"sum(5)", queries.Integer, int64(5), "5"},
		{"0.1::FLOAT", queries.Float, float32(0.1), "0.1"},
		{"0.1::DOUBLE", queries.Float, 0.1, "0.1"},
		{"'nan'::DOUBLE", queries.Float, nil, "NaN"},
		{"-0.050", queries.Exact, queries.Decimal("-0.050"), "-0.050"},
		{"12.5", queries.Exact, queries.Decimal("12.5"), "12.5"},
		{"'x'", queries.Text, "x", "x"},
		{"'key'::side", queries.Text, "key", "key"},
		{"TIMESTAMP '2026-01-02 03:04:05.5'", queries.Time, time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC), "2026-01-02 03:04:05.5"},
		{"DATE '2026-01-02'", queries.Other, "2026-01-02", "2026-01-02"},
		{"TIME '03:04:05'", queries.Other, "03:04:05", "03:04:05"},
		{"uuid_nil", queries.Other, nil, "00000000-0000-0000-0000-000000000007"},
		{"'\\x01a'::BLOB", queries.Other, `\x0161`, `\x0161`},
		{"INTERVAL 2 DAYS", queries.Other, "0 months 2 days 0s", "0 months 2 days 0s"},
		{"[1, NULL, 2]", queries.Nested, []any{int64(1), nil, int64(2)}, "[1,null,2]"},
		{"[0.5::FLOAT]::FLOAT[1]", queries.Nested, []any{float32(0.5)}, "[0.5]"},
		{"{'a': 1, 'b': 'x'}", queries.Nested, map[string]any{"a": int64(1), "b": "x"}, `{"a":1,"b":"x"}`},
		{"MAP {'a': 1.5}", queries.Nested, map[string]any{"a": queries.Decimal("1.5")}, `{"a":1.5}`},
	} {
		sql := c.sql
		if sql == "uuid_nil" {
			sql = "'00000000-0000-0000-0000-000000000007'::UUID"
		}
		result, err := ask(t.Context(), s, "SELECT "+sql+" AS v", nil)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		got := result.Rows[0][0]
		if c.want != nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v, want %#v", sql, got, c.want)
		}
		if text := queries.String(got); text != c.text {
			t.Errorf("%s: text %q, want %q", sql, text, c.text)
		}
		if column := result.Columns[0]; column.Type != c.typ || column.Name != "v" {
			t.Errorf("%s: column %+v, want type %v", sql, column, c.typ)
		}
	}
}

func TestErrorPosition(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	long := strings.Repeat("a", 120)
	for _, c := range []struct {
		name, sql    string
		line, column int
		want         string // part of the message
		caret        string // the text over the caret
		hint         string
	}{
		{"column", "SELECT label,\n\t lable FROM head", 2, 3, `Referenced column "lable" not found`, "lable FROM", "label"},
		{"table", "SELECT 1\nFROM haed", 2, 6, "Table with name haed does not exist", "haed", "head"},
		{"function", "SELECT abss(1)", 1, 8, "Scalar Function with name abss does not exist", "abss", "abs"},
		{"syntax", "SELECT 1\nFORM head LIMIT", 2, 6, `syntax error at or near "head"`, "head", ""},
		{"types", "SELECT sum(label) FROM head", 1, 8, "No function matches", "sum(", "sum(DECIMAL) -> DECIMAL"},
		{"at run time", "SELECT 1,\n  label::INTEGER FROM component WHERE label LIKE 'W%'", 2, 8, "Could not convert string", "::INTEGER", ""},
		{"in a long line", "SELECT '" + long + "', foo, '" + long + "' FROM head", 1, 132, `"foo" not found`, "foo, '", ""},
		{"letters of two bytes", "SELECT 'ééé', foo FROM head", 1, 15, `"foo" not found`, "foo", ""},
		{"wide letters", "SELECT '東京', foo FROM head", 1, 14, `"foo" not found`, "foo", ""},
		{"with a comment before", "-- what\n/* is */ SELECT foo FROM head", 2, 17, `"foo" not found`, "foo", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ask(t.Context(), s, c.sql, nil)
			var e *session.SQLError
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want a SQLError", err)
			}
			if e.Line != c.line || e.Column != c.column || !strings.Contains(e.Message, c.want) {
				t.Errorf("line %d, column %d, %q; want line %d, column %d, %q", e.Line, e.Column, e.Message, c.line, c.column, c.want)
			}
			above, caret, _ := strings.Cut(e.Excerpt, "\n")
			at := strings.IndexByte(caret, '^')
			if at < 0 || !strings.HasPrefix(string([]rune(above)[at:]), c.caret) {
				t.Errorf("excerpt\n%s\nwant the caret at %q", e.Excerpt, c.caret)
			}
			if !strings.Contains(hint(err), c.hint) {
				t.Errorf("hint %q, want %q", hint(err), c.hint)
			}
		})
	}
}

func TestErrorPositionInSavedQuery(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	q, err := queries.Parse("-- name: broken\n-- title: t\n-- description: d\n\nSELECT\n  nothing FROM head ORDER BY 1\n")
	if err != nil {
		t.Fatal(err)
	}
	want := "query broken: SQL line 6, column 3: Referenced column \"nothing\" not found in FROM clause\n" +
		"    nothing FROM head ORDER BY 1\n    ^"
	for name, err := range map[string]error{"run": run(t, s, q), "check": s.Check(t.Context(), q)} {
		if err == nil || err.Error() != want {
			t.Errorf("%s: error\n%v\nwant\n%s", name, err, want)
		}
	}
}

func run(t *testing.T, s *session.Session, q queries.Query) error {
	t.Helper()
	_, err := s.Run(t.Context(), q, nil)
	return err
}

func TestParameters(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	q, err := queries.Parse(`-- name: p
-- title: t
-- description: d
-- param: word TEXT = 'it''s'
-- param: n INTEGER = 3
-- param: x DOUBLE
-- param: yes BOOLEAN = true

SELECT $word AS word, $n AS n, coalesce($x, 0.5::DOUBLE) AS x, $yes AS yes, '$n' AS text
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set  map[string]string
		want []any
	}{
		{nil, []any{"it's", int64(3), 0.5, true, "$n"}},
		{map[string]string{"word": "'; DROP TABLE run; --", "n": "-4", "x": "1e-3", "yes": "false"}, []any{"'; DROP TABLE run; --", int64(-4), 0.001, false, "$n"}},
	} {
		result, err := s.Run(t.Context(), q, c.set)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(result.Rows, [][]any{c.want}) {
			t.Errorf("%v, want %v", result.Rows, c.want)
		}
	}
	_, err = s.Run(t.Context(), q, map[string]string{"n": "four", "wrod": "x"})
	for _, want := range []string{`parameter n INTEGER: "four", want a whole number`, `unknown parameter "wrod"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if !errors.Is(err, queries.ErrUnknownParam) || hint(err) != "did you mean word?" {
		t.Errorf("hint %q", hint(err))
	}
	if result, err := ask(t.Context(), s, "SELECT label FROM head WHERE label = $label", map[string]string{"label": "L2H0"}); err != nil || len(result.Rows) != 2 && len(result.Rows) != 3 {
		t.Errorf("ad hoc: %v, %v", result, err)
	}
}

func TestKnownNames(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	q, err := queries.Parse(`-- name: names
-- title: t
-- description: d
-- param: run INTEGER
-- param: head TEXT
-- param: query_basis TEXT = 'unembed'
-- param: key_basis TEXT = 'mlp0'

SELECT coalesce($run, 0) AS run, coalesce($head, '') AS head, $query_basis AS q, $key_basis AS k
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		param, value string
		sentinel     error
		want, hint   string
	}{
		{"run", "1", nil, "", ""},
		{"run", "3", session.ErrIncomplete, "run 3: run is not complete", "--resume"},
		{"run", "9", session.ErrUnknown, "run 9: not in this file", "complete runs: 1 2"},
		{"head", "2.1", nil, "", ""},
		{"head", "12.3", session.ErrUnknown, `head "12.3": not in this file`, "the run has 2.1, 2.0"},
		{"query_basis", "none", nil, "", ""},
		{"query_basis", "mlp0", session.ErrUnknown, `query basis "mlp0": not in this file`, "none, unembed, unembed+baseline"},
		{"key_basis", "effectiv", session.ErrUnknown, `key basis "effectiv": not in this file`, "none, mlp0"},
	} {
		_, err := s.Run(t.Context(), q, map[string]string{c.param: c.value})
		if !errors.Is(err, c.sentinel) || (err != nil && !strings.Contains(err.Error(), c.want)) || !strings.Contains(hint(err), c.hint) {
			t.Errorf("%s=%s: error %v, hint %q; want %q, %q", c.param, c.value, err, hint(err), c.want, c.hint)
		}
	}
	runs, err := s.Runs(t.Context())
	if want := (session.Runs{Complete: []int64{1, 2}, Incomplete: []int64{3}}); err != nil || !reflect.DeepEqual(runs, want) {
		t.Errorf("runs %+v, %v; want %+v", runs, err, want)
	}
}

func TestNoCompleteRun(t *testing.T) {
	t.Parallel()
	empty := schematest.NewDB(t)
	if err := empty.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path     string
		sentinel error
	}{
		{sampleWith(t), session.ErrIncomplete},
		{empty.Path(), session.ErrUnknown},
	} {
		s := openFile(t, c.path, session.Options{})
		q := queries.Query{Name: "q", Params: []queries.Param{{Name: "run", Type: queries.IntegerParam}}, SQL: "SELECT $run"}
		if err := run(t, s, q); !errors.Is(err, c.sentinel) || hint(err) == "" {
			t.Errorf("error %v, want %v", err, c.sentinel)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	path := sampleFile(t)
	for _, c := range []struct {
		name, sql string
		options   session.Options
		sentinel  error
	}{
		{"time", "SELECT count(*) FROM range(100000000) a, range(100000000) b", session.Options{Time: 200 * time.Millisecond}, session.ErrTime},
		{"time in a call that does not stop", "SELECT levenshtein(repeat('a', 60000) || i, repeat('b', 60000)) FROM range(3) r(i)", session.Options{Time: 200 * time.Millisecond}, session.ErrTime},
		{"memory", "SELECT list(a.range ORDER BY b.range) FROM range(10000000) a, range(100) b", session.Options{Memory: 64 << 20, Time: time.Minute}, session.ErrMemory},
		{"answer", "SELECT repeat('x', 1000) AS x FROM range(10000)", session.Options{Answer: 1 << 20}, session.ErrAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openFile(t, path, c.options)
			_, err := ask(t.Context(), s, c.sql, nil)
			if !errors.Is(err, c.sentinel) || hint(err) == "" {
				t.Errorf("error %v, want %v", err, c.sentinel)
			}
			switch _, err := ask(t.Context(), s, "SELECT 1", nil); c.name {
			case "answer":
				if err != nil {
					t.Errorf("next query: %v", err)
				}
			case "time": // on a busy machine the query may not stop in time, and the session is given up
				if err != nil && !errors.Is(err, session.ErrAbandoned) {
					t.Errorf("next query: %v", err)
				}
			case "time in a call that does not stop": // or else this was not tested
				if !errors.Is(err, session.ErrAbandoned) {
					t.Errorf("next query: %v, want %v", err, session.ErrAbandoned)
				}
			}
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := ask(ctx, s, "SELECT count(*) FROM range(100000000) a, range(100000000) b", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.duckdb")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path     string
		options  session.Options
		sentinel error
	}{
		{filepath.Join(dir, "missing.duckdb"), session.Options{}, dbfile.ErrNotFound},
		{dir, session.Options{}, dbfile.ErrNotDatabase},
		{text, session.Options{}, dbfile.ErrNotDatabase},
	} {
		if _, err := session.Open(t.Context(), c.path, c.options); !errors.Is(err, c.sentinel) {
			t.Errorf("%s: error %v, want %v", c.path, err, c.sentinel)
		}
	}
	_, err := session.Open(t.Context(), text, session.Options{Memory: 1, Time: -1, Threads: -1, Answer: -1})
	for _, want := range []string{"memory limit of 1 bytes", "time limit -1ns", "-1 threads", "answer limit of -1 bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
