package model

import (
	"fmt"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// load reads and processes every parameter. The order of the steps is that of TransformerLens'
// HookedTransformer.process_weights_: fold_layer_norm, center_writing_weights, center_unembed, fold_value_biases. A tensor is read
// row by row, widened to float64, and let go: beside what the model keeps, a thread holds one matrix.
func (m *Model[T]) load(c *checkpoint.Checkpoint) error {
	if m.processing == schema.Raw && c.Folded() {
		return fmt.Errorf("checkpoint %s: %w", c.Dir(), ErrFolded)
	}
	var err error
	if m.embedding, err = c.Tensor("wte.weight"); err != nil {
		return err
	}
	d := m.config.DModel
	position, err := wide(c, "wpe.weight")
	if err != nil {
		return err
	}
	if m.processing == schema.Processed {
		centreRows(position, d)
	}
	m.position = blas.NewMatrix(m.config.NCtx, d, rounded[T](position))
	if err := m.unembed.load(c, m.processing); err != nil {
		return err
	}
	m.layers = make([]layer[T], m.config.NLayers)
	tables := []func() error{func() error { return m.unembed.readTable(c) }}
	if !m.oneTable() {
		tables = append(tables, func() error {
			defer m.embedding.Release(0, m.embedding.Len())
			return checkFinite(c, m.embedding)
		})
	}
	faults := make([]error, len(tables)+min(len(m.layers), m.reach+1))
	workers.Do(m.threads, len(faults), func(i int) {
		if i < len(tables) {
			faults[i] = tables[i]()
			return
		}
		l := i - len(tables)
		w := &weights[T]{checkpoint: c, prefix: fmt.Sprintf("h.%d.", l), processing: m.processing, provider: m.provider}
		m.layers[l], faults[i] = w.layer(l > 0 && l == m.reach)
	})
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

// weights reads the parameters of one layer. The first fault stays, and everything after it is empty.
type weights[T blas.Float] struct {
	checkpoint *checkpoint.Checkpoint
	prefix     string
	processing schema.Processing
	provider   blas.Provider
	fault      error
}

// layer reads a layer, or of the last one that a model needs what makes queries, keys and values.
func (w *weights[T]) layer(last bool) (layer[T], error) {
	var l layer[T]
	gain, shift := w.vector("ln_1.weight"), w.vector("ln_1.bias")
	qkvBias := w.vector("attn.c_attn.bias")
	l.qkv = w.reading("attn.c_attn.weight", gain, shift, qkvBias)
	if last {
		l.qkvBias = rounded[T](qkvBias)
		return l, w.fault
	}
	bo := w.vector("attn.c_proj.bias")
	if w.processing == schema.Processed {
		centre(bo)
	}
	var values []float64
	if w.processing == schema.Processed && w.fault == nil {
		// Attention probabilities add up to one, so every position gets all of b_V W_O: it moves to b_O.
		values = qkvBias[2*len(bo):]
	}
	l.wo = w.writing("attn.c_proj.weight", values, bo)
	l.qkvBias, l.bo = rounded[T](qkvBias), rounded[T](bo)

	gain, shift = w.vector("ln_2.weight"), w.vector("ln_2.bias")
	bin, bout := w.vector("mlp.c_fc.bias"), w.vector("mlp.c_proj.bias")
	l.win = w.reading("mlp.c_fc.weight", gain, shift, bin)
	if w.processing == schema.Processed {
		centre(bout)
	}
	l.wout = w.writing("mlp.c_proj.weight", nil, nil)
	l.bin, l.bout = rounded[T](bin), rounded[T](bout)
	return l, w.fault
}

func (w *weights[T]) vector(name string) []float64 {
	if w.fault != nil {
		return nil
	}
	var x []float64
	x, w.fault = wide(w.checkpoint, w.prefix+name)
	return x
}

// matrix opens a weight matrix that is to be read row by row.
func (w *weights[T]) matrix(name string) (v checkpoint.View, ok bool) {
	if w.fault != nil {
		return v, false
	}
	v, w.fault = finite(w.checkpoint, w.prefix+name)
	return v, w.fault == nil
}

// reading gives a map that reads from a LayerNorm [len(gain), len(bias)], with the gain and bias of the latter moved into it:
// b += ln.b W, W <- diag(ln.w) W, and every column of W loses its mean over d_model. The last changes no product with a centred
// vector; it makes W blind to what LayerNorm removes.
func (w *weights[T]) reading(name string, gain, shift, bias []float64) blas.Packed[T] {
	v, ok := w.matrix(name)
	if !ok {
		return blas.Packed[T]{}
	}
	n, stored := len(bias), checkpoint.Values[T](v) // exact
	for j, b := range blas.Combine(stored, shift, n) {
		bias[j] += b
	}
	mean, out := blas.Combine(stored, gain, n), make([]T, len(gain)*n)
	for j := range mean {
		mean[j] /= float64(len(gain))
	}
	for i, g := range gain {
		row := out[i*n:][:n]
		for j, v := range stored[i*n:][:n] {
			row[j] = T(float64(g*float64(v)) - mean[j])
		}
	}
	v.Release(0, v.Len())
	return blas.Pack(w.provider, blas.NewMatrix(len(gain), n, out))
}

// writing gives a map that writes into the stream; processed, every row loses its mean. from, if any, is the bias [rows] of
// what the map reads: what it adds in every position, whatever the row, moves to bias [d_model].
func (w *weights[T]) writing(name string, from, bias []float64) blas.Packed[T] {
	v, ok := w.matrix(name)
	if !ok {
		return blas.Packed[T]{}
	}
	rows, d, stored := v.Shape[0], v.Shape[1], checkpoint.Values[T](v)
	mean := make([]float64, rows)
	if w.processing == schema.Processed {
		mean = blas.Dots(stored, d, [][]float64{ones(d)}).Data
	}
	out := make([]T, v.Len())
	for i := range mean {
		mean[i] /= float64(d)
		row := out[i*d:][:d]
		for j, v := range stored[i*d:][:d] {
			row[j] = T(float64(v) - mean[i])
		}
	}
	if from != nil {
		offset := blas.Dot(from, mean)
		for j, o := range blas.Combine(stored, from, d) {
			bias[j] += o - offset
		}
		clear(from)
	}
	v.Release(0, v.Len())
	return blas.Pack(w.provider, blas.NewMatrix(rows, d, out))
}

func ones(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = 1
	}
	return x
}

// centreRows takes from each row of x [rows, d] its mean.
func centreRows(x []float64, d int) {
	for ; len(x) > 0; x = x[d:] {
		centre(x[:d])
	}
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

// finite gives a parameter all of whose numbers are finite.
func finite(c *checkpoint.Checkpoint, name string) (checkpoint.View, error) {
	v, err := c.Tensor(name)
	if err == nil {
		err = checkFinite(c, v)
	}
	return v, err
}

func checkFinite(c *checkpoint.Checkpoint, v checkpoint.View) error {
	if err := v.CheckFinite(); err != nil {
		return fmt.Errorf("checkpoint %s: %w", c.Dir(), err)
	}
	return nil
}

// wide gives a parameter in float64, as a copy of its own.
func wide(c *checkpoint.Checkpoint, name string) ([]float64, error) {
	v, err := finite(c, name)
	if err != nil {
		return nil, err
	}
	return checkpoint.Values[float64](v), nil
}

func rounded[T blas.Float](x []float64) []T {
	if same, ok := any(x).([]T); ok {
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
