package model_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"ducklens/engine/internal/refdata"
	"ducklens/engine/model"
	"ducklens/engine/model/plain"
	"ducklens/schema"
)

// TestRunOn replaces heads and MLPs of every family, at all positions and at one, by nothing and by something
// else, and compares with the plain reference, which runs the whole model.
func TestRunOn(t *testing.T) {
	t.Parallel()
	root := refdata.Families(t)
	folders, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if folder.IsDir() {
			t.Run(folder.Name(), func(t *testing.T) {
				t.Parallel()
				checkRunOn(t, filepath.Join(root, folder.Name()))
			})
		}
	}
}

func checkRunOn(t *testing.T, dir string) {
	c := open(t, dir)
	m := load[float64](t, c, schema.Processed)
	reference, err := plain.Open(c.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	spec, layout := c.Spec, m.Layout()
	last := spec.Layers - 1
	heads := []schema.Head{{Layer: last, Index: spec.Heads - 1}, {Layer: 1, Index: 0}}
	tokens := [][]int{{7, 3, 60, 22, 3, 7, 91, 15}, {7, 3, 60, 41, 5}}
	var seqs []model.Sequence
	for _, list := range tokens {
		s := model.Sequence{Tokens: list}
		for p := range list {
			s.Positions = append(s.Positions, p)
		}
		seqs = append(seqs, s)
	}
	base, err := m.ForwardFor(t.Context(), seqs, model.Wanted{Heads: heads, All: true, Parts: true, Streams: true})
	if err != nil {
		t.Fatal(err)
	}
	other, first := make([]float64, spec.DModel), make([]float64, spec.DModel)
	for i := range other {
		other[i], first[i] = math.Sin(float64(i)), math.Cos(float64(i))
	}
	centre(other, spec)
	centre(first, spec)
	worst := 0.0
	for l := range last {
		for _, away := range []schema.Head{{Layer: l, Index: 1}, {Layer: l, Index: 0}, {Layer: l, Index: -1}} {
			component := layout.MLP(l)
			if away.Index >= 0 {
				component = layout.Head(away)
			}
			var variants []model.Variant[float64]
			for seq, list := range tokens {
				variants = append(variants,
					model.Variant[float64]{Sequence: seq, Component: component},
					model.Variant[float64]{Sequence: seq, Component: component, Positions: []int{len(list) - 1}, Instead: other},
					model.Variant[float64]{Sequence: seq, Component: component, Instead: other, FirstInstead: first})
			}
			got, err := m.RunOn(t.Context(), base, seqs, variants, model.Wanted{Heads: heads, All: true, Streams: true})
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range variants {
				list := tokens[v.Sequence]
				want := reference.ForwardInstead(list, &away, func(pos int) ([]float64, bool) {
					switch {
					case v.Positions != nil && pos != v.Positions[0]:
						return nil, false
					case v.Instead == nil:
						return make([]float64, spec.DModel), true
					case pos == 0 && v.FirstInstead != nil:
						return first, true
					}
					return other, true
				})
				query := len(list) - 1
				for _, h := range heads {
					if h.Layer <= l {
						continue
					}
					row := got.Row(model.Row[float64]{}, h, i, 0)
					o := want.Layer[h.Layer]
					for j, s := range row.Scores {
						worst = max(worst, near(t, fmt.Sprintf("%s away in variant %d, head %v", components(layout, component), i, h), s, o.Score[h.Index][query][row.First+j]))
						worst = max(worst, near(t, "probability", row.Pattern[j], o.Pattern[h.Index][query][row.First+j]))
					}
				}
				if spec.LogitCap == 0 {
					logits := reference.LogitsAt(want, query)
					for j, v := range m.LogitsOf(got.ResidPre(spec.Layers, i, 0), []int{3, 60}) {
						worst = max(worst, near(t, "logit", v, logits[[]int{3, 60}[j]]))
					}
				}
			}
			m.Recycle(got)
		}
	}
	t.Logf("largest difference %.2g", worst)
}

func components(l schema.Layout, i int) string { return l.Components()[i].Label() }

// centre takes the mean of a vector away where processed weights have it taken away from the stream.
func centre(x []float64, s *model.Spec) {
	if !s.Norm.Centre || !s.PreNorm || s.PostNorm {
		return
	}
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for i := range x {
		x[i] -= mean
	}
}

func near(t *testing.T, what string, got, want float64) float64 {
	t.Helper()
	d := math.Abs(got-want) / max(1, math.Abs(want))
	if !(d <= 1e-9) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
	return d
}

// Variants that nothing is kept for, or that do not begin together, are refused.
func TestRunOnRefuses(t *testing.T) {
	t.Parallel()
	m := load[float32](t, open(t, refdata.M2(t)), schema.Processed)
	layout := m.Layout()
	all, part := []model.Sequence{{Tokens: []int{1, 2}, Positions: []int{0, 1}}}, []model.Sequence{{Tokens: []int{1, 2}, Positions: []int{1}}}
	wanted := model.Wanted{Heads: []schema.Head{{Layer: 1, Index: 0}}, All: true, Parts: true, Streams: true}
	base, err := m.ForwardFor(t.Context(), all, wanted)
	if err != nil {
		t.Fatal(err)
	}
	mlp := layout.MLP(0)
	for name, x := range map[string]struct {
		seqs     []model.Sequence
		variants []model.Variant[float32]
	}{
		"none":                 {all, nil},
		"an embedding":         {all, []model.Variant[float32]{{Component: layout.Embed()}}},
		"no component":         {all, []model.Variant[float32]{{Component: -1}}},
		"no sequence":          {all, []model.Variant[float32]{{Component: mlp, Sequence: 1}}},
		"two kinds":            {all, []model.Variant[float32]{{Component: mlp}, {Component: layout.Head(schema.Head{})}}},
		"positions left out":   {part, []model.Variant[float32]{{Component: mlp}}},
		"two layers of a kind": {all, []model.Variant[float32]{{Component: mlp}, {Component: layout.MLP(1)}}},
	} {
		if _, err := m.RunOn(t.Context(), base, x.seqs, x.variants, wanted); !errors.Is(err, model.ErrInput) {
			t.Errorf("%s: %v, want ErrInput", name, err)
		}
	}
}
