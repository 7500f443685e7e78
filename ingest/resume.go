package ingest

import (
	"cmp"
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

// ErrNotResumable is wrapped by the error for a file without a run that the options could resume.
var ErrNotResumable = errors.New("nothing to resume")

// Difference is one option or property in which the stored run and the requested one differ.
type Difference struct {
	What         string // model, prompts, seed, ...
	Begun, Asked string
}

func (d Difference) String() string { return fmt.Sprintf("%s %s, now %s", d.What, d.Begun, d.Asked) }

// DifferentError is the error for resuming a run with other options than it was begun with. Continuing it
// would mix the rows of two runs.
type DifferentError struct {
	Path        string
	RunID       int
	CommandLine string // of the stored run
	Differences []Difference
	Shard       bool // the stored run is a complete shard that was to be computed; nothing is resumed
}

func (e *DifferentError) Error() string {
	list := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		list[i] = d.String()
	}
	if e.Shard {
		return fmt.Sprintf("%s is there and is another shard: %s", e.Path, strings.Join(list, "; "))
	}
	return fmt.Sprintf("resume run %d of %s: it was begun with other options: %s", e.RunID, e.Path,
		strings.Join(list, "; "))
}

// Unwrap returns [ErrNotResumable].
func (e *DifferentError) Unwrap() error { return ErrNotResumable }

// Hint names the command that began the run.
func (e *DifferentError) Hint() string {
	// The command line comes from the file, which may be untrusted: print it only if it is printable.
	strange := e.CommandLine == "" || strings.ContainsFunc(e.CommandLine,
		func(r rune) bool { return !unicode.IsPrint(r) })
	if e.Shard {
		const advice = "give the same options, choose another name, or replace the file with --force"
		if strange {
			return advice
		}
		return fmt.Sprintf("it was made with: %s\n%s", e.CommandLine, advice)
	}
	if strange {
		return "give the options that the run was begun with, or add another run with --append"
	}
	return fmt.Sprintf("it was begun with: %s\ngive the same and --resume, or add another run with --append",
		e.CommandLine)
}

// noneError is the error for resuming a run in a file whose runs are all complete and have other options.
type noneError struct {
	path string
	runs int
}

func (e *noneError) Error() string {
	return fmt.Sprintf("resume a run of %s: %v: each of its runs (%d) is complete and has other options",
		e.path, ErrNotResumable, e.runs)
}

// Unwrap returns [ErrNotResumable].
func (e *noneError) Unwrap() error { return ErrNotResumable }

// Hint says what can be done with such a file.
func (e *noneError) Hint() string { return "--append adds another run to it" }

// resumed describes the stored part of a run that is continued.
type resumed struct {
	runID    int
	prompts  int // ids 0 to prompts-1 are stored
	examples int // ids 0 to examples-1 are stored
}

// count returns the number of prompts that need not be computed again.
func (r *resumed) count() int {
	if r == nil {
		return 0
	}
	return r.prompts
}

// resume opens the file and continues a matching unfinished run. If the matching run is complete, it closes
// the file and sets [Summary.Known]. If the file has no runs, it closes it and sets Append, so that a new run
// begins.
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
		// The process died between creating the file and committing the first batch.
		w.opts.Append = true
		return w.release()
	}
	id, different, err := w.same(ctx, "running")
	if err != nil {
		return err
	}
	if id != 0 {
		return w.takeUp(ctx)
	}
	// A script that gives --resume every time must be able to end so.
	whole, _, err := w.same(ctx, "complete")
	switch {
	case err != nil:
		return err
	case whole != 0:
		return errors.Join(w.whole(ctx, whole), w.release())
	case different == nil:
		return &noneError{w.opts.Path, runs}
	}
	return different
}

// same finds the last run of a status that the options describe; 0 if there is none. different is then the
// difference from the last run of that status, or nil if there is no such run.
func (w *writer) same(ctx context.Context, status string) (id int, different *DifferentError, err error) {
	ids, err := w.inState(ctx, status)
	if err != nil {
		return 0, nil, err
	}
	for _, id := range ids {
		err := w.compare(ctx, id)
		if err == nil {
			return id, nil, nil
		}
		var this *DifferentError
		if !errors.As(err, &this) {
			return 0, nil, err
		}
		different = cmp.Or(different, this)
	}
	return 0, different, nil
}

