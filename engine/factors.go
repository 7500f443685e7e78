package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// ErrFactors is returned for factors that do not make a pair table.
var ErrFactors = errors.New("unusable factors")

// factors computes the factor rows of one head on one example: along every subspace that is not random, or of the whole
// vector where a side has none.
func (p *pass[T]) factors(in decompose.Input[T]) ([]schema.Factor, error) {
	query, key := factoredBases(p.engine.queryBases), factoredBases(p.engine.keyBases)
	query = slices.DeleteFunc(query, func(i int) bool { // what this example cannot have
		return p.engine.queryBases[i].factored() && in.QueryBases[i].Kind() != schema.Subspace
	})
	chosen := in
	chosen.Pairs, chosen.QueryBases, chosen.KeyBases = nil, nil, nil
	for _, i := range query {
		chosen.QueryBases = append(chosen.QueryBases, in.QueryBases[i])
	}
	for _, i := range key {
		chosen.KeyBases = append(chosen.KeyBases, in.KeyBases[i])
	}
	set, err := decompose.AllFactors(chosen)
	if err != nil {
		return nil, err
	}
	model := p.engine.description
	biases := schema.StreamComponents(model.NLayers, model.NHeads) // b_Q, then b_K
	var rows []schema.Factor
	for i, basis := range query {
		rows = appendFactors(rows, set.Query[i], schema.Factor{Side: schema.Query, Basis: basis}, biases)
	}
	for i, basis := range key {
		index := len(p.engine.queryBases) + basis
		rows = appendFactors(rows, set.Key[i], schema.Factor{Side: schema.Key, Basis: index}, biases+1)
		if set.Baseline != nil {
			rows = appendFactors(rows, set.Baseline[i], schema.Factor{Side: schema.Key, AtBaseline: true, Basis: index}, biases+1)
		}
	}
	return rows, nil
}

// factoredBases gives the indices of the bases of a side that have factors.
func factoredBases(bases []basis) []int {
	var list []int
	for i, b := range bases {
		if b.factored() {
			list = append(list, i)
		}
	}
	if list == nil {
		list = []int{0} // none is always first
	}
	return list
}

// appendFactors makes rows like one of the factors of one side, position and basis. Rows share their numbers' memory.
func appendFactors[T blas.Float](rows []schema.Factor, f decompose.Factors[T], like schema.Factor, bias int) []schema.Factor {
	par, perp := narrowTo[float32](f.Par), narrowTo[float32](f.Perp)
	for i, component := range append(slices.Clone(f.Rows), bias) {
		from, to := i*f.DHead, (i+1)*f.DHead
		row := like
		row.Component, row.Par, row.Perp = component, par[from:to:to], perp[from:to:to]
		rows = append(rows, row)
	}
	return rows
}

// narrowTo converts numbers; slices of the right type are not copied.
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

// PairMaker multiplies factors to pair tables, again and again in the same memory. It belongs to one goroutine.
type PairMaker struct {
	provider blas.Provider
	space    decompose.PairSpace[float32]
	vectors  [3][]vectorFactors // query, key, baseline; in the order of their bases
	tables   []schema.PairTable
}

// NewPairMaker takes the multiply provider by the name that [blas.ByName] knows it by, such as that of the run; empty is auto.
func NewPairMaker(blasName string) (*PairMaker, error) {
	provider, err := blas.ByName(Options{BLAS: blasName}.blasName())
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return &PairMaker{provider: provider}, nil
}

// vectorFactors are the factors of one vector under one basis: of the query, the key, or the key at the baseline.
type vectorFactors struct {
	basis      int
	components []int
	factors    decompose.Factors[float32]
}

