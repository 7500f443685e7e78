package model_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// A real model, out of its GGUF, gives its reference numbers. Every prompt is run in float32, a few in
// float64.
func TestSmolLM2(t *testing.T) {
	dir := filepath.Join(refdata.Models(t), "smollm2-135m")
	if testing.Short() {
		t.Skip("loads a model of 135M parameters")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.gguf"))
	if err != nil || len(files) != 1 {
		t.Skipf("no single GGUF in %s: %v", dir, err)
	}
	opened, want := modeltest.OpenPath(t, files[0]), refdata.Npz(t, filepath.Join(dir, "golden.npz"))
	check32 := &familyCheck[float32]{t: t, dir: dir, want: want, form: schema.Processed, tolerance: 5e-5, worst: differences{}}
	check32.realModel(opened, 32)
	check64 := &familyCheck[float64]{t: t, dir: dir, want: want, form: schema.Raw, tolerance: 1e-9, worst: differences{}}
	check64.realModel(opened, 2)
	for name, d := range check32.worst {
		t.Logf("%-16s float32 %.1e  float64 %.1e", name, d.size, check64.worst[name].size)
	}
}

// realModel compares the first prompts.
func (c *familyCheck[T]) realModel(opened modeltest.Opened, prompts int) {
	var golden struct {
		Prompts []struct {
			Query, Key, Baseline int
			IO                   int `json:"io_id"`
			S                    int `json:"s_id"`
		}
	}
	refdata.JSON(c.t, filepath.Join(c.dir, "golden.json"), &golden)
	c.m = load[T](c.t, opened, c.form)
	for i, p := range golden.Prompts[:prompts] {
		c.seqs = append(c.seqs, model.Sequence{Tokens: c.want[fmt.Sprintf("%d/tokens", i)].Ints(), Positions: []int{p.Query, p.Key, p.Baseline}})
	}
	var every []schema.Head
	for l := range c.m.Spec().Layers {
		for h := range c.m.Spec().Heads {
			every = append(every, schema.Head{Layer: l, Index: h})
		}
	}
	c.heads = []schema.Head{{Layer: 24, Index: 4}, {Layer: 23, Index: 0}, {Layer: 24, Index: 7}}
	var err error
	if c.all, err = c.m.ForwardAll(c.t.Context(), c.seqs, every); err != nil {
		c.t.Fatal(err)
	}
	c.short = mustForward(c.t, c.m, c.seqs, c.heads)
	var final [][]T
	for i := range c.seqs {
		final = append(final, c.all.ResidPre(c.m.Spec().Layers, i, 0))
	}
	logits := c.m.Logits(final...)
	// Logarithms of probabilities, which have no constant in them.
	var got []float64
	var wanted []float64
	for i, p := range golden.Prompts[:prompts] {
		ids, all := append([]int{p.IO, p.S}, c.want["top_ids"].Ints(i)...), logSumExp(logits[i])
		for _, id := range ids {
			got = append(got, float64(logits[i][id])-all)
		}
		for _, w := range append([]float64{c.want["logit_io"].Float64[i], c.want["logit_s"].Float64[i]}, c.want["top_logits"].At(i)...) {
			wanted = append(wanted, w-c.want["logsumexp"].Float64[i])
		}
		c.attentionTo(i, every)
		for _, h := range c.heads {
			for _, cache := range []*model.Cache[T]{c.all, c.short} {
				c.head(cache, h, i)
			}
		}
		if i < 3 {
			c.streamOf(i)
		}
	}
	largest, difference := 0.0, 0.0
	for i, w := range wanted {
		largest, difference = max(largest, math.Abs(w)), max(difference, math.Abs(got[i]-w))
	}
	if c.t.Logf("log probabilities of tokens: largest difference %.1e of %.3g", difference/largest, largest); !(difference <= c.tolerance*largest) {
		c.t.Errorf("log probabilities are off by %v, want at most %.0e of %v", difference, c.tolerance, largest)
	}
}

// logSumExp is the logarithm of what a softmax divides by.
func logSumExp[T blas.Float](x []T) float64 {
	top, sum := float64(slices.Max(x)), 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

// attentionTo compares what every head gives to three positions.
func (c *familyCheck[T]) attentionTo(i int, every []schema.Head) {
	for name, p := range map[string]int{"attention_io": c.seqs[i].Positions[1], "attention_s1": c.seqs[i].Positions[2], "attention_first": 0} {
		var got []T
		for _, h := range every {
			got = append(got, c.all.Pattern(h, i, 0)[p])
		}
		c.numbers(name, got, c.want[name].At(i))
	}
}

// streamOf compares the stream, the scales before attention, and what MLPs wrote.
func (c *familyCheck[T]) streamOf(i int) {
	s, layout, prefix := c.m.Spec(), c.m.Layout(), fmt.Sprintf("%d/", i)
	var stream, scales, mlps []T
	for l := range s.Layers + 1 {
		for pos := range 3 {
			stream = append(stream, c.all.ResidPre(l, i, pos)...)
			if l < s.Layers {
				scales = append(scales, c.all.NormScale(l, i, pos))
				mlps = append(mlps, rowOf(c.all, layout.MLP(l), i, pos)...)
			}
		}
	}
	c.compare(prefix+"resid_pre", stream, true)
	c.compare(prefix+"norm_scale", scales, false)
	c.compare(prefix+"mlp_out", mlps, true)
	c.closure(i)
}

// rowOf is what a component wrote.
func rowOf[T blas.Float](c *model.Cache[T], index, seq, i int) []T {
	parts := c.Components(seq, i)
	d := parts.Shape()[1]
	return slices.Clip(parts.Data().([]T)[index*d : (index+1)*d])
}
