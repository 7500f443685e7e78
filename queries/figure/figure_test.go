package figure_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

func TestNewModel(t *testing.T) {
	t.Parallel()
	g := grid{heads: 4, stop: 3, facets: quadrants, frames: baselines}
	f := mustNew(t, g)
	if len(f.Frames) != 3 || len(f.Frames[0].Panels) != 4 {
		t.Fatalf("%d frames of %d panels, want 3 of 4", len(f.Frames), len(f.Frames[0].Panels))
	}
	for i, frame := range f.Frames {
		if frame.Name != baselines[i] {
			t.Errorf("frame %d is %q, want %q: the order of the rows", i, frame.Name, baselines[i])
		}
	}
	p := f.Frames[0].Panels[0]
	if got, want := strings.Join(p.X.Names, " "), "H0 H1 H2 H3 MLP b_O"; got != want {
		t.Errorf("columns %q, want %q", got, want)
	}
	if got, want := strings.Join(p.Y.Names, " "), "misc 0 1 2"; got != want {
		t.Errorf("rows %q, want %q", got, want)
	}
	largest := 0.0
	for _, row := range g.result().Rows {
		largest = max(largest, math.Abs(row[7].(float64)))
	}
	if f.Scale.Limit != largest {
		t.Errorf("limit %g, want %g, the largest size in any frame", f.Scale.Limit, largest)
	}
	if want := "What head 10.7 reads"; !strings.HasPrefix(f.Title, want) {
		t.Errorf("title %q, want it to begin with %q", f.Title, want)
	}
	if c := p.Cells[0]; c.Label != "W_E" || c.Row != 0 || c.Column != 0 || c.Count != 50 || math.IsNaN(c.Error) {
		t.Errorf("first cell %+v", c)
	}
}

// A component that the result leaves out leaves its place empty, with the others where they were.
func TestGapsStay(t *testing.T) {
	t.Parallel()
	g := grid{heads: 4, stop: 3}
	r := g.result()
	kept := r.Rows[:0]
	for _, row := range r.Rows {
		if row[3] != int64(2) { // column H2
			kept = append(kept, row)
		}
	}
	r.Rows = kept
	f, err := figure.New(g.query(), r)
	if err != nil {
		t.Fatal(err)
	}
	p := f.Frames[0].Panels[0]
	if got, want := strings.Join(p.X.Names, "|"), "H0|H1||H3|MLP|b_O"; got != want {
		t.Errorf("columns %q, want %q", got, want)
	}
	for _, c := range p.Cells {
		if c.Column == 2 {
			t.Errorf("cell %+v in a column without rows", c)
		}
	}
}

