package engine

import (
	"context"
	"fmt"
	"math"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/model"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// passRows bounds the rows of one forward pass: its tokens, but that the same beginning of several examples counts once. The products
// of a pass are as fast as they get from some 500 rows on (with 256 a run takes 6 % more processor time); its memory, about 40 kB a row
// for GPT-2 small, grows all the way. So does what is kept of an example, 1.3 MB in layer 10, however many rows are its own: passExamples bounds that.
const (
	passRows     = 640
	passExamples = 48
)

// Passes cuts examples into what one forward pass takes each: as few parts as its bounds allow, of about the same number of
// examples. Only an example that is beyond the bound by itself makes a longer pass. Results do not depend on it; memory and, where parts become short, speed do.
func Passes(examples []schema.Example) [][]schema.Example {
	fewest := len(cut(examples, passExamples))
	return cut(examples, (len(examples)+fewest-1)/max(1, fewest))
}

// cut makes passes of at most so many examples.
func cut(examples []schema.Example, most int) (passes [][]schema.Example) {
	for len(examples) > 0 {
		n := 0
		for rows := (model.Rows{}); n < min(most, len(examples)); n++ {
			if rows.Add(tokens(&examples[n])); n > 0 && rows.N > passRows {
				break
			}
		}
		passes, examples = append(passes, examples[:n]), examples[n:]
	}
	return passes
}

// tokens gives the numbers of the tokens that an example's scores depend on: up to its query position.
func tokens(x *schema.Example) []int {
	list := make([]int, x.Query+1)
	for i, t := range x.Tokens[:x.Query+1] {
		list[i] = t.ID
	}
	return list
}

// Largest relative residual of the exact convention: float32 forward passes leave a few 1e-6, float64 ones 1e-14.
const (
	closureTolerance32 = 1e-4
	closureTolerance64 = 1e-9
)

// Places of a sequence's kept positions.
const (
	atQuery = iota
	atKey
	atBaseline
)

// analysis is the part of an engine that knows its number type.
type analysis[T blas.Float] struct {
	engine *Engine
	model  *model.Model[T]
	maps   map[schema.Head]decompose.Maps[T]
}

func newAnalysis[T blas.Float](e *Engine, model *model.Model[T]) *analysis[T] {
	a := &analysis[T]{engine: e, model: model, maps: map[schema.Head]decompose.Maps[T]{}}
	if e.options.AttentionOnly {
		return a
	}
	for _, head := range e.heads {
		qk := model.QK(head)
		a.maps[head] = decompose.Maps[T]{WQ: qk.WQ, WK: qk.WK, BQ: qk.BQ, BK: qk.BK}
	}
	return a
}

// run analyses examples.
func (a *analysis[T]) run(ctx context.Context, examples []schema.Example) ([]schema.Result, error) {
	results := make([]schema.Result, len(examples))
	err := a.passes(ctx, examples, func(p *pass[T], x schema.Example, seq, i int) (err error) {
		results[i], err = p.example(x, seq)
		return err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// visit looks at example i of a call, which is sequence seq of a pass.
type visit[T blas.Float] func(p *pass[T], x schema.Example, seq, i int) error

// passes visits every example once, after a forward pass that it shares with others; passes are of bounded size. Visits run
// beside each other.
func (a *analysis[T]) passes(ctx context.Context, examples []schema.Example, do visit[T]) error {
	first := 0
	for _, part := range Passes(examples) {
		err := a.pass(ctx, part, func(p *pass[T], x schema.Example, seq, _ int) error { return do(p, x, seq, first+seq) })
		if err != nil {
			return err
		}
		first += len(part)
	}
	return nil
}

// pass visits examples after one forward pass.
func (a *analysis[T]) pass(ctx context.Context, examples []schema.Example, do visit[T]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sequences := make([]model.Sequence, len(examples))
	for i, x := range examples {
		s := model.Sequence{Tokens: tokens(&x), Positions: []int{atQuery: x.Query, atKey: x.Key}}
		if x.Baseline != schema.NoPosition {
			s.Positions = append(s.Positions, x.Baseline)
		}
		sequences[i] = s
	}
	cache, err := a.model.Forward(ctx, sequences, a.engine.heads)
	if err != nil {
		if named := finitePass(err, examples); named != err {
			return named
		}
		return fmt.Errorf("engine: examples %d to %d: %w", examples[0].Index, examples[len(examples)-1].Index, err)
	}
	defer a.model.Recycle(cache)
	p := newPass(a, cache, examples)
	errs := make([]error, len(examples))
	workers.Do(a.engine.options.threads(), len(examples), func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			errs[i] = do(p, examples[i], i, i)
		}
	})
	for _, err := range errs {
		if err != nil {
			return err // the first in example order, whichever was found first
		}
	}
	return nil
}

// pass is one forward pass with what its examples share. It gives token vectors to [decompose].
type pass[T blas.Float] struct {
	*analysis[T]
	cache *model.Cache[T]

	// By token: what heads and bases of many examples ask for again and again.
	tokens map[int]*tokenVectors[T]
}

// tokenVectors are the vectors of a token [d_model]. Those of its effective embedding are only there for key and baseline tokens of
// the pass, where a basis or a substitution needs them: one product for all of them costs a fraction of one each.
type tokenVectors[T blas.Float] struct {
	unembed []T // W_U[:, token]

	embed     []T // W_E[token]
	mlp, attn []T // parts of the effective embedding
	effective []T // embed + attn + mlp
}

var _ decompose.Embeddings[float32] = (*pass[float32])(nil)

func newPass[T blas.Float](a *analysis[T], cache *model.Cache[T], examples []schema.Example) *pass[T] {
	p := &pass[T]{analysis: a, cache: cache, tokens: map[int]*tokenVectors[T]{}}
	options := &a.engine.options
	if options.AttentionOnly {
		return p
	}
	var list []int
	add := func(id int) {
		if id != schema.NoToken && p.tokens[id] == nil {
			p.tokens[id] = &tokenVectors[T]{}
			list = append(list, id)
		}
	}
	for _, x := range examples {
		add(x.Tokens[x.Key].ID)
		if x.Baseline != schema.NoPosition {
			add(x.Tokens[x.Baseline].ID)
		}
	}
	if options.Substitutions || slices.ContainsFunc(a.engine.keyBases, func(b basis) bool { return b.NeedsEffective }) {
		mlps, attns := a.model.EffectiveEmbeddings(list)
		for i, id := range list {
			v := p.tokens[id]
			v.embed, v.mlp, v.attn = a.model.Embed(id), mlps[i], attns[i]
			v.effective = make([]T, len(v.embed))
			for j := range v.effective {
				v.effective[j] = v.embed[j] + v.attn[j] + v.mlp[j]
			}
		}
	}
	if options.Substitutions {
		for _, x := range examples {
			add(x.RandomName)
			add(x.RandomToken)
		}
	}
	workers.Do(options.threads(), len(list), func(i int) { p.tokens[list[i]].unembed = a.model.Unembed(list[i]) })
	return p
}

// Unembed gives W_U[:, token] of a token of the pass.
func (p *pass[T]) Unembed(token int) []T { return p.tokens[token].unembed }

// EffectiveEmbedding gives the MLP and the attention part of the effective embedding of a token of the pass.
func (p *pass[T]) EffectiveEmbedding(token int) (mlp, attn []T) {
	return p.tokens[token].mlp, p.tokens[token].attn
}

// example analyses sequence seq of the pass.
func (p *pass[T]) example(x schema.Example, seq int) (schema.Result, error) {
	result := schema.Result{Example: x, Heads: make([]schema.HeadResult, 0, len(p.engine.heads))}
	for i, head := range p.engine.heads {
		r, err := p.head(x, seq, head, i == 0)
		if err != nil {
			return schema.Result{}, err
		}
		result.Heads = append(result.Heads, r)
	}
	return result, nil
}

// head analyses one head on one example. What does not depend on the head is computed for the first.
func (p *pass[T]) head(x schema.Example, seq int, head schema.Head, first bool) (schema.HeadResult, error) {
	scores, probs := p.cache.Scores(head, seq, atQuery), p.cache.Pattern(head, seq, atQuery)
	r := schema.HeadResult{Head: head, Attention: make([]schema.Attention, len(scores))}
	for i := range scores {
		r.Attention[i] = schema.Attention{Score: float32(scores[i]), Prob: float32(probs[i])}
	}
	nan := float32(math.NaN())
	r.Score = schema.Score{
		Score: float32(scores[x.Key]), Prob: float32(probs[x.Key]), Baseline: nan, BaselineProb: nan, BaselineScale: nan,
		QueryScale: float32(p.cache.LN1Scale(head.Layer, seq, atQuery)),
		KeyScale:   float32(p.cache.LN1Scale(head.Layer, seq, atKey)),
		Closure:    math.NaN(),
	}
	if x.Baseline != schema.NoPosition {
		r.Score.Baseline, r.Score.BaselineProb = float32(scores[x.Baseline]), float32(probs[x.Baseline])
		r.Score.BaselineScale = float32(p.cache.LN1Scale(head.Layer, seq, atBaseline))
	}
	// Before anything is computed from them: a basis of what is not finite has no direction, and would be blamed for it.
	if err := p.finite(x, &r); err != nil || p.engine.options.AttentionOnly {
		return r, err
	}
	in, err := p.input(x, seq, head)
	if err != nil {
		return r, fmt.Errorf("engine: example %d, head %s: %w", x.Index, head, err)
	}
	out, err := decompose.Contributions(in)
	if err != nil {
		return r, fmt.Errorf("engine: example %d, head %s: %w", x.Index, head, err)
	}
	r.Score.Closure = out.Closure
	r.Contributions = p.contributions(out, x.Baseline != schema.NoPosition)
	if err := p.finite(x, &r); err != nil {
		return r, err
	}
	if p.engine.options.Convention == schema.Exact {
		tolerance := closureTolerance32
		if p.engine.options.Precision == Float64 {
			tolerance = closureTolerance64
		}
		if !(out.RelativeClosure <= tolerance) { // NaN is not
			return r, &ClosureError{Example: x.Index, Head: head, Residual: out.RelativeClosure, Tolerance: tolerance}
		}
	}
	if err := p.more(&r, in, x, scores, first); err != nil {
		return r, fmt.Errorf("engine: example %d, head %s: %w", x.Index, head, err)
	}
	f := finder{baseline: x.Baseline != schema.NoPosition}
	p.finiteVectors(&f, &r)
	return r, f.fault(x, head)
}

// more computes what the options ask for beside contributions.
func (p *pass[T]) more(r *schema.HeadResult, in decompose.Input[T], x schema.Example, scores []T, first bool) error {
	var err error
	options := &p.engine.options
	if options.Factors || options.Pairs {
		if r.Factors, err = p.factors(in); err != nil {
			return err
		}
	}
	if options.Pairs {
		if r.Pairs, err = (&PairMaker{provider: p.engine.provider}).Tables(r.Factors); err != nil {
			return err
		}
	}
	if !options.Factors {
		r.Factors = nil
	}
	if !options.Substitutions && !options.Projections {
		return nil
	}
	s, err := decompose.NewSubstitution(in, scores, x.Key)
	if err != nil {
		return err
	}
	if options.Substitutions {
		if r.Substitutions, err = p.substitutions(s, in, x); err != nil {
			return err
		}
	}
	if options.Projections {
		r.Projections = p.projections(s, in)
		if first {
			r.Cosines = p.cosines(in)
		}
	}
	return nil
}

// bareInput collects what [decompose] needs out of the cache, but for bases.
func (p *pass[T]) bareInput(x schema.Example, seq int, head schema.Head) decompose.Input[T] {
	model := p.engine.description
	scores := p.cache.Scores(head, seq, atQuery)
	in := decompose.Input[T]{
		Convention: p.engine.options.Convention,
		Eps:        model.LNEps,
		Components: p.engine.components[:schema.StreamComponents(head.Layer, model.NHeads)],
		Maps:       p.maps[head],
		Query:      p.position(seq, atQuery, head, p.cache.Q(head, seq, atQuery)),
		Key:        p.position(seq, atKey, head, p.cache.K(head, seq, atKey)),
	}
	in.Key.Score = scores[x.Key]
	if x.Baseline != schema.NoPosition {
		position := p.position(seq, atBaseline, head, p.cache.K(head, seq, atBaseline))
		position.Score = scores[x.Baseline]
		in.Baseline = &position
	}
	return in
}

// input is bareInput with the bases of the engine.
func (p *pass[T]) input(x schema.Example, seq int, head schema.Head) (decompose.Input[T], error) {
	in := p.bareInput(x, seq, head)
	without := map[int]bool{} // query bases that this example cannot have
	for i, b := range p.engine.queryBases {
		made, ok, err := p.queryBasis(b, x)
		if err != nil {
			return in, err
		}
		without[i] = !ok
		in.QueryBases = append(in.QueryBases, made)
	}
	for _, b := range p.engine.keyBases {
		var both decompose.KeyBases
		var err error
		if both.AtKey, err = p.keyBasis(b, x, x.Key, in.Key); err != nil {
			return in, err
		}
		if in.Baseline != nil {
			if both.AtBaseline, err = p.keyBasis(b, x, x.Baseline, *in.Baseline); err != nil {
				return in, err
			}
		}
		in.KeyBases = append(in.KeyBases, both)
	}
	in.Pairs = slices.DeleteFunc(pairs(p.engine.queryBases, p.engine.keyBases), func(pair [2]int) bool { return without[pair[0]] })
	return in, nil
}

// position collects one kept position.
func (p *pass[T]) position(seq, kept int, head schema.Head, vector []T) decompose.Position[T] {
	return decompose.Position[T]{
		Components: p.cache.ComponentsBefore(head.Layer, seq, kept),
		Stream:     p.cache.ResidPre(head.Layer, seq, kept),
		Scale:      p.cache.LN1Scale(head.Layer, seq, kept),
		Vector:     vector,
	}
}

// contributions turns tables into rows: component indices of [schema.Components], basis indices of [Engine.Bases].
func (p *pass[T]) contributions(out decompose.Output, baseline bool) []schema.Contribution {
	model := p.engine.description
	biases := schema.StreamComponents(model.NLayers, model.NHeads) // b_Q, then b_K
	rows := make([]schema.Contribution, 0, len(out.Tables)*(len(out.Rows)+1))
	nan := float32(math.NaN())
	for _, table := range out.Tables {
		for i := range table.Score {
			row := schema.Contribution{
				Side: table.Side, QueryBasis: table.QueryBasis, KeyBasis: len(p.engine.queryBases) + table.KeyBasis,
				Score: narrow(table.Score[i]), Baseline: [4]float32{nan, nan, nan, nan},
			}
			switch {
			case i < len(out.Rows):
				row.Component = out.Rows[i]
			case table.Side == schema.Query:
				row.Component = biases
			default:
				row.Component = biases + 1
			}
			if baseline {
				row.Baseline = narrow(table.Baseline[i])
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func narrow(q [4]float64) [4]float32 {
	return [4]float32{float32(q[0]), float32(q[1]), float32(q[2]), float32(q[3])}
}
