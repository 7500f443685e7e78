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

// ProbeExamples is the number of examples, the first of a run, that [Engine.Prepare] should get: enough to
// rank heads, and few enough to cost little beside the run. It is not the batch size, so that results do not
// depend on that.
const ProbeExamples = 32

// chosenMovers is how many movers are chosen if the options name none.
const chosenMovers = 2

// If rules choose the edges of prompts, mover heads are chosen by the first probeTokens tokens (of the first
// prompt, if it has more) and by this many edges of each prompt.
const (
	probeTokens = 2000
	probeEdges  = 16
)

// probeOf drops prompts after the first whose edges rules choose, once there are enough tokens.
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

// settleMovers takes the movers of the options. If they name none, [Engine.Prepare] chooses.
func (e *Engine) settleMovers() error {
	below := e.heads[0].Layer // movers must be in a layer below it
	lowest := e.heads[0]
	for _, h := range e.heads {
		if h.Layer < below {
			below, lowest = h.Layer, h
		}
	}
	if len(e.options.Movers) > 0 {
		for _, m := range e.options.Movers {
			if m.Layer >= e.description.NLayers || m.Index >= e.description.NHeads {
				return advise(fmt.Sprintf("heads of this model are 0.0 to %s",
					schema.Head{Layer: e.description.NLayers - 1, Index: e.description.NHeads - 1}),
					"%w %s as mover: model %s has %d layers of %d heads", ErrUnknownHead, m,
					e.description.Name, e.description.NLayers, e.description.NHeads)
			}
			if e.layout.Head(m) < 0 {
				return advise("name a head that is a component: ducklens query FILE, table component",
					"mover head %s: %w: what it writes is not a component of %s", m, ErrMover,
					e.description.Name)
			}
			if m.Layer >= below {
				return advise(fmt.Sprintf("name a mover in a layer below %d, or leave out head %s", below,
					lowest),
					"mover head %s: %w: head %s reads the stream before layer %d, "+
						"and the mover writes in layer %d", m, ErrMover, lowest, below, m.Layer)
			}
		}
		e.movers = slices.Clone(e.options.Movers)
		return nil
	}
	if below == 0 {
		e.movers = []schema.Head{}
		if e.options.Substitutions || e.options.Projections {
			e.notices = append(e.notices,
				fmt.Sprintf("no mover heads: head %s is in layer 0, and no head writes before it", lowest))
		}
	}
	return nil
}

// Movers returns the heads whose outputs at the query position are substituted and projected. It returns nil
// until [Engine.Prepare] has chosen them.
func (e *Engine) Movers() []schema.Head { return slices.Clone(e.movers) }

// Prepare settles what the options leave to the prompts. Call it once, before [Engine.Analyze] and not
// concurrently with it, with the first examples of the run: [ProbeExamples] of them if there are as many.
//
//   - If the options name no heads, those whose attention window hides a key or a baseline are left out. This
//     looks at these examples and at those that [Engine.Example] has made before.
//   - Default bases that are made from a baseline are left out if one of the examples has none. (Later
//     examples without a baseline have no rows of those bases.)
//   - If the options name no mover heads, they become the two heads below every target head with the largest
//     query-side contributions: the mean over examples and target heads of |contribution to score -
//     baseline|, or of |contribution to the score| if there is no baseline.
//   - If the options ask for the largest sources, they become the heads below each target head with the
//     largest contributions to its keys, and those with the largest to its queries, by the same measure.
//   - If the options ask for inner products, they are those of the components with the largest contributions
//     to both sides, by the same measure.
//
// [Engine.Notices] says what was left out.
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
	if i := slices.IndexFunc(probe,
		func(x schema.Example) bool { return x.Baseline == schema.NoPosition }); i >= 0 {
		e.dropDefaults(fmt.Sprintf("example %d has no baseline", probe[i].Index),
			func(d decompose.Definition) bool { return d.NeedsBaseline })
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
		return advise("give Prepare examples, or name mover heads",
			"no examples to choose mover heads by: %w", ErrMover)
	}
	shares, err := e.compute.shares(ctx, probeOf(probe),
		request{rules: e.options.Edges, most: probeEdges, baseline: e.options.Baseline, bare: true},
		schema.Query)
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

// dropTokenBaselines leaves out default bases that need a baseline token if the options make edges without
// one, and returns an error for those that were named.
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
			return advise("leave it out", "%s basis %s: %w: %s", b.Side, b.Name, ErrBasis, why)
		}
	}
	return nil
}

// largestFirst sorts components by descending share. The order of equal ones stays.
func largestFirst(list []int, shares []float64) {
	slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(shares[b], shares[a]) })
}

// chooseGram chooses the components whose inner products are computed.
func (e *Engine) chooseGram(ctx context.Context, probe []schema.Example) error {
	if e.options.Gram == 0 || e.gram != nil {
		return nil
	}
	shares, err := e.compute.shares(ctx, probeOf(probe),
		request{rules: e.options.Edges, most: probeEdges, bare: true}, schema.Query, schema.Key)
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

// shares returns, by component, the mean over examples and target heads of the size of its contributions to
// the given sides.
func (a *analysis[T]) shares(
	ctx context.Context, examples []schema.Example, r request, sides ...schema.Side,
) ([]float64, error) {
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
	// Prompts without edges have no sum.
	byExample = slices.DeleteFunc(byExample, func(sum []float64) bool { return sum == nil })
	mean := make([]float64, len(a.engine.components))
	for _, sum := range byExample {
		for c, v := range sum {
			mean[c] += v / float64(len(byExample)*len(a.engine.heads))
		}
	}
	return mean, nil
}

// sideShares returns, by component, the sum over target heads for one example.
func (p *pass[T]) sideShares(x schema.Example, seq int, sides []schema.Side) ([]float64, error) {
	sum := make([]float64, len(p.engine.components))
	for _, head := range p.engine.heads {
		out, err := p.whole(x, seq, head)
		if err != nil {
			return nil, err
		}
		var mean *decompose.Output
		if isMean(x.BaselineKind) { // the query side needs no more of the mean of keys than this vector
			in := p.bareInput(x, seq, head)
			in.QueryBases, in.KeyBases = []decompose.Basis{{}}, []decompose.KeyBases{{}}
			in.Key.Vector = p.meanKey(x, seq, head)
			made, err := decompose.Contributions(in)
			if err != nil {
				return nil, fmt.Errorf("example %d, head %s: %w", x.Index, head, err)
			}
			mean = &made
		}
		for i, t := range out.Tables {
			if !slices.Contains(sides, t.Side) {
				continue
			}
			for row, component := range out.Rows {
				share := sizeOf(&t, row)
				// On the key side, the size of the contribution to the score is taken.
				if mean != nil && t.Side == schema.Query {
					share = math.Abs(
						t.Score[row][schema.PerpPerp] - mean.Tables[i].Score[row][schema.PerpPerp])
				}
				sum[component] += share
			}
		}
	}
	return sum, nil
}
