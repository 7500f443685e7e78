package engine

import (
	"context"
	"fmt"
	"math"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/gpt2"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// passTokens bounds the tokens of one forward pass. The products of a pass are as fast as they get from a few
// hundred rows on; its memory, about 50 kB a token for GPT-2 small, grows all the way.
const passTokens = 1024

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
	model  *gpt2.Model[T]
	maps   map[schema.Head]decompose.Maps[T]
}

func newAnalysis[T blas.Float](e *Engine, model *gpt2.Model[T]) *analysis[T] {
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

// run analyses examples in forward passes of bounded size.
func (a *analysis[T]) run(ctx context.Context, examples []schema.Example) ([]schema.Result, error) {
	results := make([]schema.Result, len(examples))
	for from := 0; from < len(examples); {
		to, tokens := from, 0
		for to < len(examples) && (to == from || tokens+examples[to].Query+1 <= passTokens) {
			tokens += examples[to].Query + 1
			to++
		}
		if err := a.pass(ctx, examples[from:to], results[from:to]); err != nil {
			return nil, err
		}
		from = to
	}
	return results, nil
}

// pass analyses examples with one forward pass.
func (a *analysis[T]) pass(ctx context.Context, examples []schema.Example, results []schema.Result) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sequences := make([]gpt2.Sequence, len(examples))
	for i, x := range examples {
		s := gpt2.Sequence{Tokens: make([]int, x.Query+1), Positions: []int{atQuery: x.Query, atKey: x.Key}}
		for j, t := range x.Tokens[:x.Query+1] {
			s.Tokens[j] = t.ID
		}
		if x.Baseline != schema.NoPosition {
			s.Positions = append(s.Positions, x.Baseline)
		}
		sequences[i] = s
	}
	cache, err := a.model.Forward(ctx, sequences, a.engine.heads)
	if err != nil {
		return fmt.Errorf("engine: examples %d to %d: %w", examples[0].Index, examples[len(examples)-1].Index, err)
	}
	p := newPass(a, cache, examples)
	errs := make([]error, len(examples))
	workers.Do(a.engine.options.threads(), len(examples), func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			results[i], errs[i] = p.example(examples[i], i)
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
	cache *gpt2.Cache[T]

	// Effective embeddings by token, of the key and baseline tokens, where a basis needs them: one product
	// for all of them costs a fraction of one each.
	mlp, attn map[int][]T
}

var _ decompose.Embeddings[float32] = (*pass[float32])(nil)

func newPass[T blas.Float](a *analysis[T], cache *gpt2.Cache[T], examples []schema.Example) *pass[T] {
	p := &pass[T]{analysis: a, cache: cache}
	if !slices.ContainsFunc(a.engine.keyBases, func(d decompose.Definition) bool { return d.NeedsEffective }) {
		return p
	}
	p.mlp, p.attn = map[int][]T{}, map[int][]T{}
	var tokens []int
	for _, x := range examples {
		for _, at := range []int{x.Key, x.Baseline} {
			if at == schema.NoPosition {
				continue
			}
			if id := x.Tokens[at].ID; p.mlp[id] == nil {
				p.mlp[id] = []T{} // seen
				tokens = append(tokens, id)
			}
		}
	}
	mlps, attns := a.model.EffectiveEmbeddings(tokens)
	for i, id := range tokens {
		p.mlp[id], p.attn[id] = mlps[i], attns[i]
	}
	return p
}

// Unembed gives W_U[:, token].
func (p *pass[T]) Unembed(token int) []T { return p.model.Unembed(token) }

// EffectiveEmbedding gives the MLP and the attention part of the effective embedding of a token of the pass.
func (p *pass[T]) EffectiveEmbedding(token int) (mlp, attn []T) { return p.mlp[token], p.attn[token] }

// example analyses sequence seq of the pass.
func (p *pass[T]) example(x schema.Example, seq int) (schema.Result, error) {
	result := schema.Result{Example: x, Heads: make([]schema.HeadResult, 0, len(p.engine.heads))}
	for _, head := range p.engine.heads {
		r, err := p.head(x, seq, head)
		if err != nil {
			return schema.Result{}, err
		}
		result.Heads = append(result.Heads, r)
	}
	return result, nil
}

// head analyses one head on one example.
func (p *pass[T]) head(x schema.Example, seq int, head schema.Head) (schema.HeadResult, error) {
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
	if p.engine.options.AttentionOnly {
		return r, nil
	}
	in, err := p.input(x, seq, head, scores)
	if err != nil {
		return r, fmt.Errorf("engine: example %d, head %s: %w", x.Index, head, err)
	}
	out, err := decompose.Contributions(in)
	if err != nil {
		return r, fmt.Errorf("engine: example %d, head %s: %w", x.Index, head, err)
	}
	r.Score.Closure = out.Closure
	if p.engine.options.Convention == schema.Exact {
		tolerance := closureTolerance32
		if p.engine.options.Precision == Float64 {
			tolerance = closureTolerance64
		}
		if !(out.RelativeClosure <= tolerance) { // NaN is not
			return r, &ClosureError{Example: x.Index, Head: head, Residual: out.RelativeClosure, Tolerance: tolerance}
		}
	}
	r.Contributions = p.contributions(out, x.Baseline != schema.NoPosition)
	return r, nil
}

// input collects what [decompose.Contributions] needs out of the cache.
func (p *pass[T]) input(x schema.Example, seq int, head schema.Head, scores []T) (decompose.Input[T], error) {
	model := p.engine.description
	in := decompose.Input[T]{
		Convention: p.engine.options.Convention,
		Eps:        model.LNEps,
		Components: p.engine.components[:schema.StreamComponents(head.Layer, model.NHeads)],
		Maps:       p.maps[head],
		Query:      p.position(seq, atQuery, head, p.cache.Q(head, seq, atQuery)),
		Key:        p.position(seq, atKey, head, p.cache.K(head, seq, atKey)),
	}
	in.Key.Score = scores[x.Key]
	baseline := -1
	if x.Baseline != schema.NoPosition {
		baseline = x.Tokens[x.Baseline].ID
		position := p.position(seq, atBaseline, head, p.cache.K(head, seq, atBaseline))
		position.Score = scores[x.Baseline]
		in.Baseline = &position
	}
	for _, d := range p.engine.queryBases {
		basis, err := decompose.QueryBasis(d.Name, p, x.Tokens[x.Key].ID, baseline)
		if err != nil {
			return in, err
		}
		in.QueryBases = append(in.QueryBases, basis)
	}
	for _, d := range p.engine.keyBases {
		var both decompose.KeyBases
		var err error
		if both.AtKey, err = decompose.KeyBasis(d.Name, p, x.Tokens[x.Key].ID, in.Key.Components, model.NHeads); err != nil {
			return in, err
		}
		if in.Baseline != nil {
			if both.AtBaseline, err = decompose.KeyBasis(d.Name, p, baseline, in.Baseline.Components, model.NHeads); err != nil {
				return in, err
			}
		}
		in.KeyBases = append(in.KeyBases, both)
	}
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
