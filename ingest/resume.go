package ingest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// ErrNotResumable is wrapped when a file has no run that could be resumed as asked.
var ErrNotResumable = errors.New("nothing to resume")

// Difference is one thing in which a run that was begun and the one that should continue it are not alike.
type Difference struct {
	What         string // model, prompts, seed, ...
	Begun, Asked string
}

func (d Difference) String() string { return fmt.Sprintf("%s %s, now %s", d.What, d.Begun, d.Asked) }

// DifferentError is the error of a resumption that would not continue the run that was begun: its rows would
// belong to two runs.
type DifferentError struct {
	Path        string
	RunID       int
	CommandLine string // that began the run
	Differences []Difference
}

func (e *DifferentError) Error() string {
	list := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		list[i] = d.String()
	}
	return fmt.Sprintf("resume run %d of %s: it was begun otherwise: %s", e.RunID, e.Path, strings.Join(list, "; "))
}

// Unwrap gives [ErrNotResumable].
func (e *DifferentError) Unwrap() error { return ErrNotResumable }

// Hint gives the command that began the run.
func (e *DifferentError) Hint() string {
	// A stranger's file may put anything here.
	if e.CommandLine == "" || strings.ContainsFunc(e.CommandLine, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "give the options that the run was begun with, or add another run with --append"
	}
	return fmt.Sprintf("it was begun with: %s\ngive the same and --resume, or add another run with --append", e.CommandLine)
}

// noneError is the error of a resumption in a file whose runs are all complete.
type noneError struct {
	path string
	runs int
}

func (e *noneError) Error() string {
	return fmt.Sprintf("resume a run of %s: %v: each of its runs (%d) is complete", e.path, ErrNotResumable, e.runs)
}

// Unwrap gives [ErrNotResumable].
func (e *noneError) Unwrap() error { return ErrNotResumable }

// Hint says what can be done with such a file.
func (e *noneError) Hint() string { return "--append adds another run to it" }

// resumed is what the file has of a run that is continued.
type resumed struct {
	runID    int
	examples int  // numbers 0 to examples-1 are there
	factors  bool // of the manifest
	pairs    bool
	rows     [tableCount]int64
}

// count gives the number of examples that need not be computed.
func (r *resumed) count() int {
	if r == nil {
		return 0
	}
	return r.examples
}

// check compares what the engine computes now with what the run has: the manifest does not say which tables of vectors
// it was asked for, but the rows do.
func (r *resumed) check(path string, results []schema.Result) error {
	if r == nil || len(results) == 0 || len(results[0].Heads) == 0 {
		return nil
	}
	h := &results[0].Heads[0]
	var list []Difference
	for _, c := range []struct {
		what       string
		begun, now bool
	}{
		{"factors", r.factors, len(h.Factors) > 0},
		{"pairs", r.pairs, len(h.Pairs) > 0},
		{"substitutions", r.rows[tableSubstitution] > 0, len(h.Substitutions) > 0},
		{"projections", r.rows[tableProjection] > 0, len(h.Projections) > 0},
	} {
		if c.begun != c.now {
			list = append(list, Difference{c.what, strconv.FormatBool(c.begun), strconv.FormatBool(c.now)})
		}
	}
	if len(list) > 0 {
		return &DifferentError{Path: path, RunID: r.runID, Differences: list}
	}
	return nil
}

