package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/internal/workers"
	"ducklens/engine/model"
	"ducklens/schema"
)

// request says what is asked of the prompts of a call.
type request struct {
	rules   []schema.EdgeRule // that choose edges; none: examples are as given
	measure bool              // what heads do on every prompt, not only where rules choose
	most    int               // edges of a prompt; 0: no limit

	baseline schema.BaselineKind // of examples that come with none

	every bool // what every key of a query is made of, and not only of examples
	bare  bool // nothing that takes what keys are made of is asked
}

// open tells whether rules choose edges of a prompt: where it came without one, or where others stand beside
// the one that it came with.
func (r *request) open(x *schema.Example) bool {
	if x.Query == schema.NoPosition {
		return true
	}
	given := func(r schema.EdgeRule) bool { return r.Name == schema.EdgeGiven }
	return len(r.rules) > 1 && slices.ContainsFunc(r.rules, given)
}

// measured tells whether every position of a prompt is looked at.
func (r *request) measured(x *schema.Example) bool { return r.measure || r.open(x) }

// keyed tells whether it is asked what all keys of a prompt are made of.
func (r *request) keyed(x *schema.Example) bool {
	return !r.bare && (r.every || r.distributed(x) || r.open(x) && r.kindOf(x) == "")
}

// sequence is one prompt of a pass. Its examples follow each other in the call and share one sequence of the
// forward pass.
type sequence struct {
	asked     []schema.Example // as they were given
	first     int              // number of the first of them in the pass
	tokens    []int            // as far as they are used
	measured  bool
	whole     bool  // every position is kept
	keyed     bool  // what all keys are made of is asked
	positions []int // that are kept, ascending

	// Where it is measured.
	measures []schema.HeadMeasure
	edges    []edge
}

// sequences groups the examples of a pass.
func (r *request) sequences(examples []schema.Example) []sequence {
	var list []sequence
	for first := 0; first < len(examples); {
		n := together(examples[first:])
		list = append(list, r.sequence(examples[first:first+n], first))
		first += n
	}
	return list
}

// sequence makes one of examples that are about one prompt.
func (r *request) sequence(examples []schema.Example, first int) sequence {
	s := sequence{asked: examples, first: first}
	used := 0
	for i := range examples {
		x := &examples[i]
		s.keyed = s.keyed || r.keyed(x)
		if r.measured(x) {
			s.measured, s.whole, used = true, true, len(x.Tokens)
			continue
		}
		used = max(used, x.Query+1)
		s.whole = s.whole || r.every || r.distributed(x)
		s.positions = append(s.positions, positionsOf(x)...)
	}
	s.tokens = ids(examples[0].Tokens[:used])
	if s.whole {
		s.positions = make([]int, used)
		for i := range s.positions {
			s.positions[i] = i
		}
	}
	slices.Sort(s.positions)
	s.positions = slices.Compact(s.positions)
	return s
}

// place is the place of a position among those that are kept.
func (s *sequence) place(position int) int {
	if s.whole {
		return position
	}
	i, _ := slices.BinarySearch(s.positions, position)
	return i
}

// together counts the examples at the start of a list that are about the same prompt.
func together(examples []schema.Example) int {
	n := 1
	for n < len(examples) && samePrompt(&examples[0], &examples[n]) {
		n++
	}
	return n
}

func samePrompt(a, b *schema.Example) bool {
	same := func(a, b schema.Token) bool { return a.ID == b.ID }
	return a.PromptIndex == b.PromptIndex && slices.EqualFunc(a.Tokens, b.Tokens, same)
}

func ids(tokens []schema.Token) []int {
	list := make([]int, len(tokens))
	for i, t := range tokens {
		list[i] = t.ID
	}
	return list
}

// positionOf is an example's position of a role, or NoPosition.
func positionOf(x *schema.Example, role int) int {
	return [...]int{atQuery: x.Query, atKey: x.Key, atBaseline: x.Baseline}[role]
}

// positionsOf lists the positions of an example.
func positionsOf(x *schema.Example) []int {
	list := []int{x.Query, x.Key}
	if x.Baseline != schema.NoPosition {
		list = append(list, x.Baseline)
	}
	return list
}

// item is an example that is analysed: one that was asked for, or an edge that rules have chosen.
type item struct {
	x     schema.Example
	seq   int  // number of its prompt in the pass
	asked int  // number of what it answers in the call
	none  bool // no edge was chosen: there is nothing to analyse
}

// visit does something with examples of a pass that are analysed beside each other, for which the pass is
// prepared.
type visit[T blas.Float] func(p *pass[T], items []item) error

