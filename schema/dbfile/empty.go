package dbfile

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"

	"ducklens/schema"
)

// Creating a file takes six hundred statements and 0.2 s; copying a megabyte takes almost no time. So the
// program contains an empty file, and a digest of the definitions that it was created from. If the
// definitions have changed since, the file is not used, and a test says how to create it again.
//
//go:embed empty.duckdb.gz
var packedEmpty []byte

// empty holds a database file with the current schema and no rows, once one has been unpacked or created.
var empty atomic.Pointer[[]byte]

// emptyFile returns that file, or nil if it must be created.
func emptyFile() []byte {
	if file := empty.Load(); file != nil {
		return *file
	}
	file, digest, err := unpackEmpty()
	if err != nil {
		return nil
	}
	if want, err := definitionsDigest(); err != nil || digest != want {
		return nil
	}
	empty.Store(&file)
	return file
}

// unpackEmpty returns the embedded file and the digest of the definitions that it was created from.
func unpackEmpty() (file []byte, digest string, err error) {
	r, err := gzip.NewReader(bytes.NewReader(packedEmpty))
	if err != nil {
		return nil, "", err
	}
	file, err = io.ReadAll(r)
	return file, r.Comment, err
}

// pack compresses a file, with a digest of what it was created from. It is the inverse of unpackEmpty.
func pack(file []byte, digest string) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w.Comment = digest
	if _, err := w.Write(file); err != nil {
		return nil, err
	}
	err = w.Close()
	return packed.Bytes(), err
}

// definitionsDigest returns a digest of everything that an empty file is created from.
func definitionsDigest() (string, error) {
	tables, err := schema.Tables()
	if err != nil {
		return "", err
	}
	views, err := schema.Views()
	if err != nil {
		return "", err
	}
	comments, err := schema.ViewComments()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %s %s %d %d %q %q", schema.Version, about, storageVersion, blockSize, RowGroupRows,
		tables, views)
	for _, name := range slices.Sorted(maps.Keys(comments)) {
		fmt.Fprintf(h, "%q %q", name, comments[name])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
