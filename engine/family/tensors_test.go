package family_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
	"ducklens/engine/family/familytest"
)

// change edits a list of tensors. put and drop are the usual changes.
type change func([]checkpoint.Info) []checkpoint.Info

func put(name string, dtype checkpoint.DType, shape ...int) change {
	return func(list []checkpoint.Info) []checkpoint.Info {
		list = slices.DeleteFunc(list, func(i checkpoint.Info) bool { return i.Name == name })
		return append(list, checkpoint.Info{Name: name, DType: dtype, Shape: shape})
	}
}

func drop(name string) change {
	return func(list []checkpoint.Info) []checkpoint.Info {
		return slices.DeleteFunc(list, func(i checkpoint.Info) bool { return i.Name == name })
	}
}

// rename changes the beginning of every name.
func rename(from, to string) change {
	return func(list []checkpoint.Info) []checkpoint.Info {
		for i := range list {
			if rest, ok := strings.CutPrefix(list[i].Name, from); ok {
				list[i].Name = to + rest
			}
		}
		return list
	}
}

// open opens a model whose tensors differ a little from those that its configuration asks for.
func open(tb testing.TB, c config, changes ...change) (*family.Model, error) {
	tb.Helper()
	dir := tb.TempDir()
	if err := familytest.Write(dir, c, 1); err != nil {
		tb.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		tb.Fatal(err)
	}
	values, err := checkpoint.ParseKeys(text)
	if err != nil {
		tb.Fatal(err)
	}
	list, err := family.Tensors(values)
	if err != nil {
		tb.Fatal(err)
	}
	for _, change := range changes {
		list = change(list)
	}
	if err := familytest.WriteTensors(filepath.Join(dir, "model.safetensors"), list, 1); err != nil {
		tb.Fatal(err)
	}
	return openDir(tb, dir)
}

func openDir(tb testing.TB, dir string) (*family.Model, error) {
	tb.Helper()
	c, err := checkpoint.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return family.Open(c)
}

// Tensors that are missing, unexpected, or of another shape or type are named before any tensor is read.
func TestTensors(t *testing.T) {
	gpt2, llama := familytest.Tiny("gpt2"), familytest.Tiny("llama")
	neox, gemma3 := familytest.Tiny("gpt_neox"), familytest.Tiny("gemma3_text")
	const q = "model.layers.1.self_attn.q_proj.weight"
	for name, x := range map[string]struct {
		c       config
		changes []change
		words   string // in the error; "": there is no error
	}{
		"missing": {gpt2, []change{drop("h.1.ln_1.weight")}, `"h.1.ln_1.weight" missing`},
		"missing, another instead": {llama, []change{drop(q),
			put("model.layers.1.self_attn.query.weight", "", 24, 24)}, "q_proj|missing; found|query.weight"},
		"left over": {gpt2, []change{put("h.3.ln_1.bias", "", 24)},
			`"h.3.ln_1.bias" unknown in a GPT-2 of 3 layers`},
		"biases left over": {llama.With("attention_bias", false),
			[]change{put("model.layers.0.self_attn.k_proj.bias", "", 12)}, "k_proj.bias|unknown"},
		"shape": {gpt2, []change{put("ln_f.bias", "", 2, 12)},
			`"ln_f.bias"|[2 12]|want [24]`},
		"transposed": {gpt2, []change{put("h.1.mlp.c_fc.weight", "", 40, 24)},
			"h.1.mlp.c_fc.weight|[40 24]|want [24 40]"},
		"type": {gpt2, []change{put("ln_f.bias", "I32", 24)}, "ln_f.bias|I32|want F32"},
		"another unembedding": {gpt2, []change{put("lm_head.weight", "", 101, 24)},
			"lm_head.weight|differs from wte.weight"},
		"twice": {gpt2, []change{put("transformer.h.0.ln_1.weight", "", 24)},
			"h.0.ln_1.weight|twice"},
		"more layers": {gpt2, []change{drop("h.2.ln_1.weight")}, "h.2.ln_1.weight|missing"},
		"prefix":      {gpt2, []change{rename("", "transformer.")}, ""},
		"no prefix":   {llama, []change{rename("model.", "")}, ""},
		"module":      {llama, []change{rename("", "module.")}, ""},
		"local rotary frequencies": {gemma3, []change{put("model.rotary_emb_local.inv_freq", "", 3),
			put("model.rotary_emb.original_inv_freq", "", 3)}, ""},
		"language model": {gemma3, []change{rename("model.", "language_model.model."),
			put("vision_tower.x", "", 3), put("multi_modal_projector.y", "", 3)}, ""},
		"tied, one name":         {gpt2, []change{rename("wte.", "lm_head.")}, ""},
		"tied, the other's name": {gemma3, []change{rename("model.embed_tokens.", "lm_head.")}, ""},
		"tied, with a bias": {familytest.Tiny("phi").With("tie_word_embeddings", true),
			[]change{put("lm_head.bias", "", 101)}, ""},
		"untied, no unembedding": {llama, []change{drop("lm_head.weight")}, ""},
		"embed_out":              {neox, nil, ""},
		"lm_head":                {neox, []change{rename("embed_out.", "lm_head.")}, ""},
		"masks of GPT-2": {gpt2, []change{put("h.0.attn.bias", "", 1, 1, 8, 8),
			put("h.2.attn.masked_bias", "")}, ""},
		"buffers of NeoX": {neox, []change{put("gpt_neox.layers.0.attention.bias", "", 1, 1, 8, 8),
			put("gpt_neox.layers.0.attention.masked_bias", ""),
			put("gpt_neox.layers.0.attention.rotary_emb.inv_freq", "", 2)}, ""},
		"rotary frequencies": {llama, []change{put("model.layers.0.self_attn.rotary_emb.inv_freq", "", 3),
			put("model.rotary_emb.inv_freq", "", 3)}, ""},
		"a head for classes": {llama, []change{put("score.weight", "", 2, 24)}, "score.weight|unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := open(t, x.c, x.changes...)
			if x.words == "" {
				if err != nil {
					t.Fatal(err)
				}
				if want := name != "untied, no unembedding"; m.Sources.Unembed.Stored() != want {
					t.Errorf("unembedding %+v", m.Sources.Unembed)
				}
				return
			}
			if !errors.Is(err, checkpoint.ErrTensor) && !errors.Is(err, checkpoint.ErrUnsupported) {
				t.Fatalf("%v, want %v", err, checkpoint.ErrTensor)
			}
			for _, word := range strings.Split(x.words, "|") {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v: want it to name %s", err, word)
				}
			}
		})
	}
}

