package engine

import (
	"errors"
	"fmt"
	"strings"

	"ducklens/internal/advice"
	"ducklens/schema"
)

var (
	// ErrOptions is returned for options that no model can satisfy.
	ErrOptions = errors.New("invalid options")
	// ErrUnknownHead is returned for a target head that the model does not have.
	ErrUnknownHead = errors.New("unknown head")
	// ErrBasis is returned for a basis that does not exist for a target head or a prompt.
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

// advise returns the error that format makes, which may wrap others with %w, with a hint.
func advise(hint, format string, args ...any) error {
	return advice.Add(fmt.Errorf(format, args...), hint)
}

// Brief returns the text of an [ErrPrompt] without the list of tokens and without what all such errors begin
// with.
func Brief(err error) string {
	text := strings.TrimPrefix(err.Error(), ErrPrompt.Error()+": ")
	before, _, found := strings.Cut(text, "tokens: 0 \"")
	if !found {
		return text
	}
	if why, listed := strings.CutSuffix(before, "; "); listed {
		return why
	}
	return before + "tokens"
}

// An optionsError is an [ErrOptions] that says which option is wrong and what it may be. Its message does not
// repeat that the option is invalid.
type optionsError struct{ error }

func (e optionsError) Unwrap() error        { return e.error }
func (e optionsError) Is(target error) bool { return target == ErrOptions }

// invalid returns an optionsError.
func invalid(format string, args ...any) error { return optionsError{fmt.Errorf(format, args...)} }

// ClosureError says on which example and head contributions do not add up to the score. It is an
// [ErrClosure].
type ClosureError struct {
	Example int // index of the example
	Head    schema.Head
	Logits  bool // the logits do not add up, instead of the head's scores
	// Residual is |score - sum of contributions| / [schema.ClosureScale]; NaN if a number is not finite.
	Residual  float64
	Tolerance float64 // largest residual allowed
}

func (e *ClosureError) Error() string {
	if e.Logits {
		return fmt.Sprintf("example %d: %v: direct effects miss a logit by %.3g of it, want at most %g",
			e.Example, ErrClosure, e.Residual, e.Tolerance)
	}
	return fmt.Sprintf("example %d, head %s: %v: relative residual %.3g, want at most %g", e.Example, e.Head,
		ErrClosure, e.Residual, e.Tolerance)
}

// Is reports whether target is [ErrClosure].
func (e *ClosureError) Is(target error) bool { return target == ErrClosure }

// Hint says what to look at.
func (e *ClosureError) Hint() string {
	if e.Residual != e.Residual {
		return "a NaN or an infinity: the weights, or the activations in float32; try precision float64"
	}
	return "rounding, if precision float64 makes it go away; a fault of ducklens otherwise: please report it"
}
