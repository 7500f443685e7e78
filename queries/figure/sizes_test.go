package figure_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// shape is a model as far as a figure of its components knows it.
type shape struct {
	layers, heads int
	positions     bool // W_pos is a component
	outputBias    bool // b_O of each layer is one
	inputBias     bool // b_Q and b_K are
}

// The models whose figures have to be read.
var (
	smollm = shape{layers: 30, heads: 9}
	llama  = shape{layers: 32, heads: 32}
	biased = shape{layers: 32, heads: 32, positions: true, outputBias: true, inputBias: true}
	small  = shape{layers: 12, heads: 12, positions: true, outputBias: true, inputBias: true}
)

// part is a component with its place in a heatmap.
type part struct {
	label, layer string
	row, column  int
}

// components lists what writes before the last layer ends, in order.
func (s shape) components() []part {
	list := []part{{"W_E", "other", 0, 0}}
	if s.positions {
		list = append(list, part{"W_pos", "other", 0, 1})
	}
	if s.inputBias {
		list = append(list, part{"b_K", "other", 0, 2})
	}
	for layer := range s.layers {
		name := fmt.Sprint(layer)
		for head := range s.heads {
			list = append(list, part{fmt.Sprintf("%d.%d", layer, head), name, layer + 1, head})
		}
		list = append(list, part{fmt.Sprintf("MLP%d", layer), name, layer + 1, s.heads})
		if s.outputBias {
			list = append(list, part{fmt.Sprintf("b_O%d", layer), name, layer + 1, s.heads + 1})
		}
	}
	return list
}

// heatmap has the cells of all components: most near zero, MLP0 and some heads large, b_K as large as bias
// says.
func (s shape) heatmap(bias float64, facets, frames []string) sample {
	g := grid{heads: s.heads, stop: s.layers, facets: facets, frames: frames}
	out := sample{query: g.query(), result: &queries.Result{Columns: gridColumns}}
	rng := rand.New(rand.NewPCG(21, uint64(s.heads)))
	for _, frame := range orOne(frames) {
		for k, facet := range orOne(facets) {
			for _, c := range s.components() {
				x := 0.03 * rng.NormFloat64() * math.Exp(0.9*rng.NormFloat64()) / (1 + 0.6*float64(k))
				switch {
				case c.label == "MLP0":
					x = 0.81 - 0.35*float64(k)
				case c.label == "b_K":
					x = bias
				case rng.IntN(24) == 0:
					x *= 6
				}
				column := fmt.Sprintf("H%d", c.column)
				if c.column >= s.heads {
					column = []string{"MLP", "b_O"}[c.column-s.heads]
				}
				out.result.Rows = append(out.result.Rows, []any{frame, facet, int64(c.row), int64(c.column), c.layer, column, c.label, x,
					0.1 * math.Abs(x), int64(400), "24.4", rowGroup(c.row)})
			}
		}
	}
	return out
}

func orOne(names []string) []string {
	if names == nil {
		return []string{""}
	}
	return names
}

// pairs has the mean of every pair of components: products of strengths with heavy tails, as pairs of a
// decomposition are.
func (s shape) pairs(frames []string) sample {
	out := pairMap(1, 1, nil, frames)
	out.query.Title = "Head 24.4: pairs of components"
	out.result.Rows = nil
	components := s.components()
	rng := rand.New(rand.NewPCG(22, uint64(len(components))))
	strength := make([]float64, len(components))
	for i := range strength {
		strength[i] = math.Exp(1.3 * rng.NormFloat64())
	}
	for k, frame := range orOne(frames) {
		for i, q := range components {
			for j, c := range components {
				x := 0.004 * rng.NormFloat64() * strength[i] * strength[len(strength)-1-j] / (1 + 3*float64(k))
				out.result.Rows = append(out.result.Rows, []any{frame, "", int64(i), int64(j), q.label, c.label, q.layer, c.layer, x})
			}
		}
	}
	return out
}

