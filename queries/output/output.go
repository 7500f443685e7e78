// Package output writes the answer to a query for people and for programs: as an aligned table, Markdown,
// CSV, JSON, Parquet, or a single value.
//
// Tables and Markdown round floats to what a reader compares and show NULL as NULL. CSV, JSON and Parquet
// keep every digit. Texts come from files of strangers: tables and Markdown show control characters as
// escapes, and with [Options].Terminal every format does.
package output

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"ducklens/queries"
)

// Format is a format for results.
type Format uint8

// The formats.
const (
	Table    Format = iota // aligned columns, floats rounded
	CSV                    // RFC 4180 with a header; NULL is an empty field, empty text is ""
	JSON                   // an array with one object for each row
	Parquet                // a Parquet file
	Markdown               // a table in GitHub's Markdown, floats rounded
)

var formats = [...]string{"table", "csv", "json", "parquet", "md"}

// String returns the word of the --format flag.
func (f Format) String() string { return formats[f] }

// ParseFormat is the inverse of [Format.String].
func ParseFormat(s string) (Format, error) {
	for i, w := range formats {
		if w == s {
			return Format(i), nil
		}
	}
	return 0, fmt.Errorf("format %q, want one of %s", s, strings.Join(formats[:], ", "))
}

// Options say where the output goes. The zero value is right for a file or a pipe.
type Options struct {
	Width    int  // of the screen in characters; a wider table is made to fit. 0: no limit
	Terminal bool // escape control characters in every format, and refuse Parquet
}

// Errors that callers look for with errors.Is.
var (
	ErrBinary    = errors.New("parquet is not for a terminal")
	ErrColumns   = errors.New("columns have the same name") // JSON and Parquet need distinct names
	ErrNotScalar = errors.New("not a single value")
)

// Write writes the rows of r to w in format f.
func Write(ctx context.Context, w io.Writer, f Format, r *queries.Result, o Options) error {
	if f == JSON || f == Parquet {
		if err := distinct(r); err != nil {
			return fmt.Errorf("write %s: %w", f, err)
		}
	}
	if f == Parquet && o.Terminal {
		return ErrBinary
	}
	b := bufio.NewWriter(w)
	var err error
	switch f {
	case CSV:
		err = writeCSV(b, r, o)
	case JSON:
		err = writeJSON(b, r, o)
	case Parquet:
		err = writeParquet(ctx, b, r)
	case Markdown:
		err = writeMarkdown(b, r)
	default:
		err = writeTable(b, r, o)
	}
	if err := errors.Join(err, b.Flush()); err != nil {
		return fmt.Errorf("write %s: %w", f, err)
	}
	return nil
}

// distinct checks that no two columns have the same name.
func distinct(r *queries.Result) error {
	seen := map[string]bool{}
	for _, c := range r.Columns {
		name := strings.ToLower(c.Name)
		if seen[name] {
			return fmt.Errorf("%w: %q; give them names with AS", ErrColumns, c.Name)
		}
		seen[name] = true
	}
	return nil
}

// Scalar returns the single value of a result with all its digits: the y column of a scalar query's only row,
// or the only column of the only row of any other query.
func Scalar(q queries.Query, r *queries.Result) (string, error) {
	column := 0
	switch {
	case q.Chart.Mark == queries.Scalar:
		if column = r.Index(q.Chart.Y); column < 0 {
			return "", fmt.Errorf("%w: no column %q among %s", ErrNotScalar, q.Chart.Y,
				strings.Join(r.Names(), ", "))
		}
	case len(r.Columns) != 1:
		return "", fmt.Errorf("%w: %d columns (%s), want one", ErrNotScalar, len(r.Columns),
			strings.Join(r.Names(), ", "))
	}
	if len(r.Rows) != 1 {
		return "", fmt.Errorf("%w: %d rows, want one", ErrNotScalar, len(r.Rows))
	}
	value := r.Rows[0][column]
	if value == nil {
		return "", fmt.Errorf("%w: %s is NULL", ErrNotScalar, r.Columns[column].Name)
	}
	return queries.String(value), nil
}

// text writes a value for a program.
func (o Options) text(v any) string {
	s := queries.String(v)
	if o.Terminal {
		return queries.Printable(s)
	}
	return s
}
