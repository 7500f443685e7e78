// Package npy reads NumPy arrays and archives of them (.npy, .npz) that may come from strangers.
//
// The header is parsed by codeberg.org/sbinet/npyio, which expects a header exactly as numpy writes it and
// otherwise panics, allocates what the header asks for, or misreads it. So the header is cut out and bounded
// here first, a panic becomes an error, and the parsed header is written out again and has to give the text
// that was read. The numbers are read here, in one piece, after their size has been checked.
package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"codeberg.org/sbinet/npyio/npy"
)

// ErrFormat: the text is not a NumPy array that numpy could have written, or is damaged.
var ErrFormat = errors.New("damaged numpy array")

// ErrType: an array that is whole, of things that are not read here.
var ErrType = errors.New("numpy array of another type")

// typeFault says what is wrong with a type, and what numpy makes of it another with.
func typeFault(dtype string) string {
	order, kind, _ := strings.Cut(dtype, "f")
	switch {
	case order == ">" && size("<f"+kind) > 0:
		return fmt.Sprintf("big-endian numbers, %.20q; astype('<f%s') makes the others", dtype, kind)
	case strings.HasPrefix(dtype, ">"):
		return fmt.Sprintf("big-endian numbers, %.20q, want little-endian ones", dtype)
	}
	return fmt.Sprintf("%.20q, want a number or a truth value", dtype)
}

// ErrSize: an array is larger than the reader allows.
var ErrSize = errors.New("numpy array too large")

const (
	maxHeaderBytes = 1 << 16
	maxRank        = 8
)

// Header describes an array.
type Header struct {
	DType   string // NumPy's: "<f4", "<f8", "<f2", "<i8", ...
	Shape   []int
	Fortran bool // column-major in the file; Array is always row-major
	bytes   int64
	start   int // of the numbers, in the file
}

// Bytes is the size of the numbers.
func (h Header) Bytes() int64 { return h.bytes }

// Array is an array in C order.
type Array struct {
	Header
	Data []byte // little endian
}

// ReadHeader reads up to the first number.
func ReadHeader(r io.Reader) (Header, error) {
	text, err := headerText(r)
	if err != nil {
		return Header{}, err
	}
	h, err := parseHeader(text)
	h.start = len(text)
	return h, err
}

