package model_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// randomSequences gives sequences of mixed lengths, one of them longer than a block of queries, each with
// three kept positions that lie anywhere.
func randomSequences(c *model.Spec, n int) []model.Sequence {
	rng := rand.New(rand.NewPCG(5, 5))
	seqs := make([]model.Sequence, n)
	for i := range seqs {
		length := 1 + rng.IntN(20)
		if i == n/2 {
			length = 150
		}
		for range length {
			seqs[i].Tokens = append(seqs[i].Tokens, rng.IntN(c.DVocab))
		}
		seqs[i].Positions = []int{length - 1, rng.IntN(length), rng.IntN(length)}
	}
	return seqs
}

// sharedBeginnings gives sequences that begin as seq does: itself, a part of it, and ones that leave it
// before, at and after the end of a block of queries, and once more from one of these.
func sharedBeginnings(c *model.Spec, seq model.Sequence) []model.Sequence {
	rng := rand.New(rand.NewPCG(6, 6))
	leave := func(from model.Sequence, at int) model.Sequence {
		tokens := slices.Clone(from.Tokens[:at])
		for range 80 {
			tokens = append(tokens, rng.IntN(c.DVocab))
		}
		return model.Sequence{Tokens: tokens, Positions: []int{at + 79, at - 1, at}}
	}
	late := leave(seq, 100)
	return []model.Sequence{seq, {Tokens: seq.Tokens[:30], Positions: []int{29, 0, 12}}, leave(seq, 1), leave(seq, 64), late, leave(late, 120)}
}

// everything gives all numbers that a cache holds about one sequence.
func everything[T blas.Float](c *model.Cache[T], heads []schema.Head, seq, positions int) []T {
	var all []T
	for i := range positions {
		all = append(all, c.Components(seq, i).Data().([]T)...)
		for l := range c.Stop() + 1 {
			all = append(append(all, c.ResidPre(l, seq, i)...), c.NormScale(l, seq, i))
		}
		for l := range c.Stop() {
			all = append(all, c.MLPNormScale(l, seq, i))
		}
		for _, h := range heads {
			all = append(append(all, c.Q(h, seq, i)...), c.K(h, seq, i)...)
			all = append(append(all, c.Scores(h, seq, i)...), c.Pattern(h, seq, i)...)
		}
	}
	return all
}

func mustForward[T blas.Float](t *testing.T, m *model.Model[T], seqs []model.Sequence, heads []schema.Head) *model.Cache[T] {
	t.Helper()
	c, err := m.Forward(t.Context(), seqs, heads)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wholeCache is everything, and the scales that GPT-2 does not have.
func wholeCache[T blas.Float](c *model.Cache[T], heads []schema.Head, seq, positions int) []T {
	all := everything(c, heads, seq, positions)
	for i := range positions {
		for l := range c.Stop() {
			all = append(all, c.PostAttnScale(l, seq, i), c.PostMLPScale(l, seq, i))
		}
		for _, h := range heads {
			all = append(all, c.QNormScale(h, seq, i), c.KNormScale(h, seq, i), c.SinkProb(h, seq, i))
		}
	}
	return all
}

// The numbers of a sequence are the same bits alone, in a batch with others that begin alike, in another
// order, with what follows the kept positions cut off, and with any number of threads, for every provider.
func TestResultsDoNotDependOnBatchOrThreads(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 1)
	seqs := randomSequences(c.Spec, 9)
	seqs = append(seqs, sharedBeginnings(c.Spec, seqs[4])...)
	heads := []schema.Head{{Layer: 3, Index: 0}, {Layer: 3, Index: 2}, {Layer: 1, Index: 1}}
	for _, name := range blas.Providers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkBatches[float32](t, c, name, seqs, heads)
			checkBatches[float64](t, c, name, seqs, heads)
		})
	}
}

// The same for every family. Beginnings of prompts on both sides of the length from which phi3 turns
// otherwise are not shared.
func TestFamiliesDoNotDependOnBatchOrThreads(t *testing.T) {
	for _, kind := range familytest.Types() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := modeltest.OpenFamily(t, familytest.Tiny(kind), 1)
			seqs := randomSequences(c.Spec, 5)
			seqs = append(seqs, sharedBeginnings(c.Spec, seqs[2])...)
			heads := []schema.Head{{Layer: 2, Index: 0}, {Layer: 2, Index: 3}, {Layer: 1, Index: 1}}
			checkBatches[float32](t, c, "auto", seqs, heads)
			checkBatches[float64](t, c, "auto", seqs, heads)
		})
	}
}

