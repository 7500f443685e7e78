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

// Create makes a new database file with all its tables and opens it for writing. The file is a draft, beside its place,
// until [DB.Finalize] or [DB.Publish]; a failure before leaves nothing behind, and an existing file as it was. That is
// [ErrExists], unless opts.Replace.
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
	opts.spill = d.Spill()
	db, err := openDraft(ctx, path, d.Path(), opts)
	if err != nil {
		return nil, errors.Join(Fail(op, path, err), d.Close())
	}
	db.draft, db.pending, db.version = d, true, schema.Version
	return db, nil
}

// CheckParent demands that there is a folder for a new file or folder at abs.
func CheckParent(abs string) error {
	folder := filepath.Dir(abs)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return &Error{Kind: ErrNotFound, Detail: "there is no folder " + folder, Advice: "make the folder first, or choose another"}
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

// Finalize writes everything to the file proper, gives a new file its name, and closes it. Afterwards the one file is all
// there is: Finalize fails if a write-ahead log stays beside it.
func (db *DB) Finalize(ctx context.Context) error {
	if err := db.settle(ctx); err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(db.publish(ctx), db.Close())
}

// FinalizeBeside is [DB.Finalize], but for a new file whose place another program has taken meanwhile, or changed what
// it was to replace: it gets the name that beside gives, which FinalizeBeside returns with the error.
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

// Publish gives a new file its name with all that was committed, and leaves it open for more. The connections that were
// taken from the pool must have been given back. After an error only Keep and Close are of use.
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
	opts.spill = ""
	again, err := attachAs(ctx, db.path, db.draft.Target(), modeWrite, opts)
	if err != nil {
		return err
	}
	db.file, db.lies, db.pool, db.draft, db.opts, db.release, db.closed = again.file, again.lies, again.pool, again.draft, again.opts, again.release, false
	return nil
}

// Pending tells whether this is a new file that has not got its name.
func (db *DB) Pending() bool { return db.pending }

// Keep closes a new file and gives it a name, of which it need not be the one that it was created for, with all that was
// committed. Where there is no room to settle it, its log stays beside it.
func (db *DB) Keep(ctx context.Context, path string) error {
	if err := db.rename(path); err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(db.settle(ctx), db.publish(ctx), db.Close())
}

// rename aims a new file at another name.
func (db *DB) rename(path string) error {
	target, err := draft.Resolve(path)
	if err != nil {
		return Wrap("create", path, err)
	}
	if target != db.draft.Target() {
		db.path, db.opts.Replace = path, false // what has that name is another's
		db.draft.Rename(target)
	}
	return nil
}

// settle writes everything to the file proper and closes the pool.
func (db *DB) settle(ctx context.Context) error {
	// A connection that somebody still has would keep the file open, and what it did not commit is lost.
	if n := db.pool.Stats().InUse; n > 0 {
		return Fail("finalize", db.path, fmt.Errorf("%d of its connections are still in use", n))
	}
	_, err := db.pool.ExecContext(ctx, "CHECKPOINT "+Catalog)
	if err := errors.Join(Wrap("checkpoint", db.path, err), Wrap("close", db.path, db.pool.Close())); err != nil {
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

// publish gives the draft its name, unless it has it.
func (db *DB) publish(ctx context.Context) error {
	if !db.pending {
		return nil
	}
	// Somebody may have made or opened such a file meanwhile.
	if err := CheckTarget(ctx, db.draft.Target(), db.opts.Replace); err != nil {
		return Fail("create", db.path, err)
	}
	if err := db.draft.Publish(db.opts.Replace); err != nil {
		return Wrap("create", db.path, err)
	}
	db.pending = false
	return nil
}
