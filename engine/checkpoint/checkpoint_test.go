package checkpoint_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	reader "github.com/nlpodyssey/safetensors"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	c := fixture(t)
	// 1015*32 + 48*32 + 3*(12*32*32 + 13*32) + 2*32
	if got := c.Parameters(); got != 72192 {
		t.Errorf("%d parameters, want 72192", got)
	}
	// sha256sum of the file
	if got, err := c.SHA256(); err != nil || got != "96a8a85fb4331af009565ddfbd7d479efed052e40c9816fb86f20e7380d449bd" {
		t.Errorf("SHA-256 %s, %v", got, err)
	}
	if c.Form() != checkpoint.HuggingFace || c.Form().String() != "Hugging Face safetensors" || c.Metadata() != nil {
		t.Errorf("form %s, metadata %v", c.Form(), c.Metadata())
	}
	if got := string(c.Keys()["n_layer"]); got != "3" {
		t.Errorf("n_layer is %s, want 3", got)
	}
	if _, err := c.Tensor("h.3.ln_1.weight"); !errors.Is(err, checkpoint.ErrTensor) || !strings.Contains(err.Error(), "h.3.ln_1.weight") {
		t.Errorf("a tensor that is not there: %v", err)
	}
	if _, ok := c.Info("h.3.ln_1.weight"); ok || c.Has("h.3.ln_1.weight") {
		t.Error("a tensor that is not there is described")
	}
	info, ok := c.Info("h.2.mlp.c_fc.weight")
	want := checkpoint.Info{Name: "h.2.mlp.c_fc.weight", DType: info.DType, Shape: []int{32, 128}, Bytes: info.Bytes, File: "model.safetensors"}
	if !ok || !c.Has(info.Name) || !reflect.DeepEqual(info, want) || info.Elements() != 32*128 {
		t.Errorf("%+v, want %+v", info, want)
	}
}

