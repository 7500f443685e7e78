package figure

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
)

// linePlot draws lines over a common axis, with bands of one standard error.
type linePlot struct {
	f       *Figure
	colors  *palette.Palette
	x, y    ruler
	names   []string // of an axis of names
	markers bool     // few enough points to mark each
	w, h    vg.Length
}

// mostMarked is the maximum number of points of a line that are marked.
const mostMarked = 40

func newLinePlot(f *Figure, colors *palette.Palette) *linePlot {
	m := &linePlot{f: f, colors: colors, markers: true}
	for p := range f.panels() {
		for _, l := range p.Lines {
			m.markers = m.markers && len(l.Points) <= mostMarked
		}
	}
	return m
}

// Side implements page.Plot.
func (m *linePlot) Side(s *page.Styles, _ vg.Length) vg.Length {
	first := &m.f.Frames[0].Panels[0]
	m.names = first.X.Names
	m.x = ruler{low: first.X.Low, high: first.X.High, style: s.Tick}
	if !first.X.Numeric() {
		m.x.low, m.x.high = 0, float64(len(m.names)-1)
	}
	m.x.pad(0.02)
	m.y = ruler{low: first.Y.Low, high: first.Y.High, style: s.Tick, length: vg.Inch, signed: true}
	m.y.pad(0.05)
	m.y.numbers(6, false, false)
	return tickMark + 1.5 + s.Tick.Widest(m.y.texts) - 3
}

// pad widens the range of a ruler on each side by a part of it; an empty range becomes one around its value.
func (r *ruler) pad(part float64) {
	span := r.high - r.low
	if !(span > 1e-9*max(math.Abs(r.low), math.Abs(r.high))) {
		span = max(math.Abs(r.low), math.Abs(r.high), minLimit) / part / 2
		if r.low == 0 && r.high == 0 {
			span = 1 / part / 2
		}
	}
	r.low, r.high = r.low-part*span, r.high+part*span
}

// Natural implements page.Plot.
func (m *linePlot) Natural(n int) vg.Length { return naturalPanel(n) }

// Readable implements page.Plot.
func (m *linePlot) Readable(w vg.Length) bool { return w >= 150 }

// Gap implements page.Plot.
func (m *linePlot) Gap() vg.Length { return rulerGap }

// Fit implements page.Plot.
func (m *linePlot) Fit(w, h vg.Length) (width, height vg.Length) {
	m.w = max(min(w, plotMost), 20)
	m.h = min(max(0.6*m.w, 1.3*vg.Inch), 220)
	if h > 0 {
		m.h = max(h, leastPlot)
	}
	m.x.length, m.y.length = m.w, m.h
	if m.h < vg.Inch {
		m.y.numbers(6, false, false)
	}
	if m.names != nil {
		m.x.names(m.names)
	} else {
		m.x.numbers(12, true, m.whole())
	}
	return m.w, m.h
}

// whole reports whether all points are at whole numbers, such as layers.
func (m *linePlot) whole() bool {
	for p := range m.f.panels() {
		for _, l := range p.Lines {
			if slices.ContainsFunc(l.Points, func(pt Point) bool { return pt.X != math.Trunc(pt.X) }) {
				return false
			}
		}
	}
	return true
}

// Middle implements page.Plot.
func (m *linePlot) Middle() vg.Length { return m.h / 2 }

// Below implements page.Plot.
func (m *linePlot) Below() vg.Length { return m.x.depth() }

// Notes implements page.Plot.
func (m *linePlot) Notes() []string { return m.f.marks() }

// banded reports whether the error of any point is known.
func (l Line) banded() bool {
	for _, p := range l.Points {
		if p.Error > 0 {
			return true
		}
	}
	return false
}

// DrawSide implements page.Plot.
func (m *linePlot) DrawSide(p page.Pen, x, y vg.Length) { m.y.drawLeft(p, x, y+m.h) }

// DrawBelow implements page.Plot.
func (m *linePlot) DrawBelow(p page.Pen, x, y vg.Length) { m.x.drawBelow(p, x, y) }

// Draw implements page.Plot.
func (m *linePlot) Draw(p page.Pen, frame, panel int, x, y vg.Length) {
	list := m.f.Frames[frame].Panels[panel].Lines
	drawGrid(p, &m.x, &m.y, x, y, y, y+m.h)
	if len(list) == 0 {
		noRows(p, m.x.style, x+m.w/2, y+m.h/2)
	}
	at := func(v, w float64) (vg.Length, vg.Length) { return x + m.x.along(v), y + m.h - m.y.along(w) }
	for _, l := range list {
		if !l.banded() {
			continue
		}
		var xy []vg.Length
		for _, pt := range l.Points {
			px, py := at(pt.X, pt.Y+known(pt.Error))
			xy = append(xy, px, py)
		}
		for i := len(l.Points) - 1; i >= 0; i-- {
			px, py := at(l.Points[i].X, l.Points[i].Y-known(l.Points[i].Error))
			xy = append(xy, px, py)
		}
		p.SetColor(sheer(m.colors.Category(m.f.Legend.Style(l.Series)), 0.2))
		p.Fill(p.Path(true, xy...))
	}
	for _, l := range list {
		var xy []vg.Length
		for _, pt := range l.Points {
			px, py := at(pt.X, pt.Y)
			xy = append(xy, px, py)
		}
		p.Lines(m.colors.CategoryLine(m.f.Legend.Style(l.Series)), 1.1, p.Path(false, xy...), dash(m.f.Legend.Style(l.Series))...)
		if !m.markers && len(l.Points) > 1 {
			continue
		}
		for i, pt := range l.Points {
			p.Group(m.describe(l, pt), func() {
				p.SetColor(m.colors.CategoryLine(m.f.Legend.Style(l.Series)))
				p.Fill(marker(p, m.f.Legend.Style(l.Series), xy[2*i], xy[2*i+1], markerSize))
			})
		}
	}
	p.Lines(m.colors.Edge, 0.5, p.Path(false, x, y, x, y+m.h, x+m.w, y+m.h))
}

const markerSize = 3.2

// known returns a standard error, or 0 if there is none.
func known(se float64) float64 {
	if math.IsNaN(se) {
		return 0
	}
	return se
}

// describe returns what a point shows, for a tooltip.
func (m *linePlot) describe(l Line, pt Point) string {
	at := fmt.Sprintf("%.5g", pt.X)
	if m.names != nil {
		at = m.names[int(pt.X)]
	}
	if len(m.f.Legend.Names) > 0 {
		at = m.f.Legend.Names[l.Series] + ", " + at
	}
	return at + ": " + measured(pt.Y, pt.Error, pt.Count)
}

// legend explains the lines.
func (m *linePlot) legend() page.Aside {
	if len(m.f.Legend.Names) == 0 {
		return nil
	}
	l := page.Legend{Title: m.f.Legend.Title, Swatch: func(p page.Pen, i int, x, y, w, h vg.Length) {
		style := m.f.Legend.Style(i)
		line := m.colors.CategoryLine(style)
		p.Lines(line, 1.1, p.Path(false, x, y+h/2, x+w, y+h/2), dash(style)...)
		if m.markers {
			p.SetColor(line)
			p.Fill(marker(p, style, x+w/2, y+h/2, markerSize))
		}
	}}
	for _, name := range m.f.Legend.Names {
		l.Entries = append(l.Entries, page.Entry{Name: name})
	}
	return l
}
