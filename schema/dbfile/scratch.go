package dbfile

import (
	"context"
	"database/sql"
	"errors"

	"github.com/duckdb/duckdb-go/v2"
)

// Scratch is an in-memory database with one thread, for conversions that DuckDB does better than we could. It
// can open only the files and folders that it was created for.
type Scratch struct {
	*sql.Conn
	pool *sql.DB
}

// OpenScratch creates an in-memory database. Data beyond the memory limit, such as "256MB", goes to the
// folder spill. reach lists the files and folders that statements may open.
func OpenScratch(ctx context.Context, memory, spill string, reach ...string) (s *Scratch, err error) {
	locked, err := shutIn(spill, reach)
	if err != nil {
		return nil, err
	}
	connector, err := duckdb.NewConnector(dsn(memory, 1), nil)
	if err != nil {
		return nil, err
	}
	s = &Scratch{pool: sql.OpenDB(connector)}
	if s.Conn, err = s.pool.Conn(ctx); err != nil {
		return nil, errors.Join(err, s.pool.Close())
	}
	for _, statement := range append([]string{spillTo(spill)}, locked...) {
		if _, err := s.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Close frees the database.
func (s *Scratch) Close() error { return errors.Join(s.Conn.Close(), s.pool.Close()) }
