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

// SVG draws to an SVG document. Lengths are points; coordinates are written with two decimals, a
// hundredth of a point.
type SVG struct {
	size   Size
	meta   Meta
	body   bytes.Buffer
	states []state // the last one is current
	styles []textStyle
	runes  [2]map[rune]struct{} // used by the normal and by the bold font
	err    error                // first failure of DrawImage, which cannot return it
}

// state is what Push saves.
type state struct {
	m      matrix
	color  color.Color
	width  vg.Length
	dashes []vg.Length
	offset vg.Length
}

// textStyle is a class of the style sheet.
type textStyle struct {
	bold bool
	size string
	fill string // property and value, opacity included
}

// matrix maps local coordinates to the page, origin at the lower left:
// x' = a x + c y + e, y' = b x + d y + f.
type matrix struct{ a, b, c, d, e, f float64 }

// then is m applied after n: a point goes through n first.
func (m matrix) then(n matrix) matrix {
	return matrix{
		a: m.a*n.a + m.c*n.b, b: m.b*n.a + m.d*n.b,
		c: m.a*n.c + m.c*n.d, d: m.b*n.c + m.d*n.d,
		e: m.a*n.e + m.c*n.f + m.e, f: m.b*n.e + m.d*n.f + m.f,
	}
}

// NewSVG is an empty document of the given size.
func NewSVG(size Size, meta Meta) *SVG {
	c := &SVG{size: size, meta: meta, states: []state{{m: matrix{a: 1, d: 1}}}}
	c.runes = [2]map[rune]struct{}{{}, {}}
	vg.Initialize(c)
	return c
}

func (c *SVG) now() *state { return &c.states[len(c.states)-1] }

// Size implements vg.CanvasSizer.
func (c *SVG) Size() (w, h vg.Length) { return c.size.W, c.size.H }

// SetLineWidth implements vg.Canvas.
func (c *SVG) SetLineWidth(w vg.Length) { c.now().width = w }

// SetLineDash implements vg.Canvas.
func (c *SVG) SetLineDash(pattern []vg.Length, offset vg.Length) {
	c.now().dashes, c.now().offset = slices.Clone(pattern), offset
}

// SetColor implements vg.Canvas.
func (c *SVG) SetColor(clr color.Color) {
	if clr == nil {
		clr = color.Black
	}
	c.now().color = clr
}

// Rotate implements vg.Canvas.
func (c *SVG) Rotate(rad float64) {
	sin, cos := math.Sincos(rad)
	c.now().m = c.now().m.then(matrix{a: cos, b: sin, c: -sin, d: cos})
}

// Translate implements vg.Canvas.
func (c *SVG) Translate(pt vg.Point) {
	c.now().m = c.now().m.then(matrix{a: 1, d: 1, e: pt.X.Points(), f: pt.Y.Points()})
}

// Scale implements vg.Canvas.
func (c *SVG) Scale(x, y float64) { c.now().m = c.now().m.then(matrix{a: x, d: y}) }

// Push implements vg.Canvas.
func (c *SVG) Push() { c.states = append(c.states, *c.now()) }

// Pop implements vg.Canvas.
func (c *SVG) Pop() { c.states = c.states[:len(c.states)-1] }

// Group opens a group whose text a viewer shows when the pointer rests on it.
func (c *SVG) Group(text string) {
	fmt.Fprintf(&c.body, "<g><title>%s</title>", escape(text))
}

// EndGroup closes the group opened last.
func (c *SVG) EndGroup() { c.body.WriteString("</g>\n") }

