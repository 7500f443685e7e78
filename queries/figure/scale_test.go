package figure_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/figure/figuretest"
	"ducklens/queries/figure/plotly"
	"ducklens/queries/figure/vegalite"
)

// A bias that is larger than all else does not take the colours from the rest: it stands in its place with
// its number, and the legend says so.
func TestBiasApart(t *testing.T) {
	t.Parallel()
	for _, width := range []float64{0, 3.3, 6.75} {
		f := made(t, small.heatmap(5.31, nil, nil))
		if f.Scale.Limit > 2 {
			t.Fatalf("the scale ends at %g: b_K is on it", f.Scale.Limit)
		}
		d := read(t, svg(t, f, figure.Options{Width: width}))
		for _, want := range []string{"outsidethecolourscale:bK5.31", "5.31"} {
			if !strings.Contains(d.all, want) {
				t.Errorf("%g in: %q is not printed", width, want)
			}
		}
	}
	if f := made(t, small.heatmap(0.9, nil, nil)); strings.Contains(f.Caption(), "outside") {
		t.Error("a bias of the size of other components is set apart")
	}
	if f := made(t, small.heatmap(5.31, nil, nil)); !strings.Contains(f.Caption(), "outside the colour scale: b_K 5.31") {
		t.Errorf("caption %q", f.Caption())
	}
}

// On a scale that the reader fixes, a bias beyond its end is drawn as all else is.
func TestFixedScaleSetsNothingApart(t *testing.T) {
	t.Parallel()
	s := small.heatmap(5.31, nil, nil)
	s.query.Chart.ZMax = 0.1
	f := made(t, s)
	for _, c := range f.Frames[0].Panels[0].Cells {
		if c.Apart {
			t.Errorf("%s %g is set apart", c.Label, c.Value)
		}
	}
	if f.Scale.Largest != 5.31 {
		t.Errorf("the largest cell beyond the scale is %g, want 5.31", f.Scale.Largest)
	}
}

// The number of a bias that is set apart is in every format.
func TestBiasApartEverywhere(t *testing.T) {
	t.Parallel()
	f := made(t, small.heatmap(5.31, quadrants, baselines))
	for name, write := range map[string]func(*bytes.Buffer) error{
		"plotly": func(b *bytes.Buffer) error { return plotly.WriteJSON(b, f) },
		"html":   func(b *bytes.Buffer) error { return plotly.WriteHTML(b, f) },
		"vega":   func(b *bytes.Buffer) error { return vegalite.Write(b, f) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if text := b.String(); !strings.Contains(text, "utside the colour scale") || !strings.Contains(text, "5.31") {
			t.Errorf("%s does not say that b_K is outside the scale", name)
		}
	}
}

// beyondSample is a matrix of 35 x 35 small cells and some of those values, beyond its scale.
func beyondSample(values ...float64) sample {
	s := pairMap(6, 4, nil, nil)
	s.query.Chart.Scale = queries.ScaleQuantile
	return changed(s, func(i int, row []any) {
		row[8] = 0.001 * float64(i%3)
		if i < len(values) {
			row[8] = values[i]
		}
	})
}

// A cell beyond the colour scale is never mistaken for one at its end: it has its number, or a triangle where
// that has no room. If there are at most twelve, all are listed, in every format.
func TestBeyond(t *testing.T) {
	t.Parallel()
	few := []float64{0.64, -0.59, 1.74, 0.051}
	many := slices.Repeat([]float64{0.3}, 12)
	const triangle, list = "triangleinacell", "beyondthescale(row,column):"
	for _, test := range []struct {
		name           string
		values         []float64
		width          float64
		printed, not   []string
		triangle, list bool
	}{
		{"wide", few, 0, []string{".64", "−.6", ".051", "1.7"}, nil, false, true},
		// A single digit would make 2 of 1.74, but is close enough to 0.051.
		{"narrow", few, 2.6, nil, []string{"1.7", "−.6"}, true, true},
		{"twelve", many, 0, []string{".30"}, nil, false, true},
		{"thirteen", append(many, 0.4), 0, []string{".30", ".40"}, nil, false, false},
	} {
		f := made(t, beyondSample(test.values...))
		if f.Scale.Beyond != len(test.values) || f.FewBeyond() != test.list {
			t.Fatalf("%s: %d cells are beyond the scale, want %d", test.name, f.Scale.Beyond, len(test.values))
		}
		d := read(t, svg(t, f, figure.Options{Width: test.width}))
		texts := make([]string, len(d.texts))
		for i, b := range d.texts {
			texts[i] = b.text
		}
		for _, want := range test.printed {
			if !slices.Contains(texts, want) {
				t.Errorf("%s: no cell has %s in it: %q", test.name, want, texts)
			}
		}
		for _, bad := range test.not {
			if slices.Contains(texts, bad) {
				t.Errorf("%s: a cell has %s in it", test.name, bad)
			}
		}
		if strings.Contains(d.all, triangle) != test.triangle || strings.Contains(d.all, list) != test.list {
			t.Errorf("%s: triangles or the list are not as wanted: %s", test.name, d.all)
		}
	}
	f := made(t, beyondSample(few...))
	const want = "beyond the scale (row, column): (W_E, 0.0) 1.74, (W_E, W_E) 0.640, (W_E, W_pos) −0.590, (W_E, 0.1) 0.0510"
	if !strings.Contains(f.Caption(), want) {
		t.Errorf("caption %q, want %q in it", f.Caption(), want)
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"plotly": func(b *bytes.Buffer) error { return plotly.WriteJSON(b, f) },
		"vega":   func(b *bytes.Buffer) error { return vegalite.Write(b, f) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"eyond the scale (row, column)", `".64"`, `"−.59"`, `"1.7"`, `".051"`} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s lacks %s", name, want)
			}
		}
	}
}

