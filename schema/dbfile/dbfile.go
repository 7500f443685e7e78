// Package dbfile opens ducklens database files: one DuckDB file that holds the tables of package schema.
//
// [Create] makes a file, [OpenWriter] opens one to add runs to it, [OpenData] and [OpenReader] open one for
// questions. Package schema/verify checks that what is in one adds up, schema/transfer merges, compares, exports, imports
// and migrates files; what they need of this package is exported for them. Every error of the driver becomes an
// [Error] with one of the sentinels of this package ([Wrap]).
//
// A file may be a stranger's: [Data] says what is never run of it. Whatever is opened, no other file can be
// reached from the first statement on but those that [Options] name, and the settings are locked.
//
// A DB is a private in-memory DuckDB. Its connections use a catalog called [Catalog], so tables need no
// prefix: that of the file where it is written, one in memory with the same tables where it is read.
// Attaching copes with any path, where the driver's own path argument is read as a URL.
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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/duckdb/duckdb-go/v2"

	"ducklens/schema"
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

	// Reach lists the files and folders that SQL may open beside the file itself: those that a command was
	// told to read or write.
	Reach []string

	source  string // name of the file's database, for modeData
	spill   string // folder for a writer's temporary files
	strange bool   // the file is not to be entered: see [DB.enter]
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
	lies    fs.FileInfo // of a writer: the file that lay at its path when it was opened
	entered atomic.Bool // names without a prefix are those of Catalog: see enter

	mu     sync.Mutex
	closed bool
}

// mode is how a file is attached.
type mode int

const (
	modeCreate mode = iota
	modeWrite
	modeMend // as modeWrite, without checkpoints: see [DB.mend]
	modeData // as [OpenData] does
)

// writes tells whether the file is open for writing.
func (m mode) writes() bool { return m != modeData }

// OpenWriter opens an existing file to add to it. One process writes a file at a time, and while it does,
// nobody else reads it: [ErrLocked]. What a killed writer committed is there, and nothing of what it did not.
// The tables must be those of this program, and no macro of the file may have the name of a function of
// DuckDB's: conditions of tables would call it.
func OpenWriter(ctx context.Context, path string, opts Options) (*DB, error) {
	db, err := openToWrite(ctx, path, opts, func(conn *sql.Conn) error {
		if err := SameTables(ctx, conn, Catalog); err != nil {
			return err
		}
		return noShadows(ctx, conn, Catalog)
	})
	if err != nil {
		return nil, err
	}
	if err := db.enter(ctx); err != nil {
		return nil, errors.Join(Fail("open", path, err), db.Close())
	}
	db.version, db.opts.strange = schema.Version, false
	return db, nil
}

// enter makes the file's catalog the one whose tables need no prefix. Its macros take the place of functions
// from then on, so a stranger's file is looked at before.
func (db *DB) enter(ctx context.Context) error {
	db.entered.Store(true) // for the connections to come
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, enterCatalog)
	return err
}

const enterCatalog = "USE " + Catalog + ".main"

// Settle puts what a log beside a file of any schema version holds into the file, without what is left of a torn transaction.
func Settle(ctx context.Context, path string, opts Options) error {
	db, err := openToWrite(ctx, path, opts, func(conn *sql.Conn) error { return checkBound(ctx, conn, Catalog) })
	if err != nil {
		return err
	}
	return db.Finalize(ctx)
}

// openToWrite opens a file that must exist, has it checked, and mends it. It is not entered.
func openToWrite(ctx context.Context, path string, opts Options, check func(*sql.Conn) error) (*DB, error) {
	const op = "open"
	opts.strange = true
	m := modeWrite
	if hasLog(path) {
		m = modeMend
	}
	db, err := attachExisting(ctx, op, path, m, opts)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		err = check(conn)
		if cerr := conn.Close(); err == nil {
			err = cerr
		}
	}
	if err == nil && m == modeMend {
		err = db.mend(ctx)
	}
	if err != nil {
		return nil, errors.Join(Fail(op, path, err), db.Close())
	}
	return db, nil
}

// HasLog tells whether a write-ahead log lies beside the file, as after a kill.
func (db *DB) HasLog() bool { return hasLog(db.file) }

func hasLog(path string) bool {
	_, err := os.Lstat(path + ".wal")
	return err == nil
}

