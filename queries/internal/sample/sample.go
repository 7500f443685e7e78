// Package sample makes small run files for tests: the real tables, filled with numbers that have the
// properties of a run and are easy to compute again.
package sample

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// Spec describes a file. The zero value of a field is not replaced.
type Spec struct {
	Layers, Heads int
	Targets       []schema.Head
	QueryBases    []string // "none" first; side query
	KeyBases      []string
	Status        []schema.RunStatus // one run each, numbered from 1
	Examples      int                // per run
	NoBaseline    bool               // examples have no baseline position
	Value         func(Cell) (score, baseline [4]float32)
}

// Cell names one wide row.
type Cell struct {
	Run, Example         int
	Head                 schema.Head
	Side                 schema.Side
	Component            schema.Component
	Number               int // of the component
	QueryBasis, KeyBasis string
}

// Small is a model of three layers with two heads, targets 2.1 and 2.0, three examples, and after the
// complete runs 1 and 2 a run 3 that was stopped.
func Small() Spec {
	return Spec{
		Layers: 3, Heads: 2,
		Targets:    []schema.Head{{Layer: 2, Index: 1}, {Layer: 2, Index: 0}},
		QueryBases: []string{"none", "unembed", "unembed+baseline", "sub_unembed"},
		KeyBases:   []string{"none", "mlp0", "effective"},
		Status:     []schema.RunStatus{schema.Complete, schema.Complete, schema.Running},
		Examples:   3,
		Value:      Random,
	}
}

// Random draws reproducible values of about 1 for a cell; those of a basis none are all in the last
// quadrant, and the quadrants of the others add up to them.
func Random(c Cell) (score, baseline [4]float32) {
	draw := func(salt int) *rand.Rand {
		return rand.New(rand.NewPCG(uint64(c.Run*1000+c.Example), uint64(((c.Head.Layer*100+c.Head.Index)*2+int(c.Side))*1000+c.Number*7+salt)))
	}
	whole := draw(0)
	fill := func() (q [4]float32) {
		total := float32(whole.NormFloat64())
		part := draw(1 + len(c.QueryBasis) + 50*len(c.KeyBasis))
		rest := total
		for i := range 3 {
			query, key := i < 2, i%2 == 0
			if (query && c.QueryBasis == "none") || (key && c.KeyBasis == "none") {
				continue
			}
			q[i] = total * float32(part.Float64()) / 2
			rest -= q[i]
		}
		q[3] = rest
		return q
	}
	return fill(), fill()
}

// File writes the file that s describes into the test's temporary folder and gives its path.
func File(tb testing.TB, s Spec) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "sample.duckdb")
	if err := s.write(tb.Context(), path); err != nil {
		tb.Fatalf("sample: %v", err)
	}
	return path
}

func (s Spec) write(ctx context.Context, path string) error {
	db, err := dbfile.Create(ctx, path, dbfile.Options{Threads: 1})
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	if err := s.dimensions(ctx, conn); err != nil {
		return err
	}
	for i, status := range s.Status {
		run := i + 1
		if err := s.manifest(ctx, conn, run, status); err != nil {
			return fmt.Errorf("run %d: %w", run, err)
		}
		if err := db.InTx(ctx, conn, func() error { return s.facts(db, conn, run) }); err != nil {
			return fmt.Errorf("run %d: %w", run, err)
		}
	}
	if err := conn.Close(); err != nil {
		return err
	}
	return db.Finalize(ctx)
}

// dimensions writes the model and its components.
func (s Spec) dimensions(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, `INSERT INTO model (model_id, name, sha256, n_layers, n_heads, d_model, d_head, d_mlp, d_vocab, n_ctx, ln_eps, activation)
		VALUES (0, 'sample', '00', ?, ?, 8, 4, 16, 100, 32, 1e-5, 'gelu_new')`, s.Layers, s.Heads); err != nil {
		return err
	}
	for i, c := range schema.Components(s.Layers, s.Heads) {
		row, column := c.Grid(s.Heads)
		var layer, head any
		if c.Layer >= 0 {
			layer = c.Layer
		}
		if c.Head >= 0 {
			head = c.Head
		}
		if _, err := conn.ExecContext(ctx, `INSERT INTO component (component_id, model_id, kind, layer, head, label, tl_name, grid_row, grid_column)
			VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?)`, i, c.Kind.String(), layer, head, c.Label(), c.TLName(), row, column); err != nil {
			return err
		}
	}
	return nil
}

// basisKind tells what a basis of the given name does.
func basisKind(name string) (kind schema.BasisKind, dimension int) {
	switch name {
	case "none":
		return schema.Whole, 0
	case "sub_unembed", "sub_mlp0":
		return schema.Replacement, 1
	case "unembed+baseline", "mlp0+attn0":
		return schema.Subspace, 2
	}
	return schema.Subspace, 1
}

