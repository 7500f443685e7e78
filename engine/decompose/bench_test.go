package decompose_test

import (
	"testing"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

// BenchmarkDecompose takes one example with a baseline through both sides of the default bases: query none, one
// direction, two directions; key none and one direction.
func BenchmarkDecompose(b *testing.B) {
	for _, size := range []struct {
		name                        string
		layer, heads, dModel, dHead int
	}{
		{name: "tiny", layer: 2, heads: 4, dModel: 32, dHead: 8},
		{name: "gpt2-small", layer: 10, heads: 12, dModel: 768, dHead: 64},
	} {
		b.Run(size.name, func(b *testing.B) {
			e := newExample(1, size.layer, size.heads, size.dModel, size.dHead, true)
			e.queryChoices, e.keyChoices, e.baseChoices = e.queryChoices[:3], e.keyChoices[:2], e.baseChoices[:2]
			in := input[float32](e)
			rows := 0
			for b.Loop() {
				out, err := decompose.Contributions(in)
				if err != nil {
					b.Fatal(err)
				}
				for _, t := range out.Tables {
					rows += len(t.Score)
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(len(schema.Quadrants())*2), "numbers/row")
		})
	}
}
