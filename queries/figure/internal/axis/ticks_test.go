package axis_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ducklens/queries/figure/internal/axis"
)

func TestTicks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		low, high float64
		most      int
		whole     bool
		want      []float64
		step      float64
	}{
		{0, 10, 6, false, []float64{0, 2, 4, 6, 8, 10}, 2},
		{-0.3, 1.1, 4, false, []float64{0, 0.5, 1}, 0.5},
		{0, 3, 10, true, []float64{0, 1, 2, 3}, 1},
		{0, 3, 10, false, []float64{0, 0.5, 1, 1.5, 2, 2.5, 3}, 0.5},
		{0, 12345, 5, false, []float64{0, 5000, 10000}, 5000},
		{7, 7, 5, false, []float64{7}, 7},
	} {
		got, step := axis.Ticks(test.low, test.high, test.most, test.whole)
		if step != test.step || !slices.EqualFunc(got, test.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("%g to %g: %v by %g, want %v by %g", test.low, test.high, got, step, test.want, test.step)
		}
	}
}

// Ticks are in the range, ascending by the step, at most as many as asked for, and no step of the list below
// would do.
func TestTicksProperties(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		low := rng.NormFloat64() * math.Pow(10, float64(rng.IntN(12)-6))
		high := low + rng.ExpFloat64()*math.Pow(10, float64(rng.IntN(12)-6))
		if high-low < 1e-7*math.Abs(low) {
			continue // too few digits
		}
		most := 2 + rng.IntN(11)
		got, step := axis.Ticks(low, high, most, false)
		if len(got) > most || step <= 0 {
			t.Fatalf("%g to %g: %d ticks by %g, want at most %d", low, high, len(got), step, most)
		}
		if float64(most)*step*4 < high-low || step > 6*(high-low) {
			t.Fatalf("%g to %g, at most %d: step %g", low, high, most, step)
		}
		for i, x := range got {
			if x < low-1e-6*step || x > high+1e-6*step || i > 0 && math.Abs(x-got[i-1]-step) > 1e-6*step {
				t.Fatalf("%g to %g: ticks %v by %g", low, high, got, step)
			}
		}
	}
}
