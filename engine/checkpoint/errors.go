package checkpoint

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Reasons for which a model is refused, here and where its configuration is read.
var (
	// ErrNoCheckpoint: there is no model at the path, or its configuration or weights are missing.
	ErrNoCheckpoint = errors.New("no model")
	// ErrConfig: the configuration cannot be read, or a value in it is missing or out of range.
	ErrConfig = errors.New("invalid model configuration")
	// ErrUnsupported: the model, or the form in which it is stored, cannot be read exactly.
	ErrUnsupported = errors.New("unsupported model")
	// ErrFormat: a weight file is damaged, truncated or hostile.
	ErrFormat = errors.New("damaged weight file")
	// ErrTensor: a tensor is missing, unknown, or of a shape or type that does not fit the configuration.
	ErrTensor = errors.New("tensors do not fit the configuration")
)

// fault returns an error of the given kind: errors.Is finds the kind, the text is the message followed by
// what the message wraps.
func fault(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %w", kind, fmt.Errorf(format, args...))
}

// SomeOf joins names for a message, but at most three of them.
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
