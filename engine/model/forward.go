package model

import (
	"context"
	"fmt"
	"math"

	"ducklens/engine/blas"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// Forward runs the sequences up to the last layer of heads, where only their queries and keys are computed.
// What comes after the last kept position of a sequence is not looked at. The result for a sequence does not depend
// on the others. ctx is looked at before every layer.
func (m *Model[T]) Forward(ctx context.Context, seqs []Sequence, heads []schema.Head) (*Cache[T], error) {
	stop := 0
	for _, h := range heads {
		stop = max(stop, h.Layer)
	}
	return m.forward(ctx, seqs, heads, stop)
}

// ForwardAll runs all layers, so that [Cache.ResidPre] of layer NLayers is the final stream and
// [Cache.LN1Scale] of it the scale of ln_final; [Model.Logits] reads that stream.
func (m *Model[T]) ForwardAll(ctx context.Context, seqs []Sequence, heads []schema.Head) (*Cache[T], error) {
	return m.forward(ctx, seqs, heads, m.config.NLayers)
}

func (m *Model[T]) forward(ctx context.Context, seqs []Sequence, heads []schema.Head, stop int) (*Cache[T], error) {
	if err := m.checkInput(seqs, heads); err != nil {
		return nil, err
	}
	if stop > m.reach {
		return nil, fmt.Errorf("gpt2: a pass to layer %d of a model that was loaded up to layer %d: %w", stop, m.reach, ErrInput)
	}
	r := &run[T]{Model: m, targets: make([][]schema.Head, stop+1), rows: make([][]int, len(seqs)), shared: make([]int, len(seqs))}
	var rows Rows
	for i, s := range seqs {
		r.rows[i], r.shared[i] = rows.Add(s.Tokens[:used(s)])
	}
	r.cache = newCache(m, stop, seqs, r.rows, heads)
	for h := range r.cache.heads { // each once
		r.targets[h.Layer] = append(r.targets[h.Layer], h)
	}
	r.workspace = m.workspace(rows.N)
	defer m.workspaces.put(r.workspace)

	r.embed(seqs)
	for l := range stop {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("gpt2: layer %d of a forward pass: %w", l, err)
		}
		if err := r.normalise(l, "ln1", r.cache.ln1[l]); err != nil {
			return nil, err
		}
		r.attention(l)
		if err := r.normalise(l, "ln2", r.cache.ln2[l]); err != nil {
			return nil, err
		}
		r.mlp(l)
		r.keepStream(l + 1)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("gpt2: layer %d of a forward pass: %w", stop, err)
	}
	if err := r.normalise(stop, "ln1", r.cache.ln1[stop]); err != nil {
		return nil, err
	}
	if stop < m.config.NLayers {
		r.lastQK(stop)
	}
	return r.cache, nil
}

func (m *Model[T]) checkInput(seqs []Sequence, heads []schema.Head) error {
	for _, h := range heads {
		if h.Layer < 0 || h.Layer >= m.config.NLayers || h.Index < 0 || h.Index >= m.config.NHeads {
			return fmt.Errorf("gpt2: head %v of a model with %d layers of %d heads, numbered from 0: %w",
				h, m.config.NLayers, m.config.NHeads, ErrInput)
		}
	}
	for i, s := range seqs {
		if len(s.Tokens) == 0 || len(s.Tokens) > m.config.NCtx {
			return fmt.Errorf("gpt2: sequence %d has %d tokens, want 1 to %d: %w", i, len(s.Tokens), m.config.NCtx, ErrInput)
		}
		for p, t := range s.Tokens {
			if t < 0 || t >= m.config.DVocab {
				return fmt.Errorf("gpt2: sequence %d has token %d at position %d, want 0 to %d: %w", i, t, p, m.config.DVocab-1, ErrInput)
			}
		}
		for _, p := range s.Positions {
			if p < 0 || p >= len(s.Tokens) {
				return fmt.Errorf("gpt2: sequence %d of %d tokens: position %d to keep: %w", i, len(s.Tokens), p, ErrInput)
			}
		}
	}
	return nil
}

// run is one forward pass in progress. All its matrices have the rows that [Rows] gives to the tokens of its sequences.
type run[T blas.Float] struct {
	*Model[T]
	*workspace[T]
	cache   *Cache[T]
	targets [][]schema.Head // by layer
	rows    [][]int         // by sequence: the row of each of its tokens
	shared  []int           // by sequence: how many of its first tokens have their rows with sequences before it
}

