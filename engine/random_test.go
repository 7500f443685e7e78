package engine_test

import (
	"math"
	"testing"

	"ducklens/engine"
	"ducklens/schema"
)

// A seed gives the same directions in every release. Other directions would mean other numbers in people's
// figures.
func TestRandomDirectionsStayTheSame(t *testing.T) {
	t.Parallel()
	// SplitMix64 and Box-Muller written down a second time, in Python.
	for _, c := range []struct {
		seed          int64
		side          schema.Side
		number, token int
		want          [3]float64
	}{
		{0, schema.Query, 0, 0, [3]float64{-0.178382458786467, -1.11501825719937, -0.308744820366633}},
		{42, schema.Key, 19, 50256, [3]float64{-0.556269825639524, -1.54107940676977, 0.686091773521891}},
		{-1, schema.Query, 1, 7, [3]float64{-0.00334950121503285, -0.870110197336395, -0.0570641416273718}},
	} {
		got := engine.RandomDirection(c.seed, c.side, c.number, c.token, 5)
		for i, want := range c.want {
			if math.Abs(got[i]-want) > 1e-12 { // another machine's logarithm may round otherwise
				t.Errorf("seed %d, %s side, number %d, token %d: %.15g, want %g", c.seed, c.side, c.number, c.token, got[:3], c.want)
				break
			}
		}
	}
}

func TestRandomDirectionsAreGaussianAndIndependent(t *testing.T) {
	t.Parallel()
	const n = 200_000
	v := engine.RandomDirection(1, schema.Query, 0, 0, n)
	var moments [5]float64
	inside := 0.0
	for _, x := range v {
		for p := range moments {
			moments[p] += math.Pow(x, float64(p)) / n
		}
		if math.Abs(x) < 1 {
			inside++
		}
	}
	// Standard errors are 0.002, 0.003, 0.009 and 0.022; within one standard deviation lie 68.27 percent.
	for p, want := range [5]float64{1, 0, 1, 0, 3} {
		if d := math.Abs(moments[p] - want); d > [5]float64{1e-9, 0.01, 0.015, 0.04, 0.1}[p] {
			t.Errorf("moment %d is %g, want %g", p, moments[p], want)
		}
	}
	if share := inside / n; math.Abs(share-0.6827) > 0.005 {
		t.Errorf("%g within one standard deviation, want 0.6827", share)
	}
	for name, w := range map[string][]float64{
		"seed":   engine.RandomDirection(2, schema.Query, 0, 0, n),
		"side":   engine.RandomDirection(1, schema.Key, 0, 0, n),
		"number": engine.RandomDirection(1, schema.Query, 1, 0, n),
		"token":  engine.RandomDirection(1, schema.Query, 0, 1, n),
		"lag":    append(v[1:len(v):len(v)], 0),
		"pair":   append(v[2:len(v):len(v)], 0, 0),
	} {
		product := 0.0
		for i := range v {
			product += v[i] * w[i] / n
		}
		if math.Abs(product) > 0.01 {
			t.Errorf("another %s: correlation %g", name, product)
		}
	}
}
