package model

import (
	"fmt"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// unembedding is W_U in the form the checkpoint has it, with what processing does to it: the matrix of processed
// rows is never made.
type unembedding[T blas.Float] struct {
	config      Config
	processing  schema.Processing
	table       checkpoint.View // [d_vocab, d_model]
	bias        checkpoint.View // b_U [d_vocab], or no elements
	gain, shift []float64       // ln_final [d_model]
	mean        []float64       // mean over the vocabulary of W_U with ln_final folded [d_model]; of processed weights
}

func (u *unembedding[T]) load(c *checkpoint.Checkpoint, processing schema.Processing) (err error) {
	u.config, u.processing = c.Config(), processing
	if u.gain, err = wide(c, "ln_f.weight"); err != nil {
		return err
	}
	if u.shift, err = wide(c, "ln_f.bias"); err != nil {
		return err
	}
	if u.table, err = c.Unembedding(); err != nil {
		return err
	}
	if u.bias, err = c.UnembeddingBias(); err != nil {
		return err
	}
	return checkFinite(c, u.bias)
}

// readTable looks at every number of the table once: it has to be finite, and processing takes their mean away. Only a strip of tokens
// stays in memory at a time.
func (u *unembedding[T]) readTable(c *checkpoint.Checkpoint) error {
	const strip = 1024
	d, n := u.config.DModel, u.config.DVocab
	u.mean = make([]float64, d)
	for from := 0; from < n; from += strip {
		rows := u.table.Rows(from, min(n, from+strip))
		if checkFinite(c, rows) != nil {
			return checkFinite(c, u.table) // which says where it is in the table
		}
		if u.processing == schema.Processed {
			for i, v := range blas.Combine(checkpoint.Values[T](rows), ones(rows.Shape[0]), d) {
				u.mean[i] += v
			}
		}
		rows.Release(0, rows.Len())
	}
	for i := range u.mean {
		u.mean[i] *= u.gain[i] / float64(n)
	}
	centre(u.mean)
	return nil
}

// Unembed is W_U[:, token] [d_model], the direction in the stream that the token's logit reads. Processed, it
// has ln_final folded in and loses its mean over d_model and the mean of all tokens' directions; raw, it is as
// stored.
func (m *Model[T]) Unembed(token int) []T {
	u := &m.unembed
	d := u.config.DModel
	row, out := make([]float64, d), make([]T, d)
	checkpoint.Copy(row, u.table, token*d)
	m.releaseTables()
	if u.processing == schema.Processed {
		for i := range row {
			row[i] *= u.gain[i]
		}
		centre(row)
		for i, v := range u.mean {
			row[i] -= v
		}
	}
	round(out, row)
	return out
}

// Logits reads the logits [d_vocab] of each final residual stream [d_model], after the last layer and before
// ln_final. Processed logits have mean zero over the vocabulary, which changes no probability.
func (m *Model[T]) Logits(final ...[]T) [][]T {
	const strip = 1024 // tokens at a time: the widened rows stay in cache
	u := &m.unembed
	d, vocab := u.config.DModel, u.config.DVocab
	x := blas.NewMatrix(len(final), d, make([]T, len(final)*d))
	for i, f := range final {
		if len(f) != d {
			panic(fmt.Sprintf("gpt2: logits of a stream of %d numbers, want d_model = %d", len(f), d))
		}
		copy(x.Row(i), f)
	}
	blas.LayerNorm(x.Data, x.Data, make([]T, len(final)), d, m.config.LNEps)
	for i := range final {
		row := x.Row(i)
		for j, v := range row {
			row[j] = T(float64(v)*u.gain[j] + u.shift[j])
		}
	}
	logits := blas.NewMatrix(len(final), vocab, make([]T, len(final)*vocab))
	workers.Rows(m.threads, vocab, strip, func(from, to int) {
		rows := make([]T, (to-from)*d)
		checkpoint.Copy(rows, u.table, from*d)
		blas.Gemm(m.provider, 1, logits.Slice(0, len(final), from, to), x, blas.NewMatrix(to-from, d, rows).T(), false)
	})
	var bias []T
	if u.bias.Len() == vocab {
		bias = checkpoint.Values[T](u.bias)
	}
	out := make([][]T, len(final))
	for i := range out {
		out[i] = logits.Row(i)
		for j, b := range bias {
			out[i][j] += b
		}
		if u.processing == schema.Processed {
			mean := 0.0
			for _, v := range out[i] {
				mean += float64(v)
			}
			mean /= float64(vocab)
			for j, v := range out[i] {
				out[i][j] = T(float64(v) - mean)
			}
		}
	}
	return out
}
