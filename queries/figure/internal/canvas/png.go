package canvas

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"math"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"

	"ducklens/queries/figure/internal/typeface"
)

// PNG draws to a PNG image on white.
type PNG struct {
	*vgimg.Canvas
	dpi  int
	zoom vg.Length
	meta Meta
	m    []matrix // to points of the image; the last is current
}

// NewPNG returns an empty image of the given size and resolution, in dots per inch.
func NewPNG(size Size, dpi int, meta Meta) *PNG {
	w, h := size.Page()
	c := &PNG{
		Canvas: vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(dpi)), dpi: dpi, zoom: vg.Length(size.Zoom), meta: meta,
		m: []matrix{{a: 1, d: 1}},
	}
	c.Scale(size.Zoom, size.Zoom)
	return c
}

// SetLineWidth implements vg.Canvas; gonum's does not follow Scale.
func (c *PNG) SetLineWidth(w vg.Length) { c.Canvas.SetLineWidth(w * c.zoom) }

// SetLineDash implements vg.Canvas; gonum's does not follow Scale.
func (c *PNG) SetLineDash(pattern []vg.Length, offset vg.Length) {
	scaled := make([]vg.Length, len(pattern))
	for i, d := range pattern {
		scaled[i] = d * c.zoom
	}
	c.Canvas.SetLineDash(scaled, offset*c.zoom)
}

func (c *PNG) now() *matrix { return &c.m[len(c.m)-1] }

// Push implements vg.Canvas.
func (c *PNG) Push() {
	c.Canvas.Push()
	c.m = append(c.m, *c.now())
}

// Pop implements vg.Canvas.
func (c *PNG) Pop() {
	c.Canvas.Pop()
	c.m = c.m[:len(c.m)-1]
}

// Translate implements vg.Canvas.
func (c *PNG) Translate(pt vg.Point) {
	c.Canvas.Translate(pt)
	*c.now() = c.now().then(matrix{a: 1, d: 1, e: pt.X.Points(), f: pt.Y.Points()})
}

// Scale implements vg.Canvas.
func (c *PNG) Scale(x, y float64) {
	c.Canvas.Scale(x, y)
	*c.now() = c.now().then(matrix{a: x, d: y})
}

// Rotate implements vg.Canvas.
func (c *PNG) Rotate(rad float64) {
	c.Canvas.Rotate(rad)
	*c.now() = c.now().turned(rad)
}

// DrawImage implements vg.Canvas. The pixels of an upright image stay sharp: each becomes a rectangle, while
// gonum would blur them into each other. The image is opaque wherever it is not empty.
func (c *PNG) DrawImage(rect vg.Rectangle, img image.Image) {
	m := c.now()
	if m.b != 0 || m.c != 0 || m.a <= 0 || m.d <= 0 {
		c.Canvas.DrawImage(rect, img)
		return
	}
	dots := float64(c.dpi) / 72
	height := float64(c.Image().Bounds().Dy())
	x0, y0 := m.at(rect.Min.X.Points(), rect.Max.Y.Points())
	x1, y1 := m.at(rect.Max.X.Points(), rect.Min.Y.Points())
	x0, x1, y0, y1 = x0*dots, x1*dots, height-y0*dots, height-y1*dots
	from := img.Bounds()
	to := image.Rect(int(math.Round(x0)), int(math.Round(y0)), int(math.Round(x1)), int(math.Round(y1))).Intersect(c.Image().Bounds())
	for y := to.Min.Y; y < to.Max.Y; y++ {
		row := from.Min.Y + min(from.Dy()-1, max(0, int((float64(y)+0.5-y0)/(y1-y0)*float64(from.Dy()))))
		for x := to.Min.X; x < to.Max.X; x++ {
			column := from.Min.X + min(from.Dx()-1, max(0, int((float64(x)+0.5-x0)/(x1-x0)*float64(from.Dx()))))
			if color := img.At(column, row); !empty(color) {
				c.Image().Set(x, y, color)
			}
		}
	}
}

// FillString draws text as filled outlines: gonum's raster text snaps to whole pixels and blurs when turned.
func (c *PNG) FillString(f font.Face, pt vg.Point, s string) {
	if f.Font.Size > 0 {
		c.Fill(typeface.Outline(f, pt, s))
	}
}

// pngHead is the length of a PNG file's signature and first chunk, IHDR, after which other chunks may come.
const pngHead = 8 + 12 + 13

// WriteTo writes the image with its resolution (chunk pHYs) and its texts (iTXt, UTF-8).
func (c *PNG) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, c.Image()); err != nil {
		return 0, fmt.Errorf("canvas: PNG: %w", err)
	}
	perMetre := uint32(math.Round(float64(c.dpi) / 0.0254))
	phys := binary.BigEndian.AppendUint32(nil, perMetre)
	phys = append(binary.BigEndian.AppendUint32(phys, perMetre), 1)
	extra := chunk(nil, "pHYs", phys)
	texts := [][2]string{{"Title", c.meta.Title}, {"Description", c.meta.Description}}
	for _, t := range append(texts, c.meta.Facts...) {
		if t[0] != "" && t[1] != "" {
			extra = chunk(extra, "iTXt", []byte(t[0]+"\x00\x00\x00\x00\x00"+t[1]))
		}
	}
	var n int64
	for _, part := range [][]byte{b.Bytes()[:pngHead], extra, b.Bytes()[pngHead:]} {
		m, err := w.Write(part)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// chunk appends a PNG chunk: length, type, data, CRC-32 of type and data.
func chunk(b []byte, kind string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	start := len(b)
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}
