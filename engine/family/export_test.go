package family

import "ducklens/engine/checkpoint"

// Configure reads a configuration without tensors.
func Configure(values checkpoint.Keys) (*Model, error) {
	_, m, err := configure(values)
	return m, err
}
