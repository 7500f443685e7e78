package schematest

import (
	"math"
	"math/rand/v2"
	"slices"

	"ducklens/schema"
)

// Random makes results for a run. The query and the key vector of each head are sums of random factors, drawn from a normal
// distribution around a mean per component, and everything else is computed from those: contributions, over the
// pairs of bases that a run has, add up to the scores, and pairs of components to the contributions. Factors and
// pair tables are there if the run says so, substitutions, projections and cosines if it has movers; their numbers are random.
func Random(run schema.Run, seed uint64, examples int) []schema.Result {
	rng := rand.New(rand.NewPCG(seed, 1))
	sources := map[schema.Head][2]source{}
	for _, head := range run.Heads {
		sources[head] = [2]source{newSource(rng, run, head, schema.Query), newSource(rng, run, head, schema.Key)}
	}
	var results []schema.Result
	for i := range examples {
		e := Example(i)
		if len(run.Movers) > 0 {
			e.RandomName, e.RandomToken = rng.IntN(run.Model.DVocab), rng.IntN(run.Model.DVocab)
		}
		result := schema.Result{Example: e}
		for n, head := range run.Heads {
			r := randomHead(rng, run, e, head, sources[head])
			if n == 0 {
				r.Cosines = randomCosines(rng, run)
			}
			result.Heads = append(result.Heads, r)
		}
		results = append(results, result)
	}
	return results
}

// source draws the vectors of one side of a head.
type source struct {
	side       schema.Side
	components []int // the bias last
	means      [][]float64
	bases      []int // of the side, as the run numbers them
	run        schema.Run
}

func newSource(rng *rand.Rand, run schema.Run, head schema.Head, side schema.Side) source {
	s := source{side: side, components: SideComponents(run.Model, run.Convention, head, side), run: run}
	for range s.components {
		mean := make([]float64, run.Model.DHead)
		for i := range mean {
			mean[i] = rng.NormFloat64() / 10
		}
		s.means = append(s.means, mean)
	}
	for i, b := range run.Bases {
		if b.Side == side {
			s.bases = append(s.bases, i)
		}
	}
	return s
}

// parts are the two parts of a vector that is split along a basis, or their factors.
type parts [2][]float32

// vector is a query or key vector, along each basis of its side: the parts of each component, and their sums. For
// a replacement the sums are those of another vector.
type vector struct {
	components map[int][]parts // by basis; as many as the source has
	sums       map[int][2][]float64
}

func (s *source) draw(rng *rand.Rand) vector {
	v := vector{components: map[int][]parts{}, sums: map[int][2][]float64{}}
	dHead := s.run.Model.DHead
	totals := make([][]float64, len(s.components))
	for c, mean := range s.means {
		totals[c] = make([]float64, dHead)
		for i := range mean {
			totals[c][i] = mean[i] + rng.NormFloat64()/10
		}
	}
	for _, basis := range s.bases {
		kind := s.run.Bases[basis].Kind
		list := make([]parts, len(totals))
		for c, total := range totals {
			p := parts{make([]float32, dHead), make([]float32, dHead)}
			inside := rng.Float64()
			for i, x := range total {
				if kind != schema.Whole && c < len(totals)-1 { // a bias is perpendicular
					p[0][i] = float32(inside*x + rng.NormFloat64()/20)
				}
				p[1][i] = float32(x - float64(p[0][i]))
			}
			list[c] = p
		}
		if kind == schema.Replacement {
			other := parts{make([]float32, dHead), list[len(list)-1][1]}
			for i := range dHead {
				other[0][i] = float32(rng.NormFloat64())
			}
			v.sums[basis] = sum([]parts{other})
			continue
		}
		v.components[basis], v.sums[basis] = list, sum(list)
	}
	return v
}

func sum(list []parts) (total [2][]float64) {
	for part := range total {
		total[part] = make([]float64, len(list[0][part]))
		for _, p := range list {
			for i, x := range p[part] {
				total[part][i] += float64(x)
			}
		}
	}
	return total
}

// product gives a . b / sqrt(d_head).
func product[A, B float32 | float64](a []A, b []B) float64 {
	total := 0.0
	for i, x := range a {
		total += float64(x) * float64(b[i])
	}
	return total / math.Sqrt(float64(len(a)))
}

