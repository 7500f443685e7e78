// Package page arranges a figure: the title, frames one below the other, panels in rows, the titles of axes,
// a colour bar or legend beside the panels or below them, and the notes at the foot. A [Plot] draws the
// content of panels; an [Aside] explains it.
//
// Lengths are points (1/72 inch). The page measures all text, so that nothing is cut off or overlaps, and
// wraps panels so that they stay readable.
package page

import (
	"math"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/palette"
	"ducklens/queries/figure/internal/typeset"
)

// Page says what a figure shows.
type Page struct {
	Title          string
	Lead           []string                      // lines below the title
	Frames         []string                      // names of the frames
	Panels         []string                      // names of the panels of each frame
	PanelName      func(frame, panel int) string // if frames name them differently; nil: Panels
	Columns        int                           // panels side by side at most; 0 leaves it to the page
	XTitle, YTitle string
	Height         vg.Length // of the page, as far as the panels can follow; 0: as high as they need
	Keys           []Key     // below the aside: signs that need a word
	Source         string    // at the foot
	Bare           bool      // nothing at the foot, and no title: the page around the figure says it
	Plot           Plot
	Aside          Aside // nil for none
	Colors         *palette.Palette
}

// Key explains a sign in the panels or, without a Swatch, the panels as a whole.
type Key struct {
	Text   string
	Swatch func(p Pen, x, y, w, h vg.Length) // draws the sign in a rectangle; nil: none
}

// Plot draws the panels. All panels have the same size and the same axes. A page first calls Side, then
// determines the width of a panel, then calls Fit and draws.
type Plot interface {
	// Side returns the space to the left of a row of panels for names or ticks, without the title of the
	// axis. page is the width of the page, or 0.
	Side(s *Styles, page vg.Length) vg.Length
	// Natural returns the width of each of n panels on a page whose width is not limited.
	Natural(n int) vg.Length
	// Readable reports whether panels may be as narrow as w.
	Readable(w vg.Length) bool
	// Gap returns the space between panels side by side, at least PanelGap: the last tick of an axis may need
	// it.
	Gap() vg.Length
	// Fit sizes the panels for a width of at most w and, as far as they stay readable, a height of h; h = 0
	// does not limit the height.
	Fit(w, h vg.Length) (width, height vg.Length)
	// Middle returns how far below the top of a panel the middle of its vertical axis is.
	Middle() vg.Length
	// Below returns the height of names or ticks below a panel.
	Below() vg.Length
	// Notes returns the notes for the foot.
	Notes() []string
	// Draw draws a panel with its upper left corner at x, y.
	Draw(p Pen, frame, panel int, x, y vg.Length)
	// DrawSide draws what is to the left of a panel at x, y.
	DrawSide(p Pen, x, y vg.Length)
	// DrawBelow draws what is below a panel whose lower left corner is at x, y.
	DrawBelow(p Pen, x, y vg.Length)
}

// Aside is a colour bar or a legend.
type Aside interface {
	// Beside returns its width to the right of panels; Fits reports whether it fits into their height.
	Beside(s *Styles) (width vg.Length)
	Fits(s *Styles, height vg.Length) bool
	// Below returns its height below panels.
	Below(s *Styles, strip Strip) (height vg.Length)
	// DrawBeside draws it with its upper left corner at x, y, in the height of the panels; DrawBelow draws it
	// with its upper side at y.
	DrawBeside(p Pen, s *Styles, x, y, height vg.Length)
	DrawBelow(p Pen, s *Styles, strip Strip, y vg.Length)
}

// Strip is a part of the page over its whole width, and where the panels above it are.
type Strip struct {
	X, W             vg.Length
	PanelsX, PanelsW vg.Length
}

// Styles are the sizes and colours of text.
type Styles struct {
	Title, Subtitle, Frame, Panel, Name, Axis, Tick, Note, Foot typeset.Style
	Narrow                                                      bool // one column of a page
}

