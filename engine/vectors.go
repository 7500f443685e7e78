package engine

import (
	"fmt"
	"maps"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

// Names of vectors in [schema.Substitution] and [schema.Projection]. A mover head's output is named by the
// head's label.
const (
	VectorUnembedKey        = "W_U[key]"         // unembedding of the token at the key position
	VectorUnembedBaseline   = "W_U[baseline]"    // of the token at the baseline position
	VectorUnembedRandomName = "W_U[random name]" // of the example's random name
	VectorUnembedRandom     = "W_U[random]"      // of the example's random token
	VectorUnpatched         = "unpatched"        // the stream itself
	VectorEmbed             = "W_E"              // embedding of the position's token
	VectorEffective         = "W_EE"             // effective embedding of the token: W_E + layer 0
	VectorEffectiveMLP      = "W_EE0"            // its MLP part
	VectorMLP0              = "MLP0"             // output of MLP 0 at the position
	VectorStream            = "resid_pre"        // the stream before the head's layer

	perpSuffix = " perp " + VectorUnembedKey // a mover's output without its projection on W_U[key]
)

// substitutions computes the rows of one head on one example.
func (p *pass[T]) substitutions(
	s *decompose.Substitution[T], in decompose.Input[T], x schema.Example, seq int, head schema.Head,
) ([]schema.Substitution, error) {
	var rows []schema.Substitution
	var fault error
	add := func(side schema.Side, name string, v decompose.Substituted, err error) {
		if err != nil && fault == nil {
			fault = fmt.Errorf("substitution %s: %w", name, err)
		}
		rows = append(rows, schema.Substitution{Side: side, Vector: name,
			Score: float32(v.Score), Baseline: float32(v.Baseline), Prob: float32(v.Prob),
			DiffProb: float32(v.DiffProb)})
	}
	query := func(name string, v []T) {
		out, err := s.Query(v)
		add(schema.Query, name, out, err)
	}
	key, baseline := x.Tokens[x.Key].ID, schema.NoToken
	if x.Baseline != schema.NoPosition {
		baseline = x.Tokens[x.Baseline].ID
	}
	random := func(name string, token int) { // a folder of activations has vectors of its own tokens only
		if token != schema.NoToken && p.model != nil {
			query(name, p.Unembed(token))
		}
	}
	if p.engine.unembeds() {
		query(VectorUnembedKey, p.Unembed(key))
		if baseline != schema.NoToken {
			query(VectorUnembedBaseline, p.Unembed(baseline))
		}
		random(VectorUnembedRandomName, x.RandomName)
		random(VectorUnembedRandom, x.RandomToken)
	}
	for _, m := range p.engine.movers {
		output := p.output(in, m)
		query(m.String(), output)
		if !p.engine.unembeds() {
			continue
		}
		along, err := decompose.Span(in.Norm, p.Unembed(key))
		if err != nil {
			return nil, fmt.Errorf("substitution perpendicular to %s: %w", VectorUnembedKey, err)
		}
		_, perp := decompose.Split(in.Norm, along, output)
		query(m.String()+perpSuffix, narrowTo[T](perp))
	}
	for _, b := range p.engine.queryBases {
		if b.vectors[0] != nil {
			i, err := b.place(x)
			if err != nil {
				return nil, err
			}
			query(b.Name, narrowTo[T](b.vectors[0][i][0]))
		}
	}
	unpatched, err := s.Unpatched(schema.Query)
	add(schema.Query, VectorUnpatched, unpatched, err)

	var replaced map[string]*decompose.KeyParts[T] // in the keys of a baseline that is a mean
	if in.Mean != nil {
		replaced = maps.Clone(p.keys[promptHead{seq, head}].replaced)
	}
	keySide := func(name string, atKey, atBaseline []T) {
		out, err := s.Key(atKey, atBaseline)
		if parts := replaced[name]; parts != nil && err == nil {
			out.Baseline, err = s.MeanOf(parts)
		}
		add(schema.Key, name, out, err)
	}
	atKey, atBaseline := p.tokens[key], &tokenVectors[T]{}
	if x.Baseline != schema.NoPosition {
		atBaseline = p.tokens[baseline]
	}
	switch embed := p.engine.layout.Embed(); {
	case p.model != nil:
		keySide(VectorEmbed, atKey.embed, atBaseline.embed)
		keySide(VectorEffective, atKey.effective, atBaseline.effective)
		keySide(VectorEffectiveMLP, atKey.mlp, atBaseline.mlp)
	case embed >= 0 && in.Baseline != nil:
		keySide(VectorEmbed, in.Key.Component(embed), in.Baseline.Component(embed))
	case embed >= 0:
		keySide(VectorEmbed, in.Key.Component(embed), nil)
	}
	if mlp0 := p.engine.layout.MLP(0); 0 <= mlp0 && mlp0 < len(in.Components) {
		var atBaseline []T
		if in.Baseline != nil {
			atBaseline = in.Baseline.Component(mlp0)
		}
		keySide(VectorMLP0, in.Key.Component(mlp0), atBaseline)
	}
	for j, b := range p.engine.keyBases {
		if b.vectors[0] == nil {
			continue
		}
		if in.Mean != nil {
			replaced[b.Name] = in.Mean.Parts[j]
		}
		i, err := b.place(x)
		if err != nil {
			return nil, err
		}
		atKey, atBaseline := narrowTo[T](b.vectors[0][i][0]), []T(nil)
		if in.Baseline != nil {
			atBaseline = atKey
			if b.vectors[1] != nil {
				atBaseline = narrowTo[T](b.vectors[1][i][0])
			}
		}
		keySide(b.Name, atKey, atBaseline)
	}
	unpatched, err = s.Unpatched(schema.Key)
	add(schema.Key, VectorUnpatched, unpatched, err)
	return rows, fault
}

// output returns what a mover head wrote at the query position [d_model], without b_O, and after the
// post-norm if there is one.
func (p *pass[T]) output(in decompose.Input[T], m schema.Head) []T {
	return in.Query.Component(p.engine.layout.Head(m))
}

// projections computes the rows of one head on one example: the movers' outputs along the query bases, and
// the stream at the key along the key bases. With rotary embedding, key and baseline have different maps; the
// difference of their parts is compared with the key's.
func (p *pass[T]) projections(s *decompose.Substitution[T], in decompose.Input[T]) []schema.Projection {
	toDiff := s.ToKey.Minus(s.ToBaseline)
	var rows []schema.Projection
	add := func(side schema.Side, name string, basis int, diff bool, v decompose.Projected) {
		rows = append(rows, schema.Projection{Side: side, Vector: name, Basis: basis, Diff: diff,
			ParNorm: float32(v.ParNorm), PerpNorm: float32(v.PerpNorm), ParCos: float32(v.ParCos),
			PerpCos: float32(v.PerpCos)})
	}
	for i, b := range p.engine.queryBases {
		if !b.factored() || in.QueryBases[i].Kind() != schema.Subspace {
			continue
		}
		for _, m := range p.engine.movers {
			output := p.output(in, m)
			add(schema.Query, m.String(), i, false,
				decompose.Project(in.Norm, in.QueryBases[i], output, s.ToKey.Map))
			if in.Baseline != nil || in.Mean != nil {
				add(schema.Query, m.String(), i, true,
					decompose.Project(in.Norm, in.QueryBases[i], output, toDiff.Map))
			}
		}
	}
	for i, b := range p.engine.keyBases {
		if !b.factored() {
			continue
		}
		index, basis := len(p.engine.queryBases)+i, in.KeyBases[i]
		add(schema.Key, VectorStream, index, false,
			decompose.Project(in.Norm, basis.AtKey, in.Key.Stream, s.AtKey.Map))
		if in.Baseline != nil {
			add(schema.Key, VectorStream, index, true,
				decompose.ProjectDiff(in.Norm, basis.AtKey, in.Key.Stream, basis.AtBaseline,
					in.Baseline.Stream, s.AtKey.Map))
		}
	}
	return rows
}

// cosines compares the movers' outputs with each other along the query bases.
func (p *pass[T]) cosines(in decompose.Input[T]) []schema.VectorCosine {
	var rows []schema.VectorCosine
	for i, b := range p.engine.queryBases {
		// Rows belong to no head, but each head has its own singular directions.
		if !b.factored() || in.QueryBases[i].Kind() != schema.Subspace || b.Singular > 0 {
			continue
		}
		for j, first := range p.engine.movers {
			for _, second := range p.engine.movers[j+1:] {
				par, perp := decompose.Cosine(in.Norm, in.QueryBases[i], p.output(in, first),
					p.output(in, second))
				rows = append(rows,
					schema.VectorCosine{Side: schema.Query, VectorA: first.String(), VectorB: second.String(),
						Basis:  i,
						ParCos: float32(par), PerpCos: float32(perp)})
			}
		}
	}
	return rows
}