// quadrants multiplies the parts of a query vector with those of a key vector.
func quadrants[A, B float32 | float64](q [2][]A, k [2][]B) [4]float32 {
	return [4]float32{float32(product(q[0], k[0])), float32(product(q[0], k[1])), float32(product(q[1], k[0])), float32(product(q[1], k[1]))}
}

// BasisPairs lists the pairs of bases that a run has on a side: a vector that is split is not replaced, and a random
// direction is paired with that of its number only.
func BasisPairs(run schema.Run, side schema.Side) (list [][2]int) {
	for qi, q := range run.Bases {
		for ki, k := range run.Bases {
			qNumber, qNull := q.NullNumber()
			kNumber, kNull := k.NullNumber()
			split := q
			if side == schema.Key {
				split = k
			}
			if q.Side == schema.Query && k.Side == schema.Key && split.Kind != schema.Replacement && qNull == kNull && qNumber == kNumber {
				list = append(list, [2]int{qi, ki})
			}
		}
	}
	return list
}

// FactorBases lists the bases of a side that a run has factors for: its subspaces but for random directions, or none
// where it has no such.
func FactorBases(run schema.Run, side schema.Side) (list []int) {
	whole := -1
	for i, b := range run.Bases {
		_, null := b.NullNumber()
		switch {
		case b.Side != side || null:
		case b.Kind == schema.Subspace:
			list = append(list, i)
		case b.Kind == schema.Whole:
			whole = i
		}
	}
	if list == nil && whole >= 0 {
		list = []int{whole}
	}
	return list
}

func randomHead(rng *rand.Rand, run schema.Run, e schema.Example, head schema.Head, sources [2]source) schema.HeadResult {
	querySide, keySide := &sources[schema.Query], &sources[schema.Key]
	query, key, baseline := querySide.draw(rng), keySide.draw(rng), keySide.draw(rng)
	var list []schema.Contribution
	for _, pair := range BasisPairs(run, schema.Query) {
		for c, component := range querySide.components {
			p := query.components[pair[0]][c]
			list = append(list, schema.Contribution{Side: schema.Query, Component: component, QueryBasis: pair[0], KeyBasis: pair[1],
				Score: quadrants(p, key.sums[pair[1]]), Baseline: quadrants(p, baseline.sums[pair[1]])})
		}
	}
	for _, pair := range BasisPairs(run, schema.Key) {
		for c, component := range keySide.components {
			q := query.sums[pair[0]]
			list = append(list, schema.Contribution{Side: schema.Key, Component: component, QueryBasis: pair[0], KeyBasis: pair[1],
				Score: quadrants(q, key.components[pair[1]][c]), Baseline: quadrants(q, baseline.components[pair[1]][c])})
		}
	}
	// All of a vector is in any basis that does not replace it.
	whole := func(v vector, bases []int) []float64 {
		i := slices.IndexFunc(bases, func(b int) bool { return v.components[b] != nil })
		s := v.sums[bases[i]]
		all := slices.Clone(s[0])
		for i, x := range s[1] {
			all[i] += x
		}
		return all
	}
	q := whole(query, querySide.bases)
	r := Finish(e, head, float32(product(q, whole(key, keySide.bases))), float32(product(q, whole(baseline, keySide.bases))), list)
	r.Score.Closure = closure(r.Score, slices.DeleteFunc(slices.Clone(list), func(c schema.Contribution) bool {
		return run.Bases[c.QueryBasis].Kind == schema.Replacement || run.Bases[c.KeyBasis].Kind == schema.Replacement
	}))
	if run.Factors {
		r.Factors = append(factors(run, querySide, query, false), factors(run, keySide, key, false)...)
		r.Factors = append(r.Factors, factors(run, keySide, baseline, true)...)
	}
	if run.Pairs {
		for _, qb := range FactorBases(run, schema.Query) {
			for _, kb := range FactorBases(run, schema.Key) {
				t := schema.PairTable{QueryBasis: qb, KeyBasis: kb, QueryComponents: querySide.components, KeyComponents: keySide.components}
				for i := range querySide.components {
					for j := range keySide.components {
						p := query.components[qb][i]
						t.Score = append(t.Score, quadrants(p, key.components[kb][j]))
						t.Baseline = append(t.Baseline, quadrants(p, baseline.components[kb][j]))
					}
				}
				r.Pairs = append(r.Pairs, t)
			}
		}
	}
	if len(run.Movers) > 0 {
		r.Substitutions = randomSubstitutions(rng, run, e, r)
		r.Projections = randomProjections(rng, run)
	}
	return r
}

