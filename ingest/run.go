package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"iter"
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
	Prompts    int      // of the run, in the file
	Examples   int      // of the run, in the file: edges of those prompts
	Resumed    int      // prompts that were there already: 0 unless the run was resumed
	Batches    int      // written now
	Rows       int64    // of the run, in all tables
	MaxClosure float64  // largest closure residual, in score units
	Notices    []string // a sentence each: what was left out, and what is odd about prompts
	Elapsed    time.Duration
}

// Incomplete is the error of a run that stopped after its first batch: the file holds whole prompts, and the
// run is marked running.
type Incomplete struct {
	Path    string
	RunID   int
	Prompts int    // in the file
	Total   int    // wanted
	Kept    string // the file that it was to replace, which is as it was; "" none
	Err     error
}

func (e *Incomplete) Error() string {
	return fmt.Sprintf("run %d in %s stopped after %d of %d prompts: %v", e.RunID, e.Path, e.Prompts, e.Total, e.Err)
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
		return first + fmt.Sprintf("%s is as it was; the first %d prompts are in %s: the same command with -o %[3]s, and --resume in place of --force, computes the other %[4]d",
			e.Kept, e.Prompts, e.Path, e.Total-e.Prompts)
	}
	return first + fmt.Sprintf("the file is sound; run %d in it is marked running and holds the first %d prompts: the same command with --resume computes the other %d",
		e.RunID, e.Prompts, e.Total-e.Prompts)
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

// MadeForError is the error of a run over another number of prompts than something was made for; see [Options.MadeFor].
type MadeForError struct {
	What     string
	Examples int // it was made for
	Total    int // prompts in the run
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

// part is what goes from the computing to the writing goroutine: the results of one forward pass, or of some edges of a prompt that has
// many.
type part struct {
	results   []schema.PromptResult
	continues bool // the first result is of the prompt that the part before has left open
	open      bool // the prompt of the last result goes on in the next part
	last      bool // of its batch, which is what is committed together
}

// prompts counts the prompts that are complete with a part.
func (p *part) prompts() int {
	if p.open {
		return len(p.results) - 1
	}
	return len(p.results)
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
	for _, n := range source.tokens {
		w.allTokens += int64(n)
	}
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
	log.Info("run started", keyPath, opts.Path, keyPrompts, w.run.Prompts, keyResumed, w.summary.Resumed, keyHeads, len(w.run.Heads),
		keyBatch, batchPrompts(opts.BatchPrompts, &w.run))
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
	log.Info("run complete", keyPath, opts.Path, keyRun, summary.RunID, keyPrompts, summary.Prompts, keyExamples, summary.Examples,
		keyRows, summary.Rows, keyClosure, summary.MaxClosure, keyElapsed, summary.Elapsed)
	return summary, nil
}

// prompted is what is known of the prompts before the run.
type prompted struct {
	total  int
	sha256 string           // see [fingerprint]
	tokens []int32          // of each prompt
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
		o.notices, o.first[e.Notice] = append(o.notices, e.Notice), e.PromptIndex
	}
}

