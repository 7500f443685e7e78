package blas_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ducklens/engine/blas"
)

// widths are below, at and above the vector lengths of all CPUs.
var widths = []int{1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 768, 1001}

// The float64 form is plain Go with the functions of package math, and is the oracle of the float32 form,
// which is C where the build has it.
func TestActivate(t *testing.T) {
	for name, act := range map[string]blas.Activation{"GELUTanh": blas.GELUTanh, "GELU": blas.GELU, "SiLU": blas.SiLU, "ReLU": blas.ReLU, "none": blas.NoActivation} {
		t.Run(name, func(t *testing.T) { checkActivation(t, act) })
	}
}

func checkActivation(t *testing.T, act blas.Activation) {
	worst := 0.0
	var x []float32
	for v := -12.0; v <= 12; v += 1.0 / 1024 {
		x = append(x, float32(v))
	}
	x = append(x, 0, -50, 50, -1e4, 1e4, -1e30, 1e30, math.MaxFloat32, -math.MaxFloat32, 1e-30, -1e-30)
	got, want := slices.Clone(x), make([]float64, len(x))
	for i, v := range x {
		want[i] = float64(v)
	}
	blas.Activate(got, act)
	blas.Activate(want, act)
	for i := range x {
		d := math.Abs(float64(got[i])-want[i]) / max(1, math.Abs(want[i]))
		if worst = max(worst, d); !(d <= 3e-7) {
			t.Errorf("of %v: %v, want %v", x[i], got[i], want[i])
		}
	}
	t.Logf("largest difference %.1e max(1, |result|)", worst)
	for _, n := range widths { // the last few numbers of a slice go through the same arithmetic as the others
		part := slices.Clone(x[5000 : 5000+n])
		blas.Activate(part, act)
		if !slices.Equal(part, got[5000:5000+n]) {
			t.Errorf("of %d numbers: other bits than of many", n)
		}
	}
	bad := []float32{1, float32(math.NaN()), 2}
	if blas.Activate(bad, act); !math.IsNaN(float64(bad[1])) || math.IsNaN(float64(bad[0])) {
		t.Errorf("of NaN: %v", bad)
	}
	blas.Activate([]float32(nil), act)
}

func TestSoftmaxCausal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	none := math.Inf(-1)
	for _, c := range []struct{ window, limit, sink float64 }{{0, 0, none}, {3, 0, none}, {0, 6, none}, {0, 0, 4}, {20, 50, -1}} {
		checkSoftmax(t, rng, c.window, c.limit, c.sink)
	}
	far := blas.NewMatrix(1, 3, []float32{-1e4, 0, -200}) // far below the largest: nothing, and no infinity
	blas.SoftmaxCausal(far, blas.Causal[float32]{First: 3, Scale: 1}, float32(none))
	if far.Data[1] != 1 || far.Data[0] > 1e-37 || far.Data[2] > 1e-37 {
		t.Errorf("softmax of 0 and far smaller: %v", far.Data)
	}
	for _, limit := range []float32{0, 30} {
		bad := blas.NewMatrix(1, 3, []float32{1, float32(math.NaN()), 2})
		if blas.SoftmaxCausal(bad, blas.Causal[float32]{First: 3, Scale: 1, Cap: limit}, float32(none)); !math.IsNaN(float64(bad.Data[1])) {
			t.Errorf("softmax of NaN: %v", bad.Data)
		}
	}
}

func checkSoftmax(t *testing.T, rng *rand.Rand, window, limit, sink float64) {
	worst, tolerance := 0.0, 3e-7
	if limit > 0 || !math.IsInf(sink, -1) { // a capped score is off by 1e-7 of the cap
		tolerance = 1e-6 + limit*1e-7
	}
	for _, cols := range widths {
		for _, rows := range []int{1, min(5, cols)} {
			first := cols - rows + 1
			got := randomMatrix[float32](rng, rows, cols, false, 2)
			want := blas.Matrix[float64]{Rows: rows, Cols: cols, Stride: got.Stride, Data: make([]float64, len(got.Data))}
			for i, v := range got.Data {
				got.Data[i] = v * 20
				want.Data[i] = float64(got.Data[i])
			}
			outside := slices.Clone(got.Data)
			blas.SoftmaxCausal(got, blas.Causal[float32]{First: first, Window: int(window), Scale: 0.25, Cap: float32(limit)}, float32(sink))
			blas.SoftmaxCausal(want, blas.Causal[float64]{First: first, Window: int(window), Scale: 0.25, Cap: limit}, sink)
			for r := range rows {
				sum := 0.0
				for c := range cols {
					g, w := float64(got.At(r, c)), want.At(r, c)
					sum += w
					if worst = max(worst, math.Abs(g-w)); !(math.Abs(g-w) <= tolerance) {
						t.Fatalf("%d columns, row %d: softmax[%d] = %v, want %v", cols, r, c, g, w)
					}
					if (c >= first+r || window > 0 && c < first+r-int(window)) && (g != 0 || w != 0) {
						t.Fatalf("%d columns: row %d sees column %d", cols, r, c)
					}
				}
				if math.Abs(sum-1) > 1e-12 && (math.IsInf(sink, -1) || sum >= 1) {
					t.Errorf("row adds up to %v", sum)
				}
				for c := cols; c < got.Stride && r*got.Stride+c < len(outside); c++ {
					if got.Data[r*got.Stride+c] != outside[r*got.Stride+c] {
						t.Fatalf("wrote beyond row %d", r)
					}
				}
			}
		}
	}
	t.Logf("largest difference %.1e with window %v, cap %v, sink %v", worst, window, limit, sink)
}

