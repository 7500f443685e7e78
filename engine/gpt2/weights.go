package gpt2

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
	tables := []checkpoint.View{m.embedding}
	if !m.config.Tied {
		tables = append(tables, m.unembed.table)
	}
	faults := make([]error, len(tables)+len(m.layers))
	workers.Do(m.threads, len(faults), func(i int) {
		if i < len(tables) {
			faults[i] = checkFinite(c, tables[i])
			tables[i].Release(0, tables[i].Len())
			return
		}
		l := i - len(tables)
		w := &weights[T]{checkpoint: c, prefix: fmt.Sprintf("h.%d.", l), processing: m.processing, provider: m.provider}
		m.layers[l], faults[i] = w.layer()
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

func (w *weights[T]) layer() (layer[T], error) {
	var l layer[T]
	gain, shift := w.vector("ln_1.weight"), w.vector("ln_1.bias")
	qkvBias := w.vector("attn.c_attn.bias")
	l.qkv = w.reading("attn.c_attn.weight", gain, shift, qkvBias)
	bo := w.vector("attn.c_proj.bias")
	if w.processing == schema.Processed {
		centre(bo)
	}
	l.wo = w.writing("attn.c_proj.weight", func(i int, row []float64) {
		if w.processing == schema.Processed {
			foldValueBias(&qkvBias[2*len(row)+i], row, bo)
		}
	})
	l.qkvBias, l.bo = rounded[T](qkvBias), rounded[T](bo)

	gain, shift = w.vector("ln_2.weight"), w.vector("ln_2.bias")
	bin, bout := w.vector("mlp.c_fc.bias"), w.vector("mlp.c_proj.bias")
	l.win = w.reading("mlp.c_fc.weight", gain, shift, bin)
	if w.processing == schema.Processed {
		centre(bout)
	}
	l.wout = w.writing("mlp.c_proj.weight", func(int, []float64) {})
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
	n := len(bias)
	mean, out := make([]float64, n), make([]T, len(gain)*n)
	checkpoint.Copy(out, v, 0) // exact
	for i := range gain {
		for j, v := range out[i*n : (i+1)*n] {
			bias[j] += float64(shift[i] * float64(v))
			mean[j] += float64(gain[i] * float64(v))
		}
	}
	for j := range mean {
		mean[j] /= float64(len(gain))
	}
	for i := range gain {
		row := out[i*n : (i+1)*n]
		for j, v := range row {
			row[j] = T(float64(gain[i]*float64(v)) - mean[j])
		}
	}
	v.Release(0, v.Len())
	return blas.Pack(w.provider, blas.NewMatrix(len(gain), n, out))
}

// writing gives a map that writes into the stream; processed, every row loses its mean. each sees the rows after that.
func (w *weights[T]) writing(name string, each func(i int, row []float64)) blas.Packed[T] {
	v, ok := w.matrix(name)
	if !ok {
		return blas.Packed[T]{}
	}
	d := v.Shape[1]
	out := make([]T, v.Len())
	row := make([]float64, d)
	for i := range v.Shape[0] {
		checkpoint.Copy(row, v, i*d)
		if w.processing == schema.Processed {
			centre(row)
		}
		each(i, row)
		round(out[i*d:(i+1)*d], row)
	}
	v.Release(0, v.Len())
	return blas.Pack(w.provider, blas.NewMatrix(v.Shape[0], d, out))
}

// foldValueBias moves one number of b_V through its row of W_O: b_O += b_V W_O, b_V = 0. Attention probabilities add up to
// one, so every position gets all of it.
func foldValueBias(bv *float64, row, bo []float64) {
	for j, o := range row {
		bo[j] += *bv * o
	}
	*bv = 0
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
