package advice_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"ducklens/internal/advice"
)

func TestAdvice(t *testing.T) {
	t.Parallel()
	inner := advice.Add(io.EOF, "read less")
	outer := advice.Add(fmt.Errorf("open: %w", inner), "open another")
	for _, c := range []struct {
		err        error
		text, want string
	}{
		{inner, "EOF", "read less"},
		{fmt.Errorf("open: %w", inner), "open: EOF", "read less"},
		{outer, "open: EOF", "open another"},
		{errors.Join(io.ErrClosedPipe, inner), "io: read/write on closed pipe\nEOF", "read less"},
		{io.EOF, "EOF", ""},
		{nil, "", ""},
	} {
		if got := advice.Of(c.err); got != c.want || c.err != nil && c.err.Error() != c.text {
			t.Errorf("%v: advice %q, want %q", c.err, got, c.want)
		}
	}
	if !errors.Is(outer, io.EOF) {
		t.Error("the error is not found behind its advice")
	}
}