func TestRMSNorm(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	worst := 0.0
	for _, width := range widths {
		for _, groups := range []int{1, 3} {
			const rows = 3
			x := randomMatrix[float32](rng, rows, width*groups, false, 4)
			wide := blas.Matrix[float64]{Rows: rows, Cols: x.Cols, Stride: x.Stride, Data: make([]float64, len(x.Data))}
			for i, v := range x.Data {
				x.Data[i] = 5 * v
				wide.Data[i] = float64(x.Data[i])
			}
			gain := randomMatrix[float32](rng, 1, width, false, 0).Data
			wideGain := make([]float64, width)
			for i, v := range gain {
				wideGain[i] = float64(v)
			}
			if width%2 == 0 {
				gain, wideGain = nil, nil
			}
			got, want := randomMatrix[float32](rng, rows, x.Cols, false, 0), randomMatrix[float64](rng, rows, x.Cols, false, 0)
			scale, wantScale := make([]float32, rows*groups), make([]float64, rows*groups)
			blas.RMSNorm(got, x, scale, groups, gain, 1e-5)
			blas.RMSNorm(want, wide, wantScale, groups, wideGain, 1e-5)
			for i, w := range want.Data {
				d := math.Abs(float64(got.Data[i])-w) / max(1, math.Abs(w))
				if worst = max(worst, d); !(d <= 3e-7) {
					t.Fatalf("width %d: %v at %d, want %v", width, got.Data[i], i, w)
				}
			}
			for i, w := range wantScale {
				if d := math.Abs(float64(scale[i])/w - 1); !(d <= 1e-7) {
					t.Errorf("width %d: scale %v, want %v", width, scale[i], w)
				}
			}
			if blas.RMSNorm(x, x, scale, groups, gain, 1e-5); !equalMatrix(x, got) {
				t.Errorf("width %d: other bits in place", width)
			}
		}
	}
	t.Logf("largest difference %.1e", worst)
}

func TestRotate(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, s := range []struct{ heads, dh, dims int }{{1, 2, 2}, {3, 24, 6}, {2, 24, 24}, {9, 64, 64}, {4, 80, 32}, {2, 128, 128}, {2, 10, 0}} {
		for _, pairs := range []bool{false, true} {
			const rows, positions = 4, 5
			x := randomMatrix[float32](rng, rows, s.heads*s.dh, false, 7)
			wide := blas.Matrix[float64]{Rows: rows, Cols: x.Cols, Stride: x.Stride, Data: make([]float64, len(x.Data))}
			for i, v := range x.Data {
				wide.Data[i] = float64(v)
			}
			table := randomMatrix[float32](rng, positions, max(1, s.dims), false, 0).Data
			angles := make([]float64, len(table))
			for i, v := range table {
				angles[i] = float64(v)
			}
			at := []int64{4, 0, 3, 3}
			before := slices.Clone(wide.Data)
			blas.Rotate(x, s.heads, s.dims, pairs, table, at)
			blas.Rotate(wide, s.heads, s.dims, pairs, angles, at)
			for i, w := range wide.Data {
				if d := math.Abs(float64(x.Data[i]) - w); !(d <= 3e-7*max(1, math.Abs(w))) {
					t.Fatalf("%+v, pairs %t: %v at %d, want %v", s, pairs, x.Data[i], i, w)
				}
			}
			if s.dims == 0 {
				continue
			}
			partner := s.dims / 2
			if pairs {
				partner = 1
			}
			c, sn := angles[4*s.dims], angles[4*s.dims+s.dims/2]
			if want := before[0]*c - before[partner]*sn; math.Abs(wide.Data[0]-want) > 1e-12 {
				t.Errorf("%+v, pairs %t: %v, want %v", s, pairs, wide.Data[0], want)
			}
			if want := before[partner]*c + before[0]*sn; math.Abs(wide.Data[partner]-want) > 1e-12 {
				t.Errorf("%+v, pairs %t: %v, want %v", s, pairs, wide.Data[partner], want)
			}
		}
	}
}

