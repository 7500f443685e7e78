package figure

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/axis"
	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
	"ducklens/queries/figure/internal/typeset"
)

// Lengths in points. A cell is as wide as its label at size naturalText needs. The other measures of a panel
// follow from the text sizes of printed papers in the field.
const (
	naturalCell = 22.0 // width of a cell if the width of the figure is not limited
	naturalGrid = 200.0
	naturalText = 6.2
	cellAspect  = 0.78 // height of a cell divided by its width
	maxCell     = 40.0 // widest cell
	maxCellH    = 24.0
	cellPad     = 0.9 // minimum distance of a label from its cell's side
	maxCellText = 7.5
	minText     = 5.0 // smallest text that is easily read in print
	leastColour = 3.6 // smallest side of a cell whose colour can be seen, if cells have no labels
	groupGap    = 4.0 // between groups of rows
)

// strong is the part of the scale above which a cell shows its sign in ink: by its value if there is room for
// numbers, and otherwise by a small triangle in its corner (a minus sign would seem to belong to the label).
// Weaker cells have almost the colour of the page.
const strong = 0.15

// heatmapPlot draws panels of labelled cells.
type heatmapPlot struct {
	f             *Figure
	colors        *palette.Palette
	rows, columns int      // of a panel
	texts         []string // the labels of all cells, without repetitions

	name                  typeset.Style // names of rows and columns
	label, value          typeset.Style
	rowNames, columnNames []string
	atRows, atColumns     []int // places whose names are printed

	groups   []int     // number of the group of each row, from 0
	w, h     vg.Length // of a cell
	hopeless bool      // no panel on this page is wide enough for labels
	labelled bool      // labels fit in the cells
	values   bool      // and a number below them
	decimals int       // of these numbers
	turned   bool      // column names read upwards
}

func newHeatmapPlot(f *Figure, colors *palette.Palette) *heatmapPlot {
	first := &f.Frames[0].Panels[0]
	m := &heatmapPlot{f: f, colors: colors, rows: len(first.Y.Names), columns: len(first.X.Names)}
	m.groups = make([]int, m.rows)
	for i, g := range first.Y.Groups {
		for k := range g.N {
			m.groups[g.First+k] = i
		}
	}
	seen := make(map[string]bool)
	for p := range f.panels() {
		for _, c := range p.Cells {
			if c.Label != "" && !seen[c.Label] {
				seen[c.Label] = true
				m.texts = append(m.texts, c.Label)
			}
		}
	}
	return m
}

// Side implements page.Plot.
func (m *heatmapPlot) Side(s *page.Styles, width vg.Length) vg.Length {
	m.name = s.Name
	first := &m.f.Frames[0].Panels[0]
	m.rowNames = truncated(m.name, first.Y.Names, 1.2*vg.Inch)
	m.columnNames = truncated(m.name, first.X.Names, vg.Inch)
	side := m.name.Widest(m.rowNames)
	m.hopeless = width > 0 && m.crowded(width, width-side)
	return side
}

// crowded reports whether labels would make the cells so wide that the panels do not fit on the page: side by
// side or, in print, one below the other.
func (m *heatmapPlot) crowded(width, room vg.Length) bool {
	if m.size(room/vg.Length(m.columns)) < minText {
		return true
	}
	side, panels := 1, len(m.f.Frames[0].Panels)
	for side < panels && m.size((room-vg.Length(side)*page.PanelGap)/vg.Length((side+1)*m.columns)) >= minText {
		side++
	}
	across := (panels + side - 1) / side
	const around = 40 // names above and below a panel
	least := minText*0.73 + 2*1.6
	return width <= page.Printed && vg.Length(len(m.f.Frames)*across)*(vg.Length(m.rows)*vg.Length(least)+around) > page.PrintedHeight
}

// truncated cuts names to a width.
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
	// Long labels make cells wider, up to a limit.
	cell = max(cell, min(2*maxCell, typeset.Style{Size: naturalText}.Widest(m.texts)+2*cellPad))
	return cell * vg.Length(m.columns)
}

