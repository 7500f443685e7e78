package dbfile

import (
	"context"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"ducklens/schema"
)

var update = flag.Bool("update", false, "make empty.duckdb.gz and tables.json.gz anew")

// TestEmptyFile checks that the embedded file is the one that the definitions create.
func TestEmptyFile(t *testing.T) {
	ctx := t.Context()
	want, err := definitionsDigest()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "made.duckdb")
	db, err := attach(ctx, path, modeCreate, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := makeTables(ctx, db); err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(ctx); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		packed, err := pack(made, want)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("empty.duckdb.gz", packed, 0o644); err != nil {
			t.Fatal(err)
		}
		packedEmpty = packed
	}
	file, digest, err := unpackEmpty()
	if err != nil {
		t.Fatal(err)
	}
	if digest != want {
		t.Fatal("the definitions have changed; make the file anew: go test ./schema/dbfile -run TestEmptyFile -update")
	}
	carried := filepath.Join(t.TempDir(), "carried.duckdb")
	if err := os.WriteFile(carried, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if a, b := described(ctx, t, path), described(ctx, t, carried); !maps.Equal(a, b) {
		t.Errorf("%d things are defined in the file that was made and %d in the one that is carried, and they differ", len(a), len(b))
	}
}

// TestCarriedTables checks that the embedded description of the tables is DuckDB's own.
func TestCarriedTables(t *testing.T) {
	ctx := t.Context()
	statements, err := schema.Tables()
	if err != nil {
		t.Fatal(err)
	}
	d, err := OpenData(ctx, newEmpty(t), Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	conn, err := d.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want, err := askedTables(ctx, conn, statements)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		packed, err := packTables(want, tablesDigest(statements))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("tables.json.gz", packed, 0o644); err != nil {
			t.Fatal(err)
		}
		packedTables = packed
	}
	got := carriedTables(statements)
	if got == nil {
		t.Fatal("the tables or DuckDB have changed; make the description anew: go test ./schema/dbfile -run TestCarriedTables -update")
	}
	if len(want) < 20 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d tables are carried, and they differ from the %d that DuckDB describes", len(got), len(want))
	}
	if other := carriedTables(append(slices.Clone(statements), "CREATE TABLE more (x INTEGER)")); other != nil {
		t.Error("the description of other tables is taken for that of these")
	}
}

// newEmpty makes a file without rows.
func newEmpty(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new.duckdb")
	db, err := Create(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	return path
}

// described returns the definitions and comments of everything in a file.
func described(ctx context.Context, t *testing.T, path string) map[string]string {
	t.Helper()
	d, err := OpenData(ctx, path, Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	list, err := d.Definitions(ctx)
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	db, err := OpenWriter(ctx, path, Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.SQL().QueryContext(ctx, `SELECT 'table ' || table_name, sql || coalesce(comment, '') FROM duckdb_tables() WHERE database_name = 'data'
		UNION ALL SELECT 'about view ' || view_name, comment FROM duckdb_views() WHERE database_name = 'data' AND NOT internal
		UNION ALL SELECT 'about macro ' || function_name, comment FROM duckdb_functions() WHERE database_name = 'data' AND NOT internal
		UNION ALL SELECT 'column ' || table_name || '.' || column_name, data_type || coalesce(comment, '') FROM duckdb_columns() WHERE database_name = 'data'
		UNION ALL SELECT 'meta ' || key, value FROM meta`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, definition string
		if err := rows.Scan(&name, &definition); err != nil {
			t.Fatal(err)
		}
		list[name] = definition
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(list) < 300 {
		t.Fatalf("only %d things are defined", len(list))
	}
	return list
}
