package decompose_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// deepFolder is a folder with numbers about whole rows.
type deepFolder struct {
	name, model string
	dir         string
	arrays      map[string]refdata.Array // deep.npz
	tokens      map[string]refdata.Array // golden.npz
	heads       []schema.Head
	prompts     int

	Heads   []string
	Prompts []struct{ Query, Key, Baseline int }
}

// deepFolders lists them, or skips the test.
func deepFolders(t *testing.T) (list []*deepFolder) {
	t.Helper()
	families, models := refdata.Families(t), refdata.Models(t)
	for _, name := range []string{"gpt2", "llama3", "qwen3", "gemma2"} {
		list = append(list, &deepFolder{name: name, dir: filepath.Join(families, name), model: "model", prompts: 3})
	}
	if !testing.Short() {
		list = append(list, &deepFolder{name: "smollm2-135m", dir: filepath.Join(models, "smollm2-135m"), model: "SmolLM2-135M-Instruct.Q4_1.gguf", prompts: 1})
	}
	for _, f := range list {
		refdata.JSON(t, filepath.Join(f.dir, "golden.json"), f)
		f.arrays, f.tokens = refdata.Npz(t, filepath.Join(f.dir, "deep.npz")), refdata.Npz(t, filepath.Join(f.dir, "golden.npz"))
		if f.prompts == 1 {
			f.Heads = []string{"24.4"}
		}
		for _, label := range f.Heads {
			h, err := schema.ParseHead(label)
			if err != nil {
				t.Fatal(err)
			}
			f.heads = append(f.heads, h)
		}
	}
	return list
}

// everyPosition runs the folder's prompts through its model, and keeps each position up to the query.
func everyPosition[T blas.Float](t *testing.T, f *deepFolder) (*model.Model[T], *model.Cache[T], []model.Sequence) {
	t.Helper()
	opened := modeltest.OpenPath(t, filepath.Join(f.dir, f.model))
	m := modeltest.Load[T](t, opened, "auto", schema.Processed, 2)
	var seqs []model.Sequence
	for i, p := range f.Prompts[:f.prompts] {
		tokens := f.tokens[fmt.Sprintf("%d/tokens", i)].Ints()
		s := model.Sequence{Tokens: tokens[:p.Query+1], Length: len(tokens)}
		for pos := range s.Tokens {
			s.Positions = append(s.Positions, pos)
		}
		seqs = append(seqs, s)
	}
	cache, err := m.Forward(t.Context(), seqs, f.heads)
	if err != nil {
		t.Fatal(err)
	}
	return m, cache, seqs
}

// deepInput is a query of a head, with the keys of all positions.
type deepInput[T blas.Float] struct {
	decompose.Input[T] // without a baseline
	keys               *decompose.Keys[T]
	positions          []decompose.Position[T] // as keys
	scores             []T                     // from position first on
	first, query, key  int
}

