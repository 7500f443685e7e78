package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Limits of a safetensors header. GPT-2 XL has 581 tensors and a header of 60 kB.
const (
	maxHeaderBytes = 16 << 20
	maxTensors     = 1 << 17
	maxRank        = 8
)

// entry is one tensor of a safetensors header.
type entry struct {
	name       string
	dtype      DType
	shape      []int
	begin, end uint64 // in the data, which follows the header
}

// parseSafetensors reads the header of a safetensors file. It returns the tensors in the order of their data,
// and the data. The format is an 8-byte little-endian length n, n bytes of JSON, and the data, which the
// tensors cover from end to end without gaps or overlaps (huggingface/safetensors:README.md, "Format").
//
// We do not use nlpodyssey/safetensors because it lets the last of several tensors with the same name win,
// accepts headers of 100 MB, and has errors that do not say what was found and what was wanted.
func parseSafetensors(file []byte) ([]entry, []byte, error) {
	if len(file) < 8 {
		return nil, nil, fault(ErrFormat, "the file has %d bytes, want at least 8", len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	rest := file[8:]
	if n > uint64(len(rest)) {
		return nil, nil, fault(ErrFormat, "the header claims %d bytes, %d are there", n, len(rest))
	}
	if n > maxHeaderBytes {
		return nil, nil, fault(ErrFormat, "the header has %d bytes, want at most %d", n, maxHeaderBytes)
	}
	entries, err := parseHeader(rest[:n])
	if err != nil {
		return nil, nil, err
	}
	data := rest[n:]
	if err := checkOffsets(entries, uint64(len(data))); err != nil {
		return nil, nil, err
	}
	return entries, data, nil
}

// checkOffsets sorts the entries by their place in the data and checks that they tile it.
func checkOffsets(entries []entry, size uint64) error {
	slices.SortFunc(entries, func(a, b entry) int {
		switch {
		case a.begin != b.begin && a.begin < b.begin:
			return -1
		case a.begin != b.begin:
			return 1
		case a.end != b.end && a.end < b.end:
			return -1
		case a.end != b.end:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	var at uint64
	for _, e := range entries {
		width := e.dtype.size()
		if width == 0 {
			return fault(ErrFormat, "tensor %q has unknown type %q", e.name, e.dtype)
		}
		want := width
		for _, d := range e.shape {
			hi, lo := bits.Mul64(want, uint64(d))
			if hi != 0 || lo > 1<<62 {
				return fault(ErrFormat, "tensor %q of type %s and shape %v is larger than any file", e.name,
					e.dtype, e.shape)
			}
			want = lo
		}
		switch {
		case e.end < e.begin:
			return fault(ErrFormat, "tensor %q ends at byte %d, before it begins at %d", e.name, e.end,
				e.begin)
		case e.end > size:
			return fault(ErrFormat, "tensor %q ends at byte %d of the data, which has %d (truncated file?)",
				e.name, e.end, size)
		case e.end-e.begin != want:
			return fault(ErrFormat, "tensor %q has %d bytes, want %d for type %s and shape %v", e.name,
				e.end-e.begin, want, e.dtype, e.shape)
		case e.begin < at:
			return fault(ErrFormat,
				"tensor %q begins at byte %d, inside the tensor before it, which ends at %d", e.name, e.begin,
				at)
		case e.begin > at:
			return fault(ErrFormat, "tensor %q begins at byte %d, want %d, the end of the tensor before it",
				e.name, e.begin, at)
		}
		at = e.end
	}
	if at != size {
		return fault(ErrFormat, "the tensors end at byte %d of the data, which has %d", at, size)
	}
	return nil
}

// parseHeader parses the JSON of a header: an object of tensors by name, each with exactly dtype, shape and
// data_offsets, and an object of strings under __metadata__, which is ignored.
func parseHeader(text []byte) ([]entry, error) {
	d := headerDecoder{json.NewDecoder(bytes.NewReader(text))}
	d.UseNumber()
	if err := d.delim('{'); err != nil {
		return nil, fault(ErrFormat, "header: %w", err)
	}
	var entries []entry
	seen := map[string]bool{}
	for d.More() {
		name, err := d.str()
		if err != nil {
			return nil, fault(ErrFormat, "header: %w", err)
		}
		if seen[name] {
			return nil, fault(ErrFormat, "header: two entries %q", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			var notes map[string]string
			if err := d.Decode(&notes); err != nil {
				return nil, fault(ErrFormat, "header: __metadata__: %w", err)
			}
			continue
		}
		if len(entries) == maxTensors {
			return nil, fault(ErrFormat, "header: more than %d tensors", maxTensors)
		}
		e, err := d.entry(name)
		if err != nil {
			return nil, fault(ErrFormat, "header: tensor %q: %w", name, err)
		}
		entries = append(entries, e)
	}
	if err := d.delim('}'); err != nil {
		return nil, fault(ErrFormat, "header: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault(ErrFormat, "header: text after the closing brace at byte %d", d.InputOffset())
	}
	return entries, nil
}

// headerDecoder reads the tokens of a header one by one, so that repeated and unknown keys are noticed.
type headerDecoder struct{ *json.Decoder }

func (d headerDecoder) delim(want json.Delim) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("found %v, want %v", t, want)
	}
	return nil
}

func (d headerDecoder) str() (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("found %v, want a string", t)
	}
	return s, nil
}

// naturals reads an array of at most limit whole numbers.
func (d headerDecoder) naturals(limit int) ([]uint64, error) {
	if err := d.delim('['); err != nil {
		return nil, err
	}
	list := []uint64{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		number, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("found %v, want a whole number", t)
		}
		if len(list) == limit {
			return nil, fmt.Errorf("more than %d numbers", limit)
		}
		n, err := strconv.ParseUint(number.String(), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("found %s, want a whole number below 2^64", number)
		}
		list = append(list, n)
	}
	return list, d.delim(']')
}

func (d headerDecoder) entry(name string) (entry, error) {
	e := entry{name: name}
	if err := d.delim('{'); err != nil {
		return e, err
	}
	var seen [3]bool
	for d.More() {
		key, err := d.str()
		if err != nil {
			return e, err
		}
		field := slices.Index([]string{"dtype", "shape", "data_offsets"}, key)
		if field < 0 {
			return e, fmt.Errorf("unknown key %q", key)
		}
		if seen[field] {
			return e, fmt.Errorf("two keys %q", key)
		}
		seen[field] = true
		switch key {
		case "dtype":
			t, err := d.str()
			if err != nil {
				return e, fmt.Errorf("dtype: %w", err)
			}
			e.dtype = DType(t)
		case "shape":
			dims, err := d.naturals(maxRank)
			if err != nil {
				return e, fmt.Errorf("shape: %w", err)
			}
			for _, n := range dims {
				if n > 1<<40 {
					return e, fmt.Errorf("shape: dimension %d, want at most %d", n, 1<<40)
				}
				e.shape = append(e.shape, int(n))
			}
		case "data_offsets":
			at, err := d.naturals(2)
			if err != nil {
				return e, fmt.Errorf("data_offsets: %w", err)
			}
			if len(at) != 2 {
				return e, fmt.Errorf("data_offsets: found %d numbers, want 2", len(at))
			}
			e.begin, e.end = at[0], at[1]
		}
	}
	for i, key := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[i] {
			return e, fmt.Errorf("%s is missing", key)
		}
	}
	return e, d.delim('}')
}
