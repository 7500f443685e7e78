package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// File is a single safetensors file that is not a model, but has tensors under given names.
type File struct {
	tensors mapped
	bytes   []byte
	views   map[string]View
}

// OpenFile maps a safetensors file. Close it when its tensors are no longer read.
func OpenFile(path string) (*File, error) {
	f := &File{tensors: mapped{data: map[string][]byte{}}, views: map[string]View{}}
	if err := f.load(path); err != nil {
		return nil, errors.Join(fmt.Errorf("checkpoint %s: %w", filepath.Base(path), err), f.Close())
	}
	return f, nil
}

func (f *File) load(path string) (err error) {
	if f.bytes, err = f.tensors.file(path); err != nil {
		return err
	}
	entries, data, err := parseSafetensors(f.bytes)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f.views[e.name] = View{Name: e.name, DType: e.dtype, Shape: e.shape, data: data[e.begin:e.end:e.end],
			file: true}
	}
	return nil
}

// Bytes returns the whole file. The bytes must not be written to, and are valid until the file is closed.
func (f *File) Bytes() []byte { return f.bytes }

// Len returns the number of tensors.
func (f *File) Len() int { return len(f.views) }

// Tensor returns the tensor called name, which must have this type and shape and contain only finite numbers.
// Its bytes are valid until the file is closed.
func (f *File) Tensor(name string, dtype DType, shape ...int) (View, error) {
	v, ok := f.views[name]
	switch {
	case !ok:
		return View{}, fault(ErrTensor, "there is no tensor %q", name)
	case v.DType != dtype || !slices.Equal(v.Shape, shape):
		return View{}, fault(ErrTensor, "tensor %q has type %s and shape %v, want %s and %v", name, v.DType,
			v.Shape, dtype, shape)
	}
	return v, v.CheckFinite()
}

// View returns a tensor that [File.Tensor] has returned before, without checking its numbers again.
func (f *File) View(name string) View { return f.views[name] }

// Integers returns a list of n whole numbers of type I64.
func (f *File) Integers(name string, n int) ([]int64, error) {
	v, ok := f.views[name]
	if !ok || v.DType != "I64" || !slices.Equal(v.Shape, []int{n}) {
		return nil, fault(ErrTensor, "tensor %q has type %q and shape %v, want I64 and [%d]", name, v.DType,
			v.Shape, n)
	}
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(binary.LittleEndian.Uint64(v.data[8*i:]))
	}
	return list, nil
}

// Has reports whether there is a tensor called name, of any type and shape.
func (f *File) Has(name string) bool {
	_, ok := f.views[name]
	return ok
}

// Shape returns the shape of a tensor, or nil if there is none with this name.
func (f *File) Shape(name string) []int { return slices.Clone(f.views[name].Shape) }

// Close unmaps the file.
func (f *File) Close() error { return f.tensors.close() }
