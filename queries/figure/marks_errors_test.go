package figure_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// What does not fit a mark is an error that names the column or shows the rows.
func TestMarkErrors(t *testing.T) {
	t.Parallel()
	value := func(row, column int, v any) func(*sample) {
		return func(s *sample) { s.result.Rows[row][column] = v }
	}
	for name, test := range map[string]struct {
		sample sample
		change func(*sample)
		kind   error
		want   []string // in the message
		hint   string
	}{
		"histogram without rows": {substitutions(3, nil), func(s *sample) { s.result.Rows = nil }, figure.ErrEmpty, []string{"query_substitution_scores", "no rows"}, "parameters"},
		"histogram without column": {substitutions(3, nil), func(s *sample) { s.query.Chart.X = "prob" }, figure.ErrColumn,
			[]string{`no column "prob" for x`, "vector, facet, score"}, ""},
		"histogram without x":       {substitutions(3, nil), func(s *sample) { s.query.Chart.X = "" }, figure.ErrColumn, []string{"no column for x"}, "-- x: COLUMN"},
		"histogram of NaN":          {substitutions(3, nil), value(4, 2, math.NaN()), figure.ErrValue, []string{"row 5", "score=NaN"}, ""},
		"histogram of NULL":         {substitutions(3, nil), value(4, 2, nil), figure.ErrValue, []string{"row 5", "score=NULL"}, "baseline"},
		"histogram of text":         {substitutions(3, nil), func(s *sample) { s.query.Chart.X = "vector" }, figure.ErrColumn, []string{"vector holds text"}, ""},
		"histogram of huge numbers": {substitutions(3, nil), value(4, 2, 1e200), figure.ErrValue, []string{"row 5", "1e+200"}, ""},
		"series of NULL":            {substitutions(3, nil), value(4, 0, nil), figure.ErrValue, []string{"NULL in column vector", "row 5"}, ""},
		"too many series": {changed(substitutions(30, nil), func(i int, row []any) { row[0] = fmt.Sprint(i) }), func(*sample) {}, figure.ErrAxis,
			[]string{"column vector has 210 different values", "at most 24"}, "facet"},
		"too many panels": {changed(substitutions(100, []string{""}), func(i int, row []any) { row[1] = fmt.Sprint(i) }), func(*sample) {}, figure.ErrAxis,
			[]string{"1 frames of 700 panels", "at most 512"}, "choose"},
		"two bars in one place": {pairs(6), func(s *sample) { s.result.Rows[4][0] = s.result.Rows[1][0] }, figure.ErrDuplicate,
			[]string{"2 rows for one bar", "row 2", "row 5"}, "aggregate"},
		"bar of NaN":              {pairs(6), value(2, 1, math.NaN()), figure.ErrValue, []string{"row 3", "share=NaN"}, ""},
		"bar without name":        {pairs(6), value(2, 0, nil), figure.ErrValue, []string{"NULL in column pair", "row 3"}, ""},
		"bar with negative error": {pairs(6), value(2, 2, -0.1), figure.ErrValue, []string{"negative standard error", "row 3"}, ""},
		"error of text":           {pairs(6), func(s *sample) { s.query.Chart.Error = "kind" }, figure.ErrColumn, []string{"kind holds text"}, ""},
		"bar without y":           {pairs(6), func(s *sample) { s.query.Chart.Y = "" }, figure.ErrColumn, []string{"no column for y"}, "-- y: COLUMN"},
		"matrix with a cell twice": {pairMap(4, 1, nil, nil), func(s *sample) { s.result.Rows = append(s.result.Rows, s.result.Rows[7]) }, figure.ErrDuplicate,
			[]string{"2 rows for one cell", "row 8", "row 82"}, "aggregate"},
		"matrix of NULL":            {pairMap(4, 1, nil, nil), value(3, 8, nil), figure.ErrValue, []string{"diff=NULL", "row 4"}, ""},
		"place in two groups":       {pairMap(4, 1, nil, nil), value(3, 7, "another"), figure.ErrAxis, []string{"key_layer", "two groups", `"another"`, "row 4"}, ""},
		"place with two names":      {pairMap(4, 1, nil, nil), value(3, 5, "another"), figure.ErrAxis, []string{"key_id", `"another"`}, ""},
		"group of NULL":             {pairMap(4, 1, nil, nil), value(3, 7, nil), figure.ErrValue, []string{"NULL in column key_layer"}, ""},
		"two points in one place":   {curves([]string{"a"}, 5), value(3, 1, int64(1)), figure.ErrDuplicate, []string{"2 rows for one point", "row 2", "row 4"}, ""},
		"point of NULL":             {curves([]string{"a"}, 5), value(3, 1, nil), figure.ErrValue, []string{"NULL in column layer"}, ""},
		"point of infinite height":  {curves([]string{"a"}, 5), value(3, 2, math.Inf(1)), figure.ErrValue, []string{"score=+Inf"}, ""},
		"table":                     {pairs(3), func(s *sample) { s.query.Chart = queries.Chart{Mark: queries.Table} }, figure.ErrMark, []string{"chart table is not drawn"}, "ducklens query"},
		"title of unknown column":   {pairs(3), func(s *sample) { s.query.Title = "{nix}" }, figure.ErrTitle, []string{"nix"}, ""},
		"title of a varying column": {pairs(3), func(s *sample) { s.query.Title = "{share}" }, figure.ErrTitle, []string{"share"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.change(&test.sample)
			f, err := test.sample.figure()
			if err == nil || f != nil {
				t.Fatalf("figure %v, error %v", f, err)
			}
			var e *figure.Error
			if !errors.Is(err, test.kind) || !errors.As(err, &e) || e.Query != test.sample.query.Name {
				t.Errorf("error %#v, want %v of %s", err, test.kind, test.sample.query.Name)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("message lacks %q:\n%v", want, err)
				}
			}
			if e != nil && !strings.Contains(e.Hint(), test.hint) {
				t.Errorf("hint %q, want %q in it", e.Hint(), test.hint)
			}
		})
	}
}

