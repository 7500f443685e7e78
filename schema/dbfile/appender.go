package dbfile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// Value is one value of a row: nil, int32, float32, float64, bool, string, []float32 or []byte.
type Value = driver.Value

// Appender adds rows to one table, much faster than INSERT. Rows become visible when it is closed and its
// transaction commits. It must be used from one goroutine.
//
// A row is either passed whole to [Appender.AppendRow], or put value by value with the Put methods, in the
// order of the columns without generated ones, and ended with [Appender.EndRow]. Both write into DuckDB's
// vectors; the Put methods do not allocate.
type Appender struct {
	handle  mapping.Appender
	chunk   mapping.DataChunk
	types   []mapping.LogicalType
	columns []vectorWriter
	filled  int // rows in the current chunk
	next    int // index of the column of the next value
	db      *DB
	table   string
	rows    int64
	err     error
}

// Appender starts appending to a table on conn, which should be inside [DB.InTx]. Always close it.
func (db *DB) Appender(conn *sql.Conn, table string) (*Appender, error) {
	a := &Appender{db: db, table: table}
	if err := conn.Raw(a.open); err != nil {
		return nil, a.wrap(err)
	}
	return a, nil
}

// open creates the appender on a driver's connection and a chunk for its rows.
func (a *Appender) open(driverConn any) error {
	conn, err := handleOf(driverConn)
	if err != nil {
		return err
	}
	if mapping.AppenderCreateExt(conn, Catalog, "main", a.table, &a.handle) == mapping.StateError {
		return errors.Join(a.fault(), a.destroy())
	}
	for i := range mapping.AppenderColumnCount(a.handle) {
		t := mapping.AppenderColumnType(a.handle, i)
		a.types = append(a.types, t)
		c, err := newVectorWriter(t)
		if err != nil {
			return errors.Join(fmt.Errorf("column %d: %w", i+1, err), a.destroy())
		}
		a.columns = append(a.columns, c)
	}
	a.chunk = mapping.CreateDataChunk(a.types)
	a.aim()
	return nil
}

// aim points the columns at the vectors of the empty chunk.
func (a *Appender) aim() {
	for i := range a.columns {
		a.columns[i].aim(mapping.DataChunkGetVector(a.chunk, mapping.IdxT(i)))
	}
	a.filled = 0
}

// AppendRow adds one row: the columns in the order of the table, without generated ones. Enumerations are
// passed as text, NULL as nil, numbers in the exact type of their column (int32 for INTEGER, float32 for
// FLOAT, []float32 for FLOAT[], []byte for BLOB). After an error the row is missing. Close then returns the
// error again, and the transaction must not commit.
func (a *Appender) AppendRow(values ...Value) error {
	if a.next == 0 && len(values) != len(a.columns) {
		return a.refuse(fmt.Errorf("%d values in a row, want %d", len(values), len(a.columns)))
	}
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			a.PutNull()
		case int32:
			a.PutInt32(v)
		case float32:
			a.PutFloat32(v)
		case float64:
			a.PutFloat64(v)
		case bool:
			a.PutBool(v)
		case string:
			a.PutText(v)
		case []float32:
			a.PutFloats(v)
		case []byte:
			a.PutBytes(v)
		default:
			a.mismatch(kind(fmt.Sprintf("a %T", v)))
		}
	}
	return a.EndRow()
}

// PutInt32 puts integers into the next columns of the row.
func (a *Appender) PutInt32(values ...int32) {
	for _, v := range values {
		if c := a.column(kindInteger); c != nil {
			*at[int32](c, a.filled) = v
		}
	}
}

// PutFloat32 puts numbers into the next FLOAT columns of the row.
func (a *Appender) PutFloat32(values ...float32) {
	for _, v := range values {
		if c := a.column(kindFloat); c != nil {
			*at[float32](c, a.filled) = v
		}
	}
}

// PutNullable puts numbers into the next FLOAT columns of the row, NULL for each NaN.
func (a *Appender) PutNullable(values ...float32) {
	for _, v := range values {
		if math.IsNaN(float64(v)) {
			a.PutNull()
		} else {
			a.PutFloat32(v)
		}
	}
}

// PutFloat64 puts a number into the next DOUBLE column of the row.
func (a *Appender) PutFloat64(v float64) {
	if c := a.column(kindDouble); c != nil {
		*at[float64](c, a.filled) = v
	}
}

// PutBool puts a truth value into the next BOOLEAN column of the row.
func (a *Appender) PutBool(v bool) {
	if c := a.column(kindBool); c != nil {
		*at[bool](c, a.filled) = v
	}
}

// PutText puts text, or the name of an enumeration's value, into the next column of the row.
func (a *Appender) PutText(v string) {
	if a.next < len(a.columns) && a.columns[a.next].kind == kindEnum {
		c := &a.columns[a.next]
		number, ok := c.words[v]
		if !ok {
			a.fail(fmt.Errorf("%q in column %d, want a value of its enumeration", v, a.next+1))
		}
		*at[uint8](c, a.filled) = number
		a.next++
		return
	}
	if c := a.column(kindText); c != nil {
		mapping.VectorAssignStringElement(c.vector, mapping.IdxT(a.filled), v)
	}
}

