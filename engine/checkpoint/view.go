package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unsafe"

	"ducklens/engine/checkpoint/gguf"
	"ducklens/internal/advice"
)

// DType is the type of a stored number, spelt as in safetensors headers ("F32", "F16", "BF16", "U8", ...) or,
// for types that store numbers in blocks, as in llama.cpp ("Q4_1", "Q6_K", ...).
type DType string

// The types that parameters may have, besides block types. They widen to float32 without rounding.
const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
)

// F64 is the type of numbers that were computed in float64. No parameter has it; see [File].
const F64 DType = "F64"

// size returns the size of one number in bytes, or 0 for an unknown type. Types other than the three above
// are known so that tensors that are not parameters, such as attention masks, can be skipped or read as
// bytes.
func (t DType) size() uint64 {
	switch t {
	case "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ":
		return 1
	case F16, BF16, "I16", "U16":
		return 2
	case F32, "I32", "U32":
		return 4
	case "F64", "I64", "U64", "C64":
		return 8
	}
	return 0
}

// CheckType returns an error for a tensor whose numbers do not widen to float32 exactly.
func (i Info) CheckType() error {
	_, blocks := gguf.Blocks(string(i.DType))
	switch t := i.DType; {
	case blocks || t == F32 || t == F16 || t == BF16:
		return nil
	case t == "F64":
		return advice.Add(fault(ErrUnsupported,
			"tensor %q has type F64, which float32 would round; want F32, F16 or BF16", i.Name),
			"save the model in float32")
	case strings.HasPrefix(string(t), "F8_"):
		return advice.Add(fault(ErrUnsupported,
			"tensor %q has type %s, whose numbers mean something only with scales that lie "+
				"elsewhere; want F32, F16 or BF16", i.Name, t),
			"save the model in BF16 or float32, or take the published version that is not in 8 bits")
	}
	return fault(ErrUnsupported, "tensor %q has type %s, want F32, F16 or BF16", i.Name, i.DType)
}

// View is one tensor, in C order. Its bytes may belong to a memory-mapped file: they are read-only and valid
// until the checkpoint is closed.
type View struct {
	Name  string // its name in the file
	DType DType  // of the bytes
	Shape []int
	data  []byte // little endian
	file  bool   // data is a part of a mapped file
}

// Bytes returns the stored bytes, little endian. They must not be written to.
func (v View) Bytes() []byte { return v.data }

// Len returns the number of elements.
func (v View) Len() int {
	n := 1
	for _, d := range v.Shape {
		n *= d
	}
	return n
}

// Rows returns rows [from, to) of a matrix, or the same range of the first dimension of any array, without
// copying.
func (v View) Rows(from, to int) View {
	if len(v.Shape) < 2 || from < 0 || to < from || to > v.Shape[0] {
		panic(fmt.Sprintf("checkpoint: rows [%d, %d) of tensor %q of shape %v", from, to, v.Name, v.Shape))
	}
	size := 0
	if v.Shape[0] > 0 {
		size = len(v.data) / v.Shape[0]
	}
	v.Shape, v.data = append([]int{to - from}, v.Shape[1:]...), v.data[from*size:to*size:to*size]
	return v
}

// Float is the type that stored numbers are widened to.
type Float interface{ float32 | float64 }

// Values returns all elements of v, widened exactly. The slice is the caller's, except that a float32 tensor
// is not copied to float32 if its alignment allows that: treat the result as read-only.
func Values[T Float](v View) []T {
	if f, ok := any(v.float32s()).([]T); ok && f != nil {
		return f
	}
	dst := make([]T, v.Len())
	Copy(dst, v, 0)
	return dst
}