// An unknown standard error is left out, not refused: one example has none.
func TestUnknownError(t *testing.T) {
	t.Parallel()
	s := changed(pairs(4), func(i int, row []any) {
		if row[2] = nil; i == 1 {
			row[2] = math.NaN()
		}
	})
	f := made(t, s)
	for _, b := range f.Frames[0].Panels[0].Bars {
		if !math.IsNaN(b.Error) {
			t.Errorf("error %g, want NaN for unknown", b.Error)
		}
	}
	if d := read(t, svg(t, f, figure.Options{})); strings.Contains(d.all, "standarderror") {
		t.Error("a note explains error bars that are not there")
	}
}

func TestCaption(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sample sample
		want   []string
	}{
		"heatmap": {grid{heads: 4, stop: 3, facets: quadrants, frames: baselines}.sample(), []string{
			"What head 10.7 reads at IO: ", "Colour shows the attention score (pre-softmax), red above and blue below zero (n = 50), on one scale from −", " for all panels.",
			"Panels: query ∥ W_U[IO], key ∥ MLP0; ", "From top to bottom: IO minus S1; "}},
		"histogram": {substitutions(1200, nil), []string{"Histograms of attention score END→IO (pre-softmax) in bins of ", "7 series in order of their means: W_U[IO] 2.",
			" and W_U[random] −", "(n = 1200 each)", "whiskers"}},
		"histograms": {substitutions(20, []string{"a", "b"}), []string{"7 series in order of their means (n = 20 each)", "Panels: a; b."}},
		"bar":        {pairs(8), []string{"Bars show share of the mean score (%); error bars are one standard error (n = 1200).", "Pair: expected, half expected and not expected."}},
		"matrix":     {pairMap(4, 3, nil, nil), []string{"rows: query component, columns: key component, with lines between groups;"}},
		"line":       {curves([]string{"a", "b"}, 4), []string{"Lines show attention score END→IO (pre-softmax) over layers added; bands are one standard error.", "Part of the query: a and b."}},
	} {
		got := made(t, test.sample).Caption()
		for _, want := range append(test.want, "Made by ducklens: query "+test.sample.query.Name+", run 1, convention exact.") {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", name, want, got)
			}
		}
		for _, bad := range []string{"..", "SELECT", "  ", ";."} {
			if strings.Contains(got, bad) {
				t.Errorf("%s: %q in\n%s", name, bad, got)
			}
		}
	}
	if got := (&figure.Figure{}).Caption(); got != "" {
		t.Errorf("an empty figure has the caption %q", got)
	}
}

// A figure's SQL and facts are in the file of every format.
func TestProvenance(t *testing.T) {
	t.Parallel()
	s := pairs(3)
	s.query.SQL = "SELECT pair FROM pair_mean"
	f, err := figure.New(s.query, s.result, figure.Fact{Name: "database SHA-256", Value: "0123abcd", Quiet: true}, figure.Fact{Name: "run", Value: "7"})
	if err != nil {
		t.Fatal(err)
	}
	var svg, png, pdf bytes.Buffer
	for _, err := range []error{f.WriteSVG(&svg, figure.Options{}), f.WritePNG(&png, figure.Options{DPI: 50}), f.WritePDF(&pdf, figure.Options{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for format, file := range map[string][]byte{"SVG": svg.Bytes(), "PNG": png.Bytes(), "PDF": pdf.Bytes()} {
		for _, want := range []string{"SELECT pair FROM pair_mean", "database SHA-256", "0123abcd"} {
			if !bytes.Contains(file, []byte(want)) {
				t.Errorf("%s: no %q in the file", format, want)
			}
		}
	}
	if strings.Contains(read(t, svg.Bytes()).all, "0123abcd") {
		t.Error("a quiet fact is printed")
	}
}

// The hash of the database belongs to the figure: another is another file.
func TestFactsChangeBytes(t *testing.T) {
	t.Parallel()
	s := pairs(3)
	draw := func(hash string) string {
		f, err := figure.New(s.query, s.result, figure.Fact{Name: "database", Value: hash, Quiet: true})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := f.WritePDF(&b, figure.Options{}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if draw("1") == draw("2") {
		t.Error("the same file for another database")
	}
}
