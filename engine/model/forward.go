package model

import (
	"context"
	"fmt"

	"ducklens/engine/blas"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// Forward runs the sequences up to the last layer of heads, where it computes only the heads' queries and
// keys, and keeps everything at the kept positions. Tokens after the last kept position of a sequence are
// ignored. The result for a sequence does not depend on the others. Forward checks ctx before every layer.
func (m *Model[T]) Forward(ctx context.Context, seqs []Sequence, heads []schema.Head) (*Cache[T], error) {
	return m.everything(ctx, seqs, Wanted{Heads: heads})
}

// ForwardAll runs all layers. [Cache.ResidPre] of layer Layers is then the final stream, which [Model.Logits]
// reads, and its [Cache.NormScale] is the scale of the last norm.
func (m *Model[T]) ForwardAll(ctx context.Context, seqs []Sequence, heads []schema.Head) (*Cache[T], error) {
	return m.everything(ctx, seqs, Wanted{Heads: heads, All: true})
}

// everything keeps everything and makes all component matrices.
func (m *Model[T]) everything(ctx context.Context, seqs []Sequence, wanted Wanted) (*Cache[T], error) {
	wanted.Parts, wanted.Streams = true, true
	c, err := m.ForwardFor(ctx, seqs, wanted)
	if err == nil {
		c.makeAll()
	}
	return c, err
}

// ForwardFor is [Model.Forward] for what is wanted. It makes no component matrix; see [Cache.Make].
func (m *Model[T]) ForwardFor(ctx context.Context, seqs []Sequence, wanted Wanted) (*Cache[T], error) {
	heads, stop := wanted.Heads, 0
	for _, h := range heads {
		stop = max(stop, h.Layer)
	}
	if wanted.All {
		stop = m.spec.Layers
	}
	if err := m.checkInput(seqs, heads); err != nil {
		return nil, err
	}
	if err := m.checkSources(wanted.Sources, stop); err != nil {
		return nil, err
	}
	if stop > m.reach {
		return nil, fmt.Errorf("a pass to layer %d of a model that was loaded up to layer %d: %w",
			stop, m.reach, ErrInput)
	}
	r := m.newRun(seqs, wanted, stop, false)
	defer m.workspaces.put(r.workspace)
	r.embed(seqs)
	return r.through(ctx, 0, stop)
}

// through runs the layers from first, before which the stream is ready, to the end of the pass.
func (r *run[T]) through(ctx context.Context, first, stop int) (*Cache[T], error) {
	for l := first; l < stop; l++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("layer %d of a forward pass: %w", l, err)
		}
		if err := r.layer(l); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("layer %d of a forward pass: %w", stop, err)
	}
	if stop == r.spec.Layers {
		return r.cache, r.normalise(r.lastNorm(), r.norm, r.stream, stop, "ln_final", r.cache.scale[stop])
	}
	if err := r.normalise(r.preNorm(), r.norm, r.stream, stop, "ln1", r.cache.scale[stop]); err != nil {
		return nil, err
	}
	return r.cache, r.lastQK(stop)
}

func (m *Model[T]) checkInput(seqs []Sequence, heads []schema.Head) error {
	s := m.spec
	for _, h := range heads {
		if h.Layer < 0 || h.Layer >= s.Layers || h.Index < 0 || h.Index >= s.Heads {
			return fmt.Errorf("head %v of a model with %d layers of %d heads, numbered from 0: %w",
				h, s.Layers, s.Heads, ErrInput)
		}
	}
	for i, q := range seqs {
		if len(q.Tokens) == 0 || len(q.Tokens) > s.NCtx {
			return fmt.Errorf("sequence %d has %d tokens, want 1 to %d: %w", i, len(q.Tokens), s.NCtx,
				ErrInput)
		}
		for p, t := range q.Tokens {
			if t < 0 || t >= s.DVocab {
				return fmt.Errorf("sequence %d has token %d at position %d, want 0 to %d: %w",
					i, t, p, s.DVocab-1, ErrInput)
			}
		}
		for _, p := range q.Positions {
			if p < 0 || p >= len(q.Tokens) {
				return fmt.Errorf("sequence %d of %d tokens: position %d to keep: %w", i, len(q.Tokens), p,
					ErrInput)
			}
		}
	}
	return nil
}

// run is a forward pass in progress. All its matrices have the rows that [Rows] assigns to the tokens of its
// sequences.
type run[T blas.Float] struct {
	*Model[T]
	*workspace[T]
	cache   *Cache[T]
	targets [][]schema.Head // by layer
	rows    [][]int         // by sequence: the row of each of its tokens
	// By sequence: how many of its first tokens share their rows with earlier sequences.
	shared []int
	turn   []rotation[T] // by layer
}

