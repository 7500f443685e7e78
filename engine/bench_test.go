package engine_test

import (
	"testing"

	"ducklens/engine"
)

// BenchmarkAnalyze takes 50 prompts of about 17 tokens through model and decomposition with the default
// bases, and through everything there is.
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
