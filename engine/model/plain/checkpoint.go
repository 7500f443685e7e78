package plain

import (
	"fmt"

	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
	"ducklens/engine/model"
)

// Open loads the model in a checkpoint as its family's page says.
func Open(c *checkpoint.Checkpoint) (*Model, error) {
	f, err := family.Open(c)
	if err != nil {
		return nil, err
	}
	return Load(Stored(c), f.Spec, f.Sources)
}

// Stored reads the tensors of a checkpoint.
func Stored(c *checkpoint.Checkpoint) Read {
	return func(src model.Source) ([]int, []float64, error) {
		if src.Scales != "" {
			v, err := c.MXFP4(src.Tensor, src.Scales, src.Expert)
			return v.Shape, checkpoint.Values[float64](v), err
		}
		v, err := c.Tensor(src.Tensor)
		if err != nil {
			return nil, nil, fmt.Errorf("plain: %w", err)
		}
		if src.Experts > 0 {
			v = v.Rows(src.Expert, src.Expert+1)
			v.Shape = v.Shape[1:]
		}
		return v.Shape, checkpoint.Values[float64](v), nil
	}
}
