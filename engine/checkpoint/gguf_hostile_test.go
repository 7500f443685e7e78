package checkpoint_test

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"ducklens/engine/checkpoint"
	"ducklens/engine/checkpoint/gguf"
	"ducklens/engine/checkpoint/gguf/gguftest"
)

// hostileGGUF makes a file for each kind of inconsistency in a GGUF file.
func hostileGGUF() []damaged {
	format, unsupported := checkpoint.ErrFormat, checkpoint.ErrUnsupported
	var cases []damaged
	add := func(name string, file []byte, kind error, text ...string) {
		cases = append(cases, damaged{"gguf " + name, files{"model.gguf": file}, kind, append(text, "model.gguf")})
	}
	good := gguftest.File{Keys: []gguftest.Key{{Name: "general.architecture", Value: "llama"}}, Tensors: []gguftest.Tensor{matrix("a", 4)}}.Bytes()
	// header, keys and tensors write the pieces of a file one by one, whether they fit or not.
	header := func(tensors, keys uint64) []byte { return gguftest.Header(3, tensors, keys) }
	file := func(pieces ...[]byte) []byte { return append(slices.Concat(pieces...), make([]byte, 256)...) }
	key := func(name string, value []byte) []byte { return append(gguftest.Text(name), value...) }
	number := gguftest.Value(uint32(1))
	kind := func(n byte) []byte { return []byte{n, 0, 0, 0} }
	text := gguftest.Text

	add("empty", nil, format, "GGUF")
	add("of three bytes", good[:3], format, "GGUF")
	add("with another magic", append([]byte("GGJT"), good[4:]...), format, "GGJT")
	add("without a version", good[:6], format, "truncated")
	add("version 1", append(gguftest.Header(1, 0, 0), good[24:]...), unsupported, "version 1", "want 2 or 3")
	add("version 4", append(gguftest.Header(4, 0, 0), good[24:]...), unsupported, "version 4")
	add("version 0", append(gguftest.Header(0, 0, 0), good[24:]...), unsupported, "version 0")
	add("big-endian", append(gguftest.Header(3<<24, 0, 0), good[24:]...), unsupported, "big-endian")
	add("cut short in the header", good[:20], format, "truncated")
	add("cut short in the keys", good[:40], format, "truncated")
	add("cut short in the tensors", good[:bytes.Index(good, []byte("\x01\x00\x00\x00\x00\x00\x00\x00a"))+12], format, "truncated")
	add("cut short in the data", good[:len(good)-33], format, "truncated", `"a"`)
	add("cut short before the data", file(header(1, 0), gguftest.Info("a", []int{1}, gguf.F32, 0))[:24+8+1+4+8+4+8], format, "truncated")

	add("2^64-1 tensors", file(header(math.MaxUint64, 0)), format, "18446744073709551615 tensors", "want at most")
	add("more tensors than bytes", file(header(1000, 0)), format, "1000 tensors", "bytes are left")
	add("2^64-1 keys", file(header(0, math.MaxUint64)), format, "18446744073709551615 keys", "want at most")
	add("more keys than bytes", file(header(0, 1000)), format, "1000 keys", "bytes are left")

	add("key of 2^64-1 bytes", file(header(0, 1), bytes.Repeat([]byte{255}, 8)), format, "a key has 18446744073709551615 bytes")
	add("key longer than the definition allows", file(header(0, 1), key(strings.Repeat("k", 1<<16), number)), format, "65536 bytes", "want at most 65535")
	add("key twice", file(header(0, 2), key("a", number), key("a", number)), format, `two keys "a"`)
	add("value of an unknown type", file(header(0, 1), key("a", kind(13))), unsupported, `"a"`, "type 13")
	add("text longer than the file", file(header(0, 1), key("a", append(kind(8), bytes.Repeat([]byte{127}, 8)...))), format, "truncated")
	add("text of 2^64-1 bytes", file(header(0, 1), key("a", append(kind(8), bytes.Repeat([]byte{255}, 8)...))), format, "truncated")
	add("truth value of 2", file(header(0, 1), key("a", append(kind(7), 2))), format, `"a"`, "truth value of 2")
	array := func(element byte, count uint64, elements ...byte) []byte {
		return slices.Concat(kind(9), kind(element), gguftest.Value(count)[4:], elements)
	}
	add("array longer than the file", file(header(0, 1), key("a", array(4, 1000))), format, `"a"`, "1000 elements", "bytes are left")
	add("array of 2^63 numbers", file(header(0, 1), key("a", array(4, 1<<63))), format, `"a"`, "9223372036854775808 elements")
	add("array whose bytes overflow", file(header(0, 1), key("a", array(12, 1<<61))), format, `"a"`, "2305843009213693952 elements")
	add("array of too many texts", file(header(0, 1), key("a", array(8, 1000))), format, `"a"`, "1000 elements", "bytes are left")
	add("array with a long text", file(header(0, 1), key("a", array(8, 2, bytes.Repeat([]byte{127}, 16)...))), format, "truncated")
	add("array of an unknown type", file(header(0, 1), key("a", array(99, 1))), unsupported, `"a"`, "type 99")
	add("array with a truth value of 3", file(header(0, 1), key("a", array(7, 2, 1, 3))), format, `"a"`, "truth value of 3")
	deep := any([]int32{1})
	for range 9 {
		deep = []any{deep}
	}
	add("arrays nested deep", file(header(0, 1), key("a", gguftest.Value(deep))), format, `"a"`, "nested more than")

	add("alignment of 0", file(header(0, 1), key("general.alignment", gguftest.Value(uint32(0)))), format, "general.alignment is 0")
	add("alignment of 24", file(header(0, 1), key("general.alignment", gguftest.Value(uint32(24)))), format, "general.alignment is 24", "power of two")
	add("alignment of 2^31", file(header(0, 1), key("general.alignment", gguftest.Value(uint32(1<<31)))), format, "2147483648")
	add("alignment that is text", file(header(0, 1), key("general.alignment", gguftest.Value("32"))), format, `general.alignment is "32"`)

	tensor := func(name string, want error, info []byte, text ...string) {
		add(name, file(header(1, 0), info), want, text...)
	}
	tensor("tensor with a name of 2^63 bytes", format, append(gguftest.Value(uint64(1 << 63))[4:], 1, 2, 3), "name of a tensor", "9223372036854775808")
	tensor("tensor with a long name", format, gguftest.Info(strings.Repeat("n", 2000), []int{1}, gguf.F32, 0), "2000 bytes")
	tensor("tensor of 5 dimensions", format, gguftest.Info("a", []int{1, 1, 1, 1, 1}, gguf.F32, 0), `"a"`, "5 dimensions")
	tensor("tensor of 2^32-1 dimensions", format, slices.Concat(text("a"), bytes.Repeat([]byte{255}, 20)), `"a"`, "4294967295 dimensions")
	tensor("tensor with no elements", format, gguftest.Info("a", []int{0, 4}, gguf.F32, 0), `"a"`, "dimension of 0")
	tensor("tensor with a dimension of 2^63", format, gguftest.Info("a", []int{math.MinInt64}, gguf.F32, 0), `"a"`, "9223372036854775808")
	tensor("tensor whose elements overflow", format, gguftest.Info("a", []int{1 << 40, 1 << 40}, gguf.F32, 0), `"a"`, "larger than any file")
	tensor("tensor whose elements overflow to its size", format, gguftest.Info("a", []int{1 << 40, 1 << 24, 2}, gguf.I8, 0), `"a"`, "larger than any file")
	tensor("tensor whose bytes overflow", format, gguftest.Info("a", []int{1 << 40, 1 << 22}, gguf.F32, 0), `"a"`, "larger than any file")
	tensor("tensor longer than the file", format, gguftest.Info("a", []int{100}, gguf.F32, 0), `"a"`, "400 bytes", "truncated")
	tensor("tensor of an unknown type", unsupported, gguftest.Info("a", []int{256}, 99, 0), `"a"`, "number 99", "Q4_K")
	tensor("tensor of a type that is not read", unsupported, gguftest.Info("a", []int{256}, 16, 0), `"a"`, "IQ2_XXS", "Q4_K")
	tensor("tensor with half a block", format, gguftest.Info("a", []int{2, 16}, gguf.Q4_0, 0), `"a"`, "rows of 16", "multiple of 32")
	tensor("tensor of blocks and no dimension", format, gguftest.Info("a", nil, gguf.Q4_0, 0), `"a"`, "multiple of 32")
	tensor("offset off its alignment", format, gguftest.Info("a", []int{1}, gguf.F32, 4), `"a"`, "byte 4", "multiple of 32")
	tensor("offset beyond the file", format, gguftest.Info("a", []int{1}, gguf.F32, 1<<20), `"a"`, "1048576", "truncated")
	tensor("offset of 2^64-32", format, gguftest.Info("a", []int{16}, gguf.F32, 1<<64-32), `"a"`, "18446744073709551584")
	two := func(name string, a, b []byte, text ...string) { add(name, file(header(2, 0), a, b), format, text...) }
	two("name twice", gguftest.Info("a", []int{1}, gguf.F32, 0), gguftest.Info("a", []int{1}, gguf.F32, 32), `two tensors "a"`)
	two("tensors overlap", gguftest.Info("a", []int{9}, gguf.F32, 0), gguftest.Info("b", []int{1}, gguf.F32, 32), `"b"`, `inside "a"`)
	two("tensors overlap, listed backwards", gguftest.Info("b", []int{1}, gguf.F32, 32), gguftest.Info("a", []int{9}, gguf.F32, 0), `"b"`, `inside "a"`)
	two("tensors at the same place", gguftest.Info("a", []int{1}, gguf.F32, 0), gguftest.Info("b", []int{1}, gguf.F32, 0), `"b"`, `inside "a"`)
	return append(cases, hostileParts()...)
}

