package canvas_test

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"ducklens/queries/figure/internal/canvas"
	"ducklens/queries/figure/internal/typeface"
)

// object is an object of a PDF: what stands before its stream, and the stream without its compression.
type object struct {
	dict string
	data []byte
}

var (
	objectHead   = regexp.MustCompile(`^(\d+) 0 obj\n`)
	streamLength = regexp.MustCompile(`/Length (\d+)`)
	trailerParts = regexp.MustCompile(`/Size (\d+) /Root (\d+) 0 R /Info (\d+) 0 R /ID \[<([0-9A-F]{32})> <([0-9A-F]{32})>\]`)
)

// parsed reads a document by its cross-reference table, which must be right.
func parsed(t *testing.T, c *canvas.PDF) (objects map[int]object, root, info int, file []byte) {
	t.Helper()
	var b bytes.Buffer
	if n, err := c.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo gave %d, %v for %d bytes", n, err, b.Len())
	}
	file = b.Bytes()
	tail := string(file[bytes.LastIndex(file, []byte("startxref\n"))+len("startxref\n"):])
	start, err := strconv.Atoi(strings.TrimSuffix(tail, "\n%%EOF\n"))
	if err != nil || !bytes.HasPrefix(file[start:], []byte("xref\n0 ")) {
		t.Fatalf("startxref %q does not lead to the table", tail)
	}
	lines := strings.Split(string(file[start:]), "\n")
	n, err := strconv.Atoi(strings.TrimPrefix(lines[1], "0 "))
	if err != nil {
		t.Fatal(err)
	}
	objects = make(map[int]object)
	for i := 1; i < n; i++ {
		entry := lines[2+i]
		if len(entry) != 19 || !strings.HasSuffix(entry, " 00000 n ") {
			t.Fatalf("entry %q of the table is not 20 bytes long", entry)
		}
		at, _ := strconv.Atoi(entry[:10])
		head := objectHead.FindSubmatch(file[at:])
		if head == nil || string(head[1]) != fmt.Sprint(i) {
			t.Fatalf("object %d is not at %d", i, at)
		}
		body := file[at+len(head[0]):]
		o := object{dict: string(body[:bytes.Index(body, []byte("endobj"))])}
		if k := strings.Index(o.dict, "stream\n"); k >= 0 {
			o.dict = o.dict[:k]
			length, err := strconv.Atoi(streamLength.FindStringSubmatch(o.dict)[1])
			if err != nil {
				t.Fatal(err)
			}
			o.data = body[k+len("stream\n"):][:length]
			if !bytes.HasPrefix(body[k+len("stream\n")+length:], []byte("\nendstream\nendobj\n")) {
				t.Fatalf("stream %d is not %d bytes long", i, length)
			}
			if strings.Contains(o.dict, "/FlateDecode") {
				z, err := zlib.NewReader(bytes.NewReader(o.data))
				if err != nil {
					t.Fatal(err)
				}
				if o.data, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
		}
		objects[i] = o
	}
	parts := trailerParts.FindStringSubmatch(string(file[start:]))
	if parts == nil || parts[1] != fmt.Sprint(n) || parts[4] != parts[5] {
		t.Fatalf("trailer %s", file[start:])
	}
	root, _ = strconv.Atoi(parts[2])
	info, _ = strconv.Atoi(parts[3])
	return objects, root, info, file
}

// follow gives the object that a dictionary refers to.
func follow(t *testing.T, objects map[int]object, from object, key string) object {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(key) + ` \[?(\d+) 0 R`).FindStringSubmatch(from.dict)
	if m == nil {
		t.Fatalf("no %s in %s", key, from.dict)
	}
	n, _ := strconv.Atoi(m[1])
	return objects[n]
}

func page(t *testing.T, c *canvas.PDF) (objects map[int]object, page object) {
	t.Helper()
	objects, root, _, _ := parsed(t, c)
	return objects, follow(t, objects, follow(t, objects, objects[root], "/Pages"), "/Kids")
}

