package dbfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"ducklens/schema"
)

// about is the text in table meta for people who find the file.
const about = "Attention scores of transformer heads, split into contributions by model component; " +
	"made by ducklens. After ATTACH, say USE, so that views and macros find their tables. " +
	"Begin with: SELECT view_name, comment FROM duckdb_views() WHERE NOT internal."

// makeTables creates types, tables, views and macros in an empty database, in one transaction.
func makeTables(ctx context.Context, db *DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return db.InTx(ctx, conn, func() error {
		tables, err := schema.Tables()
		if err != nil {
			return err
		}
		if err := runAll(ctx, conn, tables); err != nil {
			return err
		}
		if err := MakeViews(ctx, conn); err != nil {
			return err
		}
		const record = "INSERT INTO meta (key, value) " +
			"VALUES ('schema_version', $version), ('created_by', 'ducklens'), ('about', $about)"
		_, err = conn.ExecContext(ctx, record, sql.Named("version", strconv.Itoa(schema.Version)),
			sql.Named("about", about))
		return err
	})
}

// MakeViews creates the views and macros of this program, with their comments, in the connection's current
// database and schema, which must have none of them.
func MakeViews(ctx context.Context, conn *sql.Conn) error {
	views, err := schema.Views()
	if err != nil {
		return err
	}
	if err := runAll(ctx, conn, views); err != nil {
		return err
	}
	comments, err := viewComments(ctx, conn, func(string) bool { return false })
	if err != nil {
		return err
	}
	return runAll(ctx, conn, comments)
}

// viewComments returns the statements that comment on the columns of all views, except those for which but
// returns true.
func viewComments(ctx context.Context, conn *sql.Conn,
	but func(view string) bool) (list []string, err error) {
	meaning, err := schema.ViewComments()
	if err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, `SELECT v.view_name, c.column_name FROM system.main.duckdb_views() AS v
		JOIN system.main.duckdb_columns() AS c ON c.database_name = v.database_name AND c.schema_name = v.schema_name AND c.table_name = v.view_name
		WHERE v.database_name = current_database() AND v.schema_name = current_schema() AND NOT v.internal ORDER BY v.view_oid, c.column_index`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var view, column string
		if err := rows.Scan(&view, &column); err != nil {
			return nil, err
		}
		if but(view) {
			continue
		}
		words := meaning[view+"."+column]
		if words == "" {
			words = meaning[column]
		}
		if words == "" {
			return nil, fmt.Errorf("columns.txt does not say what column %s of view %s is", column, view)
		}
		list = append(list,
			"COMMENT ON COLUMN "+QuoteName(view)+"."+QuoteName(column)+" IS "+QuoteText(words))
	}
	return list, rows.Err()
}

// runAll runs statements one after the other.
func runAll(ctx context.Context, conn *sql.Conn, statements []string) error {
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			first, _, _ := strings.Cut(s, "\n")
			return fmt.Errorf("%s: %w", first, err)
		}
	}
	return nil
}

// Queryer is the part of a pool or a connection that reading needs.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

var (
	_ Queryer = (*sql.DB)(nil)
	_ Queryer = (*sql.Conn)(nil)
)

// Table describes a stored table.
type Table struct {
	Name, Comment string
	Keyed         bool     // has a primary key
	Columns       []Column // without generated ones
	Generated     []Column
}

// Column describes a column of a table.
type Column struct {
	Name, Type, Comment string
	Required            bool   // NOT NULL
	Expression          string // of a generated column, in DuckDB's syntax
}

// ByRun reports whether the rows of the table belong to runs.
func (t *Table) ByRun() bool { return t.Column("run_id") >= 0 }

// Column returns the index of a column, or -1.
func (t *Table) Column(name string) int {
	for i, c := range t.Columns {
		if c.Name == name {
			return i
		}
	}
	return -1
}

// Tables describes the tables of a file of this version. The description is the program's own and is cached.
// A file's own description is not trusted.
func Tables() ([]Table, error) { return freshTables() }

var freshTables = sync.OnceValues(func() (list []Table, err error) {
	if carried := carriedTables(); carried != nil {
		return carried.Tables, nil
	}
	ctx := context.Background() // the result is cached, so it must not depend on one caller's context
	statements, err := schema.Tables()
	if err != nil {
		return nil, err
	}
	return describeIn(ctx, statements, func(db *DB) ([]Table, error) { return readTables(ctx, db.pool) })
})

// describeIn runs statements in an in-memory database, and calls describe with it.
func describeIn[T any](ctx context.Context, statements []string, describe func(*DB) (T, error)) (result T, err error) {
	db := &DB{path: ":memory:", release: func() {}}
	db.entered.Store(true)
	if db.pool, err = db.connect(ctx, ":memory:", modeWrite, Options{}); err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return result, err
	}
	err = db.InTx(ctx, conn, func() error { return runAll(ctx, conn, statements) })
	if err = errors.Join(err, conn.Close()); err != nil {
		return result, err
	}
	return describe(db)
}

// readTables describes the tables of a database that this program has created.
func readTables(ctx context.Context, q Queryer) (list []Table, err error) {
	// The catalog lists the expression of a generated column as its default.
	rows, err := q.QueryContext(ctx, `SELECT t.table_name, coalesce(t.comment, ''), t.has_primary_key, c.column_name, c.data_type, coalesce(c.comment, ''), NOT c.is_nullable, coalesce(c.column_default, '')
		FROM system.main.duckdb_columns() AS c JOIN system.main.duckdb_tables() AS t USING (database_name, schema_name, table_oid)
		WHERE database_name = '`+Catalog+`' AND schema_name = 'main' ORDER BY table_oid, c.column_index`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t Table
		var c Column
		if err := rows.Scan(&t.Name, &t.Comment, &t.Keyed, &c.Name, &c.Type, &c.Comment, &c.Required,
			&c.Expression); err != nil {
			return nil, err
		}
		if n := len(list); n == 0 || list[n-1].Name != t.Name {
			list = append(list, t)
		}
		last := &list[len(list)-1]
		if c.Expression == "" {
			last.Columns = append(last.Columns, c)
		} else {
			last.Generated = append(last.Generated, c)
		}
	}
	return list, rows.Err()
}
