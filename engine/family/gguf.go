package family

import (
	"ducklens/engine/checkpoint"
)

func openGGUF(c *checkpoint.Checkpoint) (*Model, error) {
	return nil, fault(checkpoint.ErrUnsupported, "GGUF is not read yet")
}
