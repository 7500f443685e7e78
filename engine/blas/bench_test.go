package blas_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ducklens/engine/blas"
)

// gemmShapes are rows, columns and inner length of the large products of GPT-2 small, for 640 and 800 tokens.
var gemmShapes = [][3]int{
	{640, 2304, 768}, {640, 768, 768}, {640, 3072, 768}, {640, 768, 3072},
	{800, 2304, 768}, {800, 768, 768}, {800, 3072, 768}, {800, 768, 3072},
}

// BenchmarkGemm multiplies the shapes of a forward pass. Where the machine has OpenBLAS, x-openblas is the speed divided by
// that of OpenBLAS on as many threads: the two take turns, and the best window of each counts, so that what else the
// machine does disturbs both alike.
func BenchmarkGemm(b *testing.B) {
	base, missing := blas.ByName("openblas")
	if missing != nil {
		b.Logf("no ratio to OpenBLAS (Debian: libopenblas0-pthread): %v", missing)
	}
	for _, p := range providers(b) {
		for _, threads := range []int{1, 2} {
			for _, s := range gemmShapes {
				b.Run(fmt.Sprintf("%s/threads=%d/%dx%dx%d", p.Name(), threads, s[0], s[1], s[2]), func(b *testing.B) {
					benchmarkGemm(b, p, base, threads, s[0], s[1], s[2])
				})
			}
		}
	}
}

func benchmarkGemm(b *testing.B, p, base blas.Provider, threads, m, n, k int) {
	rng := rand.New(rand.NewPCG(1, 1))
	x, w := randomMatrix[float32](rng, m, k, false, 0), randomMatrix[float32](rng, k, n, false, 0)
	y := blas.NewMatrix(m, n, make([]float32, m*n))
	best := time.Duration(1 << 62)
	ours := func() {
		start := time.Now()
		p.Gemm(threads, y, x, w, false)
		best = min(best, time.Since(start))
	}
	bestBase := best
	theirs := func() {
		start := time.Now()
		base.Gemm(threads, y, x, w, false)
		bestBase = min(bestBase, time.Since(start))
	}
	for b.Loop() {
		ours()
		if base != nil {
			b.StopTimer()
			theirs()
			b.StartTimer()
		}
	}
	flops := 2 * float64(m*n*k)
	b.ReportMetric(flops/1e9/best.Seconds(), "GFLOP/s")
	if base != nil {
		b.ReportMetric(bestBase.Seconds()/best.Seconds(), "x-openblas")
	}
}

// BenchmarkSmallGemm multiplies the small shapes of attention: one head of 16 and of 24 tokens, and some rows of a map.
func BenchmarkSmallGemm(b *testing.B) {
	for _, p := range providers(b) {
		for _, s := range [][3]int{{50, 64, 768}, {16, 16, 64}, {16, 64, 16}, {24, 24, 64}} {
			m, n, k := s[0], s[1], s[2]
			b.Run(fmt.Sprintf("%s/%dx%dx%d", p.Name(), m, n, k), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 1))
				x, w := randomMatrix[float32](rng, m, k, false, 0), randomMatrix[float32](rng, k, n, false, 0)
				y := blas.NewMatrix(m, n, make([]float32, m*n))
				for b.Loop() {
					p.Gemm(1, y, x, w, false)
				}
			})
		}
	}
}
