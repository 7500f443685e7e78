package decompose_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// prompt is an example with more positions, some of which a query sees; place 0 is the key's.
type prompt struct {
	*example
	places  []place
	choices [][]choice // by position: the key choices there
	key     int        // where the key lies among the positions
	first   int        // the first that the query sees
}

// drawPrompt draws an exact example with more positions and the same maps.
func drawPrompt(t *rapid.T) *prompt {
	e := drawExample(t)
	e.convention = schema.Exact
	n := rapid.IntRange(2, 7).Draw(t, "positions")
	p := &prompt{example: e, key: rapid.IntRange(0, n-1).Draw(t, "key")}
	p.first = rapid.IntRange(0, min(p.key, n-2)).Draw(t, "first")
	e.baseline = nil
	turn := e.key.turn
	for s := range n {
		other := newExample(uint64(100+s), 0, 1, e.dModel, e.dHead, false)
		at, choices := e.key, e.keyChoices
		if s != p.key {
			at, choices = place{stream: make([]float64, e.dModel)}, other.keyChoices
			for i := range e.components {
				x := times(1+0.3*float64(i), other.query.components[0])
				x[(i+s)%len(x)] -= 2
				at.components, at.stream = append(at.components, x), add(at.stream, x)
			}
			at.turn = turn
			at.turn.Cos, at.turn.Sin = nil, nil
			for i := range turn.Cos { // a rotation by some angle of its own, with the factor of the others
				factor := math.Hypot(turn.Cos[i], turn.Sin[i])
				at.turn.Cos = append(at.turn.Cos, factor*math.Cos(float64(s+1)/float64(i+1)))
				at.turn.Sin = append(at.turn.Sin, factor*math.Sin(float64(s+1)/float64(i+1)))
			}
			at.sigma = e.scale(at.stream)
			at.qkScale = e.qkScale(e.toKey, times(1/at.sigma, e.centre(at.stream)))
		}
		choices = slices.Clone(choices)
		for i := range choices {
			choices[i].norm = e.norm
		}
		p.places, p.choices = append(p.places, at), append(p.choices, choices)
	}
	return p
}

// scores returns the scores of the positions that the query sees.
func (p *prompt) scores() (row []float64) {
	for s := p.first; s < len(p.places); s++ {
		row = append(row, p.score(&p.places[s]))
	}
	return row
}

// keysOf returns the Keys of the positions.
func keysOf[T blas.Float](t interface {
	Helper()
	Fatal(...any)
}, p *prompt, in decompose.Input[T]) (*decompose.Keys[T], []*decompose.KeyParts[T]) {
	t.Helper()
	var positions []decompose.Position[T]
	for s := range p.places {
		at := &p.places[s]
		positions = append(positions, decompose.Position[T]{Components: dense[T](at.components), Stream: round[T](at.stream), Scale: T(at.sigma),
			Vector: round[T](p.own(p.toKey, at)), VectorScale: T(at.qkScale), Turn: at.turn})
	}
	keys, err := decompose.NewKeys(in, len(positions), len(p.keyChoices), 2)
	if err != nil {
		t.Fatal(err)
	}
	bases := make([][]decompose.Basis, len(p.keyChoices))
	for i := range p.keyChoices {
		for s := range p.places {
			bases[i] = append(bases[i], p.choices[s][i].basis())
		}
	}
	// Adding in two parts, with the last basis alone, makes no difference.
	last, half := len(bases)-1, len(positions)/2
	for _, part := range [][2]int{{0, half}, {half, len(positions)}} {
		some := make([][]decompose.Basis, len(bases))
		for i := range bases[:last] {
			some[i] = bases[i][part[0]:part[1]]
		}
		if err := keys.Add(positions[part[0]:part[1]], some); err != nil {
			t.Fatal(err)
		}
	}
	parts := slices.Clone(keys.Parts)
	if parts[last], err = keys.Split(positions, bases[last]); err != nil {
		t.Fatal(err)
	}
	return keys, parts
}

