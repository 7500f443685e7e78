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

// Kinds of errors. An [Error] of this package wraps one of these if one fits; test with errors.Is.
var (
	// ErrExists: the file to be created exists.
	ErrExists = errors.New("file exists")
	// ErrNotFound: the file, or the folder in which it should be created, does not exist.
	ErrNotFound = errors.New("no such file")
	// ErrPath: DuckDB cannot use the path.
	ErrPath = errors.New("path cannot be used")
	// ErrLocked: another process, or another part of this one, has the file open in a conflicting way.
	ErrLocked = errors.New("file is in use")
	// ErrNotDatabase: the file is not a DuckDB database.
	ErrNotDatabase = errors.New("not a DuckDB database")
	// ErrNotDucklens: a DuckDB database, but not one that ducklens made.
	ErrNotDucklens = errors.New("not a ducklens file")
	// ErrCatalogue: the rows of a catalogue are in Parquet files, which are needed and cannot be had.
	ErrCatalogue = errors.New("it is a catalogue of a data set")
	// ErrNotExport: the folder was not made by ducklens export, or has been changed.
	ErrNotExport = errors.New("not a folder of ducklens export")
	// ErrWhichExport: the folder has several exports, and one is wanted.
	ErrWhichExport = errors.New("which export is meant is not clear")
	// ErrSchemaVersion: the file was made by a ducklens with other tables.
	ErrSchemaVersion = errors.New("another schema version")
	// ErrUnfinished: a run is not complete, but must be.
	ErrUnfinished = errors.New("run is not complete")
	// ErrStorageVersion: the storage format is one that this DuckDB does not read.
	ErrStorageVersion = errors.New("another DuckDB storage format")
	// ErrDamaged: bytes of the file are missing or wrong.
	ErrDamaged = errors.New("file is damaged")
	// ErrPermission: the system, or the read-only session, denies access.
	ErrPermission = errors.New("permission denied")
	// ErrNoSpace: the disk is full.
	ErrNoSpace = errors.New("no space left on device")
	// ErrFileSize: the file would exceed a limit on the size of files.
	ErrFileSize = errors.New("file-size limit reached")
	// ErrMemory: a statement needs more than the memory limit.
	ErrMemory = errors.New("memory limit reached")
	// ErrConstraint: a row breaks a rule of its table.
	ErrConstraint = errors.New("row breaks a rule of its table")
	// ErrInterrupted: a statement was stopped; wraps the context's error if that was the reason.
	ErrInterrupted = errors.New("interrupted")
	// ErrChanged: another program has replaced, removed or changed the file while it was in use.
	ErrChanged = errors.New("file was changed by another program")
	// ErrSQL: the statement is wrong: a syntax error, an unknown name, a wrong type.
	ErrSQL = errors.New("wrong SQL")
)

// Error is a failure on a database file.
type Error struct {
	Op     string // what was attempted: "open", "append to score of"
	Path   string // the file
	Kind   error  // one of the sentinels, or nil if none fits
	Holder string // who has the file open, for ErrLocked: program and PID, or ""
	Detail string // what was found, or ""
	Advice string // replaces the hint of the kind, or ""
	Err    error  // the cause, or nil
}

// Error returns the operation, the file, the kind and the detail.
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
	case e.Err != nil && e.Kind != ErrLocked && e.Kind != ErrNotFound && e.Kind != ErrNotDatabase:
		cause := e.Err.Error()
		for _, said := range parts { // the cause may be an Error too
			cause = strings.TrimPrefix(cause, said+": ")
		}
		parts = append(parts, cause)
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	var list []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			list = append(list, err)
		}
	}
	return list
}

// Hint returns advice for the user, or "".
func (e *Error) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	switch e.Kind {
	case ErrExists:
		return "choose another name, add to the file with --append, or replace it with --force"
	case ErrNotFound:
		return "check the path; ducklens ingest makes a file, and ducklens demo makes a small one"
	case ErrPath:
		return "choose another name or folder"
	case ErrLocked:
		return "wait until the other program is done, or close the file there; " +
			"either several programs may read a file or one may write it"
	case ErrNotDatabase, ErrNotDucklens:
		return "name a .duckdb file that ducklens ingest made"
	case ErrNotExport:
		return "name a folder that ducklens export --parquet made, unchanged"
	case ErrPermission:
		if e.Err != nil && strings.Contains(strings.ToLower(e.Err.Error()), syscall.EACCES.Error()) {
			return "choose a file and a folder that you may use, or change their permissions"
		}
	case ErrStorageVersion:
		return "update ducklens, or write the file again with STORAGE_VERSION 'v1.0.0'"
	case ErrDamaged:
		return "download or copy the file again, with its .wal if it has one, or make it again"
	case ErrNoSpace:
		return "free some space, or write to another disk"
	case ErrFileSize:
		return "raise the limit (ulimit -f), or write to a file system that allows larger files"
	case ErrChanged:
		return "try again when no other program writes there, or choose another name"
	case ErrMemory:
		return "ask for less at once, or raise the memory limit"
	}
	return ""
}

// Fail adds an operation and a path to an error, unless it has them.
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
	// duckdbTexts distinguishes errors for which DuckDB uses one type or none. The first match counts.
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
		// Errors of an appender have no type.
		{"constraint failed", ErrConstraint},
		{"violates primary key constraint", ErrConstraint},
		{"violates unique constraint", ErrConstraint},
	}
)

// Wrap turns an error of the driver, the file system or database/sql into an [Error]. Every use of the driver
// must call it. op and path name the operation and the file. Wrap returns nil for nil.
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

// duckdbKind returns the kind of a DuckDB error, or nil.
func duckdbKind(e *duckdb.Error) error {
	for _, t := range duckdbTexts {
		if e.Type != duckdb.ErrorTypeParser && e.Type != duckdb.ErrorTypeConstraint &&
			strings.Contains(e.Msg, t.text) {
			return t.kind
		}
	}
	return duckdbTypes[e.Type]
}