func TestLayerNorm(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	worst := 0.0
	for _, width := range widths {
		const rows = 3
		x, wide := make([]float32, rows*width), make([]float64, rows*width)
		for i := range x {
			x[i] = float32(5*rng.NormFloat64() + 3)
			wide[i] = float64(x[i])
		}
		got, want := make([]float32, len(x)), make([]float64, len(x))
		gotScale, wantScale := make([]float32, rows), make([]float64, rows)
		blas.LayerNorm(got, x, gotScale, width, 1e-5)
		blas.LayerNorm(want, wide, wantScale, width, 1e-5)
		for i := range want {
			d := math.Abs(float64(got[i]) - want[i])
			if width > 3 { // of two nearly equal numbers little is left
				worst = max(worst, d)
			}
			if width > 3 && !(d <= 3e-6) {
				t.Fatalf("width %d: %v at %d, want %v", width, got[i], i, want[i])
			}
		}
		for r := range rows {
			if d := math.Abs(float64(gotScale[r])/wantScale[r] - 1); !(d <= 2e-6) {
				t.Errorf("width %d: scale %v, want %v", width, gotScale[r], wantScale[r])
			}
		}
		inPlace, scale := slices.Clone(x), make([]float32, rows)
		if blas.LayerNorm(inPlace, inPlace, scale, width, 1e-5); !slices.Equal(inPlace, got) {
			t.Errorf("width %d: other bits in place", width)
		}
	}
	t.Logf("largest difference %.1e", worst)
	for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), 1e30} {
		x, scale := []float32{1, 2, v, 3}, make([]float32, 1)
		blas.LayerNorm(x, x, scale, 4, 1e-5)
		if s := float64(scale[0]); blas.Providers()[0] != "gonum" && !math.IsNaN(s) && !math.IsInf(s, 0) {
			t.Errorf("scale of a row with %v is %v", v, s)
		}
	}
}

func TestRowsPanicOnMisfit(t *testing.T) {
	for name, f := range map[string]func(){
		"LayerNorm lengths": func() { blas.LayerNorm(make([]float32, 4), make([]float32, 4), make([]float32, 1), 3, 0) },
		"softmax too long": func() {
			blas.SoftmaxCausal(blas.NewMatrix(2, 3, make([]float32, 6)), blas.Causal[float32]{First: 3, Scale: 1}, 0)
		},
		"softmax of none": func() {
			blas.SoftmaxCausal(blas.NewMatrix(2, 3, make([]float32, 6)), blas.Causal[float32]{First: 0, Scale: 1}, 0)
		},
		"softmax short": func() {
			blas.SoftmaxCausal(blas.NewMatrix(2, 3, make([]float32, 5)), blas.Causal[float32]{First: 2, Scale: 1}, 0)
		},
		"slice":             func() { blas.NewMatrix(2, 3, make([]float32, 6)).Slice(0, 3, 0, 1) },
		"row of transposed": func() { blas.NewMatrix(2, 3, make([]float32, 6)).T().Row(0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func BenchmarkRows(b *testing.B) {
	// One block of GPT-2 small on 800 tokens: 50 prompts of 16.
	rng := rand.New(rand.NewPCG(1, 1))
	source := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	run := func(name string, n int, f func(x []float32)) {
		b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
			from := source(n)
			x := make([]float32, n)
			for b.Loop() {
				copy(x, from)
				f(x)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gnumbers/s")
		})
	}
	scales := make([]float32, 800)
	for name, act := range map[string]blas.Activation{"GELUTanh": blas.GELUTanh, "GELU": blas.GELU, "SiLU": blas.SiLU} {
		run(name, 800*3072, func(x []float32) { blas.Activate(x, act) })
	}
	run("RMSNorm", 800*768, func(x []float32) {
		m := blas.NewMatrix(800, 768, x)
		blas.RMSNorm(m, m, scales, 1, nil, 1e-5)
	})
	run("LayerNorm", 800*768, func(x []float32) { blas.LayerNorm(x, x, scales, 768, 1e-5) })
	run("SoftmaxCausal", 50*12*16*16, func(x []float32) {
		for i := 0; i < len(x); i += 256 {
			blas.SoftmaxCausal(blas.NewMatrix(16, 16, x[i:i+256]), blas.Causal[float32]{First: 1, Scale: 0.125}, float32(math.Inf(-1)))
		}
	})
}
