package gguf_test

import (
	"errors"
	"fmt"
	"log"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/checkpoint/gguf"
	"ducklens/engine/checkpoint/gguf/gguftest"
)

// small is a file with a value of every type.
func small() gguftest.File {
	return gguftest.File{
		Keys: []gguftest.Key{
			{Name: "uint8", Value: uint8(255)}, {Name: "int8", Value: int8(-3)},
			{Name: "uint16", Value: uint16(65535)}, {Name: "int16", Value: int16(-300)},
			{Name: "uint32", Value: uint32(1 << 31)}, {Name: "int32", Value: int32(-1 << 31)},
			{Name: "uint64", Value: uint64(1 << 40)}, {Name: "int64", Value: int64(-1 << 40)},
			{Name: "float32", Value: float32(1e-5)}, {Name: "float64", Value: 0.1},
			{Name: "whole", Value: float32(10000)}, {Name: "huge", Value: uint64(1 << 63)},
			{Name: "true", Value: true}, {Name: "false", Value: false},
			{Name: "text", Value: "é\x00"}, {Name: "empty", Value: ""},
			{Name: "texts", Value: []string{"a", "", "<0x0A>"}}, {Name: "numbers", Value: []int32{1, -2, 3}},
			{Name: "floats", Value: []float32{0.5, -1}}, {Name: "flags", Value: []bool{true, false}},
			{Name: "none", Value: []string{}},
			{Name: "arrays", Value: []any{[]int32{1}, []string{"b"}, []any{[]uint8{7}}}},
			{Name: "last", Value: int32(7)},
		},
		Tensors: []gguftest.Tensor{
			{Name: "matrix", Type: gguf.F32, Shape: []int{3, 2}, Data: make([]byte, 24)},
			{Name: "blocks", Type: gguf.Q4_1, Shape: []int{2, 5, 64}, Data: make([]byte, 2*5*2*20)},
			{Name: "scalar", Type: gguf.F16, Shape: []int{}, Data: []byte{0, 0x3c}},
		},
	}
}

func parse(tb testing.TB, f gguftest.File) *gguf.File {
	tb.Helper()
	parsed, err := gguf.Parse(f.Bytes())
	if err != nil {
		tb.Fatal(err)
	}
	return parsed
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	m := parse(t, small()).Metadata
	// check compares what a method gives for each key; a key that is not listed must not be of the method's
	// type.
	check := func(method string, get func(string) (any, bool), want map[string]any) {
		for _, key := range append(m.Keys(), "absent") {
			got, ok := get(key)
			if expected, there := want[key]; ok != there || there && !reflect.DeepEqual(got, expected) {
				t.Errorf("%s(%q) is %v, %v, want %v, %v", method, key, got, ok, expected, there)
			}
		}
	}
	check("Text", func(k string) (any, bool) { return m.Text(k) }, map[string]any{"text": "é\x00", "empty": ""})
	check("Texts", func(k string) (any, bool) { return m.Texts(k) }, map[string]any{"texts": []string{"a", "", "<0x0A>"}, "none": []string{}})
	numbers := map[string]any{"uint8": int64(255), "int8": int64(-3), "uint16": int64(65535), "int16": int64(-300), "uint32": int64(1 << 31),
		"int32": int64(-1 << 31), "uint64": int64(1 << 40), "int64": int64(-1 << 40), "whole": int64(10000), "last": int64(7)}
	check("Number", func(k string) (any, bool) { return m.Number(k) }, numbers)
	check("Numbers", func(k string) (any, bool) { return m.Numbers(k) }, map[string]any{"numbers": []int64{1, -2, 3}})
	floats := map[string]any{"float32": 9.999999747378752e-06, "float64": 0.1, "huge": math.Ldexp(1, 63)} // of types.gguf: 1e-5 in float32, widened
	for k, n := range numbers {
		floats[k] = float64(n.(int64))
	}
	check("Float", func(k string) (any, bool) { return m.Float(k) }, floats)
	check("Floats", func(k string) (any, bool) { return m.Floats(k) }, map[string]any{"floats": []float64{0.5, -1}, "numbers": []float64{1, -2, 3}})
	check("Flag", func(k string) (any, bool) { return m.Flag(k) }, map[string]any{"true": true, "false": false})
	check("Flags", func(k string) (any, bool) { return m.Flags(k) }, map[string]any{"flags": []bool{true, false}})
	if m.Has("absent") || !m.Has("none") {
		t.Error("Has takes absent for none")
	}
	for key, want := range map[string]string{"text": `"é\x00"`, "true": "true", "int8": "-3", "float32": "9.999999747378752e-06", "texts": "an array of 3 texts", "absent": "absent"} {
		if got := m.Describe(key); got != want {
			t.Errorf("%s is described as %s, want %s", key, got, want)
		}
	}
}

