package model_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// fill puts a number into every place of a float32 tensor of a safetensors file, or into its first place
// alone.
func fill(t *testing.T, dir, tensor string, value float32, all bool) {
	t.Helper()
	path := filepath.Join(dir, "model.safetensors")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(data)
	var header map[string]struct {
		DType   string `json:"dtype"`
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(data[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	found, ok := header[tensor]
	if !ok || found.DType != "F32" {
		t.Fatalf("tensor %s is %+v", tensor, found)
	}
	numbers := data[8+int(n)+found.Offsets[0] : 8+int(n)+found.Offsets[1]]
	for i := 0; i < len(numbers) && (all || i == 0); i += 4 {
		binary.LittleEndian.PutUint32(numbers[i:], math.Float32bits(value))
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A norm whose gain is zero throughout is refused by name; a single zero is not.
func TestZeroGain(t *testing.T) {
	t.Parallel()
	provider, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, tensor string
		zero         float32 // what makes the gain zero
		norm         string
	}{
		{"llama", "model.layers.0.input_layernorm.weight", 0, "the norm before attention in layer 0"},
		{"llama", "model.layers.1.post_attention_layernorm.weight", 0, "the norm before the MLP in layer 1"},
		{"llama", "model.norm.weight", 0, "the last norm"},
		{"qwen3", "model.layers.1.self_attn.q_norm.weight", 0, "the norm of queries in layer 1"},
		{"qwen3", "model.layers.1.self_attn.k_norm.weight", 0, "the norm of keys in layer 1"},
		{"gemma2", "model.layers.0.post_attention_layernorm.weight", -1, "the norm after attention in layer 0"},
		{"gemma2", "model.layers.0.post_feedforward_layernorm.weight", -1, "the norm after the MLP in layer 0"},
		{"gpt2", "h.1.ln_1.weight", 0, "the norm before attention in layer 1"},
	} {
		for _, all := range []bool{true, false} {
			dir := t.TempDir()
			if err := familytest.Write(dir, familytest.Tiny(c.kind), 1); err != nil {
				t.Fatal(err)
			}
			fill(t, dir, c.tensor, c.zero, all)
			o := modeltest.OpenPath(t, dir)
			_, err := model.Load[float32](o.Checkpoint, o.Spec, o.Sources, schema.Processed, provider, 1)
			if !all {
				if err != nil {
					t.Errorf("one zero in %s: %v", c.tensor, err)
				}
				continue
			}
			var zero *model.ZeroGainError
			if !errors.As(err, &zero) || zero.Tensor != c.tensor || !strings.Contains(err.Error(), "the gain of "+c.norm+" is 0 throughout") || zero.Hint() == "" {
				t.Errorf("zeros in %s: %v", c.tensor, err)
			}
		}
	}
}
