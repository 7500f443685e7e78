package decompose_test

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

// naiveSubstitute returns the score of query x with key y at a place. Each is a vector in the stream,
// normalised as given.
func (e *example) naiveSubstitute(x, y []float64, at *place, normaliseX, normaliseY func([]float64) []float64) float64 {
	return naiveDot(e.vector(e.toQuery, &e.query, normaliseX(x)), e.vector(e.toKey, at, normaliseY(y))) / e.attnScale
}

// normalise applies the model's norm.
func (e *example) normalise(x []float64) []float64 { return times(1/e.scale(x), e.centre(x)) }

// sample divides by the sample standard deviation.
func (e *example) sample(x []float64) []float64 {
	c := naiveCentre(x)
	return times(1/math.Sqrt(naiveDot(c, c)/float64(e.dModel-1)), c)
}

// naiveSoftmax returns the probability of entry at of a row of scores, with its score replaced.
func (e *example) naiveSoftmax(row []float64, at int, score float64) float64 {
	capped := func(v float64) float64 {
		if e.softCap > 0 {
			return e.softCap * math.Tanh(v/e.softCap)
		}
		return v
	}
	sum, own := 0.0, capped(score)
	for i, v := range row {
		if i == at {
			v = score
		}
		sum += math.Exp(capped(v) - own)
	}
	for _, v := range e.sinks {
		sum += math.Exp(v - own)
	}
	return 1 / sum
}

func TestSubstitutionsAgreeWithExplicitVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		in := input[float64](e)
		row := rapid.SliceOfN(rapid.Float64Range(-5, 5), 2, 9).Draw(t, "row")
		at := rapid.IntRange(0, len(row)-1).Draw(t, "key position")
		row[at] = e.score(&e.key)
		s, err := decompose.NewSubstitution(in, row, at)
		if err != nil {
			t.Fatal(err)
		}
		normalise := e.normalise
		if e.convention == schema.Notebook {
			normalise = e.sample
		}
		v, w := drawVector(t, e.dModel, "v"), drawVector(t, e.dModel, "w")
		for _, x := range [][]float64{v, w} {
			if c := naiveCentre(x); naiveDot(c, c) < 1e-6 {
				t.Skip("a constant vector")
			}
		}
		check := func(name string, got decompose.Substituted, score, baseline float64) {
			if !(math.Abs(got.Score-score) <= tolerance64) || e.baseline != nil && !(math.Abs(got.Baseline-baseline) <= tolerance64) {
				t.Errorf("%s: %g and %g, want %g and %g", name, got.Score, got.Baseline, score, baseline)
			}
			if math.IsNaN(got.Baseline) != (e.baseline == nil) {
				t.Errorf("%s: baseline %g", name, got.Baseline)
			}
			if want := e.naiveSoftmax(row, at, score); !(math.Abs(got.Prob-want) <= tolerance64) {
				t.Errorf("%s: probability %g, want %g", name, got.Prob, want)
			}
			switch {
			case e.convention == schema.Exact || e.baseline == nil:
				if !math.IsNaN(got.DiffProb) {
					t.Errorf("%s: probability of a difference %g, want NaN", name, got.DiffProb)
				}
			default:
				if want := e.naiveSoftmax(row, at, score-baseline); !(math.Abs(got.DiffProb-want) <= tolerance64) {
					t.Errorf("%s: probability of the difference %g, want %g", name, got.DiffProb, want)
				}
			}
		}
		base, none := &place{stream: v, sigma: 1, qkScale: 1}, []float64(nil)
		if e.baseline != nil {
			base, none = e.baseline, w
		}
		own := e.normalise
		got, err := s.Query(v)
		if err != nil {
			t.Fatal(err)
		}
		check("query", got, e.naiveSubstitute(v, e.key.stream, &e.key, normalise, own), e.naiveSubstitute(v, base.stream, base, normalise, own))
		if got, err = s.Key(v, none); err != nil {
			t.Fatal(err)
		}
		check("key", got, e.naiveSubstitute(e.query.stream, v, &e.key, own, normalise), e.naiveSubstitute(e.query.stream, w, base, own, normalise))

		if got, err = s.Unpatched(schema.Query); err != nil {
			t.Fatal(err)
		}
		check("unpatched query", got, e.naiveSubstitute(e.query.stream, e.key.stream, &e.key, normalise, own),
			e.naiveSubstitute(e.query.stream, base.stream, base, normalise, own))
		if got, err = s.Unpatched(schema.Key); err != nil {
			t.Fatal(err)
		}
		check("unpatched key", got, e.naiveSubstitute(e.query.stream, e.key.stream, &e.key, own, normalise),
			e.naiveSubstitute(e.query.stream, base.stream, base, own, normalise))
	})
}

