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
	"slices"
	"time"

	"ducklens/engine"
	"ducklens/schema"
)

// ErrNoPrompts is returned when the source has no prompts: an empty run would answer nothing.
var ErrNoPrompts = errors.New("no prompts")

// ErrCounts is wrapped when the file does not hold the rows that were written to it.
var ErrCounts = errors.New("row counts differ")

// Summary says what a run has written.
type Summary struct {
	Path       string
	RunID      int
	ModelID    int
	Examples   int      // of the run, in the file
	Resumed    int      // of these, those that were there already: 0 unless the run was resumed
	Batches    int      // written now
	Rows       int64    // of the run, in all tables
	MaxClosure float64  // largest closure residual, in score units
	Notices    []string // a sentence each: what was left out, and what is odd about prompts
	Elapsed    time.Duration
}

// Incomplete is the error of a run that stopped after its first batch: the file holds whole examples, and the
// run is marked running.
type Incomplete struct {
	Path     string
	RunID    int
	Examples int    // in the file
	Total    int    // wanted
	Kept     string // the file that it was to replace, which is as it was; "" none
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
	if e.Kept != "" {
		return first + fmt.Sprintf("%s is as it was; the first %d examples are in %s: the same command with -o %[3]s, and --resume in place of --force, computes the other %[4]d",
			e.Kept, e.Examples, e.Path, e.Total-e.Examples)
	}
	return first + fmt.Sprintf("the file is sound; run %d in it is marked running and holds the first %d examples: the same command with --resume computes the other %d",
		e.RunID, e.Examples, e.Total-e.Examples)
}

// Taken is the error of a run that is complete and has another name than it was to have, because another program has
// meanwhile put something there, or changed what was there.
type Taken struct {
	Path string // where the run is
	Err  error
}

func (e *Taken) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *Taken) Unwrap() error { return e.Err }

