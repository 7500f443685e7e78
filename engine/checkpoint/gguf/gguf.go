// Package gguf reads model files in llama.cpp's format: metadata by key, tensors by name, and the block types
// that tensors are stored in. It does not know what a key or a tensor means.
//
// The format is that of ggml-org/ggml:docs/gguf.md, versions 2 and 3, little endian:
//
//	"GGUF", version uint32, number of tensors uint64, number of keys uint64
//	for each key: name, type uint32, value
//	for each tensor: name, number of dimensions uint32, dimensions uint64 (the one that runs fastest first),
//	    type uint32, offset uint64 in the data
//	the data, from the next multiple of general.alignment on (32 where the key is absent)
//
// A text is its length, uint64, and its bytes. An array is the type of its elements, their number, uint64,
// and the elements.
//
// Files come from strangers. Every number in one is checked against the number of bytes before it decides an
// allocation.
package gguf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Errors of [Parse].
var (
	// ErrFormat is returned for a file that is damaged, truncated or hostile.
	ErrFormat = errors.New("damaged GGUF file")
	// ErrUnsupported is returned for a version, byte order or tensor type that is not supported.
	ErrUnsupported = errors.New("unsupported GGUF file")
)

// Magic is the beginning of a file.
const Magic = "GGUF"

// Limits of a file. The largest vocabularies (256,000 tokens and their merges) take 16 MB of metadata.
const (
	maxMetadataBytes = 256 << 20
	maxKeys          = 1 << 16
	maxTensors       = 1 << 17
	maxKeyBytes      = 1<<16 - 1 // from the format's definition
	maxNameBytes     = 1 << 10   // llama.cpp allows 63
	maxDimensions    = 4         // of the definition
	maxDimension     = 1 << 40
	maxAlignment     = 1 << 24
	maxNesting       = 8 // of arrays in arrays
)

// File is the content of a file.
type File struct {
	Version  int
	Metadata *Metadata
	Tensors  []Tensor // in the order in which the file lists them
}

// Tensor is one tensor.
type Tensor struct {
	Name string
	Type Type
	// Shape is row-major: the last dimension varies fastest. A matrix that llama.cpp multiplies by is [out,
	// in].
	Shape []int
	Data  []byte // a part of the file
}

// Parse reads a file that is in memory. It copies the metadata; the tensors' data are parts of file.
func Parse(file []byte) (*File, error) {
	r := &reader{data: file}
	if magic := r.take(4); r.err != nil || string(magic) != Magic {
		return nil, fmt.Errorf("%w: begins with %q, want %q", ErrFormat, file[:min(4, len(file))], Magic)
	}
	version := r.uint32()
	switch {
	case r.err != nil:
		return nil, r.err
	case version != 0 && version&0xffff == 0:
		return nil,
			fmt.Errorf("%w: version %d: the file is big-endian (version %d there), want little-endian",
				ErrUnsupported, version, bits.ReverseBytes32(version))
	case version != 2 && version != 3:
		return nil, fmt.Errorf("%w: version %d, want 2 or 3", ErrUnsupported, version)
	}
	tensors := r.count("tensors", maxTensors, 8+4+4+8)
	keys := r.count("keys", maxKeys, 8+4+1)
	f := &File{Version: int(version), Metadata: r.metadata(keys)}
	infos := r.infos(tensors)
	if r.err != nil {
		return nil, r.err
	}
	var err error
	f.Tensors, err = place(infos, file, r.at, f.Metadata)
	return f, err
}

// info is an entry of the file's list of tensors.
type info struct {
	Tensor
	offset, size uint64
}

// infos reads the list of tensors.
func (r *reader) infos(n int) []info {
	list := make([]info, 0, n)
	seen := make(map[string]bool, n)
	for range n {
		t := r.info()
		if r.err == nil && seen[t.Name] {
			r.fail("two tensors %q", t.Name)
		}
		if r.err != nil {
			return nil
		}
		seen[t.Name] = true
		list = append(list, t)
	}
	return list
}

