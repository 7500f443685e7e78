package canvas

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf16"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/typeface"
)

// PDF draws to a PDF document of one page (PDF 1.7, ISO 32000-1). Text is text, in fonts with the glyphs that
// are used. The document has no dates, and its identifier is the hash of its content.
type PDF struct {
	states
	size    Size
	meta    Meta
	body    bytes.Buffer
	written written
	alphas  []uint8          // opacities in use
	images  []image.Image    // in use
	runes   [2]map[rune]bool // used by the normal and by the bold font
}

// written is the state that the page's content has set last.
type written struct {
	fill, stroke color.NRGBA
	alpha        uint8
	width, dash  string
}

var (
	_ vg.CanvasWriterTo = (*PDF)(nil)
	_ vg.CanvasSizer    = (*PDF)(nil)
)

// NewPDF returns an empty document of the given size.
func NewPDF(size Size, meta Meta) *PDF {
	c := &PDF{states: newStates(size.Zoom), size: size, meta: meta, runes: [2]map[rune]bool{{}, {}}}
	// The initial state of a PDF page.
	c.written = written{fill: color.NRGBA{A: 255}, stroke: color.NRGBA{A: 255}, alpha: 255, width: "1", dash: "[] 0"}
	vg.Initialize(c)
	return c
}

// Size implements vg.CanvasSizer.
func (c *PDF) Size() (w, h vg.Length) { return c.size.W, c.size.H }

// place returns the coordinates of a point on the page, with the origin at the lower left.
func (c *PDF) place(p vg.Point) (x, y float64) { return c.now().m.at(p.X.Points(), p.Y.Points()) }

// opacity sets the opacity of what follows.
func (c *PDF) opacity(alpha uint8) {
	if c.written.alpha == alpha {
		return
	}
	c.written.alpha = alpha
	i := slices.Index(c.alphas, alpha)
	if i < 0 {
		i = len(c.alphas)
		c.alphas = append(c.alphas, alpha)
	}
	fmt.Fprintf(&c.body, "/A%d gs\n", i)
}

// paint sets the colour for filling (op rg) or stroking (op RG); last is the colour that was set before.
func (c *PDF) paint(op string, last *color.NRGBA) {
	clr := color.NRGBAModel.Convert(c.now().color).(color.NRGBA)
	c.opacity(clr.A)
	if clr.A = 255; clr != *last {
		*last = clr
		fmt.Fprintf(&c.body, "%s %s %s %s\n", channel(clr.R), channel(clr.G), channel(clr.B), op)
	}
}

// channel formats an 8-bit channel as a fraction, with enough digits to read the same value back.
func channel(v uint8) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.4f", float64(v)/255), "0"), ".")
}

// path writes the construction of a path.
func (c *PDF) path(p vg.Path) {
	if x, y, w, h, ok := rectangle(p, c.place); ok {
		fmt.Fprintf(&c.body, "%s %s %s %s re\n", number(x), number(y), number(w), number(h))
		return
	}
	var last vg.Point
	for _, seg := range segments(p) {
		points, op := seg.points, map[byte]string{'M': "m", 'L': "l", 'Q': "c", 'C': "c", 'Z': "h"}[seg.op]
		if seg.op == 'Q' { // as a cubic curve
			a, b := points[0], points[1]
			points = []vg.Point{last.Add(a.Sub(last).Scale(2.0 / 3)), b.Add(a.Sub(b).Scale(2.0 / 3)), b}
		}
		for _, pt := range points {
			x, y := c.place(pt)
			c.body.WriteString(number(x) + " " + number(y) + " ")
			last = pt
		}
		c.body.WriteString(op + "\n")
	}
}

// Fill implements vg.Canvas.
func (c *PDF) Fill(p vg.Path) {
	if len(p) == 0 {
		return
	}
	c.paint("rg", &c.written.fill)
	c.path(p)
	c.body.WriteString("f\n")
}

// Stroke implements vg.Canvas.
func (c *PDF) Stroke(p vg.Path) {
	s := c.now()
	if s.width <= 0 || len(p) == 0 {
		return
	}
	c.paint("RG", &c.written.stroke)
	scale := s.scale()
	if width := number(s.width.Points() * scale); width != c.written.width {
		c.written.width = width
		c.body.WriteString(width + " w\n")
	}
	list := make([]string, len(s.dashes))
	for i, d := range s.dashes {
		list[i] = number(d.Points() * scale)
	}
	dash := "[" + strings.Join(list, " ") + "] 0"
	if len(list) > 0 {
		dash = "[" + strings.Join(list, " ") + "] " + number(s.offset.Points()*scale)
	}
	if dash != c.written.dash {
		c.written.dash = dash
		c.body.WriteString(dash + " d\n")
	}
	c.path(p)
	c.body.WriteString("S\n")
}

