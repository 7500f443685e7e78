package shell_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ducklens/cli/shell"
	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/schematest"
)

// typed plays a person: it gives lines, keeps what is remembered, and asks for completions before a line.
type typed struct {
	lines      []string // "^C" is one given up
	before     func(i int)
	remembered []string
	prompts    []string
	completer  shell.Completer
	next       int
}

func (l *typed) Line(_ context.Context, prompt string) (string, error) {
	l.prompts = append(l.prompts, prompt)
	if l.next == len(l.lines) {
		return "", io.EOF
	}
	if l.before != nil {
		l.before(l.next)
	}
	l.next++
	if line := l.lines[l.next-1]; line != "^C" {
		return line, nil
	}
	return "", shell.ErrAborted
}

func (l *typed) Remember(entry string)      { l.remembered = append(l.remembered, entry) }
func (l *typed) Complete(c shell.Completer) { l.completer = c }

// file makes a run file, with a name that has a terminal's escape in it.
func file(t *testing.T) string {
	t.Helper()
	db := schematest.NewDB(t)
	schematest.Synthetic(t, db, 1, 2, schema.Head{Layer: 1, Index: 1})
	if _, err := db.SQL().ExecContext(t.Context(), "CREATE TABLE \"bad\x1b[31m\" AS SELECT 1 AS x; CREATE TABLE \"two words\" AS SELECT 1 AS \"Y\""); err != nil {
		t.Fatal(err)
	}
	var path string
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT path FROM duckdb_databases() WHERE NOT internal").Scan(&path); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "run.duckdb")
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// options are those of a shell on a file, and where it writes to.
func options(path string) (o shell.Options, out, notes *bytes.Buffer, opened *int) {
	out, notes, opened = new(bytes.Buffer), new(bytes.Buffer), new(int)
	return shell.Options{
		Patience: time.Minute, // other tests run beside these
		Open: func(ctx context.Context) (*session.Session, error) {
			*opened++
			return session.Open(ctx, path, session.Options{})
		},
		Find: func(_ context.Context, _ *session.Session, name string) (queries.Query, error) {
			return queries.Find(queries.Embedded(), name)
		},
		Saved:  func(context.Context, *session.Session) []queries.Query { return queries.Embedded() },
		Plot:   func(context.Context, *session.Session, queries.Query, map[string]string, string) error { return nil },
		Note:   func(context.Context, *session.Session, queries.Query, io.Writer) error { return nil },
		Schema: func(context.Context, *session.Session, io.Writer, string) error { return nil },
		Report: func(err error) { fmt.Fprintln(notes, "fault:", err) },
		Out:    out, Notes: notes,
	}, out, notes, opened
}

// TestPerson holds that a person goes on after a fault, may give up a statement, and has it back whole from
// the history.
func TestPerson(t *testing.T) {
	t.Parallel()
	o, out, notes, _ := options(file(t))
	lines := &typed{lines: []string{
		"SELECT", "  1 AS one", ";", "SELECT nope;", "SELECT (", "^C", "", "-- just a comment", ".mode csv", "SELECT 'a", "b' AS two;", "SELECT 3 AS three -- why", ";", ".nothing", "SELECT 'no end",
	}}
	o.Lines, o.Interactive = lines, true
	if err := shell.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantRemembered := []string{"SELECT 1 AS one ;", "SELECT nope;", ".mode csv", "SELECT 'a\nb' AS two;", "SELECT 3 AS three -- why\n;", ".nothing", "SELECT 'no end"}
	if diff := cmp.Diff(wantRemembered, lines.remembered); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	for _, want := range []string{"one\n", "two\n\"a\nb\"\n", "three\n3\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("answers\n%s\nwant %q in them", out, want)
		}
	}
	for _, want := range []string{"fault: SQL line 1, column 8", `fault: no command ".nothing"`, "(1 row, "} {
		if !strings.Contains(notes.String(), want) {
			t.Errorf("notes\n%s\nwant %q in them", notes, want)
		}
	}
	if got, want := strings.Join(lines.prompts[:4], "|"), "ducklens> |     ...> |     ...> |ducklens> "; got != want {
		t.Errorf("prompts %q, want %q", got, want)
	}
}

// TestInterrupt holds that an interrupt stops what runs and not the shell, also a call that does not stop
// when it is told to, and that an interrupt while nothing runs is forgotten.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	o, out, notes, opened := options(file(t))
	interrupts := make(chan os.Signal, 1)
	var sent, again time.Time
	lines := &typed{lines: []string{
		"SELECT 1 AS first;",
		"SELECT count(*) FROM range(1000000000) a, range(1000000000) b;",
		"SELECT length(repeat('abc', 400000000)) + length(regexp_replace(repeat('a', 300000000), 'a', 'bb', 'g'));",
		"SELECT 42 AS last;",
	}}
	var took []time.Duration
	lines.before = func(i int) {
		if again = time.Now(); !sent.IsZero() {
			took = append(took, again.Sub(sent))
		}
		sent = time.Time{}
		switch i {
		case 0:
			interrupts <- os.Interrupt // nothing runs
		case 1, 2:
			time.AfterFunc(300*time.Millisecond, func() { sent = time.Now(); interrupts <- os.Interrupt })
		}
	}
	o.Lines, o.Interactive, o.Interrupts = lines, true, interrupts
	if err := shell.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(notes.String(), "fault: interrupted"); got != 2 || len(took) != 2 {
		t.Errorf("%d interrupted and %d measured, want 2 of each\n%s", got, len(took), notes)
	}
	for _, d := range took {
		// Two hundred milliseconds are promised; a busy machine may take longer.
		if d > 5*time.Second {
			t.Errorf("it stopped after %v", d)
		}
	}
	t.Logf("stopped after %v; the file was opened %d times", took, *opened)
	if !strings.Contains(out.String(), "first") || !strings.Contains(out.String(), "42") {
		t.Errorf("answers\n%s\nwant the first and the last", out)
	}
}

