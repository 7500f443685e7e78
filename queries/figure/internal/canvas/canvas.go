// Package canvas writes drawings to files: [SVG] and [PNG] implement the canvas of gonum/plot (vg.Canvas), so
// that both gonum's own plotters and the figures of ducklens can draw on them.
//
// They differ from gonum's vgsvg and vgimg in what a publication needs. The files carry their title and
// provenance ([Meta]). An SVG keeps its text as text and embeds only the glyphs that it uses: vgsvg
// embeds whole fonts, 0.9 MB each, or none. In a PNG text is drawn as filled outlines, so that it is as sharp turned as it is
// level, and the file says how many dots make an inch. Nothing written depends on the time or on the
// machine's fonts.
package canvas

import (
	"gonum.org/v1/plot/vg"
)

// Meta is what a file says about itself beside the picture.
type Meta struct {
	Title       string
	Description string
	Facts       [][2]string // name and value, in order: run, query, convention, ...
}

// Size is how large a drawing is, in points, and how much larger than that it is on the page.
type Size struct {
	W, H vg.Length
	Zoom float64 // 1 for the size itself
}

// Page is the size on the page.
func (s Size) Page() (w, h vg.Length) { return s.W * vg.Length(s.Zoom), s.H * vg.Length(s.Zoom) }

// Grouper is a canvas on which a part of a drawing can carry a text of its own, which a viewer shows when the
// pointer rests on it.
type Grouper interface {
	Group(text string)
	EndGroup()
}

var (
	_ vg.CanvasWriterTo = (*SVG)(nil)
	_ vg.CanvasWriterTo = (*PNG)(nil)
	_ Grouper           = (*SVG)(nil)
)