// Windows that are longer than what one part of a sum over keys takes.
func TestLongWindowsDoNotDependOnBatch(t *testing.T) {
	c := modeltest.OpenFamily(t, familytest.Tiny("mistral").With("sliding_window", 290, "max_position_embeddings", 800), 1)
	seq := model.Sequence{Positions: []int{699, 500, 310}}
	for p := range 700 {
		seq.Tokens = append(seq.Tokens, p*p%c.Spec.DVocab)
	}
	seqs := []model.Sequence{seq}
	for _, shared := range []int{250, 300, 530, 600, 650} { // others leave it there
		other := slices.Clone(seq.Tokens)
		other[shared] = (other[shared] + 1) % c.Spec.DVocab
		seqs = append(seqs, model.Sequence{Tokens: other, Positions: seq.Positions})
	}
	checkBatches[float32](t, c, "auto", seqs, []schema.Head{{Layer: 2, Index: 0}, {Layer: 1, Index: 1}})
}

func checkBatches[T blas.Float](t *testing.T, c modeltest.Opened, name string, seqs []model.Sequence, heads []schema.Head) {
	one := modeltest.Load[T](t, c, name, schema.Processed, 1)
	three := modeltest.Load[T](t, c, name, schema.Processed, 3)
	batch := mustForward(t, one, seqs, heads)
	reversed := slices.Clone(seqs)
	slices.Reverse(reversed)
	backwards := mustForward(t, three, reversed, heads)
	for s, seq := range seqs {
		want := wholeCache(batch, heads, s, 3)
		if got := wholeCache(backwards, heads, len(seqs)-1-s, 3); !slices.Equal(got, want) {
			t.Errorf("sequence %d: other bits in reverse order on three threads", s)
		}
		alone := model.Sequence{Tokens: seq.Tokens[:slices.Max(seq.Positions)+1], Positions: seq.Positions, Length: len(seq.Tokens)}
		if got := wholeCache(mustForward(t, three, []model.Sequence{alone}, heads), heads, 0, 3); !slices.Equal(got, want) {
			t.Errorf("sequence %d: other bits alone", s)
		}
		// A pass that stops earlier, or runs on, gives the same for the earlier head.
		early := []schema.Head{{Layer: 1, Index: 1}}
		short := mustForward(t, one, []model.Sequence{seq}, early)
		for i := range 3 {
			if !slices.Equal(short.Q(early[0], 0, i), batch.Q(early[0], s, i)) || !slices.Equal(short.K(early[0], 0, i), batch.K(early[0], s, i)) ||
				!slices.Equal(short.Scores(early[0], 0, i), batch.Scores(early[0], s, i)) ||
				!slices.Equal(short.Components(0, i).Data().([]T), batch.ComponentsBefore(1, s, i).Data().([]T)) {
				t.Errorf("sequence %d: a pass that stops before layer 1 differs from one that goes on", s)
			}
		}
	}
}

// A pass in the memory of another, that was longer and left other numbers there, gives the same bits, in both
// forms of the weights.
func TestRecycledMemory(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 1)
	seqs := randomSequences(c.Spec, 9)
	heads := []schema.Head{{Layer: 3, Index: 0}, {Layer: 3, Index: 2}, {Layer: 1, Index: 1}}
	for _, processing := range []schema.Processing{schema.Processed, schema.Raw} {
		m := modeltest.Load[float32](t, c, "auto", processing, 2)
		want := everything(mustForward(t, m, seqs[:2], heads), heads, 1, 3)
		long := mustForward(t, m, seqs, heads)
		nan := float32(math.NaN())
		for s := range seqs {
			for i := range 3 {
				numbers := [][]float32{long.Components(s, i).Data().([]float32)}
				for l := range long.Stop() + 1 {
					numbers = append(numbers, long.ResidPre(l, s, i))
				}
				for _, list := range numbers {
					for j := range list {
						list[j] = nan
					}
				}
			}
		}
		m.Recycle(long)
		again := mustForward(t, m, seqs[:2], heads)
		if got := everything(again, heads, 1, 3); !slices.Equal(got, want) {
			t.Errorf("%s: other bits in recycled memory", processing)
		}
		if !math.IsNaN(float64(long.Components(8, 0).Data().([]float32)[0])) || &again.Components(0, 0).Data().([]float32)[0] != &long.Components(0, 0).Data().([]float32)[0] {
			t.Errorf("%s: the memory was not used again", processing)
		}
	}
}