// TestScriptEnds holds that the first fault ends a script, and that a cancelled context does.
func TestScriptEnds(t *testing.T) {
	t.Parallel()
	path := file(t)
	o, out, _, _ := options(path)
	o.Lines = shell.Script(strings.NewReader("SELECT 1 AS x;\nSELECT 2 AS y; SELEC 3;\nSELECT 4 AS z;\n"))
	var fault *session.SQLError
	if err := shell.Run(t.Context(), o); !errors.As(err, &fault) || fault.Line != 2 {
		t.Errorf("error %v, want one in line 2", err)
	}
	if !strings.Contains(out.String(), "y") || strings.Contains(out.String(), "z") {
		t.Errorf("answers\n%s\nwant those before the fault", out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o, _, _, _ = options(path)
	waiting, _ := io.Pipe()
	o.Lines = shell.Script(waiting)
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := shell.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestNameAsSQL types the name of a saved query as SQL.
func TestNameAsSQL(t *testing.T) {
	t.Parallel()
	path := file(t)
	for text, want := range map[string]string{
		"key_components;":        ".run key_components answers the saved query of this name",
		"key_components":         ".run key_components answers the saved query of this name",
		"nope;":                  "",
		"SELECT key_components;": "",
	} {
		o, _, _, _ := options(path)
		o.Lines = shell.Script(strings.NewReader(text + "\n"))
		if err := shell.Run(t.Context(), o); err == nil || advice.Of(err) != want && !(want == "" && !strings.Contains(advice.Of(err), ".run")) {
			t.Errorf("%s: %v (%s), want advice %q", text, err, advice.Of(err), want)
		}
	}
}

// TestComplete completes words in places.
func TestComplete(t *testing.T) {
	t.Parallel()
	o, _, _, _ := options(file(t))
	lines := &typed{lines: []string{"", "SELECT s.score", "FROM score AS s"}}
	for _, c := range []struct {
		after int // lines read
		line  string
		head  string
		want  []string // all
		some  []string // among others
		not   []string
	}{
		{0, ".sc", "", []string{".schema "}, nil, nil},
		{0, ".schema contribution_w", ".schema ", []string{"contribution_wide"}, nil, nil},
		{0, ".schema latest", ".schema ", []string{"latest_run"}, nil, nil},
		{0, ".run closu", ".run ", []string{"closure "}, nil, nil},
		{0, ".plot closu", ".plot ", nil, nil, nil},
		{0, ".run key_components h", ".run key_components ", []string{"head="}, nil, nil},
		{0, ".run key_components head=", ".run key_components ", []string{"head=L1H1 "}, nil, nil},
		{0, ".mode m", ".mode ", []string{"md"}, nil, nil},
		{0, "SELECT * FROM contribution_w", "SELECT * FROM ", []string{"contribution_wide"}, nil, nil},
		{0, "SELECT * FROM ", "SELECT * FROM ", nil, []string{"score", "head_score", "latest_run(", `"two words"`}, []string{"select", "closure_residual", "bad\x1b[31m"}},
		{0, "sel", "", []string{"select"}, nil, nil},
		{0, "SEL", "", []string{"SELECT"}, nil, nil},
		{0, "FROM score WHERE closure_r", "FROM score WHERE ", []string{"closure_residual"}, nil, nil},
		{0, "FROM score AS s WHERE s.closure_", "FROM score AS s WHERE s.", []string{"closure_residual"}, nil, nil},
		{0, "FROM score WHERE tem", "FROM score WHERE ", nil, nil, []string{"template"}},
		{0, "SELECT tem", "SELECT ", []string{"template"}, nil, nil},
		{0, "SELECT 'sc", "SELECT '", nil, nil, nil},
		{3, "WHERE closure_r", "WHERE ", []string{"closure_residual"}, nil, nil}, // the table is in a line above
	} {
		lines.next = 0
		lines.before = nil
		checked := false
		lines.before = func(i int) {
			if i != c.after || checked {
				return
			}
			checked = true
			check(t, lines.completer, c.line, c.head, c.want, c.some, c.not)
		}
		if c.after == len(lines.lines) {
			lines.lines = append(lines.lines, "LIMIT 1")
		}
		o.Lines, o.Interactive = lines, true
		if err := shell.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if !checked {
			t.Errorf("%q was not completed", c.line)
		}
	}
}

// check completes one line.
func check(t *testing.T, complete shell.Completer, line, wantHead string, want, some, not []string) {
	t.Helper()
	head, words := complete(line)
	if head != wantHead {
		t.Errorf("%q: head %q, want %q", line, head, wantHead)
	}
	if some == nil && not == nil {
		if diff := cmp.Diff(want, words); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
		return
	}
	has := map[string]bool{}
	for _, w := range words {
		has[w] = true
	}
	for _, w := range some {
		if !has[w] {
			t.Errorf("%q: words %q, want %q among them", line, words, w)
		}
	}
	for _, w := range not {
		if has[w] {
			t.Errorf("%q: words %q, want no %q among them", line, words, w)
		}
	}
}
