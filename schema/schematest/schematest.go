// Package schematest gives tests a database file with the tables of package schema, and rows to put into
// it: [Insert] writes any run, [Synthetic] makes one whose contributions add up, [Full] one with rows in every
// table, [Panels] one from heatmaps that somebody published.
package schematest

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"path/filepath"
	"testing"
	"time"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// NewDB gives an empty database file, open for writing. When the test ends, whatever is in it is
// verified; problems of the tolerated kinds are let pass, others fail the test. The test may
// Finalize or Close it before.
func NewDB(tb testing.TB, tolerated ...dbfile.ProblemKind) *dbfile.DB {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "test.duckdb")
	db, err := dbfile.Create(tb.Context(), path, dbfile.Options{Threads: 1})
	if err != nil {
		tb.Fatalf("new database: %v", err)
	}
	tb.Cleanup(func() {
		ctx := context.Background() // that of the test is done by now
		if err := db.Close(); err != nil {
			tb.Errorf("close database: %v", err)
		}
		check(ctx, tb, path, tolerated)
	})
	return db
}

// check opens the file again and fails the test if it does not verify.
func check(ctx context.Context, tb testing.TB, path string, tolerated []dbfile.ProblemKind) {
	tb.Helper()
	db, err := dbfile.OpenReader(ctx, path, dbfile.Options{Threads: 1})
	if err != nil {
		tb.Errorf("check database: %v", err)
		return
	}
	defer db.Close()
	report, err := dbfile.Verify(ctx, db)
	if err != nil {
		tb.Errorf("check database: %v", err)
		return
	}
problems:
	for _, p := range report.Problems {
		for _, kind := range tolerated {
			if p.Kind == kind {
				continue problems
			}
		}
		tb.Errorf("database does not verify: %v", p)
	}
}

