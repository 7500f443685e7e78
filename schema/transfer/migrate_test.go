package transfer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

// oldFile makes a file with the tables of an older schema version and a run in it, and runs more statements there.
func oldFile(t *testing.T, version int, more ...string) string {
	t.Helper()
	list, err := schema.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	var statements []string
	for _, m := range list[:version] {
		statements = append(statements, m.Statements...)
	}
	statements = append(statements, fmt.Sprintf("INSERT INTO meta VALUES ('schema_version', '%d'), ('created_by', 'ducklens')", version),
		`INSERT INTO run (run_id, model_id, created_at, ducklens_version, command_line, prompt_source, seed, bos, convention, processing, precision, blas, threads,
			factors, pairs, status, n_examples, n_heads) VALUES (1, 0, '2026-01-02', 'v0.0.9', 'ducklens ingest', 'ioi', 42, true, 'exact', 'processed', 'float32', 'builtin', 1, false, false, 'complete', 0, 1)`)
	return rawFile(t, append(statements, more...)...)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for version := 1; version < schema.Version; version++ {
		path := oldFile(t, version)
		for _, opener := range []string{"OpenReader", "OpenWriter"} {
			_, err := openers[opener](ctx, path, dbfile.Options{})
			var e *dbfile.Error
			if !errors.Is(err, dbfile.ErrSchemaVersion) || !errors.As(err, &e) || !strings.Contains(e.Hint(), "ducklens migrate") {
				t.Fatalf("%s of a file of version %d: %v, want ErrSchemaVersion with a hint to migrate", opener, version, err)
			}
		}
		from, err := dbfile.Migrate(ctx, path, dbfile.Options{Threads: 1})
		if err != nil || from != version {
			t.Fatalf("migrate: from %d, %v, want from %d", from, err, version)
		}
		if from, err = dbfile.Migrate(ctx, path, dbfile.Options{Threads: 1}); err != nil || from != schema.Version {
			t.Errorf("migrate again: from %d, %v, want from %d", from, err, schema.Version)
		}
		if entries := listing(path); len(entries) != len(listing(newFile(t))) {
			t.Errorf("the folder holds %q", entries)
		}
		db, err := dbfile.OpenReader(ctx, path, dbfile.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var seed int
		var hash any
		if err := db.SQL().QueryRowContext(ctx, "SELECT seed, prompts_sha256 FROM run").Scan(&seed, &hash); err != nil || seed != 42 || hash != nil {
			t.Errorf("the run has seed %d, fingerprint %v, %v; want 42, none", seed, hash, err)
		}
		report, err := dbfile.Verify(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range report.Problems {
			if p.Kind == dbfile.Altered || p.Kind == dbfile.Damaged {
				t.Errorf("a migrated file: %v", p)
			}
		}
	}
}

// TestMigrateRefuses: what cannot be migrated is left as it is.
func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	newer := rawFile(t, "CREATE TABLE meta AS SELECT 'schema_version' AS key, '99' AS value", "CREATE TABLE run AS SELECT 1 AS run_id, 'v9.1.0' AS ducklens_version")
	// A table of the new version is there already, so the last migration fails.
	half := oldFile(t, 1, "CREATE TABLE mover AS SELECT 1 AS x")
	for _, tt := range []struct {
		name, path string
		want       error
		text, hint string
	}{
		{"newer", newer, dbfile.ErrSchemaVersion, "its last run was made by ducklens v9.1.0", "schema version 99"},
		{"ancient", rawFile(t, "CREATE TABLE meta AS SELECT 'schema_version' AS key, '0' AS value"), dbfile.ErrSchemaVersion, "schema version 0", "make the file again"},
		{"no ducklens file", rawFile(t, "CREATE TABLE a AS SELECT 1 AS x"), dbfile.ErrNotDucklens, "no table meta", ""},
		{"missing", filepath.Join(t.TempDir(), "x.duckdb"), dbfile.ErrNotFound, "", ""},
		{"altered", half, dbfile.ErrSQL, "migration 0002", ""},
	} {
		before, _ := os.ReadFile(tt.path)
		_, err := dbfile.Migrate(t.Context(), tt.path, dbfile.Options{Threads: 1})
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), "migrate "+tt.path) {
			t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.want, tt.text)
			continue
		}
		var e *dbfile.Error
		if errors.As(err, &e); !strings.Contains(e.Hint(), tt.hint) {
			t.Errorf("%s: hint %q, want %q", tt.name, e.Hint(), tt.hint)
		}
		if after, _ := os.ReadFile(tt.path); string(after) != string(before) {
			t.Errorf("%s: the file has changed", tt.name)
		}
	}
}

// TestMigrateLocked: a file that is in use is not migrated.
func TestMigrateLocked(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	if _, err := dbfile.Migrate(t.Context(), db.Path(), dbfile.Options{Threads: 1}); !errors.Is(err, dbfile.ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
}