func TestOrderSortsCategories(t *testing.T) {
	t.Parallel()
	g := grid{heads: 4, stop: 1, facets: []string{"b", "c", "a"}}
	q := g.query()
	q.Chart.Order = "facet"
	f, err := figure.New(q, g.result())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range f.Frames[0].Panels {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, ""); got != "abc" {
		t.Errorf("facets in order %s, want abc", got)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	null := func(column int) func(*queries.Query, *queries.Result) {
		return func(_ *queries.Query, r *queries.Result) { r.Rows[3][column] = nil }
	}
	tests := []struct {
		name   string
		change func(*queries.Query, *queries.Result)
		kind   error
		want   []string // in the message
		hint   string   // in the advice
	}{
		{"no rows", func(_ *queries.Query, r *queries.Result) { r.Rows = nil },
			figure.ErrEmpty, []string{"no rows"}, "parameters"},
		{"missing column", func(q *queries.Query, _ *queries.Result) { q.Chart.Fill = "score_diff" },
			figure.ErrColumn, []string{`"score_diff" for fill`, "grid_row, grid_column"}, ""},
		{"missing tick column", func(q *queries.Query, _ *queries.Result) { q.Chart.XTick = "nix" },
			figure.ErrColumn, []string{`"nix" for x_tick`}, ""},
		{"header without y", func(q *queries.Query, _ *queries.Result) { q.Chart.Y = "" },
			figure.ErrColumn, []string{"no column for y"}, "-- y: COLUMN"},
		{"text to colour", func(q *queries.Query, _ *queries.Result) { q.Chart.Fill = "component" },
			figure.ErrColumn, []string{"component holds text, want numbers"}, ""},
		{"NULL value", null(7), figure.ErrValue, []string{"row 4", "component=0.1", "score=NULL"}, "baseline"},
		{"NaN value", func(_ *queries.Query, r *queries.Result) { r.Rows[3][7] = math.NaN() },
			figure.ErrValue, []string{"row 4", "score=NaN"}, ""},
		{"infinite value", func(_ *queries.Query, r *queries.Result) { r.Rows[3][7] = math.Inf(-1) },
			figure.ErrValue, []string{"row 4", "score=-Inf"}, ""},
		{"NULL column", null(3), figure.ErrValue, []string{"NULL in column grid_column", "row 4"}, ""},
		{"NULL label", null(6), figure.ErrValue, []string{"NULL in column component", "row 4"}, ""},
		{"NULL facet", null(1), figure.ErrValue, []string{"NULL in column facet", "row 4"}, ""},
		{"many NULLs", func(_ *queries.Query, r *queries.Result) {
			for _, row := range r.Rows {
				row[7] = nil
			}
		}, figure.ErrValue, []string{"row 1", "row 5", "and 37 more"}, ""},
		{"two rows for one cell", func(_ *queries.Query, r *queries.Result) { r.Rows = append(r.Rows, r.Rows[3]) },
			figure.ErrDuplicate, []string{"2 rows for one cell", "row 4", "row 43"}, "aggregate"},
		{"facets not told apart", func(q *queries.Query, _ *queries.Result) { q.Chart.Facet = "" },
			figure.ErrDuplicate, []string{"2 rows for one cell", "facet=query ∥", "facet=query"}, "facet"},
		{"two names for a column", func(_ *queries.Query, r *queries.Result) { r.Rows[3][5] = "W_E" },
			figure.ErrAxis, []string{`both "H1" and "W_E"`, "row 2", "row 4"}, ""},
		{"a stray place", func(_ *queries.Query, r *queries.Result) { r.Rows[3][2] = int64(1e15) },
			figure.ErrAxis, []string{"grid_row spans", "at most 4096"}, ""},
		{"title that varies", func(q *queries.Query, _ *queries.Result) { q.Title = "component {component}" },
			figure.ErrTitle, []string{"component", "same in every row"}, ""},
		{"not a figure", func(q *queries.Query, _ *queries.Result) { q.Chart.Mark = queries.Scalar },
			figure.ErrMark, []string{"chart scalar is not drawn, want heatmap, matrix"}, "query"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := grid{heads: 4, stop: 3, facets: quadrants[:2]}
			q, r := g.query(), g.result()
			rows := make([][]any, len(r.Rows))
			for i, row := range r.Rows {
				rows[i] = append([]any(nil), row...)
			}
			r.Rows = rows
			test.change(&q, r)
			_, err := figure.New(q, r)
			if !errors.Is(err, test.kind) {
				t.Fatalf("error %v, want %v", err, test.kind)
			}
			var e *figure.Error
			if !errors.As(err, &e) || e.Query != "key_components" {
				t.Fatalf("error %#v, want an Error with the query's name", err)
			}
			for _, want := range append(test.want, "key_components") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("message lacks %q:\n%v", want, err)
				}
			}
			if !strings.Contains(e.Hint(), test.hint) {
				t.Errorf("hint %q, want %q in it", e.Hint(), test.hint)
			}
		})
	}
}

func TestOptionErrors(t *testing.T) {
	t.Parallel()
	f := mustNew(t, grid{heads: 4, stop: 3})
	for _, o := range []figure.Options{{Width: -1}, {Width: 1.28}, {Width: 61}, {Width: math.NaN()}, {DPI: 35}, {DPI: 2401}, {DPI: -1}, {Width: 60, DPI: 2400}} {
		var b bytes.Buffer
		if err := f.WritePNG(&b, o); !errors.Is(err, figure.ErrOptions) {
			t.Errorf("%+v: error %v, want %v", o, err, figure.ErrOptions)
		}
		if b.Len() > 0 {
			t.Errorf("%+v: %d bytes written with an error", o, b.Len())
		}
	}
	if err := new(figure.Figure).WriteSVG(new(bytes.Buffer), figure.Options{}); !errors.Is(err, figure.ErrEmpty) {
		t.Errorf("figure without panels: error %v, want %v", err, figure.ErrEmpty)
	}
}

// full is a writer on a full disk.
type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteErrors(t *testing.T) {
	t.Parallel()
	f := mustNew(t, grid{heads: 4, stop: 3})
	if err := f.WriteSVG(full{}, figure.Options{}); !errors.Is(err, errFull) {
		t.Errorf("SVG: error %v, want %v", err, errFull)
	}
	if err := f.WritePNG(full{}, figure.Options{DPI: 50}); !errors.Is(err, errFull) {
		t.Errorf("PNG: error %v, want %v", err, errFull)
	}
	if err := f.WritePDF(full{}, figure.Options{}); !errors.Is(err, errFull) {
		t.Errorf("PDF: error %v, want %v", err, errFull)
	}
}
