package dbfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"ducklens/schema/dbfile"
)

// TestLinkToFile checks that a link opens like its file, although DuckDB looks for the log beside the target.
func TestLinkToFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "run.duckdb"), filepath.Join(dir, "link.duckdb")
	db, err := dbfile.Create(t.Context(), file, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("run.duckdb", link); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	data, err := dbfile.OpenData(t.Context(), link, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := data.Close(); err != nil {
		t.Error(err)
	}
}
