package figure

import (
	"cmp"
	"image"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
	"ducklens/queries/figure/internal/typeset"
)

// matrixPlot draws panels with too many cells to label. Along the axes it names the rows and columns that
// have strong cells, as many as there is room for, strongest first, and the groups.
type matrixPlot struct {
	f       *Figure
	colors  *palette.Palette
	x, y    scape
	cell    vg.Length
	crowded bool // not even a panel as wide as the page has room for all names
}

// scape is one axis of a matrix.
type scape struct {
	axis     Axis
	strength []float64 // of the strongest cell of each place, divided by the limit of the scale
	style    typeset.Style
	names    []string  // shortened
	depth    vg.Length // space for the names
	named    []int     // places whose names are printed
	groups   []int     // groups whose names are printed
}

// Measures of a matrix.
const (
	mostCell  = 12.0
	leastCell = 1.2  // smallest side of a cell that is seen in print; panels wrap to keep it
	usualSide = 380  // of a matrix on a page of any width
	leastSeen = 2.2  // smallest side of a cell there
	named     = 0.08 // part of the scale above which a place is strong
	bracket   = 3.0  // room for the line along a group
	leastSign = 2.4  // smallest side of a cell that has room for a minus or a triangle

	leastShrunk = 3.0 // smallest cell that a height of the page may lead to
)

func newMatrixPlot(f *Figure, colors *palette.Palette) *matrixPlot {
	first := &f.Frames[0].Panels[0]
	m := &matrixPlot{f: f, colors: colors}
	m.x = scape{axis: first.X, strength: make([]float64, len(first.X.Names))}
	m.y = scape{axis: first.Y, strength: make([]float64, len(first.Y.Names))}
	for p := range f.panels() {
		for _, c := range p.Cells {
			v := math.Abs(p.shade(c))
			m.x.strength[c.Column] = max(m.x.strength[c.Column], v)
			m.y.strength[c.Row] = max(m.y.strength[c.Row], v)
		}
	}
	return m
}

// measure determines the depth of an axis: the space for its names and its groups.
func (a *scape) measure(style typeset.Style, turned bool) vg.Length {
	a.style = style
	a.names = truncated(style, a.axis.Names, vg.Inch)
	a.depth = style.Widest(a.names)
	groups := vg.Length(0)
	for _, g := range a.axis.Groups {
		groups = max(groups, bracket+style.Width(g.Name))
		if turned {
			groups = bracket + style.Line()
		}
	}
	return a.depth + tickMark + groups
}

// spacing returns the minimum distance between two names.
func (a *scape) spacing() vg.Length { return a.style.Cap() * 1.3 }

// thin chooses the names that have room, for cells of that size: first the strong ones, then all if all have
// room.
func (a *scape) thin(cell vg.Length) {
	least := a.spacing()
	var candidates []int
	for i := range a.names {
		if a.strength[i] >= named || cell >= least {
			candidates = append(candidates, i)
		}
	}
	slices.SortStableFunc(candidates, func(i, j int) int { return cmp.Compare(a.strength[j], a.strength[i]) })
	a.named = spaced(candidates, least, func(i int) (vg.Length, vg.Length) {
		return (vg.Length(i) + 0.5) * cell, 0
	})
}

// thinGroups chooses the groups whose names have room, the large groups first. width returns the space of a
// name along the axis.
func (a *scape) thinGroups(cell, gap vg.Length, width func(string) vg.Length) {
	order := make([]int, len(a.axis.Groups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return a.axis.Groups[j].N - a.axis.Groups[i].N })
	a.groups = spaced(order, gap, func(i int) (vg.Length, vg.Length) {
		w := width(a.axis.Groups[i].Name)
		return a.middle(i, cell, w), w
	})
}

// middle returns where to centre the name of group i, which is w wide along the axis, so that it does not
// reach far past the ends.
func (a *scape) middle(i int, cell, w vg.Length) vg.Length {
	g, end := a.axis.Groups[i], vg.Length(len(a.names))*cell
	return max(w/2-groupOverhang, min((vg.Length(g.First)+vg.Length(g.N)/2)*cell, end+groupOverhang-w/2))
}

// spaced keeps those candidates, of which the best is first, that have a gap to all better ones. place
// returns the middle and the length of a candidate.
func spaced(candidates []int, gap vg.Length, place func(int) (mid, length vg.Length)) []int {
	var kept []int
	for _, i := range candidates {
		mid, length := place(i)
		free := !slices.ContainsFunc(kept, func(j int) bool {
			other, l := place(j)
			return vg.Length(math.Abs(float64(mid-other))) < gap+(length+l)/2
		})
		if free {
			kept = append(kept, i)
		}
	}
	return kept
}

