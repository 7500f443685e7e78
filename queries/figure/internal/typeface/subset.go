package typeface

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"

	"codeberg.org/go-fonts/dejavu/dejavusanscondensed"
	"codeberg.org/go-fonts/dejavu/dejavusanscondensedbold"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// Flags of a component in a composite glyph (OpenType specification, table glyf).
const (
	argsAreWords     = 1 << 0
	haveScale        = 1 << 3
	moreComponents   = 1 << 5
	haveXYScale      = 1 << 6
	haveTwoByTwo     = 1 << 7
	haveInstructions = 1 << 8
)

// Subset returns a TrueType file with only the glyphs of the given characters, with the copyright notice and
// without hinting instructions: a few kilobytes instead of 680, to embed in an SVG. Characters that the font
// lacks are left out. The same set of characters gives the same bytes.
func Subset(isBold bool, runes []rune) ([]byte, error) {
	face, data := regular(), dejavusanscondensed.TTF
	if isBold {
		face, data = bold(), dejavusanscondensedbold.TTF
	}
	b, err := subset(face, data, runes)
	if err != nil {
		return nil, fmt.Errorf("typeface: subset: %w", err)
	}
	return b, nil
}

// errFont is returned for a font file that does not have the form that Subset reads.
var errFont = errors.New("font table missing or cut short")

func subset(face *opentype.Font, data []byte, runes []rune) ([]byte, error) {
	tables, err := readTables(data)
	if err != nil {
		return nil, err
	}
	var buf sfnt.Buffer
	chars := make(map[rune]uint16)
	old := []uint16{0} // .notdef is glyph 0 of every font
	for _, r := range runes {
		i, err := face.GlyphIndex(&buf, Substitute(r))
		if err != nil {
			return nil, err
		}
		if i != 0 {
			chars[Substitute(r)] = uint16(i)
			old = append(old, uint16(i))
		}
	}
	src := glyphs{glyf: tables["glyf"], loca: tables["loca"], long: tables["head"][51] == 1}
	if old, err = src.closure(old); err != nil {
		return nil, err
	}
	renumber := make(map[uint16]uint16, len(old))
	for i, g := range old {
		renumber[g] = uint16(i)
	}

	var glyf, loca, hmtx []byte
	nMetrics := int(binary.BigEndian.Uint16(tables["hhea"][34:]))
	for _, g := range old {
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		outline, err := src.rewrite(g, renumber)
		if err != nil {
			return nil, err
		}
		glyf = append(glyf, outline...)
		for len(glyf)%4 != 0 {
			glyf = append(glyf, 0)
		}
		metric, err := longMetric(tables["hmtx"], nMetrics, int(g))
		if err != nil {
			return nil, err
		}
		hmtx = append(hmtx, metric...)
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))

	head := slices.Clone(tables["head"])
	clear(head[8:12]) // checkSumAdjustment, set by writeTables
	head[51] = 1      // long offsets in loca
	hhea := slices.Clone(tables["hhea"])
	binary.BigEndian.PutUint16(hhea[34:], uint16(len(old)))
	maxp := slices.Clone(tables["maxp"])
	binary.BigEndian.PutUint16(maxp[4:], uint16(len(old)))
	clear(maxp[16:28]) // storage, functions, instructions: hinting is left out
	binary.BigEndian.PutUint16(maxp[14:], 1)
	post := slices.Clone(tables["post"][:32])
	binary.BigEndian.PutUint32(post, 0x00030000) // no glyph names

	return writeTables(map[string][]byte{
		"OS/2": tables["OS/2"], "cmap": cmap(chars, renumber), "glyf": glyf, "head": head, "hhea": hhea,
		"hmtx": hmtx, "loca": loca, "maxp": maxp, "name": names(face), "post": post,
	}), nil
}

// readTables splits a TrueType file into its tables and checks that the needed ones are long enough.
func readTables(data []byte) (map[string][]byte, error) {
	if len(data) < 12 {
		return nil, errFont
	}
	n := int(binary.BigEndian.Uint16(data[4:]))
	if len(data) < 12+16*n {
		return nil, errFont
	}
	tables := make(map[string][]byte, n)
	for i := range n {
		e := data[12+16*i:]
		from, size := uint64(binary.BigEndian.Uint32(e[8:])), uint64(binary.BigEndian.Uint32(e[12:]))
		if from+size > uint64(len(data)) {
			return nil, errFont
		}
		tables[string(e[:4])] = data[from : from+size]
	}
	for name, least := range map[string]int{
		"OS/2": 78, "glyf": 1, "head": 54, "hhea": 36, "hmtx": 4, "loca": 4, "maxp": 32, "post": 32,
	} {
		if len(tables[name]) < least {
			return nil, fmt.Errorf("%w: %s", errFont, name)
		}
	}
	return tables, nil
}

