package prompts

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"ducklens/internal/regular"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// Bounds for reading Parquet: the memory of the database into which DuckDB reads the file (the rest spills to
// a temporary folder), and the number of records and bytes that are passed on at a time.
const (
	fileMemory = "256MB"
	filePage   = 256
	pageBytes  = 64 << 20
)

// readParquet reads a Parquet file through DuckDB, in a session that can access nothing but this file.
func readParquet(ctx context.Context, path string, each func(row) bool) (err error) {
	if err := checkParquet(path); err != nil {
		return err
	}
	s, err := openSession(ctx, path)
	if err != nil {
		return elsewhere{fmt.Errorf("a database in memory, to read Parquet with: %w", err)}
	}
	defer func() {
		if closing := s.close(); closing != nil && err == nil {
			err = elsewhere{closing}
		}
	}()
	if err := s.load(ctx); err != nil {
		return s.readerError(ctx, err)
	}
	if !identified(s.names) {
		return noText(s.names)
	}
	return s.records(ctx, each)
}

// checkParquet checks that a file begins and ends like a Parquet file.
func checkParquet(path string) error {
	const magic = "PAR1"
	f, err := os.Open(path)
	if err != nil {
		return bare(err)
	}
	defer f.Close()
	var start, end [len(magic)]byte
	_, err = io.ReadFull(f, start[:])
	if err == nil {
		_, err = f.Seek(-int64(len(magic)), io.SeekEnd)
	}
	if err == nil {
		_, err = io.ReadFull(f, end[:])
	}
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return badFile("it has less than %d bytes, and is not Parquet", len(magic))
	case err != nil:
		return bare(err)
	case string(start[:]) != magic && bytes.ContainsAny(start[:1], "{ \n\"t"):
		return badFile("it is text by its content, not Parquet: give it a name that ends in .jsonl, " +
			".csv or .tsv")
	case string(start[:]) != magic:
		return badFile("it begins with %q, want %s: it is not Parquet", start[:], magic)
	case string(end[:]) != magic:
		return badFile("it ends with %q, want %s: the file has been cut short", end[:], magic)
	}
	return nil
}

// session is an in-memory database that may read one file.
type session struct {
	db    *dbfile.Scratch
	temp  string   // folder for data that does not fit in memory
	path  string   // absolute path of the file
	names []string // of the file's columns
	done  func() error
}

func openSession(ctx context.Context, path string) (s *session, err error) {
	s = &session{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.path, err = filepath.Abs(path); err != nil {
		return s, err
	}
	if s.path, s.done, err = regular.Plain(s.path); err != nil {
		return s, err
	}
	if s.temp, err = os.MkdirTemp("", "ducklens-prompts-"); err != nil {
		words := fmt.Sprintf("no temporary folder in %s: %v", os.TempDir(), bare(err))
		return s, &fault{kind: err, words: words, hint: "set TMPDIR to a folder to write to"}
	}
	if s.db, err = dbfile.OpenScratch(ctx, fileMemory, s.temp, s.path); err != nil {
		return s, err
	}
	return s, nil
}

func (s *session) close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.done != nil {
		errs = append(errs, s.done())
	}
	if s.temp != "" {
		errs = append(errs, os.RemoveAll(s.temp))
	}
	return errors.Join(errs...)
}

// load copies the columns of the file, as JSON, into the columns f0, f1, ... of the table loaded, and stores
// their names. It takes the names from the file's schema, because DuckDB renames columns that differ only in
// case.
func (s *session) load(ctx context.Context) error {
	names, err := s.topLevel(ctx)
	if err != nil {
		return err
	}
	source := "read_parquet(" + dbfile.QuoteText(s.path) + ", hive_partitioning = false)"
	columns, types, err := s.columns(ctx, source)
	if err != nil {
		return err
	}
	switch {
	case len(names) != len(columns):
		return badFile("%d columns in its schema and %d in its data", len(names), len(columns))
	case len(columns) > maxFields:
		return badFile("%d columns, want at most %d", len(columns), maxFields)
	}
	selected := make([]string, len(columns))
	for i, column := range columns {
		name := columnName(names[i], i)
		if first := slices.Index(s.names, name); first >= 0 {
			return twoColumns(name, first, i)
		}
		if slices.Contains(reserved, name) && types[i] == "BLOB" {
			return badFile("column %s holds bytes, want text", name).
				advise("write the file with that column decoded, as a string")
		}
		s.names = append(s.names, name)
		selected[i] = fmt.Sprintf("to_json(%s)::VARCHAR AS f%d", dbfile.QuoteName(column), i)
	}
	_, err = s.db.ExecContext(ctx,
		"CREATE TABLE loaded AS SELECT "+strings.Join(selected, ", ")+" FROM "+source)
	return err
}