// Side implements page.Plot.
func (m *matrixPlot) Side(s *page.Styles, width vg.Length) vg.Length {
	m.x.measure(s.Tick, true)
	side := m.y.measure(s.Tick, false)
	m.crowded = width > 0 && width-side < m.x.spacing()*vg.Length(len(m.x.names))
	return side
}

// Natural implements page.Plot.
func (m *matrixPlot) Natural(int) vg.Length {
	n := vg.Length(len(m.x.names))
	return n * min(mostCell, max(leastSeen, usualSide/n))
}

// Readable implements page.Plot. Panels are side by side only if rows and columns keep all of their names.
func (m *matrixPlot) Readable(w vg.Length) bool {
	least := vg.Length(leastCell)
	if !m.crowded {
		least = m.x.spacing()
	}
	return w >= least*vg.Length(len(m.x.names))
}

// Gap implements page.Plot.
func (m *matrixPlot) Gap() vg.Length { return page.PanelGap }

// Fit implements page.Plot.
func (m *matrixPlot) Fit(w, h vg.Length) (width, height vg.Length) {
	m.cell = max(min(mostCell, w/vg.Length(len(m.x.names))), 0.05)
	if h > 0 { // cells are square
		m.cell = max(min(m.cell, h/vg.Length(len(m.y.names))), min(m.cell, leastShrunk))
	}
	m.x.thin(m.cell)
	m.y.thin(m.cell)
	m.x.thinGroups(m.cell, 3, m.x.style.Width)
	m.y.thinGroups(m.cell, m.y.style.Cap()*1.3, func(string) vg.Length { return 0 })
	return m.cell * vg.Length(len(m.x.names)), m.cell * vg.Length(len(m.y.names))
}

// Middle implements page.Plot.
func (m *matrixPlot) Middle() vg.Length { return m.cell * vg.Length(len(m.y.names)) / 2 }

// Below implements page.Plot.
func (m *matrixPlot) Below() vg.Length {
	below := m.x.depth + tickMark + 2
	if len(m.x.axis.Groups) > 0 {
		below += bracket + m.x.style.Line()
	}
	return below
}

// Notes implements page.Plot.
func (m *matrixPlot) Notes() []string {
	var notes []string
	if m.f.Scale.Beyond > fewBeyond {
		notes = m.f.largestCells()
	}
	if m.pointed() {
		notes = append(notes, "triangle in a cell: beyond the end of the colour scale that it points to")
	}
	if len(m.x.named) < len(m.x.names) || len(m.y.named) < len(m.y.names) {
		notes = append(notes, "named: the rows and columns with the strongest cells, as far as there is room")
	}
	for p := range m.f.panels() {
		if slices.ContainsFunc(p.Cells, func(c Cell) bool { return m.marked(p, c) }) {
			return append(notes, "− in a cell: "+m.f.signLimit())
		}
	}
	return notes
}

// beyondText returns the value of a cell with two digits, or with one if that has room and is no further off
// than two could be; otherwise "".
func (m *matrixPlot) beyondText(c Cell) string {
	style := typeset.Style{Size: minText}
	for n := 2; n > 0 && style.Cap()+2 <= m.cell; n-- {
		text := strings.Replace(digits(c.Value, n), "0.", ".", 1)
		if style.Width(text) <= m.cell-0.6 && (n == 2 || off(c.Value) <= 0.05) {
			return text
		}
	}
	return ""
}

// off returns how far the first digit of x is from all of it, as a part of x.
func off(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x))))
	return math.Abs(math.Round(x/unit)*unit/x - 1)
}

// marked reports whether c has a minus sign in it, for grey prints. A cell beyond the scale has a number or a
// triangle instead.
func (m *matrixPlot) marked(p *Panel, c Cell) bool {
	return m.cell >= leastSign && p.shade(c) <= -strong && !p.Beyond(c)
}

// pointed reports whether any cell has the triangle of a value beyond the scale.
func (m *matrixPlot) pointed() bool {
	for p := range m.f.panels() {
		if m.cell >= leastSign && slices.ContainsFunc(p.Cells, func(c Cell) bool { return p.Beyond(c) && m.beyondText(c) == "" }) {
			return true
		}
	}
	return false
}

// DrawSide implements page.Plot.
func (m *matrixPlot) DrawSide(p page.Pen, x, y vg.Length) {
	var ticks, brackets vg.Path
	for _, i := range m.y.named {
		mid := y + (vg.Length(i)+0.5)*m.cell
		ticks = append(ticks, p.Path(false, x, mid, x-tickMark, mid)...)
		p.Text(m.y.style, x-tickMark-1, mid+m.y.style.Cap()/2, 1, m.y.names[i])
	}
	at := x - tickMark - 1 - m.y.depth - bracket/2
	for _, g := range m.y.axis.Groups {
		from, to := y+vg.Length(g.First)*m.cell, y+vg.Length(g.First+g.N)*m.cell
		brackets = append(brackets, p.Path(false, at, from+0.25*m.cell, at, to-0.25*m.cell)...)
	}
	for _, i := range m.y.groups {
		g := m.y.axis.Groups[i]
		p.Text(m.y.style, at-bracket/2, y+(vg.Length(g.First)+vg.Length(g.N)/2)*m.cell+m.y.style.Cap()/2, 1, g.Name)
	}
	p.Lines(m.colors.Edge, 0.4, ticks)
	p.Lines(m.colors.Edge, 0.8, brackets)
}

