package npy

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"ducklens/internal/regular"
)

// Limits of an archive. Deflate shrinks at most 1032-fold, and trained weights hardly at all, so an archive
// that claims to grow beyond both limits is a zip bomb.
const (
	maxMembers = 1 << 17
	maxGrowth  = 200      // times the size of the file
	freeGrowth = 64 << 20 // bytes that any archive may grow to
)

// Archive is an open .npz file whose headers have been read and checked.
type Archive struct {
	file    *os.File
	names   []string
	members map[string]*zip.File
	headers map[string]Header
}

// OpenArchive opens an .npz file. Every member must be an array called NAME.npy, and no two may have the same
// name.
func OpenArchive(path string) (*Archive, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	a := &Archive{file: f, members: map[string]*zip.File{}, headers: map[string]Header{}}
	if err := a.index(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return a, nil
}

func (a *Archive) index() error {
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(a.file, info.Size())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(z.File) > maxMembers {
		return fmt.Errorf("%w: %d members, want at most %d", ErrFormat, len(z.File), maxMembers)
	}
	var total int64
	limit := max(freeGrowth, maxGrowth*info.Size())
	for _, m := range z.File {
		name, ok := strings.CutSuffix(m.Name, ".npy")
		if !ok {
			return fmt.Errorf("%w: member %q, want only .npy", ErrFormat, m.Name)
		}
		if _, twice := a.members[name]; twice {
			return fmt.Errorf("%w: two members %q", ErrFormat, m.Name)
		}
		h, err := memberHeader(m)
		if err != nil {
			return fmt.Errorf("member %q: %w", m.Name, err)
		}
		if h.bytes > limit-total {
			return fmt.Errorf("%w: the arrays up to %q take more than %d bytes, too many for a file of %d",
				ErrSize, m.Name, limit, info.Size())
		}
		total += h.bytes
		a.members[name], a.headers[name] = m, h
		a.names = append(a.names, name)
	}
	return nil
}

func memberHeader(m *zip.File) (Header, error) {
	r, err := m.Open()
	if err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	defer r.Close()
	h, err := ReadHeader(r)
	if size := uint64(h.start) + uint64(h.bytes); err == nil && size != m.UncompressedSize64 {
		return Header{},
			fmt.Errorf("%w: %s %v takes %d bytes, the member has %d", ErrFormat, h.DType, h.Shape, size,
				m.UncompressedSize64)
	}
	return h, err
}

// Names returns the names of the arrays, without .npy, in the order of the file.
func (a *Archive) Names() []string { return slices.Clone(a.names) }

// Header returns the header of the array called name, and reports whether it exists.
func (a *Archive) Header(name string) (Header, bool) {
	h, ok := a.headers[name]
	return h, ok
}

// Read decompresses the array called name. It may be called from several goroutines at once.
func (a *Archive) Read(name string) (Array, error) {
	m, ok := a.members[name]
	if !ok {
		return Array{}, fmt.Errorf("no array %q in the archive", name)
	}
	r, err := m.Open()
	if err != nil {
		return Array{}, fmt.Errorf("array %q: %w: %w", name, ErrFormat, err)
	}
	defer r.Close()
	array, err := Read(struct{ io.Reader }{r}, a.headers[name].bytes)
	if err != nil {
		return Array{}, fmt.Errorf("array %q: %w", name, err)
	}
	return array, nil
}

// Close closes the file.
func (a *Archive) Close() error { return a.file.Close() }
