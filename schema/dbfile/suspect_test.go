package dbfile_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// stranger changes a file the way anybody can with DuckDB's shell. With inLog, the committed changes stay in
// the log.
func stranger(t *testing.T, path string, inLog bool, statements ...string) {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	defer db.Close()
	statements = slices.Concat([]string{"ATTACH " + dbfile.QuoteText(path) + " AS data", "USE data.main"}, statements)
	if inLog {
		statements = append([]string{"PRAGMA disable_checkpoint_on_shutdown", "SET checkpoint_threshold = '100TB'"}, statements...)
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// ways returns all functions that open an existing file. other is a file without faults, for those that need
// two.
func ways(other string) map[string]func(context.Context, string) error {
	closing := func(db interface{ Close() error }, err error) error {
		if err != nil {
			return err
		}
		return db.Close()
	}
	attaching := func(ctx context.Context, path string, attach func(*sql.Conn) (func(), error)) error {
		db, err := dbfile.OpenFor(ctx, other, dbfile.Options{Reach: []string{path}})
		if err != nil {
			return err
		}
		defer db.Close()
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		release, err := attach(conn)
		if err == nil {
			defer release()
		}
		return err
	}
	return map[string]func(context.Context, string) error{
		"OpenData": func(ctx context.Context, path string) error {
			d, err := dbfile.OpenData(ctx, path, dbfile.Options{})
			return closing(d, err)
		},
		"OpenSuspect": func(ctx context.Context, path string) error {
			d, err := dbfile.OpenSuspect(ctx, path, dbfile.Options{})
			return closing(d, err)
		},
		"OpenReader": func(ctx context.Context, path string) error {
			db, err := dbfile.OpenReader(ctx, path, dbfile.Options{})
			return closing(db, err)
		},
		"OpenWriter": func(ctx context.Context, path string) error {
			db, err := dbfile.OpenWriter(ctx, path, dbfile.Options{})
			return closing(db, err)
		},
		"Settle": func(ctx context.Context, path string) error { return dbfile.Settle(ctx, path, dbfile.Options{}) },
		"Version": func(ctx context.Context, path string) error {
			_, err := dbfile.Version(ctx, path, dbfile.Options{})
			return err
		},
		"AttachOther": func(ctx context.Context, path string) error {
			return attaching(ctx, path, func(conn *sql.Conn) (func(), error) {
				_, release, err := dbfile.AttachOther(ctx, conn, path)
				return release, err
			})
		},
		"AttachOld": func(ctx context.Context, path string) error {
			return attaching(ctx, path, func(conn *sql.Conn) (func(), error) {
				return dbfile.AttachOld(ctx, conn, path, "old", map[string]string{"meta.key": "VARCHAR"})
			})
		},
	}
}

// withoutColumns returns a file with a view that is stored without its columns, which DuckDB binds to list
// the columns of all tables. DuckDB 1.5 writes none, but older versions did, and so can an attacker.
func withoutColumns(t *testing.T) string {
	t.Helper()
	path := rawFile(t, "CREATE TABLE meta(key VARCHAR, value VARCHAR)", fmt.Sprintf("INSERT INTO meta VALUES ('schema_version', '%d')", schema.Version), "CREATE VIEW unbound AS SELECT 42 AS answer")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const header, block, parts = 3 * 4096, 262144, 64
	types := []byte("\xca\x00\x01d\x00\x0d\xff\xff") // one INTEGER
	names := []byte("\xcc\x00\x01\x06answer")
	at := bytes.Index(data, types)
	start := header + (at-header)/block*block
	const size = block/parts - 8 // of a part that ends with the view
	first := start + 8 + (at-start-8)/size*size
	part := data[first : first+size]
	for _, field := range [][]byte{types, names} {
		before, after, found := bytes.Cut(part, field)
		if !found {
			t.Fatal("the view is stored otherwise")
		}
		copy(part, slices.Concat(before, after, make([]byte, len(field))))
	}
	checksum := uint64(5381)
	for i := start + 8; i < start+block; i += 8 {
		checksum ^= binary.LittleEndian.Uint64(data[i:]) * 0xbf58476d1ce4e5b9
	}
	binary.LittleEndian.PutUint64(data[start:], checksum)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestViewWithoutColumns(t *testing.T) {
	t.Parallel()
	path := withoutColumns(t)
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	var bound bool
	err = db.QueryRow("SELECT is_bound FROM duckdb_views() WHERE view_name = 'unbound'").Scan(&bound)
	if err := errors.Join(err, db.Close()); err != nil || bound {
		t.Fatalf("the view is bound: %v, %v", bound, err)
	}
	for name, open := range ways(newFile(t)) {
		if err := open(t.Context(), path); !errors.Is(err, dbfile.ErrNotDucklens) || !strings.Contains(err.Error(), `its view "unbound" was stored without its columns`) {
			t.Errorf("%s: %v, want it to refuse the view", name, err)
		}
	}
	if _, err := dbfile.Create(t.Context(), path, dbfile.Options{Replace: true}); !errors.Is(err, dbfile.ErrNotDucklens) {
		t.Errorf("Create: %v, want it to leave the file alone", err)
	}
}

// TestLogs checks that a log beside a file may hold rows, but nothing that DuckDB would run when it replays
// the log.
func TestLogs(t *testing.T) {
	t.Parallel()
	base, other := newFile(t), newFile(t)
	logged := func(statements ...string) string {
		t.Helper()
		path := copyFile(t, base)
		stranger(t, path, true, statements...)
		if _, err := os.Stat(path + ".wal"); err != nil {
			t.Fatal(err)
		}
		return path
	}
	renamed := func(suffix string) string {
		t.Helper()
		path := logged("CREATE VIEW v AS SELECT 1 AS x")
		if err := os.Rename(path+".wal", path+suffix); err != nil {
			t.Fatal(err)
		}
		return path
	}
	with := func(text string) string {
		t.Helper()
		path := copyFile(t, base)
		if err := os.WriteFile(path+".wal", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := copyFile(t, base)
	if err := os.Mkdir(pipe+".wal", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path string
		want error
		text string
	}{
		"rows":              {logged("INSERT INTO saved_query VALUES ('a', 'b')", "DELETE FROM saved_query", "UPDATE meta SET value = value"), nil, ""},
		"view":              {logged("CREATE VIEW v AS SELECT 1 AS x"), dbfile.ErrNotDucklens, "want only rows"},
		"macro":             {logged("CREATE MACRO m(x) AS x"), dbfile.ErrNotDucklens, "want only rows"},
		"table macro":       {logged("CREATE MACRO m(x) AS TABLE SELECT x"), dbfile.ErrNotDucklens, "want only rows"},
		"table":             {logged("CREATE TABLE t(x INTEGER)"), dbfile.ErrNotDucklens, "want only rows"},
		"index":             {logged("CREATE INDEX i ON saved_query((name || sql))"), dbfile.ErrNotDucklens, "want only rows"},
		"column":            {logged("ALTER TABLE saved_query ADD COLUMN c INTEGER DEFAULT 1"), dbfile.ErrNotDucklens, "want only rows"},
		"sequence":          {logged("CREATE SEQUENCE s"), dbfile.ErrNotDucklens, "want only rows"},
		"drop":              {logged("DROP VIEW closure"), dbfile.ErrNotDucklens, "want only rows"},
		"after rows":        {logged("INSERT INTO saved_query VALUES ('a', 'b')", "CREATE VIEW v AS SELECT 1 AS x"), dbfile.ErrNotDucklens, "want only rows"},
		"of a checkpoint":   {renamed(".wal.checkpoint"), dbfile.ErrNotDucklens, "want only rows"},
		"of a recovery":     {renamed(".wal.recovery"), dbfile.ErrNotDucklens, "want only rows"},
		"something else":    {with("dear diary, "), dbfile.ErrDamaged, "not one that ducklens writes"},
		"a folder":          {pipe, dbfile.ErrNotDatabase, "its write-ahead log is not a file"},
		"empty":             {with(""), nil, ""},
		"of another format": {with("d\x00\x62e\x00\x03\xff\xff"), dbfile.ErrDamaged, "not one that ducklens writes"},
	} {
		for opener, open := range ways(other) {
			if opener == "AttachOld" || name == "rows" && (opener == "Settle" || opener == "OpenWriter") {
				continue // the file's log is gone
			}
			path := tt.path
			if tt.want == nil {
				path = copyFile(t, tt.path)
			}
			err := open(t.Context(), path)
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s, %s: %v, want %v with %q", name, opener, err, tt.want, tt.text)
			}
		}
	}
}

// copyFile copies a file and its log, if it has one.
func copyFile(t *testing.T, path string) string {
	t.Helper()
	into := filepath.Join(t.TempDir(), "copy.duckdb")
	for _, suffix := range []string{"", ".wal"} {
		data, err := os.ReadFile(path + suffix)
		if suffix != "" && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(into+suffix, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return into
}

// TestWriterRefusesShadows checks that macros with the name of a function are refused, because the conditions
// of tables would call them when rows are added.
func TestWriterRefusesShadows(t *testing.T) {
	t.Parallel()
	for _, macro := range []string{"isfinite(x) AS true", `"+"(a, b) AS a`, `"||"(a, b) AS a`, "COUNT_STAR() AS 7", "lower(x) AS random()::VARCHAR", "range(x) AS TABLE SELECT x", "read_csv(x) AS TABLE SELECT x"} {
		path := newFile(t)
		stranger(t, path, false, "CREATE MACRO "+macro)
		db, err := dbfile.OpenWriter(t.Context(), path, dbfile.Options{})
		if !errors.Is(err, dbfile.ErrNotDucklens) || !strings.Contains(err.Error(), "has the name of a DuckDB function") {
			t.Errorf("%s: %v, want it to be refused", macro, err)
		}
		if err == nil {
			_ = db.Close()
		}
		d, err := dbfile.OpenData(t.Context(), path, dbfile.Options{})
		if err != nil {
			t.Fatalf("%s: %v: readers do not mind", macro, err)
		}
		defer d.Close()
		if names, err := d.Shadows(t.Context()); err != nil || len(names) != 1 {
			t.Errorf("%s: shadows %q, %v, want one", macro, names, err)
		}
	}
	path := newFile(t)
	stranger(t, path, false, "CREATE MACRO my_share(x) AS x", "CREATE VIEW mine AS SELECT 1 AS x")
	db, err := dbfile.OpenWriter(t.Context(), path, dbfile.Options{})
	if err != nil {
		t.Fatalf("a user's own macro: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestDefinitions checks that the definitions of a file equal those of a new one, and that any change of a
// view or a macro shows.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	want, err := dbfile.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < 20 || !strings.Contains(want["macro pct_explained"], "subtract := ") {
		t.Fatalf("%d definitions; macro pct_explained is %q", len(want), want["macro pct_explained"])
	}
	definitions := func(statements ...string) map[string]string {
		path := newFile(t)
		stranger(t, path, false, statements...)
		d, err := dbfile.OpenData(t.Context(), path, dbfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		list, err := d.Definitions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if got := definitions(); !maps.Equal(got, want) {
		t.Errorf("a file has %d definitions, want %d that are the same", len(got), len(want))
	}
	views, err := schema.Views()
	if err != nil {
		t.Fatal(err)
	}
	explained := views[slices.IndexFunc(views, func(s string) bool { return strings.HasPrefix(s, "CREATE MACRO pct_explained") })]
	for name, statements := range map[string][]string{
		"view closure":        {"DROP VIEW closure", "CREATE VIEW closure AS SELECT 1 AS ok"},
		"view token":          {"CREATE OR REPLACE VIEW token(run_id, example_id) AS SELECT 1, 2"},
		"macro latest_run":    {"CREATE OR REPLACE MACRO latest_run() AS 1"},
		"macro default_head":  {"CREATE OR REPLACE MACRO default_head(run) AS (SELECT arg_min(h.label, h.ordinal) FROM head AS h WHERE h.run_id = run), (run, other) AS 1"},
		"macro head_label":    {"CREATE MACRO head_label(name) AS TABLE SELECT name"},
		"macro pct_explained": {"DROP MACRO TABLE pct_explained", strings.Replace(explained, "subtract := true", "subtract := false", 1)},
	} {
		got := definitions(statements...)
		for _, other := range slices.Sorted(maps.Keys(want)) {
			if same := got[other] == want[other]; same == (other == name) {
				t.Errorf("%s was changed, and %s is %.100q, want %.100q", name, other, got[other], want[other])
			}
		}
	}
}