// passes visits every example once, in order, after a forward pass that it shares with others. Passes are of
// bounded size, and so are the parts of them that are visited.
func (a *analysis[T]) passes(ctx context.Context, asked []schema.Example, r request, do visit[T]) error {
	first := 0
	for _, part := range a.engine.bounds().passes(asked, r) {
		if err := a.pass(ctx, part, first, r, do); err != nil {
			return err
		}
		first += len(part)
	}
	return nil
}

// pass visits examples, the first of which has that number in the call, after one forward pass.
func (a *analysis[T]) pass(ctx context.Context, asked []schema.Example, first int, r request, do visit[T]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	options := &a.engine.options
	p := &pass[T]{analysis: a, sequences: r.sequences(asked), tokens: map[int]*tokenVectors[T]{}, keys: map[promptHead]keySet[T]{}, rowed: map[rowKey]bool{}}
	given := func(x schema.Example) bool { return !r.open(&x) }
	wanted := model.Wanted{Heads: a.engine.heads, Sources: a.engine.allSources(), All: options.Logits}
	wanted.Parts = !options.AttentionOnly && (r.chooses() || slices.ContainsFunc(asked, given)) // else there are measures alone
	var err error
	p.cache, err = a.net.activate(ctx, p.sequences, wanted)
	if err != nil {
		if named := finitePass(err, p.sequences); named != err {
			return named
		}
		return fmt.Errorf("engine: examples %d to %d: %w", asked[0].Index, asked[len(asked)-1].Index, err)
	}
	defer p.cache.recycle()
	if err := p.survey(ctx, r); err != nil {
		return err
	}
	var items []item
	used := a.engine.bounds().share(p.sequences)
	flush := func() error {
		if len(items) == 0 {
			return nil
		}
		err := p.prepare(items, r)
		if err == nil {
			err = do(p, items)
		}
		items = items[:0]
		used.clear()
		return err
	}
	for seq := range p.sequences {
		for it := range p.sequences[seq].items(p.engine, r, seq, first) {
			if !used.add(&it) {
				if err := flush(); err != nil {
					return err
				}
				used.add(&it)
			}
			items = append(items, it)
		}
	}
	return flush()
}

