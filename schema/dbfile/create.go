package dbfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ducklens/schema"
	"ducklens/schema/draft"
)

// Create creates a database file with all tables and opens it for writing. Until [DB.Finalize] or
// [DB.Publish] the file is a draft beside its final path. A failure before that leaves nothing behind, and an
// existing file unchanged. If there is a file, Create returns [ErrExists] unless opts.Replace is set.
func Create(ctx context.Context, path string, opts Options) (_ *DB, err error) {
	const op = "create"
	target, err := draft.Resolve(path)
	if err != nil {
		return nil, Wrap(op, path, err)
	}
	if n := len(filepath.Base(target)); n > maxName {
		return nil, Fail(op, path, longName(n))
	}
	if err := CheckTarget(ctx, target, opts.Replace); err != nil {
		return nil, Fail(op, path, err)
	}
	if err := CheckParent(target); err != nil {
		return nil, Fail(op, path, err)
	}
	d, err := draft.New(target)
	if err != nil {
		return nil, Wrap(op, path, err)
	}
	opts.Spill = d.Spill()
	db, err := openDraft(ctx, path, d.Path(), opts)
	if err != nil {
		return nil, errors.Join(Fail(op, path, err), d.Close())
	}
	db.draft, db.pending, db.version = d, true, schema.Version
	return db, nil
}

// CheckParent returns an error unless the parent folder of abs exists.
func CheckParent(abs string) error {
	folder := filepath.Dir(abs)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return &Error{Kind: ErrNotFound, Detail: "folder " + folder + " does not exist",
			Advice: "create it first, or choose another"}
	}
	return nil
}

// openDraft writes an empty database with the current schema to file and opens it.
func openDraft(ctx context.Context, path, file string, opts Options) (*DB, error) {
	if content := emptyFile(); content != nil {
		if err := os.WriteFile(file, content, 0o666); err != nil {
			return nil, err
		}
		return attachAs(ctx, path, file, modeWrite, opts)
	}
	db, err := attachAs(ctx, path, file, modeCreate, opts)
	if err != nil {
		return nil, err
	}
	if err := makeTables(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := db.Finalize(ctx); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	empty.Store(&content)
	return attachAs(ctx, path, file, modeWrite, opts)
}

// Finalize moves everything into the main file, gives a new file its name, and closes it. It fails if a
// write-ahead log remains, so that the one file holds everything.
func (db *DB) Finalize(ctx context.Context) error {
	if err := db.settle(ctx); err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(db.publish(ctx), db.Close())
}

// FinalizeBeside is like [DB.Finalize], but if another program has created a file at the path of the new one
// in the meantime, or changed the file that it replaces, the new file gets the name that beside returns.
// FinalizeBeside returns that name with the error.
func (db *DB) FinalizeBeside(ctx context.Context, beside func() string) (path string, err error) {
	if err := db.settle(ctx); err != nil {
		return "", errors.Join(err, db.Close())
	}
	err = db.publish(ctx)
	if err != nil && db.pending {
		path = beside()
		if rerr := db.rename(path); rerr != nil {
			return "", errors.Join(err, rerr, db.Close())
		}
		if perr := db.publish(ctx); perr != nil {
			return "", errors.Join(err, perr, db.Close())
		}
	}
	return path, errors.Join(err, db.Close())
}

// Publish gives a new file its name with everything committed so far, and keeps it open. All connections must
// have been returned to the pool. After an error only Keep and Close may be called.
func (db *DB) Publish(ctx context.Context) error {
	if err := db.settle(ctx); err != nil {
		return err
	}
	if err := db.publish(ctx); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	opts := db.opts
	opts.Spill = ""
	again, err := attachAs(ctx, db.path, db.draft.Target(), modeWrite, opts)
	if err != nil {
		return err
	}
	db.file, db.lies, db.pool, db.draft, db.opts, db.release, db.closed = again.file, again.lies, again.pool,
		again.draft, again.opts, again.release, false
	return nil
}

// Pending reports whether this is a new file without its final name.
func (db *DB) Pending() bool { return db.pending }

// Keep closes a new file and gives it the name path, which may differ from the one in Create, with everything
// committed so far. If there is no room to settle the file, its log stays beside it.
func (db *DB) Keep(ctx context.Context, path string) error {
	if err := db.rename(path); err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(db.settle(ctx), db.publish(ctx), db.Close())
}

// rename changes the final path of a new file.
func (db *DB) rename(path string) error {
	target, err := draft.Resolve(path)
	if err != nil {
		return Wrap("create", path, err)
	}
	if target != db.draft.Target() {
		db.path, db.opts.Replace = path, false // never replace a file at the other path
		db.draft.Rename(target)
	}
	return nil
}

// settle moves everything into the main file and closes the pool.
func (db *DB) settle(ctx context.Context) error {
	// A connection in use would keep the file open, and its uncommitted rows would be lost.
	if n := db.pool.Stats().InUse; n > 0 {
		return Fail("finalize", db.path, fmt.Errorf("%d of its connections are still in use", n))
	}
	_, err := db.pool.ExecContext(ctx, "CHECKPOINT "+Catalog)
	if err := errors.Join(Wrap("checkpoint", db.path, err),
		Wrap("close", db.path, db.pool.Close())); err != nil {
		return err
	}
	if err := db.stays(); err != nil {
		return err
	}
	if db.HasLog() {
		return Fail("finalize", db.path, fmt.Errorf("a write-ahead log is left beside it: %s.wal", db.file))
	}
	return nil
}

// publish gives the draft its name, unless that has happened.
func (db *DB) publish(ctx context.Context) error {
	if !db.pending {
		return nil
	}
	// Another program may have created or opened such a file in the meantime.
	if err := CheckTarget(ctx, db.draft.Target(), db.opts.Replace); err != nil {
		return Fail("create", db.path, err)
	}
	if err := db.draft.Publish(db.opts.Replace); err != nil {
		return Wrap("create", db.path, err)
	}
	db.pending = false
	return nil
}
