package family

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/jsonfault"
	"ducklens/engine/model"
	"ducklens/internal/advice"
)

// Family is what is known about a family of models.
type Family struct {
	Name    string   // as people say it
	Types   []string // model_type in config.json
	Models  []string // well-known members
	Refused []string // variants that are not supported, each with the reason

	defaults string // JSON: what the family's configuration class uses for absent keys
	read     func(*keys, *model.Spec)
	names    func(*model.Spec) names
}

// All returns the supported families.
func All() []Family {
	return []Family{gpt2, neox, llama, mistral, qwen2, qwen3, gemma1, gemma2, gemma3, olmo1, olmo2, olmo3,
		smollm3, phi, phi3, gptoss,
		gptj, opt, falcon, lens}
}

// Model is a checkpoint as a decoder.
type Model struct {
	Spec    *model.Spec
	Sources *model.Sources
	Name    string   // of the family
	Class   string   // architectures[0], original_architecture, general.name, or ""
	BOS     int      // bos_token_id, or -1
	EOS     []int    // eos_token_id
	Unread  []string // tensors that are not parameters, and parameters that no run needs
}

// Open reads the configuration of a checkpoint and checks that every tensor that it calls for exists and has
// the right shape and a supported type. It reads no weights, except to compare an unembedding with the
// embedding that it is tied to, and the rotary frequencies of a GGUF.
func Open(c *checkpoint.Checkpoint) (*Model, error) {
	m, err := open(c)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", c.Path(), err)
	}
	return m, nil
}

func open(c *checkpoint.Checkpoint) (*Model, error) {
	if c.Form() == checkpoint.GGUF {
		return openGGUF(c)
	}
	f, m, err := configure(c.Keys())
	if err != nil {
		return nil, err
	}
	n := f.names(m.Spec)
	if c.Form() == checkpoint.TransformerLens {
		if f.Name != gpt2.Name && f.Name != lens.Name {
			return nil, fault(checkpoint.ErrUnsupported,
				"config.json: model_type is %q, want \"gpt2\" or TransformerLens's keys beside model.npz",
				f.Types[0])
		}
		n = lensNames(m.Spec, c)
	}
	return m, m.place(c, n)
}

// configure reads config.json: everything about a model except where its weights are.
func configure(values checkpoint.Keys) (Family, *Model, error) {
	f, values, err := find(values)
	if err != nil {
		return f, nil, err
	}
	k := newKeys(values, f.defaults)
	m := &Model{Spec: &model.Spec{Family: f.Types[0]}, Name: f.Name}
	k.begin(m.Spec)
	f.read(k, m.Spec)
	m.Class, m.BOS, m.EOS = k.class(), k.tokenID("bos_token_id"), k.tokenIDs("eos_token_id")
	return f, m, k.finish(m.Spec)
}

// Tensors returns the names and shapes of the tensors of a Hugging Face checkpoint with this configuration,
// in the order of the layers. Tests use it to make checkpoints.
func Tensors(values checkpoint.Keys) ([]checkpoint.Info, error) {
	f, m, err := configure(values)
	if err != nil {
		return nil, err
	}
	n := f.names(m.Spec)
	w := &wants{c: nothing{untied: !m.Spec.Tied}, n: n, prefix: n.prefixes[0], shapes: map[string][]int{}}
	w.sources(m.Spec)
	var list []checkpoint.Info
	for _, name := range w.order {
		list = append(list, checkpoint.Info{Name: name, Shape: w.shapes[name]})
	}
	return list, nil
}

// nothing stands for a checkpoint that does not exist yet; it says only whether it will have an unembedding.
type nothing struct{ untied bool }

func (n nothing) Has(string) bool                   { return n.untied }
func (nothing) Info(string) (checkpoint.Info, bool) { return checkpoint.Info{}, false }
func (nothing) Names() []string                     { return nil }

// find returns the family of a configuration, and the values that describe the text model.
func find(values checkpoint.Keys) (Family, checkpoint.Keys, error) {
	if _, ok := values["d_model"]; ok && values["model_type"] == nil {
		return lens, values, nil
	}
	kind := kindOf(values)
	if slices.Contains(nested, kind) && values["text_config"] != nil {
		inner, err := textConfig(values)
		if err != nil {
			return Family{}, nil, err
		}
		values, kind = inner, kindOf(inner)
	}
	for _, f := range All() {
		if slices.Contains(f.Types, kind) {
			return f, values, nil
		}
	}
	if kind == "" {
		return Family{}, nil, fault(checkpoint.ErrConfig, "config.json: model_type is missing")
	}
	var types []string
	for _, f := range All() {
		types = append(types, f.Types...)
	}
	reason := ""
	if why, ok := notRead[kind]; ok {
		reason = ": " + why
	}
	return Family{}, nil,
		advice.Add(fault(checkpoint.ErrUnsupported, "config.json: model_type is %q, want one of %s%s", kind,
			strings.Join(types, ", "), reason),
			"`ducklens model families` lists what is read")
}

// kindOf returns model_type. The oldest GPT-2 files do not have it and are recognised by their keys, some
// others by their class.
func kindOf(values checkpoint.Keys) string {
	var kind string
	if json.Unmarshal(values["model_type"], &kind) == nil && kind != "" {
		return kind
	}
	var classes []string
	if json.Unmarshal(values["architectures"], &classes) == nil && len(classes) > 0 {
		for _, f := range All() {
			for _, t := range f.Types {
				if strings.HasPrefix(strings.ToLower(classes[0]), strings.ReplaceAll(t, "_", "")+"for") {
					return t
				}
			}
		}
	}
	if _, ok := values["n_embd"]; ok {
		return "gpt2"
	}
	return ""
}

// nested are model types whose text model is described under text_config, with the keys of a family in this
// package.
var nested = []string{"gemma3", "mistral3", "llava"}

// outside are the keys beside text_config that also apply to the text model, unless text_config says
// otherwise.
var outside = []string{"tie_word_embeddings", "bos_token_id", "eos_token_id", "architectures",
	"quantization_config"}

// ofImages are the keys beside text_config that concern only images.
var ofImages = words(`text_config vision_config model_type mm_tokens_per_image boi_token_index eoi_token_index
	boi_token_id eoi_token_id image_token_index image_token_id multimodal_projector_bias projector_hidden_act
	vision_feature_layer vision_feature_select_strategy spatial_merge_size image_seq_length vocab_size
	ignore_index`)

// textConfig returns the keys of the text model in a model of text and images. Keys beside it that concern
// only images are harmless; any other must be understood.
func textConfig(values checkpoint.Keys) (checkpoint.Keys, error) {
	var inner checkpoint.Keys
	if err := json.Unmarshal(values["text_config"], &inner); err != nil {
		return nil, fault(checkpoint.ErrConfig, "config.json: text_config: %w", jsonfault.Explain(err))
	}
	if inner == nil {
		return nil, fault(checkpoint.ErrConfig, "config.json: text_config is null, want an object")
	}
	var left []string
	for key, value := range values {
		_, there := inner[key]
		switch {
		case slices.Contains(outside, key):
			if !there {
				inner[key] = value
			}
		case !ofImages[key] && !isHarmless(key) && string(value) != "null":
			left = append(left, key)
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		return nil, unknownKeys("config.json: ", left)
	}
	return inner, nil
}

// fault returns an error of a kind of package checkpoint.
func fault(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %w", kind, fmt.Errorf(format, args...))
}
