package dbfile_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/duckdb/duckdb-go/v2"

	"ducklens/schema/dbfile"
)

// The texts are those of DuckDB 1.5.6. Tests of opening and appending cause most of them.
func TestWrap(t *testing.T) {
	t.Parallel()
	duck := func(kind duckdb.ErrorType, text string) error {
		return fmt.Errorf("driver: %w", &duckdb.Error{Type: kind, Msg: text})
	}
	io := duckdb.ErrorType(duckdb.ErrorTypeIO)
	for _, tt := range []struct {
		name   string
		err    error
		want   error
		text   string
		hint   string
		holder string
	}{
		{name: "lock", err: duck(io, `IO Error: Could not set lock on file "/d/x.duckdb": Conflicting lock is held in /usr/bin/python3.12 (PID 4711). See also https://duckdb.org/docs/stable/connect/concurrency`),
			want: dbfile.ErrLocked, text: "open x: file is in use by /usr/bin/python3.12 (PID 4711)", hint: "wait until", holder: "/usr/bin/python3.12 (PID 4711)"},
		{name: "lock of somebody unknown", err: duck(io, `IO Error: Could not set lock on file "/d/x.duckdb": Resource temporarily unavailable`), want: dbfile.ErrLocked, text: "open x: file is in use", hint: "wait until"},
		{name: "attached already", err: duck(duckdb.ErrorTypeBinder, `Binder Error: Unique file handle conflict: Cannot attach "b"`), want: dbfile.ErrLocked, text: "open x: file is in use"},
		{name: "no database", err: duck(io, `IO Error: The file "/d/x" exists, but it is not a valid DuckDB database file!`), want: dbfile.ErrNotDatabase, hint: "name a .duckdb file"},
		{name: "folder", err: duck(io, `IO Error: Could not read from file "/d": Is a directory`), want: dbfile.ErrNotDatabase},
		{name: "storage", err: duck(io, `IO Error: Trying to read a database file with version number 99, but we can only read versions between 64 and 68.`), want: dbfile.ErrStorageVersion, text: "version number 99", hint: "STORAGE_VERSION 'v1.0.0'"},
		{name: "missing", err: duck(io, `IO Error: Cannot open database "/d/x" in read-only mode: database does not exist`), want: dbfile.ErrNotFound, text: "open x: no such file", hint: "check the path"},
		{name: "missing folder", err: duck(io, `IO Error: Cannot open file "/d/x": No such file or directory`), want: dbfile.ErrNotFound},
		{name: "checksum", err: duck(io, `IO Error: Corrupt database file: computed checksum 1 does not match stored checksum 2 in block at location 3`), want: dbfile.ErrDamaged, text: "block at location 3", hint: "with its .wal"},
		{name: "short", err: duck(io, `IO Error: Could not read enough bytes from file "/d/x": attempted to read 3288 bytes from location 9000`), want: dbfile.ErrDamaged},
		{name: "log", err: duck(duckdb.ErrorTypeInternal, `INTERNAL Error: Failure while replaying WAL file "/d/x.wal": nonsense`), want: dbfile.ErrDamaged},
		{name: "full disk", err: duck(io, `IO Error: Could not write file "/dev/full": No space left on device`), want: dbfile.ErrNoSpace, hint: "free some space"},
		{name: "not allowed", err: duck(io, `IO Error: Cannot open file "/d/x": Permission denied`), want: dbfile.ErrPermission},
		{name: "shut in", err: duck(duckdb.ErrorTypePermission, `Permission Error: Cannot access file "/etc/passwd" - file system operations are disabled by configuration`), want: dbfile.ErrPermission},
		{name: "read-only", err: duck(duckdb.ErrorTypeInvalidInput, `Invalid Input Error: Cannot execute statement of type "INSERT" on database "data" which is attached in read-only mode!`), want: dbfile.ErrPermission},
		{name: "memory", err: duck(duckdb.ErrorTypeOutOfMemory, `Out of Memory Error: failed to allocate data of size 1.0 GiB`), want: dbfile.ErrMemory, hint: "raise the memory limit"},
		{name: "constraint", err: duck(duckdb.ErrorTypeConstraint, `Constraint Error: CHECK constraint failed on table score: No such file or directory`), want: dbfile.ErrConstraint},
		{name: "interrupt", err: duck(duckdb.ErrorTypeInterrupt, `INTERRUPT Error: Interrupted!`), want: dbfile.ErrInterrupted},
		{name: "syntax", err: duck(duckdb.ErrorTypeParser, `Parser Error: syntax error at or near "Permission denied"`), want: dbfile.ErrSQL},
		{name: "name", err: duck(duckdb.ErrorTypeCatalog, `Catalog Error: Table with name x does not exist!`), want: dbfile.ErrSQL},
		{name: "column", err: duck(duckdb.ErrorTypeBinder, `Binder Error: Referenced column "x" not found`), want: dbfile.ErrSQL},
		{name: "cast", err: duck(duckdb.ErrorTypeConversion, `Conversion Error: Could not convert string 'keys' to UINT8`), want: dbfile.ErrSQL},
		{name: "context", err: errors.Join(context.DeadlineExceeded, &duckdb.Error{Type: duckdb.ErrorTypeInterrupt, Msg: "INTERRUPT Error: Interrupted!"}), want: dbfile.ErrInterrupted, text: "context deadline exceeded"},
		{name: "file exists", err: &fs.PathError{Op: "link", Path: "x", Err: syscall.EEXIST}, want: dbfile.ErrExists, hint: "--append"},
		{name: "file missing", err: &fs.PathError{Op: "stat", Path: "x", Err: syscall.ENOENT}, want: dbfile.ErrNotFound},
		{name: "file not allowed", err: &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, want: dbfile.ErrPermission},
		{name: "file system read-only", err: &fs.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, want: dbfile.ErrPermission},
		{name: "file system full", err: &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, want: dbfile.ErrNoSpace},
		{name: "ours", err: fmt.Errorf("more: %w", &dbfile.Error{Op: "open", Path: "x", Kind: dbfile.ErrLocked, Holder: "somebody"}), want: dbfile.ErrLocked, holder: "somebody"},
		{name: "else", err: errors.New("something else"), text: "open x: something else"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := dbfile.Wrap("open", "x", tt.err)
			var e *dbfile.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %T, want a dbfile.Error", err)
			}
			if e.Kind != tt.want || (tt.want != nil && !errors.Is(err, tt.want)) {
				t.Errorf("kind %v, want %v", e.Kind, tt.want)
			}
			if !errors.Is(err, tt.err) {
				t.Error("the cause is lost")
			}
			if !strings.HasPrefix(err.Error(), "open x: ") || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q, want %q", err, tt.text)
			}
			if !strings.Contains(e.Hint(), tt.hint) || e.Holder != tt.holder {
				t.Errorf("hint %q, holder %q, want %q, %q", e.Hint(), e.Holder, tt.hint, tt.holder)
			}
		})
	}
	if err := dbfile.Wrap("open", "x", nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
	if hint := (&dbfile.Error{}).Hint(); hint != "" {
		t.Errorf("hint %q for nothing", hint)
	}
}

