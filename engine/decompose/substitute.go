package decompose

import (
	"fmt"
	"math"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// Substitution says what the scores of one example would be if another vector replaced the whole residual
// stream on one side, with the model's own vectors on the other side fixed. The vector goes through the norm
// first, and then through QK-norm, each with its own scale. [NewSubstitution] makes one. The notebook
// convention divides by a standard deviation without eps, so there a vector that is zero or constant is
// [ErrDegenerate].
type Substitution[T blas.Float] struct {
	ToKey, ToBaseline   Linear // of query-side vectors, as [QueryLinear] has them
	AtKey, AtBaseline   Linear // of key-side vectors, as [KeyLinear] has them
	in                  Input[T]
	row                 []float64 // capped
	key                 int       // place of the key in row
	keyOwn, baselineOwn float64   // the model's own scores
}

// Substituted is the result of a substitution.
type Substituted struct {
	Score float64 // to the key
	// Baseline is the score to the baseline; NaN if the example has none, or if it has a mean and the key is
	// replaced.
	Baseline float64
	Prob     float64 // softmax of the attention row with only the key's score replaced by Score

	// DiffProb is Prob with Score - Baseline instead of Score. A difference among raw scores has no direct
	// meaning. The published histograms show it, and only the notebook convention computes it. NaN otherwise.
	DiffProb float64
}

// NewSubstitution prepares the substitutions of an example. scores is its attention row at the query
// position, before cap and softmax; the key's score is at index key.
func NewSubstitution[T blas.Float](in Input[T], scores []T, key int) (*Substitution[T], error) {
	if key < 0 || key >= len(scores) {
		return nil, fmt.Errorf("key at %d of an attention row of %d: %w", key, len(scores), ErrShape)
	}
	s := &Substitution[T]{in: in, row: widen(scores), key: key, keyOwn: float64(in.Key.Score),
		baselineOwn: in.baselineScore()}
	for i, v := range s.row {
		s.row[i] = s.cap(v)
	}
	var err error
	if s.ToKey, s.ToBaseline, err = QueryLinear(in); err != nil {
		return nil, err
	}
	if s.AtKey, s.AtBaseline, err = KeyLinear(in); err != nil {
		return nil, err
	}
	return s, nil
}

// Query replaces the stream at the query position by v [d_model]; the keys are fixed.
func (s *Substitution[T]) Query(v []T) (Substituted, error) {
	if err := s.check(v); err != nil {
		return Substituted{}, err
	}
	baseline := math.NaN()
	if s.in.Baseline != nil || s.in.Mean != nil {
		baseline = s.score(s.ToBaseline, schema.Query, v)
	}
	return s.attend(s.score(s.ToKey, schema.Query, v), baseline), nil
}

// Key replaces the stream at the key position by atKey, and at the baseline position by atBaseline, each
// [d_model]; the query is fixed. atBaseline is ignored if the example has no baseline position: a mean of
// replaced keys would need a vector for each of them.
func (s *Substitution[T]) Key(atKey, atBaseline []T) (Substituted, error) {
	if err := s.check(atKey); err != nil {
		return Substituted{}, err
	}
	baseline := math.NaN()
	if s.in.Baseline != nil {
		if err := s.check(atBaseline); err != nil {
			return Substituted{}, err
		}
		baseline = s.score(s.AtBaseline, schema.Key, atBaseline)
	}
	return s.attend(s.score(s.AtKey, schema.Key, atKey), baseline), nil
}

// MeanOf returns the score to a baseline that is a mean, with the keys of its positions replaced.
// [Keys.Replace] made the parts.
func (s *Substitution[T]) MeanOf(parts *KeyParts[T]) (float64, error) {
	m := s.in.Mean
	if m == nil || parts.kind != schema.Replacement || len(parts.fixed) < len(m.weights) {
		return 0,
			fmt.Errorf("mean of replaced keys: want an input with a mean, and as many keys: %w", ErrShape)
	}
	return s.in.scoreOf(m.split(parts).whole(), s.in.Query.Vector), nil
}

// score returns the score of v, normalised as the convention does and then by QK-norm.
func (s *Substitution[T]) score(l Linear, side schema.Side, v []T) float64 {
	c := centred(s.in.Norm, v)
	sigma := s.in.scaleOf(c)
	return (dot(l.Map, c)/sigma + l.Bias) / s.in.qkScale(side, c, sigma)
}

// Unpatched substitutes the stream for itself. In the exact convention the result is the model's own score.
// The published code normalises by the sample standard deviation here too, so its result differs.
func (s *Substitution[T]) Unpatched(side schema.Side) (Substituted, error) {
	switch {
	case s.in.Convention == schema.Exact:
		return s.attend(s.keyOwn, s.baselineOwn), nil
	case side == schema.Query:
		return s.Query(s.in.Query.Stream)
	case s.in.Baseline == nil:
		return s.Key(s.in.Key.Stream, nil)
	}
	return s.Key(s.in.Key.Stream, s.in.Baseline.Stream)
}

func (s *Substitution[T]) check(v []T) error {
	if len(v) != len(s.AtKey.Map) {
		return fmt.Errorf("substitute has %d entries, want d_model = %d: %w", len(v), len(s.AtKey.Map),
			ErrShape)
	}
	if s.in.Convention == schema.Notebook {
		if _, err := usable(s.in.Norm, v); err != nil {
			return fmt.Errorf("substitute has no standard deviation to divide by: %w", err)
		}
	}
	return nil
}

func (s *Substitution[T]) attend(score, baseline float64) Substituted {
	out := Substituted{Score: score, Baseline: baseline, Prob: s.prob(score), DiffProb: math.NaN()}
	if s.in.Convention == schema.Notebook {
		out.DiffProb = s.prob(score - baseline)
	}
	return out
}

// prob returns the attention probability of the key if its score were score and the others were unchanged.
func (s *Substitution[T]) prob(score float64) float64 {
	score = s.cap(score)
	largest := score
	for i, v := range s.row {
		if i != s.key {
			largest = max(largest, v) // NaN stays NaN
		}
	}
	for _, v := range s.in.Sinks {
		largest = max(largest, v)
	}
	own := math.Exp(score - largest)
	sum := 0.0
	for i, v := range s.row {
		if i == s.key {
			sum += own
		} else {
			sum += math.Exp(v - largest)
		}
	}
	for _, v := range s.in.Sinks {
		sum += math.Exp(v - largest)
	}
	return own / sum
}

// cap returns what the softmax sees of a score.
func (s *Substitution[T]) cap(score float64) float64 { return capped(s.in.SoftCap, score) }

// capped returns softCap tanh(score / softCap), or the score if softCap is 0, which means no cap.
func capped(softCap, score float64) float64 {
	if softCap == 0 {
		return score
	}
	return softCap * math.Tanh(score/softCap)
}
