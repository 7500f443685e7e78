package figure

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/axis"
	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
)

// histogramPlot draws overlaid distributions and, above them, a box for each, in legend order.
type histogramPlot struct {
	f      *Figure
	colors *palette.Palette
	x, y   ruler
	series int
	boxH   vg.Length // of one box with the space around it
	w, h   vg.Length // of the part below the boxes
}

// Measures of histograms in points.
const (
	boxGap    = 5.0  // between boxes and histogram
	plotMost  = 460  // widest panel of numbers
	leastPlot = 48.0 // minimum height
)

func newHistogramPlot(f *Figure, colors *palette.Palette) *histogramPlot {
	return &histogramPlot{f: f, colors: colors, series: max(1, len(f.Legend.Names))}
}

// Side implements page.Plot.
func (m *histogramPlot) Side(s *page.Styles, _ vg.Length) vg.Length {
	first := &m.f.Frames[0].Panels[0]
	m.x = ruler{low: first.X.Low, high: first.X.High, style: s.Tick, signed: true}
	m.y = ruler{high: 1.04 * first.Y.High, style: s.Tick, length: vg.Inch}
	m.y.numbers(6, false, true)
	m.boxH = s.Tick.Size
	return tickMark + 1.5 + s.Tick.Widest(m.y.texts) - 3
}

// Natural implements page.Plot.
func (m *histogramPlot) Natural(n int) vg.Length { return naturalPanel(n) }

// naturalPanel returns the width of a panel of numbers if the width is not limited.
func naturalPanel(n int) vg.Length {
	switch n {
	case 1:
		return 340
	case 2:
		return 240
	default:
		return 200
	}
}

// Readable implements page.Plot.
func (m *histogramPlot) Readable(w vg.Length) bool { return w >= 150 }

// Gap implements page.Plot.
func (m *histogramPlot) Gap() vg.Length { return rulerGap }

// Fit implements page.Plot.
func (m *histogramPlot) Fit(w, h vg.Length) (width, height vg.Length) {
	m.w = max(min(w, plotMost), 20)
	m.h = min(max(0.5*m.w, 1.2*vg.Inch), 200)
	if h > 0 {
		m.h = max(h-m.boxes(), leastPlot)
	}
	m.x.length, m.y.length = m.w, m.h
	if m.h < vg.Inch {
		m.y.numbers(6, false, true)
	}
	m.x.numbers(10, true, false)
	return m.w, m.boxes() + m.h
}

// boxes returns the height of all boxes with the gap below them.
func (m *histogramPlot) boxes() vg.Length { return vg.Length(m.series)*m.boxH + boxGap }

// Middle implements page.Plot.
func (m *histogramPlot) Middle() vg.Length { return m.boxes() + m.h/2 }

// Below implements page.Plot.
func (m *histogramPlot) Below() vg.Length { return m.x.depth() }

// Notes implements page.Plot.
func (m *histogramPlot) Notes() []string {
	return []string{"boxes: quartiles, median (bar) and mean (◆); whiskers within 1.5 × the interquartile range"}
}

// DrawSide implements page.Plot.
func (m *histogramPlot) DrawSide(p page.Pen, x, y vg.Length) {
	m.y.drawLeft(p, x, y+m.boxes()+m.h)
}

// DrawBelow implements page.Plot.
func (m *histogramPlot) DrawBelow(p page.Pen, x, y vg.Length) { m.x.drawBelow(p, x, y) }

// Draw implements page.Plot.
func (m *histogramPlot) Draw(p page.Pen, frame, panel int, x, y vg.Length) {
	list := m.f.Frames[frame].Panels[panel].Distributions
	top, bottom := y+m.boxes(), y+m.boxes()+m.h
	drawGrid(p, &m.x, &m.y, x, y, top, bottom)
	if len(list) == 0 {
		noRows(p, m.x.style, x+m.w/2, top+m.h/2)
	}
	for _, d := range list { // all fills, then all outlines, so that no outline is hidden
		p.Group(m.describe(d), func() {
			p.SetColor(sheer(m.colors.Category(m.f.Legend.Style(d.Series)), m.alpha()))
			p.Fill(m.steps(p, d, x, bottom, true))
		})
	}
	for _, d := range list {
		p.Lines(m.colors.CategoryLine(m.f.Legend.Style(d.Series)), 0.9, m.steps(p, d, x, bottom, false), dash(m.f.Legend.Style(d.Series))...)
	}
	for _, d := range list {
		p.Group(m.describe(d), func() { m.drawBox(p, d, x, y+(vg.Length(d.Series)+0.5)*m.boxH) })
	}
	p.Lines(m.colors.Edge, 0.5, p.Path(false, x, top, x, bottom, x+m.w, bottom))
}

// alpha returns the opacity of one series.
func (m *histogramPlot) alpha() float64 { return max(0.16, 0.5/math.Sqrt(float64(m.series))) }