// The kernels of all CPUs give the same bits.
func TestResultsDoNotDependOnCPU(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 1)
	seqs := randomSequences(c.Spec, 5)
	heads := []schema.Head{{Layer: 3, Index: 0}, {Layer: 3, Index: 2}}
	var first []float32
	for _, name := range blas.Providers() {
		if name == "gonum" || name == "builtin/portable" { // another order of sums; no fused multiply-add
			continue
		}
		m := modeltest.Load[float32](t, c, name, schema.Processed, 2)
		cache := mustForward(t, m, seqs, heads)
		var all []float32
		for s := range seqs {
			all = append(all, everything(cache, heads, s, 3)...)
		}
		if first == nil {
			first = all
		} else if !slices.Equal(all, first) {
			t.Errorf("%s gives other bits than %s", name, blas.Providers()[0])
		}
	}
	if first == nil {
		t.Skip("this build has no kernel of a CPU")
	}
}

// Processing does not change scores; what the stream holds it does.
func TestRawAndProcessedScoresAgree(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 2)
	seqs := randomSequences(c.Spec, 4)
	heads := []schema.Head{{Layer: 3, Index: 1}, {Layer: 0, Index: 0}}
	processed := mustForward(t, load[float64](t, c, schema.Processed), seqs, heads)
	raw := mustForward(t, load[float64](t, c, schema.Raw), seqs, heads)
	for s := range seqs {
		for _, h := range heads {
			for j, want := range raw.Scores(h, s, 0) {
				if got := processed.Scores(h, s, 0)[j]; math.Abs(got-want) > 1e-10 {
					t.Fatalf("head %v, sequence %d: score %v processed, %v raw", h, s, got, want)
				}
			}
		}
		mean, rawMean := 0.0, 0.0
		for i, v := range processed.ResidPre(3, s, 0) {
			mean, rawMean = mean+v, rawMean+raw.ResidPre(3, s, 0)[i]
		}
		if math.Abs(mean) > 1e-10 || math.Abs(rawMean) < 1e-3 {
			t.Errorf("sequence %d: streams add up to %v processed, %v raw; want 0 and something else", s, mean, rawMean)
		}
	}
}

// The folded maps, applied to the cached stream, give the cached vectors.
func TestQKGivesCachedVectors(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 3)
	for _, processing := range []schema.Processing{schema.Processed, schema.Raw} {
		m := load[float64](t, c, processing)
		head := schema.Head{Layer: 2, Index: 2}
		seqs := randomSequences(c.Spec, 3)
		cache, qk := mustForward(t, m, seqs, []schema.Head{head}), m.QK(head)
		wq, wk := qk.WQ.Data().([]float64), qk.WK.Data().([]float64)
		for s := range seqs {
			stream, scale := cache.ResidPre(2, s, 1), cache.NormScale(2, s, 1)
			mean := 0.0
			for _, v := range stream {
				mean += v / float64(len(stream))
			}
			for j := range qk.BQ {
				q, k := qk.BQ[j], qk.BK[j]
				for i, v := range stream {
					q += (v - mean) / scale * wq[i*len(qk.BQ)+j]
					k += (v - mean) / scale * wk[i*len(qk.BK)+j]
				}
				if math.Abs(q-cache.Q(head, s, 1)[j]) > 1e-12 || math.Abs(k-cache.K(head, s, 1)[j]) > 1e-12 {
					t.Fatalf("%v: q[%d] = %v, k = %v; cached %v, %v", processing, j, q, k, cache.Q(head, s, 1)[j], cache.K(head, s, 1)[j])
				}
			}
		}
	}
}

