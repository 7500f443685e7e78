package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
)

const alignmentKey = "general.alignment"

// kind is the type of a value.
type kind uint32

const (
	kindUint8 kind = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindText
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// width returns the size of one value in bytes, or 0 for texts and arrays, whose size is stored with them.
func (k kind) width() int {
	switch k {
	case kindUint8, kindInt8, kindBool:
		return 1
	case kindUint16, kindInt16:
		return 2
	case kindUint32, kindInt32, kindFloat32:
		return 4
	case kindUint64, kindInt64, kindFloat64:
		return 8
	}
	return 0
}

func (k kind) String() string {
	names := []string{"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "truth values",
		"texts",
		"arrays", "uint64", "int64", "float64"}
	if k < kind(len(names)) {
		return names[k]
	}
	return "type " + strconv.FormatUint(uint64(k), 10)
}

// Metadata are a file's values by key. They are a copy, which stays valid when the file is closed.
type Metadata struct {
	keys   []string
	values map[string]value
}

// value is a value as stored in the file.
type value struct {
	kind  kind // for an array, that of its elements
	array bool
	count int    // of elements; 1 outside arrays
	data  string // numbers and the elements of arrays as encoded; a text without its length
}

// metadata reads n keys and their values.
func (r *reader) metadata(n int) *Metadata {
	type place struct{ from, to int } // of value.data in the file
	m := &Metadata{values: make(map[string]value, n)}
	places := make([]place, 0, n)
	begin := r.at
	for range n {
		key := string(r.text("a key", maxKeyBytes))
		if _, twice := m.values[key]; r.err == nil && twice {
			r.fail("two keys %q", key)
		}
		v, from := r.value(key)
		if r.err == nil && r.at-begin > maxMetadataBytes {
			r.fail("the metadata up to key %q take %d bytes, want at most %d", key, r.at-begin,
				maxMetadataBytes)
		}
		if r.err != nil {
			return m
		}
		m.keys, m.values[key], places = append(m.keys, key), v, append(places, place{from, r.at})
	}
	text := string(r.data[begin:r.at])
	for i, key := range m.keys {
		v := m.values[key]
		v.data = text[places[i].from-begin : places[i].to-begin]
		m.values[key] = v
	}
	return m
}

// value reads a whole value. from is the offset of its data, without a length or type.
func (r *reader) value(key string) (v value, from int) {
	v = value{kind: kind(r.uint32()), count: 1}
	if v.kind == kindArray {
		v.array = true
		v.kind, v.count = r.arrayHead(key)
	}
	from = r.at
	if v.kind == kindText && !v.array {
		from += 8
	}
	r.skip(key, v.kind, v.count, 1)
	return v, from
}

func (r *reader) arrayHead(key string) (kind, int) {
	k := kind(r.uint32())
	least := k.width()
	switch k {
	case kindText:
		least = 8
	case kindArray:
		least = 12
	}
	return k, r.count(fmt.Sprintf("elements of key %q", key), maxMetadataBytes, max(1, least))
}

// skip passes over n values of kind k, at a nesting depth of depth, and checks them.
func (r *reader) skip(key string, k kind, n, depth int) {
	switch {
	case r.err != nil:
	case k == kindText:
		for range n {
			r.take(r.uint64())
			if r.err != nil {
				return
			}
		}
	case k == kindArray && depth == maxNesting:
		r.fail("key %q: arrays nested more than %d deep", key, maxNesting)
	case k == kindArray:
		for range n {
			inner, count := r.arrayHead(key)
			r.skip(key, inner, count, depth+1)
			if r.err != nil {
				return
			}
		}
	case k.width() == 0:
		r.err = fmt.Errorf("%w: key %q has a value of %s, want types 0 to %d", ErrUnsupported, key, k,
			kindFloat64)
	default:
		data := r.take(uint64(n) * uint64(k.width())) // n is at most the number of bytes that are left
		if i := slices.IndexFunc(data, func(b byte) bool { return b > 1 }); k == kindBool && i >= 0 {
			r.fail("key %q has a truth value of %d, want 0 or 1", key, data[i])
		}
	}
}

// Keys returns the keys in the order of the file.
func (m *Metadata) Keys() []string { return slices.Clone(m.keys) }

// Has reports whether there is a value under key.
func (m *Metadata) Has(key string) bool {
	_, ok := m.values[key]
	return ok
}

// Text returns a text, and reports whether there is one under key.
func (m *Metadata) Text(key string) (string, bool) {
	v, ok := m.values[key]
	if !ok || v.array || v.kind != kindText {
		return "", false
	}
	return v.data, true
}

// Texts returns an array of texts. They share one copy of the metadata's bytes.
func (m *Metadata) Texts(key string) ([]string, bool) {
	v, ok := m.values[key]
	if !ok || !v.array || v.kind != kindText {
		return nil, false
	}
	list := make([]string, v.count)
	rest := v.data
	for i := range list {
		n := decode(rest[:8])
		list[i], rest = rest[8:8+n], rest[8+n:]
	}
	return list, true
}

// Number returns a whole number of any type, including floating point, that an int64 can hold.
func (m *Metadata) Number(key string) (int64, bool) { return one(m, key, whole) }

// Numbers returns an array of whole numbers.
func (m *Metadata) Numbers(key string) ([]int64, bool) { return many(m, key, whole) }

// Float returns a number of any type; a float32 is widened.
func (m *Metadata) Float(key string) (float64, bool) { return one(m, key, float) }

// Floats returns an array of numbers.
func (m *Metadata) Floats(key string) ([]float64, bool) { return many(m, key, float) }

// Flag returns a boolean.
func (m *Metadata) Flag(key string) (bool, bool) { return one(m, key, flag) }

// Flags returns an array of booleans.
func (m *Metadata) Flags(key string) ([]bool, bool) { return many(m, key, flag) }

// Describe returns the value of key in a few words, for messages.
func (m *Metadata) Describe(key string) string {
	v, ok := m.values[key]
	if !ok {
		return "absent"
	}
	if v.array {
		return fmt.Sprintf("an array of %d %s", v.count, v.kind)
	}
	switch v.kind {
	case kindText:
		return fmt.Sprintf("%.100q", v.data)
	case kindBool:
		return strconv.FormatBool(v.data[0] == 1)
	}
	if n, ok := whole(v.kind, v.data); ok {
		return strconv.FormatInt(n, 10)
	}
	x, _ := float(v.kind, v.data)
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// one returns the value under key, if read accepts it.
func one[T any](m *Metadata, key string, read func(kind, string) (T, bool)) (x T, ok bool) {
	if v, there := m.values[key]; there && !v.array {
		return read(v.kind, v.data)
	}
	return x, false
}

// many returns the array under key, if read accepts every element.
func many[T any](m *Metadata, key string, read func(kind, string) (T, bool)) ([]T, bool) {
	v, ok := m.values[key]
	width := v.kind.width()
	if !ok || !v.array || width == 0 {
		return nil, false
	}
	list := make([]T, v.count)
	for i := range list {
		if list[i], ok = read(v.kind, v.data[i*width:][:width]); !ok {
			return nil, false
		}
	}
	return list, true
}

func whole(k kind, data string) (int64, bool) {
	switch k {
	case kindUint8, kindUint16, kindUint32, kindUint64:
		n := decode(data)
		return int64(n), n <= math.MaxInt64
	case kindInt8, kindInt16, kindInt32, kindInt64:
		unused := 64 - 8*len(data)
		return int64(decode(data)<<unused) >> unused, true
	case kindFloat32, kindFloat64:
		x, _ := float(k, data)
		return int64(x), x == math.Trunc(x) && math.Abs(x) <= 1<<53
	}
	return 0, false
}

func float(k kind, data string) (float64, bool) {
	switch k {
	case kindFloat32:
		return float64(math.Float32frombits(uint32(decode(data)))), true
	case kindFloat64:
		return math.Float64frombits(decode(data)), true
	case kindUint64:
		return float64(decode(data)), true
	}
	n, ok := whole(k, data)
	return float64(n), ok
}

func flag(k kind, data string) (bool, bool) { return k == kindBool && data == "\x01", k == kindBool }

// decode reads up to eight little-endian bytes.
func decode(data string) uint64 {
	var b [8]byte
	copy(b[:], data)
	return binary.LittleEndian.Uint64(b[:])
}
