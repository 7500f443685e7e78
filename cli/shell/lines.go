package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/peterh/liner"
)

// Script gives the lines of a text.
func Script(r io.Reader) Lines { return &script{bufio.NewReader(r)} }

type script struct{ r *bufio.Reader }

func (s *script) Line(ctx context.Context, _ string) (string, error) {
	return wait(ctx, func() (string, error) {
		line, err := s.r.ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err
	})
}

func (*script) Remember(string)    {}
func (*script) Complete(Completer) {}

// wait calls read and gives up waiting for it when ctx is over.
func wait(ctx context.Context, read func() (string, error)) (string, error) {
	type outcome struct {
		line string
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		line, err := read()
		done <- outcome{line, err}
	}()
	select {
	case out := <-done:
		return out.line, out.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Terminal reads the terminal that is the standard input and output of the process. Close gives it back as it was.
type Terminal struct {
	state   *liner.State
	history *History
	warn    io.Writer
}

var _ Lines = (*Terminal)(nil)

// NewTerminal makes the terminal ready. What is remembered is kept in history; where that does not work, warn is told, once.
func NewTerminal(history *History, warn io.Writer) *Terminal {
	t := &Terminal{liner.NewLiner(), history, warn}
	t.state.SetCtrlCAborts(true)
	t.state.SetMultiLineMode(true)
	t.state.SetTabCompletionStyle(liner.TabPrints)
	entries, err := history.Load()
	t.tell(err)
	for _, e := range entries {
		t.state.AppendHistory(e)
	}
	return t
}

// Close gives the terminal back.
func (t *Terminal) Close() error { return t.state.Close() }

// Line reads a line that is edited.
func (t *Terminal) Line(ctx context.Context, prompt string) (string, error) {
	line, err := wait(ctx, func() (string, error) { return t.state.Prompt(prompt) })
	if errors.Is(err, liner.ErrPromptAborted) {
		return "", ErrAborted
	}
	return line, err
}

// Remember adds an entry to the history, here and in its file. One of several lines is as many entries.
func (t *Terminal) Remember(entry string) {
	for line := range strings.Lines(entry) {
		line = strings.TrimRight(line, "\r\n")
		t.state.AppendHistory(line)
		t.tell(t.history.Append(line))
	}
}

// Complete completes words at the tab key.
func (t *Terminal) Complete(c Completer) {
	t.state.SetWordCompleter(func(line string, pos int) (string, []string, string) {
		runes := []rune(line)
		head, words := c(string(runes[:pos]))
		return head, words, string(runes[pos:])
	})
}

// tell says once that the history is not kept.
func (t *Terminal) tell(err error) {
	if err == nil || t.warn == nil {
		return
	}
	fmt.Fprintf(t.warn, "ducklens: no history is kept: %v\n", err)
	t.warn = nil
}
