package engine_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model/plain"
	"ducklens/schema"
)

// below returns the heads below a layer.
func below(layers, heads int) (list []schema.Head) {
	for l := range layers {
		for h := range heads {
			list = append(list, schema.Head{Layer: l, Index: h})
		}
	}
	return list
}

// sourceEngine opens a folder's model with every head below its targets as a source.
func (g *familyGolden) sourceEngine(options engine.Options) *engine.Engine {
	g.Helper()
	top := 0
	for _, label := range g.Heads {
		h, err := schema.ParseHead(label)
		if err != nil {
			g.Fatal(err)
		}
		options.Heads, top = append(options.Heads, h), max(top, h.Layer)
	}
	if g.BOS == nil {
		options.BOS = engine.BOSOff
	}
	options.QueryBases, options.KeyBases = []string{"none"}, []string{"none"}
	m := open(g.T, filepath.Join(g.dir, "model"), options).Model()
	options.Sources = below(top, m.NHeads)
	return open(g.T, filepath.Join(g.dir, "model"), options)
}

// laid returns the splits of a side as [head, position].
func laid(e *engine.Engine, h *schema.HeadResult, side schema.Side, baseline bool, n int) []float64 {
	out := make([]float64, h.Head.Layer*e.Model().NHeads*n)
	for _, s := range h.Sources {
		c := e.Components()[s.Component]
		numbers := s.Score
		if baseline {
			numbers = s.Baseline
		}
		if s.Side == side {
			for i, v := range numbers {
				out[(c.Layer*e.Model().NHeads+c.Head)*n+s.First+i] = float64(v)
			}
		}
	}
	return out
}

// Sources agree with the arrays of deep.npz and, on both sides, at the key and at the baseline, with the
// plain reference of every family, in both forms of the weights. They add up to the contributions of their
// heads.
func TestSourcesOfFamilies(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(refdata.Families(t), "*", "golden.json"))
	if err != nil || len(folders) < 24 {
		t.Fatalf("%d folders, want 24: %v", len(folders), err)
	}
	deep := 0
	for _, precision := range []string{engine.Float64, engine.Float32} {
		worst := map[string]float64{}
		for _, file := range folders {
			dir := filepath.Dir(file)
			t.Run(precision+"/"+filepath.Base(dir), func(t *testing.T) {
				g := readFamily(t, dir)
				g.tolerance = map[string]float64{engine.Float64: 1e-6, engine.Float32: 5e-5}[precision]
				if arrays, err := filepath.Glob(filepath.Join(dir, "deep.npz")); err == nil && len(arrays) > 0 {
					for name, a := range refdata.Npz(t, arrays[0]) {
						g.arrays["deep/"+name] = a
					}
					deep++
				}
				c, err := checkpoint.Open(filepath.Join(dir, "model"))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				reference, err := plain.Open(c)
				if err != nil {
					t.Fatal(err)
				}
				for _, form := range []schema.Processing{schema.Processed, schema.Raw} {
					g.sources(reference, engine.Options{Precision: precision, Processing: form})
				}
				for quantity, d := range g.worst {
					worst[quantity] = max(worst[quantity], d)
				}
			})
		}
		t.Logf("%s: largest differences %v", precision, worst)
	}
	if deep != 8 {
		t.Errorf("%d models compared with deep.npz, want four in both precisions", deep)
	}
}

func (g *familyGolden) sources(reference *plain.Model, options engine.Options) {
	g.Helper()
	e := g.sourceEngine(options)
	examples := g.examples(e)
	for i := range examples {
		if len(examples[i].Tokens) > 200 {
			examples = examples[:i] // the reference takes minutes for a long prompt
			break
		}
	}
	for i, r := range analyze(g.T, e, examples) {
		x := r.Example
		n := len(x.Tokens)
		var ids []int
		for _, t := range x.Tokens {
			ids = append(ids, t.ID)
		}
		run := reference.Forward(ids)
		for _, h := range r.Heads {
			prefix := fmt.Sprintf("%d/%s/", i, h.Head)
			for _, of := range []struct {
				side     schema.Side
				plain    plain.Side
				baseline bool
			}{{schema.Key, plain.Key, false}, {schema.Key, plain.Key, true}, {schema.Query, plain.Query, false}, {schema.Query, plain.Query, true}} {
				key := x.Key
				if of.baseline {
					key = x.Baseline
				}
				name := fmt.Sprintf("%s%s/%t/%s", prefix, of.side, of.baseline, options.Processing)
				want := refdata.Array{Shape: []int{h.Head.Layer * e.Model().NHeads, n}}
				want.Float64 = slices.Concat(reference.SourcesOn(run, options.Processing, of.plain, h.Head.Layer, h.Head.Index, x.Query, key)...)
				g.arrays[name] = want
				got := laid(e, &h, of.side, of.baseline, n)
				if h.Head.Layer > 0 {
					g.compare(name, "sources", got)
				}
				if deep := "deep/" + prefix + "sources"; of == (struct {
					side     schema.Side
					plain    plain.Side
					baseline bool
				}{schema.Key, plain.Key, false}) && options.Processing == schema.Processed {
					if _, ok := g.arrays[deep]; ok {
						g.compare(deep, "deep.npz", got)
					}
				}
				for _, c := range h.Contributions {
					k := e.Components()[c.Component]
					if k.Kind != schema.HeadOut || c.Side != of.side {
						continue
					}
					whole, sum := float64(c.Score[schema.PerpPerp]), 0.0
					if of.baseline {
						whole = float64(c.Baseline[schema.PerpPerp])
					}
					for _, v := range got[(k.Layer*e.Model().NHeads+k.Head)*n:][:n] {
						sum += v
					}
					if d := math.Abs(sum - whole); !(d <= 1e-5*max(1, math.Abs(float64(h.Score.Score)))) {
						g.Errorf("%s: sources of %s add up to %v, want %v", name, k.Label(), sum, whole)
					}
				}
			}
		}
	}
}

