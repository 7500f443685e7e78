// Package session opens a run file for questions and for nothing else: read-only, cut off from files
// and network, with locked settings, one statement at a time, and limits on memory, time and the size of an answer. Run files
// and saved queries come from strangers, and SQL is a program.
//
// Package dbfile opens the file as data ([dbfile.OpenData]): no view, macro or computed column of it is ever run, and what a question
// uses is made from this program's own text. The gate that every statement passes is in gate.go. A query may still use a processor
// until its time is over, and a file made for it may end the process.
package session

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"ducklens/queries"
	"ducklens/schema/dbfile"
)

// Options limit what a query may use. The zero value is ready for use.
type Options struct {
	Memory  int64         // bytes DuckDB may use; 0 is DefaultMemory
	Time    time.Duration // for one query; 0 is no limit
	Threads int           // 0 is 1: sums are added in one order, so that the same data gives the same bytes
	Answer  int64         // bytes an answer may take in memory; 0 is DefaultAnswer

	// Stuck is called, in a goroutine of its own, when a query has not stopped soon after its time was over or its context has ended. It
	// goes on using a processor and memory until stopped is closed; only the end of the process ends it before. nil does nothing.
	Stuck func(stopped <-chan struct{})
}

// Limits of the zero [Options].
const (
	DefaultMemory = 2 << 30
	DefaultAnswer = 512 << 20
)

// Validate gives all faults of the options at once.
func (o Options) Validate() error {
	var faults []error
	if o.Memory < 0 || o.Memory > 0 && o.Memory < 16<<20 {
		faults = append(faults, fmt.Errorf("memory limit of %d bytes, want at least %d", o.Memory, 16<<20))
	}
	if o.Time < 0 {
		faults = append(faults, fmt.Errorf("time limit %v, want 0 or more", o.Time))
	}
	if o.Threads < 0 || o.Threads > 1024 {
		faults = append(faults, fmt.Errorf("%d threads, want 0 to 1024", o.Threads))
	}
	if o.Answer < 0 {
		faults = append(faults, fmt.Errorf("answer limit of %d bytes, want 0 or more", o.Answer))
	}
	return errors.Join(faults...)
}

// Session is an open run file. It serves one query at a time; it is not safe for concurrent use.
type Session struct {
	path      string
	options   Options
	db        *dbfile.Data
	conn      *sql.Conn
	names     map[string]bool            // views and macros that there can be, in lower case
	abandoned bool                       // a query did not stop; the connection is lost
	lookedUp  map[string]*queries.Result // see [Session.lookup]
	madeMeans map[string]bool            // see [Session.makeMeans]
	labelled  bool                       // see [Session.Label]
}

// Open opens the run file at path. The caller closes the session.
func Open(ctx context.Context, path string, options Options) (*Session, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if options.Memory == 0 {
		options.Memory = DefaultMemory
	}
	if options.Threads == 0 {
		options.Threads = 1
	}
	if options.Answer == 0 {
		options.Answer = DefaultAnswer
	}
	db, err := dbfile.OpenData(ctx, path, dbfile.Options{Threads: options.Threads, Memory: fmt.Sprintf("%dKiB", options.Memory>>10)})
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Session{path: path, options: options, db: db, conn: conn, names: map[string]bool{},
		lookedUp: map[string]*queries.Result{}, madeMeans: map[string]bool{}}
	for _, name := range db.Names() {
		s.names[strings.ToLower(name)] = true
	}
	return s, nil
}

// Further lists the tables that a user has put into the file.
func (s *Session) Further() []string { return s.db.Further() }

// LeftOut lists what the file has and questions cannot use, such as views of its own.
func (s *Session) LeftOut(ctx context.Context) ([]dbfile.LeftOut, error) { return s.db.LeftOut(ctx) }

// Close ends the session. A query that was given up is left to the end of the process.
func (s *Session) Close() error {
	if s.abandoned {
		return nil
	}
	return errors.Join(s.conn.Close(), s.db.Close())
}

// Run asks a saved query. set has the values of parameters as the user typed them; the others take
// their defaults. Parameters called run, head, query_basis and key_basis are looked up in the file first, so that a run that is not complete or
// a head that was not computed is an error and not an empty answer.
func (s *Session) Run(ctx context.Context, q queries.Query, set map[string]string) (*queries.Result, error) {
	values, err := q.Bind(set)
	if err != nil {
		return nil, queryError(q, err)
	}
	canonical(values)
	if err := s.known(ctx, q, values); err != nil {
		return nil, queryError(q, err)
	}
	result, err := s.ask(ctx, q, values)
	if err != nil {
		return nil, queryError(q, err)
	}
	if result.Facts, err = s.facts(ctx, values); err != nil {
		return nil, queryError(q, err)
	}
	result.Bound = values
	return result, nil
}

// Check passes a query through the gate without running it: its names exist, its parameters fit, and
// it is one statement that only reads.
func (s *Session) Check(ctx context.Context, q queries.Query) error {
	values, err := q.Bind(nil)
	if err == nil {
		_, err = s.guard(ctx, func(ctx context.Context) (*queries.Result, error) {
			stmt, err := s.prepare(ctx, q, values)
			if err != nil {
				return nil, err
			}
			return nil, stmt.Close()
		})
	}
	return queryError(q, s.explain(err, q))
}