// resume opens the file and takes up the run that is to be continued. A file without any run is left to a new one.
func (w *writer) resume(ctx context.Context) (err error) {
	if w.db, err = dbfile.OpenWriter(ctx, w.opts.Path, w.opts.Database); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.release())
		}
	}()
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	var runs int
	if err := w.scan(ctx, "count runs of", []any{&runs}, "SELECT count(*) FROM run"); err != nil {
		return err
	}
	if runs == 0 {
		// Killed between making the file and the first batch.
		w.opts.Append = true
		return w.release()
	}
	unfinished, err := w.unfinished(ctx)
	if err != nil {
		return err
	}
	if len(unfinished) == 0 {
		return &noneError{w.opts.Path, runs}
	}
	var first error
	for _, id := range unfinished {
		err := w.compare(ctx, id)
		if err == nil {
			return w.takeUp(ctx)
		}
		var different *DifferentError
		if !errors.As(err, &different) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// release closes the file.
func (w *writer) release() error {
	var err error
	if w.conn != nil {
		err = w.conn.Close()
	}
	err = errors.Join(err, w.db.Close())
	w.db, w.conn = nil, nil
	return err
}

// unfinished lists the runs that are not complete, the last first.
func (w *writer) unfinished(ctx context.Context) (ids []int, err error) {
	err = w.each(ctx, "look for unfinished runs in", func(rows *sql.Rows) error {
		var id int
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, "SELECT run_id FROM run WHERE status = 'running' ORDER BY run_id DESC")
	return ids, err
}

// compare tells whether an unfinished run is the one that the options ask for, and makes it the writer's.
func (w *writer) compare(ctx context.Context, id int) error {
	var b struct {
		modelSHA, modelName, version, command, convention, processing, precision, blas string
		seed                                                                           int64
		bos                                                                            bool
		prompts                                                                        sql.NullInt64
		sha                                                                            sql.NullString
	}
	old := &resumed{runID: id}
	if err := w.scan(ctx, "read run "+strconv.Itoa(id)+" of", []any{&w.summary.ModelID, &b.modelName, &b.modelSHA, &b.version, &b.command, &b.seed, &b.bos,
		&b.convention, &b.processing, &b.precision, &b.blas, &old.factors, &old.pairs, &b.prompts, &b.sha},
		`SELECT r.model_id, m.name, m.sha256, r.ducklens_version, r.command_line, r.seed, r.bos, r.convention::VARCHAR, r.processing::VARCHAR, r.precision, r.blas,
		r.factors, r.pairs, r.n_prompts, r.prompts_sha256 FROM run AS r JOIN model AS m ON m.model_id = r.model_id WHERE r.run_id = $1`, id); err != nil {
		return err
	}
	lists := [3][]string{}
	for i, query := range []string{
		"SELECT label FROM head WHERE run_id = $1 ORDER BY ordinal",
		"SELECT side || ' ' || name || ' (' || kind || ' of ' || dimension || ': ' || description || ')' FROM basis WHERE run_id = $1 ORDER BY basis_id",
		"SELECT label FROM mover WHERE run_id = $1 ORDER BY ordinal",
	} {
		if err := w.each(ctx, "read run "+strconv.Itoa(id)+" of", func(rows *sql.Rows) error {
			var s string
			err := rows.Scan(&s)
			lists[i] = append(lists[i], s)
			return err
		}, query, id); err != nil {
			return err
		}
	}

	e, r := w.opts.Engine, &w.opts.Run
	var list []Difference
	differ := func(what, begun, asked string) {
		if begun != asked {
			list = append(list, Difference{what, begun, asked})
		}
	}
	m := e.Model()
	differ("model", b.modelName+" with SHA-256 "+b.modelSHA, b.modelName+" with SHA-256 "+m.SHA256) // a folder may be renamed
	switch {
	case !b.prompts.Valid || !b.sha.Valid:
		list = append(list, Difference{"prompts", "not recorded by the ducklens that began it", fmt.Sprint(w.source.total)})
	case b.prompts.Int64 != int64(w.source.total):
		differ("prompts", fmt.Sprint(b.prompts.Int64), fmt.Sprint(w.source.total))
	default:
		differ("prompts", "with SHA-256 "+b.sha.String, "with SHA-256 "+w.source.sha256)
	}
	differ("seed", fmt.Sprint(b.seed), fmt.Sprint(r.Seed))
	differ("bos", fmt.Sprint(b.bos), fmt.Sprint(r.BOS))
	differ("convention", b.convention, r.Convention.String())
	differ("processing", b.processing, r.Processing.String())
	differ("precision", b.precision, r.Precision)
	differ("blas", b.blas, r.BLAS) // another provider gives other bits; another number of threads does not
	differ("ducklens version", b.version, r.Version)
	differ("heads", strings.Join(lists[0], ", "), joined(e.Heads(), schema.Head.String))
	differ("movers", strings.Join(lists[2], ", "), joined(e.Movers(), schema.Head.String))
	list = append(list, basesDiffer(lists[1], e.Bases())...)
	if len(list) > 0 {
		return &DifferentError{Path: w.opts.Path, RunID: id, CommandLine: b.command, Differences: list}
	}
	w.resumed, w.summary.RunID = old, id
	return nil
}

// basesDiffer names the bases that only one of two lists has, or says that their order differs.
func basesDiffer(begun []string, asked []schema.Basis) (list []Difference) {
	now := make([]string, len(asked))
	for i, b := range asked {
		now[i] = fmt.Sprintf("%s %s (%s of %d: %s)", b.Side, b.Name, b.Kind, b.Dimension, b.Description)
	}
	if slices.Equal(begun, now) {
		return nil
	}
	only := func(in, notIn []string) string {
		var names []string
		for _, s := range in {
			if !slices.Contains(notIn, s) {
				names = append(names, s)
			}
		}
		if len(names) == 0 {
			return "without them"
		}
		return strings.Join(names, ", ")
	}
	was, is := only(begun, now), only(now, begun)
	if was == is {
		was, is = "in one order", "in another"
	}
	return []Difference{{"bases", was, is}}
}

// joined writes a list.
func joined[T any](list []T, text func(T) string) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = text(v)
	}
	return strings.Join(words, ", ")
}

// takeUp brings the writer to where it was when the last batch was committed.
func (w *writer) takeUp(ctx context.Context) error {
	old := w.resumed
	w.factors, w.pairs = old.factors, old.pairs
	for i, table := range tableNames {
		if err := w.scan(ctx, "count rows of "+table+" in", []any{&old.rows[i]}, "SELECT count(*) FROM "+table+" WHERE run_id = $1", old.runID); err != nil {
			return err
		}
		w.rows[i] = old.rows[i]
		w.summary.Rows += old.rows[i]
	}
	var last int
	if err := w.scan(ctx, "read run "+strconv.Itoa(old.runID)+" of", []any{&last, &w.summary.MaxClosure}, `SELECT (SELECT coalesce(max(example_id), -1) FROM example WHERE run_id = $1),
		(SELECT coalesce(max(closure_residual), 0) FROM score WHERE run_id = $1)`, old.runID); err != nil {
		return err
	}
	old.examples = int(old.rows[tableExample])
	if scores := int64(old.examples) * int64(len(w.opts.Engine.Heads())); last+1 != old.examples || old.rows[tableScore] != scores || old.examples > w.source.total {
		return fmt.Errorf("resume run %d of %s: %w: %d examples, the last number %d, with %d scores, want numbers 0 to %d with %d scores",
			old.runID, w.opts.Path, ErrCounts, old.examples, last, old.rows[tableScore], old.examples-1, scores)
	}
	w.summary.Examples, w.summary.Resumed = old.examples, old.examples
	return w.refillMeans(ctx)
}

// each calls f for every row of a query.
func (w *writer) each(ctx context.Context, op string, f func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := w.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return dbfile.Wrap(op, w.opts.Path, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return dbfile.Wrap(op, w.opts.Path, err)
		}
	}
	return dbfile.Wrap(op, w.opts.Path, rows.Err())
}
