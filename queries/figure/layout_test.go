package figure_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// changed is s with every row changed.
func changed(s sample, change func(i int, row []any)) sample {
	for i, row := range s.result.Rows {
		change(i, row)
	}
	return s
}

// with is s with another header.
func with(s sample, change func(*queries.Chart)) sample {
	change(&s.query.Chart)
	return s
}

// whole is a matrix with all of its rows and columns, however many.
func whole(s sample) sample { return with(s, func(c *queries.Chart) { c.Largest = 1000 }) }

// layouts are answers that are hard to fit on a page.
func layouts() map[string]sample {
	long := "the output of name mover head 9.9 at END, its part perpendicular to W_U[IO], after LayerNorm"
	return map[string]sample{
		"histogram":              substitutions(200, nil),
		"histogram facets":       substitutions(60, []string{"score at IO", "score at S1", "IO minus S1"}),
		"histogram frames":       with(substitutions(40, []string{"a", "b"}), func(c *queries.Chart) { c.Frame, c.Facet = "facet", "" }),
		"histogram one series":   with(substitutions(80, nil), func(c *queries.Chart) { c.Series = "" }),
		"histogram no legend":    with(substitutions(80, nil), func(c *queries.Chart) { c.LegendTitle = "" }),
		"histogram one value":    changed(substitutions(20, nil), func(_ int, row []any) { row[2] = 0.25 }),
		"histogram tiny values":  changed(substitutions(50, nil), func(_ int, row []any) { row[2] = row[2].(float64) * 1e-12 }),
		"histogram large values": changed(substitutions(50, nil), func(_ int, row []any) { row[2] = row[2].(float64) * 1e9 }),
		"histogram far values":   changed(substitutions(50, nil), func(_ int, row []any) { row[2] = 123456 + row[2].(float64)/100 }),
		"histogram 24 series":    changed(substitutions(96, nil), func(i int, row []any) { row[0] = fmt.Sprintf("vector %d", i%24) }),
		"histogram long series":  changed(substitutions(50, nil), func(_ int, row []any) { row[0] = long + ", " + row[0].(string) }),
		"bar":                    pairs(40),
		"bar one":                pairs(1),
		"bar titles": with(pairs(4), func(c *queries.Chart) {
			c.XTitle, c.YTitle = "query component, key component, "+long, "share of the mean score (%) "+long
		}),
		"matrix long frames": with(pairMap(4, 1, nil, quadrants[:1]), func(c *queries.Chart) { c.YTitle = "query component, and " + long }),
		"bar two hundred":    changed(pairs(200), func(i int, row []any) { row[0] = fmt.Sprintf("%d: %s", i, row[0]) }),
		"bar no category":    with(pairs(12), func(c *queries.Chart) { c.Category, c.Error = "", "" }),
		"bar labels":         with(pairs(12), func(c *queries.Chart) { c.Label = "kind" }),
		"bar long labels":    changed(with(pairs(12), func(c *queries.Chart) { c.Label = "kind" }), func(_ int, row []any) { row[3] = long }),
		"bar long names":     changed(pairs(12), func(_ int, row []any) { row[0] = row[0].(string) + ", " + long }),
		"bar facets":         with(pairs(12), func(c *queries.Chart) { c.Facet = "kind" }),
		"bar zeros":          changed(pairs(5), func(_ int, row []any) { row[1], row[2] = 0.0, 0.0 }),
		"bar negative":       changed(pairs(5), func(_ int, row []any) { row[1] = -math.Abs(row[1].(float64)) }),
		"bar tiny values":    changed(pairs(5), func(_ int, row []any) { row[1], row[2] = row[1].(float64)*1e-30, nil }),
		"matrix":             pairMap(12, 10, quadrants, nil),
		"matrix whole":       whole(pairMap(12, 10, quadrants, nil)),
		"matrix demo":        pairMap(4, 3, quadrants, baselines),
		"matrix frames":      pairMap(4, 3, nil, quadrants),
		"matrix xl":          whole(pairMap(25, 7, nil, nil)),
		"matrix no groups":   with(pairMap(4, 3, nil, nil), func(c *queries.Chart) { c.XGroup, c.YGroup = "", "" }),
		"matrix long groups": changed(pairMap(4, 3, quadrants, nil), func(_ int, row []any) {
			row[6], row[7] = "the components of layer "+row[6].(string), "layer "+row[7].(string)
		}),
		"matrix long names": changed(pairMap(4, 3, nil, nil), func(_ int, row []any) { row[4], row[5] = row[4].(string)+" "+long, row[5].(string)+" "+long }),
		"line":              curves([]string{"W_U[IO]", "9.9", "MLP0", "rest"}, 12),
		"line many points":  curves([]string{"W_U[IO]", "9.9"}, 400),
		"line one point":    curves([]string{"W_U[IO]"}, 1),
		"line names":        changed(with(curves([]string{"a", "b"}, 12), func(c *queries.Chart) { c.XTick = "layer" }), func(_ int, row []any) { row[3] = nil }),
		"line long series":  curves([]string{long, "b"}, 5),
		"line flat":         changed(curves([]string{"a"}, 5), func(_ int, row []any) { row[2], row[3] = 7.0, 0.0 }),
		"scatter":           cloud(100),
		"scatter facets":    with(cloud(50), func(c *queries.Chart) { c.Facet, c.Series = "template", "" }),
		"scatter one":       with(cloud(1), func(c *queries.Chart) { c.Series = "" }),
		"scatter at one x":  changed(cloud(20), func(_ int, row []any) { row[1] = 1.5 }),
		"scatter long":      changed(cloud(20), func(_ int, row []any) { row[3] = long }),
		"line flat at zero": changed(curves([]string{"a"}, 5), func(_ int, row []any) { row[2], row[3] = 0.0, 0.0 }),
	}
}

