package ingest

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"ducklens/engine"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/draft"
)

// writerMemory is DuckDB's memory limit while a run is written. It holds a few row groups of every table, and bounds the blocks that
// DuckDB keeps after writing them, which nobody reads. With 128MB an ingest takes 80 MB more and no less time; with 24MB DuckDB begins to use temporary files.
const writerMemory = "32MB"

// writer owns the database while a run is written. Its methods are called from one goroutine at a time.
type writer struct {
	opts         *Options
	run          schema.Run
	resumed      *resumed // what the file has of the run already; nil for a new run
	componentIDs []int32  // numbers in the file, by index into run.Components
	db           *dbfile.DB
	conn         *sql.Conn
	replaces     bool              // there is a file that the new one replaces, once it is complete
	rows         [tableCount]int64 // committed
	means        *engine.PairMeans
	norms        normsDone
	closure      float64 // largest residual so far, of rows that are not committed too
	prompt       stored  // of the prompt that is being written
	tokens       int64   // of the prompts that are complete
	allTokens    int64   // of those of the run
	summary      Summary
}

func newWriter(opts *Options, run schema.Run) *writer {
	return &writer{opts: opts, run: run, means: engine.NewPairMeans(run.BLAS, run.Bases, run.Heads), summary: Summary{Path: opts.Path}}
}

// report tells the caller how far the run is.
func (w *writer) report() {
	if w.opts.Progress != nil {
		w.opts.Progress(Progress{Prompts: w.summary.Prompts, Total: w.run.Prompts, Examples: w.summary.Examples, Rows: w.summary.Rows,
			Resumable: w.db != nil && !w.db.Pending()})
	}
}

// writeAll writes batches until there are no more parts, or one fails.
func (w *writer) writeAll(ctx context.Context, parts <-chan part, log *slog.Logger) error {
	for first := range parts {
		if err := w.write(ctx, first, parts); err != nil {
			return err
		}
		log.Debug("batch written", keyPrompts, w.summary.Prompts, keyExamples, w.summary.Examples, keyRows, w.summary.Rows)
		w.report()
	}
	return nil
}

