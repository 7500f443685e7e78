package figure_test

import (
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// styled returns the styles of a figure's categories by name.
func styled(t *testing.T, s sample) map[string]int {
	t.Helper()
	f := made(t, s)
	styles := map[string]int{}
	for i, name := range f.Legend.Names {
		styles[name] = f.Legend.Style(i)
	}
	return styles
}

// A category keeps its colour whatever the order of the rows and whichever others there are.
func TestColorsStay(t *testing.T) {
	t.Parallel()
	bars := func(colors []string, kinds ...string) sample {
		s := pairs(0)
		s.query.Chart.Colors = colors
		for i, kind := range kinds {
			s.result.Rows = append(s.result.Rows, []any{strings.Repeat("x", i+1), float64(i), 0.1, kind, int64(5)})
		}
		return s
	}
	colors := []string{"expected", "half expected", "not expected|other"}
	for _, test := range []struct {
		sample sample
		want   map[string]int
	}{
		{bars(colors, "not expected", "expected"), map[string]int{"not expected": 2, "expected": 0}},
		{bars(colors, "expected", "half expected", "other"), map[string]int{"expected": 0, "half expected": 1, "other": 2}},
		{bars(colors, "zebra", "ant", "expected"), map[string]int{"zebra": 4, "ant": 3, "expected": 0}},
		{bars(nil, "query", "key"), map[string]int{"query": 1, "key": 0}},
	} {
		got := styled(t, test.sample)
		for name, want := range test.want {
			if got[name] != want {
				t.Errorf("styles %v, want %v", got, test.want)
			}
		}
	}
	// Histograms sort their series by mean, but not their colours.
	low, high := substitutions(20, nil), substitutions(20, nil)
	for _, row := range high.result.Rows {
		row[2] = -row[2].(float64)
	}
	first, second := styled(t, low), styled(t, high)
	for name, style := range first {
		if second[name] != style {
			t.Errorf("%s has style %d, and %d when all values are turned around", name, style, second[name])
		}
	}
	if slices.Equal(made(t, low).Legend.Names, made(t, high).Legend.Names) {
		t.Error("the series are not sorted by their means")
	}
}

// A figure of shares says what 100 % is, that it is negative, and that it may be 0.
func TestWholeIsShown(t *testing.T) {
	t.Parallel()
	of := func(whole, se float64) sample {
		s := pairs(2)
		s.query.Chart.Y = "pct"
		s.result.Columns[1].Name = "pct"
		s.result.Columns = append(s.result.Columns, column("denominator", queries.Float), column("denominator_se", queries.Float),
			column("denominator_is", queries.Text))
		for i := range s.result.Rows {
			s.result.Rows[i] = append(s.result.Rows[i], whole, se, "mean score")
		}
		return s
	}
	const negative, doubt = "the whole is negative (−0.333), so that positive shares are negative contributions", "within two standard errors of 0"
	for _, test := range []struct {
		sample   sample
		title    string
		yes, not []string
	}{
		{of(2.5, 0.1), "share of the mean score (%) (2.5)", nil, []string{"negative", doubt}},
		{of(-0.333, 0.1), "share of the mean score (%) (−0.333)", []string{negative}, []string{doubt}},
		{of(0.52, 0.97), "share of the mean score (%) (0.52)", []string{"the mean score, 0.52 ± 0.97, is " + doubt}, []string{"negative"}},
	} {
		f := made(t, test.sample)
		if got := f.Frames[0].Panels[0].Y.Title; got != test.title {
			t.Errorf("axis %q, want %q", got, test.title)
		}
		for _, text := range []string{strings.Join(f.Lead(), "; "), f.Caption()} {
			for _, want := range test.yes {
				if !strings.Contains(strings.ToLower(text), want) {
					t.Errorf("no %q in %q", want, text)
				}
			}
			for _, bad := range test.not {
				if strings.Contains(text, bad) {
					t.Errorf("%q in %q", bad, text)
				}
			}
		}
		if !strings.Contains(f.Caption(), test.title) {
			t.Errorf("no %q in the caption %q", test.title, f.Caption())
		}
	}
}

// The caption explains the marks that the footer of a bare figure would explain.
func TestPrintedCaption(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sample sample
		width  float64
		want   []string
	}{
		{grid{heads: 4, stop: 3}.sample(), 0, []string{"Numbers are in cells above 15 % of the end of the colour scale."}},
		{grid{heads: 32, stop: 32}.sample(), figure.ColumnWidth, []string{"Triangle in a cell's corner: below −"}},
		{pairMap(12, 8, nil, nil), figure.PageWidth, []string{"− in a cell: below −"}},
	} {
		f := made(t, test.sample)
		got, err := f.PrintedCaption(figure.Options{Width: test.width})
		for _, want := range test.want {
			if err != nil || !strings.Contains(got, want) || strings.Contains(f.Caption(), want) {
				t.Errorf("caption %q, %v, want %q in it", got, err, want)
			}
		}
	}
	bars := made(t, pairs(3))
	if got, err := bars.PrintedCaption(figure.Options{}); err != nil || got != bars.Caption() {
		t.Errorf("caption %q, %v, want %q", got, err, bars.Caption())
	}
}
