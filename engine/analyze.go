package engine

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/internal/workers"
	"ducklens/engine/model"
	"ducklens/schema"
)

// Largest relative residual of the exact convention: float32 forward passes leave a few 1e-6, float64 ones
// 1e-14.
const (
	closureTolerance32 = 1e-4
	closureTolerance64 = 1e-9
)

// closureTolerance is the largest relative residual at the precision of the engine.
func (e *Engine) closureTolerance() float64 {
	if e.options.Precision == Float64 {
		return closureTolerance64
	}
	return closureTolerance32
}

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
		maps := decompose.Maps[T]{WQ: qk.WQ, WK: qk.WK, QGain: qk.QGain, KGain: qk.KGain}
		if e.layout.QKBias {
			maps.BQ, maps.BK = qk.BQ, qk.BK
		}
		a.maps[head] = maps
	}
	return a
}

// sink is the logit of a head's attention sink, NaN where there is none.
func (a *analysis[T]) sink(head schema.Head) float64 {
	if !a.engine.spec.Sinks {
		return math.NaN()
	}
	return a.model.Sink(head)
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

// passes visits every example once, after a forward pass that it shares with others; passes are of bounded
// size. Visits run beside each other.
func (a *analysis[T]) passes(ctx context.Context, examples []schema.Example, do visit[T]) error {
	first := 0
	for _, part := range a.engine.Passes(examples) {
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
		s := model.Sequence{Tokens: tokens(&x), Length: len(x.Tokens), Positions: []int{atQuery: x.Query, atKey: x.Key}}
		if x.Baseline != schema.NoPosition {
			s.Positions = append(s.Positions, x.Baseline)
		}
		sequences[i] = s
	}
	forward := a.model.Forward
	if a.engine.options.Logits {
		forward = a.model.ForwardAll
	}
	cache, err := forward(ctx, sequences, a.engine.heads)
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

// tokenVectors are the vectors of a token [d_model]. Those of its effective embedding are only there for key
// and baseline tokens of the pass, where a basis or a substitution needs them: one product for all of them
// costs a fraction of one each.
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
	if a.engine.unembeds() {
		workers.Do(options.threads(), len(list), func(i int) { p.tokens[list[i]].unembed = a.model.Unembed(list[i]) })
	}
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
	heads := make([]schema.HeadResult, 0, len(p.engine.heads))
	result := schema.Result{Example: x, Heads: heads, LayerScales: p.layerScales(x, seq)}
	for i, head := range p.engine.heads {
		r, err := p.head(x, seq, head, i == 0)
		if err != nil {
			return schema.Result{}, err
		}
		result.Heads = append(result.Heads, r)
	}
	if p.engine.options.Logits {
		var err error
		if result.Logits, err = p.directLogits(x, seq); err != nil {
			return schema.Result{}, err
		}
	}
	return result, nil
}

// layerScales lists the scales of the post-norms at the kept positions, each once.
func (p *pass[T]) layerScales(x schema.Example, seq int) []schema.LayerScale {
	if !p.engine.spec.PostNorm {
		return nil
	}
	places := map[int]int{x.Query: atQuery, x.Key: atKey, x.Baseline: atBaseline}
	delete(places, schema.NoPosition)
	var list []schema.LayerScale
	for layer := range p.cache.Stop() {
		for _, pos := range slices.Sorted(maps.Keys(places)) {
			list = append(list, schema.LayerScale{Layer: layer, Pos: pos,
				PostAttn: float32(p.cache.PostAttnScale(layer, seq, places[pos])),
				PostMLP:  float32(p.cache.PostMLPScale(layer, seq, places[pos]))})
		}
	}
	return list
}

// head analyses one head on one example. What does not depend on the head is computed for the first.
func (p *pass[T]) head(x schema.Example, seq int, head schema.Head, first bool) (schema.HeadResult, error) {
	scores, probs := p.cache.Scores(head, seq, atQuery), p.cache.Pattern(head, seq, atQuery)
	r := schema.HeadResult{Head: head, FirstKey: p.cache.FirstKey(head, seq, atQuery), Attention: make([]schema.Attention, len(scores))}
	for i := range scores {
		r.Attention[i] = schema.Attention{Score: float32(scores[i]), Prob: float32(probs[i])}
	}
	r.Score = p.score(x, seq, &r)
	// Before anything is computed from them: a basis of what is not finite has no direction, and would be
	// blamed for it.
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
		if tolerance := p.engine.closureTolerance(); !(out.RelativeClosure <= tolerance) { // NaN is not
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

// score fills in a head's scores, probabilities and scales from its attention row; what there is none of is
// NaN.
func (p *pass[T]) score(x schema.Example, seq int, r *schema.HeadResult) schema.Score {
	nan, head := float32(math.NaN()), r.Head
	norm := func(kept int) float32 { return float32(p.cache.NormScale(head.Layer, seq, kept)) }
	key := r.Attention[x.Key-r.FirstKey]
	s := schema.Score{Score: key.Score, Prob: key.Prob, QueryScale: norm(atQuery), KeyScale: norm(atKey),
		Baseline: nan, BaselineProb: nan, BaselineScale: nan, SinkProb: nan,
		QueryNormScale: nan, KeyNormScale: nan, BaselineNormScale: nan, Closure: math.NaN()}
	qkNorm := p.engine.spec.QKNorm != model.NoQKNorm
	if p.engine.spec.Sinks {
		s.SinkProb = float32(p.cache.SinkProb(head, seq, atQuery))
	}
	if qkNorm {
		s.QueryNormScale = float32(p.cache.QNormScale(head, seq, atQuery))
		s.KeyNormScale = float32(p.cache.KNormScale(head, seq, atKey))
	}
	if x.Baseline == schema.NoPosition {
		return s
	}
	baseline := r.Attention[x.Baseline-r.FirstKey]
	s.Baseline, s.BaselineProb, s.BaselineScale = baseline.Score, baseline.Prob, norm(atBaseline)
	if qkNorm {
		s.BaselineNormScale = float32(p.cache.KNormScale(head, seq, atBaseline))
	}
	return s
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
		maker := PairMaker{provider: p.engine.provider, bases: p.engine.Bases()}
		if r.Pairs, err = maker.Tables(1/in.AttnScale, r.Factors); err != nil {
			return err
		}
	}
	if !options.Factors {
		r.Factors = nil
	}
	if !options.Substitutions && !options.Projections {
		return nil
	}
	s, err := decompose.NewSubstitution(in, scores, x.Key-r.FirstKey)
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
	spec := p.engine.spec
	scores, first := p.cache.Scores(head, seq, atQuery), p.cache.FirstKey(head, seq, atQuery)
	in := decompose.Input[T]{
		Convention: p.engine.options.Convention,
		Norm:       p.engine.norm,
		AttnScale:  spec.AttnScaleOf(head.Layer),
		SoftCap:    spec.SoftCap,
		Components: p.engine.components[:p.engine.layout.Below(head.Layer)],
		Maps:       p.maps[head],
		Query:      p.position(x, seq, atQuery, head),
		Key:        p.position(x, seq, atKey, head),
	}
	if spec.Sinks {
		in.Sinks = []float64{p.sink(head)}
	}
	if spec.QKNorm != model.NoQKNorm {
		in.QKScale = func(side schema.Side, normalised []float64) float64 {
			return p.model.QKNormScale(head, side, normalised)
		}
	}
	in.Key.Score = scores[x.Key-first]
	if x.Baseline != schema.NoPosition {
		position := p.position(x, seq, atBaseline, head)
		position.Score = scores[x.Baseline-first]
		in.Baseline = &position
	}
	return in
}

// input is bareInput with the bases of the engine.
func (p *pass[T]) input(x schema.Example, seq int, head schema.Head) (decompose.Input[T], error) {
	in := p.bareInput(x, seq, head)
	without := map[int]bool{} // query bases that this example cannot have
	for i, b := range p.engine.queryBases {
		made, ok, err := p.queryBasis(b, x, in.Query)
		if err != nil {
			return in, err
		}
		without[i] = !ok
		in.QueryBases = append(in.QueryBases, made)
	}
	for _, b := range p.engine.keyBases {
		var both decompose.KeyBases
		var err error
		if both.AtKey, err = p.keyBasis(b, x, atKey, in.Key); err != nil {
			return in, err
		}
		if in.Baseline != nil {
			if both.AtBaseline, err = p.keyBasis(b, x, atBaseline, *in.Baseline); err != nil {
				return in, err
			}
		}
		in.KeyBases = append(in.KeyBases, both)
	}
	in.Pairs = slices.DeleteFunc(pairs(p.engine.queryBases, p.engine.keyBases), func(pair [2]int) bool { return without[pair[0]] })
	return in, nil
}

// position collects one kept position.
func (p *pass[T]) position(x schema.Example, seq, kept int, head schema.Head) decompose.Position[T] {
	spec := p.engine.spec
	at := [...]int{atQuery: x.Query, atKey: x.Key, atBaseline: x.Baseline}[kept]
	position := decompose.Position[T]{
		Components: p.cache.ComponentsBefore(head.Layer, seq, kept),
		Stream:     p.cache.ResidPre(head.Layer, seq, kept),
		Scale:      p.cache.NormScale(head.Layer, seq, kept),
		Turn:       spec.RotaryOf(head.Layer).At(at, len(x.Tokens)),
	}
	vector, scale := p.cache.K, p.cache.KNormScale
	if kept == atQuery {
		vector, scale = p.cache.Q, p.cache.QNormScale
	}
	position.Vector = vector(head, seq, kept)
	if spec.QKNorm != model.NoQKNorm {
		position.VectorScale = scale(head, seq, kept)
	}
	return position
}

// contributions turns tables into rows: component indices of [Engine.Components], basis indices of
// [Engine.Bases].
func (p *pass[T]) contributions(out decompose.Output, baseline bool) []schema.Contribution {
	layout := p.engine.layout
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
				row.Component = layout.QBias()
			default:
				row.Component = layout.KBias()
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
