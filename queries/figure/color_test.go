package figure

import (
	"image/color"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/plot/vg"
)

// greyOf is what a print without colour shows of a fill: CIE lightness, 0..100.
func greyOf(c color.NRGBA) float64 {
	y := luminance(c)
	if y <= 216.0/24389 {
		return y * 24389 / 27
	}
	return 116*math.Cbrt(y) - 16
}

func TestScaleColors(t *testing.T) {
	t.Parallel()
	s := Scale{Limit: 2}
	if c := s.Color(0); c != (color.NRGBA{255, 255, 255, 255}) {
		t.Errorf("zero is %v, want white", c)
	}
	if s.Color(2) != s.Color(7) || s.Color(-2) != s.Color(-7) {
		t.Error("a value beyond the limit has another colour than the limit")
	}
	last := 101.0
	for i := range 101 {
		v := 2 * float64(i) / 100
		plus, minus := s.Color(v), s.Color(-v)
		// Both signs are equally dark, so that neither looks stronger; 0.6 is the rounding to 8 bits.
		if d := math.Abs(greyOf(plus) - greyOf(minus)); d > 0.6 {
			t.Errorf("at ±%g the lightness differs by %.2f", v, d)
		}
		// Lightness falls evenly from 100 to 38.
		if want := 100 - 62*v/2; math.Abs(greyOf(plus)-want) > 0.6 {
			t.Errorf("lightness %.2f at %g, want %.2f", greyOf(plus), v, want)
		}
		if greyOf(plus) > last+0.3 {
			t.Errorf("lightness rises at %g", v)
		}
		last = greyOf(plus)
		for _, c := range []color.NRGBA{plus, minus} {
			y, text := luminance(c), luminance(ink(c))
			if contrast := (max(y, text) + 0.05) / (min(y, text) + 0.05); contrast < 4.5 {
				t.Errorf("text on %v has contrast %.2f, want 4.5 (WCAG 2.1, AA)", c, contrast)
			}
		}
	}
}

// Colour-blind readers tell the signs apart wherever the cell is visibly coloured. The matrices are those of
// Machado, Oliveira and Fernandes (2009), severity 1, in linear RGB.
func TestColorBlind(t *testing.T) {
	t.Parallel()
	sights := map[string][9]float64{
		"protanopia":   {0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998},
		"deuteranopia": {0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881},
		"tritanopia":   {1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900},
	}
	for name, m := range sights {
		for _, v := range []float64{0.15, 0.3, 0.6, 1} {
			s := Scale{Limit: 1}
			a, b := labOf(s.Color(v), m), labOf(s.Color(-v), m)
			d := math.Sqrt((a.l-b.l)*(a.l-b.l) + (a.a-b.a)*(a.a-b.a) + (a.b-b.b)*(a.b-b.b))
			if want := 9.0; d < want { // about 2 is just noticeable
				t.Errorf("%s: ±%g are %.1f apart in L*a*b*, want %.0f", name, v, d, want)
			}
		}
	}
}

// labOf is how a colour looks through a matrix on linear RGB.
func labOf(c color.NRGBA, m [9]float64) lab {
	one := func(v uint8) float64 { return luminance(color.NRGBA{v, v, v, 255}) }
	in := [3]float64{one(c.R), one(c.G), one(c.B)}
	var rgb [3]float64
	for i := range rgb {
		rgb[i] = min(1, max(0, m[3*i]*in[0]+m[3*i+1]*in[1]+m[3*i+2]*in[2]))
	}
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124564*rgb[0] + 0.3575761*rgb[1] + 0.1804375*rgb[2]) / 0.95047)
	y := f(0.2126729*rgb[0] + 0.7151522*rgb[1] + 0.0721750*rgb[2])
	z := f((0.0193339*rgb[0] + 0.1191920*rgb[1] + 0.9503041*rgb[2]) / 1.08883)
	return lab{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limit float64
		want  []string
	}{
		{0.81, []string{"−0.8", "−0.6", "−0.4", "−0.2", "0", "0.2", "0.4", "0.6", "0.8"}},
		{2.4, []string{"−2.0", "−1.5", "−1.0", "−0.5", "0", "0.5", "1.0", "1.5", "2.0"}},
		{1, []string{"−1.0", "−0.5", "0", "0.5", "1.0"}},
		{45, []string{"−40", "−30", "−20", "−10", "0", "10", "20", "30", "40"}},
		{3e-7, []string{"−3×10⁻⁷", "−2×10⁻⁷", "−1×10⁻⁷", "0", "1×10⁻⁷", "2×10⁻⁷", "3×10⁻⁷"}},
		{2.5e6, []string{"−2×10⁶", "−1×10⁶", "0", "1×10⁶", "2×10⁶"}},
	} {
		s := Scale{Limit: test.limit}
		ticks := s.ticks(4)
		var got []string
		for _, x := range ticks {
			got = append(got, s.tickText(x, ticks[len(ticks)/2+1]))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("limit %g: ticks %q, want %q", test.limit, got, test.want)
		}
	}
	for limit := minLimit; limit < 1e300; limit *= 1.37 {
		for most := 1; most <= 4; most++ {
			ticks := Scale{Limit: limit}.ticks(most)
			if n := len(ticks); n < 3 || n > 11 || n%2 == 0 || ticks[n/2] != 0 || ticks[n-1] > limit*(1+1e-8) || ticks[0] != -ticks[n-1] {
				t.Fatalf("limit %g: ticks %g", limit, ticks)
			}
		}
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]span{
		"W_E":                {{text: "W"}, {"E", true}},
		"W_pos":              {{text: "W"}, {"pos", true}},
		"W_U[IO]":            {{text: "W"}, {"U", true}, {text: "[IO]"}},
		"W_EE0":              {{text: "W"}, {"EE0", true}},
		"b_O3":               {{text: "b"}, {"O", true}, {text: "3"}},
		"b_O":                {{text: "b"}, {"O", true}},
		"x_1":                {{text: "x"}, {"1", true}},
		"9.6":                {{text: "9.6"}},
		"key_components":     {{text: "key_components"}},
		"a_b_c":              {{text: "a_b_c"}},
		"W_ and _E":          {{text: "W_ and _E"}},
		"span(W_U[S], W_E)→": {{text: "span(W"}, {"U", true}, {text: "[S], W"}, {"E", true}, {text: ")→"}},
		"σ_é":                {{text: "σ"}, {"é", true}},
		"":                   nil,
	} {
		if got := spans(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	st := textStyle{size: 10}
	for _, width := range []float64{20, 60, 100, 1000} {
		for _, text := range []string{"", "word", "a few short words to be broken", "averylongwordthatcannotbebroken", "W_U[IO] and W_U[S] and W_U[random]"} {
			for _, lines := range [][]string{st.wrap(text, vg.Length(width), 2), st.balance(text, vg.Length(width), 2)} {
				if len(lines) > 2 {
					t.Errorf("%q at %g: %d lines", text, width, len(lines))
				}
				for _, line := range lines {
					if w := st.width(line).Points(); w > width && line != "…" {
						t.Errorf("%q is %.1f wide, want at most %g", line, w, width)
					}
				}
			}
		}
	}
	if got := st.balance("query along W_U[IO], key along MLP0", 150, 3); len(got) != 2 || got[0] != "query along W_U[IO]," {
		t.Errorf("balanced lines %q", got)
	}
}
