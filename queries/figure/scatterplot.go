package figure

import (
	"fmt"
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
	var notes []string
	fitted, named, labelled := false, 0, 0
	for p := range m.f.panels() {
		for _, c := range p.Clouds {
			fitted = fitted || c.Fit != nil
			for _, d := range c.Dots {
				if d.Label != "" {
					labelled++
				}
				if d.Named {
					named++
				}
			}
		}
	}
	if fitted {
		notes = append(notes, "lines: least squares; r: Pearson's correlation coefficient")
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
	m.drawTexts(p, clouds, x, y)
	p.Lines(m.colors.Edge, 0.5, p.Path(false, x, y, x, y+m.h, x+m.w, y+m.h))
}

// at returns the place of a point in the panel whose upper left corner is at x, y.
func (m *scatterPlot) at(x, y vg.Length, vx, vy float64) (vg.Length, vg.Length) {
	return x + m.x.along(vx), y + m.h - m.y.along(vy)
}

// alpha returns the opacity of a point.
func (m *scatterPlot) alpha() float64 {
	if m.size < (largeDot+smallDot)/2 {
		return 0.55
	}
	return 0.8
}

// drawFit draws the line from the first to the last point of the series, clipped to the panel.
func (m *scatterPlot) drawFit(p page.Pen, c Cloud, x, y vg.Length) {
	low, high := c.Reach(m.y.low, m.y.high)
	x0, y0 := m.at(x, y, low, c.Fit.At(low))
	x1, y1 := m.at(x, y, high, c.Fit.At(high))
	path := p.Path(false, x0, y0, x1, y1)
	p.Lines(m.colors.Page, 2, path)
	p.Lines(m.colors.CategoryLine(m.f.Legend.Style(c.Series)), 1.1, path, dash(m.f.Legend.Style(c.Series))...)
}

// span is a rectangle that is occupied.
type span struct{ x0, y0, x1, y1 vg.Length }

func (a span) meets(b span) bool { return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1 }

// drawTexts writes the correlations of fits in the emptiest corner, and the names of points beside them if
// they have room.
func (m *scatterPlot) drawTexts(p page.Pen, clouds []Cloud, x, y vg.Length) {
	var taken []span
	r := m.size / 2
	for _, c := range clouds {
		for _, d := range c.Dots {
			px, py := m.at(x, y, d.X, d.Y)
			taken = append(taken, span{px - r, py - r, px + r, py + r})
		}
	}
	for _, c := range clouds {
		taken = append(taken, m.along(c, x, y)...)
	}
	texts := []span{}
	if lines := m.fitLines(clouds); len(lines) > 0 {
		texts = append(texts, m.drawCorner(p, lines, taken, x, y))
	}
	for _, c := range clouds {
		for _, d := range c.Dots {
			if d.Named {
				texts = m.drawName(p, c, d, taken, texts, x, y)
			}
		}
	}
}

// along returns the area that the fitted line of a series takes, in short pieces.
func (m *scatterPlot) along(c Cloud, x, y vg.Length) []span {
	if c.Fit == nil {
		return nil
	}
	const pieces = 80
	var list []span
	low, high := c.Reach(m.y.low, m.y.high)
	for i := range pieces + 1 {
		v := low + (high-low)*float64(i)/pieces
		px, py := m.at(x, y, v, c.Fit.At(v))
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

// drawCorner writes lines in the corner of the panel that has the fewest points, and returns the area that
// they take.
func (m *scatterPlot) drawCorner(p page.Pen, lines []fitLine, taken []span, x, y vg.Length) span {
	var w vg.Length
	for _, l := range lines {
		w = max(w, m.name.Width(l.text))
	}
	h := vg.Length(len(lines)) * m.name.Line()
	const inset = 3
	left, right, top, bottom := x+inset, x+m.w-inset-w, y+inset, y+m.h-inset-h
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
	p.Rect(sheer(m.colors.Page, 0.8), best.x0-1, best.y0-1, w+2, h+1)
	for i, l := range lines {
		style := m.name
		style.Color = l.color
		p.Text(style, best.x0, best.y0+vg.Length(i)*m.name.Line()+m.name.Size*0.85, 0, l.text)
	}
	return best
}

// drawName writes the name of a point on a side where it hides nothing. If there is none, the name is left
// out.
func (m *scatterPlot) drawName(p page.Pen, c Cloud, d Dot, taken, texts []span, x, y vg.Length) []span {
	px, py := m.at(x, y, d.X, d.Y)
	w, h := m.name.Width(d.Label), m.name.Cap()
	away := m.size/2 + nameGap
	panel := span{x, y, x + m.w, y + m.h}
	for _, at := range [][2]vg.Length{
		{away, -h / 2}, {-away - w, -h / 2}, {-w / 2, -away - h}, {-w / 2, away},
		{away, -away - h}, {-away - w, away}, {away, away}, {-away - w, -away - h},
	} {
		s := span{px + at[0], py + at[1], px + at[0] + w, py + at[1] + h}
		inside := s.x0 >= panel.x0 && s.x1 <= panel.x1 && s.y0 >= panel.y0 && s.y1 <= panel.y1
		around := span{s.x0 - 2, s.y0 - 1.5, s.x1 + 2, s.y1 + 1.5}
		if !inside || slices.ContainsFunc(taken, s.meets) || slices.ContainsFunc(texts, around.meets) {
			continue
		}
		p.Text(m.name, s.x0, s.y1, 0, d.Label)
		return append(texts, s)
	}
	return texts
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
	parts = append(parts, fmt.Sprintf("%.5g, %.5g", d.X, d.Y))
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
