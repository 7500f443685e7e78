package cli

import (
	"errors"
	"io"
)

// closing closes c and joins its error to the function's result. Use it in a defer.
func closing(c io.Closer, err *error) {
	*err = errors.Join(*err, c.Close())
}