func newStyles(c *palette.Palette, narrow bool) Styles {
	k := vg.Length(1)
	if narrow {
		k = 0.87
	}
	// As SVGs write it, so that a line of several texts has the width that was measured.
	size := func(pt vg.Length) vg.Length { return vg.Length(math.Round(float64(100*pt*k)) / 100) }
	return Styles{
		Title:    typeset.Style{Size: size(10.5), Bold: true, Color: c.Ink},
		Subtitle: typeset.Style{Size: size(8.2), Color: c.Text},
		Frame:    typeset.Style{Size: size(9.2), Bold: true, Color: c.Ink},
		Panel:    typeset.Style{Size: size(8.2), Bold: true, Color: c.Text},
		Name:     typeset.Style{Size: size(6.8), Color: c.Text},
		Axis:     typeset.Style{Size: size(7.4), Color: c.Text},
		Tick:     typeset.Style{Size: size(6.8), Color: c.Text},
		Note:     typeset.Style{Size: size(6.2), Color: c.Muted},
		Foot:     typeset.Style{Size: size(6.2), Plain: true, Color: c.Muted},
		Narrow:   narrow,
	}
}

// Space around a page and between panels.
const (
	screenEdge = 9.0  // of a page of natural width
	Edge       = 4.0  // of one of given width: the paper has its own margins
	PanelGap   = 12.0 // usual space between panels side by side
	asideGap   = 13.0
	maxTitle   = 3 // lines of a name or title, at most
	maxLead    = 4 // of a line below the title
	maxKey     = 6 // of what is below the panels
	// How far a fill reaches under its right and lower neighbours. Without it, the page would show through
	// where two smoothed edges meet.
	Seam = 0.4
)

const (
	naturalPage = 18 * vg.Inch // maximum width of panels of natural width together

	narrow = 4.6 * vg.Inch // below this width, text is smaller and the aside is below the panels
	least  = 3.4 * vg.Inch // natural width of the smallest page

)

// Pages of at most this width are for print, and should fit within the margins of a sheet.
const (
	Printed       = 8.5 * vg.Inch
	PrintedHeight = 9.2 * vg.Inch
)

// Layout is a page with the position of everything.
type Layout struct {
	page   *Page
	styles Styles
	w, h   vg.Length
	edge   vg.Length // empty margin on all sides

	titleLines, leadLines, xTitleLines, yTitleLines, noteLines, footLines []string

	perRow         int // panels side by side
	panelW, panelH vg.Length
	room           vg.Length // largest width of a panel
	gap            vg.Length // between panels
	left           vg.Length // of the first panel
	side           vg.Length // names or ticks left of it
	blocks         []block
	xTitle         vg.Length // first baseline of the title of the x axis
	beside         bool      // the aside stands right of the panels
	asideX, asideY vg.Length
	asideLength    vg.Length // height of the panels
	keys           []keyLine
	footY          vg.Length // first baseline of the lines below
}

// keyLine is a line of the explanation of a sign.
type keyLine struct {
	text   string
	swatch func(p Pen, x, y, w, h vg.Length)
	y      vg.Length // baseline
}

// block is the panels of one frame.
type block struct {
	frame int
	name  []string  // lines of the frame's name
	nameY vg.Length // their first baseline
	rows  []panelRow
}

// panelRow is some panels side by side.
type panelRow struct {
	first, n int
	titles   [][]string
	titleY   vg.Length // first baseline
	top      vg.Length // of the panels
}

// Arrange lays out a page, with the aside where it suits the panels best; width 0: as wide as the panels
// need.
func (p *Page) Arrange(width vg.Length) *Layout {
	if p.Aside == nil || width > 0 && width < narrow {
		return p.arrange(width, false)
	}
	l := p.arrange(width, true)
	if !p.Aside.Fits(&l.styles, l.asideLength) {
		return p.arrange(width, false)
	}
	if width > 0 {
		perRow := l.perRow
		if lying := p.arrange(width, false); lying.perRow > perRow {
			return lying // beside them, the aside would take the place of a panel
		}
		return p.arrange(width, true)
	}
	return l
}

