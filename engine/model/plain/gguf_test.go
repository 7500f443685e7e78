package plain_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model/plain"
)

// The gguf library's file of a model gives that model's numbers, but for what float32 rounds in the metadata.
func TestGGUF(t *testing.T) {
	root := refdata.Families(t)
	python := cmp.Or(os.Getenv("DUCKLENS_PYTHON"), "python3")
	if err := exec.Command(python, "-c", "import gguf, numpy").Run(); err != nil {
		t.Skipf("no Python with gguf (pip install gguf; DUCKLENS_PYTHON names another interpreter): %v", err)
	}
	// that of scores where the file does not say it; 0: the model's own
	for name, scale := range map[string]float64{
		"llama2": 0, "llama3": 0, "smollm2": 0, "qwen2": 0, "qwen2-yarn": 0,
		"qwen3": 0, "gemma1": 0, "gemma2": 4, "gemma3": 4,
		"smollm3": 0, "olmo1": 0, "olmo2": 0, "olmo3": 0, "phi2": 0,
		"phi3-longrope": 0, "gpt2": 0, "gpt-oss": 0,
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(root, name, "model")
			if name == "gpt-oss" {
				folder = published(t, folder)
			}
			file := filepath.Join(t.TempDir(), "model.gguf")
			if out, err := exec.Command(python, "testdata/togguf.py", folder,
				file).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want, got := openPlain(t, folder), openPlain(t, file)
			if scale > 0 {
				want.AttnScale = scale
			}
			tokens := refdata.Npz(t, filepath.Join(root, name, "golden.npz"))["0/tokens"].Ints()
			a, b := want.Forward(tokens), got.Forward(tokens)
			last := len(tokens) - 1
			near := func(what string, x, y []float64) {
				top := 0.0
				for i := range x {
					top = max(top, math.Abs(x[i]))
				}
				for i := range x {
					if len(x) != len(y) || math.Abs(x[i]-y[i]) > 1e-5*top {
						t.Fatalf("%s: element %d is %v, want %v", what, i, y[i], x[i])
					}
				}
			}
			near("logits", want.LogitsAt(a, last), got.LogitsAt(b, last))
			for l := range want.Layers {
				for h := range want.Heads {
					what := fmt.Sprintf("pattern of head %d.%d", l, h)
					near(what, slices.Clone(a.Layer[l].Pattern[h][last]), b.Layer[l].Pattern[h][last])
				}
			}
		})
	}
}

// published is a copy of gpt-oss with the numbers that its GGUF cannot say: llama.cpp has them in its code.
func published(t *testing.T, folder string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "config.json" {
			content = bytes.Replace(content, []byte(`"truncate": false`), []byte(`"truncate": true`), 1)
			content = bytes.Replace(content, []byte(`"swiglu_limit": 0.8`), []byte(`"swiglu_limit": 7.0`), 1)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func openPlain(t *testing.T, path string) *plain.Model {
	t.Helper()
	c, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	m, err := plain.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