// size returns the largest size of labels for cells of some width.
func (m *heatmapPlot) size(cell vg.Length) vg.Length {
	size := vg.Length(maxCellText)
	for range 4 { // subscripts do not shrink with the rest
		widest := typeset.Style{Size: size}.Widest(m.texts)
		if room := cell - 2*cellPad; widest > room {
			size *= max(room, 0.1) / widest
		}
	}
	return size
}

// Readable implements page.Plot. If even a panel as wide as the page has no room for labels, its cells only
// need to be visible.
func (m *heatmapPlot) Readable(w vg.Length) bool {
	cell := min(maxCell, w/vg.Length(m.columns))
	if m.hopeless {
		return cell >= leastColour
	}
	return m.size(cell) >= minText
}

// Gap implements page.Plot.
func (m *heatmapPlot) Gap() vg.Length { return page.PanelGap }

// Fit implements page.Plot.
func (m *heatmapPlot) Fit(w, h vg.Length) (width, height vg.Length) {
	m.w = max(min(max(maxCell, m.Natural(1)/vg.Length(m.columns)), w/vg.Length(m.columns)), 0.5)
	m.h = min(maxCellH, m.w*cellAspect)
	size := m.size(m.w)
	m.labelled = len(m.texts) > 0 && size >= minText
	if h > 0 {
		m.h = max((h-groupGap*vg.Length(m.groups[m.rows-1]))/vg.Length(m.rows), m.leastHeight())
	}
	m.label = typeset.Style{}
	if m.labelled {
		m.label.Size = max(minText, min(size, m.h*0.62))
	}
	m.sizeValues()
	m.nameCells()
	return m.w * vg.Length(m.columns), m.height()
}

// top returns where a row begins, below the top of the panel.
func (m *heatmapPlot) top(row int) vg.Length {
	return vg.Length(row)*m.h + vg.Length(m.groups[row])*m.gap()
}

// gap returns the height of the gap between groups of rows.
func (m *heatmapPlot) gap() vg.Length { return max(groupGap/2, min(groupGap, m.h/2)) }

// height returns the height of a panel.
func (m *heatmapPlot) height() vg.Length { return m.top(m.rows-1) + m.h }

// leastHeight returns the height of the lowest row that can be read.
func (m *heatmapPlot) leastHeight() vg.Length {
	if m.labelled {
		return typeset.Style{Size: minText}.Cap() + 2*1.6
	}
	return leastColour
}

// nameCells chooses the names of rows and columns that have room.
func (m *heatmapPlot) nameCells() {
	gap := m.name.Cap() * 1.25
	m.atRows = spread(m.rowNames, m.h, gap)
	m.turned = m.name.Widest(m.columnNames)+1.5 > m.w
	m.atColumns = spread(m.columnNames, m.w, 0)
	if m.turned {
		m.atColumns = spread(m.columnNames, m.w, gap)
	}
}

// sizeValues decides whether strong cells have room for their value: below the label or, if labels have no
// room, instead of it.
func (m *heatmapPlot) sizeValues() {
	limit := m.f.Scale.Limit
	m.values = false
	m.decimals = axis.Decimals(limit, 2)
	if limit >= 1 && limit < 10 && m.labelled {
		m.decimals = 2 // not wider than −0.41
	}
	if m.decimals > 4 || limit >= 1e5 {
		return
	}
	m.value = typeset.Style{Size: minText}
	if m.labelled {
		m.value.Size = m.label.Size * 0.84
	}
	room := m.w - 2*cellPad
	widest := m.value.Width(m.plain(-limit, m.decimals)) // the minus sign makes it the widest
	if widest > room {
		m.value.Size *= room / widest
	}
	// Use a little of the padding if that makes it readable.
	m.value.Size = max(m.value.Size, min(minText, m.value.Size*1.06))
	m.values = m.value.Size >= minText && m.stackHeight(m.label.Size, m.value.Size) <= m.h
	both := m.value.Size >= minText && m.stackHeight(minText, minText) <= m.h
	if !m.values && both { // in the smallest print
		m.label.Size, m.value.Size, m.values = min(m.label.Size, minText), minText, true
	}
}

// stackHeight returns the height of a cell with a label and its value below it, or with only a value.
func (m *heatmapPlot) stackHeight(label, value vg.Length) vg.Length {
	const lead = 1.3
	height := typeset.Style{Size: value}.Cap() + 2*lead
	if m.labelled {
		height += typeset.Style{Size: label}.Cap() + lead
	}
	return height
}

