package dbfile

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// DuckDB's lock on a file belongs to the process. DuckDB does not notice if one process attaches a file
// twice, and both would write. The registry prevents this.
var registry = struct {
	sync.Mutex
	users map[string]int // resolved path -> number of readers, or -1 for a writer
}{users: map[string]int{}}

// reserve records that this process is about to open the file. It fails if the file is already open in a
// conflicting way. Call release exactly once, when the file is closed.
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
	// Keep the key, because the file may be renamed or removed while it is open.
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

// resolve returns the same name for all paths to a file. A missing file keeps its name.
func resolve(abs string) string {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(dir, filepath.Base(abs))
	}
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		return target
	}
	return abs
}
