package figure_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

func made(t testing.TB, s sample) *figure.Figure {
	t.Helper()
	f, err := s.figure()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestHistogramModel(t *testing.T) {
	t.Parallel()
	const prompts = 1200
	f := made(t, substitutions(prompts, []string{"score", "score at IO minus score at S1"}))
	if got, want := strings.Join(f.Legend.Names, "|"), "W_U[IO]|9.9 output|W_U[S]|unpatched|9.9 output ⊥ W_U[IO]|W_U[random name]|W_U[random]"; got != want {
		t.Errorf("series %s, want them by falling mean: %s", got, want)
	}
	p := f.Frames[0].Panels
	if len(p) != 2 || len(p[0].Distributions) != len(vectors) {
		t.Fatalf("%d panels of %d series, want 2 of %d", len(p), len(p[0].Distributions), len(vectors))
	}
	last := math.Inf(1)
	for i, d := range p[0].Distributions {
		sum := 0
		for _, n := range d.Counts {
			sum += n
		}
		if sum != prompts || len(d.Values) != prompts || len(d.Counts) != f.Bins.N || d.Series != i {
			t.Errorf("series %d: %d values in bins of %d, series %d", i, sum, len(d.Values), d.Series)
		}
		if d.Mean > last+0.2 { // sorted by the mean over both panels
			t.Errorf("series %d has mean %g, above that before it, %g", i, d.Mean, last)
		}
		last = d.Mean
		if b := d.Box; !(b.Low <= b.Q1 && b.Q1 < b.Median && b.Median < b.Q3 && b.Q3 <= b.High) {
			t.Errorf("series %d: box %+v is not in order", i, b)
		}
	}
	if p[0].X.Numeric() != true || p[0].X.Low != f.Bins.Low || p[0].X.High != f.Bins.Edge(f.Bins.N) {
		t.Errorf("x axis %+v, want that of the bins %+v", p[0].X, f.Bins)
	}
}

// The numbers below were worked out by hand.
func TestHistogramStatistics(t *testing.T) {
	t.Parallel()
	s := sample{query: queries.Query{Name: "h", Chart: queries.Chart{Mark: queries.Histogram, X: "x", Bins: 10}},
		result: &queries.Result{Columns: []queries.Column{column("x", queries.Float)}}}
	for _, x := range []float64{1, 2, 3, 4, 5, 6, 7, 8, 30} {
		s.result.Rows = append(s.result.Rows, []any{x})
	}
	f := made(t, s)
	if want := (figure.Bins{Low: 0, Width: 2, N: 15}); f.Bins != want {
		t.Errorf("bins %+v, want %+v", f.Bins, want)
	}
	d := f.Frames[0].Panels[0].Distributions[0]
	if want := []int{1, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}; !slices.Equal(d.Counts, want) {
		t.Errorf("counts %v, want %v: 30 lies on the upper edge of the last bin", d.Counts, want)
	}
	b := d.Box
	if b.Low != 1 || b.Q1 != 3 || b.Median != 5 || b.Q3 != 7 || b.High != 8 || !slices.Equal(b.Outliers, []float64{30}) {
		t.Errorf("box %+v, want 1 3 5 7 8 and 30 outside", b)
	}
	if math.Abs(d.Mean-66.0/9) > 1e-12 || math.Abs(d.Error-math.Sqrt(620.0/8/9)) > 1e-12 {
		t.Errorf("mean %g ± %g, want %g ± %g", d.Mean, d.Error, 66.0/9, math.Sqrt(620.0/8/9))
	}
	if f.Legend.Names != nil {
		t.Errorf("legend %v without a series column", f.Legend)
	}
}

// Bins cover the values whatever these are, at most a few times as many as asked for.
func TestBins(t *testing.T) {
	t.Parallel()
	for _, values := range [][]float64{
		{0}, {7, 7, 7}, {-1e-300, 1e-300}, {1e6, 1e6 + 1e-4}, {-3, 12}, {0, 1}, {1e149, -1e149}, {0.1, 0.2, 0.3}, {-0.5, 0.5}, {5e-324},
	} {
		for _, n := range []int{0, 1, 7, 1000} {
			s := sample{query: queries.Query{Name: "h", Chart: queries.Chart{Mark: queries.Histogram, X: "x", Bins: n}},
				result: &queries.Result{Columns: []queries.Column{column("x", queries.Float)}}}
			for _, x := range values {
				s.result.Rows = append(s.result.Rows, []any{x})
			}
			b := made(t, s).Bins
			slack := 1e-6 * b.Width
			if !(b.Width > 0) || b.N < 1 || b.N > 2*max(n, 60)+2 || b.Low > slices.Min(values)+slack || b.Edge(b.N) < slices.Max(values)-slack {
				t.Errorf("values %v, %d bins wanted: %+v up to %g", values, n, b, b.Edge(b.N))
			}
		}
	}
}

func TestBarModel(t *testing.T) {
	t.Parallel()
	f := made(t, pairs(40))
	p := f.Frames[0].Panels[0]
	if len(p.Bars) != 40 || len(p.X.Names) != 40 || p.X.Names[0] != "Q = 9.9, K = MLP0, q ∥ W_U[IO], k ∥ MLP0" {
		t.Fatalf("%d bars named %q", len(p.Bars), p.X.Names)
	}
	if got := strings.Join(f.Legend.Names, "|"); got != "expected|half expected|not expected" {
		t.Errorf("categories %s, want them in the order of the rows", got)
	}
	if p.Y.Low >= 0 || p.Y.High < p.Bars[0].Value+p.Bars[0].Error || p.Y.Title != "share of the mean score (%)" {
		t.Errorf("value axis %+v does not hold the bars with their errors", p.Y)
	}
	if b := p.Bars[3]; b.Place != 3 || b.Count != 1200 || b.Error <= 0 {
		t.Errorf("bar %+v", b)
	}
}

func TestMatrixModel(t *testing.T) {
	t.Parallel()
	f := made(t, with(whole(pairMap(12, 10, quadrants, nil)), func(c *queries.Chart) { c.Scale = queries.ScaleFigure }))
	p := f.Frames[0].Panels[0]
	if n := 2 + 10*14 + 1; len(p.Cells) != n*n {
		t.Errorf("%d cells, want %d²", len(p.Cells), n)
	}
	if len(f.Frames[0].Panels) != 4 || f.Scale.Limit < 1.4 {
		t.Errorf("%d panels, scale to %g; want 4, 1.4 or more", len(f.Frames[0].Panels), f.Scale.Limit)
	}
	if g := p.Y.Groups; len(g) != 12 || g[0] != (figure.Group{Name: "other", First: 0, N: 2}) ||
		g[1] != (figure.Group{Name: "0", First: 2, N: 14}) || g[11] != (figure.Group{Name: "other", First: 142, N: 1}) {
		t.Errorf("groups of rows %+v", g)
	}
	if g := p.X.Groups; len(g) != 12 || g[11].Name != "other" || g[11].First+g[11].N != len(p.X.Names) {
		t.Errorf("groups of columns %+v of %d", g, len(p.X.Names))
	}
}

func TestLineModel(t *testing.T) {
	t.Parallel()
	s := curves([]string{"W_U[IO]", "9.9"}, 11)
	slices.Reverse(s.result.Rows)
	f := made(t, s)
	p := f.Frames[0].Panels[0]
	if len(p.Lines) != 2 || f.Legend.Names[0] != "9.9" || p.X.Low != 0 || p.X.High != 10 {
		t.Fatalf("lines %d, legend %v, x %+v", len(p.Lines), f.Legend.Names, p.X)
	}
	for _, l := range p.Lines {
		for i, point := range l.Points {
			if point.X != float64(i) || point.Y-point.Error < p.Y.Low || point.Y+point.Error > p.Y.High {
				t.Errorf("point %d is %+v, axis %+v", i, point, p.Y)
			}
		}
	}
	s.query.Chart.XTick = "layer"
	if names := made(t, s).Frames[0].Panels[0].X.Names; strings.Join(names, "") != "012345678910" {
		t.Errorf("names %v, want the layers", names)
	}
}
