package figure_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
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
