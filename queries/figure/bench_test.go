package figure_test

import (
	"io"
	"testing"

	"ducklens/queries/figure"
)

// The sizes of GPT-2 small: a heatmap of one panel, and of four quadrants in three frames; 1200 prompts; all
// pairs below layer 10.
func BenchmarkFigure(b *testing.B) {
	for name, s := range map[string]sample{
		"heatmap_1panel":   grid{heads: 12, stop: 10}.sample(),
		"heatmap_12panels": grid{heads: 12, stop: 10, facets: quadrants, frames: baselines}.sample(),
		"histogram_7x1200": substitutions(1200, nil),
		"bar_40":           pairs(40),
		"matrix_4x143x143": pairMap(12, 10, quadrants, nil),
	} {
		q, r := s.query, s.result
		f := made(b, s)
		rows := float64(len(r.Rows))
		b.Run("New/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := figure.New(q, r); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
		b.Run("SVG/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := f.WriteSVG(io.Discard, figure.Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
		b.Run("PDF/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := f.WritePDF(io.Discard, figure.Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
		b.Run("PNG200dpi/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := f.WritePNG(io.Discard, figure.Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
