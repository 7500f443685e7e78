package decompose

import (
	"errors"
	"fmt"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// ErrShape is returned if parts of an [Input] do not fit together.
var ErrShape = errors.New("shapes do not fit")

// ErrConvention is returned if the notebook convention is asked for and the model is not built like GPT-2.
var ErrConvention = errors.New("the notebook convention is the arithmetic of published code for GPT-2 " +
	"(LayerNorm, biases, no rotary embedding, no QK-norm, no cap), want exact")

// Maps holds the query and key map of a head with the norm before it folded in, so that q = W_Q^T n(x)/sigma
// + b_Q and k = W_K^T n(x)/sigma + b_K before QK-norm and rotation; n centres if the norm does.
type Maps[T blas.Float] struct {
	WQ, WK       *tensor.Dense // [d_model, d_head]
	BQ, BK       []T           // [d_head]; both nil in a model without, which has no rows for them then
	QGain, KGain []T           // gains of QK-norm [d_head]; nil if there is none
}

// Position is what the model computed at one token position.
type Position[T blas.Float] struct {
	Components *tensor.Dense // [component, d_model] by row of Input.Components
	Stream     []T           // [d_model] residual stream before the head's layer: the sum of Components
	Scale      T             // what the norm divided Stream by; 1 if there is no norm
	Vector     []T           // [d_head] the model's own q (at the query position) or k, as the score reads it
	// Score is the model's own score from the query position, before any cap. It is unused at the query
	// position.
	Score T

	VectorScale T           // what QK-norm divided Vector by; 0 or 1: there is none
	Turn        rotary.Turn // by which Vector was turned; the zero Turn: it was not turned
}

// vectorScale returns VectorScale, or 1 if it is not set.
func (p *Position[T]) vectorScale() float64 {
	if p.VectorScale == 0 {
		return 1
	}
	return float64(p.VectorScale)
}

// Component returns what component i wrote at the position [d_model], as a view of Components.
func (p *Position[T]) Component(i int) []T {
	x, d := data[T](p.Components), len(p.Stream)
	return x[i*d : (i+1)*d : (i+1)*d]
}

// Input is one example as seen by one head.
type Input[T blas.Float] struct {
	Convention schema.Convention  // notebook needs a LayerNorm, and no QK-norm or rotation
	Norm       Norm               // before the head's layer
	AttnScale  float64            // scores are q . k / AttnScale: sqrt(d_head) in most models
	SoftCap    float64            // scores s become cap tanh(s / cap) before softmax; 0: they do not
	Sinks      []float64          // further logits of the softmax; most models have none
	Components []schema.Component // the writers below the head's layer, one for each row
	Maps       Maps[T]
	Query, Key Position[T]
	Baseline   *Position[T] // nil if the example has none, or a mean
	Mean       *Mean[T]     // the baseline, if it is a mean of keys; otherwise nil

	// QKScale returns the scale that QK-norm would give to a side's vector, computed from another stream that
	// the norm has normalised [d_model]. nil: there is no QK-norm.
	QKScale func(side schema.Side, normalised []float64) float64

	// QueryBases split the query vector, KeyBases the key vectors. Pairs lists which of them are computed
	// together, as indices [query basis, key basis]; nil means every pair. A replaced vector has no
	// components, so a Replacement of the query has a table for the key side only, and vice versa.
	QueryBases []Basis
	KeyBases   []KeyBases
	Pairs      [][2]int
}

// pairs returns the pairs of bases to compute.
func (in *Input[T]) pairs() [][2]int {
	if in.Pairs != nil {
		return in.Pairs
	}
	var all [][2]int
	for i := range in.QueryBases {
		for j := range in.KeyBases {
			all = append(all, [2]int{i, j})
		}
	}
	return all
}

// rows returns the components that have a row: all in the exact convention, all except the attention biases
// in the notebook convention.
func (in *Input[T]) rows() []int {
	var list []int
	for i, c := range in.Components {
		if in.Convention == schema.Exact || c.Kind != schema.AttnBias {
			list = append(list, i)
		}
	}
	return list
}

// KeyBases is one choice of basis on the key side. Each position has its own direction.
type KeyBases struct {
	AtKey, AtBaseline Basis // AtBaseline is unused if the example has no baseline
}

// kind returns the kind that both positions share.
func (k KeyBases) kind() schema.BasisKind { return k.AtKey.kind }

// check returns the first mismatch in an input, so that the kernels can rely on it.
func (in *Input[T]) check() error {
	dModel, dHead := len(in.Query.Stream), len(in.Query.Vector)
	if dModel == 0 || dHead == 0 {
		return fmt.Errorf("query stream of %d entries, query vector of %d, want some: %w", dModel, dHead,
			ErrShape)
	}
	if dModel < 2 {
		return fmt.Errorf("d_model %d, want at least 2 for a norm: %w", dModel, ErrShape)
	}
	if !(in.AttnScale > 0) {
		return fmt.Errorf("scores divided by %g, want a number above 0: %w", in.AttnScale, ErrShape)
	}
	if in.Convention == schema.Notebook && !in.plain() {
		return fmt.Errorf("%w", ErrConvention)
	}
	for _, m := range []struct {
		name       string
		t          *tensor.Dense
		rows, cols int
	}{
		{"W_Q", in.Maps.WQ, dModel, dHead},
		{"W_K", in.Maps.WK, dModel, dHead},
		{"components at the query", in.Query.Components, len(in.Components), dModel},
		{"components at the key", in.Key.Components, len(in.Components), dModel},
	} {
		if err := checkMatrix[T](m.name, m.t, m.rows, m.cols); err != nil {
			return err
		}
	}
	lengths := []length{
		{"key stream", len(in.Key.Stream), dModel},
		{"key vector", len(in.Key.Vector), dHead},
	}
	if in.biased() {
		lengths = append(lengths, length{"b_Q", len(in.Maps.BQ), dHead},
			length{"b_K", len(in.Maps.BK), dHead})
	}
	if in.Maps.QGain != nil || in.Maps.KGain != nil {
		lengths = append(lengths, length{"query gain", len(in.Maps.QGain), dHead},
			length{"key gain", len(in.Maps.KGain), dHead})
	}
	if in.Baseline != nil {
		if err := checkMatrix[T]("components at the baseline", in.Baseline.Components, len(in.Components),
			dModel); err != nil {
			return err
		}
		lengths = append(lengths,
			length{"baseline stream", len(in.Baseline.Stream), dModel},
			length{"baseline vector", len(in.Baseline.Vector), dHead})
	}
	if in.Mean != nil {
		if err := in.Mean.fits(in); err != nil {
			return err
		}
	}
	for _, l := range lengths {
		if l.got != l.want {
			return fmt.Errorf("%s has %d entries, want %d: %w", l.name, l.got, l.want, ErrShape)
		}
	}
	for _, p := range in.Pairs {
		if p[0] < 0 || p[0] >= len(in.QueryBases) || p[1] < 0 || p[1] >= len(in.KeyBases) {
			return fmt.Errorf("pair of bases %v, and there are %d of the query and %d of the key: %w", p,
				len(in.QueryBases), len(in.KeyBases), ErrShape)
		}
	}
	for i, b := range in.QueryBases {
		if !b.fits(dModel) {
			return fmt.Errorf("query basis %d does not have d_model = %d entries: %w", i, dModel, ErrShape)
		}
	}
	for i, b := range in.KeyBases {
		if !b.AtKey.fits(dModel) || in.Baseline != nil && !b.AtBaseline.fits(dModel) {
			return fmt.Errorf("key basis %d does not have d_model = %d entries: %w", i, dModel, ErrShape)
		}
		if in.Baseline != nil && b.AtKey.kind != b.AtBaseline.kind {
			return fmt.Errorf("key basis %d is %s at the key and %s at the baseline, want one kind: %w",
				i, b.AtKey.kind, b.AtBaseline.kind, ErrShape)
		}
	}
	return nil
}

// length is the length that a list has and the one that it should have.
type length struct {
	name      string
	got, want int
}

// biased reports whether the tables have a row for the bias of their side.
func (in *Input[T]) biased() bool { return in.Maps.BQ != nil || in.Maps.BK != nil }

// plain reports whether vectors are made as in GPT-2, which the notebook convention is about.
func (in *Input[T]) plain() bool {
	ok := in.Norm.Kind == LN && in.biased() && in.QKScale == nil && in.SoftCap == 0 && len(in.Sinks) == 0
	for _, p := range []*Position[T]{&in.Query, &in.Key, in.Baseline} {
		ok = ok && (p == nil || p.Turn.IsZero() && p.vectorScale() == 1)
	}
	return ok
}

// checkMatrix checks that t is a contiguous row-major matrix of T. Column slices of tensor.Dense share the
// backing array of their parent, and reading it as theirs would give wrong numbers without an error.
func checkMatrix[T blas.Float](name string, t *tensor.Dense, rows, cols int) error {
	if t == nil {
		return fmt.Errorf("%s missing: %w", name, ErrShape)
	}
	if shape := t.Shape(); len(shape) != 2 || shape[0] != rows || shape[1] != cols {
		return fmt.Errorf("%s has shape %v, want [%d %d]: %w", name, shape, rows, cols, ErrShape)
	}
	if order := t.DataOrder(); order.IsNotContiguous() || order.IsColMajor() {
		return fmt.Errorf("%s is a %v view, want a contiguous row-major matrix: %w", name, order, ErrShape)
	}
	if data, ok := t.Data().([]T); !ok || len(data) != rows*cols {
		return fmt.Errorf("%s holds %T, want %d numbers of %T: %w", name, t.Data(), rows*cols, *new(T),
			ErrShape)
	}
	return nil
}

// data returns the numbers of a matrix that has passed checkMatrix, row by row.
func data[T blas.Float](t *tensor.Dense) []T { return t.Data().([]T) }
