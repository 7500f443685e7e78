package moment_test

import (
	"bytes"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ducklens/schema/moment"
)

// number generates float32s of all magnitudes with exact sums and squares, including zero and repetitions.
func number() *rapid.Generator[float32] {
	return rapid.Map(anyNumber(), func(x float32) float32 {
		if math.Abs(float64(x)) < 1e-12 {
			return 0
		}
		return x
	})
}

func anyNumber() *rapid.Generator[float32] {
	return rapid.OneOf(
		rapid.Float32Range(-50, 50),
		rapid.Custom(func(t *rapid.T) float32 {
			return float32(math.Ldexp(rapid.Float64Range(-1, 1).Draw(t, "mantissa"), rapid.IntRange(-30, 20).Draw(t, "exponent")))
		}),
		rapid.SampledFrom([]float32{0, 1, -1, 1e-7, 3}),
	)
}

// of returns the moments of a list.
func of(t interface{ Fatal(...any) }, list []float32) *moment.Moments {
	m := moment.WithQuantiles()
	for _, x := range list {
		if err := m.Add(float64(x)); err != nil {
			t.Fatal(err)
		}
	}
	return &m
}

// TestMeanAndVariance compares with rational arithmetic, rounded once.
func TestMeanAndVariance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(number(), 2, 40).Draw(t, "list")
		m := of(t, list)
		n := big.NewRat(int64(len(list)), 1)
		mean := new(big.Rat)
		for _, x := range list {
			mean.Add(mean, new(big.Rat).SetFloat64(float64(x)))
		}
		mean.Quo(mean, n)
		variance := new(big.Rat)
		for _, x := range list {
			d := new(big.Rat).Sub(new(big.Rat).SetFloat64(float64(x)), mean)
			variance.Add(variance, d.Mul(d, d))
		}
		variance.Quo(variance, n.Sub(n, big.NewRat(1, 1)))
		wantMean, _ := mean.Float64()
		wantVariance, _ := variance.Float64()
		if m.N() != int64(len(list)) || m.Mean() != wantMean || m.Variance() != wantVariance {
			t.Fatalf("n %d, mean %g, variance %g, want %d, %g, %g", m.N(), m.Mean(), m.Variance(), len(list), wantMean, wantVariance)
		}
	})
}

// TestPartsAreTheWhole merges parts in any order, each after a round trip, and expects the bits of the whole.
func TestPartsAreTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(number(), 1, 60).Draw(t, "list")
		want := of(t, list).AppendTo(nil)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		var whole moment.Moments
		for part := range slices.Chunk(list, rapid.IntRange(1, 20).Draw(t, "size")) {
			var read moment.Moments
			if rest, err := read.Parse(of(t, part).AppendTo(nil)); err != nil || len(rest) > 0 {
				t.Fatal(rest, err)
			}
			whole.Merge(&read)
		}
		if got := whole.AppendTo(nil); !bytes.Equal(got, want) {
			t.Fatalf("parts give\n%x, the whole\n%x", got, want)
		}
	})
}

// TestQuantiles checks that a quantile is within a sixteenth of the number of its rank, or within 1e-6.
func TestQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(number(), 1, 60).Draw(t, "list")
		m := of(t, list)
		slices.Sort(list)
		for _, share := range moment.Shares {
			got := float64(m.Quantile(share))
			rank := share * float64(len(list)-1)
			low, high := float64(list[int(math.Floor(rank))]), float64(list[int(math.Ceil(rank))])
			slack := func(x float64) float64 { return max(math.Abs(x)/8, 1e-6) }
			if got < low-slack(low) || got > high+slack(high) {
				t.Fatalf("share %g: %g, want %g to %g", share, got, low, high)
			}
		}
		if m.Quantile(0) != list[0] || m.Quantile(1) != list[len(list)-1] {
			t.Fatalf("%g to %g, want %g to %g", m.Quantile(0), m.Quantile(1), list[0], list[len(list)-1])
		}
	})
}

// TestFewNumbers checks no numbers, one number, and numbers that are too large.
func TestFewNumbers(t *testing.T) {
	var m moment.Moments
	if m.N() != 0 || !math.IsNaN(m.Mean()) || !math.IsNaN(m.Variance()) || !math.IsNaN(float64(m.Quantile(0.5))) {
		t.Errorf("moments of nothing: %d, %g, %g, %g", m.N(), m.Mean(), m.Variance(), m.Quantile(0.5))
	}
	if err := m.Add(2.5); err != nil || m.Mean() != 2.5 || !math.IsNaN(m.Variance()) {
		t.Errorf("of one: %v, %g, %g", err, m.Mean(), m.Variance())
	}
	for _, x := range []float64{moment.Largest, -moment.Largest, math.Inf(1), math.NaN()} {
		if m.Add(x) == nil || m.N() != 1 {
			t.Errorf("%g was added", x)
		}
	}
	// With a large mean, naive sums of squares lose the variance.
	for range 1000 {
		_ = m.Add(2.5)
		_ = m.Add(float64(float32(2.5000002)))
	}
	if v := m.Variance(); v < 1e-14 || v > 2e-14 {
		t.Errorf("variance %g", v)
	}
}

// FuzzParseRow checks that any state either is refused or gives moments.
func FuzzParseRow(f *testing.F) {
	r := moment.NewRow(true)
	for _, x := range []float64{1, -2.5, 0, 1e-9} {
		if err := r.Add(x, x/2, x/2); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(r.State())
	f.Add([]byte{})
	f.Add(new(moment.Row).State())
	f.Fuzz(func(t *testing.T, state []byte) {
		r, err := moment.ParseRow(state)
		if err != nil {
			return
		}
		for _, m := range []*moment.Moments{&r.Score, &r.Baseline, &r.Diff} {
			_, _ = m.Mean(), m.Variance()
			for _, share := range moment.Shares {
				_ = m.Quantile(share)
			}
		}
		again, err := moment.ParseRow(r.State())
		if err != nil || !bytes.Equal(again.State(), r.State()) {
			t.Fatalf("%x does not come back: %v", state, err)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	r := moment.NewRow(true)
	x := 1.0
	for b.Loop() {
		x = -x * 1.0000001
		if err := r.Add(x, 0.5, x-0.5); err != nil {
			b.Fatal(err)
		}
	}
}