// Insert writes a run and its results as a complete run and gives its run_id. A model with the same
// SHA-256 is shared. Empty fields of the manifest get values that say so.
func Insert(tb testing.TB, db *dbfile.DB, run schema.Run, results []schema.Result) int {
	tb.Helper()
	ctx := tb.Context()
	conn, err := db.Conn(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	w := writer{ctx: ctx, conn: conn, db: db, run: run}
	if err := db.InTx(ctx, conn, func() error { return w.write(results) }); err != nil {
		tb.Fatalf("insert run: %v", err)
	}
	return w.runID
}

// writer writes one run.
type writer struct {
	ctx            context.Context
	conn           *sql.Conn
	db             *dbfile.DB
	run            schema.Run
	modelID, runID int
}

func (w *writer) write(results []schema.Result) error {
	for _, step := range []func() error{w.model, w.manifest, w.headsAndBases} {
		if err := step(); err != nil {
			return err
		}
	}
	for _, table := range []struct {
		name string
		rows func(schema.Result, func(...any) error) error
	}{
		{"example", w.example},
		{"token", w.tokens},
		{"score", w.scores},
		{"attention", w.attention},
		{"contribution_wide", w.contributions},
		{"query_factor", w.queryFactors},
		{"key_factor", w.keyFactors},
		{"pair_contribution_wide", w.pairs},
		{"substitution", w.substitutions},
		{"projection", w.projections},
		{"vector_cosine", w.cosines},
	} {
		if err := w.appendAll(table.name, results, table.rows); err != nil {
			return err
		}
	}
	if err := w.pairMeans(); err != nil {
		return err
	}
	_, err := w.exec(`UPDATE run SET status = 'complete', n_examples = ?,
		max_closure_residual = (SELECT max(closure_residual) FROM score AS s WHERE s.run_id = run.run_id) WHERE run_id = ?`,
		len(results), w.runID)
	return err
}

func (w *writer) exec(query string, args ...any) (sql.Result, error) {
	return w.conn.ExecContext(w.ctx, query, args...)
}

// model finds the model, or writes it with its components.
func (w *writer) model() error {
	m := w.run.Model
	err := w.conn.QueryRowContext(w.ctx, "SELECT model_id FROM model WHERE sha256 = ?", m.SHA256).Scan(&w.modelID)
	if err == nil || err != sql.ErrNoRows {
		return err
	}
	if err := w.conn.QueryRowContext(w.ctx, "SELECT coalesce(max(model_id) + 1, 0) FROM model").Scan(&w.modelID); err != nil {
		return err
	}
	if _, err := w.exec("INSERT INTO model VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", w.modelID, m.Name, m.SHA256,
		m.NLayers, m.NHeads, m.DModel, m.DHead, m.DMLP, m.DVocab, m.NCtx, m.LNEps, m.Activation); err != nil {
		return err
	}
	a, err := w.db.Appender(w.conn, "component")
	if err != nil {
		return err
	}
	for i, c := range schema.Components(m.NLayers, m.NHeads) {
		row, column := c.Grid(m.NHeads)
		if err := a.AppendRow(int32(w.modelID*10000+i), int32(w.modelID), c.Kind.String(), index(c.Layer), index(c.Head),
			c.Label(), c.TLName(), int32(row), int32(column)); err != nil {
			return errors.Join(err, a.Close())
		}
	}
	return a.Close()
}

// index gives NULL for the -1 of a component without a layer or a head.
func index(i int) dbfile.Value {
	if i < 0 {
		return nil
	}
	return int32(i)
}

func (w *writer) manifest() error {
	r := w.run
	if err := w.conn.QueryRowContext(w.ctx, "SELECT coalesce(max(run_id) + 1, 1) FROM run").Scan(&w.runID); err != nil {
		return err
	}
	text := func(s, instead string) string {
		if s == "" {
			return instead
		}
		return s
	}
	created := r.CreatedAt
	if created.IsZero() {
		created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	_, err := w.exec(`INSERT INTO run (run_id, model_id, created_at, ducklens_version, command_line, prompt_source, seed, bos, convention, processing,
		precision, blas, threads, factors, pairs, n_heads, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'running')`, w.runID, w.modelID,
		created.UTC(), text(r.Version, "test"), text(r.CommandLine, "go test"), text(r.PromptSource, "test"), r.Seed, r.BOS,
		r.Convention.String(), r.Processing.String(), text(r.Precision, "float32"), text(r.BLAS, "none"), max(r.Threads, 1), r.Factors, r.Pairs, len(r.Heads))
	return err
}

func (w *writer) headsAndBases() error {
	for i, h := range w.run.Heads {
		if _, err := w.exec("INSERT INTO head VALUES (?, ?, ?, ?, ?, ?)", w.runID, w.headID(h), h.Layer, h.Index, h.String(), i); err != nil {
			return err
		}
	}
	for i, m := range w.run.Movers {
		if _, err := w.exec("INSERT INTO mover VALUES (?, ?, ?, ?, ?)", w.runID, i, m.Layer, m.Index, m.String()); err != nil {
			return err
		}
	}
	for i, b := range w.run.Bases {
		var number any
		if n, ok := b.NullNumber(); ok {
			number = n
		}
		if _, err := w.exec("INSERT INTO basis VALUES (?, ?, ?, ?, ?, ?, ?, ?)", w.runID, i, b.Side.String(), b.Kind.String(),
			b.Name, b.Dimension, b.Description, number); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) headID(h schema.Head) int { return h.Layer*w.run.Model.NHeads + h.Index }

// appendAll writes the rows of all results to one table.
func (w *writer) appendAll(table string, results []schema.Result, rows func(schema.Result, func(...any) error) error) (err error) {
	a, err := w.db.Appender(w.conn, table)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := a.Close(); err == nil {
			err = cerr
		}
	}()
	add := func(values ...any) error {
		row := []dbfile.Value{int32(w.runID)}
		for _, v := range values {
			switch v := v.(type) {
			case int:
				row = append(row, int32(v))
			case float32:
				if math.IsNaN(float64(v)) { // no baseline
					row = append(row, nil)
				} else {
					row = append(row, v)
				}
			default:
				row = append(row, v)
			}
		}
		return a.AppendRow(row...)
	}
	for _, r := range results {
		if err := rows(r, add); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) example(r schema.Result, add func(...any) error) error {
	e := r.Example
	var baselineToken, baselinePos any
	if e.Baseline != schema.NoPosition {
		baselineToken, baselinePos = e.Tokens[e.Baseline].Text, e.Baseline
	}
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return add(e.Index, e.Prompt.Text, text(e.Prompt.Template), text(e.Prompt.Order), e.Tokens[e.Key].Text, baselineToken,
		e.Query, e.Key, baselinePos, len(e.Tokens), drawn(e.RandomName), drawn(e.RandomToken))
}

// drawn gives NULL for a token that was not drawn.
func drawn(id int) any {
	if id == schema.NoToken {
		return nil
	}
	return id
}

func (w *writer) tokens(r schema.Result, add func(...any) error) error {
	for pos, t := range r.Example.Tokens {
		if err := add(r.Example.Index, pos, t.ID, t.Text); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) scores(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		s := h.Score
		if err := add(r.Example.Index, w.headID(h.Head), s.Score, s.Baseline, s.Prob, s.BaselineProb, s.QueryScale, s.KeyScale,
			s.BaselineScale, s.Closure); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) attention(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for pos, a := range h.Attention {
			if err := add(r.Example.Index, w.headID(h.Head), pos, a.Score, a.Prob); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) contributions(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, c := range h.Contributions {
			if err := add(r.Example.Index, w.headID(h.Head), c.Side.String(), w.modelID*10000+c.Component, c.QueryBasis, c.KeyBasis,
				c.Score[0], c.Score[1], c.Score[2], c.Score[3], c.Baseline[0], c.Baseline[1], c.Baseline[2], c.Baseline[3]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Texts reads a query for one column of text.
func Texts(tb testing.TB, db *sql.DB, query string, args ...any) (list []string) {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query, args...)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			tb.Fatal(err)
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return list
}
