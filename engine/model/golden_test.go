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

// reference is a model with reference activations. The targets and movers are those that the
// reference numbers were made with.
type reference struct {
	name           string
	full           bool // has every array; the part of m2 in the repository has some
	dir            func(testing.TB) string
	target         schema.Head
	mover0, mover1 schema.Head
}

func references() []reference {
	beside := func(model string) func(tb testing.TB) string {
		return func(tb testing.TB) string { return refdata.Goldens(tb, model) }
	}
	return []reference{
		{"m2-part", false, refdata.M2, schema.Head{Layer: 2, Index: 1}, schema.Head{Layer: 1, Index: 2}, schema.Head{Layer: 1, Index: 3}},
		{"m2", true, beside("m2"), schema.Head{Layer: 2, Index: 1}, schema.Head{Layer: 1, Index: 2}, schema.Head{Layer: 1, Index: 3}},
		{"m1", true, beside("m1"), schema.Head{Layer: 10, Index: 7}, schema.Head{Layer: 9, Index: 9}, schema.Head{Layer: 9, Index: 6}},
	}
}

func open(tb testing.TB, dir string) modeltest.Opened {
	tb.Helper()
	return modeltest.OpenPath(tb, filepath.Join(dir, "model"))
}

func load[T blas.Float](tb testing.TB, c modeltest.Opened, p schema.Processing) *model.Model[T] {
	tb.Helper()
	m := modeltest.Load[T](tb, c, "auto", p, 2)
	return m
}

// tolerances: scores, streams and the like; probabilities.
type tolerances struct{ values, probs refdata.Tolerance }

var (
	exact64 = tolerances{refdata.Float64, refdata.Float64}
	noise32 = tolerances{refdata.Float32, refdata.Float32Prob}
)

func TestForwardAgainstReference(t *testing.T) {
	for _, ref := range references() {
		for _, set := range []string{"A", "B"} {
			if set == "B" && !ref.full {
				continue
			}
			t.Run(ref.name+"/"+set+"/float64", func(t *testing.T) { checkForward[float64](t, ref, set, exact64) })
			t.Run(ref.name+"/"+set+"/float32", func(t *testing.T) { checkForward[float32](t, ref, set, noise32) })
		}
	}
}

