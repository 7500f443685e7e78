// Package shell is a prompt for SQL on a run file. It takes statements, which end with a semicolon and may
// have several lines, and commands, which begin with a dot. It reads from a terminal, with history and
// completion, or from any other text as a script, which ends at the first error.
//
// Statements pass the gate and the limits of package session. Text from the file is made printable.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/output"
	"ducklens/queries/session"
)

// Options are the inputs and outputs of a shell. The functions and streams are required.
type Options struct {
	// opens the run file; called again after a query that did not stop
	Open func(context.Context) (*session.Session, error)
	// a saved query
	Find func(ctx context.Context, s *session.Session, name string) (queries.Query, error)
	// all of them
	Saved func(ctx context.Context, s *session.Session) []queries.Query
	// draws to a file
	Plot func(ctx context.Context, s *session.Session, q queries.Query, set map[string]string,
		path string) error
	// documents the file, or the object called name
	Schema func(ctx context.Context, s *session.Session, w io.Writer, name string) error
	// writes notes about the answer
	Note func(ctx context.Context, s *session.Session, q queries.Query, out io.Writer) error
	// reports an error
	Report func(error)

	Lines  Lines             // input
	Out    io.Writer         // answers
	Notes  io.Writer         // everything else
	Screen output.Options    // the terminal that Out writes to
	Format output.Format     // of answers, until .mode changes it
	Set    map[string]string // parameters of every query that has them

	// Interactive is for a terminal: after an error the shell reads on, an interrupt stops the running query,
	// and long tables are cut.
	Interactive bool
	Interrupts  <-chan os.Signal // each stops the running query; nil for none

	// Patience is how long completion may take to read the names of a file; 0 is 2 seconds.
	Patience time.Duration
}

// Lines is the input of a shell, line by line.
type Lines interface {
	// Line reads a line without its end. At the end of input it returns io.EOF, possibly with a last line,
	// and [ErrAborted] if the user gave up the line.
	Line(ctx context.Context, prompt string) (string, error)
	// Remember adds an entry to the history.
	Remember(entry string)
	// Complete sets the completer of words.
	Complete(Completer)
}

// A Completer returns what the word before the cursor may become: the line up to the word, and the possible
// words.
type Completer func(line string) (head string, words []string)

// ErrAborted is returned when the user gave up a line.
var ErrAborted = errors.New("line given up")

// errQuit ends a shell without an error.
var errQuit = errors.New("quit")

// mostRows is the number of rows of a table that an interactive shell shows.
const mostRows = 100

// The prompts for a statement, and for its further lines.
const (
	firstPrompt = "ducklens> "
	nextPrompt  = "     ...> "
)

// shell is a running shell.
type shell struct {
	Options
	session *session.Session
	names   *names // nil until something is completed
	pending string // lines of an unfinished statement
	line    int    // number of the last line, from 1
}

// Run runs the shell until the input ends, .quit, or ctx is cancelled.
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
				fmt.Fprintln(o.Notes) // end the line of the prompt
			}
			return nil
		}
	}
}

// take runs a line, or keeps it until its statement is complete. last marks the end of input, which ends a
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
			// an unclosed quote or comment: the parser reports which
			more = append(more, queries.Statement{SQL: open, Line: restLine})
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
		if err := sh.guard(ctx,
			func(ctx context.Context) error { return sh.statement(ctx, s.SQL, first+s.Line-1) }); err != nil {
			sh.pending = ""
			return err
		}
	}
	return nil
}

// guard runs f so that an interrupt stops it. It opens the file again if a query did not stop.
func (sh *shell) guard(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if sh.Interrupts != nil {
		for len(sh.Interrupts) > 0 {
			<-sh.Interrupts // drop one that came while nothing was running
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

// ErrInterrupted is returned when an interrupt stopped a query.
var ErrInterrupted = errors.New("interrupted")

// statement runs SQL that begins on a line of the input.
func (sh *shell) statement(ctx context.Context, sql string, line int) error {
	if sh.Interactive {
		line = 1 // users do not count the lines that they typed before
	}
	q, err := queries.AdHoc(sql)
	var syntax *queries.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("SQL: %w",
			&queries.SyntaxError{Line: syntax.Line + line - 1, Problem: syntax.Problem})
	}
	if err != nil {
		return err
	}
	q.Line = line
	err = sh.answer(ctx, q, sh.usual(q))
	if word := strings.TrimSpace(sql); err != nil && !strings.ContainsAny(word, " \t\n(.") {
		if _, unknown := sh.Find(ctx, sh.session, word); unknown == nil {
			return advice.Add(err, ".run "+word+" answers the saved query of this name")
		}
	}
	return err
}

// usual returns those of the shell's parameters that a query has.
func (sh *shell) usual(q queries.Query) map[string]string {
	set := map[string]string{}
	for _, p := range q.Params {
		if v, ok := sh.Set[p.Name]; ok {
			set[p.Name] = v
		}
	}
	return set
}

// answer runs a query and prints the answer.
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

// stoppable is a writer that stops writing when ctx is cancelled.
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

// blank reports whether SQL has only blanks, comments and semicolons.
func blank(sql string) bool {
	list, rest, _ := queries.Statements(sql + "\n;")
	return len(list) == 0 && strings.TrimSpace(rest) == ""
}

// oneLine joins the lines of a statement for the history, if that does not change its meaning.
func oneLine(sql string) string {
	if strings.Contains(sql, "--") || strings.ContainsAny(sql, "'\"$") && strings.Contains(sql, "\n") &&
		quotedLine(sql) {
		return sql
	}
	lines := strings.Split(sql, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, " ")
}

// quotedLine reports whether a line of SQL ends inside a quote.
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
