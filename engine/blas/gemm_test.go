package blas_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ducklens/engine/blas"
)

// Largest allowed |got - want| divided by the sum of |a||b|: k roundings of half a unit in the last place
// would be k/2 ulp; sums of KC-long chains come far below.
const (
	tolerance32 = 2e-6
	tolerance64 = 1e-14
)

func providers(tb testing.TB) []blas.Provider {
	tb.Helper()
	var list []blas.Provider
	for _, name := range blas.Providers() {
		p, err := blas.ByName(name)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func randomMatrix[T blas.Float](rng *rand.Rand, rows, cols int, trans bool, gap int) blas.Matrix[T] {
	stored, width := rows, cols
	if trans {
		stored, width = cols, rows
	}
	m := blas.Matrix[T]{Rows: rows, Cols: cols, Stride: width + gap, Trans: trans, Data: make([]T, stored*(width+gap))}
	for i := range m.Data {
		m.Data[i] = T(rng.NormFloat64())
	}
	return m
}

// naive is the oracle: C (+)= A B in float64, and the sums of the absolute products.
func naive[T blas.Float](c, a, b blas.Matrix[T], add bool) (want, size []float64) {
	for i := range c.Rows {
		for j := range c.Cols {
			sum, abs := 0.0, 0.0
			if add {
				sum, abs = float64(c.At(i, j)), math.Abs(float64(c.At(i, j)))
			}
			for k := range a.Cols {
				p := float64(a.At(i, k)) * float64(b.At(k, j))
				sum += p
				abs += math.Abs(p)
			}
			want, size = append(want, sum), append(size, abs)
		}
	}
	return want, size
}

func checkGemm[T blas.Float](t *testing.T, p blas.Provider, threads, m, n, k int, ta, tb, add bool, tolerance float64) float64 {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(m*1000+n), uint64(k)))
	a, b := randomMatrix[T](rng, m, k, ta, 3), randomMatrix[T](rng, k, n, tb, 1)
	c := randomMatrix[T](rng, m, n, false, 2)
	before := slices.Clone(c.Data)
	want, size := naive(c, a, b, add)
	blas.Gemm(p, threads, c, a, b, add)
	worst := 0.0
	for i := range m {
		for j := range n {
			diff := math.Abs(float64(c.At(i, j)) - want[i*n+j])
			if s := size[i*n+j]; s > 0 {
				diff /= s
			}
			if worst = max(worst, diff); !(diff <= tolerance) {
				t.Fatalf("%s threads %d: [%d %d %d] ta %t tb %t add %t: C[%d %d] = %v, want %v", p.Name(), threads, m, n, k, ta, tb, add, i, j, c.At(i, j), want[i*n+j])
			}
		}
		for j := n; j < c.Stride; j++ { // the gap between rows belongs to somebody else
			if i*c.Stride+j < len(c.Data) && c.Data[i*c.Stride+j] != before[i*c.Stride+j] {
				t.Fatalf("%s: [%d %d %d]: wrote beyond row %d", p.Name(), m, n, k, i)
			}
		}
	}
	return worst
}

func TestGemmAgainstTripleLoop(t *testing.T) {
	sizes := []int{1, 2, 5, 12, 13, 17, 33, 65}
	inner := []int{1, 3, 64, 256, 257, 530}
	for _, p := range providers(t) {
		t.Run(p.Name(), func(t *testing.T) {
			t.Parallel()
			worst32, worst64 := 0.0, 0.0
			step := 0
			for _, m := range sizes {
				for _, n := range sizes {
					k := inner[step%len(inner)]
					flags := step % 8
					step++
					ta, tb, add := flags&1 != 0, flags&2 != 0, flags&4 != 0
					worst32 = max(worst32, checkGemm[float32](t, p, 1+step%3, m, n, k, ta, tb, add, tolerance32))
					worst64 = max(worst64, checkGemm[float64](t, p, 1+step%3, m, n, k, ta, tb, add, tolerance64))
				}
			}
			for _, s := range [][3]int{{150, 100, 20}, {145, 301, 17}, {1, 1000, 30}, {1000, 1, 30}} {
				for flags := range 8 {
					checkGemm[float32](t, p, 2, s[0], s[1], s[2], flags&1 != 0, flags&2 != 0, flags&4 != 0, tolerance32)
				}
			}
			t.Logf("largest difference relative to the sum of absolute products: float32 %.1e, float64 %.1e", worst32, worst64)
		})
	}
}

