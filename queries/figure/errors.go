package figure

import (
	"errors"
	"fmt"
	"strings"
)

// What can be wrong with a result, or with the options for drawing it; see [Error].
var (
	ErrMark      = errors.New("mark cannot be drawn")         // a table, a scalar or an unknown chart
	ErrEmpty     = errors.New("result is empty")              // no rows
	ErrUndefined = errors.New("shares of 0")                  // see [queries.Result.Undefined]
	ErrColumn    = errors.New("column does not fit")          // missing, or of a type that the mark cannot use
	ErrValue     = errors.New("value cannot be drawn")        // NULL, NaN or infinite
	ErrDuplicate = errors.New("cell is given more than once") // two rows for one cell
	ErrAxis      = errors.New("axis cannot be made")          // one place with two names, or too many places
	ErrTitle     = errors.New("title cannot be filled in")    // {column} that varies or does not exist
	ErrOptions   = errors.New("options make no picture")      // a size or a theme that is none
)

// Error says why a result does not fit the mark of its query. It wraps one of the errors of this package.
type Error struct {
	Query  string // name of the saved query
	Err    error
	Detail string   // what was found and what was wanted
	Rows   []string // the offending rows as text, at most maxRows of them
	hint   string
}

// maxRows is the maximum number of offending rows that an [Error] shows.
const maxRows = 5

// Error names the query and shows the rows, one on each line.
func (e *Error) Error() string {
	text := e.Detail
	if e.Query != "" {
		text = "figure of " + e.Query + ": " + text
	}
	if len(e.Rows) > 0 {
		text += ":\n  " + strings.Join(e.Rows, "\n  ")
	}
	return text
}

// optionsError returns an [ErrOptions].
func optionsError(format string, args ...any) error {
	return &Error{Err: ErrOptions, Detail: fmt.Sprintf(format, args...)}
}

// Unwrap returns the kind of error.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do, or is empty.
func (e *Error) Hint() string { return e.hint }