// Tables computes the pair decomposition of one head on one example from its factors, given in any order: as [Engine.Analyze]
// gave them or as read back from a file, with the same result. There is one table for each query basis and key basis among
// them. Sums of 2 d_head products are in float32. The tables are good until the next call.
func (p *PairMaker) Tables(factors []schema.Factor) ([]schema.PairTable, error) {
	if err := p.gather(factors); err != nil {
		return nil, err
	}
	query, key, baseline := p.vectors[atQuery], p.vectors[atKey], p.vectors[atBaseline]
	if len(query) == 0 || len(key) == 0 {
		return nil, fmt.Errorf("engine: %w: %d bases of the query and %d of the key, want some of both", ErrFactors, len(query), len(key))
	}
	if n := len(baseline); n != 0 && n != len(key) {
		return nil, fmt.Errorf("engine: %w: %d bases at the baseline, want the %d of the key or none", ErrFactors, n, len(key))
	}
	p.tables = resized(p.tables, len(query)*len(key))
	for i := range p.tables {
		t, q, k := &p.tables[i], &query[i/len(key)], &key[i%len(key)]
		t.QueryBasis, t.KeyBasis, t.QueryComponents, t.KeyComponents = q.basis, k.basis, slices.Clone(q.components), slices.Clone(k.components)
		var err error
		if t.Score, err = p.space.Pairs(t.Score, p.provider, q.factors, k.factors); err != nil {
			return nil, fmt.Errorf("engine: %w: %w", ErrFactors, err)
		}
		if len(baseline) == 0 {
			t.Baseline = nil
			continue
		}
		b := &baseline[i%len(key)]
		if b.basis != k.basis || !slices.Equal(b.components, k.components) {
			return nil, fmt.Errorf("engine: %w: bases %d at the baseline and %d at the key, of %d and %d components, want the same",
				ErrFactors, b.basis, k.basis, len(b.components), len(k.components))
		}
		if t.Baseline, err = p.space.Pairs(t.Baseline, p.provider, q.factors, b.factors); err != nil {
			return nil, fmt.Errorf("engine: %w: %w", ErrFactors, err)
		}
	}
	return p.tables, nil
}

// gather sorts factors into vectors, and the rows of each by component: the bias, which has the highest number, comes last.
func (p *PairMaker) gather(factors []schema.Factor) error {
	place := func(f *schema.Factor) int {
		switch {
		case f.Side == schema.Query:
			return atQuery
		case f.AtBaseline:
			return atBaseline
		default:
			return atKey
		}
	}
	sorted := make([]*schema.Factor, len(factors))
	for i := range factors {
		sorted[i] = &factors[i]
	}
	slices.SortFunc(sorted, func(a, b *schema.Factor) int {
		return cmp.Or(place(a)-place(b), a.Basis-b.Basis, a.Component-b.Component)
	})
	for at := range p.vectors {
		p.vectors[at] = p.vectors[at][:0]
	}
	for i, f := range sorted {
		list := &p.vectors[place(f)]
		if i == 0 || place(f) != place(sorted[i-1]) || f.Basis != sorted[i-1].Basis {
			*list = resized(*list, len(*list)+1)
			v := &(*list)[len(*list)-1]
			*v = vectorFactors{basis: f.Basis, components: v.components[:0],
				factors: decompose.Factors[float32]{DHead: len(f.Par), Par: v.factors.Par[:0], Perp: v.factors.Perp[:0]}}
		} else if f.Component == sorted[i-1].Component {
			return fmt.Errorf("engine: %w: component %d is there twice in basis %d", ErrFactors, f.Component, f.Basis)
		}
		v := &(*list)[len(*list)-1]
		if len(f.Par) != v.factors.DHead || len(f.Perp) != v.factors.DHead {
			return fmt.Errorf("engine: %w: component %d has %d parallel and %d perpendicular numbers, want %d", ErrFactors, f.Component, len(f.Par), len(f.Perp), v.factors.DHead)
		}
		v.components = append(v.components, f.Component)
		v.factors.Rows = v.components[:len(v.components)-1]
		v.factors.Par = append(v.factors.Par, f.Par...)
		v.factors.Perp = append(v.factors.Perp, f.Perp...)
	}
	return nil
}

// resized gives a list another length, and keeps what lies in its memory to be used again.
func resized[E any](list []E, n int) []E { return slices.Grow(list, max(0, n-len(list)))[:n] }
