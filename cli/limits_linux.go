package cli

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// limitAddressSpace limits the growth of the process's address space. Beyond the limit, allocations of DuckDB
// fail and it reports an error; without it, the kernel would choose a process to kill. A lower existing limit
// stays. Without /proc nothing is limited.
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
	_ = syscall.Setrlimit(syscall.RLIMIT_AS, &limit) // DuckDB's own limits remain
}

// ownMemory returns the memory of the process in bytes, without pages of files.
func ownMemory() (bytes int64, ok bool) {
	resident, ok := memoryPages(1)
	if !ok {
		return 0, false
	}
	files, ok := memoryPages(2)
	return (resident - files) * int64(os.Getpagesize()), ok
}

// memoryPages reads a field of /proc/self/statm: 0 is the address space, 1 the resident memory, 2 the part of
// it that belongs to files.
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
