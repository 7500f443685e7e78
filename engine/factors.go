package engine

import (
	"errors"
	"fmt"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// ErrFactors is returned for factors that do not belong to a pair table.
var ErrFactors = errors.New("unusable factors")

// factors computes the factors of one head on one example, with the axes of every subspace that is not
// random.
func (p *pass[T]) factors(in decompose.Input[T]) ([]schema.Factors, error) {
	chosen := in
	chosen.Pairs, chosen.QueryBases, chosen.KeyBases = nil, nil, nil
	var query, key []int // indices among all bases
	for i, b := range p.engine.queryBases {
		if b.factored() && in.QueryBases[i].Kind() == schema.Subspace { // the example has it
			query, chosen.QueryBases = append(query, i), append(chosen.QueryBases, in.QueryBases[i])
		}
	}
	for i, b := range p.engine.keyBases {
		if b.factored() {
			key, chosen.KeyBases = append(key, len(p.engine.queryBases)+i), append(chosen.KeyBases,
				in.KeyBases[i])
		}
	}
	if in.Mean != nil { // the factors of a mean are those of whole vectors
		mean := *in.Mean
		mean.Parts, chosen.Mean = nil, &mean
		for i, b := range p.engine.keyBases {
			if b.factored() {
				mean.Parts = append(mean.Parts, in.Mean.Parts[i])
			}
		}
	}
	set, err := decompose.AllFactors(chosen)
	if err != nil {
		return nil, err
	}
	layout := p.engine.layout
	list := []schema.Factors{
		factorsOf(set.Query, query, schema.Factors{Side: schema.Query}, layout.QBias()),
		factorsOf(set.Key, key, schema.Factors{Side: schema.Key}, layout.KBias()),
	}
	if set.Baseline != nil {
		list = append(list,
			factorsOf(*set.Baseline, key, schema.Factors{Side: schema.Key, AtBaseline: true}, layout.KBias()))
	}
	return list, nil
}

// factorsOf fills in the factors of one side and position. bases are the run's indices of the bases that f
// numbers from 0; bias is the index of the side's bias.
func factorsOf[T blas.Float](
	f decompose.Factors[T], bases []int, like schema.Factors, bias int,
) schema.Factors {
	like.Components, like.DHead = slices.Clone(f.Rows), f.DHead
	if f.Bias {
		like.Components = append(like.Components, bias)
	}
	like.Vectors, like.Coordinates = narrowTo[float32](f.Vectors), narrowTo[float32](f.Coordinates)
	for _, a := range f.Axes {
		like.Axes = append(like.Axes,
			schema.Axis{Basis: bases[a.Basis], Number: a.Number, Image: narrowTo[float32](a.Image)})
	}
	return like
}

// narrowTo converts numbers. It does not copy slices that have the right type.
func narrowTo[To, From blas.Float](x []From) []To {
	if same, ok := any(x).([]To); ok {
		return same
	}
	out := make([]To, len(x))
	for i, v := range x {
		out[i] = To(v)
	}
	return out
}

// PairMaker multiplies factors to pair tables, reusing its memory. It is not safe for concurrent use.
type PairMaker struct {
	provider blas.Provider
	bases    []schema.Basis
	space    [2]decompose.PairSpace[float32] // key, baseline
	tables   []schema.PairTable
}

// NewPairMaker returns a PairMaker that multiplies by the provider of this name (see [blas.ByName]; empty
// means auto), such as the run's. Factors refer to bases, which are the run's.
func NewPairMaker(blasName string, bases []schema.Basis) (*PairMaker, error) {
	provider, err := blas.ByName(Options{BLAS: blasName}.blasName())
	if err != nil {
		return nil, err
	}
	return &PairMaker{provider: provider, bases: bases}, nil
}

// Tables computes the pair decomposition of one head on one example from its factors. The head's scores are q
// . k times scoreScale. The factors may be in any order, and the result is the same for those that
// [Engine.Analyze] returned and for those read back from a file. The first table is of whole vectors, under
// the bases called none, with everything in [schema.PerpPerp]. After it comes one table for each pair of a
// query basis and a key basis that have axes among the factors; a side on which no basis has axes uses none.
// Sums of d_head products are in float32. The tables are valid until the next call.
func (p *PairMaker) Tables(scoreScale float64, factors []schema.Factors) ([]schema.PairTable, error) {
	query, key, baseline, err := sorted(factors)
	if err != nil {
		return nil, err
	}
	spaces := p.space[:1]
	if err := p.space[0].Multiply(p.provider, scoreScale, product(query), product(key)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFactors, err)
	}
	if baseline != nil {
		spaces = p.space[:]
		if err := p.space[1].Multiply(p.provider, scoreScale, product(query), product(baseline)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFactors, err)
		}
	}
	split, err := p.tableBases(query, key)
	if err != nil {
		return nil, err
	}
	p.tables = resized(p.tables, len(split))
	for i, b := range split {
		t := &p.tables[i]
		t.QueryBasis, t.KeyBasis = b[0], b[1]
		t.QueryComponents, t.KeyComponents = query.Components, key.Components
		t.Score = spaces[0].Split(t.Score, b[0], b[1])
		if baseline == nil || len(baseline.Axes) == 0 && b[1] != split[0][1] {
			t.Baseline = nil // there is none, or it is a mean of keys, along which no basis has axes
		} else {
			t.Baseline = spaces[1].Split(t.Baseline, b[0], b[1])
		}
	}
	return p.tables, nil
}