// withMean returns the input of the prompt with a weighted mean as baseline; scores are those of the
// positions that the query sees.
func withMean[T blas.Float](t interface {
	Helper()
	Fatal(...any)
}, p *prompt, weights []float64) decompose.Input[T] {
	t.Helper()
	in := input[T](p.example)
	keys, parts := keysOf(t, p, in)
	all := append(make([]float64, p.first), weights...)
	means, err := keys.Means(provider(t), [][]float64{all, all[:1], all})
	if err != nil {
		t.Fatal(err)
	}
	in.Mean = means[2]
	in.Mean.Parts, in.Mean.Score = parts, 0
	for i, s := range p.scores() {
		in.Mean.Score += weights[i] * s
	}
	return in
}

// kinds are the baselines that are means.
var kinds = []schema.BaselineKind{schema.BaselineMean, schema.BaselineAttention}

// A mean baseline gives, in every pair of bases and quadrant and on both sides, the weighted mean over the
// positions, computed with explicit vectors and projections. So do factors, and queries that are replaced.
func TestMeanBaselineIsTheMeanOfPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPrompt(t)
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		weights := naiveWeights(p, kind)
		in := withMean[float64](t, p, weights)
		size := 1.0
		for s := range p.places {
			size = max(size, math.Abs(p.score(&p.places[s])))
		}
		out := contributions(t, in)
		out32, err := decompose.Contributions(withMean[float32](t, p, weights))
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Tables) != 2*4*3 {
			t.Fatalf("%d tables, want %d", len(out.Tables), 2*4*3)
		}
		for i, table := range out.Tables {
			want := make([][4]float64, len(table.Score))
			for j, w := range weights {
				s := p.first + j
				for c, row := range p.naive(table.Side, &p.places[s], p.queryChoices[table.QueryBasis], p.choices[s][table.KeyBasis]) {
					for q := range row {
						want[c][q] += w * row[q]
					}
				}
			}
			if d := difference(table.Baseline, want); !(d <= tolerance64*size) {
				t.Errorf("%s side, bases %d and %d: mean baseline differs by %g", table.Side, table.QueryBasis, table.KeyBasis, d)
			}
			if d := difference(out32.Tables[i].Baseline, want); !(d <= tolerance32*size) {
				t.Errorf("%s side, bases %d and %d: float32 mean baseline differs by %g", table.Side, table.QueryBasis, table.KeyBasis, d)
			}
		}
		if !(out.RelativeClosure <= tolerance64) {
			t.Errorf("closure %g", out.RelativeClosure)
		}
		p.factors(t, in, weights)
		p.replacedQuery(t, in, weights, size)
	})
}

// naiveWeights computes a baseline's weights in the simplest way.
func naiveWeights(p *prompt, kind schema.BaselineKind) []float64 {
	weights, sum, largest := p.scores(), 0.0, math.Inf(-1)
	for i, s := range weights {
		if p.softCap != 0 {
			weights[i] = p.softCap * math.Tanh(s/p.softCap)
		}
		if i != p.key-p.first {
			largest = max(largest, weights[i])
		}
	}
	for i, s := range weights {
		switch {
		case i == p.key-p.first:
			weights[i] = 0
		case kind == schema.BaselineMean:
			weights[i] = 1
		default: // without a norm scores are so large that nothing else has an exponential
			weights[i] = math.Exp(s - largest)
		}
		sum += weights[i]
	}
	return times(1/sum, weights)
}

// factors compares the factors of the mean key.
func (p *prompt) factors(t *rapid.T, in decompose.Input[float64], weights []float64) {
	set, err := decompose.AllFactors(in)
	if err != nil {
		t.Fatal(err)
	}
	var want [][2][]float64
	for j, w := range weights {
		for c, row := range p.naiveFactors(&p.places[p.first+j], p.toKey, choice{}) {
			if j == 0 {
				want = append(want, [2][]float64{make([]float64, p.dHead), make([]float64, p.dHead)})
			}
			want[c][1] = add(want[c][1], times(w, row[1]))
		}
	}
	if set.Baseline == nil || len(set.Baseline.Axes) != 0 {
		t.Fatalf("factors of the mean key: %v, want some without axes", set.Baseline)
	}
	if d := factorDifference(*set.Baseline, 0, want); !(d <= tolerance64) {
		t.Errorf("factors of the mean key differ by %g", d)
	}
}

