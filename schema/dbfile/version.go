package dbfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"ducklens/schema"
)

// FirstVersion is the oldest schema version that can be migrated to the current one.
const FirstVersion = 1

// Version returns the schema version that a file records. It also returns [ErrSchemaVersion] if the version
// is neither the current one nor can be migrated to it, and [ErrNotDucklens] if the file records none.
func Version(ctx context.Context, path string, opts Options) (version int, err error) {
	version, _, err = versionOf(ctx, path, opts)
	return version, err
}

// versionOf returns the schema version of a file and its tables.
func versionOf(ctx context.Context, path string,
	opts Options) (version int, found map[string]tableText, err error) {
	const op = "open"
	opts.source = newSourceName()
	db, err := attachExisting(ctx, op, path, modeData, opts)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if version, found, err = versionIn(ctx, conn, opts.source, FirstVersion); err != nil {
		return version, nil, Fail(op, path, err)
	}
	return version, found, nil
}

// versionIn reads the schema version of an attached database, which must be at least oldest, and lists its
// tables. It reads only stored columns.
func versionIn(ctx context.Context, q Queryer, database string,
	oldest int) (version int, found map[string]tableText, err error) {
	if err := checkBound(ctx, q, database); err != nil {
		return 0, nil, err
	}
	if found, err = tablesOf(ctx, q, database); err != nil {
		return 0, nil, err
	}
	for _, column := range []string{"key", "value"} {
		if err := stored(found, "meta", column, ""); err != nil {
			return 0, nil, err
		}
	}
	var text sql.NullString
	err = q.QueryRowContext(ctx,
		"SELECT m.value::VARCHAR FROM "+QuoteName(database)+".main.meta AS m WHERE m.key = 'schema_version'").
		Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, &Error{Kind: ErrNotDucklens, Detail: "its table meta has no schema_version"}
	}
	if err != nil {
		return 0, nil, err
	}
	if version, err = strconv.Atoi(text.String); err != nil || version < 0 {
		return 0, nil, &Error{Kind: ErrNotDucklens,
			Detail: fmt.Sprintf("its schema_version is %q, want a number", text.String)}
	}
	return version, found, checkVersion(ctx, q, database, found, version, oldest)
}

// checkVersion compares the schema version of a file with the current one.
func checkVersion(ctx context.Context, q Queryer, database string, found map[string]tableText,
	version, oldest int) error {
	switch {
	case version < FirstVersion:
		return &Error{Kind: ErrSchemaVersion,
			Detail: fmt.Sprintf("schema version %d, older than %d, the current version", version,
				schema.Version),
			Advice: "make the file again with this ducklens, or use the release that made it"}
	case version < oldest:
		return &Error{Kind: ErrSchemaVersion,
			Detail: fmt.Sprintf("schema version %d, older than %d, the current version", version,
				schema.Version),
			Advice: "run ducklens migrate to convert the file in place; " +
				"older releases cannot read it afterwards"}
	case version > schema.Version:
		// Name the release if possible, although a later release may have changed the table.
		by := ""
		if stored(found, "run", "run_id", "") == nil &&
			stored(found, "run", "ducklens_version", "VARCHAR") == nil {
			var text sql.NullString
			last := "SELECT r.ducklens_version FROM " + QuoteName(database) +
				".main.run AS r ORDER BY r.run_id DESC LIMIT 1"
			if err := q.QueryRowContext(ctx, last).Scan(&text); err == nil && text.Valid {
				by = "; its last run was made by ducklens " + text.String
			}
		}
		return &Error{Kind: ErrSchemaVersion,
			Detail: fmt.Sprintf("schema version %d, newer than %d, the current version of this ducklens%s",
				version, schema.Version, by),
			Advice: fmt.Sprintf("update ducklens to a release with schema version %d", version)}
	}
	return nil
}
