package engine

import (
	"context"
	"fmt"
	"math"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/model"
	"ducklens/schema"
)

// Where a component is ablated. These are the values of the column ablation.place.
const (
	Everywhere = "all"   // at all positions up to the query
	AtQuery    = "query" // at the query position alone
	AtKey      = "key"   // at the key position alone
)

// Ablation says what [Engine.Ablate] takes away. The engine must have been opened with [Options.Ablations].
type Ablation struct {
	Components []int  // heads and MLPs, as indices into [Engine.Components]
	Place      string // [Everywhere], [AtQuery] or [AtKey]

	// Means replace the outputs of components. nil: the outputs become zero.
	Means *ComponentMeans
}

// ComponentMeans are means over examples of what components write at the positions of a place. The first
// position of a prompt has its own means: in many models its activations are a hundred times as large as
// those of others, and the same for every prompt.
type ComponentMeans struct {
	place      string
	components []int
	sums       [2][][]float64 // at the first position, and at others [component][d_model]
	n          [2]int
}

// NewComponentMeans returns means of components with no examples added yet.
func NewComponentMeans(place string, components []int) *ComponentMeans {
	return &ComponentMeans{place: place, components: slices.Clone(components)}
}

// ablator is the part of a [computation] that runs models without some components.
type ablator interface {
	ablate(ctx context.Context, examples []schema.Example, a Ablation) ([]schema.Ablated, error)
	addMeans(ctx context.Context, examples []schema.Example, m *ComponentMeans) error
}

// AddMeans adds examples to m, in order.
func (e *Engine) AddMeans(ctx context.Context, m *ComponentMeans, examples []schema.Example) error {
	if err := e.checkAblation(examples, Ablation{Components: m.components, Place: m.place}); err != nil {
		return err
	}
	return e.compute.addMeans(ctx, examples, m)
}

// Ablate removes components from the stream where they are written, one component at a time, and runs the
// model from there, so that everything after it responds. Results are in the order of examples, then of
// components, then of the target heads in layers above the component's; heads below cannot change. Apart from
// the results, memory does not grow with the number of examples. Each result depends on its own example
// alone.
func (e *Engine) Ablate(
	ctx context.Context, examples []schema.Example, a Ablation,
) ([]schema.Ablated, error) {
	if err := e.checkAblation(examples, a); err != nil {
		return nil, err
	}
	if m := a.Means; m != nil &&
		(m.n[0]+m.n[1] == 0 || m.place != a.Place || !slices.Equal(m.components, a.Components)) {
		return nil,
			fmt.Errorf("%w: means of %d components at %s over %d positions, want those of what is ablated",
				ErrOptions,
				len(m.components), m.place, m.n[0]+m.n[1])
	}
	return e.compute.ablate(ctx, examples, a)
}

func (e *Engine) checkAblation(examples []schema.Example, a Ablation) error {
	if !e.options.Ablations {
		return fmt.Errorf("%w: ablations of an engine that was not made for them", ErrOptions)
	}
	if !slices.Contains([]string{Everywhere, AtQuery, AtKey}, a.Place) {
		return invalid("ablation at %q, want %s, %s or %s", a.Place, Everywhere, AtQuery, AtKey)
	}
	for _, c := range a.Components {
		if c < 0 || c >= len(e.components) || !Ablatable(e.components[c]) {
			return invalid("ablation of component number %d, want a head or an MLP", c)
		}
	}
	for _, x := range examples {
		if err := e.check(x, request{}); err != nil {
			return err
		}
	}
	return nil
}

// Ablatable reports whether a component can be ablated: it must be a head or an MLP.
func Ablatable(c schema.Component) bool { return c.Kind == schema.HeadOut || c.Kind == schema.MLP }

// ablated is a group of examples and a forward pass over all of their positions.
type ablated[T blas.Float] struct {
	*analysis[T]
	examples  []schema.Example
	sequences []model.Sequence
	cache     *model.Cache[T]
}