// replacedQuery replaces the query, and compares the mean over the positions.
func (p *prompt) replacedQuery(t *rapid.T, in decompose.Input[float64], weights []float64, size float64) {
	s, err := decompose.NewSubstitution(in, p.scores(), p.key-p.first)
	if err != nil {
		t.Fatal(err)
	}
	v := p.queryChoices[1].directions[0]
	got, err := s.Query(v)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for j, w := range weights {
		at := &p.places[p.first+j]
		q := p.vector(p.toQuery, &p.query, p.normalise(v))
		want += w * naiveDot(q, p.own(p.toKey, at)) / p.attnScale
		size = max(size, math.Abs(want))
	}
	if d := math.Abs(got.Baseline - want); !(d <= tolerance64*size) {
		t.Errorf("baseline of a replaced query is %g, want %g", got.Baseline, want)
	}
	if own, err := s.Unpatched(schema.Key); err != nil || own.Baseline != in.Mean.Score {
		t.Errorf("unpatched baseline %g, want %g: %v", own.Baseline, in.Mean.Score, err)
	}
	if key, err := s.Key(v, nil); err != nil || !math.IsNaN(key.Baseline) {
		t.Errorf("baseline of a replaced key is %g, want NaN: %v", key.Baseline, err)
	}
}

// Both forms of weights agree with the plain formula for scores of any size.
func TestOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPrompt(t)
		for _, kind := range kinds {
			got, err := decompose.Others(kind, p.softCap, p.scores(), p.key-p.first)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for i, w := range naiveWeights(p, kind) {
				sum += got[i]
				if math.Abs(got[i]-w) > 1e-12 && !math.IsNaN(w) {
					t.Errorf("%s: weights %v, want %v", kind, got, naiveWeights(p, kind))
				}
			}
			if math.Abs(sum-1) > 1e-12 || got[p.key-p.first] != 0 {
				t.Errorf("%s: weights %v, want a sum of 1 without the key", kind, got)
			}
		}
	})
	// If one key takes all attention, the others keep their proportions.
	if got, err := decompose.Others(schema.BaselineAttention, 0, []float64{-5000, 800, -5000}, 1); err != nil || !slices.Equal(got, []float64{0.5, 0, 0.5}) {
		t.Errorf("weights %v, want halves: %v", got, err)
	}
	for name, try := range map[string]func() error{
		"the key alone": func() error { _, err := decompose.Others(schema.BaselineMean, 0, []float64{1}, 0); return err },
		"outside":       func() error { _, err := decompose.Others(schema.BaselineMean, 0, []float64{1, 2}, 2); return err },
		"a token":       func() error { _, err := decompose.Others(schema.BaselineToken, 0, []float64{1, 2}, 1); return err },
	} {
		want := decompose.ErrShape
		if name == "the key alone" {
			want = decompose.ErrNoOther
		}
		if err := try(); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

// A row has, at every position, the unsplit contributions to that position as a key, on both sides, and adds
// up to the scores.
func TestRowsAreTheContributionsToEveryKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPrompt(t)
		in := input[float64](p.example)
		keys, _ := keysOf(t, p, in)
		row := keys.Row(in.Query.Vector, p.first, len(p.places))
		queryRow, err := keys.QueryRow(&in.Query, p.first, len(p.places))
		if err != nil {
			t.Fatal(err)
		}
		in32 := input[float32](p.example)
		keys32, _ := keysOf(t, p, in32)
		row32 := keys32.Row(in32.Query.Vector, p.first, len(p.places))
		for j, score := range p.scores() {
			at, sums, size := &p.places[p.first+j], [2]float64{}, 1.0
			key := p.naive(schema.Key, at, choice{}, choice{})
			query := p.naive(schema.Query, at, choice{}, choice{})
			for c := range key {
				size = max(size, math.Abs(key[c][3]), math.Abs(query[c][3]))
				sums[0], sums[1] = sums[0]+row.At(j, c), sums[1]+queryRow.At(c, j)
				if d := math.Abs(row.At(j, c) - key[c][3]); !(d <= tolerance64*size) {
					t.Errorf("position %d, component %d: key side differs by %g", j, c, d)
				}
				if d := math.Abs(queryRow.At(c, j) - query[c][3]); !(d <= tolerance64*size) {
					t.Errorf("position %d, component %d: query side differs by %g", j, c, d)
				}
				if d := math.Abs(row32.At(j, c) - key[c][3]); !(d <= tolerance32*size) {
					t.Errorf("position %d, component %d: float32 key side differs by %g", j, c, d)
				}
			}
			for side, sum := range sums {
				if !(math.Abs(sum-score) <= tolerance64*size) {
					t.Errorf("position %d, %s side: adds up to %g, score %g", j, schema.Side(side), sum, score)
				}
			}
		}
	})
}

