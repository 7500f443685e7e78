package session

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	duckdb "github.com/duckdb/duckdb-go/v2"
	"github.com/jedib0t/go-pretty/v6/text"

	"ducklens/queries"
	"ducklens/schema/dbfile"
)

// Sentinels that callers look for with errors.Is.
var (
	ErrRefused    = errors.New("refused")               // the gate refuses the statement
	ErrTime       = errors.New("time limit reached")    // Options.Time
	ErrMemory     = errors.New("memory limit reached")  // Options.Memory
	ErrAnswer     = errors.New("answer is too large")   // Options.Answer
	ErrAbandoned  = errors.New("session is lost")       // an earlier query did not stop when it was cancelled
	ErrIncomplete = errors.New("run is not complete")   // ingest was stopped or is still running
	ErrUnknown    = errors.New("not in this file")      // a run, head or basis
	errEmpty      = errors.New("empty query, want SQL") // a query without SQL
	errZero       = errors.New("a zero byte in the query")
	errNotUTF8    = errors.New("the query is not UTF-8")
)

// RefusedError is the error for a statement that the gate refuses. errors.Is finds [ErrRefused].
type RefusedError struct {
	What, Why string
	Advice    string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%v: %s; %s", ErrRefused, e.What, e.Why) }

// Unwrap returns [ErrRefused].
func (e *RefusedError) Unwrap() error { return ErrRefused }

// Hint says what to do instead.
func (e *RefusedError) Hint() string { return e.Advice }

// LimitError is the error for a query that exceeds a limit of [Options].
type LimitError struct {
	Limit  error // ErrTime, ErrMemory or ErrAnswer
	Value  string
	Advice string
}

func (e *LimitError) Error() string { return fmt.Sprintf("%v: %s", e.Limit, e.Value) }

// Unwrap returns the sentinel.
func (e *LimitError) Unwrap() error { return e.Limit }

// Hint says how to stay inside the limit or to raise it.
func (e *LimitError) Hint() string { return e.Advice }

// SQLError is an error that DuckDB reports about a query.
type SQLError struct {
	Kind       string   // DuckDB's kind of error, such as Binder or Parser
	Message    string   // without the candidates
	Candidates []string // names that DuckDB suggests
	Advice     string   // instead of Candidates; "" if there is none
	Line       int      // line of the text that contains the SQL, from 1; 0 if unknown
	Column     int      // in characters, from 1; 0 if unknown
	Excerpt    string   // the line, and a line with ^ below the fault
}

func (e *SQLError) Error() string {
	s := "SQL"
	if e.Line > 0 {
		s += fmt.Sprintf(" line %d", e.Line)
	}
	if e.Column > 0 {
		s += fmt.Sprintf(", column %d", e.Column)
	}
	s += ": " + queries.Printable(e.Message)
	if e.Excerpt != "" {
		s += "\n" + e.Excerpt
	}
	return s
}

// Hint says what to do instead, or lists the names that DuckDB suggests.
func (e *SQLError) Hint() string {
	if e.Advice != "" {
		return queries.Printable(e.Advice)
	}
	if len(e.Candidates) == 0 {
		return ""
	}
	return "there is " + queries.Printable(strings.Join(e.Candidates, ", "))
}

// noBadConn keeps database/sql from mistaking an error for a broken connection and retrying on another one.
func noBadConn(err error) error {
	if errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("prepare: %s", err.Error())
	}
	return err
}

// explain turns an error of the driver into one of ours: an error in the SQL of q with its place, a limit, or
// an error of package dbfile.
func (s *Session) explain(err error, q queries.Query) error {
	var duck *duckdb.Error
	if err == nil || !errors.As(err, &duck) {
		return err
	}
	wrapped := dbfile.Wrap("query", s.path, err)
	switch {
	case strings.Contains(duck.Msg, "PRAGMA function does not have"):
		return &RefusedError{What: "PRAGMA", Why: "it may change the session",
			Advice: "use DESCRIBE, SHOW or a duckdb_...() table function"}
	case errors.Is(wrapped, dbfile.ErrMemory):
		return &LimitError{Limit: ErrMemory, Value: fmt.Sprintf("%d MB", s.options.Memory>>20),
			Advice: "ask for less at once, or raise the limit with --memory"}
	case errors.Is(wrapped, dbfile.ErrPermission):
		return &RefusedError{What: "reading or writing anything but " + s.path,
			Why:    "a query sees this file alone",
			Advice: otherData}
	case !errors.Is(wrapped, dbfile.ErrSQL):
		return wrapped
	}
	return readSQLError(duck.Msg, q)
}

// place matches the place in DuckDB's message: "LINE 2: <part of the line>", with a caret below.
var place = regexp.MustCompile(`(?s)^(.*)\nLINE (\d+): ([^\n]*)\n( *)\^`)

// candidate matches the quoted names that DuckDB suggests.
var candidate = regexp.MustCompile(`"([^"]*)"`)

// These match a common mistake: score for mean_score in a view of means.
var (
	unmeant   = regexp.MustCompile(`[Cc]olumn (?:named )?"(score|baseline|diff)"`)
	meanViews = regexp.MustCompile(`(?i)\b(?:component_mean|contribution_mean|pair_mean|heatmap)\b`)
)

