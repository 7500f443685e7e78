package figure

import (
	"image/color"
	"math"
	"strconv"
	"strings"
)

// lab is a colour in CIE L*a*b* (1976), white point D65: lightness 0..100 and two opponent axes.
type lab struct{ l, a, b float64 }

// ramp is a way from white to a colour: lightness falls in proportion to the value, the opponent axes
// follow a parabola through the bend, which keeps the hue: a straight way to blue passes through violet.
type ramp struct{ bend, end lab }

// The two halves of the scale: blue for negative, red for positive values, the pair that the field uses and that
// colour-blind readers tell apart. Both end at the same lightness, so that neither sign looks stronger and
// a grey print still shows the size of a value. It cannot show the sign; signs of large cells are
// therefore also printed.
var (
	negative = ramp{bend: lab{a: -10.9, b: -27.8}, end: lab{38, 7.8, -44.3}}
	positive = ramp{bend: lab{a: 29, b: 16}, end: lab{38, 58, 36}}
)

// at is the colour at t, 0 (white) to 1.
func (r ramp) at(t float64) lab {
	return lab{
		l: 100 + t*(r.end.l-100),
		a: 2*t*(1-t)*r.bend.a + t*t*r.end.a,
		b: 2*t*(1-t)*r.bend.b + t*t*r.end.b,
	}
}

// Color gives the fill colour of a value; beyond the limit it is that of the limit.
func (s Scale) Color(value float64) color.NRGBA {
	t := min(1, math.Abs(value)/s.Limit)
	if value < 0 {
		return negative.at(t).rgb()
	}
	return positive.at(t).rgb()
}

// ink is black or white, whichever stands out better on a fill. The contrast (WCAG 2.1) is at least 4.5.
func ink(fill color.NRGBA) color.NRGBA {
	y := luminance(fill)
	if (y+0.05)/0.05 >= 1.05/(y+0.05) {
		return color.NRGBA{A: 255}
	}
	return color.NRGBA{R: 255, G: 255, B: 255, A: 255}
}

// luminance is the relative luminance of an sRGB colour (IEC 61966-2-1), 0..1.
func luminance(c color.NRGBA) float64 {
	linear := func(v uint8) float64 {
		u := float64(v) / 255
		if u <= 0.04045 {
			return u / 12.92
		}
		return math.Pow((u+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// rgb converts to sRGB, clipped to what a screen shows.
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

// ticks are round values from minus to plus the limit, zero among them: the smallest step of 1, 2 or 5
// times a power of ten that gives at most the wanted number of ticks on each side, but at least one.
func (s Scale) ticks(most int) []float64 {
	unit := math.Pow(10, math.Floor(math.Log10(s.Limit))-1) // a tenth to a hundredth of the limit
	step, n := unit, 0
	for _, m := range []float64{1, 2, 5, 10, 20, 50} {
		k := int(math.Floor(s.Limit/(m*unit) + 1e-9))
		if k == 0 {
			break
		}
		if step, n = m*unit, k; n <= most {
			break
		}
	}
	list := make([]float64, 0, 2*n+1)
	for i := -n; i <= n; i++ {
		list = append(list, float64(i)*step)
	}
	return list
}

// decimals is how many decimals a number needs to show digits digits of size, at least 0.
func decimals(size float64, digits int) int {
	return max(0, digits-1-int(math.Floor(math.Log10(size)+1e-9)))
}

// plain writes x with a true minus sign; what rounds to zero has none.
func plain(x float64, decimals int) string {
	s := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Trim(s, "-0.") == "" {
		return strings.TrimPrefix(s, "-")
	}
	return strings.Replace(s, "-", "−", 1)
}

// tickText writes a tick: with as many decimals as the step needs, or as 2×10⁻⁷ where these would be
// many.
func (s Scale) tickText(x, step float64) string {
	exponent := int(math.Floor(math.Log10(s.Limit) + 1e-9))
	if x == 0 {
		return "0"
	}
	if exponent >= -4 && exponent <= 5 {
		return plain(x, decimals(step, 1))
	}
	unit := math.Pow(10, float64(exponent))
	mantissa := plain(x/unit, decimals(step/unit, 1))
	power := strings.NewReplacer("-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴",
		"5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹").Replace(strconv.Itoa(exponent))
	return mantissa + "×10" + power
}