// plain formats a value for a cell, without the zero before the decimal point if there is no room for a
// label.
func (m *heatmapPlot) plain(x float64, decimals int) string {
	text := axis.Plain(x, decimals)
	if !m.labelled && decimals > 0 {
		text = strings.Replace(text, "0.", ".", 1)
		if math.Abs(x) >= 1 {
			text = axis.Plain(x, decimals)
		}
	}
	return text
}

// Middle implements page.Plot.
func (m *heatmapPlot) Middle() vg.Length { return m.height() / 2 }

// Below implements page.Plot.
func (m *heatmapPlot) Below() vg.Length {
	if m.turned {
		return m.name.Widest(m.columnNames) + 4
	}
	return m.name.Line()
}

// Notes implements page.Plot: it explains the mark of negative cells and, if cells have no labels, names the
// largest.
func (m *heatmapPlot) Notes() []string {
	var notes []string
	if !m.labelled && len(m.texts) > 0 {
		notes = append(notes, m.unplaced()...)
		notes = append(notes, m.f.largestCells()...)
	}
	for p := range m.f.panels() {
		for _, c := range p.Cells {
			if m.marked(p, c) {
				return append(notes, "triangle in a cell's corner: "+m.f.signLimit())
			}
		}
	}
	return notes
}

// unplaced names the cells of short rows that have no room for their names beside them.
func (m *heatmapPlot) unplaced() (notes []string) {
	for p := range m.f.panels() {
		for _, r := range p.shortRows() {
			if !m.roomBeside(m.besideStyle(r.row), r) {
				notes = append(notes, "row "+p.Y.Names[r.row]+", from the left: "+r.text)
			}
		}
	}
	slices.Sort(notes)
	return slices.Compact(notes)
}

// largestCells names the cells of each panel with the largest values on the scale, if there are few panels.
func (f *Figure) largestCells() []string {
	const panels = 4
	most := 8
	if n := len(f.Frames) * len(f.Frames[0].Panels); n > panels {
		return nil
	} else if n > 1 {
		most = 4
	}
	var notes []string
	for i := range f.Frames {
		for j := range f.Frames[i].Panels {
			p := &f.Frames[i].Panels[j]
			cells := slices.DeleteFunc(slices.Clone(p.Cells), func(c Cell) bool { return c.Apart })
			texts := p.values(cells)
			notes = append(notes, "largest"+p.naming()+": "+f.where(i, j)+strings.Join(texts[:min(most, len(texts))], ", "))
		}
	}
	return notes
}

// signLimit says below which values cells are marked.
func (f *Figure) signLimit() string {
	if !f.Scale.Shared() {
		return fmt.Sprintf("below −%g of the end of the scale", strong)
	}
	limit := f.Scale.Limit
	return "below " + axis.Text(-strong*limit, strong*limit/10, limit)
}

// marked reports whether c has the mark of a negative value in its corner.
func (m *heatmapPlot) marked(p *Panel, c Cell) bool {
	return !m.values && !c.Apart && p.shade(c) <= -strong
}

// DrawSide implements page.Plot.
func (m *heatmapPlot) DrawSide(p page.Pen, x, y vg.Length) {
	for _, i := range m.atRows {
		p.Text(m.name, x-3, y+m.top(i)+(m.h+m.name.Cap())/2, 1, m.rowNames[i])
	}
}

// DrawBelow implements page.Plot.
func (m *heatmapPlot) DrawBelow(p page.Pen, x, y vg.Length) {
	for _, i := range m.atColumns {
		mid := x + (vg.Length(i)+0.5)*m.w
		if m.turned {
			p.TextUp(m.name, mid+m.name.Cap()/2, y+3, 1, m.columnNames[i])
		} else {
			p.Text(m.name, mid, y+2+m.name.Size*0.85, 0.5, m.columnNames[i])
		}
	}
}

