package figure

import (
	"math"

	"gonum.org/v1/plot/vg"

	"ducklens/queries"
	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
	"ducklens/queries/figure/internal/typeset"
)

// barPlot draws horizontal bars, the first at the top, with their names at the left.
type barPlot struct {
	f      *Figure
	colors *palette.Palette
	axis   Axis // of the values
	x      ruler

	name         typeset.Style
	names        [][]string // lines of the name of each place
	pitch        vg.Length  // distance of two bars
	least, usual vg.Length  // of it
	label        typeset.Style
	left, right  vg.Length // space for labels at the ends of bars
	w            vg.Length
}

// Measures of bars in points.
const (
	barPart    = 0.66 // height of a bar as a part of the distance between two
	leastPitch = 8.5
	mostPitch  = 15.0
	nameLines  = 3
	labelGap   = 2.5

	halo         = 0.55 // opacity around an error bar; an opaque line would seem to cut the bar in two
	leastWhisker = 3.0  // shortest error bar with caps: a shorter one would consist of them
)

func newBarPlot(f *Figure, colors *palette.Palette) *barPlot {
	return &barPlot{f: f, colors: colors, axis: f.Frames[0].Panels[0].Y}
}

// Side implements page.Plot. Names get as many lines as they need to leave the bars enough of the page.
func (m *barPlot) Side(s *page.Styles, width vg.Length) vg.Length {
	m.name, m.label = s.Name, s.Name
	m.x.style = s.Tick
	room := vg.Length(3.4 * vg.Inch)
	if width > 0 {
		room = min(room, 0.56*width)
	}
	names := m.f.Frames[0].Panels[0].X.Names
	lines := 1
	for lines < nameLines && m.name.Widest(names) > room*vg.Length(lines) {
		lines++
	}
	m.names = make([][]string, len(names))
	var widest vg.Length
	most := 0
	for i, name := range names {
		m.names[i] = m.name.Balance(name, room, lines)
		widest = max(widest, m.name.Widest(m.names[i]))
		most = max(most, len(m.names[i]))
	}
	m.least = max(leastPitch, vg.Length(most)*m.name.Line()+1)
	m.usual = m.least
	if len(names) <= 12 {
		m.usual = max(m.least, mostPitch)
	}
	return widest
}

// Natural implements page.Plot.
func (m *barPlot) Natural(n int) vg.Length {
	if n == 1 {
		return 260
	}
	return 190
}

// Readable implements page.Plot.
func (m *barPlot) Readable(w vg.Length) bool { return w >= 110 }

// Gap implements page.Plot.
func (m *barPlot) Gap() vg.Length { return rulerGap }

// Fit implements page.Plot.
func (m *barPlot) Fit(w, h vg.Length) (width, height vg.Length) {
	m.w = max(min(w, 360), 20)
	m.pitch = m.usual
	if h > 0 {
		m.pitch = max(h/vg.Length(max(len(m.names), 1)), m.least)
	}
	m.left, m.right = 0, 0
	for p := range m.f.panels() {
		for _, b := range p.Bars {
			switch w := m.label.Width(b.Label); {
			case b.Label == "":
			case b.Value < 0:
				m.left = max(m.left, w+labelGap)
			default:
				m.right = max(m.right, w+labelGap)
			}
		}
	}
	if all := m.left + m.right; all > m.w/2 { // cut the labels rather than the bars
		m.left, m.right = m.left*m.w/2/all, m.right*m.w/2/all
	}
	m.x.low, m.x.high = m.axis.Low, m.axis.High
	if m.x.low == 0 && m.x.high == 0 {
		m.x.high = 1
	}
	pad := 0.03 * (m.x.high - m.x.low)
	if m.x.low < 0 {
		m.x.low -= pad
	}
	if m.x.high > 0 {
		m.x.high += pad
	}
	m.x.length = m.w - m.left - m.right
	m.x.numbers(9, true, false)
	return m.w, m.pitch * vg.Length(len(m.names))
}

// Middle implements page.Plot.
func (m *barPlot) Middle() vg.Length { return m.pitch * vg.Length(len(m.names)) / 2 }

// Below implements page.Plot.
func (m *barPlot) Below() vg.Length { return m.x.depth() }

// Notes implements page.Plot.
func (m *barPlot) Notes() []string { return m.f.marks() }

// missingBars says what a place without a bar means, if a panel has one, because it looks like a bar of 0.
func (f *Figure) missingBars() string {
	for p := range f.panels() {
		if f.Mark == queries.Bar && len(p.Bars) < len(f.Frames[0].Panels[0].X.Names) {
			return "no bar: not among those listed for that panel, which is not 0"
		}
	}
	return ""
}

