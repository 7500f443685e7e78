//go:build !unix

package draft

import (
	"errors"
	"io/fs"
	"os"
)

var errHeld = errors.New("the folder is held")

// lockFolder does not lock on this system, so what killed processes leave behind is not removed.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return nil, errors.Join(f.Close(), errors.ErrUnsupported)
}

func syncFolder(string) error { return nil }

func renameNew(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return os.Rename(from, to)
}

func exchangeNames(a, b string) error { return errors.ErrUnsupported }

// likeOld gives the draft the permissions of the file that it replaces.
func (d *Draft) likeOld(old fs.FileInfo) error { return os.Chmod(d.Path(), old.Mode().Perm()) }
