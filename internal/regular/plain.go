package regular

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrPattern is returned for a path with *, ? or [, which DuckDB takes for a pattern of names. Escaping them
// would need the right to list folders.
var ErrPattern = errors.New("DuckDB reads *, ? and [ in this path as a pattern of names")

// Plain returns a name of a file or folder that is not a pattern, valid until done is called: path itself or,
// if it has characters of a pattern, the name that the system has for an open file, if it has one.
func Plain(path string) (name string, done func() error, err error) {
	if !strings.ContainsAny(path, "*?[") {
		return path, func() error { return nil }, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	name = fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	mine, err := f.Stat()
	if err == nil {
		there, serr := os.Stat(name)
		if serr != nil || !os.SameFile(mine, there) {
			err = ErrPattern
		}
	}
	if err != nil {
		return "", nil, errors.Join(err, f.Close())
	}
	return name, f.Close, nil
}
