package figure

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"ducklens/queries"
)

// Figure is a drawing before it has a size or a format.
type Figure struct {
	Name     string // of the saved query
	Mark     queries.Mark
	Title    string
	Subtitle string
	Columns  int // panels side by side as the query wants them; 0 leaves it to the drawing
	Frames   []Frame
	Scale    Scale
	Facts    []Fact
}

// Frame is one picture of a series, such as the same panels with another baseline: on paper a block of its own.
// All frames of a figure have the same panels in the same order. A query without frames gives one, without a name.
type Frame struct {
	Name   string
	Panels []Panel
}

// Panel is one set of axes and what is drawn on them. All panels of a heatmap share their axes, so that a
// place means the same component everywhere; a panel of a frame for which the result had no rows has no cells.
type Panel struct {
	Name  string
	X, Y  Axis
	Cells []Cell // by row, then column
}

// Axis is a category axis: its names in order, from the left or from the top.
type Axis struct {
	Title string
	Names []string
}

// Cell is one cell of a heatmap. A place without a Cell has no component and stays empty, which is not the same
// as zero.
type Cell struct {
	Row, Column int // index into the names of Y and X
	Value       float64
	Label       string
	Error       float64 // standard error in the unit of Value; NaN where unknown
	Count       int64   // number of examples behind the value; 0 where unknown
}

// Scale is the diverging colour scale that all panels and frames share: symmetric, white at zero, full
// colour at plus and minus Limit.
type Scale struct {
	Title string
	Limit float64 // positive, in the unit of the cells
}

// Fact is one thing to know about where a figure comes from, such as the run's id or its convention.
type Fact struct {
	Name, Value string
	Quiet       bool // written in the file's metadata, not below the figure
}

// New makes the figure that q.Chart describes from an answer to q. The facts are printed below the figure after
// the query's name, in their order; the query's SQL goes into the file's metadata.
//
// An answer that does not fit is an [*Error].
func New(q queries.Query, r *queries.Result, facts ...Fact) (*Figure, error) {
	f := &Figure{Name: q.Name, Mark: q.Chart.Mark, Columns: q.Chart.FacetColumns}
	if f.Mark != queries.Heatmap {
		return nil, &Error{
			Query: q.Name, Err: ErrMark,
			Detail: fmt.Sprintf("chart %s, want %s", f.Mark, queries.Heatmap),
			hint:   "run the query with the query command to see its rows",
		}
	}
	t, err := newTable(q, r)
	if err != nil {
		return nil, err
	}
	for _, text := range []struct {
		to   *string
		from string
	}{{&f.Title, q.Title}, {&f.Subtitle, q.Subtitle}} {
		if *text.to, err = r.Expand(text.from); err != nil {
			return nil, &Error{Query: q.Name, Err: ErrTitle, Detail: err.Error()}
		}
	}
	if f.Title == "" {
		f.Title = q.Name
	}
	f.Facts = append(f.Facts, Fact{Name: "query", Value: q.Name})
	f.Facts = append(f.Facts, facts...)
	if q.SQL != "" {
		f.Facts = append(f.Facts, Fact{Name: "sql", Value: q.SQL, Quiet: true})
	}
	if err := f.heatmap(t, q.Chart); err != nil {
		return nil, err
	}
	return f, nil
}

// provenance is the line below the figure.
func (f *Figure) provenance() string {
	var parts []string
	for _, fact := range f.Facts {
		if !fact.Quiet {
			parts = append(parts, fact.Name+" "+fact.Value)
		}
	}
	return strings.Join(parts, "  ·  ")
}

// minLimit keeps the arithmetic of ticks away from the smallest numbers there are.
const minLimit = 1e-300

// heatmap fills in frames and scale from the rows.
func (f *Figure) heatmap(t *table, c queries.Chart) error {
	columns := []struct {
		key, name string
		want      bool
	}{
		{"x", c.X, true}, {"y", c.Y, true}, {"fill", c.Fill, true}, {"label", c.Label, false},
		{"facet", c.Facet, false}, {"frame", c.Frame, false}, {"error", c.Error, false},
		{"count", c.Count, false}, {"order", c.Order, false}, {"x_tick", c.XTick, false}, {"y_tick", c.YTick, false},
	}
	for _, col := range columns {
		if err := t.require(col.key, col.name, col.want); err != nil {
			return err
		}
	}
	t.sort(c.Order)
	for _, name := range []string{c.X, c.Y, c.Label, c.Facet, c.Frame} {
		if err := t.noNulls(name); err != nil {
			return err
		}
	}
	values, err := t.numbers(c.Fill)
	if err != nil {
		return err
	}
	x, err := t.axis(c.X, c.XTick)
	if err != nil {
		return err
	}
	y, err := t.axis(c.Y, c.YTick)
	if err != nil {
		return err
	}
	facets, frames := t.categories(c.Facet), t.categories(c.Frame)

	xAxis, yAxis := Axis{Title: c.XTitle, Names: x.names}, Axis{Title: c.YTitle, Names: y.names}
	for _, frame := range frames.names {
		panels := make([]Panel, len(facets.names))
		for i, facet := range facets.names {
			panels[i] = Panel{Name: facet, X: xAxis, Y: yAxis}
		}
		f.Frames = append(f.Frames, Frame{Name: frame, Panels: panels})
	}
	type place struct{ frame, facet, row, column int }
	taken := make(map[place]int)
	for i := range t.rows {
		at := place{frames.of[i], facets.of[i], y.of[i], x.of[i]}
		if first, ok := taken[at]; ok {
			same := []int{first}
			for j := i; j < len(t.rows); j++ {
				if (place{frames.of[j], facets.of[j], y.of[j], x.of[j]}) == at {
					same = append(same, j)
				}
			}
			return t.fail(ErrDuplicate, fmt.Sprintf("%d rows for one cell", len(same)), same,
				"let the query aggregate, or name the column that tells the rows apart as facet or frame")
		}
		taken[at] = i
		cell := Cell{Row: at.row, Column: at.column, Value: values[i], Label: t.text(i, c.Label), Error: math.NaN()}
		if se, ok := t.number(i, c.Error); ok {
			cell.Error = se
		}
		if n, ok := t.number(i, c.Count); ok {
			cell.Count = int64(n)
		}
		panel := &f.Frames[at.frame].Panels[at.facet]
		panel.Cells = append(panel.Cells, cell)
		f.Scale.Limit = max(f.Scale.Limit, math.Abs(cell.Value))
	}
	for _, frame := range f.Frames {
		for _, panel := range frame.Panels {
			slices.SortFunc(panel.Cells, func(a, b Cell) int {
				if a.Row != b.Row {
					return a.Row - b.Row
				}
				return a.Column - b.Column
			})
		}
	}
	if f.Scale.Limit == 0 {
		f.Scale.Limit = 1 // every cell is zero; any scale shows that
	}
	f.Scale.Limit = max(f.Scale.Limit, minLimit)
	f.Scale.Title = c.FillTitle
	if f.Scale.Title == "" {
		f.Scale.Title = c.Fill
	}
	return nil
}
