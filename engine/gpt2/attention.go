package gpt2

import (
	"math"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// queryBlock is the number of query positions whose attention is computed at once: a block looks at
// the keys up to its last position, so a short sequence is one block and a long one computes little
// more than the triangle that it needs. Blocks are counted from the start of the sequence, so that they do
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
		r.keepHead(h, r.part(queries, h.Index, 0, r.tokens()), r.part(keys, h.Index, 0, r.tokens()), r.cache.token)
	}

	type block struct{ start, from, to int } // rows of the sequence's start and of the block
	var blocks []block
	for s := range len(r.starts) - 1 {
		for from := r.starts[s]; from < r.starts[s+1]; from += queryBlock {
			blocks = append(blocks, block{r.starts[s], from, min(from+queryBlock, r.starts[s+1])})
		}
	}
	d := r.config.DModel
	scale := T(1 / math.Sqrt(float64(r.config.DHead())))
	workers.Do(r.threads, len(blocks), func(i int) {
		b := blocks[i]
		section := func(number, from int) blas.Matrix[T] { return r.qkv.Slice(from, b.to, number*d, (number+1)*d) }
		blas.Attention(r.provider, r.z.Slice(b.from, b.to, 0, d), section(queries, b.from), section(keys, b.start), section(values, b.start),
			r.config.NHeads, b.from-b.start+1, scale)
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
	kept, index := len(r.cache.token), schema.StreamComponents(l, heads)
	if kept == 0 {
		return
	}
	z := blas.NewMatrix(kept, d, make([]T, kept*d))
	for i, row := range r.cache.token {
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
	kept := len(r.cache.token)
	norm := blas.NewMatrix(kept, d, make([]T, kept*d))
	for i, row := range r.cache.token {
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
		project(r.qkv.Slice(0, r.tokens(), d+from, d+to), r.norm, d+from, d+to)
		targets = targets[n:]
	}
	rows := make([]int, kept)
	for i := range rows {
		rows[i] = i
	}
	for _, h := range r.targets[l] {
		r.keepHead(h, q.Slice(0, kept, h.Index*dh, (h.Index+1)*dh), r.part(keys, h.Index, 0, r.tokens()), rows)
	}
}

// keepHead copies queries (row rows[i] of q for kept position i) and keys of a target head into the cache and
// computes its attention rows there, with sums in float64.
func (r *run[T]) keepHead(h schema.Head, q, k blas.Matrix[T], rows []int) {
	c := r.cache
	into, dh := c.heads[h], r.config.DHead()
	scale := 1 / math.Sqrt(float64(dh))
	workers.Do(r.threads, len(c.token), func(i int) {
		query := into.q[i*dh : (i+1)*dh]
		copy(query, q.Row(rows[i]))
		copy(into.k[i*dh:(i+1)*dh], k.Row(c.token[i]))
		scores, pattern := into.scores[c.rowStart[i]:c.rowStart[i+1]], into.pattern[c.rowStart[i]:c.rowStart[i+1]]
		start := c.token[i] - c.position[i]
		for j := range scores {
			sum := 0.0
			for x, v := range k.Row(start + j) {
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
