package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"ducklens/engine/model"
	"ducklens/schema"
)

// ErrNotFinite is returned if a number of a result is NaN or infinite and does not stand for a missing value.
// See [NotFiniteError].
var ErrNotFinite = errors.New("not a finite number")

// NotFiniteError says where a number that a result needs was lost. The weights are finite, so either it was
// too large for float32 or something was divided by zero. It is an [ErrNotFinite].
type NotFiniteError struct {
	Example int          // index of the example
	Layer   int          // in which it was found
	Head    *schema.Head // nil if it was found in the residual stream
	What    string       // for example: key contribution of component MLP0 to the score
	Value   float64
}

func (e *NotFiniteError) Error() string {
	where := fmt.Sprintf("layer %d", e.Layer)
	if e.Head != nil {
		where = "head " + e.Head.String()
	}
	return fmt.Sprintf("example %d, %s: %s is %v, want %v", e.Example, where, e.What, e.Value,
		wantOf(e.Value))
}

func wantOf(v float64) string {
	if v == 0 {
		return "a number above zero"
	}
	return "a finite number"
}

// Is reports whether target is [ErrNotFinite].
func (e *NotFiniteError) Is(target error) bool { return target == ErrNotFinite }

// Hint says what to look at.
func (e *NotFiniteError) Hint() string {
	if e.Value == 0 {
		return "the vector that the norm divides is zero or constant, and the norm's epsilon is zero"
	}
	return "the weights, or the activations in float32, have numbers that are too large; " +
		"try precision float64"
}

// finitePass turns the error of a forward pass into one that names the example.
func finitePass(err error, sequences []sequence) error {
	var lost *model.ScaleError
	if !errors.As(err, &lost) {
		return err
	}
	asked := sequences[lost.Sequence].asked
	first := max(0, slices.IndexFunc(asked, func(x schema.Example) bool { return x.Query >= lost.Position }))
	return &NotFiniteError{Example: asked[first].Index, Layer: lost.Layer, Value: lost.Scale,
		What: fmt.Sprintf("scale of %s at token %d", lost.Norm, lost.Position)}
}

// finite checks the scores, the attention row and the contributions of one head. Every number must be finite,
// except those of a baseline if the example has none.
func (p *pass[T]) finite(x schema.Example, r *schema.HeadResult) error {
	f := finder{baseline: compared(&x), position: x.Baseline != schema.NoPosition}
	s := &r.Score
	f.look(s.QueryScale, "scale of the norm at the query")
	f.look(s.KeyScale, "scale of the norm at the key")
	f.look(s.Score, "score")
	f.look(s.Prob, "attention probability")
	if p.engine.spec.Sinks {
		f.look(s.SinkProb, "attention probability of the sink")
	}
	if p.engine.spec.QKNorm != model.NoQKNorm {
		f.look(s.QueryNormScale, "scale of QK-norm at the query")
		f.look(s.KeyNormScale, "scale of QK-norm at the key")
		f.lookPosition(s.BaselineNormScale, "scale of QK-norm at the baseline")
	}
	f.lookPosition(s.BaselineScale, "scale of the norm at the baseline")
	f.lookBaseline(s.Baseline, "score to the baseline")
	f.lookBaseline(s.BaselineProb, "attention probability of the baseline")
	for pos, a := range r.Attention {
		if f.found == "" && (!isFinite(a.Score) || !isFinite(a.Prob)) {
			f.look(a.Score, fmt.Sprintf("score to token %d", r.FirstKey+pos))
			f.look(a.Prob, fmt.Sprintf("attention probability of token %d", r.FirstKey+pos))
		}
	}
	for i := range r.Contributions {
		c := &r.Contributions[i]
		for q := range c.Score {
			if f.found != "" || isFinite(c.Score[q]) && (!f.baseline || isFinite(c.Baseline[q])) {
				continue
			}
			what := fmt.Sprintf("%s contribution %s of component %s to ", c.Side, schema.Quadrant(q),
				p.label(c.Component))
			f.look(c.Score[q], what+"the score")
			f.lookBaseline(c.Baseline[q], what+"the score of the baseline")
		}
	}
	return f.fault(x, r.Head)
}

