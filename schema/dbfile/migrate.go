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

// about is what meta says to a stranger who opens the file.
const about = "Attention scores of transformer heads, split into contributions by model component; made by ducklens. After ATTACH, say USE, so that views and macros find their tables. " +
	"Begin with: SELECT view_name, comment FROM duckdb_views() WHERE NOT internal."

// migrate brings an empty database to the current schema, one transaction per migration.
func migrate(ctx context.Context, db *DB) error {
	list, err := schema.Migrations()
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, m := range list {
		err := db.InTx(ctx, conn, func() error { return apply(ctx, conn, m) })
		if err != nil {
			return fmt.Errorf("migration %s: %w", m.Name, err)
		}
	}
	return nil
}

// apply runs one migration and records its version.
func apply(ctx context.Context, conn *sql.Conn, m schema.Migration) error {
	for _, s := range m.Statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			first, _, _ := strings.Cut(s, "\n")
			return fmt.Errorf("%s: %w", first, err)
		}
	}
	const record = "INSERT OR REPLACE INTO meta (key, value) VALUES ('schema_version', $version), ('created_by', 'ducklens'), ('about', $about)"
	_, err := conn.ExecContext(ctx, record, sql.Named("version", strconv.Itoa(m.Version)), sql.Named("about", about))
	return err
}

// queryer is what reading needs of a pool or a connection.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

var (
	_ queryer = (*sql.DB)(nil)
	_ queryer = (*sql.Conn)(nil)
)

// readVersion gives the schema version that the file records; a database without one is [ErrNotDucklens].
func readVersion(ctx context.Context, q queryer) (int, error) {
	if err := checkViews(ctx, q); err != nil {
		return 0, err
	}
	var columns int
	const find = "SELECT count(*) FROM system.main.duckdb_columns() WHERE database_name = '" + Catalog + "' AND schema_name = 'main'" +
		" AND table_name = 'meta' AND column_name IN ('key', 'value')"
	if err := q.QueryRowContext(ctx, find).Scan(&columns); err != nil {
		return 0, err
	}
	if columns != 2 {
		return 0, &Error{Kind: ErrNotDucklens, Detail: "it has no table meta"}
	}
	var text sql.NullString
	err := q.QueryRowContext(ctx, "SELECT value::VARCHAR FROM "+Catalog+".main.meta WHERE key = 'schema_version'").Scan(&text)
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
	return version, nil
}

// tableNames finds the tables that the migrations make.
var tableNames = sync.OnceValues(func() (map[string]bool, error) {
	migrations, err := schema.Migrations()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, m := range migrations {
		for _, statement := range m.Statements {
			if name, ok := strings.CutPrefix(statement, "CREATE TABLE "); ok {
				names[strings.ToLower(strings.Fields(name)[0])] = true
			}
		}
	}
	return names, nil
})

// checkViews refuses a file that has a view where this program wants a table: reading it would run whatever the view says, before
// any query is looked at. The functions are qualified, so that no macro of the file can take their place.
func checkViews(ctx context.Context, q queryer) error {
	tables, err := tableNames()
	if err != nil {
		return err
	}
	rows, err := q.QueryContext(ctx, "SELECT view_name FROM system.main.duckdb_views() WHERE database_name = '"+Catalog+"' AND schema_name = 'main' ORDER BY view_name")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if tables[strings.ToLower(name)] {
			return &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its %s is a view, want a table", name)}
		}
	}
	return rows.Err()
}

// checkVersion compares the schema version of a file with that of this program.
func checkVersion(ctx context.Context, q queryer, version int) error {
	switch {
	case version < firstVersion:
		return &Error{Kind: ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, older than %d, which this ducklens reads and writes", version, schema.Version),
			hint: "make the file again with this ducklens, or read it with the release that made it"}
	case version < schema.Version:
		return &Error{Kind: ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, older than %d, which this ducklens reads and writes", version, schema.Version),
			hint: "ducklens migrate brings the file to the new version, in place; releases before this one cannot read it then"}
	case version > schema.Version:
		// Whatever a later release has changed, this is worth a try.
		by := ""
		var text sql.NullString
		const last = "SELECT arg_max(ducklens_version, run_id)::VARCHAR FROM " + Catalog + ".main.run"
		if err := q.QueryRowContext(ctx, last).Scan(&text); err == nil && text.Valid {
			by = "; its last run was made by ducklens " + text.String
		}
		return &Error{Kind: ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, newer than %d, which this ducklens reads and writes%s", version, schema.Version, by),
			hint: fmt.Sprintf("update ducklens to a release with schema version %d", version)}
	}
	return nil
}

// firstVersion is the oldest schema version that [Migrate] brings to the present one.
const firstVersion = 1

// Migrate brings a file of an older schema version to that of this program, in place and in one transaction: it is wholly migrated or
// as it was. It gives the version that the file had; a file that has the present one is left alone.
func Migrate(ctx context.Context, path string, opts Options) (from int, err error) {
	const op = "migrate"
	db, err := attachExisting(ctx, op, path, modeWrite, opts)
	if err != nil {
		return 0, err
	}
	done := false
	defer func() {
		if !done {
			err = errors.Join(err, db.Close())
		}
	}()
	if from, err = readVersion(ctx, db.pool); err != nil {
		return 0, fail(op, path, err)
	}
	if from < firstVersion || from >= schema.Version {
		return from, fail(op, path, checkVersion(ctx, db.pool, from))
	}
	if err := db.mend(ctx, opts); err != nil {
		return from, fail(op, path, err)
	}
	if err := upgrade(ctx, db, from); err != nil {
		return from, fail(op, path, err)
	}
	done = true
	return from, db.Finalize(ctx)
}

// upgrade applies the migrations after a version.
func upgrade(ctx context.Context, db *DB, from int) error {
	list, err := schema.Migrations()
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return db.InTx(ctx, conn, func() error {
		for _, m := range list[from:] {
			if err := apply(ctx, conn, m); err != nil {
				return fmt.Errorf("migration %s: %w", m.Name, err)
			}
		}
		return nil
	})
}
