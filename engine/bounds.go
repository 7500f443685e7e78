package engine

import (
	"slices"
	"unsafe"

	"ducklens/engine/model"
	"ducklens/schema"
)

// A pass is bounded by bytes: what its rows take while it runs, and what is kept of its examples. The
// products of a pass reach their full speed at some 500 rows (with 256, a run takes 6 % more processor time),
// while memory keeps growing, so the bounds are what 640 rows and 48 examples of layer 10 of GPT-2 small
// take. A large model needs as many rows to be fast, and may use a share of its weights' size for them. A
// prompt that exceeds the bound is a pass of its own, and its edges are analysed in parts. Each part gets
// what is left of the bound, but at least leastShare of it.
const (
	rowBytes      = 22_000_000
	keptBytes     = 86_000_000
	rowsShare     = 32
	keptShare     = 16
	leastShare    = 0.5
	numbersOfRow  = 3 // vectors of d_model numbers: the stream, its norm, what is written
	keptPositions = 3
)

// bounds says how much memory passes of an engine may take, and what things take.
type bounds struct {
	rows, kept int64 // bytes in total
	row        int64 // bytes of a row
	position   int64 // what a pass keeps of a position
	components int64 // the components of a position, once they are computed
	example    int64 // the result of an example, without attention rows
	key        int64 // the keys of a token
	token      int64 // attention rows per token, and what they consist of if that is asked for
	source     int64 // the result of an example per token that its sources read
	keyed      int64 // what the keys of a position consist of, if that is asked for
	mean       int64 // a mean of keys
	every      bool  // rows are split by bases, which needs the components of all positions
}

// bounds returns what rows and examples take.
func (e *Engine) bounds() bounds {
	s, size := e.spec, e.numberSize()
	weights := e.weightBytes()
	b := bounds{rows: max(rowBytes, weights/rowsShare), kept: max(keptBytes, weights/keptShare)}
	b.row = size * int64(numbersOfRow*s.DModel+(2*s.Heads+2*s.KVHeads)*s.DHead+s.DMLP)
	streams, keys := map[int]bool{e.stop(): true}, map[schema.Head]bool{}
	for _, h := range e.heads {
		streams[h.Layer] = true
		keys[schema.Head{Layer: h.Layer, Index: s.KVHead(h.Index)}] = true
		b.example += e.resultBytes(h)
		b.keyed += e.keyBytes(h)
		b.mean += size * int64(e.layout.Below(h.Layer)+1) * int64(s.DHead)
	}
	sources, values := e.allSources(), map[schema.Head]bool{}
	for _, h := range sources {
		kv := schema.Head{Layer: h.Layer, Index: s.KVHead(h.Index)}
		keys[kv], values[kv] = true, true
	}
	for _, h := range e.heads {
		// Two sides, to key and baseline.
		b.source += int64(len(e.readers[h])) * 2 * 2 * int64(unsafe.Sizeof(float32(0)))
	}
	b.position = size * int64((len(e.heads)+len(sources))*s.DHead)
	if !e.options.AttentionOnly {
		b.position += size * int64(e.stop()*(s.Heads*s.DHead+s.DModel)+len(streams)*s.DModel)
		b.components = size * int64(e.layout.Below(e.stop())*s.DModel)
	}
	b.key = size * int64((len(keys)+len(values))*s.DHead)
	b.token = int64(len(e.heads)) * (2*size + int64(unsafe.Sizeof(schema.Attention{})))
	if keys := e.options.Keys; keys.All {
		tables := int64(1)
		if b.every = keys.QueryBasis != ""; b.every {
			tables += 4
		}
		for _, h := range e.heads {
			b.token += 2 * tables * 4 * int64(e.layout.Below(h.Layer)+1)
		}
	}
	return b
}

// keyBytes returns the size of what the key of a head at one position consists of; see [decompose.Keys].
func (e *Engine) keyBytes(h schema.Head) int64 {
	rows, dHead, split := int64(e.layout.Below(h.Layer)+1), int64(e.spec.DHead), int64(len(e.keyBases))
	numbers := rows * dHead
	for _, b := range e.keyBases {
		numbers += int64(b.Dimension) * (rows + dHead)
	}
	if e.options.Substitutions {
		split += 4
	}
	return e.numberSize()*numbers + 8*dHead*(1+2*split)
}

// given returns what an example with given positions takes in a pass with examples of other prompts.
func (b bounds) given(query int) int64 {
	return keptPositions*(b.position+b.components) + b.example + (b.key+b.token+b.source)*int64(query+1)
}

// share is the part of a pass's examples that is analysed at once.
type share struct {
	bounds
	most, used int64 // bytes
	made       map[model.Place]bool
	queries    map[model.Place]bool
}

// share returns a share of what is left of the bound after what is kept of a pass's sequences.
func (b bounds) share(sequences []sequence) *share {
	s := &share{bounds: b, most: b.kept}
	for i := range sequences {
		s.most -= b.prompt(&sequences[i])
	}
	s.most = max(s.most, int64(leastShare*float64(b.kept)))
	s.clear()
	return s
}

func (s *share) clear() {
	s.used, s.made, s.queries = 0, map[model.Place]bool{}, map[model.Place]bool{}
}

