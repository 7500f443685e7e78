package model

import (
	"fmt"
	"math"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// unembedding is W_U in the form the checkpoint has it, with what processing does to it: the matrix of
// processed rows is never made.
type unembedding[T blas.Float] struct {
	stored      bool // the checkpoint holds it
	tied        bool // it is the table of the embedding
	table       table
	processed   bool // the last norm's gain is folded in, and its mean over d_model is taken away for LayerNorm
	less        bool // the mean over the vocabulary is taken away
	centre      bool // the last norm is a LayerNorm
	gain, shift []float64
	bias        []T       // b_U [d_vocab], or nil
	mean        []float64 // of the processed rows over the vocabulary [d_model]
}

// open reads the last norm, and opens W_U where the checkpoint holds it.
func (u *unembedding[T]) open(r *reader[T], m *Model[T], src *Sources) (err error) {
	s := m.spec
	u.processed = m.processing == schema.Processed
	u.less = u.processed && s.LogitCap == 0 // a cap is not blind to what all logits have in common
	u.centre = s.Norm.Centre && !s.NoFinalNorm
	if u.gain = r.gain(src.FinalGain, s.DModel, "the last norm"); u.gain == nil {
		u.gain = ones(s.DModel)
	}
	u.shift = r.zeros(src.FinalShift, s.DModel)
	u.bias = rounded[T](r.vector(src.UnembedBias, s.DVocab))
	if u.stored = src.Unembed.Stored(); !u.stored || r.fault != nil {
		return r.fault
	}
	u.tied = src.Unembed.Tensor == src.Embed.Tensor
	u.table, err = openTable(r.checkpoint, src.Unembed, s.DVocab, s.DModel)
	return err
}

// read looks at every number of the table once: it has to be finite, and processing takes their mean away.
func (u *unembedding[T]) read(c *checkpoint.Checkpoint) error {
	d, n := u.table.d, u.table.rows
	if !u.less {
		return u.table.visit(c, func(int, int) {})
	}
	u.mean = make([]float64, d)
	rows := make([]T, min(n, strip)*d)
	err := u.table.visit(c, func(from, to int) {
		part := rows[:(to-from)*d]
		tableRows(part, u.table, from)
		for i, v := range blas.Combine(part, ones(to-from), d) {
			u.mean[i] += v
		}
	})
	for i := range u.mean {
		u.mean[i] *= u.gain[i] / float64(n)
	}
	if u.centre {
		centre(u.mean)
	}
	return err
}

// CheckUnembedding is nil where the model can give [Model.Unembed] and [Model.Logits], which panic where it
// cannot: an [ErrNoUnembedding] that says what is missing.
func (m *Model[T]) CheckUnembedding() error {
	if m.unembed.stored {
		return nil
	}
	return fmt.Errorf("model: the checkpoint holds no W_U, and the configuration does not tie it to W_E: %w", ErrNoUnembedding)
}

// Unembed is W_U[:, token] [d_model], the direction in the stream that the token's logit reads. Processed, it
// has the last norm's gain folded in and loses its mean over d_model, where that norm does, and the mean of
// all tokens' directions, unless logits are capped; raw, it is as stored.
func (m *Model[T]) Unembed(token int) []T {
	m.mustUnembed()
	u := &m.unembed
	row, out := make([]float64, u.table.d), make([]T, u.table.d)
	tableRows(row, u.table, token)
	m.releaseTables()
	if u.processed {
		for i := range row {
			row[i] *= u.gain[i]
		}
		if u.centre {
			centre(row)
		}
		for i, v := range u.mean {
			row[i] -= v
		}
	}
	round(out, row)
	return out
}

func (m *Model[T]) mustUnembed() {
	if err := m.CheckUnembedding(); err != nil {
		panic(err)
	}
}

// Logits reads the logits [d_vocab] of each final residual stream [d_model], after the last layer and before
// the last norm. Processed logits have mean zero over the vocabulary, unless they are capped; that changes no
// probability.
func (m *Model[T]) Logits(final ...[]T) [][]T {
	m.mustUnembed()
	u, s := &m.unembed, m.spec
	x := blas.NewMatrix(len(final), s.DModel, make([]T, len(final)*s.DModel))
	for i, f := range final {
		if len(f) != s.DModel {
			panic(fmt.Sprintf("model: logits of a stream of %d numbers, want d_model = %d", len(f), s.DModel))
		}
		copy(x.Row(i), f)
	}
	m.lastNorm().apply(x, x, make([]T, len(final)))
	for i := range final {
		row := x.Row(i)
		for j, v := range row {
			row[j] = T(float64(v)*u.gain[j] + u.shift[j])
		}
	}
	logits := blas.NewMatrix(len(final), s.DVocab, make([]T, len(final)*s.DVocab))
	workers.Rows(m.threads, s.DVocab, strip, func(from, to int) {
		rows := make([]T, (to-from)*s.DModel)
		tableRows(rows, u.table, from)
		blas.Gemm(m.provider, 1, logits.Slice(0, len(final), from, to), x, blas.NewMatrix(to-from, s.DModel, rows).T(), false)
	})
	m.releaseTables()
	out := make([][]T, len(final))
	for i := range out {
		out[i] = logits.Row(i)
		u.finish(out[i], s.LogitCap)
	}
	return out
}

// finish adds the bias to logits, caps them, and takes their mean away where processing does.
func (u *unembedding[T]) finish(logits []T, limit float64) {
	for j, b := range u.bias {
		logits[j] += b
	}
	if limit > 0 {
		for j, v := range logits {
			logits[j] = T(limit * math.Tanh(float64(v)/limit))
		}
	}
	if !u.less {
		return
	}
	mean := 0.0
	for _, v := range logits {
		mean += float64(v)
	}
	mean /= float64(len(logits))
	for j, v := range logits {
		logits[j] = T(float64(v) - mean)
	}
}
