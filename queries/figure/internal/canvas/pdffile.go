package canvas

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"io"
	"slices"
	"strings"

	"ducklens/queries/figure/internal/typeface"
)

// document is a PDF file under construction, with objects numbered from 1.
type document struct {
	objects [][]byte
}

func newDocument() *document { return &document{} }

// reserve returns a number for an object that is set later.
func (d *document) reserve() int {
	d.objects = append(d.objects, nil)
	return len(d.objects)
}

func (d *document) set(id int, content string) { d.objects[id-1] = []byte(content) }

// add appends an object and returns its number.
func (d *document) add(content string) int {
	id := d.reserve()
	d.set(id, content)
	return id
}

// stream appends a compressed stream; entries are added to its dictionary.
func (d *document) stream(entries string, data []byte) int {
	data = deflate(data)
	var b bytes.Buffer
	fmt.Fprintf(&b, "<< /Length %d /Filter /FlateDecode%s >>\nstream\n", len(data), entries)
	b.Write(data)
	b.WriteString("\nendstream")
	id := d.reserve()
	d.objects[id-1] = b.Bytes()
	return id
}

// image appends an image, with its transparency if it has any.
func (d *document) image(img image.Image) int {
	b := img.Bounds()
	pixels, alpha := make([]byte, 0, 3*b.Dx()*b.Dy()), make([]byte, 0, b.Dx()*b.Dy())
	opaque := true
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			pixels, alpha = append(pixels, c.R, c.G, c.B), append(alpha, c.A)
			opaque = opaque && c.A == 255
		}
	}
	size := fmt.Sprintf(" /Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 8", b.Dx(), b.Dy())
	mask := ""
	if !opaque {
		mask = fmt.Sprintf(" /SMask %d 0 R", d.stream(size+" /ColorSpace /DeviceGray", alpha))
	}
	return d.stream(size+" /ColorSpace /DeviceRGB"+mask, pixels)
}

// font appends one of the two fonts, with the glyphs of the characters that are used. Codes are UTF-16; maps
// in the file lead from them to glyphs, for drawing, and to text, for search and copy.
func (d *document) font(bold bool, used map[rune]bool) (int, error) {
	runes := make([]rune, 0, len(used))
	for r := range used {
		runes = append(runes, r)
	}
	slices.Sort(runes)
	data, err := typeface.Subset(bold, runes)
	if err != nil {
		return 0, err
	}
	glyphs, err := typeface.Glyphs(data, runes)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(data)
	name := ""
	for _, b := range sum[:6] { // a subset has a tag of six letters
		name += string('A' + b%26)
	}
	name += "+" + strings.ReplaceAll(typeface.Family, " ", "")
	weight := 80
	if bold {
		name, weight = name+"-Bold", 150
	}

	toGlyph := make([]byte, 2*(int(runes[len(runes)-1])+1))
	var widths, toText strings.Builder
	for i, r := range runes {
		toGlyph[2*r], toGlyph[2*r+1] = byte(glyphs[i].Index>>8), byte(glyphs[i].Index)
		fmt.Fprintf(&widths, " %d [%s]", r, number(1000*glyphs[i].Advance))
		if i%100 == 0 { // a block has at most 100 entries
			if i > 0 {
				toText.WriteString("endbfchar\n")
			}
			fmt.Fprintf(&toText, "%d beginbfchar\n", min(100, len(runes)-i))
		}
		fmt.Fprintf(&toText, "<%04X> <%04X>\n", r, r)
	}
	toText.WriteString("endbfchar\n")
	file := d.stream(fmt.Sprintf(" /Length1 %d", len(data)), data)
	descriptor := d.add(fmt.Sprintf("<< /Type /FontDescriptor /FontName /%s /Flags 4 /FontBBox [-1200 -400 1700 1200] /ItalicAngle 0 /Ascent 928 /Descent -236 /CapHeight %.0f /StemV %d /FontFile2 %d 0 R >>",
		name, 1000*typeface.CapHeight, weight, file))
	cid := d.add(fmt.Sprintf("<< /Type /Font /Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor %d 0 R /W [%s ] /CIDToGIDMap %d 0 R >>",
		name, descriptor, widths.String(), d.stream("", toGlyph)))
	text := d.stream("", []byte("/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"+
		"/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n"+
		toText.String()+"endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"))
	return d.add(fmt.Sprintf("<< /Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R >>",
		name, cid, text)), nil
}

// metadata appends title, description and facts as XMP (ISO 16684-1).
func (d *document) metadata(m Meta) int {
	var b strings.Builder
	b.WriteString("<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n" +
		"<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n<rdf:Description rdf:about=\"\" " +
		"xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:figure=\"urn:ducklens:figure\">\n")
	for _, text := range [][2]string{{"title", m.Title}, {"description", m.Description}} {
		fmt.Fprintf(&b, "<dc:%[1]s><rdf:Alt><rdf:li xml:lang=\"x-default\">%[2]s</rdf:li></rdf:Alt></dc:%[1]s>\n", text[0], escape(text[1]))
	}
	b.WriteString("<figure:facts><rdf:Seq>\n")
	for _, f := range m.Facts {
		fmt.Fprintf(&b, "<rdf:li rdf:parseType=\"Resource\"><figure:name>%s</figure:name><figure:value>%s</figure:value></rdf:li>\n", escape(f[0]), escape(f[1]))
	}
	b.WriteString("</rdf:Seq></figure:facts>\n</rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"r\"?>")
	// Not compressed, so that programs that do not know PDF can find it.
	return d.add(fmt.Sprintf("<< /Type /Metadata /Subtype /XML /Length %d >>\nstream\n%s\nendstream", b.Len(), b.String()))
}

// writeTo writes the file: header, objects, cross-reference table, trailer.
func (d *document) writeTo(w io.Writer, catalog, info int) (int64, error) {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xE2\xE3\xCF\xD3\n") // bytes above 127 mark the file as binary
	offsets := make([]int, len(d.objects))
	for i, content := range d.objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, content)
	}
	sum := sha256.Sum256(b.Bytes())
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(d.objects)+1)
	for _, at := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R /ID [<%X> <%X>] >>\nstartxref\n%d\n%%%%EOF\n",
		len(d.objects)+1, catalog, info, sum[:16], sum[:16], start)
	n, err := w.Write(b.Bytes())
	return int64(n), err
}
