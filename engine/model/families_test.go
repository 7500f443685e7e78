package model_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// Every family's reference numbers, in both precisions and both forms of the weights. The largest difference,
// relative to the largest number of its array, is printed for each quantity.
func TestFamilies(t *testing.T) {
	root := refdata.Families(t)
	folders, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	worst64, worst32 := differences{}, differences{}
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		t.Run(f.Name(), func(t *testing.T) {
			dir := filepath.Join(root, f.Name())
			c, want := modeltest.OpenPath(t, filepath.Join(dir, "model")), refdata.Npz(t, filepath.Join(dir, "golden.npz"))
			for _, form := range []schema.Processing{schema.Processed, schema.Raw} {
				checkFamily(&familyCheck[float64]{t: t, dir: dir, want: want, form: form, tolerance: 1e-9, worst: worst64}, c)
				checkFamily(&familyCheck[float32]{t: t, dir: dir, want: want, form: form, tolerance: 5e-5, worst: worst32}, c)
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(worst64)) {
		t.Logf("%-24s float64 %.1e (%s)  float32 %.1e (%s)", name, worst64[name].size, worst64[name].where, worst32[name].size, worst32[name].where)
	}
}

// differences are the largest by quantity.
type differences map[string]struct {
	size  float64
	where string
}

// familyCheck compares one form of one model with its reference numbers.
type familyCheck[T blas.Float] struct {
	t         *testing.T
	dir       string
	want      map[string]refdata.Array
	form      schema.Processing
	tolerance float64
	worst     differences

	m     *model.Model[T]
	seqs  []model.Sequence
	all   *model.Cache[T] // every head of every layer
	short *model.Cache[T] // the target heads
	heads []schema.Head
}

// goldenFile is what a test needs of golden.json.
type goldenFile struct {
	Prompts []struct{ Query, Key, Baseline int }
	Heads   []string
}

func checkFamily[T blas.Float](c *familyCheck[T], opened modeltest.Opened) {
	var golden goldenFile
	refdata.JSON(c.t, filepath.Join(c.dir, "golden.json"), &golden)
	c.m = load[T](c.t, opened, c.form)
	for i, p := range golden.Prompts {
		c.seqs = append(c.seqs, model.Sequence{Tokens: c.want[fmt.Sprintf("%d/tokens", i)].Ints(), Positions: []int{p.Query, p.Key, p.Baseline}})
	}
	for _, name := range golden.Heads {
		var h schema.Head
		if _, err := fmt.Sscanf(name, "%d.%d", &h.Layer, &h.Index); err != nil {
			c.t.Fatal(err)
		}
		c.heads = append(c.heads, h)
	}
	var every []schema.Head
	for l := range c.m.Spec().Layers {
		for h := range c.m.Spec().Heads {
			every = append(every, schema.Head{Layer: l, Index: h})
		}
	}
	var err error
	if c.all, err = c.m.ForwardAll(c.t.Context(), c.seqs, every); err != nil {
		c.t.Fatal(err)
	}
	c.short = mustForward(c.t, c.m, c.seqs, c.heads)
	for i := range c.seqs {
		c.stream(i)
		c.attention(i)
		for _, h := range c.heads {
			for _, cache := range []*model.Cache[T]{c.all, c.short} {
				c.head(cache, h, i)
			}
		}
	}
	c.directions()
}

// compare looks at one array. What writes into the stream is centred by processing where the model has
// LayerNorms, and so is the reference with width d_model.
func (c *familyCheck[T]) compare(name string, got []T, centred bool) {
	c.t.Helper()
	array, ok := c.want[name]
	if !ok {
		c.t.Errorf("no reference array %s", name)
		return
	}
	want := slices.Clone(array.Float64)
	if s := c.m.Spec(); centred && c.form == schema.Processed && s.Norm.Centre && s.PreNorm {
		for from := 0; from < len(want); from += s.DModel {
			less(want[from : from+s.DModel])
		}
	}
	c.numbers(name, got, want)
}

func less(x []float64) {
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for i := range x {
		x[i] -= mean
	}
}

func (c *familyCheck[T]) numbers(name string, got []T, want []float64) {
	c.t.Helper()
	if len(got) != len(want) {
		c.t.Errorf("%s: %d numbers, want %d", name, len(got), len(want))
		return
	}
	largest, difference := 0.0, 0.0
	for i, w := range want {
		if g := float64(got[i]); g != w {
			difference = max(difference, math.Abs(g-w)) // NaN stays
		}
		if !math.IsInf(w, 0) {
			largest = max(largest, math.Abs(w))
		}
	}
	if largest > 0 {
		difference /= largest
	}
	if !(difference <= c.tolerance) {
		c.t.Errorf("%s, %s %T: largest difference %.2g of the largest number, want at most %.0e", name, c.form, T(0), difference, c.tolerance)
	}
	parts := strings.Split(name, "/")
	quantity := parts[len(parts)-1]
	if w := c.worst[quantity]; !(difference <= w.size) || w.where == "" {
		w.size, w.where = difference, filepath.Base(c.dir)
		c.worst[quantity] = w
	}
}

// stream compares what components wrote, the stream and the scales of the norms.
func (c *familyCheck[T]) stream(i int) {
	s, layout := c.m.Spec(), c.m.Layout()
	prefix := fmt.Sprintf("%d/", i)
	row := func(index, pos int) []T {
		return c.all.Components(i, pos).Data().([]T)[index*s.DModel:][:s.DModel]
	}
	each := func(layers int, get func(l, pos int) []T) (list []T) {
		for l := range layers {
			for pos := range 3 {
				list = append(list, get(l, pos)...)
			}
		}
		return list
	}
	c.compare(prefix+"resid_pre", each(s.Layers+1, func(l, pos int) []T { return c.all.ResidPre(l, i, pos) }), true)
	c.compare(prefix+"embed", each(1, func(_, pos int) []T { return row(layout.Embed(), pos) }), true)
	if s.Position {
		c.compare(prefix+"pos_embed", each(1, func(_, pos int) []T { return row(layout.PosEmbed(), pos) }), true)
	}
	c.compare(prefix+"mlp_out", each(s.Layers, func(l, pos int) []T { return row(layout.MLP(l), pos) }), true)
	c.compare(prefix+"norm_scale", each(s.Layers, func(l, pos int) []T { return []T{c.all.NormScale(l, i, pos)} }), false)
	c.compare(prefix+"post_attn_scale", each(s.Layers, func(l, pos int) []T { return []T{c.all.PostAttnScale(l, i, pos)} }), false)
	if c.form == schema.Processed || !layout.QKBias { // raw heads have their value biases in them
		c.compare(prefix+"heads", each(s.Layers, func(l, pos int) (list []T) {
			for h := range s.Heads {
				list = append(list, row(layout.Head(schema.Head{Layer: l, Index: h}), pos)...)
			}
			return list
		}), true)
		if layout.AttnBias {
			c.compare(prefix+"attn_bias", each(s.Layers, func(l, pos int) []T { return row(layout.AttnBiasOf(l), pos) }), true)
		} else if biases := c.want[prefix+"attn_bias"].Float64; slices.ContainsFunc(biases, func(v float64) bool { return v != 0 }) {
			c.t.Errorf("%sattn_bias is not zero, and the layout has no b_O", prefix)
		}
	}
	c.closure(i)
	if err := c.m.CheckUnembedding(); err != nil {
		c.t.Fatal(err)
	}
	want := slices.Clone(c.want[prefix+"logits"].Float64)
	if c.form == schema.Processed && s.LogitCap == 0 {
		less(want)
	}
	c.numbers(prefix+"logits", c.m.Logits(c.all.ResidPre(s.Layers, i, 0))[0], want)
}

// closure compares the sum of the components with the stream before every layer.
func (c *familyCheck[T]) closure(i int) {
	var got []T
	var want []float64
	for pos := range 3 {
		for l := range c.all.Stop() + 1 {
			stream := c.all.ResidPre(l, i, pos)
			sum := make([]float64, len(stream))
			for j, v := range c.all.ComponentsBefore(l, i, pos).Data().([]T) {
				sum[j%len(sum)] += float64(v)
			}
			got, want = append(got, stream...), append(want, sum...)
		}
	}
	c.numbers("sum of components", got, want)
}

// attention compares queries, keys and patterns of every head.
func (c *familyCheck[T]) attention(i int) {
	s, prefix := c.m.Spec(), fmt.Sprintf("%d/", i)
	n := len(c.seqs[i].Tokens)
	var q, k, pattern, at []T
	for l := range s.Layers {
		for h := range s.Heads {
			head := schema.Head{Layer: l, Index: h}
			q = append(q, c.all.Q(head, i, 0)...)
			if h%(s.Heads/s.KVHeads) == 0 {
				k = append(append(k, c.all.K(head, i, 1)...), c.all.K(head, i, 2)...)
			}
			row := wholeRow(c.all, head, i, n, c.all.Pattern(head, i, 0), 0)
			pattern = append(pattern, row...)
			for _, p := range c.seqs[i].Positions {
				at = append(at, row[p])
			}
		}
	}
	c.compare(prefix+"q", q, false)
	c.compare(prefix+"k", k, false)
	if _, short := c.want[prefix+"pattern"]; short {
		c.compare(prefix+"pattern", pattern, false)
	} else {
		c.compare(prefix+"pattern_at", at, false)
	}
}

// wholeRow gives a row of all n positions, of one that begins at the first key that is seen.
func wholeRow[T blas.Float](c *model.Cache[T], head schema.Head, seq, n int, row []T, outside T) []T {
	whole := slices.Repeat([]T{outside}, n)
	copy(whole[c.FirstKey(head, seq, 0):], row)
	return whole
}

// head compares the rows and scales of a target head.
func (c *familyCheck[T]) head(cache *model.Cache[T], head schema.Head, i int) {
	prefix, n := fmt.Sprintf("%d/%d.%d/", i, head.Layer, head.Index), len(c.seqs[i].Tokens)
	scores := wholeRow(cache, head, i, n, cache.Scores(head, i, 0), T(math.Inf(-1)))
	pattern := wholeRow(cache, head, i, n, cache.Pattern(head, i, 0), 0)
	suffix := ""
	if _, short := c.want[prefix+"score_row"]; !short {
		pick := func(row []T) (at []T) {
			for _, p := range c.seqs[i].Positions {
				at = append(at, row[p])
			}
			return at
		}
		scores, pattern, suffix = pick(scores), pick(pattern), "_at"
	}
	if c.m.Spec().Sinks {
		pattern = append(pattern, cache.SinkProb(head, i, 0))
	}
	c.compare(prefix+"score_row"+suffix, scores, false)
	c.compare(prefix+"pattern_row"+suffix, pattern, false)
	var scales []T
	for pos := range 3 {
		scales = append(scales, cache.NormScale(head.Layer, i, pos))
	}
	c.compare(prefix+"scales", append(scales, cache.QNormScale(head, i, 0), cache.KNormScale(head, i, 1), cache.KNormScale(head, i, 2)), false)
}

// directions compares the effective embedding and rows of W_U.
func (c *familyCheck[T]) directions() {
	tokens := c.want["effective/tokens"].Ints()
	mlp, attn := c.m.EffectiveEmbeddings(tokens)
	var parts, unembed []T
	for i, t := range tokens {
		parts = append(append(append(parts, c.m.Embed(t)...), attn[i]...), mlp[i]...)
		unembed = append(unembed, c.m.Unembed(t)...)
	}
	c.compare("effective/parts", parts, true)
	if c.form == schema.Raw {
		c.compare("unembed_direction_raw", unembed, false)
	} else {
		c.compare("unembed_direction", unembed, false)
	}
}
