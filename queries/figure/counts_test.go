package figure_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// counted draws cells of two frames of two panels with the numbers of examples given, of a run of five
// prompts.
func counted(t *testing.T, counts [2][2]int64) *figure.Figure {
	t.Helper()
	q := queries.Query{Name: "cells", Title: "Cells", Chart: queries.Chart{Mark: queries.Heatmap, X: "x", Y: "y",
		Fill: "value", Facet: "panel", Frame: "frame", Count: "n"}}
	r := &queries.Result{Facts: []queries.Fact{{Name: "prompts", Value: "5"}}}
	for _, name := range []string{"x", "y", "value", "n"} {
		r.Columns = append(r.Columns, queries.Column{Name: name, Type: queries.Integer})
	}
	for _, name := range []string{"panel", "frame"} {
		r.Columns = append(r.Columns, queries.Column{Name: name, Type: queries.Text})
	}
	for i, frame := range []string{"one", "two"} {
		for j, panel := range []string{"left", "right"} {
			r.Rows = append(r.Rows, []any{int64(0), int64(0), int64(1), counts[i][j], panel, frame})
		}
	}
	f, err := figure.New(q, r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// n is the n of the number: where not every prompt is behind a mean, the figure says how many are.
func TestCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		counts         [2][2]int64
		lead           []string
		frames, panels []string
	}{
		"all prompts":     {[2][2]int64{{5, 5}, {5, 5}}, nil, []string{"one", "two"}, []string{"left", "right"}},
		"fewer":           {[2][2]int64{{2, 2}, {2, 2}}, []string{"n = 2 of 5 prompts"}, []string{"one", "two"}, []string{"left", "right"}},
		"by frame":        {[2][2]int64{{2, 2}, {5, 5}}, nil, []string{"one (n = 2)", "two (n = 5)"}, []string{"left", "right"}},
		"by panel":        {[2][2]int64{{2, 5}, {2, 5}}, nil, []string{"one", "two"}, []string{"left (n = 2)", "right (n = 5)"}},
		"more than there": {[2][2]int64{{9, 9}, {9, 9}}, nil, []string{"one", "two"}, []string{"left", "right"}},
	} {
		f := counted(t, c.counts)
		if got := f.Lead(); !slices.Equal(got, c.lead) {
			t.Errorf("%s: lead %q, want %q", name, got, c.lead)
		}
		if got := f.FrameNames(); !slices.Equal(got, c.frames) {
			t.Errorf("%s: frames %q, want %q", name, got, c.frames)
		}
		if got := f.PanelNames(0); !slices.Equal(got, c.panels) {
			t.Errorf("%s: panels %q, want %q", name, got, c.panels)
		}
	}
}

// A place without a bar looks like a bar of 0: where panels have different bars, the figure says that it is
// none.
func TestMissingBars(t *testing.T) {
	t.Parallel()
	q := queries.Query{Name: "bars", Title: "Bars", Chart: queries.Chart{Mark: queries.Bar, X: "name", Y: "value", Facet: "panel"}}
	r := &queries.Result{
		Columns: []queries.Column{{Name: "name", Type: queries.Text}, {Name: "value", Type: queries.Float}, {Name: "panel", Type: queries.Text}},
		Rows:    [][]any{{"a", 1.0, "left"}, {"b", 2.0, "left"}, {"a", 1.0, "right"}},
	}
	const says = "o bar: not among those listed for that panel, which is not 0"
	for _, want := range []bool{true, false} {
		f, err := figure.New(q, r)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := f.WriteSVG(&b, figure.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "n"+says); got != want {
			t.Errorf("the figure says so: %v, want %v", got, want)
		}
		if got := strings.Contains(f.Caption(), "N"+says); got != want {
			t.Errorf("the caption says so: %v, want %v", got, want)
		}
		r.Rows = append(r.Rows, []any{"b", 1.0, "right"})
	}
}

// Shares of 0 are nothing to draw: the error says so, and blames no missing baseline.
func TestSharesOfNothing(t *testing.T) {
	t.Parallel()
	q := queries.Query{Name: "shares", Title: "Shares", Chart: queries.Chart{Mark: queries.Bar, X: "pair", Y: "pct"}}
	r := &queries.Result{
		Columns: []queries.Column{{Name: "pair", Type: queries.Text}, {Name: "pct", Type: queries.Float},
			{Name: "denominator", Type: queries.Float}, {Name: "denominator_is", Type: queries.Text}},
		Rows: [][]any{{"a", nil, 0.0, "mean score"}, {"b", nil, 0.0, "mean score"}},
	}
	_, err := figure.New(q, r)
	if want := "figure of shares: there are no shares of 0, which is the mean score"; !errors.Is(err, figure.ErrUndefined) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	r.Rows[0][2] = 1.0
	if _, err := figure.New(q, r); !errors.Is(err, figure.ErrValue) || !strings.Contains(err.Error(), "row 1") {
		t.Errorf("a missing share of 1: %v", err)
	}
}
