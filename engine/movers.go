package engine

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

// ProbeExamples is how many examples, the first of a run, [Engine.Prepare] should be given: enough for a
// ranking of heads, few enough to cost nothing beside a run. It is not the batch, so that a run does not
// depend on its batches.
const ProbeExamples = 32

// chosenMovers is how many movers are chosen where none are named.
const chosenMovers = 2

// Of prompts whose edges rules choose, mover heads are chosen by the first probeTokens tokens (of the first prompt, if
// it has more) and by so many edges of each prompt.
const (
	probeTokens = 2000
	probeEdges  = 16
)

// probeOf leaves out prompts behind the first whose edges rules choose, as soon as there are enough tokens.
func probeOf(probe []schema.Example) []schema.Example {
	tokens := 0
	for i := range probe {
		if probe[i].Query != schema.NoPosition {
			continue
		}
		if tokens += len(probe[i].Tokens); i > 0 && tokens > probeTokens {
			return probe[:i]
		}
	}
	return probe
}

// settleMovers takes the movers of the options. Where they name none, the choice is left to [Engine.Prepare].
func (e *Engine) settleMovers() error {
	below := e.heads[0].Layer // what the movers have to be
	lowest := e.heads[0]
	for _, h := range e.heads {
		if h.Layer < below {
			below, lowest = h.Layer, h
		}
	}
	if len(e.options.Movers) > 0 {
		for _, m := range e.options.Movers {
			if m.Layer >= e.description.NLayers || m.Index >= e.description.NHeads {
				return advise(fmt.Sprintf("heads of this model are 0.0 to %s", schema.Head{Layer: e.description.NLayers - 1, Index: e.description.NHeads - 1}),
					"engine: %w %s as mover: model %s has %d layers of %d heads", ErrUnknownHead, m, e.description.Name, e.description.NLayers, e.description.NHeads)
			}
			if e.layout.Head(m) < 0 {
				return advise("name a head that is a component: ducklens query FILE, table component", "engine: mover head %s: %w: what it writes is no component of %s", m, ErrMover, e.description.Name)
			}
			if m.Layer >= below {
				return advise(fmt.Sprintf("name a mover in a layer below %d, or leave out head %s", below, lowest),
					"engine: mover head %s: %w: head %s reads the stream before layer %d, and the mover writes in layer %d", m, ErrMover, lowest, below, m.Layer)
			}
		}
		e.movers = slices.Clone(e.options.Movers)
		return nil
	}
	if below == 0 {
		e.movers = []schema.Head{}
		if e.options.Substitutions || e.options.Projections {
			e.notices = append(e.notices, fmt.Sprintf("no mover heads: head %s is in layer 0, and no head writes before it", lowest))
		}
	}
	return nil
}

// Movers lists the heads whose outputs at the query position are substituted and projected. It is nil as long
// as [Engine.Prepare] has them to choose.
func (e *Engine) Movers() []schema.Head { return slices.Clone(e.movers) }

// Prepare settles what the options leave to the prompts. Give it the first examples of the run,
// [ProbeExamples] of them if there are as many; call it once, before [Engine.Analyze] and not beside it.
//
//   - Of heads that the options do not name, those whose attention window hides a key or a baseline of these examples, or of those that
//     [Engine.Example] has made before, are left out; [Engine.Notices] says so.
//   - Default bases that are made from a baseline are left out if one of the examples has none; [Engine.Notices] says so. (Where a later
//     example has none, its rows of those bases are missing.)
//   - Mover heads, where the options name none, become the two heads below every target head whose query-side
//     contributions are largest: the mean over examples and target heads of |contribution to score - baseline|, or to
//     the score where there is no baseline.
//   - Sources, where the options ask for the largest, become those heads below each target head whose contributions to its keys, and to
//     its queries, are largest by the same measure.
//   - Components whose inner products are asked for become those whose contributions to both sides are largest,
//     measured likewise.
func (e *Engine) Prepare(ctx context.Context, probe []schema.Example) error {
	if e.everyHead {
		for i := range probe {
			if probe[i].Query != schema.NoPosition {
				e.seeFar(&probe[i])
			}
		}
		if err := e.leaveOutBlind(); err != nil {
			return err
		}
	}
	for _, x := range probe {
		if err := e.check(x, e.request()); err != nil {
			return err
		}
	}
	if err := e.dropTokenBaselines(); err != nil {
		return err
	}
	if i := slices.IndexFunc(probe, func(x schema.Example) bool { return x.Baseline == schema.NoPosition }); i >= 0 {
		e.dropDefaults(fmt.Sprintf("example %d has no baseline", probe[i].Index), func(d decompose.Definition) bool { return d.NeedsBaseline })
	}
	if err := e.chooseSources(ctx, probe); err != nil {
		return err
	}
	if err := e.chooseGram(ctx, probe); err != nil {
		return err
	}
	if e.movers != nil || !e.options.Substitutions && !e.options.Projections {
		return nil
	}
	if len(probe) == 0 {
		return advise("give Prepare examples, or name mover heads", "engine: no examples to choose mover heads by: %w", ErrMover)
	}
	shares, err := e.compute.shares(ctx, probeOf(probe), request{rules: e.options.Edges, most: probeEdges, baseline: e.options.Baseline, bare: true}, schema.Query)
	if err != nil {
		return err
	}
	below := slices.MinFunc(e.heads, func(a, b schema.Head) int { return a.Layer - b.Layer }).Layer
	movers := []schema.Head{}
	for _, i := range e.largestHeads(shares, e.layout.Below(below), chosenMovers) {
		movers = append(movers, schema.Head{Layer: e.components[i].Layer, Index: e.components[i].Head})
	}
	e.movers = movers
	return nil
}

