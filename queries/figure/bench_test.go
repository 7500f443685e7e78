package figure_test

import (
	"io"
	"testing"

	"ducklens/queries/figure"
)

// The sizes of GPT-2 small: one panel, and four quadrants in three frames.
func BenchmarkFigure(b *testing.B) {
	for name, g := range map[string]grid{
		"1panel":   {heads: 12, stop: 10},
		"12panels": {heads: 12, stop: 10, facets: quadrants, frames: baselines},
	} {
		q, r := g.query(), g.result()
		f := mustNew(b, g)
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
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "cells/s")
		})
		b.Run("PNG200dpi/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := f.WritePNG(io.Discard, figure.Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "cells/s")
		})
	}
}
