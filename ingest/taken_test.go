package ingest_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// TestFileIsMoved checks that a run reports that another program has removed or replaced its file, and leaves
// the new file alone.
func TestFileIsMoved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		force  bool
		move   func(path string) error
		beside string // suffix of the file that holds the whole run
	}{
		{"removed", false, os.Remove, ""},
		{"renamed", false, func(path string) error { return os.Rename(path, path+".mine") }, ""},
		{"replaced", false, func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("another's"), 0o644), os.Rename(path+".new", path))
		}, ""},
		{"changed before it is replaced", true, func(path string) error { return os.WriteFile(path, []byte("another's"), 0o644) }, ".unfinished"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			engine := newFake(head1)
			o := options(t, engine, 40)
			o.BatchPrompts = 2
			if o.Force = c.force; c.force {
				mustRun(t, func() ingest.Options { first := options(t, newFake(head2), 5); first.Path = o.Path; return first }())
			}
			calls := 0
			engine.analyze = func(context.Context, []schema.Result) error {
				if calls++; calls == 12 {
					return c.move(o.Path)
				}
				return nil
			}
			_, err := ingest.Run(t.Context(), o)
			if c.beside == "" {
				if !errors.Is(err, dbfile.ErrChanged) || strings.Contains(err.Error(), "resume") {
					t.Errorf("%v, want %v", err, dbfile.ErrChanged)
				}
				return
			}
			var taken *ingest.Taken
			if !errors.As(err, &taken) || taken.Path != o.Path+c.beside {
				t.Fatalf("%v, want the whole run in %s", err, o.Path+c.beside)
			}
			if text, err := os.ReadFile(o.Path); err != nil || string(text) != "another's" {
				t.Errorf("%v: what another program has put there is gone", err)
			}
			whole := options(t, newFake(head1), 40)
			mustRun(t, whole)
			sameTables(t, taken.Path, whole.Path)
		})
	}
}
