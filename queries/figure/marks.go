package figure

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
)

// Series are distinguished by colour and by the style of their lines, categories of bars by colour and
// hatching, so that they can be told apart in a grey print. The numbers of styles have few factors in common
// with the number of colours, so that [maxEntries] combinations are all different.
var dashes = [...][]vg.Length{
	nil, {4, 1.6}, {1.1, 1.3}, {5, 1.5, 1.1, 1.5}, {8, 2}, {2.2, 1.6},
}

// dash returns the line style of series i.
func dash(i int) []vg.Length { return dashes[i%len(dashes)] }

// hatch is the way in which the bars of a category are filled.
type hatch uint8

const (
	solid hatch = iota
	rising
	hollow
	falling
	crossed
	hatches // their number
)

// hatchGap is the distance between hatching lines along the side of a bar.
const hatchGap = 3.2

// drawBar fills a rectangle in the style of category i.
func drawBar(p page.Pen, colors *palette.Palette, i int, x, y, w, h vg.Length) {
	fill, line, style := colors.Category(i), colors.CategoryLine(i), hatch(i)%hatches
	switch style {
	case solid:
	case hollow:
		fill = colors.Over(fill, 0.12)
	default:
		fill = colors.Over(fill, 0.38)
	}
	p.Rect(fill, x, y, w, h)
	var path vg.Path
	if style == rising || style == crossed {
		path = append(path, hatching(p, x, y, w, h, true)...)
	}
	if style == falling || style == crossed {
		path = append(path, hatching(p, x, y, w, h, false)...)
	}
	p.Lines(line, 0.7, path)
	p.Lines(line, 0.6, p.Path(true, x, y, x+w, y, x+w, y+h, x, y+h))
}

// hatching returns diagonal lines across a rectangle, clipped to it.
func hatching(p page.Pen, x, y, w, h vg.Length, up bool) vg.Path {
	var path vg.Path
	// A line from the left or lower side to the upper or right one.
	for from := vg.Length(hatchGap / 2); from < w+h; from += hatchGap {
		x0, y0 := max(0, from-h), min(from, h)
		x1, y1 := min(from, w), max(0, from-w)
		if !up {
			y0, y1 = h-y0, h-y1
		}
		path = append(path, p.Path(false, x+x0, y+y0, x+x1, y+y1)...)
	}
	return path
}

// marker returns the marker of the points of line i, about size across.
func marker(p page.Pen, i int, x, y, size vg.Length) vg.Path {
	r := size / 2
	switch i % 5 {
	case 0:
		var path vg.Path
		path.Move(p.At(x+r, y))
		path.Arc(p.At(x, y), r, 0, 2*math.Pi)
		path.Close()
		return path
	case 1:
		return p.Path(true, x-0.9*r, y-0.9*r, x+0.9*r, y-0.9*r, x+0.9*r, y+0.9*r, x-0.9*r, y+0.9*r)
	case 2:
		return p.Path(true, x, y-1.15*r, x+1.1*r, y+0.85*r, x-1.1*r, y+0.85*r)
	case 3:
		return p.Path(true, x, y-1.3*r, x+1.3*r, y, x, y+1.3*r, x-1.3*r, y)
	default:
		return p.Path(true, x, y+1.15*r, x-1.1*r, y-0.85*r, x+1.1*r, y-0.85*r)
	}
}

// sheer returns a translucent colour.
func sheer(c color.NRGBA, alpha float64) color.NRGBA {
	c.A = uint8(255*alpha + 0.5)
	return c
}
