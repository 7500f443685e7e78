package exchange

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"ducklens/engine/model"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// Format and Version identify run.json.
const (
	Format  = "ducklens activations"
	Version = 2
)

// Forms in which a folder has what components wrote.
const (
	Vectors = "vectors" // whole: a vector of d_model numbers for each component
	Parts   = "parts"   // weighted values of heads, whose W_O is in the weights; vectors of others
)

// Run is run.json. docs/activations.md describes its parts.
type Run struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Writer  string `json:"writer,omitempty"` // the program that made the folder, for people

	Model      Model       `json:"model"`
	Norm       Norm        `json:"norm"`
	PostNorm   bool        `json:"post_norm,omitempty"`
	Attention  Attention   `json:"attention"`
	QKBias     bool        `json:"qk_bias,omitempty"`
	Processing string      `json:"processing"`
	Precision  string      `json:"precision"`
	Form       string      `json:"form,omitempty"` // [Vectors], the default, or [Parts]
	BOS        bool        `json:"bos"`
	Components []Component `json:"components"`
	Heads      []string    `json:"heads"`

	Prompts File    `json:"prompts"`
	Weights File    `json:"weights"`
	Shards  []Shard `json:"shards"`
}

// Model describes the model that was run, like [schema.Model].
type Model struct {
	Name       string `json:"name"`
	Family     string `json:"family"`
	SHA256     string `json:"sha256"`
	ConfigSHA  string `json:"config_sha256"`
	Layers     int    `json:"n_layers"`
	Heads      int    `json:"n_heads"`
	KVHeads    int    `json:"n_kv_heads"`
	DModel     int    `json:"d_model"`
	DHead      int    `json:"d_head"`
	DMLP       int    `json:"d_mlp"`
	DVocab     int    `json:"d_vocab"`
	NCtx       int    `json:"n_ctx"`
	Activation string `json:"activation"`
}

// Norm is the norm before attention: LN, RMS or none.
type Norm struct {
	Kind string  `json:"kind"`
	Eps  float64 `json:"eps"`
}

// Attention says how scores are computed from q and k.
type Attention struct {
	Scale       float64 `json:"scale"` // scores are q . k divided by it
	ByLayer     bool    `json:"scale_by_layer,omitempty"`
	SoftCap     float64 `json:"soft_cap,omitempty"`
	Windows     []int   `json:"windows,omitempty"`
	Sinks       bool    `json:"sinks,omitempty"`
	QKNorm      string  `json:"qk_norm,omitempty"` // per_head or full_width
	QKNormEps   float64 `json:"qk_norm_eps,omitempty"`
	RotaryDims  []int   `json:"rotary_dims,omitempty"`
	RotaryPairs bool    `json:"rotary_pairs,omitempty"`
}

// Component is something that writes into the stream.
type Component struct {
	Kind   string `json:"kind"`
	Layer  *int   `json:"layer,omitempty"`
	Head   *int   `json:"head,omitempty"`
	Label  string `json:"label,omitempty"`
	Source string `json:"source,omitempty"`
}

// File names a file in the folder.
type File struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// Shard is a file with the activations of some prompts, which follow those of the shard before it.
type Shard struct {
	File
	Prompts int `json:"prompts"`
}

// Limits on run.json. Real models are far below them.
const (
	maxLayers     = 1 << 12
	maxHeads      = 1 << 12
	maxWidth      = 1 << 17
	maxVocabulary = 1 << 30
	maxComponents = 1 << 17
	maxShards     = 1 << 16
	maxPrompts    = 1 << 24
	maxText       = 1 << 10 // bytes of a name
)

// Words of run.json, by the number of what they mean.
var (
	qkNorms     = []string{"", "per_head", "full_width"}
	normKinds   = []string{"LN", "RMS", "none"}
	precisions  = []string{"float32", "float64"}
	forms       = []string{Vectors, Parts, ""}
	processings = []string{schema.Processed.String(), schema.Raw.String()}
)