// eachGroup calls f for one group of examples after another. The size of a group's pass is bounded.
func (a *analysis[T]) eachGroup(
	ctx context.Context, examples []schema.Example, f func(*ablated[T]) error,
) error {
	s, b := a.engine.spec, a.engine.bounds()
	layers := int64(a.engine.stop())
	row := a.engine.numberSize() * (layers*int64(s.Heads*s.DHead+s.DModel) + (layers+1)*int64(s.DModel))
	for len(examples) > 0 {
		n, rows := 0, int64(0)
		for ; n < len(examples); n++ {
			rows += int64(examples[n].Query + 1)
			if n > 0 && (rows*row > b.kept || rows*b.row > b.rows) {
				break
			}
		}
		if err := a.group(ctx, examples[:n], f); err != nil {
			return err
		}
		examples = examples[n:]
	}
	return nil
}

func (a *analysis[T]) group(ctx context.Context, examples []schema.Example, f func(*ablated[T]) error) error {
	g := &ablated[T]{analysis: a, examples: examples}
	for i := range examples {
		x := &examples[i]
		s := model.Sequence{Length: len(x.Tokens)}
		for p, t := range x.Tokens[:x.Query+1] {
			s.Tokens, s.Positions = append(s.Tokens, t.ID), append(s.Positions, p)
		}
		g.sequences = append(g.sequences, s)
	}
	var err error
	g.cache, err = a.model.ForwardFor(ctx, g.sequences,
		model.Wanted{Heads: a.engine.heads, All: a.engine.unembeds(), Parts: true, Streams: true})
	if err != nil {
		return fmt.Errorf("examples %d to %d: %w", examples[0].Index, examples[len(examples)-1].Index, err)
	}
	defer a.model.Recycle(g.cache)
	return f(g)
}

// positionsAt returns the positions at which a component is replaced in an example; nil: all.
func positionsAt(place string, x *schema.Example) []int {
	switch place {
	case AtQuery:
		return []int{x.Query}
	case AtKey:
		return []int{x.Key}
	}
	return nil
}

// addMeans adds to m what components wrote in examples.
func (a *analysis[T]) addMeans(ctx context.Context, examples []schema.Example, m *ComponentMeans) error {
	d := a.engine.spec.DModel
	for i := range m.sums {
		for len(m.sums[i]) < len(m.components) {
			m.sums[i] = append(m.sums[i], make([]float64, d))
		}
	}
	return a.eachGroup(ctx, examples, func(g *ablated[T]) error {
		for seq := range g.examples {
			positions := positionsAt(m.place, &g.examples[seq])
			if positions == nil {
				positions = g.sequences[seq].Positions
			}
			for i, c := range m.components {
				for j, written := range g.cache.Written(c, seq, positions) {
					sum := m.sums[min(1, positions[j])][i]
					for k, v := range written {
						sum[k] += float64(v)
					}
				}
			}
			for _, p := range positions {
				m.n[min(1, p)]++
			}
		}
		return ctx.Err()
	})
}

// meanOf returns the means of component number i of the list, at the first position and at others.
func meanOf[T blas.Float](m *ComponentMeans, i int) (first, others []T) {
	var means [2][]T
	for at := range means {
		if m.n[at] == 0 { // no example replaces it there
			continue
		}
		means[at] = make([]T, len(m.sums[at][i]))
		for k, v := range m.sums[at][i] {
			means[at][k] = T(v / float64(m.n[at]))
		}
	}
	return means[0], means[1]
}

// ablate implements [Engine.Ablate].
func (a *analysis[T]) ablate(
	ctx context.Context, examples []schema.Example, of Ablation,
) ([]schema.Ablated, error) {
	var list []schema.Ablated
	err := a.eachGroup(ctx, examples, func(g *ablated[T]) error {
		byComponent := make([][][]schema.Ablated, len(g.examples)) // [example][component]
		for i := range byComponent {
			byComponent[i] = make([][]schema.Ablated, len(of.Components))
		}
		type beginning struct {
			layer int
			kind  schema.ComponentKind
		}
		var order []beginning
		together := map[beginning][]int{} // indices into of.Components
		for i, c := range of.Components {
			at := beginning{a.engine.components[c].Layer, a.engine.components[c].Kind}
			if together[at] == nil {
				order = append(order, at)
			}
			together[at] = append(together[at], i)
		}
		for _, at := range order {
			if err := g.from(ctx, at.layer, of, together[at], byComponent); err != nil {
				return err
			}
		}
		for _, components := range byComponent {
			for _, rows := range components {
				list = append(list, rows...)
			}
		}
		return nil
	})
	return list, err
}

