//go:build unix

package checkpoint

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"ducklens/internal/regular"
)

// mapFile maps a regular file read-only. The returned function unmaps it.
func mapFile(path string) ([]byte, func() error, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() // the mapping outlives the descriptor
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	size := info.Size()
	if size == 0 {
		return nil, func() error { return nil }, nil
	}
	if int64(int(size)) != size {
		return nil, nil, fmt.Errorf("%s has %d bytes, too many for this platform", path, size)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map %s: %w", path, err)
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// releasePages releases the whole pages of a part of a mapping. Errors are ignored: releasing is only a hint.
func releasePages(part []byte) {
	page := os.Getpagesize()
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(part))) % uintptr(page))
	if whole := (len(part) - skip) / page * page; whole > 0 {
		_ = unix.Madvise(part[skip:skip+whole], unix.MADV_DONTNEED)
	}
}
