package model_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/engine/model/plain"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// Random small models of every family agree with the plain reference.
func TestEveryFamilyAgreesWithPlain(t *testing.T) {
	for _, kind := range familytest.Types() {
		t.Run(kind, func(t *testing.T) {
			for seed := range uint64(3) {
				c := familytest.Open(t, familytest.Tiny(kind), seed)
				f, err := family.Open(c)
				if err != nil {
					t.Fatal(err)
				}
				againstPlain(t, modeltest.Opened{Checkpoint: c, Spec: f.Spec, Sources: f.Sources}, plainTokens(f.Spec, int(seed)+5), 1e-10, 5e-4)
			}
		})
	}
}

// So do models of random families, sizes and options.
func TestRandomConfigurationsAgreeWithPlain(t *testing.T) {
	models := 60
	if testing.Short() {
		models = 20
	}
	for seed := range models {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		config := familytest.Random(rng)
		t.Run(fmt.Sprintf("%d-%s", seed, config["model_type"]), func(t *testing.T) {
			opened := modeltest.OpenFamily(t, config, uint64(seed))
			againstPlain(t, opened, plainTokens(opened.Spec, rng.IntN(100)), 1e-9, 5e-3)
			if t.Failed() {
				t.Logf("config.json: %v", config)
			}
		})
	}
}

// So do models with options that no family has together.
func TestRandomSpecificationsAgreeWithPlain(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(folder, "")
		if err != nil {
			r.Fatal(err)
		}
		defer os.RemoveAll(dir)
		spec, sources := drawModel(r, dir)
		c, err := checkpoint.Open(dir)
		if err != nil {
			r.Fatal(err)
		}
		defer c.Close()
		againstPlain(r, modeltest.Opened{Checkpoint: c, Spec: spec, Sources: sources}, plainTokens(spec, rapid.IntRange(0, 9).Draw(r, "tokens")), 1e-9, 5e-3)
	})
}

// plainTokens are sequences that begin alike and are of different lengths.
func plainTokens(s *model.Spec, seed int) [][]int {
	var lists [][]int
	for i, n := range []int{11, 24, 1, 24} {
		list := make([]int, n)
		for p := range list {
			list[p] = (p*p + seed + p/7*i) % s.DVocab
		}
		lists = append(lists, list)
	}
	return lists
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Errorf(string, ...any)
	Fatal(...any)
}

// againstPlain compares everything that a model gives with the reference, in float64 and float32, both forms
// of the weights.
func againstPlain(t failer, c modeltest.Opened, tokens [][]int, tolerance64, tolerance32 float64) {
	t.Helper()
	reference, err := plain.Load(plain.Stored(c.Checkpoint), c.Spec, c.Sources)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []schema.Processing{schema.Processed, schema.Raw} {
		comparePlain[float64](t, c, reference, form, tokens, tolerance64)
		comparePlain[float32](t, c, reference, form, tokens, tolerance32)
	}
}

// comparison is of one model in one form with the reference.
type comparison[T blas.Float] struct {
	failer
	*plain.Model
	form      schema.Processing
	tolerance float64
	m         *model.Model[T]
}

// check compares numbers, relative to the largest.
func (c *comparison[T]) check(what string, got []T, want ...float64) {
	c.Helper()
	largest, difference := 0.0, 0.0
	if len(got) != len(want) {
		c.Errorf("%s, %s: %d numbers, want %d", what, c.form, len(got), len(want))
		return
	}
	for i, w := range want {
		largest, difference = max(largest, math.Abs(w)), max(difference, math.Abs(float64(got[i])-w))
	}
	if !(difference <= c.tolerance*max(largest, 0.1)) { // sums of products of order one may cancel
		c.Errorf("%s, %s, %T: off by %.2g, the largest being %.3g", what, c.form, T(0), difference, largest)
	}
}

// written is what a component is in the form of the weights: processed ones have lost their mean where a
// LayerNorm reads them.
func (c *comparison[T]) written(x []float64) []float64 {
	y := slices.Clone(x)
	if c.form == schema.Processed && c.Spec.Norm.Centre && c.PreNorm && !c.PostNorm {
		less(y)
	}
	return y
}

