// Package dbfile opens ducklens database files: one DuckDB file that holds the tables of package schema.
//
// [Create] makes a file, [OpenWriter] opens one to add runs to it, [OpenReader] opens one for
// questions. Package schema/verify checks that what is in one adds up, schema/transfer merges, compares, exports, imports
// and migrates files; what they need of this package is exported for them. Every error of the driver becomes an
// [Error] with one of the sentinels of this package ([Wrap]).
//
// A DB is a private in-memory DuckDB to which the file is attached under the name [Catalog]; all its
// connections use that catalog, so tables need no prefix. Attaching copes with any path, where the driver's own
// path argument is read as a URL.
//
// Traps: appends outside [DB.InTx] are not atomic. Appended integers are converted as Go would convert them, so
// pass int32 to INTEGER columns. Text that is not UTF-8 is stored as NULL.
package dbfile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"ducklens/schema/draft"
)

// Catalog is the name under which a DB attaches its file.
const Catalog = "data"

// storageVersion is the format that files are created in; with blocks of blockSize, every DuckDB from 1.1 on reads it. Later
// formats have nothing that the tables need.
const storageVersion = "v1.0.0"

const (
	// blockSize is DuckDB's smallest. A column takes a block at least, and with the usual 256 kB the columns of a file of few prompts
	// are mostly empty. Measured on 200 synthetic prompts of GPT-2 small's shape, small blocks take 5 % more.
	blockSize = 16384
	// RowGroupRows is the number of rows that are compressed together. Questions about one head, side and pair of bases skip row groups in
	// which there are none, and share the others among threads. What a transaction has of a table beyond a row group goes into the
	// file at once; less waits in memory and in the log for a checkpoint. A batch of an ingest has 6,864 key factors. With 2,048, files
	// are a sixth larger.
	RowGroupRows = 4096
)

const (
	// defaultWriterThreads leaves the cores to the model: compressing rows is a small part of an ingest. A second thread takes 5 % more of an
	// ingest's processor time, and no less time. (480 prompts, GPT-2 small's sizes, alternating runs; so below.)
	defaultWriterThreads = 1
	// DefaultMemory is for questions; those that need more can say so.
	DefaultMemory = "2GB"
	// defaultWriterMemory is for what copies whole tables, such as merge.
	defaultWriterMemory = "128MB"
	// A killed process can hold its lock for some 100 ms, so a locked file is tried again.
	lockTries = 5
	lockPause = 100 * time.Millisecond
)

// Options says how to open a file. The zero value is ready for use.
type Options struct {
	Threads int    // DuckDB's threads; 0: 1 for a writer, all cores for a reader
	Memory  string // DuckDB's memory limit, such as 512MB or 8GB; "": 128MB for a writer, 2GB for a reader

	// Replace lets Create take the place of an existing ducklens file; never of any other file.
	Replace bool

	// Trusted leaves a reader's access to other files and its settings open. It is for SQL that ducklens itself
	// wrote, such as an export: SQL of a user or from a shared file must run in an untrusted session.
	Trusted bool

	source string // name of the file's database, for modeData
	spill  string // folder for a writer's temporary files
}

// DB is an open database file. It is safe for use by several goroutines; one at a time should write.
type DB struct {
	path    string // as it was given
	file    string // what is open: the file at path, or the draft of a new one
	pool    *sql.DB
	draft   *draft.Draft // of a writer: where its temporary files are and, until it is published, a new file
	pending bool         // the draft is to be published
	opts    Options
	release func() // tells the registry that the file is closed
	version int

	mu     sync.Mutex
	closed bool
}

// mode is how a file is attached.
type mode int

const (
	modeCreate mode = iota
	modeWrite
	modeRead
	modeData // as [OpenData] does
)

// writes tells whether the file is open for writing.
func (m mode) writes() bool { return m == modeCreate || m == modeWrite }

// OpenWriter opens an existing file to add to it. One process writes a file at a time, and while it
// does, nobody else reads it: [ErrLocked]. What a killed writer committed is there, and nothing of what it did not.
func OpenWriter(ctx context.Context, path string, opts Options) (*DB, error) {
	return openChecked(ctx, path, modeWrite, opts)
}

