package decompose_test

import (
	"math"
	"math/rand/v2"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// choice is a basis as the oracle sees it, before it is computed.
type choice struct {
	kind       schema.BasisKind
	directions [][]float64
	norm       decompose.Norm // which centres directions or does not
}

func (c choice) basis() decompose.Basis {
	var b decompose.Basis
	var err error
	switch c.kind {
	case schema.Subspace:
		b, err = decompose.Span(c.norm, c.directions...)
	case schema.Replacement:
		b, err = decompose.Replace(c.norm, c.directions[0])
	}
	if err != nil {
		panic(err)
	}
	return b
}

// place is one token position, with the components as rows.
type place struct {
	components [][]float64
	stream     []float64
	sigma      float64 // of the norm
	qkScale    float64 // of QK-norm; 1 without
	turn       rotary.Turn
}

// maps are the maps of one side.
type maps struct {
	w    [][]float64 // [d_model][d_head]
	b    []float64
	gain []float64 // of QK-norm
}

// example is a made-up example: random components, maps and directions, neither centred nor normalised, and
// everything that the model would have computed from them.
type example struct {
	convention    schema.Convention
	norm          decompose.Norm
	attnScale     float64
	softCap       float64
	sinks         []float64
	unbiased      bool // no b_Q and b_K
	qkNorm        bool // q and k are divided by sqrt(mean(q^2) + qkEps), times gains
	qkEps         float64
	components    []schema.Component
	toQuery       maps
	toKey         maps
	query, key    place
	baseline      *place
	queryChoices  []choice
	keyChoices    []choice
	baseChoices   []choice // the key choices at the baseline position
	dModel, dHead int
}

// newExample draws an example of the given sizes, with the arithmetic of GPT-2. Each component is offset by
// its own constant, as with raw weights.
func newExample(seed uint64, layers, heads, dModel, dHead int, baseline bool) *example {
	r := rand.New(rand.NewPCG(seed, 1))
	e := &example{norm: ln, attnScale: math.Sqrt(float64(dHead)), dModel: dModel, dHead: dHead}
	e.components = gpt2(layers, heads).Components()[:gpt2(layers, heads).Below(layers)]
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
	e.toQuery.w, e.toKey.w, e.toQuery.b, e.toKey.b = matrix(dModel, dHead), matrix(dModel, dHead), vector(dHead), vector(dHead)
	draw := func() place {
		p := place{components: matrix(len(e.components), dModel), stream: make([]float64, dModel)}
		for _, x := range p.components {
			offset := 3 * r.NormFloat64()
			for i := range x {
				x[i] += offset
				p.stream[i] += x[i]
			}
		}
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
				*list = append(*list, choice{kind: schema.Replacement, directions: matrix(1, dModel)})
			default:
				*list = append(*list, choice{kind: schema.Subspace, directions: matrix(n, dModel)})
			}
		}
	}
	e.toQuery.gain, e.toKey.gain = vector(dHead), vector(dHead)
	e.settle()
	return e
}

// settle computes the scales of the example's norms for its streams, and sets the norm of the choices.
func (e *example) settle() {
	if e.unbiased {
		e.toQuery.b, e.toKey.b = make([]float64, e.dHead), make([]float64, e.dHead)
	}
	for p, m := range map[*place]maps{&e.query: e.toQuery, &e.key: e.toKey, e.baseline: e.toKey} {
		if p != nil {
			p.sigma = e.scale(p.stream)
			p.qkScale = e.qkScale(m, times(1/p.sigma, e.centre(p.stream)))
		}
	}
	for _, list := range [][]choice{e.queryChoices, e.keyChoices, e.baseChoices} {
		for i := range list {
			list[i].norm = e.norm
		}
	}
}

func (e *example) centre(x []float64) []float64 {
	if e.norm.Kind == decompose.LN {
		return naiveCentre(x)
	}
	return times(1, x)
}

// scale returns the scale of the norm for a whole stream.
func (e *example) scale(x []float64) float64 {
	if e.norm.Kind == decompose.NoNorm {
		return 1
	}
	c := e.centre(x)
	return math.Sqrt(naiveDot(c, c)/float64(e.dModel) + e.norm.Eps)
}

// qkScale returns the scale of QK-norm for the vector that m computes from a normalised stream.
func (e *example) qkScale(m maps, normalised []float64) float64 {
	if !e.qkNorm {
		return 1
	}
	v := add(transposedTimes(m.w, normalised), m.b)
	return math.Sqrt(naiveDot(v, v)/float64(e.dHead) + e.qkEps)
}

// framed returns v [d_head] as the score reads it: after QK-norm with a fixed scale, rotated to the position.
func (e *example) framed(m maps, p *place, scale float64, v []float64) []float64 {
	v = times(1/scale, v)
	if e.qkNorm {
		for i, g := range m.gain {
			v[i] *= g
		}
	}
	out := times(1, v)
	for i, c := range p.turn.Cos {
		a, b := i, i+len(p.turn.Cos)
		if p.turn.Pairs {
			a, b = 2*i, 2*i+1
		}
		out[a], out[b] = c*v[a]-p.turn.Sin[i]*v[b], p.turn.Sin[i]*v[a]+c*v[b]
	}
	return out
}

