//go:build linux

package speed_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"ducklens/cli/smollm2"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model/modeltest"
)

// TestMemoryIsForeseen holds what `ducklens model inspect` says of memory to what a run takes: within a
// fifth.
func TestMemoryIsForeseen(t *testing.T) {
	if testing.Short() || raced() {
		t.Skip("runs models of up to 135 million parameters; the race detector takes memory of its own")
	}
	// Sizes as of published models, but for depth; the vocabulary is GPT-2's, which needs no files.
	shape := familytest.Config{"num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2, "hidden_size": 512,
		"intermediate_size": 1536, "max_position_embeddings": 1024, "vocab_size": 50257}
	models := map[string]func(dir string) error{
		"GPT-2": func(dir string) error {
			return modeltest.Write(dir, modeltest.Config{NLayers: 6, NHeads: 12, DModel: 768, DMLP: 3072, NCtx: 1024, DVocab: 50257, LNEps: 1e-5}, 1)
		},
		"Qwen3": func(dir string) error {
			return familytest.Write(dir, shape.With("model_type", "qwen3", "head_dim", 128), 1)
		},
		"Gemma 2": func(dir string) error {
			return familytest.Write(dir, shape.With("model_type", "gemma2", "head_dim", 64), 1)
		},
	}
	for name, write := range models {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := write(dir); err != nil {
				t.Fatal(err)
			}
			foresee(t, dir, "5.1")
		})
	}
	t.Run("SmolLM2", func(t *testing.T) {
		path := smollm2.At(filepath.Join("..", ".."))
		if path == "" {
			t.Skip("there is no SmolLM2 here (make smollm2 gets it)")
		}
		foresee(t, path, "24.4")
	})
}

// raced tells whether the race detector is on.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "-race" {
				return s.Value == "true"
			}
		}
	}
	return false
}

// foresee compares what is said of a run with what it takes.
func foresee(t *testing.T, model, head string) {
	t.Helper()
	var said struct {
		Run struct {
			Bytes float64 `json:"memory_bytes"`
		} `json:"run"`
	}
	if err := json.Unmarshal(ducklens(t, "model", "inspect", model, "--head", head, "--threads", "2", "--json").said, &said); err != nil {
		t.Fatal(err)
	}
	templates := filepath.Join(t.TempDir(), "templates.json")
	if err := os.WriteFile(templates, smollm2.Templates(), 0o600); err != nil {
		t.Fatal(err)
	}
	took := ducklens(t, "ingest", "--model", model, "--head", head, "--threads", "2", "--templates", templates, "--force", "-o", filepath.Join(t.TempDir(), "run.duckdb"))
	ratio := said.Run.Bytes / 1e6 / took.peak
	t.Logf("head %s: foreseen %.0f MB, taken %.0f: %.2f", head, said.Run.Bytes/1e6, took.peak, ratio)
	if !(ratio >= 0.8 && ratio <= 1.2) {
		t.Errorf("head %s: %.0f MB are foreseen, and the run takes %.0f", head, said.Run.Bytes/1e6, took.peak)
	}
}