// finiteVectors checks what options add to a result. NaN is allowed where it means that there is no value:
// the direction of a part that is zero, or an attention probability that the convention does not define.
func (p *pass[T]) finiteVectors(f *finder, r *schema.HeadResult) {
	for i := range r.Factors {
		of := &r.Factors[i]
		for j, v := range of.Vectors {
			if f.found == "" && !isFinite(v) {
				f.look(v,
					fmt.Sprintf("%s factor of component %s", of.Side, p.label(of.Components[j/of.DHead])))
			}
		}
		for j, v := range of.Coordinates {
			if f.found == "" && !isFinite(v) {
				f.look(v,
					fmt.Sprintf("%s coordinate of component %s", of.Side,
						p.label(of.Components[j/len(of.Axes)])))
			}
		}
	}
	for _, t := range r.Pairs { // without a baseline if it is a mean and the key side is split
		for _, table := range [][][4]float32{t.Score, t.Baseline} {
			for i, row := range table {
				for _, v := range row {
					if f.found == "" && !isFinite(v) {
						f.look(v,
							fmt.Sprintf("pair of components %s and %s",
								p.label(t.QueryComponents[i/len(t.KeyComponents)]),
								p.label(t.KeyComponents[i%len(t.KeyComponents)])))
					}
				}
			}
		}
	}
	for _, s := range r.Substitutions {
		what := fmt.Sprintf("%s substitution %s: ", s.Side, s.Vector)
		f.look(s.Score, what+"score")
		f.look(s.Prob, what+"attention probability")
		f.lookBaseline(s.Baseline, what+"score to the baseline")
		if p.engine.options.Convention == schema.Notebook {
			f.lookBaseline(s.DiffProb, what+"attention probability of the difference")
		}
	}
	for _, v := range r.Sources {
		for i, score := range v.Score {
			what := fmt.Sprintf("%s contribution of source %s from token %d: ", v.Side, p.label(v.Component),
				v.First+i)
			f.look(score, what+"score")
			if v.Baseline != nil {
				f.look(v.Baseline[i], what+"score to the baseline")
			}
		}
	}
	for _, b := range r.Bands {
		what := fmt.Sprintf("rotary pair %d: ", b.Pair)
		f.look(b.Score, what+"score")
		f.look(b.Content, what+"content")
		f.lookPosition(b.Baseline, what+"score to the baseline")
		f.lookPosition(b.BaselineContent, what+"content to the baseline")
	}
	for _, v := range r.Projections { // a part that is zero has no cosine
		what := fmt.Sprintf("%s projection of %s: ", v.Side, v.Vector)
		f.look(v.ParNorm, what+"parallel norm")
		f.look(v.PerpNorm, what+"perpendicular norm")
	}
}

// label returns the label of a component by its index in [Engine.Components].
func (p *pass[T]) label(component int) string { return p.engine.components[component].Label() }

// A finder keeps the first number that is not finite.
type finder struct {
	baseline bool // the example has one
	position bool // and the baseline is a position
	found    string
	value    float64
}

// fault returns an error about what was found, or nil.
func (f *finder) fault(x schema.Example, head schema.Head) error {
	if f.found == "" {
		return nil
	}
	return &NotFiniteError{Example: x.Index, Layer: head.Layer, Head: &head, What: f.found, Value: f.value}
}

func (f *finder) look(v float32, what string) {
	if f.found == "" && !isFinite(v) {
		f.found, f.value = what, float64(v)
	}
}

func (f *finder) lookBaseline(v float32, what string) {
	if f.baseline {
		f.look(v, what)
	}
}

func (f *finder) lookPosition(v float32, what string) {
	if f.position {
		f.look(v, what)
	}
}

func isFinite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
