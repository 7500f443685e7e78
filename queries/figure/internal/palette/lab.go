package palette

import (
	"image/color"
	"math"
)

// lab is a colour in CIE L*a*b* (1976), white point D65: lightness 0..100 and two opponent axes.
type lab struct{ l, a, b float64 }

// ramp is a path from the colour of zero to another colour. Lightness changes in proportion to the value. The
// opponent axes follow a parabola through the bend, which keeps the hue: a straight path to blue would pass
// through violet. The two ramps of a palette end at the same lightness, so that neither sign looks stronger
// and a grey print still shows the size of a value. It cannot show the sign, so the signs of large cells are
// also printed.
type ramp struct{ bend, end lab }

// at returns the colour at t, from 0 (zero) to 1.
func (r ramp) at(zero lab, t float64) lab {
	curve := func(zero, bend, end float64) float64 { return (1-t)*(1-t)*zero + 2*t*(1-t)*bend + t*t*end }
	return lab{
		l: zero.l + t*(r.end.l-zero.l),
		a: curve(zero.a, r.bend.a, r.end.a),
		b: curve(zero.b, r.bend.b, r.end.b),
	}
}

// rgb converts to sRGB, clipped to the colours of a screen.
func (c lab) rgb() color.NRGBA {
	fy := (c.l + 16) / 116
	unf := func(t float64) float64 {
		if t > 6.0/29 {
			return t * t * t
		}
		return 3 * (6.0 / 29) * (6.0 / 29) * (t - 4.0/29)
	}
	x, y, z := 0.95047*unf(fy+c.a/500), unf(fy), 1.08883*unf(fy-c.b/200)
	gamma := func(u float64) uint8 {
		if u <= 0.0031308 {
			u *= 12.92
		} else {
			u = 1.055*math.Pow(u, 1/2.4) - 0.055
		}
		return uint8(math.Round(255 * min(1, max(0, u))))
	}
	return color.NRGBA{
		R: gamma(3.2404542*x - 1.5371385*y - 0.4985314*z),
		G: gamma(-0.9692660*x + 1.8760108*y + 0.0415560*z),
		B: gamma(0.0556434*x - 0.2040259*y + 1.0572252*z),
		A: 255,
	}
}

// toLab converts from sRGB.
func toLab(c color.NRGBA) lab { return fromLinear(linear(c.R), linear(c.G), linear(c.B)) }

// fromLinear converts from sRGB without its gamma, 0..1.
func fromLinear(r, g, b float64) lab {
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124564*r + 0.3575761*g + 0.1804375*b) / 0.95047)
	y := f(0.2126729*r + 0.7151522*g + 0.0721750*b)
	z := f((0.0193339*r + 0.1191920*g + 0.9503041*b) / 1.08883)
	return lab{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// linear undoes the gamma of an sRGB channel.
func linear(v uint8) float64 {
	u := float64(v) / 255
	if u <= 0.04045 {
		return u / 12.92
	}
	return math.Pow((u+0.055)/1.055, 2.4)
}
