package dbfile

import (
	"context"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"ducklens/schema"
)

var update = flag.Bool("update", false, "make what is embedded anew")

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

// TestCarried checks that the embedded descriptions are DuckDB's own.
func TestCarried(t *testing.T) {
	statements, err := schema.Tables()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := describeTables(t.Context(), statements)
	if err != nil {
		t.Fatal(err)
	}
	definitions, err := describeNew()
	if err != nil {
		t.Fatal(err)
	}
	all, err := viewsDigest()
	if err != nil {
		t.Fatal(err)
	}
	if len(tables.Tables) < 20 || len(tables.Own) < 20 || len(definitions) < 40 {
		t.Fatalf("DuckDB describes %d and %d tables, and %d views and macros", len(tables.Tables), len(tables.Own), len(definitions))
	}
	for _, c := range []struct {
		name, digest string
		carried      *[]byte
		want, got    any
	}{
		{"tables.json.gz", tablesDigest(statements), &packedTables, tables, new(tableDescriptions)},
		{"definitions.json.gz", all, &packedDefinitions, &definitions, new(map[string]string)},
	} {
		if *update {
			packed, err := packDescription(c.want, c.digest)
			if err == nil {
				err = os.WriteFile(c.name, packed, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			*c.carried = packed
		}
		if !unpack(*c.carried, c.digest, c.got) {
			t.Errorf("%s: the definitions or DuckDB have changed; make it anew: go test ./schema/dbfile -run TestCarried -update", c.name)
		} else if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s is not what DuckDB says", c.name)
		}
		if unpack(*c.carried, c.digest+"0", c.got) {
			t.Errorf("%s is taken for the description of other definitions", c.name)
		}
	}
	if tablesDigest(statements[1:]) == tablesDigest(statements) {
		t.Error("other statements have the same digest")
	}
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
