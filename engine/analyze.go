package engine

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/model"
	"ducklens/schema"
)

// closureTolerance returns the largest relative residual that an exact run may have at the engine's
// precision. Float32 forward passes leave a few 1e-6, float64 ones 1e-14.
func (e *Engine) closureTolerance() float64 {
	if e.options.Precision == Float64 {
		return 1e-9
	}
	return schema.ClosureTolerance
}

// Roles of an example's positions.
const (
	atQuery = iota
	atKey
	atBaseline
)

// analysis is the part of an engine that depends on the number type.
type analysis[T blas.Float] struct {
	engine *Engine
	net    network[T]
	model  *model.Model[T] // nil if the activations come from a folder
	maps   map[schema.Head]decompose.Maps[T]

	singulars *singulars[T] // nil if no basis uses singular directions
	wo        struct {      // W_O of sources
		sync.Mutex
		of map[schema.Head]*tensor.Dense
	}
	qkMaps map[qkNorm]decompose.QKMap[T] // nil unless norms are asked for
}

func newAnalysis[T blas.Float](e *Engine, net network[T], model *model.Model[T]) *analysis[T] {
	a := &analysis[T]{engine: e, net: net, model: model, maps: map[schema.Head]decompose.Maps[T]{}}
	if e.options.AttentionOnly {
		return a
	}
	for _, head := range e.heads {
		qk := net.QK(head)
		maps := decompose.Maps[T]{WQ: qk.WQ, WK: qk.WK, QGain: qk.QGain, KGain: qk.KGain}
		if e.layout.QKBias {
			maps.BQ, maps.BK = qk.BQ, qk.BK
		}
		a.maps[head] = maps
	}
	a.singulars = newSingulars(e, a.maps)
	a.makeQKMaps()
	return a
}

// sink returns the logit of a head's attention sink, or NaN if the head has none.
func (a *analysis[T]) sink(head schema.Head) float64 {
	if !a.engine.spec.Sinks {
		return math.NaN()
	}
	return a.net.Sink(head)
}

// Unembed returns W_U[:, token] for a token of the pass.
func (p *pass[T]) Unembed(token int) []T { return p.tokens[token].unembed }

// EffectiveEmbedding returns the MLP part and the attention part of the effective embedding of a token of the
// pass.
func (p *pass[T]) EffectiveEmbedding(token int) (mlp, attn []T) {
	return p.tokens[token].mlp, p.tokens[token].attn
}

// example analyses an example of sequence seq of the pass.
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
	if p.engine.options.Norms {
		if err := p.norms(x, seq, &result); err != nil {
			return schema.Result{}, err
		}
	}
	if p.engine.options.Logits {
		var err error
		if result.Logits, err = p.directLogits(x, seq); err != nil {
			return schema.Result{}, err
		}
	}
	return result, nil
}

// layerScales returns the scales of the post-norms at the kept positions, each once.
func (p *pass[T]) layerScales(x schema.Example, seq int) []schema.LayerScale {
	if !p.engine.spec.PostNorm {
		return nil
	}
	positions := positionsOf(&x)
	slices.Sort(positions)
	positions = slices.Compact(positions)
	var list []schema.LayerScale
	for layer := range p.cache.Stop() {
		for _, pos := range positions {
			place := p.sequences[seq].place(pos)
			list = append(list, schema.LayerScale{Layer: layer, Pos: pos,
				PostAttn: float32(p.cache.PostAttnScale(layer, seq, place)),
				PostMLP:  float32(p.cache.PostMLPScale(layer, seq, place))})
		}
	}
	return list
}

