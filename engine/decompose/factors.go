package decompose

import (
	"fmt"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// Factors are what the components add to the query or key vector of a head at one position, split along
// a basis: for component c
//
//	f_c,par  = W^T V V^T x_c / sigma                V the axes of the basis
//	f_c,perp = W^T centre(x_c) / sigma - f_c,par
//
// and last the bias of the side, all of it perpendicular. In the exact convention the rows of Par and Perp together add
// up to the model's own q or k; in the notebook's the attention biases are missing.
type Factors[T blas.Float] struct {
	Rows      []int // into Input.Components; Par and Perp have one row more
	DHead     int
	Par, Perp []T // [len(Rows)+1, d_head], row by row
}

// FactorSet holds the factors of one example by basis. A Replacement has none: its entry is the zero value.
type FactorSet[T blas.Float] struct {
	Query    []Factors[T] // by Input.QueryBases
	Key      []Factors[T] // by Input.KeyBases, at the key position
	Baseline []Factors[T] // the same at the baseline position; nil where the example has none
}

// AllFactors computes the factors of every basis of the input, whatever Input.Pairs says. The products X W that all bases
// of a position share run on the engine of the component tensors, in their number type.
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
	rows := in.rows()
	if set.Query, err = factorsAt(&in.Query, in.Maps.WQ, in.Maps.BQ, rows, in.QueryBases); err != nil {
		return FactorSet[T]{}, fmt.Errorf("decompose: query factors: %w", err)
	}
	if set.Key, err = factorsAt(&in.Key, in.Maps.WK, in.Maps.BK, rows, keys); err != nil {
		return FactorSet[T]{}, fmt.Errorf("decompose: key factors: %w", err)
	}
	if in.Baseline != nil {
		if set.Baseline, err = factorsAt(in.Baseline, in.Maps.WK, in.Maps.BK, rows, baselines); err != nil {
			return FactorSet[T]{}, fmt.Errorf("decompose: baseline factors: %w", err)
		}
	}
	return set, nil
}

// factorsAt computes the factors at one position for each basis; w [d_model, d_head], bias [d_head].
func factorsAt[T blas.Float](p *Position[T], w *tensor.Dense, bias []T, rows []int, bases []Basis) ([]Factors[T], error) {
	dModel, dHead := len(p.Stream), len(bias)
	x, maps := data[T](p.Components), data[T](w)
	whole, err := p.Components.MatMul(w)
	if err != nil {
		return nil, fmt.Errorf("product of %v and %v: %w", p.Components.Shape(), w.Shape(), err)
	}
	f := whole.Data().([]T) // X W [component, d_head]

	ones := make([]float64, dModel)
	for i := range ones {
		ones[i] = 1
	}
	axes := [][]float64{ones}
	for _, b := range bases {
		axes = append(axes, b.axes...)
	}
	along := products(x, dModel, axes) // [component, axis] X V, after the sum of each component
	// centre(X) W is X W without mean(x_c) times the sum of the rows of W. Processed weights have neither means nor sums, up to rounding.
	rowSum := applyTransposed(maps, ones, dHead)
	for r := range along.Rows {
		mean := along.row(r)[0] / float64(dModel)
		for j, v := range f[r*dHead : (r+1)*dHead] {
			f[r*dHead+j] = T(float64(v) - mean*rowSum[j])
		}
	}
	sigma := float64(p.Scale)
	out := make([]Factors[T], len(bases))
	axis := 1
	for i, b := range bases {
		if b.kind == schema.Replacement {
			continue
		}
		mapped := make([][]float64, len(b.axes)) // W^T V
		for a, v := range b.axes {
			mapped[a] = applyTransposed(maps, v, dHead)
		}
		n := (len(rows) + 1) * dHead
		out[i] = Factors[T]{Rows: rows, DHead: dHead, Par: make([]T, n), Perp: make([]T, n)}
		sum := make([]float64, dHead)
		for r, row := range rows {
			clear(sum)
			for a, m := range mapped {
				axpy(along.row(row)[axis+a]/sigma, m, sum)
			}
			par, perp := out[i].Par[r*dHead:(r+1)*dHead], out[i].Perp[r*dHead:(r+1)*dHead]
			for j, v := range f[row*dHead : (row+1)*dHead] {
				par[j] = T(sum[j])
				perp[j] = T(float64(v)/sigma - sum[j])
			}
		}
		copy(out[i].Perp[len(rows)*dHead:], bias)
		axis += len(b.axes)
	}
	return out, nil
}
