package dbfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"syscall"

	"github.com/duckdb/duckdb-go/v2"

	"ducklens/schema/draft"
)

// What can be wrong with a file or a statement. Errors of this package are an [Error] that wraps one of these where it
// fits; test with errors.Is.
var (
	// ErrExists: a new file was wanted and there is one.
	ErrExists = errors.New("file exists")
	// ErrNotFound: the file, or the folder it should be made in, is not there.
	ErrNotFound = errors.New("no such file")
	// ErrPath: DuckDB cannot use such a path.
	ErrPath = errors.New("path cannot be used")
	// ErrLocked: another process, or another part of this one, has the file open in a way that excludes us.
	ErrLocked = errors.New("file is in use")
	// ErrNotDatabase: the file is not a DuckDB database.
	ErrNotDatabase = errors.New("not a DuckDB database")
	// ErrNotDucklens: a DuckDB database, but not one that ducklens made.
	ErrNotDucklens = errors.New("not a ducklens file")
	// ErrNotExport: not a folder that an export made, or not as it made it.
	ErrNotExport = errors.New("not a folder of ducklens export")
	// ErrSchemaVersion: made by a ducklens with other tables.
	ErrSchemaVersion = errors.New("another schema version")
	// ErrUnfinished: a run is not complete where only complete runs will do.
	ErrUnfinished = errors.New("run is not complete")
	// ErrStorageVersion: written in a storage format that this DuckDB does not read.
	ErrStorageVersion = errors.New("another DuckDB storage format")
	// ErrDamaged: bytes of the file are missing or changed.
	ErrDamaged = errors.New("file is damaged")
	// ErrPermission: the system refuses, or the read-only session does.
	ErrPermission = errors.New("permission denied")
	// ErrNoSpace: the disk is full.
	ErrNoSpace = errors.New("no space left on device")
	// ErrFileSize: the file would be larger than a limit on the size of files allows.
	ErrFileSize = errors.New("file-size limit reached")
	// ErrMemory: a statement needs more than the memory limit.
	ErrMemory = errors.New("memory limit reached")
	// ErrConstraint: a row breaks a rule of its table.
	ErrConstraint = errors.New("row breaks a rule of its table")
	// ErrInterrupted: a statement was stopped; wraps the context's error where that was the reason.
	ErrInterrupted = errors.New("interrupted")
	// ErrChanged: another program has replaced, removed or changed the file while this one worked on it.
	ErrChanged = errors.New("file was changed by another program")
	// ErrSQL: the statement is wrong: syntax, unknown name, type.
	ErrSQL = errors.New("wrong SQL")
)

// Error is a failure on a database file.
type Error struct {
	Op     string // what was attempted: "open", "append to score of"
	Path   string // the file
	Kind   error  // one of the sentinels, or nil if none fits
	Holder string // who has the file open, for ErrLocked: program and PID, or ""
	Detail string // what was found, or ""
	Advice string // what Hint says in place of what it says for the kind, or ""
	Err    error  // the cause, or nil
}

// Error says what was attempted on which file and what came of it.
func (e *Error) Error() string {
	var parts []string
	if e.Op != "" || e.Path != "" {
		parts = append(parts, strings.TrimSpace(e.Op+" "+e.Path))
	}
	if e.Kind != nil {
		kind := e.Kind.Error()
		if e.Holder != "" {
			kind += " by " + e.Holder
		}
		parts = append(parts, kind)
	}
	switch {
	case e.Detail != "":
		parts = append(parts, e.Detail)
	case e.Err != nil && e.Kind != ErrLocked && e.Kind != ErrNotFound:
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	var list []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			list = append(list, err)
		}
	}
	return list
}

// Hint says what to do about it, or "".
func (e *Error) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	switch e.Kind {
	case ErrExists:
		return "choose another name, add to the file with --append, or replace it with --force"
	case ErrNotFound:
		return "check the path; ducklens ingest makes a file, ducklens demo a small one"
	case ErrPath:
		return "choose another name or folder"
	case ErrLocked:
		return "wait until the other program is done with the file or close it there; many may read a file at a time, or one may write"
	case ErrNotDatabase, ErrNotDucklens:
		return "give a .duckdb file that ducklens ingest made"
	case ErrNotExport:
		return "give a folder that ducklens export --parquet made, as it was made"
	case ErrStorageVersion:
		return "update ducklens, or have the file written again with STORAGE_VERSION 'v1.0.0'"
	case ErrDamaged:
		return "fetch or copy the file again, together with its .wal if it has one; else make it again"
	case ErrNoSpace:
		return "free some space, or write to another disk"
	case ErrFileSize:
		return "raise the limit (ulimit -f), or write to a file system that takes larger files"
	case ErrChanged:
		return "try again when nothing else writes there, or choose another name"
	case ErrMemory:
		return "ask for less at a time, or raise the memory limit"
	}
	return ""
}

