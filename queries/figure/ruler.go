package figure

import (
	"math"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/axis"
	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/typeset"
)

// ruler is an axis on the page: from low to high over some length, with the ticks that have room.
type ruler struct {
	low, high float64
	length    vg.Length
	at        []float64
	texts     []string
	style     typeset.Style
	turned    bool // texts read upwards
	signed    bool // its zero is marked
}

// along returns the place of v on the ruler.
func (r *ruler) along(v float64) vg.Length {
	return r.length * vg.Length((v-r.low)/(r.high-r.low))
}

// Room around ticks.
const (
	tickGap       = 5.0 // minimum distance between the texts of two ticks
	tickMark      = 2.0
	overhang      = 9.0  // how far half of a tick's text may reach past the end of an axis
	rulerGap      = 22.0 // between panels with rulers
	groupOverhang = 2.4  // the same of the name of a group
)

// numbers sets ticks at round numbers, as many as have room, side by side or one below the other. whole is
// for counts.
func (r *ruler) numbers(most int, side bool, whole bool) {
	limit := max(math.Abs(r.low), math.Abs(r.high))
	for ; ; most-- {
		at, step := axis.Ticks(r.low, r.high, most, whole)
		r.at, r.texts = at, r.texts[:0]
		for _, x := range at {
			r.texts = append(r.texts, axis.Text(x, step, limit))
		}
		free := r.length*vg.Length(step/(r.high-r.low)) >= r.style.Line()
		if side {
			free = r.apart()
		}
		if most <= 2 || free {
			return
		}
	}
}

// apart reports whether the texts of the ticks have room side by side, each at its tick.
func (r *ruler) apart() bool {
	end := -vg.Inch
	for i, v := range r.at {
		mid, half := r.along(v), r.style.Width(r.texts[i])/2
		if mid-half < end+tickGap {
			return false
		}
		end = mid + half
	}
	return true
}

// fits reports whether the text of tick i can be centred on it without reaching far past the ends of the
// axis.
func (r *ruler) fits(i int) bool {
	mid, half := r.along(r.at[i]), r.style.Width(r.texts[i])/2
	return mid-half >= -overhang && mid+half <= r.length+overhang
}

// names sets ticks at the places of names: all of them, side by side or turned, or as many as have room
// turned.
func (r *ruler) names(names []string) {
	r.at, r.texts = nil, nil
	pitch := r.length / vg.Length(max(len(names), 1))
	short := truncated(r.style, names, 1.1*vg.Inch)
	r.turned = r.style.Widest(short)+tickGap > pitch
	every := 1
	if r.turned {
		every = max(1, int(math.Ceil(float64(r.style.Line()*0.95/pitch))))
	}
	for i := 0; i < len(short); i += every {
		r.at, r.texts = append(r.at, float64(i)), append(r.texts, short[i])
	}
}

// depth returns the height of the ticks below an axis.
func (r *ruler) depth() vg.Length {
	if r.turned {
		return tickMark + 2 + r.style.Widest(r.texts)
	}
	return tickMark + 1 + r.style.Line()
}

// drawBelow draws the ticks below a panel whose lower left corner is at x, y. Texts do not reach far past its
// ends.
func (r *ruler) drawBelow(p page.Pen, x, y vg.Length) {
	var path vg.Path
	for i, v := range r.at {
		at := x + r.along(v)
		path = append(path, p.Path(false, at, y, at, y+tickMark)...)
		if r.turned {
			p.TextUp(r.style, at+r.style.Cap()/2, y+tickMark+2, 1, r.texts[i])
			continue
		}
		if r.fits(i) {
			p.Text(r.style, at, y+tickMark+1+r.style.Size*0.85, 0.5, r.texts[i])
		}
	}
	p.Lines(p.Colors.Edge, 0.5, path)
}

// drawLeft draws the ticks to the left of a panel whose axis ends at x, y at the bottom.
func (r *ruler) drawLeft(p page.Pen, x, y vg.Length) {
	var path vg.Path
	for i, v := range r.at {
		at := y - r.along(v)
		path = append(path, p.Path(false, x, at, x-tickMark, at)...)
		p.Text(r.style, x-tickMark-1.5, at+r.style.Cap()/2, 1, r.texts[i])
	}
	p.Lines(p.Colors.Edge, 0.5, path)
}

// drawGrid draws the lines of the ticks behind a panel whose left side is at x: those of the horizontal axis
// from y to bottom, those of the vertical axis between top and bottom, and the lines of zero.
func drawGrid(p page.Pen, across, up *ruler, x, y, top, bottom vg.Length) {
	upright := func(v float64) vg.Path { return p.Path(false, x+across.along(v), y, x+across.along(v), bottom) }
	level := func(v float64) vg.Path {
		return p.Path(false, x, bottom-up.along(v), x+across.length, bottom-up.along(v))
	}
	var grid, zero vg.Path
	for _, v := range across.at {
		grid = append(grid, upright(v)...)
	}
	for _, v := range up.at {
		grid = append(grid, level(v)...)
	}
	if across.signed && across.low < 0 && across.high > 0 {
		zero = append(zero, upright(0)...)
	}
	if up.signed && up.low < 0 && up.high > 0 {
		zero = append(zero, level(0)...)
	}
	p.Lines(p.Colors.Grid, 0.4, grid)
	p.Lines(p.Colors.Edge, 0.5, zero)
}
