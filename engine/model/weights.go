package model

import (
	"fmt"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// layer holds one block. The maps that read the stream have the norm before them folded in, in both forms of
// the weights. They act on a vector that has been divided by its scale and, for LayerNorm, centred.
type layer[T blas.Float] struct {
	qkv       blas.Packed[T] // W_Q, W_K, W_V [d_model, (heads + 2 kv_heads) d_head]: in each, head after head
	qkvBias   []T            // b_Q, b_K, b_V, or nil; b_V is 0 when it is folded into b_O
	qGain     []T            // of QK-norm: [d_head], or [heads d_head] over the full width; nil: none
	kGain     []T
	sinks     []T            // [heads], or nil
	wo        blas.Packed[T] // W_O [heads d_head, d_model]
	bo        []T            // b_O [d_model], or nil where the layout has none
	attnGain  []T            // of the norm after attention [d_model], or nil
	mlp       mlp[T]
	mlpGain   []T // of the norm after the MLP [d_model], or nil
	router    blas.Packed[T]
	routeBias []T
	experts   []mlp[T] // nil: there is one MLP
}

// mlp is a feed-forward network. Biases are nil if there are none.
type mlp[T blas.Float] struct {
	gate        blas.Packed[T] // [d_model, d_mlp], of gated MLPs
	in          blas.Packed[T] // [d_model, d_mlp]; for an expert, gate and up together [d_model, 2 d_mlp]
	out         blas.Packed[T] // [d_mlp, d_model]
	gateBias    []T
	inBias      []T
	outBias     []T
	interleaved bool // for an expert: gate and up alternate; otherwise all of gate comes first
}

// The sections of the columns of qkv. In each, the columns of one head follow those of another.
const (
	queries = iota
	keys
	values
)

// sectionHeads returns the number of heads in a section of qkv.
func (s *Spec) sectionHeads(section int) int {
	if section == queries {
		return s.Heads
	}
	return s.KVHeads
}

// column returns where the part of a head begins in a section of qkv. The head after the last gives the end
// of the section.
func (s *Spec) column(section, head int) int {
	switch section {
	case keys:
		head += s.Heads
	case values:
		head += s.Heads + s.KVHeads
	}
	return head * s.DHead
}

// part returns the map of heads [from, to) of a section of qkv, and its bias, or nil.
func (l *layer[T]) part(s *Spec, section, from, to int) (blas.Packed[T], []T) {
	first, end := s.column(section, from), s.column(section, to)
	w := l.qkv.Slice(0, s.DModel, first, end)
	if l.qkvBias == nil {
		return w, nil
	}
	return w, l.qkvBias[first:end]
}

// load reads and processes every parameter. The order of the steps is that of TransformerLens's
// HookedTransformer.process_weights_: fold_layer_norm, center_writing_weights, center_unembed,
// fold_value_biases. A tensor is read row by row, widened and released: in addition to what the model keeps,
// a thread holds one matrix.
func (m *Model[T]) load(c *checkpoint.Checkpoint, sources *Sources) error {
	if m.processing == schema.Raw && sources.Folded {
		return fmt.Errorf("checkpoint %s: %w", c.Path(), ErrFolded)
	}
	if err := m.spec.check(); err != nil {
		return err
	}
	m.makeTurns()
	var buffers spares[[]T]
	newReader := func() *reader[T] {
		return &reader[T]{checkpoint: c, views: map[string]checkpoint.View{}, buffers: &buffers}
	}
	tables, err := m.openTables(newReader(), sources)
	if err != nil {
		return err
	}
	m.layers = make([]layer[T], m.spec.Layers)
	faults := make([]error, len(tables)+min(len(m.layers), m.reach+1))
	workers.Do(m.threads, len(faults), func(i int) {
		if i < len(tables) {
			faults[i] = tables[i]()
			return
		}
		l := i - len(tables)
		w := &weights[T]{reader: newReader(), model: m}
		m.layers[l], faults[i] = w.layer(l, sources.Layer(l))
		w.release()
	})
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

// weights reads and processes the parameters of one layer.
type weights[T blas.Float] struct {
	*reader[T]
	model *Model[T]
}

// layer reads a layer. Of the last layer that the model needs, it reads only what makes queries, keys and
// values.
func (w *weights[T]) layer(number int, src LayerSources) (layer[T], error) {
	var l layer[T]
	s := w.model.spec
	named := func(norm string) string { return fmt.Sprintf("the norm %s in layer %d", norm, number) }
	heads, kv := s.Heads*s.DHead, s.KVHeads*s.DHead
	gain, shift := w.gain(src.Gain, s.DModel, named("before attention")), w.vector(src.Shift, s.DModel)
	var bias []float64
	if src.QBias.Stored() || src.KBias.Stored() || src.VBias.Stored() || shift != nil {
		for _, b := range []part{{src.QBias, heads}, {src.KBias, kv}, {src.VBias, kv}} {
			bias = append(bias, w.zeros(b.Source, b.outputs)...)
		}
	}
	l.qkv = w.reading(gain, shift, bias, part{src.Q, heads}, part{src.K, kv}, part{src.V, kv})
	if s.QKNorm != NoQKNorm {
		q, k := s.DHead, s.DHead
		if s.QKNorm == FullWidth {
			q, k = heads, kv
		}
		l.qGain, l.kGain = rounded[T](w.gain(src.QGain, q, named("of queries"))), rounded[T](w.gain(src.KGain,
			k, named("of keys")))
	}
	if s.Sinks {
		l.sinks = rounded[T](w.vector(src.Sink, s.Heads))
	}
	if number > 0 && number == w.model.reach {
		l.qkvBias = rounded[T](bias)
		return l, w.fault
	}

	var bo, valueBias []float64
	if w.model.layout.AttnBias {
		bo = w.zeros(src.OBias, s.DModel)
		w.centre(bo)
	}
	if bias != nil && w.model.processing == schema.Processed && !s.Sinks && w.fault == nil {
		// Attention probabilities add up to one, so every position gets all of b_V W_O, of every head: it
		// moves to b_O.
		valueBias = s.perHead(bias[heads+kv:])
		clear(bias[heads+kv:])
	}
	if valueBias != nil && bo == nil {
		w.fault = fmt.Errorf(
			"layer has value biases (tensor %q), want none because the specification of %s says so",
			src.VBias.Tensor, s.Family)
	}
	l.wo = w.writing(valueBias, bo, heads, src.O)
	l.qkvBias, l.bo = rounded[T](bias), rounded[T](bo)
	l.attnGain = rounded[T](w.gain(src.PostAttnGain, s.DModel, named("after attention")))
	l.mlpGain = rounded[T](w.gain(src.PostMLPGain, s.DModel, named("after the MLP")))
	n := normed{gain, shift}
	if !s.SharedNorm {
		n = normed{w.gain(src.MLPGain, s.DModel, named("before the MLP")), w.vector(src.MLPShift, s.DModel)}
	}
	w.mlps(&l, src, n)
	return l, w.fault
}

// perHead returns, for every query head, a copy of what its key-value head has.
func (s *Spec) perHead(x []float64) []float64 {
	list := make([]float64, 0, s.Heads*s.DHead)
	for h := range s.Heads {
		kv := s.KVHead(h) * s.DHead
		list = append(list, x[kv:kv+s.DHead]...)
	}
	return list
}

// mlps reads the MLP of a layer, or its experts. n is the norm in front of it.
func (w *weights[T]) mlps(l *layer[T], src LayerSources, n normed) {
	s := w.model.spec
	if s.Experts == nil {
		if s.Gated {
			l.mlp.gate, l.mlp.gateBias = w.hidden(n, src.GateBias, part{src.Gate, s.DMLP})
		}
		l.mlp.in, l.mlp.inBias = w.hidden(n, src.InBias, part{src.In, s.DMLP})
		l.mlp.out, l.mlp.outBias = w.output(src.Out, src.OutBias)
		return
	}
	l.router, l.routeBias = w.hidden(n, src.RouterBias, part{src.Router, s.Experts.Count})
	for i := range s.Experts.Count {
		x, e := src.Experts(i), mlp[T]{}
		if e.interleaved = !x.Gate.Stored(); e.interleaved {
			e.in, e.inBias = w.hidden(n, x.InBias, part{x.In, 2 * s.DMLP})
		} else {
			e.in, e.inBias = w.gateAndUp(n, x)
		}
		e.out, e.outBias = w.output(x.Out, x.OutBias)
		l.experts = append(l.experts, e)
	}
}

// normed is what a norm passes on to the maps that read it: its gain and its shift, or nil.
type normed struct{ gain, shift []float64 }

// hidden reads a map from the stream to neurons, and its bias, or nil.
func (w *weights[T]) hidden(n normed, bias Source, p part) (blas.Packed[T], []T) {
	b := w.vector(bias, p.outputs)
	if b == nil && n.shift != nil {
		b = make([]float64, p.outputs)
	}
	return w.reading(n.gain, n.shift, b, p), rounded[T](b)
}

// gateAndUp reads gate and up of an expert side by side.
func (w *weights[T]) gateAndUp(n normed, x ExpertSources) (blas.Packed[T], []T) {
	m := w.model.spec.DMLP
	var b []float64
	if x.GateBias.Stored() || x.InBias.Stored() || n.shift != nil {
		b = append(w.zeros(x.GateBias, m), w.zeros(x.InBias, m)...)
	}
	return w.reading(n.gain, n.shift, b, part{x.Gate, m}, part{x.In, m}), rounded[T](b)
}

// output reads a map from neurons to the stream, and its bias, or nil.
func (w *weights[T]) output(out, bias Source) (blas.Packed[T], []T) {
	b := w.vector(bias, w.model.spec.DModel)
	if b != nil {
		w.centre(b)
	}
	return w.writing(nil, nil, w.model.spec.DMLP, out), rounded[T](b)
}

// centre subtracts the mean from what is written into the stream, if the form of the weights asks for it.
func (w *weights[T]) centre(x []float64) {
	if w.model.centres() {
		centre(x)
	}
}

// reading returns a map that reads the stream through a norm [d_model, outputs], with the norm's gain and
// shift (nil: ones, zeros) folded into it: b += shift W, W <- diag(gain) W. For LayerNorm the mean over
// d_model of every output of W is subtracted. That changes no product with a centred vector; it makes W
// ignore what LayerNorm removes.
func (w *weights[T]) reading(gain, shift, bias []float64, parts ...part) blas.Packed[T] {
	s := w.model.spec
	d := s.DModel
	stored, buffer := w.matrix(d, parts...)
	defer w.buffers.put(buffer)
	if w.fault != nil {
		return blas.Packed[T]{}
	}
	if shift != nil {
		for j, b := range combine(stored, shift) {
			bias[j] += b
		}
	}
	if gain == nil {
		gain = ones(d)
	}
	mean := make([]float64, stored.Cols)
	if s.PreNorm && s.Norm.Centre {
		mean = combine(stored, gain)
		for j := range mean {
			mean[j] /= float64(d)
		}
	}
	out := w.target(stored, buffer)
	if stored.Trans {
		for j := range mean {
			from, to := stored.T().Row(j), out.T().Row(j)
			for i, g := range gain {
				to[i] = T(float64(g*float64(from[i])) - mean[j])
			}
		}
		return blas.Pack(w.model.provider, out)
	}
	for i, g := range gain {
		to := out.Row(i)
		for j, v := range stored.Row(i) {
			to[j] = T(float64(g*float64(v)) - mean[j])
		}
	}
	return blas.Pack(w.model.provider, out)
}

// writing returns a map that writes into the stream [rows, d_model]. If the weights are centred, the mean of
// every row is subtracted. from, if any, is the bias [rows] of what the map reads; what it adds at every
// position moves to bias [d_model].
func (w *weights[T]) writing(from, bias []float64, rows int, src Source) blas.Packed[T] {
	d := w.model.spec.DModel
	stored, buffer := w.matrix(rows, part{src, d})
	defer w.buffers.put(buffer)
	if w.fault != nil {
		return blas.Packed[T]{}
	}
	mean := make([]float64, rows)
	if w.model.centres() {
		mean = combine(stored.T(), ones(d))
		for i := range mean {
			mean[i] /= float64(d)
		}
	}
	if from != nil {
		offset := blas.Dot(from, mean)
		for j, o := range combine(stored, from) {
			bias[j] += o - offset
		}
	}
	out := w.target(stored, buffer)
	if stored.Trans {
		for j := range d {
			from, to := stored.T().Row(j), out.T().Row(j)
			for i, v := range from {
				to[i] = T(float64(v) - mean[i])
			}
		}
		return blas.Pack(w.model.provider, out)
	}
	for i := range mean {
		to := out.Row(i)
		for j, v := range stored.Row(i) {
			to[j] = T(float64(v) - mean[i])
		}
	}
	return blas.Pack(w.model.provider, out)
}

// target returns a matrix like m that may be written to: in buffer if packing copies it from there, or else
// in its own memory.
func (w *weights[T]) target(m blas.Matrix[T], buffer []T) blas.Matrix[T] {
	if m.Trans {
		return blas.NewMatrix(m.Cols, m.Rows, buffer).T()
	}
	if !blas.Packs[T](w.model.provider) {
		buffer = make([]T, m.Rows*m.Cols)
	}
	return blas.NewMatrix(m.Rows, m.Cols, buffer)
}

// combine returns x^T m [cols] of a matrix without gaps, with sums in float64.
func combine[T blas.Float](m blas.Matrix[T], x []float64) []float64 {
	data := m.Data[:m.Rows*m.Cols]
	if m.Trans {
		return blas.Dots(data, m.Rows, [][]float64{x}).Data
	}
	return blas.Combine(data, x, m.Cols)
}

func ones(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = 1
	}
	return x
}

func centre(x []float64) {
	mean := 0.0
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for i := range x {
		x[i] -= mean
	}
}

// rounded returns x as T; nil stays nil.
func rounded[T blas.Float](x []float64) []T {
	if same, ok := any(x).([]T); ok || x == nil {
		return same
	}
	y := make([]T, len(x))
	round(y, x)
	return y
}

func round[T blas.Float](dst []T, x []float64) {
	for i, v := range x {
		dst[i] = T(v)
	}
}