// Size returns the size of the page.
func (l *Layout) Size() (w, h vg.Length) { return l.w, l.h }

// PerRow returns the number of panels side by side.
func (l *Layout) PerRow() int { return l.perRow }

// arrange lays out a page with the aside beside the panels, or below them.
func (p *Page) arrange(width vg.Length, beside bool) *Layout {
	l := &Layout{page: p, edge: screenEdge, beside: beside && p.Aside != nil}
	if width > 0 {
		l.edge = Edge
	}
	l.styles = newStyles(p.Colors, width > 0 && width < narrow)
	l.gap = p.Plot.Gap()
	right := l.edge + (l.gap-PanelGap)/2
	if l.beside {
		right = l.edge + asideGap + p.Aside.Beside(&l.styles)
	}
	// Lines of the title of the vertical axis: as many as the height of the panels requires.
	for lines := 1; ; lines++ {
		l.side = p.Plot.Side(&l.styles, width)
		l.left = l.edge + l.side + 3
		if p.YTitle != "" {
			l.left += vg.Length(lines) * l.styles.Axis.Line()
		}
		l.sizePanels(width, l.left+right)
		room := l.panelH + PanelGap
		l.yTitleLines = l.styles.Axis.Balance(p.YTitle, room, lines)
		if lines == maxTitle || len(l.styles.Axis.Wrap(p.YTitle, room, lines+1)) <= lines {
			break
		}
	}
	if l.w = width; l.w == 0 {
		l.w = max(l.left+l.panelsW()+right, least)
	}
	if slack := l.w - l.left - l.panelsW() - right; slack > 0 {
		// Panels have a maximum size: centre them if they are narrower than the page.
		l.left += slack / 2
	}
	l.stack()
	l.fitHeight(width)
	return l
}

// fitHeight makes panels lower or higher if the page has a fixed height, or would not fit on a sheet of
// paper.
func (l *Layout) fitHeight(width vg.Length) {
	p := l.page
	want := p.Height
	if want == 0 && width > 0 && width <= Printed && l.h > PrintedHeight {
		want = PrintedHeight
	}
	if want == 0 {
		return
	}
	rows := 0
	for _, b := range l.blocks {
		rows += len(b.rows)
	}
	before := l.panelsW()
	l.panelW, l.panelH = p.Plot.Fit(l.room, max(1, l.panelH+(want-l.h)/vg.Length(rows)))
	if width > 0 {
		l.left += (before - l.panelsW()) / 2
	}
	l.yTitleLines = l.styles.Axis.Balance(p.YTitle, l.panelH+PanelGap, max(1, len(l.yTitleLines)))
	l.stack()
}

// panelsW returns the width of a row of panels.
func (l *Layout) panelsW() vg.Length { return vg.Length(l.perRow)*(l.panelW+l.gap) - l.gap }

// sizePanels chooses how many panels are side by side and how large they are. around is the width of
// everything except the panels.
func (l *Layout) sizePanels(width, around vg.Length) {
	p := l.page
	n, most := len(p.Panels), p.Columns
	if most == 0 || most > n {
		most = n
	}
	var w vg.Length
	if width == 0 {
		w = p.Plot.Natural(n)
		if p.Columns == 0 {
			most = p.naturalColumns(w)
		}
		l.perRow = most
	} else {
		room := func(k int) vg.Length { return (width - around - vg.Length(k-1)*l.gap) / vg.Length(k) }
		for l.perRow = most; l.perRow > 1 && !p.Plot.Readable(room(l.perRow)); {
			l.perRow--
		}
		if p.Columns == 0 { // no single panel in the last row
			lines := (n + l.perRow - 1) / l.perRow
			l.perRow = (n + lines - 1) / lines
		}
		w = room(l.perRow)
	}
	l.room = w
	l.panelW, l.panelH = p.Plot.Fit(w, 0)
}

