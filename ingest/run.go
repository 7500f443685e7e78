package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"ducklens/engine"
	"ducklens/schema"
)

// ErrNoPrompts is returned when the source has no prompts: an empty run would answer nothing.
var ErrNoPrompts = errors.New("no prompts")

// ErrClosure is wrapped when the contributions of an exact run do not add up to the model's score. It
// means that the numbers are wrong, not the prompts.
var ErrClosure = errors.New("contributions do not add up to the score")

// ErrCounts is wrapped when the file does not hold the rows that were written to it.
var ErrCounts = errors.New("row counts differ")

// Summary says what a run has written.
type Summary struct {
	Path       string
	RunID      int
	ModelID    int
	Examples   int     // of the run, in the file
	Resumed    int     // of these, those that were there already: 0 unless the run was resumed
	Batches    int     // written now
	Rows       int64   // of the run, in all tables
	MaxClosure float64 // largest closure residual, in score units
	Elapsed    time.Duration
}

// Incomplete is the error of a run that stopped after its first batch: the file holds whole examples, and the
// run is marked running.
type Incomplete struct {
	Path     string
	RunID    int
	Examples int // in the file
	Total    int // wanted
	Err      error
}

func (e *Incomplete) Error() string {
	return fmt.Sprintf("run %d in %s stopped after %d of %d examples: %v", e.RunID, e.Path, e.Examples, e.Total, e.Err)
}

// Unwrap gives the reason.
func (e *Incomplete) Unwrap() error { return e.Err }

// Hint says what to do about the reason, what is left of the run, and how to go on.
func (e *Incomplete) Hint() string {
	var advice interface{ Hint() string }
	first := ""
	if errors.As(e.Err, &advice) && advice.Hint() != "" {
		first = advice.Hint() + "\n"
	}
	return first + fmt.Sprintf("the file is sound; run %d in it is marked running and holds the first %d examples: the same command with --resume computes the other %d",
		e.RunID, e.Examples, e.Total-e.Examples)
}

// MadeForError is the error of a run over another number of examples than something was made for; see [Options.MadeFor].
type MadeForError struct {
	What     string
	Examples int // it was made for
	Total    int // in the run
}

func (e *MadeForError) Error() string {
	return fmt.Sprintf("%s is made for %d examples, one part for each, and the run has %d", e.What, e.Examples, e.Total)
}

// Hint says how to make them agree.
func (e *MadeForError) Hint() string {
	if e.Examples < e.Total {
		return fmt.Sprintf("run the first %d prompts only, or give a part for each of the %d", e.Examples, e.Total)
	}
	return fmt.Sprintf("give %d prompts, or one part for each of the %d", e.Examples, e.Total)
}

// part is what goes from the computing to the writing goroutine: the results of one forward pass.
type part struct {
	results []schema.Result
	last    bool // of its batch, which is what is committed together
}