func TestTensors(t *testing.T) {
	t.Parallel()
	for _, alignment := range []int{0, 64, 8, 1} {
		for _, version := range []uint32{2, 3} {
			f := small()
			f.Version, f.Alignment = version, alignment
			for i := range f.Tensors {
				for j := range f.Tensors[i].Data {
					f.Tensors[i].Data[j] = byte(i + j)
				}
			}
			parsed := parse(t, f)
			if parsed.Version != int(version) || len(parsed.Tensors) != len(f.Tensors) {
				t.Fatalf("version %d with %d tensors, want %d with %d", parsed.Version, len(parsed.Tensors), version, len(f.Tensors))
			}
			for i, got := range parsed.Tensors {
				want := f.Tensors[i]
				if got.Name != want.Name || got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) || !slices.Equal(got.Data, want.Data) {
					t.Errorf("alignment %d: %v, want %v", alignment, got, want)
				}
			}
		}
	}
	if f := parse(t, gguftest.File{}); len(f.Tensors) > 0 || len(f.Metadata.Keys()) > 0 {
		t.Error("an empty file is not empty")
	}
}

// The parser neither panics nor gives bytes that the file does not have.
func FuzzGGUF(f *testing.F) {
	file := small()
	good := file.Bytes()
	f.Add(good)
	f.Add(good[:len(good)/2])
	file.Version, file.Alignment = 2, 64
	f.Add(file.Bytes())
	f.Add(gguftest.Header(3, 1<<63, 1<<63))
	f.Add(slices.Concat(gguftest.Header(3, 0, 1), gguftest.Text("a"), gguftest.Value([]any{[]any{[]any{}}})))
	f.Add(slices.Concat(gguftest.Header(3, 2, 0), gguftest.Info("a", []int{8}, gguf.F32, 0), gguftest.Info("b", []int{8}, gguf.F32, 32), make([]byte, 200)))
	f.Fuzz(func(t *testing.T, file []byte) {
		parsed, err := gguf.Parse(file)
		if err != nil {
			if !errors.Is(err, gguf.ErrFormat) && !errors.Is(err, gguf.ErrUnsupported) {
				t.Errorf("%v is neither ErrFormat nor ErrUnsupported", err)
			}
			return
		}
		total := 0
		for _, tensor := range parsed.Tensors {
			n := 1
			for _, d := range tensor.Shape {
				n *= d
			}
			elements, size := tensor.Type.Block()
			if n%elements != 0 || len(tensor.Data) != n/elements*size {
				t.Errorf("%q of %s %v has %d bytes", tensor.Name, tensor.Type, tensor.Shape, len(tensor.Data))
			}
			total += len(tensor.Data)
		}
		if total > len(file) {
			t.Errorf("%d bytes of tensors in a file of %d", total, len(file))
		}
		m := parsed.Metadata
		for _, key := range m.Keys() {
			text, _ := m.Text(key)
			texts, _ := m.Texts(key)
			numbers, _ := m.Numbers(key)
			m.Floats(key)
			m.Flags(key)
			m.Number(key)
			if len(text)+len(strings.Join(texts, ""))+len(numbers) > len(file) || m.Describe(key) == "" || !m.Has(key) {
				t.Errorf("key %q: %d, %d, %d in a file of %d bytes", key, len(text), len(texts), len(numbers), len(file))
			}
		}
	})
}

func ExampleParse() {
	file := gguftest.File{
		Keys:    []gguftest.Key{{Name: "general.architecture", Value: "llama"}, {Name: "llama.block_count", Value: uint32(2)}},
		Tensors: []gguftest.Tensor{{Name: "output_norm.weight", Type: gguf.F32, Shape: []int{2}, Data: make([]byte, 8)}},
	}.Bytes()
	f, err := gguf.Parse(file)
	if err != nil {
		log.Fatal(err)
	}
	architecture, _ := f.Metadata.Text("general.architecture")
	layers, _ := f.Metadata.Number("llama.block_count")
	fmt.Println(architecture, layers, f.Tensors[0].Name, f.Tensors[0].Type, f.Tensors[0].Shape)
	// Output: llama 2 output_norm.weight F32 [2]
}

func BenchmarkTexts(b *testing.B) {
	tokens := make([]string, 256_000)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("token%d", i)
	}
	file := gguftest.File{Keys: []gguftest.Key{{Name: "tokenizer.ggml.tokens", Value: tokens}}}.Bytes()
	for b.Loop() {
		f, err := gguf.Parse(file)
		if err != nil {
			b.Fatal(err)
		}
		if list, ok := f.Metadata.Texts("tokenizer.ggml.tokens"); !ok || len(list) != len(tokens) {
			b.Fatal(len(list), ok)
		}
	}
}
