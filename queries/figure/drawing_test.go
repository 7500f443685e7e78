package figure_test

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure"
	"ducklens/queries/figure/internal/typeface"
)

// drawing is what an SVG holds, read back.
type drawing struct {
	w, h  float64
	zoom  float64 // of a point of the drawing on the page
	rects []box
	texts []box
	all   string // all text, in order, without spaces
}

// box is a rectangle on the page, y down, and what it is.
type box struct {
	x0, y0, x1, y1 float64
	fill, text     string
	size           float64
}

var (
	classRule = regexp.MustCompile(`\.(t\d+)\{font-size:([\d.]+)px;fill:(#[0-9a-f]{6})(;font-weight:bold)?\}`)
	rotation  = regexp.MustCompile(`^rotate\(-90 ([\d.-]+) ([\d.-]+)\)$`)
)

// read parses an SVG; text boxes go from the baseline to the height of capitals.
func read(t testing.TB, svg []byte) drawing {
	t.Helper()
	type class struct {
		size float64
		bold bool
		fill string
	}
	classes := make(map[string]class)
	for _, m := range classRule.FindAllStringSubmatch(string(svg), -1) {
		size, _ := strconv.ParseFloat(m[2], 64)
		classes[m[1]] = class{size: size, fill: m[3], bold: m[4] != ""}
	}
	var (
		d    drawing
		text strings.Builder
		dec  = xml.NewDecoder(bytes.NewReader(svg))
	)
	number := func(s string) float64 {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("number %q: %v", s, err)
		}
		return x
	}
	for {
		token, err := dec.Token()
		if token == nil {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attr := make(map[string]string)
		for _, a := range start.Attr {
			attr[a.Name.Local] = a.Value
		}
		switch start.Name.Local {
		case "svg":
			size := strings.Fields(attr["viewBox"])
			d.w, d.h = number(size[2]), number(size[3])
			d.zoom = number(strings.TrimSuffix(attr["width"], "pt")) / d.w
		case "image":
			place := strings.Fields(strings.Trim(attr["transform"], "matrix()"))
			x, y := number(place[4]), number(place[5])
			d.rects = append(d.rects, box{x0: x, y0: y, x1: x + number(attr["width"]), y1: y + number(attr["height"]), fill: "image"})
		case "rect":
			x, y := number(attr["x"]), number(attr["y"])
			d.rects = append(d.rects, box{x0: x, y0: y, x1: x + number(attr["width"]), y1: y + number(attr["height"]), fill: attr["fill"]})
		case "text":
			var s string
			if err := dec.DecodeElement(&s, &start); err != nil {
				t.Fatal(err)
			}
			text.WriteString(strings.ReplaceAll(s, " ", ""))
			c, ok := classes[attr["class"]]
			if !ok {
				t.Fatalf("text %q has no style %q", s, attr["class"])
			}
			face := typeface.Regular(vg.Length(c.size))
			if c.bold {
				face = typeface.Bold(vg.Length(c.size))
			}
			x, y, w := number(attr["x"]), number(attr["y"]), float64(typeface.Width(face, s))
			b := box{x0: x, y0: y - c.size*typeface.CapHeight, x1: x + w, y1: y, text: s, size: c.size, fill: c.fill}
			if turn := attr["transform"]; turn != "" {
				if !rotation.MatchString(turn) {
					t.Fatalf("text %q is turned by %q", s, turn)
				}
				b.x0, b.y0, b.x1, b.y1 = x-c.size*typeface.CapHeight, y-w, x, y
			}
			d.texts = append(d.texts, b)
		}
	}
	d.all = text.String()
	return d
}

func (b box) String() string {
	return fmt.Sprintf("%q at %.1f..%.1f, %.1f..%.1f", b.text, b.x0, b.x1, b.y0, b.y1)
}

// overlap tells whether two boxes share more than a hair.
func overlap(a, b box) bool {
	const hair = 0.1
	return a.x0+hair < b.x1 && b.x0+hair < a.x1 && a.y0+hair < b.y1 && b.y0+hair < a.y1
}

