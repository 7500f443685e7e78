// Package dbfile opens ducklens database files. A file is one DuckDB file with the tables of package schema.
//
// [Create] creates a file, [OpenWriter] opens one to add runs, [OpenData] and [OpenReader] open one for
// queries. Package schema/verify checks that the numbers in a file add up; package schema/transfer merges,
// compares, exports, imports and migrates files. Some functions are exported only for these two. Every error
// of the driver becomes an [Error] with one of the sentinels of this package ([Wrap]).
//
// A file may be untrusted; [Data] describes what is never run. Once a file is open, SQL can access no other
// files than those that [Options] name, and cannot change settings.
//
// A DB is a private in-memory DuckDB whose connections use a catalog called [Catalog], so tables need no
// prefix. For a writer this is the file itself; for a reader it is an in-memory database with the same
// tables. The file is attached, because that works with any path; the driver would parse its path argument as
// a URL.
//
// Pitfalls: Appends outside [DB.InTx] are not atomic. Appended integers are converted like in Go, so pass
// int32 for INTEGER columns. Text that is not UTF-8 is stored as NULL.
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

// Catalog is the name of the catalog whose tables need no prefix.
const Catalog = "data"

// storageVersion is the storage format of new files. With blocks of blockSize, every DuckDB since 1.1 reads
// it. The tables need nothing of later formats. That of 1.1 makes a file 2.4 MB smaller, as it lacks a sketch
// of 3 kB of the distinct values of each column. But once a client has written to such a file in its own
// default format, look-ups by primary key find no rows.
const storageVersion = "v1.0.0"

const (
	// blockSize is DuckDB's smallest. Each column takes at least one block, so with the default of 256 kB the
	// columns of a file with few prompts are mostly empty. For 200 synthetic prompts of GPT-2 small's shape,
	// small blocks take 5 % more.
	blockSize = 16384
	// RowGroupRows is the number of rows that are compressed together. Queries about one head, side and pair
	// of bases skip row groups without such rows, and divide the others among threads. Within a transaction,
	// full row groups of a table are written to the file at once; smaller rests wait in memory and in the log
	// for a checkpoint. A batch of an ingest has 6,864 key factors. With 2,048 rows, files are a sixth
	// larger.
	RowGroupRows = 4096
)

const (
	// defaultWriterThreads leaves the cores to the model, because compressing rows is a small part of an
	// ingest. A second thread takes 5 % more processor time and does not shorten the ingest. (480 prompts,
	// GPT-2 small's sizes, alternating runs.)
	defaultWriterThreads = 1
	// largeFile is the size from which on a reader has all cores. To verify a file of 16 MB takes 1.4 s with
	// one thread, and 1.6 s with two, which also take a quarter more processor time.
	largeFile = 16 << 20
	// DefaultMemory is the memory limit for queries.
	DefaultMemory = "2GB"
	// defaultWriterMemory is the memory limit for commands that copy whole tables, such as merge.
	defaultWriterMemory = "128MB"
	// A killed process can hold its lock for some 100 ms, so a locked file is tried several times.
	lockTries = 5
	lockPause = 100 * time.Millisecond
)

// Options are the options for opening a file. The zero value is ready for use.
type Options struct {
	Threads int    // DuckDB's threads; 0: 1 for a writer or a small file, all cores for other readers
	Memory  string // DuckDB's memory limit, such as 512MB or 8GB; "": 128MB for a writer, 2GB for a reader

	// Log is the size of the log after which a commit makes a checkpoint; "": DuckDB's 16MB. What is in the
	// log takes memory too.
	Log string

	// Replace lets Create replace an existing ducklens file, but never another file.
	Replace bool

	// Reach lists the files and folders that SQL may open besides the file: those that the user named in the
	// command.
	Reach []string

	// Data is the folder of a catalogue's Parquet files; "": the folder beside the catalogue that it names.
	// It is ignored for other files.
	Data string

	// OwnRows refuses a catalogue, whose rows are in other files.
	OwnRows bool

	// Spill is a folder for temporary files. A writer always has one. A reader without one is limited to
	// Memory.
	Spill string

	source  string // name of the file's database, for modeData
	strange bool   // enter is called later, after the file is checked: see [DB.enter]
}

