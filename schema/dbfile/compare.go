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

// tableText is a table as DuckDB's catalog describes it.
type tableText struct {
	name, text string // text includes the types, conditions and keys
	columns    []columnText
	indexes    int // without those of keys
}

// columnText is a column. expression is the expression of a generated column, or the default, or "".
type columnText struct {
	name, kind, expression string
	required               bool // NOT NULL
}

// ownKnown caches the result of ownTables.
var ownKnown atomic.Pointer[[]tableText]

// ownTables returns DuckDB's description of the tables of this program. No file with a view that has no
// columns may be attached to the connection.
func ownTables(ctx context.Context, conn *sql.Conn) (list []tableText, err error) {
	if known := ownKnown.Load(); known != nil {
		return *known, nil
	}
	if carried := carriedTables(); carried != nil {
		list = carried.own()
	} else if statements, err := schema.Tables(); err != nil {
		return nil, err
	} else if list, err = askedTables(ctx, conn, statements); err != nil {
		return nil, err
	}
	ownKnown.Store(&list)
	return list, nil
}

// askedTables returns DuckDB's description of the tables that statements create, from an in-memory database.
func askedTables(ctx context.Context, conn *sql.Conn, statements []string) (list []tableText, err error) {
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
		err = errors.Join(err,
			runAll(context.WithoutCancel(ctx), conn,
				[]string{"USE " + QuoteName(before) + ".main", "DETACH " + name}))
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
	return list, nil
}

// tablesOf returns the tables in schema main of an attached database, by name in lower case. It binds views
// without columns and nothing else; see [checkBound].
func tablesOf(ctx context.Context, q Queryer, database string) (list map[string]tableText, err error) {
	list = map[string]tableText{}
	if err := eachRow(ctx, q, `SELECT t.table_name, t.sql, c.column_name, c.data_type, coalesce(c.column_default, ''), NOT c.is_nullable
		FROM system.main.duckdb_tables() AS t JOIN system.main.duckdb_columns() AS c ON c.database_name = t.database_name AND c.table_oid = t.table_oid
		WHERE t.database_name = $database AND t.schema_name = 'main' ORDER BY t.table_oid, c.column_index`, func(rows *sql.Rows) error {
		var t tableText
		var c columnText
		if err := rows.Scan(&t.name, &t.text, &c.name, &c.kind, &c.expression, &c.required); err != nil {
			return err
		}
		key := strings.ToLower(t.name)
		t.columns = append(list[key].columns, c)
		list[key] = t
		return nil
	}, sql.Named("database", database)); err != nil {
		return nil, err
	}
	// To join these as well would take longer than a statement of their own.
	return list, eachRow(ctx, q, `SELECT table_name FROM system.main.duckdb_indexes() WHERE database_name = $database AND schema_name = 'main'`,
		func(rows *sql.Rows) error {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			key := strings.ToLower(name)
			if t, ok := list[key]; ok {
				t.indexes++
				list[key] = t
			}
			return nil
		}, sql.Named("database", database))
}

// stored returns an error unless a table has a column whose values are stored in the file, so that reading it
// runs nothing. kind is its type, or "" for any.
func stored(found map[string]tableText, table, column, kind string) error {
	t, ok := found[table]
	switch {
	case !ok:
		return &Error{Kind: ErrNotDucklens, Detail: "it has no table " + table}
	case t.indexes > 0:
		return &Error{Kind: ErrNotDucklens, Detail: "its table " + table +
			" has an index; those of ducklens have none"}
	}
	i := slices.IndexFunc(t.columns, func(c columnText) bool { return strings.EqualFold(c.name, column) })
	switch {
	case i < 0 || t.columns[i].expression != "":
		return &Error{Kind: ErrNotDucklens,
			Detail: fmt.Sprintf("it has no stored column %s.%s", table, column)}
	case kind != "" && t.columns[i].kind != kind:
		return &Error{Kind: ErrNotDucklens,
			Detail: fmt.Sprintf("its column %s.%s is %s, want %s", table, column, t.columns[i].kind, kind)}
	}
	return nil
}

// checkBound refuses a file with a view that was stored without its columns. DuckDB writes no such view, and
// listing the columns of the database would run it.
func checkBound(ctx context.Context, q Queryer, database string) error {
	var name sql.NullString
	const find = "SELECT min(view_name) FROM system.main.duckdb_views() WHERE database_name = $database " +
		"AND NOT coalesce(is_bound, false)"
	if err := q.QueryRowContext(ctx, find, sql.Named("database", database)).Scan(&name); err != nil {
		return err
	}
	if name.Valid {
		return &Error{Kind: ErrNotDucklens,
			Detail: fmt.Sprintf("its view %q was stored without its columns, which DuckDB never does",
				name.String)}
	}
	return nil
}

// SameTables returns an error unless an attached database has the schema version and exactly the tables of
// this program: the same columns, types, generated columns, conditions and keys, and no further index.
// Reading their stored columns then runs nothing that the file contains. SameTables itself binds nothing of
// the file. Comments are not compared.
func SameTables(ctx context.Context, conn *sql.Conn, database string) error {
	_, found, err := versionIn(ctx, conn, database, schema.Version)
	if err != nil {
		return err
	}
	own, err := ownTables(ctx, conn)
	if err != nil {
		return err
	}
	if isCatalogue(found) {
		return withoutRows()
	}
	for _, t := range own {
		if text := difference(t, found); text != "" {
			return &Error{Kind: ErrNotDucklens, Detail: text}
		}
	}
	return nil
}

// noShadows refuses a file with a macro that has the name of a DuckDB function.
func noShadows(ctx context.Context, q Queryer, database string) error {
	list, err := shadows(ctx, q, database)
	if err != nil || len(list) == 0 {
		return err
	}
	return &Error{Kind: ErrNotDucklens,
		Detail: fmt.Sprintf("its macro %q has the name of a DuckDB function", list[0]),
		Advice: "remove it with DuckDB's own shell: DROP MACRO, or DROP MACRO TABLE"}
}

// shadows lists the macros of an attached database that have the name of a DuckDB function, and would replace
// it in SQL without qualified names.
func shadows(ctx context.Context, q Queryer, database string) (names []string, err error) {
	err = eachRow(ctx, q, `SELECT unnest(list(DISTINCT function_name) FILTER (database_name = $database AND NOT internal)) AS name
		FROM system.main.duckdb_functions() GROUP BY lower(function_name) HAVING bool_or(internal) ORDER BY name`, func(rows *sql.Rows) error {
		names = append(names, "")
		return rows.Scan(&names[len(names)-1])
	}, sql.Named("database", database))
	return names, err
}

// difference describes how a table differs from this program's, or returns "".
func difference(t tableText, found map[string]tableText) string {
	f, ok := found[t.name]
	switch {
	case !ok:
		return "it has no table " + t.name
	case f.indexes > 0:
		return "its table " + t.name + " has an index; those of ducklens have none"
	case f.text == t.text:
		return ""
	}
	// Report only the first piece that differs.
	got, want := pieces(f.text), pieces(t.text)
	for i := 0; ; i++ {
		switch {
		case i >= len(got) && i >= len(want):
			return fmt.Sprintf("its table %s is defined differently", t.name)
		case i >= len(got):
			return fmt.Sprintf("its table %s has no %q", t.name, want[i])
		case i >= len(want):
			return fmt.Sprintf("its table %s has %q, which does not belong to it", t.name, got[i])
		case got[i] != want[i]:
			return fmt.Sprintf("its table %s has %q, want %q", t.name, got[i], want[i])
		}
	}
}

// pieces splits the text of a table at the commas between columns and conditions.
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
