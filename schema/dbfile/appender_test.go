package dbfile_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/duckdb/duckdb-go/v2"

	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

// count returns the number of rows of a table.
func count(t *testing.T, db *dbfile.DB, table string) (n int) {
	t.Helper()
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// connect takes a connection for the duration of the test.
func connect(t *testing.T, db *dbfile.DB) *sql.Conn {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// appendTo writes rows to a table in a transaction.
func appendTo(ctx context.Context, db *dbfile.DB, conn *sql.Conn, table string, rows ...[]dbfile.Value) error {
	return db.InTx(ctx, conn, func() error {
		a, err := db.Appender(conn, table)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := a.AppendRow(row...); err != nil {
				return errors.Join(err, a.Close())
			}
		}
		if a.Rows() != int64(len(rows)) {
			return errors.Join(errors.New("rows miscounted"), a.Close())
		}
		return a.Close()
	})
}

func TestAppender(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t, verify.Orphan, verify.Incomplete)
	conn := connect(t, db)
	if err := appendTo(t.Context(), db, conn, "saved_query", []dbfile.Value{"a", "b"}, []dbfile.Value{"c", "d"}); err != nil {
		t.Fatal(err)
	}
	// Generated columns are not appended, because they follow from the others.
	row := []dbfile.Value{int32(1), int32(2), int32(3), float32(5), float32(1.5), float32(0.5), float32(0.25), nil, float32(1), float32(1), float32(1), nil, nil, nil, 0.0}
	if err := appendTo(t.Context(), db, conn, "score", row); err != nil {
		t.Fatal(err)
	}
	var diff float64
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT diff FROM score").Scan(&diff); err != nil || diff != 3.5 {
		t.Errorf("diff %v, %v, want 3.5", diff, err)
	}
	if n := count(t, db, "saved_query"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

// TestAppenderRefuses checks that after any fault of a row the transaction stores nothing and the connection
// stays usable.
func TestAppenderRefuses(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	conn := connect(t, db)
	wide := func(change func([]dbfile.Value)) []dbfile.Value {
		row := []dbfile.Value{int32(1), int32(0), int32(0), "key", int32(0), int32(0), int32(1),
			float32(1), float32(1), float32(1), float32(1), nil, nil, nil, nil}
		change(row)
		return row
	}
	zero := float32(0)
	nan := zero / zero
	good := wide(func([]dbfile.Value) {})
	for _, tt := range []struct {
		name, table string
		row         []dbfile.Value
		want        error
		text        string
	}{
		{"no table", "nonsense", nil, dbfile.ErrSQL, "append to nonsense of"},
		{"too few values", "contribution_wide", good[:14], nil, "15"},
		{"unknown word", "contribution_wide", wide(func(r []dbfile.Value) { r[3] = "sideways" }), nil, "sideways"},
		{"wrong type", "contribution_wide", wide(func(r []dbfile.Value) { r[7] = "one" }), nil, "append to contribution_wide of"},
		{"missing value", "contribution_wide", wide(func(r []dbfile.Value) { r[7] = nil }), dbfile.ErrConstraint, "NOT NULL constraint failed: contribution_wide.score_par_par"},
		{"NaN", "contribution_wide", wide(func(r []dbfile.Value) { r[8] = nan }), dbfile.ErrConstraint, "CHECK constraint failed on table contribution_wide"},
		{"NaN baseline", "contribution_wide", wide(func(r []dbfile.Value) { r[11], r[12], r[13], r[14] = nan, zero, zero, zero }), dbfile.ErrConstraint, "CHECK constraint failed on table contribution_wide"},
		{"text that is no UTF-8", "saved_query", []dbfile.Value{"a", "\xff"}, dbfile.ErrConstraint, "NOT NULL constraint failed: saved_query.sql"},
		{"key twice", "meta", []dbfile.Value{"schema_version", "7"}, dbfile.ErrConstraint, "schema_version"},
		{"a view", "example", nil, dbfile.ErrSQL, "append to example of"},
		{"a number for a truth", "prompt", []dbfile.Value{int32(1), int32(0), "k", "", int32(3), int32(1), nil, nil, nil, nil, nil}, nil, "want a bool"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := map[string]int{"contribution_wide": 0, "saved_query": 0, "prompt": 0, "meta": 3}[tt.table]
			rows := [][]dbfile.Value{tt.row}
			if tt.table == "contribution_wide" {
				rows = [][]dbfile.Value{good, tt.row, good}
			}
			err := appendTo(t.Context(), db, conn, tt.table, rows...)
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
			if tt.row != nil {
				if n := count(t, db, tt.table); n != before {
					t.Errorf("%d rows, want %d", n, before)
				}
			}
		})
	}
}