func checkForward[T blas.Float](t *testing.T, ref reference, set string, tol tolerances) {
	t.Parallel()
	dir := ref.dir(t)
	want := refdata.Npz(t, filepath.Join(dir, "golden", "forward_"+set+"_f64.npz"))
	c := open(t, dir)
	config, layout := c.Spec, c.Spec.Layout(schema.Processed)
	toks, positions := want["toks"], want["positions_end_io_s1"]
	n := toks.Shape[0]
	seqs := make([]model.Sequence, n)
	for i := range seqs {
		seqs[i].Tokens = toks.Ints(i)
		for p := range 3 { // END, IO, S1
			seqs[i].Positions = append(seqs[i].Positions, positions.Ints(p, i)[0])
		}
	}
	heads := []schema.Head{}
	for l := range config.Layers {
		for h := range config.Heads {
			heads = append(heads, schema.Head{Layer: l, Index: h})
		}
	}
	m := load[T](t, c, schema.Processed)
	all, err := m.ForwardAll(t.Context(), seqs, heads)
	if err != nil {
		t.Fatal(err)
	}
	short, err := m.Forward(t.Context(), seqs, []schema.Head{ref.target})
	if err != nil {
		t.Fatal(err)
	}

	// each compares an array [..., prompt, 3, width], in which a long one may hold the first prompts only.
	each := func(name string, layers int, tol refdata.Tolerance, get func(l, s, i int) []T) {
		t.Helper()
		w, ok := want[name]
		if !ok {
			t.Errorf("no reference array %s", name)
			return
		}
		prompts := w.Shape[0]
		if layers > 0 {
			prompts = w.Shape[1]
		}
		var got []T
		for l := range max(1, layers) {
			for s := range prompts {
				for i := range 3 {
					got = append(got, get(l, s, i)...)
				}
			}
		}
		refdata.Compare(t, name, got, w.Float64, tol)
	}
	row := func(cache *model.Cache[T], index, s, i int) []T {
		d := config.DModel
		return cache.Components(s, i).Data().([]T)[index*d : (index+1)*d]
	}
	each("embed", 0, tol.values, func(_, s, i int) []T { return row(all, 0, s, i) })
	each("pos_embed", 0, tol.values, func(_, s, i int) []T { return row(all, 1, s, i) })
	each("resid_pre", config.Layers, tol.values, func(l, s, i int) []T { return all.ResidPre(l, s, i) })
	each("resid_post_last", 0, tol.values, func(_, s, i int) []T { return all.ResidPre(config.Layers, s, i) })
	each("mlp_out", config.Layers, tol.values, func(l, s, i int) []T {
		return row(all, layout.MLP(l), s, i)
	})
	each("attn_out", config.Layers, tol.values, func(l, s, i int) []T {
		sum := slices.Clone(row(all, layout.AttnBiasOf(l), s, i))
		for h := range config.Heads {
			for j, v := range row(all, layout.Head(schema.Head{Layer: l, Index: h}), s, i) {
				sum[j] += v
			}
		}
		return sum
	})
	each("ln1_scale", config.Layers, tol.values, func(l, s, i int) []T { return []T{all.NormScale(l, s, i)} })
	each("ln2_scale", config.Layers, tol.values, func(l, s, i int) []T { return []T{all.MLPNormScale(l, s, i)} })
	each("ln_final_scale", 0, tol.values, func(_, s, i int) []T { return []T{all.NormScale(config.Layers, s, i)} })
	for _, cache := range []*model.Cache[T]{all, short} {
		each("target_q", 0, tol.values, func(_, s, i int) []T { return cache.Q(ref.target, s, i) })
		each("target_k", 0, tol.values, func(_, s, i int) []T { return cache.K(ref.target, s, i) })
	}

	// Rows from END, to every position of the padded prompt.
	width := toks.Shape[1]
	var scores, pattern, mover0, mover1 []T
	for s := range n {
		for j := range width {
			if r := short.Scores(ref.target, s, 0); j < len(r) {
				scores, pattern = append(scores, r[j]), append(pattern, short.Pattern(ref.target, s, 0)[j])
			} else {
				scores, pattern = append(scores, T(math.Inf(-1))), append(pattern, 0)
			}
		}
		mover0 = append(mover0, row(short, layout.Head(ref.mover0), s, 0)...)
		mover1 = append(mover1, row(short, layout.Head(ref.mover1), s, 0)...)
	}
	refdata.Compare(t, "target_scores_end", scores, want["target_scores_end"].Float64, tol.values)
	refdata.Compare(t, "target_pattern_end", pattern, want["target_pattern_end"].Float64, tol.probs)
	refdata.Compare(t, "mover0_result_end", mover0, want["mover0_result_end"].Float64, tol.values)
	refdata.Compare(t, "mover1_result_end", mover1, want["mover1_result_end"].Float64, tol.values)
	var patterns []T
	for l := range config.Layers {
		for s := range 4 {
			for h := range config.Heads {
				r := all.Pattern(schema.Head{Layer: l, Index: h}, s, 0)
				patterns = append(append(patterns, r...), make([]T, width-len(r))...)
			}
		}
	}
	refdata.Compare(t, "all_patterns_end_first4", patterns, want["all_patterns_end_first4"].Float64, tol.probs)
	checkLogits(t, m, all, want, "", ref.full, tol)
	checkValues(t, m, ref, seqs, want, tol)

	raw := load[T](t, c, schema.Raw)
	unprocessed, err := raw.ForwardAll(t.Context(), seqs, heads)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := want["raw_resid_pre"]; ok { // set A only
		each("raw_resid_pre", config.Layers, tol.values, func(l, s, i int) []T { return unprocessed.ResidPre(l, s, i) })
		checkLogits(t, raw, unprocessed, want, "raw_", ref.full, tol)
	}
	each("target_q", 0, tol.values, func(_, s, i int) []T { return unprocessed.Q(ref.target, s, i) })
	each("target_k", 0, tol.values, func(_, s, i int) []T { return unprocessed.K(ref.target, s, i) })
	checkSums(t, all, n, 3, tol.values)
	checkSums(t, unprocessed, n, 3, tol.values)
}

