package figure

import (
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
	"ducklens/queries/figure/internal/typeset"
)

// scatterPlot draws points with two coordinates, the names of those that stand out, and lines fitted to them.
type scatterPlot struct {
	f      *Figure
	colors *palette.Palette
	x, y   ruler
	name   typeset.Style
	size   vg.Length // of a point
	w, h   vg.Length
}

// Measures of points.
const (
	largeDot = 3.4 // across, if there are few
	smallDot = 1.8
	manyDots = 300 // in a panel
	nameGap  = 1.5 // between a point and its name

	barFaint = 0.55 // opacity of an error bar, so that points stand out
	barWidth = 0.6
)

// dots are the dashes of the diagonal, which no series has.
var dots = []vg.Length{0.9, 1.7}

const (
	equality = "y = x" // name of the diagonal
)

func newScatterPlot(f *Figure, colors *palette.Palette) *scatterPlot {
	m := &scatterPlot{f: f, colors: colors, size: largeDot}
	for p := range f.panels() {
		n := 0
		for _, c := range p.Clouds {
			n += len(c.Dots)
		}
		m.size = min(m.size, largeDot-(largeDot-smallDot)*vg.Length(min(1, float64(n)/manyDots)))
	}
	return m
}

// Side implements page.Plot.
func (m *scatterPlot) Side(s *page.Styles, _ vg.Length) vg.Length {
	first := &m.f.Frames[0].Panels[0]
	m.name = s.Tick
	m.x = ruler{low: first.X.Low, high: first.X.High, style: s.Tick, signed: true}
	m.y = ruler{low: first.Y.Low, high: first.Y.High, style: s.Tick, length: vg.Inch, signed: true}
	m.x.pad(0.04)
	m.y.pad(0.05)
	m.y.numbers(6, false, false)
	return tickMark + 1.5 + s.Tick.Widest(m.y.texts) - 3
}

// Natural implements page.Plot.
func (m *scatterPlot) Natural(n int) vg.Length { return naturalPanel(n) }

// Readable implements page.Plot.
func (m *scatterPlot) Readable(w vg.Length) bool { return w >= 130 }

// Gap implements page.Plot.
func (m *scatterPlot) Gap() vg.Length { return rulerGap }

// Fit implements page.Plot.
func (m *scatterPlot) Fit(w, h vg.Length) (width, height vg.Length) {
	m.w = max(min(w, plotMost), 20)
	m.h = min(max(0.75*m.w, 1.3*vg.Inch), 260)
	if h > 0 {
		m.h = max(h, leastPlot)
	}
	m.x.length, m.y.length = m.w, m.h
	if m.h < vg.Inch {
		m.y.numbers(6, false, false)
	}
	m.x.numbers(10, true, false)
	return m.w, m.h
}

// Middle implements page.Plot.
func (m *scatterPlot) Middle() vg.Length { return m.h / 2 }

// Below implements page.Plot.
func (m *scatterPlot) Below() vg.Length { return m.x.depth() }

// Notes implements page.Plot.
func (m *scatterPlot) Notes() []string {
	notes := m.f.marks()
	named, labelled := 0, 0
	for p := range m.f.panels() {
		_, names, _ := m.texts(p.Clouds)
		named += len(names)
		for _, c := range p.Clouds {
			for _, d := range c.Dots {
				if d.Label != "" {
					labelled++
				}
			}
		}
	}
	if named < labelled {
		notes = append(notes, "named: the points that stand out most, as far as there is room")
	}
	return notes
}

// DrawSide implements page.Plot.
func (m *scatterPlot) DrawSide(p page.Pen, x, y vg.Length) { m.y.drawLeft(p, x, y+m.h) }

// DrawBelow implements page.Plot.
func (m *scatterPlot) DrawBelow(p page.Pen, x, y vg.Length) { m.x.drawBelow(p, x, y) }

