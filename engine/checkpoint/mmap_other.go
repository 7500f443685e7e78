//go:build !unix

package checkpoint

import (
	"io"

	"ducklens/internal/regular"
)

// mapFile reads a regular file into memory, where the platform has no mmap that we use.
func mapFile(path string) ([]byte, func() error, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	return data, func() error { return nil }, err
}

// releasePages has nothing to give back: the file was read into memory.
func releasePages([]byte) {}
