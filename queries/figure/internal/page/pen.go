package page

import (
	"image/color"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/canvas"
	"ducklens/queries/figure/internal/palette"
	"ducklens/queries/figure/internal/typeset"
)

// Pen draws on a canvas in the coordinates of a page: points from the upper left corner, y down.
type Pen struct {
	vg.Canvas
	Colors        *palette.Palette
	width, height vg.Length // of the page
}

// At returns the canvas point of a point of the page.
func (p Pen) At(x, y vg.Length) vg.Point { return vg.Point{X: x, Y: p.height - y} }

// Rect fills an upright rectangle given by its upper left corner.
func (p Pen) Rect(fill color.NRGBA, x, y, w, h vg.Length) {
	p.SetColor(fill)
	p.Fill(p.Path(true, x, y, x+w, y, x+w, y+h, x, y+h))
}

// Path returns a path through points given as x, y, x, y, ...
func (p Pen) Path(closed bool, xy ...vg.Length) vg.Path {
	var path vg.Path
	for i := 0; i+1 < len(xy); i += 2 {
		if i == 0 {
			path.Move(p.At(xy[0], xy[1]))
		} else {
			path.Line(p.At(xy[i], xy[i+1]))
		}
	}
	if closed {
		path.Close()
	}
	return path
}

// Lines strokes a path in a colour and width; without dashes, the line is solid.
func (p Pen) Lines(stroke color.NRGBA, width vg.Length, path vg.Path, dashes ...vg.Length) {
	if len(path) == 0 {
		return
	}
	p.SetColor(stroke)
	p.SetLineWidth(width)
	p.SetLineDash(dashes, 0)
	p.Stroke(path)
}

// Text draws s with its baseline at y. It begins at x (align 0), is centred on it (0.5) or ends there (1).
func (p Pen) Text(style typeset.Style, x, y, align vg.Length, s string) {
	style.Draw(p.Canvas, p.At(x, y), align, s)
}

// TextUp is Text turned so that it reads upwards.
func (p Pen) TextUp(style typeset.Style, x, y, align vg.Length, s string) {
	style.DrawUp(p.Canvas, p.At(x, y), align, s)
}

// Group draws with a tooltip.
func (p Pen) Group(text string, draw func()) {
	g, ok := p.Canvas.(canvas.Grouper)
	if ok {
		g.Group(text)
	}
	draw()
	if ok {
		g.EndGroup()
	}
}
