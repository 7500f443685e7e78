package typeface_test

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/typeface"
)

// The characters that labels of figures need.
const needed = "ABCxyz0189 W_U[IO]→←↔∥⊥⟂·−±≥≤σΣμΔ₀₁₉ₖ⁺éü’“”–…‖"

func TestHas(t *testing.T) {
	for _, r := range needed {
		if !typeface.Has(r) {
			t.Errorf("%q (%U) is in neither font", r, r)
		}
	}
	if typeface.Has('\uE000') {
		t.Error("a private character is said to be there")
	}
}

func TestWidth(t *testing.T) {
	f := typeface.Regular(10)
	one, two := typeface.Width(f, "MLP0"), typeface.Width(f, "MLP0MLP0")
	if math.Abs(float64(two-2*one)) > 1e-9 {
		t.Errorf("width %v twice is %v, want the double: no kerning", one, two)
	}
	if b := typeface.Width(typeface.Bold(10), "MLP0"); b <= one {
		t.Errorf("bold is %v wide, regular %v, want bold wider", b, one)
	}
	if w := typeface.Width(typeface.Regular(20), "MLP0"); math.Abs(float64(w-2*one)) > 1e-9 {
		t.Errorf("width %v at double size, want %v", w, 2*one)
	}
}

func TestOutlineExtent(t *testing.T) {
	f := typeface.Regular(100)
	path := typeface.Outline(f, vg.Point{X: 5, Y: 7}, "H")
	far := vg.Length(math.Inf(1))
	lo, hi := vg.Point{X: far, Y: far}, vg.Point{X: -far, Y: -far}
	for _, c := range path {
		if c.Type == vg.CloseComp {
			continue
		}
		lo.X, lo.Y = min(lo.X, c.Pos.X), min(lo.Y, c.Pos.Y)
		hi.X, hi.Y = max(hi.X, c.Pos.X), max(hi.Y, c.Pos.Y)
	}
	if lo.Y != 7 || math.Abs(float64(hi.Y-7)-100*typeface.CapHeight) > 0.1 {
		t.Errorf("H reaches from %v to %v, want from the baseline 7 to the cap height %v", lo.Y, hi.Y, 7+100*typeface.CapHeight)
	}
	if lo.X <= 5 || hi.X >= 5+typeface.Width(f, "H") {
		t.Errorf("H spans %v..%v, want inside its advance 5..%v", lo.X, hi.X, 5+typeface.Width(f, "H"))
	}
}

// A subset, read by another parser, must give every character the outline and advance of the whole font.
func TestSubsetKeepsGlyphs(t *testing.T) {
	for _, bold := range []bool{false, true} {
		face := typeface.Regular(1)
		if bold {
			face = typeface.Bold(1)
		}
		data, err := typeface.Subset(bold, []rune(needed))
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 20_000 {
			t.Errorf("bold %v: %d bytes for %d characters, want under 20000", bold, len(data), len([]rune(needed)))
		}
		sub, err := sfnt.Parse(data)
		if err != nil {
			t.Fatalf("bold %v: the subset does not parse: %v", bold, err)
		}
		var buf sfnt.Buffer
		ppem := fixed.Int26_6(sub.UnitsPerEm())
		for _, r := range needed {
			r = typeface.Substitute(r)
			i, err := sub.GlyphIndex(&buf, r)
			if err != nil || i == 0 {
				t.Fatalf("bold %v: %q is not in the subset (%v)", bold, r, err)
			}
			got, err := sub.LoadGlyph(&buf, i, ppem, nil)
			if err != nil {
				t.Fatal(err)
			}
			got = append(sfnt.Segments(nil), got...)
			whole, err := face.Face.GlyphIndex(&buf, r)
			if err != nil {
				t.Fatal(err)
			}
			want, err := face.Face.LoadGlyph(&buf, whole, ppem, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("bold %v: outline of %q differs", bold, r)
			}
			a, _ := sub.GlyphAdvance(&buf, i, ppem, 0)
			b, _ := face.Face.GlyphAdvance(&buf, whole, ppem, 0)
			if a != b {
				t.Errorf("bold %v: advance of %q is %d, want %d", bold, r, a, b)
			}
		}
		if copyright, err := sub.Name(&buf, sfnt.NameIDCopyright); err != nil || copyright == "" {
			t.Errorf("bold %v: no copyright notice (%v)", bold, err)
		}
	}
}

func TestSubsetSameBytes(t *testing.T) {
	a, err := typeface.Subset(false, []rune("cab"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := typeface.Subset(false, []rune("abcc\uE000"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the same characters in another order give other bytes")
	}
}
