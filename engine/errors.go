package engine

import (
	"errors"
	"fmt"

	"ducklens/schema"
)

var (
	// ErrOptions is returned for options that no model can satisfy.
	ErrOptions = errors.New("invalid options")
	// ErrUnknownHead is returned for a target head that the model does not have.
	ErrUnknownHead = errors.New("unknown head")
	// ErrBasis is returned for a basis that a target head or a prompt cannot have.
	ErrBasis = errors.New("basis does not apply")
	// ErrMover is returned for mover heads that do not write before the target heads, or that have not been
	// chosen.
	ErrMover = errors.New("unusable mover head")
	// ErrSource is returned for sources that do not write before a target head, or that have not been chosen.
	ErrSource = errors.New("unusable source head")
	// ErrPrompt is returned for a prompt whose tokens or positions cannot be used.
	ErrPrompt = errors.New("unusable prompt")
	// ErrClosure is returned when contributions do not add up to the model's score. See [ClosureError].
	ErrClosure = errors.New("contributions do not add up to the score")
)

// hinted is an error with advice for the user, which is kept out of the message.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }
func (e *hinted) Hint() string  { return e.hint }

// advise adds a hint to the error that format makes, which may wrap others with %w.
func advise(hint, format string, args ...any) error {
	return &hinted{fmt.Errorf(format, args...), hint}
}

// An optionsError is an [ErrOptions] that says which option, and what it may be: that it is invalid goes without
// saying.
type optionsError struct{ error }

func (e optionsError) Unwrap() error        { return e.error }
func (e optionsError) Is(target error) bool { return target == ErrOptions }

// invalid makes an optionsError.
func invalid(format string, args ...any) error { return optionsError{fmt.Errorf(format, args...)} }

// ClosureError says on which example and head the contributions missed the score. It is an [ErrClosure].
type ClosureError struct {
	Example   int // index of the example
	Head      schema.Head
	Logits    bool    // it was in the logits, and not in the scores of the head
	Residual  float64 // |score - sum of contributions|, relative to max(1, |score|); NaN where a number is not finite
	Tolerance float64 // what it may be at most
}

func (e *ClosureError) Error() string {
	if e.Logits {
		return fmt.Sprintf("engine: example %d: %v: direct effects miss a logit by %.3g of it, want at most %g", e.Example, ErrClosure, e.Residual, e.Tolerance)
	}
	return fmt.Sprintf("engine: example %d, head %s: %v: relative residual %.3g, want at most %g", e.Example, e.Head, ErrClosure, e.Residual, e.Tolerance)
}

// Is makes a ClosureError an [ErrClosure].
func (e *ClosureError) Is(target error) bool { return target == ErrClosure }

// Hint says what to look at.
func (e *ClosureError) Hint() string {
	if e.Residual != e.Residual {
		return "a NaN or an infinity: the weights, or the activations in float32; try precision float64"
	}
	return "rounding, if precision float64 makes it go away; a fault of ducklens otherwise: please report it"
}