func TestForwardRefuses(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 4)
	m := load[float32](t, c, schema.Processed)
	ok := model.Sequence{Tokens: []int{1, 2}, Positions: []int{1}}
	for name, test := range map[string]struct {
		seq  model.Sequence
		head schema.Head
		want string
	}{
		"layer":     {ok, schema.Head{Layer: 4}, "head 4.0 of a model with 4 layers of 3 heads"},
		"head":      {ok, schema.Head{Index: 3}, "head 0.3"},
		"empty":     {model.Sequence{}, schema.Head{}, "sequence 1 has 0 tokens, want 1 to 300"},
		"long":      {model.Sequence{Tokens: make([]int, 301)}, schema.Head{}, "sequence 1 has 301 tokens, want 1 to 300"},
		"token":     {model.Sequence{Tokens: []int{0, 101}}, schema.Head{}, "token 101 at position 1, want 0 to 100"},
		"negative":  {model.Sequence{Tokens: []int{-1}}, schema.Head{}, "token -1"},
		"position":  {model.Sequence{Tokens: []int{1}, Positions: []int{1}}, schema.Head{}, "position 1 to keep"},
		"position-": {model.Sequence{Tokens: []int{1}, Positions: []int{-1}}, schema.Head{}, "position -1 to keep"},
	} {
		_, err := m.Forward(t.Context(), []model.Sequence{ok, test.seq}, []schema.Head{test.head})
		if !errors.Is(err, model.ErrInput) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want ErrInput with %q", name, err, test.want)
		}
	}
}

func TestForwardOfNothing(t *testing.T) {
	m := load[float32](t, modeltest.Open(t, modeltest.Tiny(), 4), schema.Processed)
	head := []schema.Head{{Layer: 2, Index: 0}}
	mustForward(t, m, nil, head)
	mustForward(t, m, []model.Sequence{{Tokens: []int{1, 2}}}, head)
	c := mustForward(t, m, []model.Sequence{{Tokens: []int{1, 2}}, {Tokens: []int{3}, Positions: []int{0, 0}}}, head)
	if got := c.Pattern(head[0], 1, 1); !slices.Equal(got, []float32{1}) {
		t.Errorf("pattern of a single token is %v", got)
	}
}

// after is a context that is cancelled at the n-th question.
type after struct {
	context.Context
	n int
}

func (a *after) Err() error {
	if a.n--; a.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestForwardStopsWhenCancelled(t *testing.T) {
	m := load[float32](t, modeltest.Open(t, modeltest.Tiny(), 4), schema.Processed)
	seqs := []model.Sequence{{Tokens: []int{1, 2}, Positions: []int{1}}}
	for n := range 4 {
		_, err := m.Forward(&after{t.Context(), n}, seqs, []schema.Head{{Layer: 3}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before layer %d: %v", n, err)
		}
	}
}

// Two numbers close to the largest there is add up to infinity.
func TestForwardNamesWhatIsNotFinite(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 4)
	const bad, huge = 7, 3e38
	d := c.Spec.DModel
	poisoned := poison(t, poison(t, c, "wte.weight", bad*d+5, huge), "wpe.weight", 2*d+5, huge)
	seqs := []model.Sequence{{Tokens: []int{1, 2}, Positions: []int{1}}, {Tokens: []int{1, 2, bad, 3}, Positions: []int{3}}}
	_, err := load[float32](t, poisoned, schema.Processed).Forward(t.Context(), seqs, []schema.Head{{Layer: 3}})
	if want := "sequence 1, position 2: residual stream at ln1 of layer 0"; !errors.Is(err, model.ErrNotFinite) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want ErrNotFinite with %q", err, want)
	}
	poisoned = poison(t, poison(t, c, "h.1.mlp.c_proj.bias", 0, huge), "h.2.attn.c_proj.bias", 0, huge)
	_, err = load[float32](t, poisoned, schema.Raw).Forward(t.Context(), seqs, []schema.Head{{Layer: 3}})
	if !errors.Is(err, model.ErrNotFinite) || !strings.Contains(err.Error(), "sequence 0, position 0: residual stream at ln") || !strings.Contains(err.Error(), "of layer 2 has scale") {
		t.Errorf("%v, want ErrNotFinite in layer 2", err)
	}
}

func TestLoadRefusesWhatIsNotFinite(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(), 4)
	provider, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias", "h.0.ln_1.weight", "h.3.ln_2.bias", "h.1.attn.c_attn.weight",
		"h.1.attn.c_attn.bias", "h.2.attn.c_proj.weight", "h.2.attn.c_proj.bias", "h.0.mlp.c_fc.weight", "h.0.mlp.c_fc.bias", "h.3.mlp.c_proj.weight", "h.3.mlp.c_proj.bias"} {
		value := float32(math.Inf(1 - 2*(i%2)))
		if i%3 == 0 {
			value = float32(math.NaN())
		}
		for _, processing := range []schema.Processing{schema.Processed, schema.Raw} {
			bad := poison(t, c, name, 11, value)
			_, err := model.Load[float32](bad.Checkpoint, bad.Spec, bad.Sources, processing, provider, 2)
			if want := fmt.Sprintf("tensor %q element 11 is %v", name, value); !errors.Is(err, checkpoint.ErrTensor) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want ErrTensor with %q", processing, err, want)
			}
		}
	}
}