// mend opens a file anew that is open in modeMend, because a log lay beside it, so that it holds whole
// transactions only.
//
// DuckDB 1.5 replays a log wrongly that ends within a transaction: row groups that the transaction had written before its commit stay in
// their tables, without the rows of smaller tables that belong to them. They are in memory alone, until a checkpoint puts them
// into the file. The next commit cuts the torn end off the log; after it, a replay is right. So there is a commit of what
// cancels out, and no checkpoint. A reader cannot do this, and sees such rows; saved queries look at complete runs only, which have none.
func (db *DB) mend(ctx context.Context) error {
	const nothing = "BEGIN; CREATE SCHEMA " + Catalog + ".ducklens_mends; DROP SCHEMA " + Catalog + ".ducklens_mends; COMMIT"
	if _, err := db.pool.ExecContext(ctx, nothing); err != nil {
		return err
	}
	if err := db.pool.Close(); err != nil {
		return err
	}
	pool, err := db.connect(ctx, db.file, modeWrite, db.opts)
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
	_, err = Version(ctx, abs, Options{})
	switch {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrStorageVersion), errors.Is(err, ErrSchemaVersion):
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

// attachAs is attach for a file that messages call path. A writer gets a draft for its temporary files,
// unless opts say where those go.
func attachAs(ctx context.Context, path, abs string, m mode, opts Options) (_ *DB, err error) {
	db := &DB{path: path, file: abs}
	if err := plainLogs(abs); err != nil {
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
	db.entered.Store(!opts.strange)
	for try := 1; ; try++ {
		db.pool, err = db.connect(ctx, abs, m, opts)
		if err == nil && m.writes() {
			if db.lies, err = os.Stat(abs); err != nil {
				err = errors.Join(err, db.pool.Close())
			}
		}
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
func (db *DB) connect(opening context.Context, abs string, m mode, opts Options) (*sql.DB, error) {
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
		var statements []string
		ctx := context.WithoutCancel(opening)
		if !attached {
			statements, ctx = first, opening
		}
		if db.entered.Load() {
			statements = append(statements, enterCatalog)
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

// paths lists the files that DuckDB opens for a database file at abs: the file, or what a link leads to, and
// its logs.
func paths(abs string) (files, logs []string) {
	files = []string{abs}
	if target, err := filepath.EvalSymlinks(abs); err == nil && target != abs {
		files = append(files, target)
	}
	for _, name := range files {
		for _, ending := range draft.Logs() {
			logs = append(logs, name+ending)
		}
	}
	return files, logs
}

// shutIn makes the statements after which SQL can open no files but those for the database file at abs, those
// in the spill folder and those in reach, and can change no setting.
func shutIn(abs, spill string, reach []string) ([]string, error) {
	var allowed, folders []string
	if spill != "" {
		folders = append(folders, spill)
	}
	for _, name := range append([]string{abs}, reach...) {
		full, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(full); err == nil && info.IsDir() {
			folders = append(folders, full)
			continue
		}
		files, logs := paths(full)
		allowed = slices.Concat(allowed, files, logs)
	}
	for _, name := range slices.Concat(allowed, folders) {
		if err := checkPath(name); err != nil {
			return nil, err
		}
	}
	list := func(names []string) string {
		quoted := make([]string, len(names))
		for i, name := range names {
			quoted[i] = QuoteText(name)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return []string{
		"SET allowed_paths=" + list(allowed),
		"SET allowed_directories=" + list(folders),
		"SET enable_external_access=false",
		"SET lock_configuration=true",
	}, nil
}

// checkPath refuses what cannot stand in a statement.
func checkPath(name string) error {
	switch {
	case strings.ContainsRune(name, 0):
		return &Error{Kind: ErrPath, Detail: "a zero byte in " + strconv.Quote(name)}
	case !utf8.ValidString(name):
		return &Error{Kind: ErrPath, Detail: "it is not UTF-8: " + strconv.Quote(name)}
	}
	return nil
}

// maxName is the longest name of a file that DuckDB writes: most file systems have 255 bytes for that of its log.
const maxName = 255 - len(".wal.checkpoint")

func longName(n int) error {
	return &Error{Kind: ErrPath, Detail: fmt.Sprintf("its name has %d bytes, want at most %d: DuckDB keeps logs beside it whose names are longer", n, maxName)}
}

// setup lists the statements that the first connection runs. Their order matters: the temporary folder
// cannot be set after external access is off, and nothing can be after the configuration is locked.
func setup(abs string, m mode, opts Options) ([]string, error) {
	if err := checkPath(abs); err != nil {
		return nil, err
	}
	if n := len(filepath.Base(abs)); m.writes() && n > maxName {
		return nil, longName(n)
	}
	// DuckDB takes what follows a question mark for options of a URL and puts the log before it.
	if m.writes() && strings.Contains(abs, "?") {
		return nil, &Error{Kind: ErrPath, Detail: "DuckDB cannot write to a path with a question mark: " + abs}
	}
	if err := checkLogs(abs); err != nil {
		return nil, err
	}
	var list, attaching []string
	file := QuoteText(abs)
	if m == modeData {
		list = append(list, "SET max_temp_directory_size='0KB'")
		attaching = append(attaching, "ATTACH ':memory:' AS "+Catalog, "ATTACH "+file+" AS "+QuoteName(opts.source)+" (TYPE duckdb, READ_ONLY)")
	} else {
		option := fmt.Sprintf("ROW_GROUP_SIZE %d", RowGroupRows)
		if m == modeCreate {
			option += fmt.Sprintf(", STORAGE_VERSION '%s', BLOCK_SIZE %d", storageVersion, blockSize)
		}
		// DuckDB 1.5 keeps pointers to the metadata of tables that a checkpoint does not change. Of files
		// with as many tables and comments as these, DuckDB 1.1 finds some of them no more, and refuses the
		// file.
		list = append(list, "SET experimental_metadata_reuse=false")
		if m == modeMend {
			list = append(list, "PRAGMA disable_checkpoint_on_shutdown", "SET checkpoint_threshold='100TB'")
		}
		attaching = append(attaching, "ATTACH "+file+" AS "+Catalog+" (TYPE duckdb, "+option+")")
	}
	list = append(list, "SET temp_directory="+QuoteText(opts.spill))
	alone, err := shutIn(abs, opts.spill, opts.Reach)
	if err != nil {
		return nil, err
	}
	return slices.Concat(list, alone, attaching), nil
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

// stays tells whether the file that is written still has its name. Without a name it is gone when it is closed,
// and what another program has put there has nothing of it.
func (db *DB) stays() error {
	if db.lies == nil {
		return nil
	}
	now, err := os.Stat(db.file)
	if err == nil && os.SameFile(now, db.lies) {
		return nil
	}
	detail := "another file has its name, and what was written is not in it"
	if errors.Is(err, fs.ErrNotExist) {
		detail = "it was removed or renamed, and what was written is not at " + db.path
	}
	return &Error{Op: "write", Path: db.path, Kind: ErrChanged, Detail: detail, Advice: "run the command again; nothing else may move the file while it runs", Err: err}
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
