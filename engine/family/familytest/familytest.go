// Package familytest makes random checkpoints of every family, for tests.
package familytest

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
)

// Config is a config.json.
type Config map[string]any

// With returns a copy in which keys, given as key, value, key, value, have other values.
func (c Config) With(keyed ...any) Config {
	other := Config{}
	for k, v := range c {
		other[k] = v
	}
	for i := 0; i < len(keyed); i += 2 {
		other[keyed[i].(string)] = keyed[i+1]
	}
	return other
}

// Without returns a copy without some keys.
func (c Config) Without(keys ...string) Config {
	other := c.With()
	for _, k := range keys {
		delete(other, k)
	}
	return other
}

// Tiny returns a small model of a type (model_type), with every part that its family may have.
func Tiny(kind string) Config {
	gpt := Config{"model_type": kind, "n_layer": 3, "n_head": 4, "n_embd": 24, "n_inner": 40,
		"n_positions": 300, "vocab_size": 101}
	c := Config{"model_type": kind, "num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 24,
		"intermediate_size":       40,
		"max_position_embeddings": 300, "vocab_size": 101}
	groups := c.With("num_key_value_heads", 2)
	switch kind {
	case "gpt2":
		return gpt
	case "gptj":
		return gpt.With("rotary_dim", 4)
	case "gpt_neox":
		return c.With("rotary_pct", 0.7)
	case "opt":
		return c.Without("intermediate_size").With("ffn_dim", 40)
	case "phi":
		return groups.With("partial_rotary_factor", 0.7)
	case "falcon":
		return c.Without("intermediate_size").With("ffn_hidden_size", 40, "num_kv_heads", 2,
			"new_decoder_architecture", true, "bias", true)
	case "llama":
		return groups.With("attention_bias", true, "mlp_bias", true, "rope_scaling",
			Config{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
				"original_max_position_embeddings": 16})
	case "mistral":
		return groups.With("sliding_window", 7, "head_dim", 10)
	case "qwen2":
		return groups.With("use_sliding_window", true, "sliding_window", 9, "max_window_layers", 1,
			"rope_scaling",
			Config{"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16})
	case "qwen3":
		return groups.With("head_dim", 8, "tie_word_embeddings", true)
	case "gemma":
		return c.With("num_key_value_heads", 1, "head_dim", 8)
	case "gemma2":
		return groups.With("head_dim", 8, "query_pre_attn_scalar", 5, "attn_logit_softcapping", 2.0,
			"final_logit_softcapping", 3.0, "sliding_window", 6)
	case "gemma3_text":
		return groups.With("head_dim", 8, "query_pre_attn_scalar", 5, "sliding_window", 6,
			"sliding_window_pattern", 3,
			"rope_scaling", Config{"rope_type": "linear", "factor": 8.0})
	case "olmo3":
		return groups.With("sliding_window", 5, "layer_types",
			[]string{"sliding_attention", "full_attention", "sliding_attention"})
	case "smollm3":
		return groups.With("no_rope_layer_interval", 2)
	case "phi3":
		return groups.With("original_max_position_embeddings", 20, "rope_scaling",
			Config{"type": "longrope", "short_factor": []float64{1, 1.1, 1.3},
				"long_factor": []float64{1.5, 4, 9}})
	case "gpt_oss":
		return groups.With("head_dim", 8, "num_local_experts", 5, "num_experts_per_tok", 2, "sliding_window",
			6, "swiglu_limit", 0.9)
	}
	return groups // olmo, olmo2
}

// Random returns a model of a random family, with random sizes and options.
func Random(rng *rand.Rand) Config {
	kinds := Types()
	c := Tiny(kinds[rng.IntN(len(kinds))])
	groups, perGroup, width := 1+rng.IntN(3), 1+rng.IntN(3), 4*(1+rng.IntN(3))
	heads, layers := groups*perGroup, 2+rng.IntN(3)
	set := func(key string, value any) {
		if _, ok := c[key]; ok {
			c[key] = value
		}
	}
	for _, key := range []string{"num_hidden_layers", "n_layer"} {
		set(key, layers)
	}
	delete(c, "layer_types")
	for _, key := range []string{"sliding_window", "query_pre_attn_scalar", "attn_logit_softcapping",
		"intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"} {
		set(key, 3+rng.IntN(30))
	}
	set("rope_theta", 10.0)
	for _, key := range options(c["model_type"].(string)) {
		switch {
		case rng.IntN(2) == 0: // the default, or Tiny's value
		case slices.Contains([]string{"hidden_act", "activation_function", "activation"}, key):
			c[key] = []string{"gelu", "gelu_new", "relu", "silu"}[rng.IntN(4)]
		default:
			c[key] = rng.IntN(2) == 0
		}
	}
	if c["model_type"] == "phi3" { // its lists of factors are half a head long
		return c
	}
	for _, key := range []string{"rotary_pct", "partial_rotary_factor"} {
		set(key, []float64{0.5, 1}[rng.IntN(2)])
	}
	set("rotary_dim", min(4, width))
	set("num_key_value_heads", groups)
	set("num_kv_heads", groups)
	for _, key := range []string{"num_attention_heads", "n_head"} {
		set(key, heads)
	}
	for _, key := range []string{"hidden_size", "n_embd"} {
		set(key, heads*width)
	}
	set("head_dim", 4*(1+rng.IntN(3)))
	return c
}

// options returns the keys of a type that are true or false and change what is computed, and the key of its
// nonlinearity if any will do.
func options(kind string) []string {
	keys := []string{"tie_word_embeddings"}
	switch kind {
	case "gpt2":
		return append(keys, "activation_function", "scale_attn_weights", "scale_attn_by_inverse_layer_idx")
	case "gptj":
		return append(keys, "activation_function")
	case "opt":
		return append(keys, "activation_function", "enable_bias", "layer_norm_elementwise_affine")
	case "gpt_neox":
		return append(keys, "hidden_act", "attention_bias", "use_parallel_residual")
	case "falcon":
		return append(keys, "activation", "bias", "multi_query", "new_decoder_architecture")
	case "llama", "smollm3":
		return append(keys, "hidden_act", "attention_bias", "mlp_bias")
	case "qwen3", "olmo", "olmo2", "olmo3":
		return append(keys, "hidden_act", "attention_bias")
	case "gemma", "gemma2", "gemma3_text", "gpt_oss":
		return append(keys, "attention_bias")
	}
	return append(keys, "hidden_act") // mistral, qwen2, phi, phi3
}

// Types returns the types that Tiny makes: all that a config.json of Hugging Face may name.
func Types() []string {
	var list []string
	for _, f := range family.All() {
		for _, t := range f.Types {
			if t != "transformer_lens" {
				list = append(list, t)
			}
		}
	}
	return list
}

// Open writes a random model of a configuration to a temporary folder, and opens it until the test ends.
func Open(tb testing.TB, c Config, seed uint64) *checkpoint.Checkpoint {
	tb.Helper()
	dir := tb.TempDir()
	if err := Write(dir, c, seed); err != nil {
		tb.Fatal(err)
	}
	opened, err := checkpoint.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := opened.Close(); err != nil {
			tb.Error(err)
		}
	})
	return opened
}

