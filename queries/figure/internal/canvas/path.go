package canvas

import (
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
)

// segment is a step of a path: op is M, L, Q, C or Z, as in the path data of an SVG.
type segment struct {
	op     byte
	points []vg.Point
}

// segments splits a path into its steps. Arcs become cubic curves of at most a quarter turn, with an error
// below 0.03 % of the radius.
func segments(p vg.Path) []segment {
	var list []segment
	add := func(op byte, points ...vg.Point) { list = append(list, segment{op, points}) }
	for i, comp := range p {
		switch comp.Type {
		case vg.MoveComp:
			add('M', comp.Pos)
		case vg.LineComp:
			add('L', comp.Pos)
		case vg.CurveComp:
			op := byte('Q')
			if len(comp.Control) == 2 {
				op = 'C'
			}
			add(op, append(slices.Clone(comp.Control), comp.Pos)...)
		case vg.ArcComp:
			n := max(1, int(math.Ceil(math.Abs(comp.Angle)/(math.Pi/2)-1e-9)))
			step := comp.Angle / float64(n)
			k := vg.Length(4.0 / 3 * math.Tan(step/4))
			on := func(a float64) (at, along vg.Point) {
				sin, cos := math.Sincos(a)
				r := comp.Radius
				return vg.Point{X: comp.Pos.X + r*vg.Length(cos), Y: comp.Pos.Y + r*vg.Length(sin)},
					vg.Point{X: -r * vg.Length(sin), Y: r * vg.Length(cos)}
			}
			from, along := on(comp.Start)
			op := byte('L')
			if i == 0 {
				op = 'M'
			}
			add(op, from)
			for j := range n {
				to, next := on(comp.Start + float64(j+1)*step)
				add('C', from.Add(along.Scale(k)), to.Sub(next.Scale(k)), to)
				from, along = to, next
			}
		case vg.CloseComp:
			add('Z')
		}
	}
	return list
}

// rectangle recognises a path that place maps to an upright rectangle. It returns the corner with the
// smallest coordinates, and the size.
func rectangle(p vg.Path, place func(vg.Point) (x, y float64)) (x, y, w, h float64, ok bool) {
	if len(p) != 5 || p[0].Type != vg.MoveComp || p[4].Type != vg.CloseComp {
		return 0, 0, 0, 0, false
	}
	var xs, ys [4]float64
	for i := range 4 {
		if i > 0 && p[i].Type != vg.LineComp {
			return 0, 0, 0, 0, false
		}
		xs[i], ys[i] = place(p[i].Pos)
	}
	flat := ys[0] == ys[1] && xs[1] == xs[2] && ys[2] == ys[3] && xs[3] == xs[0]
	steep := xs[0] == xs[1] && ys[1] == ys[2] && xs[2] == xs[3] && ys[3] == ys[0]
	x, y = min(xs[0], xs[2]), min(ys[0], ys[2])
	return x, y, math.Abs(xs[2] - xs[0]), math.Abs(ys[2] - ys[0]), flat || steep
}
