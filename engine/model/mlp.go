package model

import (
	"math"
	"slices"

	"ducklens/engine/blas"
)

// act returns the activation of the MLPs.
func (m *Model[T]) act() blas.Activation {
	return map[Activation]blas.Activation{
		GELUTanh: blas.GELUTanh, GELU: blas.GELU, SiLU: blas.SiLU, ReLU: blas.ReLU,
	}[m.spec.Activation]
}

// feedForward computes the MLP of layer l on the normalised rows of in [rows, d_model]. hidden is memory for
// its neurons [rows, d_mlp].
func (m *Model[T]) feedForward(l int, out, hidden, in blas.Matrix[T]) {
	w := &m.layers[l]
	if w.experts != nil {
		m.mixture(w, out, in)
		return
	}
	if m.spec.Gated {
		blas.MultiplyGated(m.threads, hidden, in, w.mlp.gate, w.mlp.in,
			blas.Gated[T]{GateBias: w.mlp.gateBias, Bias: w.mlp.inBias, Act: m.act()})
	} else {
		w.mlp.in.Multiply(m.threads, hidden, in, blas.Epilogue[T]{Bias: w.mlp.inBias, Act: m.act()})
	}
	w.mlp.out.Multiply(m.threads, out, hidden, blas.Epilogue[T]{Bias: w.mlp.outBias})
}

// mixture sends each row through its experts. Each expert in turn takes all rows that chose it, so that a row
// is summed in the order of the experts' numbers whatever the batch is.
func (m *Model[T]) mixture(w *layer[T], out, in blas.Matrix[T]) {
	type share struct {
		row    int
		weight float64
	}
	chosen := make([][]share, len(w.experts))
	router := blas.NewMatrix(in.Rows, len(w.experts), make([]T, in.Rows*len(w.experts)))
	w.router.Multiply(m.threads, router, in, blas.Epilogue[T]{Bias: w.routeBias})
	for i := range in.Rows {
		top, weights := route(router.Row(i), m.spec.Experts.Top)
		for j, e := range top {
			chosen[e] = append(chosen[e], share{i, weights[j]})
		}
		clear(out.Row(i))
	}
	for e, shares := range chosen {
		x := blas.NewMatrix(len(shares), in.Cols, make([]T, len(shares)*in.Cols))
		for i, s := range shares {
			copy(x.Row(i), in.Row(s.row))
		}
		y := m.expert(&w.experts[e], x)
		for i, s := range shares {
			row := out.Row(s.row)
			for j, v := range y.Row(i) {
				row[j] += T(s.weight * float64(v))
			}
		}
	}
}

// route chooses the top experts with the largest logits (of equal ones, the first) and weights them by the
// softmax of these logits.
func route[T blas.Float](logits []T, top int) (experts []int, weights []float64) {
	experts = make([]int, len(logits))
	for i := range experts {
		experts[i] = i
	}
	slices.SortStableFunc(experts, func(a, b int) int {
		switch {
		case logits[a] > logits[b]:
			return -1
		case logits[a] < logits[b]:
			return 1
		}
		return 0
	})
	experts = experts[:top]
	sum := 0.0
	for _, e := range experts {
		w := math.Exp(float64(logits[e]) - float64(logits[experts[0]]))
		weights = append(weights, w)
		sum += w
	}
	for i := range weights {
		weights[i] /= sum
	}
	return experts, weights
}

// expert computes W_out (min(gate, limit) sigmoid(alpha gate) (clip(up, limit) + 1)) + b for the rows of x.
func (m *Model[T]) expert(e *mlp[T], x blas.Matrix[T]) blas.Matrix[T] {
	d, n := m.spec.Experts, m.spec.DMLP
	both := blas.NewMatrix(x.Rows, 2*n, make([]T, x.Rows*2*n))
	hidden := blas.NewMatrix(x.Rows, n, make([]T, x.Rows*n))
	y := blas.NewMatrix(x.Rows, x.Cols, make([]T, x.Rows*x.Cols))
	e.in.Multiply(m.threads, both, x, blas.Epilogue[T]{Bias: e.inBias})
	for r := range x.Rows {
		row, to := both.Row(r), hidden.Row(r)
		for i := range to {
			g, u := i, n+i
			if e.interleaved {
				g, u = 2*i, 2*i+1
			}
			gate, up := float64(row[g]), float64(row[u])
			if d.Limit > 0 {
				gate, up = min(gate, d.Limit), max(-d.Limit, min(up, d.Limit))
			}
			to[i] = T(gate / (1 + math.Exp(-d.Alpha*gate)) * (up + 1))
		}
	}
	e.out.Multiply(m.threads, y, hidden, blas.Epilogue[T]{Bias: e.outBias})
	return y
}