// hostileParts makes parts of split files that do not belong together.
func hostileParts() []damaged {
	var cases []damaged
	add := func(name string, folder files, kind error, text ...string) {
		cases = append(cases, damaged{"gguf " + name, folder, kind, text})
	}
	first, second, format := "m-00001-of-00002.gguf", "m-00002-of-00002.gguf", checkpoint.ErrFormat
	add("without its second part", files{first: part(0, 2, 2, "a")}, format, second)
	add("without its first part", files{second: part(1, 2, 2, "b")}, format, first)
	add("with a damaged part", files{first: part(0, 2, 2, "a"), second: []byte("GGUF")}, format, second)
	add("with a part twice", files{first: part(0, 2, 2, "a"), second: part(0, 2, 2, "a")}, format, second, "split.no is 0, want 1")
	add("with a tensor in two parts", files{first: part(0, 2, 2, "a"), second: part(1, 2, 2, "a")}, format, `"a"`)
	add("with a part of another model", files{first: part(0, 2, 2, "a"), second: part(1, 3, 3, "b")}, format, second, "split.count is 3", "2")
	add("with too few tensors", files{first: part(0, 2, 3, "a"), second: part(1, 2, 3, "b")}, format, "2 tensors", "want 3")
	add("renamed from a part", files{"model.gguf": part(0, 2, 2, "a")}, format, "split.count is 2", "1")
	add("part 3 of 2", files{"m-00003-of-00002.gguf": nil}, checkpoint.ErrNoCheckpoint, "part 3 of 2")
	add("part of 99999", files{"m-00001-of-99999.gguf": nil}, checkpoint.ErrNoCheckpoint, "99999")
	return cases
}

// matrix is a tensor of n rows of two numbers.
func matrix(name string, n int) gguftest.Tensor {
	x := make([]float32, 2*n)
	for i := range x {
		x[i] = float32(i) + float32(name[0])
	}
	return gguftest.Tensor{Name: name, Type: gguf.F32, Shape: []int{n, 2}, Data: float32Bytes(x)}
}

// part is a file of a split model, with what llama.cpp's gguf-split writes into it.
func part(number, count uint16, tensors int32, names ...string) []byte {
	f := gguftest.File{Keys: []gguftest.Key{
		{Name: "split.no", Value: number}, {Name: "split.count", Value: count}, {Name: "split.tensors.count", Value: tensors},
	}}
	if number == 0 {
		f.Keys = append(f.Keys, gguftest.Key{Name: "general.architecture", Value: "llama"})
	}
	for _, name := range names {
		f.Tensors = append(f.Tensors, matrix(name, 3))
	}
	return f.Bytes()
}
