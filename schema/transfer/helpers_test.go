package transfer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"

	"ducklens/schema/dbfile"
)

var openers = map[string]func(context.Context, string, dbfile.Options) (*dbfile.DB, error){"OpenReader": dbfile.OpenReader, "OpenWriter": dbfile.OpenWriter}

// oldFile copies a file of an older release into a new folder, and runs statements on it. The file has three
// runs of the demo model: exact with pairs (since version 4 with logits), notebook, and raw without factors.
// Releases with version 1 had none of the three.
func oldFile(t *testing.T, version int, more ...string) string {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("v%d.duckdb.gz", version)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "old.duckdb")
	if err := os.WriteFile(path, content, 0o640); err != nil {
		t.Fatal(err)
	}
	if len(more) > 0 {
		inRaw(t, path, more...)
	}
	return path
}

// rawFile returns a DuckDB file that ducklens did not make.
func rawFile(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "raw.duckdb")
	inRaw(t, path, statements...)
	return path
}

// inRaw runs statements on any DuckDB file.
func inRaw(t *testing.T, path string, statements ...string) {
	t.Helper()
	pool, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, s := range statements {
		if _, err := pool.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// listing lists path and the files beside it.
func listing(path string) (names []string) {
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
