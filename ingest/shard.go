package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// ShardsError is the error for more shards than prompts: some shards would be empty.
type ShardsError struct {
	Shards, Prompts int
}

func (e *ShardsError) Error() string {
	return fmt.Sprintf("%d shards of %d prompts, want at most one for each prompt", e.Shards, e.Prompts)
}

// Unwrap returns [ErrOptions].
func (e *ShardsError) Unwrap() error { return ErrOptions }

// choose sets the range of prompts to write: all of them, or those of the shard.
func (w *writer) choose(source prompted) error {
	shard := w.run.Shard
	if shard.Of > source.total {
		return &ShardsError{shard.Of, source.total}
	}
	first, end := shard.Prompts(source.total)
	w.firstPrompt, w.wanted = first, end-first
	w.firstExample = shard.FirstExample(source.total, w.run.ChoosesEdges())
	for _, n := range source.tokens[first:end] {
		w.allTokens += int64(n)
	}
	return nil
}

// known reports whether the file already holds the requested shard, complete. If it does, the summary
// describes the stored shard. A different shard is an error that lists the differences.
func (w *writer) known(ctx context.Context) (known bool, err error) {
	if w.run.Shard.Whole() {
		return false, nil
	}
	if w.opts.There != nil {
		if there, err := w.opts.There(schema.RunKey(&w.run, 0)); there || err != nil {
			w.summary.Known, w.summary.Prompts = there, w.wanted
			return there, err
		}
	}
	if w.opts.Force {
		return false, nil
	}
	if _, err := os.Stat(w.opts.Path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	file, err := dbfile.OpenData(ctx, w.opts.Path, w.opts.Database)
	if err != nil {
		return false, err
	}
	w.db = file.DB
	defer func() { err = errors.Join(err, w.release()) }()
	if w.conn, err = file.Conn(ctx); err != nil {
		return false, err
	}
	if err := file.Make(ctx, w.conn,
		append([]string{"run", "model", "head", "basis", "mover", "run_component", "component"},
			tableNames[:]...)...); err != nil {
		return false, err
	}
	var runs, complete, id int
	if err := w.scan(ctx, "read the runs of", []any{&runs, &complete, &id},
		"SELECT count(*), count(*) FILTER (status = 'complete'), "+
			"coalesce(min(run_id), 0) FROM run"); err != nil {
		return false, err
	}
	if runs != 1 || complete != 1 {
		return false, &dbfile.Error{Op: "look for the shard in", Path: w.opts.Path, Kind: dbfile.ErrExists,
			Detail: fmt.Sprintf("it has %d runs, of which %d are complete, and a shard has one",
				runs, complete),
			Advice: "choose another name, or replace the file with --force"}
	}
	if err := w.compare(ctx, id); err != nil {
		return false, err
	}
	if err := w.whole(ctx, id); err != nil {
		return false, err
	}
	return true, nil
}

// wholeShard ends a shard after its last batch. err is the result of giving the file its name. If another
// process has created the same shard there in the meantime, that one is used.
func (w *writer) wholeShard(ctx context.Context, err error) error {
	if !errors.Is(err, dbfile.ErrExists) {
		return err
	}
	closure := w.summary.MaxClosure
	w.summary = Summary{Path: w.opts.Path, Notices: w.summary.Notices}
	if _, kerr := w.known(ctx); kerr != nil {
		return errors.Join(err, kerr)
	}
	w.summary.MaxClosure = closure
	return nil
}