// vector returns what m computes from a normalised stream at a position, as the score reads it.
func (e *example) vector(m maps, p *place, normalised []float64) []float64 {
	return e.framed(m, p, e.qkScale(m, normalised), add(transposedTimes(m.w, normalised), m.b))
}

// own returns the model's vector at a position.
func (e *example) own(m maps, p *place) []float64 {
	return e.vector(m, p, times(1/p.sigma, e.centre(p.stream)))
}

// input converts the example to the package's input, rounded to T.
func input[T blas.Float](e *example) decompose.Input[T] {
	in := decompose.Input[T]{Convention: e.convention, Norm: e.norm, AttnScale: e.attnScale, SoftCap: e.softCap, Sinks: e.sinks, Components: e.components}
	in.Maps = decompose.Maps[T]{WQ: dense[T](e.toQuery.w), WK: dense[T](e.toKey.w)}
	if !e.unbiased {
		in.Maps.BQ, in.Maps.BK = round[T](e.toQuery.b), round[T](e.toKey.b)
	}
	if e.qkNorm {
		in.Maps.QGain, in.Maps.KGain = round[T](e.toQuery.gain), round[T](e.toKey.gain)
		in.QKScale = func(side schema.Side, normalised []float64) float64 {
			if side == schema.Query {
				return e.qkScale(e.toQuery, normalised)
			}
			return e.qkScale(e.toKey, normalised)
		}
	}
	position := func(p *place, m maps) decompose.Position[T] {
		return decompose.Position[T]{Components: dense[T](p.components), Stream: round[T](p.stream), Scale: T(p.sigma),
			Vector: round[T](e.own(m, p)), VectorScale: T(p.qkScale), Turn: p.turn}
	}
	in.Query = position(&e.query, e.toQuery)
	in.Key = position(&e.key, e.toKey)
	in.Key.Score = T(e.score(&e.key))
	if e.baseline != nil {
		b := position(e.baseline, e.toKey)
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

// score returns q . k / attn_scale.
func (e *example) score(p *place) float64 {
	return naiveDot(e.own(e.toQuery, &e.query), e.own(e.toKey, p)) / e.attnScale
}

// naive computes a table entry by entry, with explicit vectors and projections. It is the oracle of the fast
// form. at is the key or the baseline position, and keyChoice the choice for it.
func (e *example) naive(side schema.Side, at *place, queryChoice, keyChoice choice) [][4]float64 {
	var rows [][4]float64
	enter := func(queryParts, keyParts [2][]float64) {
		var row [4]float64
		for i, q := range queryParts {
			for j, k := range keyParts {
				row[2*i+j] = naiveDot(q, k) / e.attnScale
			}
		}
		rows = append(rows, row)
	}
	if side == schema.Key {
		q := e.fixed(&e.query, e.toQuery, queryChoice)
		for _, k := range e.naiveFactors(at, e.toKey, keyChoice) {
			enter(q, k)
		}
		return rows
	}
	if e.convention == schema.Notebook && keyChoice.kind == schema.Replacement {
		keyChoice = choice{}
	}
	k := e.fixed(at, e.toKey, keyChoice)
	for _, q := range e.naiveFactors(&e.query, e.toQuery, queryChoice) {
		enter(q, k)
	}
	return rows
}

// naiveFactors computes the factors of one position with explicit projections: rows, then the bias; each par,
// perp.
func (e *example) naiveFactors(p *place, m maps, c choice) [][2][]float64 {
	var rows [][2][]float64
	framed := func(v []float64) []float64 { return e.framed(m, p, p.qkScale, v) }
	for i, component := range e.components {
		if e.convention == schema.Notebook && component.Kind == schema.AttnBias {
			continue
		}
		par, perp := project(times(1/p.sigma, e.centre(p.components[i])), c)
		rows = append(rows, [2][]float64{framed(transposedTimes(m.w, par)), framed(transposedTimes(m.w, perp))})
	}
	if e.unbiased {
		return rows
	}
	return append(rows, [2][]float64{make([]float64, e.dHead), framed(m.b)})
}

// fixed returns the two parts of the fixed side, each computed from its own vector in the stream.
func (e *example) fixed(p *place, m maps, c choice) [2][]float64 {
	centred := e.centre(p.stream)
	denominator := p.sigma
	if c.kind == schema.Replacement {
		centred = e.centre(c.directions[0])
		denominator = e.scale(c.directions[0])
	}
	if e.convention == schema.Notebook && c.kind != schema.Whole {
		denominator = math.Sqrt(naiveDot(centred, centred) / float64(e.dModel-1))
	}
	normalised := times(1/denominator, centred)
	scale := e.qkScale(m, normalised)
	par, perp := project(normalised, c)
	rest := add(transposedTimes(m.w, perp), m.b)
	if c.kind == schema.Replacement {
		par, rest = normalised, m.b
	}
	return [2][]float64{e.framed(m, p, scale, transposedTimes(m.w, par)), e.framed(m, p, scale, rest)}
}

// project returns A (A^T A)^-1 A^T x and the rest. A has one or two directions as columns, centred if the
// norm centres.
func project(x []float64, c choice) (par, perp []float64) {
	par = make([]float64, len(x))
	if c.kind == schema.Subspace {
		e := example{norm: c.norm}
		a := e.centre(c.directions[0])
		if len(c.directions) == 1 {
			par = times(naiveDot(a, x)/naiveDot(a, a), a)
		} else {
			b := e.centre(c.directions[1])
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
