package decompose_test

import (
	"math"
	"math/rand/v2"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// choice is a basis before anything is made of it: what the oracle sees.
type choice struct {
	kind       schema.BasisKind
	directions [][]float64
}

func (c choice) basis() decompose.Basis {
	var b decompose.Basis
	var err error
	switch c.kind {
	case schema.Subspace:
		b, err = decompose.Span(c.directions...)
	case schema.Replacement:
		b, err = decompose.Replace(c.directions[0])
	}
	if err != nil {
		panic(err)
	}
	return b
}

// place is one token position, the components as rows.
type place struct {
	components [][]float64
	stream     []float64
	sigma      float64
}

// example is a made-up example: random components, maps and directions, nothing centred and nothing
// normalised, and everything the model would have computed from them.
type example struct {
	convention    schema.Convention
	eps           float64
	components    []schema.Component
	wq, wk        [][]float64 // [d_model][d_head]
	bq, bk        []float64
	query, key    place
	baseline      *place
	queryChoices  []choice
	keyChoices    []choice
	baseChoices   []choice // the key choices at the baseline position
	dModel, dHead int
}

// newExample draws an example of the given sizes. Each component is offset by a constant of its own, as raw
// weights are.
func newExample(seed uint64, layers, heads, dModel, dHead int, baseline bool) *example {
	r := rand.New(rand.NewPCG(seed, 1))
	e := &example{eps: 1e-5, dModel: dModel, dHead: dHead}
	e.components = schema.Components(layers, heads)[:schema.StreamComponents(layers, heads)]
	vector := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = r.NormFloat64()
		}
		return v
	}
	matrix := func(rows, cols int) [][]float64 {
		m := make([][]float64, rows)
		for i := range m {
			m[i] = vector(cols)
		}
		return m
	}
	e.wq, e.wk, e.bq, e.bk = matrix(dModel, dHead), matrix(dModel, dHead), vector(dHead), vector(dHead)
	draw := func() place {
		p := place{components: matrix(len(e.components), dModel), stream: make([]float64, dModel)}
		for _, x := range p.components {
			offset := 3 * r.NormFloat64()
			for i := range x {
				x[i] += offset
				p.stream[i] += x[i]
			}
		}
		c := naiveCentre(p.stream)
		p.sigma = math.Sqrt(naiveDot(c, c)/float64(dModel) + e.eps)
		return p
	}
	e.query, e.key = draw(), draw()
	if baseline {
		b := draw()
		e.baseline = &b
	}
	for _, n := range []int{0, 1, 2, -1} {
		for _, list := range []*[]choice{&e.queryChoices, &e.keyChoices, &e.baseChoices} {
			switch {
			case n == 0:
				*list = append(*list, choice{kind: schema.Whole})
			case n < 0:
				*list = append(*list, choice{schema.Replacement, matrix(1, dModel)})
			default:
				*list = append(*list, choice{schema.Subspace, matrix(n, dModel)})
			}
		}
	}
	return e
}

// input hands the example to the package, rounded to T.
func input[T blas.Float](e *example) decompose.Input[T] {
	in := decompose.Input[T]{Convention: e.convention, Eps: e.eps, Components: e.components}
	in.Maps = decompose.Maps[T]{WQ: dense[T](e.wq), WK: dense[T](e.wk), BQ: round[T](e.bq), BK: round[T](e.bk)}
	position := func(p *place, w [][]float64, b []float64) decompose.Position[T] {
		return decompose.Position[T]{Components: dense[T](p.components), Stream: round[T](p.stream), Scale: T(p.sigma),
			Vector: round[T](add(transposedTimes(w, times(1/p.sigma, naiveCentre(p.stream))), b))}
	}
	in.Query = position(&e.query, e.wq, e.bq)
	in.Key = position(&e.key, e.wk, e.bk)
	in.Key.Score = T(e.score(&e.key))
	if e.baseline != nil {
		b := position(e.baseline, e.wk, e.bk)
		b.Score = T(e.score(e.baseline))
		in.Baseline = &b
	}
	for _, c := range e.queryChoices {
		in.QueryBases = append(in.QueryBases, c.basis())
	}
	for i, c := range e.keyChoices {
		in.KeyBases = append(in.KeyBases, decompose.KeyBases{AtKey: c.basis(), AtBaseline: e.baseChoices[i].basis()})
	}
	return in
}

// score is q . k / sqrt(d_head).
func (e *example) score(p *place) float64 {
	q := add(transposedTimes(e.wq, times(1/e.query.sigma, naiveCentre(e.query.stream))), e.bq)
	k := add(transposedTimes(e.wk, times(1/p.sigma, naiveCentre(p.stream))), e.bk)
	return naiveDot(q, k) / math.Sqrt(float64(e.dHead))
}

