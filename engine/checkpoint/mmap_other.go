//go:build !unix

package checkpoint

import (
	"fmt"
	"os"
)

// mapFile reads a regular file into memory, where the platform has no mmap that we use.
func mapFile(path string) ([]byte, func() error, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	data, err := os.ReadFile(path)
	return data, func() error { return nil }, err
}

// releasePages has nothing to give back: the file was read into memory.
func releasePages([]byte) {}