// check returns the first fault of a description.
func (r *Run) check() error {
	m, a := &r.Model, &r.Attention
	for _, size := range []struct {
		name       string
		value, max int
	}{
		{"n_layers", m.Layers, maxLayers}, {"n_heads", m.Heads, maxHeads},
		{"n_kv_heads", m.KVHeads, maxHeads},
		{"d_model", m.DModel, maxWidth}, {"d_head", m.DHead, maxWidth}, {"d_mlp", m.DMLP, maxVocabulary},
		{"d_vocab", m.DVocab, maxVocabulary}, {"n_ctx", m.NCtx, maxVocabulary},
	} {
		if size.value < 1 || size.value > size.max {
			return fmt.Errorf("model.%s is %d, want 1 to %d", size.name, size.value, size.max)
		}
	}
	if m.Heads%m.KVHeads != 0 {
		return fmt.Errorf("model.n_heads is %d, want a multiple of n_kv_heads, %d", m.Heads, m.KVHeads)
	}
	if m.DModel < 2 {
		return fmt.Errorf("model.d_model is 1, want at least 2 for a norm")
	}
	for _, name := range []struct{ what, text string }{{"name", m.Name}, {"family", m.Family},
		{"activation", m.Activation}} {
		if name.text == "" || len(name.text) > maxText {
			return fmt.Errorf("model.%s has %d bytes, want 1 to %d", name.what, len(name.text), maxText)
		}
	}
	for _, sum := range []struct{ what, text string }{{"model.sha256", m.SHA256},
		{"model.config_sha256", m.ConfigSHA}} {
		if err := checkSum(sum.what, sum.text); err != nil {
			return err
		}
	}
	for _, word := range []struct {
		what, word string
		of         []string
	}{
		{"norm.kind", r.Norm.Kind, normKinds}, {"attention.qk_norm", a.QKNorm, qkNorms},
		{"processing", r.Processing, processings}, {"precision", r.Precision, precisions},
		{"form", r.Form, forms},
	} {
		if !slices.Contains(word.of, word.word) {
			return fmt.Errorf("%s is %q, want one of %q", word.what, word.word, word.of)
		}
	}
	switch { // JSON has no NaN and no infinity
	case r.Norm.Eps < 0 || a.QKNormEps < 0:
		return fmt.Errorf("epsilon of a norm is %v or %v, want 0 or more", r.Norm.Eps, a.QKNormEps)
	case !(a.Scale > 0):
		return fmt.Errorf("attention.scale is %v, want a number above 0: scores are divided by it", a.Scale)
	case a.SoftCap < 0:
		return fmt.Errorf("attention.soft_cap is %v, want a number above 0, or 0 for none", a.SoftCap)
	case a.Windows != nil && len(a.Windows) != m.Layers:
		return fmt.Errorf("attention.windows has %d entries, want one for each of %d layers", len(a.Windows),
			m.Layers)
	case a.RotaryDims != nil && len(a.RotaryDims) != m.Layers:
		return fmt.Errorf("attention.rotary_dims has %d entries, want one for each of %d layers",
			len(a.RotaryDims), m.Layers)
	}
	for l, w := range a.Windows {
		if w < 0 || w > maxVocabulary {
			return fmt.Errorf("attention.windows[%d] is %d, want 1 to %d, or 0 for none", l, w, maxVocabulary)
		}
	}
	for l, dims := range a.RotaryDims {
		if dims < 0 || dims > m.DHead || dims%2 != 0 {
			return fmt.Errorf("attention.rotary_dims[%d] is %d, want an even number up to d_head = %d", l,
				dims, m.DHead)
		}
	}
	return r.checkFiles()
}

