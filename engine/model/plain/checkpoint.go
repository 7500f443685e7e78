package plain

import (
	"fmt"

	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
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
	return func(name string) ([]int, []float64, error) {
		v, err := c.Tensor(name)
		if err != nil {
			return nil, nil, fmt.Errorf("plain: %w", err)
		}
		return v.Shape, checkpoint.Values[float64](v), nil
	}
}
