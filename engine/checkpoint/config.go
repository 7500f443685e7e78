package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

// Config is the part of config.json that decides shapes and arithmetic.
type Config struct {
	Architecture string  // architectures[0] of a Hugging Face model, or ""
	NLayers      int     // n_layer
	NHeads       int     // n_head, per layer
	DModel       int     // n_embd, width of the residual stream
	DMLP         int     // n_inner; 4 n_embd where absent
	NCtx         int     // n_positions or n_ctx, longest input in tokens
	DVocab       int     // vocab_size
	LNEps        float64 // layer_norm_epsilon
	Activation   string  // always "gelu_new", the tanh form of GELU (arXiv:1606.08415, section 2)
	BOS          int     // bos_token_id, or -1
	EOS          int     // eos_token_id, or -1
	Tied         bool    // tie_word_embeddings: the unembedding is the transposed token embedding
}

// DHead is the width of one attention head, d_model / n_heads.
func (c Config) DHead() int { return c.DModel / c.NHeads }

// Bounds of the values of a configuration. They are far above any GPT-2 and keep every product of two of
// them inside an int64.
const (
	maxConfigBytes = 1 << 20
	maxLayers      = 1 << 12
	maxWidth       = 1 << 18 // d_model, d_mlp
	maxContext     = 1 << 24
	maxVocabulary  = 1 << 26
)

const hintFamily = "ducklens reads models of the GPT-2 family (gpt2, gpt2-medium, gpt2-large, gpt2-xl, distilgpt2 and models of their config.json)"

// ParseConfig reads the text of a config.json, in Hugging Face's keys or in TransformerLens'.
func ParseConfig(text []byte) (Config, error) {
	if len(text) > maxConfigBytes {
		return Config{}, fault(ErrConfig, "config.json has %d bytes, want at most %d", len(text), maxConfigBytes)
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		return Config{}, fault(ErrConfig, "config.json: %w", err)
	}
	r := configReader{values: values}
	var c Config
	if _, lens := values["d_model"]; lens {
		c = r.transformerLens()
	} else {
		c = r.huggingFace()
	}
	if len(r.faults) > 0 {
		return Config{}, errors.Join(r.faults...)
	}
	return c, nil
}

func readConfig(path string) (Config, []byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return Config{}, nil, withHint("point at a folder with config.json and model.safetensors, as the Hugging Face hub has them",
			fault(ErrNoCheckpoint, "no config.json: %w", err))
	}
	if err != nil {
		return Config{}, nil, fault(ErrNoCheckpoint, "%w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return Config{}, nil, fault(ErrConfig, "config.json: %w", err)
	}
	c, err := ParseConfig(text)
	return c, text, err
}

// configReader takes values out of a configuration and collects every fault in it.
type configReader struct {
	values map[string]json.RawMessage
	faults []error
}

func (r *configReader) huggingFace() Config {
	var c Config
	if kind, ok := r.text("model_type"); ok && kind != "gpt2" {
		r.unsupported("model_type is %q, want \"gpt2\"", kind)
		return c // one clear fault is better than a list of keys that another architecture spells differently
	}
	var names []string
	if r.decode("architectures", &names) && len(names) > 0 {
		c.Architecture = names[0]
		known := []string{"GPT2LMHeadModel", "GPT2Model"}
		if !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(known, n) }) {
			r.unsupported("architectures is %q, want %s", names, strings.Join(known, " or "))
			return c
		}
	}
	c.NLayers = r.count("n_layer", maxLayers)
	c.NHeads = r.count("n_head", maxWidth)
	c.DModel = r.count("n_embd", maxWidth)
	c.NCtx = r.context()
	c.DVocab = r.count("vocab_size", maxVocabulary)
	c.DMLP = 4 * c.DModel
	if r.has("n_inner") {
		c.DMLP = r.count("n_inner", maxWidth)
	}
	c.LNEps = r.epsilon("layer_norm_epsilon")
	c.Activation = r.activation("activation_function", "gelu_new", "gelu_pytorch_tanh")
	c.BOS, c.EOS = r.tokenID("bos_token_id"), r.tokenID("eos_token_id")
	c.Tied = true
	r.decode("tie_word_embeddings", &c.Tied)
	r.require("scale_attn_weights", true)
	r.require("scale_attn_by_inverse_layer_idx", false)
	r.require("add_cross_attention", false)
	r.divides(c)
	return c
}

