package gpt2_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ducklens/engine/blas"
	"ducklens/engine/gpt2"
	"ducklens/engine/gpt2/gpt2test"
	"ducklens/schema"
)

// BenchmarkAgainstPyTorch runs a plain PyTorch forward pass of 50 sequences of 22 tokens through all 12 layers of
// GPT-2 small's sizes on two threads, and ours of the same shape, which also keeps what every component wrote at three positions. x-torch
// is the time of PyTorch divided by ours; the two take turns and the best window of each counts.
func BenchmarkAgainstPyTorch(b *testing.B) {
	if testing.Short() {
		b.Skip("writes a model of 0.5 GB")
	}
	const prompts, length, threads = 50, 22, 2
	torch := startTorch(b)
	c := gpt2test.Open(b, gpt2test.Small(), 1)
	provider, err := blas.ByName("auto")
	if err != nil {
		b.Fatal(err)
	}
	m, err := gpt2.Load[float32](c, schema.Processed, provider, threads)
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	seqs := make([]gpt2.Sequence, prompts)
	for i := range seqs {
		for range length {
			seqs[i].Tokens = append(seqs[i].Tokens, rng.IntN(c.Config().DVocab))
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
		theirs = min(theirs, torch(b))
		b.StartTimer()
	}
	b.ReportMetric(prompts*length/ours.Seconds(), "tokens/s")
	b.ReportMetric(theirs.Seconds(), "torch-s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-torch")
}

// startTorch starts the script beside this file with the first Python that has PyTorch. The function it gives makes one pass and
// tells its time.
func startTorch(b *testing.B) func(b *testing.B) time.Duration {
	var python string
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(b.Context(), name, "-c", "import torch").Run() == nil {
			python = name
			break
		}
	}
	if python == "" {
		b.Skip("no python3 with PyTorch (Debian: python3-torch)")
	}
	// The context of a benchmark ends before its cleanup, which stops the process in good order.
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), python, filepath.Join("testdata", "torch_forward.py"))
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	var faults strings.Builder
	cmd.Stderr = &faults
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := in.Close(); err != nil {
			b.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Errorf("%v: %s", err, faults.String())
		}
	})
	lines := bufio.NewScanner(out)
	next := func(b *testing.B) string {
		if !lines.Scan() {
			b.Fatalf("PyTorch stopped: %v %s", lines.Err(), faults.String())
		}
		return lines.Text()
	}
	b.Log(next(b))
	return func(b *testing.B) time.Duration {
		if _, err := io.WriteString(in, "\n"); err != nil {
			b.Fatal(err)
		}
		seconds, err := strconv.ParseFloat(next(b), 64)
		if err != nil {
			b.Fatal(fmt.Errorf("seconds of PyTorch: %w", err))
		}
		return time.Duration(seconds * float64(time.Second))
	}
}
