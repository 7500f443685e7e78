package model

import (
	"math"
	"slices"
	"sort"

	"ducklens/engine/blas"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// queryBlock is the number of query positions whose attention is computed at once. A block looks at keys up
// to its last position, so a short sequence is one block, and a long one computes little more than the
// triangle that it needs. Blocks are counted from the start of the sequence, so that their ends do not depend
// on the batch.
const queryBlock = 64

// keyBlock divides the position from which a block looks at keys, if it does not look at all of them. Sums
// over keys are computed in parts of this size, and the parts must not depend on the batch either.
const keyBlock = 256

// section returns the part of qkv for some heads of one kind [rows, n d_head].
func (r *run[T]) section(section, from, to int) blas.Matrix[T] {
	return r.qkv.Slice(0, r.qkv.Rows, r.spec.column(section, from), r.spec.column(section, to))
}

// attention runs the attention of layer l and keeps its results by head.
func (r *run[T]) attention(l int) error {
	w, s := &r.layers[l], r.spec
	w.qkv.Multiply(r.threads, r.qkv, r.norm, blas.Epilogue[T]{Bias: w.qkvBias})
	q, k := r.section(queries, 0, s.Heads), r.section(keys, 0, s.KVHeads)
	qScales, kScales := r.finish(l, queries, q, 0, r.turn[l].at), r.finish(l, keys, k, 0, r.turn[l].at)
	if err := r.checkQKNorm(l, qScales, kScales); err != nil {
		return err
	}
	for _, h := range r.targets[l] {
		from, kv := h.Index*s.DHead, s.KVHead(h.Index)*s.DHead
		r.keepHead(h, q.Slice(0, q.Rows, from, from+s.DHead), k.Slice(0, k.Rows, kv, kv+s.DHead), r.cache.row)
		r.keepQKNorm(h, qScales.of(h.Index), kScales.of(s.KVHead(h.Index)), r.cache.row)
	}
	r.keepValues(l)
	r.attend(l)
	if r.cache.parts != nil {
		z, _ := r.cache.part(l)
		r.keep(z.Data, r.z)
	}
	w.wo.Multiply(r.threads, r.out, r.z, blas.Epilogue[T]{Bias: w.bo})
	if err := r.afterAttention(l); err != nil {
		return err
	}
	return nil
}

// headScales are the scales of QK-norm: [rows, heads], or [rows, 1] of all heads together. The zero value is
// for a model without QK-norm.
type headScales[T blas.Float] struct {
	scales []T
	each   int // numbers in a row
	first  int // head of the first number
}

// of returns the scales of a head, by row.
func (s headScales[T]) of(head int) func(row int) T {
	switch s.each {
	case 0:
		return func(int) T { return 1 }
	case 1:
		return func(row int) T { return s.scales[row] }
	}
	return func(row int) T { return s.scales[row*s.each+head-s.first] }
}

// finish turns the products x [rows, n d_head] into queries or keys of heads from first on, in place: it
// applies QK-norm and rotates each row by its position in at.
func (r *run[T]) finish(l, section int, x blas.Matrix[T], first int, at []int64) headScales[T] {
	s, turn := r.spec, r.turn[l]
	gain, heads := r.layers[l].qGain, x.Cols/s.DHead
	if section == keys {
		gain = r.layers[l].kGain
	}
	scales := headScales[T]{first: first}
	switch s.QKNorm {
	case PerHead:
		scales.each = heads
	case FullWidth:
		scales.each = 1
	}
	if scales.each == 0 && turn.dims == 0 {
		return scales
	}
	scales.scales = make([]T, x.Rows*scales.each)
	workers.Rows(r.threads, x.Rows, rowsAtOnce, func(from, to int) {
		part := x.Slice(from, to, 0, x.Cols)
		if n := scales.each; n > 0 {
			blas.RMSNorm(part, part, scales.scales[from*n:to*n], n, gain, s.QKNormEps)
		}
		if turn.dims > 0 {
			blas.Rotate(part, heads, turn.dims, turn.pairs, turn.table, at[from:to])
		}
	})
	return scales
}

// checkQKNorm checks the scales of all rows.
func (r *run[T]) checkQKNorm(l int, q, k headScales[T]) error {
	if q.each > 0 {
		if err := r.checkScales(q.scales, q.each, l, "q_norm"); err != nil {
			return err
		}
	}
	if k.each > 0 {
		return r.checkScales(k.scales, k.each, l, "k_norm")
	}
	return nil
}

// checkKept checks the scales of queries at the kept positions only.
func (r *run[T]) checkKept(q headScales[T], l int) error {
	for i := range q.scales {
		if f := float64(q.scales[i]); badScale(f) {
			kept := i / q.each
			s := sort.Search(len(r.rows), func(s int) bool { return r.cache.first[s+1] > kept })
			return &ScaleError{Sequence: s, Position: len(r.cache.seen[kept]) - 1, Layer: l, Norm: "q_norm",
				Scale: f}
		}
	}
	return nil
}

// keepQKNorm keeps the scales of a target head. The scale of the query at kept position i is in rows[i].
func (r *run[T]) keepQKNorm(h schema.Head, q, k func(row int) T, rows []int) {
	c := r.cache
	for i, row := range c.row {
		c.heads[h].qScale[i], c.heads[h].kScale[i] = q(rows[i]), k(row)
	}
}

// attend fills z with the attention-weighted values of layer l.
func (r *run[T]) attend(l int) {
	type block struct{ sequence, from, to int } // positions
	var blocks []block
	for s, rows := range r.rows {
		for from, to := r.shared[s], 0; from < len(rows); from = to {
			to = min((from/queryBlock+1)*queryBlock, len(rows))
			blocks = append(blocks, block{s, from, to})
		}
	}
	s := r.spec
	window, width := s.WindowOf(l), s.KVHeads*s.DHead
	first := s.column(keys, 0)
	heads := blas.Heads[T]{Query: s.Heads, KV: s.KVHeads, Sinks: r.layers[l].sinks}
	causal := blas.Causal[T]{Window: window, Scale: T(1 / s.AttnScaleOf(l)), Cap: T(s.SoftCap)}
	workers.Do(r.threads, len(blocks), func(i int) {
		b, c := blocks[i], causal
		begin := 0 // the first position that a query of the block sees, or an earlier one
		if window > 0 {
			begin = max(0, b.from+1-window) / keyBlock * keyBlock
		}
		rows := r.rows[b.sequence][begin:b.to]
		firstRow, end := r.rows[b.sequence][b.from], r.rows[b.sequence][b.from]+b.to-b.from
		var kv blas.Matrix[T] // keys and values [to-begin, 2 kv_heads d_head]
		if r.shared[b.sequence] <= begin {
			kv = r.qkv.Slice(rows[0], end, first, first+2*width)
		} else { // the rows are not contiguous
			kv = blas.NewMatrix(len(rows), 2*width, fitted(r.gathered.take(), len(rows)*2*width))
			defer r.gathered.put(kv.Data)
			for p, row := range rows {
				copy(kv.Row(p), r.qkv.Row(row)[first:])
			}
		}
		c.First = b.from + 1 - begin
		blas.Attention(r.provider, r.z.Slice(firstRow, end, 0, r.z.Cols),
			r.qkv.Slice(firstRow, end, 0, first),
			kv.Slice(0, kv.Rows, 0, width), kv.Slice(0, kv.Rows, width, 2*width), heads, c)
	})
}

// afterAttention applies the norm after attention, if any, to out, and adds it to the stream.
func (r *run[T]) afterAttention(l int) error {
	if r.spec.PostNorm {
		after := r.postNorm(r.layers[l].attnGain)
		if err := r.normalise(after, r.out, r.out, l, "ln1_post", r.cache.attnScale[l]); err != nil {
			return err
		}
	}
	r.write()
	return nil
}

// lastQK computes the queries of the target heads of layer l at the kept positions, and their keys
// everywhere. A QK-norm over the full width needs those of all heads.
func (r *run[T]) lastQK(l int) error {
	s, w := r.spec, &r.layers[l]
	kept := len(r.cache.row)
	in := blas.NewMatrix(kept, s.DModel, make([]T, kept*s.DModel))
	at := make([]int64, kept)
	for i, row := range r.cache.row {
		copy(in.Row(i), r.norm.Row(row))
		if turn := r.turn[l]; turn.dims > 0 {
			at[i] = turn.at[row]
		}
	}
	q := blas.NewMatrix(kept, s.Heads*s.DHead, make([]T, kept*s.Heads*s.DHead))
	k := r.section(keys, 0, s.KVHeads)
	project := func(section int, into, from blas.Matrix[T], heads span, at []int64) headScales[T] {
		part := into.Slice(0, into.Rows, heads.from*s.DHead, heads.to*s.DHead)
		weights, bias := w.part(s, section, heads.from, heads.to)
		weights.Multiply(r.threads, part, from, blas.Epilogue[T]{Bias: bias})
		return r.finish(l, section, part, heads.from, at)
	}
	qOf, kOf := map[int]func(int) T{}, map[int]func(int) T{}
	var indices, kvs []int
	for _, h := range r.targets[l] {
		indices, kvs = append(indices, h.Index), append(kvs, s.KVHead(h.Index))
	}
	for _, heads := range r.together(indices, s.Heads) {
		scales := project(queries, q, in, heads, at)
		if err := r.checkKept(scales, l); err != nil {
			return err
		}
		for h := heads.from; h < heads.to; h++ {
			qOf[h] = scales.of(h)
		}
	}
	for _, heads := range r.together(kvs, s.KVHeads) {
		scales := project(keys, k, r.norm, heads, r.turn[l].at)
		if err := r.checkQKNorm(l, headScales[T]{}, scales); err != nil {
			return err
		}
		for h := heads.from; h < heads.to; h++ {
			kOf[h] = scales.of(h)
		}
	}
	rows := make([]int, kept)
	for i := range rows {
		rows[i] = i
	}
	for _, h := range r.targets[l] {
		from, kv := h.Index*s.DHead, s.KVHead(h.Index)*s.DHead
		r.keepHead(h, q.Slice(0, kept, from, from+s.DHead), k.Slice(0, k.Rows, kv, kv+s.DHead), rows)
		r.keepQKNorm(h, qOf[h.Index], kOf[s.KVHead(h.Index)], rows)
	}
	return nil
}

// span is the heads [from, to).
type span struct{ from, to int }

// together returns the heads of a list as spans of neighbours, which share a product; or all n heads if a
// norm looks at all of them.
func (r *run[T]) together(heads []int, n int) []span {
	if r.spec.QKNorm == FullWidth {
		return []span{{0, n}}
	}
	slices.Sort(heads)
	var list []span
	for _, h := range slices.Compact(heads) {
		if k := len(list) - 1; k >= 0 && list[k].to == h {
			list[k].to++
		} else {
			list = append(list, span{h, h + 1})
		}
	}
	return list
}

// keepHead copies to the cache a target head's queries (row rows[i] of q for kept position i) and the keys
// that it reads, of all rows.
func (r *run[T]) keepHead(h schema.Head, q, k blas.Matrix[T], rows []int) {
	c, dh := r.cache, r.spec.DHead
	into, kv := c.heads[h], schema.Head{Layer: h.Layer, Index: r.spec.KVHead(h.Index)}
	for i := range c.row {
		copy(into.q[i*dh:(i+1)*dh], q.Row(rows[i]))
	}
	kept, ok := c.keys[kv]
	if !ok {
		kept = blas.NewMatrix(k.Rows, dh, make([]T, k.Rows*dh))
		for i := range k.Rows {
			copy(kept.Row(i), k.Row(i))
		}
		c.keys[kv] = kept
	}
	into.k = kept
}

// scores writes query . key times scale to dst, for some rows of keys. Each is one sum in float64, in the
// order of the dimensions. Four sums are computed side by side, because an addition waits for the one before
// it.
func scores[T blas.Float](dst, query []T, keys blas.Matrix[T], rows []int, scale float64) {
	j := 0
	for ; j+4 <= len(rows); j += 4 {
		a, b, c, d := keys.Row(rows[j])[:len(query)], keys.Row(rows[j+1])[:len(query)], keys.Row(
			rows[j+2])[:len(query)], keys.Row(rows[j+3])[:len(query)]
		var sa, sb, sc, sd float64
		for x, v := range query {
			q := float64(v)
			sa += q * float64(a[x])
			sb += q * float64(b[x])
			sc += q * float64(c[x])
			sd += q * float64(d[x])
		}
		dst[j], dst[j+1], dst[j+2], dst[j+3] = T(sa*scale), T(sb*scale), T(sc*scale), T(sd*scale)
	}
	for ; j < len(rows); j++ {
		sum, key := 0.0, keys.Row(rows[j])
		for x, v := range query {
			sum += float64(v) * float64(key[x])
		}
		dst[j] = T(sum * scale)
	}
}

// softmax writes to dst the softmax, in float64, of scores, which are capped unless limit is 0. sink is one
// more score; softmax returns its probability.
func softmax[T blas.Float](dst, scores []T, limit, sink float64) float64 {
	score := func(s T) float64 {
		if limit > 0 {
			return limit * math.Tanh(float64(s)/limit)
		}
		return float64(s)
	}
	largest := max(score(slices.Max(scores)), sink)
	sum := 0.0
	for _, s := range scores {
		sum += math.Exp(score(s) - largest)
	}
	beside := math.Exp(sink - largest)
	sum += beside
	for i, s := range scores {
		dst[i] = T(math.Exp(score(s)-largest) / sum)
	}
	return beside / sum
}
