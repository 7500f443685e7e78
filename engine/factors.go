package engine

import (
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

// PairTables computes the pair decomposition of one head on one example from its factors, given in any order: as [Engine.Analyze]
// gave them or as read back from a file, with the same result. There is one table for each query basis and key basis among
// them. blasName is the multiply provider as [blas.ByName] knows it, such as that of the run; empty is auto. Sums of 2 d_head
// products are in float32.
func PairTables(factors []schema.Factor, blasName string) ([]schema.PairTable, error) {
	provider, err := blas.ByName(Options{BLAS: blasName}.blasName())
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return pairTables(provider, factors)
}

// vectorFactors are the factors of one vector: of the query, the key, or the key at the baseline.
type vectorFactors struct {
	basis      int
	components []int
	factors    decompose.Factors[float32]
}

func pairTables(provider blas.Provider, factors []schema.Factor) ([]schema.PairTable, error) {
	var vectors [3][]vectorFactors // query, key, baseline
	const query, key, baseline = 0, 1, 2
	byVector := [3]map[int][]schema.Factor{{}, {}, {}}
	for _, f := range factors {
		at := query
		switch {
		case f.Side == schema.Key && f.AtBaseline:
			at = baseline
		case f.Side == schema.Key:
			at = key
		}
		byVector[at][f.Basis] = append(byVector[at][f.Basis], f)
	}
	for at, byBasis := range byVector {
		for basis, rows := range byBasis {
			v, err := gather(basis, rows)
			if err != nil {
				return nil, err
			}
			vectors[at] = append(vectors[at], v)
		}
		slices.SortFunc(vectors[at], func(a, b vectorFactors) int { return a.basis - b.basis })
	}
	if len(vectors[query]) == 0 || len(vectors[key]) == 0 {
		return nil, fmt.Errorf("engine: %w: %d of the query and %d of the key, want some of both", ErrFactors, len(byVector[query]), len(byVector[key]))
	}
	if n := len(vectors[baseline]); n != 0 && n != len(vectors[key]) {
		return nil, fmt.Errorf("engine: %w: %d bases at the baseline, want the %d of the key or none", ErrFactors, n, len(vectors[key]))
	}
	var tables []schema.PairTable
	for _, q := range vectors[query] {
		for i, k := range vectors[key] {
			t := schema.PairTable{QueryBasis: q.basis, KeyBasis: k.basis, QueryComponents: q.components, KeyComponents: k.components}
			var err error
			if t.Score, err = decompose.Pairs(provider, q.factors, k.factors); err != nil {
				return nil, fmt.Errorf("engine: %w: %w", ErrFactors, err)
			}
			if len(vectors[baseline]) > 0 {
				b := vectors[baseline][i]
				if b.basis != k.basis || !slices.Equal(b.components, k.components) {
					return nil, fmt.Errorf("engine: %w: bases %d at the baseline and %d at the key, of %d and %d components, want the same",
						ErrFactors, b.basis, k.basis, len(b.components), len(k.components))
				}
				if t.Baseline, err = decompose.Pairs(provider, q.factors, b.factors); err != nil {
					return nil, fmt.Errorf("engine: %w: %w", ErrFactors, err)
				}
			}
			tables = append(tables, t)
		}
	}
	return tables, nil
}

// gather puts the rows of one vector and basis in the order of their components: the bias, which has the highest
// number, comes last.
func gather(basis int, rows []schema.Factor) (vectorFactors, error) {
	slices.SortFunc(rows, func(a, b schema.Factor) int { return a.Component - b.Component })
	v := vectorFactors{basis: basis, factors: decompose.Factors[float32]{DHead: len(rows[0].Par)}}
	for i, f := range rows {
		if len(f.Par) != v.factors.DHead || len(f.Perp) != v.factors.DHead {
			return v, fmt.Errorf("engine: %w: component %d has %d parallel and %d perpendicular numbers, want %d", ErrFactors, f.Component, len(f.Par), len(f.Perp), v.factors.DHead)
		}
		if i > 0 && f.Component == rows[i-1].Component {
			return v, fmt.Errorf("engine: %w: component %d is there twice in basis %d", ErrFactors, f.Component, basis)
		}
		v.components = append(v.components, f.Component)
		v.factors.Par = append(v.factors.Par, f.Par...)
		v.factors.Perp = append(v.factors.Perp, f.Perp...)
	}
	v.factors.Rows = v.components[:len(rows)-1]
	return v, nil
}