// Copy widens the elements of v from index from on into dst, until dst is full. Row r of a matrix [n, m] is
// Copy(dst[:m], v, r*m). Copy panics if v does not have all of these elements.
func Copy[T Float](dst []T, v View, from int) {
	if from < 0 || from+len(dst) > v.Len() {
		panic(fmt.Sprintf("checkpoint: elements [%d, %d) of tensor %q of %d elements",
			from, from+len(dst), v.Name, v.Len()))
	}
	switch v.DType {
	case F32:
		b := v.data[4*from:][: 4*len(dst) : 4*len(dst)]
		for i := range dst {
			dst[i] = T(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		}
	case F64:
		b := v.data[8*from:][: 8*len(dst) : 8*len(dst)]
		for i := range dst {
			dst[i] = T(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	case F16:
		b := v.data[2*from:][: 2*len(dst) : 2*len(dst)]
		for i := range dst {
			dst[i] = T(gguf.Half(binary.LittleEndian.Uint16(b[2*i:])))
		}
	case BF16:
		b := v.data[2*from:][: 2*len(dst) : 2*len(dst)]
		for i := range dst {
			dst[i] = T(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16))
		}
	default:
		t, ok := gguf.Blocks(string(v.DType))
		if !ok {
			panic(fmt.Sprintf("checkpoint: tensor %q has type %s, want F64, F32, F16, BF16 or blocks", v.Name,
				v.DType))
		}
		copyBlocks(dst, t, v.data, from)
	}
}

// copyBlocks widens the blocks that contain the elements: in place if it can, and into a buffer otherwise.
func copyBlocks[T Float](dst []T, t gguf.Type, data []byte, from int) {
	elements, bytes := t.Block()
	var side [gguf.MaxBlock]float32
	for len(dst) > 0 {
		blocks, skip := data[from/elements*bytes:], from%elements
		n := len(dst) / elements * elements
		if narrow, ok := any(dst).([]float32); ok && skip == 0 && n > 0 {
			gguf.Widen(t, narrow[:n], blocks)
		} else {
			n = min(elements-skip, len(dst))
			gguf.Widen(t, side[:elements], blocks)
			for i, x := range side[skip:][:n] {
				dst[i] = T(x)
			}
		}
		dst, from = dst[n:], from+n
	}
}

// Release tells the system that the memory of elements [from, to) of v is not needed for now, so that pages
// of a mapped file no longer count as the process's own. They can still be read, from the file.
func (v View) Release(from, to int) {
	if !v.file || from >= to {
		return
	}
	elements, size := 1, int(v.DType.size())
	if t, ok := gguf.Blocks(string(v.DType)); ok {
		elements, size = t.Block()
	}
	releasePages(v.data[from/elements*size : to/elements*size])
}

// CheckFinite returns an error that names the first element of v that is NaN or infinite.
func (v View) CheckFinite() error {
	if t, ok := gguf.Blocks(string(v.DType)); ok {
		return v.checkBlocks(t)
	}
	// The exponent of such a number is all ones. For each number in a word of eight bytes these masks have
	// its exponent, one in the exponent's last place, and its sign. An exponent of all ones plus one carries
	// into the sign's place and no further.
	exponent, one, sign := uint64(0x7f800000_7f800000), uint64(0x00800000_00800000), uint64(
		0x80000000_80000000)
	switch v.DType {
	case F64:
		exponent, one, sign = 0x7ff00000_00000000, 0x00100000_00000000, 0x80000000_00000000
	case F16:
		exponent, one, sign = 0x7c00_7c00_7c00_7c00, 0x0400_0400_0400_0400, 0x8000_8000_8000_8000
	case BF16:
		exponent, one, sign = 0x7f80_7f80_7f80_7f80, 0x0080_0080_0080_0080, 0x8000_8000_8000_8000
	}
	data := v.data
	for ; len(data) >= 8; data = data[8:] {
		if (binary.LittleEndian.Uint64(data)&exponent+one)&sign != 0 {
			break
		}
	}
	if len(data) == 0 {
		return nil
	}
	return v.checkElements((len(v.data)-len(data))/int(v.DType.size()), v.Len())
}

// checkBlocks is CheckFinite for block types: it widens those blocks whose scales leave it in doubt.
func (v View) checkBlocks(t gguf.Type) error {
	elements, bytes := t.Block()
	for i := 0; i*bytes < len(v.data); i++ {
		if t.MayOverflow(v.data[i*bytes:][:bytes]) {
			if err := v.checkElements(i*elements, (i+1)*elements); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkElements checks elements [from, to) one by one.
func (v View) checkElements(from, to int) error {
	for i := from; i < to; i++ {
		var x [1]float64
		if Copy(x[:], v, i); math.IsNaN(x[0]) || math.IsInf(x[0], 0) {
			return fault(ErrTensor, "tensor %q element %d is %v, want a finite number", v.Name, i, x[0])
		}
	}
	return nil
}

// float32s returns the data without a copy, or nil if type, alignment or byte order do not allow it.
func (v View) float32s() []float32 {
	if v.DType != F32 || len(v.data) == 0 || !littleEndian {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(v.data))
	if uintptr(p)%4 != 0 {
		return nil
	}
	return unsafe.Slice((*float32)(p), len(v.data)/4)
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1