// naturalColumns returns how many panels of width w are side by side if the width is not limited.
func (p *Page) naturalColumns(w vg.Length) int {
	n, most := len(p.Panels), max(1, int(naturalPage/w))
	switch {
	case n <= min(3, most) || (n == 4 && len(p.Frames) > 1 && most >= 4):
		return n
	case n <= 4:
		return min(2, most)
	case n <= 9:
		return min(3, most)
	default:
		return min(4, most)
	}
}

// stack sets the vertical positions, from the top.
func (l *Layout) stack() {
	p, s := l.page, &l.styles
	width := l.w - 2*l.edge
	l.titleLines, l.leadLines, l.noteLines, l.footLines, l.blocks = nil, nil, nil, nil, nil
	if !p.Bare {
		l.titleLines = s.Title.Balance(p.Title, width, 4)
		for _, line := range p.Lead {
			l.leadLines = append(l.leadLines, s.Subtitle.Wrap(line, width, maxLead)...)
		}
	}
	y := l.edge
	y += vg.Length(len(l.titleLines))*s.Title.Line() + vg.Length(len(l.leadLines))*s.Subtitle.Line() + 3
	var top, bottom vg.Length
	for i, name := range p.Frames {
		b := block{frame: i}
		if name != "" {
			b.name = s.Frame.Balance(name, width, maxTitle)
			b.nameY = y + 5 + s.Frame.Size
			y = b.nameY + vg.Length(len(b.name)-1)*s.Frame.Line() + 4
		}
		for first := 0; first < len(p.Panels); first += l.perRow {
			r := panelRow{first: first, n: min(l.perRow, len(p.Panels)-first)}
			lines := 0
			for j := range r.n {
				name := p.Panels[first+j]
				if p.PanelName != nil {
					name = p.PanelName(i, first+j)
				}
				titles := s.Panel.Balance(name, l.panelW+Edge-1, 3)
				r.titles = append(r.titles, titles)
				lines = max(lines, len(titles))
			}
			y += 3
			if lines > 0 {
				y += 2
			}
			r.titleY = y + s.Panel.Size*0.9
			y += vg.Length(lines)*s.Panel.Line() + 1
			r.top = y
			if top == 0 {
				top = y
			}
			y += l.panelH
			bottom = y
			y += p.Plot.Below() + 3
			b.rows = append(b.rows, r)
		}
		l.blocks = append(l.blocks, b)
	}
	l.xTitleLines = s.Axis.Balance(p.XTitle, width, 2)
	l.xTitle = y + s.Axis.Size*0.85
	y += vg.Length(len(l.xTitleLines)) * s.Axis.Line()
	switch {
	case l.beside:
		l.asideX, l.asideY, l.asideLength = l.left+l.panelsW()+asideGap, top, bottom-top
	case p.Aside != nil:
		y += 6
		l.asideY = y
		y += p.Aside.Below(s, l.strip())
	}
	y = l.stackKeys(y+5, width)
	if !p.Bare {
		for _, note := range p.Plot.Notes() {
			l.noteLines = append(l.noteLines, s.Note.Wrap(note, width, maxLead)...)
		}
		l.footLines = append(l.footLines, s.Foot.Wrap(p.Source, width, 8)...)
	}
	l.footY = y + s.Foot.Size
	y += vg.Length(len(l.noteLines)+len(l.footLines)) * s.Foot.Line()
	l.h = y + l.edge*0.8
}

// stackKeys places the explanations of signs below y and returns where they end.
func (l *Layout) stackKeys(y, width vg.Length) vg.Length {
	s := &l.styles
	l.keys = nil
	for _, key := range l.page.Keys {
		room, swatch := width-swatchW-swatchGap, key.Swatch
		for _, line := range s.Tick.Wrap(key.Text, room, maxKey) {
			l.keys = append(l.keys, keyLine{text: line, swatch: swatch, y: y + s.Tick.Size})
			y += s.Tick.Line()
			swatch = nil
		}
	}
	if len(l.keys) > 0 {
		y += 3
	}
	return y
}