// head analyses one head on one example. If first is set, it also computes what does not depend on the head.
func (p *pass[T]) head(x schema.Example, seq int, head schema.Head, first bool) (schema.HeadResult, error) {
	row := p.row(x, seq, head)
	r := schema.HeadResult{Head: head, FirstKey: row.First, Attention: row.attention}
	r.Score = p.score(x, seq, &r)
	// Check this first: a basis made from numbers that are not finite has no direction, and the error would
	// blame the basis.
	if err := p.finite(x, &r); err != nil || p.engine.options.AttentionOnly {
		return r, err
	}
	in, err := p.input(x, seq, head)
	if err != nil {
		return r, fmt.Errorf("example %d, head %s: %w", x.Index, head, err)
	}
	out, err := decompose.Contributions(in)
	if err != nil {
		return r, fmt.Errorf("example %d, head %s: %w", x.Index, head, err)
	}
	r.Score.Closure = out.Closure
	r.Contributions = p.contributions(out, compared(&x))
	if err := p.finite(x, &r); err != nil {
		return r, err
	}
	if p.engine.options.Convention == schema.Exact {
		// The condition is written so that NaN fails it.
		if tolerance := p.engine.closureTolerance(); !(out.RelativeClosure <= tolerance) {
			return r,
				&ClosureError{Example: x.Index, Head: head, Residual: out.RelativeClosure,
					Tolerance: tolerance}
		}
	}
	if err := p.more(&r, in, x, seq, row.Scores, first); err != nil {
		return r, fmt.Errorf("example %d, head %s: %w", x.Index, head, err)
	}
	f := finder{baseline: compared(&x), position: x.Baseline != schema.NoPosition}
	p.finiteVectors(&f, &r)
	return r, f.fault(x, head)
}

// score fills in a head's scores, probabilities and scales from its attention row. Fields that do not apply
// are NaN.
func (p *pass[T]) score(x schema.Example, seq int, r *schema.HeadResult) schema.Score {
	nan, head := float32(math.NaN()), r.Head
	norm := func(
		role int) float32 {
		return float32(p.cache.NormScale(head.Layer, seq, p.place(x, seq, role)))
	}
	key := r.Attention[x.Key-r.FirstKey]
	s := schema.Score{Score: key.Score, Prob: key.Prob, QueryScale: norm(atQuery), KeyScale: norm(atKey),
		Baseline: nan, BaselineProb: nan, BaselineScale: nan, SinkProb: nan,
		QueryNormScale: nan, KeyNormScale: nan, BaselineNormScale: nan, Closure: math.NaN()}
	qkNorm := p.engine.spec.QKNorm != model.NoQKNorm
	if p.engine.spec.Sinks {
		s.SinkProb = float32(p.row(x, seq, head).Sink)
	}
	if qkNorm {
		s.QueryNormScale = float32(p.cache.QNormScale(head, seq, p.place(x, seq, atQuery)))
		s.KeyNormScale = float32(p.cache.KNormScale(head, seq, p.place(x, seq, atKey)))
	}
	switch {
	case isMean(x.BaselineKind):
		s.Baseline, s.BaselineProb = p.meanScore(x, seq, head)
		return s
	case x.Baseline == schema.NoPosition:
		return s
	}
	baseline := r.Attention[x.Baseline-r.FirstKey]
	s.Baseline, s.BaselineProb, s.BaselineScale = baseline.Score, baseline.Prob, norm(atBaseline)
	if qkNorm {
		s.BaselineNormScale = float32(p.cache.KNormScale(head, seq, p.place(x, seq, atBaseline)))
	}
	return s
}

