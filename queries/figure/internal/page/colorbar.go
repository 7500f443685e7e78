package page

import (
	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/axis"
)

// ColorBar explains a diverging colour scale, with plus at the top or at the right.
type ColorBar struct {
	Title string
	Limit float64 // positive; the value at the ends of the scale
	// Relative is set for a scale that ends at a different value in each panel: its ticks are fractions of
	// the end.
	Relative bool
	// Beyond is set for a scale that some values exceed: its ends are pointed.
	Beyond bool
}

var _ Aside = ColorBar{}

const (
	barWidth = 8.0
	maxBar   = 220.0
	leastBar = 110.0 // shortest bar, if there is room
	barSteps = 100   // number of colours
)

// ticks returns the ticks of the bar, at most most on each side of zero, their texts, and the width of the
// widest text.
func (b ColorBar) ticks(s *Styles, most int) (at []float64, texts []string, widest vg.Length) {
	if b.Relative {
		at = []float64{-b.Limit, -b.Limit / 2, 0, b.Limit / 2, b.Limit}
		texts = []string{"−end", "−½", "0", "½", "end"}
		return at, texts, s.Tick.Widest(texts)
	}
	at = axis.Symmetric(b.Limit, most)
	step := at[len(at)/2+1] // the first above zero
	for _, x := range at {
		texts = append(texts, axis.Text(x, step, b.Limit))
	}
	return at, texts, s.Tick.Widest(texts)
}

// thinned returns as many ticks as there is room for in a length.
func (b ColorBar) thinned(s *Styles, length vg.Length, upright bool) (at []float64, texts []string, widest vg.Length) {
	for most := 4; ; most-- {
		at, texts, widest = b.ticks(s, most)
		each := s.Tick.Line()
		if !upright {
			each = widest + 4
		}
		if most == 1 || each <= length*vg.Length(at[len(at)/2+1]/(2*b.Limit)) {
			return at, texts, widest
		}
	}
}

// Beside implements [Aside].
func (b ColorBar) Beside(s *Styles) vg.Length {
	_, _, widest := b.ticks(s, 4)
	return barWidth + 3.5 + widest + 4 + s.Axis.Line()
}

// Fits implements [Aside]: the title must not stick out much above and below.
func (b ColorBar) Fits(s *Styles, height vg.Length) bool {
	return s.Axis.Width(b.Title) <= min(height, maxBar)+14
}

// Below implements [Aside].
func (b ColorBar) Below(s *Styles, _ Strip) vg.Length {
	return barWidth + 3 + s.Tick.Line() + s.Axis.Line()
}

// pointRoom is the length of a pointed end.
const pointRoom = 6.0

// points returns the length that pointed ends take from a bar.
func (b ColorBar) points() vg.Length {
	if b.Beyond {
		return pointRoom
	}
	return 0
}

// DrawBeside implements [Aside].
func (b ColorBar) DrawBeside(p Pen, s *Styles, x, y, height vg.Length) {
	length := min(height, maxBar) - 2*b.points()
	y += b.points()
	_, _, widest := b.ticks(s, 4) // what Beside has left room for
	at, texts, _ := b.thinned(s, length, true)
	step := length / barSteps
	for i := range barSteps { // from the bottom; a colour reaches up below the next
		reach := step + Seam
		if i == barSteps-1 {
			reach = step
		}
		p.Rect(p.Colors.Diverging(b.color(i)), x, y+length-vg.Length(i)*step-reach, barWidth, reach)
	}
	path := p.Path(true, x, y, x+barWidth, y, x+barWidth, y+length, x, y+length)
	if b.Beyond {
		b.drawPoint(p, 1, x, y, x+barWidth, y, x+barWidth/2, y-pointRoom)
		b.drawPoint(p, -1, x, y+length, x+barWidth, y+length, x+barWidth/2, y+length+pointRoom)
	}
	for _, t := range at {
		along := length * vg.Length((t/b.Limit+1)/2)
		path = append(path, p.Path(false, x+barWidth, y+length-along, x+barWidth+2, y+length-along)...)
	}
	p.Lines(p.Colors.Edge, 0.5, path)
	// Minus signs hang to the left, so that digits are aligned.
	for i, t := range at {
		along := length * vg.Length((t/b.Limit+1)/2)
		p.Text(s.Tick, x+barWidth+3.5+widest, y+length-along+s.Tick.Cap()/2, 1, texts[i])
	}
	p.TextUp(s.Axis, x+barWidth+3.5+widest+4+s.Axis.Size*0.85, y+length/2, 0.5, b.Title)
}

// drawPoint draws the end of a bar for all values beyond it: a triangle in the colour of the end.
func (b ColorBar) drawPoint(p Pen, end float64, xy ...vg.Length) {
	path := p.Path(true, xy...)
	p.SetColor(p.Colors.Diverging(end))
	p.Fill(path)
	p.Lines(p.Colors.Edge, 0.5, path)
}

// DrawBelow implements [Aside].
func (b ColorBar) DrawBelow(p Pen, s *Styles, strip Strip, y vg.Length) {
	all := min(max(strip.PanelsW, leastBar), strip.W, maxBar)
	length := all - 2*b.points()
	x := max(strip.X, min(strip.PanelsX+(strip.PanelsW-all)/2, strip.X+strip.W-all)) + b.points()
	at, texts, _ := b.thinned(s, length, false)
	step := length / barSteps
	for i := range barSteps {
		reach := step + Seam
		if i == barSteps-1 {
			reach = step
		}
		p.Rect(p.Colors.Diverging(b.color(i)), x+vg.Length(i)*step, y, reach, barWidth)
	}
	if b.Beyond {
		b.drawPoint(p, 1, x+length, y, x+length, y+barWidth, x+length+pointRoom, y+barWidth/2)
		b.drawPoint(p, -1, x, y, x, y+barWidth, x-pointRoom, y+barWidth/2)
	}
	path := p.Path(true, x, y, x+length, y, x+length, y+barWidth, x, y+barWidth)
	for _, t := range at {
		along := x + length*vg.Length((t/b.Limit+1)/2)
		path = append(path, p.Path(false, along, y+barWidth, along, y+barWidth+2)...)
	}
	p.Lines(p.Colors.Edge, 0.5, path)
	for i, t := range at {
		half := s.Tick.Width(texts[i])/2 + 2
		mid := max(half, min(x+length*vg.Length((t/b.Limit+1)/2), p.width-half))
		p.Text(s.Tick, mid, y+barWidth+3+s.Tick.Size*0.85, 0.5, texts[i])
	}
	title := s.Axis.Truncate(b.Title, p.width-2*Edge)
	half := s.Axis.Width(title) / 2
	mid := max(Edge+half, min(x+length/2, p.width-Edge-half))
	p.Text(s.Axis, mid, y+barWidth+3+s.Tick.Line()+s.Axis.Size*0.85, 0.5, title)
}

// color returns the value of step i of the bar, -1 to 1.
func (b ColorBar) color(i int) float64 { return 2*(float64(i)+0.5)/barSteps - 1 }
