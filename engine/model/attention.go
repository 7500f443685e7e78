package model

import (
	"math"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// queryBlock is the number of query positions whose attention is computed at once: a block looks at
// the keys up to its last position, so a short sequence is one block and a long one computes little
// more than the triangle that it needs. Blocks are counted from the start of the sequence, so that where they end does
// not depend on the batch.
const queryBlock = 64

// The sections of the columns of qkv, in each of which head follows head.
const (
	queries = iota
	keys
	values
)

// part is one section of qkv for one head and some of the rows [to-from, d_head].
func (r *run[T]) part(section, head, from, to int) blas.Matrix[T] {
	dh := r.config.DHead()
	column := section*r.config.DModel + head*dh
	return r.qkv.Slice(from, to, column, column+dh)
}

// attention runs the attention of layer l and keeps its results by head.
func (r *run[T]) attention(l int) {
	w := &r.layers[l]
	w.qkv.Multiply(r.threads, r.qkv, r.norm, blas.Epilogue[T]{Bias: w.qkvBias})
	for _, h := range r.targets[l] {
		r.keepHead(h, r.part(queries, h.Index, 0, r.qkv.Rows), r.part(keys, h.Index, 0, r.qkv.Rows), r.cache.row)
	}

	type block struct{ sequence, from, to int } // positions
	var blocks []block
	for s, rows := range r.rows {
		for from, to := r.shared[s], 0; from < len(rows); from = to {
			to = min((from/queryBlock+1)*queryBlock, len(rows))
			blocks = append(blocks, block{s, from, to})
		}
	}
	d := r.config.DModel
	scale := T(1 / math.Sqrt(float64(r.config.DHead())))
	workers.Do(r.threads, len(blocks), func(i int) {
		b := blocks[i]
		rows := r.rows[b.sequence][:b.to]
		first, end := rows[b.from], rows[b.from]+b.to-b.from
		var kv blas.Matrix[T] // keys and values [to, 2 d_model]
		if r.shared[b.sequence] == 0 {
			kv = r.qkv.Slice(rows[0], end, keys*d, (values+1)*d)
		} else { // they do not lie together
			kv = blas.NewMatrix(b.to, 2*d, fitted(r.gathered.take(), b.to*2*d))
			defer r.gathered.put(kv.Data)
			for p, row := range rows {
				copy(kv.Row(p), r.qkv.Row(row)[keys*d:])
			}
		}
		blas.Attention(r.provider, r.z.Slice(first, end, 0, d), r.qkv.Slice(first, end, queries*d, (queries+1)*d), kv.Slice(0, b.to, 0, d), kv.Slice(0, b.to, d, 2*d),
			r.config.NHeads, b.from+1, scale)
	})

	w.wo.Multiply(r.threads, r.out, r.z, blas.Epilogue[T]{Bias: w.bo})
	r.write()
	r.keepHeadOutputs(l)
}

// keepHeadOutputs computes what each head of layer l wrote at the kept positions, z W_O of that head, and puts
// b_O beside it.
func (r *run[T]) keepHeadOutputs(l int) {
	w := &r.layers[l]
	d, dh, heads := r.config.DModel, r.config.DHead(), r.config.NHeads
	kept, index := len(r.cache.row), schema.StreamComponents(l, heads)
	if kept == 0 {
		return
	}
	z := blas.NewMatrix(kept, d, make([]T, kept*d))
	for i, row := range r.cache.row {
		copy(z.Row(i), r.z.Row(row))
		copy(r.component(i, index+heads), w.bo)
	}
	stride := schema.StreamComponents(r.cache.stop, heads) * d
	workers.Do(r.threads, heads, func(h int) {
		into := blas.Matrix[T]{Rows: kept, Cols: d, Stride: stride, Data: r.cache.components[(index+h)*d:]}
		w.wo.Slice(h*dh, (h+1)*dh, 0, d).Multiply(1, into, z.Slice(0, kept, h*dh, (h+1)*dh), blas.Epilogue[T]{})
	})
}

// lastQK computes the queries of the target heads of layer l at the kept positions, and their keys everywhere.
func (r *run[T]) lastQK(l int) {
	w := &r.layers[l]
	d, dh := r.config.DModel, r.config.DHead()
	targets := r.targets[l]
	slices.SortFunc(targets, func(a, b schema.Head) int { return a.Index - b.Index })
	kept := len(r.cache.row)
	norm := blas.NewMatrix(kept, d, make([]T, kept*d))
	for i, row := range r.cache.row {
		copy(norm.Row(i), r.norm.Row(row))
	}
	q := blas.NewMatrix(kept, d, make([]T, kept*d))
	for len(targets) > 0 { // heads that are neighbours share a product
		n := 1
		for n < len(targets) && targets[n].Index == targets[0].Index+n {
			n++
		}
		from, to := targets[0].Index*dh, (targets[n-1].Index+1)*dh
		project := func(into, norm blas.Matrix[T], from, to int) {
			w.qkv.Slice(0, d, from, to).Multiply(r.threads, into, norm, blas.Epilogue[T]{Bias: w.qkvBias[from:to]})
		}
		project(q.Slice(0, kept, from, to), norm, from, to)
		project(r.qkv.Slice(0, r.qkv.Rows, d+from, d+to), r.norm, d+from, d+to)
		targets = targets[n:]
	}
	rows := make([]int, kept)
	for i := range rows {
		rows[i] = i
	}
	for _, h := range r.targets[l] {
		r.keepHead(h, q.Slice(0, kept, h.Index*dh, (h.Index+1)*dh), r.part(keys, h.Index, 0, r.qkv.Rows), rows)
	}
}

// keepHead copies queries (row rows[i] of q for kept position i) and keys of a target head into the cache and
// computes its attention rows there, with sums in float64.
func (r *run[T]) keepHead(h schema.Head, q, k blas.Matrix[T], rows []int) {
	c := r.cache
	into, dh := c.heads[h], r.config.DHead()
	scale := 1 / math.Sqrt(float64(dh))
	workers.Do(r.threads, len(c.row), func(i int) {
		query := into.q[i*dh : (i+1)*dh]
		copy(query, q.Row(rows[i]))
		copy(into.k[i*dh:(i+1)*dh], k.Row(c.row[i]))
		scores, pattern := into.scores[c.rowStart[i]:c.rowStart[i+1]], into.pattern[c.rowStart[i]:c.rowStart[i+1]]
		for j, row := range c.seen[i] {
			sum := 0.0
			for x, v := range k.Row(row) {
				sum += float64(query[x]) * float64(v)
			}
			scores[j] = T(sum * scale)
		}
		softmax(pattern, scores)
	})
}

// softmax writes the softmax of scores to dst, computed in float64.
func softmax[T blas.Float](dst, scores []T) {
	largest := float64(slices.Max(scores))
	sum := 0.0
	for _, s := range scores {
		sum += math.Exp(float64(s) - largest)
	}
	for i, s := range scores {
		dst[i] = T(math.Exp(float64(s)-largest) / sum)
	}
}