// DB is an open database file. It is safe for use by several goroutines; one at a time should write.
type DB struct {
	path    string // as given by the caller
	file    string // the open file: the one at path, or the draft of a new one
	pool    *sql.DB
	draft   *draft.Draft // of a writer: holds its temporary files and, until it is published, a new file
	pending bool         // the draft is not published yet
	opts    Options
	release func() // removes the file from the registry
	version int
	lies    fs.FileInfo // of a writer: the file at its path when it was opened
	entered atomic.Bool // unqualified names refer to Catalog: see enter

	mu     sync.Mutex
	closed bool
}

// mode says how a file is attached.
type mode int

const (
	modeCreate mode = iota
	modeWrite
	modeMend // like modeWrite, but without checkpoints: see [DB.mend]
	modeData // for [OpenData]
)

// writes reports whether the file is open for writing.
func (m mode) writes() bool { return m != modeData }

// OpenWriter opens an existing file to add to it. Only one process may write a file at a time, and no other
// may read it meanwhile: [ErrLocked]. If a writer was killed, the file holds exactly what it had committed.
// The tables must be those of this program. No macro of the file may have the name of a DuckDB function,
// because the conditions of tables would call it.
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

// enter makes the file's catalog the default one. From then on its macros can replace functions, so an
// untrusted file must be checked before.
func (db *DB) enter(ctx context.Context) error {
	db.entered.Store(true) // for later connections
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, enterCatalog)
	return err
}

const enterCatalog = "USE " + Catalog + ".main"

// Settle moves the log beside a file of any schema version into the file, and drops torn transactions.
func Settle(ctx context.Context, path string, opts Options) error {
	db, err := openToWrite(ctx, path, opts,
		func(conn *sql.Conn) error { return checkBound(ctx, conn, Catalog) })
	if err != nil {
		return err
	}
	return db.Finalize(ctx)
}

// openToWrite opens an existing file, calls check, and mends the file. It does not call enter.
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

// attachExisting attaches an existing file.
func attachExisting(ctx context.Context, op, path string, m mode, opts Options) (*DB, error) {
	info, err := os.Stat(path) // attaching a missing file would create it
	if err != nil {
		return nil, Fail(op, path, err)
	}
	if err := checkKind(path, info); err != nil {
		return nil, Fail(op, path, err)
	}
	db, err := attach(ctx, path, m, opts)
	if err != nil {
		return nil, Fail(op, path, err)
	}
	return db, nil
}

// checkKind refuses what DuckDB could not open, or would wait for.
func checkKind(path string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		e := &Error{Kind: ErrNotDatabase, Detail: "it is a folder"}
		if _, err := os.Stat(filepath.Join(path, "ducklens")); err == nil {
			e.Advice = "ducklens gather DIR -o FILE makes a file that queries this folder"
		}
		return e
	case !info.Mode().IsRegular():
		return &Error{Kind: ErrNotDatabase, Detail: "it is a pipe or a device, want a file"}
	case info.Size() == 0:
		return &Error{Kind: ErrNotDatabase, Detail: "it is empty"}
	}
	return nil
}