// checkLogits compares the logits at END with whatever of them the reference holds.
func checkLogits[T blas.Float](t *testing.T, m *model.Model[T], cache *model.Cache[T], want map[string]refdata.Array, prefix string, full bool, tol tolerances) {
	t.Helper()
	if want[prefix+"logits_end_sel"].Shape == nil && want[prefix+"logits_end"].Shape == nil && full {
		t.Errorf("no reference array %slogits_end", prefix)
	}
	n := want["toks"].Shape[0]
	var final [][]T
	for s := range n {
		final = append(final, cache.ResidPre(m.Spec().Layers, s, 0))
	}
	logits := m.Logits(final...)
	if w, ok := want[prefix+"logits_end_sel"]; ok {
		var got []T
		for s := range n {
			for _, id := range want["logit_ids"].Ints() {
				got = append(got, logits[s][id])
			}
		}
		refdata.Compare(t, prefix+"logits_end_sel", got, w.Float64, tol.values)
	}
	if w, ok := want[prefix+"logits_end"]; ok {
		refdata.Compare(t, prefix+"logits_end", slices.Concat(logits...), w.Float64, tol.values)
	}
	if w, ok := want[prefix+"logits_end_first1"]; ok {
		refdata.Compare(t, prefix+"logits_end_first1", logits[0], w.Float64, tol.values)
	}
	if prefix != "" {
		shift := want["raw_minus_processed_logit_shift"].Float64
		means := make([]float64, n)
		for s := range n {
			for _, v := range logits[s] {
				means[s] += float64(v)
			}
			means[s] /= float64(len(logits[s]))
		}
		refdata.Compare(t, "raw_minus_processed_logit_shift", means, shift, tol.values)
		return
	}
	sums, largest := make([]float64, n), make([]int, n)
	for s := range n {
		top := float64(slices.Max(logits[s]))
		for i, v := range logits[s] {
			sums[s] += math.Exp(float64(v) - top)
			if v > logits[s][largest[s]] {
				largest[s] = i
			}
		}
		sums[s] = top + math.Log(sums[s])
	}
	refdata.Compare(t, "logsumexp_end", sums, want["logsumexp_end"].Float64, tol.values)
	if !slices.Equal(largest, want["argmax_end"].Ints()) {
		t.Errorf("argmax_end: %v, want %v", largest, want["argmax_end"].Ints())
	}
}

// checkValues compares value vectors and the attention-weighted ones, which the cache does not keep, but
// which follow from what it keeps when it keeps every position.
func checkValues[T blas.Float](t *testing.T, m *model.Model[T], ref reference, seqs []model.Sequence, want map[string]refdata.Array, tol tolerances) {
	t.Helper()
	ends := make([]int, len(seqs))
	whole := slices.Clone(seqs)
	for s, seq := range seqs {
		ends[s] = seq.Positions[0]
		whole[s].Positions = make([]int, ends[s]+1)
		for p := range whole[s].Positions {
			whole[s].Positions[p] = p
		}
	}
	cache, err := m.Forward(t.Context(), whole, []schema.Head{ref.target, ref.mover0, ref.mover1})
	if err != nil {
		t.Fatal(err)
	}
	d, dh := m.Spec().DModel, m.Spec().DHead
	value := func(head schema.Head, s, p int) []T {
		wv, err := m.Parameter(fmt.Sprintf("blocks.%d.attn.W_V", head.Layer))
		if err != nil {
			t.Fatal(err)
		}
		w := wv.Data().([]T)[head.Index*d*dh:][:d*dh]
		stream := cache.ResidPre(head.Layer, s, p)
		mean := 0.0
		for _, v := range stream {
			mean += float64(v) / float64(d)
		}
		sums := make([]float64, dh)
		for i, v := range stream {
			for j := range sums {
				sums[j] += (float64(v) - mean) / float64(cache.NormScale(head.Layer, s, p)) * float64(w[i*dh+j])
			}
		}
		v := make([]T, dh)
		for j := range v {
			v[j] = T(sums[j])
		}
		return v
	}
	var v []T
	for s, seq := range seqs {
		for _, p := range seq.Positions {
			v = append(v, value(ref.target, s, p)...)
		}
	}
	refdata.Compare(t, "target_v", v, want["target_v"].Float64, tol.values)
	for name, head := range map[string]schema.Head{"mover0_z_end": ref.mover0, "mover1_z_end": ref.mover1} {
		var z []T
		for s := range seqs {
			sum := make([]T, dh)
			for p, a := range cache.Pattern(head, s, ends[s]) {
				for j, v := range value(head, s, p) {
					sum[j] += a * v
				}
			}
			z = append(z, sum...)
		}
		refdata.Compare(t, name, z, want[name].Float64, tol.values)
	}
}

// checkSums compares, before every layer, the sum of the components with the stream itself.
func checkSums[T blas.Float](t *testing.T, cache *model.Cache[T], seqs, positions int, tol refdata.Tolerance) {
	t.Helper()
	var got, want []float64
	for s := range seqs {
		for i := range positions {
			for l := range cache.Stop() + 1 {
				stream := cache.ResidPre(l, s, i)
				sum := make([]float64, len(stream))
				for j, v := range cache.ComponentsBefore(l, s, i).Data().([]T) {
					sum[j%len(sum)] += float64(v)
				}
				got = append(got, sum...)
				for _, v := range stream {
					want = append(want, float64(v))
				}
			}
		}
	}
	refdata.Compare(t, "sum of components", got, want, tol)
}