// readSQLError parses DuckDB's message.
func readSQLError(report string, q queries.Query) *SQLError {
	e := &SQLError{}
	if found := place.FindStringSubmatch(report); found != nil {
		report = found[1]
		number, err := strconv.Atoi(found[2])
		lines := strings.Split(q.SQL, "\n")
		if err == nil && number >= 1 && number <= len(lines) {
			e.Line = max(q.Line, 1) + number - 1
			e.locate(lines[number-1], found[3], len(found[4])-len("LINE : ")-len(found[2]))
		}
	}
	kind, message, ok := strings.Cut(report, " Error: ")
	if !ok {
		kind, message = "", report
	}
	e.Kind = kind
	message, rest, _ := cutAny(message, "\nCandidate", "\nDid you mean", "\n\tCandidate")
	if names := candidate.FindAllStringSubmatch(rest, -1); names != nil {
		for _, name := range names {
			e.Candidates = append(e.Candidates, name[1])
		}
	} else if _, functions, ok := strings.Cut(rest, ":\n"); ok {
		for line := range strings.Lines(functions) {
			if line = strings.TrimSpace(line); line != "" {
				e.Candidates = append(e.Candidates, line)
			}
		}
	}
	e.Message = strings.TrimRight(strings.Join(strings.Fields(message), " "), ".!; ")
	if found := unmeant.FindStringSubmatch(e.Message); found != nil && meanViews.MatchString(q.SQL) {
		e.Candidates = append([]string{"mean_" + found[1]}, e.Candidates...)
	}
	if strings.Contains(e.Message, "LIMIT/OFFSET cannot be negative") {
		e.Message = "a number of rows (LIMIT or OFFSET) is negative, want 0 or more"
	}
	e.explainTable()
	e.explainCall(q.SQL)
	return e
}

// otherData says how to bring other data together with those of a file.
const otherData = "to join other data, query the file in DuckDB's own shell; --labels brings labels of examples"

// noSuchTable matches the message about a table that is not there; its name may be that of a file.
var noSuchTable = regexp.MustCompile(`^Table with name (.+) does not exist$`)

// catalogue matches the names of DuckDB's own tables.
var catalogue = regexp.MustCompile(`^(?:duckdb|pg|pragma|sqlite)_|^information_schema\b`)

// explainTable says what is in reach if a query names a table that is not there. DuckDB also suggests tables
// of its own, which nobody means who does not begin to write one of their names.
func (e *SQLError) explainTable() {
	found := noSuchTable.FindStringSubmatch(e.Message)
	if found == nil {
		return
	}
	if !catalogue.MatchString(strings.ToLower(found[1])) {
		e.Candidates = slices.DeleteFunc(e.Candidates, catalogue.MatchString)
	}
	switch {
	case strings.ContainsAny(found[1], `./\`):
		e.Candidates, e.Advice = nil, "a query sees the tables of its run file alone, and no other files; "+
			otherData
	case len(e.Candidates) == 0:
		e.Advice = "ducklens schema FILE lists the tables and views"
	}
}

// locate sets column and excerpt. part is the part of the line in DuckDB's message, with dots where a long
// line is cut, and caret is the offset of the caret in it.
func (e *SQLError) locate(line, part string, caret int) {
	core := strings.TrimSuffix(part, "...")
	if trimmed := strings.TrimPrefix(core, "..."); trimmed != core && !strings.HasPrefix(line, core) {
		core, caret = trimmed, caret-len("...")
	}
	start := strings.Index(line, core)
	if start < 0 || caret < 0 {
		return
	}
	at := start
	width := 0
	for i, r := range core {
		if width > caret {
			break
		}
		at = start + i
		width += runewidth(r)
	}
	if width <= caret {
		at = start + len(core)
	}
	e.Column = 1 + utf8.RuneCountInString(line[:at])
	e.Excerpt = excerpt(line, at)
}

// runewidth returns how far DuckDB moves its caret for a character: not at all for a tab, two columns for an
// East Asian character.
func runewidth(r rune) int {
	if r < ' ' {
		return 0
	}
	return text.RuneWidth(r)
}

// cutAny cuts s before the first of the marks.
func cutAny(s string, marks ...string) (before, after string, found bool) {
	at := len(s)
	for _, mark := range marks {
		if i := strings.Index(s, mark); i >= 0 && i < at {
			at, found = i, true
		}
	}
	return s[:at], s[at:], found
}

// excerpt returns a line with a caret below byte at, or the part around it if the line is long.
func excerpt(line string, at int) string {
	const before, width = 50, 100
	left, right := []rune(line[:at]), []rune(line[at:])
	front, back := "", ""
	if len(left) > before {
		front, left = "...", left[len(left)-before:]
	}
	if len(right) > width-before {
		right, back = right[:width-before], "..."
	}
	head := front + queries.Printable(strings.ReplaceAll(string(left), "\t", " "))
	tail := queries.Printable(strings.ReplaceAll(string(right), "\t", " ")) + back
	return "  " + head + tail + "\n  " + strings.Repeat(" ", utf8.RuneCountInString(head)) + "^"
}
