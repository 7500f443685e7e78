package engine

import (
	"slices"
	"unsafe"

	"ducklens/engine/model"
	"ducklens/schema"
)

// A pass is bounded by bytes: what its rows take while it runs, and what is kept of its examples. Products of
// a pass are as fast as they get from some 500 rows on (with 256 a run takes 6 % more processor time), and
// memory grows all the way, so these are what 640 rows and 48 examples of layer 10 of GPT-2 small take. A
// large model needs as many rows for its speed, and may have them: a share of its weights.
const (
	rowBytes      = 22_000_000
	keptBytes     = 80_000_000
	rowsShare     = 32
	keptShare     = 16
	numbersOfRow  = 3 // matrices of d_model numbers: the stream, its norm, what is written
	keptPositions = 3
)

// bounds are what passes of an engine may take.
type bounds struct {
	rows, kept   int64 // bytes in all
	row, example int64 // bytes of one row; of one example, but for its attention rows
	token        int64 // bytes of attention rows by token of an example
}

// bounds works out what rows and examples take.
func (e *Engine) bounds() bounds {
	s, size := e.spec, e.numberSize()
	weights := e.weightBytes()
	b := bounds{rows: max(rowBytes, weights/rowsShare), kept: max(keptBytes, weights/keptShare)}
	b.row = size * int64(numbersOfRow*s.DModel+(2*s.Heads+2*s.KVHeads)*s.DHead+s.DMLP)
	vectors := e.layout.Below(e.stop()) + e.stop() + 1
	b.example = keptPositions * size * int64(vectors*s.DModel+2*len(e.heads)*s.DHead)
	for _, h := range e.heads {
		b.example += e.resultBytes(h)
	}
	b.token = int64(len(e.heads)) * (2*size + int64(unsafe.Sizeof(schema.Attention{})))
	return b
}

// stop is the layer before which a pass ends.
func (e *Engine) stop() int { return min(e.reach(), e.spec.Layers) }

// resultBytes is the size of what comes out for one head of one example.
func (e *Engine) resultBytes(h schema.Head) int64 {
	rows := int64(e.layout.Below(h.Layer) + 1)
	tables, axes := int64(0), int64(0)
	for _, p := range pairs(e.queryBases, e.keyBases) {
		for _, kind := range []schema.BasisKind{e.queryBases[p[0]].Kind, e.keyBases[p[1]].Kind} {
			if kind != schema.Replacement {
				tables++ // of the side that is split
			}
		}
	}
	for _, b := range slices.Concat(e.queryBases, e.keyBases) {
		if b.factored() {
			axes += int64(b.Dimension)
		}
	}
	bytes := tables * rows * int64(unsafe.Sizeof(schema.Contribution{}))
	if e.options.Factors || e.options.Pairs {
		bytes += keptPositions * rows * 4 * (int64(e.spec.DHead) + axes)
	}
	if e.options.Pairs {
		bytes += int64(len(pairs(e.queryBases, e.keyBases))) * rows * rows * 2 * int64(unsafe.Sizeof([4]float32{}))
	}
	return bytes
}

// numberSize is the number of bytes of a number of the forward pass.
func (e *Engine) numberSize() int64 {
	if e.options.Precision == Float64 {
		return 8
	}
	return 4
}

// weightBytes is what the weights of the layers that a run needs take.
func (e *Engine) weightBytes() int64 {
	s, reach := e.spec, e.reach()
	bytes := int64(min(reach, s.Layers)) * layerParameters(s)
	if reach < s.Layers {
		bytes += int64(s.DModel) * int64((s.Heads+2*s.KVHeads)*s.DHead) // only what makes queries, keys and values
	}
	if s.Position {
		bytes += int64(s.NCtx) * int64(s.DModel)
	}
	return bytes * e.numberSize()
}

// layerParameters counts the weights of one layer.
func layerParameters(s *model.Spec) int64 {
	d := int64(s.DModel)
	n := d * int64((2*s.Heads+2*s.KVHeads)*s.DHead)
	experts := int64(1)
	if s.Experts != nil {
		experts = int64(s.Experts.Count)
	}
	return n + experts*mlpParameters(s)
}

// mlpParameters counts the weights that a position goes through in one MLP, or in one expert.
func mlpParameters(s *model.Spec) int64 {
	maps := int64(2)
	if s.Gated || s.Experts != nil {
		maps = 3
	}
	return maps * int64(s.DModel) * int64(s.DMLP)
}

// passes cuts examples into passes.
func (b bounds) passes(examples []schema.Example) [][]schema.Example {
	fewest := len(b.cut(examples, len(examples)))
	return b.cut(examples, (len(examples)+fewest-1)/max(1, fewest))
}

// cut makes passes of at most so many examples.
func (b bounds) cut(examples []schema.Example, most int) (passes [][]schema.Example) {
	for len(examples) > 0 {
		n, kept := 0, int64(0)
		for rows := (model.Rows{}); n < min(most, len(examples)); n++ {
			x := &examples[n]
			rows.Add(tokens(x))
			kept += b.example + b.token*int64(x.Query+1)
			if n > 0 && (int64(rows.N)*b.row > b.rows || kept > b.kept) {
				break
			}
		}
		passes, examples = append(passes, examples[:n]), examples[n:]
	}
	return passes
}

// tokens gives the numbers of the tokens that an example's scores depend on: up to its query position.
func tokens(x *schema.Example) []int {
	list := make([]int, x.Query+1)
	for i, t := range x.Tokens[:x.Query+1] {
		list[i] = t.ID
	}
	return list
}
