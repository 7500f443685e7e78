package dbfile

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
)

// AttachOther attaches a second file to a connection, read-only, and sees that each of the tables named is a table of it: a
// view of a table's name could read anything. Call release when the connection's database is closed.
func AttachOther(ctx context.Context, conn *sql.Conn, path, name string, tables []string) (release func(), err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := plainLog(abs); err != nil {
		return nil, Fail("open", path, err)
	}
	if release, err = reserve(abs, false); err != nil {
		return nil, Fail("open", path, err)
	}
	if _, err = conn.ExecContext(ctx, "ATTACH "+QuoteText(abs)+" AS "+name+" (TYPE duckdb, READ_ONLY)"); err == nil {
		err = CheckTables(ctx, conn, path, name, tables)
	}
	if err != nil {
		release()
		return nil, Wrap("open", path, err)
	}
	return release, nil
}

// CheckTables demands that an attached file has each of the tables named.
func CheckTables(ctx context.Context, conn *sql.Conn, path, name string, tables []string) error {
	rows, err := conn.QueryContext(ctx, "SELECT table_name FROM system.main.duckdb_tables() WHERE database_name = $1 AND schema_name = 'main'", name)
	if err != nil {
		return Wrap("open", path, err)
	}
	defer rows.Close()
	missing := slices.Clone(tables)
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return Wrap("open", path, err)
		}
		missing = slices.DeleteFunc(missing, func(m string) bool { return m == table })
	}
	if err := rows.Err(); err != nil {
		return Wrap("open", path, err)
	}
	if len(missing) > 0 {
		return &Error{Op: "open", Path: path, Kind: ErrNotDucklens, Detail: "it has no table " + strings.Join(missing, ", ")}
	}
	return nil
}

// ReachOnly leaves a session no files but those of one folder, beside the databases that it has attached. No folder: none.
func ReachOnly(ctx context.Context, conn *sql.Conn, folder string) error {
	statements := []string{"SET enable_external_access=false", "SET lock_configuration=true"}
	if folder != "" {
		statements = slices.Insert(statements, 0, "SET allowed_directories=["+QuoteText(folder)+"]")
	}
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
