package canvas

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/typeface"
)

// SVG draws to an SVG document. Lengths are in points; coordinates have two decimals, which is a hundredth of
// a point.
type SVG struct {
	states
	size   Size
	meta   Meta
	body   bytes.Buffer
	styles []textStyle
	runes  [2]map[rune]struct{} // used by the normal and by the bold font
	err    error                // first failure of DrawImage, which cannot return it
}

// textStyle is a class of the style sheet.
type textStyle struct {
	bold bool
	size string
	fill string // property and value, including the opacity
}

// NewSVG returns an empty document of the given size.
func NewSVG(size Size, meta Meta) *SVG {
	c := &SVG{size: size, meta: meta, states: newStates(1)}
	c.runes = [2]map[rune]struct{}{{}, {}}
	vg.Initialize(c)
	return c
}

// Size implements vg.CanvasSizer.
func (c *SVG) Size() (w, h vg.Length) { return c.size.W, c.size.H }

// Group opens a group with a tooltip.
func (c *SVG) Group(text string) {
	fmt.Fprintf(&c.body, "<g><title>%s</title>", escape(text))
}

// EndGroup closes the last open group.
func (c *SVG) EndGroup() { c.body.WriteString("</g>\n") }

// Stroke implements vg.Canvas.
func (c *SVG) Stroke(p vg.Path) {
	s := c.now()
	if s.width <= 0 || len(p) == 0 {
		return
	}
	scale := s.scale()
	fmt.Fprintf(&c.body, `<path d="%s" fill="none" stroke="%s"%s stroke-width="%s"`,
		c.path(p), hex(s.color), opacity("stroke", s.color), number(s.width.Points()*scale))
	if len(s.dashes) > 0 {
		list := make([]string, len(s.dashes))
		for i, d := range s.dashes {
			list[i] = number(d.Points() * scale)
		}
		fmt.Fprintf(&c.body, ` stroke-dasharray="%s" stroke-dashoffset="%s"`,
			strings.Join(list, " "), number(s.offset.Points()*scale))
	}
	c.body.WriteString("/>\n")
}

// Fill implements vg.Canvas.
func (c *SVG) Fill(p vg.Path) {
	if len(p) == 0 {
		return
	}
	clr := c.now().color
	if x, y, w, h, ok := rectangle(p, c.place); ok {
		fmt.Fprintf(&c.body, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"%s/>`+"\n",
			number(x), number(y), number(w), number(h), hex(clr), opacity("fill", clr))
		return
	}
	fmt.Fprintf(&c.body, `<path d="%s" fill="%s"%s/>`+"\n", c.path(p), hex(clr), opacity("fill", clr))
}

// FillString implements vg.Canvas. Faces other than those of package typeface are drawn in the normal weight.
func (c *SVG) FillString(f font.Face, pt vg.Point, s string) {
	if f.Font.Size == 0 || s == "" {
		return
	}
	s = strings.Map(typeface.Substitute, s)
	st := c.now()
	bold := typeface.IsBold(f)
	used := c.runes[0]
	if bold {
		used = c.runes[1]
	}
	for _, r := range s {
		used[r] = struct{}{}
	}
	scale := math.Hypot(st.m.a, st.m.b)
	style := textStyle{bold: bold, size: number(f.Font.Size.Points() * scale), fill: "fill:" + hex(st.color)}
	if a := color.NRGBAModel.Convert(st.color).(color.NRGBA).A; a < 255 {
		style.fill += ";fill-opacity:" + number(float64(a)/255)
	}
	class := slices.Index(c.styles, style)
	if class < 0 {
		class = len(c.styles)
		c.styles = append(c.styles, style)
	}
	x, y := c.place(pt)
	turn := ""
	if st.m.b != 0 || st.m.a < 0 {
		turn = fmt.Sprintf(` transform="rotate(%s %s %s)"`,
			number(-math.Atan2(st.m.b, st.m.a)*180/math.Pi), number(x), number(y))
	}
	fmt.Fprintf(&c.body, `<text class="t%d" x="%s" y="%s"%s>%s</text>`+"\n", class, number(x), number(y), turn, escape(s))
}

