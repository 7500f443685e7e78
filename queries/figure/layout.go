package figure

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
)

const halfPi = math.Pi / 2

// Lengths in points (1/72 inch). A cell is as wide as its label at naturalText needs; the panel's
// other measures follow from the size of print in the field's papers.
const (
	screenEdge  = 9.0  // around a figure of natural width
	printEdge   = 4.0  // around one of given width: the page has its own margins
	panelGap    = 12.0 // between panels side by side
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
	barWidth    = 8.0
	barGap      = 13.0
	maxBar      = 220.0
)

// strong is the part of the scale from which on a cell states its sign in ink: its value where
// there is room for numbers, else a minus in its corner. Weaker cells are almost white.
const strong = 0.15

var (
	black = color.NRGBA{A: 255}
	dark  = color.NRGBA{R: 0x26, G: 0x26, B: 0x26, A: 255}
	grey  = color.NRGBA{R: 0x5c, G: 0x5c, B: 0x5c, A: 255}
	edge  = color.NRGBA{R: 0x80, G: 0x80, B: 0x80, A: 255}
)

// layout is where everything on the page goes. Coordinates are points from the upper left, y down.
type layout struct {
	f    *Figure
	w, h vg.Length
	edge vg.Length // empty all around

	title, subtitle, foot textStyle
	panelTitle, frameName textStyle
	name, axisTitle, tick textStyle
	label, value          textStyle

	titleLines, subtitleLines, footLines []string

	rows, columns int       // of a grid
	perRow        int       // panels side by side
	cellW, cellH  vg.Length // of a cell
	labels        bool      // labels fit in the cells
	values        bool      // and a number below them
	decimals      int       // of these numbers
	turned        bool      // column names read upwards
	rowNames      []string
	columnNames   []string
	rowNamesW     vg.Length
	columnNamesH  vg.Length

	left   vg.Length // of the first grid
	blocks []block
	xTitle vg.Length // baseline of the title of the x axis
	bar    bar
	footY  vg.Length // first baseline of the lines below
}

// block is one frame's panels.
type block struct {
	frame *Frame
	nameY vg.Length // baseline of the frame's name
	rows  []panelRow
}

// panelRow is some panels side by side.
type panelRow struct {
	first, n int
	titles   [][]string
	titleY   vg.Length // first baseline
	top      vg.Length // of the grids
}

// bar is the colour bar.
type bar struct {
	upright bool
	x, y    vg.Length // upper left
	length  vg.Length
	ticks   []float64
	texts   []string
	tickW   vg.Length
}

// narrow is the width below which text is smaller and the colour bar lies below the panels.
const narrow = 4.6 * vg.Inch

// newLayout arranges a figure, with the colour bar where it serves the panels best; width 0 is as wide as the
// panels need.
func newLayout(f *Figure, width vg.Length) *layout {
	if width > 0 && width < narrow {
		return arrange(f, width, false)
	}
	l := arrange(f, width, true)
	if l.axisTitle.width(f.Scale.Title) > l.bar.length+14 {
		return arrange(f, width, false) // the title would stand out above and below
	}
	if width > 0 {
		if lying := arrange(f, width, false); lying.perRow > l.perRow {
			return lying // the bar beside the panels would take the place of one
		}
	}
	return l
}

// arrange makes a layout with the colour bar upright beside the panels, or lying below them.
func arrange(f *Figure, width vg.Length, upright bool) *layout {
	l := &layout{f: f, edge: screenEdge, bar: bar{upright: upright}}
	if width > 0 {
		l.edge = printEdge
	}
	first := f.Frames[0].Panels[0]
	l.rows, l.columns = len(first.Y.Names), len(first.X.Names)
	l.styles(width > 0 && width < narrow)
	l.setTicks(4)
	l.rowNames = l.truncated(first.Y.Names, 1.2*vg.Inch)
	l.columnNames = l.truncated(first.X.Names, vg.Inch)
	l.rowNamesW = l.name.widest(l.rowNames)
	l.left = l.edge + l.rowNamesW + 3
	if first.Y.Title != "" {
		l.left += l.axisTitle.line()
	}
	right := l.edge
	if l.bar.upright {
		right += barGap + barWidth + 3.5 + l.bar.tickW + 4 + l.axisTitle.line()
	}
	l.sizeCells(width, l.left+right)
	if l.w = width; l.w == 0 {
		l.w = max(l.left+l.gridsW()+right, 3.4*vg.Inch)
	}
	if slack := l.w - l.left - l.gridsW() - right; slack > 0 {
		l.left += slack / 2 // cells have a largest size: centre what is narrower than the page
	}
	l.turned = l.name.widest(l.columnNames)+1.5 > l.cellW
	l.columnNamesH = l.name.line()
	if l.turned {
		l.columnNamesH = l.name.widest(l.columnNames) + 4
	}
	l.stack()
	return l
}