// more computes what the options ask for besides contributions.
func (p *pass[T]) more(
	r *schema.HeadResult, in decompose.Input[T], x schema.Example, seq int, scores []T, first bool,
) error {
	var err error
	options := &p.engine.options
	if r.Sources, err = p.sourceSplits(in, x, seq, r.Head); err != nil {
		return err
	}
	if options.Rotary {
		if r.Bands, err = p.bands(&in, &x, r.Head); err != nil {
			return err
		}
	}
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
		if r.Substitutions, err = p.substitutions(s, in, x, seq, r.Head); err != nil {
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

// headInput collects what [decompose] needs to know of a head and that does not depend on the example.
func (p *pass[T]) headInput(head schema.Head) decompose.Input[T] {
	spec := p.engine.spec
	in := decompose.Input[T]{
		Convention: p.engine.options.Convention,
		Norm:       p.engine.norm,
		AttnScale:  spec.AttnScaleOf(head.Layer),
		SoftCap:    spec.SoftCap,
		Components: p.engine.components[:p.engine.layout.Below(head.Layer)],
		Maps:       p.maps[head],
	}
	if spec.Sinks {
		in.Sinks = []float64{p.sink(head)}
	}
	if spec.QKNorm != model.NoQKNorm {
		in.QKScale = func(side schema.Side, normalised []float64) float64 {
			return p.net.QKNormScale(head, side, normalised)
		}
	}
	return in
}

// bareInput adds an example to headInput, without bases and without a baseline that is a mean.
func (p *pass[T]) bareInput(x schema.Example, seq int, head schema.Head) decompose.Input[T] {
	row, in := p.row(x, seq, head), p.headInput(head)
	in.Query, in.Key = p.position(x, seq, atQuery, head), p.position(x, seq, atKey, head)
	in.Key.Score = row.Scores[x.Key-row.First]
	if x.Baseline != schema.NoPosition {
		position := p.position(x, seq, atBaseline, head)
		position.Score = row.Scores[x.Baseline-row.First]
		in.Baseline = &position
	}
	return in
}

// input adds the engine's bases to bareInput.
func (p *pass[T]) input(x schema.Example, seq int, head schema.Head) (decompose.Input[T], error) {
	in := p.bareInput(x, seq, head)
	without := map[int]bool{} // query bases that this example does not have
	for i, b := range p.engine.queryBases {
		made, ok, err := p.queryBasis(b, x, head, in.Query)
		if err != nil {
			return in, err
		}
		without[i] = !ok
		in.QueryBases = append(in.QueryBases, made)
	}
	for _, b := range p.engine.keyBases {
		var both decompose.KeyBases
		var err error
		if both.AtKey, err = p.keyBasis(b, x, head, atKey, in.Key); err != nil {
			return in, err
		}
		if in.Baseline != nil {
			if both.AtBaseline, err = p.keyBasis(b, x, head, atBaseline, *in.Baseline); err != nil {
				return in, err
			}
		}
		in.KeyBases = append(in.KeyBases, both)
	}
	in.Pairs = slices.DeleteFunc(pairs(p.engine.queryBases, p.engine.keyBases),
		func(pair [2]int) bool { return without[pair[0]] })
	var err error
	in.Mean, err = p.mean(x, seq, head)
	return in, err
}

// position collects what is known of the example's position of a role.
func (p *pass[T]) position(x schema.Example, seq, role int, head schema.Head) decompose.Position[T] {
	side := schema.Key
	if role == atQuery {
		side = schema.Query
	}
	return p.positionAt(positionOf(&x, role), x, seq, side, head)
}

// positionAt collects what is known of a kept position, as a query or as a key.
func (p *pass[T]) positionAt(
	pos int, x schema.Example, seq int, side schema.Side, head schema.Head,
) decompose.Position[T] {
	spec := p.engine.spec
	kept := p.sequences[seq].place(pos)
	position := decompose.Position[T]{
		Components: p.cache.ComponentsBefore(head.Layer, seq, kept),
		Stream:     p.cache.ResidPre(head.Layer, seq, kept),
		Scale:      p.cache.NormScale(head.Layer, seq, kept),
		Turn:       p.cache.Turn(head.Layer, seq, kept),
	}
	vector, scale := p.cache.K, p.cache.KNormScale
	if side == schema.Query {
		vector, scale = p.cache.Q, p.cache.QNormScale
	}
	position.Vector = vector(head, seq, kept)
	if spec.QKNorm != model.NoQKNorm {
		position.VectorScale = scale(head, seq, kept)
	}
	return position
}

// contributions turns tables into rows. Components and bases are indices into [Engine.Components] and
// [Engine.Bases].
func (p *pass[T]) contributions(out decompose.Output, baseline bool) []schema.Contribution {
	layout := p.engine.layout
	rows := make([]schema.Contribution, 0, len(out.Tables)*(len(out.Rows)+1))
	nan := float32(math.NaN())
	for _, table := range out.Tables {
		for i := range table.Score {
			row := schema.Contribution{
				Side: table.Side, QueryBasis: table.QueryBasis,
				KeyBasis: len(p.engine.queryBases) + table.KeyBasis,
				Score:    narrow(table.Score[i]), Baseline: [4]float32{nan, nan, nan, nan},
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
