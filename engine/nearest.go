package engine

import (
	"context"
	"fmt"
	"math"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/internal/workers"
	"ducklens/internal/advice"
	"ducklens/schema"
)

// Names of vectors in [schema.NearestToken] besides the labels of mover heads.
const (
	VectorMap    = "map"
	VectorRandom = randomName // the null: what a direction without meaning reaches
)

// nearestCosines bounds the cosines that are in memory at a time: 32 MB of float32, and as much for the
// products that they are made from.
const nearestCosines = 8_000_000

// checkNearest finds the tokens that may be listed, if they are asked for, and returns an error if there are
// too few.
func (e *Engine) checkNearest() error {
	if e.options.Nearest == 0 {
		return nil
	}
	for id := range min(e.tokenizer.VocabSize(), e.spec.DVocab) {
		if e.tokenizer.Token(id) != "" {
			e.spelt = append(e.spelt, id)
		}
	}
	if e.options.Nearest > len(e.spelt) {
		return advice.Add(invalid("the nearest %d tokens, and %s has %d", e.options.Nearest,
			e.description.Name, len(e.spelt)), "ask for fewer")
	}
	return nil
}

// A nearVector is a vector of an example whose nearest tokens are asked for, and the heads and sides that
// have it.
type nearVector struct {
	name   string
	vector []float64
	result *schema.Result
	heads  []schema.HeadResult // a part of result.Heads
	sides  []schema.Side
}

// nearest adds the nearest tokens to the results of items, if they are asked for. One product of the
// vocabulary serves many vectors, whichever examples they are of.
func (p *pass[T]) nearest(ctx context.Context, items []item, results []schema.Result) error {
	if p.engine.options.Nearest == 0 {
		return nil
	}
	most := max(1, nearestCosines/p.engine.spec.DVocab)
	var list []nearVector
	for i := range items {
		if items[i].none {
			continue
		}
		more, err := p.nearVectors(&items[i], &results[i])
		if err != nil {
			return err
		}
		for list = append(list, more...); len(list) >= most; list = list[most:] {
			if err := p.nearestTo(ctx, list[:most]); err != nil {
				return err
			}
		}
	}
	return p.nearestTo(ctx, list)
}

// nearVectors returns the vectors of an example. If the norm before attention centres, they are centred: it
// lets nothing else through.
func (p *pass[T]) nearVectors(it *item, r *schema.Result) ([]nearVector, error) {
	var list []nearVector
	x, heads := it.x, r.Heads
	add := func(name string, vector []float64, heads []schema.HeadResult, sides ...schema.Side) {
		list = append(list, nearVector{name, vector, r, heads, sides})
	}
	for i := range heads {
		head := heads[i].Head
		in := p.bareInput(x, it.seq, head)
		if isMean(x.BaselineKind) {
			in.Mean = p.means[edgeOf{promptHead{it.seq, head}, x.Query, x.Key, x.BaselineKind}]
		}
		toKey, toBaseline, err := decompose.QueryLinear(in)
		if err != nil {
			return nil, fmt.Errorf("example %d, head %s: %w", x.Index, head, err)
		}
		atKey, _, err := decompose.KeyLinear(in)
		if err != nil {
			return nil, fmt.Errorf("example %d, head %s: %w", x.Index, head, err)
		}
		add(VectorMap, toKey.Minus(toBaseline).Map, heads[i:i+1], schema.Query)
		add(VectorMap, atKey.Map, heads[i:i+1], schema.Key)
		if i > 0 {
			continue
		}
		for _, m := range p.engine.movers {
			add(m.String(), centred(p.engine.norm, p.output(in, m)), heads, schema.Query)
		}
	}
	// Number -1 is no random basis.
	random := randomDirection(p.engine.options.Seed, schema.Query, -1, x.PromptIndex,
		p.engine.spec.DModel)
	add(VectorRandom, centred(p.engine.norm, random), heads, schema.Query, schema.Key)
	return list, nil
}

// centred returns v, less its mean if the norm centres.
func centred[X blas.Float](n decompose.Norm, v []X) []float64 {
	out, mean := make([]float64, len(v)), 0.0
	for i, x := range v {
		out[i] = float64(x)
		mean += out[i] / float64(len(v))
	}
	for i := range out {
		if n.Kind == decompose.LN {
			out[i] -= mean
		}
	}
	return out
}

// nearestTo adds the nearest tokens of vectors to the results that have them.
func (p *pass[T]) nearestTo(ctx context.Context, list []nearVector) error {
	if err := ctx.Err(); err != nil || len(list) == 0 {
		return err
	}
	vectors := make([][]float64, len(list))
	for i := range list {
		vectors[i] = list[i].vector
	}
	cosines := p.model.UnembedCosines(vectors)
	rows, faults := make([][]schema.NearestToken, len(list)), make([]error, len(list))
	workers.Do(p.engine.options.threads(), len(list), func(i int) {
		rows[i], faults[i] = p.ranked(&list[i], cosines[i])
	})
	for i, v := range list {
		if faults[i] != nil {
			return faults[i]
		}
		for h := range v.heads {
			for _, side := range v.sides {
				for _, row := range rows[i] {
					row.Side, row.Vector = side, v.name
					v.heads[h].Nearest = append(v.heads[h].Nearest, row)
				}
			}
		}
	}
	return nil
}

// ranked returns the nearest tokens, and then those of the key and of the baseline that are not among them.
// Of tokens with the same cosine, the one with the smaller number is nearer.
func (p *pass[T]) ranked(v *nearVector, cosines []float32) ([]schema.NearestToken, error) {
	x, most := &v.result.Example, p.engine.options.Nearest
	nearer := func(a, b int) bool { return cosines[a] > cosines[b] || cosines[a] == cosines[b] && a < b }
	top := make([]int, 0, most+1)
	for _, id := range p.engine.spelt {
		if c := cosines[id]; math.IsNaN(float64(c)) {
			head := v.heads[0].Head
			return nil, &NotFiniteError{Example: x.Index, Layer: head.Layer, Head: &head,
				Value: float64(c),
				What:  fmt.Sprintf("cosine of the %s vector %s with W_U[%d]", v.sides[0], v.name, id)}
		}
		if len(top) == most && !nearer(id, top[most-1]) {
			continue
		}
		at := len(top)
		for at > 0 && nearer(id, top[at-1]) {
			at--
		}
		if top = slices.Insert(top, at, id); len(top) > most {
			top = top[:most]
		}
	}
	var rows []schema.NearestToken
	add := func(rank, id int) {
		rows = append(rows, schema.NearestToken{Rank: rank, Token: p.engine.token(id), Cosine: cosines[id]})
	}
	for i, id := range top {
		add(i+1, id)
	}
	for _, position := range positionsOf(x)[1:] {
		id := x.Tokens[position].ID
		if slices.ContainsFunc(rows, func(r schema.NearestToken) bool { return r.Token.ID == id }) {
			continue
		}
		rank := 1
		for _, other := range p.engine.spelt {
			if nearer(other, id) {
				rank++
			}
		}
		add(rank, id)
	}
	return rows, nil
}
