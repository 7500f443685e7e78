// Package modeltest opens models, and makes random ones, for tests and benchmarks.
package modeltest

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
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model"
	"ducklens/schema"
)

// Config holds the sizes of a GPT-2.
type Config struct {
	NLayers, NHeads, DModel, DMLP, NCtx, DVocab int
	LNEps                                       float64
}

// Opened is an open checkpoint and what it takes to load a model from it.
type Opened struct {
	*checkpoint.Checkpoint
	Spec    *model.Spec
	Sources *model.Sources
}

// Small returns the sizes of GPT-2 small (124M parameters), as in its config.json.
func Small() Config {
	return Config{NLayers: 12, NHeads: 12, DModel: 768, DMLP: 3072, NCtx: 1024, DVocab: 50257, LNEps: 1e-5}
}

// Tiny returns the sizes of a model that has all parts of a GPT-2 and is small enough for any test. Its d_mlp
// is not 4 d_model, and its d_model is not a multiple of a vector register.
func Tiny() Config {
	return Config{NLayers: 4, NHeads: 3, DModel: 42, DMLP: 100, NCtx: 300, DVocab: 101, LNEps: 1e-5}
}

// Open writes a random model of these sizes to a temporary folder and opens it until the test ends.
func Open(tb testing.TB, c Config, seed uint64) Opened {
	tb.Helper()
	dir := tb.TempDir()
	if err := Write(dir, c, seed); err != nil {
		tb.Fatal(err)
	}
	return OpenPath(tb, dir)
}

// SmolLM2 returns the configuration of SmolLM2-135M with a smaller vocabulary, on which no layer depends.
func SmolLM2() familytest.Config {
	return familytest.Config{"model_type": "llama", "num_hidden_layers": 30, "num_attention_heads": 9,
		"num_key_value_heads": 3, "hidden_size": 576,
		"intermediate_size": 1536, "max_position_embeddings": 8192, "vocab_size": 5000, "rope_theta": 100000,
		"rms_norm_eps": 1e-5, "tie_word_embeddings": true}
}

// OpenFamily writes a random model of a family to a temporary folder and opens it until the test ends.
func OpenFamily(tb testing.TB, c familytest.Config, seed uint64) Opened {
	tb.Helper()
	dir := tb.TempDir()
	if err := familytest.Write(dir, c, seed); err != nil {
		tb.Fatal(err)
	}
	return OpenPath(tb, dir)
}

// OpenPath opens a checkpoint until the test ends.
func OpenPath(tb testing.TB, path string) Opened {
	tb.Helper()
	c, err := checkpoint.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	m, err := family.Open(c)
	if err != nil {
		tb.Fatal(err)
	}
	return Opened{c, m.Spec, m.Sources}
}

// Load loads a model through the provider of that name.
func Load[T blas.Float](tb testing.TB, c Opened, provider string, p schema.Processing, threads int) *model.Model[T] {
	tb.Helper()
	by, err := blas.ByName(provider)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := model.Load[T](c.Checkpoint, c.Spec, c.Sources, p, by, threads)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// Write writes config.json and model.safetensors to dir, in Hugging Face's form. The weights are random, of
// sizes that keep every activation of order one. The same seed gives the same bytes.
func Write(dir string, c Config, seed uint64) error {
	config := map[string]any{
		"model_type": "gpt2", "architectures": []string{"GPT2LMHeadModel"}, "activation_function": "gelu_new",
		"n_layer": c.NLayers, "n_head": c.NHeads, "n_embd": c.DModel, "n_inner": c.DMLP, "n_ctx": c.NCtx,
		"n_positions": c.NCtx,
		"vocab_size":  c.DVocab, "layer_norm_epsilon": c.LNEps, "bos_token_id": c.DVocab - 1,
		"eos_token_id": c.DVocab - 1,
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fmt.Errorf("modeltest: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("modeltest: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		return fmt.Errorf("modeltest: %w", err)
	}
	if err := errors.Join(writeWeights(f, parameters(c), seed), f.Close()); err != nil {
		return fmt.Errorf("modeltest: %w", err)
	}
	return nil
}

// parameter is a tensor with values uniform in mean +- spread.
type parameter struct {
	name         string
	shape        []int
	mean, spread float64
}

func parameters(c Config) []parameter {
	d := c.DModel
	list := []parameter{{"wte.weight", []int{c.DVocab, d}, 0, 1}, {"wpe.weight", []int{c.NCtx, d}, 0, 0.3}}
	for l := range c.NLayers {
		norm := func(name string) {
			name = fmt.Sprintf("h.%d.%s", l, name)
			list = append(list, parameter{name + ".weight", []int{d}, 1, 0.3},
				parameter{name + ".bias", []int{d}, 0, 0.2})
		}
		linear := func(name string, in, out int) {
			name = fmt.Sprintf("h.%d.%s", l, name)
			list = append(list, parameter{name + ".weight", []int{in, out}, 0, math.Sqrt(3 / float64(in))},
				parameter{name + ".bias", []int{out}, 0, 0.2})
		}
		norm("ln_1")
		linear("attn.c_attn", d, 3*d)
		linear("attn.c_proj", d, d)
		norm("ln_2")
		linear("mlp.c_fc", d, c.DMLP)
		linear("mlp.c_proj", c.DMLP, d)
	}
	return append(list, parameter{"ln_f.weight", []int{d}, 1, 0.3}, parameter{"ln_f.bias", []int{d}, 0, 0.2})
}

// writeWeights writes a safetensors file: the length of the header in 8 bytes, the header, the numbers.
func writeWeights(f *os.File, list []parameter, seed uint64) error {
	type entry struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header := map[string]entry{}
	offset := 0
	for _, p := range list {
		end := offset + 4*p.len()
		header[p.name] = entry{"F32", p.shape, [2]int{offset, end}}
		offset = end
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	w := bufio.NewWriterSize(f, 1<<20)
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], uint64(len(text)))
	if _, err := w.Write(append(number[:], text...)); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, p := range list {
		for range p.len() {
			x := p.mean + p.spread*(float64(rng.Uint32())/(1<<31)-1)
			binary.LittleEndian.PutUint32(number[:4], math.Float32bits(float32(x)))
			if _, err := w.Write(number[:4]); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

func (p parameter) len() int {
	n := 1
	for _, d := range p.shape {
		n *= d
	}
	return n
}