// Read reads a whole array. It allocates what the header asks for, up to maxBytes, and refuses more.
func Read(r io.Reader, maxBytes int64) (Array, error) {
	h, err := ReadHeader(r)
	if err != nil {
		return Array{}, err
	}
	if h.bytes > maxBytes {
		return Array{}, fmt.Errorf("%w: %d bytes, want at most %d", ErrSize, h.bytes, maxBytes)
	}
	data := make([]byte, h.bytes)
	if n, err := io.ReadFull(r, data); err != nil {
		return Array{}, fmt.Errorf("%w: %d bytes of numbers, want %d for %s %v: %w", ErrFormat, n, h.bytes,
			h.DType, h.Shape, err)
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 {
		return Array{}, fmt.Errorf("%w: text after the last number", ErrFormat)
	} else if err != nil && !errors.Is(err, io.EOF) { // a checksum that does not fit shows here
		return Array{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	a := Array{Header: h, Data: data}
	if h.Fortran {
		a.Data = rowMajor(a.Data, h.Shape, size(h.DType))
	}
	return a, nil
}

// headerText reads magic, version, length and the header itself, and gives all of it.
func headerText(r io.Reader) ([]byte, error) {
	start := make([]byte, 8, 128)
	if _, err := io.ReadFull(r, start); err != nil {
		return nil, fmt.Errorf("%w: magic: %w", ErrFormat, err)
	}
	if !bytes.Equal(start[:6], npy.Magic[:]) {
		return nil, fmt.Errorf("%w: begins with %q, want %q", ErrFormat, start[:6], npy.Magic[:])
	}
	width := map[byte]int{1: 2, 2: 4}[start[6]]
	if width == 0 {
		return nil, fmt.Errorf("%w: version %d.%d, want 1.0 or 2.0", ErrFormat, start[6], start[7])
	}
	start = start[:8+width]
	if _, err := io.ReadFull(r, start[8:]); err != nil {
		return nil, fmt.Errorf("%w: header length: %w", ErrFormat, err)
	}
	n := uint32(binary.LittleEndian.Uint16(start[8:]))
	if width == 4 {
		n = binary.LittleEndian.Uint32(start[8:])
	}
	if n > maxHeaderBytes {
		return nil, fmt.Errorf("%w: header of %d bytes, want at most %d", ErrFormat, n, maxHeaderBytes)
	}
	text := append(start, make([]byte, n)...)
	if _, err := io.ReadFull(r, text[len(start):]); err != nil {
		return nil, fmt.Errorf("%w: header of %d bytes: %w", ErrFormat, n, err)
	}
	return text, nil
}

func parseHeader(text []byte) (h Header, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			h, err = Header{}, fmt.Errorf("%w: the header is not as numpy writes it", ErrFormat)
		}
	}()
	r, err := npy.NewReader(bytes.NewReader(text))
	if err != nil {
		return Header{}, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	d := r.Header.Descr
	h = Header{DType: strings.Trim(d.Type, "'"), Shape: d.Shape, Fortran: d.Fortran}
	body := text[10:]
	if text[6] == 2 {
		body = text[12:]
	}
	if found := strings.TrimRight(string(body), " \n"); found != h.String() {
		return Header{},
			fmt.Errorf("%w: header %.200q, want it as numpy writes it: %.200q", ErrFormat, found, h.String())
	}
	width := size(h.DType)
	if width == 0 {
		return Header{}, fmt.Errorf("%w: %s", ErrType, typeFault(h.DType))
	}
	if len(h.Shape) > maxRank {
		return Header{}, fmt.Errorf("%w: %d dimensions, want at most %d", ErrFormat, len(h.Shape), maxRank)
	}
	n := uint64(width)
	for _, d := range h.Shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || hi != 0 || lo > 1<<62 {
			return Header{}, fmt.Errorf("%w: shape %v is larger than any file", ErrFormat, h.Shape)
		}
		n = lo
	}
	h.bytes = int64(n)
	return h, nil
}

// String gives the header as numpy writes it.
func (h Header) String() string {
	order := "False"
	if h.Fortran {
		order = "True"
	}
	dims := make([]string, len(h.Shape))
	for i, d := range h.Shape {
		dims[i] = strconv.Itoa(d)
	}
	shape := strings.Join(dims, ", ")
	if len(dims) == 1 {
		shape += ","
	}
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }", h.DType, order, shape)
}

// size is the bytes of one number, or 0 for a type that is not read: big endian, objects (which are
// pickles), text, complex numbers, structures.
func size(dtype string) int {
	switch dtype {
	case "|b1", "|u1", "|i1":
		return 1
	case "<f2", "<i2", "<u2":
		return 2
	case "<f4", "<i4", "<u4":
		return 4
	case "<f8", "<i8", "<u8":
		return 8
	}
	return 0
}

// rowMajor gives the numbers of a column-major array in row-major order.
func rowMajor(src []byte, shape []int, width int) []byte {
	dst := make([]byte, len(src))
	stride := make([]int, len(shape))
	step := 1
	for i, d := range shape {
		stride[i], step = step, step*d
	}
	index := make([]int, len(shape))
	from := 0
	for to := 0; to < len(dst); to += width {
		copy(dst[to:to+width], src[from*width:])
		for axis := len(shape) - 1; axis >= 0; axis-- {
			index[axis]++
			from += stride[axis]
			if index[axis] < shape[axis] {
				break
			}
			from -= index[axis] * stride[axis]
			index[axis] = 0
		}
	}
	return dst
}

// Float64s gives the numbers of a floating-point or integer array as float64, widened exactly except for
// integers above 2^53; float16 is not among them.
func (a Array) Float64s() ([]float64, error) {
	width := size(a.DType)
	dst := make([]float64, len(a.Data)/max(width, 1))
	for i := range dst {
		b := a.Data[i*width:]
		switch a.DType {
		case "<f4":
			dst[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		case "<f8":
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(b))
		case "<i8":
			dst[i] = float64(int64(binary.LittleEndian.Uint64(b)))
		case "<i4":
			dst[i] = float64(int32(binary.LittleEndian.Uint32(b)))
		default:
			return nil, fmt.Errorf("numpy array of type %s, want f4, f8, i4 or i8", a.DType)
		}
	}
	return dst, nil
}
