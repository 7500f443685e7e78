package ingest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/schematest"
)

// replay is an engine that returns the same results again and again, with new ids.
type replay struct {
	*fake
	results []schema.Result
}

// newReplay returns an engine with n random results of a run of GPT-2 small's shape.
func newReplay(run schema.Run, n int) *replay {
	f := newFake()
	f.pass = 24
	run.Model, run.Components = schematest.GPT2Small(), schematest.Layout(schematest.GPT2Small()).Components()
	run.Precision, run.BLAS, run.Threads = f.run.Precision, f.run.BLAS, f.run.Threads
	f.run = run
	return &replay{f, schematest.Random(run, 1, n)}
}

func (r *replay) Stream(_ context.Context, prompts []schema.Example, yield func(int, schema.PromptResult) error) error {
	for i, e := range prompts {
		result := r.results[e.Index%len(r.results)]
		random := result.Example
		result.Example = schematest.Example(e.Index)
		result.Example.RandomName, result.Example.RandomToken = random.RandomName, random.RandomToken
		if err := yield(i, schema.PromptResult{Prompt: result.Example, Examples: []schema.Result{result}}); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkWrite measures everything except the engine: the writer and the means of pairs, including the new
// file and its checkpoint. A new file alone takes 0.2 s.
func BenchmarkWrite(b *testing.B) {
	tall := schematest.Targets(schema.Head{Layer: 10, Index: 7})
	for _, c := range []struct {
		name  string
		n     int
		run   schema.Run
		means bool
	}{
		{"layer-1", 2000, schema.Run{Heads: schematest.Targets(schema.Head{Layer: 1, Index: 0}), Bases: schematest.Bases()}, false},
		{"gpt2-small", 400, schema.Run{Heads: tall, Bases: schematest.Bases()}, false},
		{"gpt2-small/all-bases", 200, schema.Run{Heads: tall, Bases: schematest.AllBases(), Movers: []schema.Head{{Layer: 9, Index: 9}, {Layer: 9, Index: 6}}}, false},
		{"gpt2-small/factors", 200, schema.Run{Heads: tall, Bases: schematest.AllBases(), Factors: true, Movers: []schema.Head{{Layer: 9, Index: 9}, {Layer: 9, Index: 6}}}, false},
		{"gpt2-small/pairs", 50, schema.Run{Heads: tall, Bases: schematest.AllBases(), Pairs: true}, false},
		{"gpt2-small/means", 200, schema.Run{Heads: tall, Bases: schematest.AllBases(), Factors: true, Movers: []schema.Head{{Layer: 9, Index: 9}, {Layer: 9, Index: 6}}}, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := options(b, newReplay(c.run, 8), c.n)
			o.MeansOnly = c.means
			dir := b.TempDir()
			var rows, bytes int64
			examples := 0
			for i := 0; b.Loop(); i++ {
				o.Path = filepath.Join(dir, fmt.Sprintf("%d.duckdb", i))
				s, err := ingest.Run(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				info, err := os.Stat(o.Path)
				if err != nil {
					b.Fatal(err)
				}
				rows, bytes, examples = rows+s.Rows, bytes+info.Size(), examples+s.Examples
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(examples)/b.Elapsed().Seconds(), "examples/s")
			b.ReportMetric(float64(bytes)/float64(examples)/1000, "kB/example")
		})
	}
}