// Named sources belong to the targets above them. Chosen sources are the largest by contributions to the
// probe, on either side.
func TestSourcesAreChosen(t *testing.T) {
	t.Parallel()
	dir, examples := modelFolder(t), referenceExamples(t)[:engine.ProbeExamples]
	examples[4].Baseline = schema.NoPosition
	heads := []schema.Head{{Layer: 2, Index: 1}, {Layer: 1, Index: 3}, {Layer: 0, Index: 0}}
	options := engine.Options{Heads: heads, QueryBases: []string{"none"}, KeyBases: []string{"none"}}
	options.Sources = []schema.Head{{Layer: 1, Index: 2}, {Layer: 0, Index: 3}}
	e := open(t, dir, options)
	for i, want := range [][]schema.Head{options.Sources, options.Sources[1:], nil} {
		if got := e.Sources(heads[i]); !slices.Equal(got, want) {
			t.Errorf("sources of %s are %v, want %v", heads[i], got, want)
		}
	}
	options.Sources, options.TopSources = nil, 2
	e = open(t, dir, options)
	if _, err := e.Analyze(t.Context(), examples[:1]); !errors.Is(err, engine.ErrSource) || !strings.Contains(hint(err), "Prepare") {
		t.Errorf("Analyze before Prepare: %v, hint %q", err, hint(err))
	}
	if err := e.Prepare(t.Context(), nil); !errors.Is(err, engine.ErrSource) {
		t.Errorf("Prepare with no examples: %v", err)
	}
	if err := e.Prepare(t.Context(), examples); err != nil {
		t.Fatal(err)
	}
	results := analyze(t, e, examples)
	for i, target := range heads {
		sizes := map[schema.Side]map[schema.Head]float64{schema.Query: {}, schema.Key: {}}
		for _, r := range results {
			for _, c := range r.Heads[i].Contributions {
				if k := e.Components()[c.Component]; k.Kind == schema.HeadOut {
					share := float64(c.Score[schema.PerpPerp])
					if r.Example.Baseline != schema.NoPosition {
						share -= float64(c.Baseline[schema.PerpPerp])
					}
					sizes[c.Side][schema.Head{Layer: k.Layer, Index: k.Head}] += math.Abs(share)
				}
			}
		}
		want := map[schema.Head]bool{}
		for _, of := range sizes {
			var list []schema.Head
			for h := range of {
				list = append(list, h)
			}
			slices.SortFunc(list, func(a, b schema.Head) int { return int(math.Copysign(1, of[b]-of[a])) })
			for _, h := range list[:min(2, len(list))] {
				want[h] = true
			}
		}
		got := e.Sources(target)
		for _, h := range got {
			if !want[h] {
				t.Errorf("source %s of %s is not among %v", h, target, want)
			}
		}
		if len(got) != len(want) {
			t.Errorf("sources of %s are %v, want %v", target, got, want)
		}
		split := map[schema.Side]int{}
		for _, s := range results[0].Heads[i].Sources {
			split[s.Side]++
		}
		if split[schema.Query] != len(want) || split[schema.Key] != len(want) {
			t.Errorf("%v splits of %s, want %d on each side", split, target, len(want))
		}
	}
	if notices := e.Notices(); !slices.ContainsFunc(notices, func(s string) bool { return strings.Contains(s, "no sources for head 0.0") }) {
		t.Errorf("notices %q, want one about head 0.0", notices)
	}
}

func TestSourcesThatCannotBe(t *testing.T) {
	t.Parallel()
	dir, heads := modelFolder(t), []schema.Head{{Layer: 1, Index: 0}}
	for _, c := range []struct {
		options engine.Options
		err     error
		text    string
	}{
		{engine.Options{Heads: heads, Sources: []schema.Head{{Layer: 1, Index: 1}}}, engine.ErrSource, "no target head reads what layer 1 writes"},
		{engine.Options{Heads: heads, Sources: []schema.Head{{Layer: 0, Index: 99}}}, engine.ErrUnknownHead, "0.99"},
		{engine.Options{Heads: heads, Sources: []schema.Head{{Layer: 0}, {Layer: 0}}}, engine.ErrOptions, "twice"},
		{engine.Options{Heads: heads, Sources: []schema.Head{{Layer: 0}}, TopSources: 3}, engine.ErrOptions, "one or the other"},
		{engine.Options{Heads: heads, TopSources: -1}, engine.ErrOptions, "one or the other"},
		{engine.Options{AttentionOnly: true, TopSources: 1}, engine.ErrOptions, "attention only"},
	} {
		e, err := engine.Open(dir, c.options)
		if err == nil {
			e.Close()
		}
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v, want %v with %q", c.options, err, c.err, c.text)
		}
	}
}
