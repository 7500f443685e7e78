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

// BenchmarkGemm multiplies the shapes of a forward pass with weights that are packed once, as a model has
// them. Where the machine has OpenBLAS, x-openblas is the speed divided by that of OpenBLAS on as many
// threads, and x-openblas-unpacked the same for operands that are not packed yet. All take turns and the best
// window of each counts, so that what else the machine does disturbs them alike.
func BenchmarkGemm(b *testing.B) {
	base, missing := blas.ByName("openblas")
	if missing != nil {
		b.Logf("no ratio to OpenBLAS (Debian: libopenblas0-pthread): %v", missing)
	}
	for i, p := range providers(b) {
		name := p.Name()
		if i == 0 { // the one that a run takes, whichever the processor has
			b.Logf("auto is %s", name)
			name = "auto"
		}
		for _, threads := range []int{1, 2} {
			for _, s := range gemmShapes {
				b.Run(fmt.Sprintf("%s/threads=%d/%dx%dx%d", name, threads, s[0], s[1], s[2]), func(b *testing.B) {
					benchmarkGemm(b, p, base, threads, s[0], s[1], s[2])
				})
			}
		}
	}
}

// window is the best time of a function that takes turns with others.
type window time.Duration

func (w *window) run(f func()) {
	start := time.Now()
	f()
	if t := window(time.Since(start)); *w == 0 || t < *w {
		*w = t
	}
}

func benchmarkGemm(b *testing.B, p, base blas.Provider, threads, m, n, k int) {
	rng := rand.New(rand.NewPCG(1, 1))
	x, w := randomMatrix[float32](rng, m, k, false, 0), randomMatrix[float32](rng, k, n, false, 0)
	y, packed := blas.NewMatrix(m, n, make([]float32, m*n)), blas.Pack(p, w)
	var best, unpacked, other window
	for b.Loop() {
		best.run(func() { packed.Multiply(threads, y, x, blas.Epilogue[float32]{}) })
		b.StopTimer()
		unpacked.run(func() { p.Gemm(threads, y, x, w, false) })
		if base != nil {
			other.run(func() { base.Gemm(threads, y, x, w, false) })
		}
		b.StartTimer()
	}
	b.ReportMetric(2*float64(m*n*k)/float64(best), "GFLOP/s") // flops in a nanosecond
	if base != nil {
		b.ReportMetric(float64(other)/float64(best), "x-openblas")
		b.ReportMetric(float64(other)/float64(unpacked), "x-openblas-unpacked")
	}
}

// BenchmarkSmallGemm multiplies the small shapes of attention: one head of 16 and of 24 tokens, and some rows
// of a map.
func BenchmarkSmallGemm(b *testing.B) {
	for _, p := range providers(b) {
		for _, s := range [][3]int{{50, 64, 768}, {16, 16, 64}, {16, 64, 16}, {24, 24, 64}, {16, 768, 768}} {
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

// BenchmarkAttention is the attention of one layer of GPT-2 small for 50 prompts of 17 tokens, on one thread.
// x-steps is the time of products and softmax head by head, in turns with it, divided by its own.
func BenchmarkAttention(b *testing.B) {
	const prompts, tokens, heads, dh = 50, 17, 12, 64
	rng := rand.New(rand.NewPCG(1, 1))
	qkv, z := randomMatrix[float32](rng, prompts*tokens, 3*heads*dh, false, 0), blas.NewMatrix(prompts*tokens, heads*dh, make([]float32, prompts*tokens*heads*dh))
	part := func(prompt, section int) blas.Matrix[float32] {
		return qkv.Slice(prompt*tokens, (prompt+1)*tokens, section*heads*dh, (section+1)*heads*dh)
	}
	for _, p := range providers(b) {
		b.Run(p.Name(), func(b *testing.B) {
			var whole, steps window
			for b.Loop() {
				whole.run(func() {
					for i := range prompts {
						blas.Attention(p, z.Slice(i*tokens, (i+1)*tokens, 0, heads*dh), part(i, 0), part(i, 1), part(i, 2),
							blas.Heads[float32]{Query: heads, KV: heads}, blas.Causal[float32]{First: 1, Scale: 0.125})
					}
				})
				b.StopTimer()
				steps.run(func() {
					for i := range prompts {
						attentionInSteps(p, z.Slice(i*tokens, (i+1)*tokens, 0, heads*dh), part(i, 0), part(i, 1), part(i, 2),
							blas.Heads[float32]{Query: heads, KV: heads}, blas.Causal[float32]{First: 1, Scale: 0.125})
					}
				})
				b.StartTimer()
			}
			b.ReportMetric(float64(steps)/float64(whole), "x-steps")
		})
	}
}
