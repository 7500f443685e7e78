//go:build unix

package regular_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ducklens/internal/regular"
)

// TestOpenOther checks that a pipe without a writer is refused at once, and that a device is not opened.
func TestOpenOther(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]string{pipe: "a named pipe", "/dev/null": "a device"} {
		dir, name := filepath.Split(path)
		if _, err := regular.DirFS(dir).Open(name); !errors.Is(err, regular.ErrNotRegular) {
			t.Errorf("%s in a folder: %v", path, err)
		}
		if info, err := fs.Stat(regular.DirFS(dir), name); err != nil || info.Mode().IsRegular() {
			t.Errorf("%s is %v, %v", path, info, err)
		}
		if _, err := regular.Open(path); !errors.Is(err, regular.ErrNotRegular) || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
