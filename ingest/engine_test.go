package ingest_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

var _ ingest.Engine = (*engine.Engine)(nil)

// demoModel is the folder of the embedded demo model.
var demoModel = filepath.Join("..", "cli", "demo", "model")

// realOptions returns options for a run of n ioi prompts through the demo model.
func realOptions(t testing.TB, n int, o engine.Options) ingest.Options {
	t.Helper()
	e, err := engine.Open(demoModel, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return ingest.Options{
		Engine: e, Prompts: prompts.IOI().Prompts(prompts.Sampling{N: n, Seed: 3}), Names: prompts.IOI().Names, Path: filepath.Join(t.TempDir(), "run.duckdb"),
		CreatedAt: created, Version: "test", CommandLine: "go test", PromptSource: "ioi", Seed: 3,
		Database: dbfile.Options{Threads: 1},
	}
}

// everything turns on everything that an engine can compute.
func everything(o engine.Options) engine.Options {
	o.Factors, o.Pairs, o.Substitutions, o.Projections, o.Logits, o.Norms, o.Gram, o.NullBases, o.Seed, o.Nearest = true, true, true, true, true, true, 4, 2, 3, 3
	return o
}

// TestRealBatchesAndThreads checks with a real model that neither the grouping of examples nor the number of
// threads changes a bit of the tables, except where the manifest records them.
func TestRealBatchesAndThreads(t *testing.T) {
	t.Parallel()
	var first map[string][]string
	for _, threads := range []int{1, 2} {
		for _, size := range []int{1, 7, 64} {
			o := realOptions(t, 18, everything(engine.Options{Threads: threads, Heads: []schema.Head{{Layer: 3, Index: 1}, {Layer: 2, Index: 0}}}))
			o.BatchPrompts = size
			mustRun(t, o)
			got := tables(t, o.Path)
			if first == nil {
				first = got
				check(t, o.Path)
				for table, rows := range got {
					if len(rows) == 0 && !slices.Contains([]string{"saved_query", "layer_scale", "component_qk_norm", "component_qk_gram", "ablation"}, table) {
						t.Errorf("table %s is empty", table)
					}
				}
			}
			for table := range first {
				if table == "run" {
					continue
				}
				if diff := differ(first[table], got[table]); diff != "" {
					t.Errorf("%d threads, batches of %d: table %s differs:\n%.2000s", threads, size, table, diff)
				}
			}
		}
	}
}

// TestRealConventions writes a run of each convention and processing of weights to one file, which verifies.
func TestRealConventions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run.duckdb")
	for i, o := range []engine.Options{
		{Heads: []schema.Head{{Layer: 3, Index: 0}}},
		{Convention: schema.Notebook},
		{Processing: schema.Raw, BOS: engine.BOSOff},
		{Precision: engine.Float64},
	} {
		run := realOptions(t, 6, o)
		run.Path, run.Append = path, i > 0
		s := mustRun(t, run)
		if s.RunID != i+1 || s.ModelID != 0 || s.Examples != 6 {
			t.Errorf("summary %+v, want run %d of model 0 with 6 examples", s, i+1)
		}
		t.Logf("%s, %s, %s: largest closure residual %.2g", o.Convention, o.Processing, o.Precision, s.MaxClosure)
	}
	check(t, path)
}

// TestRealWithoutBaseline runs prompts that have no baseline.
func TestRealWithoutBaseline(t *testing.T) {
	t.Parallel()
	o := realOptions(t, 0, engine.Options{QueryBases: []string{"unembed"}, Heads: []schema.Head{{Layer: 1, Index: 3}}})
	o.Prompts = func(yield func(schema.Prompt, error) bool) {
		for p, err := range prompts.IOI().Prompts(prompts.Sampling{N: 5, Seed: 1}) {
			p.Baseline = schema.Position{}
			if !yield(p, err) {
				return
			}
		}
	}
	mustRun(t, o)
	check(t, o.Path)
	db, err := dbfile.OpenFor(t.Context(), o.Path, dbfile.Options{Threads: 1}, "example", "contribution_wide")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var examples, rows, baselines int
	if err := db.SQL().QueryRowContext(t.Context(), `SELECT (SELECT count(baseline_pos) FROM example), count(*), count(baseline_par_par) + count(baseline_perp_perp)
		FROM contribution_wide`).Scan(&examples, &rows, &baselines); err != nil {
		t.Fatal(err)
	}
	if examples != 0 || rows == 0 || baselines != 0 {
		t.Errorf("%d examples with a baseline, %d contributions, %d with a baseline; want 0, some, 0", examples, rows, baselines)
	}
}

// TestIOIVocabulary checks that the demo model's engine finds all positions of all kinds of prompts.
func TestIOIVocabulary(t *testing.T) {
	t.Parallel()
	o := realOptions(t, 0, engine.Options{})
	for p, err := range prompts.IOI().Prompts(prompts.Sampling{N: 400, Seed: 9, Symmetric: true}) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := o.Engine.Example(p)
		if err != nil {
			t.Fatal(err)
		}
		io, _ := p.Key.Word()
		s, _ := p.Baseline.Word()
		if e.Tokens[e.Key].Text != " "+io || e.Tokens[e.Baseline].Text != " "+s || e.Tokens[e.Query+1].Text != " "+io || e.Query+2 != len(e.Tokens) {
			t.Errorf("prompt %q: query %d, key %d, baseline %d of %v", p.Text, e.Query, e.Key, e.Baseline, e.Tokens)
		}
	}
}

// BenchmarkIngest measures whole runs, file and checkpoint included.
func BenchmarkIngest(b *testing.B) {
	for _, c := range []struct {
		name  string
		heads []schema.Head
		n     int
	}{
		{"tiny", []schema.Head{{Layer: 3, Index: 0}}, 200},
		{"tiny/all-heads", nil, 50},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := realOptions(b, c.n, engine.Options{Heads: c.heads})
			dir := b.TempDir()
			var rows int64
			var examples int
			for i := 0; b.Loop(); i++ {
				o.Path = filepath.Join(dir, fmt.Sprintf("%d.duckdb", i))
				s, err := ingest.Run(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				rows += s.Rows
				examples += s.Examples
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(examples)/b.Elapsed().Seconds(), "examples/s")
		})
	}
}
