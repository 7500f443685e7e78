package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// File is one safetensors file by itself: no model, but tensors that somebody gave names.
type File struct {
	tensors mapped
	bytes   []byte
	views   map[string]View
}

// OpenFile maps a safetensors file. Close it when nothing reads its tensors any more.
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
		f.views[e.name] = View{Name: e.name, DType: e.dtype, Shape: e.shape, data: data[e.begin:e.end:e.end], file: true}
	}
	return nil
}

// Bytes is the whole file. They must not be written to, and are there until it is closed.
func (f *File) Bytes() []byte { return f.bytes }

// Len counts the tensors.
func (f *File) Len() int { return len(f.views) }

// Tensor gives the tensor of that name, which has to be of that type and shape, and of finite numbers. Its
// bytes are good until the file is closed.
func (f *File) Tensor(name string, dtype DType, shape ...int) (View, error) {
	v, ok := f.views[name]
	switch {
	case !ok:
		return View{}, fault(ErrTensor, "there is no tensor %q", name)
	case v.DType != dtype || !slices.Equal(v.Shape, shape):
		return View{}, fault(ErrTensor, "tensor %q has type %s and shape %v, want %s and %v", name, v.DType, v.Shape, dtype, shape)
	}
	return v, v.CheckFinite()
}

// View gives a tensor that [File.Tensor] has given before, without looking at its numbers again.
func (f *File) View(name string) View { return f.views[name] }

// Integers gives a list of so many whole numbers, of type I64.
func (f *File) Integers(name string, n int) ([]int64, error) {
	v, ok := f.views[name]
	if !ok || v.DType != "I64" || !slices.Equal(v.Shape, []int{n}) {
		return nil, fault(ErrTensor, "tensor %q has type %q and shape %v, want I64 and [%d]", name, v.DType, v.Shape, n)
	}
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(binary.LittleEndian.Uint64(v.data[8*i:]))
	}
	return list, nil
}

// Has tells whether there is a tensor of that name, of whatever type and shape.
func (f *File) Has(name string) bool {
	_, ok := f.views[name]
	return ok
}

// Shape is the shape of a tensor; nil where there is none of that name.
func (f *File) Shape(name string) []int { return slices.Clone(f.views[name].Shape) }

// Close gives the memory back.
func (f *File) Close() error { return f.tensors.close() }