func TestPDFElements(t *testing.T) {
	t.Parallel()
	c := canvas.NewPDF(canvas.Size{W: 100, H: 50, Zoom: 1}, meta)
	var rect vg.Path
	rect.Move(vg.Point{X: 10, Y: 10})
	rect.Line(vg.Point{X: 30, Y: 10})
	rect.Line(vg.Point{X: 30, Y: 20})
	rect.Line(vg.Point{X: 10, Y: 20})
	rect.Close()
	c.SetColor(color.NRGBA{R: 0xff, G: 0x33, B: 0x00, A: 128})
	c.Fill(rect)
	c.SetColor(nil)
	c.SetLineWidth(2)
	c.SetLineDash([]vg.Length{3, 1}, 1)
	c.Push()
	c.Translate(vg.Point{X: 50, Y: 25})
	c.Rotate(math.Pi / 2)
	c.Scale(2, 2)
	c.Stroke(vg.Path{{Type: vg.MoveComp}, {Type: vg.LineComp, Pos: vg.Point{X: 5}}})
	c.FillString(typeface.Bold(6), vg.Point{X: 1}, "W")
	c.Pop()
	var curve vg.Path
	curve.Move(vg.Point{})
	curve.QuadTo(vg.Point{X: 3, Y: 3}, vg.Point{X: 6})
	c.Fill(curve)
	c.DrawImage(vg.Rectangle{Min: vg.Point{X: 1, Y: 2}, Max: vg.Point{X: 5, Y: 4}}, image.NewNRGBA(image.Rect(0, 0, 2, 1)))
	objects, p := page(t, c)
	contains(t, p.dict, "/MediaBox [0 0 100 50]", "/A0 << /ca 0.502 /CA 0.502 >>", "/A1 << /ca 1 /CA 1 >>", "/I0 ")
	contains(t, string(follow(t, objects, p, "/Contents").data),
		"/A0 gs\n1 0.2 0 rg\n10 10 20 10 re\nf\n",
		"/A1 gs\n4 w\n[6 2] 2 d\n50 25 m\n50 35 l\nS\n",
		"0 0 0 rg\nBT /F1 12 Tf 0 1 -1 0 50 27 Tm <0057> Tj ET\n",
		"0 0 m\n2 2 4 2 6 0 c\nf\n",
		"q 4 0 0 2 1 2 cm /I0 Do Q\n",
	)
	img := follow(t, objects, p, "/I0")
	contains(t, img.dict, "/Width 1024 /Height 512", "/SMask")
	if mask := follow(t, objects, img, "/SMask"); len(mask.data) != 1024*512 || mask.data[0] != 0 {
		t.Errorf("mask of %d bytes, want the empty image", len(mask.data))
	}
}

// Everything is larger by the zoom, and the page too.
func TestPDFZoom(t *testing.T) {
	t.Parallel()
	c := canvas.NewPDF(canvas.Size{W: 100, H: 50, Zoom: 1.5}, meta)
	c.FillString(typeface.Regular(6), vg.Point{X: 10, Y: 4}, "a")
	objects, p := page(t, c)
	contains(t, p.dict, "/MediaBox [0 0 150 75]")
	contains(t, string(follow(t, objects, p, "/Contents").data), "BT /F0 9 Tf 1 0 0 1 15 6 Tm <0061> Tj ET")
}

// The codes of a text lead to the right glyphs, widths and characters.
func TestPDFFont(t *testing.T) {
	t.Parallel()
	const text = "W_U[IO]→∥⟂·−◆ü"
	c := canvas.NewPDF(canvas.Size{W: 100, H: 50, Zoom: 1}, meta)
	c.FillString(typeface.Bold(10), vg.Point{}, text)
	objects, p := page(t, c)
	font := follow(t, objects, p, "/F1")
	if strings.Contains(p.dict, "/F0") {
		t.Error("a font is embedded that nothing uses")
	}
	cid := follow(t, objects, font, "/DescendantFonts")
	file := follow(t, objects, follow(t, objects, cid, "/FontDescriptor"), "/FontFile2").data
	face, err := sfnt.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	glyphs := follow(t, objects, cid, "/CIDToGIDMap").data
	unicode := string(follow(t, objects, font, "/ToUnicode").data)
	m := regexp.MustCompile(`Tm <([0-9A-F]+)> Tj`).FindStringSubmatch(string(follow(t, objects, p, "/Contents").data))
	codes, err := hex.DecodeString(m[1])
	if err != nil {
		t.Fatal(err)
	}
	var a, b sfnt.Buffer
	whole := typeface.Bold(1).Face
	units := fixed.Int26_6(whole.UnitsPerEm())
	for i, r := range []rune(text) {
		r = typeface.Substitute(r)
		code := int(codes[2*i])<<8 | int(codes[2*i+1])
		gid := sfnt.GlyphIndex(int(glyphs[2*code])<<8 | int(glyphs[2*code+1]))
		want, err := whole.GlyphIndex(&b, r)
		if err != nil || want == 0 || gid == 0 {
			t.Fatalf("%q: glyph %d of the file, %d of the font, %v", r, gid, want, err)
		}
		got, err := face.LoadGlyph(&a, gid, units, nil)
		if err != nil {
			t.Fatal(err)
		}
		outline, err := whole.LoadGlyph(&b, want, units, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(append(sfnt.Segments{}, got...), append(sfnt.Segments{}, outline...)) {
			t.Errorf("%q: code %04X has another outline", r, code)
		}
		if want := fmt.Sprintf("<%04X> <%04X>", code, r); !strings.Contains(unicode, want) {
			t.Errorf("%q: no %s in the map to text", r, want)
		}
		width := float64(typeface.Width(typeface.Bold(1000), string(r)))
		if !regexp.MustCompile(fmt.Sprintf(`[ \[]%d \[%s\]`, code, regexp.QuoteMeta(trim(width)))).MatchString(cid.dict) {
			t.Errorf("%q: width %s is not in %s", r, trim(width), cid.dict)
		}
	}
}

func trim(x float64) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(x, 'f', 2, 64), "0"), ".")
}