// DrawSide implements page.Plot.
func (m *barPlot) DrawSide(p page.Pen, x, y vg.Length) {
	for i, lines := range m.names {
		mid := y + (vg.Length(i)+0.5)*m.pitch
		first := mid - vg.Length(len(lines)-1)/2*m.name.Line() + m.name.Cap()/2
		for k, line := range lines {
			p.Text(m.name, x-3, first+vg.Length(k)*m.name.Line(), 1, line)
		}
	}
}

// DrawBelow implements page.Plot.
func (m *barPlot) DrawBelow(p page.Pen, x, y vg.Length) { m.x.drawBelow(p, x+m.left, y) }

// Draw implements page.Plot.
func (m *barPlot) Draw(p page.Pen, frame, panel int, x, y vg.Length) {
	bars := m.f.Frames[frame].Panels[panel].Bars
	bottom := y + m.pitch*vg.Length(len(m.names))
	x += m.left
	var grid, rows vg.Path
	for _, v := range m.x.at {
		at := x + m.x.along(v)
		grid = append(grid, p.Path(false, at, y, at, bottom)...)
	}
	for i := range m.names { // from the name to the bar
		mid := y + (vg.Length(i)+0.5)*m.pitch
		rows = append(rows, p.Path(false, x-m.left, mid, x+m.x.along(0), mid)...)
	}
	p.Lines(m.colors.Grid, 0.4, grid)
	p.Lines(m.colors.Grid, 0.4, rows, 1, 1.5)
	if len(bars) == 0 {
		noRows(p, m.name, x+m.x.length/2, (y+bottom)/2)
	}
	for _, b := range bars {
		top := y + (vg.Length(b.Place)+0.5-barPart/2)*m.pitch
		p.Group(m.describe(b), func() { m.drawBar(p, b, x, top, barPart*m.pitch) })
	}
	zero := x + m.x.along(0)
	path := p.Path(false, zero, y, zero, bottom)
	path = append(path, p.Path(false, x, bottom, x+m.x.length, bottom)...)
	p.Lines(m.colors.Edge, 0.6, path)
}

// drawBar draws a bar of height h with its error and label; x is the left end of the axis.
func (m *barPlot) drawBar(p page.Pen, b Bar, x, y, h vg.Length) {
	from, to := x+m.x.along(0), x+m.x.along(b.Value)
	drawBar(p, m.colors, m.f.Legend.Style(b.Category), min(from, to), y, vg.Length(math.Abs(float64(to-from))), h)
	end := to
	if b.Error > 0 {
		low, high := x+m.x.along(b.Value-b.Error), x+m.x.along(b.Value+b.Error)
		mid, cap := y+h/2, 0.28*h
		path := p.Path(false, low, mid, high, mid)
		if high-low >= leastWhisker {
			path = append(path, p.Path(false, low, mid-cap, low, mid+cap)...)
			path = append(path, p.Path(false, high, mid-cap, high, mid+cap)...)
		}
		if high-low >= leastWhisker { // visible on any colour
			p.Lines(sheer(m.colors.Page, halo), 1.6, path)
		}
		p.Lines(m.colors.Ink, 0.65, path)
		if end = high; b.Value < 0 {
			end = low
		}
	}
	if b.Label == "" {
		return
	}
	baseline := y + (h+m.label.Cap())/2
	if b.Value < 0 {
		p.Text(m.label, end-labelGap, baseline, 1, m.label.Truncate(b.Label, m.left))
	} else {
		p.Text(m.label, end+labelGap, baseline, 0, m.label.Truncate(b.Label, m.right))
	}
}

// describe returns what a bar shows, for a tooltip.
func (m *barPlot) describe(b Bar) string {
	text := m.f.Frames[0].Panels[0].X.Names[b.Place]
	if len(m.f.Legend.Names) > 0 {
		text += " (" + m.f.Legend.Names[b.Category] + ")"
	}
	return text + ": " + measured(b.Value, b.Error, b.Count)
}

// legend explains the categories.
func (m *barPlot) legend() page.Aside {
	if len(m.f.Legend.Names) == 0 {
		return nil
	}
	l := page.Legend{Title: m.f.Legend.Title, Swatch: func(p page.Pen, i int, x, y, w, h vg.Length) {
		drawBar(p, m.colors, m.f.Legend.Style(i), x, y, w, h)
	}}
	for _, name := range m.f.Legend.Names {
		l.Entries = append(l.Entries, page.Entry{Name: name})
	}
	return l
}