// OpenReader opens an existing file read-only. Unless opts.Trusted, its sessions cannot reach other
// files, the network or the settings, so that they may run SQL from a stranger; the limits of that
// are in the README. Any number of readers share a file.
func OpenReader(ctx context.Context, path string, opts Options) (*DB, error) {
	return openChecked(ctx, path, modeRead, opts)
}

// OpenOld opens a file of any schema version read-only, with access to other files, for a migration. SchemaVersion tells which
// it has; no rule about its tables was checked but that they have a version.
func OpenOld(ctx context.Context, path string, opts Options) (*DB, error) {
	const op = "open"
	opts.Trusted = true
	db, err := attachExisting(ctx, op, path, modeRead, opts)
	if err != nil {
		return nil, err
	}
	if db.version, err = ReadVersion(ctx, db.pool); err != nil {
		return nil, errors.Join(Fail(op, path, err), db.Close())
	}
	return db, nil
}

// Settle puts what a log beside a file of any schema version holds into the file, without what is left of a torn transaction.
func Settle(ctx context.Context, path string, opts Options) error {
	const op = "open"
	db, err := attachExisting(ctx, op, path, modeWrite, opts)
	if err != nil {
		return err
	}
	if err := db.mend(ctx); err != nil {
		return errors.Join(Fail(op, path, err), db.Close())
	}
	return db.Finalize(ctx)
}

// openChecked opens a file that must exist and must have the schema version of this program.
func openChecked(ctx context.Context, path string, m mode, opts Options) (*DB, error) {
	const op = "open"
	db, err := attachExisting(ctx, op, path, m, opts)
	if err != nil {
		return nil, err
	}
	db.version, err = ReadVersion(ctx, db.pool)
	if err == nil {
		err = CheckVersion(ctx, db.pool, db.version)
	}
	if err == nil && m == modeWrite {
		err = db.mend(ctx)
	}
	if err != nil {
		return nil, errors.Join(Fail(op, path, err), db.Close())
	}
	return db, nil
}

// HasLog tells whether a write-ahead log lies beside the file, as after a kill.
func (db *DB) HasLog() bool {
	_, err := os.Lstat(db.file + ".wal")
	return err == nil
}

// mend opens a file anew that is open for writing, if a log lay beside it, so that it holds whole transactions only.
//
// DuckDB 1.5 replays a log wrongly that ends within a transaction: row groups that the transaction had written before its commit stay in
// their tables, without the rows of smaller tables that belong to them. They are in memory alone, until a checkpoint puts them
// into the file. The next commit cuts the torn end off the log; after it, a replay is right. So there is a commit of what
// cancels out, and no checkpoint. A reader cannot do this, and sees such rows; saved queries look at complete runs only, which have none.
func (db *DB) mend(ctx context.Context) error {
	if !db.HasLog() {
		return nil
	}
	for _, s := range []string{
		"PRAGMA disable_checkpoint_on_shutdown",
		"SET checkpoint_threshold='100TB'",
		"BEGIN; CREATE SCHEMA " + Catalog + ".ducklens_mends; DROP SCHEMA " + Catalog + ".ducklens_mends; COMMIT",
	} {
		if _, err := db.pool.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	if err := db.pool.Close(); err != nil {
		return err
	}
	pool, err := connect(ctx, db.file, modeWrite, db.opts)
	if err != nil {
		return err
	}
	db.pool = pool
	return nil
}

// attachExisting attaches a file that must exist.
func attachExisting(ctx context.Context, op, path string, m mode, opts Options) (*DB, error) {
	info, err := os.Stat(path) // attaching a missing file would create it
	if err != nil {
		return nil, Fail(op, path, err)
	}
	switch {
	case info.IsDir():
		return nil, Fail(op, path, &Error{Kind: ErrNotDatabase, Detail: "is a folder"})
	case !info.Mode().IsRegular(): // opening a pipe waits for its other end
		return nil, Fail(op, path, &Error{Kind: ErrNotDatabase, Detail: "is a pipe or a device, want a file"})
	}
	db, err := attach(ctx, path, m, opts)
	if err != nil {
		return nil, Fail(op, path, err)
	}
	return db, nil
}

// CheckTarget tells whether a new file may be made at abs.
func CheckTarget(ctx context.Context, abs string, replace bool) error {
	info, err := os.Lstat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(abs + ".wal"); err == nil && !replace {
			return &Error{Kind: ErrExists, Detail: "a write-ahead log of this name is left from another database: " + abs + ".wal"}
		}
		return nil
	}
	if err != nil {
		return err
	}
	if !replace {
		return &Error{Kind: ErrExists}
	}
	const hint = "choose another name, or remove the file yourself; only ducklens files are replaced"
	if !info.Mode().IsRegular() {
		return &Error{Kind: ErrNotDatabase, Detail: "not a regular file, left alone", Advice: hint}
	}
	// Reading it tells whether somebody writes it and whether ducklens made it. A damaged one may be replaced.
	old, err := attach(ctx, abs, modeRead, Options{})
	if err == nil {
		_, err = ReadVersion(ctx, old.pool)
		err = errors.Join(err, old.Close())
	}
	switch {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrStorageVersion):
		return nil
	case errors.Is(err, ErrNotDatabase):
		return &Error{Kind: ErrNotDatabase, Detail: "left alone", Advice: hint, Err: err}
	case errors.Is(err, ErrNotDucklens):
		return &Error{Kind: ErrNotDucklens, Detail: "left alone", Advice: hint, Err: err}
	}
	return err
}