// Hint says where the run is.
func (e *Taken) Hint() string {
	return fmt.Sprintf("the run is complete, in %s: move that to where you want it", e.Path)
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
	if err := opts.CheckTarget(ctx); err != nil {
		return Summary{}, err
	}
	begun := opts.Resume && opts.begins()
	opts.Resume = opts.Resume && !begun
	source, err := checkPrompts(ctx, &opts)
	if err != nil {
		return Summary{}, err
	}
	for _, what := range slices.Sorted(maps.Keys(opts.MadeFor)) {
		if n := opts.MadeFor[what]; n != source.total {
			return Summary{}, &MadeForError{What: what, Examples: n, Total: source.total}
		}
	}
	if err := prepare(ctx, &opts, source.probe); err != nil {
		return Summary{}, err
	}
	w := newWriter(&opts, opts.manifest(source))
	w.summary.Notices = w.notices(source)
	if begun {
		w.summary.Notices = append(w.summary.Notices, "there is no file yet, so the run is begun")
	}
	for _, notice := range w.summary.Notices {
		log.Warn(notice, keyPath, opts.Path)
	}
	if opts.Resume {
		if err := w.resume(ctx); err != nil {
			return Summary{}, err
		}
	}
	log.Info("run started", keyPath, opts.Path, keyExamples, w.run.Prompts, keyResumed, w.summary.Resumed, keyHeads, len(w.run.Heads),
		keyBatch, batchExamples(opts.BatchExamples, &w.run))
	w.report()
	if err := w.pipe(ctx, log); err != nil {
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
	odd    oddities
}

// oddities are what the engine notices about prompts: how many it says a thing of, and of which first.
type oddities struct {
	notices []string
	first   map[string]int
	count   map[string]int
}

// add notes what is said of an example; mostly nothing.
func (o *oddities) add(e *schema.Example) {
	if e.Notice == "" {
		return
	}
	if o.count[e.Notice]++; o.count[e.Notice] == 1 {
		o.notices, o.first[e.Notice] = append(o.notices, e.Notice), e.Index
	}
}

// notices lists what whoever made the run should know about it. Prompts are counted from 1, as the records of a file are; their
// examples have numbers from 0.
func (w *writer) notices(p prompted) []string {
	list := w.opts.Engine.Notices()
	for _, notice := range p.odd.notices {
		where := fmt.Sprintf("prompt %d (example %d)", p.odd.first[notice]+1, p.odd.first[notice])
		if n := p.odd.count[notice]; n > 1 {
			where += fmt.Sprintf(" and %d more", n-1)
		}
		list = append(list, where+": "+notice)
	}
	if (w.run.Factors || w.run.Pairs) && !w.run.PairMeans {
		list = append(list, "means over all pairs of components are not stored: there are too many pairs; queries can make those of some")
	}
	return list
}

// checkPrompts makes an example of every prompt, and gives what the manifest says of them and what the engine should see before the run.
func checkPrompts(ctx context.Context, opts *Options) (p prompted, err error) {
	p.odd = oddities{first: map[string]int{}, count: map[string]int{}}
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
		p.odd.add(&e)
		p.total++
	}
	if p.total == 0 {
		return prompted{}, fmt.Errorf("%s: %w", opts.PromptSource, ErrNoPrompts)
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
func prepare(ctx context.Context, opts *Options, probe []schema.Example) error {
	if err := opts.Engine.Prepare(ctx, probe); err != nil {
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		return err
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
				yield(schema.Example{}, fmt.Errorf("prompt %d of %s: %w", n+1, opts.PromptSource, err))
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

// pipe computes batches, part by part, and hands the parts to be written, while the next is computed. It returns when both
// are done.
func (w *writer) pipe(ctx context.Context, log *slog.Logger) error {
	computing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c := &computer{opts: w.opts, run: w.run, old: w.resumed.count(), parts: make(chan part)} // of its own: the writer is busy
	written := make(chan error, 1)
	go func() {
		// A transaction that has begun is finished, whatever happens to ctx.
		err := w.writeAll(context.WithoutCancel(ctx), c.parts, log)
		if err != nil {
			stop(err)
		}
		written <- err
	}()
	err := c.compute(computing)
	close(c.parts)
	if werr := <-written; werr != nil {
		return werr
	}
	return err
}

// computer has the engine analyse the examples of a run.
type computer struct {
	opts  *Options
	run   schema.Run
	old   int // examples that a resumed run has already
	parts chan part
}

// compute analyses the prompts batch by batch, but for those that a resumed run has already.
func (c *computer) compute(ctx context.Context) error {
	size, more := batchExamples(c.opts.BatchExamples, &c.run), 0
	if c.opts.BatchExamples == 0 {
		more = size / 4 // the last few examples join the batch before: in a forward pass of their own, two take as long as four
	}
	draws, err := newLottery(c.opts, &c.run)
	if err != nil {
		return err
	}
	pending := make([]schema.Example, 0, min(size+more, c.run.Prompts))
	done := 0
	for e, err := range examples(ctx, c.opts, draws) {
		if err != nil {
			return err
		}
		done++
		if e.Index < c.old {
			continue
		}
		pending = append(pending, e)
		if left := c.run.Prompts - done; len(pending) >= size && (left > more || left < 0) {
			if err := c.batch(ctx, pending); err != nil {
				return err
			}
			pending = pending[:0]
		}
	}
	if err := c.batch(ctx, pending); err != nil {
		return err
	}
	if done != c.run.Prompts {
		return fmt.Errorf("%s gave %d prompts, and %d when they were checked: it changed in between", c.run.PromptSource, done, c.run.Prompts)
	}
	return nil
}

// batch analyses what is committed together.
func (c *computer) batch(ctx context.Context, pending []schema.Example) error {
	passes := c.opts.Engine.Passes(pending)
	for i, pass := range passes {
		results, err := c.analyze(ctx, pass)
		if err != nil {
			return err
		}
		select {
		case c.parts <- part{results, i == len(passes)-1}:
		case <-ctx.Done():
			return cancelled(ctx)
		}
	}
	return nil
}

// analyze has examples analysed and checks what comes back. The results own their examples: the
// slice may be reused.
func (c *computer) analyze(ctx context.Context, pending []schema.Example) ([]schema.Result, error) {
	results, err := c.opts.Engine.Analyze(ctx, pending)
	if err != nil {
		if ctx.Err() != nil {
			return nil, cancelled(ctx)
		}
		return nil, fmt.Errorf("examples %d to %d: %w", pending[0].Index, pending[len(pending)-1].Index, err)
	}
	if len(results) != len(pending) {
		return nil, fmt.Errorf("the engine gave %d results for %d examples", len(results), len(pending))
	}
	for i := range results {
		if err := c.check(&results[i], pending[i].Index); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// check compares a result with what the manifest says.
func (c *computer) check(r *schema.Result, index int) error {
	heads := c.run.Heads
	if r.Example.Index != index || len(r.Heads) != len(heads) {
		return fmt.Errorf("the engine gave example %d with %d heads, want example %d with %d", r.Example.Index, len(r.Heads), index, len(heads))
	}
	if (r.Logits != nil) != c.run.Logits {
		return fmt.Errorf("example %d: the engine gave logits: %t, want %t", index, r.Logits != nil, c.run.Logits)
	}
	for i := range r.Heads {
		h := &r.Heads[i]
		switch {
		case h.Head != heads[i].Head:
			return fmt.Errorf("example %d: the engine gave head %s, want %s", index, h.Head, heads[i].Head)
		case len(h.Factors) > 0 != c.run.Factors || len(h.Pairs) > 0 != c.run.Pairs:
			return fmt.Errorf("example %d, head %s: the engine gave factors: %t, pairs: %t, want %t and %t",
				index, h.Head, len(h.Factors) > 0, len(h.Pairs) > 0, c.run.Factors, c.run.Pairs)
		}
	}
	return nil
}

// cancelled gives the error of a context that is done, and why it is: nil if it is not.
func cancelled(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
