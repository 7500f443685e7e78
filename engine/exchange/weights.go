package exchange

import (
	"fmt"

	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
	"ducklens/schema"
)

// Names of tensors of the weights. A head's name comes after its label, a layer's after L and the layer's
// number.
const (
	wQ, wK         = "/W_Q", "/W_K"
	bQ, bK         = "/b_Q", "/b_K"
	normGain       = "/norm_gain"
	normShift      = "/norm_shift"
	qGain, kGain   = "/q_gain", "/k_gain"
	sinkLogit      = "/sink"
	wO, bO         = "/W_O", "/b_O"
	postGain       = "/post_gain"
	unembedTokens  = "unembed/tokens"
	unembedRows    = "unembed/rows"
	maxUnembedRows = 1 << 22
)

func layerName(layer int) string { return fmt.Sprintf("L%d", layer) }

// maps lists the names of the tensors of a head's or a layer's maps, and the number of their outputs.
type maps struct {
	at   string // the head's label, or the layer's name
	q, k int    // outputs
}

func (f *Folder) head(h schema.Head) maps { return maps{h.TLName(), f.Spec.DHead, f.Spec.DHead} }

// layer returns the maps of all heads of a layer together.
func (f *Folder) layer(layer int) maps {
	return maps{layerName(layer), f.Spec.Heads * f.Spec.DHead, f.Spec.KVHeads * f.Spec.DHead}
}

// checkWeights checks everything that the description calls for.
func (f *Folder) checkWeights() error {
	s := f.Spec
	for _, l := range f.layers {
		for _, name := range []string{normGain, normShift} {
			if err := f.optional(layerName(l)+name, s.DModel); err != nil {
				return err
			}
		}
		if f.HasLayer(l) {
			if err := f.checkMaps(f.layer(l)); err != nil {
				return err
			}
		}
	}
	for _, h := range f.Heads {
		if err := f.checkMaps(f.head(h)); err != nil {
			return err
		}
		if s.Sinks {
			if _, err := f.weights.Tensor(h.TLName()+sinkLogit, f.dtype(), 1); err != nil {
				return err
			}
		}
		if s.QKNorm == model.NoQKNorm {
			continue
		}
		for _, name := range []string{qGain, kGain} {
			if err := f.optional(h.TLName()+name, s.DHead); err != nil {
				return err
			}
		}
	}
	if err := f.checkWriters(); err != nil {
		return err
	}
	return f.readUnembed()
}