// Columns are those of the answer to a query, which is not run for it.
func (s *Session) Columns(ctx context.Context, q queries.Query) ([]queries.Column, error) {
	values, err := q.Bind(nil)
	if err != nil {
		return nil, queryError(q, err)
	}
	empty := q
	empty.SQL = "SELECT * FROM (\n" + strings.TrimRight(q.SQL, "; \t\n") + "\n) LIMIT 0"
	result, err := s.ask(ctx, empty, values)
	if err != nil {
		return nil, queryError(q, err)
	}
	return result.Columns, nil
}

// prepare passes a query through the gate, makes what it uses, and prepares it. The prepared statement is the one to run.
func (s *Session) prepare(ctx context.Context, q queries.Query, values map[string]any) (*sql.Stmt, error) {
	t, err := s.admit(ctx, q.SQL)
	if err != nil {
		return nil, err
	}
	switch {
	case t.catalog:
		err = s.db.MakeAll(ctx, s.conn)
	case t.all:
		err = s.db.Make(ctx, s.conn, s.db.Names()...)
	default:
		err = s.db.Make(ctx, s.conn, t.names...)
	}
	if err == nil {
		err = s.makeMeans(ctx, t, values)
	}
	if err != nil {
		return nil, err
	}
	stmt, err := s.conn.PrepareContext(ctx, t.statement)
	if duck := new(duckdb.Error); errors.As(err, &duck) && duck.Type == duckdb.ErrorTypeCatalog {
		if stmt, err = s.prepareAmongAll(ctx, t); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	if err := s.checkWords(ctx, t, values); err != nil {
		return nil, errors.Join(err, stmt.Close())
	}
	return stmt, nil
}

// prepareAmongAll prepares a statement with a name that there is not. DuckDB suggests near ones if they are there. A view or macro of the
// file's own is told as such.
func (s *Session) prepareAmongAll(ctx context.Context, t *tree) (*sql.Stmt, error) {
	if err := s.db.Make(ctx, s.conn, s.db.Names()...); err != nil {
		return nil, err
	}
	stmt, err := s.conn.PrepareContext(ctx, t.statement)
	if err == nil {
		return stmt, nil
	}
	left, lerr := s.db.LeftOut(ctx)
	if lerr != nil {
		return nil, errors.Join(err, lerr)
	}
	for _, l := range left {
		if slices.Contains(t.names, strings.ToLower(l.Name)) {
			return nil, &RefusedError{What: l.Name, Why: l.Why, Advice: "read its text in a copy of the file with DuckDB's own shell, and give that as the query"}
		}
	}
	return nil, err
}

// queryError says which query failed.
func queryError(q queries.Query, err error) error {
	if err == nil || q.Name == "" {
		return err
	}
	return fmt.Errorf("query %s: %w", q.Name, err)
}

// ask runs SQL that is bound to values, inside the limits.
func (s *Session) ask(ctx context.Context, q queries.Query, values map[string]any) (*queries.Result, error) {
	result, err := s.guard(ctx, func(ctx context.Context) (*queries.Result, error) {
		stmt, err := s.prepare(ctx, q, values)
		if err != nil {
			return nil, err
		}
		defer stmt.Close()
		rows, err := stmt.QueryContext(ctx, named(q, values)...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		return read(rows, s.options.Answer)
	})
	return result, s.explain(err, q)
}

// named makes the driver's arguments, in the order of the header.
func named(q queries.Query, values map[string]any) []any {
	args := make([]any, len(q.Params))
	for i, p := range q.Params {
		args[i] = sql.Named(p.Name, values[p.Name])
	}
	return args
}

// grace is how long a query may take to stop after its time is over or the user has interrupted it. Most stop within 3 ms, a join of
// large ranges takes up to 100 ms; one long call of a scalar function never does, and is then left behind. The process needs up to 60 ms
// more to end, and an interrupt is to be answered within 200 ms.
const grace = 100 * time.Millisecond

// guard runs f under the time limit and returns soon after it is over, whether f does or not.
func (s *Session) guard(ctx context.Context, f func(context.Context) (*queries.Result, error)) (*queries.Result, error) {
	if s.abandoned {
		return nil, ErrAbandoned
	}
	if s.options.Time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.options.Time)
		defer cancel()
	}
	type outcome struct {
		result *queries.Result
		err    error
	}
	done, stopped := make(chan outcome, 1), make(chan struct{})
	go func() {
		defer close(stopped)
		result, err := f(ctx)
		done <- outcome{result, err}
	}()
	var out outcome
	select {
	case out = <-done:
	case <-ctx.Done():
		select {
		case out = <-done:
		case <-time.After(grace):
			s.abandoned = true
			if s.options.Stuck != nil {
				go s.options.Stuck(stopped)
			}
			out.err = ctx.Err()
		}
	}
	if out.err != nil && ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && s.options.Time > 0 {
			return nil, &LimitError{Limit: ErrTime, Value: s.options.Time.String(), Advice: "give it more time with --timeout"}
		}
		return nil, ctx.Err()
	}
	return out.result, out.err
}
