package dbfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"ducklens/schema"
)

// ownTable is a table of this program.
type ownTable struct {
	name, text string // text is how DuckDB tells the table, with types, conditions and keys
	columns    []ownColumn
}

// ownColumn is a column; expression is that of a generated one, or "".
type ownColumn struct{ name, expression string }

// foundTable is a table of a file.
type foundTable struct {
	name, text string
	indexes    int // beside those of keys
}

// ownKnown keeps the tables of this program, once they have been made.
var ownKnown atomic.Pointer[[]ownTable]

// ownTables describes the tables of this program as DuckDB does. For it, they are made in a database in memory. No file with a view
// that has no columns may be attached to the connection.
func ownTables(ctx context.Context, conn *sql.Conn) (list []ownTable, err error) {
	if known := ownKnown.Load(); known != nil {
		return *known, nil
	}
	statements, err := schema.Tables()
	if err != nil {
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
		err = errors.Join(err, runAll(context.WithoutCancel(ctx), conn, []string{"USE " + Catalog + ".main", "DETACH " + name}))
	}()
	tables, err := tablesOf(ctx, conn, name)
	if err != nil {
		return nil, err
	}
	columns, err := columnsOf(ctx, conn, name)
	if err != nil {
		return nil, err
	}
	for _, s := range statements {
		if rest, ok := strings.CutPrefix(s, "CREATE TABLE "); ok {
			t := tables[strings.Fields(rest)[0]]
			list = append(list, ownTable{name: t.name, text: t.text, columns: columns[t.name]})
		}
	}
	ownKnown.Store(&list)
	return list, nil
}

// tablesOf lists the tables in the schema main of an attached database by their names in lower case. It binds nothing.
func tablesOf(ctx context.Context, q Queryer, database string) (map[string]foundTable, error) {
	rows, err := q.QueryContext(ctx, `SELECT t.table_name, t.sql,
		(SELECT count(*) FROM system.main.duckdb_indexes() AS i WHERE i.database_name = t.database_name AND i.table_oid = t.table_oid)::INTEGER
		FROM system.main.duckdb_tables() AS t WHERE t.database_name = $database AND t.schema_name = 'main'`, sql.Named("database", database))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := map[string]foundTable{}
	for rows.Next() {
		var t foundTable
		if err := rows.Scan(&t.name, &t.text, &t.indexes); err != nil {
			return nil, err
		}
		list[strings.ToLower(t.name)] = t
	}
	return list, rows.Err()
}

// columnsOf lists the columns of tables. It binds views without columns: see [checkBound].
func columnsOf(ctx context.Context, q Queryer, database string) (map[string][]ownColumn, error) {
	rows, err := q.QueryContext(ctx, `SELECT table_name, column_name, coalesce(column_default, '') FROM system.main.duckdb_columns()
		WHERE database_name = $database AND schema_name = 'main' ORDER BY table_oid, column_index`, sql.Named("database", database))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := map[string][]ownColumn{}
	for rows.Next() {
		var table string
		var c ownColumn
		if err := rows.Scan(&table, &c.name, &c.expression); err != nil {
			return nil, err
		}
		list[table] = append(list[table], c)
	}
	return list, rows.Err()
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

// SameTables demands that an attached database has the tables of this program, to the letter: no column, type, computed column,
// condition or key is another, and there is no index beside. After it, their stored columns can be read without running anything that
// the file says. It binds nothing of the file.
func SameTables(ctx context.Context, conn *sql.Conn, database string) error {
	if err := checkBound(ctx, conn, database); err != nil {
		return err
	}
	own, err := ownTables(ctx, conn)
	if err != nil {
		return err
	}
	found, err := tablesOf(ctx, conn, database)
	if err != nil {
		return err
	}
	return sameTables(own, found)
}

func sameTables(own []ownTable, found map[string]foundTable) error {
	for _, t := range own {
		if err := sameTable(t, found); err != nil {
			return err
		}
	}
	return nil
}

func sameTable(t ownTable, found map[string]foundTable) error {
	f, ok := found[t.name]
	switch {
	case !ok:
		return &Error{Kind: ErrNotDucklens, Detail: "it has no table " + t.name}
	case f.indexes > 0:
		return &Error{Kind: ErrNotDucklens, Detail: "its table " + t.name + " has an index, which ducklens makes none of"}
	case f.text == t.text:
		return nil
	}
	// The first piece that differs says enough.
	got, want := pieces(f.text), pieces(t.text)
	for i := 0; ; i++ {
		switch {
		case i >= len(got) && i >= len(want):
			return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its table %s is written otherwise", t.name)}
		case i >= len(got):
			return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its table %s has no %q", t.name, want[i])}
		case i >= len(want):
			return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its table %s has %q, which is none of it", t.name, got[i])}
		case got[i] != want[i]:
			return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its table %s has %q, want %q", t.name, got[i], want[i])}
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

// versionIn reads the schema version of an attached database, of which only the table meta need be as this program makes it, and
// demands that it is that of this program.
func versionIn(ctx context.Context, q Queryer, database string, own []ownTable, found map[string]foundTable) (int, error) {
	meta := slices.IndexFunc(own, func(t ownTable) bool { return t.name == "meta" })
	if err := sameTable(own[meta], found); err != nil {
		return 0, err
	}
	var text sql.NullString
	err := q.QueryRowContext(ctx, "SELECT m.value FROM "+QuoteName(database)+".main.meta AS m WHERE m.key = 'schema_version'").Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, &Error{Kind: ErrNotDucklens, Detail: "its table meta has no schema_version"}
	}
	if err != nil {
		return 0, err
	}
	version, err := strconv.Atoi(text.String)
	if err != nil || version < 0 {
		return 0, &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its schema_version is %q, want a number", text.String)}
	}
	return version, CheckVersion(ctx, q, version)
}