// notices lists what whoever made the run should know about it. Prompts are counted from 1, as the records of a file are; in the
// file they have numbers from 0.
func (w *writer) notices(p prompted) []string {
	list := w.opts.Engine.Notices()
	for _, notice := range p.odd.notices {
		where := fmt.Sprintf("prompt %d (%s %d)", p.odd.first[notice]+1, w.numbered(), p.odd.first[notice])
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

// numbered is what the number of a prompt counts in the file: examples, where each prompt is one.
func (w *writer) numbered() string {
	if w.opts.Window > 0 {
		return "prompt_id"
	}
	return "example"
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
		p.tokens = append(p.tokens, int32(len(e.Tokens)))
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
	fmt.Fprintf(h, " query %d key %d baseline %d %q %q", e.Query, e.Key, e.Baseline, e.Prompt.Template, e.Prompt.Order)
	if e.Prompt.Document != "" {
		fmt.Fprintf(h, " document %q offset %d", e.Prompt.Document, e.Offset)
	}
	fmt.Fprintln(h)
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

// examples turns prompts into examples, numbered by prompt, until the first error: a document is one for each of its windows. A
// prompt with positions gets a random name and token if there is a lottery.
func examples(ctx context.Context, opts *Options, draws *lottery) iter.Seq2[schema.Example, error] {
	return func(yield func(schema.Example, error) bool) {
		records, n := 0, 0
		for p, err := range opts.Prompts {
			if err == nil {
				err = cancelled(ctx)
			}
			if err != nil {
				yield(schema.Example{}, err)
				return
			}
			records++
			for e, err := range opts.made(p) {
				if err == nil {
					err = cancelled(ctx)
				}
				if err != nil {
					// Counted from 1, as the records of a file are.
					yield(schema.Example{}, fmt.Errorf("prompt %d of %s: %w", records, opts.PromptSource, err))
					return
				}
				e.Index, e.PromptIndex, e.RandomName, e.RandomToken = n, n, schema.NoToken, schema.NoToken
				if e.Query != schema.NoPosition {
					draws.draw(&e)
				}
				n++
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// made makes a prompt ready, or the windows of a document.
func (o *Options) made(p schema.Prompt) iter.Seq2[schema.Example, error] {
	if p.Document != "" {
		return o.Engine.Windows(p, o.Window, o.Stride)
	}
	return func(yield func(schema.Example, error) bool) { yield(o.Engine.Example(p)) }
}

// errOpen is the writer's error for a batch that was cut off within a prompt: nothing of it is kept.
var errOpen = errors.New("stopped within a prompt")

// pipe computes batches, part by part, and hands the parts to be written, while the next is computed. It returns when both
// are done.
func (w *writer) pipe(ctx context.Context, log *slog.Logger) error {
	computing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c := &computer{opts: w.opts, run: w.run, old: w.resumed.count(), next: w.summary.Examples, parts: make(chan part)} // of its own: the writer is busy
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
	if werr := <-written; werr != nil && !(err != nil && errors.Is(werr, errOpen)) {
		return werr
	}
	return err
}

// computer has the engine explain the prompts of a run.
type computer struct {
	opts  *Options
	run   schema.Run
	old   int // prompts that a resumed run has already
	next  int // number of the next example
	parts chan part

	// What is not sent yet.
	part    part
	rows    int // of contributions and attention in it
	inBatch int // and in the parts of the batch that are sent
}

// compute explains the prompts batch by batch, but for those that a resumed run has already.
func (c *computer) compute(ctx context.Context) error {
	size, more := batchPrompts(c.opts.BatchPrompts, &c.run), 0
	if c.opts.BatchPrompts == 0 {
		more = size / 4 // the last few prompts join the batch before: in a forward pass of their own, two take as long as four
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
		if c.opts.only != nil && !c.opts.only(e.PromptIndex) {
			continue
		}
		done++
		if e.PromptIndex < c.old {
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

// batch explains prompts that are committed together, unless their edges are more than was foreseen: then in several transactions.
func (c *computer) batch(ctx context.Context, pending []schema.Example) error {
	passes := c.opts.Engine.Passes(pending)
	for i, pass := range passes {
		if err := c.explain(ctx, pass); err != nil {
			return err
		}
		if err := c.send(ctx, false, i == len(passes)-1); err != nil {
			return err
		}
		if c.opts.enough != nil && c.opts.enough() {
			return errSampled
		}
	}
	return nil
}

// explain has the prompts of a pass explained, checks what comes back and numbers the examples. Where rules choose edges, what comes
// is sent part by part. The results own their prompts: the slice may be reused.
func (c *computer) explain(ctx context.Context, pass []schema.Example) error {
	var held *schema.PromptResult // until it is known whether its prompt goes on
	begun := -1                   // the last prompt
	err := c.opts.Engine.Stream(ctx, pass, func(i int, r schema.PromptResult) error {
		if i < 0 || i >= len(pass) || i != begun && i != begun+1 || r.Prompt.PromptIndex != pass[i].PromptIndex {
			return fmt.Errorf("the engine gave prompt %d after %d of %d", r.Prompt.PromptIndex+1, begun+1, len(pass))
		}
		for j := range r.Examples {
			if err := c.check(&r.Examples[j], r.Prompt.PromptIndex); err != nil {
				return err
			}
			r.Examples[j].Example.Index = c.next
			c.next++
		}
		if held != nil {
			if err := c.take(ctx, *held, i == begun); err != nil {
				return err
			}
		}
		held, begun = &r, i
		return nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		return fmt.Errorf("prompts %d to %d: %w", pass[0].PromptIndex+1, pass[len(pass)-1].PromptIndex+1, err)
	}
	if begun != len(pass)-1 {
		return fmt.Errorf("the engine gave %d results for %d prompts", begun+1, len(pass))
	}
	return c.take(ctx, *held, false)
}

// take adds a result to the part at hand, and sends that where it has grown too large by edges that rules have chosen. open tells
// that the prompt of the result goes on.
func (c *computer) take(ctx context.Context, r schema.PromptResult, open bool) error {
	c.part.results = append(c.part.results, r)
	chosen := r.Prompt.Query == schema.NoPosition || open
	for i := range r.Examples {
		chosen = chosen || len(r.Examples[i].Example.Rules) > 0
		for j := range r.Examples[i].Heads {
			h := &r.Examples[i].Heads[j]
			c.rows += len(h.Contributions) + len(h.Attention)
		}
	}
	c.rows += keyRowCount(&r)
	if chosen && c.rows >= maxPartRows || open {
		return c.send(ctx, open, !open && c.opts.BatchPrompts == 0 && c.inBatch+c.rows >= maxBatchRows)
	}
	return nil
}

// send hands the part at hand to be written.
func (c *computer) send(ctx context.Context, open, last bool) error {
	if len(c.part.results) == 0 && (!last || c.inBatch == 0) {
		return nil // all is sent, and the batch is ended
	}
	p := c.part
	p.open, p.last = open, last
	c.part = part{continues: open}
	if c.inBatch += c.rows; last {
		c.inBatch = 0
	}
	c.rows = 0
	select {
	case c.parts <- p:
		return nil
	case <-ctx.Done():
		return cancelled(ctx)
	}
}

// check compares a result with what the manifest says.
func (c *computer) check(r *schema.Result, prompt int) error {
	heads := c.run.Heads
	if r.Example.PromptIndex != prompt || len(r.Heads) != len(heads) {
		return fmt.Errorf("the engine gave an example of prompt %d with %d heads, want one of prompt %d with %d", r.Example.PromptIndex+1, len(r.Heads), prompt+1, len(heads))
	}
	if (r.Logits != nil) != c.run.Logits {
		return fmt.Errorf("prompt %d: the engine gave logits: %t, want %t", prompt+1, r.Logits != nil, c.run.Logits)
	}
	for i := range r.Heads {
		h := &r.Heads[i]
		switch {
		case h.Head != heads[i].Head:
			return fmt.Errorf("prompt %d: the engine gave head %s, want %s", prompt+1, h.Head, heads[i].Head)
		case len(h.Factors) > 0 != c.run.Factors || len(h.Pairs) > 0 != c.run.Pairs:
			return fmt.Errorf("prompt %d, head %s: the engine gave factors: %t, pairs: %t, want %t and %t",
				prompt+1, h.Head, len(h.Factors) > 0, len(h.Pairs) > 0, c.run.Factors, c.run.Pairs)
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
