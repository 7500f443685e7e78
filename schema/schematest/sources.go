package schematest

import (
	"math"
	"slices"

	"ducklens/schema"
)

// AddSources splits the whole contributions of the first two heads of layer 0 by position, and the scores
// into the bands of a model without rotation. Baselines are those of the example.
func AddSources(run schema.Run, results []schema.Result) []schema.Result {
	layout := Layout(run.Model)
	whole := func(side schema.Side) int {
		return slices.IndexFunc(run.Bases,
			func(b schema.Basis) bool { return b.Side == side && b.Kind == schema.Whole })
	}
	for i := range results {
		e := &results[i].Example
		for j := range results[i].Heads {
			h := &results[i].Heads[j]
			for _, c := range h.Contributions {
				if c.QueryBasis != whole(schema.Query) || c.KeyBasis != whole(schema.Key) {
					continue
				}
				if h.Head.Layer == 0 || c.Component != layout.Head(schema.Head{}) &&
					c.Component != layout.Head(schema.Head{Index: 1}) {
					continue
				}
				last := e.Query
				if c.Side == schema.Key {
					last = max(e.Key, e.Baseline)
				}
				s := schema.SourceSplit{Side: c.Side, Component: c.Component,
					Score: shares(c.Score[schema.PerpPerp], last+1)}
				if e.Baseline != schema.NoPosition {
					s.Baseline = shares(c.Baseline[schema.PerpPerp], last+1)
				}
				h.Sources = append(h.Sources, s)
			}
			h.Bands = []schema.Band{{Pair: -1, Wavelength: math.NaN(), Score: h.Score.Score,
				Content:  h.Score.Score,
				Baseline: h.Score.Baseline, BaselineContent: h.Score.Baseline}}
		}
	}
	return results
}

// shares returns n numbers that add up to a sum.
func shares(sum float32, n int) []float32 {
	list := make([]float32, n)
	for i := range n - 1 {
		list[i] = sum/2 - float32(i)
		sum -= list[i]
	}
	list[n-1] = sum
	return list
}

func (w *writer) sources(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, s := range h.Sources {
			for i, score := range s.Score {
				var baseline any
				if s.Baseline != nil {
					baseline = s.Baseline[i]
				}
				if err := add(r.Example.Index, w.headID(h.Head), s.Side.String(), w.component(s.Component),
					s.First+i, score, baseline); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *writer) bands(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, b := range h.Bands {
			var pair any
			if b.Pair >= 0 {
				pair = b.Pair
			}
			if err := add(r.Example.Index, w.headID(h.Head), pair, float32(b.Wavelength), b.Score, b.Content,
				b.Baseline, b.BaselineContent); err != nil {
				return err
			}
		}
	}
	return nil
}