// strip returns the part of the page below the panels.
func (l *Layout) strip() Strip {
	return Strip{X: l.edge, W: l.w - 2*l.edge, PanelsX: l.left, PanelsW: l.panelsW()}
}

// Draw draws the page.
func (l *Layout) Draw(c vg.Canvas) {
	p, s := l.page, &l.styles
	pen := Pen{Canvas: c, Colors: p.Colors, width: l.w, height: l.h}
	pen.Rect(p.Colors.Page, 0, 0, l.w, l.h)
	y := l.edge
	for _, text := range []struct {
		style typeset.Style
		lines []string
	}{{s.Title, l.titleLines}, {s.Subtitle, l.leadLines}} {
		for _, line := range text.lines {
			pen.Text(text.style, l.edge, y+text.style.Size, 0, line)
			y += text.style.Line()
		}
	}
	for _, b := range l.blocks {
		l.drawBlock(pen, b)
	}
	// Centred below the panels, but within the page.
	for i, line := range l.xTitleLines {
		half := s.Axis.Width(line) / 2
		mid := max(l.edge+half, min(l.left+l.panelsW()/2, l.w-l.edge-half))
		pen.Text(s.Axis, mid, l.xTitle+vg.Length(i)*s.Axis.Line(), 0.5, line)
	}
	switch {
	case l.beside:
		p.Aside.DrawBeside(pen, s, l.asideX, l.asideY, l.asideLength)
	case p.Aside != nil:
		p.Aside.DrawBelow(pen, s, l.strip(), l.asideY)
	}
	l.drawKeys(pen)
	for i, line := range l.noteLines {
		pen.Text(s.Note, l.edge, l.footY+vg.Length(i)*s.Foot.Line(), 0, line)
	}
	for i, line := range l.footLines {
		pen.Text(s.Foot, l.edge, l.footY+vg.Length(len(l.noteLines)+i)*s.Foot.Line(), 0, line)
	}
}

// drawKeys explains signs. If some have a swatch, all texts are aligned.
func (l *Layout) drawKeys(pen Pen) {
	style, indent := l.styles.Tick, vg.Length(0)
	for _, key := range l.page.Keys {
		if key.Swatch != nil {
			indent = swatchW + swatchGap
		}
	}
	for _, line := range l.keys {
		if line.swatch != nil {
			line.swatch(pen, l.edge, line.y-style.Cap()*1.1, swatchW, style.Cap()*1.2)
		}
		pen.Text(style, l.edge+indent, line.y, 0, line.text)
	}
}

// drawBlock draws one frame.
func (l *Layout) drawBlock(pen Pen, b block) {
	p, s := l.page, &l.styles
	for i, line := range b.name {
		pen.Text(s.Frame, l.edge, b.nameY+vg.Length(i)*s.Frame.Line(), 0, line)
	}
	for _, r := range b.rows {
		if p.YTitle != "" {
			x := l.left - l.side - 3 - 0.45*s.Axis.Size
			for i, line := range l.yTitleLines {
				back := vg.Length(len(l.yTitleLines)-1-i) * s.Axis.Line()
				pen.TextUp(s.Axis, x-back, r.top+p.Plot.Middle(), 0.5, line)
			}
		}
		p.Plot.DrawSide(pen, l.left, r.top)
		for j := range r.n {
			x := l.left + vg.Length(j)*(l.panelW+l.gap)
			for k, line := range r.titles[j] {
				pen.Text(s.Panel, x, r.titleY+vg.Length(k)*s.Panel.Line(), 0, line)
			}
			p.Plot.DrawBelow(pen, x, r.top+l.panelH)
			p.Plot.Draw(pen, b.frame, r.first+j, x, r.top)
		}
	}
}