// attach opens a private DuckDB and attaches the file to it, trying again while it is locked.
func attach(ctx context.Context, path string, m mode, opts Options) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return attachAs(ctx, path, abs, m, opts)
}

// attachAs is attach for a file that messages call path. A writer gets a draft for its temporary files, unless opts say
// where those go.
func attachAs(ctx context.Context, path, abs string, m mode, opts Options) (_ *DB, err error) {
	db := &DB{path: path, file: abs}
	if err := plainLog(abs); err != nil {
		return nil, err
	}
	if db.release, err = reserve(abs, m.writes()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.release()
			if db.draft != nil {
				err = errors.Join(err, db.draft.Close())
			}
		}
	}()
	if m.writes() && opts.spill == "" {
		if db.draft, err = draft.New(abs); err != nil {
			return nil, Wrap("open", path, err)
		}
		opts.spill = db.draft.Spill()
	}
	db.opts = opts
	for try := 1; ; try++ {
		db.pool, err = connect(ctx, abs, m, opts)
		if err == nil {
			return db, nil
		}
		err = Wrap("open", path, err)
		if !errors.Is(err, ErrLocked) || try == lockTries {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(lockPause):
		}
	}
}

// connect makes the pool and its first connection, which attaches the file.
func connect(opening context.Context, abs string, m mode, opts Options) (*sql.DB, error) {
	first, err := setup(abs, m, opts)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	attached := false
	connector, err := duckdb.NewConnector(dsn(m, opts), func(conn driver.ExecerContext) error {
		mu.Lock()
		defer mu.Unlock()
		// The settings are global to the DuckDB. Later connections may outlive the context of the first.
		statements, ctx := []string{"USE " + Catalog + ".main"}, context.WithoutCancel(opening)
		if !attached {
			statements, ctx = first, opening
		}
		for _, s := range statements {
			if _, err := conn.ExecContext(ctx, s, nil); err != nil {
				return err
			}
		}
		attached = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	if err := pool.PingContext(opening); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

// dsn gives the settings that must be there before any file is touched. Without the first two, DuckDB asks a
// server for extensions on its own.
func dsn(m mode, opts Options) string {
	threads := opts.Threads
	if threads <= 0 {
		threads = defaultWriterThreads
		if !m.writes() {
			threads = runtime.GOMAXPROCS(0)
		}
	}
	memory := opts.Memory
	if memory == "" {
		memory = defaultWriterMemory
		if !m.writes() {
			memory = DefaultMemory
		}
	}
	return "?" + url.Values{
		"autoinstall_known_extensions": {"false"},
		"autoload_known_extensions":    {"false"},
		"allow_community_extensions":   {"false"},
		"allow_persistent_secrets":     {"false"},
		"memory_limit":                 {memory},
		"threads":                      {strconv.Itoa(threads)},
	}.Encode()
}

// own lists, quoted, the paths that DuckDB opens for the file at abs: the file and its log, and those that a link leads to.
func own(abs string) []string {
	list := []string{QuoteText(abs), QuoteText(abs + ".wal")}
	if target, err := filepath.EvalSymlinks(abs); err == nil && target != abs {
		list = append(list, QuoteText(target), QuoteText(target+".wal"))
	}
	return list
}

// setup lists the statements that the first connection runs. Their order matters: the temporary folder
// cannot be set after external access is off, and nothing can be after the configuration is locked.
func setup(abs string, m mode, opts Options) ([]string, error) {
	if strings.ContainsRune(abs, 0) {
		return nil, &Error{Kind: ErrPath, Detail: "a zero byte in " + strconv.Quote(abs)}
	}
	// DuckDB takes what follows a question mark for options of a URL and puts the log before it.
	if m.writes() && strings.Contains(abs, "?") {
		return nil, &Error{Kind: ErrPath, Detail: "DuckDB cannot write to a path with a question mark: " + abs}
	}
	file := QuoteText(abs)
	use := "USE " + Catalog + ".main"
	if m == modeData {
		if err := checkLog(abs); err != nil {
			return nil, err
		}
		return []string{
			"SET temp_directory=''",
			"SET max_temp_directory_size='0KB'",
			"SET allowed_paths=[" + strings.Join(own(abs), ", ") + "]",
			"SET enable_external_access=false",
			"SET lock_configuration=true",
			"ATTACH ':memory:' AS " + Catalog,
			"ATTACH " + file + " AS " + QuoteName(opts.source) + " (TYPE duckdb, READ_ONLY)",
			use,
		}, nil
	}
	if m != modeRead {
		option := ""
		if m == modeCreate {
			option = fmt.Sprintf(", STORAGE_VERSION '%s', BLOCK_SIZE %d", storageVersion, blockSize)
		}
		option += fmt.Sprintf(", ROW_GROUP_SIZE %d", RowGroupRows)
		return []string{
			// DuckDB 1.5 keeps pointers to the metadata of tables that a checkpoint does not change. Of files with as many
			// tables and comments as these, DuckDB 1.1 finds some of them no more, and refuses the file.
			"SET experimental_metadata_reuse=false",
			"SET temp_directory=" + QuoteText(opts.spill),
			"ATTACH " + file + " AS " + Catalog + " (TYPE duckdb" + option + ")",
			use,
		}, nil
	}
	list := []string{
		"SET temp_directory=''",
		"SET max_temp_directory_size='0KB'",
		"ATTACH " + file + " AS " + Catalog + " (TYPE duckdb, READ_ONLY)",
		use,
	}
	if !opts.Trusted {
		list = append(list, "SET enable_external_access=false", "SET lock_configuration=true")
	}
	return list, nil
}

// QuoteText writes a SQL text literal.
func QuoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// QuoteName writes a SQL identifier.
func QuoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// Path is the file, as it was given.
func (db *DB) Path() string { return db.path }

// SchemaVersion is the schema version that the file says it has.
func (db *DB) SchemaVersion() int { return db.version }

// SQL gives the connection pool.
func (db *DB) SQL() *sql.DB { return db.pool }

// Conn takes a connection from the pool; close it to give it back. A transaction and the appenders of
// its tables need one connection.
func (db *DB) Conn(ctx context.Context) (*sql.Conn, error) {
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return nil, Wrap("connect to", db.path, err)
	}
	return conn, nil
}

// Close closes the file. Of a new one that was not finalized nothing is left. Closing twice does nothing.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	err := Wrap("close", db.path, db.pool.Close())
	db.release()
	if db.draft != nil {
		err = errors.Join(err, Wrap("close", db.path, db.draft.Close()))
	}
	return err
}