// styles sets the sizes of text, smaller in a narrow figure.
func (l *layout) styles(narrow bool) {
	k := vg.Length(1)
	if narrow {
		k = 0.87
	}
	l.title = textStyle{size: 10.5 * k, bold: true, color: black}
	l.subtitle = textStyle{size: 8.2 * k, color: dark}
	l.frameName = textStyle{size: 9.2 * k, bold: true, color: black}
	l.panelTitle = textStyle{size: 8.2 * k, bold: true, color: dark}
	l.name = textStyle{size: 6.8 * k, color: dark}
	l.axisTitle = textStyle{size: 7.4 * k, color: dark}
	l.tick = textStyle{size: 6.8 * k, color: dark}
	l.foot = textStyle{size: 6.2 * k, plain: true, color: grey}
}

// setTicks gives the bar at most most ticks on each side of zero.
func (l *layout) setTicks(most int) {
	b := &l.bar
	b.ticks, b.texts = l.f.Scale.ticks(most), nil
	step := b.ticks[len(b.ticks)/2+1] // the first above zero
	for _, x := range b.ticks {
		b.texts = append(b.texts, l.f.Scale.tickText(x, step))
	}
	b.tickW = l.tick.widest(b.texts)
}

// thinTicks takes ticks away until their texts do not touch.
func (l *layout) thinTicks() {
	for most := 3; most > 0; most-- {
		each := l.tick.line()
		if !l.bar.upright {
			each = l.bar.tickW + 4
		}
		distance := l.bar.length * vg.Length(l.bar.ticks[len(l.bar.ticks)/2+1]/(2*l.f.Scale.Limit))
		if each <= distance {
			return
		}
		l.setTicks(most)
	}
}

// truncated shortens the names of an axis.
func (l *layout) truncated(names []string, width vg.Length) []string {
	short := make([]string, len(names))
	for i, s := range names {
		short[i] = l.name.truncate(s, width)
	}
	return short
}

// panels is the number of panels of a frame.
func (l *layout) panels() int { return len(l.f.Frames[0].Panels) }

// gridW and gridH are the size of a panel's grid, gridsW that of a row of panels.
func (l *layout) gridW() vg.Length { return vg.Length(l.columns) * l.cellW }
func (l *layout) gridH() vg.Length { return vg.Length(l.rows) * l.cellH }
func (l *layout) gridsW() vg.Length {
	return vg.Length(l.perRow)*(l.gridW()+panelGap) - panelGap
}

// sizeCells chooses how many panels stand side by side, how large the cells are and what is written in them.
// around is the width of all that is not grid.
func (l *layout) sizeCells(width, around vg.Length) {
	unit := textStyle{size: 1}
	var widest vg.Length // of the labels, at one point
	for _, fr := range l.f.Frames {
		for _, p := range fr.Panels {
			for _, c := range p.Cells {
				widest = max(widest, unit.width(c.Label))
			}
		}
	}
	fit := func(cell vg.Length) vg.Length {
		if widest == 0 {
			return maxCellText
		}
		return min(maxCellText, (cell-2*cellPad)/widest)
	}
	n, most := l.panels(), l.f.Columns
	if most == 0 || most > n {
		most = n
	}
	if width == 0 {
		if l.f.Columns == 0 {
			most = l.naturalColumns()
		}
		l.perRow = most
		l.cellW = max(naturalCell, min(maxCell, naturalGrid/vg.Length(l.columns)))
		l.cellW = max(l.cellW, min(2*maxCell, 6.2*widest+2*cellPad)) // long labels, up to a point
	} else {
		for l.perRow = most; ; l.perRow-- {
			k := vg.Length(l.perRow)
			l.cellW = min(maxCell, (width-around-(k-1)*panelGap)/(k*vg.Length(l.columns)))
			if l.perRow == 1 || fit(l.cellW) >= minCellText {
				break
			}
		}
		if l.f.Columns == 0 { // no lonely panel in the last row
			lines := (n + l.perRow - 1) / l.perRow
			if k := (n + lines - 1) / lines; k < l.perRow {
				l.perRow = k
				l.cellW = min(maxCell, (width-around-vg.Length(k-1)*panelGap)/vg.Length(k*l.columns))
			}
		}
		l.cellW = max(l.cellW, 0.5)
	}
	l.cellH = min(maxCellH, l.cellW*cellAspect)
	l.label = textStyle{size: min(fit(l.cellW), l.cellH*0.62)}
	l.labels = widest > 0 && l.label.size >= lastText
	l.sizeValues()
	if tallest := l.cellH * 0.95; l.name.size > tallest {
		l.name.size = max(tallest, 1)
	}
}