// Draw implements page.Plot.
func (m *heatmapPlot) Draw(p page.Pen, frame, panel int, x, y vg.Length) {
	drawn := &m.f.Frames[frame].Panels[panel]
	cells := drawn.Cells
	if len(cells) == 0 {
		noRows(p, m.name, x+m.w*vg.Length(m.columns)/2, y+m.height()/2)
		return
	}
	has := presence(cells)
	for _, c := range cells {
		w, h := m.w, m.h
		if has[[2]int{c.Row, c.Column + 1}] {
			w += page.Seam
		}
		if has[[2]int{c.Row + 1, c.Column}] && m.groups[c.Row] == m.groups[c.Row+1] {
			h += page.Seam
		}
		p.Group(drawn.describe(c), func() {
			p.Rect(m.color(drawn, c), x+vg.Length(c.Column)*m.w, y+m.top(c.Row), w, h)
		})
	}
	for _, g := range runs(m.groups) { // a frame for each group
		var own []Cell
		for _, c := range cells {
			if c.Row >= g[0] && c.Row < g[1] {
				own = append(own, c)
			}
		}
		p.Lines(m.colors.Edge, 0.5, outline(p, own, presence(own), x, y+m.top(g[0])-vg.Length(g[0])*m.h, m.w, m.h))
	}
	for _, c := range cells {
		left, top := x+vg.Length(c.Column)*m.w, y+m.top(c.Row)
		m.drawText(p, drawn, c, left, top)
		if c.Apart && m.labelled && !m.values {
			m.drawBeside(p, c, has, left, top)
		}
	}
	if !m.labelled {
		for _, r := range drawn.shortRows() {
			if style := m.besideStyle(r.row); m.roomBeside(style, r) {
				p.Text(style, x+vg.Length(r.end)*m.w+2.5, y+m.top(r.row)+(m.h+style.Cap())/2, 0, r.text)
			}
		}
	}
}

// runs returns where runs of equal numbers begin and end.
func runs(list []int) (spans [][2]int) {
	for i, v := range list {
		if n := len(spans); n > 0 && list[i-1] == v {
			spans[n-1][1] = i + 1
		} else {
			spans = append(spans, [2]int{i, i + 1})
		}
	}
	return spans
}

// shortRow is a row with few cells, which has room beside it for their names.
type shortRow struct {
	row, end int    // end is the column after its last cell
	text     string // the names of its cells from the left, with the numbers of those that are set apart
}

// mostBeside is the largest number of cells of a short row.
const mostBeside = 6

// shortRows lists the rows with few cells, such as that of the embeddings, whose columns are named after
// others.
func (p *Panel) shortRows() (list []shortRow) {
	for row := range p.Y.Names {
		r := shortRow{row: row}
		var names []string
		for _, c := range p.Cells {
			if c.Row == row {
				name := c.Label
				if c.Apart {
					name += " " + short(c.Value)
				}
				if r.end = c.Column + 1; name != "" {
					names = append(names, name)
				}
			}
		}
		if r.text = strings.Join(names, ", "); len(names) > 0 && len(names) <= mostBeside && r.end < len(p.X.Names) {
			list = append(list, r)
		}
	}
	return list
}

// besideStyle returns the style of texts beside the cells of a row. A row that is a group of its own has the
// room of a gap as well.
func (m *heatmapPlot) besideStyle(row int) typeset.Style {
	room := m.h
	if above := row == 0 || m.groups[row-1] != m.groups[row]; above && row+1 < m.rows && m.groups[row+1] != m.groups[row] {
		room += 2 * m.gap()
	}
	style := m.name
	style.Size = min(style.Size, 0.85*room) // including its subscript
	return style
}

// roomBeside reports whether the names of a short row have room beside it.
func (m *heatmapPlot) roomBeside(style typeset.Style, r shortRow) bool {
	return style.Size >= minText && style.Width(r.text)+3 <= vg.Length(m.columns-r.end)*m.w
}

// drawBeside writes the number of a cell that is set apart to its right, if there are no cells there.
func (m *heatmapPlot) drawBeside(p page.Pen, c Cell, has map[[2]int]bool, x, y vg.Length) {
	style := m.besideStyle(c.Row)
	text := short(c.Value)
	places := int(math.Ceil(float64((style.Width(text) + 3) / m.w)))
	if c.Column+places >= m.columns || style.Size < minText {
		return
	}
	for i := 1; i <= places; i++ {
		if has[[2]int{c.Row, c.Column + i}] {
			return
		}
	}
	p.Text(style, x+m.w+2.5, y+(m.h+style.Cap())/2, 0, text)
}