// checkWriters checks what is needed to compute the components without vectors.
func (f *Folder) checkWriters() error {
	if f.Run.Form != Parts {
		return nil
	}
	seen := map[string]bool{}
	want := func(name string, dtype checkpoint.DType, shape ...int) error {
		if seen[name] {
			return nil
		}
		seen[name] = true
		_, err := f.weights.Tensor(name, dtype, shape...)
		return err
	}
	s := f.Spec
	for _, c := range f.Layout.Components()[:f.writers()] {
		at := layerName(c.Layer)
		var err error
		switch c.Kind {
		case schema.HeadOut:
			dtype := f.dtype()
			if own := f.weights.View(at + wO).DType; own == checkpoint.BF16 || own == checkpoint.F16 {
				dtype = own
			}
			err = want(at+wO, dtype, s.Heads, s.DHead, s.DModel)
		case schema.AttnBias:
			err = want(at+bO, f.dtype(), s.DModel)
		default:
			continue
		}
		if err == nil && s.PostNorm {
			err = f.optional(at+postGain, s.DModel)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// HasLayer reports whether there are maps of all heads of a layer, which a norm over all of them needs.
func (f *Folder) HasLayer(layer int) bool {
	return f.Spec.QKNorm == model.FullWidth && f.weights.Has(layerName(layer)+wQ)
}

func (f *Folder) checkMaps(m maps) error {
	for _, w := range []struct {
		name    string
		outputs int
	}{{wQ, m.q}, {wK, m.k}} {
		if _, err := f.weights.Tensor(m.at+w.name, f.dtype(), f.Spec.DModel, w.outputs); err != nil {
			return err
		}
	}
	for _, b := range []struct {
		name    string
		outputs int
	}{{bQ, m.q}, {bK, m.k}} {
		if err := f.optional(m.at+b.name, b.outputs); err != nil {
			return err
		}
	}
	return nil
}

func (f *Folder) optional(name string, shape ...int) error {
	if !f.weights.Has(name) {
		return nil
	}
	_, err := f.weights.Tensor(name, f.dtype(), shape...)
	return err
}

// readUnembed reads which tokens have a row of W_U.
func (f *Folder) readUnembed() error {
	if !f.weights.Has(unembedTokens) {
		return nil
	}
	shape := f.weights.Shape(unembedTokens)
	if len(shape) != 1 || shape[0] > maxUnembedRows {
		return fmt.Errorf("%s has shape %v, want [tokens], at most %d", unembedTokens, shape, maxUnembedRows)
	}
	if _, err := f.weights.Tensor(unembedRows, f.dtype(), shape[0], f.Spec.DModel); err != nil {
		return err
	}
	tokens, err := f.weights.Integers(unembedTokens, shape[0])
	if err != nil {
		return err
	}
	f.unembed = map[int]int{}
	for i, id := range tokens {
		if id < 0 || id >= int64(f.Spec.DVocab) {
			return fmt.Errorf("%s has token %d, want 0 to %d", unembedTokens, id, f.Spec.DVocab-1)
		}
		f.unembed[int(id)] = i
	}
	for i := range f.Prompts {
		p := &f.Prompts[i]
		for _, at := range p.keys() {
			if _, ok := f.unembed[p.Tokens[at].ID]; !ok {
				return fmt.Errorf(
					"%s does not have token %d, of a key or a baseline of prompt %d, "+
						"want all of them or no %[1]s at all", unembedTokens, p.Tokens[at].ID, i)
			}
		}
	}
	return nil
}

// keys returns the positions that may be a key or a baseline.
func (p *Prompt) keys() []int {
	if p.Whole {
		return p.positions
	}
	var list []int
	for _, e := range p.Edges {
		if list = append(list, e.Key); e.Baseline != schema.NoPosition {
			list = append(list, e.Baseline)
		}
	}
	return list
}

// Unembeds reports whether there are rows of W_U: those of all tokens at a key or a baseline, and perhaps
// more.
func (f *Folder) Unembeds() bool { return f.unembed != nil }

// Float is the type as which numbers are read.
type Float interface{ float32 | float64 }

// Unembed returns the row of W_U of a token [d_model], or nil if the folder has none.
func Unembed[T Float](f *Folder, token int) []T {
	row, ok := f.unembed[token]
	if !ok {
		return nil
	}
	out := make([]T, f.Spec.DModel)
	checkpoint.Copy(out, f.weights.View(unembedRows), row*len(out))
	return out
}

// Maps are the query and the key map of a head, or of all heads of a layer, with the norm before attention
// folded in: q = W_Q^T n(x)/sigma + b_Q, where n subtracts the mean for LayerNorm.
type Maps[T Float] struct {
	WQ, WK       []T // [d_model, outputs]
	BQ, BK       []T // [outputs]; zeros if the folder has none
	QGain, KGain []T // of QK-norm [d_head], or nil; only for a single head
}

// HeadMaps returns the maps of a target head.
func HeadMaps[T Float](f *Folder, h schema.Head) Maps[T] {
	m := foldedMaps[T](f, f.head(h), h.Layer)
	if f.Spec.QKNorm != model.NoQKNorm {
		m.QGain, m.KGain = optional[T](f, h.TLName()+qGain), optional[T](f, h.TLName()+kGain)
		if (m.QGain == nil) != (m.KGain == nil) { // a missing one is all ones
			ones := make([]T, f.Spec.DHead)
			for i := range ones {
				ones[i] = 1
			}
			if m.QGain == nil {
				m.QGain = ones
			} else {
				m.KGain = ones
			}
		}
	}
	return m
}

// LayerMaps returns the maps of all heads of a target head's layer; ok is false if the folder has none.
func LayerMaps[T Float](f *Folder, layer int) (m Maps[T], ok bool) {
	if !f.HasLayer(layer) {
		return m, false
	}
	return foldedMaps[T](f, f.layer(layer), layer), true
}

// Sink returns the logit of a target head's sink.
func (f *Folder) Sink(h schema.Head) float64 {
	return checkpoint.Values[float64](f.weights.View(h.TLName() + sinkLogit))[0]
}

// WO returns the matrix by which a head writes its weighted values [d_head, d_model], in a folder of the form
// [Parts].
func WO[T Float](f *Folder, h schema.Head) []T {
	out := make([]T, f.Spec.DHead*f.Spec.DModel)
	checkpoint.Copy(out, f.weights.View(layerName(h.Layer)+wO), h.Index*len(out))
	return out
}

// BO returns the bias of the attention of a layer [d_model], in a folder of the form [Parts].
func BO[T Float](f *Folder, layer int) []T { return optional[T](f, layerName(layer)+bO) }

// PostGain returns the gain of the norm after the attention of a layer [d_model], or nil if it is 1, in a
// folder of the form [Parts].
func PostGain[T Float](f *Folder, layer int) []T { return optional[T](f, layerName(layer)+postGain) }

// foldedMaps multiplies the maps by the norm's gain, and adds the effect of its shift to the biases.
func foldedMaps[T Float](f *Folder, m maps, layer int) Maps[T] {
	gain, shift := optional[float64](f, layerName(layer)+normGain), optional[float64](f,
		layerName(layer)+normShift)
	fold := func(w, b string, outputs int) ([]T, []T) {
		weights, bias := checkpoint.Values[float64](f.weights.View(m.at+w)), optional[float64](f, m.at+b)
		matrix, sum := make([]T, len(weights)), make([]float64, outputs)
		copy(sum, bias)
		for i := range f.Spec.DModel {
			for j := range outputs {
				v := weights[i*outputs+j]
				if shift != nil {
					sum[j] += shift[i] * v
				}
				if gain != nil {
					v *= gain[i]
				}
				matrix[i*outputs+j] = T(v)
			}
		}
		out := make([]T, outputs)
		for j, v := range sum {
			out[j] = T(v)
		}
		return matrix, out
	}
	var out Maps[T]
	out.WQ, out.BQ = fold(wQ, bQ, m.q)
	out.WK, out.BK = fold(wK, bK, m.k)
	return out
}

// optional returns the numbers of a tensor of the weights, or nil if there is none.
func optional[T Float](f *Folder, name string) []T {
	if !f.weights.Has(name) {
		return nil
	}
	return checkpoint.Values[T](f.weights.View(name))
}
