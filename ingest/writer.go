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

// writerMemory is DuckDB's memory limit while a run is written. It fits a few row groups of every table, and
// bounds the blocks that DuckDB keeps after writing them, which nobody reads again. With 128MB a short ingest
// takes 80 MB more and is no faster; with 24MB DuckDB begins to use temporary files.
const writerMemory = "32MB"

// A checkpoint writes the metadata of all row groups anew, so its cost grows with the file. A run that is
// known to be large makes fewer of them, with more memory. 40,000 prompts of the demo's model (830 MB) take
// 65 s of processor time in place of 102, and some 200 MB more.
const (
	largeMemory = "256MB"
	largeLog    = "128MB"
)

// writer owns the database while a run is written. Its methods are called from one goroutine at a time.
type writer struct {
	opts         *Options
	run          schema.Run
	resumed      *resumed // stored part of a resumed run; nil for a new run
	componentIDs []int32  // ids in the file, by index into run.Components
	db           *dbfile.DB
	conn         *sql.Conn
	replaces     bool              // the new file replaces an existing one when it is complete
	rows         [tableCount]int64 // committed
	factors      bool              // the engine computes factors, whether they are stored or not
	means        *engine.PairMeans
	moments      *moments // nil unless the run stores only means
	norms        normsDone
	closure      float64 // largest residual so far, uncommitted rows included
	prompt       stored  // state of the prompt that is being written
	tokens       int64   // in the complete prompts
	firstPrompt  int     // id of the first prompt
	firstExample int     // id of the first example; both are 0 except in a shard
	wanted       int     // number of prompts to write: those of the run, or of the shard
	allTokens    int64   // in the wanted prompts
	summary      Summary
}

func newWriter(opts *Options, run schema.Run) *writer {
	w := &writer{opts: opts, run: run, factors: opts.Engine.Run().Factors,
		means: engine.NewPairMeans(run.BLAS, run.Bases, run.Heads), summary: Summary{Path: opts.Path}}
	if opts.MeansOnly {
		w.moments = newMoments(&w.run, opts.By)
	}
	return w
}

// report calls Options.Progress.
func (w *writer) report() {
	if w.opts.Progress != nil {
		w.opts.Progress(Progress{Prompts: w.summary.Prompts, Total: w.wanted, Examples: w.summary.Examples,
			Rows: w.summary.Rows, Resumable: w.db != nil && !w.db.Pending()})
	}
}

// writeAll writes batches until there are no more parts or one fails.
func (w *writer) writeAll(ctx context.Context, parts <-chan part, log *slog.Logger) error {
	for first := range parts {
		if err := w.write(ctx, first, parts); err != nil {
			return err
		}
		log.Debug("batch written", keyPrompts, w.summary.Prompts, keyExamples, w.summary.Examples, keyRows,
			w.summary.Rows)
		w.report()
	}
	return nil
}

// write commits one batch: part p and the following parts up to the last of the batch. The first batch of a
// new run is committed together with the manifest.
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
	if w.moments != nil && w.summary.Batches%checkpointBatches == 0 {
		if err := w.exec(ctx, "of all rows", "CHECKPOINT "+dbfile.QuoteName(dbfile.Catalog)); err != nil {
			return err
		}
	}
	if first && !w.replaces && w.moments == nil && w.run.Shard.Whole() &&
		w.wanted-w.summary.Prompts >= publishBatches*prompts {
		return w.publish(ctx)
	}
	return nil
}

// checkpointBatches is the number of batches after which a run of means is checkpointed. Its batches fill
// less than a row group of each table, and DuckDB holds them in memory until then.
const checkpointBatches = 40

// publishBatches is the number of batches that must follow the first one for a new file to get its name right
// after it. Shorter runs name the file at the end, because closing and opening it again leaves some 100 free
// blocks, a third of a file of two batches.
const publishBatches = 4

// publish gives a new file its name, so that committed batches can be resumed if the process is killed.
func (w *writer) publish(ctx context.Context) (err error) {
	conn := w.conn
	w.conn = nil
	if err := errors.Join(conn.Close(), w.db.Publish(ctx)); err != nil {
		return err
	}
	w.conn, err = w.db.Conn(ctx)
	return err
}

