package checkpoint

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The occasions on which a model is refused, here and where its configuration is read.
var (
	// ErrNoCheckpoint: there is no model at the path, or it lacks its configuration or its weights.
	ErrNoCheckpoint = errors.New("no model")
	// ErrConfig: the configuration cannot be read, or a value in it is missing or out of range.
	ErrConfig = errors.New("invalid model configuration")
	// ErrUnsupported: the model, or the way in which it is stored, is one that cannot be read exactly.
	ErrUnsupported = errors.New("unsupported model")
	// ErrFormat: a weight file is damaged, truncated or hostile.
	ErrFormat = errors.New("damaged weight file")
	// ErrTensor: a tensor is missing, unknown, or of a shape or type that the configuration does not call
	// for.
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

// WithHint adds advice for the user to an error: what to do next.
func WithHint(hint string, err error) error { return &hinted{error: err, hint: hint} }

// fault is an error of the given kind: errors.Is finds the kind, the text is the message and, after it,
// whatever the message wraps.
func fault(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %w", kind, fmt.Errorf(format, args...))
}

// SomeOf joins at most three names for a message.
func SomeOf(names []string) string {
	quoted := make([]string, 0, 3)
	for _, n := range names[:min(3, len(names))] {
		quoted = append(quoted, strconv.Quote(n))
	}
	s := strings.Join(quoted, ", ")
	if more := len(names) - len(quoted); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