// factors gives the rows of a vector.
func factors(run schema.Run, s *source, v vector, atBaseline bool) (rows []schema.Factor) {
	for _, basis := range FactorBases(run, s.side) {
		for c, component := range s.components {
			p := v.components[basis][c]
			rows = append(rows, schema.Factor{Side: s.side, AtBaseline: atBaseline, Component: component, Basis: basis, Par: p[0], Perp: p[1]})
		}
	}
	return rows
}

// randomSubstitutions names the vectors that the engine names. The scores are random but for unpatched, the
// probabilities belong to the scores.
func randomSubstitutions(rng *rand.Rand, run schema.Run, e schema.Example, h schema.HeadResult) (rows []schema.Substitution) {
	vectors := [2][]string{
		schema.Query: {"W_U[key]", "W_U[baseline]", "W_U[random name]", "W_U[random]"},
		schema.Key:   {"W_E", "W_EE", "W_EE0", "MLP0"},
	}
	for _, m := range run.Movers {
		vectors[schema.Query] = append(vectors[schema.Query], m.String(), m.String()+" perp W_U[key]")
	}
	for side, names := range vectors {
		for _, name := range append(names, "unpatched") {
			s := schema.Substitution{Side: schema.Side(side), Vector: name, Score: float32(rng.NormFloat64() * 2), Baseline: float32(rng.NormFloat64()), DiffProb: float32(math.NaN())}
			if name == "unpatched" {
				s.Score, s.Baseline = h.Score.Score, h.Score.Baseline
			}
			s.Prob = probability(h.Attention, e.Key, s.Score)
			if run.Convention == schema.Notebook {
				s.DiffProb = probability(h.Attention, e.Key, s.Score-s.Baseline)
			}
			rows = append(rows, s)
		}
	}
	return rows
}

// probability is that of position at if its score is replaced.
func probability(row []schema.Attention, at int, score float32) float32 {
	own := math.Exp(float64(score))
	total := own
	for i, a := range row {
		if i != at {
			total += math.Exp(float64(a.Score))
		}
	}
	return float32(own / total)
}

// randomProjections draws lengths of parts that make a unit vector; with the baseline subtracted from the vector they
// make none.
func randomProjections(rng *rand.Rand, run schema.Run) (rows []schema.Projection) {
	add := func(side schema.Side, name string, basis int) {
		for _, diff := range []bool{false, true} {
			inside := rng.Float64()
			rows = append(rows, schema.Projection{Side: side, Vector: name, Basis: basis, Diff: diff, ParNorm: float32(inside),
				PerpNorm: float32(math.Sqrt(1 - inside*inside)), ParCos: float32(2*rng.Float64() - 1), PerpCos: float32(2*rng.Float64() - 1)})
		}
	}
	for i, b := range run.Bases {
		if _, null := b.NullNumber(); b.Kind != schema.Subspace || null {
			continue
		}
		if b.Side == schema.Key {
			add(schema.Key, "resid_pre", i)
			continue
		}
		for _, m := range run.Movers {
			add(schema.Query, m.String(), i)
		}
	}
	return rows
}

// randomCosines compares each mover with those behind it.
func randomCosines(rng *rand.Rand, run schema.Run) (rows []schema.VectorCosine) {
	for i, b := range run.Bases {
		if _, null := b.NullNumber(); b.Side != schema.Query || b.Kind != schema.Subspace || null {
			continue
		}
		for j, first := range run.Movers {
			for _, second := range run.Movers[j+1:] {
				rows = append(rows, schema.VectorCosine{Side: schema.Query, VectorA: first.String(), VectorB: second.String(), Basis: i,
					ParCos: float32(2*rng.Float64() - 1), PerpCos: float32(2*rng.Float64() - 1)})
			}
		}
	}
	return rows
}
