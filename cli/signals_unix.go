//go:build unix

package cli

import (
	"os/signal"
	"syscall"
)

// ignoreFileSize makes a write beyond a limit on the size of files an error like any other. The signal that comes with it would end the process, and
// without a word where it meets a thread of DuckDB.
func ignoreFileSize() { signal.Ignore(syscall.SIGXFSZ) }
