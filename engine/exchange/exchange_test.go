package exchange_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/exchange"
	"ducklens/engine/exchange/exchangetest"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// sample is a folder of a model with QK-norm, rotation and a window, four prompts in two shards, one of them
// without a baseline.
func sample(tb testing.TB) *exchangetest.Folder { return sampleOf(tb, exchange.Vectors) }

func sampleOf(tb testing.TB, form string) *exchangetest.Folder {
	tb.Helper()
	opened := modeltest.OpenFamily(tb, familytest.Tiny("gemma3_text"), 1)
	m := modeltest.Load[float64](tb, opened, "gonum", schema.Raw, 1)
	var examples []schema.Example
	for i := range 4 {
		x := schema.Example{PromptIndex: i, Query: 6 + i, Key: 4 + i, Baseline: 5 + i}
		if i == 3 {
			x.Baseline = schema.NoPosition
		}
		for j := range 11 {
			x.Tokens = append(x.Tokens, schema.Token{ID: 3*i + j, Text: fmt.Sprint("t", j)})
		}
		examples = append(examples, x)
	}
	zeros := strings.Repeat("0", 64)
	about := schema.Model{Name: "sample", Family: "gemma3_text", SHA256: zeros, ConfigSHA: zeros, Norm: "RMS", Activation: "gelu_new"}
	return exchangetest.Of(tb, m, about, false, []schema.Head{{Layer: 2, Index: 1}, {Layer: 1, Index: 3}}, form, examples)
}