func (r *Run) checkFiles() error {
	if n := len(r.Shards); n < 1 || n > maxShards {
		return fmt.Errorf("%d shards, want 1 to %d", n, maxShards)
	}
	names, prompts := map[string]bool{}, 0
	for _, f := range append([]File{r.Prompts, r.Weights}, filesOf(r.Shards)...) {
		switch err := checkSum("sha256 of "+f.File, f.SHA256); {
		case !plainName(f.File):
			return fmt.Errorf("file %.100q, want a name without a folder, of letters, digits, dots, _ and -",
				f.File)
		case names[f.File]:
			return fmt.Errorf("file %s is named twice", f.File)
		case err != nil:
			return err
		}
		names[f.File] = true
	}
	for _, s := range r.Shards {
		if s.Prompts < 1 || s.Prompts > maxPrompts {
			return fmt.Errorf("shard %s has %d prompts, want 1 to %d", s.File.File, s.Prompts, maxPrompts)
		}
		if prompts += s.Prompts; prompts > maxPrompts {
			return fmt.Errorf("more than %d prompts", maxPrompts)
		}
	}
	return nil
}

func filesOf(shards []Shard) (list []File) {
	for _, s := range shards {
		list = append(list, s.File)
	}
	return list
}

// plainName reports whether a name is that of a file in the folder itself, on every system.
func plainName(name string) bool {
	other := func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.ContainsRune("._-", c))
	}
	return 0 < len(name) && len(name) <= 200 && name[0] != '.' && name[0] != '-' &&
		!strings.ContainsFunc(name, other) && name != runFile
}

func checkSum(what, text string) error {
	if sum, err := hex.DecodeString(text); err != nil || len(sum) != 32 || strings.ToLower(text) != text {
		return fmt.Errorf("%s is %.80q, want a SHA-256 as 64 hexadecimal digits", what, text)
	}
	return nil
}

// components returns the list of writers.
func (r *Run) components() ([]schema.Component, error) {
	if n := len(r.Components); n < 1 || n > maxComponents {
		return nil, fmt.Errorf("%d components, want 1 to %d", n, maxComponents)
	}
	seen := map[schema.Component]int{}
	list := make([]schema.Component, 0, len(r.Components))
	for i, c := range r.Components {
		kind, err := schema.ParseComponentKind(c.Kind)
		if err != nil {
			return nil, fmt.Errorf("components[%d]: %w", i, err)
		}
		out := schema.Component{Kind: kind, Layer: -1, Head: -1, Name: c.Label, Source: c.Source}
		sparse := kind == schema.Feature || kind == schema.Error
		layered := sparse || kind == schema.HeadOut || kind == schema.AttnBias || kind == schema.MLP
		switch {
		case kind == schema.QBias || kind == schema.KBias:
			return nil,
				fmt.Errorf(
					"components[%d] is %s, want what writes into the stream: "+
						"qk_bias tells that there are biases", i, c.Kind)
		case layered != (c.Layer != nil) || layered && (*c.Layer < 0 || *c.Layer >= r.Model.Layers):
			return nil,
				fmt.Errorf(
					"components[%d] is %s, want a layer from 0 to %d where the kind has one, and else none",
					i, c.Kind, r.Model.Layers-1)
		case (kind == schema.HeadOut) != (c.Head != nil) || c.Head != nil &&
			(*c.Head < 0 || *c.Head >= r.Model.Heads):
			return nil,
				fmt.Errorf(
					"components[%d] is %s, want a head from 0 to %d where the kind is head, and else none", i,
					c.Kind, r.Model.Heads-1)
		case !sparse && (c.Label != "" || c.Source != ""):
			return nil,
				fmt.Errorf(
					"components[%d] is %s with a label or a source, want them of features and errors alone",
					i, c.Kind)
		case sparse && (c.Label == "" || len(c.Label) > maxText || len(c.Source) > maxText):
			return nil,
				fmt.Errorf(
					"components[%d] is %s with a label of %d bytes and a source of %d, "+
						"want 1 to %[5]d and at most %[5]d", i, c.Kind, len(c.Label), len(c.Source), maxText)
		}
		if c.Layer != nil {
			out.Layer = *c.Layer
		}
		if c.Head != nil {
			out.Head = *c.Head
		}
		if at, twice := seen[out]; twice {
			return nil, fmt.Errorf("components[%d] is components[%d] once more", i, at)
		}
		seen[out] = i
		if i > 0 && out.Layer < list[i-1].Layer {
			return nil,
				fmt.Errorf(
					"components[%d] writes in layer %d, after one of layer %d: "+
						"want the order in which they write", i, out.Layer, list[i-1].Layer)
		}
		list = append(list, out)
	}
	return list, nil
}

