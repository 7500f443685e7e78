package dbfile

import (
	"context"
	"database/sql"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// AttachOther attaches a second file to a connection, read-only, under a random name. It checks the tables
// with [SameTables]. path must be in [Options.Reach] of the connection's database. Call release when the
// database is closed.
func AttachOther(ctx context.Context, conn *sql.Conn, path string) (name string, release func(), err error) {
	name = newSourceName()
	release, err = attachTo(ctx, conn, path, name, func() error { return SameTables(ctx, conn, name) })
	return name, release, err
}

// AttachOld attaches a file of another schema version like [AttachOther], under the given name. columns gives
// the types, by table.column, of the columns that must be stored in the file; the caller must not read
// others.
func AttachOld(ctx context.Context, conn *sql.Conn, path, name string,
	columns map[string]string) (release func(), err error) {
	return attachTo(ctx, conn, path, name, func() error {
		_, found, err := versionIn(ctx, conn, name, FirstVersion)
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(columns)) {
			table, column, _ := strings.Cut(key, ".")
			if err := stored(found, table, column, columns[key]); err != nil {
				return err
			}
		}
		return nil
	})
}

// attachTo attaches a file and calls check.
func attachTo(ctx context.Context, conn *sql.Conn, path, name string,
	check func() error) (release func(), err error) {
	const op = "open"
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(abs); err == nil {
		if err := checkKind(abs, info); err != nil {
			return nil, Fail(op, path, err)
		}
	}
	if err := plainLogs(abs); err != nil {
		return nil, Fail(op, path, err)
	}
	if release, err = reserve(abs, false); err != nil {
		return nil, Fail(op, path, err)
	}
	if err = checkLogs(abs); err == nil {
		if _, err = conn.ExecContext(ctx,
			"ATTACH "+QuoteText(abs)+" AS "+QuoteName(name)+" (TYPE duckdb, READ_ONLY)"); err == nil {
			err = check()
		}
	}
	if err != nil {
		release()
		return nil, Fail(op, path, err)
	}
	return release, nil
}
