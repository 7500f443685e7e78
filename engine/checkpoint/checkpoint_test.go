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
	want := checkpoint.Config{Architecture: "GPT2LMHeadModel", NLayers: 3, NHeads: 4, DModel: 32, DMLP: 128, NCtx: 48, DVocab: 1015,
		LNEps: 1e-4, Activation: "gelu_new", BOS: 1014, EOS: 1014, Tied: true}
	if got := c.Config(); got != want {
		t.Errorf("config %+v, want %+v", got, want)
	}
	if got := c.Config().DHead(); got != 8 {
		t.Errorf("d_head %d, want 8", got)
	}
	// 1015*32 + 48*32 + 3*(12*32*32 + 13*32) + 2*32
	if got := c.Parameters(); got != 72192 {
		t.Errorf("%d parameters, want 72192", got)
	}
	// sha256sum of the file
	if got, err := c.SHA256(); err != nil || got != "96a8a85fb4331af009565ddfbd7d479efed052e40c9816fb86f20e7380d449bd" {
		t.Errorf("SHA-256 %s, %v", got, err)
	}
	if c.Folded() || c.Form() != "Hugging Face safetensors" {
		t.Errorf("form %q, folded %v", c.Form(), c.Folded())
	}
	if _, err := c.Tensor("h.3.ln_1.weight"); !errors.Is(err, checkpoint.ErrTensor) {
		t.Errorf("a tensor that is not there: %v", err)
	}
	if b, err := c.UnembeddingBias(); err != nil || b.Len() != 0 {
		t.Errorf("unembedding bias of %d elements, %v", b.Len(), err)
	}
}

// An independent reader sees the same tensors.
func TestOpenOracle(t *testing.T) {
	t.Parallel()
	c := fixture(t)
	file, err := os.ReadFile(filepath.Join(c.Dir(), "model.safetensors"))
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

// The same model in every form gives the same numbers.
func TestForms(t *testing.T) {
	t.Parallel()
	list, config := tensors(t)
	names := make([]string, len(list))
	prefixed, odd := slices.Clone(list), slices.Clone(list)
	for i := range list {
		names[i] = list[i].name
		prefixed[i].name = "transformer." + list[i].name
	}
	// Masks and a tied head, as the official files have them; the head widened, so that types differ.
	mask := stored{"transformer.h.1.attn.bias", "F32", []int{1, 1, 48, 48}, make([]byte, 48*48*4)}
	wide := fixture(t)
	wte, err := wide.Tensor("wte.weight")
	if err != nil {
		t.Fatal(err)
	}
	head := stored{"lm_head.weight", "F32", wte.Shape, float32Bytes(checkpoint.Values[float32](wte))}
	prefixed = append(prefixed, mask, head)
	// One byte of something else moves every tensor off its alignment.
	odd = append([]stored{{"h.0.attn.masked_bias", "U8", []int{1}, []byte{0}}}, odd...)
	index := map[string]map[string]string{"weight_map": {}}
	for i, s := range list {
		index["weight_map"][s.name] = []string{"a.safetensors", "b.safetensors"}[i%2]
	}
	var shards [2][]stored
	for i, s := range list {
		shards[i%2] = append(shards[i%2], s)
	}
	text, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	lens, _ := lensArrays(t)
	for name, folder := range map[string]files{
		"prefix":     {"config.json": config, "model.safetensors": safetensors(prefixed)},
		"misaligned": {"config.json": config, "model.safetensors": safetensors(odd)},
		"shards": {"config.json": config, "model.safetensors.index.json": text,
			"a.safetensors": safetensors(shards[0]), "b.safetensors": safetensors(shards[1])},
		"TransformerLens": {"config.json": config, "model.npz": npz(t, lens)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := checkpoint.Open(folder.write(t))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			sameModel(t, c, fixture(t), names)
			if c.Folded() {
				t.Error("raw weights are called folded")
			}
			for _, file := range c.Files() {
				if len(folder[file]) == 0 {
					t.Errorf("weight file %q is not in the folder", file)
				}
			}
		})
	}
}

// F16 and BF16 widen exactly, whatever they are read as.
func TestWiden(t *testing.T) {
	t.Parallel()
	for h := range 1 << 16 {
		sign, exponent, fraction := 1-2*float64(h>>15), h>>10&0x1f, float64(h&0x3ff)
		var want float64 // IEEE 754-2008, section 3.4
		switch {
		case exponent == 0x1f && fraction != 0:
			if got := checkpoint.WidenHalf(uint16(h)); got == got {
				t.Fatalf("%#04x widens to %v, want NaN", h, got)
			}
			continue
		case exponent == 0x1f:
			want = sign * math.Inf(1)
		case exponent == 0:
			want = sign * math.Ldexp(fraction, -24)
		default:
			want = sign * math.Ldexp(1024+fraction, exponent-25)
		}
		if got := float64(checkpoint.WidenHalf(uint16(h))); got != want || math.Signbit(got) != math.Signbit(want) {
			t.Fatalf("%#04x widens to %v, want %v", h, got, want)
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

// A state dict with processed weights has no LayerNorm parameters and an unembedding of its own.
func TestFolded(t *testing.T) {
	t.Parallel()
	_, config := tensors(t)
	members := files{}
	golden := refdata.Npz(t, filepath.Join(refdata.M2(t), "golden", "processed_weights_f64.npz"))
	for name, a := range golden {
		x := make([]float32, len(a.Float64))
		for i, f := range a.Float64 {
			x[i] = float32(f)
		}
		members[name+".npy"] = npy("<f4", false, a.Shape, float32Bytes(x))
	}
	c, err := checkpoint.Open(files{"config.json": config, "model.npz": npz(t, members)}.write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !c.Folded() {
		t.Error("processed weights are not called folded")
	}
	for name, want := range map[string]float32{"h.2.ln_1.weight": 1, "ln_f.weight": 1, "h.0.ln_2.bias": 0, "ln_f.bias": 0} {
		v, err := c.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := checkpoint.Values[float32](v); len(got) != 32 || got[7] != want {
			t.Errorf("%s is %v, want 32 times %v", name, got, want)
		}
	}
	v, err := c.Unembedding()
	if err != nil {
		t.Fatal(err)
	}
	var row [32]float64
	checkpoint.Copy(row[:], v, 500*32)
	for i, got := range row {
		if want := float64(float32(golden["unembed.W_U"].At(i, 500)[0])); got != want {
			t.Errorf("unembedding of token 500 at %d is %v, want %v", i, got, want)
		}
	}
	if b, err := c.UnembeddingBias(); err != nil || b.Len() != 1015 {
		t.Errorf("unembedding bias of %d elements, %v, want 1015", b.Len(), err)
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

// Every 16-bit pattern, and as the upper half of 32 bits with and without lower ones, at every place of a word and in the odd numbers at the
// end, is judged as its value is.
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

// What is released can be read again, and its neighbours are not touched.
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
	fmt.Println(c.Config())
	v, err := c.Tensor("h.0.attn.c_attn.weight")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Name, v.DType, v.Shape)
	// Output:
	// 3 layers, 4 heads, d_model 32, d_mlp 128, n_ctx 48, vocabulary 1015, eps 0.0001, gelu_new
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
