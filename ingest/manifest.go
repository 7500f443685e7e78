package ingest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// manifest writes all rows of the run that do not belong to an example.
func (w *writer) manifest(ctx context.Context) error {
	for _, step := range []func(context.Context) error{w.model, w.manifestRun, w.components, w.heads,
		w.bases, w.movers} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	var list [][]any
	for _, q := range w.opts.SavedQueries {
		list = append(list, []any{q.Name, q.SQL})
	}
	return w.insert(ctx, "INSERT OR IGNORE INTO", "saved_query", "name, sql", list)
}

// model finds the model in the file by its key, or adds it. The key comes from the file and proves nothing,
// so every other column must be equal too, except the name, which changes when the model's folder is renamed.
func (w *writer) model(ctx context.Context) error {
	m := &w.run.Model
	key := schema.ModelKey(*m)
	columns := []string{"family", "sha256", "config_sha256", "n_layers", "n_heads", "n_kv_heads", "d_model",
		"d_head", "d_mlp", "d_vocab", "n_ctx", "norm", "ln_eps", "activation"}
	values := []any{m.Family, m.SHA256, null(m.ConfigSHA), m.NLayers, m.NHeads, m.NKVHeads, m.DModel, m.DHead,
		m.DMLP, m.DVocab, m.NCtx, m.Norm, m.LNEps, m.Activation}
	var differing []string
	for i, c := range columns {
		differing = append(differing, fmt.Sprintf("CASE WHEN %[1]s IS DISTINCT FROM $%[2]d "+
			"THEN '%[1]s ' || coalesce(%[1]s::VARCHAR, 'NULL') END", c, i+2))
	}
	var other sql.NullString
	err := w.scan(ctx, "look for the model in", []any{&w.summary.ModelID, &other},
		"SELECT model_id, coalesce("+strings.Join(differing, ", ")+") FROM model WHERE key = $1",
		append([]any{key}, values...)...)
	if err == nil && other.Valid {
		return w.otherDescription("model", w.summary.ModelID, "it says "+other.String)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if w.summary.ModelID, err = w.next(ctx, "model", 0); err != nil {
		return err
	}
	return w.insert(ctx, "INSERT INTO", "model", "model_id, key, name, "+strings.Join(columns, ", "),
		[][]any{append([]any{w.summary.ModelID, key, m.Name}, values...)})
}

// otherDescription returns the error for a row of the file that has the key of a row of this run but differs
// from it.
func (w *writer) otherDescription(table string, id int, detail string) error {
	return &dbfile.Error{Op: "append to", Path: w.opts.Path, Kind: dbfile.ErrConstraint,
		Detail: fmt.Sprintf("its %s %d has the key of the run's and another description: %s",
			table, id, detail),
		Advice: "ducklens verify FILE says what its key stands for; write to a new file"}
}

// manifestRun writes the row of table run.
func (w *writer) manifestRun(ctx context.Context) error {
	id, err := w.next(ctx, "run", 1)
	if err != nil {
		return err
	}
	w.summary.RunID = id
	key, err := w.runKey(ctx)
	if err != nil {
		return err
	}
	r := &w.run
	return w.insert(ctx, "INSERT INTO", "run",
		"run_id, key, model_id, created_at, ducklens_version, command_line, prompt_source, n_prompts, "+
			"prompts_sha256, seed, bos, bos_policy, convention, processing, "+
			"precision, blas, threads, factors, pairs, pair_means, logits, options, status, n_heads",
		[][]any{{w.summary.RunID, key, w.summary.ModelID, r.CreatedAt.UTC(), r.Version, r.CommandLine,
			r.PromptSource, r.Prompts, r.PromptsSHA256, r.Seed, r.BOS, null(r.BOSPolicy),
			r.Convention.String(), r.Processing.String(), r.Precision, r.BLAS, r.Threads,
			r.Factors, r.Pairs, r.PairMeans, r.Logits, null(r.Shard.Into(r.Options)), schema.Running.String(),
			len(r.Heads)}})
}

// spareNumbers is the number of ids that must be free in a table. It exceeds the number of components of any
// model.
const spareNumbers = 1 << 24

// next returns the id after the largest one in table run, model or component, or least if the table is empty.
// An untrusted file may hold any id, even the largest, after which there is none.
func (w *writer) next(ctx context.Context, table string, least int) (int, error) {
	var last sql.NullInt64
	if err := w.scan(ctx, "number rows of "+table+" in", []any{&last},
		"SELECT max("+table+"_id) FROM "+table); err != nil {
		return 0, err
	}
	switch {
	case !last.Valid:
		return least, nil
	case last.Int64 < 0 || last.Int64 > math.MaxInt32-spareNumbers:
		return 0, &dbfile.Error{Op: "append to", Path: w.opts.Path, Kind: dbfile.ErrConstraint,
			Detail: fmt.Sprintf("its largest %s_id is %d, want 0 to %d", table, last.Int64,
				math.MaxInt32-spareNumbers),
			Advice: "ducklens merge FILE -o NEW makes a file with the same runs, numbered from 1"}
	}
	return max(least, int(last.Int64)+1), nil
}

// runKey returns a key for the run that no run in the file has: runs of the same question are numbered.
func (w *writer) runKey(ctx context.Context) (string, error) {
	for again := 0; ; again++ {
		key := schema.RunKey(&w.run, again)
		var there int
		if err := w.scan(ctx, "look for the run in", []any{&there}, "SELECT count(*) FROM run WHERE key = $1",
			key); err != nil {
			return "", err
		}
		if there == 0 {
			return key, nil
		}
	}
}

// components finds the components of the run in the file, adds the missing ones, and lists all of them in
// run_component.
func (w *writer) components(ctx context.Context) error {
	known, err := w.knownComponents(ctx)
	if err != nil {
		return err
	}
	first, err := w.next(ctx, "component", 0)
	if err != nil {
		return err
	}
	next := int32(first)
	model := schema.ModelKey(w.run.Model)
	var added, has [][]dbfile.Value
	w.componentIDs = nil
	for i, c := range w.run.Components {
		key := schema.ComponentKey(model, c)
		row, column := c.Grid(w.run.Model.NHeads)
		there, ok := known[key]
		id := there.id
		if want := describe(c.Kind.String(), c.Layer, c.Head, c.Label(), c.TLName(), row, column,
			c.Source); ok && there.description != want {
			return w.otherDescription("component", int(id), there.description+", want "+want)
		}
		if !ok {
			id, next = next, next+1
			added = append(added, []dbfile.Value{id, key, int32(w.summary.ModelID), c.Kind.String(),
				index(c.Layer), index(c.Head), c.Label(), c.TLName(), int32(row), int32(column),
				null(c.Source)})
		}
		w.componentIDs = append(w.componentIDs, id)
		has = append(has, []dbfile.Value{w.runID(), id, int32(i)})
	}
	if err := w.appendAll("component", added); err != nil {
		return err
	}
	return w.appendAll("run_component", has)
}

// knownComponent is a component that the file has.
type knownComponent struct {
	id          int32
	description string
}

// describe writes all columns of a component except its key and its model.
func describe(kind string, layer, head int, label, tlName string, row, column int, source string) string {
	return fmt.Sprintf("%s, layer %d, head %d, %s, %s, at row %d, column %d, of source %q", kind, layer, head,
		label, tlName, row, column, source)
}

// knownComponents returns the model's components that the file has, by key.
func (w *writer) knownComponents(ctx context.Context) (map[string]knownComponent, error) {
	known := map[string]knownComponent{}
	err := w.each(ctx, "read components of", func(rows *sql.Rows) error {
		var k knownComponent
		var key, kind, label, tlName, source string
		var layer, head, row, column int
		err := rows.Scan(&k.id, &key, &kind, &layer, &head, &label, &tlName, &row, &column, &source)
		k.description = describe(kind, layer, head, label, tlName, row, column, source)
		known[key] = k
		return err
	}, `SELECT component_id, key, kind::VARCHAR, coalesce(layer, -1), coalesce(head, -1), label, tl_name, grid_row, grid_column, coalesce(source, '')
		FROM component WHERE model_id = $1`, w.summary.ModelID)
	return known, err
}

// appendAll appends rows to a table.
func (w *writer) appendAll(name string, rows [][]dbfile.Value) (err error) {
	table, err := w.db.Appender(w.conn, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	for _, row := range rows {
		if err := table.AppendRow(row...); err != nil {
			return err
		}
	}
	return nil
}

// heads writes the target heads.
func (w *writer) heads(ctx context.Context) error {
	var list [][]any
	for i, h := range w.run.Heads {
		row := []any{w.summary.RunID, w.headID(h.Head), h.Layer, h.Index, h.TLName(), i, h.KVHead,
			h.ScoreScale, nil, nil, nil, h.RotaryDims}
		if h.SoftCap != 0 {
			row[8] = h.SoftCap
		}
		if h.Window != 0 {
			row[9] = h.Window
		}
		if h.SinkLogit == h.SinkLogit { // NaN where there is none
			row[10] = h.SinkLogit
		}
		list = append(list, row)
	}
	return w.insert(ctx, "INSERT INTO", "head",
		"run_id, head_id, layer, head, label, ordinal, kv_head, score_scale, soft_cap, attention_window, "+
			"sink_logit, rotary_dims", list)
}

// bases writes the bases.
func (w *writer) bases(ctx context.Context) error {
	var list [][]any
	for i, b := range w.run.Bases {
		var number any
		if n, ok := b.NullNumber(); ok {
			number = n
		}
		list = append(list, []any{w.summary.RunID, i, b.Side.String(), b.Kind.String(), b.Name, b.Dimension,
			b.Description, number})
	}
	return w.insert(ctx, "INSERT INTO", "basis",
		"run_id, basis_id, side, kind, name, dimension, description, null_number", list)
}

// movers writes the heads whose outputs are substituted, by the labels of their components.
func (w *writer) movers(ctx context.Context) error {
	var list [][]any
	for i, m := range w.run.Movers {
		list = append(list, []any{w.summary.RunID, i, m.Layer, m.Index, m.String()})
	}
	return w.insert(ctx, "INSERT INTO", "mover", "run_id, ordinal, layer, head, label", list)
}

// insert adds rows to a table, up to a hundred with one statement, because each statement takes a millisecond
// whatever its size.
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
		if err := w.exec(ctx, table, fmt.Sprintf("%s %s (%s) VALUES %s", insertInto, table, columns,
			strings.Join(rows, ", ")), args...); err != nil {
			return err
		}
	}
	return nil
}

