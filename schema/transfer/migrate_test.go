package transfer_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/transfer"
)

// unlike lists what a migration changes: results computed from factors, and facts about the file. Since
// version 4, only the latter.
func unlike(version int) []string {
	if version >= 4 {
		return []string{"meta", "saved_query"}
	}
	return []string{"pair", "pair_wide", "query_factor", "key_factor", "meta", "saved_query", "component", "model", "run", "head"}
}

// answers returns the rows of each table and view of a file, sorted as text, in the columns that old lists.
// Heads are named as in figures.
func answers(t *testing.T, path string, old map[string][]string) map[string][]string {
	t.Helper()
	pool, err := sql.Open("duckdb", path+"?access_mode=READ_ONLY")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	all := map[string][]string{}
	for name, columns := range old {
		list := make([]string, len(columns))
		for i, c := range columns {
			list[i] = `"` + c + `"`
			if c == "head" || c == "worst_head" {
				list[i] = `regexp_replace("` + c + `"::VARCHAR, '^L([0-9]+)H([0-9]+)$', '\1.\2') AS "` + c + `"`
			}
		}
		all[name] = schematest.Texts(t, pool, "SELECT t::VARCHAR FROM (SELECT "+strings.Join(list, ", ")+" FROM "+name+") AS t ORDER BY 1")
	}
	return all
}

// columnsOf lists the columns of each table and view of a file of a version that a migration does not change.
func columnsOf(t *testing.T, path string, version int) map[string][]string {
	t.Helper()
	pool, err := sql.Open("duckdb", path+"?access_mode=READ_ONLY")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	all := map[string][]string{}
	for _, c := range schematest.Texts(t, pool, "SELECT table_name || '.' || column_name FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index") {
		name, column, _ := strings.Cut(c, ".")
		if !slices.Contains(unlike(version), name) {
			all[name] = append(all[name], column)
		}
	}
	return all
}

// TestMigrate checks that all tables and views of migrated files have the rows that they had, except the
// factors of versions 1 to 3.
func TestMigrate(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for version := 1; version < schema.Version; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			path := oldFile(t, version)
			for name, open := range openers {
				_, err := open(ctx, path, dbfile.Options{})
				var e *dbfile.Error
				if !errors.Is(err, dbfile.ErrSchemaVersion) || !errors.As(err, &e) || !strings.Contains(e.Hint(), "ducklens migrate") {
					t.Fatalf("%s: %v, want ErrSchemaVersion with a hint to migrate", name, err)
				}
			}
			columns := columnsOf(t, path, version)
			want := answers(t, path, columns)
			result, err := transfer.Migrate(ctx, path, transfer.MigrateOptions{Database: dbfile.Options{Threads: 1}})
			if err != nil || result.From != version {
				t.Fatalf("migrate: %+v, %v, want from %d", result, err, version)
			}
			lost := []int{1, 2}
			if version == 1 || version >= 4 {
				lost = nil
			}
			if !slices.Equal(result.Factors, lost) {
				t.Errorf("factors of runs %v were left behind", result.Factors)
			}
			if again, err := transfer.Migrate(ctx, path, transfer.MigrateOptions{}); err != nil || again.From != schema.Version {
				t.Errorf("migrate again: %+v, %v, want from %d", again, err, schema.Version)
			}
			if names := listing(path); len(names) != 1 {
				t.Errorf("the folder holds %q", names)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("the file has the mode %v, %v, want that of the old one", info.Mode(), err)
			}
			verified(t, path)
			got := answers(t, path, columns)
			for name := range want {
				if !slices.Equal(got[name], want[name]) {
					t.Errorf("%s has %d rows, which differ from the %d that it had; first: %s, want %s", name, len(got[name]), len(want[name]),
						slices.Concat(got[name], []string{"none"})[0], slices.Concat(want[name], []string{"none"})[0])
				}
			}
			if version > 1 && len(want["pair_mean"]) == 0 || len(want["contribution"]) == 0 || len(want["example"]) == 0 || len(want["token"]) == 0 {
				t.Error("nothing was compared")
			}
		})
	}
}