// newRun prepares a pass. If apart is set, no sequence shares rows with another.
func (m *Model[T]) newRun(seqs []Sequence, wanted Wanted, stop int, apart bool) *run[T] {
	r := &run[T]{Model: m, targets: make([][]schema.Head, stop+1),
		rows: make([][]int, len(seqs)), shared: make([]int, len(seqs))}
	var rows Rows
	for i, s := range seqs {
		class := m.lengthClass(s.length())
		if apart {
			class = i
		}
		r.rows[i], r.shared[i] = rows.add(s.Tokens[:used(s)], class)
	}
	r.cache = newCache(m, stop, seqs, r.rows, wanted)
	for h := range r.cache.heads { // each once
		r.targets[h.Layer] = append(r.targets[h.Layer], h)
	}
	r.workspace = m.workspace(rows.N)
	r.turn = r.rotations(stop, seqs)
	return r
}

// layer runs layer l.
func (r *run[T]) layer(l int) error {
	if err := r.normalise(r.preNorm(), r.norm, r.stream, l, "ln1", r.cache.scale[l]); err != nil {
		return err
	}
	if err := r.attention(l); err != nil {
		return err
	}
	return r.afterwards(l)
}

// afterwards runs what comes after attention in layer l.
func (r *run[T]) afterwards(l int) error {
	if r.spec.Parallel { // both norms read the same rows, and differ only in what is folded into the maps
		copy(r.cache.mlpScale[l], r.cache.scale[l])
	} else if err := r.normalise(r.preNorm(), r.norm, r.stream, l, "ln2", r.cache.mlpScale[l]); err != nil {
		return err
	}
	if err := r.mlp(l); err != nil {
		return err
	}
	r.keepStream(l + 1)
	return nil
}

// workspace holds the matrices of a pass. One pass after another uses it.
type workspace[T blas.Float] struct {
	stream blas.Matrix[T] // the residual stream [rows, d_model]
	norm   blas.Matrix[T] // the stream, normalised [rows, d_model]
	scale  []T            // by which it was divided [rows]
	qkv    blas.Matrix[T] // [rows, (heads + 2 kv_heads) d_head]
	z      blas.Matrix[T] // attention-weighted values [rows, heads d_head]
	hidden blas.Matrix[T] // MLP neurons [rows, d_mlp]
	out    blas.Matrix[T] // what attention or MLP writes [rows, d_model]
}

func (m *Model[T]) workspace(rows int) *workspace[T] {
	w := m.workspaces.take()
	if w == nil {
		w = &workspace[T]{}
	}
	s := m.spec
	fit := func(x *blas.Matrix[T], cols int) { *x = blas.NewMatrix(rows, cols, fitted(x.Data, rows*cols)) }
	fit(&w.stream, s.DModel)
	fit(&w.norm, s.DModel)
	fit(&w.qkv, s.column(values, s.KVHeads))
	fit(&w.z, s.Heads*s.DHead)
	fit(&w.hidden, s.DMLP)
	fit(&w.out, s.DModel)
	w.scale = fitted(w.scale, rows)
	return w
}

// rowsAtOnce is the number of rows that a goroutine takes at a time in a row-wise step.
const rowsAtOnce = 32

func (r *run[T]) embed(seqs []Sequence) {
	workers.Do(r.threads, len(seqs), func(s int) {
		for p := r.shared[s]; p < len(r.rows[s]); p++ {
			row := r.stream.Row(r.rows[s][p])
			r.embedInto(row, seqs[s].Tokens[p])
			if r.spec.Position {
				for i, v := range r.positionRow(p) {
					row[i] += v
				}
			}
		}
		r.releaseTables()
	})
	r.keepStream(0)
}

// positionRow returns W_pos of a position.
func (m *Model[T]) positionRow(p int) []T { return m.position.Row(p + m.spec.PositionOffset) }

// keepStream copies the stream before layer l to the cache, if it is wanted.
func (r *run[T]) keepStream(l int) {
	if at := r.cache.at[l]; at >= 0 {
		r.keep(r.cache.resid[at*len(r.cache.row)*r.spec.DModel:], r.stream)
	}
}

// keep copies the rows of the kept positions from x to dst.
func (r *run[T]) keep(dst []T, x blas.Matrix[T]) {
	for kept, row := range r.cache.row {
		copy(dst[kept*x.Cols:], x.Row(row))
	}
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

// mlp runs the MLP of layer l on the normalised rows and keeps what it wrote.
func (r *run[T]) mlp(l int) error {
	r.feedForward(l, r.out, r.hidden, r.norm)
	if r.spec.PostNorm {
		after := r.postNorm(r.layers[l].mlpGain)
		if err := r.normalise(after, r.out, r.out, l, "ln2_post", r.cache.mlpOutScale[l]); err != nil {
			return err
		}
	}
	if r.cache.parts != nil {
		_, written := r.cache.part(l)
		r.keep(written.Data, r.out)
	}
	r.write()
	return nil
}