// manifest writes a run, its heads and its bases.
func (s Spec) manifest(ctx context.Context, conn *sql.Conn, run int, status schema.RunStatus) error {
	var examples any
	if status == schema.Complete {
		examples = s.Examples
	}
	if _, err := conn.ExecContext(ctx, `INSERT INTO run (run_id, model_id, created_at, ducklens_version, command_line, prompt_source, seed, bos,
			convention, processing, precision, blas, threads, status, n_examples, n_heads, max_closure_residual)
		VALUES (?, 0, TIMESTAMP '2026-01-02 03:04:05', 'test', 'ducklens ingest', 'ioi', 42, true, 'exact', 'processed', 'float32', 'none', 1, ?, ?, ?, 1e-6)`,
		run, status.String(), examples, len(s.Targets)); err != nil {
		return err
	}
	for i, h := range s.Targets {
		if _, err := conn.ExecContext(ctx, `INSERT INTO head (run_id, head_id, layer, head, label, ordinal) VALUES (?, ?, ?, ?, ?, ?)`,
			run, h.Layer*s.Heads+h.Index, h.Layer, h.Index, h.String(), i); err != nil {
			return err
		}
	}
	id := 0
	for side, names := range [][]string{schema.Query: s.QueryBases, schema.Key: s.KeyBases} {
		for _, name := range names {
			kind, dimension := basisKind(name)
			if _, err := conn.ExecContext(ctx, `INSERT INTO basis (run_id, basis_id, side, kind, name, dimension, description) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				run, id, schema.Side(side).String(), kind.String(), name, dimension, "the basis "+name); err != nil {
				return err
			}
			id++
		}
	}
	return nil
}

// facts writes the examples of a run and what was found about them.
func (s Spec) facts(db *dbfile.DB, conn *sql.Conn, run int) (err error) {
	var tables []*dbfile.Appender
	open := func(name string) *dbfile.Appender {
		a, aerr := db.Appender(conn, name)
		if aerr != nil {
			err = aerr
		}
		tables = append(tables, a)
		return a
	}
	example, token, score, attention, wide := open("example"), open("token"), open("score"), open("attention"), open("contribution_wide")
	if err != nil {
		return err
	}
	add := func(a *dbfile.Appender, values ...any) {
		if aerr := a.AppendRow(toDriver(values)...); aerr != nil && err == nil {
			err = aerr
		}
	}
	for e := range s.Examples {
		var baselineToken, baselinePos any
		if !s.NoBaseline {
			baselineToken, baselinePos = " John", int32(3)
		}
		add(example, int32(run), int32(e), fmt.Sprintf("When Mary and John went to shop %d, John gave a drink to", e), nil, "ABBA",
			" Mary", baselineToken, int32(6), int32(1), baselinePos, int32(7))
		for pos, text := range []string{"<|endoftext|>", " Mary", " and", " John", " gave", " a", " to"} {
			add(token, int32(run), int32(e), int32(pos), int32(pos+10), text)
			for _, h := range s.Targets {
				add(attention, int32(run), int32(e), s.headID(h), int32(pos), float32(pos), float32(1)/7)
			}
		}
		for _, h := range s.Targets {
			total, baseline := s.contributions(add, wide, run, e, h)
			var b, p, scale any
			if !s.NoBaseline {
				b, p, scale = baseline, float32(0.25), float32(2)
			}
			add(score, int32(run), int32(e), s.headID(h), total, b, float32(0.5), p, float32(1), float32(2), scale, 1e-6)
		}
	}
	for _, a := range tables {
		if cerr := a.Close(); cerr != nil && err == nil {
			err = cerr
		}
	}
	return err
}

func (s Spec) headID(h schema.Head) int32 { return int32(h.Layer*s.Heads + h.Index) }

// contributions writes the wide rows of one head on one example and gives the score they add up to.
func (s Spec) contributions(add func(*dbfile.Appender, ...any), wide *dbfile.Appender, run, example int, h schema.Head) (total, baselineTotal float32) {
	components := schema.Components(s.Layers, s.Heads)
	writers := schema.StreamComponents(h.Layer, s.Heads)
	for side := range 2 {
		bias := len(components) - 2 + side // b_Q on the query side, b_K on the key side
		for i := range writers + 1 {
			number := i
			if i == writers {
				number = bias
			}
			for qb, query := range s.QueryBases {
				for kb, key := range s.KeyBases {
					score, baseline := s.Value(Cell{run, example, h, schema.Side(side), components[number], number, query, key})
					row := []any{int32(run), int32(example), s.headID(h), schema.Side(side).String(), int32(number), int32(qb), int32(len(s.QueryBases) + kb)}
					for _, v := range score {
						row = append(row, v)
					}
					for _, v := range baseline {
						if s.NoBaseline {
							row = append(row, nil)
						} else {
							row = append(row, v)
						}
					}
					add(wide, row...)
					if side == int(schema.Key) && query == "none" && key == "none" {
						total += score[3]
						baselineTotal += baseline[3]
					}
				}
			}
		}
	}
	return total, baselineTotal
}

// toDriver hands values on as the appender's type of them.
func toDriver(values []any) []driver.Value {
	row := make([]driver.Value, len(values))
	for i, v := range values {
		row[i] = v
	}
	return row
}
