package decompose

import (
	"math"
	"testing"
)

// Residuals are judged by the scale of the model's own scores; that of a far larger replaced score counts in
// proportion, so that its rounding refuses no run.
func TestCloseInProportion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reference, sum    float64
		closure, relative float64
	}{
		{2, 2.5, 0.5, 0.25},        // the model's own
		{0.1, 0.6, 0.5, 0.25},      // smaller
		{2000, 2000.1, 1e-4, 5e-5}, // replaced: a part in twenty thousand of it
		{-2000, -2002, 2e-3, 1e-3}, // a part in a thousand
		{2, math.NaN(), math.NaN(), math.NaN()},
		{math.Inf(1), 2, math.NaN(), math.NaN()},
	} {
		out := Output{scale: 2}
		out.close(c.reference, [][4]float64{{c.sum}})
		for _, x := range [][2]float64{{out.Closure, c.closure}, {out.RelativeClosure, c.relative}} {
			if !(math.Abs(x[0]-x[1]) <= 1e-9) && !(math.IsNaN(x[0]) && math.IsNaN(x[1])) {
				t.Errorf("score %g, sum %g: closure %g, relative %g, want %g, %g", c.reference, c.sum, out.Closure, out.RelativeClosure, c.closure, c.relative)
			}
		}
	}
}
