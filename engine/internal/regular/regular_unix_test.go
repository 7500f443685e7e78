//go:build unix

package regular_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ducklens/engine/internal/regular"
)

// A pipe that nobody writes to is refused at once, and a device is not touched.
func TestOpenOther(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]string{pipe: "a named pipe", "/dev/null": "a device"} {
		if _, err := regular.Open(path); !errors.Is(err, regular.ErrNotRegular) || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