// Draw implements page.Plot.
func (m *scatterPlot) Draw(p page.Pen, frame, panel int, x, y vg.Length) {
	clouds := m.f.Frames[frame].Panels[panel].Clouds
	drawGrid(p, &m.x, &m.y, x, y, y, y+m.h)
	if len(clouds) == 0 {
		noRows(p, m.x.style, x+m.w/2, y+m.h/2)
	}
	m.drawDiagonal(p, x, y)
	for _, c := range clouds {
		color := sheer(m.colors.CategoryLine(m.f.Legend.Style(c.Series)), barFaint)
		for _, d := range c.Dots {
			var bars vg.Path
			for _, s := range m.bars(d, x, y) {
				bars = append(bars, p.Path(false, s.x0, s.y0, s.x1, s.y1)...)
			}
			p.Lines(color, barWidth, bars)
		}
	}
	for _, c := range clouds {
		for _, d := range c.Dots {
			px, py := m.at(x, y, d.X, d.Y)
			p.Group(m.describe(c, d), func() {
				p.SetColor(sheer(m.colors.CategoryLine(m.f.Legend.Style(c.Series)), m.alpha()))
				p.Fill(marker(p, m.f.Legend.Style(c.Series), px, py, m.size))
			})
		}
	}
	for _, c := range clouds {
		if c.Fit != nil {
			m.drawFit(p, c, x, y)
		}
	}
	corner, names, others := m.texts(clouds)
	m.drawCorner(p, m.fitLines(clouds), corner, x, y)
	for _, n := range append(names, others...) {
		p.Text(m.name, x+n.x0, y+n.y1, 0, n.text)
	}
	p.Lines(m.colors.Edge, 0.5, p.Path(false, x, y, x, y+m.h, x+m.w, y+m.h))
}

// at returns the place of a point in the panel whose upper left corner is at x, y.
func (m *scatterPlot) at(x, y vg.Length, vx, vy float64) (vg.Length, vg.Length) {
	return x + m.x.along(vx), y + m.h - m.y.along(vy)
}

// many reports whether the points are small, because there are many.
func (m *scatterPlot) many() bool { return m.size < (largeDot+smallDot)/2 }

// alpha returns the opacity of a point.
func (m *scatterPlot) alpha() float64 {
	if m.many() {
		return 0.55
	}
	return 0.8
}

// drawFit draws the line from the first to the last point of the series, clipped to the panel. Among many
// points of its colour it has an edge, which would hide some of a few.
func (m *scatterPlot) drawFit(p page.Pen, c Cloud, x, y vg.Length) {
	low, high := c.Reach(m.y.low, m.y.high)
	x0, y0 := m.at(x, y, low, c.Fit.At(low))
	x1, y1 := m.at(x, y, high, c.Fit.At(high))
	path := p.Path(false, x0, y0, x1, y1)
	if m.many() {
		p.Lines(m.colors.Page, 2, path)
	}
	p.Lines(m.colors.CategoryLine(m.f.Legend.Style(c.Series)), 1.1, path, dash(m.f.Legend.Style(c.Series))...)
}

// span is a rectangle that is occupied.
type span struct{ x0, y0, x1, y1 vg.Length }

func (a span) meets(b span) bool { return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1 }

// distance returns how far a place is from the nearest edge; 0 if it is within.
func (a span) distance(x, y vg.Length) vg.Length {
	return vg.Length(math.Hypot(float64(max(a.x0-x, x-a.x1, 0)), float64(max(a.y0-y, y-a.y1, 0))))
}

// bars returns the error bars of a point: across and up, those of them that are known.
func (m *scatterPlot) bars(d Dot, x, y vg.Length) []span {
	px, py := m.at(x, y, d.X, d.Y)
	var list []span
	if d.XError > 0 {
		half := m.x.along(d.X+d.XError) - m.x.along(d.X)
		list = append(list, span{px - half, py, px + half, py})
	}
	if d.YError > 0 {
		half := m.y.along(d.Y+d.YError) - m.y.along(d.Y)
		list = append(list, span{px, py - half, px, py + half})
	}
	return list
}

// diagonal returns from where to where the diagonal is drawn, and whether it is.
func (m *scatterPlot) diagonal() (low, high float64, ok bool) {
	low, high, _ = diagonal(m.x.low, m.x.high, m.y.low, m.y.high)
	return low, high, m.f.hasDiagonal()
}