// An independent reader sees the same tensors.
func TestOpenOracle(t *testing.T) {
	t.Parallel()
	c := fixture(t)
	file, err := os.ReadFile(filepath.Join(c.Path(), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := reader.Deserialize(file)
	if err != nil {
		t.Fatal(err)
	}
	if other.Len() != len(c.Infos()) {
		t.Errorf("%d tensors, want %d", len(c.Infos()), other.Len())
	}
	for _, info := range c.Infos() {
		v, err := c.Tensor(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := other.Tensor(info.Name); !ok || !bytes.Equal(o.Data(), v.Bytes()) {
			t.Errorf("%s differs", info.Name)
		}
	}
}

// Tensors do not depend on how they are split into files, and other files are ignored.
func TestFolders(t *testing.T) {
	t.Parallel()
	list, config := tensors(t)
	// One byte of something else moves every tensor off its alignment.
	odd := append([]stored{{"h.0.attn.masked_bias", "U8", []int{1}, []byte{0}}}, list...)
	index := map[string]map[string]string{"weight_map": {}}
	single := map[string]map[string]string{"weight_map": {}}
	var shards [2][]stored
	for i, s := range list {
		index["weight_map"][s.name] = []string{"a.safetensors", "b.safetensors"}[i%2]
		single["weight_map"][s.name] = "model.safetensors"
		shards[i%2] = append(shards[i%2], s)
	}
	text := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := safetensors(list)
	for name, folder := range map[string]files{
		"misaligned": {"config.json": config, "model.safetensors": safetensors(odd)},
		"shards": {"config.json": config, "model.safetensors.index.json": text(index),
			"a.safetensors": safetensors(shards[0]), "b.safetensors": safetensors(shards[1])},
		"Mistral's file beside shards": {"config.json": config, "model.safetensors.index.json": text(index),
			"a.safetensors": safetensors(shards[0]), "b.safetensors": safetensors(shards[1]), "consolidated.safetensors": []byte("other")},
		"index of a single file": {"config.json": config, "model.safetensors.index.json": text(single), "model.safetensors": good},
		"other files": {"config.json": config, "model.safetensors": good, "pytorch_model.bin": nil, "tf_model.h5": nil,
			"model.Q4_0.gguf": nil, "model.fp16.safetensors": nil, "params.json": nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := checkpoint.Open(folder.write(t))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, s := range list {
				v, err := c.Tensor(s.name)
				if err != nil {
					t.Fatal(err)
				}
				if string(v.DType) != s.dtype || !slices.Equal(v.Shape, s.shape) || !bytes.Equal(v.Bytes(), s.data) {
					t.Errorf("%s differs", s.name)
				}
			}
			for _, file := range c.Files() {
				if len(folder[file]) == 0 {
					t.Errorf("weight file %q is not in the folder", file)
				}
			}
		})
	}
}

// Arrays of an archive have their own names, shapes and types.
func TestLens(t *testing.T) {
	t.Parallel()
	members, config := lensArrays()
	c, err := checkpoint.Open(files{"config.json": config, "model.npz": npz(t, members)}.write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Form() != checkpoint.TransformerLens || !slices.Equal(c.Files(), []string{"model.npz"}) || len(c.Names()) != len(members) {
		t.Errorf("form %s, files %q, tensors %q", c.Form(), c.Files(), c.Names())
	}
	embedding, err := c.Tensor("embed.W_E")
	if err != nil {
		t.Fatal(err)
	}
	// Written column-major from 0/8 on: element [i, j] is (i + 5 j)/8.
	if got := checkpoint.Values[float64](embedding.Rows(2, 3)); !slices.Equal(got, []float64{2. / 8, 7. / 8, 12. / 8, 17. / 8}) {
		t.Errorf("row 2 of W_E is %v", got)
	}
	query, err := c.Tensor("blocks.0.attn.W_Q")
	if err != nil {
		t.Fatal(err)
	}
	second := query.Rows(1, 2)
	if got := checkpoint.Values[float32](second); !slices.Equal(second.Shape, []int{1, 4, 3}) || got[0] != 12./8 || got[11] != 23./8 {
		t.Errorf("head 1 of W_Q is %v %v", second.Shape, got)
	}
	if info, _ := c.Info("blocks.0.attn.b_Q"); info.DType != checkpoint.F16 || info.Bytes != 12 {
		t.Errorf("b_Q is %+v", info)
	}
	if _, err := c.Tensor("blocks.0.ln1.w"); !errors.Is(err, checkpoint.ErrUnsupported) || !strings.Contains(err.Error(), "F64") {
		t.Errorf("a tensor of float64: %v", err)
	}
	if v, err := c.Raw("blocks.0.attn.mask"); err != nil || v.DType != "BOOL" || len(v.Bytes()) != 64 {
		t.Errorf("the mask: %v, %v", v.DType, err)
	}
}

// Numbers that float32 cannot hold exactly are refused, with the names of the tensor and the type. They can
// still be read as bytes.
func TestTypesRefused(t *testing.T) {
	t.Parallel()
	for dtype, reason := range map[string]string{"F64": "round", "F8_E4M3": "scales", "F8_E5M2": "scales", "U8": "want F32", "I64": "want F32", "BOOL": "want F32", "C64": "want F32"} {
		size := map[string]int{"F64": 8, "I64": 8, "C64": 8}[dtype]
		data := bytes.Repeat([]byte{7}, 3*max(1, size))
		c, err := checkpoint.Open(files{"config.json": []byte("{}"), "model.safetensors": safetensors([]stored{{"mlp.blocks", dtype, []int{3}, data}})}.write(t))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Tensor("mlp.blocks")
		if !errors.Is(err, checkpoint.ErrUnsupported) || !strings.Contains(fmt.Sprint(err), "mlp.blocks") || !strings.Contains(err.Error(), dtype) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", dtype, err)
		}
		if v, err := c.Raw("mlp.blocks"); err != nil || !bytes.Equal(v.Bytes(), data) || v.Len() != 3 {
			t.Errorf("%s as bytes: %v, %v", dtype, v.Bytes(), err)
		}
		if c.Parameters() != 0 {
			t.Errorf("%s: %d parameters", dtype, c.Parameters())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A model stored in BF16 has its F32 numbers with the lower half of the bits cut off.
func TestBF16(t *testing.T) {
	t.Parallel()
	list, config := tensors(t)
	want := map[string][]float32{}
	for i, s := range list {
		if s.dtype != "F32" {
			continue
		}
		var half []byte
		for at := 0; at < len(s.data); at += 4 {
			half = append(half, s.data[at+2], s.data[at+3])
			bits := uint32(s.data[at+2])<<16 | uint32(s.data[at+3])<<24
			want[s.name] = append(want[s.name], math.Float32frombits(bits))
		}
		list[i].dtype, list[i].data = "BF16", half
	}
	c, err := checkpoint.Open(files{"config.json": config, "model.safetensors": safetensors(list)}.write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, values := range want {
		v, err := c.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := checkpoint.Values[float32](v); !slices.Equal(got, values) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestCheckFinite(t *testing.T) {
	t.Parallel()
	list, config := tensors(t)
	copy(list[3].data[8:], float32Bytes([]float32{float32(math.NaN())}))
	c, err := checkpoint.Open(files{"config.json": config, "model.safetensors": safetensors(list)}.write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, s := range list {
		v, err := c.Tensor(s.name)
		if err != nil {
			t.Fatal(err)
		}
		err = v.CheckFinite()
		if (err != nil) != (i == 3) || i == 3 && !strings.Contains(err.Error(), "element 2 is NaN") {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

// Every 16-bit pattern is judged by its value: alone, as the upper half of 32 bits with and without lower
// ones, at every place in a word, and among the odd numbers at the end.
func TestCheckFiniteOfEveryPattern(t *testing.T) {
	t.Parallel()
	for _, dtype := range []checkpoint.DType{checkpoint.F16, checkpoint.BF16, checkpoint.F32} {
		size := 2
		if dtype == checkpoint.F32 {
			size = 4
		}
		for bits := range 1 << 16 {
			place := bits % 7
			data := make([]byte, 7*size)
			for i := range data {
				data[i] = 0x7b // large and finite
			}
			at := data[place*size:]
			if size == 4 {
				at[0], at[1] = byte(bits&1), byte(bits&1)
			}
			at[size-2], at[size-1] = byte(bits), byte(bits>>8)
			v := checkpoint.ViewOf(dtype, data)
			value := checkpoint.Values[float64](v)[place]
			err := v.CheckFinite()
			if finite := !math.IsNaN(value) && !math.IsInf(value, 0); finite != (err == nil) {
				t.Fatalf("%s %#04x at %d is %v: %v", dtype, bits, place, value, err)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("element %d is %v,", place, value)) {
				t.Fatalf("%s %#04x at %d is %v: %v", dtype, bits, place, value, err)
			}
		}
	}
}

// Released pages can be read again, and neighbouring pages are not touched.
func TestRelease(t *testing.T) {
	t.Parallel()
	c := fixture(t)
	for _, info := range c.Infos() {
		v, err := c.Tensor(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(v.Bytes())
		v.Release(0, v.Len())
		v.Release(v.Len()/2, v.Len()/2)
		if !bytes.Equal(v.Bytes(), want) {
			t.Errorf("%s changed", info.Name)
		}
	}
	own := checkpoint.ViewOf(checkpoint.F32, bytes.Repeat([]byte{1}, 1<<16))
	own.Release(0, own.Len())
	if !bytes.Equal(own.Bytes(), bytes.Repeat([]byte{1}, 1<<16)) {
		t.Error("memory of our own was given back")
	}
}

func ExampleOpen() {
	c, err := checkpoint.Open(filepath.Join("..", "..", "testdata", "m2", "model"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Form(), "of", string(c.Keys()["n_layer"]), "layers")
	v, err := c.Tensor("h.0.attn.c_attn.weight")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Name, v.DType, v.Shape)
	// Output:
	// Hugging Face safetensors of 3 layers
	// h.0.attn.c_attn.weight F32 [32 96]
}

func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(refdata.M2(b), "model")
	for b.Loop() {
		c, err := checkpoint.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	c := fixture(b)
	for _, name := range []string{"wte.weight", "h.0.mlp.c_fc.weight"} {
		v, err := c.Tensor(name)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]float32, v.Len())
		b.Run(string(v.DType), func(b *testing.B) {
			b.SetBytes(int64(len(v.Bytes())))
			for b.Loop() {
				checkpoint.Copy(dst, v, 0)
			}
		})
	}
}