// open creates or opens the file.
func (w *writer) open(ctx context.Context) (err error) {
	options := w.opts.Database
	options.Replace = w.opts.Force
	if w.opts.Large && options.Memory == "" {
		options.Memory, options.Log = largeMemory, largeLog
	}
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
	if err == nil && !w.run.Shard.Whole() {
		err = w.close(ctx)
	} else if err == nil {
		err = w.closeWhole(ctx)
	} else {
		err = errors.Join(err, w.conn.Close(), w.db.Close())
	}
	if !w.run.Shard.Whole() {
		return w.wholeShard(ctx, err)
	}
	if taken := (*Taken)(nil); errors.As(err, &taken) || errors.Is(err, dbfile.ErrChanged) {
		return err
	}
	if err != nil {
		return w.incomplete(err)
	}
	return nil
}

// closeWhole closes the file of a complete run. If the name of a new file has been taken, the file gets a
// similar name beside it.
func (w *writer) closeWhole(ctx context.Context) error {
	cerr := w.conn.Close()
	beside, err := w.db.FinalizeBeside(ctx, func() string { return unfinishedName(w.opts.Path) })
	if beside != "" {
		err = &Taken{Path: beside, Err: err}
	}
	return errors.Join(cerr, err)
}

// close returns the connection, moves the log into the file and closes the file.
func (w *writer) close(ctx context.Context) error {
	return errors.Join(w.conn.Close(), w.db.Finalize(ctx))
}

func (w *writer) incomplete(cause error) *Incomplete {
	return &Incomplete{Path: w.opts.Path, RunID: w.summary.RunID, Prompts: w.summary.Prompts,
		Total: w.wanted, Err: cause}
}

// abandon cleans up after a failure and returns the error to report. Before the first batch the file is
// unchanged; after it, the file holds an incomplete run. A file that was to be replaced stays, and the new
// one gets a name beside it.
func (w *writer) abandon(cause error) error {
	if w.db == nil {
		return cause
	}
	switch {
	case w.summary.Batches == 0 && w.resumed == nil, !w.run.Shard.Whole():
		return errors.Join(cause, w.release())
	case w.moments != nil:
		return errors.Join(&Lost{w.summary.Prompts, w.run.Prompts, cause}, w.release())
	}
	// Close the file properly even if the failure was a cancelled context.
	ctx := context.Background()
	stopped := w.incomplete(cause)
	switch {
	case errors.Is(cause, dbfile.ErrChanged): // the rows are in no named file, so they cannot be resumed
		return errors.Join(cause, w.release())
	case !w.db.Pending() && w.conn == nil: // the file has its name, but could not be opened again
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

// unfinishedSuffix ends the name of an incomplete file that was to replace another one.
const unfinishedSuffix = ".unfinished"

// unfinishedName returns a name for an incomplete file that was to replace the one at path. An existing file
// of such a name may be all that is left of another run, so it takes the first free name of NAME.unfinished,
// NAME.unfinished-2 and so on whose log names are free too.
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

// appendRows appends the rows of a part and returns the number of rows for each table.
func (w *writer) appendRows(p *part) (n [tableCount]int64, err error) {
	tables := &appenders{w: w}
	for i := range p.results {
		if err = w.appendPrompt(tables, &p.results[i], i == 0 && p.continues); err != nil {
			err = fmt.Errorf("prompt %d: %w", p.results[i].Prompt.PromptIndex+1, err)
			break
		}
	}
	switch {
	case err != nil:
	case w.moments != nil:
		err = w.moments.addAll(p.results)
	default:
		err = w.appendContributions(tables, p.results)
	}
	if err == nil && w.run.Factors {
		err = w.appendFactors(tables, p.results)
	}
	if err == nil {
		err = w.appendKeys(tables, p.results)
	}
	n, cerr := tables.close()
	return n, errors.Join(err, cerr)
}