func (r *reader) info() info {
	var t info
	t.Name = string(r.text("name of a tensor", maxNameBytes))
	rank := r.uint32()
	if rank > maxDimensions {
		r.fail("tensor %q has %d dimensions, want at most %d", t.Name, rank, maxDimensions)
		return t
	}
	t.size = 1
	for range rank {
		n := r.uint64()
		if r.err == nil && (n == 0 || n > maxDimension) {
			r.fail("tensor %q has a dimension of %d, want 1 to %d", t.Name, n, int64(maxDimension))
		}
		hi, lo := bits.Mul64(t.size, n)
		if r.err == nil && (hi != 0 || lo > 1<<59) { // no number takes more than 8 bytes
			r.fail("tensor %q is larger than any file", t.Name)
		}
		if r.err != nil {
			return t
		}
		t.size = lo
		t.Shape = append(t.Shape, int(n))
	}
	slices.Reverse(t.Shape)
	t.Type = Type(r.uint32())
	t.offset = r.uint64()
	if r.err != nil {
		return t
	}
	elements, bytes := t.Type.Block()
	if elements == 0 {
		r.err = fmt.Errorf("%w: tensor %q has type %s, want one of %s", ErrUnsupported, t.Name, t.Type,
			known())
		return t
	}
	row := 1
	if rank > 0 {
		row = t.Shape[rank-1]
	}
	if row%elements != 0 {
		r.fail("tensor %q has rows of %d numbers, want a multiple of %d for type %s", t.Name, row, elements,
			t.Type)
	}
	t.size = t.size / uint64(elements) * uint64(bytes)
	return t
}

// place finds the data of the tensors in the file. The list of tensors ends at byte end.
func place(infos []info, file []byte, end int, m *Metadata) ([]Tensor, error) {
	alignment := uint64(32)
	if m.Has(alignmentKey) {
		n, ok := m.Number(alignmentKey)
		if !ok || n < 1 || n > maxAlignment || n&(n-1) != 0 {
			return nil, fmt.Errorf("%w: %s is %s, want a power of two up to %d",
				ErrFormat, alignmentKey, m.Describe(alignmentKey), maxAlignment)
		}
		alignment = uint64(n)
	}
	start := (uint64(end) + alignment - 1) / alignment * alignment
	size := uint64(len(file))
	tensors := make([]Tensor, len(infos))
	for i, t := range infos {
		switch {
		case t.offset%alignment != 0:
			return nil, fmt.Errorf("%w: tensor %q begins at byte %d of the data, want a multiple of %d",
				ErrFormat, t.Name, t.offset, alignment)
		case start > size || t.offset > size-start || t.size > size-start-t.offset:
			return nil,
				fmt.Errorf(
					"%w: tensor %q takes %d bytes from byte %d of the data on, which begin at byte %d "+
						"of a file of %d (truncated file?)", ErrFormat, t.Name, t.size, t.offset, start, size)
		}
		from, to := start+t.offset, start+t.offset+t.size
		t.Data = file[from:to:to]
		tensors[i] = t.Tensor
	}
	return tensors, apart(infos)
}

// apart returns an error if two tensors share bytes.
func apart(infos []info) error {
	infos = slices.Clone(infos)
	slices.SortFunc(infos, func(a, b info) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.Name, b.Name))
	})
	for i := 1; i < len(infos); i++ {
		if a, b := infos[i-1], infos[i]; b.offset < a.offset+a.size {
			return fmt.Errorf("%w: tensor %q begins at byte %d of the data, inside %q, which ends at %d",
				ErrFormat, b.Name, b.offset, a.Name, a.offset+a.size)
		}
	}
	return nil
}

// reader reads a file from beginning to end. After the first error it returns zeros.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %w", ErrFormat, fmt.Errorf(format, args...))
	}
}

// take returns the next n bytes, or nil if there are fewer.
func (r *reader) take(n uint64) []byte {
	if left := uint64(len(r.data) - r.at); n > left {
		r.fail("%d bytes from byte %d on, want %d (truncated file?)", left, r.at, n)
	}
	if r.err != nil {
		return nil
	}
	part := r.data[r.at:][:n]
	r.at += int(n)
	return part
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads how many things follow, each of at least least bytes.
func (r *reader) count(things string, limit, least int) int {
	n := r.uint64()
	left := uint64(len(r.data) - r.at)
	switch {
	case r.err != nil:
	case n > uint64(limit):
		r.fail("%d %s, want at most %d", n, things, limit)
	case n > left/uint64(least):
		r.fail("%d %s from byte %d on, where %d bytes are left (truncated file?)", n, things, r.at, left)
	default:
		return int(n)
	}
	return 0
}

// text reads a text of at most limit bytes.
func (r *reader) text(what string, limit int) []byte {
	n := r.uint64()
	if r.err == nil && n > uint64(limit) {
		r.fail("%s has %d bytes, want at most %d", what, n, limit)
	}
	return r.take(n)
}
