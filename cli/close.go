package cli

import (
	"errors"
	"io"
)

// closing closes c at the end of a function and joins its error to the function's own.
func closing(c io.Closer, err *error) {
	*err = errors.Join(*err, c.Close())
}