func TestKeysRefuseWhatDoesNotFit(t *testing.T) {
	e := newExample(3, 1, 2, 6, 4, false)
	in := input[float64](e)
	other := input[float64](newExample(3, 1, 2, 8, 4, false))
	both := []decompose.Position[float64]{in.Key, in.Query}
	add := func(positions []decompose.Position[float64], bases ...[]decompose.Basis) (*decompose.Keys[float64], error) {
		keys, err := decompose.NewKeys(in, 2, 4, 1)
		if err != nil {
			t.Fatal(err)
		}
		return keys, keys.Add(positions, bases)
	}
	whole := make([]decompose.Basis, 2)
	keys, err := add(both, whole, whole, whole, whole)
	if err != nil {
		t.Fatal(err)
	}
	fault := func(_ any, err error) error { return err }
	means, err := keys.Means(provider(t), [][]float64{{1}})
	if err != nil {
		t.Fatal(err)
	}
	mean := func(change func(*decompose.Input[float64])) error {
		try, m := in, *means[0]
		try.Mean = &m
		try.KeyBases = make([]decompose.KeyBases, 4)
		change(&try)
		_, err := decompose.Contributions(try)
		return err
	}
	if err := mean(func(*decompose.Input[float64]) {}); err != nil {
		t.Fatalf("what fits: %v", err)
	}
	for name, c := range map[string]struct {
		err  error
		want error
		says string
	}{
		"a position of another model": {fault(add([]decompose.Position[float64]{in.Key, other.Key}, whole, whole, whole, whole)), decompose.ErrShape, "position 1"},
		"the notebook's": {func() error {
			notebook := in
			notebook.Convention = schema.Notebook
			_, err := decompose.NewKeys(notebook, 0, 0, 1)
			return err
		}(), decompose.ErrConvention, ""},
		"bases of one position": {fault(add(both, whole, whole, whole, whole[:1])), decompose.ErrShape, "bases of 1"},
		"bases of two kinds":    {fault(add(both, whole, whole, whole, []decompose.Basis{{}, e.keyChoices[1].basis()})), decompose.ErrShape, "basis at position 1"},
		"fewer bases":           {fault(add(both, whole)), decompose.ErrShape, "want 4"},
		"no parts": {mean(func(in *decompose.Input[float64]) {
			in.Mean.Parts = make([]*decompose.KeyParts[float64], 4)
		}), decompose.ErrShape, "does not split"},
		"weights of more positions": {func() error { _, err := keys.Means(provider(t), [][]float64{{1, 2, 3}}); return err }(), decompose.ErrShape, "weights of 3"},
		"two baselines":             {mean(func(in *decompose.Input[float64]) { in.Baseline = &in.Key }), decompose.ErrShape, "one of them"},
		"another number of bases":   {mean(func(in *decompose.Input[float64]) { in.KeyBases = in.KeyBases[:2] }), decompose.ErrShape, "want 2"},
		"another kind of basis": {mean(func(in *decompose.Input[float64]) {
			in.KeyBases[1].AtKey = e.keyChoices[1].basis()
		}), decompose.ErrShape, "key basis 1"},
	} {
		if !errors.Is(c.err, c.want) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", name, c.err, c.want, c.says)
		}
	}
}
