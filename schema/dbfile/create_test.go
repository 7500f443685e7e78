package dbfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/schema/dbfile"
)

// TestCreateRefusesNames checks that names that DuckDB cannot use, or that are too long for its logs, are
// refused before anything is written.
func TestCreateRefusesNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ name, want string }{
		{"a\xff.duckdb", "not UTF-8"},
		{strings.Repeat("x", 241), "241 bytes, want at most 240"},
	} {
		_, err := dbfile.Create(t.Context(), filepath.Join(dir, c.name), dbfile.Options{})
		if !errors.Is(err, dbfile.ErrPath) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.name, err, c.want)
		}
	}
	longest := filepath.Join(dir, strings.Repeat("x", 240))
	db, err := dbfile.Create(t.Context(), longest, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Error(err)
	}
	if db, err = dbfile.OpenWriter(t.Context(), longest, dbfile.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files, %v, want 1", len(entries), err)
	}
}