// CheckTarget returns an error unless a new file may be created at abs.
func CheckTarget(ctx context.Context, abs string, replace bool) error {
	info, err := os.Lstat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(abs + ".wal"); err == nil && !replace {
			return &Error{Kind: ErrExists,
				Detail: "another database has left a write-ahead log of this name: " + abs + ".wal"}
		}
		return nil
	}
	if err != nil {
		return err
	}
	const hint = "choose another name, or remove the file first; only ducklens files are replaced"
	switch {
	case info.IsDir():
		return &Error{Kind: ErrNotDatabase, Detail: "it is a folder", Advice: "choose another name"}
	case !replace:
		return &Error{Kind: ErrExists}
	case !info.Mode().IsRegular():
		return &Error{Kind: ErrNotDatabase, Detail: "not a regular file, left alone", Advice: hint}
	}
	// Reading the version shows whether another process writes the file and whether ducklens made it. A
	// damaged file may be replaced.
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

// attach opens a private DuckDB and attaches the file. It tries several times if the file is locked.
func attach(ctx context.Context, path string, m mode, opts Options) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return attachAs(ctx, path, abs, m, opts)
}

// attachAs is attach for a file that errors call path. A writer gets a draft for its temporary files, unless
// opts name a folder for them.
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
	if m.writes() && opts.Spill == "" {
		if db.draft, err = draft.New(abs); err != nil {
			return nil, Wrap("open", path, err)
		}
		opts.Spill = db.draft.Spill()
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

// connect creates the pool, and its first connection, which attaches the file.
func (db *DB) connect(opening context.Context, abs string, m mode, opts Options) (*sql.DB, error) {
	first, err := setup(abs, m, opts)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	attached := false
	connector, err := duckdb.NewConnector(dsn(limits(m, abs, opts)), func(conn driver.ExecerContext) error {
		mu.Lock()
		defer mu.Unlock()
		// Settings are global to the DuckDB. Later connections may outlive the context of the first one.
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

// limits returns the memory limit and the number of threads for the file at abs.
func limits(m mode, abs string, opts Options) (memory string, threads int) {
	memory, threads = opts.Memory, opts.Threads
	if threads <= 0 {
		threads = defaultWriterThreads
		if info, err := os.Stat(abs); !m.writes() && (err != nil || info.Size() >= largeFile) {
			threads = runtime.GOMAXPROCS(0)
		}
	}
	if memory == "" {
		memory = defaultWriterMemory
		if !m.writes() {
			memory = DefaultMemory
		}
	}
	return memory, threads
}

// dsn returns the settings that must be set before any file is opened. Without the first two, DuckDB would
// download extensions from a server.
func dsn(memory string, threads int) string {
	return "?" + url.Values{
		"autoinstall_known_extensions": {"false"},
		"autoload_known_extensions":    {"false"},
		"allow_community_extensions":   {"false"},
		"allow_persistent_secrets":     {"false"},
		"memory_limit":                 {memory},
		"threads":                      {strconv.Itoa(threads)},
	}.Encode()
}

// paths lists the files that DuckDB may open for a database file at abs: the file, the target if it is a
// link, and their logs.
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

// shutIn returns the statements after which SQL can open no files except those in the spill folder and those
// in names, including the logs of databases, and can change no setting.
func shutIn(spill string, names []string) ([]string, error) {
	var allowed, folders []string
	if spill != "" {
		folders = append(folders, spill)
	}
	for _, name := range names {
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

// checkPath refuses a path that cannot be part of a statement.
func checkPath(name string) error {
	switch {
	case strings.ContainsRune(name, 0):
		return &Error{Kind: ErrPath, Detail: "a zero byte in " + strconv.Quote(name)}
	case !utf8.ValidString(name):
		return &Error{Kind: ErrPath, Detail: "it is not UTF-8: " + strconv.Quote(name)}
	}
	return nil
}

// maxName is the length of the longest file name that DuckDB can write: most file systems allow 255 bytes,
// and the names of logs are longer.
const maxName = 255 - len(".wal.checkpoint")

func longName(n int) error {
	return &Error{Kind: ErrPath,
		Detail: fmt.Sprintf("its name has %d bytes, want at most %d, "+
			"because DuckDB adds to it for the names of logs", n, maxName)}
}

// setup lists the statements of the first connection. Their order matters: the temporary folder cannot be set
// after external access is turned off, and nothing can be set after the configuration is locked.
func setup(abs string, m mode, opts Options) ([]string, error) {
	if err := checkPath(abs); err != nil {
		return nil, err
	}
	if n := len(filepath.Base(abs)); m.writes() && n > maxName {
		return nil, longName(n)
	}
	// DuckDB parses the part after a question mark as options of a URL, and puts the log's suffix before it.
	if m.writes() && strings.Contains(abs, "?") {
		return nil, &Error{Kind: ErrPath, Detail: "DuckDB cannot write to a path with a question mark: " +
			abs}
	}
	if err := checkLogs(abs); err != nil {
		return nil, err
	}
	var list, attaching []string
	file := QuoteText(abs)
	if m == modeData {
		if opts.Spill == "" {
			list = append(list, "SET max_temp_directory_size='0KB'")
		}
		attaching = append(attaching, "ATTACH ':memory:' AS "+Catalog,
			"ATTACH "+file+" AS "+QuoteName(opts.source)+" (TYPE duckdb, READ_ONLY)")
	} else {
		option := fmt.Sprintf("ROW_GROUP_SIZE %d", RowGroupRows)
		if m == modeCreate {
			option += fmt.Sprintf(", STORAGE_VERSION '%s', BLOCK_SIZE %d", storageVersion, blockSize)
		}
		// DuckDB 1.5 reuses the metadata of tables that a checkpoint does not change. With as many tables and
		// comments as here, DuckDB 1.1 cannot find some of it, and refuses the file.
		list = append(list, "SET experimental_metadata_reuse=false")
		if opts.Log != "" {
			list = append(list, "SET checkpoint_threshold="+QuoteText(opts.Log))
		}
		if m == modeMend {
			list = append(list, "PRAGMA disable_checkpoint_on_shutdown", "SET checkpoint_threshold='100TB'")
		}
		attaching = append(attaching, "ATTACH "+file+" AS "+Catalog+" (TYPE duckdb, "+option+")")
	}
	list = append(list, spillTo(opts.Spill))
	alone, err := shutIn(opts.Spill, append([]string{abs}, opts.Reach...))
	if err != nil {
		return nil, err
	}
	return slices.Concat(list, alone, attaching), nil
}

// spillTo sets the folder for data that does not fit into memory.
func spillTo(folder string) string { return "SET temp_directory=" + QuoteText(folder) }

// QuoteText returns s as a SQL text literal.
func QuoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// QuoteName returns s as a quoted SQL identifier.
func QuoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// Path returns the path as given by the caller.
func (db *DB) Path() string { return db.path }

// SchemaVersion returns the schema version that the file records.
func (db *DB) SchemaVersion() int { return db.version }

// SQL returns the connection pool.
func (db *DB) SQL() *sql.DB { return db.pool }

// Conn takes a connection from the pool; close it to return it. A transaction and its appenders need the same
// connection.
func (db *DB) Conn(ctx context.Context) (*sql.Conn, error) {
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return nil, Wrap("connect to", db.path, err)
	}
	return conn, nil
}

// stays returns an error if the written file no longer has its name. Such a file is lost when it is closed,
// and the file now at the path has none of its rows.
func (db *DB) stays() error {
	if db.lies == nil {
		return nil
	}
	now, err := os.Stat(db.file)
	if err == nil && os.SameFile(now, db.lies) {
		return nil
	}
	detail := "another file now has its name, and it does not hold what was written"
	if errors.Is(err, fs.ErrNotExist) {
		detail = "it was removed or renamed, so what was written is not at " + db.path
	}
	return &Error{Op: "write", Path: db.path, Kind: ErrChanged, Detail: detail,
		Advice: "run the command again, and do not move the file while it runs", Err: err}
}

// Close closes the file. A new file that was not finalized is removed. Closing twice does nothing.
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
