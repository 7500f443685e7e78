package dbfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"ducklens/schema/dbfile"
)

func TestCreateOpenFinalize(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "a 100% x=1 'q' \"d\" é#.duckdb")
	db, err := dbfile.Create(ctx, path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(ctx); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Fatalf("folder holds %v, want the database alone", entries)
	}
	r, err := dbfile.OpenReader(ctx, path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkCreate(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		db, err := dbfile.Create(b.Context(), filepath.Join(dir, "x.duckdb"), dbfile.Options{Replace: true})
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Finalize(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
