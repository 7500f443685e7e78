package figure

import (
	"math"
	"slices"

	"ducklens/queries"
)

// minLimit keeps the arithmetic of ticks away from the smallest floating-point numbers.
const minLimit = 1e-300

// cellRows are the rows of a heatmap or matrix that have been read but not placed in panels.
type cellRows struct {
	values, se   []float64
	count        []int64
	x, y         places
	xAxis, yAxis Axis
}

// cells sets the frames and the scale of a heatmap or matrix from the rows.
func (f *Figure) cells(t *table, c queries.Chart) error {
	if err := t.noNulls(c.X, c.Y, c.Label); err != nil {
		return err
	}
	rows, err := f.readCells(t, c)
	if err != nil {
		return err
	}
	g, err := f.grid(t, c, rows.xAxis, rows.yAxis)
	if err != nil {
		return err
	}
	if err := g.single("cell", rows.x.of, rows.y.of); err != nil {
		return err
	}
	for i := range t.rows {
		panel := g.panel(i)
		panel.Cells = append(panel.Cells, Cell{
			Row: rows.y.of[i], Column: rows.x.of[i], Value: rows.values[i], Label: t.text(i, c.Label),
			Error: rows.se[i], Count: rows.count[i],
		})
	}
	if f.hideCells(c.Hide); f.empty() {
		return t.nothingLeft()
	}
	if err := f.keepLargest(t, c); err != nil {
		return err
	}
	for panel := range f.panels() {
		slices.SortFunc(panel.Cells, func(a, b Cell) int {
			if a.Row != b.Row {
				return a.Row - b.Row
			}
			return a.Column - b.Column
		})
	}
	f.rescale(c)
	return nil
}

// readCells reads the places and contents of the cells.
func (f *Figure) readCells(t *table, c queries.Chart) (rows cellRows, err error) {
	if rows.values, err = t.numbers(c.Fill); err != nil {
		return rows, err
	}
	if rows.se, rows.count, err = t.support(c); err != nil {
		return rows, err
	}
	dense := f.Mark == queries.Matrix // its numbers are an order, those of a heatmap are positions
	if rows.x, rows.xAxis, err = t.axis(c.X, c.XTick, c.XGroup, c.XTitle, dense); err != nil {
		return rows, err
	}
	rows.y, rows.yAxis, err = t.axis(c.Y, c.YTick, c.YGroup, c.YTitle, dense)
	return rows, err
}

// hideCells removes the cells of components that the reader does not want to see: in a heatmap those with a
// label, in a matrix whole rows and columns. In a heatmap their places stay, empty.
func (f *Figure) hideCells(names []string) {
	hidden := func(p *Panel, c Cell) string {
		candidates := []string{c.Label}
		if f.Mark == queries.Matrix {
			candidates = []string{p.Y.Names[c.Row], p.X.Names[c.Column]}
		}
		for _, name := range candidates {
			if name != "" && slices.Contains(names, name) {
				return name
			}
		}
		return ""
	}
	var all, out float64
	for p := range f.panels() {
		kept := p.Cells[:0]
		for _, c := range p.Cells {
			all += math.Abs(c.Value)
			name := hidden(p, c)
			if name == "" {
				kept = append(kept, c)
				continue
			}
			out += math.Abs(c.Value)
			f.Hidden.add(name)
		}
		p.Cells = kept
	}
	if all > 0 {
		f.Hidden.Share = out / all
	}
}

// empty reports whether no panel has a cell.
func (f *Figure) empty() bool {
	for p := range f.panels() {
		if len(p.Cells) > 0 {
			return false
		}
	}
	return true
}

// panels yields all panels of all frames.
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
