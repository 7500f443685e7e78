// Package advice gives an error a second line, which says what to do next. It stands apart from the error's
// text, because programs print it on a line of its own and callers may add to it.
//
// Any error may have advice: one with a method Hint() string. [Add] is for errors that have no type of their
// own.
package advice

import "errors"

// Add returns err with advice. [errors.Is] and [errors.As] see err behind it.
func Add(err error, advice string) error { return &advised{err, advice} }

// Of returns the advice of err: that of the first error in its tree that has a method Hint, or "".
func Of(err error) string {
	var advised interface{ Hint() string }
	if errors.As(err, &advised) {
		return advised.Hint()
	}
	return ""
}

type advised struct {
	error
	advice string
}

func (e *advised) Unwrap() error { return e.error }
func (e *advised) Hint() string  { return e.advice }