func TestSubstitutionsMoveTheScore(t *testing.T) {
	t.Parallel()
	for _, convention := range []schema.Convention{schema.Exact, schema.Notebook} {
		e := newExample(21, 2, 3, 16, 4, true)
		e.convention = convention
		in := input[float64](e)
		s, err := decompose.NewSubstitution(in, []float64{0, e.score(&e.key)}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range []schema.Side{schema.Query, schema.Key} {
			before, err := s.Unpatched(side)
			if err != nil {
				t.Fatal(err)
			}
			v, w := e.keyChoices[1].directions[0], e.keyChoices[2].directions[0]
			after, err := s.Query(v)
			if side == schema.Key {
				after, err = s.Key(v, w)
			}
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(after.Score-before.Score) < 0.01 || math.Abs(after.Baseline-before.Baseline) < 0.01 || math.Abs(after.Prob-before.Prob) < 1e-6 {
				t.Errorf("%s, %s side: %+v, before %+v", convention, side, after, before)
			}
		}
	}
}

// LayerNorm ignores the mean and, except for eps, the length.
func TestSubstitutesScaleAndMean(t *testing.T) {
	t.Parallel()
	e := newExample(22, 1, 2, 16, 4, true)
	s, err := decompose.NewSubstitution(input[float64](e), []float64{e.score(&e.key)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	v := e.keyChoices[1].directions[0]
	shifted := times(100, v)
	for i := range shifted {
		shifted[i] += 7
	}
	a, err := s.Query(v)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Query(shifted)
	if err != nil {
		t.Fatal(err)
	}
	if d := math.Abs(a.Score - b.Score); d > 1e-3 || d == 0 { // eps is there
		t.Errorf("a hundred times the vector moves the score by %g", d)
	}
	if a.Prob != 1 { // of one key
		t.Errorf("probability %g of the only key", a.Prob)
	}
	zero, err := s.Query(make([]float64, e.dModel))
	if err != nil || math.IsNaN(zero.Score) {
		t.Errorf("a zero vector gives %+v, %v; want the score of the bias alone", zero, err)
	}
	in := input[float64](e)
	in.Convention = schema.Notebook
	notebook, err := decompose.NewSubstitution(in, []float64{0}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := notebook.Query(make([]float64, e.dModel)); !errors.Is(err, decompose.ErrDegenerate) {
		t.Errorf("notebook: a zero vector gives %v, want ErrDegenerate", err)
	}
	if want := naiveDot(e.toQuery.b, e.own(e.toKey, &e.key)) / math.Sqrt(float64(e.dHead)); !(math.Abs(zero.Score-want) <= tolerance64) {
		t.Errorf("a zero vector gives %g, want b_Q . k / sqrt(d_head) = %g", zero.Score, want)
	}
}

func TestSubstitutionsRefuseWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	e := newExample(23, 1, 2, 16, 4, true)
	in := input[float64](e)
	for _, key := range []int{-1, 2} {
		if _, err := decompose.NewSubstitution(in, []float64{0, 1}, key); !errors.Is(err, decompose.ErrShape) {
			t.Errorf("key at %d of 2: %v, want ErrShape", key, err)
		}
	}
	s, err := decompose.NewSubstitution(in, []float64{0, 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	short, right := make([]float64, 15), make([]float64, 16)
	if _, err := s.Query(short); !errors.Is(err, decompose.ErrShape) {
		t.Errorf("query of 15 entries: %v", err)
	}
	if _, err := s.Key(short, right); !errors.Is(err, decompose.ErrShape) {
		t.Errorf("key of 15 entries: %v", err)
	}
	if _, err := s.Key(right, short); !errors.Is(err, decompose.ErrShape) {
		t.Errorf("baseline of 15 entries: %v", err)
	}
	in.Key.Stream = short
	if _, err := decompose.NewSubstitution(in, []float64{0, 1}, 1); !errors.Is(err, decompose.ErrShape) {
		t.Errorf("stream of 15 entries: %v", err)
	}
	if _, _, err := decompose.KeyLinear(in); !errors.Is(err, decompose.ErrShape) {
		t.Errorf("KeyLinear: %v", err)
	}
	if _, err := decompose.AllFactors(in); !errors.Is(err, decompose.ErrShape) {
		t.Errorf("AllFactors: %v", err)
	}
}
