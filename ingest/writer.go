package ingest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// componentsPerModel is the number of component ids that a model has to itself: component_id is
// model_id * componentsPerModel + the component's index in [schema.Components].
const componentsPerModel = 10_000

// tables that a run appends to, in the order of writing.
const (
	tableExample = iota
	tableToken
	tableScore
	tableAttention
	tableContribution
	tableCount
)

var tableNames = [tableCount]string{"example", "token", "score", "attention", "contribution_wide"}

// writer owns the database while a run is written. Its methods are called from one goroutine at a time.
type writer struct {
	opts    *Options
	total   int // examples of the run
	nHeads  int // of a layer, for head ids
	db      *dbfile.DB
	conn    *sql.Conn
	old     *kept             // the file that is replaced, until the first commit
	rows    [tableCount]int64 // committed
	summary Summary
}

func newWriter(opts *Options, total int) *writer {
	return &writer{opts: opts, total: total, nHeads: opts.Engine.Model().NHeads, summary: Summary{Path: opts.Path}}
}

// report tells the caller how far the run is.
func (w *writer) report() {
	if w.opts.Progress != nil {
		w.opts.Progress(Progress{Examples: w.summary.Examples, Total: w.total, Rows: w.summary.Rows})
	}
}

// writeAll writes batches until there are no more, or one fails.
func (w *writer) writeAll(ctx context.Context, batches <-chan batch, log *slog.Logger) error {
	for b := range batches {
		if err := w.write(ctx, b); err != nil {
			return err
		}
		log.Debug("batch written", keyExamples, w.summary.Examples, keyRows, w.summary.Rows)
		w.report()
	}
	return nil
}

// write commits one batch, the first together with the manifest.
func (w *writer) write(ctx context.Context, b batch) error {
	first := w.db == nil
	if first {
		if err := w.open(ctx); err != nil {
			return err
		}
	}
	var appended [tableCount]int64
	closure := w.summary.MaxClosure
	err := w.db.InTx(ctx, w.conn, func() error {
		if first {
			if err := w.manifest(ctx); err != nil {
				return err
			}
		}
		var err error
		appended, err = w.appendRows(b.results, &closure)
		return err
	})
	if err != nil {
		return err
	}
	for i, n := range appended {
		w.rows[i] += n
		w.summary.Rows += n
	}
	w.summary.Batches++
	w.summary.Examples += len(b.results)
	w.summary.MaxClosure = closure
	if first {
		return w.old.drop()
	}
	return nil
}

// open makes or opens the file.
func (w *writer) open(ctx context.Context) (err error) {
	options := w.opts.Database
	options.Replace = w.opts.Force
	w.old = &kept{}
	if w.opts.Force {
		if w.old, err = keep(w.opts.Path); err != nil {
			return err
		}
	}
	if w.opts.Append {
		w.db, err = dbfile.OpenWriter(ctx, w.opts.Path, options)
	} else {
		w.db, err = dbfile.Create(ctx, w.opts.Path, options)
	}
	if err != nil {
		// Create leaves an existing file alone unless the new one is ready to take its place.
		w.db = nil
		if _, serr := os.Lstat(w.opts.Path); serr == nil {
			return errors.Join(err, w.old.drop())
		}
		return errors.Join(err, w.old.restore())
	}
	w.conn, err = w.db.Conn(ctx)
	return err
}

// finish counts the rows, marks the run complete and closes the file.
func (w *writer) finish(ctx context.Context) error {
	err := w.complete(ctx)
	if err == nil {
		err = w.close(ctx)
	} else {
		err = errors.Join(err, w.conn.Close(), w.db.Close())
	}
	if err != nil {
		return &Incomplete{Path: w.opts.Path, RunID: w.summary.RunID, Examples: w.summary.Examples, Total: w.total, Err: err}
	}
	return nil
}

// close gives the connection back, moves everything from the log to the file and closes it.
func (w *writer) close(ctx context.Context) error {
	return errors.Join(w.conn.Close(), w.db.Finalize(ctx))
}

// abandon cleans up after a failure, and gives the error to return: before the first batch nothing has
// happened to the file, after it the file holds an incomplete run.
func (w *writer) abandon(cause error) error {
	if w.db == nil {
		return cause
	}
	if w.summary.Batches == 0 {
		var err error
		if w.conn != nil {
			err = w.conn.Close()
		}
		return errors.Join(cause, err, w.db.Discard(), w.old.restore())
	}
	// The file must be closed well even if the failure was a cancelled context.
	incomplete := &Incomplete{Path: w.opts.Path, RunID: w.summary.RunID, Examples: w.summary.Examples, Total: w.total, Err: cause}
	return errors.Join(incomplete, w.close(context.Background()))
}

