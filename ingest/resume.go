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
	prompts  int // numbers 0 to prompts-1 are there
	examples int // and their edges, numbers 0 to examples-1
}

// count gives the number of prompts that need not be computed.
func (r *resumed) count() int {
	if r == nil {
		return 0
	}
	return r.prompts
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
	op := "read run " + strconv.Itoa(id) + " of"
	var begun schema.Run
	var modelKey, convention, processing string
	var prompts sql.NullInt64
	var promptsSHA, options sql.NullString
	if err := w.scan(ctx, op, []any{&w.summary.ModelID, &begun.Model.Name, &modelKey, &begun.Model.SHA256, &begun.Version, &begun.CommandLine,
		&begun.Seed, &begun.BOS, &convention, &processing, &begun.Precision, &begun.BLAS,
		&begun.Factors, &begun.Pairs, &begun.PairMeans, &begun.Logits, &options, &prompts, &promptsSHA},
		`SELECT r.model_id, m.name, m.key, m.sha256, r.ducklens_version, r.command_line,
		r.seed, r.bos, r.convention::VARCHAR, r.processing::VARCHAR, r.precision, r.blas,
		r.factors, r.pairs, r.pair_means, r.logits, r.options, r.n_prompts, r.prompts_sha256
		FROM run AS r JOIN model AS m ON m.model_id = r.model_id WHERE r.run_id = $1`, id); err != nil {
		return err
	}
	var heads, bases, movers, components []string
	for _, list := range []struct {
		into  *[]string
		query string
	}{
		{&heads, "SELECT layer || '.' || head FROM head WHERE run_id = $1 ORDER BY ordinal"},
		{&bases, "SELECT side || ' ' || name || ' (' || kind || ' of ' || dimension || ': ' || description || ')' FROM basis WHERE run_id = $1 ORDER BY basis_id"},
		{&movers, "SELECT label FROM mover WHERE run_id = $1 ORDER BY ordinal"},
		{&components, "SELECT c.label FROM run_component AS r JOIN component AS c ON c.component_id = r.component_id WHERE r.run_id = $1 ORDER BY r.ordinal"},
	} {
		if err := w.each(ctx, op, func(rows *sql.Rows) error {
			var s string
			err := rows.Scan(&s)
			*list.into = append(*list.into, s)
			return err
		}, list.query, id); err != nil {
			return err
		}
	}

	now := &w.run
	var list []Difference
	differ := func(what string, begun, asked any) {
		if b, a := fmt.Sprint(begun), fmt.Sprint(asked); b != a {
			list = append(list, Difference{what, b, a})
		}
	}
	sameModel := modelKey == schema.ModelKey(now.Model) // a folder may be renamed
	switch {
	case sameModel:
		differ("components", strings.Join(components, ", "), joined(now.Components, schema.Component.Label))
	case begun.Model.SHA256 == now.Model.SHA256:
		differ("model", begun.Model.Name, now.Model.Name+" with the same weights and another configuration")
	default:
		differ("model", begun.Model.Name+" with SHA-256 "+begun.Model.SHA256, now.Model.Name+" with SHA-256 "+now.Model.SHA256)
	}
	switch {
	case !prompts.Valid || !promptsSHA.Valid:
		differ("prompts", "not recorded by the ducklens that began it", now.Prompts)
	case prompts.Int64 != int64(now.Prompts):
		differ("prompts", prompts.Int64, now.Prompts)
	default:
		differ("prompts", "with SHA-256 "+promptsSHA.String, "with SHA-256 "+now.PromptsSHA256)
	}
	differ("seed", begun.Seed, now.Seed)
	differ("bos", begun.BOS, now.BOS)
	differ("convention", convention, now.Convention)
	differ("processing", processing, now.Processing)
	differ("precision", begun.Precision, now.Precision)
	differ("blas", begun.BLAS, now.BLAS) // another provider gives other bits; another number of threads does not
	differ("ducklens version", begun.Version, now.Version)
	differ("factors", begun.Factors, now.Factors)
	differ("pairs", begun.Pairs, now.Pairs)
	differ("logits", begun.Logits, now.Logits)
	differ("options", options.String, now.Options)
	differ("heads", strings.Join(heads, ", "), joined(now.Heads, schema.Target.String))
	differ("movers", strings.Join(movers, ", "), joined(now.Movers, schema.Head.String))
	list = append(list, basesDiffer(bases, now.Bases)...)
	if len(list) > 0 {
		return &DifferentError{Path: w.opts.Path, RunID: id, CommandLine: begun.CommandLine, Differences: list}
	}
	w.resumed, w.summary.RunID, w.run.PairMeans = &resumed{runID: id}, id, begun.PairMeans
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
func (w *writer) takeUp(ctx context.Context) (err error) {
	old := w.resumed
	op := "read run " + strconv.Itoa(old.runID) + " of"
	if w.rows, err = w.count(ctx, old.runID); err != nil {
		return err
	}
	for _, n := range w.rows {
		w.summary.Rows += n
	}
	if err := w.each(ctx, op, func(rows *sql.Rows) error {
		var id int32
		err := rows.Scan(&id)
		w.componentIDs = append(w.componentIDs, id)
		return err
	}, "SELECT component_id FROM run_component WHERE run_id = $1 ORDER BY ordinal", old.runID); err != nil {
		return err
	}
	var last, lastPrompt int
	if err := w.scan(ctx, op, []any{&last, &lastPrompt, &w.closure}, `SELECT (SELECT coalesce(max(example_id), -1) FROM edge WHERE run_id = $1),
		(SELECT coalesce(max(prompt_id), -1) FROM prompt WHERE run_id = $1), (SELECT coalesce(max(closure_residual), 0) FROM score WHERE run_id = $1)`, old.runID); err != nil {
		return err
	}
	w.summary.MaxClosure = w.closure
	old.prompts, old.examples = int(w.rows[tablePrompt]), int(w.rows[tableEdge])
	if scores := int64(old.examples) * int64(len(w.run.Heads)); last+1 != old.examples || w.rows[tableScore] != scores {
		return fmt.Errorf("resume run %d of %s: %w: %d examples, the last number %d, with %d scores, want numbers 0 to %d with %d scores",
			old.runID, w.opts.Path, ErrCounts, old.examples, last, w.rows[tableScore], old.examples-1, scores)
	}
	if lastPrompt+1 != old.prompts || old.prompts > w.run.Prompts {
		return fmt.Errorf("resume run %d of %s: %w: %d prompts, the last number %d, want numbers 0 to %d of at most %d",
			old.runID, w.opts.Path, ErrCounts, old.prompts, lastPrompt, old.prompts-1, w.run.Prompts)
	}
	w.summary.Prompts, w.summary.Examples, w.summary.Resumed = old.prompts, old.examples, old.prompts
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