// The document says what it is about, and not when it was made.
func TestPDFMetadata(t *testing.T) {
	t.Parallel()
	objects, root, info, file := parsed(t, canvas.NewPDF(canvas.Size{W: 100, H: 50, Zoom: 1}, meta))
	xmp := follow(t, objects, objects[root], "/Metadata").data
	var facts struct {
		List []struct {
			Name  string `xml:"name"`
			Value string `xml:"value"`
		} `xml:"RDF>Description>facts>Seq>li"`
	}
	if err := xml.Unmarshal(xmp, &facts); err != nil {
		t.Fatalf("%v in\n%s", err, xmp)
	}
	if len(facts.List) != len(meta.Facts) {
		t.Fatalf("facts %v, want %v", facts.List, meta.Facts)
	}
	for i, f := range facts.List {
		want := strings.ReplaceAll(meta.Facts[i][1], "\x01", "\uFFFD")
		if f.Name != meta.Facts[i][0] || f.Value != want {
			t.Errorf("fact %q is %q, want %q", f.Name, f.Value, want)
		}
	}
	contains(t, objects[info].dict, "/Title <FEFF0048006500610064002000310030002E0037")
	for _, word := range []string{"CreationDate", "ModDate", "CreateDate", "ModifyDate"} {
		if bytes.Contains(file, []byte(word)) {
			t.Errorf("the document has a %s", word)
		}
	}
}

func TestPDFGonumPlot(t *testing.T) {
	t.Parallel()
	p := plot.New()
	p.Title.Text = "gonum"
	line, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 2}})
	if err != nil {
		t.Fatal(err)
	}
	p.Add(line)
	c := canvas.NewPDF(canvas.Size{W: 200, H: 150, Zoom: 1}, meta)
	p.Draw(draw.New(c))
	objects, got := page(t, c)
	contains(t, string(follow(t, objects, got, "/Contents").data), "<0067006F006E0075006D> Tj")
}

// Images stay sharp: each pixel of a small image is a block of one colour, where the canvas is enlarged too.
func TestPNGImage(t *testing.T) {
	t.Parallel()
	img := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	for i := range 5 { // the last pixel is empty
		img.SetNRGBA(i%3, i/3, color.NRGBA{R: uint8(50 * i), G: 200, B: 10, A: 255})
	}
	for _, zoom := range []float64{1, 1.25} {
		c := canvas.NewPNG(canvas.Size{W: 72, H: 72, Zoom: zoom}, 100, meta)
		c.SetColor(color.White)
		c.Fill(vg.Path{{Type: vg.MoveComp}, {Type: vg.LineComp, Pos: vg.Point{X: 72}}, {Type: vg.LineComp, Pos: vg.Point{X: 72, Y: 72}}, {Type: vg.LineComp, Pos: vg.Point{Y: 72}}, {Type: vg.CloseComp}})
		c.Push()
		c.Translate(vg.Point{X: 6, Y: 30})
		c.DrawImage(vg.Rectangle{Max: vg.Point{X: 30, Y: 20}}, img)
		c.Pop()
		dot := zoom * 100 / 72
		for x := range 3 {
			for y := range 2 {
				for _, inset := range []float64{0.1, 0.5, 0.9} {
					px, py := int((6+10*(float64(x)+inset))*dot), int((72-50+10*(float64(y)+inset))*dot)
					want := img.NRGBAAt(x, y)
					if want.A == 0 {
						want = color.NRGBA{R: 255, G: 255, B: 255, A: 255}
					}
					if got := color.NRGBAModel.Convert(c.Image().At(px, py)); got != want {
						t.Errorf("zoom %g: pixel %d, %d of the image is %v at %d, %d, want %v", zoom, x, y, got, px, py, want)
					}
				}
			}
		}
	}
}
