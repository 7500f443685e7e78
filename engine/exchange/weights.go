package exchange

import (
	"fmt"

	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
	"ducklens/schema"
)

// Names of tensors of the weights. Those of a head stand behind its label, those of a layer behind L and its
// number.
const (
	wQ, wK         = "/W_Q", "/W_K"
	bQ, bK         = "/b_Q", "/b_K"
	normGain       = "/norm_gain"
	normShift      = "/norm_shift"
	qGain, kGain   = "/q_gain", "/k_gain"
	sinkLogit      = "/sink"
	unembedTokens  = "unembed/tokens"
	unembedRows    = "unembed/rows"
	maxUnembedRows = 1 << 22
)

func layerName(layer int) string { return fmt.Sprintf("L%d", layer) }

// maps lists the names of the tensors of a head's or of a layer's maps, with the number of their outputs.
type maps struct {
	at   string // a head's label, or that of its layer
	q, k int    // outputs
}

func (f *Folder) head(h schema.Head) maps { return maps{h.TLName(), f.Spec.DHead, f.Spec.DHead} }

// layer are the maps of all heads together.
func (f *Folder) layer(layer int) maps {
	return maps{layerName(layer), f.Spec.Heads * f.Spec.DHead, f.Spec.KVHeads * f.Spec.DHead}
}

// checkWeights looks at all that the description calls for.
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
	return f.readUnembed()
}

// HasLayer tells whether there are maps of all heads of a layer, which a norm of all of them together needs.
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
		for _, at := range p.positions()[1:] {
			if _, ok := f.unembed[p.Tokens[at].ID]; !ok {
				return fmt.Errorf("%s does not have token %d, of the key or the baseline of prompt %d, want all of them or no %[1]s at all", unembedTokens, p.Tokens[at].ID, i)
			}
		}
	}
	return nil
}

// Unembeds tells whether there are rows of W_U: those of all tokens at a key or a baseline, and perhaps more.
func (f *Folder) Unembeds() bool { return f.unembed != nil }

// Float is what numbers are read as.
type Float interface{ float32 | float64 }

// Unembed is the row of W_U of a token [d_model], nil where the folder has none.
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
// folded in: q = W_Q^T n(x)/sigma + b_Q, where n takes the mean away for LayerNorm.
type Maps[T Float] struct {
	WQ, WK       []T // [d_model, outputs]
	BQ, BK       []T // [outputs]; zeros where the folder has none
	QGain, KGain []T // of QK-norm [d_head], or nil; of a head alone
}

// HeadMaps gives the maps of a target head.
func HeadMaps[T Float](f *Folder, h schema.Head) Maps[T] {
	m := foldedMaps[T](f, f.head(h), h.Layer)
	if f.Spec.QKNorm != model.NoQKNorm {
		m.QGain, m.KGain = optional[T](f, h.TLName()+qGain), optional[T](f, h.TLName()+kGain)
		if (m.QGain == nil) != (m.KGain == nil) { // one of both is as good as ones
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

// LayerMaps gives the maps of all heads of a layer of a target head; ok is false where the folder has none.
func LayerMaps[T Float](f *Folder, layer int) (m Maps[T], ok bool) {
	if !f.HasLayer(layer) {
		return m, false
	}
	return foldedMaps[T](f, f.layer(layer), layer), true
}

// Sink is the logit of the sink of a target head.
func (f *Folder) Sink(h schema.Head) float64 {
	return checkpoint.Values[float64](f.weights.View(h.TLName() + sinkLogit))[0]
}

// foldedMaps multiplies the norm's gain into the maps, and adds to the biases what its shift makes.
func foldedMaps[T Float](f *Folder, m maps, layer int) Maps[T] {
	gain, shift := optional[float64](f, layerName(layer)+normGain), optional[float64](f, layerName(layer)+normShift)
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

// optional gives the numbers of a tensor of the weights, nil where there is none.
func optional[T Float](f *Folder, name string) []T {
	if !f.weights.Has(name) {
		return nil
	}
	return checkpoint.Values[T](f.weights.View(name))
}