// drawDiagonal draws the diagonal as far as it lies within the panel.
func (m *scatterPlot) drawDiagonal(p page.Pen, x, y vg.Length) {
	low, high, ok := m.diagonal()
	if !ok {
		return
	}
	x0, y0 := m.at(x, y, low, low)
	x1, y1 := m.at(x, y, high, high)
	p.Lines(m.colors.Text, 0.7, p.Path(false, x0, y0, x1, y1), dots...)
}

// placedText is a text with the area that it takes.
type placedText struct {
	span
	text string
}

// texts returns where the correlations of fits are written, and the names of points and of the diagonal that
// have room. All places are relative to the upper left corner of the panel.
func (m *scatterPlot) texts(clouds []Cloud) (corner span, names, others []placedText) {
	var taken []span
	r := m.size / 2
	for _, c := range clouds {
		for _, d := range c.Dots {
			px, py := m.at(0, 0, d.X, d.Y)
			taken = append(taken, span{px - r, py - r, px + r, py + r})
			for _, s := range m.bars(d, 0, 0) {
				taken = append(taken, span{s.x0 - 0.5, s.y0 - 0.5, s.x1 + 0.5, s.y1 + 0.5})
			}
		}
	}
	for _, c := range clouds {
		if c.Fit != nil {
			low, high := c.Reach(m.y.low, m.y.high)
			taken = append(taken, m.along(low, high, c.Fit.At)...)
		}
	}
	var written []span
	low, high, drawn := m.diagonal()
	if drawn {
		taken = append(taken, m.along(low, high, func(v float64) float64 { return v })...)
	}
	if lines := m.fitLines(clouds); len(lines) > 0 {
		corner = m.corner(lines, taken)
		written = append(written, corner)
	}
	for _, c := range clouds {
		for _, d := range c.Dots {
			if !d.Named {
				continue
			}
			if at, ok := m.placeName(d, clouds, taken, written); ok {
				names, written = append(names, placedText{at, d.Label}), append(written, at)
			}
		}
	}
	if drawn {
		if at, ok := m.placeEquality(low, high, taken, written); ok {
			others = append(others, placedText{at, equality})
		}
	}
	return corner, names, others
}

// along returns the area that a line takes from one x to another, in short pieces.
func (m *scatterPlot) along(low, high float64, at func(x float64) float64) []span {
	const pieces = 80
	var list []span
	for i := range pieces + 1 {
		v := low + (high-low)*float64(i)/pieces
		px, py := m.at(0, 0, v, at(v))
		list = append(list, span{px - 2, py - 1, px + 2, py + 1})
	}
	return list
}

// fitLine is the text about the fit of a series.
type fitLine struct {
	text  string
	color color.NRGBA
}

func (m *scatterPlot) fitLines(clouds []Cloud) []fitLine {
	var lines []fitLine
	for _, c := range clouds {
		if c.Fit == nil {
			continue
		}
		line := fitLine{text: c.Fit.String(), color: m.colors.Text}
		if len(m.f.Legend.Names) > 0 {
			line.color = m.colors.CategoryLine(m.f.Legend.Style(c.Series))
		}
		lines = append(lines, line)
	}
	return lines
}

// corner returns the place of lines of text in the corner of the panel that has the fewest points.
func (m *scatterPlot) corner(lines []fitLine, taken []span) span {
	var w vg.Length
	for _, l := range lines {
		w = max(w, m.name.Width(l.text))
	}
	h := vg.Length(len(lines)) * m.name.Line()
	const inset = 3
	left, right, top, bottom := vg.Length(inset), m.w-inset-w, vg.Length(inset), m.h-inset-h
	var corners []span
	for _, at := range [][2]vg.Length{{left, top}, {right, top}, {left, bottom}, {right, bottom}} {
		corners = append(corners, span{at[0], at[1], at[0] + w, at[1] + h})
	}
	best, fewest := corners[0], math.MaxInt
	for _, corner := range corners {
		n := 0
		for _, t := range taken {
			if corner.meets(t) {
				n++
			}
		}
		if n < fewest {
			best, fewest = corner, n
		}
	}
	return best
}

