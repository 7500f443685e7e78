//go:build unix

package draft

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// errHeld: another draft holds the folder.
var errHeld = errors.New("the folder is held")

// lockFolder takes the lock on a folder, which ends with the process.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errHeld
	}
	if errors.Is(err, syscall.ENOLCK) {
		err = errors.ErrUnsupported
	}
	if err == nil { // it may have been removed before it was locked
		var mine, there fs.FileInfo
		if mine, err = f.Stat(); err == nil {
			if there, err = os.Stat(dir); err == nil && !os.SameFile(mine, there) {
				err = fs.ErrNotExist
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// syncFolder waits until the names in a folder are on disk, where the file system can tell.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// renameNew gives a file or folder a name that must be free. A link refuses to overwrite, where a rename would not.
func renameNew(from, to string) error {
	if info, err := os.Lstat(from); err != nil || !info.IsDir() {
		err := os.Link(from, to)
		switch {
		case err == nil:
			return os.Remove(from)
		case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	// A folder, or a file system without hard links.
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return os.Rename(from, to)
}