// TestAppenderRemembers checks that a fault that the caller ignores is returned with every later row, and by
// Close.
func TestAppenderRemembers(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	conn := connect(t, db)
	err := db.InTx(t.Context(), conn, func() error {
		a, err := db.Appender(conn, "saved_query")
		if err != nil {
			return err
		}
		if a.AppendRow("only one") == nil {
			t.Error("half a row is accepted")
		}
		if a.AppendRow("x", "y") == nil {
			t.Error("a row after a fault is accepted")
		}
		return a.Close()
	})
	if err == nil || count(t, db, "saved_query") != 0 {
		t.Errorf("error %v, %d rows, want an error and none", err, count(t, db, "saved_query"))
	}
}

func TestInTx(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	conn := connect(t, db)
	insert := func(name string) error {
		_, err := conn.ExecContext(context.Background(), "INSERT INTO saved_query VALUES (?, '')", name)
		return err
	}
	stop := errors.New("stop")
	if err := db.InTx(t.Context(), conn, func() error { return errors.Join(insert("a"), stop) }); !errors.Is(err, stop) {
		t.Errorf("error %v, want stop", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := db.InTx(ctx, conn, func() error { cancel(); return insert("b") }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if err := db.InTx(ctx, conn, func() error { return insert("c") }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	func() {
		defer func() {
			if r := recover(); r != "boom" {
				t.Errorf("panic %v, want boom", r)
			}
		}()
		_ = db.InTx(t.Context(), conn, func() error { _ = insert("d"); panic("boom") })
	}()
	// DuckDB aborts a transaction at the first violated constraint.
	if err := db.InTx(t.Context(), conn, func() error { return errors.Join(insert("e"), insert("e")) }); !errors.Is(dbfile.Wrap("x", "y", err), dbfile.ErrConstraint) {
		t.Errorf("error %v, want ErrConstraint", err)
	}
	if err := db.InTx(t.Context(), conn, func() error { _ = insert("e"); _ = insert("e"); return nil }); err == nil {
		t.Error("a transaction with an error that f hides commits")
	}
	if err := db.InTx(t.Context(), conn, func() error {
		return db.InTx(t.Context(), conn, func() error { return nil })
	}); err == nil || !strings.Contains(err.Error(), "begin transaction in") {
		t.Errorf("a transaction inside another: error %v", err)
	}
	if n := count(t, db, "saved_query"); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
	if err := db.InTx(t.Context(), conn, func() error { return insert("f") }); err != nil {
		t.Error(err)
	}
	if n := count(t, db, "saved_query"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// BenchmarkAppender writes wide contribution rows, in transactions of 64 examples of one head and 20 pairs of
// bases: with our appender value by value, like ingest, and row by row, and with the driver's.
func BenchmarkAppender(b *testing.B) {
	const examples, rows = 64, 64 * 20 * 2 * 143
	type add func(example, i int32, x float32) error
	byRow := func(appendRow func(...driver.Value) error) add {
		return func(example, i int32, x float32) error {
			return appendRow(int32(1), example, int32(127), "key", i%143, i/143%4, i/143/4%5, x, x+1, x+2, x+3, x-1, x-2, x-3, x-4)
		}
	}
	for _, way := range []struct {
		name string
		open func(*dbfile.DB, *sql.Conn) (add, io.Closer, error)
	}{
		{"values", func(db *dbfile.DB, conn *sql.Conn) (add, io.Closer, error) {
			a, err := db.Appender(conn, "contribution_wide")
			return func(example, i int32, x float32) error {
				a.PutInt32(1, example, 127)
				a.PutText("key")
				a.PutInt32(i%143, i/143%4, i/143/4%5)
				a.PutFloat32(x, x+1, x+2, x+3, x-1, x-2, x-3, x-4)
				return a.EndRow()
			}, a, err
		}},
		{"rows", func(db *dbfile.DB, conn *sql.Conn) (add, io.Closer, error) {
			a, err := db.Appender(conn, "contribution_wide")
			return byRow(a.AppendRow), a, err
		}},
		{"driver", func(_ *dbfile.DB, conn *sql.Conn) (add, io.Closer, error) {
			var a *duckdb.Appender
			err := conn.Raw(func(c any) (err error) {
				a, err = duckdb.NewAppender(c.(driver.Conn), dbfile.Catalog, "main", "contribution_wide")
				return err
			})
			return byRow(a.AppendRow), a, err
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			db := schematest.NewDB(b, verify.Orphan, verify.Incomplete)
			conn, err := db.Conn(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			first := int32(0)
			for b.Loop() {
				err := db.InTx(b.Context(), conn, func() error {
					add, closer, err := way.open(db, conn)
					if err != nil {
						return err
					}
					for i := range int32(rows) {
						if err := add(first+i/(40*143), i, float32(i%977)/31); err != nil {
							return errors.Join(err, closer.Close())
						}
					}
					return closer.Close()
				})
				if err != nil {
					b.Fatal(err)
				}
				first += examples
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// TestPut puts rows value by value over several chunks and reads them back, including NULLs, lists and text.
func TestPut(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t, verify.Orphan, verify.Incomplete)
	conn := connect(t, db)
	const rows = 5000
	list := func(i int) []float32 { // of different lengths, so that their places vary
		l := make([]float32, i%7*40)
		for j := range l {
			l[j] = float32(i + j)
		}
		return l
	}
	err := db.InTx(t.Context(), conn, func() error {
		a, err := db.Appender(conn, "key_factor")
		if err != nil {
			return err
		}
		for i := range rows {
			a.PutInt32(1, int32(i), 2, 3)
			a.PutFloats(list(i))
			if i%3 == 0 {
				a.PutNull()
			} else {
				a.PutFloats(list(i + 1))
			}
			if err := a.EndRow(); err != nil {
				return errors.Join(err, a.Close())
			}
		}
		return a.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	var wrong, n, nulls int
	const want = "list_transform(range(((example_id + %d) %% 7) * 40), lambda j: (example_id + %d + j)::FLOAT)"
	var parts []string
	for k, column := range []string{"vector", "baseline"} {
		differs := column + " <> " + fmt.Sprintf(want, k, k)
		if k == 1 {
			differs = "CASE WHEN example_id % 3 = 0 THEN " + column + " IS NOT NULL ELSE " + column + " IS NULL OR " + differs + " END"
		}
		parts = append(parts, differs)
	}
	q := "SELECT count(*) FILTER (" + strings.Join(parts, " OR ") + "), count(*), count(*) FILTER (baseline IS NULL) FROM key_factor"
	if err := db.SQL().QueryRowContext(t.Context(), q).Scan(&wrong, &n, &nulls); err != nil || wrong != 0 || n != rows || nulls != (rows+2)/3 {
		t.Errorf("%d of %d rows wrong, %d with NULL, %v; want 0 of %d, %d", wrong, n, nulls, err, rows, (rows+2)/3)
	}
}
