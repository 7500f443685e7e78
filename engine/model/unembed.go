package model

import (
	"fmt"
	"math"
	"sync"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// unembedding is W_U in the form that the checkpoint has, and what processing does to it. The matrix of
// processed rows never exists.
type unembedding[T blas.Float] struct {
	stored bool // the checkpoint has it
	tied   bool // it is the table of the embedding
	table  table
	// The last norm's gain is folded in and, for LayerNorm, the mean over d_model is subtracted.
	processed   bool
	less        bool // the mean over the vocabulary is subtracted
	centre      bool // the last norm is a LayerNorm
	gain, shift []float64
	bias        []T       // b_U [d_vocab], or nil
	mean        []float64 // of the processed rows over the vocabulary [d_model]

	measured sync.Once
	lengths  []float64 // of [Model.Unembed] of every token; see [Model.unembedLengths]
	strips   spares[[]T]
}

// open reads the last norm, and opens W_U if the checkpoint has it.
func (u *unembedding[T]) open(r *reader[T], m *Model[T], src *Sources) (err error) {
	s := m.spec
	u.processed = m.processing == schema.Processed
	u.less = u.processed && s.LogitCap == 0 // a cap does not ignore what all logits have in common
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

// read reads every number of the table once, to check that it is finite and to compute the mean that
// processing subtracts.
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

// CheckUnembedding returns nil if the model has an unembedding. Otherwise [Model.Unembed] and [Model.Logits]
// panic, and it returns an [ErrNoUnembedding] that says what is missing.
func (m *Model[T]) CheckUnembedding() error {
	if m.unembed.stored {
		return nil
	}
	return fmt.Errorf("the checkpoint holds no W_U, and the configuration does not tie it to W_E: %w",
		ErrNoUnembedding)
}

// Unembed returns W_U[:, token] [d_model], the direction in the stream that the token's logit reads. Raw, it
// is as stored. Processed, it has the last norm's gain folded in. Its mean over d_model is subtracted if that
// norm subtracts the mean, and so is the mean of all tokens' directions unless logits are capped.
func (m *Model[T]) Unembed(token int) []T {
	m.mustUnembed()
	u := &m.unembed
	row, out := make([]float64, u.table.d), make([]T, u.table.d)
	tableRows(row, u.table, token)
	m.releaseTables()
	u.process(row)
	round(out, row)
	return out
}

// process does to a row of the table what processing does to it.
func (u *unembedding[T]) process(row []float64) {
	if !u.processed {
		return
	}
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

// unembedLengths returns the length of [Model.Unembed] of every token. The first call computes them.
func (m *Model[T]) unembedLengths() []float64 {
	u := &m.unembed
	u.measured.Do(func() {
		u.lengths = make([]float64, u.table.rows)
		workers.Rows(m.threads, u.table.rows, strip, func(from, to int) {
			rows := make([]float64, (to-from)*u.table.d)
			tableRows(rows, u.table, from)
			for i := range to - from {
				row := rows[i*u.table.d : (i+1)*u.table.d]
				u.process(row)
				u.lengths[from+i] = math.Sqrt(blas.Dot(row, row))
			}
		})
	})
	return u.lengths
}

// UnembedCosines returns the cosine of each vector [d_model] with [Model.Unembed] of every token [d_vocab];
// 0 if one of the two is zero. With u a row of the table, g the gain and m the mean over the vocabulary,
// n(g u) - m meets a vector v in u . g n(v) - m . v. So one product with the table as it is stored serves all
// vectors, and no row has to be processed.
func (m *Model[T]) UnembedCosines(vectors [][]float64) [][]float32 {
	m.mustUnembed()
	u, n := &m.unembed, len(vectors)
	d, vocabulary := u.table.d, u.table.rows
	x := blas.NewMatrix(n, d, make([]T, n*d))
	shifts := make([]float64, n) // m . v
	for i, v := range vectors {
		unit := make([]float64, d)
		if length := math.Sqrt(blas.Dot(v, v)); length != 0 {
			for j := range v {
				unit[j] = v[j] / length
			}
		}
		if u.mean != nil {
			shifts[i] = blas.Dot(u.mean, unit)
		}
		if u.processed {
			if u.centre {
				centre(unit)
			}
			for j, g := range u.gain {
				unit[j] *= g
			}
		}
		round(x.Row(i), unit)
	}
	lengths := m.unembedLengths()
	cosines := make([][]float32, n)
	for i := range cosines {
		cosines[i] = make([]float32, vocabulary)
	}
	workers.Rows(m.threads, vocabulary, strip, func(from, to int) {
		memory := fitted(u.strips.take(), (to-from)*(d+n))
		defer u.strips.put(memory)
		rows, product := memory[:(to-from)*d], blas.NewMatrix(n, to-from, memory[(to-from)*d:])
		tableRows(rows, u.table, from)
		if !u.table.columns {
			u.table.view.Release(from*d, to*d)
		}
		blas.Gemm(m.provider, 1, product, x, blas.NewMatrix(to-from, d, rows).T(), false)
		for i := range n {
			for j, p := range product.Row(i) {
				if length := lengths[from+j]; length != 0 {
					cosines[i][from+j] = float32(max(-1, min(1, (float64(p)-shifts[i])/length)))
				}
			}
		}
	})
	m.releaseTables()
	return cosines
}

func (m *Model[T]) mustUnembed() {
	if err := m.CheckUnembedding(); err != nil {
		panic(err)
	}
}

// Logits returns the logits [d_vocab] of each final residual stream [d_model], which is the stream after the
// last layer and before the last norm. Processed logits have mean zero over the vocabulary unless they are
// capped; that changes no probability.
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
		blas.Gemm(m.provider, 1, logits.Slice(0, len(final), from, to), x,
			blas.NewMatrix(to-from, s.DModel, rows).T(), false)
	})
	m.releaseTables()
	out := make([][]T, len(final))
	for i := range out {
		out[i] = logits.Row(i)
		u.finish(out[i], s.LogitCap)
	}
	return out
}

// finish adds the bias to logits, caps them and, if processing does so, subtracts their mean.
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
