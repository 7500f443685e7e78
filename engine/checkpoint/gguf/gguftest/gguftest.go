// Package gguftest writes GGUF files for tests: well-formed ones and, from their pieces, malformed ones.
package gguftest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"ducklens/engine/checkpoint/gguf"
)

// File is a file to be written.
type File struct {
	Version   uint32 // 0 means 3
	Alignment int    // 0: 32, and no key that says so
	Keys      []Key
	Tensors   []Tensor
}

// Key is a key and its value: one of Go's sized number types, a bool, a string, or a slice of these, or of
// []any with arrays in it.
type Key struct {
	Name  string
	Value any
}

// Tensor is a tensor and its stored bytes. The shape is row-major.
type Tensor struct {
	Name  string
	Type  gguf.Type
	Shape []int
	Data  []byte
}

// Bytes returns the content of the file.
func (f File) Bytes() []byte {
	keys, alignment := f.Keys, 32
	if f.Alignment > 0 {
		keys, alignment = append(slices.Clone(keys),
			Key{"general.alignment", uint32(f.Alignment)}), f.Alignment
	}
	version := f.Version
	if version == 0 {
		version = 3
	}
	file := Header(version, uint64(len(f.Tensors)), uint64(len(keys)))
	for _, k := range keys {
		file = append(append(file, Text(k.Name)...), Value(k.Value)...)
	}
	var data []byte
	for _, t := range f.Tensors {
		file = append(file, Info(t.Name, t.Shape, t.Type, uint64(len(data)))...)
		data = pad(append(data, t.Data...), alignment)
	}
	return append(pad(file, alignment), data...)
}

func pad(data []byte, alignment int) []byte {
	return append(data, make([]byte, -len(data)&(alignment-1))...)
}

// Header returns the beginning of a file.
func Header(version uint32, tensors, keys uint64) []byte {
	return join([]byte(gguf.Magic), version, tensors, keys)
}

// Text returns a text preceded by its length.
func Text(s string) []byte { return join(uint64(len(s)), []byte(s)) }

// Info returns an entry of the list of tensors.
func Info(name string, shape []int, kind gguf.Type, offset uint64) []byte {
	file := join(Text(name), uint32(len(shape)))
	for _, n := range slices.Backward(shape) {
		file = join(file, uint64(n))
	}
	return join(file, uint32(kind), offset)
}

// Value returns a value preceded by its type.
func Value(v any) []byte {
	kind, count, data := encode(v)
	if count < 0 {
		return join(kind, data)
	}
	return join(uint32(9), kind, uint64(count), data)
}

// encode returns the type of a value or of an array's elements, the number of elements or -1, and the bytes.
func encode(v any) (kind uint32, count int, data []byte) {
	switch v := v.(type) {
	case uint8:
		return 0, -1, []byte{v}
	case int8:
		return 1, -1, []byte{byte(v)}
	case uint16:
		return 2, -1, join(v)
	case int16:
		return 3, -1, join(uint16(v))
	case uint32:
		return 4, -1, join(v)
	case int32:
		return 5, -1, join(uint32(v))
	case float32:
		return 6, -1, join(math.Float32bits(v))
	case bool:
		if v {
			return 7, -1, []byte{1}
		}
		return 7, -1, []byte{0}
	case string:
		return 8, -1, Text(v)
	case uint64:
		return 10, -1, join(v)
	case int64:
		return 11, -1, join(uint64(v))
	case float64:
		return 12, -1, join(math.Float64bits(v))
	case []string:
		return array(v)
	case []int32:
		return array(v)
	case []float32:
		return array(v)
	case []bool:
		return array(v)
	case []uint8:
		return 0, len(v), v
	case []any: // an array of arrays
		for _, x := range v {
			data = append(data, Value(x)[4:]...)
		}
		return 9, len(v), data
	}
	panic(fmt.Sprintf("gguftest: %T", v))
}

func array[T any](list []T) (kind uint32, count int, data []byte) {
	var none T
	kind, _, _ = encode(none)
	for _, x := range list {
		_, _, b := encode(x)
		data = append(data, b...)
	}
	return kind, len(list), data
}

// join concatenates numbers and bytes, little endian.
func join(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			b = append(b, p...)
		case uint16:
			b = binary.LittleEndian.AppendUint16(b, p)
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, p)
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, p)
		default:
			panic(fmt.Sprintf("gguftest: %T", p))
		}
	}
	return b
}
