// Package canvas writes drawings to files. [SVG], [PNG] and [PDF] implement the canvas of gonum/plot
// (vg.Canvas), so that both gonum's own plotters and the figures of ducklens can draw on them.
//
// They differ from gonum's vgsvg and vgimg in what a publication needs. The files contain their title and
// provenance ([Meta]). An SVG keeps its text as text and embeds only the glyphs that it uses, while vgsvg
// embeds whole fonts, 0.9 MB each, or none. A PNG draws text as filled outlines, so that turned text is as
// sharp as level text, and the file has its resolution. Nothing in a file depends on the time or on the
// machine's fonts.
package canvas

import (
	"image"
	"image/color"

	"gonum.org/v1/plot/vg"
)

// Meta is what a file says about itself.
type Meta struct {
	Title       string
	Description string
	Facts       [][2]string // name and value, in order: run, query, convention, ...
}

// Size is the size of a drawing, in points, and the factor by which it is enlarged on the page.
type Size struct {
	W, H vg.Length
	Zoom float64 // 1: not enlarged
}

// Page returns the size on the page.
func (s Size) Page() (w, h vg.Length) { return s.W * vg.Length(s.Zoom), s.H * vg.Length(s.Zoom) }

// Grouper is a canvas on which a part of a drawing can have a tooltip.
type Grouper interface {
	Group(text string)
	EndGroup()
}

var (
	_ vg.CanvasWriterTo = (*SVG)(nil)
	_ vg.CanvasWriterTo = (*PNG)(nil)
	_ Grouper           = (*SVG)(nil)
)

// enlarge is the minimum width and height of an image in a file, in pixels. Viewers that smooth an image then
// blur its original pixels only at their edges.
const enlarge = 1024

// enlarged repeats the pixels of a small image.
func enlarged(img image.Image) image.Image {
	b := img.Bounds()
	k := max(1, (enlarge+max(b.Dx(), b.Dy())-1)/max(b.Dx(), b.Dy(), 1))
	if k == 1 {
		return img
	}
	large := image.NewNRGBA(image.Rect(0, 0, k*b.Dx(), k*b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			c := color.NRGBAModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA)
			for i := range k {
				large.SetNRGBA(k*x+i, k*y, c)
			}
		}
		first := large.Pix[k*y*large.Stride : (k*y+1)*large.Stride]
		for i := 1; i < k; i++ {
			copy(large.Pix[(k*y+i)*large.Stride:], first)
		}
	}
	return large
}

// empty reports whether a colour is invisible.
func empty(c color.Color) bool {
	_, _, _, a := c.RGBA()
	return a == 0
}
