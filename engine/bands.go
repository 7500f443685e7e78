package engine

import (
	"math"

	"ducklens/engine/decompose"
	"ducklens/internal/advice"
	"ducklens/schema"
)

// checkRotary returns an error if scores are to be split by bands and the model has no rotary embedding.
func (e *Engine) checkRotary() error {
	if !e.options.Rotary {
		return nil
	}
	for l := range e.spec.Layers {
		if e.spec.RotaryOf(l).Dims > 0 {
			return nil
		}
	}
	return advice.Add(invalid("bands of rotary embedding: %s has no rotary embedding", e.description.Name),
		"where positions are learned, W_pos is a component: its pairs say what positions give to a score")
}

// bands splits the scores of a head by the pairs of dimensions that rotary embedding turns together. It
// leaves out a baseline that is the mean of many keys, because it has no single position.
func (p *pass[T]) bands(in *decompose.Input[T], x *schema.Example, head schema.Head) ([]schema.Band, error) {
	key, err := decompose.RotaryBands(&in.Query, &in.Key, in.AttnScale)
	if err != nil {
		return nil, err
	}
	var baseline *decompose.Bands
	if x.Baseline != schema.NoPosition {
		b, err := decompose.RotaryBands(&in.Query, in.Baseline, in.AttnScale)
		if err != nil {
			return nil, err
		}
		baseline = &b
	}
	r := p.engine.spec.RotaryOf(head.Layer)
	var frequencies []float64
	if r.Dims > 0 {
		frequencies = r.FrequenciesOf(len(x.Tokens))
	}
	nan := float32(math.NaN())
	var list []schema.Band
	for i, score := range key.Score {
		b := schema.Band{Pair: i, Wavelength: math.NaN(), Score: float32(score),
			Content: float32(key.Content[i]), Baseline: nan, BaselineContent: nan}
		switch {
		case i == len(frequencies):
			b.Pair = -1
		case frequencies[i] != 0:
			b.Wavelength = 2 * math.Pi / frequencies[i]
		}
		if baseline != nil {
			b.Baseline, b.BaselineContent = float32(baseline.Score[i]), float32(baseline.Content[i])
		}
		list = append(list, b)
	}
	if r.Dims == p.engine.spec.DHead { // all dimensions turn
		list = list[:len(frequencies)]
	}
	return list, nil
}
