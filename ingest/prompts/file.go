package prompts

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"ducklens/schema"
)

// ErrRecord is wrapped by every error about one record of a prompt file.
var ErrRecord = errors.New("not a usable prompt")

// ErrFormat is returned for a prompt file whose name ends in nothing known, or that cannot be read as what
// its name says it is.
var ErrFormat = errors.New("not a prompt file")

// Reading a prompt file: the database that DuckDB's reader fills may hold this much in memory and spills the
// rest to a temporary folder, and so many records at a time are handed on.
const (
	fileMemory = "256MB"
	filePage   = 256
)

// File reads finished prompts from a .jsonl (.ndjson), .csv, .tsv or .parquet file. A record has
//
//   - text, and the positions query and key, and if there is one, baseline; or
//   - text, IO and S: an IOI prompt. Key is IO, baseline is S, and the query is the token before the
//     final IO where the text ends with it, else the last token. A query of its own is allowed;
//   - template and order ("ABBA" or "BABA") if wanted.
//
// A position is a token index (0 is the first stored token, BOS where the run has one; -1 is the last)
// or the word itself. In JSONL and Parquet a number is an index and a string is a word; in CSV, which has no types,
// a field of digits is an index. Other fields are ignored.
//
// The file is read through DuckDB, in a session of its own that can reach nothing but this file;
// memory stays bounded whatever the file's size.
func File(ctx context.Context, path string) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		if err := readFile(ctx, path, func(p schema.Prompt) bool { return yield(p, nil) }); err != nil {
			yield(schema.Prompt{}, fmt.Errorf("prompts: %s: %w", path, err))
		}
	}
}

// readFile hands the prompts of a file to each until it returns false.
func readFile(ctx context.Context, path string, each func(schema.Prompt) bool) (err error) {
	// The plain look first: its errors are clearer than a database's.
	f, err := os.Open(path)
	if err != nil {
		return bare(err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a regular file", ErrFormat)
	}
	s, err := openSession(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	fields, err := s.load(ctx, path)
	if err != nil {
		return err
	}
	return s.records(ctx, fields, each)
}

// bare takes the path out of an error of package os, for an error that names the file already.
func bare(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// session is an in-memory database that may read one file.
type session struct {
	db   *sql.DB
	conn *sql.Conn
	temp string // folder for what does not fit in memory
	path string // the file, absolute
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
	if s.temp, err = os.MkdirTemp("", "ducklens-prompts-"); err != nil {
		return s, err
	}
	connector, err := duckdb.NewConnector("?autoinstall_known_extensions=false&autoload_known_extensions=false"+
		"&allow_community_extensions=false&allow_persistent_secrets=false&threads=1&memory_limit="+fileMemory, nil)
	if err != nil {
		return s, err
	}
	s.db = sql.OpenDB(connector)
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return s, err
	}
	// The order matters: once external access is off, neither folder nor paths can be set.
	for _, statement := range []string{
		"SET temp_directory = " + literal(s.temp),
		"SET allowed_paths = [" + literal(s.path) + "]",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	} {
		if _, err = s.conn.ExecContext(ctx, statement); err != nil {
			return s, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return s, nil
}

func (s *session) close() error {
	var errs []error
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.temp != "" {
		errs = append(errs, os.RemoveAll(s.temp))
	}
	return errors.Join(errs...)
}

// names of the fields, in the order of the loaded table's columns.
var fieldNames = [...]string{"text", "query", "key", "baseline", "IO", "S", "template", "order"}

// load copies the fields of the file, as text, into the table loaded, and tells how each is to be read.
func (s *session) load(ctx context.Context, path string) ([len(fieldNames)]encoding, error) {
	var encodings [len(fieldNames)]encoding
	source, plain, err := s.reader(path)
	if err != nil {
		return encodings, err
	}
	types, err := s.columns(ctx, source)
	if err != nil {
		return encodings, readerError(ctx, err)
	}
	if _, ok := types["text"]; !ok {
		return encodings, fmt.Errorf("%w: no field text, found %s", ErrFormat, strings.Join(types.names(), ", "))
	}
	selected := make([]string, len(fieldNames))
	for i, name := range fieldNames {
		kind, ok := types[name]
		switch {
		case !ok:
			selected[i] = "NULL::VARCHAR"
		case plain:
			encodings[i], selected[i] = untyped, quoted(name)
		default:
			if encodings[i], ok = encodingOf(kind); !ok {
				return encodings, fmt.Errorf("%w: field %s has the type %s, want text or a whole number", ErrFormat, name, kind)
			}
			selected[i] = quoted(name) + "::VARCHAR"
		}
		selected[i] += fmt.Sprintf(" AS f%d", i)
	}
	_, err = s.conn.ExecContext(ctx, "CREATE TABLE loaded AS SELECT "+strings.Join(selected, ", ")+" FROM "+source)
	if err != nil {
		return encodings, readerError(ctx, err)
	}
	return encodings, nil
}

// readerError makes one line of what DuckDB's reader says about a file: what and where, without the
// options of a reader that the user has not called.
func readerError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	const most = 300
	text := err.Error()
	for _, end := range []string{"Possible fixes:", "\n  file ="} {
		text, _, _ = strings.Cut(text, end)
	}
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "..."
	}
	return fmt.Errorf("%w: %s", ErrFormat, text)
}

// reader gives the table function that reads the file, and whether its fields come without types.
func (s *session) reader(path string) (source string, plain bool, err error) {
	file := literal(s.path)
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".jsonl", ".ndjson":
		columns := make([]string, len(fieldNames))
		for i, name := range fieldNames {
			columns[i] = quoted(name) + ": 'JSON'"
		}
		return "read_json(" + file + ", format = 'newline_delimited', hive_partitioning = false, columns = {" +
			strings.Join(columns, ", ") + "})", false, nil
	case ".csv", ".tsv":
		delimiter := ','
		if ext == ".tsv" {
			delimiter = '\t'
		}
		columns, err := csvHeader(s.path, delimiter)
		if err != nil {
			return "", false, fmt.Errorf("%w: header line: %w", ErrFormat, err)
		}
		// Nothing is guessed: a guessing reader takes lines that do not fit for a preamble and skips them.
		return "read_csv(" + file + ", auto_detect = false, header = true, hive_partitioning = false, delim = " +
			literal(string(delimiter)) + ", quote = '\"', escape = '\"', columns = {" + columns + "})", true, nil
	case ".parquet":
		return "read_parquet(" + file + ", hive_partitioning = false)", false, nil
	default:
		return "", false, fmt.Errorf("%w: its name ends in %q, want .jsonl, .ndjson, .csv, .tsv or .parquet", ErrFormat, ext)
	}
}

// maxHeader bounds the header line of a CSV file, in bytes.
const maxHeader = 1 << 20

// csvHeader reads the names of the columns, and gives them as the columns argument of read_csv.
func csvHeader(path string, delimiter rune) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", bare(err)
	}
	defer f.Close()
	r := csv.NewReader(io.LimitReader(f, maxHeader))
	r.Comma = delimiter
	names, err := r.Read()
	if err != nil {
		return "", err
	}
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	columns := make([]string, len(names))
	for i, name := range names {
		if name == "" {
			return "", fmt.Errorf("column %d has no name", i+1)
		}
		if slices.Contains(names[:i], name) {
			return "", fmt.Errorf("two columns %q", name)
		}
		columns[i] = quoted(name) + ": 'VARCHAR'"
	}
	return strings.Join(columns, ", "), nil
}

