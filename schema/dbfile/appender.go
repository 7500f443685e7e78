package dbfile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/duckdb/duckdb-go/v2"
)

// Value is one value of a row: nil, bool, an integer, float or string type, a slice of those for a list, or time.Time.
type Value = driver.Value

// Appender adds rows to one table, far faster than INSERT does. Rows become visible when it is closed and its
// transaction commits. It belongs to one goroutine.
type Appender struct {
	inner *duckdb.Appender
	db    *DB
	table string
	rows  int64
	err   error
}

// Appender starts appending to a table on conn, which should be inside [DB.InTx]. Close it in any case.
func (db *DB) Appender(conn *sql.Conn, table string) (*Appender, error) {
	var inner *duckdb.Appender
	err := conn.Raw(func(c any) (err error) {
		raw, ok := c.(driver.Conn)
		if !ok {
			return fmt.Errorf("connection is a %T, want a driver.Conn", c)
		}
		inner, err = duckdb.NewAppender(raw, Catalog, "main", table)
		return err
	})
	if err != nil {
		return nil, Wrap("append to "+table+" of", db.path, err)
	}
	return &Appender{inner: inner, db: db, table: table}, nil
}

// AppendRow adds one row: the columns in the order of the table, without generated ones. Enumerations are
// passed as text, NULL as nil, numbers in the exact type of their column (int32 for INTEGER, float32 for FLOAT, []float32 for FLOAT[]). After
// an error the row is missing, so Close reports the error again and the transaction must not commit.
func (a *Appender) AppendRow(values ...Value) error {
	if err := a.inner.AppendRow(values...); err != nil {
		a.err = Wrap("append to "+a.table+" of", a.db.path, err)
		return a.err
	}
	a.rows++
	return nil
}

// Rows counts the rows appended so far.
func (a *Appender) Rows() int64 { return a.rows }

// Close writes the remaining rows. Violated constraints appear here, not at AppendRow.
func (a *Appender) Close() error {
	err := Wrap("append to "+a.table+" of", a.db.path, a.inner.Close())
	return errors.Join(a.err, err)
}

// InTx runs f inside a transaction on conn: it commits when f returns nil and rolls back otherwise, also when f
// panics. f must close the appenders it opened, and return what their Close says.
func (db *DB) InTx(ctx context.Context, conn *sql.Conn, f func() error) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION"); err != nil {
		return Wrap("begin transaction in", db.path, err)
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		// The rollback must happen even when ctx is done.
		if _, rerr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); rerr != nil && err == nil {
			err = Wrap("roll back in", db.path, rerr)
		}
	}()
	if err := f(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit to %s: %w", db.path, err)
	}
	// A statement that failed has ended the transaction, and then COMMIT stores nothing and reports nothing. Any other
	// statement reports it.
	if _, err := conn.ExecContext(ctx, "SELECT 1"); err != nil {
		return Wrap("commit to", db.path, err)
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return Wrap("commit to", db.path, err)
	}
	committed = true
	return nil
}