// A model that is loaded up to a layer gives the bits of a whole one as far as it goes, refuses to go
// further, and does not look at what it does not need.
func TestLoadTo(t *testing.T) {
	whole := modeltest.Open(t, modeltest.Tiny(), 6)
	heads := []schema.Head{{Layer: 2, Index: 1}, {Layer: 1, Index: 0}}
	seqs := randomSequences(whole.Spec, 5)
	full := load[float32](t, whole, schema.Processed)
	want := mustForward(t, full, seqs, heads)
	wantMLP, wantAttn := full.EffectiveEmbedding(7)
	damaged := poison(t, whole, "h.3.ln_1.weight", 0, float32(math.NaN()))
	for threads := range 3 {
		m, err := model.LoadTo[float32](damaged.Checkpoint, damaged.Spec, damaged.Sources, 2, schema.Processed, full.Provider(), threads)
		if err != nil {
			t.Fatal(err)
		}
		got := mustForward(t, m, seqs, heads)
		for i := range seqs {
			if !slices.Equal(everything(got, heads, i, 3), everything(want, heads, i, 3)) {
				t.Errorf("%d threads, sequence %d: other bits than the whole model", threads, i)
			}
		}
		if mlp, attn := m.EffectiveEmbedding(7); !slices.Equal(mlp, wantMLP) || !slices.Equal(attn, wantAttn) {
			t.Errorf("%d threads: another effective embedding than that of the whole model", threads)
		}
		if !slices.Equal(m.Unembed(3), full.Unembed(3)) {
			t.Errorf("%d threads: another unembedding than that of the whole model", threads)
		}
		if _, err := m.Forward(t.Context(), seqs, []schema.Head{{Layer: 3, Index: 0}}); !errors.Is(err, model.ErrInput) {
			t.Errorf("a layer too far: %v, want ErrInput", err)
		}
		if _, err := m.ForwardAll(t.Context(), seqs, nil); !errors.Is(err, model.ErrInput) {
			t.Errorf("all layers: %v, want ErrInput", err)
		}
	}
	needed := poison(t, whole, "h.2.attn.c_attn.weight", 5, float32(math.NaN()))
	if _, err := model.LoadTo[float32](needed.Checkpoint, needed.Spec, needed.Sources, 2, schema.Processed, full.Provider(), 1); !errors.Is(err, checkpoint.ErrTensor) {
		t.Errorf("a NaN in what is needed: %v, want ErrTensor", err)
	}
}

func TestCachePanicsOnWhatItDoesNotHold(t *testing.T) {
	m := load[float32](t, modeltest.Open(t, modeltest.Tiny(), 4), schema.Processed)
	c := mustForward(t, m, []model.Sequence{{Tokens: []int{1, 2}, Positions: []int{1}}}, []schema.Head{{Layer: 2}})
	for name, f := range map[string]func(){
		"layer":    func() { c.ResidPre(3, 0, 0) },
		"scale":    func() { c.MLPNormScale(2, 0, 0) },
		"sequence": func() { c.NormScale(0, 1, 0) },
		"position": func() { c.Components(0, 1) },
		"head":     func() { c.Q(schema.Head{Layer: 2, Index: 1}, 0, 0) },
		"map":      func() { m.QK(schema.Head{Layer: 0, Index: 3}) },
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

// poison gives a copy of a checkpoint with one number of one tensor replaced.
func poison(t *testing.T, c modeltest.Opened, name string, index int, value float32) modeltest.Opened {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join(c.Path(), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	size := 8 + int(binary.LittleEndian.Uint64(data))
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(data[8:size], &header); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(data[size+header[name].Offsets[0]+4*index:], math.Float32bits(value))
	for file, text := range map[string][]byte{"model.safetensors": data, "config.json": c.ConfigJSON()} {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return modeltest.OpenPath(t, dir)
}
