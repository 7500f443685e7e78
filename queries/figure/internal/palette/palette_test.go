package palette

import (
	"image/color"
	"math"
	"testing"
)

var both = map[string]*Palette{"light": &Light, "dark": &Dark}

func TestDiverging(t *testing.T) {
	t.Parallel()
	for name, p := range both {
		if p.Diverging(0) != p.Page {
			t.Errorf("%s: zero is %v, want the page, %v", name, p.Diverging(0), p.Page)
		}
		if p.Diverging(1) != p.Diverging(7) || p.Diverging(-1) != p.Diverging(-7) {
			t.Errorf("%s: a value beyond the limit has another colour than the limit", name)
		}
		zero, end := toLab(p.Page).l, p.positive.end.l
		for i := 1; i <= 100; i++ {
			x := float64(i) / 100
			plus, minus := p.Diverging(x), p.Diverging(-x)
			// Both signs are equally light, so that neither looks stronger, and lightness follows the value;
			// 0.8 is the rounding to 8 bits.
			want := zero + x*(end-zero)
			for _, c := range []color.NRGBA{plus, minus} {
				if l := toLab(c).l; math.Abs(l-want) > 0.8 {
					t.Errorf("%s: lightness %.2f of %v at ±%g, want %.2f", name, l, c, x, want)
				}
				if contrast := Contrast(c, On(c)); contrast < 4.5 {
					t.Errorf("%s: text on %v has contrast %.2f, want 4.5 (WCAG 2.1, AA)", name, c, contrast)
				}
			}
		}
	}
}

// Colours of text and lines stand out from the page (WCAG 2.1: 4.5 for text, 3 for what is drawn).
func TestContrast(t *testing.T) {
	t.Parallel()
	for name, p := range both {
		for _, c := range []color.NRGBA{p.Ink, p.Text, p.Muted} {
			if got := Contrast(c, p.Page); got < 4.5 {
				t.Errorf("%s: text %v has contrast %.2f", name, c, got)
			}
		}
		for i := range p.Categories() {
			if got := Contrast(p.CategoryLine(i), p.Page); got < 3 {
				t.Errorf("%s: lines of category %d, %v, have contrast %.2f", name, i, p.CategoryLine(i), got)
			}
		}
		if p.Category(3) != p.Category(3+p.Categories()) {
			t.Errorf("%s: colours do not come again", name)
		}
	}
}

// sights are the matrices of Machado, Oliveira and Fernandes (2009) for colour-blind sight of severity 1, on
// linear RGB.
var sights = map[string][9]float64{
	"all colours":  {1, 0, 0, 0, 1, 0, 0, 0, 1},
	"protanopia":   {0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998},
	"deuteranopia": {0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881},
	"tritanopia":   {1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900},
}

// distance is how far two colours are apart in L*a*b* as seen through a matrix; about 2 is just noticeable.
func distance(a, b color.NRGBA, m [9]float64) float64 {
	see := func(c color.NRGBA) lab {
		in := [3]float64{linear(c.R), linear(c.G), linear(c.B)}
		var out [3]float64
		for i := range out {
			out[i] = min(1, max(0, m[3*i]*in[0]+m[3*i+1]*in[1]+m[3*i+2]*in[2]))
		}
		return fromLinear(out[0], out[1], out[2])
	}
	x, y := see(a), see(b)
	return math.Sqrt((x.l-y.l)*(x.l-y.l) + (x.a-y.a)*(x.a-y.a) + (x.b-y.b)*(x.b-y.b))
}

// Colour-blind readers tell the signs apart wherever the cell is visibly coloured.
func TestSignsSeen(t *testing.T) {
	t.Parallel()
	for name, p := range both {
		for sight, m := range sights {
			for _, x := range []float64{0.15, 0.3, 0.6, 1} {
				if d := distance(p.Diverging(x), p.Diverging(-x), m); d < 9 {
					t.Errorf("%s, %s: ±%g are %.1f apart, want 9", name, sight, x, d)
				}
			}
		}
	}
}

// Every reader tells the colours of categories apart, and in grey at least neighbours of the first five.
func TestCategoriesSeen(t *testing.T) {
	t.Parallel()
	for name, p := range both {
		for i := range p.Categories() {
			for j := range i {
				for sight, m := range sights {
					if d := distance(p.Category(i), p.Category(j), m); d < 15 {
						t.Errorf("%s, %s: categories %d and %d are %.1f apart, want 15", name, sight, j, i, d)
					}
				}
			}
			if i > 0 && i < 5 {
				if d := math.Abs(toLab(p.Category(i)).l - toLab(p.Category(i-1)).l); d < 12 {
					t.Errorf("%s: categories %d and %d are %.1f apart in lightness, want 12", name, i-1, i, d)
				}
			}
		}
	}
}