// workspace holds the matrices of a pass; passes share them one after the other.
type workspace[T blas.Float] struct {
	stream blas.Matrix[T] // the residual stream [rows, d_model]
	norm   blas.Matrix[T] // LayerNorm of the stream [rows, d_model]
	scale  []T            // its scale [rows]
	qkv    blas.Matrix[T] // [rows, 3 d_model]
	z      blas.Matrix[T] // attention-weighted values [rows, n_heads d_head]
	hidden blas.Matrix[T] // MLP neurons [rows, d_mlp]
	out    blas.Matrix[T] // what attention or MLP writes [rows, d_model]
}

func (m *Model[T]) workspace(rows int) *workspace[T] {
	w := m.workspaces.take()
	if w == nil {
		w = &workspace[T]{}
	}
	d := m.config.DModel
	fit := func(x *blas.Matrix[T], cols int) { *x = blas.NewMatrix(rows, cols, fitted(x.Data, rows*cols)) }
	fit(&w.stream, d)
	fit(&w.norm, d)
	fit(&w.qkv, 3*d)
	fit(&w.z, d)
	fit(&w.hidden, m.config.DMLP)
	fit(&w.out, d)
	w.scale = fitted(w.scale, rows)
	return w
}

// rowsAtOnce is the share of a row-wise step that one goroutine takes at a time.
const rowsAtOnce = 32

// component is the row of the cache for component number index at a kept position.
func (r *run[T]) component(kept, index int) []T {
	d, n := r.config.DModel, schema.StreamComponents(r.cache.stop, r.config.NHeads)
	return r.cache.components[(kept*n+index)*d:][:d]
}

func (r *run[T]) embed(seqs []Sequence) {
	workers.Do(r.threads, len(seqs), func(s int) {
		for p := r.shared[s]; p < len(r.rows[s]); p++ {
			row := r.stream.Row(r.rows[s][p])
			r.embedInto(row, seqs[s].Tokens[p])
			for i, v := range r.position.Row(p) {
				row[i] += v
			}
		}
		for i, p := range seqs[s].Positions {
			kept := r.cache.first[s] + i
			r.embedInto(r.component(kept, 0), seqs[s].Tokens[p])
			copy(r.component(kept, 1), r.position.Row(p))
		}
		r.releaseTables()
	})
	r.keepStream(0)
}

// keepStream copies the stream before layer l into the cache.
func (r *run[T]) keepStream(l int) {
	d := r.config.DModel
	for kept, row := range r.cache.row {
		copy(r.cache.resid[(kept*(r.cache.stop+1)+l)*d:][:d], r.stream.Row(row))
	}
}

// normalise fills norm and scale, and keeps the scales of the kept positions.
func (r *run[T]) normalise(l int, name string, kept []T) error {
	d := r.config.DModel
	workers.Rows(r.threads, r.stream.Rows, rowsAtOnce, func(from, to int) {
		blas.LayerNorm(r.norm.Data[from*d:to*d], r.stream.Data[from*d:to*d], r.scale[from:to], d, r.config.LNEps)
	})
	for s, rows := range r.rows {
		for p := r.shared[s]; p < len(rows); p++ {
			// A scale of zero is one of a constant stream where eps is zero: what it divides is 0/0.
			if f := float64(r.scale[rows[p]]); math.IsNaN(f) || math.IsInf(f, 0) || f == 0 {
				return &ScaleError{Sequence: s, Position: p, Layer: l, Norm: name, Scale: f}
			}
		}
	}
	for i, row := range r.cache.row {
		kept[i] = r.scale[row]
	}
	return nil
}

// write adds out to the stream.
func (r *run[T]) write() {
	workers.Rows(r.threads, r.stream.Rows, rowsAtOnce, func(from, to int) {
		for i := from; i < to; i++ {
			row := r.stream.Row(i)
			for j, v := range r.out.Row(i) {
				row[j] += v
			}
		}
	})
}

func (r *run[T]) mlp(l int) {
	w := &r.layers[l]
	w.win.Multiply(r.threads, r.hidden, r.norm, blas.Epilogue[T]{Bias: w.bin, GELU: true})
	w.wout.Multiply(r.threads, r.out, r.hidden, blas.Epilogue[T]{Bias: w.bout})
	index := schema.StreamComponents(l+1, r.config.NHeads) - 1
	for kept, row := range r.cache.row {
		copy(r.component(kept, index), r.out.Row(row))
	}
	r.write()
}