// Frames of one matrix stand side by side on a page, unless its names would lose their room.
func TestFramesSideBySide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		sample sample
		rows   int // of four frames
	}{
		{"small", pairMap(4, 3, nil, quadrants), 2},
		{"names fit on a line of their own", with(whole(pairMap(12, 10, nil, quadrants)), func(c *queries.Chart) { c.Largest = 40 }), 4},
		{"the part that matters", pairMap(12, 10, nil, quadrants), 2},
		{"names have no room at all", whole(pairMap(12, 10, nil, quadrants)), 2},
	} {
		d := read(t, svg(t, made(t, c.sample), figure.Options{Width: figure.PageWidth}))
		rows := map[float64]bool{}
		for _, text := range d.texts {
			if strings.HasPrefix(text.text, "query ") && strings.HasSuffix(text.text, "W") {
				rows[text.y0] = true
			}
		}
		if len(rows) != c.rows {
			t.Errorf("%s: four frames in %d rows, want %d", c.name, len(rows), c.rows)
		}
	}
}

// In every mark, at every width and in every theme, text lies on the page, touches no other text and crosses
// no edge.
func TestLayouts(t *testing.T) {
	t.Parallel()
	for name, s := range layouts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := made(t, s)
			for _, o := range []figure.Options{
				{}, {Width: figure.ColumnWidth}, {Width: 5, Theme: figure.Dark}, {Width: figure.PageWidth}, {Width: figure.PageWidth, Theme: figure.Screen}, {Width: 14},
			} {
				d := read(t, svg(t, f, o))
				if o.Width != 0 && math.Abs(d.w*d.zoom-72*o.Width) > 0.02 {
					t.Errorf("%+v: %.2f pt wide, want %.2f", o, d.w*d.zoom, 72*o.Width)
				}
				if !t.Run(fmt.Sprintf("%g in, %v", o.Width, o.Theme), func(t *testing.T) { check(t, d) }) {
					break
				}
				if want := strings.ReplaceAll("run1·conventionexact", " ", ""); !strings.Contains(d.all, want) {
					t.Errorf("%+v: no %q in the text", o, want)
				}
			}
			for _, o := range []figure.Options{{Width: 2}, {Width: 60, Theme: figure.Dark}} { // no way to fit, or more than room
				svg(t, f, o)
			}
		})
	}
}

// What a reader needs is printed: names of axes with their units, series with their means, categories,
// groups.
func TestMarksPrinted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sample sample
		want   []string
	}{
		"histogram": {substitutions(200, nil), []string{"attentionscoreEND→IO(pre-softmax)", "prompts", "queryreplacedby", "mean",
			"WU[randomname]", "9.9output⊥WU[IO]", "boxes:quartiles"}},
		"bar":    {pairs(40), []string{"Q=9.9,K=MLP0,q∥WU[IO],k∥MLP0", "Q=Wpos", "halfexpected", "shareofthemeanscore(%)", "errorbars:onestandarderror", "−10"}},
		"matrix": {whole(pairMap(12, 10, quadrants, nil)), []string{"querycomponent", "keycomponent", "meancontributiontothescore", "MLP0", "9.9", "other", "query⊥WU[IO],key∥MLP0", "named:"}},
		"line":   {curves([]string{"W_U[IO]", "9.9"}, 12), []string{"layersadded", "partofthequery", "bands:onestandarderror", "WU[IO]"}},
	} {
		for _, width := range []float64{0, figure.ColumnWidth, figure.PageWidth} {
			d := read(t, svg(t, made(t, test.sample), figure.Options{Width: width}))
			for _, want := range test.want {
				if !strings.Contains(d.all, want) {
					t.Errorf("%s at %g in: %q is not printed", name, width, want)
				}
			}
		}
	}
}

