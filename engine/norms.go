package engine

import (
	"fmt"
	"maps"
	"slices"

	"ducklens/engine/decompose"
	"ducklens/engine/model"
	"ducklens/schema"
)

// qkNorm identifies a QK-norm: that of a head's query or key, or that of a layer over all of its heads.
type qkNorm struct {
	layer, head int // head is 0 if all heads share one norm
	side        schema.Side
}

// qkNormOf returns the QK-norm of a target head.
func (e *Engine) qkNormOf(head schema.Head, side schema.Side) qkNorm {
	of := qkNorm{layer: head.Layer, side: side}
	switch {
	case e.spec.QKNorm == model.FullWidth:
	case side == schema.Key:
		of.head = e.spec.KVHead(head.Index)
	default:
		of.head = head.Index
	}
	return of
}

// makeQKMaps makes the maps of all heads that QK-norms look at, if norms are asked for.
func (a *analysis[T]) makeQKMaps() {
	e := a.engine
	if !e.options.Norms || e.spec.QKNorm == model.NoQKNorm {
		return
	}
	a.qkMaps = map[qkNorm]decompose.QKMap[T]{}
	for _, head := range e.heads {
		for _, side := range []schema.Side{schema.Query, schema.Key} {
			of := e.qkNormOf(head, side)
			if _, ok := a.qkMaps[of]; !ok {
				w, bias := a.net.QKNormMap(head, side)
				a.qkMaps[of] = decompose.QKMap[T]{W: w, Bias: bias, Eps: e.spec.QKNormEps}
			}
		}
	}
}

// norms fills in what it takes to recompute the scales of norms.
func (p *pass[T]) norms(x schema.Example, seq int, r *schema.Result) error {
	e := p.engine
	places := map[int]int{x.Query: atQuery, x.Key: atKey, x.Baseline: atBaseline}
	delete(places, schema.NoPosition)
	layers := map[int]bool{}
	for _, head := range e.heads {
		if layers[head.Layer] || e.norm.Kind == decompose.NoNorm {
			continue
		}
		layers[head.Layer] = true
		for _, pos := range slices.Sorted(maps.Keys(places)) {
			at := p.position(x, seq, places[pos], head)
			s := decompose.StreamSquares(e.norm, &at, e.gramBelow(head.Layer))
			r.Norms = append(r.Norms,
				schema.NormSquares{Layer: head.Layer, Pos: pos, Whole: s.Whole, With: s.With,
					Squared: s.Squared, Gram: s.Gram})
		}
	}
	if e.spec.QKNorm == model.NoQKNorm {
		return nil
	}
	for _, head := range e.heads {
		if err := p.qkNorms(x, seq, head, r); err != nil {
			return fmt.Errorf("example %d, head %s: %w", x.Index, head, err)
		}
	}
	return nil
}

// qkNorms fills in what it takes to recompute the scales of a head's QK-norm.
func (p *pass[T]) qkNorms(x schema.Example, seq int, head schema.Head, r *schema.Result) error {
	e := p.engine
	for _, of := range []struct {
		side      schema.Side
		kept, pos int
	}{{schema.Query, atQuery, x.Query}, {schema.Key, atKey, x.Key}, {schema.Key, atBaseline, x.Baseline}} {
		if of.pos == schema.NoPosition || of.kept == atBaseline && of.pos == x.Key {
			continue
		}
		at := p.position(x, seq, of.kept, head)
		s, err := decompose.SquaresOfVectors(e.norm, &at, p.qkMaps[e.qkNormOf(head, of.side)],
			e.gramBelow(head.Layer))
		if err != nil {
			return err
		}
		r.QKNorms = append(r.QKNorms, schema.QKNormSquares{Head: head, Side: of.side, Pos: of.pos,
			Whole: s.Whole, WholeBias: s.WholeBias, Constant: s.Constant,
			With: s.With, WithBias: s.WithBias, Squared: s.Squared, Gram: s.Gram})
	}
	return nil
}

// gramBelow returns the components that write before a layer and whose inner products are asked for.
func (e *Engine) gramBelow(layer int) []int {
	n, _ := slices.BinarySearch(e.gram, e.layout.Below(layer))
	return e.gram[:n]
}
