package model_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// BenchmarkAgainstPyTorch runs a plain PyTorch forward pass of 50 sequences of 22 tokens through all 12
// layers of GPT-2 small's sizes on two threads, and ours of the same shape, which also keeps what every
// component wrote at three positions. x-torch is the time of PyTorch divided by ours; the two take turns and
// the best window of each counts.
func BenchmarkAgainstPyTorch(b *testing.B) {
	if testing.Short() {
		b.Skip("writes a model of 0.5 GB")
	}
	const prompts, length, threads = modeltest.TorchSequences, modeltest.TorchLength, modeltest.TorchThreads
	torch := modeltest.StartTorch(b)
	c := modeltest.Open(b, modeltest.Small(), 1)
	m := modeltest.Load[float32](b, c, "auto", schema.Processed, threads)
	rng := rand.New(rand.NewPCG(1, 1))
	seqs := make([]model.Sequence, prompts)
	for i := range seqs {
		for range length {
			seqs[i].Tokens = append(seqs[i].Tokens, rng.IntN(c.Spec.DVocab))
		}
		seqs[i].Positions = []int{length - 1, 3, 5}
	}
	theirs, ours := time.Duration(1<<62), time.Duration(1<<62)
	for b.Loop() {
		start := time.Now()
		if _, err := m.ForwardAll(b.Context(), seqs, nil); err != nil {
			b.Fatal(err)
		}
		ours = min(ours, time.Since(start))
		b.StopTimer()
		theirs = min(theirs, torch(b).Wall)
		b.StartTimer()
	}
	b.ReportMetric(prompts*length/ours.Seconds(), "tokens/s")
	b.ReportMetric(theirs.Seconds(), "torch-s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-torch")
}
