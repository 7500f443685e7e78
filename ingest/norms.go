package ingest

import "ducklens/schema"

// normPlace identifies a norm within a prompt.
type normPlace struct {
	layer, pos int
	head       schema.Head // of QK-norm
	side       schema.Side
	qk         bool
}

// normsDone remembers the norms that are written for a prompt, because several examples may share a position.
type normsDone struct {
	prompt int32
	places map[normPlace]bool
}

// first reports whether a place of a prompt is new. The examples of a prompt must follow each other.
func (d *normsDone) first(prompt int32, place normPlace) bool {
	if d.places == nil || d.prompt != prompt {
		d.prompt, d.places = prompt, map[normPlace]bool{}
	}
	there := d.places[place]
	d.places[place] = true
	return !there
}

// appendNorms appends what is needed to recompute the scales of norms, once for each position of a prompt.
func (w *writer) appendNorms(tables *appenders, r *schema.Result) error {
	run, prompt := w.runID(), promptID(&r.Example)
	for i := range r.Norms {
		n := &r.Norms[i]
		if !w.norms.first(prompt, normPlace{layer: n.Layer, pos: n.Pos}) {
			continue
		}
		layer, pos := int32(n.Layer), int32(n.Pos)
		for c, with := range n.With {
			if err := tables.row(tableNorm, run, prompt, layer, pos, w.componentID(c), n.Whole, with,
				n.Squared[c]); err != nil {
				return err
			}
		}
		if err := w.eachProduct(n.Gram, func(a, b int32, product float64) error {
			return tables.row(tableGram, run, prompt, layer, pos, a, b, product)
		}); err != nil {
			return err
		}
	}
	for i := range r.QKNorms {
		n := &r.QKNorms[i]
		if !w.norms.first(prompt, normPlace{qk: true, head: n.Head, side: n.Side, pos: n.Pos}) {
			continue
		}
		head, side, pos := w.headID(n.Head), n.Side.String(), int32(n.Pos)
		for c, with := range n.With {
			if err := tables.row(tableQKNorm, run, prompt, head, side, pos, w.componentID(c), n.Whole,
				n.WholeBias, n.Constant, with, n.WithBias[c], n.Squared[c]); err != nil {
				return err
			}
		}
		if err := w.eachProduct(n.Gram, func(a, b int32, product float64) error {
			return tables.row(tableQKGram, run, prompt, head, side, pos, a, b, product)
		}); err != nil {
			return err
		}
	}
	return nil
}

// eachProduct calls f once for each pair of different components of a matrix of inner products.
func (w *writer) eachProduct(gram [][]float64, f func(a, b int32, product float64) error) error {
	for i, row := range gram {
		for j := range i {
			if err := f(w.componentID(w.run.Gram[j]), w.componentID(w.run.Gram[i]), row[j]); err != nil {
				return err
			}
		}
	}
	return nil
}
