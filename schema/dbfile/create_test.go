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

// TestLogSize checks that a writer makes checkpoints when the log has the size that it was given.
func TestLogSize(t *testing.T) {
	t.Parallel()
	for log, want := range map[string]string{"": "16.0 MiB", "128MiB": "128.0 MiB"} {
		db, err := dbfile.Create(t.Context(), filepath.Join(t.TempDir(), "run.duckdb"), dbfile.Options{Log: log})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = db.SQL().QueryRowContext(t.Context(), "SELECT current_setting('checkpoint_threshold')").Scan(&got)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("log %q: a checkpoint at %s, want %s", log, got, want)
		}
	}
}