// TestMigratedManifest checks that runs keep their manifests and get distinct keys.
func TestMigratedManifest(t *testing.T) {
	t.Parallel()
	path := oldFile(t, 3)
	if _, err := transfer.Migrate(t.Context(), path, transfer.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	db, err := dbfile.OpenReader(t.Context(), path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]string{
		"SELECT string_agg(format('{} {} {} {} {} {} {}', run_id, n_prompts, length(prompts_sha256), convention, processing, bos, seed), '; ' ORDER BY run_id) FROM run": "1 3 64 exact processed true 42; 2 2 64 notebook processed true 42; 3 2 64 exact raw false 42",
		"SELECT string_agg(format('{} {} {}', factors, pairs, pair_means), '; ' ORDER BY run_id) FROM run":                                                               "false true true; false false true; false false false",
		"SELECT count(DISTINCT key) || ' ' || min(length(key)) FROM run":                                                                                                 "3 32",
		"SELECT family || ' ' || norm || ' ' || n_kv_heads || ' ' || coalesce(config_sha256, 'none') FROM model":                                                         "gpt2 LN 4 none",
		"SELECT string_agg(label || ' ' || kv_head || ' ' || round(score_scale, 6) || ' ' || rotary_dims, '; ' ORDER BY run_id, ordinal) FROM head":                      "L3H0 0 0.204124 0; L2H1 1 0.204124 0; L2H1 1 0.204124 0; L2H1 1 0.204124 0",
		"SELECT count(*) || ' ' || count(DISTINCT component_id) FROM run_component":                                                                                      "84 28",
	} {
		if got := schematest.Texts(t, db.SQL(), query); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// TestMigrateTwice checks that two migrations of the same file have the same keys, so that merging recognises
// their runs.
func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	a, b := oldFile(t, 2), oldFile(t, 2)
	for _, path := range []string{a, b} {
		if _, err := transfer.Migrate(t.Context(), path, transfer.MigrateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := transfer.Merge(t.Context(), filepath.Join(t.TempDir(), "both.duckdb"), []string{a, b}, dbfile.Options{Threads: 1})
	if err != nil || len(runs) != 6 || runs[2].Known || !runs[3].Known || !runs[5].Known {
		t.Errorf("%+v, %v, want runs 1 to 3 known when they come again", runs, err)
	}
}

// TestMigrateQueries checks that queries of an older release become those of this one, and that a user's
// queries are kept even under a shipped name.
func TestMigrateQueries(t *testing.T) {
	t.Parallel()
	path := oldFile(t, 3, "INSERT INTO saved_query VALUES ('mine', 'SELECT 1')", "UPDATE saved_query SET sql = 'SELECT 2' WHERE name = 'closure'")
	result, err := transfer.Migrate(t.Context(), path, transfer.MigrateOptions{Shipped: []transfer.SavedQuery{{"closure", "new"}, {"top_heads", "newer"}, {"other", "newest"}}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(result.Replaced, []string{"top_heads"}) || !slices.Contains(result.Kept, "mine") || !slices.Contains(result.Kept, "closure") {
		t.Errorf("%+v", result)
	}
	db, err := dbfile.OpenReader(t.Context(), path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := schematest.Texts(t, db.SQL(), "SELECT name || ': ' || sql FROM saved_query WHERE name IN ('mine', 'closure', 'top_heads', 'other') ORDER BY name")
	if want := []string{"closure: SELECT 2", "mine: SELECT 1", "top_heads: newer"}; !slices.Equal(got, want) {
		t.Errorf("saved queries %q, want %q", got, want)
	}
}

// TestMigrateWithLog checks that the content of a log beside the file is migrated too.
func TestMigrateWithLog(t *testing.T) {
	t.Parallel()
	path := oldFile(t, 3, "PRAGMA disable_checkpoint_on_shutdown", "INSERT INTO saved_query VALUES ('late', 'SELECT 1')")
	if names := listing(path); len(names) != 2 {
		t.Fatalf("the folder holds %q, want a log beside the file", names)
	}
	result, err := transfer.Migrate(t.Context(), path, transfer.MigrateOptions{})
	if err != nil || !slices.Contains(result.Kept, "late") {
		t.Errorf("%+v, %v, want the query late kept", result, err)
	}
	if names := listing(path); len(names) != 1 {
		t.Errorf("the folder holds %q", names)
	}
	verified(t, path)
}

// TestMigrateInterrupted checks that a migration that is interrupted at any moment leaves either the old file
// or the whole new one, and nothing beside it.
func TestMigrateInterrupted(t *testing.T) {
	t.Parallel()
	stopped := 0
	for i := range 12 {
		path := oldFile(t, 3)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*i)*8*time.Millisecond)
		_, err = transfer.Migrate(ctx, path, transfer.MigrateOptions{Database: dbfile.Options{Threads: 1}})
		cancel()
		if names := listing(path); len(names) != 1 {
			t.Errorf("the folder holds %q after %v", names, err)
		}
		if err == nil {
			verified(t, path)
			continue
		}
		stopped++
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, dbfile.ErrInterrupted) {
			t.Errorf("error %v, want an interruption", err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("the file has changed, %v", err)
		}
	}
	if stopped == 0 {
		t.Error("no migration was interrupted")
	}
}

// TestMigrateRefuses checks that files that cannot be migrated are left unchanged.
func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	newer := rawFile(t, "CREATE TABLE meta AS SELECT 'schema_version' AS key, '99' AS value", "CREATE TABLE run AS SELECT 1 AS run_id, 'v9.1.0' AS ducklens_version")
	for _, tt := range []struct {
		name, path string
		want       error
		text, hint string
	}{
		{"newer", newer, dbfile.ErrSchemaVersion, "its last run was made by ducklens v9.1.0", "schema version 99"},
		{"ancient", rawFile(t, "CREATE TABLE meta AS SELECT 'schema_version' AS key, '0' AS value"), dbfile.ErrSchemaVersion, "schema version 0", "make the file again"},
		{"no ducklens file", rawFile(t, "CREATE TABLE a AS SELECT 1 AS x"), dbfile.ErrNotDucklens, "no table meta", ""},
		{"missing", filepath.Join(t.TempDir(), "x.duckdb"), dbfile.ErrNotFound, "", ""},
		{"lost table", oldFile(t, 3, "DROP TABLE projection CASCADE"), dbfile.ErrNotDucklens, "it has no table projection", ""},
		{"view for a table", oldFile(t, 3, "ALTER TABLE mover RENAME TO m", "CREATE VIEW mover AS SELECT * FROM m"), dbfile.ErrNotDucklens, "it has no table mover", ""},
		{"generated column", oldFile(t, 3, "ALTER TABLE saved_query RENAME TO q", "CREATE TABLE saved_query (name VARCHAR, sql VARCHAR AS (name || name))"),
			dbfile.ErrNotDucklens, "it has no stored column saved_query.sql", ""},
		{"other type", oldFile(t, 3, "ALTER TABLE token ALTER text TYPE BLOB"), dbfile.ErrNotDucklens, "its column token.text is BLOB, want VARCHAR", ""},
		{"row that breaks a rule", oldFile(t, 3, "CREATE TABLE loose AS SELECT * FROM substitution", "DROP TABLE substitution CASCADE", "UPDATE loose SET prob = NULL", "ALTER TABLE loose RENAME TO substitution"),
			dbfile.ErrConstraint, "NOT NULL constraint failed: substitution.prob", ""},
	} {
		before, _ := os.ReadFile(tt.path)
		_, err := transfer.Migrate(t.Context(), tt.path, transfer.MigrateOptions{Database: dbfile.Options{Threads: 1}})
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
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
		if names := listing(tt.path); len(names) > 1 {
			t.Errorf("%s: the folder holds %q", tt.name, names)
		}
	}
}

// TestMigrateForeign checks that files with objects that ducklens did not make are refused with their names,
// and left unchanged.
func TestMigrateForeign(t *testing.T) {
	t.Parallel()
	path := oldFile(t, 3, "CREATE TABLE my_notes AS SELECT 1 AS x", "CREATE SCHEMA lab", "CREATE TABLE lab.more AS SELECT 2 AS y", "CREATE VIEW mine AS SELECT 1 AS one",
		"CREATE MACRO twice(x) AS 2 * x", "ALTER TABLE saved_query ADD COLUMN remark VARCHAR", "CREATE TYPE mood AS ENUM ('good')", "CREATE SEQUENCE counter")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = transfer.Migrate(t.Context(), path, transfer.MigrateOptions{})
	const want = "column saved_query.remark, macro twice, schema lab, sequence counter, table my_notes, type mood, view mine"
	if !errors.Is(err, transfer.ErrForeign) || !strings.Contains(err.Error(), "would lose "+want) {
		t.Errorf("error %v, want ErrForeign with %s", err, want)
	}
	var e *dbfile.Error
	if errors.As(err, &e); !strings.Contains(e.Hint(), "copy them to another file with DuckDB") {
		t.Errorf("hint %q", e.Hint())
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file has changed, %v", err)
	}
}

// TestMigrateLocked checks that a file in use is not migrated.
func TestMigrateLocked(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	if _, err := transfer.Migrate(t.Context(), db.Path(), transfer.MigrateOptions{}); !errors.Is(err, dbfile.ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
}
