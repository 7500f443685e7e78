package figure_test

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// pointsOf are points with labels.
func pointsOf(xy ...[2]float64) sample {
	s := cloud(0)
	s.query.Chart.Series, s.query.Chart.LegendTitle = "", ""
	for i, p := range xy {
		s.result.Rows = append(s.result.Rows, []any{"t", p[0], p[1], fmt.Sprint("p", i)})
	}
	return s
}

func TestScatterFit(t *testing.T) {
	t.Parallel()
	// By hand: means 1.5 and 2.5; sum of products 4, of squares 5 and 5: slope 0.8, intercept 1.3, r = 0.8.
	four := [][2]float64{{0, 1}, {1, 3}, {2, 2}, {3, 4}}
	f := made(t, pointsOf(slices.Repeat(four, 2)...))
	fit := f.Frames[0].Panels[0].Clouds[0].Fit
	if fit == nil || math.Abs(fit.Slope-0.8) > 1e-12 || math.Abs(fit.Intercept-1.3) > 1e-12 || math.Abs(fit.R-0.8) > 1e-12 || fit.N != 8 {
		t.Errorf("fit %+v, want slope 0.8, intercept 1.3, r 0.8 of 8", fit)
	}
	d := read(t, svg(t, f, figure.Options{}))
	if !strings.Contains(d.all, "r=0.80,8points") || !strings.Contains(f.Caption(), "r = 0.80") {
		t.Errorf("r is not in the figure or its caption: %q", f.Caption())
	}
	if fit := made(t, pointsOf(four...)).Frames[0].Panels[0].Clouds[0].Fit; fit != nil {
		t.Errorf("fit %+v to four points, want none", fit)
	}
	if fit := made(t, pointsOf(slices.Repeat([][2]float64{{1, 1}, {1, 3}}, 3)...)).Frames[0].Panels[0].Clouds[0].Fit; fit != nil {
		t.Errorf("fit %+v to points over one x, want none", fit)
	}
	if fit := made(t, pointsOf(slices.Repeat([][2]float64{{0, 2}, {1, 2}}, 3)...)).Frames[0].Panels[0].Clouds[0].Fit; fit == nil || fit.R != 0 || fit.Slope != 0 {
		t.Errorf("fit %+v to points of one y, want a level line", fit)
	}
}

// TestHaveRoom: of two names that would cover each other, that of the point that stands out more stays.
func TestHaveRoom(t *testing.T) {
	t.Parallel()
	p := made(t, pointsOf([][2]float64{{0, 0}, {10, 10}, {10.2, 10.1}, {10.3, 0}}...)).Frames[0].Panels[0]
	for _, c := range []struct {
		size float64
		want []bool
	}{{1, []bool{true, true, true, true}}, {10, []bool{true, false, true, true}}} {
		if got := p.HaveRoom(400, 400, c.size); !slices.Equal(got[0], c.want) {
			t.Errorf("letters of %v px: %v, want %v", c.size, got[0], c.want)
		}
	}
}

// Points that stand out have their names: from the line where there is one, else from the middle.
func TestScatterNames(t *testing.T) {
	t.Parallel()
	var xy [][2]float64
	for i := range 40 {
		xy = append(xy, [2]float64{float64(i), float64(i) + 0.1*math.Sin(float64(i))})
	}
	xy[7][1] += 9
	s := with(pointsOf(xy...), func(c *queries.Chart) { c.Labels = 1 })
	for _, fit := range []string{queries.FitLine, ""} {
		f := made(t, with(s, func(c *queries.Chart) { c.Fit = fit }))
		var named []string
		for _, d := range f.Frames[0].Panels[0].Clouds[0].Dots {
			if d.Named {
				named = append(named, d.Label)
			}
		}
		want := "p7"
		if fit == "" {
			want = "p39" // the farthest from the middle
		}
		if len(named) != 1 || named[0] != want && fit != "" {
			t.Errorf("fit %q: named %q, want %s", fit, named, want)
		}
		if d := read(t, svg(t, f, figure.Options{})); !strings.Contains(d.all, named[0]) || strings.Contains(d.all, "p12") {
			t.Errorf("fit %q: %q is not printed, or another is", fit, named)
		}
	}
}