// topLevel returns the names of the columns from the file's schema, which lists all nodes depth first with
// the number of their children.
func (s *session) topLevel(ctx context.Context) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT coalesce(name, ''), coalesce(num_children, 0) "+
		"FROM parquet_schema("+dbfile.QuoteText(s.path)+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	open := []int{} // children still to come, of the root and of each open node
	for rows.Next() {
		var name string
		var parts int
		if err := rows.Scan(&name, &parts); err != nil {
			return nil, err
		}
		for len(open) > 0 && open[len(open)-1] == 0 {
			open = open[:len(open)-1]
		}
		if len(open) == 1 {
			names = append(names, name)
		}
		if len(open) > 0 {
			open[len(open)-1]--
		}
		open = append(open, parts)
	}
	return names, rows.Err()
}

// columns returns the names that DuckDB gives the columns of a source, and their types.
func (s *session) columns(ctx context.Context, source string) (columns, types []string, err error) {
	rows, err := s.db.QueryContext(ctx,
		"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+source+")")
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return nil, nil, err
		}
		columns, types = append(columns, name), append(types, kind)
	}
	return columns, types, rows.Err()
}

// readerError turns an error of DuckDB into one about the file.
func (s *session) readerError(ctx context.Context, err error) error {
	var ours *fault
	var theirs *duckdb.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &ours):
		return err
	case errors.As(err, &theirs) && theirs.Type == duckdb.ErrorTypeOutOfMemory:
		return badFile("its records are too large: %s do not hold the few that are read at a time",
			fileMemory).because(err).
			advise("leave large columns, such as lists of numbers, out of the file")
	case strings.Contains(err.Error(), "string encoding"):
		return badFile("a text in it is not UTF-8").because(err).
			advise("write the file once more, with its texts decoded")
	case strings.Contains(err.Error(), s.temp):
		words := "writing to the temporary folder " + s.temp + " failed"
		return elsewhere{&fault{kind: err, words: words,
			hint: "is there room? TMPDIR may name another folder"}}
	}
	return badFile("it is damaged, or in a form of Parquet that is not known here").because(err).
		advise("write it once more, with pandas: pandas.read_parquet(OLD).to_parquet(NEW)")
}

// records passes on the loaded records in pages, so that the driver never holds more than a page.
func (s *session) records(ctx context.Context, each func(row) bool) error {
	longest, err := s.longest(ctx)
	if err != nil {
		return s.readerError(ctx, err)
	}
	page := int64(max(1, min(filePage, pageBytes/max(1, longest))))
	for first := int64(0); ; first += page {
		n, more, err := s.page(ctx, first, page, each)
		if err != nil || !more || n < page {
			return err
		}
	}
}

// longest returns the size of the longest record in bytes, or an error if it is too long.
func (s *session) longest(ctx context.Context) (int64, error) {
	size := "0"
	for i := range s.names {
		size += fmt.Sprintf(" + coalesce(strlen(f%d), 0)", i)
	}
	var most, at sql.NullInt64
	query := "SELECT max(" + size + "), arg_max(rowid, " + size + ") FROM loaded"
	if err := s.db.QueryRowContext(ctx, query).Scan(&most, &at); err != nil {
		return 0, err
	}
	if most.Int64 > maxRecord {
		return 0, badFile("%d bytes, want at most %d in a record", most.Int64, maxRecord).
			where(fmt.Sprintf("row %d", at.Int64+1))
	}
	return most.Int64, nil
}

// page passes on up to n records from the first. It returns their number, and whether more are wanted.
func (s *session) page(ctx context.Context, first, n int64,
	each func(row) bool) (count int64, more bool, err error) {
	rows, err := s.db.QueryContext(ctx, "FROM loaded WHERE rowid BETWEEN $1 AND $2 ORDER BY rowid",
		first, first+n-1)
	if err != nil {
		return 0, false, s.readerError(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		raw, into := make([]sql.NullString, len(s.names)), make([]any, len(s.names))
		for i := range raw {
			into[i] = &raw[i]
		}
		if err := rows.Scan(into...); err != nil {
			return count, false, s.readerError(ctx, err)
		}
		r := row{at: fmt.Sprintf("row %d", first+count+1)}
		for i, name := range s.names {
			value := "null"
			if raw[i].Valid {
				value = string(standard([]byte(raw[i].String)))
			}
			r.fields = append(r.fields, schema.Field{Name: name, Value: value})
		}
		count++
		if !each(r) {
			return count, false, nil
		}
	}
	if err := rows.Err(); err != nil {
		return count, false, s.readerError(ctx, err)
	}
	return count, true, nil
}