// whole describes a complete run that the options describe, in the summary.
func (w *writer) whole(ctx context.Context, id int) (err error) {
	w.resumed = nil
	if w.rows, err = w.count(ctx, id); err != nil {
		return err
	}
	for _, n := range w.rows {
		w.summary.Rows += n
	}
	w.summary.Prompts, w.summary.Examples, w.summary.Known = int(w.rows[tablePrompt]), int(w.rows[tableEdge]),
		true
	if w.summary.Prompts != w.wanted {
		what := "run " + strconv.Itoa(id)
		if !w.run.Shard.Whole() {
			what = "shard " + w.run.Shard.String()
		}
		return fmt.Errorf("%s in %s: %w: %d prompts, want %d", what, w.opts.Path, ErrCounts,
			w.summary.Prompts, w.wanted)
	}
	return w.scan(ctx, "read the scores of", []any{&w.summary.MaxClosure},
		"SELECT coalesce(max_closure_residual, 0) FROM run WHERE run_id = $1", id)
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

// inState lists the runs of a status, the last one first.
func (w *writer) inState(ctx context.Context, status string) (ids []int, err error) {
	err = w.each(ctx, "look for runs in", func(rows *sql.Rows) error {
		var id int
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, "SELECT run_id FROM run WHERE status::VARCHAR = $1 ORDER BY run_id DESC", status)
	return ids, err
}

// compare checks that a stored run is the one that the options describe. If it is, the writer continues it.
func (w *writer) compare(ctx context.Context, id int) error {
	op := "read run " + strconv.Itoa(id) + " of"
	var begun schema.Run
	var modelKey, convention, processing string
	var prompts sql.NullInt64
	var promptsSHA, options sql.NullString
	if err := w.scan(ctx, op, []any{&w.summary.ModelID, &begun.Model.Name, &modelKey, &begun.Model.SHA256,
		&begun.Version, &begun.CommandLine, &begun.Seed, &begun.BOS, &convention, &processing,
		&begun.Precision, &begun.BLAS, &begun.Factors, &begun.Pairs, &begun.PairMeans, &begun.Logits,
		&options, &prompts, &promptsSHA},
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
		{&bases, "SELECT side || ' ' || name || ' (' || kind || ' of ' || dimension || ': ' || description " +
			"|| ')' FROM basis WHERE run_id = $1 ORDER BY basis_id"},
		{&movers, "SELECT label FROM mover WHERE run_id = $1 ORDER BY ordinal"},
		{&components, "SELECT c.label FROM run_component AS r JOIN component AS c " +
			"ON c.component_id = r.component_id WHERE r.run_id = $1 ORDER BY r.ordinal"},
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
	// The name may differ, because a folder may be renamed.
	sameModel := modelKey == schema.ModelKey(now.Model)
	switch {
	case sameModel:
		differ("components", strings.Join(components, ", "), joined(now.Components, schema.Component.Label))
	case begun.Model.SHA256 == now.Model.SHA256:
		differ("model", begun.Model.Name, now.Model.Name+" with the same weights and another configuration")
	default:
		differ("model", begun.Model.Name+" with SHA-256 "+begun.Model.SHA256,
			now.Model.Name+" with SHA-256 "+now.Model.SHA256)
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
	// Another provider gives other bits; another number of threads does not.
	differ("blas", begun.BLAS, now.BLAS)
	differ("ducklens version", begun.Version, now.Version)
	differ("factors", begun.Factors, now.Factors)
	differ("pairs", begun.Pairs, now.Pairs)
	differ("logits", begun.Logits, now.Logits)
	shard, rest, err := schema.CutShard(options.String)
	if err != nil {
		return dbfile.Fail(op, w.opts.Path, err)
	}
	differ("shard", cmp.Or(shard.String(), "none"), cmp.Or(now.Shard.String(), "none"))
	differ("options", rest, now.Options)
	differ("heads", strings.Join(heads, ", "), joined(now.Heads, schema.Target.String))
	differ("movers", strings.Join(movers, ", "), joined(now.Movers, schema.Head.String))
	list = append(list, basesDiffer(bases, now.Bases)...)
	if len(list) > 0 {
		return &DifferentError{Path: w.opts.Path, RunID: id, CommandLine: begun.CommandLine,
			Differences: list, Shard: !now.Shard.Whole()}
	}
	w.resumed, w.summary.RunID, w.run.PairMeans = &resumed{runID: id}, id, begun.PairMeans
	return nil
}

// basesDiffer returns the bases that only one of the lists has, or a difference in their order.
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

// joined formats a list.
func joined[T any](list []T, text func(T) string) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = text(v)
	}
	return strings.Join(words, ", ")
}

// takeUp restores the state that the writer had after the last committed batch.
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
	if scores := int64(old.examples) * int64(len(w.run.Heads)); last+1 != old.examples ||
		w.rows[tableScore] != scores {
		return fmt.Errorf("resume run %d of %s: %w: %d examples, the last number %d, with %d scores, "+
			"want numbers 0 to %d with %d scores", old.runID, w.opts.Path, ErrCounts, old.examples, last,
			w.rows[tableScore], old.examples-1, scores)
	}
	if lastPrompt+1 != old.prompts || old.prompts > w.run.Prompts {
		return fmt.Errorf("resume run %d of %s: %w: %d prompts, the last number %d, "+
			"want numbers 0 to %d of at most %d", old.runID, w.opts.Path, ErrCounts, old.prompts, lastPrompt,
			old.prompts-1, w.run.Prompts)
	}
	w.summary.Prompts, w.summary.Examples, w.summary.Resumed = old.prompts, old.examples, old.prompts
	return w.refillMeans(ctx)
}

// each calls f for every row of a query.
func (w *writer) each(ctx context.Context, op string, f func(*sql.Rows) error, query string,
	args ...any) (err error) {
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