// color returns the fill colour of a cell.
func (m *heatmapPlot) color(p *Panel, c Cell) color.NRGBA { return m.colors.Diverging(p.Shade(c)) }

// drawText writes a cell's label and, if the cell is strong, its sign.
func (m *heatmapPlot) drawText(p page.Pen, panel *Panel, c Cell, x, y vg.Length) {
	label, value := m.label, m.value
	label.Color = palette.On(m.color(panel, c))
	if c.Apart {
		drawApart(p, m.colors, x, y, m.w, m.h)
		label.Color = m.colors.Text
	}
	value.Color = label.Color
	text := ""
	if m.values && (c.Apart && m.labelled || !c.Apart && math.Abs(panel.shade(c)) >= strong) {
		text = m.number(panel, c)
	}
	mid, baseline := x+m.w/2, y+(m.h+label.Cap())/2
	switch {
	case text != "" && m.labelled:
		space := (m.h - label.Cap() - value.Cap()) / 3
		baseline = y + 0.9*space + label.Cap()
		if strings.Contains(c.Label, "_") { // its subscript reaches down
			baseline -= min(0.5*space, 0.1*label.Size)
		}
		p.Text(value, mid, y+m.h-0.9*space, 0.5, text)
	case text != "":
		p.Text(value, mid, y+(m.h+value.Cap())/2, 0.5, text)
	}
	if m.labelled && c.Label != "" {
		p.Text(label, mid, baseline, 0.5, c.Label)
	}
	if m.marked(panel, c) {
		side := min(3.2, 0.3*m.w, 0.4*m.h)
		p.SetColor(label.Color)
		p.Fill(p.Path(true, x, y, x+side, y, x, y+side))
	}
}

// number returns the value of a cell, or "" if it is beyond the scale and there is no room for it.
func (m *heatmapPlot) number(p *Panel, c Cell) string {
	decimals := m.decimals
	if !m.f.Scale.Shared() {
		decimals = min(4, axis.Decimals(p.Limit, 2))
	}
	for ; decimals >= 0; decimals-- {
		text := m.plain(c.Value, decimals)
		if m.value.Width(text) <= m.w-cellPad {
			return text
		}
	}
	return ""
}

// drawApart marks a cell whose value is outside of the colour scale.
func drawApart(p page.Pen, colors *palette.Palette, x, y, w, h vg.Length) {
	p.Lines(colors.Grid, 0.8, hatching(p, x, y, w, h, true))
	edge := p.Path(true, x+0.5, y+0.5, x+w-0.5, y+0.5, x+w-0.5, y+h-0.5, x+0.5, y+h-0.5)
	p.Lines(colors.Edge, 0.6, edge, 1.5, 1)
}

// noRows draws the text of a panel for which the result has no rows.
func noRows(p page.Pen, style typeset.Style, x, y vg.Length) {
	style.Color = p.Colors.Muted
	p.Text(style, x, y, 0.5, "no rows")
}

// presence returns the places that have a cell.
func presence(cells []Cell) map[[2]int]bool {
	has := make(map[[2]int]bool, len(cells))
	for _, c := range cells {
		has[[2]int{c.Row, c.Column}] = true
	}
	return has
}

// outline draws a frame around the cells, which distinguishes them from places without a component: a cell of
// value zero has the colour of the page. The panel's upper left corner is at x, y; its cells are w x h.
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

// cellName returns the label of a cell, or its row and column.
func (p *Panel) cellName(c Cell) string {
	if c.Label != "" {
		return c.Label
	}
	return p.Y.Names[c.Row] + ", " + p.X.Names[c.Column]
}

// describe returns what a cell shows, for a tooltip.
func (p *Panel) describe(c Cell) string {
	text := p.cellName(c) + ": " + measured(c.Value, c.Error, c.Count)
	if c.Apart {
		text += "; outside the colour scale"
	}
	return text
}

// measured formats a value with its error and the number of examples, if they are known.
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