// TestErrorsOfTheSystem checks errors that a test can cause on the running system.
func TestErrorsOfTheSystem(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := newFile(t)
	db, err := dbfile.OpenReader(ctx, path, dbfile.Options{Memory: "30MB"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for s, want := range map[string]error{
		"SELECT list(range) FROM range(50000000)": dbfile.ErrMemory,
		"SELEC 1":               dbfile.ErrSQL,
		"SELECT * FROM nothing": dbfile.ErrSQL,
		"SELECT 'x'::side":      dbfile.ErrSQL,
		"SELECT * FROM read_text('/etc/hostname')": dbfile.ErrPermission,
	} {
		_, err := db.SQL().ExecContext(ctx, s)
		if got := dbfile.Wrap("query", path, err); !errors.Is(got, want) {
			t.Errorf("%s: error %v, want %v", s, got, want)
		}
	}
	short, cancel := context.WithTimeout(ctx, 1)
	defer cancel()
	if _, err := db.SQL().ExecContext(short, "SELECT count(*) FROM range(100000000000)"); !errors.Is(dbfile.Wrap("query", path, err), dbfile.ErrInterrupted) {
		t.Errorf("error %v, want ErrInterrupted", err)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full to write to")
	}
	if _, err := dbfile.OpenWriter(ctx, "/dev/full", dbfile.Options{}); !errors.Is(err, dbfile.ErrNoSpace) && !errors.Is(err, dbfile.ErrNotDatabase) {
		t.Errorf("error %v, want ErrNoSpace", err)
	}
}

func TestWithoutPermission(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("the superuser may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if _, err := dbfile.Create(t.Context(), dir+"/x.duckdb", dbfile.Options{}); !errors.Is(err, dbfile.ErrPermission) {
		t.Errorf("error %v, want ErrPermission", err)
	}
}

func ExampleError() {
	_, err := dbfile.OpenReader(context.Background(), "no-such-file.duckdb", dbfile.Options{})
	fmt.Println(err)
	fmt.Println(errors.Is(err, dbfile.ErrNotFound))
	var e *dbfile.Error
	if errors.As(err, &e) {
		fmt.Println("hint:", e.Hint())
	}
	// Output:
	// open no-such-file.duckdb: no such file
	// true
	// hint: check the path; ducklens ingest makes a file, and ducklens demo makes a small one
}