// Write writes config.json and model.safetensors to dir. The weights are random float32 numbers, of sizes
// that keep activations of order one. The same seed gives the same bytes.
func Write(dir string, c Config, seed uint64) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("familytest: %w", err)
	}
	values, err := checkpoint.ParseKeys(text)
	if err != nil {
		return fmt.Errorf("familytest: %w", err)
	}
	tensors, err := family.Tensors(values)
	if err != nil {
		return fmt.Errorf("familytest: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("familytest: %w", err)
	}
	return WriteTensors(filepath.Join(dir, "model.safetensors"), tensors, seed)
}

// WriteTensors writes a safetensors file with random numbers: of type F32 if the list has none, U8, or others
// of four bytes.
func WriteTensors(path string, tensors []checkpoint.Info, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("familytest: %w", err)
	}
	if err := errors.Join(write(bufio.NewWriterSize(f, 1<<20), tensors, seed), f.Close()); err != nil {
		return fmt.Errorf("familytest: %w", err)
	}
	return nil
}

// write writes a safetensors file: the length of the header in 8 bytes, the header, the numbers.
func write(w *bufio.Writer, tensors []checkpoint.Info, seed uint64) error {
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	header, offset := map[string]entry{}, int64(0)
	for _, t := range tensors {
		kind, width := "F32", int64(4)
		if t.DType != "" {
			kind = string(t.DType)
		}
		if kind == "U8" {
			width = 1
		}
		end := offset + width*t.Elements()
		header[t.Name] = entry{kind, append([]int{}, t.Shape...), [2]int64{offset, end}}
		offset = end
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], uint64(len(text)))
	if _, err := w.Write(append(number[:], text...)); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, t := range tensors {
		mean, spread := scale(t)
		for range t.Elements() {
			if t.DType == "U8" {
				if err := w.WriteByte(octet(t, rng)); err != nil {
					return err
				}
				continue
			}
			x := mean + spread*(float64(rng.Uint32())/(1<<31)-1)
			binary.LittleEndian.PutUint32(number[:4], math.Float32bits(float32(x)))
			if _, err := w.Write(number[:4]); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// octet returns a byte for a tensor of type U8: an exponent of numbers of order one, or anything.
func octet(t checkpoint.Info, rng *rand.Rand) byte {
	if strings.HasSuffix(t.Name, "_scales") {
		return byte(121 + rng.IntN(5))
	}
	return byte(rng.Uint32())
}

// scale returns the mean and the spread of a tensor's numbers: gains are about one, biases small, and
// matrices keep lengths.
func scale(t checkpoint.Info) (mean, spread float64) {
	rank := len(t.Shape)
	switch {
	case rank == 1 && strings.HasSuffix(t.Name, ".weight"):
		return 1, 0.3
	case rank == 1, strings.HasSuffix(t.Name, "bias"):
		return 0, 0.3
	case t.Shape[0] == 101 || strings.Contains(t.Name, "embed"):
		return 0, 1
	}
	return 0, math.Sqrt(3 / float64(min(t.Shape[rank-1], t.Shape[rank-2])))
}
