package output_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"

	"ducklens/queries"
	"ducklens/queries/output"
)

// sample has a column of every type, with NULLs, hostile text and numbers that are hard to show.
func sample() *queries.Result {
	huge := new(big.Int).Lsh(big.NewInt(1), 100)
	return &queries.Result{
		Columns: []queries.Column{
			{Name: "component", Type: queries.Text, DBType: "VARCHAR"},
			{Name: "mean", Type: queries.Float, DBType: "FLOAT"},
			{Name: "n", Type: queries.Integer, DBType: "BIGINT"},
			{Name: "huge", Type: queries.Integer, DBType: "HUGEINT"},
			{Name: "exact", Type: queries.Exact, DBType: "DECIMAL(6,3)"},
			{Name: "ok", Type: queries.Bool, DBType: "BOOLEAN"},
			{Name: "at", Type: queries.Time, DBType: "TIMESTAMP"},
			{Name: "day", Type: queries.Other, DBType: "DATE"},
			{Name: "list", Type: queries.Nested, DBType: "INTEGER[]"},
		},
		Rows: [][]any{
			{"W_E", float32(3.3467932), int64(50), huge, queries.Decimal("-1.250"), true, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02", []any{int64(1), nil}},
			{"a, \"b\" | c\n\x1b[2J<i>", float32(-0.0109186256), int64(-7), nil, nil, false, nil, nil, nil},
			{nil, float32(1e-7), nil, big.NewInt(0).Neg(huge), queries.Decimal("0.000"), nil, nil, nil, []any{}},
			{"", nil, int64(0), nil, nil, nil, nil, nil, nil},
		},
	}
}

func write(t *testing.T, f output.Format, r *queries.Result, o output.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := output.Write(t.Context(), &b, f, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func compare(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	compare(t, write(t, output.Table, sample(), output.Options{}), ""+
		"component                  mean     n                              huge   exact  ok     at                   day         list\n"+
		"───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────\n"+
		"W_E                      3.3468    50   1267650600228229401496703205376  -1.250  true   2026-01-02 03:04:05  2026-01-02  [1,null]\n"+
		`a, "b" | c\n\x1b[2J<i>  -0.0109    -7                              NULL    NULL  false  NULL                 NULL        NULL`+"\n"+
		"NULL                      1e-07  NULL  -1267650600228229401496703205376   0.000  NULL   NULL                 NULL        []\n"+
		"                           NULL     0                              NULL    NULL  NULL   NULL                 NULL        NULL\n")
}

func TestCSV(t *testing.T) {
	t.Parallel()
	text := write(t, output.CSV, sample(), output.Options{})
	compare(t, text, "component,mean,n,huge,exact,ok,at,day,list\n"+
		`W_E,3.3467932,50,1267650600228229401496703205376,-1.250,true,2026-01-02 03:04:05,2026-01-02,"[1,null]"`+"\n"+
		"\"a, \"\"b\"\" | c\n\x1b[2J<i>\",-0.010918626,-7,,,false,,,\n"+
		",1e-07,,-1267650600228229401496703205376,0.000,,,,[]\n"+
		`"",,0,,,,,,`+"\n")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 5 || rows[2][0] != "a, \"b\" | c\n\x1b[2J<i>" {
		t.Errorf("read back: %q, %v", rows, err)
	}
	terminal := write(t, output.CSV, sample(), output.Options{Terminal: true})
	if strings.Contains(terminal, "\x1b") || !strings.Contains(terminal, `\x1b[2J`) {
		t.Errorf("on a terminal: %q", terminal)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	text := write(t, output.JSON, sample(), output.Options{})
	compare(t, text, `[
  {"component": "W_E", "mean": 3.3467932, "n": 50, "huge": 1267650600228229401496703205376, "exact": -1.250, "ok": true, "at": "2026-01-02 03:04:05", "day": "2026-01-02", "list": [1,null]},
  {"component": "a, \"b\" | c\n\u001b[2J<i>", "mean": -0.010918626, "n": -7, "huge": null, "exact": null, "ok": false, "at": null, "day": null, "list": null},
  {"component": null, "mean": 1e-07, "n": null, "huge": -1267650600228229401496703205376, "exact": 0.000, "ok": null, "at": null, "day": null, "list": []},
  {"component": "", "mean": null, "n": 0, "huge": null, "exact": null, "ok": null, "at": null, "day": null, "list": null}
]
`)
	var rows []map[string]any
	if err := json.Unmarshal([]byte(text), &rows); err != nil || len(rows) != 4 {
		t.Errorf("read back: %v, %v", rows, err)
	}
	odd := &queries.Result{Columns: []queries.Column{{Name: "x", Type: queries.Float, DBType: "DOUBLE"}},
		Rows: [][]any{{math.NaN()}, {math.Inf(-1)}, {[]any{math.NaN()}}}}
	compare(t, write(t, output.JSON, odd, output.Options{}), "[\n  {\"x\": \"NaN\"},\n  {\"x\": \"-Inf\"},\n  {\"x\": [\"NaN\"]}\n]\n")
	compare(t, write(t, output.JSON, &queries.Result{Columns: odd.Columns}, output.Options{}), "[]\n")
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	r := sample()
	for i := range r.Rows {
		r.Rows[i] = r.Rows[i][:3]
	}
	r.Columns = r.Columns[:3]
	compare(t, write(t, output.Markdown, r, output.Options{}), `| component | mean | n |
| --- | --: | --: |
| W_E | 3.3468 | 50 |
| a, "b" \| c\\n\\x1b\[2J&lt;i> | -0.0109 | -7 |
| NULL | 1e-07 | NULL |
|  | NULL | 0 |
`)
}

func TestParquet(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "r.parquet")
	data := write(t, output.Parquet, sample(), output.Options{})
	if data != write(t, output.Parquet, sample(), output.Options{}) {
		t.Error("the same rows gave other bytes")
	}
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var types string
	if err := db.QueryRow("SELECT string_agg(column_type, ' ') FROM (DESCRIBE FROM '" + file + "')").Scan(&types); err != nil {
		t.Fatal(err)
	}
	if want := "VARCHAR FLOAT BIGINT VARCHAR DECIMAL(6,3) BOOLEAN TIMESTAMP DATE VARCHAR"; types != want {
		t.Errorf("types %s, want %s", types, want)
	}
	rows, err := db.Query("SELECT component, mean, n, exact::VARCHAR, ok, \"at\", day::VARCHAR, list FROM '" + file + "'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got [][]any
	for rows.Next() {
		row := make([]any, 8)
		targets := make([]any, 8)
		for i := range row {
			targets[i] = &row[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want := [][]any{
		{"W_E", float32(3.3467932), int64(50), "-1.250", true, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02", "[1,null]"},
		{"a, \"b\" | c\n\x1b[2J<i>", float32(-0.0109186256), int64(-7), nil, false, nil, nil, nil},
		{nil, float32(1e-7), nil, "0.000", nil, nil, nil, "[]"},
		{"", nil, int64(0), nil, nil, nil, nil, nil},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestTableWidth(t *testing.T) {
	t.Parallel()
	r := &queries.Result{
		Columns: []queries.Column{{Name: "n", Type: queries.Integer}, {Name: "text", Type: queries.Text}, {Name: "short", Type: queries.Text}},
		Rows:    [][]any{{int64(1), strings.Repeat("long ", 20), "x"}, {int64(2), "東京", "y"}},
	}
	compare(t, write(t, output.Table, r, output.Options{Width: 40}), ""+
		"n  text                            short\n"+
		"──────────────────────────────────────────\n"+
		"1  long long long long long long…  x\n"+
		"2  東京                            y\n")
	r.Rows = r.Rows[:1]
	compare(t, write(t, output.Table, r, output.Options{Width: 40}), ""+
		"n      1\n"+
		"text   "+strings.TrimSpace(strings.Repeat("long ", 20))+"\n"+
		"short  x\n")
}

// TestTableDigits shows columns of numbers of different sizes.
func TestTableDigits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []any
		want   string
	}{
		{[]any{23.483355918}, "23.483"},
		{[]any{3.25, 0.0000001, 0.0}, "3.2500 1e-07 0"},
		{[]any{123456.7, -2.0}, "123457 -2"},
		{[]any{1.25e-6, 3.5e-8}, "1.250e-06 3.500e-08"},
		{[]any{2.5e12, 1.0}, "2.500e+12 1.000e+00"},
		{[]any{0.0214, -0.1}, "0.02140 -0.10000"},
		{[]any{math.NaN(), math.Inf(1), nil, 1.0}, "NaN +Inf NULL 1.0000"},
		{[]any{0.0}, "0"},
	} {
		r := &queries.Result{Columns: []queries.Column{{Name: "x", Type: queries.Float}}}
		for _, v := range c.values {
			r.Rows = append(r.Rows, []any{v})
		}
		fields := strings.Fields(write(t, output.Table, r, output.Options{}))
		if got := strings.Join(fields[2:], " "); got != c.want {
			t.Errorf("%v: %q, want %q", c.values, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	twice := &queries.Result{Columns: []queries.Column{{Name: "a"}, {Name: "A"}}, Rows: [][]any{{nil, nil}}}
	for _, f := range []output.Format{output.JSON, output.Parquet} {
		if err := output.Write(t.Context(), &bytes.Buffer{}, f, twice, output.Options{}); !errors.Is(err, output.ErrColumns) {
			t.Errorf("%v: error %v, want %v", f, err, output.ErrColumns)
		}
	}
	if err := output.Write(t.Context(), &bytes.Buffer{}, output.Parquet, sample(), output.Options{Terminal: true}); !errors.Is(err, output.ErrBinary) {
		t.Errorf("error %v, want %v", err, output.ErrBinary)
	}
	for f := output.Table; f <= output.Markdown; f++ {
		if err := output.Write(t.Context(), full{}, f, sample(), output.Options{}); !errors.Is(err, errFull) {
			t.Errorf("%v: error %v, want %v", f, err, errFull)
		}
		if again, err := output.ParseFormat(f.String()); err != nil || again != f {
			t.Errorf("%v: parsed as %v, %v", f, again, err)
		}
	}
	if _, err := output.ParseFormat("xlsx"); err == nil || !strings.Contains(err.Error(), "want one of table, csv, json, parquet, md") {
		t.Errorf("error %v", err)
	}
}

// full is a disk without space.
type full struct{}

var errFull = errors.New("no space")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestScalar(t *testing.T) {
	t.Parallel()
	pct := queries.Query{Chart: queries.Chart{Mark: queries.Scalar, Y: "pct"}}
	r := &queries.Result{Columns: []queries.Column{{Name: "n"}, {Name: "pct"}}, Rows: [][]any{{int64(50), 23.483355918}}}
	if got, err := output.Scalar(pct, r); err != nil || got != "23.483355918" {
		t.Errorf("%q, %v", got, err)
	}
	for name, c := range map[string]struct {
		q queries.Query
		r *queries.Result
	}{
		"two columns":    {queries.Query{}, r},
		"no such column": {pct, &queries.Result{Columns: r.Columns[:1], Rows: [][]any{{int64(1)}}}},
		"no rows":        {pct, &queries.Result{Columns: r.Columns}},
		"two rows":       {pct, &queries.Result{Columns: r.Columns, Rows: [][]any{r.Rows[0], r.Rows[0]}}},
		"NULL":           {pct, &queries.Result{Columns: r.Columns, Rows: [][]any{{int64(1), nil}}}},
	} {
		if got, err := output.Scalar(c.q, c.r); !errors.Is(err, output.ErrNotScalar) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	one := &queries.Result{Columns: r.Columns[:1], Rows: [][]any{{"x"}}}
	if got, err := output.Scalar(queries.Query{}, one); err != nil || got != "x" {
		t.Errorf("%q, %v", got, err)
	}
}

func ExampleWrite() {
	r := &queries.Result{
		Columns: []queries.Column{{Name: "component", Type: queries.Text}, {Name: "mean", Type: queries.Float}, {Name: "n", Type: queries.Integer}},
		Rows:    [][]any{{"MLP0", 0.785913, int64(50)}, {"b_K", 0.0, int64(50)}, {"9.9", nil, int64(0)}},
	}
	var text bytes.Buffer
	for _, f := range []output.Format{output.Table, output.CSV} {
		if err := output.Write(context.Background(), &text, f, r, output.Options{}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Print(text.String())
	// Output:
	// component     mean   n
	// ────────────────────────
	// MLP0       0.78591  50
	// b_K              0  50
	// 9.9           NULL   0
	// component,mean,n
	// MLP0,0.785913,50
	// b_K,0,50
	// 9.9,,0
}

func BenchmarkWrite(b *testing.B) {
	r := &queries.Result{Columns: []queries.Column{{Name: "component", Type: queries.Text, DBType: "VARCHAR"}, {Name: "mean", Type: queries.Float, DBType: "DOUBLE"}}}
	for i := range 10000 {
		r.Rows = append(r.Rows, []any{fmt.Sprint("component ", i), math.Sin(float64(i))})
	}
	for f := output.Table; f <= output.Markdown; f++ {
		b.Run(f.String()+"/10000rows", func(b *testing.B) {
			for b.Loop() {
				if err := output.Write(b.Context(), &bytes.Buffer{}, f, r, output.Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(10000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
