// Package figuretest has figures of every mark for tests of packages that write figures. Their values are
// invented, from fixed seeds; their sizes and shapes are those of real figures.
package figuretest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// Hostile is text that must stay text wherever it is shown: tags, entities, placeholders and mathematics of
// plotly.js, the end of a script, and a line separator.
const Hostile = "<script>alert(1)</script><b>&amp;</b> %{x} $x^2$ </title>\u2028\"'"

// All returns a figure of each mark, by name.
func All(tb testing.TB) map[string]*figure.Figure {
	tb.Helper()
	return map[string]*figure.Figure{
		"heatmap": Heatmap(tb, 4, 3, Quadrants, []string{"baseline subtracted", "baseline not subtracted"}), "histogram": Histogram(tb, 60),
		"bar": Bar(tb, 12), "matrix": Matrix(tb, 3, 3), "line": Line(tb), "scatter": Scatter(tb, 40),
	}
}

// Quadrants are the names of four panels.
var Quadrants = []string{"query ∥ W_U[IO], key ∥ MLP0", "query ∥ W_U[IO], key ⊥ MLP0", "query ⊥ W_U[IO], key ∥ MLP0", "query ⊥ W_U[IO], key ⊥ MLP0"}

// made returns the figure of a query's answer.
func made(tb testing.TB, q queries.Query, columns []queries.Column, rows [][]any) *figure.Figure {
	tb.Helper()
	q.SQL = "SELECT 1 -- " + q.Name
	f, err := figure.New(q, &queries.Result{Columns: columns, Rows: rows}, figure.Fact{Name: "run", Value: "1"},
		figure.Fact{Name: "convention", Value: "exact"}, figure.Fact{Name: "fingerprint", Value: "0f1e2d3c", Quiet: true})
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func text(name string) queries.Column    { return queries.Column{Name: name, Type: queries.Text} }
func float(name string) queries.Column   { return queries.Column{Name: name, Type: queries.Float} }
func integer(name string) queries.Column { return queries.Column{Name: name, Type: queries.Integer} }

// component is a component and its place in a heatmap.
type component struct {
	label, layer string
	row, column  int
}

// components returns those below a layer of a model.
func components(heads, layers int) []component {
	list := []component{{"W_E", "other", 0, 0}, {"W_pos", "other", 0, 1}}
	for layer := range layers {
		for head := range heads {
			list = append(list, component{fmt.Sprintf("%d.%d", layer, head), fmt.Sprint(layer), layer + 1, head})
		}
		list = append(list, component{fmt.Sprintf("MLP%d", layer), fmt.Sprint(layer), layer + 1, heads}, component{fmt.Sprintf("b_O%d", layer), fmt.Sprint(layer), layer + 1, heads + 1})
	}
	return append(list, component{"b_K", "other", 0, 2})
}

// Heatmap returns a figure of the components below a layer of a model, in panels and frames.
func Heatmap(tb testing.TB, heads, layers int, panels, frames []string) *figure.Figure {
	tb.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var rows [][]any
	for f, frame := range frames {
		for k, panel := range panels {
			for _, c := range components(heads, layers) {
				x := 0.05 * rng.NormFloat64() / float64(1+k)
				if c.label == "MLP0" {
					x = 0.8 - 0.35*float64(k) - 0.1*float64(f)
				}
				column := fmt.Sprintf("H%d", c.column)
				if c.column >= heads {
					column = []string{"MLP", "b_O"}[c.column-heads]
				}
				rows = append(rows, []any{frame, panel, int64(c.row), int64(c.column), c.layer, column, c.label, x, 0.1 * math.Abs(x), int64(50)})
			}
		}
	}
	return made(tb, queries.Query{
		Name: "key_quadrants", Title: "Head 10.7: key-side components by quadrant", Subtitle: "gpt2, 50 prompts (ioi), exact convention, run 1",
		Chart: queries.Chart{Mark: queries.Heatmap, X: "grid_column", Y: "grid_row", XTick: "column_name", YTick: "row_name", Fill: "mean", Label: "component",
			Facet: "panel", Frame: "frame", Error: "se", Count: "n", YTitle: "layer", FillTitle: "mean contribution to the score", FacetColumns: 2},
	}, []queries.Column{text("frame"), text("panel"), integer("grid_row"), integer("grid_column"), text("row_name"), text("column_name"), text("component"),
		float("mean"), float("se"), integer("n")}, rows)
}

// Histogram returns a figure of seven overlaid distributions with that number of values.
func Histogram(tb testing.TB, values int) *figure.Figure {
	tb.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	var rows [][]any
	for k, name := range []string{"W_U[IO]", "W_U[S]", "W_U[random name]", "W_U[random]", "9.9 output", "9.9 output ⊥ W_U[IO]", "unpatched"} {
		for range values {
			rows = append(rows, []any{name, float32(2 - 1.2*float64(k) + 1.5*rng.NormFloat64())})
		}
	}
	return made(tb, queries.Query{
		Name: "query_substitution_scores", Title: "Head 10.7: attention score END→IO when the query is replaced", Subtitle: "gpt2, keys held fixed",
		Chart: queries.Chart{Mark: queries.Histogram, X: "score", Series: "vector", XTitle: "attention score END→IO", YTitle: "prompts", LegendTitle: "query replaced by"},
	}, []queries.Column{text("vector"), float("score")}, rows)
}

// Bar returns a figure that ranks pairs of components.
func Bar(tb testing.TB, bars int) *figure.Figure {
	tb.Helper()
	kinds := []string{"expected", "half expected", "not expected"}
	var rows [][]any
	for i := range bars {
		share := 30 * math.Exp(-0.18*float64(i)) * float64(1-2*(i%4/3))
		rows = append(rows, []any{fmt.Sprintf("Q = 9.%d, K = MLP%d, q ∥ W_U[IO], k ⊥ MLP0", i%12, i/12), share, 0.08*math.Abs(share) + 0.05, kinds[i%3], int64(1200)})
	}
	return made(tb, queries.Query{
		Name: "top_pairs", Title: "Head 10.7: the pairs of components that matter most", Subtitle: "gpt2, IO minus S1",
		Chart: queries.Chart{Mark: queries.Bar, X: "pair", Y: "share", Category: "kind", Error: "se", Count: "n", YTitle: "share of the mean score (%)", LegendTitle: "pair"},
	}, []queries.Column{text("pair"), float("share"), float("se"), text("kind"), integer("n")}, rows)
}

// Matrix returns a figure of all pairs of components below a layer of a model, in two panels.
func Matrix(tb testing.TB, heads, layers int) *figure.Figure {
	tb.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	list := components(heads, layers)
	// The biases are beside the embeddings, so that each layer is one run.
	list = append([]component{list[len(list)-1]}, list[:len(list)-1]...)
	var rows [][]any
	for _, panel := range Quadrants[:2] {
		for i, q := range list {
			for j, k := range list {
				x := 0.01 * rng.NormFloat64()
				if q.label == "MLP1" || k.label == "MLP0" {
					x *= 12
				}
				rows = append(rows, []any{panel, int64(i), int64(j), q.label, k.label, q.layer, k.layer, x})
			}
		}
	}
	return made(tb, queries.Query{
		Name: "pair_matrix", Title: "Head 10.7: all pairs of query and key components", Subtitle: "gpt2, IO minus S1",
		Chart: queries.Chart{Mark: queries.Matrix, X: "key_id", Y: "query_id", XTick: "key", YTick: "query", XGroup: "key_layer", YGroup: "query_layer", Fill: "diff",
			Facet: "panel", XTitle: "key component", YTitle: "query component", FillTitle: "mean contribution to the score"},
	}, []queries.Column{text("panel"), integer("query_id"), integer("key_id"), text("query"), text("key"), text("query_layer"), text("key_layer"), float("diff")}, rows)
}

// Line returns a figure of three series over layers.
func Line(tb testing.TB) *figure.Figure {
	tb.Helper()
	rng := rand.New(rand.NewPCG(7, 8))
	var rows [][]any
	for k, name := range []string{"q ∥ W_U[IO]", "q ⊥ W_U[IO]", "b_Q"} {
		y := 0.0
		for i := range 12 {
			y += rng.NormFloat64() + 0.2*float64(1-k)
			rows = append(rows, []any{name, int64(i), y, 0.05 + 0.04*float64(i), int64(1200)})
		}
	}
	return made(tb, queries.Query{
		Name: "score_by_layer", Title: "Head 10.7: the score as layers are added to the query", Subtitle: "gpt2",
		Chart: queries.Chart{Mark: queries.Line, X: "layer", Y: "score", Series: "part", Error: "se", Count: "n", XTitle: "layers added", YTitle: "attention score", LegendTitle: "part of the query"},
	}, []queries.Column{text("part"), integer("layer"), float("score"), float("se"), integer("n")}, rows)
}

// Scatter returns a figure of two series of named points with error bars, with a line fitted to each, and the
// diagonal.
func Scatter(tb testing.TB, points int) *figure.Figure {
	tb.Helper()
	rng := rand.New(rand.NewPCG(9, 10))
	var rows [][]any
	for k, name := range []string{"baBa", "abBa"} {
		for i := range points {
			x := rng.NormFloat64()
			rows = append(rows, []any{name, x, 2*x + float64(k) + 0.7*rng.NormFloat64(),
				fmt.Sprintf("prompt %d", k*points+i), 0.1 + 0.01*float64(i), 0.2, int64(30)})
		}
	}
	return made(tb, queries.Query{
		Name: "score_and_effect", Title: "Head 10.7: score and effect", Subtitle: "gpt2",
		Chart: queries.Chart{Mark: queries.Scatter, X: "score", Y: "effect", Series: "template",
			Label: "prompt", Fit: queries.FitLine,
			XError: "score_se", Error: "effect_se", Count: "n", Diagonal: queries.DiagonalEqual,
			XTitle: "attention score", YTitle: "effect on the logit", LegendTitle: "template", Labels: 4},
	}, []queries.Column{text("template"), float("score"), float("effect"), text("prompt"),
		float("score_se"), float("effect_se"), integer("n")}, rows)
}

// Rename replaces every name, title and label of a figure by s.
func Rename(f *figure.Figure, s string) *figure.Figure {
	f.Name, f.Title, f.Subtitle, f.Scale.Title, f.Legend.Title = s, s, s, s, s
	names := func(list []string) []string {
		renamed := make([]string, len(list))
		for i := range list {
			renamed[i] = fmt.Sprintf("%s %d", s, i)
		}
		return renamed
	}
	f.Legend.Names = names(f.Legend.Names)
	for i := range f.Facts {
		f.Facts[i].Value = s
	}
	for i := range f.Frames {
		f.Frames[i].Name = fmt.Sprintf("%s %d", s, i)
		for j := range f.Frames[i].Panels {
			p := &f.Frames[i].Panels[j]
			p.Name = fmt.Sprintf("%s %d", s, j)
			for _, a := range []*figure.Axis{&p.X, &p.Y} {
				a.Title = s
				if !a.Numeric() {
					a.Names = names(a.Names)
				}
				for k := range a.Groups {
					a.Groups[k].Name = s
				}
			}
			for k := range p.Cells {
				p.Cells[k].Label = s
			}
			for k := range p.Bars {
				p.Bars[k].Label = s
			}
			for k := range p.Clouds {
				for l := range p.Clouds[k].Dots {
					p.Clouds[k].Dots[l].Label = s
				}
			}
		}
	}
	return f
}
