package npy_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"testing"

	library "codeberg.org/sbinet/npyio/npy"

	"ducklens/engine/internal/npy"
)

// array writes a version 1 file.
func array(header string, data []byte) []byte {
	header += "\n"
	file := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return append(append(file, header...), data...)
}

// The library's own writer is understood.
func TestRead(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := library.Write(&b, [2][3]float64{{1, 2, 3}, {4, 5, 6}}); err != nil {
		t.Fatal(err)
	}
	a, err := npy.Read(&b, 48)
	if err != nil {
		t.Fatal(err)
	}
	x, err := a.Float64s()
	if err != nil || !slices.Equal(x, []float64{1, 2, 3, 4, 5, 6}) || !slices.Equal(a.Shape, []int{2, 3}) {
		t.Errorf("%v %v, %v", a.Shape, x, err)
	}
}

func TestReadFortran(t *testing.T) {
	t.Parallel()
	// numpy.asfortranarray(numpy.arange(24, dtype='u1').reshape(2, 3, 4)): the first index runs fastest.
	var data []byte
	for k := range 4 {
		for j := range 3 {
			for i := range 2 {
				data = append(data, byte(12*i+4*j+k))
			}
		}
	}
	a, err := npy.Read(bytes.NewReader(array("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4), }", data)), 24)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range a.Data {
		if int(x) != i {
			t.Fatalf("element %d is %d", i, x)
		}
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	good := array("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", make([]byte, 8))
	for name, c := range map[string]struct {
		file []byte
		kind error
	}{
		"too large":  {good, npy.ErrSize},
		"cut short":  {good[:len(good)-1], npy.ErrFormat},
		"too long":   {append(bytes.Clone(good), 0), npy.ErrFormat},
		"no numbers": {good[:20], npy.ErrFormat},
		"text":       {array("{'descr': '<U4', 'fortran_order': False, 'shape': (2,), }", make([]byte, 32)), npy.ErrType},
		"big endian": {array("{'descr': '>f8', 'fortran_order': False, 'shape': (1,), }", make([]byte, 8)), npy.ErrType},
		"structure":  {array("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", make([]byte, 8)), npy.ErrFormat},
	} {
		limit := int64(8)
		if name == "too large" {
			limit = 7
		}
		if _, err := npy.Read(bytes.NewReader(c.file), limit); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
}

// What is accepted has as many bytes as its shape says, and a header that reads back.
func FuzzRead(f *testing.F) {
	f.Add(array("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", make([]byte, 8)))
	f.Add(array("{'descr': '<f8', 'fortran_order': True, 'shape': (1, 2), }", make([]byte, 16)))
	f.Add(array("{'descr': '|O', 'fortran_order': False, 'shape': (), }", nil))
	f.Add(array("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4), }", nil))
	f.Add([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := npy.Read(bytes.NewReader(file), 1<<20)
		if err != nil {
			if !errors.Is(err, npy.ErrFormat) && !errors.Is(err, npy.ErrSize) && !errors.Is(err, npy.ErrType) {
				t.Errorf("%v is neither ErrFormat, ErrSize nor ErrType", err)
			}
			return
		}
		if int64(len(a.Data)) != a.Bytes() || len(a.Data) > len(file) {
			t.Errorf("%d bytes of %v from a file of %d", len(a.Data), a.Header, len(file))
		}
	})
}

func ExampleRead() {
	f, err := os.Open("../../../testdata/m2/golden/per_prompt_f64.npy")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	a, err := npy.Read(f, 1<<20)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.DType, a.Shape)
	// Output: <f8 [77 50 3 5]
}