func svg(t testing.TB, f *figure.Figure, o figure.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.WriteSVG(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func mustNew(t testing.TB, g grid) *figure.Figure {
	t.Helper()
	f, err := figure.New(g.query(), g.result(), figure.Fact{Name: "run", Value: "1"}, figure.Fact{Name: "convention", Value: "exact"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Every text lies on the page, none touches another, every label lies in a cell of its own and can be read.
func TestNothingClippedOrOverlapping(t *testing.T) {
	t.Parallel()
	long := []string{"the query's part along W_U[IO] and the key's part along the output of MLP0 at the same position", "short"}
	grids := map[string]grid{
		"demo":           {heads: 4, stop: 3},
		"small":          {heads: 12, stop: 10},
		"one layer":      {heads: 12, stop: 0},
		"medium":         {heads: 16, stop: 24},
		"xl":             {heads: 25, stop: 48},
		"2 facets":       {heads: 12, stop: 10, facets: quadrants[:2]},
		"3 facets":       {heads: 4, stop: 4, facets: quadrants[:3]},
		"12 panels":      {heads: 12, stop: 11, facets: quadrants, frames: baselines},
		"12 panels demo": {heads: 4, stop: 4, facets: quadrants, frames: baselines},
		"long names":     {heads: 4, stop: 4, facets: long, frames: long},
	}
	for name, g := range grids {
		f := mustNew(t, g)
		for _, width := range []float64{0, figure.ColumnWidth, 5, figure.PageWidth, 12} {
			t.Run(fmt.Sprintf("%s at %g in", name, width), func(t *testing.T) {
				d := read(t, svg(t, f, figure.Options{Width: width}))
				if width != 0 && math.Abs(d.w*d.zoom-72*width) > 0.01 {
					t.Errorf("%.2f pt wide, want %.2f", d.w, 72*width)
				}
				check(t, d)
				const widest = 20.0 // of a cell with a label of the smallest print, such as b_O47, about
				if columns := float64(g.heads + 2); width > 0 && columns*widest > 72*width-45 || len(g.facets)*len(g.frames) >= 12 {
					return // too many columns for labels: the axes name the cells
				}
				labels := 0
				for _, b := range d.texts {
					if strings.HasPrefix(b.text, "MLP") {
						labels++
					}
				}
				if labels < g.stop {
					t.Errorf("%d labels of MLPs, want %d or more", labels, g.stop)
				}
			})
		}
	}
}

// check looks for text that is cut off, that runs into other text, or that leaves its cell.
func check(t *testing.T, d drawing) {
	t.Helper()
	down := func(a, b box) int { return cmp.Compare(a.y0, b.y0) }
	cells := slices.Clone(d.rects[1:]) // the first is the page
	slices.SortFunc(d.texts, down)
	slices.SortFunc(cells, down)
	for i, a := range d.texts {
		if a.size*d.zoom < 5-0.01 {
			t.Fatalf("%v is set in %.2f pt, want 5 or more", a, a.size*d.zoom)
		}
		if a.x0 < 1 || a.y0 < 1 || a.x1 > d.w-1 || a.y1 > d.h-1 {
			t.Fatalf("%v is cut off: the page is %.1f x %.1f", a, d.w, d.h)
		}
		for _, b := range d.texts[i+1:] {
			if b.y0 >= a.y1 {
				break
			}
			if overlap(a, b) {
				t.Fatalf("%v overlaps %v", a, b)
			}
		}
	}
	for _, a := range d.texts {
		for _, r := range cells {
			if r.y0 >= a.y1 {
				break
			}
			inside := a.x0 >= r.x0 && a.x1 <= r.x1 && a.y0 >= r.y0 && a.y1 <= r.y1
			if overlap(a, r) && !inside && r.y1-r.y0 > 1 && a.text != "" {
				t.Fatalf("%v crosses the edge of the cell %v", a, r)
			}
		}
	}
}

func TestAxesOfOtherShapes(t *testing.T) {
	t.Parallel()
	g := grid{heads: 4, stop: 3}
	for name, change := range map[string]func(row []any){
		"tiny values":  func(row []any) { row[7] = row[7].(float64) * 1e-12 },
		"large values": func(row []any) { row[7] = row[7].(float64) * 3e7 },
		"long ticks": func(row []any) {
			row[5] = fmt.Sprintf("the position of token number %d", row[3])
			row[4] = fmt.Sprintf("a layer with a long name, %d", row[2])
		},
		"zeros":      func(row []any) { row[7] = 0.0 },
		"no labels":  func(row []any) { row[6] = "" },
		"denormals":  func(row []any) { row[7] = 5e-324 },
		"long label": func(row []any) { row[6] = "W_U[random name] of " + row[6].(string) },
	} {
		r := g.result()
		for _, row := range r.Rows {
			change(row)
		}
		f, err := figure.New(g.query(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, width := range []float64{0, figure.ColumnWidth, figure.PageWidth} {
			t.Run(fmt.Sprintf("%s at %g in", name, width), func(t *testing.T) {
				check(t, read(t, svg(t, f, figure.Options{Width: width})))
			})
		}
	}
}

// Names of axes, components, titles and provenance are printed, underscores as subscripts but for the query's
// name.
func TestTextsPrinted(t *testing.T) {
	t.Parallel()
	d := read(t, svg(t, mustNew(t, grid{heads: 12, stop: 10, facets: quadrants, frames: baselines}), figure.Options{}))
	for _, want := range []string{
		"Whathead10.7reads", "END→IO", "misc", "H11", "WE", "Wpos", "bO9", "9.11", "MLP9", "layer", "head",
		"∥WU[IO]", "key⊥MLP0", "span(WU[IO],WU[S])", "attentionscore(pre-softmax)",
		"querykey_components·run1·conventionexact",
	} {
		if !strings.Contains(d.all, want) {
			t.Errorf("%q is not printed", want)
		}
	}
	sizes := make(map[string]float64)
	for _, b := range d.texts {
		sizes[b.text] = b.size
	}
	if sub, full := sizes["pos"], sizes["MLP5"]; sub == 0 || sub >= full {
		t.Errorf("the subscript of W_pos is %.2f pt, labels %.2f: want it smaller", sub, full)
	}
	if strings.Contains(d.all, "W_") || strings.Contains(d.all, "b_O") {
		t.Error("an underscore of a component is printed")
	}
}

// A cell is where its row and column say, row 0 at the top; a missing component leaves no cell.
func TestCellsInPlace(t *testing.T) {
	t.Parallel()
	g := grid{heads: 4, stop: 3}
	f := mustNew(t, g)
	d := read(t, svg(t, f, figure.Options{}))
	place := make(map[string]box)
	for _, b := range d.texts {
		place[b.text] = b
	}
	if !(place["0.0"].y0 < place["1.0"].y0 && place["1.0"].y0 < place["2.0"].y0) {
		t.Error("layers do not go down the page")
	}
	if !(place["0.0"].x0 < place["0.1"].x0 && place["0.3"].x0 < place["MLP0"].x0) {
		t.Error("heads do not go to the right")
	}
	cells := 0
	for _, r := range d.rects[1:] {
		if r.x1-r.x0 > 15 && r.y1-r.y0 > 15 {
			cells++
		}
	}
	if want := len(g.result().Rows); cells != want {
		t.Errorf("%d cells, want %d", cells, want)
	}
	for _, r := range d.rects[1:] {
		if overlap(r, place["MLP0"]) {
			// MLP0 is the largest value: the full colour, with white text.
			if r.fill != "#b11824" && !strings.HasPrefix(r.fill, "#b") {
				t.Errorf("MLP0 is drawn in %s", r.fill)
			}
			if place["MLP0"].fill != "#ffffff" {
				t.Errorf("text on the darkest cell is %s, want white", place["MLP0"].fill)
			}
		}
	}
}

// upright is a straight line down in an SVG path.
var upright = regexp.MustCompile(`M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)`)

// ticksBelow are the lower ends of the ticks below axes.
func ticksBelow(svg []byte) [][2]float64 {
	var list [][2]float64
	for _, m := range upright.FindAllSubmatch(svg, -1) {
		var n [4]float64
		for i := range n {
			n[i], _ = strconv.ParseFloat(string(m[i+1]), 64)
		}
		if n[0] == n[2] && math.Abs(n[3]-n[1]-2) < 0.02 {
			list = append(list, [2]float64{n[2], n[3]})
		}
	}
	return list
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(strings.Replace(s, "−", "-", 1), 64)
	return err == nil
}
