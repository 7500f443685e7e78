package prompts

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"ducklens/schema"
)

// ErrRecord is wrapped by every error about one record of a prompt file.
var ErrRecord = errors.New("not a usable prompt")

// ErrFormat is wrapped by the error for a file that is not of the format that its name says.
var ErrFormat = errors.New("not a file of this kind")

// Bounds of a record: its size in bytes of UTF-8, and the size of its fields that are not reserved. A larger
// record is refused, not cut.
const (
	maxRecord      = 16 << 20
	maxFieldsBytes = 1 << 20
	maxFields      = 1000
)

// File reads finished prompts from a .jsonl (.ndjson), .csv, .tsv or .parquet file; the package comment
// describes the records. Memory stays bounded whatever the file's size. Errors name the place in the file,
// and have a Hint method if there is advice.
func File(ctx context.Context, path string) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		var fault error
		err := readFile(ctx, path, func(r row) bool {
			var p schema.Prompt
			if p, fault = r.prompt(); fault != nil {
				return false
			}
			return yield(p, nil)
		})
		if fault != nil {
			err = fault
		}
		if err != nil {
			yield(schema.Prompt{}, aboutFile("prompt file", path, missing(err, "a .jsonl, .csv, .tsv or "+
				".parquet file has a record for each prompt, such as "+exampleRecord)))
		}
	}
}

// readFile passes the records of a file to each until it returns false.
func readFile(ctx context.Context, path string, each func(row) bool) error {
	f, err := openFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	cancelled := false
	next := func(r row) bool {
		if cancelled = ctx.Err() != nil; cancelled {
			return false
		}
		return each(r)
	}
	switch ending := strings.ToLower(filepath.Ext(path)); ending {
	case ".jsonl", ".ndjson":
		err = readLines(f, next)
	case ".csv":
		err = readTable(f, ',', next)
	case ".tsv":
		err = readTable(f, '\t', next)
	case ".parquet":
		err = readParquet(ctx, path, next)
	default:
		err = badFile("not a prompt file by its name, which ends in %q, want .jsonl, .ndjson, .csv, "+
			".tsv or .parquet", ending).
			advise("a .jsonl file has one JSON object a line, such as " + exampleRecord)
	}
	if cancelled {
		return ctx.Err()
	}
	return err
}

// exampleRecord is shown in hints.
const exampleRecord = `{"text": "The cat sat on the mat", "query": -1, "key": "cat", "baseline": "mat"}`

// missing adds advice to the error that there is no such file. Other errors come back as they are, also if
// another file or folder is missing.
func missing(err error, hint string) error {
	if errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(*fault)) && !errors.As(err, &elsewhere{}) {
		return &fault{kind: err, words: "no such file", hint: hint}
	}
	return err
}

// openFile opens a regular file. Other files are refused without opening them, because opening a pipe would
// wait for its writer.
func openFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if info.IsDir() {
		return nil, badFile("it is a folder, want a file")
	}
	if !info.Mode().IsRegular() {
		return nil, badFile("it is %s, want a regular file", kindOfFile(info.Mode())).
			advise("write its contents to a file first: it is read more than once")
	}
	f, err := os.Open(path)
	return f, bare(err)
}

func kindOfFile(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

// bare removes the path from an error of package os, for errors that already name the file.
func bare(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
