package gpt2_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"ducklens/engine/blas"
	"ducklens/engine/gpt2"
	"ducklens/engine/gpt2/gpt2test"
	"ducklens/schema"
)

// BenchmarkForward runs 50 prompts of 16 tokens to one head, three positions of each kept. tokens/s counts the
// tokens that are computed. gemm-bound is the share of the time that the big products alone would take at
// the speed that the provider reaches on the largest of them, measured beside it; the rest is attention,
// row functions and memory.
func BenchmarkForward(b *testing.B) {
	b.Run("tiny", func(b *testing.B) {
		benchmarkForward(b, gpt2test.Tiny(), schema.Head{Layer: 3, Index: 1})
	})
	b.Run("small", func(b *testing.B) {
		if testing.Short() {
			b.Skip("writes a model of 0.5 GB")
		}
		benchmarkForward(b, gpt2test.Small(), schema.Head{Layer: 10, Index: 7})
	})
}

func benchmarkForward(b *testing.B, c gpt2.Config, head schema.Head) {
	const prompts, length = 50, 16
	rng := rand.New(rand.NewPCG(1, 1))
	seqs := make([]gpt2.Sequence, prompts)
	for i := range seqs {
		for range length {
			seqs[i].Tokens = append(seqs[i].Tokens, rng.IntN(c.DVocab))
		}
		seqs[i].Positions = []int{length - 1, 3, 5}
	}
	m := load[float32](b, gpt2test.Open(b, c, 1), schema.Processed)
	heads := []schema.Head{head}
	for b.Loop() {
		if _, err := m.Forward(b.Context(), seqs, heads); err != nil {
			b.Fatal(err)
		}
	}
	elapsed := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(prompts*length/elapsed, "tokens/s")

	perToken := 2 * float64(head.Layer) * float64(4*c.DModel*c.DModel+2*c.DModel*c.DMLP)
	b.ReportMetric(perToken*prompts*length/gemmSpeed(m.Provider(), prompts*length, c.DMLP, c.DModel)/elapsed, "gemm-bound")
}

// gemmSpeed is the best of a few products [m, k] [k, n] on two threads, in flop/s.
func gemmSpeed(p blas.Provider, m, n, k int) float64 {
	x, w, y := blas.NewMatrix(m, k, make([]float32, m*k)), blas.NewMatrix(k, n, make([]float32, k*n)), blas.NewMatrix(m, n, make([]float32, m*n))
	best := 0.0
	for range 10 {
		start := time.Now()
		p.Gemm(2, y, x, w, false)
		best = max(best, 2*float64(m*n*k)/time.Since(start).Seconds())
	}
	return best
}
