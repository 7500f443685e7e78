// Package typeface has the two embedded fonts of figures, DejaVu Sans Condensed in normal and bold weight,
// and what drawing needs to do with them: measure a string ([Width]), turn it into a path ([Outline]) and
// extract the glyphs that a file uses ([Subset]).
//
// DejaVu has what gonum's own Liberation fonts lack: the parallel and perpendicular signs and the subscript
// letters. Strings are always set without kerning, so that a measured width is the drawn width in every
// format.
package typeface

import (
	"fmt"
	"sync"

	"codeberg.org/go-fonts/dejavu/dejavusanscondensed"
	"codeberg.org/go-fonts/dejavu/dejavusanscondensedbold"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// Family is the family name of both fonts.
const Family = "DejaVu Sans Condensed"

// CapHeight is the height of a capital letter as a fraction of the font size (DejaVu: 1493 of 2048 units).
const CapHeight = 0.729

var (
	regular = sync.OnceValue(func() *opentype.Font { return parse(dejavusanscondensed.TTF) })
	bold    = sync.OnceValue(func() *opentype.Font { return parse(dejavusanscondensedbold.TTF) })
)

// parse parses an embedded font; it cannot fail unless the build is broken.
func parse(ttf []byte) *opentype.Font {
	f, err := opentype.Parse(ttf)
	if err != nil {
		panic(fmt.Sprintf("typeface: embedded font: %v", err))
	}
	return f
}

// Regular returns the normal weight at a size.
func Regular(size vg.Length) font.Face {
	return font.Face{Font: font.Font{Typeface: Family, Size: size}, Face: regular()}
}

// Bold returns the bold weight at a size.
func Bold(size vg.Length) font.Face {
	return font.Face{Font: font.Font{Typeface: Family, Weight: xfont.WeightBold, Size: size}, Face: bold()}
}

// IsBold reports which of the two fonts a face is.
func IsBold(f font.Face) bool { return f.Font.Weight == xfont.WeightBold }

// Substitute replaces the characters that the fonts lack by ones that look the same: the
// perpendicular sign U+27C2 by the up tack U+22A5.
func Substitute(r rune) rune {
	if r == '⟂' {
		return '⊥'
	}
	return r
}

// Has reports whether the fonts can draw r.
func Has(r rune) bool {
	var buf sfnt.Buffer
	i, err := regular().GlyphIndex(&buf, Substitute(r))
	return err == nil && i != 0
}

// Width returns the advance of s, without kerning.
func Width(f font.Face, s string) vg.Length {
	var buf sfnt.Buffer
	units := f.Face.UnitsPerEm()
	sum := 0
	for _, r := range s {
		sum += int(advance(f.Face, &buf, r, fixed.Int26_6(units)))
	}
	return f.Font.Size * vg.Length(sum) / vg.Length(units)
}

// advance returns the width of one character in font units, when ppem is the font's units per em.
func advance(f *opentype.Font, buf *sfnt.Buffer, r rune, ppem fixed.Int26_6) fixed.Int26_6 {
	i, err := f.GlyphIndex(buf, Substitute(r))
	if err != nil {
		return 0
	}
	a, err := f.GlyphAdvance(buf, i, ppem, xfont.HintingNone)
	if err != nil {
		return 0
	}
	return a
}

// Outline returns the path of s with the left end of its baseline at pt.
func Outline(f font.Face, pt vg.Point, s string) vg.Path {
	var (
		buf  sfnt.Buffer
		path vg.Path
		ppem = fixed.Int26_6(f.Face.UnitsPerEm())
		unit = f.Font.Size / vg.Length(f.Face.UnitsPerEm())
	)
	for _, r := range s {
		i, err := f.Face.GlyphIndex(&buf, Substitute(r))
		if err != nil {
			continue
		}
		segments, err := f.Face.LoadGlyph(&buf, i, ppem, nil)
		if err == nil {
			path = appendGlyph(path, segments, pt, unit)
		}
		pt.X += unit * vg.Length(advance(f.Face, &buf, r, ppem))
	}
	return path
}

// appendGlyph adds one glyph at pt. The font's y axis points down in segments and up in vg.
func appendGlyph(path vg.Path, segments sfnt.Segments, pt vg.Point, unit vg.Length) vg.Path {
	at := func(p fixed.Point26_6) vg.Point {
		return vg.Point{X: pt.X + unit*vg.Length(p.X), Y: pt.Y - unit*vg.Length(p.Y)}
	}
	open := false
	for _, s := range segments {
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			if open {
				path.Close()
			}
			open = true
			path.Move(at(s.Args[0]))
		case sfnt.SegmentOpLineTo:
			path.Line(at(s.Args[0]))
		case sfnt.SegmentOpQuadTo:
			path.QuadTo(at(s.Args[0]), at(s.Args[1]))
		case sfnt.SegmentOpCubeTo:
			path.CubeTo(at(s.Args[0]), at(s.Args[1]), at(s.Args[2]))
		}
	}
	if open {
		path.Close()
	}
	return path
}