// A bar is as long as its value says and lies in the row of its name.
func TestBarsInPlace(t *testing.T) {
	t.Parallel()
	s := pairs(8)
	d := read(t, svg(t, made(t, s), figure.Options{}))
	var bars []box
	for _, r := range d.rects[1:] {
		if r.x1-r.x0 > 20 {
			bars = append(bars, r)
		}
	}
	if len(bars) != 8 {
		t.Fatalf("%d bars, want 8", len(bars))
	}
	slices.SortFunc(bars, func(a, b box) int { return int(10 * (a.y0 - b.y0)) })
	first := s.result.Rows[0][1].(float64)
	unit := (bars[0].x1 - bars[0].x0) / first
	zero := bars[0].x0
	for i, b := range bars {
		value := s.result.Rows[i][1].(float64)
		if math.Abs(b.x1-b.x0-unit*math.Abs(value)) > 0.05 || (value > 0) != (math.Abs(b.x0-zero) < 0.02) || (value < 0) != (math.Abs(b.x1-zero) < 0.02) {
			t.Errorf("bar %d of %.2f goes from %.2f to %.2f; zero is at %.2f, one at %.2f more", i, value, b.x0, b.x1, zero, unit)
		}
		for _, text := range d.texts {
			if strings.HasPrefix(text.text, "Q = ") && overlap(box{x0: 0, x1: d.w, y0: b.y0, y1: b.y1}, text) &&
				!strings.HasPrefix(s.result.Rows[i][0].(string), strings.TrimSuffix(text.text, "W")) {
				t.Errorf("bar %d is beside %q", i, text.text)
			}
		}
	}
}

// The boxes stand in the order of the legend, which is that of the means.
func TestLegendOrder(t *testing.T) {
	t.Parallel()
	for _, width := range []float64{0, figure.ColumnWidth} {
		d := read(t, svg(t, made(t, substitutions(200, nil)), figure.Options{Width: width}))
		var at []box
		for _, want := range []string{"9.9 output", "unpatched"} {
			i := slices.IndexFunc(d.texts, func(b box) bool { return b.text == want })
			if i < 0 {
				t.Fatalf("%q is not printed", want)
			}
			at = append(at, d.texts[i])
		}
		if !(at[0].y0 < at[1].y0) {
			t.Errorf("%g in: %v is not above %v", width, at[0], at[1])
		}
	}
}

// Themes have names, and each its own page.
func TestThemes(t *testing.T) {
	t.Parallel()
	for _, theme := range []figure.Theme{figure.Paper, figure.Screen, figure.Dark} {
		got, err := figure.ParseTheme(theme.String())
		if err != nil || got != theme {
			t.Errorf("theme %v reads as %v, %v", theme, got, err)
		}
		doc := svg(t, made(t, pairs(4)), figure.Options{Theme: theme})
		p := theme.Page()
		if page := fmt.Sprintf("#%02x%02x%02x", p.R, p.G, p.B); read(t, doc).rects[0].fill != page {
			t.Errorf("%v: the page is %s, want %s", theme, read(t, doc).rects[0].fill, page)
		}
		if theme.Diverging(0) != theme.Page() {
			t.Errorf("%v: zero is not the page", theme)
		}
		for i := range 24 {
			if fill, line := theme.Category(i); fill == theme.Page() || line == theme.Page() {
				t.Errorf("%v: category %d is not seen", theme, i)
			}
		}
	}
	if _, err := figure.ParseTheme("light"); err == nil || !strings.Contains(err.Error(), "paper, screen, dark") {
		t.Errorf("error %v, want the known themes", err)
	}
	if err := (figure.Options{Theme: 9}).Validate(); err == nil {
		t.Error("theme 9 is valid")
	}
}

// Pointers get the numbers.
func TestTooltips(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sample sample
		want   string
	}{
		{pairs(3), "<title>Q = 9.9, K = MLP0, q ∥ W_U[IO], k ∥ MLP0 (expected): 30.4 ± 2.5 (n = 1200)</title>"},
		{substitutions(50, nil), "(n = 50); median "},
		{curves([]string{"W_U[IO]"}, 3), "<title>W_U[IO], 0: "},
	} {
		if doc := svg(t, made(t, test.sample), figure.Options{}); !bytes.Contains(doc, []byte(test.want)) {
			t.Errorf("%s: no %q", test.sample.query.Name, test.want)
		}
	}
}