// Error bars reach one standard error to each side, within the axes; a point whose error is unknown has none,
// and a negative one is refused. The diagonal is drawn only if the header asks for it and a part of it lies
// in the panel.
func TestScatterErrorsAndDiagonal(t *testing.T) {
	t.Parallel()
	s := ablations(14)
	f := made(t, s)
	p := &f.Frames[0].Panels[0]
	for _, c := range p.Clouds {
		for _, d := range c.Dots {
			if d.X-d.XError < p.X.Low || d.X+d.XError > p.X.High || d.Y-d.YError < p.Y.Low || d.Y+d.YError > p.Y.High {
				t.Errorf("%s reaches past the axes: %+v in %v, %v", d.Label, d, p.X, p.Y)
			}
			if d.Count != 32 || !(d.XError > 0) || math.IsNaN(d.YError) != (d.Label == "0.0") {
				t.Errorf("%+v", d)
			}
		}
	}
	const bars, line = "errorbars:onestandarderror", "dottedline:y=x"
	for _, c := range []struct {
		name       string
		change     func(*queries.Chart)
		bars, line bool
		caption    string
	}{
		{"all", func(*queries.Chart) {}, true, true,
			"error bars are one standard error (n = 32); on the dotted line both numbers are equal"},
		{"across", func(c *queries.Chart) { c.Error = "" }, true, true, "error bars are one standard error"},
		{"up", func(c *queries.Chart) { c.XError = "" }, true, true, "error bars are one standard error"},
		{"neither", func(c *queries.Chart) { c.XError, c.Error = "", "" }, false, true, "on the dotted line"},
		{"no diagonal", func(c *queries.Chart) { c.Diagonal = "" }, true, false, "(n = 32). Kind"},
		{"far from the diagonal", func(c *queries.Chart) { c.Y, c.Error = "n", "" }, true, false, "(n = 32). Kind"},
	} {
		f := made(t, with(s, c.change))
		d := read(t, svg(t, f, figure.Options{}))
		if strings.Contains(d.all, bars) != c.bars || strings.Contains(d.all, line) != c.line ||
			strings.Count(d.all, "y=x") > 1 != c.line {
			t.Errorf("%s: error bars or diagonal are not as asked for: %s", c.name, d.all)
		}
		if !strings.Contains(f.Caption(), c.caption) {
			t.Errorf("%s: caption %q, want %q in it", c.name, f.Caption(), c.caption)
		}
	}
	// By hand: a bar of 0.25 to each side of 1, across, is as long as half of the way from 0 to 1.
	two := pointsOf([2]float64{0, 0}, [2]float64{1, 1})
	two.result.Columns = append(two.result.Columns, column("se", queries.Float))
	two.result.Rows[0], two.result.Rows[1] = append(two.result.Rows[0], nil), append(two.result.Rows[1], 0.25)
	two.query.Chart.XError, two.query.Chart.Label = "se", ""
	numbers := func(pattern string) (list []float64) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(svg(t, made(t, two), figure.Options{})), -1) {
			for _, text := range m[1:] {
				x, err := strconv.ParseFloat(text, 64)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, x)
			}
		}
		return list
	}
	at := numbers(`</title><path d="M([\d.]+) `)
	bar := numbers(`d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" fill="none" stroke="#\w+" stroke-opacity`)
	if len(at) != 2 || len(bar) != 4 || math.Abs(bar[2]-bar[0]-0.5*(at[1]-at[0])) > 0.02 || bar[1] != bar[3] {
		t.Errorf("points at %v, bar %v: want one level bar, half as long as their distance", at, bar)
	}
	two.result.Rows[1][len(two.result.Rows[1])-1] = -0.25
	if _, err := two.figure(); !errors.Is(err, figure.ErrValue) || !strings.Contains(err.Error(), "negative standard error") {
		t.Errorf("negative error: %v", err)
	}
}

