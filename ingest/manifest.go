package ingest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// manifest writes everything about the run that is not per example.
func (w *writer) manifest(ctx context.Context) error {
	if err := w.model(ctx); err != nil {
		return err
	}
	if err := w.scan(ctx, "number the run in", []any{&w.summary.RunID}, "SELECT coalesce(max(run_id) + 1, 1) FROM run"); err != nil {
		return err
	}
	r := &w.opts.Run
	heads, bases := w.opts.Engine.Heads(), w.opts.Engine.Bases()
	if err := w.exec(ctx, "run", `INSERT INTO run (run_id, model_id, created_at, ducklens_version, command_line, prompt_source,
		seed, bos, convention, processing, precision, blas, threads, factors, pairs, status, n_heads, n_prompts, prompts_sha256)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
		w.summary.RunID, w.summary.ModelID, r.CreatedAt.UTC(), r.Version, r.CommandLine, r.PromptSource, r.Seed, r.BOS,
		r.Convention.String(), r.Processing.String(), r.Precision, r.BLAS, r.Threads, w.factors, w.pairs, schema.Running.String(), len(heads), w.source.total, w.source.sha256); err != nil {
		return err
	}
	var list [][]any
	for i, h := range heads {
		list = append(list, []any{w.summary.RunID, w.headID(h), h.Layer, h.Index, h.String(), i})
	}
	if err := w.insert(ctx, "INSERT INTO", "head", "run_id, head_id, layer, head, label, ordinal", list); err != nil {
		return err
	}
	list = nil
	for i, b := range bases {
		var null dbfile.Value
		if number, ok := b.NullNumber(); ok {
			null = number
		}
		list = append(list, []any{w.summary.RunID, i, b.Side.String(), b.Kind.String(), b.Name, b.Dimension, b.Description, null})
	}
	if err := w.insert(ctx, "INSERT INTO", "basis", "run_id, basis_id, side, kind, name, dimension, description, null_number", list); err != nil {
		return err
	}
	list = nil
	for i, m := range w.opts.Engine.Movers() {
		list = append(list, []any{w.summary.RunID, i, m.Layer, m.Index, m.String()})
	}
	if err := w.insert(ctx, "INSERT INTO", "mover", "run_id, ordinal, layer, head, label", list); err != nil {
		return err
	}
	list = nil
	for _, q := range w.opts.SavedQueries {
		list = append(list, []any{q.Name, q.SQL})
	}
	return w.insert(ctx, "INSERT OR IGNORE INTO", "saved_query", "name, sql", list)
}

// insert adds rows to a table, many with one statement: a statement takes a millisecond, whatever is in it.
func (w *writer) insert(ctx context.Context, insertInto, table, columns string, list [][]any) error {
	for part := range slices.Chunk(list, 100) {
		var rows []string
		var args []any
		for _, row := range part {
			var numbers []string
			for _, value := range row {
				args = append(args, value)
				numbers = append(numbers, fmt.Sprintf("$%d", len(args)))
			}
			rows = append(rows, "("+strings.Join(numbers, ", ")+")")
		}
		if err := w.exec(ctx, table, fmt.Sprintf("%s %s (%s) VALUES %s", insertInto, table, columns, strings.Join(rows, ", ")), args...); err != nil {
			return err
		}
	}
	return nil
}

// model finds the model in the file by the hash of its weights, or adds it with its components.
func (w *writer) model(ctx context.Context) error {
	m := w.opts.Engine.Model()
	var found schema.Model
	err := w.scan(ctx, "look for the model in", []any{&w.summary.ModelID, &found.SHA256, &found.NLayers, &found.NHeads, &found.DModel,
		&found.DHead, &found.DMLP, &found.DVocab, &found.NCtx, &found.LNEps, &found.Activation},
		"SELECT model_id, sha256, n_layers, n_heads, d_model, d_head, d_mlp, d_vocab, n_ctx, ln_eps, activation FROM model WHERE sha256 = $1 ORDER BY model_id LIMIT 1", m.SHA256)
	switch {
	case err == nil:
		found.Name = m.Name // a folder may be renamed
		if found != m {
			return fmt.Errorf("model %d in %s has the same weights (SHA-256 %s) and another configuration: %+v, want %+v",
				w.summary.ModelID, w.opts.Path, m.SHA256, found, m)
		}
		return nil
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	components := schema.Components(m.NLayers, m.NHeads)
	if len(components) > componentsPerModel {
		return fmt.Errorf("the model has %d components, want at most %d", len(components), componentsPerModel)
	}
	if err := w.scan(ctx, "number the model in", []any{&w.summary.ModelID}, "SELECT coalesce(max(model_id) + 1, 0) FROM model"); err != nil {
		return err
	}
	if err := w.exec(ctx, "model", `INSERT INTO model (model_id, name, sha256, n_layers, n_heads, d_model, d_head, d_mlp, d_vocab, n_ctx, ln_eps, activation)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		w.summary.ModelID, m.Name, m.SHA256, m.NLayers, m.NHeads, m.DModel, m.DHead, m.DMLP, m.DVocab, m.NCtx, m.LNEps, m.Activation); err != nil {
		return err
	}
	return w.components(components, m.NHeads)
}

// components appends the components of a new model.
func (w *writer) components(list []schema.Component, nHeads int) (err error) {
	table, err := w.db.Appender(w.conn, "component")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	index := func(i int) any {
		if i < 0 {
			return nil
		}
		return int32(i)
	}
	for i, c := range list {
		row, column := c.Grid(nHeads)
		if err := table.AppendRow(int32(w.summary.ModelID*componentsPerModel+i), int32(w.summary.ModelID), c.Kind.String(),
			index(c.Layer), index(c.Head), c.Label(), c.TLName(), int32(row), int32(column)); err != nil {
			return err
		}
	}
	return nil
}

// complete writes what needs the whole run, compares the rows in the file with those written, and marks the run complete.
func (w *writer) complete(ctx context.Context) error {
	tables := &appenders{w: w}
	err := w.appendPairMeans(tables)
	appended, cerr := tables.close()
	if err := errors.Join(err, cerr); err != nil {
		return err
	}
	for i, table := range tableNames {
		w.rows[i] += appended[i]
		w.summary.Rows += appended[i]
		var n int64
		if err := w.scan(ctx, "count rows of "+table+" in", []any{&n}, "SELECT count(*) FROM "+table+" WHERE run_id = $1", w.summary.RunID); err != nil {
			return err
		}
		if n != w.rows[i] {
			return fmt.Errorf("table %s of %s: %w: %d rows of run %d, want the %d that were written", table, w.opts.Path, ErrCounts, n, w.summary.RunID, w.rows[i])
		}
	}
	return w.exec(ctx, "run", "UPDATE run SET status = $1, n_examples = $2, max_closure_residual = $3 WHERE run_id = $4",
		schema.Complete.String(), w.summary.Examples, w.summary.MaxClosure, w.summary.RunID)
}

// exec runs a statement that changes a table.
func (w *writer) exec(ctx context.Context, table, statement string, args ...any) error {
	_, err := w.conn.ExecContext(ctx, statement, args...)
	return dbfile.Wrap("write table "+table+" of", w.opts.Path, err)
}

// scan runs a query for one row. It returns [sql.ErrNoRows] as it is.
func (w *writer) scan(ctx context.Context, op string, into []any, query string, args ...any) error {
	err := w.conn.QueryRowContext(ctx, query, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return dbfile.Wrap(op, w.opts.Path, err)
}