// Widths of print: one column of a two-column page, and the whole page, in inches.
var printWidths = []float64{3.3, 6.75}

// realSizes are figures of models as people have them.
func realSizes() map[string]func() sample {
	return map[string]func() sample{
		"30 x 9":                      func() sample { return smollm.heatmap(0, nil, nil) },
		"30 x 9, quadrants":           func() sample { return smollm.heatmap(0, quadrants, nil) },
		"30 x 9, quadrants in frames": func() sample { return smollm.heatmap(0, quadrants, baselines) },
		"32 x 32":                     func() sample { return llama.heatmap(0, nil, nil) },
		"32 x 32, quadrants":          func() sample { return llama.heatmap(0, quadrants, nil) },
		"32 x 32 with biases":         func() sample { return biased.heatmap(9.3, nil, nil) },
		"12 x 12 with biases":         func() sample { return small.heatmap(5.3, nil, nil) },
		"12 x 12 with biases, 12":     func() sample { return small.heatmap(5.3, quadrants, baselines) },
		"301 components":              func() sample { return smollm.pairs(nil) },
		"301 components, four frames": func() sample { return smollm.pairs(quadrants) },
		"301 components, all of them": func() sample { return whole(smollm.pairs(nil)) },
		"1057 components":             func() sample { return llama.pairs(nil) },
	}
}

// Figures of real models can be read in print: no text is smaller than 5 pt or touches another, what the
// figure shows has its names, and it fits on a page.
func TestRealSizes(t *testing.T) {
	t.Parallel()
	for name, s := range realSizes() {
		t.Run(name, func(t *testing.T) {
			f := made(t, s())
			for _, width := range printWidths {
				t.Run(fmt.Sprintf("%g in", width), func(t *testing.T) {
					d := read(t, svg(t, f, figure.Options{Width: width}))
					check(t, d)
					if most := 72 * 10.5; d.h > most && !strings.Contains(name, "frames") {
						t.Errorf("%.0f pt high, want at most %.0f", d.h, most)
					}
					for _, axis := range [][]string{f.Frames[0].Panels[0].X.Names, f.Frames[0].Panels[0].Y.Names} {
						if n := printed(d, axis); n < len(axis)/8 {
							t.Errorf("%d of %d names of an axis are printed", n, len(axis))
						}
					}
				})
			}
		})
	}
}

// printed counts the names that stand in the drawing, with their subscripts taken apart.
func printed(d drawing, names []string) int {
	there := make(map[string]bool)
	for _, b := range d.texts {
		there[b.text] = true
	}
	n := 0
	for _, name := range names {
		base, _, _ := strings.Cut(name, "_")
		if name != "" && (there[name] || there[base]) {
			n++
		}
	}
	return n
}

// A matrix that is too large to be read shows the rows and columns that carry most, and says how much that
// is.
func TestPartThatMatters(t *testing.T) {
	t.Parallel()
	s := smollm.pairs(quadrants)
	f := made(t, s)
	row, all := make(map[string]float64), 0.0
	for _, r := range s.result.Rows {
		row[r[4].(string)] += math.Abs(r[8].(float64))
		all += math.Abs(r[8].(float64))
	}
	names := f.Frames[0].Panels[0].Y.Names
	if len(names) != 28 || f.Part.OfRows != 301 || f.Part.OfColumns != 301 {
		t.Fatalf("%d rows, %+v; want 28 of 301", len(names), f.Part)
	}
	least := math.Inf(1)
	for _, name := range names {
		least = min(least, row[name])
	}
	for name, weight := range row {
		if weight > least && !slices.Contains(names, name) {
			t.Errorf("row %s carries %.3g and is not shown, while one of %.3g is", name, weight, least)
		}
	}
	shown := 0.0
	for _, frame := range f.Frames {
		for _, c := range frame.Panels[0].Cells {
			shown += math.Abs(c.Value)
		}
	}
	if math.Abs(f.Part.Share-shown/all) > 1e-12 {
		t.Errorf("share %g, want %g", f.Part.Share, shown/all)
	}
	want := fmt.Sprintf("shown are 28 of 301 rows and 28 of 301 columns, those that carry most: %.0f %% of the sum of the sizes of all values", 100*f.Part.Share)
	if lead := f.Lead(); lead[len(lead)-1] != want {
		t.Errorf("below the title %q, want %q", lead, want)
	}
	if want = "S" + want[1:]; !strings.Contains(f.Caption(), want) {
		t.Errorf("caption %q, want %q in it", f.Caption(), want)
	}
}

