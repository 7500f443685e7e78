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

// Summary describes what a run has written.
type Summary struct {
	Path       string
	RunID      int
	ModelID    int
	Prompts    int      // of the run, in the file
	Examples   int      // of the run, in the file: edges of those prompts
	Resumed    int      // prompts that were in the file already; 0 unless the run was resumed
	Known      bool     // the shard or run was there already, complete and the same; nothing was written
	Batches    int      // written now
	Rows       int64    // of the run, in all tables
	MaxClosure float64  // largest closure residual, in score units
	Notices    []string // one sentence each: what was left out, and what is unusual about prompts
	Elapsed    time.Duration
}

// Run writes one run. When ctx is cancelled, Run writes the results that are computed, drops those in
// progress, and returns an error that wraps the context's. After a nil error the file is complete and no
// other file is left beside it; for other errors see [Incomplete].
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
	if err := opts.checkGroups(source.values, &w.run); err != nil {
		return Summary{}, err
	}
	if err := w.choose(source); err != nil {
		return Summary{}, err
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
		if w.summary.Known {
			return w.summary, nil
		}
	}
	if known, err := w.known(ctx); known || err != nil {
		return w.summary, err
	}
	log.Info("run started", keyPath, opts.Path, keyPrompts, w.wanted, keyResumed, w.summary.Resumed, keyHeads,
		len(w.run.Heads), keyBatch, batchPrompts(opts.BatchPrompts, &w.run))
	w.report()
	if err := w.pipe(ctx, log); err != nil {
		return Summary{}, w.abandon(err)
	}
	// The last batch is written: finish the run even if ctx is cancelled now.
	if err := w.finish(context.WithoutCancel(ctx)); err != nil {
		return Summary{}, err
	}
	summary := w.summary
	summary.Elapsed = time.Since(start)
	log.Info("run complete", keyPath, opts.Path, keyRun, summary.RunID, keyPrompts, summary.Prompts,
		keyExamples, summary.Examples, keyRows, summary.Rows, keyClosure, summary.MaxClosure, keyElapsed,
		summary.Elapsed)
	return summary, nil
}

// prompted describes the prompts, as known before the run.
type prompted struct {
	total  int
	sha256 string           // see [fingerprint]
	tokens []int32          // of each prompt
	values map[string]int   // number of values of each field that means are grouped by
	probe  []schema.Example // the first few and, if all of these have a baseline, the first one without
	odd    oddities
}

// oddities collects the engine's notices about prompts: for each notice, the number of prompts and the first
// one.
type oddities struct {
	notices []string
	first   map[string]int
	count   map[string]int
}

// add records the notices of an example.
func (o *oddities) add(e *schema.Example) {
	for _, notice := range e.Notices {
		if o.count[notice]++; o.count[notice] == 1 {
			o.notices, o.first[notice] = append(o.notices, notice), e.PromptIndex
		}
	}
}

// notices lists what the user should know about the run. Prompts are counted from 1, like the records of a
// file; their ids in the database begin at 0.
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
		list = append(list, "means over all pairs of components are not stored: there are too many pairs; "+
			"queries can make those of some")
	}
	return list
}

// numbered names the column with the number of a prompt: "example" if each prompt is one example.
func (w *writer) numbered() string {
	if w.opts.Window > 0 {
		return "prompt_id"
	}
	return "example"
}

// checkPrompts makes an example of every prompt, and returns what the manifest and [Engine.Prepare] need.
func checkPrompts(ctx context.Context, opts *Options) (p prompted, err error) {
	p.odd = oddities{first: map[string]int{}, count: map[string]int{}}
	p.values = map[string]int{}
	groups := map[string]bool{}
	bare := false // whether the probe has an example without baseline
	print := sha256.New()
	unusable := &Unusable{Source: opts.PromptSource}
	for e, err := range examples(ctx, opts, nil) {
		if f := (*refused)(nil); errors.As(err, &f) && unusable.Add(f.prompt, f.error) {
			continue
		}
		if err != nil {
			return prompted{}, errors.Join(unusable.Err(), err)
		}
		if none := e.Baseline == schema.NoPosition; p.total < engine.ProbeExamples || none && !bare {
			p.probe = append(p.probe, e)
			bare = bare || none
		}
		fingerprint(print, &e)
		p.tokens = append(p.tokens, int32(len(e.Tokens)))
		p.odd.add(&e)
		for _, field := range opts.By {
			for _, group := range promptGroups(&e.Prompt, []string{field}) {
				// Counting stops above maxGroups, because more values are refused.
				if p.values[field] <= maxGroups && !groups[group] {
					groups[group] = true
					p.values[field]++
				}
			}
		}
		p.total++
	}
	if err := unusable.Err(); err != nil {
		return prompted{}, err
	}
	if p.total == 0 {
		return prompted{}, fmt.Errorf("%s: %w", opts.PromptSource, ErrNoPrompts)
	}
	fmt.Fprintf(print, "names %q\n", opts.Names)
	p.sha256 = hex.EncodeToString(print.Sum(nil))
	return p, nil
}

// fingerprint adds an example to a hash: one line with its text, tokens, positions and origin.
func fingerprint(h hash.Hash, e *schema.Example) {
	fmt.Fprintf(h, "%q", e.Prompt.Text)
	for _, t := range e.Tokens {
		fmt.Fprintf(h, " %d", t.ID)
	}
	fmt.Fprintf(h, " query %d key %d baseline %d %q %q", e.Query, e.Key, e.Baseline, e.Prompt.Template,
		e.Prompt.Order)
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

// refused is the error about a prompt, counted from 1 like the records of a file.
type refused struct {
	error
	prompt int
	source string
}

func (e *refused) Error() string {
	return fmt.Sprintf("prompt %d of %s: %v", e.prompt, e.source, e.error)
}
func (e *refused) Unwrap() error { return e.error }

// examples turns prompts into examples, numbered by prompt, and continues after a refused one. A document
// becomes an example for each window. A prompt with positions gets a random name and token if there is a
// lottery.
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
					if !yield(schema.Example{}, &refused{err, records, opts.PromptSource}) {
						return
					}
					break
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

// made returns the example of a prompt, or the windows of a document.
func (o *Options) made(p schema.Prompt) iter.Seq2[schema.Example, error] {
	if p.Document != "" {
		return o.Engine.Windows(p, o.Window, o.Stride)
	}
	return func(yield func(schema.Example, error) bool) { yield(o.Engine.Example(p)) }
}

// errOpen is the writer's error for a batch that ends within a prompt. The batch is rolled back.
var errOpen = errors.New("stopped within a prompt")

// pipe computes batches part by part, and writes each part while the next is being computed. It returns when
// both goroutines are done.
func (w *writer) pipe(ctx context.Context, log *slog.Logger) error {
	computing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c := &computer{opts: w.opts, run: w.run, engine: w.opts.Engine.Run(), wanted: w.wanted,
		old: w.resumed.count(), next: w.firstExample + w.summary.Examples,
		parts: make(chan part)} // the fields are copies, because the writer runs at the same time
	written := make(chan error, 1)
	go func() {
		// A transaction that has begun is finished even if ctx is cancelled.
		err := w.writeAll(context.WithoutCancel(ctx), c.parts, log)
		if err != nil {
			stop(err)
			for range c.parts { // what is sent now is not written
			}
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

// cancelled returns the error of a cancelled context together with its cause, or nil if ctx is not done.
func cancelled(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
