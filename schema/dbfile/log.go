package dbfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// logHead begins every write-ahead log of a file in our storage version: it says that its format is 2.
var logHead = []byte{0x64, 0, 98, 0x65, 0, 2, 0xff, 0xff}

// logEntries are the sorts of entries that a log may have: rows, and the schema that a writer makes and drops to mend a file. An
// ingest writes no other. Replaying the rest can run what the log says: making an index binds its expression.
var logEntries = map[byte]bool{
	3: true, 4: true, // a schema is made, dropped
	25: true, 26: true, 27: true, 28: true, 29: true, // a table is chosen; rows come, go, change; row groups
	99: true, 100: true, // checkpoint, end of a transaction
}

// checkLogs looks at the write-ahead logs of a file before DuckDB replays them.
func checkLogs(abs string) error {
	_, logs := paths(abs)
	for _, path := range logs {
		if err := checkLog(path); err != nil {
			return err
		}
	}
	return nil
}

// plainLogs demands that the write-ahead logs beside a file, if there are any, are files: DuckDB would wait
// for the other end of a pipe.
func plainLogs(abs string) error {
	_, logs := paths(abs)
	for _, path := range logs {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return &Error{Kind: ErrNotDatabase, Detail: "its write-ahead log is no file"}
		}
	}
	return nil
}

// checkLog looks at one log, if it is there.
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
		return &Error{Kind: ErrDamaged, Detail: name + " is none that ducklens writes"}
	}
	// An entry is its size, a checksum, and a record whose first field says of what sort it is.
	var entry [8 + 8 + 3]byte
	for at := int64(len(head)); ; {
		if _, err := f.ReadAt(entry[:], at); errors.Is(err, io.EOF) {
			return nil // the end, or a torn one: DuckDB stops here as well
		} else if err != nil {
			return err
		}
		size := binary.LittleEndian.Uint64(entry[:])
		if sort := entry[18]; entry[16] != 0x64 || entry[17] != 0 || !logEntries[sort] {
			return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("%s has an entry of sort %d, want rows alone", name, sort),
				Advice: "if you have changed the file with another program yourself, open it there once more, which empties the log"}
		}
		if size > uint64(info.Size()) {
			return nil
		}
		at += 16 + int64(size)
	}
}