// steps returns the outline of the counts, with a step for each bin; bins without values follow the axis. If
// closed, it can be filled.
func (m *histogramPlot) steps(p page.Pen, d Distribution, x, bottom vg.Length, closed bool) vg.Path {
	var xy []vg.Length
	first, last := 0, len(d.Counts)-1
	for first < last && d.Counts[first] == 0 {
		first++
	}
	for last > first && d.Counts[last] == 0 {
		last--
	}
	edge := func(i int) vg.Length { return x + m.x.along(m.f.Bins.Edge(i)) }
	xy = append(xy, edge(first), bottom)
	for i := first; i <= last; i++ {
		h := bottom - m.y.along(float64(d.Counts[i]))
		if i == first || d.Counts[i] != d.Counts[i-1] {
			xy = append(xy, edge(i), h)
		}
		if i == last || d.Counts[i] != d.Counts[i+1] {
			xy = append(xy, edge(i+1), h)
		}
	}
	xy = append(xy, edge(last+1), bottom)
	return p.Path(closed, xy...)
}

// drawBox draws the summary of a series, centred at height mid.
func (m *histogramPlot) drawBox(p page.Pen, d Distribution, x, mid vg.Length) {
	fill, line := m.colors.Category(m.f.Legend.Style(d.Series)), m.colors.CategoryLine(m.f.Legend.Style(d.Series))
	at := func(v float64) vg.Length { return x + m.x.along(v) }
	half := 0.33 * m.boxH
	low, q1, median, q3, high := at(d.Box.Low), at(d.Box.Q1), at(d.Box.Median), at(d.Box.Q3), at(d.Box.High)
	path := p.Path(false, low, mid, q1, mid)
	path = append(path, p.Path(false, q3, mid, high, mid)...)
	path = append(path, p.Path(false, low, mid-0.6*half, low, mid+0.6*half)...)
	path = append(path, p.Path(false, high, mid-0.6*half, high, mid+0.6*half)...)
	p.Lines(line, 0.6, path)
	p.Rect(m.colors.Over(fill, 0.45), q1, mid-half, q3-q1, 2*half)
	m.drawAgain(p, d.Series, q1, mid-half, q3-q1, 2*half)
	p.Lines(line, 0.6, p.Path(true, q1, mid-half, q3, mid-half, q3, mid+half, q1, mid+half))
	p.Lines(line, 1.2, p.Path(false, median, mid-half, median, mid+half))
	var outside vg.Path
	last := vg.Length(math.Inf(-1))
	for _, v := range d.Box.Outliers { // those that would cover each other are drawn once
		if a := at(v); a > last+0.35 {
			outside = append(outside, p.Path(true, a-0.6, mid-0.6, a+0.6, mid-0.6, a+0.6, mid+0.6, a-0.6, mid+0.6)...)
			last = a
		}
	}
	if len(outside) > 0 {
		p.SetColor(line)
		p.Fill(outside)
	}
	mean, r := at(d.Mean), 0.62*half
	p.SetColor(m.colors.Ink)
	p.Fill(p.Path(true, mean-r, mid, mean, mid-r, mean+r, mid, mean, mid+r))
}

// drawAgain hatches the box of a series whose colour another one has.
func (m *histogramPlot) drawAgain(p page.Pen, series int, x, y, w, h vg.Length) {
	if style := m.f.Legend.Style(series); style >= m.colors.Categories() {
		p.Lines(m.colors.CategoryLine(style), 0.6, hatching(p, x, y, w, h, style < 2*m.colors.Categories()))
	}
}

// describe returns what a series shows, for a tooltip.
func (m *histogramPlot) describe(d Distribution) string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	name := ""
	if d.Series < len(m.f.Legend.Names) {
		name = m.f.Legend.Names[d.Series] + ": "
	}
	return fmt.Sprintf("%smean %s; median %s, quartiles %s and %s", name, measured(d.Mean, d.Error, int64(len(d.Values))),
		number(d.Box.Median), number(d.Box.Q1), number(d.Box.Q3))
}

// legend explains the series, with their means if there is one panel.
func (m *histogramPlot) legend() page.Aside {
	if len(m.f.Legend.Names) == 0 {
		return nil
	}
	l := page.Legend{Title: m.f.Legend.Title, Swatch: func(p page.Pen, i int, x, y, w, h vg.Length) {
		style := m.f.Legend.Style(i)
		p.Rect(m.colors.Over(m.colors.Category(style), 0.45), x, y, w, h)
		m.drawAgain(p, i, x, y, w, h)
		p.Lines(m.colors.CategoryLine(style), 0.9, p.Path(true, x, y, x+w, y, x+w, y+h, x, y+h), dash(style)...)
	}}
	for _, name := range m.f.Legend.Names {
		l.Entries = append(l.Entries, page.Entry{Name: name})
	}
	if len(m.f.Frames) == 1 && len(m.f.Frames[0].Panels) == 1 {
		l.NoteTitle = "mean"
		for _, d := range m.f.Frames[0].Panels[0].Distributions {
			l.Entries[d.Series].Name = m.f.seriesName(d)
			l.Entries[d.Series].Note = axis.Plain(d.Mean, m.f.meanDecimals())
		}
	}
	return l
}
