// Package shell is a prompt for SQL on a run file: statements that end with a semicolon and may run over several lines, and
// commands that begin with a dot. It reads a terminal, with history and completion, or any other text, which it
// takes for a script: the first fault ends that.
//
// Statements pass the gate and keep to the limits of package session. Text of the file is shown as text, whatever it holds.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"ducklens/queries"
	"ducklens/queries/output"
	"ducklens/queries/session"
)

// Options say what a shell works on. The functions and streams are needed.
type Options struct {
	Open   func(context.Context) (*session.Session, error)                                                          // the run file; again when a query could not be stopped
	Find   func(ctx context.Context, s *session.Session, name string) (queries.Query, error)                        // a saved query
	Saved  func(ctx context.Context, s *session.Session) []queries.Query                                            // all of them
	Plot   func(ctx context.Context, s *session.Session, q queries.Query, set map[string]string, path string) error // draws to a file
	Schema func(ctx context.Context, s *session.Session, w io.Writer, name string) error                            // documents the file, or what is called name
	Note   func(ctx context.Context, s *session.Session, q queries.Query, out io.Writer) error                      // says on out what is to be known about the answer
	Report func(error)                                                                                              // tells a person about an error

	Lines  Lines             // what is typed
	Out    io.Writer         // answers
	Notes  io.Writer         // what is said beside them
	Screen output.Options    // where Out goes
	Format output.Format     // of answers, until .mode changes it
	Set    map[string]string // values for the parameters of every query that has them

	// Interactive is for a person at a terminal: faults are told and the next line is read, an interrupt stops what is running,
	// and long tables are cut.
	Interactive bool
	Interrupts  <-chan os.Signal // each stops what is running; nil for none
}

// Lines gives what is typed, line by line.
type Lines interface {
	// Line reads a line, without its end. It gives io.EOF at the end, with or without a last line, and [ErrAborted]
	// when the person gave up the line.
	Line(ctx context.Context, prompt string) (string, error)
	// Remember puts something into the history.
	Remember(entry string)
	// Complete says who completes words.
	Complete(Completer)
}

// A Completer gives what the word before the cursor of a line may become: the line up to the word, and the words.
type Completer func(line string) (head string, words []string)

// ErrAborted says that a line was given up at the prompt.
var ErrAborted = errors.New("line given up")

// errQuit ends a shell as it should.
var errQuit = errors.New("quit")

// mostRows is how many rows of a table a person is shown.
const mostRows = 100

// The prompts: for a statement, and for its further lines.
const (
	firstPrompt = "ducklens> "
	nextPrompt  = "     ...> "
)

// shell is one that runs.
type shell struct {
	Options
	session *session.Session
	names   *names // nil until something is completed
	pending string // lines of a statement that is not ended
	line    int    // that was read last, from 1
}

// Run reads and answers until the end of the lines, .quit, or ctx is cancelled.
func Run(ctx context.Context, o Options) (err error) {
	sh := &shell{Options: o}
	if sh.session, err = o.Open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sh.session.Close()) }()
	o.Lines.Complete(func(line string) (string, []string) { return sh.complete(ctx, line) })
	for {
		prompt := firstPrompt
		if !blank(sh.pending) {
			prompt = nextPrompt
		}
		line, readErr := o.Lines.Line(ctx, prompt)
		if errors.Is(readErr, ErrAborted) {
			sh.pending = ""
			continue
		}
		ended := errors.Is(readErr, io.EOF)
		if readErr != nil && !ended {
			return readErr
		}
		sh.line++
		err := sh.take(ctx, line, ended)
		switch {
		case errors.Is(err, errQuit):
			return nil
		case err != nil && (!o.Interactive || ctx.Err() != nil):
			return err
		case err != nil:
			o.Report(err)
		}
		if ended {
			if o.Interactive {
				fmt.Fprintln(o.Notes) // the prompt stands there
			}
			return nil
		}
	}
}

