//go:build unix

package cli

import (
	"os/signal"
	"syscall"
)

// ignoreFileSize turns a write beyond the limit on file sizes into an ordinary error. Otherwise the signal
// would end the process, without a message if it reached a thread of DuckDB.
func ignoreFileSize() { signal.Ignore(syscall.SIGXFSZ) }