func (r *configReader) transformerLens() Config {
	var c Config
	if kind, ok := r.text("positional_embedding_type"); ok && kind != "standard" {
		r.unsupported("positional_embedding_type is %q, want \"standard\"", kind)
	}
	if kind, ok := r.text("normalization_type"); ok && kind != "LN" && kind != "LNPre" {
		r.unsupported("normalization_type is %q, want \"LN\" or \"LNPre\"", kind)
	}
	if direction, ok := r.text("attention_dir"); ok && direction != "causal" {
		r.unsupported("attention_dir is %q, want \"causal\"", direction)
	}
	c.Architecture, _ = r.text("original_architecture")
	c.NLayers = r.count("n_layers", maxLayers)
	c.NHeads = r.count("n_heads", maxWidth)
	c.DModel = r.count("d_model", maxWidth)
	c.NCtx = r.count("n_ctx", maxContext)
	c.DVocab = r.count("d_vocab", maxVocabulary)
	c.DMLP = 4 * c.DModel
	if r.has("d_mlp") {
		c.DMLP = r.count("d_mlp", maxWidth)
	}
	c.LNEps = r.epsilon("eps")
	c.Activation = r.activation("act_fn", "gelu_new", "gelu_pytorch_tanh")
	c.BOS, c.EOS = -1, -1
	r.require("use_attn_scale", true)
	r.require("scale_attn_by_inverse_layer_idx", false)
	r.require("attn_only", false)
	r.require("gated_mlp", false)
	r.require("parallel_attn_mlp", false)
	r.require("use_local_attn", false)
	r.require("use_qk_norm", false)
	r.require("post_embedding_ln", false)
	r.divides(c)
	if r.has("d_head") && len(r.faults) == 0 {
		if got := r.count("d_head", maxWidth); got != c.DHead() {
			r.unsupported("d_head is %d, want d_model / n_heads = %d", got, c.DHead())
		}
	}
	var scale float64
	if len(r.faults) == 0 && r.decode("attn_scale", &scale) && scale > 0 { // -1 and absent mean sqrt(d_head)
		if want := math.Sqrt(float64(c.DHead())); math.Abs(scale-want) > 1e-6*want {
			r.unsupported("attn_scale is %v, want sqrt(d_head) = %v", scale, want)
		}
	}
	return c
}

func (r *configReader) fail(format string, args ...any) {
	r.faults = append(r.faults, fault(ErrConfig, "config.json: "+format, args...))
}

func (r *configReader) unsupported(format string, args ...any) {
	r.faults = append(r.faults, withHint(hintFamily, fault(ErrUnsupported, "config.json: "+format, args...)))
}

func (r *configReader) has(key string) bool {
	raw, ok := r.values[key]
	return ok && !bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

// decode puts the value of key into dst and tells whether it is there.
func (r *configReader) decode(key string, dst any) bool {
	if !r.has(key) {
		return false
	}
	if err := json.Unmarshal(r.values[key], dst); err != nil {
		r.fail("%s: %w", key, err)
		return false
	}
	return true
}

func (r *configReader) text(key string) (s string, ok bool) {
	ok = r.decode(key, &s)
	return s, ok
}

// count reads a whole number from 1 to limit.
func (r *configReader) count(key string, limit int) int {
	var n int64
	switch {
	case !r.has(key):
		r.fail("%s is missing", key)
		return 1
	case !r.decode(key, &n):
		return 1
	case n < 1 || n > int64(limit):
		r.fail("%s is %d, want 1 to %d", key, n, limit)
		return 1
	}
	return int(n)
}

// context reads n_positions, or n_ctx in older files. Where both are there they have to agree.
func (r *configReader) context() int {
	if !r.has("n_positions") {
		return r.count("n_ctx", maxContext)
	}
	n := r.count("n_positions", maxContext)
	if r.has("n_ctx") {
		if other := r.count("n_ctx", maxContext); other != n {
			r.fail("n_ctx is %d and n_positions is %d, want the same number", other, n)
		}
	}
	return n
}

func (r *configReader) epsilon(key string) float64 {
	eps := 1e-5 // the default of both libraries
	r.decode(key, &eps)
	if !(eps >= 0 && eps < 1) {
		r.fail("%s is %v, want 0 to 1", key, eps)
	}
	return eps
}

func (r *configReader) activation(key string, names ...string) string {
	name := names[0]
	r.decode(key, &name)
	if !slices.Contains(names, name) {
		r.unsupported("%s is %q, want %q, the tanh form of GELU", key, name, names[0])
	}
	return names[0] // the accepted names are one function
}

// tokenID reads a token id, or -1 where there is none.
func (r *configReader) tokenID(key string) int {
	id := -1
	r.decode(key, &id)
	return id
}

func (r *configReader) require(key string, want bool) {
	got := want
	if r.decode(key, &got) && got != want {
		r.unsupported("%s is %v, want %v", key, got, want)
	}
}

func (r *configReader) divides(c Config) {
	if len(r.faults) == 0 && c.DModel%c.NHeads != 0 {
		r.fail("width %d does not divide by the number of heads %d", c.DModel, c.NHeads)
	}
}

// String gives the sizes in one line.
func (c Config) String() string {
	return fmt.Sprintf("%d layers, %d heads, d_model %d, d_mlp %d, n_ctx %d, vocabulary %d, eps %v, %s",
		c.NLayers, c.NHeads, c.DModel, c.DMLP, c.NCtx, c.DVocab, c.LNEps, c.Activation)
}
