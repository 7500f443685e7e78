// Package session opens a run file for queries only: read-only, without access to other files or the network,
// with locked settings, one statement at a time, and with limits on memory, time and the size of a result.
// Run files and saved queries may be untrusted, and SQL is a program.
//
// Package dbfile opens the file as data ([dbfile.OpenData]): its views, macros and generated columns are
// never run, and everything that a query uses is created from this program's own text. Every statement passes
// the gate in gate.go. A query may still use a processor until its time limit, and a malicious file may crash
// the process.
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

// Options limit the resources of a query. The zero value is ready for use.
type Options struct {
	Memory  int64         // DuckDB's memory limit in bytes; 0: DefaultMemory
	Time    time.Duration // for each query; 0: no limit
	Threads int           // 0: 1, so that sums are added in one order and the same data gives the same bytes
	Data    string        // folder of a catalogue's Parquet files; "": the one that the catalogue names
	Answer  int64         // largest result in bytes of memory; 0: DefaultAnswer

	// Stuck, if not nil, is called in a new goroutine if a query does not stop soon after its time limit or
	// the end of its context. The query continues to use a processor and memory until stopped is closed; only
	// ending the process stops it earlier.
	Stuck func(stopped <-chan struct{})
}

// Limits in the zero [Options].
const (
	DefaultMemory = 2 << 30
	DefaultAnswer = 512 << 20
)

// Validate returns all faults of the options.
func (o Options) Validate() error {
	var faults []error
	if o.Memory < 0 || o.Memory > 0 && o.Memory < 16<<20 {
		faults = append(faults, fmt.Errorf("memory limit of %d bytes, want at least 16 MB", o.Memory))
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

// Session is an open run file. It runs one query at a time, and is not safe for concurrent use.
type Session struct {
	path      string
	options   Options
	db        *dbfile.Data
	conn      *sql.Conn
	names     map[string]bool            // available views and macros, in lower case
	abandoned bool                       // a query did not stop, so the connection is lost
	lookedUp  map[string]*queries.Result // see [Session.lookup]
	madeMeans map[string]bool            // see [Session.makeMeans]
	labelled  bool                       // see [Session.Label]
}

// Open opens the run file at path. The caller must close the session.
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
	db, err := dbfile.OpenData(ctx, path,
		dbfile.Options{Data: options.Data, Threads: options.Threads,
			Memory: fmt.Sprintf("%dKiB", options.Memory>>10)})
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

// Further lists the tables that a user has added to the file.
func (s *Session) Further() []string { return s.db.Further() }

// LeftOut lists the parts of the file that queries cannot use, such as its own views.
func (s *Session) LeftOut(ctx context.Context) ([]dbfile.LeftOut, error) { return s.db.LeftOut(ctx) }

// Setup returns the statements that prepare a DuckDB run by another program for the same queries. The file is
// attached there as database.
func (s *Session) Setup(ctx context.Context, database string) ([]string, error) {
	return s.db.Setup(ctx, database)
}

// Close ends the session. A query that did not stop runs until the process ends.
func (s *Session) Close() error {
	if s.abandoned {
		return nil
	}
	return errors.Join(s.conn.Close(), s.db.Close())
}

// Run runs a saved query. set has the values of parameters as the user typed them; the others have their
// defaults. Run first looks up the parameters run, head, query_basis and key_basis in the file, so that an
// incomplete run or an unknown head is an error and not an empty result.
func (s *Session) Run(ctx context.Context, q queries.Query, set map[string]string) (*queries.Result, error) {
	return s.RunFirst(ctx, q, set, 0)
}

// RunFirst is [Session.Run] for the first most rows; 0: all rows. [queries.Result.More] reports whether there
// are more.
func (s *Session) RunFirst(ctx context.Context, q queries.Query, set map[string]string,
	most int) (*queries.Result, error) {
	values, err := q.Bind(set)
	if err != nil {
		return nil, queryError(q, err)
	}
	canonical(values)
	if err := s.known(ctx, q, values); err != nil {
		return nil, queryError(q, err)
	}
	result, err := s.askFirst(ctx, q, values, most)
	if err != nil {
		return nil, queryError(q, err)
	}
	if result.Facts, err = s.facts(ctx, values); err != nil {
		return nil, queryError(q, err)
	}
	result.Bound = values
	return result, nil
}

// Check checks a query without running it: it must be one reading statement, its names must exist, and its
// parameters must fit.
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

// Columns returns the columns of a query's result without running the query.
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

// prepare passes a query through the gate, creates what it uses, and prepares it. The prepared statement is
// the one to run.
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

// prepareAmongAll prepares a statement with an unknown name. All views and macros are created first, because
// DuckDB suggests only existing names. If the name is a view or macro of the file, the error says so.
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
			return nil, &RefusedError{What: l.Name, Why: l.Why,
				Advice: "read its text in a copy of the file with DuckDB's own shell, " +
					"and give that as the query"}
		}
	}
	return nil, err
}

// queryError adds the name of the query to an error.
func queryError(q queries.Query, err error) error {
	if err == nil || q.Name == "" {
		return err
	}
	return fmt.Errorf("query %s: %w", q.Name, err)
}

// ask runs a query with the values of its parameters, within the limits.
func (s *Session) ask(ctx context.Context, q queries.Query, values map[string]any) (*queries.Result, error) {
	return s.askFirst(ctx, q, values, 0)
}

// askFirst is ask for the first most rows; 0: all rows.
func (s *Session) askFirst(ctx context.Context, q queries.Query, values map[string]any,
	most int) (*queries.Result, error) {
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
		return read(rows, s.options.Answer, most)
	})
	return result, s.explain(err, q)
}

// named returns the driver's arguments, in the order of the header.
func named(q queries.Query, values map[string]any) []any {
	args := make([]any, len(q.Params))
	for i, p := range q.Params {
		args[i] = sql.Named(p.Name, values[p.Name])
	}
	return args
}

// grace is how long a query may take to stop after its time limit or an interrupt. Most queries stop within 3
// ms, and a join of large ranges within 100 ms. One long call of a scalar function never stops, and is
// abandoned. An interrupt should take effect within 200 ms, and ending the process takes up to 60 ms of that.
const grace = 100 * time.Millisecond

// guard runs f within the time limit. It returns soon after the limit even if f does not.
func (s *Session) guard(ctx context.Context,
	f func(context.Context) (*queries.Result, error)) (*queries.Result, error) {
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
			return nil, &LimitError{Limit: ErrTime, Value: s.options.Time.String(),
				Advice: "allow more time with --timeout"}
		}
		return nil, ctx.Err()
	}
	return out.result, out.err
}