// PutFloats puts a list into the next FLOAT[] column of the row.
func (a *Appender) PutFloats(list []float32) {
	if c := a.column(kindFloats); c != nil {
		if err := c.putList(a.filled, list); err != nil {
			a.fail(err)
		}
	}
}

// PutBytes puts bytes into the next BLOB column of the row.
func (a *Appender) PutBytes(v []byte) {
	if c := a.column(kindBytes); c != nil {
		mapping.VectorAssignStringElementLen(c.vector, mapping.IdxT(a.filled), v)
	}
}

// PutNull puts NULL into the next column of the row.
func (a *Appender) PutNull() {
	if a.next < len(a.columns) {
		a.columns[a.next].putNull(a.filled)
	}
	a.next++
}

// column returns the column of the next value, or nil if it does not take values of this kind.
func (a *Appender) column(k kind) *vectorWriter {
	if a.next >= len(a.columns) {
		a.next++ // so that EndRow refuses the row
		return nil
	}
	c := &a.columns[a.next]
	if c.kind != k {
		a.mismatch(k)
		return nil
	}
	a.next++
	return c
}

func (a *Appender) mismatch(k kind) {
	if a.next < len(a.columns) {
		a.fail(fmt.Errorf("%s in column %d, want %s", k, a.next+1, a.columns[a.next].kind))
	}
	a.next++
}

// fail records the first fault of a row, for EndRow.
func (a *Appender) fail(err error) {
	if a.err == nil {
		a.err = a.wrap(err)
	}
}

// EndRow ends a row that the Put methods have filled. After an error the row is missing, as after an error of
// AppendRow.
func (a *Appender) EndRow() error {
	values := a.next
	a.next = 0
	if a.err != nil {
		return a.err
	}
	if values != len(a.columns) {
		return a.refuse(fmt.Errorf("%d values in a row, want %d", values, len(a.columns)))
	}
	a.rows++
	if a.filled++; a.filled == chunkRows {
		if err := a.flush(); err != nil {
			return a.refuse(err)
		}
	}
	return nil
}

// refuse drops the current row because of err.
func (a *Appender) refuse(err error) error {
	a.next = 0
	a.fail(err)
	return a.err
}

// flush passes the rows of the chunk to DuckDB.
func (a *Appender) flush() error {
	if a.filled == 0 {
		return nil
	}
	for i := range a.columns {
		if err := a.columns[i].finish(); err != nil {
			return err
		}
	}
	mapping.DataChunkSetSize(a.chunk, mapping.IdxT(a.filled))
	if mapping.AppendDataChunk(a.handle, a.chunk) == mapping.StateError {
		return a.fault()
	}
	mapping.DataChunkReset(a.chunk)
	a.aim()
	return nil
}

// Rows returns the number of rows appended so far.
func (a *Appender) Rows() int64 { return a.rows }

// Close writes the remaining rows. It reports violated constraints, which AppendRow does not see.
func (a *Appender) Close() error {
	if a.handle.Ptr == nil {
		return a.wrap(errors.New("the appender is closed already"))
	}
	err := a.flush()
	if mapping.AppenderFlush(a.handle) == mapping.StateError {
		err = errors.Join(err, a.fault())
		mapping.AppenderClear(a.handle) // otherwise destroying it would try again
	}
	return errors.Join(a.err, a.wrap(errors.Join(err, a.destroy())))
}

// destroy frees DuckDB's memory.
func (a *Appender) destroy() error {
	mapping.DestroyDataChunk(&a.chunk)
	for i := range a.types {
		mapping.DestroyLogicalType(&a.types[i])
	}
	if mapping.AppenderDestroy(&a.handle) == mapping.StateError {
		return errors.New("DuckDB could not close the appender")
	}
	return nil
}

func (a *Appender) wrap(err error) error { return Wrap("append to "+a.table+" of", a.db.path, err) }

// fault returns DuckDB's error of the appender.
func (a *Appender) fault() error { return driverError(mapping.AppenderErrorData(a.handle)) }

// InTx runs f inside a transaction on conn. It commits if f returns nil, and rolls back if f returns an error
// or panics. f must close the appenders that it opens and return the errors of their Close.
func (db *DB) InTx(ctx context.Context, conn *sql.Conn, f func() error) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION"); err != nil {
		return Wrap("begin transaction in", db.path, err)
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		// Roll back even if ctx is done.
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
	if err := db.stays(); err != nil {
		return err
	}
	// A failed statement has ended the transaction. COMMIT then stores nothing and reports nothing, but any
	// other statement reports it.
	if _, err := conn.ExecContext(ctx, "SELECT 1"); err != nil {
		return Wrap("commit to", db.path, err)
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return Wrap("commit to", db.path, err)
	}
	committed = true
	return nil
}