// DrawBelow implements page.Plot.
func (m *matrixPlot) DrawBelow(p page.Pen, x, y vg.Length) {
	var ticks, brackets vg.Path
	for _, i := range m.x.named {
		mid := x + (vg.Length(i)+0.5)*m.cell
		ticks = append(ticks, p.Path(false, mid, y, mid, y+tickMark)...)
		p.TextUp(m.x.style, mid+m.x.style.Cap()/2, y+tickMark+1, 1, m.x.names[i])
	}
	at := y + tickMark + 1 + m.x.depth + bracket/2
	for _, g := range m.x.axis.Groups {
		from, to := x+vg.Length(g.First)*m.cell, x+vg.Length(g.First+g.N)*m.cell
		brackets = append(brackets, p.Path(false, from+0.25*m.cell, at, to-0.25*m.cell, at)...)
	}
	for _, i := range m.x.groups {
		g := m.x.axis.Groups[i]
		mid := x + m.x.middle(i, m.cell, m.x.style.Width(g.Name))
		p.Text(m.x.style, mid, at+bracket/2+m.x.style.Size*0.85, 0.5, g.Name)
	}
	p.Lines(m.colors.Edge, 0.4, ticks)
	p.Lines(m.colors.Edge, 0.8, brackets)
}

// Draw implements page.Plot.
func (m *matrixPlot) Draw(p page.Pen, frame, panel int, x, y vg.Length) {
	shown := &m.f.Frames[frame].Panels[panel]
	cells := shown.Cells
	rows, columns := len(m.y.names), len(m.x.names)
	w, h := m.cell*vg.Length(columns), m.cell*vg.Length(rows)
	if len(cells) == 0 {
		noRows(p, m.x.style, x+w/2, y+h/2)
		return
	}
	img := image.NewNRGBA(image.Rect(0, 0, columns, rows))
	for _, c := range cells {
		img.SetNRGBA(c.Column, c.Row, m.colors.Diverging(shown.Shade(c)))
	}
	p.DrawImage(vg.Rectangle{Min: p.At(x, y+h), Max: p.At(x+w, y)}, img)
	for _, c := range cells {
		if !m.marked(shown, c) {
			continue
		}
		height := max(0.4, 0.1*m.cell)
		p.Rect(palette.On(img.NRGBAAt(c.Column, c.Row)), x+(vg.Length(c.Column)+0.25)*m.cell, y+(vg.Length(c.Row)+0.5)*m.cell-height/2, m.cell/2, height)
	}
	m.drawBeyond(p, shown, x, y)
	var path vg.Path
	for _, g := range m.x.axis.Groups[min(1, len(m.x.axis.Groups)):] {
		at := x + vg.Length(g.First)*m.cell
		path = append(path, p.Path(false, at, y, at, y+h)...)
	}
	for _, g := range m.y.axis.Groups[min(1, len(m.y.axis.Groups)):] {
		at := y + vg.Length(g.First)*m.cell
		path = append(path, p.Path(false, x, at, x+w, at)...)
	}
	p.Lines(sheer(m.colors.Edge, 0.35), 0.3, path)
	p.Lines(m.colors.Edge, 0.5, outline(p, cells, presence(cells), x, y, m.cell, m.cell))
}

// drawBeyond writes the values of cells that are beyond the colour scale into them. A cell without room has a
// triangle, up for positive values, like the ends of the colour bar.
func (m *matrixPlot) drawBeyond(p page.Pen, shown *Panel, x, y vg.Length) {
	style := typeset.Style{Size: minText}
	for _, c := range shown.Cells {
		if !shown.Beyond(c) {
			continue
		}
		style.Color = palette.On(m.colors.Diverging(shown.Shade(c)))
		midX, midY := x+(vg.Length(c.Column)+0.5)*m.cell, y+(vg.Length(c.Row)+0.5)*m.cell
		if text := m.beyondText(c); text != "" {
			p.Text(style, midX, midY+style.Cap()/2, 0.5, text)
		} else if m.cell >= leastSign {
			half := 0.3 * m.cell
			up := half
			if c.Value < 0 {
				up = -half
			}
			p.SetColor(style.Color)
			p.Fill(p.Path(true, midX, midY-up, midX+half, midY+up, midX-half, midY+up))
		}
	}
}
