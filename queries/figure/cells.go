package figure

import (
	"fmt"
	"math"
	"slices"

	"ducklens/queries"
)

// minLimit keeps the arithmetic of ticks away from the smallest numbers there are.
const minLimit = 1e-300

// cells fills in frames and scale of a heatmap or matrix from the rows.
func (f *Figure) cells(t *table, c queries.Chart) error {
	if err := t.noNulls(c.X, c.Y, c.Label); err != nil {
		return err
	}
	values, err := t.numbers(c.Fill)
	if err != nil {
		return err
	}
	se, count, err := t.support(c)
	if err != nil {
		return err
	}
	dense := f.Mark == queries.Matrix // its numbers are an order, those of a heatmap are places
	x, xAxis, err := t.axis(c.X, c.XTick, c.XGroup, c.XTitle, dense)
	if err != nil {
		return err
	}
	y, yAxis, err := t.axis(c.Y, c.YTick, c.YGroup, c.YTitle, dense)
	if err != nil {
		return err
	}
	g, err := f.grid(t, c, xAxis, yAxis)
	if err != nil {
		return err
	}
	if err := g.single("cell", x.of, y.of); err != nil {
		return err
	}
	for i := range t.rows {
		cell := Cell{Row: y.of[i], Column: x.of[i], Value: values[i], Label: t.text(i, c.Label), Error: se[i], Count: count[i]}
		panel := g.panel(i)
		panel.Cells = append(panel.Cells, cell)
		f.Scale.Limit = max(f.Scale.Limit, math.Abs(cell.Value))
	}
	for panel := range f.panels() {
		slices.SortFunc(panel.Cells, func(a, b Cell) int {
			if a.Row != b.Row {
				return a.Row - b.Row
			}
			return a.Column - b.Column
		})
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

// grid is the frames and panels of a figure while rows are put into them.
type grid struct {
	f              *Figure
	t              *table
	frames, facets places
}

// grid makes the figure's frames and panels, empty, with their axes.
func (f *Figure) grid(t *table, c queries.Chart, x, y Axis) (grid, error) {
	if err := t.noNulls(c.Facet, c.Frame); err != nil {
		return grid{}, err
	}
	g := grid{f: f, t: t, frames: t.categories(c.Frame), facets: t.categories(c.Facet)}
	if n := len(g.frames.names) * len(g.facets.names); n > maxPanels {
		return g, t.fail(ErrAxis, fmt.Sprintf("%d frames of %d panels, want at most %d panels in all",
			len(g.frames.names), len(g.facets.names), maxPanels), nil, "let the query choose some")
	}
	for _, frame := range g.frames.names {
		panels := make([]Panel, len(g.facets.names))
		for i, facet := range g.facets.names {
			panels[i] = Panel{Name: facet, X: x, Y: y}
		}
		f.Frames = append(f.Frames, Frame{Name: frame, Panels: panels})
	}
	return g, nil
}

// maxPanels is the largest number of panels of a figure, all frames together.
const maxPanels = 512

// panel is where row i goes.
func (g grid) panel(i int) *Panel { return &g.f.Frames[g.frames.of[i]].Panels[g.facets.of[i]] }

// single refuses two rows of a panel that have the same place; what is a word for that, a and b are the place of each row.
func (g grid) single(what string, a, b []int) error {
	type place struct{ frame, facet, a, b int }
	of := func(i int) place { return place{g.frames.of[i], g.facets.of[i], a[i], b[i]} }
	taken := make(map[place]int, len(a))
	for i := range a {
		first, ok := taken[of(i)]
		if !ok {
			taken[of(i)] = i
			continue
		}
		same := []int{first}
		for j := i; j < len(a); j++ {
			if of(j) == of(i) {
				same = append(same, j)
			}
		}
		return g.t.fail(ErrDuplicate, fmt.Sprintf("%d rows for one %s", len(same), what), same,
			"let the query aggregate, or name the column that tells the rows apart as facet or frame")
	}
	return nil
}

// panels goes through all panels of all frames.
func (f *Figure) panels() func(yield func(*Panel) bool) {
	return func(yield func(*Panel) bool) {
		for i := range f.Frames {
			for j := range f.Frames[i].Panels {
				if !yield(&f.Frames[i].Panels[j]) {
					return
				}
			}
		}
	}
}