func TestGemmEmpty(t *testing.T) {
	for _, p := range providers(t) {
		c := blas.NewMatrix(2, 2, []float32{1, 2, 3, 4})
		p.Gemm(1, c, blas.NewMatrix[float32](2, 0, nil), blas.NewMatrix[float32](0, 2, nil), true)
		if !slices.Equal(c.Data, []float32{1, 2, 3, 4}) {
			t.Errorf("%s: adding an empty product gives %v", p.Name(), c.Data)
		}
		p.Gemm(1, c, blas.NewMatrix[float32](2, 0, nil), blas.NewMatrix[float32](0, 2, nil), false)
		if !slices.Equal(c.Data, []float32{0, 0, 0, 0}) {
			t.Errorf("%s: an empty product is %v", p.Name(), c.Data)
		}
		p.Gemm(1, blas.NewMatrix[float32](0, 2, nil), blas.NewMatrix[float32](0, 3, nil), blas.NewMatrix(3, 2, make([]float32, 6)), false)
	}
}

func TestGemmPanicsOnMisfit(t *testing.T) {
	for _, p := range providers(t) {
		for name, c := range map[string]blas.Matrix[float32]{
			"shape":      blas.NewMatrix(2, 3, make([]float32, 6)),
			"short":      {Rows: 2, Cols: 2, Stride: 2, Data: make([]float32, 3)},
			"stride":     {Rows: 2, Cols: 2, Stride: 1, Data: make([]float32, 9)},
			"transposed": blas.NewMatrix(2, 2, make([]float32, 4)).T(),
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: %s: no panic", p.Name(), name)
					}
				}()
				p.Gemm(1, c, blas.NewMatrix(2, 2, make([]float32, 4)), blas.NewMatrix(2, 2, make([]float32, 4)), false)
			}()
		}
	}
}

// Row i of the product must have the same bits whatever other rows and columns are computed beside it,
// and by however many threads; the CPU kernels must agree among each other.
func TestGemmBitIdentity(t *testing.T) {
	const m, n, k = 331, 200, 600
	rng := rand.New(rand.NewPCG(1, 2))
	byKernel := map[string][]float32{}
	for _, p := range providers(t) {
		for _, trans := range []bool{false, true} {
			a, b := randomMatrix[float32](rng, m, k, false, 0), randomMatrix[float32](rng, k, n, trans, 0)
			want := blas.NewMatrix(m, n, make([]float32, m*n))
			p.Gemm(1, want, a, b, false)
			for _, threads := range []int{1, 2, 5} {
				for _, rows := range []int{1, 2, 11, 12, 13, 50, 144, 145, m} {
					r0 := (m - rows) / 2
					got := blas.NewMatrix(rows, n, make([]float32, rows*n))
					p.Gemm(threads, got, a.Slice(r0, r0+rows, 0, k), b, false)
					if !slices.Equal(got.Data, want.Data[r0*n:(r0+rows)*n]) {
						t.Errorf("%s: %d rows on %d threads: other bits than in the whole", p.Name(), rows, threads)
					}
				}
				for _, cols := range []int{1, 7, 16, 17, 33} {
					got := blas.NewMatrix(m, cols, make([]float32, m*cols))
					p.Gemm(threads, got, a, b.Slice(0, k, 5, 5+cols), false)
					for i := range m {
						if !slices.Equal(got.Row(i), want.Row(i)[5:5+cols]) {
							t.Fatalf("%s: %d columns on %d threads: row %d has other bits than in the whole", p.Name(), cols, threads, i)
						}
					}
				}
			}
		}
	}
	rng = rand.New(rand.NewPCG(3, 4))
	a, b := randomMatrix[float32](rng, m, k, false, 0), randomMatrix[float32](rng, k, n, false, 0)
	for _, p := range providers(t) {
		c := blas.NewMatrix(m, n, make([]float32, m*n))
		p.Gemm(1, c, a, b, false)
		byKernel[p.Name()] = c.Data
	}
	for _, other := range []string{"builtin/avx2", "builtin/neon"} {
		if best, c := byKernel["builtin/avx512"], byKernel[other]; best != nil && c != nil && !slices.Equal(best, c) {
			t.Errorf("builtin/avx512 and %s differ", other)
		}
	}
}
