package prompts

import (
	"errors"
	"fmt"
	"strconv"
)

// fault is an error about the content of a file, in terms of the file format.
type fault struct {
	kind  error  // ErrFormat, ErrRecord, ...
	at    string // place in the file, such as "line 3, column 14"; "": the whole file
	words string
	hint  string
	cause error // the error of a library, whose text is not shown; may be nil
}

func (f *fault) Error() string {
	if f.at == "" {
		return f.words
	}
	return f.at + ": " + f.words
}

func (f *fault) Unwrap() []error {
	if f.cause == nil {
		return []error{f.kind}
	}
	return []error{f.kind, f.cause}
}

// Hint returns advice for the user, or "".
func (f *fault) Hint() string { return f.hint }

func (f *fault) advise(hint string) *fault  { f.hint = hint; return f }
func (f *fault) because(cause error) *fault { f.cause = cause; return f }
func (f *fault) where(at string) *fault     { f.at = at; return f }
func badFile(format string, args ...any) *fault {
	return &fault{kind: ErrFormat, words: fmt.Sprintf(format, args...)}
}

func badRecord(format string, args ...any) *fault {
	return &fault{kind: ErrRecord, words: fmt.Sprintf(format, args...)}
}

// placed adds the place to a fault that has none.
func placed(err error, at string) error {
	var f *fault
	if errors.As(err, &f) && f.at == "" {
		return f.where(at)
	}
	return bare(err)
}

// elsewhere is an error that is not about the file that was being read.
type elsewhere struct{ error }

func (e elsewhere) Unwrap() error { return e.error }

// aboutFile adds the name of the file to an error about it.
func aboutFile(what, path string, err error) error {
	if errors.As(err, &elsewhere{}) {
		return err
	}
	return fmt.Errorf("%s %s: %w", what, path, err)
}

// clip shortens a text for an error.
func clip(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// clipped is clip with quotes.
func clipped(s string) string { return strconv.Quote(clip(s)) }
