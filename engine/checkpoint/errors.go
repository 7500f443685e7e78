package checkpoint

import (
	"errors"
	"fmt"
)

// The occasions on which [Open] and [Checkpoint.Tensor] refuse.
var (
	// ErrNoCheckpoint: the folder is missing, or lacks config.json or weights.
	ErrNoCheckpoint = errors.New("no GPT-2 checkpoint")
	// ErrConfig: config.json cannot be read, or a value in it is missing or out of range.
	ErrConfig = errors.New("invalid model configuration")
	// ErrUnsupported: the model is not a GPT-2, or uses a setting that changes the mathematics.
	ErrUnsupported = errors.New("unsupported model")
	// ErrFormat: a weight file is damaged, truncated or hostile.
	ErrFormat = errors.New("damaged weight file")
	// ErrTensor: a tensor is missing, unknown, or of a shape or type that the configuration does not call for.
	ErrTensor = errors.New("tensors do not fit the configuration")
)

// hinted is an error with advice for the user.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// Hint says what to do next.
func (e *hinted) Hint() string { return e.hint }

func withHint(hint string, err error) error { return &hinted{error: err, hint: hint} }

// fault is an error of the given kind: errors.Is finds the kind, the text is the message and, after it,
// whatever the message wraps.
func fault(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %w", kind, fmt.Errorf(format, args...))
}
