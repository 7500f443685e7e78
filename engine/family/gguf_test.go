package family_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/checkpoint/gguf"
	"ducklens/engine/checkpoint/gguf/gguftest"
	"ducklens/engine/family"
	"ducklens/engine/model"
)

// ggufLlama returns the metadata of a GGUF file with a Llama of two layers.
func ggufLlama() gguftest.File {
	f := gguftest.File{}
	for name, value := range map[string]any{
		"general.architecture": "llama", "general.name": "a model", "llama.block_count": uint32(2),
		"llama.embedding_length": uint32(24), "llama.attention.head_count": uint32(4),
		"llama.attention.head_count_kv": uint32(2), "llama.feed_forward_length": uint32(40),
		"llama.context_length": uint32(300), "llama.attention.layer_norm_rms_epsilon": float32(1e-5),
		"llama.rope.freq_base": float32(500), "tokenizer.ggml.bos_token_id": uint32(5), "tokenizer.ggml.model": "gpt2",
	} {
		f.Keys = append(f.Keys, gguftest.Key{Name: name, Value: value})
	}
	add := func(name string, shape ...int) { f.Tensors = append(f.Tensors, ggufTensor(name, shape...)) }
	add("token_embd.weight", 101, 24)
	for _, l := range []string{"blk.0.", "blk.1."} {
		add(l+"attn_norm.weight", 24)
		add(l+"attn_q.weight", 24, 24)
		add(l+"attn_k.weight", 12, 24)
		add(l+"attn_v.weight", 12, 24)
		add(l+"attn_output.weight", 24, 24)
		add(l+"ffn_norm.weight", 24)
		add(l+"ffn_gate.weight", 40, 24)
		add(l+"ffn_up.weight", 40, 24)
		add(l+"ffn_down.weight", 24, 40)
	}
	add("output_norm.weight", 24)
	return f
}

// ggufTensor returns a tensor whose numbers are all 2.
func ggufTensor(name string, shape ...int) gguftest.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	var data []byte
	for range n {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(2))
	}
	return gguftest.Tensor{Name: name, Type: gguf.F32, Shape: shape, Data: data}
}

func openGGUF(t *testing.T, f gguftest.File) (*family.Model, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, f.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return openDir(t, path)
}

// Metadata of GGUF files, with keys that change the model or are missing.
func TestGGUF(t *testing.T) {
	tensor := func(name string, shape ...int) func(*gguftest.File) {
		return func(f *gguftest.File) { f.Tensors = append(f.Tensors, ggufTensor(name, shape...)) }
	}
	key := func(name string, value any) func(*gguftest.File) {
		return func(f *gguftest.File) {
			f.Keys = slices.DeleteFunc(f.Keys, func(k gguftest.Key) bool { return k.Name == name })
			f.Keys = append(f.Keys, gguftest.Key{Name: name, Value: value})
		}
	}
	without := func(name string) func(*gguftest.File) {
		return func(f *gguftest.File) {
			f.Keys = slices.DeleteFunc(f.Keys, func(k gguftest.Key) bool { return k.Name == name })
		}
	}
	for name, x := range map[string]struct {
		change func(*gguftest.File)
		words  string
		check  func(*family.Model) bool
	}{
		"as it is": {func(*gguftest.File) {}, "", func(m *family.Model) bool {
			s := m.Spec
			return s.Tied && s.DVocab == 101 && s.DHead == 6 && m.BOS == 5 &&
				s.Norm.Eps == float64(float32(1e-5)) &&
				m.Sources.Layer(0).Q.OutputOf(7) == 8 && m.Sources.Layer(0).V.OutputOf(7) == 7
		}},
		"its own unembedding": {tensor("output.weight", 101, 24), "", func(m *family.Model) bool {
			return !m.Spec.Tied && m.Sources.Unembed.Tensor == "output.weight"
		}},
		"divided frequencies": {tensor("rope_freqs.weight", 3), "", func(m *family.Model) bool {
			return m.Spec.Rotary[1].Frequencies[0] == 0.5
		}},
		"divided by too many": {tensor("rope_freqs.weight", 4), "rope_freqs.weight|want 3", nil},
		"no base": {without("llama.rope.freq_base"), "", func(m *family.Model) bool {
			return m.Spec.Rotary[0].Frequencies[1] == 1/math.Pow(10000, 2.0/6)
		}},
		"linear": {key("llama.rope.scaling.factor", float32(4)), "", func(m *family.Model) bool {
			return m.Spec.Rotary[0].Frequencies[0] == 0.25
		}},
		"a list of equal numbers": {key("llama.attention.head_count_kv", []int32{2, 2}), "",
			func(m *family.Model) bool { return m.Spec.KVHeads == 2 }},
		"a list of others": {key("llama.attention.head_count_kv", []int32{2, 1}), "head_count_kv", nil},
		"an unknown key":   {key("llama.attention.mystery", uint32(2)), "llama.attention.mystery", nil},
		"experts":          {key("llama.expert_count", uint32(8)), "llama.expert_count", nil},
		"no experts": {key("llama.expert_count", uint32(0)), "",
			func(*family.Model) bool { return true }},
		"an architecture": {key("general.architecture", "mamba"), "mamba|llama", nil},
		"NeoX":            {key("general.architecture", "gptneox"), "gptneox|GELU", nil},
		"no layers":       {key("llama.block_count", uint32(0)), "llama.block_count", nil},
		"no sizes":        {without("llama.embedding_length"), "llama.embedding_length", nil},
		"eps": {key("llama.attention.layer_norm_rms_epsilon", float32(math.NaN())),
			"rms_epsilon", nil},
		"half heads": {key("llama.rope.dimension_count", uint32(4)), "llama.rope.dimension_count",
			nil},
		"values of a width":   {key("llama.attention.value_length", uint32(7)), "value_length", nil},
		"a tensor left over":  {tensor("blk.0.attn_q_norm.weight", 6), "attn_q_norm|unknown", nil},
		"biases":              {tensor("blk.0.attn_q.bias", 24), "attn_k.bias|missing", nil},
		"an infinite context": {key("llama.context_length", math.Inf(1)), "context_length", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := ggufLlama()
			x.change(&f)
			m, err := openGGUF(t, f)
			if x.words == "" {
				if err != nil {
					t.Fatal(err)
				}
				if !x.check(m) {
					t.Errorf("%+v", m.Spec)
				}
				return
			}
			for _, word := range strings.Split(x.words, "|") {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("%v: want it to name %s", err, word)
				}
			}
		})
	}
	if m, err := openGGUF(t, ggufLlama()); err != nil || m.Spec.QKNorm != model.NoQKNorm {
		t.Error(err)
	}
}