// sorted returns the factors of query, key and baseline; baseline is nil if there is none.
func sorted(factors []schema.Factors) (query, key, baseline *schema.Factors, err error) {
	for i := range factors {
		f := &factors[i]
		place := &key
		switch {
		case f.Side == schema.Query:
			place = &query
		case f.AtBaseline:
			place = &baseline
		}
		if *place != nil {
			return nil, nil, nil, fmt.Errorf("%w: the %s side is given twice", ErrFactors, f.Side)
		}
		*place = f
		if n := len(f.Components); len(f.Vectors) != n*f.DHead || len(f.Coordinates) != n*len(f.Axes) {
			return nil, nil, nil, fmt.Errorf("%w: %d numbers and %d coordinates on the %s side, "+
				"want %d and %d for %d components of d_head %d and %d axes",
				ErrFactors, len(f.Vectors), len(f.Coordinates), f.Side, n*f.DHead, n*len(f.Axes), n, f.DHead,
				len(f.Axes))
		}
	}
	if query == nil || key == nil {
		return nil, nil, nil, fmt.Errorf("%w: want factors of the query and of the key", ErrFactors)
	}
	if baseline != nil &&
		(!slices.Equal(key.Components, baseline.Components) || len(baseline.Axes) > 0 &&
			!slices.Equal(bases(key), bases(baseline))) {
		return nil, nil, nil, fmt.Errorf("%w: %d components and bases %v at the baseline, "+
			"%d and %v at the key, want the same", ErrFactors, len(baseline.Components), bases(baseline),
			len(key.Components), bases(key))
	}
	return query, key, baseline, nil
}

// bases returns the bases that have axes, each once.
func bases(f *schema.Factors) []int {
	var list []int
	for _, a := range f.Axes {
		if n := len(list); n == 0 || list[n-1] != a.Basis {
			list = append(list, a.Basis)
		}
	}
	return list
}

// tableBases returns the pairs of bases that have a table.
func (p *PairMaker) tableBases(query, key *schema.Factors) ([][2]int, error) {
	var none [2]int
	for side := range none {
		none[side] = slices.IndexFunc(p.bases, func(b schema.Basis) bool {
			return b.Side == schema.Side(side) && b.Kind == schema.Whole
		})
		if none[side] < 0 {
			return nil, fmt.Errorf("%w: no basis of the %s side leaves it whole, among %d bases",
				ErrFactors, schema.Side(side), len(p.bases))
		}
	}
	q, k := bases(query), bases(key)
	if len(q) == 0 {
		q = none[schema.Query : schema.Query+1]
	}
	if len(k) == 0 {
		k = none[schema.Key:]
	}
	list := [][2]int{none}
	for _, i := range q {
		for _, j := range k {
			if pair := [2]int{i, j}; pair != none {
				list = append(list, pair)
			}
		}
	}
	return list, nil
}

// product converts factors to those of [decompose], which need no names to be multiplied.
func product(f *schema.Factors) decompose.Factors[float32] {
	out := decompose.Factors[float32]{Rows: f.Components, DHead: f.DHead, Vectors: f.Vectors,
		Coordinates: f.Coordinates}
	for _, a := range f.Axes {
		out.Axes = append(out.Axes, decompose.Axis[float32]{Basis: a.Basis, Number: a.Number, Image: a.Image})
	}
	return out
}

// resized changes the length of a list and keeps the elements in its memory for reuse.
func resized[E any](list []E, n int) []E { return slices.Grow(list, max(0, n-len(list)))[:n] }