// drawCorner writes lines of text at their place in the panel whose upper left corner is at x, y.
func (m *scatterPlot) drawCorner(p page.Pen, lines []fitLine, at span, x, y vg.Length) {
	if len(lines) == 0 {
		return
	}
	x, y = x+at.x0, y+at.y0
	p.Rect(sheer(m.colors.Page, 0.8), x-1, y-1, at.x1-at.x0+2, at.y1-at.y0+1)
	for i, l := range lines {
		style := m.name
		style.Color = l.color
		p.Text(style, x, y+vg.Length(i)*m.name.Line()+m.name.Size*0.85, 0, l.text)
	}
}

// placeName finds a side of a point where its name hides nothing and is clearly nearer to it than to any
// other point. If there is none, the name is left out.
func (m *scatterPlot) placeName(d Dot, clouds []Cloud, taken, written []span) (span, bool) {
	px, py := m.at(0, 0, d.X, d.Y)
	w, h := m.name.Width(d.Label), m.name.Cap()
	away := m.size/2 + nameGap
	for _, at := range [][2]vg.Length{
		{away, -h / 2}, {-away - w, -h / 2}, {-w / 2, -away - h}, {-w / 2, away},
		{away, -away - h}, {-away - w, away}, {away, away}, {-away - w, -away - h},
	} {
		s := span{px + at[0], py + at[1], px + at[0] + w, py + at[1] + h}
		if m.free(s, taken, written) && m.alone(s, px, py, clouds) {
			return s, true
		}
	}
	return span{}, false
}

// alone reports whether a text belongs to the point at x, y beyond doubt: every other point is twice as far
// from it, or farther.
func (m *scatterPlot) alone(s span, x, y vg.Length, clouds []Cloud) bool {
	own := s.distance(x, y)
	for _, c := range clouds {
		for _, d := range c.Dots {
			if px, py := m.at(0, 0, d.X, d.Y); (px != x || py != y) && s.distance(px, py) < 2*own {
				return false
			}
		}
	}
	return true
}

// placeEquality finds a place for the name of the diagonal, beside it and as far up as possible.
func (m *scatterPlot) placeEquality(low, high float64, taken, written []span) (span, bool) {
	const steps = 40
	w, h := m.name.Width(equality), m.name.Cap()
	for i := range steps {
		v := high - (high-low)*float64(i)/steps
		px, py := m.at(0, 0, v, v)
		for _, s := range []span{{px - 4 - w, py - h, px - 4, py}, {px + 4, py, px + 4 + w, py + h}} {
			if m.free(s, taken, written) {
				return s, true
			}
		}
	}
	return span{}, false
}

// free reports whether a text has room there.
func (m *scatterPlot) free(s span, taken, written []span) bool {
	inside := s.x0 >= 0 && s.x1 <= m.w && s.y0 >= 0 && s.y1 <= m.h
	around := span{s.x0 - 2, s.y0 - 1.5, s.x1 + 2, s.y1 + 1.5}
	return inside && !slices.ContainsFunc(taken, s.meets) && !slices.ContainsFunc(written, around.meets)
}

// describe returns what a point shows, for a tooltip.
func (m *scatterPlot) describe(c Cloud, d Dot) string {
	var parts []string
	if len(m.f.Legend.Names) > 0 {
		parts = append(parts, m.f.Legend.Names[c.Series])
	}
	if d.Label != "" {
		parts = append(parts, d.Label)
	}
	parts = append(parts, measured(d.X, d.XError, 0)+", "+measured(d.Y, d.YError, d.Count))
	return strings.Join(parts, ": ")
}

// legend explains the series.
func (m *scatterPlot) legend() page.Aside {
	if len(m.f.Legend.Names) == 0 {
		return nil
	}
	l := page.Legend{Title: m.f.Legend.Title, Swatch: func(p page.Pen, i int, x, y, w, h vg.Length) {
		p.SetColor(m.colors.CategoryLine(m.f.Legend.Style(i)))
		p.Fill(marker(p, m.f.Legend.Style(i), x+w/2, y+h/2, largeDot+0.6))
	}}
	for _, name := range m.f.Legend.Names {
		l.Entries = append(l.Entries, page.Entry{Name: name})
	}
	return l
}
