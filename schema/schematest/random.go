package schematest

import (
	"math"
	"math/rand/v2"
	"slices"

	"ducklens/schema"
)

// Random returns results for a run. The query and the key vector of each head are sums of random factors,
// drawn from a normal distribution around a mean for each component. Everything else is computed from them:
// for all pairs of bases of the run, contributions add up to the scores, and pairs of components to the
// contributions. Results have factors and pair tables if the run says so, and substitutions, projections and
// cosines with random numbers if it has movers, and nearest tokens if its options are [FullOptions].
func Random(run schema.Run, seed uint64, examples int) []schema.Result {
	rng := rand.New(rand.NewPCG(seed, 1))
	sources := map[schema.Head][2]source{}
	for _, head := range run.Heads {
		sources[head.Head] = [2]source{newSource(rng, run, head.Head, schema.Query),
			newSource(rng, run, head.Head, schema.Key)}
	}
	var results []schema.Result
	for i := range examples {
		e := Example(i)
		if len(run.Movers) > 0 {
			e.RandomName, e.RandomToken = rng.IntN(run.Model.DVocab), rng.IntN(run.Model.DVocab)
		}
		result := schema.Result{Example: e}
		if run.Logits {
			result.Logits = randomLogits(rng, run)
		}
		for n, head := range run.Heads {
			r := randomHead(rng, run, e, head, sources[head.Head])
			if n == 0 {
				r.Cosines = randomCosines(rng, run)
			}
			result.Heads = append(result.Heads, r)
		}
		if run.Options == FullOptions {
			addNearest(run, &result)
		}
		results = append(results, result)
	}
	return results
}

// randomLogits draws the effects of all components, and adds them up.
func randomLogits(rng *rand.Rand, run schema.Run) *schema.Logits {
	l := &schema.Logits{KeyBias: float32(rng.NormFloat64()), BaselineBias: float32(rng.NormFloat64())}
	key, baseline := float64(l.KeyBias), float64(l.BaselineBias)
	for i, c := range Layout(run.Model).Components() {
		if c.Kind != schema.QBias && c.Kind != schema.KBias {
			e := schema.LogitEffect{Component: i, Key: float32(rng.NormFloat64() / 10),
				Baseline: float32(rng.NormFloat64() / 10)}
			l.Effects = append(l.Effects, e)
			key, baseline = key+float64(e.Key), baseline+float64(e.Baseline)
		}
	}
	l.Key, l.Baseline = float32(key), float32(baseline)
	return l
}

// AddLayerScales adds to results the scales of two layers at their positions, as in models with norms on the
// outputs of a layer.
func AddLayerScales(results []schema.Result) []schema.Result {
	for i := range results {
		e := results[i].Example
		for layer := range 2 {
			for _, pos := range []int{e.Key, e.Baseline, e.Query} {
				results[i].LayerScales = append(results[i].LayerScales,
					schema.LayerScale{Layer: layer, Pos: pos, PostAttn: 1 + float32(pos)/8, PostMLP: 2})
			}
		}
	}
	return results
}

