package figure_test

import (
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// table is a query of columns a (text), b (text) and v, and its answer.
func table(chart queries.Chart, rows ...[]any) sample {
	return sample{
		query: queries.Query{Title: "T", Chart: chart},
		result: &queries.Result{Columns: []queries.Column{column("a", queries.Text), column("b", queries.Text),
			column("v", queries.Float)}, Rows: rows},
	}
}

// What is hidden leaves the colours, lines and hatches of the others as they were, and so their order.
func TestHiddenKeepsStyles(t *testing.T) {
	t.Parallel()
	for name, chart := range map[string]queries.Chart{
		"histogram": {Mark: queries.Histogram, X: "v", Series: "a"},
		"bar":       {Mark: queries.Bar, X: "b", Y: "v", Category: "a"},
		"line":      {Mark: queries.Line, X: "b", Y: "v", Series: "a"},
		"scatter":   {Mark: queries.Scatter, X: "v", Y: "v", Series: "a"},
	} {
		s := table(chart, []any{"first", "1", 3.0}, []any{"second", "2", 2.0}, []any{"third", "3", 1.0})
		all := made(t, s).Legend
		s.query.Chart.Hide = []string{"second"}
		rest := made(t, s).Legend
		if got := strings.Join(rest.Names, " "); got != "first third" {
			t.Fatalf("%s: series %s", name, got)
		}
		if rest.Style(0) != all.Style(0) || rest.Style(1) != all.Style(2) {
			t.Errorf("%s: styles %v, want those of before: %v", name, rest.Styles, all.Styles)
		}
	}
}

// Where the header gives no titles, axes of names and legends have those of their columns.
func TestTitlesOfColumns(t *testing.T) {
	t.Parallel()
	rows := [][]any{{"q1", "k1", 1.0}, {"q2", "k2", -1.0}}
	for _, c := range []struct {
		chart     queries.Chart
		x, legend string
	}{
		{queries.Chart{Mark: queries.Matrix, X: "b", Y: "a", Fill: "v"}, "b", ""},
		{queries.Chart{Mark: queries.Heatmap, X: "b", Y: "a", Fill: "v"}, "b", ""},
		{queries.Chart{Mark: queries.Heatmap, X: "b", XTick: "a", Y: "a", Fill: "v"}, "", ""},
		{queries.Chart{Mark: queries.Heatmap, X: "b", XTitle: "key", Y: "a", Fill: "v"}, "key", ""},
		{queries.Chart{Mark: queries.Bar, X: "b", Y: "v"}, "b", ""},
		{queries.Chart{Mark: queries.Histogram, X: "v", Series: "a"}, "v", "a"},
	} {
		f := made(t, table(c.chart, rows...))
		if got := f.Frames[0].Panels[0].X.Title; got != c.x || f.Legend.Title != c.legend {
			t.Errorf("%s: titles %q and %q, want %q and %q", c.chart.Mark, got, f.Legend.Title, c.x, c.legend)
		}
	}
	d := read(t, svg(t, made(t, table(queries.Chart{Mark: queries.Histogram, X: "v", Series: "a"}, rows...)), figure.Options{}))
	if !strings.Contains(d.all, "mean") {
		t.Error("the means of the legend have no heading")
	}
}
