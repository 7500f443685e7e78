//go:build unix

package draft_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ducklens/schema/draft"
)

// TestPublishKeepsOwner checks that a file replaced by root keeps its owner.
func TestPublishKeepsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "a")
	put(t, path, "old")
	if err := errors.Join(os.Chown(path, 12345, 23456), os.Chmod(path, 0o640)); err != nil {
		t.Skip("no other owners here: ", err)
	}
	d, err := draft.New(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d.Path(), "new")
	if err := errors.Join(d.Publish(true), d.Close()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 12345 || owner.Gid != 23456 || info.Mode().Perm() != 0o640 {
		t.Errorf("owner %d, group %d, %v, want 12345, 23456 and 0640", owner.Uid, owner.Gid, info.Mode())
	}
}