// A state dict of TransformerLens may be raw, processed, or that of a model without norms.
func TestLens(t *testing.T) {
	raw := lensArrays(true)
	folded := lensArrays(false)
	without := func(arrays map[string][]int, name string) map[string][]int {
		other := map[string][]int{}
		for k, v := range arrays {
			if k != name {
				other[k] = v
			}
		}
		return other
	}
	with := func(arrays map[string][]int, name string, shape ...int) map[string][]int {
		other := without(arrays, name)
		other[name] = shape
		return other
	}
	for name, x := range map[string]struct {
		c      config
		arrays map[string][]int
		words  string
	}{
		"raw":                 {lensConfig(), raw, ""},
		"folded":              {lensConfig().With("normalization_type", "LNPre"), folded, ""},
		"no norm":             {lensConfig().With("normalization_type", nil), folded, ""},
		"configuration of HF": {familytest.Tiny("gpt2").With("n_positions", 48, "n_inner", 96), raw, ""},
		"buffers": {lensConfig(), with(with(raw, "blocks.0.attn.mask", 8, 8),
			"blocks.0.attn.IGNORE", 1), ""},
		"missing":               {lensConfig(), without(raw, "ln_final.b"), `"ln_final.b" missing`},
		"without the last norm": {lensConfig(), without(raw, "ln_final.w"), "unknown|LayerNorm folded"},
		"norms of none":         {lensConfig().With("normalization_type", nil), raw, "ln1|unknown"},
		"left over": {lensConfig(), with(raw, "blocks.3.ln1.b", 24),
			"blocks.3.ln1.b|unknown|not folded"},
		"shape":                    {lensConfig(), with(raw, "ln_final.b", 2, 12), "[2 12]|want [24]"},
		"heads":                    {lensConfig().With("d_head", 9), raw, "blocks.0.attn.W_|want [4 24 9]"},
		"a configuration of Llama": {familytest.Tiny("llama"), raw, "llama|model.npz"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text, err := json.Marshal(x.c)
			if err != nil {
				t.Fatal(err)
			}
			for file, content := range map[string][]byte{"config.json": text, "model.npz": npz(t, x.arrays)} {
				if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			m, err := openDir(t, dir)
			if x.words != "" {
				for _, word := range strings.Split(x.words, "|") {
					if err == nil || !strings.Contains(err.Error(), word) {
						t.Errorf("%v: want it to name %s", err, word)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if m.Sources.Folded != (name == "folded") || m.Spec.NoFinalNorm != (name == "no norm") ||
				m.Spec.Tied || !m.Spec.Bias.U {
				t.Errorf("folded %v, %+v", m.Sources.Folded, m.Spec)
			}
			if stored := m.Sources.FinalGain.Stored(); stored != (name != "folded" && name != "no norm") {
				t.Errorf("final gain stored: %v", stored)
			}
		})
	}
}

// lensArrays lists the shapes in the state dict of lensConfig.
func lensArrays(norms bool) map[string][]int {
	a := map[string][]int{"embed.W_E": {101, 24}, "pos_embed.W_pos": {48, 24}, "unembed.W_U": {24, 101},
		"unembed.b_U": {101}}
	for l := range 3 {
		b := fmt.Sprintf("blocks.%d.", l)
		for _, m := range []string{"Q", "K", "V"} {
			a[b+"attn.W_"+m], a[b+"attn.b_"+m] = []int{4, 24, 6}, []int{4, 6}
		}
		a[b+"attn.W_O"], a[b+"attn.b_O"] = []int{4, 6, 24}, []int{24}
		a[b+"mlp.W_in"], a[b+"mlp.b_in"], a[b+"mlp.W_out"], a[b+"mlp.b_out"] = []int{24,
			96}, []int{96}, []int{96, 24}, []int{24}
		if norms {
			for _, n := range []string{"ln1.w", "ln1.b", "ln2.w", "ln2.b"} {
				a[b+n] = []int{24}
			}
		}
	}
	if norms {
		a["ln_final.w"], a["ln_final.b"] = []int{24}, []int{24}
	}
	return a
}

// npz returns an archive of arrays of zeros.
func npz(tb testing.TB, arrays map[string][]int) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, shape := range arrays {
		w, err := z.Create(name + ".npy")
		if err != nil {
			tb.Fatal(err)
		}
		n, text := 1, ""
		for _, d := range shape {
			n *= d
			text += fmt.Sprintf("%d, ", d)
		}
		if text = strings.TrimSuffix(text, " "); len(shape) > 1 {
			text = strings.TrimSuffix(text, ",")
		}
		header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", text)
		header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
		file := append([]byte("\x93NUMPY\x01\x00"),
			binary.LittleEndian.AppendUint16(nil, uint16(len(header)))...)
		if _, err := w.Write(append(append(file, header...), make([]byte, 4*n)...)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}
