package decompose

import (
	"fmt"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// Source is a head below the target's layer, and what it read to write its component.
type Source[T blas.Float] struct {
	Component int           // row of Input.Components
	WO        *tensor.Dense // [d_head, d_model] the matrix by which it writes its values
	Gain      []T           // of the norm after attention [d_model]; nil if there is none
	Centres   bool          // that norm takes the mean away
	Query     Read[T]       // at the query position
	Key       Read[T]
	Baseline  *Read[T] // nil if the example has no baseline, or none at a single position
}

// Read is what a head read at one position: the values that it saw, and the attention that it paid to them.
type Read[T blas.Float] struct {
	First  int   // the first position that it saw
	Prob   []T   // attention to the positions from First on
	Values [][]T // at these positions [d_head], each with its bias if the head's output includes it
	Scale  T     // of the norm after attention; 1 if there is none
}

// end returns the position after the last that was seen.
func (r *Read[T]) end() int { return r.First + len(r.Prob) }

// SourceSplit holds the contribution of one head's output, split by the position that the head read.
type SourceSplit struct {
	Side            schema.Side
	First           int       // position of the first numbers
	Score, Baseline []float64 // by position; 0 where it did not see. Baseline is nil if there is none
}

// SourceMaps holds the maps from what a component wrote to the scores of one target head on one example. It
// can be used for any number of sources.
type SourceMaps[T blas.Float] struct {
	in                                   Input[T]
	toKey, toBaseline, atKey, atBaseline Linear
	queryUnit, keyUnit, baselineUnit     float64
}

// NewSourceMaps computes the maps of an input. Its bases do not matter: contributions are those of whole
// vectors.
func NewSourceMaps[T blas.Float](in Input[T]) (*SourceMaps[T], error) {
	s := &SourceMaps[T]{in: in}
	var err error
	if s.toKey, s.toBaseline, err = QueryLinear(in); err != nil {
		return nil, err
	}
	if s.atKey, s.atBaseline, err = KeyLinear(in); err != nil {
		return nil, err
	}
	unit := func(p *Position[T]) float64 { return float64(p.Scale) * p.vectorScale() }
	s.queryUnit, s.keyUnit = unit(&in.Query), unit(&in.Key)
	if in.Baseline != nil {
		s.baselineUnit = unit(in.Baseline)
	}
	return s, nil
}

// Split splits the contribution of a source to both sides. A head writes, at position s,
//
//	x_s = P( sum_j A[s, j] v_j W_O ),    v_j = n(r_j) W_V / sigma_j
//
// where P is the norm after attention with its scale held (Elhage et al. 2021: a head's output is a sum over
// the positions that it reads). The score of the target is linear in x_s once the scales of its norms are
// held, so position j of the source contributes A[s, j] (m . P(v_j W_O)), where m is the map of the side
// ([KeyLinear], [QueryLinear]) over the scales. One vector W_O P^T m serves all positions. A value bias that
// is folded into b_O is not part of the head; one that is left in the head's output is read with each value,
// as A[s, j] b_V. So the numbers of the positions add up to the contribution of the head's component, up to
// the rounding of the attention of the forward pass.
func (s *SourceMaps[T]) Split(from Source[T]) (query, key SourceSplit, err error) {
	if err := s.check(&from); err != nil {
		return SourceSplit{}, SourceSplit{}, err
	}
	hasBaseline := s.in.Baseline != nil
	query = SourceSplit{Side: schema.Query, First: from.Query.First}
	query.Score = s.along(&from, &from.Query, s.toKey, s.queryUnit, from.Query.First, from.Query.end())
	if hasBaseline {
		query.Baseline = s.along(&from, &from.Query, s.toBaseline, s.queryUnit, from.Query.First,
			from.Query.end())
	}
	first, end := from.Key.First, from.Key.end()
	if from.Baseline != nil {
		first, end = min(first, from.Baseline.First), max(end, from.Baseline.end())
	}
	key = SourceSplit{Side: schema.Key, First: first}
	key.Score = s.along(&from, &from.Key, s.atKey, s.keyUnit, first, end)
	if hasBaseline && from.Baseline != nil {
		key.Baseline = s.along(&from, from.Baseline, s.atBaseline, s.baselineUnit, first, end)
	}
	return query, key, nil
}

// along returns the contributions of positions first to end of what was read at one place, through one map.
func (s *SourceMaps[T]) along(
	from *Source[T], read *Read[T], to Linear, unit float64, first, end int,
) []float64 {
	back := append([]float64(nil), to.Map...)
	if from.Gain != nil {
		for i, g := range from.Gain {
			back[i] *= float64(g)
		}
	}
	if from.Centres {
		back = centre(back)
	}
	scale(back, 1/(float64(read.Scale)*unit))
	shape := from.WO.Shape()
	through := products(data[T](from.WO), shape[1], [][]float64{back}).Data // [d_head]
	out := make([]float64, end-first)
	for i, a := range read.Prob {
		out[read.First-first+i] = float64(a) * dot(through, widen(read.Values[i]))
	}
	return out
}

// check returns the first mismatch.
func (s *SourceMaps[T]) check(from *Source[T]) error {
	dModel := len(s.in.Query.Stream)
	if from.Component < 0 || from.Component >= len(s.in.Components) ||
		s.in.Components[from.Component].Kind != schema.HeadOut {
		return fmt.Errorf("source is component %d of %d, want a head among them: %w", from.Component,
			len(s.in.Components), ErrShape)
	}
	if from.WO == nil || from.WO.Dims() != 2 {
		return fmt.Errorf("W_O of source %d missing: %w", from.Component, ErrShape)
	}
	dHead := from.WO.Shape()[0]
	if err := checkMatrix[T]("W_O", from.WO, dHead, dModel); err != nil {
		return err
	}
	if from.Gain != nil && len(from.Gain) != dModel {
		return fmt.Errorf("gain of %d entries after source %d, want %d: %w", len(from.Gain), from.Component,
			dModel, ErrShape)
	}
	for _, r := range []*Read[T]{&from.Query, &from.Key, from.Baseline} {
		if r == nil {
			continue
		}
		if len(r.Values) != len(r.Prob) || !(r.Scale > 0) {
			return fmt.Errorf("source %d read %d values with %d probabilities, scale %v: %w", from.Component,
				len(r.Values), len(r.Prob), r.Scale, ErrShape)
		}
		for _, v := range r.Values {
			if len(v) != dHead {
				return fmt.Errorf("value of %d entries of source %d, want %d: %w", len(v), from.Component,
					dHead, ErrShape)
			}
		}
	}
	return nil
}