// limits are the ends of the scales of all panels.
func limits(f *figure.Figure) []float64 {
	var list []float64
	for _, frame := range f.Frames {
		for _, p := range frame.Panels {
			list = append(list, p.Limit)
		}
	}
	return list
}

// most is the largest value of a panel.
func most(p figure.Panel) float64 {
	x := 0.0
	for _, c := range p.Cells {
		x = max(x, math.Abs(c.Value))
	}
	return x
}

// A scale fits what the header says, and the figure says which.
func TestScales(t *testing.T) {
	t.Parallel()
	s := changed(small.heatmap(0, quadrants, baselines), func(_ int, row []any) {
		row[7] = row[7].(float64) * float64(1+slices.Index(baselines, row[0].(string)))
	})
	for _, test := range []struct {
		rule, all string // what stands in the drawing
		zmax      float64
		different int // limits
	}{
		{queries.ScaleFigure, "", 0, 1},
		{queries.ScaleFrame, "eachframehasitsowncolourscale", 0, 3},
		{queries.ScalePanel, "eachpanelhasitsowncolourscale", 0, 12},
		{queries.ScaleQuantile, "thescaleholds98%ofthecells", 0, 1},
		{"", "thescaleisfixed;", 0.25, 1},
	} {
		f := made(t, with(s, func(c *queries.Chart) { c.Scale, c.ZMax = test.rule, test.zmax }))
		list := limits(f)
		different := slices.Compact(slices.Sorted(slices.Values(list)))
		if len(different) != test.different {
			t.Errorf("%s: %d limits, want %d: %v", test.rule, len(different), test.different, list)
		}
		for i, frame := range f.Frames {
			for j, p := range frame.Panels {
				if test.rule == queries.ScalePanel && p.Limit != most(p) {
					t.Errorf("panel %d of frame %d: scale to %g, want %g", j, i, p.Limit, most(p))
				}
				if test.zmax > 0 && p.Limit != test.zmax {
					t.Errorf("scale to %g, want %g", p.Limit, test.zmax)
				}
			}
		}
		for _, width := range []float64{0, 6.75} {
			d := read(t, svg(t, f, figure.Options{Width: width}))
			check(t, d)
			if !strings.Contains(d.all, test.all) {
				t.Errorf("%s: %q is not printed", test.rule, test.all)
			}
			if own := strings.Contains(d.all, "±"); own != (test.different > 1) {
				t.Errorf("%s: ends of scales are printed: %v", test.rule, own)
			}
		}
	}
}

// A pair matrix with heavy tails is not a white sheet: a good part of the strongest panel has a colour.
func TestMatrixShowsStructure(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]sample{"12 x 12": small.pairs(quadrants), "30 x 9": smollm.pairs(quadrants), "12 x 12, whole": whole(small.pairs(nil))} {
		f := made(t, s)
		p, seen := &f.Frames[0].Panels[0], 0
		for _, c := range p.Cells {
			if math.Abs(p.Shade(c)) > 0.1 {
				seen++
			}
		}
		part := float64(seen) / float64(len(p.Cells))
		least := 0.25
		if strings.Contains(name, "whole") {
			least = 0.08
		}
		if part < least {
			t.Errorf("%s: %.0f %% of the cells have a colour, want %.0f %% or more", name, 100*part, 100*least)
		}
	}
}

