// Package regular opens regular files and nothing else.
//
// Files and folders come from strangers. Opening a named pipe in it would wait for somebody to write, and
// opening a device may do anything; what is not a file is refused before it is opened.
package regular

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotRegular: the path leads to a folder, a pipe, a device or a socket.
var ErrNotRegular = errors.New("not a regular file")

// Open opens a regular file for reading. Links are followed.
func Open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = Check(path, info.Mode())
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat() // what was opened need not be what was looked at
	if err == nil {
		err = Check(path, info.Mode())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// DirFS is [os.DirFS] with regular files and folders only.
func DirFS(dir string) fs.FS { return folder(dir) }

type folder string

// Stat tells what is there, whatever it is.
func (f folder) Stat(name string) (fs.FileInfo, error) { return fs.Stat(os.DirFS(string(f)), name) }

func (f folder) Open(name string) (fs.File, error) {
	info, err := f.Stat(name)
	if err == nil && !info.IsDir() {
		var file *os.File
		if file, err = Open(filepath.Join(string(f), filepath.FromSlash(name))); err == nil {
			return file, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return os.DirFS(string(f)).Open(name)
}

// Check refuses what is not a regular file, and says what it is.
func Check(path string, mode fs.FileMode) error {
	kind := "something else"
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		kind = "a folder"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%s is %s: %w", path, kind, ErrNotRegular)
}