// source draws the vectors of one side of a head.
type source struct {
	side       schema.Side
	components []int // the bias is last
	means      [][]float64
	bases      []int // of the side, as indices into the run's bases
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

// parts holds the two parts of a vector that is split along a basis.
type parts [2][]float64

// vector is a query or key vector: the contribution of each component and, for each basis of its side, the
// axes, the components' coordinates, their parts, and the sums of the parts. For a replacement, the sums are
// those of another vector.
type vector struct {
	whole       [][]float32
	axes        map[int][][]float32
	coordinates map[int][][]float32 // [component][axis]
	components  map[int][]parts
	sums        map[int]parts
}

func (s *source) draw(rng *rand.Rand) vector {
	v := vector{axes: map[int][][]float32{}, coordinates: map[int][][]float32{},
		components: map[int][]parts{}, sums: map[int]parts{}}
	for _, mean := range s.means {
		v.whole = append(v.whole, around(rng, mean))
	}
	for _, basis := range s.bases {
		if s.run.Bases[basis].Kind == schema.Replacement {
			other := parts{make([]float64, s.run.Model.DHead), doubles(v.whole[len(v.whole)-1])}
			for i := range other[0] {
				other[0][i] = rng.NormFloat64()
			}
			v.sums[basis] = other
			continue
		}
		for range s.run.Bases[basis].Dimension {
			v.axes[basis] = append(v.axes[basis], around(rng, make([]float64, s.run.Model.DHead)))
		}
		for c := range v.whole {
			coordinates := make([]float32, len(v.axes[basis]))
			for i := range coordinates {
				if c < len(v.whole)-1 { // a bias is perpendicular
					coordinates[i] = float32(rng.NormFloat64())
				}
			}
			v.coordinates[basis] = append(v.coordinates[basis], coordinates)
			v.components[basis] = append(v.components[basis], split(v.whole[c], coordinates, v.axes[basis]))
		}
		v.sums[basis] = sum(v.components[basis])
	}
	return v
}

// around draws a vector around a mean.
func around(rng *rand.Rand, mean []float64) []float32 {
	v := make([]float32, len(mean))
	for i, x := range mean {
		v[i] = float32(x + rng.NormFloat64()/10)
	}
	return v
}

func doubles(v []float32) []float64 {
	list := make([]float64, len(v))
	for i, x := range v {
		list[i] = float64(x)
	}
	return list
}

// split splits a vector into the part given by its coordinates along axes, and the rest.
func split(whole, coordinates []float32, axes [][]float32) parts {
	p := parts{make([]float64, len(whole)), doubles(whole)}
	for n, axis := range axes {
		for i, x := range axis {
			p[0][i] += float64(coordinates[n]) * float64(x)
			p[1][i] -= float64(coordinates[n]) * float64(x)
		}
	}
	return p
}

func sum(list []parts) (total parts) {
	for part := range total {
		total[part] = make([]float64, len(list[0][part]))
		for _, p := range list {
			for i, x := range p[part] {
				total[part][i] += x
			}
		}
	}
	return total
}

func product(a, b []float64) float64 {
	total := 0.0
	for i, x := range a {
		total += x * b[i]
	}
	return total
}

// quadrants multiplies the parts of a query vector with those of a key vector.
func quadrants(scale float64, q, k parts) [4]float32 {
	return [4]float32{float32(scale * product(q[0], k[0])), float32(scale * product(q[0], k[1])),
		float32(scale * product(q[1], k[0])), float32(scale * product(q[1], k[1]))}
}

// BasisPairs lists the pairs of bases of a run on a side. The vector that is split is not replaced, and a
// random direction is paired only with that of the same number.
func BasisPairs(run schema.Run, side schema.Side) (list [][2]int) {
	for qi, q := range run.Bases {
		for ki, k := range run.Bases {
			qNumber, qNull := q.NullNumber()
			kNumber, kNull := k.NullNumber()
			split := q
			if side == schema.Key {
				split = k
			}
			if q.Side == schema.Query && k.Side == schema.Key && split.Kind != schema.Replacement &&
				qNull == kNull && qNumber == kNumber {
				list = append(list, [2]int{qi, ki})
			}
		}
	}
	return list
}

// FactorBases lists the bases of a side for which a run has factors: its subspaces that are not random, or
// the basis none if there are none.
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

// PairBases lists the pairs of bases for which a run has pairs of components: whole vectors if it has the
// basis none on both sides, and those of [FactorBases].
func PairBases(run schema.Run) (list [][2]int) {
	whole := func(side schema.Side) int {
		return slices.IndexFunc(run.Bases,
			func(b schema.Basis) bool { return b.Side == side && b.Kind == schema.Whole })
	}
	if q, k := whole(schema.Query), whole(schema.Key); q >= 0 && k >= 0 {
		list = append(list, [2]int{q, k})
	}
	for _, q := range FactorBases(run, schema.Query) {
		for _, k := range FactorBases(run, schema.Key) {
			if !slices.Contains(list, [2]int{q, k}) {
				list = append(list, [2]int{q, k})
			}
		}
	}
	return list
}

func randomHead(rng *rand.Rand, run schema.Run, e schema.Example, head schema.Target,
	sources [2]source) schema.HeadResult {
	querySide, keySide := &sources[schema.Query], &sources[schema.Key]
	query, key, baseline := querySide.draw(rng), keySide.draw(rng), keySide.draw(rng)
	var list []schema.Contribution
	for _, pair := range BasisPairs(run, schema.Query) {
		for c, component := range querySide.components {
			p := query.components[pair[0]][c]
			list = append(list,
				schema.Contribution{Side: schema.Query, Component: component, QueryBasis: pair[0],
					KeyBasis: pair[1],
					Score:    quadrants(head.ScoreScale, p, key.sums[pair[1]]),
					Baseline: quadrants(head.ScoreScale, p, baseline.sums[pair[1]])})
		}
	}
	for _, pair := range BasisPairs(run, schema.Key) {
		for c, component := range keySide.components {
			q := query.sums[pair[0]]
			list = append(list,
				schema.Contribution{Side: schema.Key, Component: component, QueryBasis: pair[0],
					KeyBasis: pair[1],
					Score:    quadrants(head.ScoreScale, q, key.components[pair[1]][c]),
					Baseline: quadrants(head.ScoreScale, q, baseline.components[pair[1]][c])})
		}
	}
	whole := func(v vector) []float64 {
		all := make([]float64, run.Model.DHead)
		for _, w := range v.whole {
			for i, x := range w {
				all[i] += float64(x)
			}
		}
		return all
	}
	q := whole(query)
	r := Finish(e, head.Head, float32(head.ScoreScale*product(q, whole(key))),
		float32(head.ScoreScale*product(q, whole(baseline))), list)
	r.Score.Closure = closure(r.Score, slices.DeleteFunc(slices.Clone(list), func(c schema.Contribution) bool {
		return run.Bases[c.QueryBasis].Kind == schema.Replacement ||
			run.Bases[c.KeyBasis].Kind == schema.Replacement
	}))
	if run.Factors {
		r.Factors = []schema.Factors{factors(run, querySide, query, false), factors(run, keySide, key, false),
			factors(run, keySide, baseline, true)}
	}
	if run.Pairs {
		for _, b := range PairBases(run) {
			t := schema.PairTable{QueryBasis: b[0], KeyBasis: b[1], QueryComponents: querySide.components,
				KeyComponents: keySide.components}
			for i := range querySide.components {
				for j := range keySide.components {
					p := query.components[b[0]][i]
					t.Score = append(t.Score, quadrants(head.ScoreScale, p, key.components[b[1]][j]))
					t.Baseline = append(t.Baseline,
						quadrants(head.ScoreScale, p, baseline.components[b[1]][j]))
				}
			}
			r.Pairs = append(r.Pairs, t)
		}
	}
	if len(run.Movers) > 0 {
		r.Substitutions = randomSubstitutions(rng, run, e, r)
		r.Projections = randomProjections(rng, run)
	}
	return r
}

// factors returns the stored form of a vector.
func factors(run schema.Run, s *source, v vector, atBaseline bool) schema.Factors {
	f := schema.Factors{Side: s.side, AtBaseline: atBaseline, Components: s.components,
		DHead: run.Model.DHead}
	for _, basis := range FactorBases(run, s.side) {
		for n, axis := range v.axes[basis] {
			f.Axes = append(f.Axes, schema.Axis{Basis: basis, Number: n, Image: axis})
		}
	}
	for c, w := range v.whole {
		f.Vectors = append(f.Vectors, w...)
		for _, a := range f.Axes {
			f.Coordinates = append(f.Coordinates, v.coordinates[a.Basis][c][a.Number])
		}
	}
	return f
}

// randomSubstitutions returns substitutions of the vectors that the engine names. The scores are random,
// except for unpatched; the probabilities are computed from them.
func randomSubstitutions(rng *rand.Rand, run schema.Run, e schema.Example,
	h schema.HeadResult) (rows []schema.Substitution) {
	vectors := [2][]string{
		schema.Query: {"W_U[key]", "W_U[baseline]", "W_U[random name]", "W_U[random]"},
		schema.Key:   {"W_E", "W_EE", "W_EE0", "MLP0"},
	}
	for _, m := range run.Movers {
		vectors[schema.Query] = append(vectors[schema.Query], m.String(), m.String()+" perp W_U[key]")
	}
	for side, names := range vectors {
		for _, name := range append(names, "unpatched") {
			s := schema.Substitution{Side: schema.Side(side), Vector: name,
				Score: float32(rng.NormFloat64() * 2), Baseline: float32(rng.NormFloat64()),
				DiffProb: float32(math.NaN())}
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

// probability returns the probability of position at if its score is replaced.
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

// randomProjections draws lengths of parts of a unit vector. With the baseline subtracted from the vector,
// they are not those of a unit vector.
func randomProjections(rng *rand.Rand, run schema.Run) (rows []schema.Projection) {
	add := func(side schema.Side, name string, basis int) {
		for _, diff := range []bool{false, true} {
			inside := rng.Float64()
			rows = append(rows, schema.Projection{Side: side, Vector: name, Basis: basis, Diff: diff,
				ParNorm:  float32(inside),
				PerpNorm: float32(math.Sqrt(1 - inside*inside)), ParCos: float32(2*rng.Float64() - 1),
				PerpCos: float32(2*rng.Float64() - 1)})
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

// randomCosines compares each mover with the following ones.
func randomCosines(rng *rand.Rand, run schema.Run) (rows []schema.VectorCosine) {
	for i, b := range run.Bases {
		if _, null := b.NullNumber(); b.Side != schema.Query || b.Kind != schema.Subspace || null {
			continue
		}
		for j, first := range run.Movers {
			for _, second := range run.Movers[j+1:] {
				rows = append(rows,
					schema.VectorCosine{Side: schema.Query, VectorA: first.String(), VectorB: second.String(),
						Basis:  i,
						ParCos: float32(2*rng.Float64() - 1), PerpCos: float32(2*rng.Float64() - 1)})
			}
		}
	}
	return rows
}
