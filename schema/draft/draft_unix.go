//go:build unix

package draft

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errHeld: another draft holds the folder.
var errHeld = errors.New("the folder is held")

// lockFolder takes the lock on a folder. The lock ends with the process.
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

// syncFolder waits until the names in a folder are on disk, if the file system supports that.
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

// renameNew renames a file or folder to a name that must not exist. A link does not overwrite, unlike a
// rename.
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

// likeOld gives the draft the permissions of the file that it replaces and, if the system allows it, its
// owner and group, so that root does not take a file from its user. The draft is opened in the locked folder,
// so that a user who can rename things beside it cannot redirect this to another file.
func (d *Draft) likeOld(old fs.FileInfo) error {
	if d.lock == nil {
		return os.Chmod(d.Path(), old.Mode().Perm())
	}
	fd, err := unix.Openat(int(d.lock.Fd()), bodyName,
		unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: d.Path(), Err: err}
	}
	f := os.NewFile(uintptr(fd), d.Path())
	mine, err := f.Stat()
	if err == nil {
		was, wasOK := old.Sys().(*syscall.Stat_t)
		is, isOK := mine.Sys().(*syscall.Stat_t)
		if wasOK && isOK && (was.Uid != is.Uid || was.Gid != is.Gid) {
			_ = f.Chown(int(was.Uid), int(was.Gid)) // only root may; otherwise the file belongs to the writer
		}
		err = f.Chmod(old.Mode().Perm())
	}
	return errors.Join(err, f.Close())
}
