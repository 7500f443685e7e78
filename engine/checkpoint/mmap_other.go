//go:build !unix

package checkpoint

import (
	"io"

	"ducklens/internal/regular"
)

// mapFile reads a regular file into memory, on platforms on which we do not use mmap.
func mapFile(path string) ([]byte, func() error, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	return data, func() error { return nil }, err
}

// releasePages does nothing, as the file was read into memory.
func releasePages([]byte) {}
