package engine

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gorgonia.org/tensor"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

// settleSources takes the sources of the options. If they are to be chosen, [Engine.Prepare] does it.
func (e *Engine) settleSources() error {
	for _, s := range e.options.Sources {
		if s.Layer >= e.description.NLayers || s.Index >= e.description.NHeads {
			return advise(fmt.Sprintf("heads of this model are 0.0 to %s",
				schema.Head{Layer: e.description.NLayers - 1, Index: e.description.NHeads - 1}),
				"%w %s as source: model %s has %d layers of %d heads", ErrUnknownHead, s, e.description.Name,
				e.description.NLayers, e.description.NHeads)
		}
		if !slices.ContainsFunc(e.heads, func(h schema.Head) bool { return h.Layer > s.Layer }) {
			highest := slices.MaxFunc(e.heads, func(a, b schema.Head) int { return a.Layer - b.Layer })
			return advise(fmt.Sprintf("name a source in a layer below %d", highest.Layer),
				"source head %s: %w: no target head reads what layer %d writes, the last is %s", s, ErrSource,
				s.Layer, highest)
		}
	}
	if e.options.TopSources == 0 {
		e.useSources(func(target schema.Head) []schema.Head { return e.options.Sources })
	}
	return nil
}

// topSources is the prefix by which users ask for the largest sources, as in top:4.
const topSources = "top:"

// ParseSources parses heads such as 5.5 and 0.1, or a single top:K.
func ParseSources(list []string) (sources []schema.Head, top int, err error) {
	for _, v := range list {
		v = strings.TrimSpace(v)
		if number, ok := strings.CutPrefix(v, topSources); ok {
			if top, err = strconv.Atoi(number); err != nil || top < 1 {
				return nil, 0, fmt.Errorf("%s, want a count of at least 1, such as %s4", v, topSources)
			}
			if len(list) > 1 {
				return nil, 0, fmt.Errorf("%s must be the only value, and there are %d values", v, len(list))
			}
			continue
		}
		h, err := schema.ParseHead(v)
		if err != nil {
			return nil, 0, err
		}
		sources = append(sources, h)
	}
	return sources, top, nil
}

// sources returns the sources in the form that [ParseSources] reads; "" if there are none.
func (o *Options) sources() string {
	if o.TopSources > 0 {
		return topSources + strconv.Itoa(o.TopSources)
	}
	var names []string
	for _, h := range o.Sources {
		names = append(names, h.String())
	}
	return strings.Join(names, ",")
}

// useSources sets the sources of each target head: those heads of a list that are below it.
func (e *Engine) useSources(of func(target schema.Head) []schema.Head) {
	e.readers = map[schema.Head][]schema.Head{}
	for _, target := range e.heads {
		for _, s := range of(target) {
			if s.Layer < target.Layer {
				e.readers[target] = append(e.readers[target], s)
			}
		}
	}
}

// allSources returns the sources of all target heads, each once.
func (e *Engine) allSources() []schema.Head {
	var list []schema.Head
	for _, target := range e.heads {
		list = append(list, e.readers[target]...)
	}
	slices.SortFunc(list, compareHeads)
	return slices.Compact(list)
}

func compareHeads(a, b schema.Head) int {
	return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Index, b.Index))
}

// Sources returns the heads whose outputs are split by the positions that they read, for a target head. It
// returns nil until [Engine.Prepare] has chosen them.
func (e *Engine) Sources(target schema.Head) []schema.Head { return slices.Clone(e.readers[target]) }

// chooseSources chooses, for each target head, the heads below it that contribute most to its keys, and those
// that contribute most to its queries: by the mean over examples of |contribution to score - baseline|, or of
// |contribution to the score| if there is no baseline.
func (e *Engine) chooseSources(ctx context.Context, probe []schema.Example) error {
	if e.options.TopSources == 0 || e.readers != nil {
		return nil
	}
	if len(probe) == 0 {
		return advise("give Prepare examples, or name sources", "no examples to choose sources by: %w",
			ErrSource)
	}
	shares, err := e.compute.sourceShares(ctx, probeOf(probe),
		request{rules: e.options.Edges, most: probeEdges})
	if err != nil {
		return err
	}
	e.useSources(func(target schema.Head) []schema.Head {
		var chosen []schema.Head
		for _, side := range []schema.Side{schema.Key, schema.Query} {
			for _, c := range e.largestHeads(shares[target][side], e.layout.Below(target.Layer),
				e.options.TopSources) {
				chosen = append(chosen,
					schema.Head{Layer: e.components[c].Layer, Index: e.components[c].Head})
			}
		}
		slices.SortFunc(chosen, compareHeads)
		return slices.Compact(chosen)
	})
	for _, target := range e.heads {
		if len(e.readers[target]) == 0 {
			e.notices = append(e.notices,
				fmt.Sprintf("no sources for head %s: no head writes before layer %d", target, target.Layer))
		}
	}
	return nil
}

// largestHeads returns the n heads with the largest shares among the first below components, as component
// indices; of equal ones, the first.
func (e *Engine) largestHeads(shares []float64, below, n int) []int {
	var heads []int
	for i, c := range e.components[:below] {
		if c.Kind == schema.HeadOut {
			heads = append(heads, i)
		}
	}
	largestFirst(heads, shares)
	return heads[:min(n, len(heads))]
}

