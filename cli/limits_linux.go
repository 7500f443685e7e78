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
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return
	}
	size, _, _ := bytes.Cut(text, []byte(" "))
	pages, err := strconv.ParseUint(string(size), 10, 64)
	if err != nil {
		return
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		return
	}
	limit.Cur = min(limit.Cur, pages*uint64(os.Getpagesize())+uint64(growth))
	_ = syscall.Setrlimit(syscall.RLIMIT_AS, &limit) // the limits of DuckDB stay
}
