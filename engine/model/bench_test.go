package model_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"ducklens/engine/blas"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// benchSequences are like 50 prompts of the indirect object task: 50 times 15 to 19 tokens, of which three
// positions are kept.
func benchSequences(c *model.Spec) (seqs []model.Sequence, tokens int) {
	rng := rand.New(rand.NewPCG(1, 1))
	seqs = make([]model.Sequence, 50)
	for i := range seqs {
		length := 15 + i%5
		for range length {
			seqs[i].Tokens = append(seqs[i].Tokens, rng.IntN(c.DVocab))
		}
		seqs[i].Positions = []int{length - 1, 3, 5}
		tokens += length
	}
	return seqs, tokens
}

// BenchmarkForward runs 50 prompts to one head: 10.7 of GPT-2 small's sizes, which reads the stream that ten
// layers have made, and 24.4 of SmolLM2-135M's. gemm-bound is the time that the large products alone take, on
// matrices of their own, divided by that of the pass; the two take turns and the best window of each counts.
// The rest of the time is attention, row functions, what the cache keeps, and memory.
func BenchmarkForward(b *testing.B) {
	for _, size := range []struct {
		name string
		open func(testing.TB) modeltest.Opened
		head schema.Head
	}{
		{"tiny", func(tb testing.TB) modeltest.Opened { return modeltest.Open(tb, modeltest.Tiny(), 1) }, schema.Head{Layer: 3, Index: 1}},
		{"small", func(tb testing.TB) modeltest.Opened { return modeltest.Open(tb, modeltest.Small(), 1) }, schema.Head{Layer: 10, Index: 7}},
		{"smollm2", func(tb testing.TB) modeltest.Opened { return modeltest.OpenFamily(tb, modeltest.SmolLM2(), 1) }, schema.Head{Layer: 24, Index: 4}},
	} {
		b.Run(size.name, func(b *testing.B) {
			if testing.Short() && size.name != "tiny" {
				b.Skip("writes a model of 0.5 GB")
			}
			c := size.open(b)
			provider, err := blas.ByName("auto")
			if err != nil {
				b.Fatal(err)
			}
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
					m, err := model.LoadTo[float32](c.Checkpoint, c.Spec, c.Sources, size.head.Layer, schema.Processed, provider, threads)
					if err != nil {
						b.Fatal(err)
					}
					benchmarkForward(b, m, size.head, threads)
				})
			}
		})
	}
}

func benchmarkForward(b *testing.B, m *model.Model[float32], head schema.Head, threads int) {
	seqs, tokens := benchSequences(m.Spec())
	products := newProducts(m.Provider(), m.Spec(), head.Layer, tokens)
	best, bound := time.Duration(1<<62), time.Duration(1<<62)
	for b.Loop() {
		start := time.Now()
		cache, err := m.Forward(b.Context(), seqs, []schema.Head{head})
		if err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(start))
		b.StopTimer()
		m.Recycle(cache)
		start = time.Now()
		products.run(threads)
		bound = min(bound, time.Since(start))
		b.StartTimer()
	}
	b.ReportMetric(float64(tokens)/best.Seconds(), "tokens/s")
	b.ReportMetric(products.flops/bound.Seconds()/1e9, "bound-GFLOP/s")
	b.ReportMetric(bound.Seconds()/best.Seconds(), "gemm-bound")
}

// products are the large products of a pass: for every layer q, k and v; W_O; W_in, and W_gate where there is
// one; W_out.
type products struct {
	weights [][]blas.Packed[float32] // of its own in every layer, as a model has them: caches do not hold them
	in, out []blas.Matrix[float32]
	flops   float64
}