// dropTokenBaselines leaves out what is made from the baseline token where the options have edges without one, or refuses what was named.
func (e *Engine) dropTokenBaselines() error {
	why := "edges that rules choose have no baseline token"
	switch kind := e.options.Baseline; {
	case e.chooses():
	case kind != "" && kind != schema.BaselineToken:
		why = fmt.Sprintf("with baselines of the kind %s there is no baseline token", kind)
	default:
		return nil
	}
	needs := func(d decompose.Definition) bool { return d.NeedsBaseline }
	e.dropDefaults(why, needs)
	for _, b := range slices.Concat(e.queryBases, e.keyBases) {
		if needs(b.Definition) {
			return advise("leave it out", "engine: %s basis %s: %w: %s", b.Side, b.Name, ErrBasis, why)
		}
	}
	return nil
}

// largestFirst sorts components by their shares; of equal ones the first is first.
func largestFirst(list []int, shares []float64) {
	slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(shares[b], shares[a]) })
}

// chooseGram chooses the components whose inner products with each other are wanted.
func (e *Engine) chooseGram(ctx context.Context, probe []schema.Example) error {
	if e.options.Gram == 0 || e.gram != nil {
		return nil
	}
	shares, err := e.compute.shares(ctx, probeOf(probe), request{rules: e.options.Edges, most: probeEdges, bare: true}, schema.Query, schema.Key)
	if err != nil {
		return err
	}
	highest := slices.MaxFunc(e.heads, func(a, b schema.Head) int { return a.Layer - b.Layer }).Layer
	list := make([]int, e.layout.Below(highest))
	for i := range list {
		list[i] = i
	}
	largestFirst(list, shares)
	e.gram = list[:min(e.options.Gram, len(list))]
	slices.Sort(e.gram)
	return nil
}

// shares gives, by component, the mean over examples and target heads of the size of its contributions to
// some sides.
func (a *analysis[T]) shares(ctx context.Context, examples []schema.Example, r request, sides ...schema.Side) ([]float64, error) {
	var byExample [][]float64
	err := a.passes(ctx, examples, r, func(p *pass[T], items []item) error {
		sums := make([][]float64, len(items))
		err := p.each(ctx, items, func(i int) (err error) {
			sums[i], err = p.sideShares(items[i].x, items[i].seq, sides)
			return err
		})
		byExample = append(byExample, sums...)
		return err
	})
	if err != nil {
		return nil, err
	}
	byExample = slices.DeleteFunc(byExample, func(sum []float64) bool { return sum == nil }) // of prompts without edges
	mean := make([]float64, len(a.engine.components))
	for _, sum := range byExample {
		for c, v := range sum {
			mean[c] += v / float64(len(byExample)*len(a.engine.heads))
		}
	}
	return mean, nil
}

// sideShares gives, by component, the sum over target heads for one example.
func (p *pass[T]) sideShares(x schema.Example, seq int, sides []schema.Side) ([]float64, error) {
	sum := make([]float64, len(p.engine.components))
	for _, head := range p.engine.heads {
		out, err := p.whole(x, seq, head)
		if err != nil {
			return nil, err
		}
		var mean *decompose.Output
		if isMean(x.BaselineKind) { // on the query side, all that matters of the mean of keys is that vector
			in := p.bareInput(x, seq, head)
			in.QueryBases, in.KeyBases, in.Key.Vector = []decompose.Basis{{}}, []decompose.KeyBases{{}}, p.meanKey(x, seq, head)
			made, err := decompose.Contributions(in)
			if err != nil {
				return nil, fmt.Errorf("engine: example %d, head %s: %w", x.Index, head, err)
			}
			mean = &made
		}
		for i, t := range out.Tables {
			if !slices.Contains(sides, t.Side) {
				continue
			}
			for row, component := range out.Rows {
				share := sizeOf(&t, row)
				if mean != nil && t.Side == schema.Query { // on the key side the size of the contribution to the score is taken
					share = math.Abs(t.Score[row][schema.PerpPerp] - mean.Tables[i].Score[row][schema.PerpPerp])
				}
				sum[component] += share
			}
		}
	}
	return sum, nil
}