// write commits one batch, whose other parts come after the first, until there are no more. The first batch of a new run is
// committed together with the manifest.
func (w *writer) write(ctx context.Context, p part, more <-chan part) error {
	first := w.db == nil
	if first {
		if err := w.open(ctx); err != nil {
			return err
		}
	}
	var appended [tableCount]int64
	prompts, examples := 0, 0
	err := w.db.InTx(ctx, w.conn, func() error {
		if first {
			if err := w.manifest(ctx); err != nil {
				return err
			}
		}
		open := false
		for there := true; there; p, there = <-more {
			rows, err := w.appendRows(&p)
			if err != nil {
				return err
			}
			for i, n := range rows {
				appended[i] += n
			}
			prompts += p.prompts()
			for i := range p.results {
				examples += len(p.results[i].Examples)
			}
			for i := range p.results[:p.prompts()] {
				w.tokens += int64(len(p.results[i].Prompt.Tokens))
			}
			if err := w.tooLarge(appended, prompts, p.open); err != nil {
				return err
			}
			if open = p.open; p.last {
				break
			}
		}
		if open {
			return errOpen
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, n := range appended {
		w.rows[i] += n
		w.summary.Rows += n
	}
	w.summary.Batches++
	w.summary.Prompts += prompts
	w.summary.Examples += examples
	w.summary.MaxClosure = w.closure
	if first && !w.replaces && w.run.Prompts-w.summary.Prompts >= publishBatches*prompts {
		return w.publish(ctx)
	}
	return nil
}

// publishBatches is how many batches must be to come for a new file to get its name with the first. Otherwise it gets it at
// the end: what is closed and opened again leaves some 100 free blocks, a third of a file of two batches.
const publishBatches = 4

// publish gives a new file its name, so that what is committed can be resumed after a kill.
func (w *writer) publish(ctx context.Context) (err error) {
	conn := w.conn
	w.conn = nil
	if err := errors.Join(conn.Close(), w.db.Publish(ctx)); err != nil {
		return err
	}
	w.conn, err = w.db.Conn(ctx)
	return err
}

// open makes or opens the file.
func (w *writer) open(ctx context.Context) (err error) {
	options := w.opts.Database
	options.Replace = w.opts.Force
	options.Memory = cmp.Or(options.Memory, writerMemory)
	if w.opts.Append {
		w.db, err = dbfile.OpenWriter(ctx, w.opts.Path, options)
	} else {
		_, serr := os.Stat(w.opts.Path)
		w.replaces = serr == nil
		w.db, err = dbfile.Create(ctx, w.opts.Path, options)
	}
	if err != nil {
		w.db = nil
		return err
	}
	w.conn, err = w.db.Conn(ctx)
	return err
}

// finish counts the rows, marks the run complete and closes the file.
func (w *writer) finish(ctx context.Context) error {
	err := w.db.InTx(ctx, w.conn, func() error { return w.complete(ctx) })
	if err == nil {
		err = w.closeWhole(ctx)
	} else {
		err = errors.Join(err, w.conn.Close(), w.db.Close())
	}
	if taken := (*Taken)(nil); errors.As(err, &taken) || errors.Is(err, dbfile.ErrChanged) {
		return err
	}
	if err != nil {
		return w.incomplete(err)
	}
	return nil
}

// closeWhole is close for a run that is complete. A new file whose place was taken gets a name beside it.
func (w *writer) closeWhole(ctx context.Context) error {
	cerr := w.conn.Close()
	beside, err := w.db.FinalizeBeside(ctx, func() string { return unfinishedName(w.opts.Path) })
	if beside != "" {
		err = &Taken{Path: beside, Err: err}
	}
	return errors.Join(cerr, err)
}

// close gives the connection back, moves everything from the log to the file and closes it.
func (w *writer) close(ctx context.Context) error {
	return errors.Join(w.conn.Close(), w.db.Finalize(ctx))
}

func (w *writer) incomplete(cause error) *Incomplete {
	return &Incomplete{Path: w.opts.Path, RunID: w.summary.RunID, Prompts: w.summary.Prompts, Total: w.run.Prompts, Err: cause}
}

// abandon cleans up after a failure, and gives the error to return: before the first batch nothing has happened to the
// file, after it the file holds an incomplete run. A file that was to be replaced stays, and the new one gets a name beside it.
func (w *writer) abandon(cause error) error {
	if w.db == nil {
		return cause
	}
	if w.summary.Batches == 0 && w.resumed == nil {
		return errors.Join(cause, w.release())
	}
	// The file must be closed well even if the failure was a cancelled context.
	ctx := context.Background()
	stopped := w.incomplete(cause)
	switch {
	case errors.Is(cause, dbfile.ErrChanged): // what was written has no name to be resumed under
		return errors.Join(cause, w.release())
	case !w.db.Pending() && w.conn == nil: // it has its name, and could not be opened for more
		return errors.Join(stopped, w.db.Close())
	case !w.db.Pending():
		return errors.Join(stopped, w.close(ctx))
	}
	if w.replaces {
		stopped.Path, stopped.Kept = unfinishedName(w.opts.Path), w.opts.Path
	}
	var err error
	if w.conn != nil {
		err = w.conn.Close()
	}
	return errors.Join(stopped, err, w.db.Keep(ctx, stopped.Path))
}

// unfinishedSuffix ends the name of a file that was to replace another and is not complete.
const unfinishedSuffix = ".unfinished"

// unfinishedName is a name for a file that was to replace the one at path. What has such a name may be all that is left of another
// run: the first of NAME.unfinished, NAME.unfinished-2 and so on is taken that is free, as are the names of its logs.
func unfinishedName(path string) string {
	name := path + unfinishedSuffix
	for n := 2; ; n++ {
		free := true
		for _, ending := range append(draft.Logs(), "") {
			_, err := os.Lstat(name + ending)
			free = free && err != nil
		}
		if free {
			return name
		}
		name = fmt.Sprintf("%s%s-%d", path, unfinishedSuffix, n)
	}
}

// appendRows appends the rows of a part and says how many went to each table.
func (w *writer) appendRows(p *part) (n [tableCount]int64, err error) {
	tables := &appenders{w: w}
	for i := range p.results {
		if err = w.appendPrompt(tables, &p.results[i], i == 0 && p.continues); err != nil {
			err = fmt.Errorf("prompt %d: %w", p.results[i].Prompt.PromptIndex+1, err)
			break
		}
	}
	if err == nil {
		err = w.appendContributions(tables, p.results)
	}
	if err == nil {
		err = w.appendKeys(tables, p.results)
	}
	n, cerr := tables.close()
	return n, errors.Join(err, cerr)
}
