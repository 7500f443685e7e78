package regular

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrPattern: DuckDB takes *, ? and [ in the path of a file to read for a pattern of names, and has no way of writing
// them that needs no right to list folders.
var ErrPattern = errors.New("DuckDB reads *, ? and [ in this path as a pattern of names")

// Plain gives a name of a file or folder that is no pattern, for as long as it is not done with: path itself, or where
// that has characters of a pattern, the name that the system gives to an open file, if it does.
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