// naturalColumns is how many panels stand side by side when there is room for any number.
func (l *layout) naturalColumns() int {
	switch n := l.panels(); {
	case n <= 3 || (n == 4 && len(l.f.Frames) > 1):
		return n
	case n == 4:
		return 2
	case n <= 9:
		return 3
	default:
		return 4
	}
}

// sizeValues decides whether strong cells have room for their value below the label.
func (l *layout) sizeValues() {
	l.decimals = decimals(l.f.Scale.Limit, 2)
	if l.f.Scale.Limit >= 1 && l.f.Scale.Limit < 10 {
		l.decimals = 2 // no wider than −0.41
	}
	if !l.labels || l.decimals > 4 || l.f.Scale.Limit >= 1e5 {
		return
	}
	l.value = textStyle{size: l.label.size * 0.84}
	widest := max(l.value.width(plain(l.f.Scale.Limit, l.decimals)), l.value.width(plain(-l.f.Scale.Limit, l.decimals)))
	if room := l.cellW - 2*cellPad; widest > room {
		l.value.size *= room / widest
	}
	l.values = l.value.size >= minValue && l.label.cap()+l.value.cap()+3*1.5 <= l.cellH
}

// stack sets the vertical places, from the top.
func (l *layout) stack() {
	width := l.w - 2*l.edge
	l.titleLines = l.title.balance(l.f.Title, width, 4)
	l.subtitleLines = l.subtitle.wrap(l.f.Subtitle, width, 4)
	y := l.edge
	y += vg.Length(len(l.titleLines))*l.title.line() + vg.Length(len(l.subtitleLines))*l.subtitle.line() + 3
	var top, bottom vg.Length
	for i := range l.f.Frames {
		b := block{frame: &l.f.Frames[i]}
		if b.frame.Name != "" {
			y += 5 + l.frameName.size
			b.nameY = y
			y += 4
		}
		for first := 0; first < l.panels(); first += l.perRow {
			r := panelRow{first: first, n: min(l.perRow, l.panels()-first)}
			lines := 0
			for j := range r.n {
				titles := l.panelTitle.balance(b.frame.Panels[first+j].Name, l.gridW()+printEdge-1, 3)
				r.titles = append(r.titles, titles)
				lines = max(lines, len(titles))
			}
			y += 3
			if lines > 0 {
				y += 2
			}
			r.titleY = y + l.panelTitle.size*0.9
			y += vg.Length(lines)*l.panelTitle.line() + 1
			r.top = y
			if top == 0 {
				top = y
			}
			y += l.gridH()
			bottom = y
			y += l.columnNamesH + 3
			b.rows = append(b.rows, r)
		}
		l.blocks = append(l.blocks, b)
	}
	if l.f.Frames[0].Panels[0].X.Title != "" {
		l.xTitle = y + l.axisTitle.size*0.85
		y += l.axisTitle.line()
	}
	if l.bar.upright {
		l.bar.x, l.bar.y = l.left+l.gridsW()+barGap, top
		l.bar.length = min(bottom-top, maxBar)
	} else {
		y += 6
		l.bar.length = min(l.gridsW(), maxBar)
		l.bar.x, l.bar.y = l.left+(l.gridsW()-l.bar.length)/2, y
		y += barWidth + 3 + l.tick.line() + l.axisTitle.line()
	}
	l.thinTicks()
	y += 5
	if l.marks() {
		note := "− in a cell's corner: below " + l.f.Scale.tickText(-strong*l.f.Scale.Limit, strong*l.f.Scale.Limit/10)
		l.footLines = l.foot.wrap(note, width, 2)
	}
	l.footLines = append(l.footLines, l.foot.wrap(l.f.provenance(), width, 8)...)
	l.footY = y + l.foot.size
	y += vg.Length(len(l.footLines)) * l.foot.line()
	l.h = y + l.edge*0.8
}

// marks tells whether some cell has a minus in its corner.
func (l *layout) marks() bool {
	if l.values {
		return false
	}
	for _, fr := range l.f.Frames {
		for _, p := range fr.Panels {
			if slices.ContainsFunc(p.Cells, l.marked) {
				return true
			}
		}
	}
	return false
}

// marked tells whether c has a minus in its corner.
func (l *layout) marked(c Cell) bool {
	return !l.values && c.Value <= -strong*l.f.Scale.Limit
}