// Where the query gives a part of a matrix, it says how much the whole is.
func TestWhole(t *testing.T) {
	t.Parallel()
	s := pairMap(4, 2, nil, nil)
	sum := 0.0
	for _, row := range s.result.Rows {
		sum += math.Abs(row[8].(float64))
	}
	s.result.Columns = append(slices.Clone(s.result.Columns), column("all_of_it", queries.Float))
	s.query.Chart.Whole = "all_of_it"
	for i := range s.result.Rows {
		s.result.Rows[i] = append(s.result.Rows[i], 4*sum)
	}
	if lead := strings.Join(made(t, s).Lead(), "\n"); !strings.Contains(lead, "25 % of the sum of the sizes of all values") {
		t.Errorf("below the title %q", lead)
	}
	s.result.Rows[3][9] = 1.0
	if _, err := s.figure(); !errors.Is(err, figure.ErrValue) || !strings.Contains(err.Error(), "all_of_it has two values") {
		t.Errorf("error %v", err)
	}
}

// What belongs to no layer is not taken for heads, although it stands in their columns: a gap sets its row
// apart, and its cells have their names in them or, if that has no room, beside them or below the figure.
func TestOwnRow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		sample sample
		width  float64
		beside bool
	}{
		{"names in cells", small.heatmap(0, nil, nil), 6.75, false},
		{"names beside cells", biased.heatmap(0, nil, nil), 3.3, true},
	} {
		f := made(t, test.sample)
		d := read(t, svg(t, f, figure.Options{Width: test.width}))
		if got := strings.Contains(d.all, "WE,Wpos,bK"); got != test.beside || strings.Contains(d.all, "fromtheleft") {
			t.Errorf("%s: names beside cells: %v, want %v", test.name, got, test.beside)
		}
		if got := strings.Contains(d.all, "WEWposbK"); got == test.beside {
			t.Errorf("%s: names in cells: %v, want %v", test.name, got, !test.beside)
		}
		// Cells of the first row end before those of the next begin, and others touch.
		var tops, ends []float64
		for _, r := range d.rects[1:] {
			tops, ends = append(tops, r.y0), append(ends, r.y1)
		}
		cells := len(f.Frames[0].Panels[0].Cells)
		first := f.Frames[0].Panels[0].Cells[3]
		if first.Row != 1 || len(tops) < cells || tops[3]-ends[0] < 1.9 {
			t.Errorf("%s: the row of heads begins %.2f pt below the row of others", test.name, tops[3]-ends[0])
		}
		if last := cells - 1; math.Abs(tops[last]-ends[last-f.Frames[0].Panels[0].Cells[last].Column-1]) > 0.5 {
			t.Errorf("%s: a gap between layers", test.name)
		}
	}
	// A row with empty places that are too few for the names.
	s := changed(biased.heatmap(0, nil, nil), func(_ int, row []any) {
		if row[2] == int64(0) {
			row[3] = row[3].(int64) + 30
			row[5] = "" // the column is named by its heads
		}
	})
	d := read(t, svg(t, made(t, s), figure.Options{Width: 3.3}))
	if !strings.Contains(d.all, "rowother,fromtheleft:WE,Wpos,bK") {
		t.Errorf("the names of a row without room are nowhere: %s", d.all)
	}
}