// Fail puts operation and path to an error, without repeating them.
func Fail(op, path string, err error) error {
	var e *Error
	if errors.As(err, &e) && (e.Path == "" || e.Path == path) {
		if _, joined := err.(interface{ Unwrap() []error }); err == error(e) || !joined {
			c := *e
			c.Op, c.Path = op, path
			return &c
		}
	}
	return Wrap(op, path, err)
}

var (
	lockHolder  = regexp.MustCompile(`Conflicting lock is held in (.+?) \(PID (\d+)\)`)
	duckdbTypes = map[duckdb.ErrorType]error{
		duckdb.ErrorTypeOutOfMemory:          ErrMemory,
		duckdb.ErrorTypeConstraint:           ErrConstraint,
		duckdb.ErrorTypeInterrupt:            ErrInterrupted,
		duckdb.ErrorTypePermission:           ErrPermission,
		duckdb.ErrorTypeParser:               ErrSQL,
		duckdb.ErrorTypeSyntax:               ErrSQL,
		duckdb.ErrorTypeBinder:               ErrSQL,
		duckdb.ErrorTypeCatalog:              ErrSQL,
		duckdb.ErrorTypeConversion:           ErrSQL,
		duckdb.ErrorTypeInvalidInput:         ErrSQL,
		duckdb.ErrorTypeMismatchType:         ErrSQL,
		duckdb.ErrorTypeOutOfRange:           ErrSQL,
		duckdb.ErrorTypeParameterNotResolved: ErrSQL,
		duckdb.ErrorTypeParameterNotAllowed:  ErrSQL,
	}
	// duckdbTexts tell errors apart to which DuckDB gives one type, or none. The first match counts.
	duckdbTexts = []struct {
		text string
		kind error
	}{
		{"Could not set lock on file", ErrLocked},
		{"Unique file handle conflict", ErrLocked},
		{"not a valid DuckDB database file", ErrNotDatabase},
		{"Is a directory", ErrNotDatabase},
		{"Trying to read a database file with version number", ErrStorageVersion},
		{"database does not exist", ErrNotFound},
		{"No such file or directory", ErrNotFound},
		{"Corrupt database file", ErrDamaged},
		{"Could not read enough bytes", ErrDamaged},
		{"Failed to load metadata pointer", ErrDamaged},
		{"replaying WAL", ErrDamaged},
		{"No space left on device", ErrNoSpace},
		{"File too large", ErrFileSize},
		{"Permission denied", ErrPermission},
		{"Read-only file system", ErrPermission},
		{"read-only mode", ErrPermission},
		// An appender's errors come without a type.
		{"constraint failed", ErrConstraint},
		{"violates primary key constraint", ErrConstraint},
		{"violates unique constraint", ErrConstraint},
	}
)

// Wrap turns an error of the driver, the file system or database/sql into one of this package. It is
// called wherever the driver is touched. op and path say what was attempted; nil stays nil.
func Wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, Path: path, Err: err}
	var mine *Error
	var duck *duckdb.Error
	switch {
	case errors.As(err, &mine):
		e.Kind, e.Holder, e.Advice = mine.Kind, mine.Holder, mine.Advice
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind = ErrInterrupted
	case errors.Is(err, draft.ErrChanged):
		e.Kind = ErrChanged
	case errors.Is(err, fs.ErrExist):
		e.Kind = ErrExists
	case errors.Is(err, fs.ErrNotExist):
		e.Kind = ErrNotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Kind = ErrPermission
	case errors.Is(err, syscall.ENOSPC):
		e.Kind = ErrNoSpace
	case errors.Is(err, syscall.EFBIG):
		e.Kind = ErrFileSize
	case errors.As(err, &duck):
		e.Kind = duckdbKind(duck)
		if match := lockHolder.FindStringSubmatch(duck.Msg); match != nil && e.Kind == ErrLocked {
			e.Holder = fmt.Sprintf("%s (PID %s)", match[1], match[2])
		}
	}
	return e
}

// duckdbKind sorts an error of DuckDB, or gives nil.
func duckdbKind(e *duckdb.Error) error {
	for _, t := range duckdbTexts {
		if e.Type != duckdb.ErrorTypeParser && e.Type != duckdb.ErrorTypeConstraint && strings.Contains(e.Msg, t.text) {
			return t.kind
		}
	}
	return duckdbTypes[e.Type]
}