// from ablates components of one layer and kind in all examples of the group.
func (g *ablated[T]) from(
	ctx context.Context, layer int, of Ablation, places []int, into [][][]schema.Ablated,
) error {
	e := g.engine
	wanted := model.Wanted{All: e.unembeds(), Streams: true}
	for _, h := range e.heads {
		if h.Layer > layer {
			wanted.Heads = append(wanted.Heads, h)
		}
	}
	if len(wanted.Heads) == 0 {
		return nil
	}
	type one struct{ seq, place int }
	var all []one
	for seq := range g.examples {
		for _, p := range places {
			all = append(all, one{seq, p})
		}
	}
	b := e.bounds()
	for len(all) > 0 {
		var variants []model.Variant[T]
		n, rows := 0, int64(0)
		for ; n < len(all); n++ {
			x := &g.examples[all[n].seq]
			rows += int64(x.Query + 1)
			if n > 0 && rows*b.row > b.rows {
				break
			}
			v := model.Variant[T]{Sequence: all[n].seq, Component: of.Components[all[n].place],
				Positions: positionsAt(of.Place, x)}
			if of.Means != nil {
				v.FirstInstead, v.Instead = meanOf[T](of.Means, all[n].place)
			}
			variants = append(variants, v)
		}
		cache, err := g.model.RunOn(ctx, g.cache, g.sequences, variants, wanted)
		if err != nil {
			return fmt.Errorf("examples %d to %d without components of layer %d: %w",
				g.examples[0].Index, g.examples[len(g.examples)-1].Index, layer, err)
		}
		for i, v := range variants {
			into[v.Sequence][all[i].place] = g.results(cache, i, wanted.Heads, &v)
		}
		g.model.Recycle(cache)
		all = all[n:]
	}
	return nil
}

// results returns the heads' scores and the logits of a variant.
func (g *ablated[T]) results(
	cache *model.Cache[T], i int, heads []schema.Head, v *model.Variant[T],
) []schema.Ablated {
	x := &g.examples[v.Sequence]
	own, now := g.logitsOf(g.cache, v.Sequence, x.Query, x), g.logitsOf(cache, i, 0, x)
	var row model.Row[T]
	var list []schema.Ablated
	for _, h := range heads {
		row = cache.Row(row, h, i, 0)
		nan := float32(math.NaN())
		r := schema.Ablated{Example: x.Index, Component: v.Component, Head: h,
			Score: float32(row.Scores[x.Key-row.First]), Prob: float32(row.Pattern[x.Key-row.First]),
			Baseline: nan, BaselineProb: nan, KeyLogit: now[0], BaselineLogit: now[1], OwnKeyLogit: own[0],
			OwnBaselineLogit: own[1]}
		if x.Baseline != schema.NoPosition {
			r.Baseline, r.BaselineProb = float32(row.Scores[x.Baseline-row.First]), float32(
				row.Pattern[x.Baseline-row.First])
		}
		list = append(list, r)
	}
	return list
}

// logitsOf returns the logits of the key's and the baseline's token at a kept position, or NaN if there is
// none.
func (g *ablated[T]) logitsOf(cache *model.Cache[T], seq, place int, x *schema.Example) (logits [2]float32) {
	logits = [2]float32{float32(math.NaN()), float32(math.NaN())}
	if !g.engine.unembeds() {
		return logits
	}
	tokens := []int{x.Tokens[x.Key].ID}
	if x.Baseline != schema.NoPosition {
		tokens = append(tokens, x.Tokens[x.Baseline].ID)
	}
	for i, v := range g.model.LogitsOf(cache.ResidPre(g.engine.spec.Layers, seq, place), tokens) {
		logits[i] = float32(v)
	}
	return logits
}