func written(tb testing.TB, f *exchangetest.Folder) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := f.Write(dir); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// readAll opens a folder and reads every prompt of it.
func readAll(dir string) (err error) {
	f, err := exchange.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for i := range f.Prompts {
		if f.Run.Precision == "float64" {
			err = readPrompt[float64](f, i)
		} else {
			err = readPrompt[float32](f, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readPrompt asks a prompt for all that an analysis may ask it for.
func readPrompt[T exchange.Float](f *exchange.Folder, number int) (err error) {
	a, err := exchange.Load[T](f, number)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	s, p, stop := f.Spec, &f.Prompts[number], 0
	for _, h := range f.Heads {
		stop = max(stop, h.Layer)
	}
	rows := make([]T, f.Layout.Below(stop)*s.DModel)
	for pos := range p.Tokens {
		place := p.Place(pos)
		if place < 0 {
			continue
		}
		a.Vectors(place, stop, rows)
		for number, c := range f.MadeHeads() {
			a.Values(place, number, make([]T, s.DHead))
			of := f.Layout.Components()[c]
			exchange.WO[T](f, schema.Head{Layer: of.Layer, Index: of.Head})
			exchange.PostGain[T](f, of.Layer)
			exchange.BO[T](f, of.Layer)
		}
		for _, h := range f.Heads {
			a.Scores(h, place)
			a.Stream(h.Layer, place)
			a.Turn(h.Layer, place)
			a.Q(h, place)
			a.K(h, place)
			a.QScale(h, place)
			a.KScale(h, place)
			a.NormScale(h.Layer, place)
		}
		for l := range stop {
			a.PostScales(l, place)
		}
	}
	for _, h := range f.Heads {
		exchange.HeadMaps[T](f, h)
	}
	return nil
}

func TestFolder(t *testing.T) {
	t.Parallel()
	s := sample(t)
	f, err := exchange.Open(written(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Prompts) != 4 || f.Prompts[2].Tokens[1].Text != "t1" || f.Prompts[3].Edges[0].Baseline != schema.NoPosition {
		t.Errorf("prompts %+v", f.Prompts)
	}
	// Shards are opened as they are asked for, in any order, and more than are open at a time.
	for _, i := range []int{3, 0, 2, 1, 3} {
		a, err := exchange.Load[float64](f, i)
		if err != nil {
			t.Fatal(err)
		}
		want := s.Shards[i/3][fmt.Sprintf("%d/components", i)]
		rows, d := want.Shape[1], want.Shape[2]
		got := make([]float64, rows*d)
		if a.Vectors(1, 2, got); !slices.Equal(got, want.Numbers[rows*d:2*rows*d]) {
			t.Errorf("prompt %d: the vectors at the second place are not those that were written", i)
		}
		query := f.Prompts[i].Edges[0].Query
		if first, scores := a.Scores(schema.Head{Layer: 1, Index: 3}, f.Prompts[i].Place(query)); first+len(scores) != query+1 || first == 0 {
			t.Errorf("prompt %d: %d scores from %d on", i, len(scores), first)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := exchange.Load[float64](f, 4); !errors.Is(err, exchange.ErrFolder) {
		t.Error("prompt 4 of 4:", err)
	}
}

// Components that are listed are where they belong, the others zero.
func TestActive(t *testing.T) {
	t.Parallel()
	s := sample(t)
	dense := s.Shards[0]["1/components"]
	rows, d := dense.Shape[1], dense.Shape[2]
	s.Shards[0]["1/active"] = exchangetest.Tensor{Shape: []int{2}, Integers: []int64{2, 7}}
	kept := exchangetest.Tensor{Shape: []int{3, 2, d}}
	for place := range 3 {
		for _, c := range []int{2, 7} {
			kept.Numbers = append(kept.Numbers, dense.Numbers[(place*rows+c)*d:][:d]...)
		}
	}
	s.Shards[0]["1/components"] = kept
	f, err := exchange.Open(written(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := exchange.Load[float64](f, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for place := range 3 {
		all := make([]float64, rows*d)
		a.Vectors(place, 2, all)
		for i, v := range all {
			want := 0.0
			if c := i / d; c == 2 || c == 7 {
				want = dense.Numbers[place*rows*d+i]
			}
			if v != want {
				t.Fatalf("place %d, component %d is %v, want %v", place, i/d, v, want)
			}
		}
	}
}

// Whatever is wrong with a folder is refused with the reason.
func TestHostile(t *testing.T) {
	t.Parallel()
	number := func(n int) *int { return &n }
	edge := func(f *exchangetest.Folder, prompt int) map[string]any {
		return f.Prompts[prompt]["edges"].([]map[string]any)[0]
	}
	shard := func(name string, change func(t *exchangetest.Tensor)) func(*exchangetest.Folder) {
		return func(f *exchangetest.Folder) {
			for _, s := range []map[string]exchangetest.Tensor{f.Shards[0], f.Weights} {
				if x, ok := s[name]; ok {
					change(&x)
					s[name] = x
					return
				}
			}
			panic(name)
		}
	}
	for _, c := range []struct {
		name, want string
		change     func(f *exchangetest.Folder)
	}{
		{"other format", `format "safetensors"`, func(f *exchangetest.Folder) { f.Run.Format = "safetensors" }},
		{"later version", "version 3", func(f *exchangetest.Folder) { f.Run.Version = 3 }},
		{"earlier version", "version 1", func(f *exchangetest.Folder) { f.Run.Version = 1 }},
		{"form", `form is "squares"`, func(f *exchangetest.Folder) { f.Run.Form = "squares" }},
		{"vectors that are parts", `no tensor "L0/W_O"`, func(f *exchangetest.Folder) { f.Run.Form = exchange.Parts }},
		{"no layers", "n_layers is 0", func(f *exchangetest.Folder) { f.Run.Model.Layers = 0 }},
		{"many heads", "n_heads is 1099511627776", func(f *exchangetest.Folder) { f.Run.Model.Heads = 1 << 40 }},
		{"groups", "multiple of n_kv_heads", func(f *exchangetest.Folder) { f.Run.Model.KVHeads = 3 }},
		{"wide", "d_model is 131073", func(f *exchangetest.Folder) { f.Run.Model.DModel = 1<<17 + 1 }},
		{"no sum", "want a SHA-256", func(f *exchangetest.Folder) { f.Run.Model.SHA256 = "abc" }},
		{"norm", `norm.kind is "batch"`, func(f *exchangetest.Folder) { f.Run.Norm.Kind = "batch" }},
		{"epsilon", "epsilon of a norm is -1", func(f *exchangetest.Folder) { f.Run.Norm.Eps = -1 }},
		{"scale", "attention.scale is 0", func(f *exchangetest.Folder) { f.Run.Attention.Scale = 0 }},
		{"cap", "soft_cap is -2", func(f *exchangetest.Folder) { f.Run.Attention.SoftCap = -2 }},
		{"windows", "windows has 1 entries", func(f *exchangetest.Folder) { f.Run.Attention.Windows = []int{3} }},
		{"window", "windows[0] is -3", func(f *exchangetest.Folder) { f.Run.Attention.Windows = []int{-3, 0, 0} }},
		{"rotation", "rotary_dims[1] is 5", func(f *exchangetest.Folder) { f.Run.Attention.RotaryDims = []int{8, 5, 8} }},
		{"wide rotation", "rotary_dims[1] is 10", func(f *exchangetest.Folder) { f.Run.Attention.RotaryDims = []int{8, 10, 8} }},
		{"QK-norm", `qk_norm is "yes"`, func(f *exchangetest.Folder) { f.Run.Attention.QKNorm = "yes" }},
		{"no components", "0 components", func(f *exchangetest.Folder) { f.Run.Components = nil }},
		{"component twice", "components[1] is components[0] once more", func(f *exchangetest.Folder) { f.Run.Components[1] = f.Run.Components[0] }},
		{"component of no layer", "want a layer from 0 to 2", func(f *exchangetest.Folder) { f.Run.Components[1].Layer = nil }},
		{"component of a later layer", "want a layer from 0 to 2", func(f *exchangetest.Folder) { f.Run.Components[1].Layer = number(3) }},
		{"head of no layer", "want a head from 0 to 3", func(f *exchangetest.Folder) { f.Run.Components[1].Head = number(-1) }},
		{"order", "want the order in which they write", func(f *exchangetest.Folder) { f.Run.Components[1].Layer = number(2) }},
		{"bias", "want what writes into the stream", func(f *exchangetest.Folder) { f.Run.Components[0].Kind = "q_bias" }},
		{"kind", "component kind", func(f *exchangetest.Folder) { f.Run.Components[0].Kind = "<script>" }},
		{"named head", "with a label or a source", func(f *exchangetest.Folder) { f.Run.Components[1].Label = "mine" }},
		{"nameless feature", "with a label of 0 bytes", func(f *exchangetest.Folder) {
			f.Run.Components[1] = exchange.Component{Kind: "feature", Layer: number(0)}
		}},
		{"nothing below", "no component writes before layer", func(f *exchangetest.Folder) {
			f.Run.Components = []exchange.Component{{Kind: "mlp", Layer: number(2)}}
		}},
		{"head", "the model has 3 layers of 4 heads", func(f *exchangetest.Folder) { f.Run.Heads[0] = "3.0" }},
		{"head twice", "is given twice", func(f *exchangetest.Folder) { f.Run.Heads[0] = f.Run.Heads[1] }},
		{"no heads", "0 heads", func(f *exchangetest.Folder) { f.Run.Heads = nil }},
		{"token", "has id 101", func(f *exchangetest.Folder) { f.Prompts[1]["tokens"].([]int)[0] = 101 }},
		{"key behind query", "query 7, key 9", func(f *exchangetest.Folder) { edge(f, 1)["key"] = 9 }},
		{"query behind the end", "query 11", func(f *exchangetest.Folder) { edge(f, 1)["query"] = 11 }},
		{"baseline before the beginning", "baseline -1", func(f *exchangetest.Folder) { edge(f, 1)["baseline"] = -1 }},
		{"outside of the window", "sees positions 4 to 9", func(f *exchangetest.Folder) { edge(f, 3)["key"] = 3 }},
		{"no query", "query or key is missing", func(f *exchangetest.Folder) { delete(edge(f, 0), "query") }},
		{"no edges", "no edges, and the prompt is not whole", func(f *exchangetest.Folder) { delete(f.Prompts[0], "edges") }},
		{"edges", "cannot unmarshal", func(f *exchangetest.Folder) { f.Prompts[0]["edges"] = 3 }},
		{"unknown key of an edge", `unknown field "of"`, func(f *exchangetest.Folder) { edge(f, 0)["of"] = 3 }},
		{"one more edge", `tensor "0/components"`, func(f *exchangetest.Folder) {
			delete(f.Weights, "unembed/tokens")
			f.Prompts[0]["edges"] = append(f.Prompts[0]["edges"].([]map[string]any), map[string]any{"query": 3, "key": 1})
		}},
		{"whole", `tensor "0/components"`, func(f *exchangetest.Folder) {
			delete(f.Weights, "unembed/tokens")
			f.Prompts[0]["whole"] = true
		}},
		{"whole without rows of W_U", "does not have token 0", func(f *exchangetest.Folder) { f.Prompts[0]["whole"] = true }},
		{"texts", "2 token_texts of 11 tokens", func(f *exchangetest.Folder) { f.Prompts[0]["token_texts"] = []string{"a", "b"} }},
		{"unknown key", `unknown field "answer"`, func(f *exchangetest.Folder) { f.Prompts[0]["answer"] = 1 }},
		{"fields", "fields is no JSON object", func(f *exchangetest.Folder) { f.Prompts[0]["fields"] = []int{1} }},
		{"fewer prompts", "3 lines, want 4", func(f *exchangetest.Folder) { f.Prompts = f.Prompts[:3] }},
		{"more prompts", "more than 4 lines", func(f *exchangetest.Folder) { f.Prompts = append(f.Prompts, f.Prompts[0]) }},
		{"no map", `no tensor "L2H1/W_Q"`, func(f *exchangetest.Folder) { delete(f.Weights, "L2H1/W_Q") }},
		{"map", `want F64 and [24 8]`, shard("L1H3/W_K", func(t *exchangetest.Tensor) { t.Shape = []int{8, 24} })},
		{"rows of W_U", "unembed/rows", shard("unembed/rows", func(t *exchangetest.Tensor) { t.Shape = []int{12, len(t.Numbers) / 12} })},
		{"token of W_U", "has token 4000", shard("unembed/tokens", func(t *exchangetest.Tensor) { t.Integers[0] = 4000 })},
		{"lost token of W_U", "does not have token", shard("unembed/tokens", func(t *exchangetest.Tensor) { t.Integers[0] = 100 })},
		{"no components of a prompt", `no tensor "1/components"`, func(f *exchangetest.Folder) { delete(f.Shards[0], "1/components") }},
		{"components", `tensor "1/components" has type F64`, shard("1/components", func(t *exchangetest.Tensor) { t.Shape = []int{1, t.Shape[1], t.Shape[2] * 3} })},
		{"NaN", "is NaN", shard("2/stream", func(t *exchangetest.Tensor) { t.Numbers[5] = math.NaN() })},
		{"infinite", "is +Inf", shard("0/scores", func(t *exchangetest.Tensor) { t.Numbers[5] = math.Inf(1) })},
		{"scale of 0", "want a number above 0", shard("0/norm_scale", func(t *exchangetest.Tensor) { t.Numbers[1] = 0 })},
		{"QK scale", "want a number above 0", shard("0/k_scale", func(t *exchangetest.Tensor) { t.Numbers[1] = -1 })},
		{"short row", `"0/scores"`, shard("0/scores", func(t *exchangetest.Tensor) { t.Shape, t.Numbers = []int{2, 3, 2}, t.Numbers[:12] })},
		{"active", "ascending", func(f *exchangetest.Folder) {
			f.Shards[0]["0/active"] = exchangetest.Tensor{Shape: []int{2}, Integers: []int64{3, 3}}
		}},
		{"active beyond", "want components from 0 to", func(f *exchangetest.Folder) {
			f.Shards[0]["0/active"] = exchangetest.Tensor{Shape: []int{1}, Integers: []int64{1 << 40}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := sample(t)
			c.change(f)
			if err := readAll(written(t, f)); err == nil || !errors.Is(err, exchange.ErrFolder) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want one of %q with %q", err, exchange.ErrFolder, c.want)
			}
		})
	}
}

// What is wrong with weighted values and the weights that they meet is refused as well.
func TestHostileParts(t *testing.T) {
	t.Parallel()
	reshape := func(name string, shape ...int) func(*exchangetest.Folder) {
		return func(f *exchangetest.Folder) {
			for _, s := range []map[string]exchangetest.Tensor{f.Shards[0], f.Weights} {
				if _, ok := s[name]; ok {
					n := 1
					for _, d := range shape {
						n *= d
					}
					s[name] = exchangetest.Tensor{Shape: shape, Numbers: make([]float64, n)}
					return
				}
			}
			panic(name)
		}
	}
	spoil := func(name string, to float64) func(*exchangetest.Folder) {
		return func(f *exchangetest.Folder) {
			for _, s := range []map[string]exchangetest.Tensor{f.Shards[0], f.Weights} {
				if x, ok := s[name]; ok {
					x.Numbers[len(x.Numbers)/2] = to
				}
			}
		}
	}
	if err := readAll(written(t, sampleOf(t, exchange.Parts))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		change     func(f *exchangetest.Folder)
	}{
		{"no W_O", `no tensor "L1/W_O"`, func(f *exchangetest.Folder) { delete(f.Weights, "L1/W_O") }},
		{"W_O of one head", `want F64 and [4 8 24]`, reshape("L0/W_O", 1, 8, 24)},
		{"turned W_O", `want F64 and [4 8 24]`, reshape("L0/W_O", 4, 24, 8)},
		{"W_O of NaN", "is NaN", spoil("L1/W_O", math.NaN())},
		{"gain", `tensor "L0/post_gain"`, reshape("L0/post_gain", 8)},
		{"infinite gain", "is +Inf", spoil("L0/post_gain", math.Inf(1))},
		{"no values", `no tensor "1/values"`, func(f *exchangetest.Folder) { delete(f.Shards[0], "1/values") }},
		{"values of fewer heads", `tensor "1/values"`, reshape("1/values", 3, 4, 8)},
		{"wide values", `tensor "1/values"`, reshape("1/values", 3, 8, 24)},
		{"infinite values", "is -Inf", spoil("1/values", math.Inf(-1))},
		{"vectors of heads", `tensor "0/components"`, reshape("0/components", 3, 11, 24)},
		{"active head", "is 0.1: in the form parts that is made of its parts", func(f *exchangetest.Folder) {
			f.Shards[0]["0/active"] = exchangetest.Tensor{Shape: []int{2}, Integers: []int64{0, 2}}
		}},
		{"more active than there are", `"0/active" has shape [4]`, func(f *exchangetest.Folder) {
			f.Shards[0]["0/active"] = exchangetest.Tensor{Shape: []int{4}, Integers: []int64{0, 5, 10, 10}}
		}},
		{"post scale", "want a number above 0", spoil("0/post_scale", -1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := sampleOf(t, exchange.Parts)
			c.change(f)
			if err := readAll(written(t, f)); err == nil || !errors.Is(err, exchange.ErrFolder) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want one of %q with %q", err, exchange.ErrFolder, c.want)
			}
		})
	}
}

// Files that lie elsewhere, are no files, or are not those that were written.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	rename := func(dir, from, to string) error {
		text, err := os.ReadFile(filepath.Join(dir, "run.json"))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "run.json"), bytes.Replace(text, []byte(from), []byte(to), 1), 0o644)
	}
	for _, c := range []struct {
		name, want string
		change     func(dir string) error
	}{
		{"no description", "run.json", func(dir string) error { return os.Remove(filepath.Join(dir, "run.json")) }},
		{"no JSON", "run.json", func(dir string) error { return os.WriteFile(filepath.Join(dir, "run.json"), []byte("{"), 0o644) }},
		{"not UTF-8", "UTF-8", func(dir string) error { return os.WriteFile(filepath.Join(dir, "run.json"), []byte("\xff"), 0o644) }},
		{"path upwards", "want a name without a folder", func(dir string) error { return rename(dir, "shard-00000.safetensors", "../shard-00000.safetensors") }},
		{"path from the root", "want a name without a folder", func(dir string) error { return rename(dir, "weights.safetensors", "/etc/passwd") }},
		{"path of Windows", "want a name without a folder", func(dir string) error { return rename(dir, "prompts.jsonl", `c:\\prompts.jsonl`) }},
		{"hidden", "want a name without a folder", func(dir string) error { return rename(dir, "prompts.jsonl", ".prompts.jsonl") }},
		{"one for two", "is named twice", func(dir string) error { return rename(dir, "shard-00000.safetensors", "weights.safetensors") }},
		{"link", "is a link", func(dir string) error {
			full := filepath.Join(dir, "shard-00001.safetensors")
			return errors.Join(os.Rename(full, full+"2"), os.Symlink(full+"2", full))
		}},
		{"folder", "is a folder", func(dir string) error {
			full := filepath.Join(dir, "weights.safetensors")
			return errors.Join(os.Remove(full), os.Mkdir(full, 0o755))
		}},
		{"changed prompts", "it was changed or cut", func(dir string) error {
			full := filepath.Join(dir, "prompts.jsonl")
			text, err := os.ReadFile(full)
			return errors.Join(err, os.WriteFile(full, bytes.Replace(text, []byte("t3"), []byte("t4"), 1), 0o644))
		}},
		{"changed number", "it was changed or cut", func(dir string) error {
			full := filepath.Join(dir, "shard-00001.safetensors")
			text, err := os.ReadFile(full)
			text[len(text)-3] ^= 1
			return errors.Join(err, os.WriteFile(full, text, 0o644))
		}},
		{"unknown key", "unknown field", func(dir string) error { return rename(dir, `"processing"`, `"more": 1, "processing"`) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := written(t, sample(t))
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			if err := readAll(dir); err == nil || !errors.Is(err, exchange.ErrFolder) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want one of %q with %q", err, exchange.ErrFolder, c.want)
			}
		})
	}
}

// Whatever bytes are changed, with sums that fit: no panic, and no memory that the folder's size does not
// explain.
func TestAnyBytes(t *testing.T) {
	t.Parallel()
	for _, form := range []string{exchange.Vectors, exchange.Parts} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			anyBytes(t, written(t, sampleOf(t, form)))
		})
	}
}

func anyBytes(t *testing.T, dir string) {
	names := []string{"run.json", "prompts.jsonl", "weights.safetensors", "shard-00000.safetensors", "shard-00001.safetensors"}
	files := map[string][]byte{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	rapid.Check(t, func(t *rapid.T) {
		other, err := os.MkdirTemp("", "exchange")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(other)
		changed := rapid.SampledFrom(names).Draw(t, "file")
		text := bytes.Clone(files[changed])
		header := len(text)
		if strings.HasSuffix(changed, ".safetensors") {
			header = min(header, 3000)
		}
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			text[rapid.IntRange(0, header-1).Draw(t, "at")] = rapid.SampledFrom([]byte("09-1e,:]}[{\" .\x00\xff")).Draw(t, "byte")
		}
		if rapid.Bool().Draw(t, "cut") {
			text = text[:rapid.IntRange(0, len(text)).Draw(t, "length")]
		}
		run := files["run.json"]
		if changed == "run.json" {
			run = text
		} else {
			sum := func(b []byte) []byte { s := sha256.Sum256(b); return []byte(hex.EncodeToString(s[:])) }
			run = bytes.Replace(run, sum(files[changed]), sum(text), 1)
		}
		for _, name := range names {
			data := files[name]
			switch name {
			case changed:
				data = text
			case "run.json":
				data = run
			}
			if err := os.WriteFile(filepath.Join(other, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := readAll(other); err != nil && !errors.Is(err, exchange.ErrFolder) {
			t.Errorf("%v, want an %v", err, exchange.ErrFolder)
		}
	})
}
