package canvas_test

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"image"
	"image/color"
	"image/png"
	"math"
	"regexp"
	"strings"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"ducklens/queries/figure/internal/canvas"
	"ducklens/queries/figure/internal/typeface"
)

var meta = canvas.Meta{
	Title: `Head 10.7 & <others>`, Description: "END→IO",
	Facts: [][2]string{{"query", "key_components"}, {"sql", "SELECT 'a' < \"b\"\n\x01"}},
}

func svg(t *testing.T, c *canvas.SVG) string {
	t.Helper()
	var b bytes.Buffer
	n, err := c.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo gave %d, %v for %d bytes", n, err, b.Len())
	}
	dec := xml.NewDecoder(bytes.NewReader(b.Bytes()))
	for {
		if token, err := dec.Token(); token == nil {
			if err.Error() != "EOF" {
				t.Fatalf("not XML: %v", err)
			}
			return b.String()
		}
	}
}

func contains(t *testing.T, doc string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(doc, want) {
			t.Errorf("no %s in\n%s", want, regexp.MustCompile(`base64,[^)"]*`).ReplaceAllString(doc, "base64,…"))
		}
	}
}

func TestSVGElements(t *testing.T) {
	t.Parallel()
	c := canvas.NewSVG(canvas.Size{W: 100, H: 50, Zoom: 1}, meta)
	var rect vg.Path
	rect.Move(vg.Point{X: 10, Y: 10})
	rect.Line(vg.Point{X: 30, Y: 10})
	rect.Line(vg.Point{X: 30, Y: 20})
	rect.Line(vg.Point{X: 10, Y: 20})
	rect.Close()
	c.SetColor(color.NRGBA{R: 0x12, G: 0x34, B: 0x56, A: 128})
	c.Group("a & b")
	c.Fill(rect)
	c.EndGroup()
	c.SetColor(nil)
	c.SetLineWidth(2)
	c.SetLineDash([]vg.Length{3, 1}, 1)
	c.Push()
	c.Translate(vg.Point{X: 50, Y: 25})
	c.Rotate(math.Pi / 2)
	c.Scale(2, 2)
	c.Stroke(vg.Path{{Type: vg.MoveComp}, {Type: vg.LineComp, Pos: vg.Point{X: 5}}})
	c.FillString(typeface.Bold(6), vg.Point{X: 1}, "W < b")
	c.Pop()
	c.FillString(typeface.Regular(6), vg.Point{X: 1, Y: 2}, "⟂")
	c.DrawImage(vg.Rectangle{Max: vg.Point{X: 4, Y: 2}}, image.NewGray(image.Rect(0, 0, 2, 1)))
	doc := svg(t, c)
	contains(t, doc,
		`width="100pt" height="50pt" viewBox="0 0 100 50"`,
		`<title>Head 10.7 &amp; &lt;others&gt;</title>`, `<desc>END→IO</desc>`,
		`<fact name="sql">SELECT 'a' &lt; &quot;b&quot;`,
		`<g><title>a &amp; b</title><rect x="10" y="30" width="20" height="10" fill="#123456" fill-opacity="0.5"/>`,
		// From (50, 25) five units of two points up the page, where y points down.
		`<path d="M50 25L50 15" fill="none" stroke="#000000" stroke-width="4" stroke-dasharray="6 2" stroke-dashoffset="2"/>`,
		`x="50" y="23" transform="rotate(-90 50 23)">W &lt; b</text>`,
		`x="1" y="48">⊥</text>`, // the sign that the font has
		`.t0{font-size:12px;fill:#000000;font-weight:bold}`,
		`<image transform="matrix(1 0 0 1 0 48)" width="4" height="2"`,
	)
	if n := strings.Count(doc, "@font-face"); n != 2 {
		t.Errorf("%d fonts embedded, want the normal and the bold one", n)
	}
}

func TestSVGWithoutText(t *testing.T) {
	t.Parallel()
	if doc := svg(t, canvas.NewSVG(canvas.Size{W: 10, H: 10, Zoom: 1}, meta)); strings.Contains(doc, "@font-face") {
		t.Error("a font is embedded that nothing uses")
	}
}

// Arcs become curves that stay on the circle.
func TestSVGArc(t *testing.T) {
	t.Parallel()
	c := canvas.NewSVG(canvas.Size{W: 20, H: 20, Zoom: 1}, meta)
	var p vg.Path
	p.Arc(vg.Point{X: 10, Y: 10}, 5, 0, math.Pi)
	c.Fill(p)
	contains(t, svg(t, c), `d="M15 10C15 7.24 12.76 5 10 5C7.24 5 5 7.24 5 10"`)
}

// gonum's own plots draw on both canvases.
func TestGonumPlot(t *testing.T) {
	t.Parallel()
	p := plot.New()
	p.Title.Text = "gonum"
	line, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 2}})
	if err != nil {
		t.Fatal(err)
	}
	p.Add(line)
	s := canvas.NewSVG(canvas.Size{W: 200, H: 150, Zoom: 1}, meta)
	p.Draw(draw.New(s))
	contains(t, svg(t, s), ">gonum</text>", "<path d=\"M")
	g := canvas.NewPNG(canvas.Size{W: 200, H: 150, Zoom: 1}, 72, meta)
	p.Draw(draw.New(g))
	var b bytes.Buffer
	if _, err := g.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
}

// A PNG decodes, and its chunks hold resolution and texts with right checksums.
func TestPNG(t *testing.T) {
	t.Parallel()
	c := canvas.NewPNG(canvas.Size{W: 72, H: 36, Zoom: 1}, 300, meta)
	c.SetColor(color.Black)
	c.FillString(typeface.Bold(30), vg.Point{X: 5, Y: 5}, "H")
	var b bytes.Buffer
	n, err := c.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo gave %d, %v for %d bytes", n, err, b.Len())
	}
	img, err := png.Decode(bytes.NewReader(b.Bytes())) // checks the checksums of all chunks it knows of
	if err != nil {
		t.Fatal(err)
	}
	if size := img.Bounds().Size(); size != (image.Point{X: 300, Y: 150}) {
		t.Errorf("%v pixels, want 300 x 150 for 1 x 0.5 in at 300 dpi", size)
	}
	dark := 0
	for y := range 150 {
		for x := range 300 {
			if r, _, _, _ := img.At(x, y).RGBA(); r < 0x8000 {
				dark++
			}
		}
	}
	if dark < 1000 {
		t.Errorf("%d dark pixels: no letter is drawn", dark)
	}
	chunks := make(map[string]string)
	var texts []string
	for rest := b.Bytes()[8:]; len(rest) >= 12; {
		size := int(binary.BigEndian.Uint32(rest))
		kind, data := string(rest[4:8]), string(rest[8:8+size])
		chunks[kind] = data
		if kind == "iTXt" {
			texts = append(texts, data)
		}
		rest = rest[12+size:]
	}
	if got, want := chunks["pHYs"], "\x00\x00\x2e\x23\x00\x00\x2e\x23\x01"; got != want { // 11811 dots a metre
		t.Errorf("pHYs %q, want %q", got, want)
	}
	if got, want := strings.Join(texts[:3], "|"), "Title\x00\x00\x00\x00\x00Head 10.7 & <others>|Description\x00\x00\x00\x00\x00END→IO|query\x00\x00\x00\x00\x00key_components"; got != want {
		t.Errorf("texts %q, want %q", got, want)
	}
}
