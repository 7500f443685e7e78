package dbfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// HasLog reports whether a write-ahead log is beside the file, as after a kill.
func (db *DB) HasLog() bool { return hasLog(db.file) }

func hasLog(path string) bool {
	_, err := os.Lstat(path + ".wal")
	return err == nil
}

// mend reopens a file with a log that is open in modeMend, so that it holds only whole transactions.
//
// If a log ends within a transaction, DuckDB 1.5 replays it wrongly: row groups that the transaction wrote
// before its commit stay in their tables, without the matching rows of smaller tables. They are only in
// memory until a checkpoint writes them to the file. The next commit cuts off the torn end of the log, and
// after that a replay is correct. So mend commits a transaction without effect, and makes no checkpoint. A
// reader cannot do this and sees such rows. Saved queries read only complete runs, which have none.
func (db *DB) mend(ctx context.Context) error {
	const nothing = "BEGIN; CREATE SCHEMA " + Catalog + ".ducklens_mends; DROP SCHEMA " + Catalog +
		".ducklens_mends; COMMIT"
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

// logHead is the start of every write-ahead log in our storage version; it contains the log's format, 2.
var logHead = []byte{0x64, 0, 98, 0x65, 0, 2, 0xff, 0xff}

// logEntries are the types of entries that a log may have: rows, and the schema that a writer creates and
// drops to mend a file. An ingest writes no others. Replaying other types can run code of the log: creating
// an index binds its expression.
var logEntries = map[byte]bool{
	3: true, 4: true, // create schema, drop schema
	25: true, 26: true, 27: true, 28: true, 29: true, // use table; insert, delete, update rows; row groups
	99: true, 100: true, // checkpoint, end of a transaction
}

// checkLogs checks the write-ahead logs of a file before DuckDB replays them.
func checkLogs(abs string) error {
	_, logs := paths(abs)
	for _, path := range logs {
		if err := checkLog(path); err != nil {
			return err
		}
	}
	return nil
}

// plainLogs refuses write-ahead logs that are not regular files. Opening a pipe would wait for its other end.
func plainLogs(abs string) error {
	_, logs := paths(abs)
	for _, path := range logs {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return &Error{Kind: ErrNotDatabase, Detail: "its write-ahead log is not a file"}
		}
	}
	return nil
}

// checkLog checks one log, if it exists.
func checkLog(path string) (err error) {
	const name = "its write-ahead log"
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, len(logHead))
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.HasPrefix(logHead, head[:n]) {
		return &Error{Kind: ErrDamaged, Detail: name + " is not one that ducklens writes"}
	}
	// An entry consists of its size, a checksum, and a record whose first field is its type.
	var entry [8 + 8 + 3]byte
	for at := int64(len(head)); ; {
		if _, err := f.ReadAt(entry[:], at); errors.Is(err, io.EOF) {
			return nil // the end, perhaps torn; DuckDB stops here too
		} else if err != nil {
			return err
		}
		size := binary.LittleEndian.Uint64(entry[:])
		if sort := entry[18]; entry[16] != 0x64 || entry[17] != 0 || !logEntries[sort] {
			return &Error{Kind: ErrNotDucklens,
				Detail: fmt.Sprintf("%s has an entry of type %d, want only rows", name, sort),
				Advice: "if you changed the file with another program, " +
					"open it there once more to empty the log"}
		}
		if size > uint64(info.Size()) {
			return nil
		}
		at += 16 + int64(size)
	}
}
