package figure

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/axis"
	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
	"ducklens/queries/figure/internal/typeset"
)

// Lengths in points. A cell is as wide as its label at naturalText needs; the panel's
// other measures follow from the size of print in the field's papers.
const (
	naturalCell = 22.0 // width of a cell when the figure may be as wide as it likes
	naturalGrid = 200.0
	cellAspect  = 0.78 // height of a cell by its width
	maxCell     = 40.0 // widest cell
	maxCellH    = 24.0
	cellPad     = 0.9 // least distance of a label from its cell's side
	maxCellText = 7.5
	minCellText = 4.8 // smallest text that is read with ease in print; panels wrap to keep it
	lastText    = 3.6 // smallest text worth drawing where even one panel is too wide
	minValue    = 4.6 // the same for the number below a label, which is digits only
)

// strong is the part of the scale from which on a cell states its sign in ink: its value where
// there is room for numbers, else a minus in its corner. Weaker cells have almost the colour of the page.
const strong = 0.15

// heatmapPlot draws panels of labelled cells.
type heatmapPlot struct {
	f             *Figure
	colors        *palette.Palette
	rows, columns int       // of a panel
	widest        vg.Length // of the labels, at one point

	name                  typeset.Style // names of rows and columns
	label, value          typeset.Style
	rowNames, columnNames []string

	w, h     vg.Length // of a cell
	labels   bool      // labels fit in the cells
	values   bool      // and a number below them
	decimals int       // of these numbers
	turned   bool      // column names read upwards
}

func newHeatmapPlot(f *Figure, colors *palette.Palette) *heatmapPlot {
	first := &f.Frames[0].Panels[0]
	m := &heatmapPlot{f: f, colors: colors, rows: len(first.Y.Names), columns: len(first.X.Names)}
	unit := typeset.Style{Size: 1}
	for p := range f.panels() {
		for _, c := range p.Cells {
			m.widest = max(m.widest, unit.Width(c.Label))
		}
	}
	return m
}

// Side implements page.Plot.
func (m *heatmapPlot) Side(s *page.Styles, _ vg.Length) vg.Length {
	m.name = s.Name
	first := &m.f.Frames[0].Panels[0]
	m.rowNames = truncated(m.name, first.Y.Names, 1.2*vg.Inch)
	m.columnNames = truncated(m.name, first.X.Names, vg.Inch)
	return m.name.Widest(m.rowNames)
}

// truncated shortens names to a width.
func truncated(style typeset.Style, names []string, width vg.Length) []string {
	short := make([]string, len(names))
	for i, s := range names {
		short[i] = style.Truncate(s, width)
	}
	return short
}

// Natural implements page.Plot.
func (m *heatmapPlot) Natural(int) vg.Length {
	cell := max(naturalCell, min(maxCell, naturalGrid/vg.Length(m.columns)))
	cell = max(cell, min(2*maxCell, 6.2*m.widest+2*cellPad)) // long labels, up to a point
	return cell * vg.Length(m.columns)
}

// text is the largest size of labels in cells of some width.
func (m *heatmapPlot) text(cell vg.Length) vg.Length {
	if m.widest == 0 {
		return maxCellText
	}
	return min(maxCellText, (cell-2*cellPad)/m.widest)
}

// Readable implements page.Plot.
func (m *heatmapPlot) Readable(w vg.Length) bool {
	return m.text(min(maxCell, w/vg.Length(m.columns))) >= minCellText
}

// Fit implements page.Plot.
func (m *heatmapPlot) Fit(w vg.Length) (width, height vg.Length) {
	m.w = max(min(max(maxCell, m.Natural(1)/vg.Length(m.columns)), w/vg.Length(m.columns)), 0.5)
	m.h = min(maxCellH, m.w*cellAspect)
	m.label = typeset.Style{Size: min(m.text(m.w), m.h*0.62)}
	m.labels = m.widest > 0 && m.label.Size >= lastText
	m.sizeValues()
	if tallest := m.h * 0.95; m.name.Size > tallest {
		m.name.Size = max(tallest, 1)
	}
	m.turned = m.name.Widest(m.columnNames)+1.5 > m.w
	return m.w * vg.Length(m.columns), m.h * vg.Length(m.rows)
}

// sizeValues decides whether strong cells have room for their value below the label.
func (m *heatmapPlot) sizeValues() {
	limit := m.f.Scale.Limit
	m.values = false
	m.decimals = axis.Decimals(limit, 2)
	if limit >= 1 && limit < 10 {
		m.decimals = 2 // no wider than −0.41
	}
	if !m.labels || m.decimals > 4 || limit >= 1e5 {
		return
	}
	m.value = typeset.Style{Size: m.label.Size * 0.84}
	widest := max(m.value.Width(axis.Plain(limit, m.decimals)), m.value.Width(axis.Plain(-limit, m.decimals)))
	if room := m.w - 2*cellPad; widest > room {
		m.value.Size *= room / widest
	}
	m.values = m.value.Size >= minValue && m.label.Cap()+m.value.Cap()+3*1.5 <= m.h
}

// Middle implements page.Plot.
func (m *heatmapPlot) Middle() vg.Length { return m.h * vg.Length(m.rows) / 2 }

// Below implements page.Plot.
func (m *heatmapPlot) Below() vg.Length {
	if m.turned {
		return m.name.Widest(m.columnNames) + 4
	}
	return m.name.Line()
}

// Notes implements page.Plot: what the mark of negative cells means, where there are such cells.
func (m *heatmapPlot) Notes() []string {
	for p := range m.f.panels() {
		for _, c := range p.Cells {
			if m.marked(c) {
				return []string{"− in a cell's corner: below " + signLimit(m.f.Scale.Limit)}
			}
		}
	}
	return nil
}

