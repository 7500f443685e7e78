package dbfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"ducklens/schema"
)

// FirstVersion is the oldest schema version that can be migrated to the present one.
const FirstVersion = 1

// Version gives the schema version that a file records. One that is neither that of this program nor can be
// migrated to it comes with [ErrSchemaVersion], and a file without one is [ErrNotDucklens].
func Version(ctx context.Context, path string, opts Options) (version int, err error) {
	const op = "open"
	opts.source = newSourceName()
	db, err := attachExisting(ctx, op, path, modeData, opts)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	version, _, err = versionIn(ctx, conn, opts.source, FirstVersion)
	if err != nil {
		return version, Fail(op, path, err)
	}
	return version, nil
}

// versionIn reads the schema version of an attached database, which must be at least oldest, and lists its
// tables. It reads stored columns alone.
func versionIn(ctx context.Context, q Queryer, database string, oldest int) (version int, found map[string]tableText, err error) {
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
	err = q.QueryRowContext(ctx, "SELECT m.value::VARCHAR FROM "+QuoteName(database)+".main.meta AS m WHERE m.key = 'schema_version'").Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, &Error{Kind: ErrNotDucklens, Detail: "its table meta has no schema_version"}
	}
	if err != nil {
		return 0, nil, err
	}
	if version, err = strconv.Atoi(text.String); err != nil || version < 0 {
		return 0, nil, &Error{Kind: ErrNotDucklens, Detail: fmt.Sprintf("its schema_version is %q, want a number", text.String)}
	}
	return version, found, checkVersion(ctx, q, database, found, version, oldest)
}

// checkVersion compares the schema version of a file with that of this program.
func checkVersion(ctx context.Context, q Queryer, database string, found map[string]tableText, version, oldest int) error {
	switch {
	case version < FirstVersion:
		return &Error{Kind: ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, older than %d, which this ducklens reads and writes", version, schema.Version),
			Advice: "make the file again with this ducklens, or read it with the release that made it"}
	case version < oldest:
		return &Error{Kind: ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, older than %d, which this ducklens reads and writes", version, schema.Version),
			Advice: "ducklens migrate brings the file to the new version, in place; releases before this one cannot read it then"}
	case version > schema.Version:
		// Whatever a later release has changed, this is worth a try.
		by := ""
		if stored(found, "run", "run_id", "") == nil && stored(found, "run", "ducklens_version", "VARCHAR") == nil {
			var text sql.NullString
			last := "SELECT r.ducklens_version FROM " + QuoteName(database) + ".main.run AS r ORDER BY r.run_id DESC LIMIT 1"
			if err := q.QueryRowContext(ctx, last).Scan(&text); err == nil && text.Valid {
				by = "; its last run was made by ducklens " + text.String
			}
		}
		return &Error{Kind: ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, newer than %d, which this ducklens reads and writes%s", version, schema.Version, by),
			Advice: fmt.Sprintf("update ducklens to a release with schema version %d", version)}
	}
	return nil
}
