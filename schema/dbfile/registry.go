package dbfile

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// DuckDB guards a file with a lock that belongs to the process, so it does not notice when one process
// attaches a file in two places: both would write. The registry notices.
var registry = struct {
	sync.Mutex
	users map[string]int // resolved path -> number of readers, or -1 for a writer
}{users: map[string]int{}}

// reserve notes that this process is about to open the file; it fails if that cannot go together with
// what is open already. Call release exactly once when the file is closed.
func reserve(abs string, write bool) (release func(), err error) {
	registry.Lock()
	defer registry.Unlock()
	key := resolve(abs)
	users := registry.users[key]
	switch {
	case users < 0 || (write && users > 0):
		return nil, &Error{Kind: ErrLocked, Holder: fmt.Sprintf("this process (PID %d)", os.Getpid())}
	case write:
		registry.users[key] = -1
	default:
		registry.users[key] = users + 1
	}
	// The file may be renamed or removed while it is open, so its key is kept.
	return func() {
		registry.Lock()
		defer registry.Unlock()
		if users := registry.users[key]; users <= 1 {
			delete(registry.users, key)
		} else {
			registry.users[key] = users - 1
		}
	}, nil
}

// resolve gives one name for a file that may be reached under several; a file that does not exist yet keeps its own.
func resolve(abs string) string {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(dir, filepath.Base(abs))
	}
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		return target
	}
	return abs
}