// FillString implements vg.Canvas. Faces other than those of package typeface are drawn in the normal weight.
func (c *PDF) FillString(f font.Face, pt vg.Point, s string) {
	if f.Font.Size == 0 || s == "" {
		return
	}
	weight := 0
	if typeface.IsBold(f) {
		weight = 1
	}
	var code strings.Builder
	for _, r := range s {
		if r = typeface.Substitute(r); r > 0xFFFF { // text is written in codes of 16 bits
			r = '\uFFFD'
		}
		c.runes[weight][r] = true
		fmt.Fprintf(&code, "%04X", r)
	}
	c.paint("rg", &c.written.fill)
	m := c.now().m
	x, y := c.place(pt)
	size := math.Hypot(m.a, m.b)
	fmt.Fprintf(&c.body, "BT /F%d %s Tf %s %s %s %s %s %s Tm <%s> Tj ET\n", weight, number(f.Font.Size.Points()*size),
		turn(m.a/size), turn(m.b/size), turn(-m.b/size), turn(m.a/size), number(x), number(y), code.String())
}

// turn formats the sine or cosine of an angle.
func turn(x float64) string {
	if s := strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.5f", x), "0"), "."); s != "-0" {
		return s
	}
	return "0"
}

// DrawImage implements vg.Canvas.
func (c *PDF) DrawImage(rect vg.Rectangle, img image.Image) {
	c.opacity(255)
	m, size := c.now().m, rect.Size()
	x, y := c.place(rect.Min)
	fmt.Fprintf(&c.body, "q %s %s %s %s %s %s cm /I%d Do Q\n", number(m.a*size.X.Points()), number(m.b*size.X.Points()),
		number(m.c*size.Y.Points()), number(m.d*size.Y.Points()), number(x), number(y), len(c.images))
	c.images = append(c.images, img)
}

// WriteTo writes the document. Call it once, when the drawing is complete.
func (c *PDF) WriteTo(w io.Writer) (int64, error) {
	d := newDocument()
	catalog, pages, page := d.reserve(), d.reserve(), d.reserve()
	content := d.stream("", c.body.Bytes())
	var fonts, alphas, images strings.Builder
	for i, used := range c.runes {
		if len(used) == 0 {
			continue
		}
		id, err := d.font(i == 1, used)
		if err != nil {
			return 0, fmt.Errorf("canvas: PDF: %w", err)
		}
		fmt.Fprintf(&fonts, " /F%d %d 0 R", i, id)
	}
	for i, alpha := range c.alphas {
		fmt.Fprintf(&alphas, " /A%d << /ca %s /CA %s >>", i, channel(alpha), channel(alpha))
	}
	for i, img := range c.images {
		fmt.Fprintf(&images, " /I%d %d 0 R", i, d.image(enlarged(img)))
	}
	width, height := c.size.Page()
	d.set(page, fmt.Sprintf("<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %s %s] /Contents %d 0 R /Resources << /Font <<%s >> /ExtGState <<%s >> /XObject <<%s >> >> >>",
		pages, number(width.Points()), number(height.Points()), content, fonts.String(), alphas.String(), images.String()))
	d.set(pages, fmt.Sprintf("<< /Type /Pages /Kids [%d 0 R] /Count 1 >>", page))
	metadata := d.metadata(c.meta)
	d.set(catalog, fmt.Sprintf("<< /Type /Catalog /Pages %d 0 R /Metadata %d 0 R /ViewerPreferences << /DisplayDocTitle true >> >>", pages, metadata))
	info := d.add(fmt.Sprintf("<< /Title %s /Subject %s /Creator (ducklens) >>", utf16Text(c.meta.Title), utf16Text(c.meta.Description)))
	return d.writeTo(w, catalog, info)
}

// utf16Text returns s as a PDF text string.
func utf16Text(s string) string {
	var b strings.Builder
	b.WriteString("<FEFF")
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String() + ">"
}

// deflate compresses deterministically.
func deflate(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	z.Write(data) // to memory: cannot fail
	z.Close()
	return b.Bytes()
}