// layout returns the layout of the components: that of a model, if they are a model's.
func (r *Run) layout(list []schema.Component) schema.Layout {
	has := func(kind schema.ComponentKind) bool {
		return slices.ContainsFunc(list, func(c schema.Component) bool { return c.Kind == kind })
	}
	l := schema.Layout{Layers: r.Model.Layers, Heads: r.Model.Heads, Position: has(schema.PosEmbed),
		AttnBias: has(schema.AttnBias), QKBias: r.QKBias}
	if l.Below(l.Layers) != len(list) || !slices.Equal(l.Components()[:len(list)], list) {
		l.Writers = list
	}
	return l
}

// heads returns the target heads.
func (r *Run) heads() ([]schema.Head, error) {
	if len(r.Heads) < 1 || len(r.Heads) > maxLayers*maxHeads {
		return nil, fmt.Errorf("%d heads, want at least 1", len(r.Heads))
	}
	var list []schema.Head
	seen := map[schema.Head]bool{}
	for i, text := range r.Heads {
		h, err := schema.ParseHead(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("heads[%d]: %w", i, err)
		case h.Layer < 0 || h.Layer >= r.Model.Layers || h.Index < 0 || h.Index >= r.Model.Heads:
			return nil,
				fmt.Errorf("heads[%d] is %s, and the model has %d layers of %d heads", i, h, r.Model.Layers,
					r.Model.Heads)
		case seen[h]:
			return nil, fmt.Errorf("head %s is given twice", h)
		}
		seen[h] = true
		list = append(list, h)
	}
	return list, nil
}

// spec returns how the model computes scores. It lacks what only a forward pass needs.
func (r *Run) spec() *model.Spec {
	m, a := &r.Model, &r.Attention
	s := &model.Spec{
		Family: m.Family, Layers: m.Layers, Heads: m.Heads, KVHeads: m.KVHeads, DModel: m.DModel,
		DHead: m.DHead, DMLP: m.DMLP, DVocab: m.DVocab, NCtx: m.NCtx,
		Norm: model.Norm{Centre: r.Norm.Kind == "LN", Eps: r.Norm.Eps}, PreNorm: r.Norm.Kind != "none",
		PostNorm: r.PostNorm,
		Window:   a.Windows, QKNorm: model.QKNorm(slices.Index(qkNorms, a.QKNorm)), QKNormEps: a.QKNormEps,
		AttnScale: a.Scale, ByLayer: a.ByLayer, SoftCap: a.SoftCap, Sinks: a.Sinks,
	}
	for _, dims := range a.RotaryDims { // angles are stored with each prompt
		s.Rotary = append(s.Rotary, rotary.Rotary{Dims: dims, Pairs: a.RotaryPairs})
	}
	return s
}

// description returns the model as run files describe it.
func (r *Run) description() schema.Model {
	m := &r.Model
	return schema.Model{Name: m.Name, Family: m.Family, SHA256: m.SHA256, ConfigSHA: m.ConfigSHA,
		NLayers: m.Layers, NHeads: m.Heads, NKVHeads: m.KVHeads, DModel: m.DModel, DHead: m.DHead,
		DMLP: m.DMLP, DVocab: m.DVocab, NCtx: m.NCtx,
		Norm: r.Norm.Kind, LNEps: r.Norm.Eps, Activation: m.Activation}
}
