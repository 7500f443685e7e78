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

// Script returns the lines of a text.
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

// wait calls read, and returns without its result when ctx is cancelled.
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

// Terminal reads from the terminal of the process's standard input and output. Close restores it.
type Terminal struct {
	state   *liner.State
	history *History
	warn    io.Writer
}

var _ Lines = (*Terminal)(nil)

// NewTerminal prepares the terminal. Entries are kept in history; the first error of it is written to warn.
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

// Close restores the terminal.
func (t *Terminal) Close() error { return t.state.Close() }

// Line reads a line, which the user can edit.
func (t *Terminal) Line(ctx context.Context, prompt string) (string, error) {
	line, err := wait(ctx, func() (string, error) { return t.state.Prompt(prompt) })
	if errors.Is(err, liner.ErrPromptAborted) {
		return "", ErrAborted
	}
	return line, err
}

// Remember adds an entry to the history, in memory and in its file. Several lines are several entries.
func (t *Terminal) Remember(entry string) {
	for line := range strings.Lines(entry) {
		line = strings.TrimRight(line, "\r\n")
		t.state.AppendHistory(line)
		t.tell(t.history.Append(line))
	}
}

// Complete sets the completer for the tab key.
func (t *Terminal) Complete(c Completer) {
	t.state.SetWordCompleter(func(line string, pos int) (string, []string, string) {
		runes := []rune(line)
		head, words := c(string(runes[:pos]))
		return head, words, string(runes[pos:])
	})
}

// tell reports the first error of the history.
func (t *Terminal) tell(err error) {
	if err == nil || t.warn == nil {
		return
	}
	fmt.Fprintf(t.warn, "ducklens: history is not kept: %v\n", err)
	t.warn = nil
}