// Stroke implements vg.Canvas.
func (c *SVG) Stroke(p vg.Path) {
	s := c.now()
	if s.width <= 0 || len(p) == 0 {
		return
	}
	scale := math.Sqrt(math.Abs(s.m.a*s.m.d - s.m.b*s.m.c))
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
	if x, y, w, h, ok := c.rectangle(p); ok {
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
	if err := png.Encode(&data, img); err != nil {
		if c.err == nil {
			c.err = fmt.Errorf("canvas: image in an SVG: %w", err)
		}
		return
	}
	m := c.now().m
	x, y := c.place(vg.Point{X: rect.Min.X, Y: rect.Max.Y})
	size := rect.Size()
	fmt.Fprintf(&c.body, `<image transform="matrix(%s %s %s %s %s %s)" width="%s" height="%s" preserveAspectRatio="none" href="data:image/png;base64,%s"/>`+"\n",
		number(m.a), number(-m.b), number(-m.c), number(m.d), number(x), number(y),
		number(size.X.Points()), number(size.Y.Points()), base64.StdEncoding.EncodeToString(data.Bytes()))
}

// place gives the document coordinates of a point: origin at the upper left, y down.
func (c *SVG) place(p vg.Point) (x, y float64) {
	m := c.now().m
	px, py := p.X.Points(), p.Y.Points()
	return m.a*px + m.c*py + m.e, c.size.H.Points() - (m.b*px + m.d*py + m.f)
}

// rectangle recognises a path that is an upright rectangle on the page.
func (c *SVG) rectangle(p vg.Path) (x, y, w, h float64, ok bool) {
	if len(p) != 5 || p[0].Type != vg.MoveComp || p[4].Type != vg.CloseComp {
		return 0, 0, 0, 0, false
	}
	var xs, ys [4]float64
	for i := range 4 {
		if i > 0 && p[i].Type != vg.LineComp {
			return 0, 0, 0, 0, false
		}
		xs[i], ys[i] = c.place(p[i].Pos)
	}
	flat := ys[0] == ys[1] && xs[1] == xs[2] && ys[2] == ys[3] && xs[3] == xs[0]
	steep := xs[0] == xs[1] && ys[1] == ys[2] && xs[2] == xs[3] && ys[3] == ys[0]
	x, y = min(xs[0], xs[2]), min(ys[0], ys[2])
	return x, y, math.Abs(xs[2] - xs[0]), math.Abs(ys[2] - ys[0]), flat || steep
}

// path writes path data. Arcs become cubic curves of at most a quarter turn, which are off by less
// than 0.03 % of the radius.
func (c *SVG) path(p vg.Path) string {
	var b strings.Builder
	write := func(op byte, points ...vg.Point) {
		b.WriteByte(op)
		for i, pt := range points {
			if i > 0 {
				b.WriteByte(' ')
			}
			x, y := c.place(pt)
			b.WriteString(number(x) + " " + number(y))
		}
	}
	for i, comp := range p {
		switch comp.Type {
		case vg.MoveComp:
			write('M', comp.Pos)
		case vg.LineComp:
			write('L', comp.Pos)
		case vg.CurveComp:
			op := byte('Q')
			if len(comp.Control) == 2 {
				op = 'C'
			}
			write(op, append(slices.Clone(comp.Control), comp.Pos)...)
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
			write(op, from)
			for j := range n {
				to, next := on(comp.Start + float64(j+1)*step)
				write('C', from.Add(along.Scale(k)), to.Sub(next.Scale(k)), to)
				from, along = to, next
			}
		case vg.CloseComp:
			b.WriteByte('Z')
		}
	}
	return b.String()
}

// WriteTo writes the document. It can be called once the drawing is complete.
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

// number writes x with at most two decimals.
func number(x float64) string {
	s := strconv.FormatFloat(x, 'f', 2, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" || s == "" {
		return "0"
	}
	return s
}

// hex is a colour without its opacity, #rrggbb.
func hex(c color.Color) string {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return fmt.Sprintf("#%02x%02x%02x", n.R, n.G, n.B)
}

// opacity is the attribute that goes with a colour that is not opaque.
func opacity(what string, c color.Color) string {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	if n.A == 255 {
		return ""
	}
	return fmt.Sprintf(` %s-opacity="%s"`, what, number(float64(n.A)/255))
}

// escape makes s fit for XML text and attributes; control characters, which XML cannot hold, become U+FFFD.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if (r < 0x20 && r != '\n' && r != '\t') || r == 0xFFFE || r == 0xFFFF {
			return '\uFFFD'
		}
		return r
	}, s)
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