func comparePlain[T blas.Float](t failer, opened modeltest.Opened, reference *plain.Model, form schema.Processing, tokens [][]int, tolerance float64) {
	t.Helper()
	provider, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load[T](opened.Checkpoint, opened.Spec, opened.Sources, form, provider, 2)
	if err != nil {
		t.Fatal(err)
	}
	c := &comparison[T]{t, reference, form, tolerance, m}
	var seqs []model.Sequence
	for _, list := range tokens {
		n := len(list)
		seqs = append(seqs, model.Sequence{Tokens: list, Positions: []int{n - 1, n / 2, 0}})
	}
	var heads, last []schema.Head
	for l := range c.Layers {
		for h := range c.Heads {
			heads = append(heads, schema.Head{Layer: l, Index: h})
		}
	}
	last = append(last, heads[len(heads)-1], heads[len(heads)-c.Heads])
	all, err := m.ForwardAll(context.Background(), seqs, heads)
	if err != nil {
		t.Fatal(err)
	}
	short, err := m.Forward(context.Background(), seqs, last)
	if err != nil {
		t.Fatal(err)
	}
	sources := heads[:len(heads)-c.Heads] // all below the last layer
	sourced, err := m.ForwardFor(context.Background(), seqs, model.Wanted{Heads: last, Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range seqs {
		run := reference.Forward(s.Tokens)
		for j, p := range s.Positions {
			c.stream(all, run, i, j, p)
			for _, h := range heads {
				c.head(all, run, h, i, j, p)
			}
			for _, h := range last {
				c.head(short, run, h, i, j, p)
				c.head(sourced, run, h, i, j, p)
			}
			for _, h := range sources {
				c.source(sourced, run, h, i, j, p)
			}
		}
		c.replaced(run, last[0], len(s.Tokens)-1)
		want := reference.LogitsAt(run, s.Positions[0])
		if form == schema.Processed && c.LogitCap == 0 {
			less(want)
		}
		c.check("logits", m.Logits(all.ResidPre(c.Layers, i, 0))[0], want...)
	}
	for _, token := range []int{0, 7} {
		parts := reference.Effective(token)
		mlp, attn := m.EffectiveEmbedding(token)
		c.check("W_E", m.Embed(token), c.written(parts[0])...)
		c.check("effective attention", attn, c.written(parts[1])...)
		c.check("effective MLP", mlp, c.written(parts[2])...)
		c.check("unembedding", m.Unembed(token), reference.UnembedDirection(token, form)...)
	}
	c.cosines(reference.Forward(tokens[0]).Resid[1][0])
}

// cosines compares the cosines of a vector, of its negative and of zero with the unembeddings.
func (c *comparison[T]) cosines(vector []float64) {
	negative := make([]float64, len(vector))
	for i, v := range vector {
		negative[i] = -v
	}
	got := c.m.UnembedCosines([][]float64{vector, negative, make([]float64, len(vector))})
	length := func(x []float64) float64 { return math.Sqrt(blas.Dot(x, x)) }
	for token := range c.DVocab {
		u := c.UnembedDirection(token, c.form)
		want := blas.Dot(u, vector) / (length(u) * length(vector))
		for i, w := range []float64{want, -want, 0} {
			if !(math.Abs(float64(got[i][token])-w) <= max(c.tolerance, 1e-6)) {
				c.Errorf("cosine of vector %d with W_U[%d], %s, %T: %v, want %v", i, token, c.form, T(0),
					got[i][token], w)
			}
		}
	}
}

// stream compares the stream, what wrote it, and the scales of norms.
func (c *comparison[T]) stream(all *model.Cache[T], run *plain.Run, i, j, p int) {
	parts, rows := c.Components(run, c.form, c.Layers, p), all.Components(i, j)
	if rows.Shape()[0] != len(parts) {
		c.Errorf("%d components, want %d", rows.Shape()[0], len(parts))
		return
	}
	for k, x := range parts {
		c.check(fmt.Sprintf("component %d", k), rows.Data().([]T)[k*c.DModel:][:c.DModel], c.written(x)...)
	}
	for l := range c.Layers {
		o := &run.Layer[l]
		c.check("stream", all.ResidPre(l, i, j), c.written(run.Resid[l][p])...)
		c.check("scales", []T{all.NormScale(l, i, j), all.MLPNormScale(l, i, j), all.PostAttnScale(l, i, j), all.PostMLPScale(l, i, j)},
			o.Scale[p], o.MLPScale[p], o.PostScale[p], o.PostMLPScale[p])
	}
	c.check("last stream", all.ResidPre(c.Layers, i, j), c.written(run.Resid[c.Layers][p])...)
	c.check("last scale", []T{all.NormScale(c.Layers, i, j)}, c.Final.Scale(run.Resid[c.Layers][p]))
}

// head compares what is kept of a target head.
func (c *comparison[T]) head(cache *model.Cache[T], run *plain.Run, h schema.Head, i, j, p int) {
	o, kv := &run.Layer[h.Layer], c.KVHead(h.Index)
	c.check("q", cache.Q(h, i, j), o.Q[p][h.Index]...)
	c.check("k", cache.K(h, i, j), o.K[p][kv]...)
	c.check("scales of QK-norm", []T{cache.QNormScale(h, i, j), cache.KNormScale(h, i, j)}, o.QScale[p][h.Index], o.KScale[p][kv])
	first := 0
	for !c.Sees(h.Layer, p, first) {
		first++
	}
	if got := cache.FirstKey(h, i, j); got != first {
		c.Errorf("head %v at position %d sees from %d, want %d", h, p, got, first)
		return
	}
	c.check("scores", cache.Scores(h, i, j), o.Score[h.Index][p][first:p+1]...)
	c.check("pattern", cache.Pattern(h, i, j), o.Pattern[h.Index][p][first:p+1]...)
	sink := 0.0
	if c.Sinks {
		sink = o.SinkProb[h.Index][p]
	}
	c.check("sink", []T{cache.SinkProb(h, i, j)}, sink)
}

// replaced puts another vector in place of the query's and of the key's stream, through the maps that the
// model gives.
func (c *comparison[T]) replaced(run *plain.Run, h schema.Head, p int) {
	vector := run.Resid[1][p]
	norm := c.Layer[h.Layer].Norm
	x := vector
	if norm.Is {
		x = slices.Clone(norm.Centred(vector))
		scale := norm.Scale(vector)
		for i := range x {
			x[i] /= scale
		}
	}
	qk := c.m.QK(h)
	through := func(w []T, b, gain []T, side schema.Side) []float64 {
		y, scale := make([]float64, c.DHead), c.m.QKNormScale(h, side, x)
		for e := range y {
			for i, v := range x {
				y[e] += v * float64(w[i*c.DHead+e])
			}
			y[e] = (y[e] + float64(b[e])) / scale
			if gain != nil {
				y[e] *= float64(gain[e])
			}
		}
		c.RotaryOf(h.Layer).At(p, len(run.Tokens)).Apply(y)
		return y
	}
	q, k := through(qk.WQ.Data().([]T), qk.BQ, qk.QGain, schema.Query), through(qk.WK.Data().([]T), qk.BK, qk.KGain, schema.Key)
	o, kv := &run.Layer[h.Layer], c.KVHead(h.Index)
	score := func(a, b []float64) (s T) {
		for i := range a {
			s += T(a[i] * b[i] / c.AttnScaleOf(h.Layer))
		}
		return s
	}
	forQuery, _ := c.Substitute(run, plain.Query, h.Layer, h.Index, p, p, vector)
	forKey, _ := c.Substitute(run, plain.Key, h.Layer, h.Index, p, p, vector)
	c.check("replaced", []T{score(q, o.K[p][kv]), score(o.Q[p][h.Index], k)}, forQuery, forKey)
}

// draws makes a random model: options, and the tensors that they call for.
type draws struct {
	*rapid.T
	spec    *model.Spec
	tensors []checkpoint.Info
}

func (d *draws) is(name string) bool { return rapid.Bool().Draw(d.T, name) }

func (d *draws) number(name string, from, to int) int {
	return rapid.IntRange(from, to).Draw(d.T, name)
}

// tensor adds a tensor to the file.
func (d *draws) tensor(name string, shape ...int) {
	d.tensors = append(d.tensors, checkpoint.Info{Name: name, Shape: shape})
}

// vector is a parameter that is there if it is.
func (d *draws) vector(there bool, name string, n int) model.Source {
	if !there {
		return model.Source{}
	}
	d.tensor(name, n)
	return model.Source{Tensor: name}
}

// gain is a parameter near one, stored less 1 in some models.
func (d *draws) gain(there, less bool, name string, n int) model.Source {
	s := d.vector(there, name+".weight", n)
	if there && less {
		s.Plus = 0.25
	}
	return s
}

// matrix is a map in either order.
func (d *draws) matrix(inOut bool, name string, outputs, inputs int) model.Source {
	if inOut {
		d.tensor(name, inputs, outputs)
		return model.Source{Tensor: name, Order: model.InOut}
	}
	d.tensor(name, outputs, inputs)
	return model.Source{Tensor: name}
}

// drawModel writes a model to dir.
func drawModel(t *rapid.T, dir string) (*model.Spec, *model.Sources) {
	d := &draws{T: t, spec: &model.Spec{Family: "random", Layers: 2, DVocab: 23, NCtx: 24}}
	s := d.spec
	s.KVHeads = d.number("kv heads", 1, 3)
	s.Heads = s.KVHeads * d.number("group", 1, 3)
	s.DHead, s.DModel, s.DMLP = 2*d.number("half d_head", 2, 9), d.number("d_model", 9, 40), d.number("d_mlp", 5, 50)
	s.Norm = model.Norm{Centre: d.is("LayerNorm"), Eps: 1e-5}
	s.PreNorm, s.PostNorm = d.is("pre-norm"), d.is("post-norm")
	if s.NoFinalNorm = !s.PreNorm && !s.PostNorm && d.is("no last norm"); s.NoFinalNorm {
		s.Norm.Centre = false // there is no norm at all
	}
	s.Parallel = d.is("parallel")
	s.SharedNorm = s.Parallel && d.is("shared norm")
	s.EmbedScale = float64(d.number("embedding scale", 1, 3))
	s.Position = d.is("positions")
	s.PositionOffset = d.number("offset", 0, 2)
	s.QKNorm, s.QKNormEps = model.QKNorm(d.number("QK-norm", 0, 2)), 1e-6
	s.AttnScale = []float64{math.Sqrt(float64(s.DHead)), 1.7}[d.number("scale", 0, 1)]
	s.ByLayer = d.is("scale by layer")
	s.SoftCap, s.LogitCap = 3*float64(d.number("cap", 0, 1)), 4*float64(d.number("logit cap", 0, 1))
	s.Sinks = d.is("sinks")
	s.Activation, s.Gated = model.Activation(d.number("activation", 0, 3)), d.is("gated")
	// What a shift adds to values has no place in an effective embedding with sinks, and no family has both.
	s.Bias = model.Biases{QKV: d.is("QKV biases"), O: d.is("O bias"), Norm: d.is("shifts") && !s.Sinks, MLP: d.is("MLP biases"), U: d.is("b_U")}
	if d.is("experts") && d.is("and experts") {
		s.Experts = &model.Experts{Count: 4, Top: d.number("top", 1, 4), Alpha: 1.7, Limit: 0.8}
	}
	for range s.Layers {
		s.Window = append(s.Window, max(0, d.number("window", -3, 9)))
		s.Rotary = append(s.Rotary, d.rotary())
	}
	src := d.sources()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := familytest.WriteTensors(filepath.Join(dir, "model.safetensors"), d.tensors, uint64(d.number("seed", 0, 1000))); err != nil {
		t.Fatal(err)
	}
	return s, src
}

// rotary is one of any kind, or none.
func (d *draws) rotary() rotary.Rotary {
	r := rotary.Rotary{Dims: 2 * d.number("half of what turns", 0, d.spec.DHead/2), Pairs: d.is("pairs"), Factor: 1 + 0.25*float64(d.number("factor", 0, 1))}
	for i := range r.Dims / 2 {
		r.Frequencies = append(r.Frequencies, math.Pow(100, -float64(i)/float64(r.Dims)))
		r.LongFrequencies = append(r.LongFrequencies, 0.3*r.Frequencies[i])
	}
	r.LongFrom = 15
	if d.is("one list of frequencies") {
		r.LongFrequencies = nil
	}
	return r
}

func (d *draws) sources() *model.Sources {
	s := d.spec
	final := !s.NoFinalNorm
	src := &model.Sources{
		Embed:     d.matrix(false, "embed", s.DVocab, s.DModel),
		FinalGain: d.gain(final && d.is("last gain"), false, "last", s.DModel), FinalShift: d.vector(final && s.Bias.Norm, "last.bias", s.DModel),
		Unembed: d.matrix(d.is("W_U in out"), "unembed", s.DVocab, s.DModel), UnembedBias: d.vector(s.Bias.U, "unembed.bias", s.DVocab),
	}
	if s.Position {
		src.Position = d.matrix(false, "position_embed", s.NCtx+s.PositionOffset, s.DModel)
	}
	layers := make([]model.LayerSources, s.Layers)
	for l := range layers {
		layers[l] = d.layer(fmt.Sprintf("%d.", l))
	}
	src.Layer = func(l int) model.LayerSources { return layers[l] }
	return src
}

func (d *draws) layer(prefix string) model.LayerSources {
	s := d.spec
	heads, kv := s.Heads*s.DHead, s.KVHeads*s.DHead
	inOut, less := d.is("in out"), d.is("less 1")
	src := model.LayerSources{
		Gain: d.gain(s.PreNorm && d.is("gain"), less, prefix+"ln1", s.DModel), Shift: d.vector(s.PreNorm && s.Bias.Norm, prefix+"ln1.bias", s.DModel),
		QBias: d.vector(s.Bias.QKV, prefix+"q.bias", heads), KBias: d.vector(s.Bias.QKV, prefix+"k.bias", kv), VBias: d.vector(s.Bias.QKV, prefix+"v.bias", kv),
		Sink: d.vector(s.Sinks, prefix+"sink.bias", s.Heads),
		O:    d.matrix(d.is("W_O in out"), prefix+"o", s.DModel, heads), OBias: d.vector(s.Bias.O, prefix+"o.bias", s.DModel),
		PostAttnGain: d.gain(s.PostNorm && d.is("gain after"), less, prefix+"ln1post", s.DModel),
		MLPGain:      d.gain(s.PreNorm && d.is("MLP gain"), less, prefix+"ln2", s.DModel), MLPShift: d.vector(s.PreNorm && s.Bias.Norm, prefix+"ln2.bias", s.DModel),
		PostMLPGain: d.gain(s.PostNorm, less, prefix+"ln2post", s.DModel),
	}
	d.queries(&src, prefix, inOut)
	switch s.QKNorm {
	case model.PerHead:
		src.QGain, src.KGain = d.gain(true, less, prefix+"qn", s.DHead), d.gain(true, less, prefix+"kn", s.DHead)
	case model.FullWidth:
		src.QGain, src.KGain = d.gain(true, less, prefix+"qn", heads), d.gain(true, less, prefix+"kn", kv)
	}
	if s.Experts == nil {
		src.In, src.InBias = d.matrix(inOut, prefix+"in", s.DMLP, s.DModel), d.vector(s.Bias.MLP, prefix+"in.bias", s.DMLP)
		src.Out, src.OutBias = d.matrix(inOut, prefix+"out", s.DModel, s.DMLP), d.vector(s.Bias.MLP, prefix+"out.bias", s.DModel)
		if s.Gated {
			src.Gate, src.GateBias = d.matrix(!inOut, prefix+"gate", s.DMLP, s.DModel), d.vector(s.Bias.MLP, prefix+"gate.bias", s.DMLP)
		}
		return src
	}
	d.experts(&src, prefix)
	return src
}

// queries places W_Q, W_K and W_V: by themselves, as parts of one tensor, or with the rows of each head in
// another order.
func (d *draws) queries(src *model.LayerSources, prefix string, inOut bool) {
	s := d.spec
	heads, kv := s.Heads*s.DHead, s.KVHeads*s.DHead
	if d.is("fused") {
		fused := d.matrix(inOut, prefix+"qkv", heads+2*kv, s.DModel)
		from := func(first int) model.Source {
			part := fused
			part.Out = func(i int) int { return first + i }
			return part
		}
		src.Q, src.K, src.V = from(0), from(heads), from(heads+kv)
		return
	}
	src.Q, src.K, src.V = d.matrix(inOut, prefix+"q", heads, s.DModel), d.matrix(inOut, prefix+"k", kv, s.DModel), d.matrix(inOut, prefix+"v", kv, s.DModel)
	if d.is("permuted") {
		turned := func(i int) int { return i/s.DHead*s.DHead + (i+3)%s.DHead }
		src.Q.Out, src.K.Out = turned, turned
	}
}

func (d *draws) experts(src *model.LayerSources, prefix string) {
	s := d.spec
	n, both := s.Experts.Count, d.is("gate and up interleaved")
	src.Router, src.RouterBias = d.matrix(false, prefix+"router", n, s.DModel), d.vector(s.Bias.MLP, prefix+"router.bias", n)
	array := func(name string, order model.Order, shape ...int) model.Source {
		d.tensor(name, append([]int{n}, shape...)...)
		return model.Source{Tensor: name, Order: order, Experts: n}
	}
	var all model.ExpertSources
	if both {
		all.In, all.InBias = array(prefix+"gu", model.InOut, s.DModel, 2*s.DMLP), array(prefix+"gu.bias", model.OutIn, 2*s.DMLP)
	} else {
		all.Gate, all.GateBias = array(prefix+"g", model.OutIn, s.DMLP, s.DModel), array(prefix+"g.bias", model.OutIn, s.DMLP)
		all.In, all.InBias = array(prefix+"u", model.OutIn, s.DMLP, s.DModel), array(prefix+"u.bias", model.OutIn, s.DMLP)
	}
	all.Out, all.OutBias = array(prefix+"d", model.OutIn, s.DModel, s.DMLP), array(prefix+"d.bias", model.OutIn, s.DModel)
	src.Experts = func(e int) model.ExpertSources {
		x := all
		for _, p := range []*model.Source{&x.Gate, &x.GateBias, &x.In, &x.InBias, &x.Out, &x.OutBias} {
			p.Expert = e
		}
		return x
	}
}
