// Package schematest provides database files and rows for tests. [Insert] writes any run, [Synthetic] makes
// one whose contributions add up, [Full] one with rows in every table, and [Panels] one from published
// heatmaps.
package schematest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/verify"
)

// NewDB returns an empty database file, open for writing. When the test ends, the file is verified; problems
// fail the test, except those of the tolerated kinds. The test may Finalize or Close it before.
func NewDB(tb testing.TB, tolerated ...verify.ProblemKind) *dbfile.DB {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "test.duckdb")
	db, err := dbfile.Create(tb.Context(), path, dbfile.Options{Threads: 1})
	if err == nil {
		err = db.Publish(tb.Context())
	}
	if err != nil {
		tb.Fatalf("new database: %v", err)
	}
	tb.Cleanup(func() {
		ctx := context.Background() // the context of the test is done by now
		if err := db.Close(); err != nil {
			tb.Errorf("close database: %v", err)
		}
		check(ctx, tb, path, tolerated)
	})
	return db
}

// check opens the file again and fails the test if it does not verify.
func check(ctx context.Context, tb testing.TB, path string, tolerated []verify.ProblemKind) {
	tb.Helper()
	report, err := verify.File(ctx, path, dbfile.Options{Threads: 1})
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

// Plant runs statements on a finished file the way anybody can with DuckDB's shell, without the limits that
// this program sets.
func Plant(tb testing.TB, path string, statements ...string) {
	tb.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, s := range slices.Concat([]string{"ATTACH " + dbfile.QuoteText(path) + " AS data",
		"USE data.main"}, statements, []string{"USE memory.main", "DETACH data"}) {
		if _, err := db.ExecContext(tb.Context(), s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
}

// Insert writes a run and its results as a complete run, and returns its run_id. A model with the same key is
// shared. Empty fields of the manifest get default values; a run without components has those of GPT-2.
func Insert(tb testing.TB, db *dbfile.DB, run schema.Run, results []schema.Result) int {
	tb.Helper()
	ctx := tb.Context()
	conn, err := db.Conn(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if run.Components == nil {
		run.Components = Layout(run.Model).Components()
	}
	run.PairMeans = run.PairMeans || run.Factors || run.Pairs
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
	components     []int // component_ids in the file
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
		{"prompt", w.prompt},
		{"prompt_token", w.tokens},
		{"edge", w.example},
		{"score", w.scores},
		{"prompt_attention", w.attention},
		{"layer_scale", w.layerScales},
		{"contribution_wide", w.contributions},
		{"query_factor", w.queryFactors},
		{"key_factor", w.keyFactors},
		{"query_axis", w.queryAxes},
		{"key_axis", w.keyAxes},
		{"query_coordinate", w.queryCoordinates},
		{"key_coordinate", w.keyCoordinates},
		{"pair_contribution_wide", w.pairs},
		{"substitution", w.substitutions},
		{"projection", w.projections},
		{"vector_cosine", w.cosines},
		{"nearest_token", w.nearest},
		{"logit", w.logits},
		{"logit_effect", w.logitEffects},
		{"source_contribution", w.sources},
		{"rotary_contribution", w.bands},
		{"component_norm", w.norms},
		{"component_gram", w.gram},
		{"component_qk_norm", w.qkNorms},
		{"component_qk_gram", w.qkGram},
		{"row_contribution_wide", w.rows},
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
	key := schema.ModelKey(m)
	err := w.conn.QueryRowContext(w.ctx, "SELECT model_id FROM model WHERE key = ?", key).Scan(&w.modelID)
	if err == sql.ErrNoRows {
		if err := w.conn.QueryRowContext(w.ctx, "SELECT coalesce(max(model_id) + 1, 0) FROM model").
			Scan(&w.modelID); err != nil {
			return err
		}
		_, err = w.exec("INSERT INTO model "+
			"VALUES (?, ?, ?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", w.modelID, key, m.Name,
			m.Family, m.SHA256, m.ConfigSHA, m.NLayers, m.NHeads, m.NKVHeads, m.DModel, m.DHead, m.DMLP,
			m.DVocab, m.NCtx, m.Norm, m.LNEps, m.Activation)
	}
	if err != nil {
		return err
	}
	known := map[string]int{}
	next := 0
	rows, err := w.conn.QueryContext(w.ctx, "SELECT component_id, key FROM component")
	if err != nil {
		return err
	}
	for rows.Next() {
		var id int
		var key string
		if err := rows.Scan(&id, &key); err != nil {
			return errors.Join(err, rows.Close())
		}
		known[key], next = id, max(next, id+1)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	a, err := w.db.Appender(w.conn, "component")
	if err != nil {
		return err
	}
	for _, c := range w.run.Components {
		id, ok := known[schema.ComponentKey(key, c)]
		if !ok {
			id, next = next, next+1
			row, column := c.Grid(m.NHeads)
			if err := a.AppendRow(int32(id), schema.ComponentKey(key, c), int32(w.modelID), c.Kind.String(),
				index(c.Layer), index(c.Head), c.Label(), c.TLName(), int32(row), int32(column),
				nil); err != nil {
				return errors.Join(err, a.Close())
			}
		}
		w.components = append(w.components, id)
	}
	return a.Close()
}

// index returns NULL for the -1 of a component without a layer or a head.
func index(i int) dbfile.Value {
	if i < 0 {
		return nil
	}
	return int32(i)
}

func (w *writer) manifest() error {
	r := w.run
	if err := w.conn.QueryRowContext(w.ctx, "SELECT coalesce(max(run_id) + 1, 1) FROM run").
		Scan(&w.runID); err != nil {
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
	var again int // number of runs in the file with the same question
	for key := schema.RunKey(&r, 0); ; key = schema.RunKey(&r, again) {
		var taken bool
		if err := w.conn.QueryRowContext(w.ctx, "SELECT EXISTS (FROM run WHERE key = ?)", key).
			Scan(&taken); err != nil {
			return err
		}
		if !taken {
			break
		}
		again++
	}
	if _, err := w.exec(`INSERT INTO run (run_id, key, model_id, created_at, ducklens_version, command_line, prompt_source, seed, bos, convention, processing,
		precision, blas, threads, factors, pairs, pair_means, logits, n_heads, options, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''), 'running')`,
		w.runID, schema.RunKey(&r, again), w.modelID, created.UTC(), text(r.Version, "test"),
		text(r.CommandLine, "go test"), text(r.PromptSource, "test"), r.Seed, r.BOS,
		r.Convention.String(), r.Processing.String(), text(r.Precision, "float32"), text(r.BLAS, "none"),
		max(r.Threads, 1), r.Factors, r.Pairs, r.PairMeans, r.Logits, len(r.Heads),
		r.Options); err != nil {
		return err
	}
	var rows []string
	for i, id := range w.components {
		rows = append(rows, fmt.Sprintf("(%d, %d, %d)", w.runID, id, i))
	}
	_, err := w.exec("INSERT INTO run_component VALUES " + strings.Join(rows, ", "))
	return err
}

func (w *writer) headsAndBases() error {
	none := func(x float64) any {
		if x == 0 || math.IsNaN(x) {
			return nil
		}
		return x
	}
	for i, h := range w.run.Heads {
		if _, err := w.exec("INSERT INTO head VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", w.runID,
			w.headID(h.Head), h.Layer, h.Index, h.TLName(), i, h.KVHead, h.ScoreScale, none(h.SoftCap),
			none(float64(h.Window)), none(h.SinkLogit), h.RotaryDims); err != nil {
			return err
		}
	}
	for i, m := range w.run.Movers {
		if _, err := w.exec("INSERT INTO mover VALUES (?, ?, ?, ?, ?)", w.runID, i, m.Layer, m.Index,
			m.String()); err != nil {
			return err
		}
	}
	for i, b := range w.run.Bases {
		var number any
		if n, ok := b.NullNumber(); ok {
			number = n
		}
		if _, err := w.exec("INSERT INTO basis VALUES (?, ?, ?, ?, ?, ?, ?, ?)", w.runID, i, b.Side.String(),
			b.Kind.String(), b.Name, b.Dimension, b.Description, number); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) headID(h schema.Head) int { return h.Layer*w.run.Model.NHeads + h.Index }

// appendAll appends the rows of all results to one table.
func (w *writer) appendAll(table string, results []schema.Result,
	rows func(schema.Result, func(...any) error) error) (err error) {
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

func (w *writer) prompt(r schema.Result, add func(...any) error) error {
	e := r.Example
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return add(e.Index, schema.PromptKey(e.Tokens), e.Prompt.Text, len(e.Tokens), w.run.BOS,
		text(e.Prompt.Template), text(e.Prompt.Order), nil, nil, text(e.Prompt.Fields.JSON()))
}

func (w *writer) example(r schema.Result, add func(...any) error) error {
	e := r.Example
	kind := "none"
	var baselineToken, baselinePos any
	if e.Baseline != schema.NoPosition {
		kind, baselineToken, baselinePos = "token", e.Tokens[e.Baseline].Text, e.Baseline
	}
	return add(e.Index, e.Index, "given", e.Query, e.Key, kind, baselinePos, e.Tokens[e.Key].Text,
		baselineToken, drawn(e.RandomName), drawn(e.RandomToken))
}

// drawn returns NULL for a token that was not drawn.
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
		if err := add(r.Example.Index, w.headID(h.Head), s.Score, s.Baseline, s.Prob, s.BaselineProb,
			s.SinkProb, s.QueryScale, s.KeyScale, s.BaselineScale, s.QueryNormScale, s.KeyNormScale,
			s.BaselineNormScale, s.Closure); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) attention(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for i, a := range h.Attention {
			if err := add(r.Example.Index, r.Example.Query, w.headID(h.Head), h.FirstKey+i, a.Score,
				a.Prob); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) layerScales(r schema.Result, add func(...any) error) error {
	for _, s := range r.LayerScales {
		if err := add(r.Example.Index, s.Layer, s.Pos, s.PostAttn, s.PostMLP); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) contributions(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, c := range h.Contributions {
			if err := add(r.Example.Index, w.headID(h.Head), c.Side.String(), w.component(c.Component),
				c.QueryBasis, c.KeyBasis, c.Score[0], c.Score[1], c.Score[2], c.Score[3], c.Baseline[0],
				c.Baseline[1], c.Baseline[2], c.Baseline[3]); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows writes contributions to every key if the run has them: the unsplit contributions at the key and the
// baseline position, and 0 elsewhere, matching the scores of [Finish].
func (w *writer) rows(r schema.Result, add func(...any) error) error {
	if w.run.Options != FullOptions {
		return nil
	}
	for _, h := range r.Heads {
		for _, c := range h.Contributions {
			if w.run.Bases[c.QueryBasis].Kind != schema.Whole ||
				w.run.Bases[c.KeyBasis].Kind != schema.Whole {
				continue
			}
			for pos := h.FirstKey; pos <= r.Example.Query; pos++ {
				var at [4]float32
				switch pos {
				case r.Example.Key:
					at = c.Score
				case r.Example.Baseline:
					at = c.Baseline
				}
				if err := add(r.Example.Index, r.Example.Query, w.headID(h.Head), c.Side.String(),
					w.component(c.Component), c.QueryBasis, c.KeyBasis, pos,
					at[0], at[1], at[2], at[3]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Texts returns the only column of a query's result.
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