// writeTables assembles tables to a TrueType file, with checksums.
func writeTables(tables map[string][]byte) []byte {
	tags := make([]string, 0, len(tables))
	for tag := range tables {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	power, log := 1, 0
	for power*2 <= len(tags) {
		power, log = power*2, log+1
	}
	out := binary.BigEndian.AppendUint32(nil, 0x00010000)
	for _, v := range []int{len(tags), 16 * power, log, 16 * (len(tags) - power)} {
		out = binary.BigEndian.AppendUint16(out, uint16(v))
	}
	var body []byte
	start := len(out) + 16*len(tags)
	headAt := 0
	for _, tag := range tags {
		if tag == "head" {
			headAt = start + len(body)
		}
		out = append(out, tag...)
		out = binary.BigEndian.AppendUint32(out, checksum(tables[tag]))
		out = binary.BigEndian.AppendUint32(out, uint32(start+len(body)))
		out = binary.BigEndian.AppendUint32(out, uint32(len(tables[tag])))
		body = append(body, tables[tag]...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	out = append(out, body...)
	binary.BigEndian.PutUint32(out[headAt+8:], 0xB1B0AFBA-checksum(out))
	return out
}

// checksum returns the sum of b as big-endian 32-bit words, padded with zeros.
func checksum(b []byte) uint32 {
	var sum uint32
	for len(b) >= 4 {
		sum += binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	var last [4]byte
	copy(last[:], b)
	return sum + binary.BigEndian.Uint32(last[:])
}

// longMetric returns the advance and the side bearing of a glyph; glyphs past the table's nMetrics share the
// last advance.
func longMetric(hmtx []byte, nMetrics, glyph int) ([]byte, error) {
	i, bearing := glyph*4, glyph*4+2
	if glyph >= nMetrics {
		i, bearing = (nMetrics-1)*4, nMetrics*4+(glyph-nMetrics)*2
	}
	if i < 0 || i+2 > len(hmtx) || bearing+2 > len(hmtx) {
		return nil, fmt.Errorf("%w: hmtx", errFont)
	}
	return slices.Concat(hmtx[i:i+2], hmtx[bearing:bearing+2]), nil
}

// cmap maps characters to the new glyph numbers, one group of format 12 for each character.
func cmap(chars map[rune]uint16, renumber map[uint16]uint16) []byte {
	runes := make([]rune, 0, len(chars))
	for r := range chars {
		runes = append(runes, r)
	}
	slices.Sort(runes)
	var b []byte
	for _, v := range []uint16{0, 1, 3, 10} { // version, one table: Windows, full Unicode
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, 12) // offset of the table
	b = binary.BigEndian.AppendUint16(b, 12) // format
	b = binary.BigEndian.AppendUint16(b, 0)
	for _, v := range []int{16 + 12*len(runes), 0, len(runes)} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	for _, r := range runes {
		b = binary.BigEndian.AppendUint32(b, uint32(r))
		b = binary.BigEndian.AppendUint32(b, uint32(r))
		b = binary.BigEndian.AppendUint32(b, uint32(renumber[chars[r]]))
	}
	return b
}

// names keeps the copyright notice (0), the names and the address of the licence (14).
func names(face *opentype.Font) []byte {
	var (
		buf     sfnt.Buffer
		records []byte
		text    []byte
		n       uint16
	)
	for _, id := range []sfnt.NameID{0, 1, 2, 4, 6, 14} {
		s, err := face.Name(&buf, id)
		if err != nil {
			continue // a font need not have every name
		}
		start := len(text)
		for _, u := range utf16.Encode([]rune(s)) {
			text = binary.BigEndian.AppendUint16(text, u)
		}
		for _, v := range []int{3, 1, 0x409, int(id), len(text) - start, start} { // Windows, UTF-16, English
			records = binary.BigEndian.AppendUint16(records, uint16(v))
		}
		n++
	}
	var b []byte
	for _, v := range []uint16{0, n, 6 + 12*n} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return slices.Concat(b, records, text)
}

// Glyph is a glyph of a font file.
type Glyph struct {
	Index   uint16
	Advance float64 // divided by the size of the font
}

// Glyphs returns the glyphs of characters in a file made by [Subset]; a character that the font lacks has
// glyph 0.
func Glyphs(subset []byte, runes []rune) ([]Glyph, error) {
	face, err := sfnt.Parse(subset)
	if err != nil {
		return nil, fmt.Errorf("typeface: %w", err)
	}
	var buf sfnt.Buffer
	units := fixed.Int26_6(face.UnitsPerEm())
	list := make([]Glyph, len(runes))
	for i, r := range runes {
		index, err := face.GlyphIndex(&buf, Substitute(r))
		if err != nil {
			return nil, fmt.Errorf("typeface: glyph of %q: %w", r, err)
		}
		advance, err := face.GlyphAdvance(&buf, index, units, xfont.HintingNone)
		if err != nil {
			return nil, fmt.Errorf("typeface: advance of %q: %w", r, err)
		}
		list[i] = Glyph{Index: uint16(index), Advance: float64(advance) / float64(units)}
	}
	return list, nil
}
