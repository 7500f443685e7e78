package output

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"ducklens/queries"
	"ducklens/schema/dbfile"
)

// writeParquet writes a Parquet file with a private DuckDB in memory, because the session that ran the query
// cannot write files.
func writeParquet(ctx context.Context, b *bufio.Writer, r *queries.Result) (err error) {
	dir, err := os.MkdirTemp("", "ducklens-parquet-")
	if err != nil {
		return fmt.Errorf("no temporary folder can be made in %s, which TMPDIR names: %w", os.TempDir(), err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "result.parquet")
	if err := copyToParquet(ctx, file, r); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(b, f)
	return err
}

func copyToParquet(ctx context.Context, file string, r *queries.Result) (err error) {
	dir := filepath.Dir(file)
	db, err := dbfile.OpenScratch(ctx, dbfile.DefaultMemory, dir, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	staging, final := make([]string, len(r.Columns)), make([]string, len(r.Columns))
	types := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		var cast string
		types[i], cast = parquetType(r, i)
		staging[i] = fmt.Sprintf("c%d %s", i, types[i])
		final[i] = fmt.Sprintf("CAST(c%d AS %s) AS %s", i, cast, dbfile.QuoteName(c.Name))
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE result ("+strings.Join(staging, ", ")+")"); err != nil {
		return err
	}
	if err := fill(db.Conn, r, types); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "COPY (SELECT "+strings.Join(final, ", ")+" FROM result ORDER BY rowid) TO "+
		dbfile.QuoteText(file)+" (FORMAT parquet)")
	return err
}

// parquetType returns the type in which a column is loaded and the type in which it is written.
func parquetType(r *queries.Result, column int) (staging, final string) {
	c := r.Columns[column]
	switch c.Type {
	case queries.Bool:
		return "BOOLEAN", "BOOLEAN"
	case queries.Float:
		return c.DBType, c.DBType
	case queries.Time:
		return "TIMESTAMP", "TIMESTAMP"
	case queries.Exact:
		return "VARCHAR", c.DBType
	case queries.Integer:
		for _, row := range r.Rows {
			if _, ok := row[column].(*big.Int); ok {
				return "VARCHAR", "VARCHAR" // Parquet has no 128-bit integer
			}
		}
		return "BIGINT", "BIGINT"
	}
	switch c.DBType {
	case "DATE", "TIME", "UUID":
		return "VARCHAR", c.DBType
	}
	return "VARCHAR", "VARCHAR"
}

// fill appends the rows to the staging table.
func fill(conn *sql.Conn, r *queries.Result, types []string) error {
	return conn.Raw(func(c any) (err error) {
		raw, ok := c.(driver.Conn)
		if !ok {
			return fmt.Errorf("connection of type %T, want a driver.Conn", c)
		}
		appender, err := duckdb.NewAppender(raw, "", "", "result")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, appender.Close()) }()
		values := make([]driver.Value, len(r.Columns))
		for _, row := range r.Rows {
			for i, v := range row {
				if _, isTime := v.(time.Time); v != nil && types[i] == "VARCHAR" ||
					isTime && types[i] != "TIMESTAMP" {
					v = queries.String(v)
				}
				values[i] = v
			}
			if err := appender.AppendRow(values...); err != nil {
				return err
			}
		}
		return nil
	})
}