// What a reader does not want to see is left out, and the figure says so.
func TestHide(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sample sample
		hide   string
	}{
		"heatmap":   {small.heatmap(5.31, nil, nil), "b_K"},
		"matrix":    {pairMap(4, 3, nil, nil), "b_K"},
		"histogram": {substitutions(50, nil), "W_U[random]"},
		"bar":       {pairs(12), "half expected"},
		"line":      {curves([]string{"W_U[IO]", "9.9"}, 5), "9.9"},
		"scatter":   {sample{}, "baBa"},
	} {
		if name == "scatter" {
			test.sample = cloud(30)
		}
		f := made(t, with(test.sample, func(c *queries.Chart) { c.Hide = []string{test.hide, "no such thing"} }))
		if !slices.Equal(f.Hidden.Names, []string{test.hide}) {
			t.Errorf("%s: hidden %q, want %q", name, f.Hidden.Names, test.hide)
		}
		var b bytes.Buffer
		if err := f.WriteSVG(&b, figure.Options{}); err != nil {
			t.Fatal(err)
		}
		if lead := strings.Join(f.Lead(), "\n"); !strings.Contains(lead, "not shown: "+test.hide) {
			t.Errorf("%s: below the title %q", name, lead)
		}
		if strings.Contains(b.String(), ">"+test.hide+"<") || strings.Contains(b.String(), "<title>"+test.hide+":") {
			t.Errorf("%s: %s is drawn", name, test.hide)
		}
	}
	s := with(curves([]string{"a"}, 5), func(c *queries.Chart) { c.Hide = []string{"a"} })
	if _, err := s.figure(); err == nil || !strings.Contains(err.Error(), "every row is hidden") {
		t.Errorf("error %v", err)
	}
}

// A bare figure has neither title, subtitle nor anything at its foot, but what its colours mean; the metadata
// keep it all.
func TestBare(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]sample{
		"heatmap": small.heatmap(5.31, nil, nil), "matrix": pairMap(12, 10, quadrants, nil), "histogram": substitutions(50, nil), "bar": pairs(10), "line": curves([]string{"a"}, 5),
		"scatter": cloud(30),
	} {
		f := made(t, s)
		full := read(t, svg(t, f, figure.Options{}))
		f.Bare = true
		doc := svg(t, f, figure.Options{})
		d := read(t, doc)
		check(t, d)
		for _, text := range []string{f.Title[:12], "run1", "conventionexact", "boxes:", "errorbars:", "carrymost"} {
			if strings.Contains(d.all, strings.ReplaceAll(text, " ", "")) {
				t.Errorf("%s: %q is printed", name, text)
			}
		}
		if !(d.h < full.h) || !bytes.Contains(doc, []byte(f.Title[:12])) {
			t.Errorf("%s: %.0f pt high, was %.0f; its title is in the metadata: %v", name, d.h, full.h, bytes.Contains(doc, []byte(f.Title[:12])))
		}
		if name == "heatmap" && !strings.Contains(d.all, "outsidethecolourscale") {
			t.Error("heatmap: the legend does not say what is outside the scale")
		}
	}
	f := figuretest.Scatter(t, 10)
	f.Bare = true
	var b bytes.Buffer
	if err := plotly.WriteHTML(&b, f); err != nil || strings.Contains(b.String(), "<h1>") || strings.Contains(b.String(), `class="provenance"`) {
		t.Errorf("a bare page has a title or a foot, or failed: %v", err)
	}
}

// A figure is as high as it is told to be, where its panels can be.
func TestHeight(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]sample{"heatmap": small.heatmap(0, nil, nil), "histogram": substitutions(50, nil), "bar": pairs(10), "line": curves([]string{"a"}, 5), "scatter": cloud(30)} {
		for _, height := range []float64{4, 6} {
			d := read(t, svg(t, made(t, s), figure.Options{Width: 6.75, Height: height}))
			check(t, d)
			if math.Abs(d.h*d.zoom-72*height) > 1 {
				t.Errorf("%s: %.1f pt high, want %.1f", name, d.h*d.zoom, 72*height)
			}
		}
	}
}

// The text of a tick stands on its tick, the last ones too.
func TestTextsOnTicks(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]sample{"histogram": substitutions(200, nil), "facets": substitutions(60, []string{"a", "b"}), "line": curves([]string{"a"}, 12), "scatter": cloud(50)} {
		for _, width := range []float64{0, 3.3, 6.75} {
			doc := svg(t, made(t, s), figure.Options{Width: width})
			d := read(t, doc)
			ticks := ticksBelow(doc)
			numbers := 0
			for _, b := range d.texts {
				near := func(tick [2]float64) bool { return b.y0 > tick[1] && b.y0 < tick[1]+5 }
				if !isNumber(b.text) || !slices.ContainsFunc(ticks, near) {
					continue
				}
				numbers++
				mid := (b.x0 + b.x1) / 2
				if !slices.ContainsFunc(ticks, func(tick [2]float64) bool { return near(tick) && math.Abs(tick[0]-mid) < 0.1 }) {
					t.Errorf("%s at %g in: %v does not stand on a tick", name, width, b)
				}
			}
			if numbers < 2 {
				t.Errorf("%s at %g in: %d numbers below the panels", name, width, numbers)
			}
		}
	}
}