// explain analyses prompts. A prompt has one result or several that follow each other, the first of which has
// its measures.
func (a *analysis[T]) explain(ctx context.Context, prompts []schema.Example, r request, yield func(i int, result schema.PromptResult) error) error {
	last := -1 // the prompt of which something was given
	return a.passes(ctx, prompts, r, func(p *pass[T], items []item) error {
		results := make([]schema.Result, len(items))
		err := p.each(ctx, items, func(i int) (err error) {
			results[i], err = p.example(items[i].x, items[i].seq)
			return err
		})
		if err != nil {
			return err
		}
		for from, to := 0, 0; from < len(items); from = to {
			at := items[from].asked
			for to < len(items) && items[to].asked == at {
				to++
			}
			out := schema.PromptResult{Prompt: prompts[at], Examples: results[from:to:to]}
			if items[from].none {
				out.Examples = nil
			}
			if r.every {
				if out.Rows, err = p.splitRows(ctx, items[from:to]); err != nil {
					return err
				}
			}
			if last != at {
				out.Measures, last = p.sequences[items[from].seq].measures, at
			}
			if err := yield(at, out); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls do for every item, beside each other. The error is that of the first item that has one.
func (p *pass[T]) each(ctx context.Context, items []item, do func(i int) error) error {
	errs := make([]error, len(items))
	workers.Do(p.engine.options.threads(), len(items), func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil && !items[i].none {
			errs[i] = do(i)
		}
	})
	for i, err := range errs {
		if err == nil {
			continue
		}
		if x := &items[i].x; len(x.Rules) > 0 && !errors.Is(err, ctx.Err()) {
			return fmt.Errorf("engine: prompt %d, query token %d, key token %d: %w", x.PromptIndex, x.Query, x.Key, err)
		}
		return err
	}
	return nil
}

// pass is one forward pass with what its examples share. It gives token vectors to [decompose].
type pass[T blas.Float] struct {
	*analysis[T]
	cache     activations[T]
	sequences []sequence

	// By token: what heads and bases of many examples ask for again and again.
	tokens map[int]*tokenVectors[T]

	// Attention rows of the examples that are analysed beside each other.
	rows map[rowKey]*attentionRow[T]

	keys  map[promptHead]keySet[T]
	means map[edgeOf]*decompose.Mean[T] // of examples that are analysed beside each other
	rowed map[rowKey]bool               // queries whose rows have been split, under no head
}

// rowKey names the attention row of a head from a query position of a sequence.
type rowKey struct {
	seq, query int
	head       schema.Head
}

// attentionRow is made when it is first asked for. Examples that share it must not change it.
type attentionRow[T blas.Float] struct {
	model.Row[T]
	attention []schema.Attention
	made      sync.Once
}

// row gives the attention row of a head from the query position of an example.
func (p *pass[T]) row(x schema.Example, seq int, head schema.Head) *attentionRow[T] {
	row := p.rows[rowKey{seq, x.Query, head}]
	row.made.Do(func() {
		row.Row = p.cache.Row(model.Row[T]{}, head, seq, p.place(x, seq, atQuery))
		row.attention = make([]schema.Attention, len(row.Scores))
		for i := range row.Scores {
			row.attention[i] = schema.Attention{Score: float32(row.Scores[i]), Prob: float32(row.Pattern[i])}
		}
	})
	return row
}

// place is the place of an example's position of a role among those that the pass keeps of its sequence.
func (p *pass[T]) place(x schema.Example, seq, role int) int {
	return p.sequences[seq].place(positionOf(&x, role))
}

// tokenVectors are the vectors of a token [d_model]. Those of its effective embedding are only there for key
// and baseline tokens of the pass, where a basis or a substitution needs them: one product for all of them
// costs a fraction of one each.
type tokenVectors[T blas.Float] struct {
	unembed []T // W_U[:, token]

	attended  bool // it is the token of a key or a baseline
	embed     []T  // W_E[token]
	mlp, attn []T  // parts of the effective embedding
	effective []T  // embed + attn + mlp
}

var _ decompose.Embeddings[float32] = (*pass[float32])(nil)

// prepare makes what examples that are analysed beside each other share: the keys of their prompts where they
// are asked for, their components, the vectors of their tokens, their attention rows.
func (p *pass[T]) prepare(items []item, r request) error {
	p.rows = map[rowKey]*attentionRow[T]{}
	var places []model.Place
	for i := range items {
		it := &items[i]
		if it.none {
			continue
		}
		for _, head := range p.engine.heads {
			p.rows[rowKey{it.seq, it.x.Query, head}] = &attentionRow[T]{}
		}
		positions := positionsOf(&it.x)
		if r.every && p.engine.options.Keys.QueryBasis != "" {
			positions = p.sequences[it.seq].positions[:it.x.Query+1]
		}
		for _, pos := range positions {
			places = append(places, model.Place{Sequence: it.seq, Index: p.sequences[it.seq].place(pos)})
		}
	}
	if p.engine.options.AttentionOnly {
		return nil
	}
	p.prepareTokens(items)
	if !r.bare {
		if err := p.prepareKeys(items, r.every); err != nil {
			return err
		}
	}
	p.cache.Make(places)
	if r.bare {
		return nil
	}
	return p.prepareMeans(items)
}

// prepareTokens adds the vectors of the tokens of examples, as far as they are not there.
func (p *pass[T]) prepareTokens(items []item) {
	options := &p.engine.options
	var found, attended []int
	vectors := func(id int) *tokenVectors[T] {
		v, ok := p.tokens[id]
		if !ok {
			v = &tokenVectors[T]{}
			p.tokens[id], found = v, append(found, id)
		}
		return v
	}
	for i := range items {
		x := &items[i].x
		if items[i].none {
			continue
		}
		positions := []int{x.Key, x.Baseline}
		if s := &p.sequences[items[i].seq]; s.keyed {
			positions = s.positions
		}
		for _, pos := range positions {
			if pos == schema.NoPosition {
				continue
			}
			id := x.Tokens[pos].ID
			if v := vectors(id); !v.attended {
				v.attended, attended = true, append(attended, id)
			}
		}
		for _, id := range []int{x.RandomName, x.RandomToken} {
			if options.Substitutions && id != schema.NoToken {
				vectors(id)
			}
		}
	}
	if p.engine.unembeds() {
		workers.Do(options.threads(), len(found), func(i int) { p.tokens[found[i]].unembed = p.net.Unembed(found[i]) })
	}
	if p.model == nil || !options.Substitutions && !slices.ContainsFunc(p.engine.keyBases, func(b basis) bool { return b.NeedsEffective }) {
		return
	}
	mlps, attns := p.model.EffectiveEmbeddings(attended)
	for i, id := range attended {
		v := p.tokens[id]
		v.embed, v.mlp, v.attn = p.model.Embed(id), mlps[i], attns[i]
		v.effective = make([]T, len(v.embed))
		for j := range v.effective {
			v.effective[j] = v.embed[j] + v.attn[j] + v.mlp[j]
		}
	}
}
