package cli

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"regexp"
)

// A pictureChange says how two pictures differ.
type pictureChange struct {
	pixels   int             // number of pixels that differ
	total    int             // of the larger picture
	where    image.Rectangle // around the pixels that differ
	old, new image.Point     // sizes
	picture  image.Image     // old, new, and what differs, side by side
}

func (c *pictureChange) String() string {
	size := ""
	if c.old != c.new {
		size = fmt.Sprintf("%d x %d pixels, was %d x %d; ", c.new.X, c.new.Y, c.old.X, c.old.Y)
	}
	return size + fmt.Sprintf("%d of %d pixels differ, between (%d, %d) and (%d, %d)", c.pixels, c.total,
		c.where.Min.X, c.where.Min.Y, c.where.Max.X-1, c.where.Max.Y-1)
}

// quietLevels is the difference of a channel of a pixel, 0 to 255, that is ignored: rounding depends on the
// processor, and nobody sees it.
const quietLevels = 2

// comparePNG compares two pictures by their pixels; their metadata may differ. It returns nil if they look
// the same.
func comparePNG(before, after []byte) (*pictureChange, error) {
	old, err := png.Decode(bytes.NewReader(before))
	if err != nil {
		return nil, fmt.Errorf("the old picture is not a PNG: %w", err)
	}
	new, err := png.Decode(bytes.NewReader(after))
	if err != nil {
		return nil, fmt.Errorf("the new picture is not a PNG: %w", err)
	}
	a, b := flatten(old), flatten(new)
	all := a.Rect.Union(b.Rect)
	c := &pictureChange{old: a.Rect.Max, new: b.Rect.Max, total: all.Dx() * all.Dy()}
	marked := image.NewNRGBA(all)
	for y := range all.Max.Y {
		for x := range all.Max.X {
			p, q := a.NRGBAAt(x, y), b.NRGBAAt(x, y)
			if !seen(p, q) {
				// Pixels that are the same are pale.
				pale := uint8(200 + luma(q)/5)
				marked.SetNRGBA(x, y, color.NRGBA{pale, pale, pale, 255})
				continue
			}
			marked.SetNRGBA(x, y, color.NRGBA{200, 0, 120, 255})
			c.pixels++
			c.where = c.where.Union(image.Rect(x, y, x+1, y+1))
		}
	}
	if c.pixels == 0 {
		return nil, nil
	}
	c.picture = beside(all, a, b, marked)
	return c, nil
}

// flatten draws a picture on white, with its corner at the origin.
func flatten(m image.Image) *image.NRGBA {
	flat := image.NewNRGBA(image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy()))
	draw.Draw(flat, flat.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Rect, m, m.Bounds().Min, draw.Over)
	return flat
}

// seen reports whether two pixels look different. Outside a picture, pixels are transparent.
func seen(p, q color.NRGBA) bool {
	for _, d := range [...]int{int(p.R) - int(q.R), int(p.G) - int(q.G), int(p.B) - int(q.B),
		int(p.A) - int(q.A)} {
		if d > quietLevels || d < -quietLevels {
			return true
		}
	}
	return false
}

// luma returns the brightness of a pixel, 0 to 255.
func luma(p color.NRGBA) int { return (299*int(p.R) + 587*int(p.G) + 114*int(p.B)) / 1000 }

// beside puts pictures next to each other, each in a space of the size of all, with lines between them.
func beside(all image.Rectangle, pictures ...image.Image) image.Image {
	const gap = 12
	row := image.NewNRGBA(image.Rect(0, 0, len(pictures)*(all.Dx()+gap)-gap, all.Dy()))
	draw.Draw(row, row.Rect, image.NewUniform(color.NRGBA{90, 90, 90, 255}), image.Point{}, draw.Src)
	for i, m := range pictures {
		at := all.Add(image.Pt(i*(all.Dx()+gap), 0))
		draw.Draw(row, at, image.White, image.Point{}, draw.Src)
		draw.Draw(row, at, m, image.Point{}, draw.Over)
	}
	return row
}

// write writes the picture of the change.
func (c *pictureChange) write(w io.Writer) error { return png.Encode(w, c.picture) }

// svgFacts matches the metadata of an SVG.
var svgFacts = regexp.MustCompile(`(?s)<metadata>.*?</metadata>`)

// compareText compares two drawings in a text format. It returns what differs first, or "". The metadata of
// an SVG may differ, like that of a PNG; in other formats it belongs to the text.
func compareText(before, after []byte, svg bool) string {
	if svg {
		before, after = svgFacts.ReplaceAll(before, nil), svgFacts.ReplaceAll(after, nil)
	}
	if bytes.Equal(before, after) {
		return ""
	}
	if !svg {
		return fmt.Sprintf("%d bytes, was %d", len(after), len(before))
	}
	old, new := bytes.Split(before, []byte("\n")), bytes.Split(after, []byte("\n"))
	changed, first := 0, -1
	for i := range max(len(old), len(new)) {
		if i < len(old) && i < len(new) && bytes.Equal(old[i], new[i]) {
			continue
		}
		changed++
		if first < 0 {
			first = i
		}
	}
	return fmt.Sprintf("%d of %d lines of the drawing differ, the first is %s, was %s", changed,
		max(len(old), len(new)), lineAt(new, first), lineAt(old, first))
}

// lineAt quotes a line, shortened if it is long.
func lineAt(lines [][]byte, i int) string {
	const most = 100
	if i >= len(lines) {
		return "not there"
	}
	line := bytes.TrimSpace(lines[i])
	if len(line) > most {
		return fmt.Sprintf("%q...", line[:most])
	}
	return fmt.Sprintf("%q", line)
}