// take does what a line asks for, or keeps it until its statement is whole; last is for the end of all lines, which ends a
// statement too.
func (sh *shell) take(ctx context.Context, line string, last bool) error {
	if trimmed := strings.TrimSpace(line); blank(sh.pending) && strings.HasPrefix(trimmed, ".") {
		sh.pending = ""
		sh.Lines.Remember(trimmed)
		return sh.guard(ctx, func(ctx context.Context) error { return sh.command(ctx, trimmed) })
	}
	if blank(sh.pending) {
		sh.pending = ""
	}
	first := sh.line - strings.Count(sh.pending, "\n")
	sh.pending += line + "\n"
	list, rest, restLine := queries.Statements(sh.pending)
	if last && !blank(rest) {
		more, open, _ := queries.Statements(rest + "\n;")
		for i := range more {
			more[i].Line += restLine - 1
		}
		if strings.TrimSpace(open) != "" {
			more = append(more, queries.Statement{SQL: open, Line: restLine}) // a quote or a comment without an end: parsing says which
		}
		list, rest = append(list, more...), ""
	}
	if len(rest) > queries.MaxLength {
		sh.pending = ""
		return fmt.Errorf("line %d: a statement of more than %d bytes", first+restLine-1, queries.MaxLength)
	}
	if len(list) > 0 {
		sh.Lines.Remember(oneLine(strings.TrimSpace(strings.TrimSuffix(sh.pending, rest))))
	}
	sh.pending = rest
	for _, s := range list {
		if err := sh.guard(ctx, func(ctx context.Context) error { return sh.statement(ctx, s.SQL, first+s.Line-1) }); err != nil {
			sh.pending = ""
			return err
		}
	}
	return nil
}

// guard runs f so that an interrupt stops it, and opens the file again where a query could not be stopped.
func (sh *shell) guard(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if sh.Interrupts != nil {
		for len(sh.Interrupts) > 0 {
			<-sh.Interrupts // one that came while nothing was running
		}
		over := make(chan struct{})
		defer close(over)
		go func() {
			select {
			case <-sh.Interrupts:
				cancel(ErrInterrupted)
			case <-over:
			}
		}()
	}
	err := f(ctx)
	if errors.Is(err, session.ErrAbandoned) {
		if sh.session, err = sh.Open(ctx); err == nil {
			err = f(ctx)
		}
	}
	if err != nil && errors.Is(context.Cause(ctx), ErrInterrupted) {
		return ErrInterrupted
	}
	return err
}

// ErrInterrupted says that a query was stopped by an interrupt.
var ErrInterrupted = errors.New("interrupted")

// statement runs SQL that begins on a line of what was typed.
func (sh *shell) statement(ctx context.Context, sql string, line int) error {
	if sh.Interactive {
		line = 1 // nobody counts what was typed before
	}
	q, err := queries.AdHoc(sql)
	var syntax *queries.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("SQL: %w", &queries.SyntaxError{Line: syntax.Line + line - 1, Problem: syntax.Problem})
	}
	if err != nil {
		return err
	}
	q.Line = line
	return sh.answer(ctx, q, sh.usual(q))
}

// usual gives the values of the shell for parameters of a query.
func (sh *shell) usual(q queries.Query) map[string]string {
	set := map[string]string{}
	for _, p := range q.Params {
		if v, ok := sh.Set[p.Name]; ok {
			set[p.Name] = v
		}
	}
	return set
}

// answer runs a query and shows the answer.
func (sh *shell) answer(ctx context.Context, q queries.Query, set map[string]string) error {
	start := time.Now()
	result, err := sh.session.Run(ctx, q, set)
	if err != nil {
		return err
	}
	took := time.Since(start)
	rows := len(result.Rows)
	if sh.Interactive && sh.Format == output.Table && rows > mostRows {
		result.Rows = result.Rows[:mostRows]
	}
	if err := sh.Note(ctx, sh.session, q, sh.Notes); err != nil {
		return err
	}
	if err := output.Write(ctx, &stoppable{ctx, sh.Out}, sh.Format, result, sh.Screen); err != nil {
		return err
	}
	if !sh.Interactive {
		return nil
	}
	said := "1 row"
	if rows != 1 {
		said = fmt.Sprintf("%d rows", rows)
	}
	if len(result.Rows) < rows {
		said += fmt.Sprintf(", the first %d shown (.mode csv shows all)", len(result.Rows))
	}
	_, err = fmt.Fprintf(sh.Notes, "(%s, %s)\n", said, took.Round(time.Millisecond))
	return err
}

// stoppable is a writer that writes nothing more when ctx is over.
type stoppable struct {
	ctx context.Context
	w   io.Writer
}

func (s *stoppable) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}

// blank tells whether SQL has nothing but blanks, comments and semicolons.
func blank(sql string) bool {
	list, rest, _ := queries.Statements(sql + "\n;")
	return len(list) == 0 && strings.TrimSpace(rest) == ""
}

// oneLine writes a statement in one line for the history, where that is the same statement.
func oneLine(sql string) string {
	if strings.Contains(sql, "--") || strings.ContainsAny(sql, "'\"$") && strings.Contains(sql, "\n") && quotedLine(sql) {
		return sql
	}
	lines := strings.Split(sql, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, " ")
}

// quotedLine tells whether a line of SQL ends inside of a quote.
func quotedLine(sql string) bool {
	for i, c := range sql {
		if c != '\n' {
			continue
		}
		if _, rest, _ := queries.Statements(sql[:i] + "\n;"); strings.TrimSpace(rest) != "" {
			return true
		}
	}
	return false
}
