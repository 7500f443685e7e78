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

// The float64 form is plain Go with the functions of package math, and is the oracle of the float32 form, which
// is C where the build has it.
func TestGELU(t *testing.T) {
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
	blas.GELU(got)
	blas.GELU(want)
	for i := range x {
		d := math.Abs(float64(got[i])-want[i]) / max(1, math.Abs(want[i]))
		if worst = max(worst, d); !(d <= 3e-7) {
			t.Errorf("GELU(%v) = %v, want %v", x[i], got[i], want[i])
		}
	}
	t.Logf("largest difference %.1e max(1, |GELU|)", worst)
	for _, n := range widths { // the last few numbers of a slice go through the same arithmetic as the others
		part := slices.Clone(x[5000 : 5000+n])
		blas.GELU(part)
		if !slices.Equal(part, got[5000:5000+n]) {
			t.Errorf("GELU of %d numbers gives other bits than of many", n)
		}
	}
	bad := []float32{1, float32(math.NaN()), 2}
	if blas.GELU(bad); !math.IsNaN(float64(bad[1])) || math.IsNaN(float64(bad[0])) {
		t.Errorf("GELU(NaN) = %v", bad)
	}
	blas.GELU([]float32(nil))
}

func TestSoftmaxCausal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	worst := 0.0
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
			blas.SoftmaxCausal(got, first, 0.25)
			blas.SoftmaxCausal(want, first, 0.25)
			for r := range rows {
				sum := 0.0
				for c := range cols {
					g, w := float64(got.At(r, c)), want.At(r, c)
					sum += w
					if worst = max(worst, math.Abs(g-w)); !(math.Abs(g-w) <= 3e-7) {
						t.Fatalf("%d columns, row %d: softmax[%d] = %v, want %v", cols, r, c, g, w)
					}
					if c >= first+r && g != 0 {
						t.Fatalf("%d columns: row %d sees column %d", cols, r, c)
					}
				}
				if math.Abs(sum-1) > 1e-12 {
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
	t.Logf("largest difference %.1e", worst)
	far := blas.NewMatrix(1, 3, []float32{-1e4, 0, -200}) // far below the largest: nothing, and no infinity
	blas.SoftmaxCausal(far, 3, 1)
	if far.Data[1] != 1 || far.Data[0] > 1e-37 || far.Data[2] > 1e-37 {
		t.Errorf("softmax of 0 and far smaller: %v", far.Data)
	}
	bad := blas.NewMatrix(1, 3, []float32{1, float32(math.NaN()), 2})
	if blas.SoftmaxCausal(bad, 3, 1); !math.IsNaN(float64(bad.Data[1])) {
		t.Errorf("softmax of NaN: %v", bad.Data)
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
		"softmax too long":  func() { blas.SoftmaxCausal(blas.NewMatrix(2, 3, make([]float32, 6)), 3, 1) },
		"softmax of none":   func() { blas.SoftmaxCausal(blas.NewMatrix(2, 3, make([]float32, 6)), 0, 1) },
		"softmax short":     func() { blas.SoftmaxCausal(blas.NewMatrix(2, 3, make([]float32, 5)), 2, 1) },
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
	run("GELU", 800*3072, blas.GELU[float32])
	run("LayerNorm", 800*768, func(x []float32) { blas.LayerNorm(x, x, scales, 768, 1e-5) })
	run("SoftmaxCausal", 50*12*16*16, func(x []float32) {
		for i := 0; i < len(x); i += 256 {
			blas.SoftmaxCausal(blas.NewMatrix(16, 16, x[i:i+256]), 1, 0.125)
		}
	})
}
