package dbfile_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

// openers are the three ways to open a file.
var openers = map[string]func(context.Context, string, dbfile.Options) (*dbfile.DB, error){
	"Create":     dbfile.Create,
	"OpenWriter": dbfile.OpenWriter,
	"OpenReader": dbfile.OpenReader,
}

// emptyFile is a finished file without runs, made once.
var emptyFile = sync.OnceValues(func() (data []byte, err error) {
	dir, err := os.MkdirTemp("", "ducklens-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "x.duckdb")
	db, err := dbfile.Create(context.Background(), path, dbfile.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	if err := db.Finalize(context.Background()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// newFile gives a finished file without runs.
func newFile(t *testing.T) string {
	t.Helper()
	data, err := emptyFile()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.duckdb")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder lists the names in the folder of path.
func folder(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestOddNames(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, name := range []string{"100%.duckdb", "a b'c\"d;#é.duckdb", "memory", ":memory:", "data.db", "%20", "-x", "日本.duckdb", "a&b=c", ";", "$HOME", "x.wal", "{1}", "*"} {
		path := filepath.Join(t.TempDir(), name)
		db, err := dbfile.Create(ctx, path, dbfile.Options{Threads: 1})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := db.SQL().ExecContext(ctx, "INSERT INTO saved_query VALUES ('x', 'y')"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := db.Finalize(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if names := folder(t, path); !slices.Equal(names, []string{name}) {
			t.Errorf("%s: folder holds %q", name, names)
		}
		r, err := dbfile.OpenReader(ctx, path, dbfile.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Path() != path || r.SchemaVersion() != schema.Version {
			t.Errorf("%s: path %q, version %d", name, r.Path(), r.SchemaVersion())
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	other := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(other, []byte("dear diary"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.duckdb")
	if err := os.Symlink("nowhere.duckdb", link); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(t.TempDir(), "x.duckdb")
	if err := os.WriteFile(stale+".wal", []byte("left over"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		replace    bool
		want       error
		text       string
	}{
		{"existing", newFile(t), false, dbfile.ErrExists, "file exists"},
		{"stale log", stale, false, dbfile.ErrExists, "has left a write-ahead log of this name"},
		{"no folder", filepath.Join(t.TempDir(), "no", "x.duckdb"), false, dbfile.ErrNotFound, "no such file: folder /"},
		{"folder is a file", filepath.Join(other, "x.duckdb"), false, nil, "not a directory"},
		{"question mark", filepath.Join(t.TempDir(), "what?.duckdb"), false, dbfile.ErrPath, "question mark"},
		{"zero byte", filepath.Join(t.TempDir(), "a\x00b"), false, nil, "invalid argument"},
		{"replace another kind", other, true, dbfile.ErrNotDatabase, "not a DuckDB database"},
		{"replace another's database", rawFile(t, "CREATE TABLE precious AS SELECT 1 AS x"), true, dbfile.ErrNotDucklens, "not a ducklens file: left alone"},
		{"replace a folder", t.TempDir(), true, dbfile.ErrNotDatabase, "it is a folder"},
		{"a folder", t.TempDir(), false, dbfile.ErrNotDatabase, "it is a folder"},
		{"a link to nothing", link, true, nil, "a link that leads nowhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := listing(tt.path)
			_, err := dbfile.Create(t.Context(), tt.path, dbfile.Options{Replace: tt.replace})
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "create "+tt.path+": ") {
				t.Errorf("error %q does not say what was attempted", err)
			}
			if after := listing(tt.path); !slices.Equal(before, after) {
				t.Errorf("before %q, after %q", before, after)
			}
		})
	}
	if data, err := os.ReadFile(other); err != nil || string(data) != "dear diary" {
		t.Errorf("another file holds %q, %v", data, err)
	}
}

// listing lists the files beside path.
func listing(path string) []string {
	entries, _ := os.ReadDir(filepath.Dir(path))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCreateStopsClean(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "x.duckdb")
	if _, err := dbfile.Create(ctx, path, dbfile.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if names := folder(t, path); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, spoil := range map[string]func(path string) error{
		"sound": func(string) error { return nil },
		"log beside it": func(path string) error {
			return os.WriteFile(path+".wal", []byte("of the old one"), 0o644)
		},
		"damaged": func(path string) error { return os.Truncate(path, 9000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			old, err := dbfile.OpenWriter(ctx, path, dbfile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := old.SQL().ExecContext(ctx, "INSERT INTO saved_query VALUES ('old', '')"); err != nil {
				t.Fatal(err)
			}
			if err := old.Finalize(ctx); err != nil {
				t.Fatal(err)
			}
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			db, err := dbfile.Create(ctx, path, dbfile.Options{Replace: true})
			if err != nil {
				t.Fatal(err)
			}
			var n int
			if err := db.SQL().QueryRowContext(ctx, "SELECT count(*) FROM saved_query").Scan(&n); err != nil || n != 0 {
				t.Errorf("%d rows of the old file, %v", n, err)
			}
			if err := db.Finalize(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// rawFile returns a DuckDB file that ducklens did not make.
func rawFile(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "raw.duckdb")
	pool, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, s := range statements {
		if _, err := pool.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// changedFile returns a file with changed bytes.
func changedFile(t *testing.T, change func([]byte) []byte) string {
	t.Helper()
	path := newFile(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path string
		want       error
		text, hint string
	}{
		{"missing", filepath.Join(t.TempDir(), "x.duckdb"), dbfile.ErrNotFound, "no such file", "check the path"},
		{"folder", t.TempDir(), dbfile.ErrNotDatabase, "is a folder", "name a .duckdb file"},
		{"empty", changedFile(t, func([]byte) []byte { return nil }), dbfile.ErrNotDatabase, "not a DuckDB database: it is empty", "name a .duckdb file"},
		{"text", changedFile(t, func([]byte) []byte { return []byte("id,name\n") }), dbfile.ErrNotDatabase, "not a DuckDB database", ""},
		{"SQLite", changedFile(t, func([]byte) []byte { return []byte("SQLite format 3\x00" + strings.Repeat("x", 4096)) }), dbfile.ErrNotDatabase, "not a DuckDB database", ""},
		{"cut short", changedFile(t, func(b []byte) []byte { return b[:9000] }), dbfile.ErrDamaged, "file is damaged", "copy the file again"},
		{"changed", changedFile(t, func(b []byte) []byte { b[4200] ^= 0xff; return b }), dbfile.ErrDamaged, "file is damaged", ""},
		{"no meta", rawFile(t, "CREATE TABLE a AS SELECT 1 AS x"), dbfile.ErrNotDucklens, "it has no table meta", "name a .duckdb file that ducklens ingest made"},
		{"other meta", rawFile(t, "CREATE TABLE meta AS SELECT 1 AS x"), dbfile.ErrNotDucklens, "it has no stored column meta.key", ""},
		{"meta is a view", rawFile(t, "CREATE VIEW meta AS SELECT 'schema_version' AS key, '1' AS value"), dbfile.ErrNotDucklens, "it has no table meta", ""},
		{"run is a view", rawFile(t, "CREATE TABLE meta AS SELECT 'schema_version' AS key, '99' AS value", "CREATE VIEW run AS SELECT 1 AS run_id, 'x' AS ducklens_version"), dbfile.ErrSchemaVersion, "schema version 99, newer than 7, the current version of this ducklens", "update ducklens"},
		{"empty meta", rawFile(t, "CREATE TABLE meta(key VARCHAR, value VARCHAR)"), dbfile.ErrNotDucklens, "has no schema_version", ""},
		{"strange version", rawFile(t, "CREATE TABLE meta AS SELECT 'schema_version' AS key, 'two' AS value"), dbfile.ErrNotDucklens, `its schema_version is "two", want a number`, ""},
		{"NULL version", rawFile(t, "CREATE TABLE meta AS SELECT 'schema_version' AS key, NULL::VARCHAR AS value"), dbfile.ErrNotDucklens, `its schema_version is "", want a number`, ""},
		{"old", rawFile(t, "CREATE TABLE meta AS SELECT 'schema_version' AS key, '0' AS value"), dbfile.ErrSchemaVersion, fmt.Sprintf("schema version 0, older than %d", schema.Version), "make the file again"},
		{"new", rawFile(t, "CREATE TABLE meta AS SELECT 'schema_version' AS key, 99 AS value"), dbfile.ErrSchemaVersion, fmt.Sprintf("schema version 99, newer than %d", schema.Version), "update ducklens"},
	} {
		for _, opener := range []string{"OpenReader", "OpenWriter"} {
			t.Run(tt.name+"/"+opener, func(t *testing.T) {
				before := listing(tt.path)
				_, err := openers[opener](t.Context(), tt.path, dbfile.Options{})
				var e *dbfile.Error
				if !errors.Is(err, tt.want) || !errors.As(err, &e) {
					t.Fatalf("error %v, want %v", err, tt.want)
				}
				if !strings.HasPrefix(err.Error(), "open "+tt.path+": ") || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %q, want %q", err, tt.text)
				}
				if !strings.Contains(e.Hint(), tt.hint) || e.Hint() == "" {
					t.Errorf("hint %q, want %q", e.Hint(), tt.hint)
				}
				if after := listing(tt.path); !slices.Equal(before, after) {
					t.Errorf("before %q, after %q", before, after)
				}
			})
		}
	}
}

// DuckDB does not notice that one process opens a file twice, and both would write.
func TestOpenTwiceInOneProcess(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := newFile(t)
	link := filepath.Join(t.TempDir(), "link.duckdb")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, first := range []string{"OpenWriter", "OpenReader"} {
		db, err := openers[first](ctx, path, dbfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, second := range []string{"OpenWriter", "OpenReader"} {
			for _, name := range []string{path, link} {
				again, err := openers[second](ctx, name, dbfile.Options{})
				if first == "OpenReader" && second == "OpenReader" {
					if err != nil {
						t.Errorf("%s after %s: %v", second, first, err)
						continue
					}
					if err := again.Close(); err != nil {
						t.Error(err)
					}
					continue
				}
				if !errors.Is(err, dbfile.ErrLocked) || !strings.Contains(err.Error(), "in use by this process (PID ") {
					t.Errorf("%s after %s: error %v, want ErrLocked", second, first, err)
				}
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A file can be renamed while it is open. Its old name is then free.
func TestRenamedWhileOpen(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	db, err := dbfile.OpenReader(t.Context(), path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := dbfile.Create(t.Context(), path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestShutIn checks, for every way to open a file, that SQL can open no other file except those in
// Options.Reach, and can change no setting.
func TestShutIn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, open := range openers {
		path, dir := newFile(t), t.TempDir()
		if name == "Create" {
			path = filepath.Join(t.TempDir(), "y.duckdb")
		}
		out, reached := filepath.Join(t.TempDir(), "out.csv"), newFile(t)
		db, err := open(ctx, path, dbfile.Options{Reach: []string{dir, reached}})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		conn, err := db.Conn(ctx) // a second connection must have the same restrictions
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		statements := []string{
			"COPY (SELECT 1) TO '" + out + "'",
			"SELECT * FROM read_text('/etc/passwd')",
			"SELECT * FROM read_csv('" + filepath.Dir(path) + "/*')",
			"SELECT * FROM glob('/*')",
			"ATTACH '" + out + "' AS other",
			"EXPORT DATABASE '" + out + "'",
			"INSTALL httpfs",
			"LOAD httpfs",
			"SET enable_external_access = true",
			"SET allowed_paths = ['/etc/passwd']",
			"SET memory_limit = '100GB'",
			"SET temp_directory = '/'",
			"SET lock_configuration = false",
		}
		if name == "OpenReader" {
			statements = append(statements, "INSERT INTO saved_query VALUES ('x', 'y')", "DELETE FROM run", "ALTER TABLE run RENAME TO ran")
		}
		for _, s := range statements {
			for _, c := range []interface {
				ExecContext(context.Context, string, ...any) (sql.Result, error)
			}{db.SQL(), conn} {
				if _, err := c.ExecContext(ctx, s); err == nil {
					t.Errorf("%s: %s is possible", name, s)
				}
			}
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: a file was written", name)
		}
		for _, s := range []string{"COPY (SELECT 1) TO '" + filepath.Join(dir, "x.csv") + "'", "ATTACH '" + reached + "' AS other (READ_ONLY)"} {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				t.Errorf("%s: %s: %v, want it to be possible", name, s, err)
			}
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := newFile(t)
	for _, opener := range []string{"OpenReader", "OpenWriter"} {
		db, err := openers[opener](ctx, path, dbfile.Options{Threads: 3, Memory: "300MB"})
		if err != nil {
			t.Fatal(err)
		}
		for setting, want := range map[string]string{"threads": "3", "memory_limit": "286.1 MiB", "autoinstall_known_extensions": "false", "autoload_known_extensions": "false"} {
			var got string
			if err := db.SQL().QueryRowContext(ctx, "SELECT current_setting('"+setting+"')::VARCHAR").Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s is %q, want %q; %v", opener, setting, got, want, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dbfile.OpenReader(ctx, path, dbfile.Options{Memory: "plenty"}); err == nil {
		t.Error("a memory limit of plenty is accepted")
	}
}

// Byte 12 of the header holds the storage version: 64, which every DuckDB since 1.0 reads.
func TestStorageVersion(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(newFile(t))
	if err != nil {
		t.Fatal(err)
	}
	if string(data[8:12]) != "DUCK" || data[12] != 64 {
		t.Errorf("header %q, version %d, want DUCK and 64", data[8:12], data[12])
	}
}

func TestFinalizeWhileInUse(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err == nil || !strings.Contains(err.Error(), "1 of its connections are still in use") {
		t.Errorf("error %v, want one that names the connection", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "x.duckdb")
	db, err := dbfile.Create(ctx, path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(ctx, "INSERT INTO saved_query VALUES ('x', 'y')"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unfinished file has its name: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if names := folder(t, path); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

// TestReplaceAtTheEnd checks that a file that is to be replaced stays until the new one is finalized, and
// that the new one has no log of the old one. A link then leads to the new file.
func TestReplaceAtTheEnd(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := newFile(t)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.duckdb")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, finalize := range []bool{false, true} {
		db, err := dbfile.Create(ctx, link, dbfile.Options{Replace: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.SQL().ExecContext(ctx, "INSERT INTO saved_query VALUES ('new', '')"); err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, before) {
			t.Errorf("the old file is another already: %v", err)
		}
		if !finalize {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		} else if err := db.Finalize(ctx); err != nil {
			t.Error(err)
		}
		if now, err := os.ReadFile(path); err != nil || bytes.Equal(now, before) == finalize {
			t.Errorf("finalized %t, and the file is another: %t, %v", finalize, finalize, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("permissions %v, %v, want those of the old file", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if names := folder(t, path); !slices.Equal(names, []string{filepath.Base(path)}) {
		t.Errorf("left %q", names)
	}
}

// TestPublish checks that a published file is whole and still open for writing.
func TestPublish(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "x.duckdb")
	db, err := dbfile.Create(ctx, path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	insert := func(name string) {
		if _, err := db.SQL().ExecContext(ctx, "INSERT INTO saved_query VALUES ($1, '')", name); err != nil {
			t.Fatal(err)
		}
	}
	insert("first")
	if err := db.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.duckdb")
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(copied, content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	insert("second")
	if err := db.Finalize(ctx); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]int{copied: 1, path: 2} {
		r, err := dbfile.OpenReader(ctx, file, dbfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := r.SQL().QueryRowContext(ctx, "SELECT count(*) FROM saved_query").Scan(&n); err != nil || n != want {
			t.Errorf("%d rows, %v, want %d", n, err, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if names := folder(t, path); !slices.Equal(names, []string{"x.duckdb"}) {
		t.Errorf("left %q", names)
	}
}

func TestConnAfterClose(t *testing.T) {
	t.Parallel()
	db, err := dbfile.OpenReader(t.Context(), newFile(t), dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Conn(t.Context()); err == nil || !strings.Contains(err.Error(), "connect to") {
		t.Errorf("error %v, want one of connect", err)
	}
}

func BenchmarkCreate(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x.duckdb")
	for b.Loop() {
		db, err := dbfile.Create(b.Context(), path, dbfile.Options{Replace: true})
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Finalize(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// TestOpeningContextEnds checks that connections can be made after the context of opening is done.
func TestOpeningContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	db, err := dbfile.OpenReader(ctx, newFile(t), dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	cancel()
	for range 3 {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var n int
		if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM run").Scan(&n); err != nil {
			t.Error(err)
		}
	}
}
