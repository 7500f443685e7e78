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

// FirstVersion is the oldest schema version that can be migrated to the present one.
const FirstVersion = 1

// ReadVersion gives the schema version that the file of a [DB] records; a database without one is [ErrNotDucklens].
func ReadVersion(ctx context.Context, q Queryer) (int, error) {
	if err := checkViews(ctx, q, map[string]bool{"meta": true, "run": true}); err != nil { // of any version
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
	if version != schema.Version {
		return version, nil // the tables of other versions are others
	}
	tables, err := tableNames()
	if err != nil {
		return 0, err
	}
	return version, checkViews(ctx, q, tables)
}

// tableNames finds the tables of this version in their definitions.
var tableNames = sync.OnceValues(func() (map[string]bool, error) {
	statements, err := schema.Tables()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, s := range statements {
		if name, ok := strings.CutPrefix(s, "CREATE TABLE "); ok {
			names[strings.ToLower(strings.Fields(name)[0])] = true
		}
	}
	return names, nil
})

// checkViews refuses a file that has a view where this program wants a table: reading it would run whatever the view says, before
// any query is looked at. The functions are qualified, so that no macro of the file can take their place.
func checkViews(ctx context.Context, q Queryer, tables map[string]bool) error {
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

// CheckVersion compares the schema version of a file with that of this program.
func CheckVersion(ctx context.Context, q Queryer, version int) error {
	switch {
	case version < FirstVersion:
		return &Error{Kind: ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, older than %d, which this ducklens reads and writes", version, schema.Version),
			Advice: "make the file again with this ducklens, or read it with the release that made it"}
	case version < schema.Version:
		return &Error{Kind: ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, older than %d, which this ducklens reads and writes", version, schema.Version),
			Advice: "ducklens migrate brings the file to the new version, in place; releases before this one cannot read it then"}
	case version > schema.Version:
		// Whatever a later release has changed, this is worth a try.
		by := ""
		var text sql.NullString
		const last = "SELECT arg_max(ducklens_version, run_id)::VARCHAR FROM " + Catalog + ".main.run"
		if err := q.QueryRowContext(ctx, last).Scan(&text); err == nil && text.Valid {
			by = "; its last run was made by ducklens " + text.String
		}
		return &Error{Kind: ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, newer than %d, which this ducklens reads and writes%s", version, schema.Version, by),
			Advice: fmt.Sprintf("update ducklens to a release with schema version %d", version)}
	}
	return nil
}
