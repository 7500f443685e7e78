package figure_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"ducklens/queries"
	"ducklens/schema"
)

// grid says what a synthetic answer holds: the components below layer stop of a model, in facets and frames.
// The values are made up, with the shape of a real decomposition: most near zero, MLP0 and a few heads large.
type grid struct {
	heads, stop    int
	facets, frames []string // nil: no such column
}

var gridColumns = []queries.Column{
	{Name: "frame", Type: queries.Text}, {Name: "facet", Type: queries.Text},
	{Name: "grid_row", Type: queries.Integer}, {Name: "grid_column", Type: queries.Integer},
	{Name: "row_name", Type: queries.Text}, {Name: "column_name", Type: queries.Text},
	{Name: "component", Type: queries.Text}, {Name: "score", Type: queries.Float},
	{Name: "se", Type: queries.Float}, {Name: "n", Type: queries.Integer},
	{Name: "target", Type: queries.Text}, {Name: "row_group", Type: queries.Text},
}

// result makes the rows.
func (g grid) result() *queries.Result {
	r := &queries.Result{Columns: gridColumns}
	rng := rand.New(rand.NewPCG(7, uint64(g.heads)))
	facets, frames := g.facets, g.frames
	if facets == nil {
		facets = []string{""}
	}
	if frames == nil {
		frames = []string{""}
	}
	for _, frame := range frames {
		for k, facet := range facets {
			for _, c := range schema.Components(g.stop, g.heads) {
				if c.Kind == schema.QBias {
					continue
				}
				row, column := c.Grid(g.heads)
				x := 0.04 * rng.NormFloat64() * math.Exp(0.9*rng.NormFloat64()) / (1 + 0.6*float64(k))
				switch {
				case c.Kind == schema.MLP && c.Layer == 0:
					x = 0.81 - 0.35*float64(k)
				case c.Kind == schema.HeadOut && rng.IntN(24) == 0:
					x *= 6
				}
				r.Rows = append(r.Rows, []any{
					frame, facet, int64(row), int64(column), rowName(row), columnName(column, g.heads), c.Label(), x,
					0.1 * math.Abs(x), int64(50), "10.7", rowGroup(row),
				})
			}
		}
	}
	return r
}

func rowName(row int) string {
	if row == 0 {
		return "misc"
	}
	return fmt.Sprint(row - 1)
}

// rowGroup sets the row of what belongs to no layer apart.
func rowGroup(row int) string {
	if row == 0 {
		return "other"
	}
	return "layer"
}

func columnName(column, heads int) string {
	switch column {
	case heads:
		return "MLP"
	case heads + 1:
		return "b_O"
	}
	return fmt.Sprintf("H%d", column)
}

// query is the saved query that would have given the rows.
func (g grid) query() queries.Query {
	q := queries.Query{
		Name:     "key_components",
		Title:    "What head {target} reads at IO: contributions of each component to its attention END→IO",
		Subtitle: "Key side, IO minus S1, mean over 50 prompts; query held fixed. The score is q·k / √64.",
		SQL:      "SELECT 1",
		Chart: queries.Chart{
			Mark: queries.Heatmap, X: "grid_column", Y: "grid_row", XTick: "column_name", YTick: "row_name", YGroup: "row_group",
			Fill: "score", Label: "component", Error: "se", Count: "n",
			XTitle: "head", YTitle: "layer", FillTitle: "attention score (pre-softmax)",
		},
	}
	if g.facets != nil {
		q.Chart.Facet = "facet"
	}
	if g.frames != nil {
		q.Chart.Frame = "frame"
	}
	return q
}

var (
	quadrants = []string{"query ∥ W_U[IO], key ∥ MLP0", "query ∥ W_U[IO], key ⟂ MLP0", "query ⟂ W_U[IO], key ∥ MLP0", "query ⟂ W_U[IO], key ⟂ MLP0"}
	baselines = []string{"IO minus S1", "IO minus S1, query in span(W_U[IO], W_U[S])", "IO, no baseline"}
)

// sample is the answer with its query.
func (g grid) sample() sample { return sample{query: g.query(), result: g.result()} }
