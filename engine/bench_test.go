package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"ducklens/engine"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// BenchmarkAnalyze runs 50 prompts of about 17 tokens through model and decomposition with the default bases,
// and with all options.
func BenchmarkAnalyze(b *testing.B) {
	dir := modelFolder(b)
	examples := referenceExamples(b)
	for _, c := range []struct {
		name    string
		options engine.Options
	}{
		{"tiny", head(b, engine.Options{})},
		{"tiny-all-heads", engine.Options{}},
		{"tiny-attention", engine.Options{AttentionOnly: true}},
		{"tiny-everything", everything(b, engine.Options{})},
		{"tiny-null-20", head(b, engine.Options{NullBases: 20})},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := open(b, dir, c.options)
			rows, tokens := 0, 0
			for b.Loop() {
				for _, r := range analyze(b, e, examples) {
					tokens += r.Example.Query + 1
					for _, h := range r.Heads {
						rows += len(h.Contributions)
					}
				}
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkDocument runs the first 600 tokens of a document through the pretrained model beside the checkout:
// the three keys of every query that get most attention from head 24.4, unsplit, and what all heads do on it.
func BenchmarkDocument(b *testing.B) {
	path := filepath.Join(refdata.Models(b), "smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf")
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		options engine.Options
	}{
		{"top3", engine.Options{Heads: []schema.Head{{Layer: 24, Index: 4}}, QueryBases: []string{"none"}, KeyBases: []string{"none"},
			Baseline: schema.BaselineNone, Edges: []schema.EdgeRule{{Name: schema.EdgeTop, Count: 3}}}},
		{"heads", engine.Options{AttentionOnly: true, Measures: true, Edges: []schema.EdgeRule{{Name: schema.EdgeSample, Count: 10}}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := open(b, path, c.options)
			x, err := e.Example(schema.Prompt{Text: string(text[:6000])})
			if err != nil {
				b.Fatal(err)
			}
			x.Tokens = x.Tokens[:600]
			edges := 0
			for b.Loop() {
				err := e.Stream(b.Context(), []schema.Example{x}, func(_ int, part schema.PromptResult) error {
					edges += len(part.Examples)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(x.Tokens))/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(float64(edges)/b.Elapsed().Seconds(), "edges/s")
		})
	}
}