// DrawImage implements vg.Canvas.
func (c *SVG) DrawImage(rect vg.Rectangle, img image.Image) {
	var data bytes.Buffer
	if err := png.Encode(&data, enlarged(img)); err != nil {
		if c.err == nil {
			c.err = fmt.Errorf("canvas: image in an SVG: %w", err)
		}
		return
	}
	m := c.now().m
	x, y := c.place(vg.Point{X: rect.Min.X, Y: rect.Max.Y})
	size := rect.Size()
	fmt.Fprintf(&c.body, `<image transform="matrix(%s %s %s %s %s %s)" width="%s" height="%s" preserveAspectRatio="none" style="image-rendering:pixelated" href="data:image/png;base64,%s"/>`+"\n",
		number(m.a), number(-m.b), number(-m.c), number(m.d), number(x), number(y),
		number(size.X.Points()), number(size.Y.Points()), base64.StdEncoding.EncodeToString(data.Bytes()))
}

// place returns the document coordinates of a point, with the origin at the upper left and y downwards.
func (c *SVG) place(p vg.Point) (x, y float64) {
	x, y = c.now().m.at(p.X.Points(), p.Y.Points())
	return x, c.size.H.Points() - y
}

// path writes path data.
func (c *SVG) path(p vg.Path) string {
	var b strings.Builder
	for _, seg := range segments(p) {
		b.WriteByte(seg.op)
		for i, pt := range seg.points {
			if i > 0 {
				b.WriteByte(' ')
			}
			x, y := c.place(pt)
			b.WriteString(number(x) + " " + number(y))
		}
	}
	return b.String()
}

// WriteTo writes the document. Call it once, when the drawing is complete.
func (c *SVG) WriteTo(w io.Writer) (int64, error) {
	if c.err != nil {
		return 0, c.err
	}
	var head bytes.Buffer
	width, height := c.size.Page()
	fmt.Fprintf(&head, `<svg xmlns="http://www.w3.org/2000/svg" width="%spt" height="%spt" viewBox="0 0 %s %s" role="img">`+"\n",
		number(width.Points()), number(height.Points()), number(c.size.W.Points()), number(c.size.H.Points()))
	fmt.Fprintf(&head, "<title>%s</title>\n<desc>%s</desc>\n", escape(c.meta.Title), escape(c.meta.Description))
	head.WriteString(`<metadata><facts xmlns="urn:ducklens:figure">` + "\n")
	for _, f := range c.meta.Facts {
		fmt.Fprintf(&head, `<fact name="%s">%s</fact>`+"\n", escape(f[0]), escape(f[1]))
	}
	head.WriteString("</facts></metadata>\n<style>\n")
	for i, weight := range []string{"normal", "bold"} {
		if len(c.runes[i]) == 0 {
			continue
		}
		runes := make([]rune, 0, len(c.runes[i]))
		for r := range c.runes[i] {
			runes = append(runes, r)
		}
		data, err := typeface.Subset(i == 1, runes)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(&head, "@font-face{font-family:\"%s\";font-weight:%s;src:url(data:font/ttf;base64,%s)}\n",
			typeface.Family, weight, base64.StdEncoding.EncodeToString(data))
	}
	fmt.Fprintf(&head, "text{font-family:\"%s\",Arial,Helvetica,sans-serif;font-kerning:none;white-space:pre;pointer-events:none}\n", typeface.Family)
	for i, s := range c.styles {
		weight := ""
		if s.bold {
			weight = ";font-weight:bold"
		}
		fmt.Fprintf(&head, ".t%d{font-size:%spx;%s%s}\n", i, s.size, s.fill, weight)
	}
	head.WriteString("</style>\n")
	var n int64
	for _, part := range [][]byte{head.Bytes(), c.body.Bytes(), []byte("</svg>\n")} {
		m, err := w.Write(part)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// number formats x with at most two decimals.
func number(x float64) string {
	s := strconv.FormatFloat(x, 'f', 2, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" || s == "" {
		return "0"
	}
	return s
}

// hex returns a colour without its opacity, as #rrggbb.
func hex(c color.Color) string {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return fmt.Sprintf("#%02x%02x%02x", n.R, n.G, n.B)
}

// opacity returns the attribute for a colour that is not opaque.
func opacity(what string, c color.Color) string {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	if n.A == 255 {
		return ""
	}
	return fmt.Sprintf(` %s-opacity="%s"`, what, number(float64(n.A)/255))
}

// escape escapes s for XML text and attributes. Control characters, which XML cannot contain, become U+FFFD.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if (r < 0x20 && r != '\n' && r != '\t') || r == 0xFFFE || r == 0xFFFF {
			return '\uFFFD'
		}
		return r
	}, s)
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