func TestProcessedWeights(t *testing.T) {
	for _, ref := range references() {
		t.Run(ref.name, func(t *testing.T) {
			dir := ref.dir(t)
			c := open(t, dir)
			m := load[float64](t, c, schema.Processed)
			want := refdata.Npz(t, filepath.Join(dir, "golden", "processed_weights_f64.npz"))
			worst := map[string]float64{}
			for name, w := range want {
				got := parameter(t, m, name)
				if len(got) != w.Len() {
					t.Fatalf("%s has %d numbers, want shape %v", name, len(got), w.Shape)
				}
				for i, g := range got {
					d := math.Abs(g - w.Float64[i])
					if !(d <= 1e-12) {
						t.Fatalf("%s: %v at %d, want %v", name, g, i, w.Float64[i])
					}
					worst[filepath.Ext(name)] = max(worst[filepath.Ext(name)], d)
				}
			}
			t.Logf("largest differences: %v", worst)

			if !ref.full {
				return
			}
			var summary map[string]struct {
				Shape            []int
				Sum, First, Last float64
				SumAbs           float64 `json:"sum_abs"`
				SumSq            float64 `json:"sum_sq"`
			}
			refdata.JSON(t, filepath.Join(dir, "golden", "processed_weights_summary.json"), &summary)
			for name, w := range summary {
				got := parameter(t, m, name)
				sum, abs, sq := 0.0, 0.0, 0.0
				for _, v := range got {
					sum, abs, sq = sum+v, abs+math.Abs(v), sq+v*v
				}
				for _, d := range []float64{(sum - w.Sum) / max(1, w.SumAbs), (abs - w.SumAbs) / max(1, w.SumAbs), (sq - w.SumSq) / max(1, w.SumSq),
					got[0] - w.First, got[len(got)-1] - w.Last} {
					if !(math.Abs(d) < 1e-10) {
						t.Errorf("%s: sum %v, of absolutes %v, of squares %v, first %v, last %v; want %+v", name, sum, abs, sq, got[0], got[len(got)-1], w)
						break
					}
				}
			}
		})
	}
}

// parameter gives any parameter, the embedding tables row by row.
func parameter(t *testing.T, m *model.Model[float64], name string) []float64 {
	t.Helper()
	c := m.Spec()
	switch name {
	case "embed.W_E":
		var all []float64
		for tok := range c.DVocab {
			all = append(all, m.Embed(tok)...)
		}
		return all
	case "unembed.W_U": // [d_model, d_vocab]
		all := make([]float64, c.DModel*c.DVocab)
		for tok := range c.DVocab {
			for i, v := range m.Unembed(tok) {
				all[i*c.DVocab+tok] = v
			}
		}
		return all
	case "unembed.b_U":
		zero := make([]float64, c.DModel) // LayerNorm of it is 0, so that only the bias is left
		return m.Logits(zero)[0]
	}
	p, err := m.Parameter(name)
	if err != nil {
		t.Fatal(err)
	}
	return p.Data().([]float64)
}

func TestEffectiveEmbedding(t *testing.T) {
	for _, ref := range references() {
		t.Run(ref.name+"/float64", func(t *testing.T) { checkEffective[float64](t, ref, exact64) })
		t.Run(ref.name+"/float32", func(t *testing.T) { checkEffective[float32](t, ref, noise32) })
	}
}

func checkEffective[T blas.Float](t *testing.T, ref reference, tol tolerances) {
	dir := ref.dir(t)
	m := load[T](t, open(t, dir), schema.Processed)
	want := refdata.Npz(t, filepath.Join(dir, "golden", "effective_embedding_f64.npz"))
	var embed, mlp, whole, unembed []T
	for _, tok := range want["token_ids"].Ints() {
		e := m.Embed(tok)
		b, a := m.EffectiveEmbedding(tok)
		embed, mlp, unembed = append(embed, e...), append(mlp, b...), append(unembed, m.Unembed(tok)...)
		for i := range e {
			whole = append(whole, e[i]+a[i]+b[i])
		}
	}
	refdata.Compare(t, "W_E_no_MLPs", embed, want["W_E_no_MLPs"].Float64, tol.values)
	refdata.Compare(t, "W_E_only_MLPs", mlp, want["W_E_only_MLPs"].Float64, tol.values)
	refdata.Compare(t, "W_E_including_MLPs", whole, want["W_E_including_MLPs"].Float64, tol.values)
	refdata.Compare(t, "W_U", unembed, want["W_U"].Float64, tol.values)
	alone, _ := m.EffectiveEmbedding(3)
	if together, _ := m.EffectiveEmbeddings([]int{5, 3, 4}); !slices.Equal(alone, together[1]) {
		t.Error("the effective embedding of a token depends on the others asked for")
	}
}
