package axis_test

import (
	"slices"
	"testing"

	"ducklens/queries/figure/internal/axis"
)

func TestSymmetric(t *testing.T) {
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
		ticks := axis.Symmetric(test.limit, 4)
		var got []string
		for _, x := range ticks {
			got = append(got, axis.Text(x, ticks[len(ticks)/2+1], test.limit))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("limit %g: ticks %q, want %q", test.limit, got, test.want)
		}
	}
	for limit := 1e-300; limit < 1e300; limit *= 1.37 {
		for most := 1; most <= 4; most++ {
			ticks := axis.Symmetric(limit, most)
			if n := len(ticks); n < 3 || n > 11 || n%2 == 0 || ticks[n/2] != 0 || ticks[n-1] > limit*(1+1e-8) || ticks[0] != -ticks[n-1] {
				t.Fatalf("limit %g: ticks %g", limit, ticks)
			}
		}
	}
}
