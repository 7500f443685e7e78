package decompose_test

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// Source positions against the arrays of deep.npz, before anything is stored: float64 to 1e-9 of the largest
// number, float32 to 5e-5. The real model is read in float32.
func TestDeepSources(t *testing.T) {
	for _, name := range []string{"gpt2", "llama3", "qwen3", "gemma2"} {
		dir := filepath.Join(refdata.Families(t), name)
		t.Run(name, func(t *testing.T) {
			compareSources[float64](t, dir, filepath.Join(dir, "model"), 1e-9)
			compareSources[float32](t, dir, filepath.Join(dir, "model"), 5e-5)
		})
	}
	t.Run("smollm2-135m", func(t *testing.T) {
		dir := filepath.Join(refdata.Models(t), "smollm2-135m")
		compareSources[float32](t, dir, filepath.Join(dir, "SmolLM2-135M-Instruct.Q4_1.gguf"), 5e-5)
	})
}

func compareSources[T blas.Float](t *testing.T, dir, path string, tolerance float64) {
	t.Helper()
	var facts struct {
		Prompts []struct{ Query, Key, Baseline int }
		Heads   []string
	}
	refdata.JSON(t, filepath.Join(dir, "golden.json"), &facts)
	golden, deep := refdata.Npz(t, filepath.Join(dir, "golden.npz")), refdata.Npz(t, filepath.Join(dir, "deep.npz"))
	m := modeltest.Load[T](t, modeltest.OpenPath(t, path), "auto", schema.Processed, 2)
	compared, worst := 0, 0.0
	for i, p := range facts.Prompts {
		for _, label := range facts.Heads {
			want, ok := deep[fmt.Sprintf("%d/%s/sources", i, label)]
			if !ok {
				continue
			}
			head, err := schema.ParseHead(label)
			if err != nil {
				t.Fatal(err)
			}
			s := model.Sequence{Tokens: golden[fmt.Sprintf("%d/tokens", i)].Ints(), Positions: []int{p.Query, p.Key}}
			top := 0.0
			for _, v := range want.Float64 {
				top = max(top, math.Abs(v))
			}
			for from, row := range splitSources(t, m, s, head) {
				for j, v := range want.At(from.Layer*m.Spec().Heads + from.Index) {
					got := 0.0
					if j < len(row) {
						got = row[j]
					}
					worst = max(worst, math.Abs(got-v)/top)
					if !(math.Abs(got-v) <= tolerance*top) {
						t.Fatalf("prompt %d, head %s, source %s, position %d: %v, want %v", i, label, from, j, got, v)
					}
				}
			}
			compared++
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
	t.Logf("%T: %d arrays, largest difference %.1e", T(0), compared, worst)
}

// splitSources splits the key-side contributions of all heads below a head, at position 1 of the sequence.
func splitSources[T blas.Float](t *testing.T, m *model.Model[T], s model.Sequence, head schema.Head) map[schema.Head][]float64 {
	t.Helper()
	spec := m.Spec()
	var sources []schema.Head
	for l := range head.Layer {
		for h := range spec.Heads {
			sources = append(sources, schema.Head{Layer: l, Index: h})
		}
	}
	cache, err := m.ForwardFor(t.Context(), []model.Sequence{s}, model.Wanted{Heads: []schema.Head{head}, Sources: sources, Parts: true})
	if err != nil {
		t.Fatal(err)
	}
	qk, layout := m.QK(head), m.Layout()
	norm := decompose.Norm{Kind: decompose.RMS, Eps: spec.Norm.Eps}
	if spec.Norm.Centre {
		norm.Kind = decompose.LN
	}
	in := decompose.Input[T]{Convention: schema.Exact, Norm: norm, AttnScale: spec.AttnScaleOf(head.Layer),
		Components: layout.Components()[:layout.Below(head.Layer)],
		Maps:       decompose.Maps[T]{WQ: qk.WQ, WK: qk.WK, QGain: qk.QGain, KGain: qk.KGain}}
	if layout.QKBias {
		in.Maps.BQ, in.Maps.BK = qk.BQ, qk.BK
	}
	at := func(i int, scale T, v []T) decompose.Position[T] {
		return decompose.Position[T]{Components: cache.ComponentsBefore(head.Layer, 0, i), Stream: cache.ResidPre(head.Layer, 0, i),
			Scale: cache.NormScale(head.Layer, 0, i), Vector: v, VectorScale: scale, Turn: spec.RotaryOf(head.Layer).At(s.Positions[i], len(s.Tokens))}
	}
	in.Query = at(0, cache.QNormScale(head, 0, 0), cache.Q(head, 0, 0))
	in.Key = at(1, cache.KNormScale(head, 0, 1), cache.K(head, 0, 1))
	maps, err := decompose.NewSourceMaps(in)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[schema.Head][]float64{}
	for _, h := range sources {
		read := func(i int) decompose.Read[T] {
			return decompose.Read[T]{First: cache.FirstKey(h, 0, i), Prob: cache.Pattern(h, 0, i), Values: cache.Values(h, 0, i), Scale: cache.PostAttnScale(h.Layer, 0, i)}
		}
		_, key, err := maps.Split(decompose.Source[T]{Component: layout.Head(h), WO: m.WO(h), Gain: m.PostAttnGain(h.Layer),
			Centres: spec.PostNorm && spec.Norm.Centre, Query: read(0), Key: read(1)})
		if err != nil {
			t.Fatal(err)
		}
		rows[h] = append(make([]float64, key.First), key.Score...)
	}
	return rows
}
