package cli

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// limitAddressSpace lets the process grow by so many bytes from its present size. Beyond that, DuckDB's allocations fail, which
// it reports as an error, where otherwise the kernel would choose a process to kill. A lower limit that is there already stays.
// Without /proc there is none.
func limitAddressSpace(growth int64) {
	pages, ok := memoryPages(0)
	if !ok {
		return
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		return
	}
	limit.Cur = min(limit.Cur, uint64(pages)*uint64(os.Getpagesize())+uint64(growth))
	_ = syscall.Setrlimit(syscall.RLIMIT_AS, &limit) // the limits of DuckDB stay
}

// ownMemory is how much memory the process has of its own, in bytes: pages of files do not count.
func ownMemory() (bytes int64, ok bool) {
	resident, ok := memoryPages(1)
	if !ok {
		return 0, false
	}
	files, ok := memoryPages(2)
	return (resident - files) * int64(os.Getpagesize()), ok
}

// memoryPages reads a number of /proc/self/statm: 0 is the address space, 1 what is in memory, 2 what of it belongs to files.
func memoryPages(field int) (pages int64, ok bool) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text)
	if len(fields) <= field {
		return 0, false
	}
	pages, err = strconv.ParseInt(string(fields[field]), 10, 64)
	return pages, err == nil
}
