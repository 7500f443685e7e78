package dbfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"ducklens/schema"
)

// tableText is a table as DuckDB tells it.
type tableText struct {
	name, text string // text has the types, conditions and keys
	columns    []columnText
	indexes    int // beside those of keys
}

// columnText is a column; expression is that of a generated one, or its default, or "".
type columnText struct {
	name, kind, expression string
	required               bool // NOT NULL
}

// ownKnown keeps the tables of this program, once they have been made.
var ownKnown atomic.Pointer[[]tableText]

// ownTables describes the tables of this program as DuckDB does. For it, they are made in a database in memory. No file with a view
// that has no columns may be attached to the connection.
func ownTables(ctx context.Context, conn *sql.Conn) (list []tableText, err error) {
	if known := ownKnown.Load(); known != nil {
		return *known, nil
	}
	statements, err := schema.Tables()
	if err != nil {
		return nil, err
	}
	var before string
	if err := conn.QueryRowContext(ctx, "SELECT system.main.current_database()").Scan(&before); err != nil {
		return nil, err
	}
	const name = "ducklens_tables"
	make := []string{"ATTACH ':memory:' AS " + name, "USE " + name + ".main"}
	for _, s := range statements {
		if !strings.HasPrefix(s, "COMMENT ") {
			make = append(make, s)
		}
	}
	if err := runAll(ctx, conn, make); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, runAll(context.WithoutCancel(ctx), conn, []string{"USE " + QuoteName(before) + ".main", "DETACH " + name}))
	}()
	tables, err := tablesOf(ctx, conn, name)
	if err != nil {
		return nil, err
	}
	for _, s := range statements {
		if rest, ok := strings.CutPrefix(s, "CREATE TABLE "); ok {
			list = append(list, tables[strings.Fields(rest)[0]])
		}
	}
	ownKnown.Store(&list)
	return list, nil
}

// tablesOf lists the tables in the schema main of an attached database by their names in lower case. It binds
// views without columns, and nothing else: see [checkBound].
func tablesOf(ctx context.Context, q Queryer, database string) (list map[string]tableText, err error) {
	rows, err := q.QueryContext(ctx, `SELECT t.table_name, t.sql,
		(SELECT count(*) FROM system.main.duckdb_indexes() AS i WHERE i.database_name = t.database_name AND i.table_oid = t.table_oid)::INTEGER,
		c.column_name, c.data_type, coalesce(c.column_default, ''), NOT c.is_nullable
		FROM system.main.duckdb_tables() AS t JOIN system.main.duckdb_columns() AS c ON c.database_name = t.database_name AND c.table_oid = t.table_oid
		WHERE t.database_name = $database AND t.schema_name = 'main' ORDER BY t.table_oid, c.column_index`, sql.Named("database", database))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	list = map[string]tableText{}
	for rows.Next() {
		var t tableText
		var c columnText
		if err := rows.Scan(&t.name, &t.text, &t.indexes, &c.name, &c.kind, &c.expression, &c.required); err != nil {
			return nil, err
		}
		key := strings.ToLower(t.name)
		t.columns = append(list[key].columns, c)
		list[key] = t
	}
	return list, rows.Err()
}

// stored demands that a table has a column whose values are in the file, so that reading it runs nothing;
// kind is its type, or "" for any.
func stored(found map[string]tableText, table, column, kind string) error {
	t, ok := found[table]
	switch {
	case !ok:
		return &Error{Kind: ErrNotDucklens, Detail: "it has no table " + table}
	case t.indexes > 0:
		return &Error{Kind: ErrNotDucklens, Detail: "its table " + table + " has an index, which ducklens makes none of"}
	}
	i := slices.IndexFunc(t.columns, func(c columnText) bool { return strings.EqualFold(c.name, column) })
	switch {
	case i < 0 || t.columns[i].expression != "":
		return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("it has no stored column %s.%s", table, column)}
	case kind != "" && t.columns[i].kind != kind:
		return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its column %s.%s is %s, want %s", table, column, t.columns[i].kind, kind)}
	}
	return nil
}

