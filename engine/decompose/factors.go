package decompose

import (
	"fmt"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// Factors are what the components add to the query or key vector of a head at one position, whole, and what
// splits these vectors along the axes V of every basis of the side. For component c, with F the frame of the
// position,
//
//	f_c = F W^T n(x_c) / sigma     a_c = V^T x_c / sigma     f_c,par = (F W^T V) a_c     f_c,perp = f_c - f_c,par
//
// and last the bias F b of the side, if there is one, all of which is perpendicular. In the exact convention
// the rows add up to the model's own q or k; in the notebook convention the attention biases are missing.
type Factors[T blas.Float] struct {
	Rows        []int // indices into Input.Components
	Bias        bool  // there is one row more
	DHead       int
	Vectors     []T       // f_c [row, d_head], row by row
	Axes        []Axis[T] // of every Subspace basis, by basis and axis
	Coordinates []T       // a_c [row, axis], row by row; 0 for the bias
}

// Axis is one axis of a basis, mapped by the side's map.
type Axis[T blas.Float] struct {
	Basis, Number int // index of the basis among those of its side, and of the axis in the basis
	Image         []T // F W^T v [d_head]
}

// FactorSet holds the factors of one example.
type FactorSet[T blas.Float] struct {
	Query, Key Factors[T]
	// The key at the baseline position, or the mean key, which has no axes; nil if the example has no
	// baseline.
	Baseline *Factors[T]
}

// AllFactors computes the factors, with the axes of all bases of the input, whatever Input.Pairs says. The
// products X W are computed by the engine of the component tensors, in their number type.
func AllFactors[T blas.Float](in Input[T]) (FactorSet[T], error) {
	if err := in.check(); err != nil {
		return FactorSet[T]{}, err
	}
	keys, baselines := make([]Basis, len(in.KeyBases)), make([]Basis, len(in.KeyBases))
	for i, b := range in.KeyBases {
		keys[i], baselines[i] = b.AtKey, b.AtBaseline
	}
	var set FactorSet[T]
	var err error
	if set.Query, err = in.factorsAt(&in.Query, in.Maps.WQ, in.maps(schema.Query),
		in.QueryBases); err != nil {
		return FactorSet[T]{}, fmt.Errorf("query factors: %w", err)
	}
	if set.Key, err = in.factorsAt(&in.Key, in.Maps.WK, in.maps(schema.Key), keys); err != nil {
		return FactorSet[T]{}, fmt.Errorf("key factors: %w", err)
	}
	if in.Baseline != nil {
		baseline, err := in.factorsAt(in.Baseline, in.Maps.WK, in.maps(schema.Key), baselines)
		if err != nil {
			return FactorSet[T]{}, fmt.Errorf("baseline factors: %w", err)
		}
		set.Baseline = &baseline
	}
	if in.Mean != nil {
		set.Baseline = in.Mean.factors()
	}
	return set, nil
}

// factorsAt computes the factors at one position; w [d_model, d_head] is the map of the side as a tensor.
func (in *Input[T]) factorsAt(
	p *Position[T], w *tensor.Dense, m sideMaps[T], bases []Basis,
) (Factors[T], error) {
	dModel, dHead := len(p.Stream), len(p.Vector)
	whole, err := p.Components.MatMul(w)
	if err != nil {
		return Factors[T]{}, fmt.Errorf("product of %v and %v: %w", p.Components.Shape(), w.Shape(), err)
	}
	f := whole.Data().([]T) // X W [component, d_head]

	// centre(X) W is X W minus mean(x_c) times the sum of the rows of W. In processed weights both are zero,
	// up to rounding.
	var axes [][]float64
	var rowSum []float64
	if in.Norm.Kind == LN {
		ones := make([]float64, dModel)
		for i := range ones {
			ones[i] = 1
		}
		axes, rowSum = append(axes, ones), applyTransposed(m.w, ones, dHead)
	}
	first := len(axes)
	frame := frameAt(m, p)
	out := Factors[T]{Rows: in.rows(), Bias: m.bias != nil, DHead: dHead}
	for i, b := range bases {
		for number, v := range b.axes {
			image := applyTransposed(m.w, v, dHead)
			frame.apply(image)
			out.Axes = append(out.Axes, Axis[T]{Basis: i, Number: number, Image: narrow[T](image)})
			axes = append(axes, v)
		}
	}
	// [component, axis], after the sum of each component if it is computed.
	along := products(data[T](p.Components), dModel, axes)
	sigma, v := float64(p.Scale), make([]float64, dHead)
	n := len(out.Rows) + 1
	out.Vectors, out.Coordinates = make([]T, 0, n*dHead), make([]T, 0, n*len(out.Axes))
	for _, row := range out.Rows {
		for j, x := range f[row*dHead : (row+1)*dHead] {
			v[j] = float64(x)
		}
		if first > 0 {
			axpy(-along.row(row)[0]/float64(dModel), rowSum, v)
		}
		for j := range v {
			v[j] /= sigma
		}
		frame.apply(v)
		out.Vectors = append(out.Vectors, narrow[T](v)...)
		if len(axes) > 0 {
			for _, a := range along.row(row)[first:] {
				out.Coordinates = append(out.Coordinates, T(a/sigma))
			}
		}
	}
	if out.Bias {
		bias := widen(m.bias)
		frame.apply(bias)
		out.Vectors = append(out.Vectors, narrow[T](bias)...)
		out.Coordinates = append(out.Coordinates, make([]T, len(out.Axes))...)
	}
	return out, nil
}

func narrow[T blas.Float](x []float64) []T {
	out := make([]T, len(x))
	for i, v := range x {
		out[i] = T(v)
	}
	return out
}