// appendRows appends the rows of a batch and says how many went to each table. closure is raised to the largest residual.
func (w *writer) appendRows(results []schema.Result, closure *float64) (n [tableCount]int64, err error) {
	var tables [tableCount]*dbfile.Appender
	defer func() {
		for i, a := range tables {
			if a != nil {
				n[i] = a.Rows()
				err = errors.Join(err, a.Close())
			}
		}
	}()
	for i, name := range tableNames {
		if tables[i], err = w.db.Appender(w.conn, name); err != nil {
			return n, err
		}
	}
	for i := range results {
		if err := w.appendResult(&tables, &results[i], closure); err != nil {
			return n, fmt.Errorf("example %d: %w", results[i].Example.Index, err)
		}
	}
	return n, nil
}

// appendResult appends the rows of one example.
func (w *writer) appendResult(tables *[tableCount]*dbfile.Appender, r *schema.Result, closure *float64) error {
	run, example := int32(w.summary.RunID), int32(r.Example.Index)
	if err := appendExample(tables, run, &r.Example); err != nil {
		return err
	}
	for i := range r.Heads {
		h := &r.Heads[i]
		head, s := w.headID(h.Head), h.Score
		*closure = max(*closure, s.Closure)
		if err := tables[tableScore].AppendRow(run, example, head, s.Score, nullable(s.Baseline), s.Prob, nullable(s.BaselineProb),
			s.QueryScale, s.KeyScale, nullable(s.BaselineScale), s.Closure); err != nil {
			return err
		}
		for pos, a := range h.Attention {
			if err := tables[tableAttention].AppendRow(run, example, head, int32(pos), a.Score, a.Prob); err != nil {
				return err
			}
		}
		if err := w.appendContributions(tables[tableContribution], run, example, head, h.Contributions); err != nil {
			return err
		}
	}
	return nil
}

// appendExample appends an example and its tokens.
func appendExample(tables *[tableCount]*dbfile.Appender, run int32, e *schema.Example) error {
	example := int32(e.Index)
	var baseline, baselineToken dbfile.Value
	if e.Baseline != schema.NoPosition {
		baseline, baselineToken = int32(e.Baseline), text(e.Tokens[e.Baseline].Text)
	}
	if err := tables[tableExample].AppendRow(run, example, text(e.Prompt.Text), optional(e.Prompt.Template), optional(e.Prompt.Order),
		text(e.Tokens[e.Key].Text), baselineToken, int32(e.Query), int32(e.Key), baseline, int32(len(e.Tokens)),
		drawn(e.RandomName), drawn(e.RandomToken)); err != nil {
		return err
	}
	for pos, t := range e.Tokens {
		if err := tables[tableToken].AppendRow(run, example, int32(pos), int32(t.ID), text(t.Text)); err != nil {
			return err
		}
	}
	return nil
}

// appendContributions appends the wide rows of one head.
func (w *writer) appendContributions(table *dbfile.Appender, run, example, head int32, list []schema.Contribution) error {
	// What is the same in every row is boxed once; the rest is overwritten from row to row.
	row := []dbfile.Value{run, example, head, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}
	const side, component, queryBasis, keyBasis, score, baseline = 3, 4, 5, 6, 7, 11
	for i := range list {
		c := &list[i]
		row[side] = c.Side.String()
		row[component] = int32(w.summary.ModelID*componentsPerModel + c.Component)
		row[queryBasis], row[keyBasis] = int32(c.QueryBasis), int32(c.KeyBasis)
		for _, q := range schema.Quadrants() {
			row[score+int(q)], row[baseline+int(q)] = c.Score[q], nullable(c.Baseline[q])
		}
		if err := table.AppendRow(row...); err != nil {
			return err
		}
	}
	return nil
}

// headID numbers a head within its model.
func (w *writer) headID(h schema.Head) int32 { return int32(h.Layer*w.nHeads + h.Index) }

// nullable stores NaN, which stands for a baseline that is not there, as NULL.
func nullable(f float32) dbfile.Value {
	if math.IsNaN(float64(f)) {
		return nil
	}
	return f
}

// drawn stores a token that was not drawn as NULL.
func drawn(id int) dbfile.Value {
	if id == schema.NoToken {
		return nil
	}
	return int32(id)
}

// optional stores "" as NULL.
func optional(s string) dbfile.Value {
	if s == "" {
		return nil
	}
	return text(s)
}

// text makes a string storable: a token may be a part of a character, which is not UTF-8 by itself.
func text(s string) dbfile.Value { return strings.ToValidUTF8(s, "\ufffd") }
