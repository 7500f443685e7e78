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

// request is what a call asks of its prompts.
type request struct {
	rules   []schema.EdgeRule // choose edges; none: examples are as given
	measure bool              // ask for measures of every prompt, not only of those whose edges rules choose
	most    int               // maximum number of edges of a prompt; 0: no limit

	baseline schema.BaselineKind // of examples that name none

	every bool // decompose every key of a query, not only those of examples
	bare  bool // nothing is asked for that needs the components of keys
}

// open reports whether rules choose edges of a prompt: it came without an edge, or rules other than given
// choose too.
func (r *request) open(x *schema.Example) bool {
	if x.Query == schema.NoPosition {
		return true
	}
	given := func(r schema.EdgeRule) bool { return r.Name == schema.EdgeGiven }
	return len(r.rules) > 1 && slices.ContainsFunc(r.rules, given)
}

// measured reports whether every position of a prompt is looked at.
func (r *request) measured(x *schema.Example) bool { return r.measure || r.open(x) }

// keyed reports whether all keys of a prompt are decomposed.
func (r *request) keyed(x *schema.Example) bool {
	return !r.bare && (r.every || r.distributed(x) || r.open(x) && r.kindOf(x) == "")
}

// sequence is one prompt of a pass. Its examples are consecutive in the call and share one sequence of the
// forward pass.
type sequence struct {
	asked     []schema.Example // as given
	first     int              // number of the first of them in the pass
	tokens    []int            // those that are used
	measured  bool
	whole     bool  // every position is kept
	keyed     bool  // all keys are decomposed
	positions []int // kept positions, ascending

	// Set if the prompt is measured.
	measures []schema.HeadMeasure
	edges    []edge
}

// sequences groups the examples of a pass by prompt.
func (r *request) sequences(examples []schema.Example) []sequence {
	var list []sequence
	for first := 0; first < len(examples); {
		n := together(examples[first:])
		list = append(list, r.sequence(examples[first:first+n], first))
		first += n
	}
	return list
}

// sequence returns the sequence of examples that are about one prompt.
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

// place returns the index of a position among those that are kept.
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

// positionOf returns an example's position of a role, or NoPosition.
func positionOf(x *schema.Example, role int) int {
	return [...]int{atQuery: x.Query, atKey: x.Key, atBaseline: x.Baseline}[role]
}

// positionsOf returns the positions of an example.
func positionsOf(x *schema.Example) []int {
	list := []int{x.Query, x.Key}
	if x.Baseline != schema.NoPosition {
		list = append(list, x.Baseline)
	}
	return list
}

// item is an example to analyse: one that was asked for, or an edge that rules chose.
type item struct {
	x     schema.Example
	seq   int  // number of its prompt in the pass
	asked int  // number of the prompt in the call
	none  bool // no edge was chosen, so there is nothing to analyse
}

// visit is called with examples of a pass that are analysed concurrently. The pass has been prepared for
// them.
type visit[T blas.Float] func(p *pass[T], items []item) error

// passes visits every example once, in order, after a forward pass that several examples share. The size of
// passes is bounded, and so is that of the parts that are visited.
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

// pass runs one forward pass over examples and visits them. Its first example is number first of the call.
func (a *analysis[T]) pass(
	ctx context.Context, asked []schema.Example, first int, r request, do visit[T],
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	options := &a.engine.options
	p := &pass[T]{analysis: a, sequences: r.sequences(asked), tokens: map[int]*tokenVectors[T]{},
		keys: map[promptHead]keySet[T]{}, rowed: map[rowKey]bool{}}
	given := func(x schema.Example) bool { return !r.open(&x) }
	wanted := model.Wanted{Heads: a.engine.heads, Sources: a.engine.allSources(), All: options.Logits}
	// Otherwise only measures are asked for.
	wanted.Parts = !options.AttentionOnly && (r.chooses() || slices.ContainsFunc(asked, given))
	var err error
	p.cache, err = a.net.activate(ctx, p.sequences, wanted)
	if err != nil {
		if named := finitePass(err, p.sequences); named != err {
			return named
		}
		return fmt.Errorf("examples %d to %d: %w", asked[0].Index, asked[len(asked)-1].Index, err)
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

// explain analyses prompts. Each prompt gets one or more consecutive results; the first has its measures.
func (a *analysis[T]) explain(
	ctx context.Context, prompts []schema.Example, r request,
	yield func(i int, result schema.PromptResult) error,
) error {
	last := -1 // the last prompt that got a result
	return a.passes(ctx, prompts, r, func(p *pass[T], items []item) error {
		results := make([]schema.Result, len(items))
		err := p.each(ctx, items, func(i int) (err error) {
			results[i], err = p.example(items[i].x, items[i].seq)
			return err
		})
		if err == nil {
			err = p.nearest(ctx, items, results)
		}
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

// each calls do for every item, concurrently. It returns the error of the first item that has one.
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
			return fmt.Errorf("prompt %d, query token %d, key token %d: %w", x.PromptIndex, x.Query, x.Key,
				err)
		}
		return err
	}
	return nil
}

// pass is one forward pass and what its examples share. It provides token vectors to [decompose].
type pass[T blas.Float] struct {
	*analysis[T]
	cache     activations[T]
	sequences []sequence

	// By token: vectors that heads and bases of many examples use again and again.
	tokens map[int]*tokenVectors[T]

	// Attention rows of the examples that are analysed together.
	rows map[rowKey]*attentionRow[T]

	keys  map[promptHead]keySet[T]
	means map[edgeOf]*decompose.Mean[T] // of examples that are analysed together
	rowed map[rowKey]bool               // queries whose rows have been split; the head is not set
}

// rowKey identifies the attention row of a head at a query position of a sequence.
type rowKey struct {
	seq, query int
	head       schema.Head
}

// attentionRow is computed when it is first asked for. Examples that share it must not change it.
type attentionRow[T blas.Float] struct {
	model.Row[T]
	attention []schema.Attention
	made      sync.Once
}

// row returns the attention row of a head at the query position of an example.
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

// place returns the index of an example's position of a role among the positions that the pass keeps of its
// sequence.
func (p *pass[T]) place(x schema.Example, seq, role int) int {
	return p.sequences[seq].place(positionOf(&x, role))
}

// tokenVectors are the vectors of a token [d_model]. The effective embedding is computed only for key and
// baseline tokens of the pass, and only if a basis or a substitution needs it. One product for all tokens
// costs a fraction of a product for each.
type tokenVectors[T blas.Float] struct {
	unembed []T // W_U[:, token]

	attended  bool // it is the token of a key or of a baseline
	embed     []T  // W_E[token]
	mlp, attn []T  // parts of the effective embedding
	effective []T  // embed + attn + mlp
}

var _ decompose.Embeddings[float32] = (*pass[float32])(nil)

// prepare computes what examples that are analysed together share: the keys of their prompts if they are
// asked for, their components, the vectors of their tokens and their attention rows.
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

// prepareTokens adds the vectors of the examples' tokens that are not there yet.
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
		workers.Do(options.threads(), len(found),
			func(i int) { p.tokens[found[i]].unembed = p.net.Unembed(found[i]) })
	}
	if p.model == nil || !options.Substitutions &&
		!slices.ContainsFunc(p.engine.keyBases, func(b basis) bool { return b.NeedsEffective }) {
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