// writes returns W_O of a source. It is made once.
func (a *analysis[T]) writes(head schema.Head) *tensor.Dense {
	a.wo.Lock()
	defer a.wo.Unlock()
	w := a.wo.of[head]
	if w == nil {
		w = a.model.WO(head)
		if a.wo.of == nil {
			a.wo.of = map[schema.Head]*tensor.Dense{}
		}
		a.wo.of[head] = w
	}
	return w
}

// sourceSplits splits the contributions of a head's sources by the positions that they read. It leaves out a
// baseline that is the mean of many keys, because it has no single position.
func (p *pass[T]) sourceSplits(
	in decompose.Input[T], x schema.Example, seq int, target schema.Head,
) ([]schema.SourceSplit, error) {
	sources := p.engine.readers[target]
	if len(sources) == 0 {
		return nil, nil
	}
	if x.Baseline == schema.NoPosition {
		in.Baseline = nil
	}
	maps, err := decompose.NewSourceMaps(in)
	if err != nil {
		return nil, err
	}
	spec, cache := p.engine.spec, p.cache.(ran[T]) // a run from a folder of activations has no sources
	var list []schema.SourceSplit
	for _, s := range sources {
		read := func(role int) decompose.Read[T] {
			place := p.place(x, seq, role)
			return decompose.Read[T]{First: cache.FirstKey(s, seq, place), Prob: cache.Pattern(s, seq, place),
				Values: cache.Values(s, seq, place),
				Scale:  cache.PostAttnScale(s.Layer, seq, place)}
		}
		from := decompose.Source[T]{Component: p.engine.layout.Head(s), WO: p.writes(s),
			Gain:    p.model.PostAttnGain(s.Layer),
			Centres: spec.PostNorm && spec.Norm.Centre, Query: read(atQuery), Key: read(atKey)}
		if in.Baseline != nil {
			b := read(atBaseline)
			from.Baseline = &b
		}
		query, key, err := maps.Split(from)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s, err)
		}
		for _, split := range []decompose.SourceSplit{key, query} {
			out := schema.SourceSplit{Side: split.Side, Component: from.Component, First: split.First,
				Score: narrowTo[float32](split.Score)}
			if split.Baseline != nil {
				out.Baseline = narrowTo[float32](split.Baseline)
			}
			list = append(list, out)
		}
	}
	return list, nil
}

// sourceShares returns, by target head, side and component, the mean over examples of |contribution to score
// - baseline|, or of |contribution to the score| if there is no baseline.
func (a *analysis[T]) sourceShares(
	ctx context.Context, examples []schema.Example, r request,
) (map[schema.Head]*[2][]float64, error) {
	var byExample []map[schema.Head]*[2][]float64
	err := a.passes(ctx, examples, r, func(p *pass[T], items []item) error {
		sizes := make([]map[schema.Head]*[2][]float64, len(items))
		err := p.each(ctx, items, func(i int) (err error) {
			sizes[i], err = p.sizes(items[i].x, items[i].seq)
			return err
		})
		byExample = append(byExample, sizes...)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Prompts without edges have no sizes.
	byExample = slices.DeleteFunc(byExample,
		func(sizes map[schema.Head]*[2][]float64) bool { return sizes == nil })
	mean := map[schema.Head]*[2][]float64{}
	for _, head := range a.engine.heads {
		mean[head] = &[2][]float64{make([]float64, len(a.engine.components)),
			make([]float64, len(a.engine.components))}
		for _, sizes := range byExample {
			for side, list := range sizes[head] {
				for c, v := range list {
					mean[head][side][c] += v / float64(len(byExample))
				}
			}
		}
	}
	return mean, nil
}

// sizes returns, by target head, side and component, the size of the contributions in one example.
func (p *pass[T]) sizes(x schema.Example, seq int) (map[schema.Head]*[2][]float64, error) {
	list := map[schema.Head]*[2][]float64{}
	for _, head := range p.engine.heads {
		out, err := p.whole(x, seq, head)
		if err != nil {
			return nil, err
		}
		sizes := &[2][]float64{}
		for _, t := range out.Tables {
			sizes[t.Side] = make([]float64, len(p.engine.components))
			for row, component := range out.Rows {
				sizes[t.Side][component] = sizeOf(&t, row)
			}
		}
		list[head] = sizes
	}
	return list, nil
}

// whole returns the contributions of whole vectors.
func (p *pass[T]) whole(x schema.Example, seq int, head schema.Head) (decompose.Output, error) {
	in := p.bareInput(x, seq, head)
	in.QueryBases, in.KeyBases = []decompose.Basis{{}}, []decompose.KeyBases{{}}
	out, err := decompose.Contributions(in)
	if err != nil {
		return out, fmt.Errorf("example %d, head %s: %w", x.Index, head, err)
	}
	return out, nil
}

// sizeOf returns |contribution to score - baseline| for a row of a table of whole vectors, or |contribution
// to the score| if there is no baseline.
func sizeOf(t *decompose.Table, row int) float64 {
	share := t.Score[row][schema.PerpPerp] // the quadrant that holds all of a whole vector
	if t.Baseline != nil {
		share -= t.Baseline[row][schema.PerpPerp]
	}
	return math.Abs(share)
}