// columnTypes has the type of each column by its name.
type columnTypes map[string]string

func (t columnTypes) names() []string { return slices.Sorted(maps.Keys(t)) }

func (s *session) columns(ctx context.Context, source string) (columnTypes, error) {
	rows, err := s.conn.QueryContext(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+source+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types := columnTypes{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return nil, err
		}
		types[name] = kind
	}
	return types, rows.Err()
}

// records hands on the loaded records, a page at a time, so that the driver never holds more.
func (s *session) records(ctx context.Context, fields [len(fieldNames)]encoding, each func(schema.Prompt) bool) error {
	for first := int64(0); ; first += filePage {
		n, more, err := s.page(ctx, first, fields, each)
		if err != nil || !more || n < filePage {
			return err
		}
	}
}

// page hands on the records first .. first+filePage-1 and counts them.
func (s *session) page(ctx context.Context, first int64, fields [len(fieldNames)]encoding, each func(schema.Prompt) bool) (n int, more bool, err error) {
	rows, err := s.conn.QueryContext(ctx, "FROM loaded WHERE rowid BETWEEN $1 AND $2 ORDER BY rowid", first, first+filePage-1)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var raw [len(fieldNames)]sql.NullString
		var into [len(fieldNames)]any
		for i := range raw {
			into[i] = &raw[i]
		}
		if err := rows.Scan(into[:]...); err != nil {
			return n, false, err
		}
		p, err := parseRecord(raw, fields)
		if err != nil {
			return n, false, fmt.Errorf("record %d: %w: %w", first+int64(n)+1, ErrRecord, err)
		}
		n++
		if !each(p) {
			return n, false, nil
		}
	}
	return n, true, rows.Err()
}

// literal writes an SQL string.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// quoted writes an SQL name.
func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
