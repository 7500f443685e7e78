package ingest

import (
	"context"
	"fmt"

	"ducklens/schema"
)

// part is the unit that the computing goroutine hands to the writing one: the results of one forward pass, or
// of some edges of a prompt that has many.
type part struct {
	results   []schema.PromptResult
	continues bool // the first result continues the prompt that the previous part left open
	open      bool // the prompt of the last result continues in the next part
	last      bool // the last part of a batch, which is committed as a whole
}

// prompts returns the number of prompts that the part completes.
func (p *part) prompts() int {
	if p.open {
		return len(p.results) - 1
	}
	return len(p.results)
}

// computer calls the engine for the prompts of a run.
type computer struct {
	opts   *Options
	run    schema.Run
	engine schema.Run // the run as the engine describes it
	wanted int        // number of prompts
	old    int        // prompts that a resumed run has already
	next   int        // number of the next example
	parts  chan part

	// These describe results that are not sent yet.
	part    part
	whole   int // results in part of passes that are complete
	rows    int // rows of contributions and attention in part
	inBatch int // rows in the parts of the batch that are sent
}

// compute explains the prompts batch by batch. It skips those that a resumed run has already.
func (c *computer) compute(ctx context.Context) error {
	size, more := batchPrompts(c.opts.BatchPrompts, &c.run), 0
	if c.opts.BatchPrompts == 0 {
		// The last few prompts join the batch before: a forward pass of two prompts takes as long as one of
		// four.
		more = size / 4
	}
	draws, err := newLottery(c.opts, &c.run)
	if err != nil {
		return err
	}
	pending := make([]schema.Example, 0, min(size+more, c.wanted))
	done := 0
	first, end := c.run.Shard.Prompts(c.run.Prompts)
	for e, err := range examples(ctx, c.opts, draws) {
		if err != nil {
			return err
		}
		if e.PromptIndex < first {
			continue
		}
		if e.PromptIndex >= end && !c.run.Shard.Whole() {
			break
		}
		if c.opts.only != nil && !c.opts.only(e.PromptIndex) {
			continue
		}
		done++
		if e.PromptIndex < c.old {
			continue
		}
		pending = append(pending, e)
		if left := c.wanted - done; len(pending) >= size && (left > more || left < 0) {
			if err := c.batch(ctx, pending); err != nil {
				return err
			}
			pending = pending[:0]
		}
	}
	if err := c.batch(ctx, pending); err != nil {
		return err
	}
	if done != c.wanted {
		return fmt.Errorf("%s gave %d prompts, and %d when they were checked: it changed in between",
			c.run.PromptSource, done, c.wanted)
	}
	return nil
}

// batch explains prompts that are committed together. If rules choose more edges than expected, they are
// committed in several transactions.
func (c *computer) batch(ctx context.Context, pending []schema.Example) error {
	passes := c.opts.Engine.Passes(pending)
	for i, pass := range passes {
		if err := c.explain(ctx, pass); err != nil {
			c.part.results = c.part.results[:c.whole]
			if c.whole > 0 {
				c.parts <- c.part // the passes before are kept
			}
			return err
		}
		c.whole = len(c.part.results)
		// Within a part, rows that queries read together are written together, so a part is a whole batch if
		// memory allows. A sample may end after any pass.
		if last := i == len(passes)-1; last || c.rows >= maxBatchRows || c.opts.enough != nil {
			if err := c.send(ctx, false, last); err != nil {
				return err
			}
		}
		if c.opts.enough != nil && c.opts.enough() {
			return errSampled
		}
	}
	return nil
}

// explain calls the engine for the prompts of a pass, checks the results and numbers the examples. If rules
// choose edges, it sends the results part by part. The results own their prompts, so pass may be reused.
func (c *computer) explain(ctx context.Context, pass []schema.Example) error {
	var held *schema.PromptResult // kept back until it is known whether its prompt continues
	begun := -1                   // the last prompt
	err := c.opts.Engine.Stream(ctx, pass, func(i int, r schema.PromptResult) error {
		if i < 0 || i >= len(pass) || i != begun && i != begun+1 ||
			r.Prompt.PromptIndex != pass[i].PromptIndex {
			return fmt.Errorf("the engine gave prompt %d after %d of %d", r.Prompt.PromptIndex+1,
				begun+1, len(pass))
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

// take adds a result to the current part, and sends the part if edges chosen by rules have made it too large.
// open reports that the prompt of the result continues.
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

// send hands the current part to the writer.
func (c *computer) send(ctx context.Context, open, last bool) error {
	if len(c.part.results) == 0 && (!last || c.inBatch == 0) {
		return nil // nothing to send, and the batch has ended
	}
	p := c.part
	p.open, p.last = open, last
	c.part, c.whole = part{continues: open}, 0
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

// check compares a result with the manifest.
func (c *computer) check(r *schema.Result, prompt int) error {
	heads := c.run.Heads
	if r.Example.PromptIndex != prompt || len(r.Heads) != len(heads) {
		return fmt.Errorf("the engine gave an example of prompt %d with %d heads, "+
			"want one of prompt %d with %d", r.Example.PromptIndex+1, len(r.Heads), prompt+1, len(heads))
	}
	if (r.Logits != nil) != c.run.Logits {
		return fmt.Errorf("prompt %d: the engine gave logits: %t, want %t", prompt+1,
			r.Logits != nil, c.run.Logits)
	}
	for i := range r.Heads {
		h := &r.Heads[i]
		switch {
		case h.Head != heads[i].Head:
			return fmt.Errorf("prompt %d: the engine gave head %s, want %s", prompt+1, h.Head, heads[i].Head)
		case len(h.Factors) > 0 != c.engine.Factors || len(h.Pairs) > 0 != c.engine.Pairs:
			return fmt.Errorf("prompt %d, head %s: the engine gave factors: %t, pairs: %t, want %t and %t",
				prompt+1, h.Head, len(h.Factors) > 0, len(h.Pairs) > 0, c.engine.Factors, c.engine.Pairs)
		}
	}
	return nil
}