// checkBound refuses a file with a view that was stored without its columns, as DuckDB stores none: whoever lists the columns of
// the database would run it.
func checkBound(ctx context.Context, q Queryer, database string) error {
	var name sql.NullString
	const find = "SELECT min(view_name) FROM system.main.duckdb_views() WHERE database_name = $database AND NOT coalesce(is_bound, false)"
	if err := q.QueryRowContext(ctx, find, sql.Named("database", database)).Scan(&name); err != nil {
		return err
	}
	if name.Valid {
		return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its view %q has no columns, as DuckDB writes none", name.String)}
	}
	return nil
}

// SameTables demands that an attached database has the schema version and the tables of this program, to the
// letter: no column, type, computed column, condition or key is another, and there is no index beside. After
// it, their stored columns can be read without running anything that the file says. It binds nothing of the
// file.
func SameTables(ctx context.Context, conn *sql.Conn, database string) error {
	own, err := ownTables(ctx, conn)
	if err != nil {
		return err
	}
	_, found, err := versionIn(ctx, conn, database, schema.Version)
	if err != nil {
		return err
	}
	for _, t := range own {
		if text := difference(t, found); text != "" {
			return &Error{Kind: ErrNotDucklens, Detail: text}
		}
	}
	return nil
}

// noShadows refuses a file with a macro that has the name of a function of DuckDB's.
func noShadows(ctx context.Context, q Queryer, database string) error {
	list, err := shadows(ctx, q, database)
	if err != nil || len(list) == 0 {
		return err
	}
	return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its macro %q has the name of a function of DuckDB's", list[0]),
		Advice: "remove it with DuckDB's own shell: DROP MACRO, or DROP MACRO TABLE"}
}

// shadows lists the macros of an attached database that have the name of a function of DuckDB's: in SQL
// without full names they take its place.
func shadows(ctx context.Context, q Queryer, database string) (names []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT m.function_name FROM system.main.duckdb_functions() AS m
		SEMI JOIN (SELECT function_name FROM system.main.duckdb_functions() WHERE internal) AS f ON lower(f.function_name) = lower(m.function_name)
		WHERE m.database_name = $database AND NOT m.internal ORDER BY m.function_name`, sql.Named("database", database))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// difference says in what a table is not ours; "" if it is.
func difference(t tableText, found map[string]tableText) string {
	f, ok := found[t.name]
	switch {
	case !ok:
		return "it has no table " + t.name
	case f.indexes > 0:
		return "its table " + t.name + " has an index, which ducklens makes none of"
	case f.text == t.text:
		return ""
	}
	// The first piece that differs says enough.
	got, want := pieces(f.text), pieces(t.text)
	for i := 0; ; i++ {
		switch {
		case i >= len(got) && i >= len(want):
			return fmt.Sprintf("its table %s is written otherwise", t.name)
		case i >= len(got):
			return fmt.Sprintf("its table %s has no %q", t.name, want[i])
		case i >= len(want):
			return fmt.Sprintf("its table %s has %q, which is none of it", t.name, got[i])
		case got[i] != want[i]:
			return fmt.Sprintf("its table %s has %q, want %q", t.name, got[i], want[i])
		}
	}
}

// pieces cuts the text of a table at the commas between columns and conditions.
func pieces(text string) (list []string) {
	const longest = 200
	text = strings.TrimSuffix(strings.TrimSpace(text), ");")
	depth, start := 0, strings.IndexByte(text, '(')+1
	add := func(s string) {
		if s = strings.TrimSpace(s); len(s) > longest {
			s = s[:longest] + "..."
		}
		list = append(list, s)
	}
	for i := start; i < len(text); i++ {
		switch c := text[i]; {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			add(text[start:i])
			start = i + 1
		}
	}
	add(text[start:])
	return list
}