// naive computes a table entry by entry, with explicit vectors and projections: the oracle of the fast form.
// at is the key or the baseline position, and keyChoice the choice for it.
func (e *example) naive(side schema.Side, at *place, queryChoice, keyChoice choice) [][4]float64 {
	var rows [][4]float64
	enter := func(queryParts, keyParts [2][]float64) {
		var row [4]float64
		for i, q := range queryParts {
			for j, k := range keyParts {
				row[2*i+j] = naiveDot(q, k) / math.Sqrt(float64(e.dHead))
			}
		}
		rows = append(rows, row)
	}
	zero := make([]float64, e.dHead)
	if side == schema.Key {
		q := e.fixed(&e.query, e.wq, e.bq, queryChoice)
		for i, c := range e.components {
			if e.convention == schema.Notebook && c.Kind == schema.AttnBias {
				continue
			}
			par, perp := project(times(1/at.sigma, naiveCentre(at.components[i])), keyChoice)
			enter(q, [2][]float64{transposedTimes(e.wk, par), transposedTimes(e.wk, perp)})
		}
		enter(q, [2][]float64{zero, e.bk})
		return rows
	}
	if e.convention == schema.Notebook && keyChoice.kind == schema.Replacement {
		keyChoice = choice{}
	}
	k := e.fixed(at, e.wk, e.bk, keyChoice)
	for i, c := range e.components {
		if e.convention == schema.Notebook && c.Kind == schema.AttnBias {
			continue
		}
		par, perp := project(times(1/e.query.sigma, naiveCentre(e.query.components[i])), queryChoice)
		enter([2][]float64{transposedTimes(e.wq, par), transposedTimes(e.wq, perp)}, k)
	}
	enter([2][]float64{zero, e.bq}, k)
	return rows
}

// fixed gives the two parts of the fixed side, each from its own vector in the stream.
func (e *example) fixed(p *place, w [][]float64, bias []float64, c choice) [2][]float64 {
	centred := naiveCentre(p.stream)
	denominator := p.sigma
	if c.kind == schema.Replacement {
		centred = naiveCentre(c.directions[0])
		denominator = math.Sqrt(naiveDot(centred, centred)/float64(e.dModel) + e.eps)
	}
	if e.convention == schema.Notebook && c.kind != schema.Whole {
		denominator = math.Sqrt(naiveDot(centred, centred) / float64(e.dModel-1))
	}
	normalised := times(1/denominator, centred)
	if c.kind == schema.Replacement {
		return [2][]float64{transposedTimes(w, normalised), bias}
	}
	par, perp := project(normalised, c)
	return [2][]float64{transposedTimes(w, par), add(transposedTimes(w, perp), bias)}
}

// project is A (A^T A)^-1 A^T x and the rest, A holding one or two centred directions as columns.
func project(x []float64, c choice) (par, perp []float64) {
	par = make([]float64, len(x))
	if c.kind == schema.Subspace {
		a := naiveCentre(c.directions[0])
		if len(c.directions) == 1 {
			par = times(naiveDot(a, x)/naiveDot(a, a), a)
		} else {
			b := naiveCentre(c.directions[1])
			aa, ab, bb, ax, bx := naiveDot(a, a), naiveDot(a, b), naiveDot(b, b), naiveDot(a, x), naiveDot(b, x)
			det := aa*bb - ab*ab
			par = add(times((bb*ax-ab*bx)/det, a), times((aa*bx-ab*ax)/det, b))
		}
	}
	return par, add(x, times(-1, par))
}

func naiveCentre(x []float64) []float64 {
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v - mean
	}
	return out
}

func naiveDot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func times(s float64, x []float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = s * v
	}
	return out
}

func add(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] + b[i]
	}
	return out
}

func transposedTimes(w [][]float64, x []float64) []float64 {
	out := make([]float64, len(w[0]))
	for i, row := range w {
		for j, v := range row {
			out[j] += v * x[i]
		}
	}
	return out
}

func round[T blas.Float](x []float64) []T {
	out := make([]T, len(x))
	for i, v := range x {
		out[i] = T(v)
	}
	return out
}

func dense[T blas.Float](rows [][]float64) *tensor.Dense {
	var flat []T
	for _, r := range rows {
		flat = append(flat, round[T](r)...)
	}
	return tensor.New(tensor.WithShape(len(rows), len(rows[0])), tensor.WithBacking(flat))
}