// Run writes one run. When ctx is cancelled it stops: what is computed of a batch is written, what is being computed is
// dropped, and the error wraps the context's.
// The file is complete, with nothing beside it, whenever Run returns a nil error; after an error see [Incomplete].
func Run(ctx context.Context, opts Options) (Summary, error) {
	start := time.Now()
	if err := opts.Validate(); err != nil {
		return Summary{}, err
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := CheckTarget(ctx, opts.Path, opts.Append || opts.Resume, opts.Force); err != nil {
		return Summary{}, err
	}
	source, err := checkPrompts(ctx, &opts)
	if err != nil {
		return Summary{}, err
	}
	total := source.total
	for _, what := range slices.Sorted(maps.Keys(opts.MadeFor)) {
		if n := opts.MadeFor[what]; n != total {
			return Summary{}, &MadeForError{What: what, Examples: n, Total: total}
		}
	}
	if err := prepare(ctx, &opts, source.probe, log); err != nil {
		return Summary{}, err
	}
	w := newWriter(&opts, source)
	if opts.Resume {
		if err := w.resume(ctx); err != nil {
			return Summary{}, err
		}
	}
	log.Info("run started", keyPath, opts.Path, keyExamples, total, keyResumed, w.summary.Resumed, keyHeads, len(opts.Engine.Heads()), keyBatch, opts.batchExamples())
	w.report()
	if err := pipe(ctx, &opts, w, log); err != nil {
		return Summary{}, w.abandon(err)
	}
	// A run whose last batch is written is finished even if ctx is cancelled now.
	if err := w.finish(context.WithoutCancel(ctx)); err != nil {
		return Summary{}, err
	}
	summary := w.summary
	summary.Elapsed = time.Since(start)
	log.Info("run complete", keyPath, opts.Path, keyRun, summary.RunID, keyExamples, summary.Examples,
		keyRows, summary.Rows, keyClosure, summary.MaxClosure, keyElapsed, summary.Elapsed)
	return summary, nil
}

// prompted is what is known of the prompts before the run.
type prompted struct {
	total  int
	sha256 string           // see [fingerprint]
	probe  []schema.Example // the first few and, if they all have a baseline, the first that has none
}

// checkPrompts makes an example of every prompt, and gives what the manifest says of them and what the engine should see before the run.
func checkPrompts(ctx context.Context, opts *Options) (p prompted, err error) {
	bare := false // an example without baseline is in the probe
	print := sha256.New()
	for e, err := range examples(ctx, opts, nil) {
		if err != nil {
			return prompted{}, err
		}
		if none := e.Baseline == schema.NoPosition; p.total < engine.ProbeExamples || none && !bare {
			p.probe = append(p.probe, e)
			bare = bare || none
		}
		fingerprint(print, &e)
		p.total++
	}
	if p.total == 0 {
		return prompted{}, fmt.Errorf("%s: %w", opts.Run.PromptSource, ErrNoPrompts)
	}
	fmt.Fprintf(print, "names %q\n", opts.Names)
	p.sha256 = hex.EncodeToString(print.Sum(nil))
	return p, nil
}

// fingerprint adds an example to a hash: a line of its text, tokens, positions and origin.
func fingerprint(h hash.Hash, e *schema.Example) {
	fmt.Fprintf(h, "%q", e.Prompt.Text)
	for _, t := range e.Tokens {
		fmt.Fprintf(h, " %d", t.ID)
	}
	fmt.Fprintf(h, " query %d key %d baseline %d %q %q\n", e.Query, e.Key, e.Baseline, e.Prompt.Template, e.Prompt.Order)
}

// prepare lets the engine settle what depends on the prompts.
func prepare(ctx context.Context, opts *Options, probe []schema.Example, log *slog.Logger) error {
	if err := opts.Engine.Prepare(ctx, probe); err != nil {
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		return err
	}
	for _, notice := range opts.Engine.Notices() {
		log.Warn(notice, keyPath, opts.Path)
	}
	return nil
}

// examples turns prompts into numbered examples, until the first error. Each gets its random name and token if
// there is a lottery.
func examples(ctx context.Context, opts *Options, draws *lottery) func(yield func(schema.Example, error) bool) {
	return func(yield func(schema.Example, error) bool) {
		n := 0
		for p, err := range opts.Prompts {
			if err == nil {
				err = cancelled(ctx)
			}
			if err != nil {
				yield(schema.Example{}, err)
				return
			}
			e, err := opts.Engine.Example(p)
			if err != nil {
				// Counted from 1, as the records of a file are.
				yield(schema.Example{}, fmt.Errorf("prompt %d of %s: %w", n+1, opts.Run.PromptSource, err))
				return
			}
			e.Index, e.RandomName, e.RandomToken = n, schema.NoToken, schema.NoToken
			draws.draw(&e)
			n++
			if !yield(e, nil) {
				return
			}
		}
	}
}

// pipe computes batches, part by part, and hands the parts to the writer, which works on the one before meanwhile. It
// returns when both are done.
func pipe(ctx context.Context, opts *Options, w *writer, log *slog.Logger) error {
	computing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	parts := make(chan part)
	written := make(chan error, 1)
	go func() {
		// A transaction that has begun is finished, whatever happens to ctx.
		err := w.writeAll(context.WithoutCancel(ctx), parts, log)
		if err != nil {
			stop(err)
		}
		written <- err
	}()
	err := compute(computing, opts, w, parts)
	close(parts)
	if werr := <-written; werr != nil {
		return werr
	}
	return err
}

// compute analyses the prompts batch by batch, but for those that a resumed run has already.
func compute(ctx context.Context, opts *Options, w *writer, parts chan<- part) error {
	size, more := opts.batchExamples(), 0
	if opts.BatchExamples == 0 {
		more = size / 4 // the last few examples join the batch before: in a forward pass of their own, two take as long as four
	}
	pending := make([]schema.Example, 0, min(size+more, w.source.total))
	done, old := 0, w.resumed
	flush := func() error {
		passes := engine.Passes(pending)
		for i, pass := range passes {
			results, err := analyze(ctx, opts, pass)
			if err != nil {
				return err
			}
			if err := old.check(opts.Path, results); err != nil {
				return err
			}
			select {
			case parts <- part{results, i == len(passes)-1}:
			case <-ctx.Done():
				return cancelled(ctx)
			}
		}
		done += len(pending)
		pending = pending[:0]
		return nil
	}
	draws, err := newLottery(opts)
	if err != nil {
		return err
	}
	for e, err := range examples(ctx, opts, draws) {
		if err != nil {
			return err
		}
		if e.Index < old.count() {
			done++
			continue
		}
		pending = append(pending, e)
		if left := w.source.total - done - len(pending); len(pending) >= size && (left > more || left < 0) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(pending) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	if done != w.source.total {
		return fmt.Errorf("%s gave %d prompts, and %d when they were checked: it changed in between", opts.Run.PromptSource, done, w.source.total)
	}
	return nil
}

// analyze has examples analysed and checks what comes back. The results own their examples: the
// slice may be reused.
func analyze(ctx context.Context, opts *Options, pending []schema.Example) ([]schema.Result, error) {
	results, err := opts.Engine.Analyze(ctx, pending)
	if err != nil {
		if ctx.Err() != nil {
			return nil, cancelled(ctx)
		}
		return nil, fmt.Errorf("examples %d to %d: %w", pending[0].Index, pending[len(pending)-1].Index, err)
	}
	if len(results) != len(pending) {
		return nil, fmt.Errorf("the engine gave %d results for %d examples", len(results), len(pending))
	}
	heads := opts.Engine.Heads()
	for i, r := range results {
		if r.Example.Index != pending[i].Index || len(r.Heads) != len(heads) {
			return nil, fmt.Errorf("the engine gave example %d with %d heads, want example %d with %d",
				r.Example.Index, len(r.Heads), pending[i].Index, len(heads))
		}
		for j, h := range r.Heads {
			if h.Head != heads[j] {
				return nil, fmt.Errorf("example %d: the engine gave head %s, want %s", r.Example.Index, h.Head, heads[j])
			}
			if opts.Run.Convention == schema.Exact && !closes(h.Score) {
				return nil, fmt.Errorf("example %d (%q), head %s: %w: score %g, baseline %g, largest difference %g, want at most %g of their size",
					r.Example.Index, r.Example.Prompt.Text, h.Head, ErrClosure, h.Score.Score, h.Score.Baseline, h.Score.Closure, schema.ClosureTolerance)
			}
		}
	}
	return results, nil
}

// cancelled gives the error of a context that is done, and why it is: nil if it is not.
func cancelled(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// closes tells whether the closure residual is within [schema.ClosureTolerance]. A NaN is not.
func closes(s schema.Score) bool {
	scale := max(1, math.Abs(float64(s.Score)))
	if b := math.Abs(float64(s.Baseline)); b > scale {
		scale = b
	}
	return s.Closure <= schema.ClosureTolerance*scale
}
