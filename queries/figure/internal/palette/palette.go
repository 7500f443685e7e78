// Package palette has the colours of figures: a diverging scale for signed values and a series of colours for
// categories, in themes for paper and for a dark screen.
//
// All colours are chosen for colour-blind readers and, as far as possible, for prints without colour.
package palette

import (
	"fmt"
	"image/color"
	"math"
)

// Palette holds the colours of a theme.
type Palette struct {
	Page  color.NRGBA // behind everything; also the colour of zero
	Ink   color.NRGBA // titles
	Text  color.NRGBA // labels
	Muted color.NRGBA // notes
	Edge  color.NRGBA // lines of axes
	Grid  color.NRGBA // lines behind the data

	zero               lab // of the page
	negative, positive ramp
	categories         [8]color.NRGBA
	deepest, lightest  float64 // L* of the lines of categories, so that they stand out from the page
}

// Light is for white paper and light screens.
var Light = Palette{
	Page:  color.NRGBA{R: 255, G: 255, B: 255, A: 255},
	Ink:   color.NRGBA{A: 255},
	Text:  color.NRGBA{R: 0x26, G: 0x26, B: 0x26, A: 255},
	Muted: color.NRGBA{R: 0x5c, G: 0x5c, B: 0x5c, A: 255},
	Edge:  color.NRGBA{R: 0x80, G: 0x80, B: 0x80, A: 255},
	Grid:  color.NRGBA{R: 0xe4, G: 0xe4, B: 0xe4, A: 255},

	// Blue for negative, red for positive values, as is usual in the field.
	zero:     lab{l: 100},
	negative: ramp{bend: lab{a: -10.9, b: -27.8}, end: lab{38, 7.8, -44.3}},
	positive: ramp{bend: lab{a: 29, b: 16}, end: lab{38, 58, 36}},

	// The colours of Okabe and Ito (2008), https://jfly.uni-koeln.de/color/, in an order in which neighbours
	// differ in lightness, with a slightly lighter black.
	categories: [8]color.NRGBA{
		{0x00, 0x72, 0xb2, 255}, {0xe6, 0x9f, 0x00, 255}, {0x33, 0x33, 0x33, 255}, {0x56, 0xb4, 0xe9, 255},
		{0xd5, 0x5e, 0x00, 255}, {0x00, 0x9e, 0x73, 255}, {0xcc, 0x79, 0xa7, 255}, {0xf0, 0xe4, 0x42, 255},
	},
	lightest: 60,
}

// Dark is for dark screens: the farther from zero, the lighter.
var Dark = Palette{
	Page:  color.NRGBA{R: 0x14, G: 0x17, B: 0x1c, A: 255},
	Ink:   color.NRGBA{R: 0xf2, G: 0xf2, B: 0xf2, A: 255},
	Text:  color.NRGBA{R: 0xd6, G: 0xd8, B: 0xdc, A: 255},
	Muted: color.NRGBA{R: 0x9a, G: 0xa0, B: 0xa8, A: 255},
	Edge:  color.NRGBA{R: 0x7c, G: 0x82, B: 0x8a, A: 255},
	Grid:  color.NRGBA{R: 0x30, G: 0x35, B: 0x3c, A: 255},

	zero:     lab{7.5, -0.3, -3.5},
	negative: ramp{bend: lab{a: 4, b: -42}, end: lab{74, -12, -38}},
	positive: ramp{bend: lab{a: 46, b: 30}, end: lab{74, 26, 46}},

	categories: [8]color.NRGBA{
		{0x30, 0x82, 0xd8, 255}, {0xe6, 0x9f, 0x00, 255}, {0xe8, 0xe8, 0xe8, 255}, {0x7c, 0xc8, 0xf4, 255},
		{0xd5, 0x5e, 0x00, 255}, {0x10, 0xb0, 0x74, 255}, {0xd8, 0x86, 0xb4, 255}, {0xf0, 0xe4, 0x42, 255},
	},
	deepest: 50, lightest: 100,
}

// Category returns the fill colour of series or category i.
func (p *Palette) Category(i int) color.NRGBA { return p.categories[i%len(p.categories)] }

// CategoryLine returns the line colour of series or category i: the same hue, with enough contrast to the
// page for a line.
func (p *Palette) CategoryLine(i int) color.NRGBA {
	c := toLab(p.Category(i))
	if l := min(max(c.l, p.deepest), p.lightest); l != c.l {
		k := l / max(c.l, 1)
		return lab{l: l, a: c.a * min(k, 1), b: c.b * min(k, 1)}.rgb()
	}
	return p.Category(i)
}

// Categories returns the number of different colours of categories.
func (p *Palette) Categories() int { return len(p.categories) }

// Lines returns the line colours of all categories in the form of the web, such as #0072b2.
func (p *Palette) Lines() []string {
	list := make([]string, p.Categories())
	for i := range list {
		c := p.CategoryLine(i)
		list[i] = fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)
	}
	return list
}

// Diverging returns the colour of a signed value, from -1 through 0, the page, to 1. Values beyond have the
// colour of the end.
func (p *Palette) Diverging(x float64) color.NRGBA {
	if x == 0 {
		return p.Page
	}
	r := p.positive
	if x < 0 {
		r = p.negative
	}
	return r.at(p.zero, min(1, math.Abs(x))).rgb()
}

// Over returns a colour drawn on the page with an opacity of alpha, 0 to 1.
func (p *Palette) Over(c color.NRGBA, alpha float64) color.NRGBA {
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*alpha + float64(b)*(1-alpha))) }
	return color.NRGBA{R: mix(c.R, p.Page.R), G: mix(c.G, p.Page.G), B: mix(c.B, p.Page.B), A: 255}
}

// On returns black or white, whichever stands out better on a fill. The contrast (WCAG 2.1) is at least 4.5.
func On(fill color.NRGBA) color.NRGBA {
	y := Luminance(fill)
	if (y+0.05)/0.05 >= 1.05/(y+0.05) {
		return color.NRGBA{A: 255}
	}
	return color.NRGBA{R: 255, G: 255, B: 255, A: 255}
}

// Contrast returns the contrast of two colours (WCAG 2.1), 1 to 21.
func Contrast(a, b color.NRGBA) float64 {
	x, y := Luminance(a), Luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Luminance returns the relative luminance of an sRGB colour (IEC 61966-2-1), 0..1.
func Luminance(c color.NRGBA) float64 {
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}
