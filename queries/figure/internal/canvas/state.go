package canvas

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
)

// state is what Push saves.
type state struct {
	m      matrix
	color  color.Color
	width  vg.Length
	dashes []vg.Length
	offset vg.Length
}

// states is the part of vg.Canvas that does not draw. The last state is current.
type states []state

// newStates returns the state of a page on which everything is enlarged by zoom.
func newStates(zoom float64) states { return states{{m: matrix{a: zoom, d: zoom}}} }

func (s states) now() *state { return &s[len(s)-1] }

// SetLineWidth implements vg.Canvas.
func (s states) SetLineWidth(w vg.Length) { s.now().width = w }

// SetLineDash implements vg.Canvas.
func (s states) SetLineDash(pattern []vg.Length, offset vg.Length) {
	s.now().dashes, s.now().offset = slices.Clone(pattern), offset
}

// SetColor implements vg.Canvas.
func (s states) SetColor(clr color.Color) {
	if clr == nil {
		clr = color.Black
	}
	s.now().color = clr
}

// Rotate implements vg.Canvas.
func (s states) Rotate(rad float64) { s.now().m = s.now().m.turned(rad) }

// Translate implements vg.Canvas.
func (s states) Translate(pt vg.Point) {
	s.now().m = s.now().m.then(matrix{a: 1, d: 1, e: pt.X.Points(), f: pt.Y.Points()})
}

// Scale implements vg.Canvas.
func (s states) Scale(x, y float64) { s.now().m = s.now().m.then(matrix{a: x, d: y}) }

// Push implements vg.Canvas.
func (s *states) Push() { *s = append(*s, *s.now()) }

// Pop implements vg.Canvas.
func (s *states) Pop() { *s = (*s)[:len(*s)-1] }

// scale returns the factor by which lines are longer on the page.
func (s *state) scale() float64 { return math.Sqrt(math.Abs(s.m.a*s.m.d - s.m.b*s.m.c)) }

// matrix maps local coordinates to the page, with the origin at the lower left: x' = a x + c y + e, y' = b x
// + d y + f.
type matrix struct{ a, b, c, d, e, f float64 }

// then returns m applied after n: a point goes through n first.
func (m matrix) then(n matrix) matrix {
	return matrix{
		a: m.a*n.a + m.c*n.b, b: m.b*n.a + m.d*n.b,
		c: m.a*n.c + m.c*n.d, d: m.b*n.c + m.d*n.d,
		e: m.a*n.e + m.c*n.f + m.e, f: m.b*n.e + m.d*n.f + m.f,
	}
}

// turned returns m after a rotation by an angle in radians.
func (m matrix) turned(rad float64) matrix {
	sin, cos := math.Sincos(rad)
	return m.then(matrix{a: cos, b: sin, c: -sin, d: cos})
}

// at returns where a point is mapped to.
func (m matrix) at(x, y float64) (px, py float64) { return m.a*x + m.c*y + m.e, m.b*x + m.d*y + m.f }