// What a header asks for in vain is found without rows.
func TestCheck(t *testing.T) {
	t.Parallel()
	columns := []queries.Column{column("score", queries.Float), column("name", queries.Text)}
	q := queries.Query{Name: "q", Title: "Head {head}", Chart: queries.Chart{Mark: queries.Scatter, X: "score", Y: "name", Label: "nix"}}
	err := figure.Check(q, columns)
	for _, want := range []string{"column name for y holds text, want numbers", `no column "nix" for label`, "{head}: no such column, parameter or fact"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if !errors.Is(err, figure.ErrColumn) || !errors.Is(err, figure.ErrTitle) {
		t.Errorf("error %v", err)
	}
	good := queries.Query{Name: "q", Title: "Of {model}: {name}", Params: []queries.Param{{Name: "run"}}, Chart: queries.Chart{Mark: queries.Histogram, X: "score", Series: "name"}}
	if err := figure.Check(good, columns); err != nil {
		t.Error(err)
	}
}

// Heads are written as figures write them, wherever a label is one.
func TestHeadLabels(t *testing.T) {
	t.Parallel()
	s := pairs(3)
	for i, row := range s.result.Rows {
		row[0], row[3] = fmt.Sprintf("L%dH7", i), "L9H9"
	}
	s.query.Title = "Head {head}"
	s.result.Facts = []queries.Fact{{Name: "head", Value: "L10H7"}}
	f := made(t, s)
	if f.Title != "Head 10.7" || f.Frames[0].Panels[0].X.Names[2] != "2.7" || f.Legend.Names[0] != "9.9" {
		t.Errorf("title %q, names %q, legend %q", f.Title, f.Frames[0].Panels[0].X.Names, f.Legend.Names)
	}
}

// TestScatterNamesAreClear: the nearest point to a name is its own, by far, also where points are close.
func TestScatterNamesAreClear(t *testing.T) {
	t.Parallel()
	var xy [][2]float64
	for i := range 120 { // a dense spiral, in which most names have no place of their own
		r, turn := float64(i), 2.4*float64(i)
		xy = append(xy, [2]float64{r * math.Cos(turn), r * math.Sin(turn)})
	}
	every := with(pointsOf(xy...), func(c *queries.Chart) { c.Labels = len(xy) })
	image := string(svg(t, made(t, every), figure.Options{}))
	centre := map[string][2]float64{}
	number := regexp.MustCompile(`[\d.]+`)
	for _, m := range regexp.MustCompile(`<title>(p\d+): [^<]*</title><path d="([^"]*)"`).FindAllStringSubmatch(image, -1) {
		low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{}
		for i, text := range number.FindAllString(m[2], -1) {
			v, _ := strconv.ParseFloat(text, 64)
			low[i%2], high[i%2] = min(low[i%2], v), max(high[i%2], v)
		}
		centre[m[1]] = [2]float64{(low[0] + high[0]) / 2, (low[1] + high[1]) / 2}
	}
	if len(centre) != len(xy) {
		t.Fatalf("%d points, want %d", len(centre), len(xy))
	}
	named := 0
	for _, b := range read(t, []byte(image)).texts {
		if _, ok := centre[b.text]; !ok {
			continue
		}
		named++
		away := func(p [2]float64) float64 {
			return math.Hypot(max(b.x0-p[0], p[0]-b.x1, 0), max(b.y0-p[1], p[1]-b.y1, 0))
		}
		for name, p := range centre {
			if own := away(centre[b.text]); name != b.text && away(p) < 1.5*own {
				t.Errorf("the name %s is %.1f from its point and %.1f from %s", b.text, own, away(p), name)
			}
		}
	}
	if named < 4 {
		t.Errorf("%d points have names, want some", named)
	}
}
