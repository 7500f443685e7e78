package checkpoint_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/checkpoint/gguf"
	"ducklens/engine/checkpoint/gguf/gguftest"
	reference "ducklens/engine/internal/npy"
)

// shared gives the path of reference data that lie beside the checkout, and skips where they do not.
func shared(tb testing.TB, path ...string) string {
	tb.Helper()
	p := filepath.Join(append([]string{"..", "..", "..", "shared"}, path...)...)
	if _, err := os.Stat(p); err != nil {
		tb.Skip("no reference data:", err)
	}
	return p
}

// Every type widens to the numbers that the gguf library gives, bit for bit.
func TestTypes(t *testing.T) {
	t.Parallel()
	c, err := checkpoint.Open(shared(t, "models", "gguf-types", "types.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want, err := reference.OpenArchive(shared(t, "models", "gguf-types", "types.npz"))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if len(want.Names()) != 16 || len(c.Names()) != 16 {
		t.Errorf("%d and %d tensors, want 16", len(c.Names()), len(want.Names()))
	}
	for _, name := range want.Names() {
		a, err := want.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		x, err := a.Float64s()
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.Tensor("t." + name)
		if err != nil {
			t.Fatal(err)
		}
		if string(v.DType) != name {
			t.Errorf("type %s, want %s", v.DType, name)
		}
		for i, got := range checkpoint.Values[float32](v) {
			if math.Float32bits(got) != math.Float32bits(float32(x[i])) {
				t.Errorf("%s[%d] is %v, want %v", name, i, got, x[i])
				break
			}
		}
	}
}

// A GGUF is opened by its name, by any of its parts, by its folder, and without a name that tells it.
func TestOpenGGUF(t *testing.T) {
	t.Parallel()
	whole := gguftest.File{
		Keys:    []gguftest.Key{{Name: "general.architecture", Value: "llama"}},
		Tensors: []gguftest.Tensor{matrix("a", 3), matrix("b", 3)},
	}.Bytes()
	first, second := "m-00001-of-00002.gguf", "m-00002-of-00002.gguf"
	parts := files{first: part(0, 2, 2, "a"), second: part(1, 2, 2, "b"), "README.md": nil}
	for name, c := range map[string]struct {
		folder files
		open   string
		files  []string
	}{
		"file":          {files{"m.gguf": whole, "n.gguf": nil, "config.json": nil}, "m.gguf", []string{"m.gguf"}},
		"folder":        {files{"m.gguf": whole, "README.md": nil}, "", []string{"m.gguf"}},
		"no extension":  {files{"sha256-1": whole}, "sha256-1", []string{"sha256-1"}},
		"first part":    {parts, first, []string{first, second}},
		"second part":   {parts, second, []string{first, second}},
		"part's folder": {parts, "", []string{first, second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(c.folder.write(t), c.open)
			model, err := checkpoint.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			if model.Path() != path || model.Form() != checkpoint.GGUF || model.Keys() != nil || model.ConfigJSON() != nil {
				t.Errorf("path %s, form %s, keys %v", model.Path(), model.Form(), model.Keys())
			}
			if architecture, _ := model.Metadata().Text("general.architecture"); architecture != "llama" {
				t.Errorf("architecture %q", architecture)
			}
			if !slices.Equal(model.Files(), c.files) || !slices.Equal(model.Names(), []string{"a", "b"}) {
				t.Errorf("files %q, tensors %q", model.Files(), model.Names())
			}
			v, err := model.Tensor("b")
			if err != nil {
				t.Fatal(err)
			}
			if got := checkpoint.Values[float64](v.Rows(1, 2)); !slices.Equal(got, []float64{'b' + 2, 'b' + 3}) {
				t.Errorf("row 1 is %v", got)
			}
			var content []byte
			for _, f := range c.files {
				content = append(content, c.folder[f]...)
			}
			if sha, err := model.SHA256(); err != nil || sha != fmt.Sprintf("%x", sha256.Sum256(content)) {
				t.Errorf("SHA-256 %s, %v", sha, err)
			}
		})
	}
	path := filepath.Join(files{"m.gguf": whole, "x.txt": []byte("GG")}.write(t), "x.txt")
	if _, err := checkpoint.Open(path); !errors.Is(err, checkpoint.ErrNoCheckpoint) {
		t.Errorf("a text: %v", err)
	}
}

// A view of blocks gives the same numbers from any element on, in rows and at any width.
func TestBlocks(t *testing.T) {
	t.Parallel()
	for _, kind := range []gguf.Type{gguf.Q4_1, gguf.Q5_0, gguf.Q6_K, gguf.IQ4_XS, gguf.MXFP4} {
		elements, size := kind.Block()
		data := make([]byte, 6*size) // 3 rows of 2 blocks
		for i := range data {
			data[i] = byte(i*7+i/size) & 0x3b // no exponent of ones
		}
		file := gguftest.File{Tensors: []gguftest.Tensor{{Name: "t", Type: kind, Shape: []int{3, 2 * elements}, Data: data}}}.Bytes()
		c, err := checkpoint.Open(files{"t.gguf": file}.write(t))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		v, err := c.Tensor("t")
		if err != nil {
			t.Fatal(err)
		}
		if err := v.CheckFinite(); err != nil {
			t.Error(err)
		}
		v.Release(0, v.Len())
		all := make([]float32, 6*elements)
		gguf.Widen(kind, all, data)
		wide := checkpoint.Values[float64](v)
		for i, x := range all {
			if wide[i] != float64(x) {
				t.Fatalf("%s[%d] is %v, want %v", kind, i, wide[i], x)
			}
		}
		if got := checkpoint.Values[float32](v.Rows(1, 3)); !slices.Equal(got, all[2*elements:]) {
			t.Errorf("%s: rows 1 and 2 differ", kind)
		}
		for _, span := range [][2]int{{0, 1}, {1, 2}, {elements - 1, elements + 1}, {3, elements}, {elements, 3 * elements}, {5, 6*elements - 7}, {elements, elements}, {6 * elements, 6 * elements}} {
			narrow, wide := make([]float32, span[1]-span[0]), make([]float64, span[1]-span[0])
			checkpoint.Copy(narrow, v, span[0])
			checkpoint.Copy(wide, v, span[0])
			for i, x := range all[span[0]:span[1]] {
				if narrow[i] != x || wide[i] != float64(x) {
					t.Fatalf("%s: element %d from %d on is %v and %v, want %v", kind, i, span[0], narrow[i], wide[i], x)
				}
			}
		}
	}
}

// CheckFinite finds the first number in blocks that is not finite, in a later block as well.
func TestCheckFiniteOfBlocks(t *testing.T) {
	t.Parallel()
	q8 := make([]byte, 3*34)
	q8[34+1], q8[34+2+5] = 0x7c, 1 // block 1 has an infinite scale
	mxfp4 := make([]byte, 2*17)
	mxfp4[0], mxfp4[17], mxfp4[17+1+4] = 255, 255, 0x70 // 12 * 2^127 at place 16 + 4; the first block has zeros
	for dtype, c := range map[checkpoint.DType]struct {
		data []byte
		want string
	}{
		"Q8_0":  {q8, "element 32 is NaN"},
		"MXFP4": {mxfp4, "element 52 is +Inf"},
	} {
		err := checkpoint.ViewOf(dtype, c.data).CheckFinite()
		if !errors.Is(err, checkpoint.ErrTensor) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", dtype, err, c.want)
		}
	}
}