// deepInputOf collects a head's vectors for a query and a key of a sequence of which all positions are kept.
func deepInputOf[T blas.Float](t *testing.T, m *model.Model[T], cache *model.Cache[T], s model.Sequence, seq int, h schema.Head, query, key int) deepInput[T] {
	t.Helper()
	spec, qk := m.Spec(), m.QK(h)
	at := func(pos int, vector func(schema.Head, int, int) []T, scale func(schema.Head, int, int) T) decompose.Position[T] {
		p := decompose.Position[T]{Components: cache.ComponentsBefore(h.Layer, seq, pos), Stream: cache.ResidPre(h.Layer, seq, pos),
			Scale: cache.NormScale(h.Layer, seq, pos), Vector: vector(h, seq, pos), Turn: spec.RotaryOf(h.Layer).At(pos, s.Length)}
		if spec.QKNorm != model.NoQKNorm {
			p.VectorScale = scale(h, seq, pos)
		}
		return p
	}
	x := deepInput[T]{scores: cache.Scores(h, seq, query), first: cache.FirstKey(h, seq, query), query: query, key: key}
	for pos := range query + 1 {
		x.positions = append(x.positions, at(pos, cache.K, cache.KNormScale))
	}
	norm := decompose.Norm{Kind: decompose.RMS, Eps: spec.Norm.Eps}
	if spec.Norm.Centre {
		norm.Kind = decompose.LN
	}
	x.Input = decompose.Input[T]{Norm: norm, AttnScale: spec.AttnScaleOf(h.Layer), SoftCap: spec.SoftCap,
		Components: m.Layout().Components()[:m.Layout().Below(h.Layer)],
		Maps:       decompose.Maps[T]{WQ: qk.WQ, WK: qk.WK, QGain: qk.QGain, KGain: qk.KGain},
		Query:      at(query, cache.Q, cache.QNormScale), Key: x.positions[key],
		QueryBases: make([]decompose.Basis, 1), KeyBases: make([]decompose.KeyBases, 1)}
	if m.Layout().QKBias {
		x.Maps.BQ, x.Maps.BK = qk.BQ, qk.BK
	}
	if spec.QKNorm != model.NoQKNorm {
		x.QKScale = func(side schema.Side, normalised []float64) float64 { return m.QKNormScale(h, side, normalised) }
	}
	x.Key.Score = x.scores[key-x.first]
	var err error
	if x.keys, err = decompose.NewKeys(x.Input, len(x.positions), 1, 2); err == nil {
		err = x.keys.Add(x.positions, [][]decompose.Basis{make([]decompose.Basis, len(x.positions))})
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// weights returns the weights of a baseline, by position.
func (x *deepInput[T]) weights(t *testing.T, kind schema.BaselineKind) []float64 {
	t.Helper()
	others, err := decompose.Others(kind, x.SoftCap, x.scores, x.key-x.first)
	if err != nil {
		t.Fatal(err)
	}
	return append(make([]float64, x.first), others...)
}

// mean sets the mean key with these weights, unsplit, as the input's baseline.
func (x *deepInput[T]) mean(t *testing.T, weights []float64) decompose.Input[T] {
	t.Helper()
	in := x.Input
	means, err := x.keys.Means(provider(t), [][]float64{weights})
	if err != nil {
		t.Fatal(err)
	}
	in.Mean = means[0]
	in.Mean.Score = 0
	for i, s := range x.scores {
		in.Mean.Score += weights[x.first+i] * float64(s)
	}
	return in
}

// Rows and mean baselines agree with the reference numbers, in every folder that has them.
func TestReferenceRows(t *testing.T) {
	worst := map[string]float64{}
	for _, f := range deepFolders(t) {
		t.Run(f.name, func(t *testing.T) {
			compareRows[float64](t, f, "float64", 1e-9, worst)
			compareRows[float32](t, f, "float32", 5e-5, worst)
		})
	}
	var names []string
	for name := range worst {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("%-28s %.1e", name, worst[name])
	}
}

func compareRows[T blas.Float](t *testing.T, f *deepFolder, precision string, tolerance float64, worst map[string]float64) {
	t.Helper()
	m, cache, seqs := everyPosition[T](t, f)
	for seq, s := range seqs {
		for _, h := range f.heads {
			p := f.Prompts[seq]
			x := deepInputOf(t, m, cache, s, seq, h, p.Query, p.Key)
			compare := func(name string, got []float64) {
				array, ok := f.arrays[fmt.Sprintf("%d/%s/%s", seq, h, name)]
				if !ok || len(got) != array.Len() {
					t.Fatalf("%s: %d numbers, want an array of shape %v", name, len(got), array.Shape)
				}
				largest, off := 0.0, 0.0
				for i, want := range array.Float64 {
					if math.IsNaN(want) != math.IsNaN(got[i]) {
						t.Errorf("%s: number %d is %v, want %v", name, i, got[i], want)
					} else if !math.IsNaN(want) {
						largest, off = max(largest, math.Abs(want)), max(off, math.Abs(got[i]-want))
					}
				}
				quantity := precision + " " + name
				worst[quantity] = max(worst[quantity], off/largest)
				if !(off <= tolerance*largest) {
					t.Errorf("prompt %d, head %s, %s, %s: off by %g, the largest is %g", seq, h, precision, name, off, largest)
				}
			}
			compare("rows", x.referenceRows())
			for _, kind := range kinds {
				out, err := decompose.Contributions(x.mean(t, x.weights(t, kind)))
				if err != nil {
					t.Fatal(err)
				}
				if !(out.RelativeClosure <= tolerance) {
					t.Errorf("prompt %d, head %s, %s, baseline %s: closure %g", seq, h, precision, kind, out.RelativeClosure)
				}
				var diff []float64
				for i, row := range out.Tables[0].Score { // the key side
					diff = append(diff, row[schema.PerpPerp]-out.Tables[0].Baseline[i][schema.PerpPerp])
				}
				if x.Maps.BK == nil {
					diff = append(diff, 0)
				}
				compare("baseline_"+string(kind), diff)
			}
		}
	}
}

// referenceRows arranges the key side of a row as the arrays are: [component and bias, position], NaN if the
// query does not see the position.
func (x *deepInput[T]) referenceRows() []float64 {
	row := x.keys.Row(x.Query.Vector, x.first, len(x.positions))
	var list []float64
	for c := range len(x.Components) + 1 {
		for pos := range x.positions {
			switch {
			case pos < x.first:
				list = append(list, math.NaN())
			case c == row.Cols: // no bias
				list = append(list, 0)
			default:
				list = append(list, row.At(pos-x.first, c))
			}
		}
	}
	return list
}

// A mean baseline agrees with the mean of the decompositions of each position, for every query of a prompt
// and both sides.
func TestMeanBaselineOverWindows(t *testing.T) {
	for _, f := range deepFolders(t) {
		if f.prompts == 1 {
			continue // a large model for many queries
		}
		t.Run(f.name, func(t *testing.T) {
			m, cache, seqs := everyPosition[float64](t, f)
			for _, h := range f.heads {
				for query := 1; query < len(seqs[0].Tokens); query += 3 {
					key := (query*7 + 3) % (query + 1)
					key = max(key, cache.FirstKey(h, 0, query))
					x := deepInputOf(t, m, cache, seqs[0], 0, h, query, key)
					for _, kind := range kinds {
						weights := x.weights(t, kind)
						out := contributions(t, x.mean(t, weights))
						for i, table := range out.Tables {
							want := make([][4]float64, len(table.Score))
							for s, w := range weights {
								if w == 0 {
									continue
								}
								in := x.Input
								in.Key = x.positions[s]
								in.Key.Score = x.scores[s-x.first]
								for c, row := range contributions(t, in).Tables[i].Score {
									want[c][schema.PerpPerp] += w * row[schema.PerpPerp]
								}
							}
							if d := difference(table.Baseline, want); !(d <= tolerance64) {
								t.Errorf("head %s, query %d, key %d, baseline %s, %s side: off by %g", h, query, key, kind, table.Side, d)
							}
						}
					}
				}
			}
		})
	}
}

// With the attention baseline, the contribution to the key minus that to the baseline is the derivative of
// the logarithm of the key's probability divided by one minus the probability. The test scales a component's
// part of all keys slightly and recomputes attention. (Without a cap and a sink.)
func TestAttentionBaselineMovesTheLogProbability(t *testing.T) {
	for _, f := range deepFolders(t) {
		if f.prompts == 1 || f.name == "gemma2" { // large; capped
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			m, cache, seqs := everyPosition[float64](t, f)
			for _, h := range f.heads {
				p := f.Prompts[0]
				x := deepInputOf(t, m, cache, seqs[0], 0, h, p.Query, p.Key)
				row := x.keys.Row(x.Query.Vector, x.first, len(x.positions))
				table := contributions(t, x.mean(t, x.weights(t, schema.BaselineAttention))).Tables[0]
				logProb := func(component int, more float64) float64 {
					sum := 0.0
					for pos, s := range x.scores {
						sum += math.Exp(s + more*row.At(pos, component))
					}
					return x.scores[p.Key-x.first] + more*row.At(p.Key-x.first, component) - math.Log(sum)
				}
				prob := math.Exp(logProb(0, 0))
				for c := range table.Score {
					const little = 1e-4
					slope := (logProb(c, little) - logProb(c, -little)) / (2 * little)
					diff := table.Score[c][schema.PerpPerp] - table.Baseline[c][schema.PerpPerp]
					if want := (1 - prob) * diff; !(math.Abs(slope-want) <= 1e-6*max(1, math.Abs(want))) {
						t.Errorf("head %s, component %d: the log-probability moves by %g, want %g", h, c, slope, want)
					}
				}
			}
		})
	}
}

// If the key's position is masked, the attention of the other positions are the baseline's weights, and the
// mean of their keys is its key.
func TestMaskedKeyLeavesTheWeights(t *testing.T) {
	for _, f := range deepFolders(t) {
		if f.prompts == 1 {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			m, cache, seqs := everyPosition[float64](t, f)
			for _, h := range f.heads {
				p := f.Prompts[1]
				x := deepInputOf(t, m, cache, seqs[1], 1, h, p.Query, p.Key)
				masked := append([]float64(nil), x.scores...)
				for i, s := range masked {
					if x.SoftCap > 0 {
						masked[i] = x.SoftCap * math.Tanh(s/x.SoftCap)
					}
				}
				masked[p.Key-x.first] = math.Inf(-1)
				top, total := slices.Max(masked), 0.0
				for _, s := range masked {
					total += math.Exp(s - top)
				}
				weights := x.weights(t, schema.BaselineAttention)
				mean := 0.0
				for i, s := range masked {
					again := math.Exp(s-top) / total
					mean += again * x.scores[i]
					if d := math.Abs(again - weights[x.first+i]); !(d <= 1e-12) {
						t.Errorf("head %s, position %d: weight %g, masked attention %g", h, x.first+i, weights[x.first+i], again)
					}
				}
				table := contributions(t, x.mean(t, weights)).Tables[0]
				if parts := sum(table.Baseline); !(math.Abs(parts-mean) <= tolerance64) {
					t.Errorf("head %s: baseline adds up to %g, the masked row has %g", h, parts, mean)
				}
			}
		})
	}
}
