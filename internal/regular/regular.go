// Package regular opens regular files and nothing else.
//
// Files and folders may come from strangers. Opening a named pipe in one would wait for a writer, and opening
// a device may do anything. Whatever is not a regular file is refused before it is opened.
package regular

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotRegular is returned for a folder, a pipe, a device or a socket.
var ErrNotRegular = errors.New("not a regular file")

// Open opens a regular file for reading. It follows links.
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
	info, err = f.Stat() // the file may have been replaced since it was checked
	if err == nil {
		err = Check(path, info.Mode())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// DirFS is [os.DirFS] restricted to regular files and folders.
func DirFS(dir string) fs.FS { return folder(dir) }

type folder string

// Stat returns what is there, whatever its type.
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

// Check returns an error that says what path is unless it is a regular file.
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