// null stores "" as NULL.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// index stores the -1 of a component without a layer or a head as NULL.
func index(i int) dbfile.Value {
	if i < 0 {
		return nil
	}
	return int32(i)
}

// complete writes the means, compares the number of rows in the file with the number written, and marks the
// run complete.
func (w *writer) complete(ctx context.Context) error {
	tables := &appenders{w: w}
	err := w.appendPairMeans(tables)
	if err == nil && w.moments != nil {
		err = w.appendMoments(tables)
	}
	appended, cerr := tables.close()
	if err := errors.Join(err, cerr); err != nil {
		return err
	}
	stored, err := w.count(ctx, w.summary.RunID)
	if err != nil {
		return err
	}
	for i, table := range tableNames {
		w.rows[i] += appended[i]
		w.summary.Rows += appended[i]
		if stored[i] != w.rows[i] {
			return fmt.Errorf("table %s of %s: %w: %d rows of run %d, want the %d that were written",
				table, w.opts.Path, ErrCounts, stored[i], w.summary.RunID, w.rows[i])
		}
	}
	var worst any
	if w.summary.Examples > 0 {
		worst = w.summary.MaxClosure
	}
	return w.exec(ctx, "run", "UPDATE run SET status = $1, n_examples = $2, max_closure_residual = $3 "+
		"WHERE run_id = $4", schema.Complete.String(), w.summary.Examples, worst, w.summary.RunID)
}

// count counts the rows of a run in each table.
func (w *writer) count(ctx context.Context, run int) (n [tableCount]int64, err error) {
	for i, table := range tableNames {
		if err := w.scan(ctx, "count rows of "+table+" in", []any{&n[i]},
			"SELECT count(*) FROM "+table+" WHERE run_id = $1", run); err != nil {
			return n, err
		}
	}
	return n, nil
}

// exec runs a statement that changes a table. The command line and names of files need not be valid UTF-8.
func (w *writer) exec(ctx context.Context, table, statement string, args ...any) error {
	args = slices.Clone(args)
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = text(s)
		}
	}
	_, err := w.conn.ExecContext(ctx, statement, args...)
	return dbfile.Wrap("write table "+table+" of", w.opts.Path, err)
}

// scan runs a query for one row. It returns [sql.ErrNoRows] unwrapped.
func (w *writer) scan(ctx context.Context, op string, into []any, query string, args ...any) error {
	err := w.conn.QueryRowContext(ctx, query, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return dbfile.Wrap(op, w.opts.Path, err)
}
