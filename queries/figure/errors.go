package figure

import (
	"errors"
	"strings"
)

// What can be wrong with a result or with the way in which it is asked to be drawn; see [Error].
var (
	ErrMark      = errors.New("mark cannot be drawn")         // the chart is a table, a scalar or not yet known
	ErrEmpty     = errors.New("result is empty")              // no rows
	ErrUndefined = errors.New("shares of 0")                  // see [queries.Result.Undefined]
	ErrColumn    = errors.New("column does not fit")          // missing, or not of the type that the mark needs
	ErrValue     = errors.New("value cannot be drawn")        // NULL, NaN or infinite
	ErrDuplicate = errors.New("cell is given more than once") // two rows for one cell
	ErrAxis      = errors.New("axis cannot be made")          // one place with two names, or too many places
	ErrTitle     = errors.New("title cannot be filled in")    // {column} that varies or does not exist
	ErrOptions   = errors.New("figure")                       // a size that makes no picture
)

// Error says why a result does not fit the mark of its query. Its Err is one of the errors of this
// package, for errors.Is.
type Error struct {
	Query  string // name of the saved query
	Err    error
	Detail string   // what was found and what was wanted
	Rows   []string // the offending rows, written out, at most maxRows of them
	hint   string
}

// maxRows is how many offending rows an [Error] shows.
const maxRows = 5

// Error names the query and shows the rows, one to a line.
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

// Unwrap gives the kind of fault.
func (e *Error) Unwrap() error { return e.Err }

// Hint advises what to do, or is empty.
func (e *Error) Hint() string { return e.hint }