// The real model opens, and every one of its numbers widens.
func TestSmolLM2(t *testing.T) {
	t.Parallel()
	c, err := checkpoint.Open(shared(t, "models", "smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if sha, err := c.SHA256(); err != nil || sha != "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" { // of its README
		t.Errorf("SHA-256 %s, %v", sha, err)
	}
	if tokens, _ := c.Metadata().Texts("tokenizer.ggml.tokens"); len(tokens) != 49152 {
		t.Errorf("%d tokens, want 49152", len(tokens))
	}
	if eps, _ := c.Metadata().Float("llama.attention.layer_norm_rms_epsilon"); eps != 9.999999747378752e-06 { // of its README
		t.Errorf("eps is %v", eps)
	}
	embedding, ok := c.Info("token_embd.weight")
	if !ok || embedding.DType != "Q8_0" || !slices.Equal(embedding.Shape, []int{49152, 576}) {
		t.Errorf("embedding %+v", embedding)
	}
	row := make([]float32, 576)
	for _, name := range c.Names() {
		v, err := c.Tensor(name)
		if err == nil {
			err = v.CheckFinite()
		}
		if err != nil {
			t.Fatal(err)
		}
		checkpoint.Copy(row, v, v.Len()-len(row))
		if !slices.ContainsFunc(row, func(x float32) bool { return x != 0 }) {
			t.Errorf("the last numbers of %s are 0", name)
		}
	}
}