// add adds an example and returns true, unless there are others already and it would exceed the bound.
func (s *share) add(it *item) bool {
	if it.none {
		return true
	}
	x := &it.x
	more := s.example + s.source*int64(x.Query+1)
	if isMean(x.BaselineKind) {
		more += s.mean
	}
	var positions []model.Place
	list := positionsOf(x)
	if s.bounds.every {
		list = list[:0]
		for pos := range x.Query + 1 {
			list = append(list, pos)
		}
	}
	for _, pos := range list {
		if at := (model.Place{Sequence: it.seq, Index: pos}); !s.made[at] && !slices.Contains(positions, at) {
			positions = append(positions, at)
			more += s.components
		}
	}
	query := model.Place{Sequence: it.seq, Index: x.Query}
	if !s.queries[query] {
		more += s.token * int64(x.Query+1)
	}
	if s.used > 0 && s.used+more > s.most {
		return false
	}
	s.used += more
	s.queries[query] = true
	for _, at := range positions {
		s.made[at] = true
	}
	return true
}

// stop returns the layer before which a pass ends.
func (e *Engine) stop() int { return min(e.reach(), e.spec.Layers) }

// resultBytes returns the size of the result of one head on one example.
func (e *Engine) resultBytes(h schema.Head) int64 {
	rows := int64(e.layout.Below(h.Layer) + 1)
	tables, axes := int64(0), int64(0)
	for _, p := range pairs(e.queryBases, e.keyBases) {
		for _, kind := range []schema.BasisKind{e.queryBases[p[0]].Kind, e.keyBases[p[1]].Kind} {
			if kind != schema.Replacement {
				tables++ // those of the side that is split
			}
		}
	}
	for _, b := range slices.Concat(e.queryBases, e.keyBases) {
		if b.factored() {
			axes += int64(b.Dimension)
		}
	}
	bytes := tables * rows * int64(unsafe.Sizeof(schema.Contribution{}))
	if e.options.Rotary {
		bytes += int64(e.spec.RotaryOf(h.Layer).Dims/2+1) * int64(unsafe.Sizeof(schema.Band{}))
	}
	if e.options.Factors || e.options.Pairs {
		bytes += keptPositions * rows * 4 * (int64(e.spec.DHead) + axes)
	}
	if e.options.Pairs {
		bytes += int64(len(pairs(e.queryBases, e.keyBases))) * rows * rows * 2 * int64(
			unsafe.Sizeof([4]float32{}))
	}
	if k := e.options.Nearest; k > 0 {
		vectors := 2*2 + len(e.movers)
		bytes += int64(vectors*(k+2)) * int64(unsafe.Sizeof(schema.NearestToken{}))
	}
	if e.options.Norms {
		bytes += keptPositions * (5*rows + 2*int64(e.options.Gram*e.options.Gram)) * 8
	}
	return bytes
}

// numberSize returns the size in bytes of a number of the forward pass.
func (e *Engine) numberSize() int64 {
	if e.options.Precision == Float64 {
		return 8
	}
	return 4
}

// weightBytes returns the size of the weights of the layers that a run needs.
func (e *Engine) weightBytes() int64 {
	s, reach := e.spec, e.reach()
	bytes := int64(min(reach, s.Layers)) * layerParameters(s)
	if reach < s.Layers {
		// Only those that make queries, keys and values.
		bytes += int64(s.DModel) * int64((s.Heads+2*s.KVHeads)*s.DHead)
	}
	if s.Position {
		bytes += int64(s.NCtx) * int64(s.DModel)
	}
	return bytes * e.numberSize()
}

// layerParameters returns the number of weights of one layer.
func layerParameters(s *model.Spec) int64 {
	d := int64(s.DModel)
	n := d * int64((2*s.Heads+2*s.KVHeads)*s.DHead)
	experts := int64(1)
	if s.Experts != nil {
		experts = int64(s.Experts.Count)
	}
	return n + experts*mlpParameters(s)
}

// mlpParameters returns the number of weights that a position passes through in one MLP or one expert.
func mlpParameters(s *model.Spec) int64 {
	maps := int64(2)
	if s.Gated || s.Experts != nil {
		maps = 3
	}
	return maps * int64(s.DModel) * int64(s.DMLP)
}

// passes splits examples into passes.
func (b bounds) passes(examples []schema.Example, r request) [][]schema.Example {
	fewest := len(b.cut(examples, r, len(examples)))
	return b.cut(examples, r, (len(examples)+fewest-1)/max(1, fewest))
}

// cut makes passes of at most most examples. Examples of one prompt stay together.
func (b bounds) cut(examples []schema.Example, r request, most int) (passes [][]schema.Example) {
	for len(examples) > 0 {
		n, kept := 0, int64(0)
		for rows := (model.Rows{}); n < len(examples); {
			prompt := r.sequence(examples[n:n+together(examples[n:])], n)
			rows.Add(prompt.tokens)
			if kept += b.of(&prompt); n > 0 &&
				(n+len(prompt.asked) > most || int64(rows.N)*b.row > b.rows || kept > b.kept) {
				break
			}
			n += len(prompt.asked)
		}
		passes, examples = append(passes, examples[:n]), examples[n:]
	}
	return passes
}

// prompt returns the size of what is kept of a prompt, whatever is analysed of it.
func (b bounds) prompt(s *sequence) int64 {
	positions := b.position
	if s.keyed {
		positions += b.keyed
	}
	return positions*int64(len(s.positions)) + b.key*int64(len(s.tokens))
}

// of adds to prompt what the prompt's first example takes when it is analysed. Further examples can wait.
func (b bounds) of(s *sequence) int64 {
	kept := b.prompt(s)
	switch {
	case s.measured:
		return kept
	case s.whole:
		for i := range s.asked {
			kept += b.example + b.mean + b.token*int64(s.asked[i].Query+1)
		}
		return kept
	}
	return max(kept, b.given(s.asked[0].Query))
}
