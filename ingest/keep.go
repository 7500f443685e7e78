package ingest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"ducklens/schema/dbfile"
)

// ErrKept is wrapped by the error for a saved query whose name is taken by another one in the file.
var ErrKept = errors.New("the file has another saved query of this name")

// Keep stores saved queries in the file at path, all of them or none. It replaces a query of the same name
// only if replace is set.
func Keep(ctx context.Context, path string, list []SavedQuery, replace bool) (err error) {
	db, err := dbfile.OpenWriter(ctx, path, dbfile.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.SQL().BeginTx(ctx, nil)
	if err != nil {
		return dbfile.Wrap("write", path, err)
	}
	defer tx.Rollback() // after a commit it does nothing
	for _, q := range list {
		var there string
		err := tx.QueryRowContext(ctx, "SELECT sql FROM saved_query WHERE name = $1", q.Name).Scan(&there)
		switch {
		case err == nil && there != q.SQL && !replace:
			return fmt.Errorf("%s: %w: %s", path, ErrKept, q.Name)
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return dbfile.Wrap("read", path, err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO saved_query (name, sql) VALUES ($1, $2)",
			q.Name, q.SQL); err != nil {
			return dbfile.Wrap("write", path, err)
		}
	}
	return dbfile.Wrap("write", path, tx.Commit())
}
