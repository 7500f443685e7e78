package decompose_test

import (
	"fmt"
	"testing"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// BenchmarkDecompose takes one example with a baseline through both sides of the default bases: query none,
// one direction, two directions; key none and one direction.
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

// BenchmarkBeyond takes one example of GPT-2 small's size, with a baseline, through what is computed beside
// contributions.
func BenchmarkBeyond(b *testing.B) {
	e := newExample(1, 10, 12, 768, 64, true)
	e.queryChoices, e.keyChoices, e.baseChoices = e.queryChoices[:3], e.keyChoices[:2], e.baseChoices[:2]
	in := input[float32](e)
	engine := tensor.WithEngine(blas.Engine{Provider: provider(b), Threads: 1})
	for _, t := range []**tensor.Dense{&in.Query.Components, &in.Key.Components, &in.Baseline.Components, &in.Maps.WQ, &in.Maps.WK} {
		*t = tensor.New(tensor.WithShape((*t).Shape()...), tensor.WithBacking((*t).Data()), engine)
	}
	set, err := decompose.AllFactors(in)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("factors", func(b *testing.B) {
		for b.Loop() {
			if _, err := decompose.AllFactors(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(fmt.Sprintf("pairs/%dx%dx64", len(set.Query.Rows)+1, len(set.Key.Rows)+1), func(b *testing.B) {
		p, s, out := provider(b), decompose.PairSpace[float32]{}, [][4]float32(nil)
		for b.Loop() { // as a run does it: one product, and three tables of it
			if err := s.Multiply(p, 0.125, set.Query, set.Key); err != nil {
				b.Fatal(err)
			}
			for _, bases := range [][2]int{{0, 0}, {1, 1}, {2, 1}} {
				out = s.Split(out, bases[0], bases[1])
			}
		}
	})
	b.Run("substitutions/12", func(b *testing.B) {
		row := make([]float32, 17)
		for b.Loop() {
			s, err := decompose.NewSubstitution(in, row, 3)
			if err != nil {
				b.Fatal(err)
			}
			for range 7 {
				if _, err := s.Query(in.Query.Stream); err != nil {
					b.Fatal(err)
				}
			}
			for range 5 {
				if _, err := s.Key(in.Key.Stream, in.Baseline.Stream); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("projections", func(b *testing.B) {
		for b.Loop() {
			toKey, toBaseline, err := decompose.QueryLinear(in)
			if err != nil {
				b.Fatal(err)
			}
			diff := toKey.Minus(toBaseline)
			for _, basis := range in.QueryBases[1:] {
				decompose.Project(ln, basis, in.Query.Stream, toKey.Map)
				decompose.Project(ln, basis, in.Query.Stream, diff.Map)
			}
		}
	})
}

// BenchmarkNull takes one example of GPT-2 small's size through contributions with 20 pairs of random
// directions beside the default bases.
func BenchmarkNull(b *testing.B) {
	e := newExample(1, 10, 12, 768, 64, true)
	for range 20 {
		for _, list := range []*[]choice{&e.queryChoices, &e.keyChoices, &e.baseChoices} {
			*list = append(*list, choice{kind: schema.Subspace, directions: e.query.components[len(*list) : len(*list)+1]})
		}
	}
	in := input[float32](e)
	for i := range 4 {
		for j := range 4 {
			in.Pairs = append(in.Pairs, [2]int{i, j})
		}
	}
	for i := 4; i < len(in.QueryBases); i++ {
		in.Pairs = append(in.Pairs, [2]int{i, i})
	}
	for b.Loop() {
		if _, err := decompose.Contributions(in); err != nil {
			b.Fatal(err)
		}
	}
}