func newProducts(provider blas.Provider, s *model.Spec, layers, tokens int) *products {
	heads := s.Heads * s.DHead
	shapes := [][2]int{{s.DModel, heads + 2*s.KVHeads*s.DHead}, {heads, s.DModel}, {s.DModel, s.DMLP}, {s.DMLP, s.DModel}}
	if s.Gated {
		shapes = append(shapes, [2]int{s.DModel, s.DMLP})
	}
	p := &products{weights: make([][]blas.Packed[float32], layers)}
	random := func(rows, cols int) blas.Matrix[float32] {
		x := blas.NewMatrix(rows, cols, make([]float32, rows*cols))
		for i := range x.Data {
			x.Data[i] = float32(i%101)/101 - 0.5
		}
		return x
	}
	for _, s := range shapes {
		p.in, p.out = append(p.in, random(tokens, s[0])), append(p.out, random(tokens, s[1]))
		for l := range p.weights {
			p.weights[l] = append(p.weights[l], blas.Pack(provider, random(s[0], s[1])))
		}
		p.flops += 2 * float64(layers*tokens*s[0]*s[1])
	}
	return p
}

func (p *products) run(threads int) {
	for l := range p.weights {
		for i, w := range p.weights[l] {
			w.Multiply(threads, p.out[i], p.in[i], blas.Epilogue[float32]{})
		}
	}
}

// BenchmarkLoad reads and processes the weights of GPT-2 small's sizes. finite is the share of the time that
// one thread needs to see that every number is finite.
func BenchmarkLoad(b *testing.B) {
	if testing.Short() {
		b.Skip("writes a model of 0.5 GB")
	}
	c := modeltest.Open(b, modeltest.Small(), 1)
	provider, err := blas.ByName("auto")
	if err != nil {
		b.Fatal(err)
	}
	best := time.Duration(1 << 62)
	for b.Loop() {
		start := time.Now()
		if _, err := model.Load[float32](c.Checkpoint, c.Spec, c.Sources, schema.Processed, provider, 1); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	start := time.Now()
	for _, info := range c.Infos() {
		v, err := c.Tensor(info.Name)
		if err == nil {
			err = v.CheckFinite()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(time.Since(start).Seconds()/best.Seconds(), "finite")
	b.ReportMetric(float64(c.Parameters())*4/1e6/best.Seconds(), "MB/s")
}

// memoryFolder names the model that a process of [BenchmarkMemory] is to run.
const memoryFolder = "DUCKLENS_MEMORY_FOLDER"

// BenchmarkMemory runs 50 prompts to the last layer's head 10.7 in a process of its own and reports the most
// memory that was resident in it: peak-MB, and x-weights, that over the size of the weights. The process of a
// test run is what is measured, so that what it has beside the model is in it too.
func BenchmarkMemory(b *testing.B) {
	if dir := os.Getenv(memoryFolder); dir != "" {
		runForMemory(b, dir)
		return
	}
	if _, err := peakMemory(); err != nil {
		b.Skipf("peak memory: %v", err)
	}
	if testing.Short() {
		b.Skip("writes a model of 0.5 GB")
	}
	c := modeltest.Open(b, modeltest.Small(), 1)
	peak := 0.0
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkMemory$", "-test.benchtime=1x")
		cmd.Env = append(os.Environ(), memoryFolder+"="+c.Path())
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		found := regexp.MustCompile(`([0-9.]+) peak-MB`).FindSubmatch(out)
		if found == nil {
			b.Fatalf("no peak in %s", out)
		}
		mb, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			b.Fatal(err)
		}
		peak = max(peak, mb)
	}
	b.ReportMetric(peak, "peak-MB")
	b.ReportMetric(peak*1e6/float64(c.Parameters()*4), "x-weights")
}

func runForMemory(b *testing.B, dir string) {
	m := load[float32](b, modeltest.OpenPath(b, dir), schema.Processed)
	seqs, _ := benchSequences(m.Spec())
	for range 3 {
		if _, err := m.Forward(b.Context(), seqs, []schema.Head{{Layer: 10, Index: 7}}); err != nil {
			b.Fatal(err)
		}
		m.Unembed(5)
	}
	peak, err := peakMemory()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(peak, "peak-MB")
}

// peakMemory is the most memory that was ever resident in this process, in MB.
func peakMemory() (float64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		return 0, errors.New("no VmHWM in /proc/self/status")
	}
	kb, err := strconv.ParseFloat(string(found[1]), 64)
	return kb * 1024 / 1e6, err
}
