package gpt2

import (
	"fmt"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// load reads and processes every parameter. The order of the steps is that of TransformerLens'
// HookedTransformer.process_weights_: fold_layer_norm, center_writing_weights, center_unembed, fold_value_biases.
func (m *Model[T]) load(c *checkpoint.Checkpoint) error {
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
	faults := make([]error, len(m.layers))
	workers.Do(m.threads, len(m.layers), func(l int) { m.layers[l], faults[l] = loadLayer[T](c, l, m.processing, m.provider) })
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

func loadLayer[T blas.Float](c *checkpoint.Checkpoint, index int, processing schema.Processing, p blas.Provider) (layer[T], error) {
	d, dmlp := c.Config().DModel, c.Config().DMLP
	var fault error
	get := func(name string) []float64 {
		if fault != nil {
			return nil
		}
		var x []float64
		x, fault = wide(c, fmt.Sprintf("h.%d.%s", index, name))
		return x
	}
	gain, shift := get("ln_1.weight"), get("ln_1.bias")
	qkv, qkvBias := get("attn.c_attn.weight"), get("attn.c_attn.bias")
	wo, bo := get("attn.c_proj.weight"), get("attn.c_proj.bias")
	if fault != nil {
		return layer[T]{}, fault
	}
	foldLayerNorm(qkv, qkvBias, gain, shift)
	if processing == schema.Processed {
		centreRows(wo, d)
		centre(bo)
		foldValueBias(qkvBias[2*d:], wo, bo)
	}
	pack := func(rows, cols int, x []float64) blas.Packed[T] {
		return blas.Pack(p, blas.NewMatrix(rows, cols, rounded[T](x)))
	}
	l := layer[T]{qkv: pack(d, 3*d, qkv), qkvBias: rounded[T](qkvBias), wo: pack(d, d, wo), bo: rounded[T](bo)}

	gain, shift = get("ln_2.weight"), get("ln_2.bias")
	win, bin := get("mlp.c_fc.weight"), get("mlp.c_fc.bias")
	wout, bout := get("mlp.c_proj.weight"), get("mlp.c_proj.bias")
	if fault != nil {
		return layer[T]{}, fault
	}
	foldLayerNorm(win, bin, gain, shift)
	if processing == schema.Processed {
		centreRows(wout, d)
		centre(bout)
	}
	l.win, l.bin = pack(d, dmlp, win), rounded[T](bin)
	l.wout, l.bout = pack(dmlp, d, wout), rounded[T](bout)
	return l, nil
}

// foldLayerNorm moves gain and bias of a LayerNorm into the map w [len(gain), len(bias)] that reads from it:
// b += ln.b W, W <- diag(ln.w) W, and every column of W loses its mean over d_model. The last changes no product
// with a centred vector; it makes W blind to what LayerNorm removes.
func foldLayerNorm(w, bias, gain, shift []float64) {
	n := len(bias)
	mean := make([]float64, n)
	for i := range gain {
		row := w[i*n : (i+1)*n]
		for j, v := range row {
			bias[j] += shift[i] * v
			row[j] = gain[i] * v
			mean[j] += row[j]
		}
	}
	for j := range mean {
		mean[j] /= float64(len(gain))
	}
	for i := range gain {
		row := w[i*n : (i+1)*n]
		for j := range row {
			row[j] -= mean[j]
		}
	}
}

// foldValueBias moves b_V through W_O: b_O += sum_h b_V,h W_O,h, b_V = 0. Attention probabilities add up to
// one, so every position gets all of it.
func foldValueBias(bv, wo, bo []float64) {
	d := len(bo)
	for i, v := range bv {
		for j, o := range wo[i*d : (i+1)*d] {
			bo[j] += v * o
		}
		bv[i] = 0
	}
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

// wide gives a parameter in float64, as a copy of its own.
func wide(c *checkpoint.Checkpoint, name string) ([]float64, error) {
	v, err := c.Tensor(name)
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
