package plain_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/family"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model"
	"ducklens/engine/model/plain"
	"ducklens/schema"
)

// The fast decoder and this one agree on random models of random families, in both forms of the weights.
func TestFast(t *testing.T) {
	models := 60
	if testing.Short() {
		models = 20
	}
	for seed := range models {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		config := familytest.Random(rng)
		t.Run(fmt.Sprintf("%d-%s", seed, config["model_type"]), func(t *testing.T) {
			c := familytest.Open(t, config, uint64(seed))
			f, err := family.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			slow, err := plain.Load(plain.Stored(c), f.Spec, f.Sources)
			if err != nil {
				t.Fatal(err)
			}
			provider, err := blas.ByName("auto")
			if err != nil {
				t.Fatal(err)
			}
			for _, form := range []schema.Processing{schema.Processed, schema.Raw} {
				fast, err := model.Load[float64](c, f.Spec, f.Sources, form, provider, 1)
				if err != nil {
					t.Fatal(err)
				}
				x := &fastCheck{T: t, fast: fast, slow: slow, form: form}
				x.run(rng)
			}
			if t.Failed() {
				text, _ := json.Marshal(config)
				t.Logf("config.json: %s", text)
			}
		})
	}
}

// fastCheck holds the two against each other in one form of the weights.
type fastCheck struct {
	*testing.T
	fast *model.Model[float64]
	slow *plain.Model
	form schema.Processing
}

func (x *fastCheck) near(what string, got, want []float64) {
	x.Helper()
	if len(got) != len(want) {
		x.Errorf("%v %s: %d numbers, want %d", x.form, what, len(got), len(want))
		return
	}
	size := 1e-3
	for _, w := range want {
		size = max(size, math.Abs(w))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 1e-9*size) {
			x.Errorf("%v %s: number %d is %v, want %v", x.form, what, i, got[i], want[i])
			return
		}
	}
}

// run compares two sequences that begin alike.
func (x *fastCheck) run(rng *rand.Rand) {
	s := x.slow.Spec
	long := make([]int, 6+rng.IntN(40))
	for i := range long {
		long[i] = rng.IntN(s.DVocab)
	}
	short := append([]int(nil), long[:5]...)
	short[4] = (short[4] + 1) % s.DVocab
	var seqs []model.Sequence
	for _, tokens := range [][]int{long, short} {
		seqs = append(seqs, model.Sequence{Tokens: tokens,
			Positions: []int{len(tokens) - 1, rng.IntN(len(tokens))}})
	}
	var heads []schema.Head
	for l := range s.Layers {
		for h := range s.Heads {
			heads = append(heads, schema.Head{Layer: l, Index: h})
		}
	}
	cache, err := x.fast.ForwardAll(x.Context(), seqs, heads)
	if err != nil {
		x.Fatal(err)
	}
	for i, seq := range seqs {
		r := x.slow.Forward(seq.Tokens)
		for at, pos := range seq.Positions {
			x.stream(cache, r, i, at, pos)
			for _, h := range heads {
				x.head(cache, r, h, i, at, pos)
			}
		}
	}
	for _, token := range []int{0, 7} {
		x.near("direction of a token", x.fast.Unembed(token), x.slow.UnembedDirection(token, x.form))
	}
}

// stream compares the components at a position and their scales.
func (x *fastCheck) stream(cache *model.Cache[float64], r *plain.Run, seq, at, pos int) {
	s := x.slow.Spec
	want := x.slow.Components(r, x.form, s.Layers, pos)
	got := cache.ComponentsBefore(s.Layers, seq, at).Data().([]float64)
	for c, w := range want {
		if x.form == schema.Processed && s.Norm.Centre && s.PreNorm {
			w = centred(w)
		}
		x.near(fmt.Sprintf("component %d", c), got[c*s.DModel:(c+1)*s.DModel], w)
	}
	for l := range s.Layers {
		o := &r.Layer[l]
		got := []float64{cache.NormScale(l, seq, at), cache.MLPNormScale(l, seq, at),
			cache.PostAttnScale(l, seq, at), cache.PostMLPScale(l, seq, at)}
		x.near(fmt.Sprintf("scales of layer %d", l), got,
			[]float64{o.Scale[pos], o.MLPScale[pos], o.PostScale[pos], o.PostMLPScale[pos]})
	}
}

// head compares the attention of one head at a position.
func (x *fastCheck) head(cache *model.Cache[float64], r *plain.Run, h schema.Head, seq, at, pos int) {
	o, kv := &r.Layer[h.Layer], x.slow.KVHead(h.Index)
	what := func(name string) string { return fmt.Sprintf("%s of %d.%d at %d", name, h.Layer, h.Index, pos) }
	x.near(what("q"), cache.Q(h, seq, at), o.Q[pos][h.Index])
	x.near(what("k"), cache.K(h, seq, at), o.K[pos][kv])
	first := cache.FirstKey(h, seq, at)
	if first > 0 && x.slow.Sees(h.Layer, pos, first-1) || !x.slow.Sees(h.Layer, pos, first) {
		x.Errorf("%s is %d", what("first key"), first)
	}
	x.near(what("scores"), cache.Scores(h, seq, at), o.Score[h.Index][pos][first:pos+1])
	x.near(what("pattern"), cache.Pattern(h, seq, at), o.Pattern[h.Index][pos][first:pos+1])
	if x.slow.Sinks {
		x.near(what("sink"), []float64{cache.SinkProb(h, seq, at)}, []float64{o.SinkProb[h.Index][pos]})
	}
	x.near(what("QK-norm"), []float64{cache.QNormScale(h, seq, at), cache.KNormScale(h, seq, at)},
		[]float64{o.QScale[pos][h.Index], o.KScale[pos][kv]})
}