// signLimit writes the value below which cells have a minus.
func signLimit(limit float64) string { return axis.Text(-strong*limit, strong*limit/10, limit) }

// marked tells whether c has a minus in its corner.
func (m *heatmapPlot) marked(c Cell) bool {
	return !m.values && c.Value <= -strong*m.f.Scale.Limit
}

// DrawSide implements page.Plot.
func (m *heatmapPlot) DrawSide(p page.Pen, x, y vg.Length) {
	for i, name := range m.rowNames {
		p.Text(m.name, x-3, y+(vg.Length(i)+0.5)*m.h+m.name.Cap()/2, 1, name)
	}
}

// DrawBelow implements page.Plot.
func (m *heatmapPlot) DrawBelow(p page.Pen, x, y vg.Length) {
	for i, name := range m.columnNames {
		mid := x + (vg.Length(i)+0.5)*m.w
		if m.turned {
			p.TextUp(m.name, mid+m.name.Cap()/2, y+3, 1, name)
		} else {
			p.Text(m.name, mid, y+2+m.name.Size*0.85, 0.5, name)
		}
	}
}

// Draw implements page.Plot.
func (m *heatmapPlot) Draw(p page.Pen, frame, panel int, x, y vg.Length) {
	cells := m.f.Frames[frame].Panels[panel].Cells
	if len(cells) == 0 {
		noRows(p, m.name, x+m.w*vg.Length(m.columns)/2, y+m.h*vg.Length(m.rows)/2)
		return
	}
	has := presence(cells)
	for _, c := range cells {
		w, h := m.w, m.h
		if has[[2]int{c.Row, c.Column + 1}] {
			w += page.Seam
		}
		if has[[2]int{c.Row + 1, c.Column}] {
			h += page.Seam
		}
		p.Group(m.f.Frames[frame].Panels[panel].describe(c), func() {
			p.Rect(m.color(c), x+vg.Length(c.Column)*m.w, y+vg.Length(c.Row)*m.h, w, h)
		})
	}
	p.Lines(m.colors.Edge, 0.5, outline(p, cells, has, x, y, m.w, m.h))
	for _, c := range cells {
		m.drawText(p, c, x+vg.Length(c.Column)*m.w, y+vg.Length(c.Row)*m.h)
	}
}

// color is what a cell is filled with.
func (m *heatmapPlot) color(c Cell) color.NRGBA { return m.colors.Diverging(c.Value / m.f.Scale.Limit) }

// drawText writes a cell's label, and its sign where that is strong.
func (m *heatmapPlot) drawText(p page.Pen, c Cell, x, y vg.Length) {
	label, value := m.label, m.value
	label.Color = palette.On(m.color(c))
	value.Color = label.Color
	mid, baseline := x+m.w/2, y+(m.h+label.Cap())/2
	if m.values && math.Abs(c.Value) >= strong*m.f.Scale.Limit {
		space := (m.h - label.Cap() - value.Cap()) / 3
		baseline = y + 0.9*space + label.Cap()
		p.Text(value, mid, y+m.h-0.9*space, 0.5, axis.Plain(c.Value, m.decimals))
	}
	if m.labels && c.Label != "" {
		p.Text(label, mid, baseline, 0.5, c.Label)
	}
	if m.marked(c) {
		inset := min(1.2, 0.1*m.h)
		p.Rect(label.Color, x+inset, y+inset, min(3.2, 0.25*m.w), 0.55)
	}
}

// noRows stands in a panel for which the result has nothing.
func noRows(p page.Pen, style typeset.Style, x, y vg.Length) {
	style.Color = p.Colors.Muted
	p.Text(style, x, y, 0.5, "no rows")
}

// presence are the places that have a cell.
func presence(cells []Cell) map[[2]int]bool {
	has := make(map[[2]int]bool, len(cells))
	for _, c := range cells {
		has[[2]int{c.Row, c.Column}] = true
	}
	return has
}

// outline frames the cells that are there, which sets them off from places without a component: a cell of
// value zero has the colour of the page. The panel's upper left corner is at x, y, its cells are w x h.
func outline(p page.Pen, cells []Cell, has map[[2]int]bool, x, y, w, h vg.Length) vg.Path {
	var path vg.Path
	for _, c := range cells {
		x, y := x+vg.Length(c.Column)*w, y+vg.Length(c.Row)*h
		for _, side := range []struct {
			row, column    int
			x0, y0, x1, y1 vg.Length
		}{
			{-1, 0, 0, 0, 1, 0}, {1, 0, 0, 1, 1, 1}, {0, -1, 0, 0, 0, 1}, {0, 1, 1, 0, 1, 1},
		} {
			if has[[2]int{c.Row + side.row, c.Column + side.column}] {
				continue
			}
			path.Move(p.At(x+side.x0*w, y+side.y0*h))
			path.Line(p.At(x+side.x1*w, y+side.y1*h))
		}
	}
	return path
}

// describe says what a cell shows, for a viewer's pointer.
func (p *Panel) describe(c Cell) string {
	text := c.Label
	if text == "" {
		text = p.Y.Names[c.Row] + ", " + p.X.Names[c.Column]
	}
	return text + ": " + measured(c.Value, c.Error, c.Count)
}

// measured writes a value with what is known of its error and the number of examples.
func measured(value, se float64, n int64) string {
	text := strconv.FormatFloat(value, 'g', 5, 64)
	if !math.IsNaN(se) {
		text += " ± " + strconv.FormatFloat(se, 'g', 2, 64)
	}
	if n > 0 {
		text += fmt.Sprintf(" (n = %d)", n)
	}
	return text
}
