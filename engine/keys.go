package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/internal/workers"
	"ducklens/engine/model"
	"ducklens/schema"
)

// What the keys of a prompt consist of at all positions. Baselines that are means of keys need it, and so do
// rows of contributions to every key.

// promptHead is a target head on a sequence of a pass.
type promptHead struct {
	seq  int
	head schema.Head
}

// keySet is what a head's keys consist of at the positions of a sequence.
type keySet[T blas.Float] struct {
	*decompose.Keys[T]
	replaced map[string]*decompose.KeyParts[T] // by the name of the substitution that replaces the stream
}

// edgeOf is the edge of an example and the kind of its baseline, for a head.
type edgeOf struct {
	promptHead
	query, key int
	kind       schema.BaselineKind
}

// isMean reports whether a baseline is a mean of keys.
func isMean(kind schema.BaselineKind) bool {
	return kind == schema.BaselineMean || kind == schema.BaselineAttention
}

// compared reports whether an example has a baseline.
func compared(x *schema.Example) bool {
	return x.Baseline != schema.NoPosition || isMean(x.BaselineKind)
}

// keysTogether is the number of positions whose component matrices exist at once while keys are made from
// them.
const keysTogether = 64

// prepareKeys makes the keys of the sequences of items that need them and do not have them yet, and the mean
// keys of items. It drops those of sequences that no item is about.
func (p *pass[T]) prepareKeys(items []item, every bool) error {
	p.means = map[edgeOf]*decompose.Mean[T]{}
	last := map[int]*schema.Example{} // an example of each sequence that needs keys
	var sequences []int
	for i := range items {
		if it := &items[i]; !it.none && (every || isMean(it.x.BaselineKind)) {
			if last[it.seq] == nil {
				sequences = append(sequences, it.seq)
			}
			last[it.seq] = &it.x
		}
	}
	for of := range p.keys {
		if last[of.seq] == nil {
			delete(p.keys, of)
		}
	}
	for _, seq := range sequences {
		if p.keys[promptHead{seq, p.engine.heads[0]}].Keys != nil {
			continue
		}
		if err := p.makeKeys(seq, *last[seq]); err != nil {
			return fmt.Errorf("example %d: %w", last[seq].Index, err)
		}
	}
	return nil
}

// makeKeys makes the keys of every target head at all positions of a sequence. x is an example of the
// sequence.
func (p *pass[T]) makeKeys(seq int, x schema.Example) error {
	e, n := p.engine, len(p.sequences[seq].positions)
	sets := make([]keySet[T], len(e.heads))
	for i, head := range e.heads {
		keys, err := decompose.NewKeys(p.headInput(head), n, len(e.keyBases), e.options.threads())
		if err != nil {
			return err
		}
		sets[i] = keySet[T]{keys, map[string]*decompose.KeyParts[T]{}}
	}
	for from := 0; from < n; from += keysTogether {
		to := min(n, from+keysTogether)
		var places []model.Place
		for pos := from; pos < to; pos++ {
			places = append(places, model.Place{Sequence: seq, Index: pos})
		}
		p.cache.Make(places)
		for i, head := range e.heads {
			if err := p.addKeys(&sets[i], x, seq, head, from, to); err != nil {
				return fmt.Errorf("head %s: %w", head, err)
			}
		}
	}
	for i, head := range e.heads {
		p.keys[promptHead{seq, head}] = sets[i]
	}
	return nil
}

// addKeys adds the positions from to to-1 to the keys of a head.
func (p *pass[T]) addKeys(set *keySet[T], x schema.Example, seq int, head schema.Head, from, to int) error {
	e := p.engine
	positions := make([]decompose.Position[T], to-from)
	bases := make([][]decompose.Basis, len(e.keyBases))
	for j, b := range e.keyBases {
		if !b.perEdge() {
			bases[j] = make([]decompose.Basis, to-from)
		}
	}
	faults := make([]error, to-from)
	workers.Do(e.options.threads(), to-from, func(i int) {
		positions[i] = p.positionAt(from+i, x, seq, schema.Key, head)
		for j, b := range e.keyBases {
			if faults[i] == nil && bases[j] != nil {
				bases[j][i], faults[i] = p.basisAt(b, x, head, from+i, true, positions[i])
			}
		}
	})
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	if err := set.Add(positions, bases); err != nil {
		return err
	}
	if !e.options.Substitutions {
		return nil
	}
	vectors := make([][]T, to-from)
	for _, r := range p.replacements(head) {
		for i := range vectors {
			vectors[i] = r.at(x.Tokens[from+i].ID, positions[i])
		}
		if set.replaced[r.name] == nil {
			set.replaced[r.name] = &decompose.KeyParts[T]{}
		}
		if err := set.Replace(set.replaced[r.name], positions, vectors); err != nil {
			return err
		}
	}
	return nil
}

// replacement is a vector that a key-side substitution puts at a position instead of the stream.
type replacement[T blas.Float] struct {
	name string
	at   func(token int, here decompose.Position[T]) []T
}

// replacements returns the replacements that a head has at every position.
func (p *pass[T]) replacements(head schema.Head) []replacement[T] {
	type position = decompose.Position[T]
	if p.model == nil {
		return p.givenReplacements(head)
	}
	list := []replacement[T]{
		{VectorEmbed, func(token int, _ position) []T { return p.tokens[token].embed }},
		{VectorEffective, func(token int, _ position) []T { return p.tokens[token].effective }},
		{VectorEffectiveMLP, func(token int, _ position) []T { return p.tokens[token].mlp }},
		{VectorMLP0, func(_ int, here position) []T { return here.Component(p.engine.layout.MLP(0)) }},
	}
	if head.Layer == 0 {
		list = list[:3] // MLP 0 writes after the head reads
	}
	return list
}

// givenReplacements returns those that activations from a folder have.
func (p *pass[T]) givenReplacements(head schema.Head) (list []replacement[T]) {
	add := func(name string, component int) {
		if 0 <= component && component < p.engine.layout.Below(head.Layer) {
			list = append(list,
				replacement[T]{name,
					func(_ int, here decompose.Position[T]) []T { return here.Component(component) }})
		}
	}
	add(VectorEmbed, p.engine.layout.Embed())
	add(VectorMLP0, p.engine.layout.MLP(0))
	return list
}

// prepareMeans makes the mean keys of items. There must be memory for their attention rows.
func (p *pass[T]) prepareMeans(items []item) error {
	for _, head := range p.engine.heads {
		for from, to := 0, 0; from < len(items); from = to {
			seq := items[from].seq
			var of []edgeOf
			var weights [][]float64
			for to < len(items) && items[to].seq == seq {
				x := items[to].x
				if !items[to].none && isMean(x.BaselineKind) {
					others := p.others(x, seq, head)
					all := make([]float64, p.row(x, seq, head).First, x.Query+1)
					of, weights = append(of,
						edgeOf{promptHead{seq, head}, x.Query, x.Key, x.BaselineKind}),
						append(weights, append(all, others...))
				}
				to++
			}
			if len(of) == 0 {
				continue
			}
			means, err := p.keys[promptHead{seq, head}].Means(p.engine.provider, weights)
			if err != nil {
				return fmt.Errorf("head %s: %w", head, err)
			}
			for i, m := range means {
				m.Score = 0
				row := p.rows[rowKey{seq, of[i].query, head}]
				for j, s := range row.Scores {
					m.Score += weights[i][row.First+j] * float64(s)
				}
				p.means[of[i]] = m
			}
		}
	}
	return nil
}

// mean returns the mean key that an example is compared with, split by the engine's bases; nil if it is not
// compared with one.
func (p *pass[T]) mean(x schema.Example, seq int, head schema.Head) (*decompose.Mean[T], error) {
	if !isMean(x.BaselineKind) {
		return nil, nil
	}
	at := promptHead{seq, head}
	m := *p.means[edgeOf{at, x.Query, x.Key, x.BaselineKind}]
	parts := make([]*decompose.KeyParts[T], len(m.Parts))
	copy(parts, m.Parts)
	m.Parts = parts
	for j, b := range p.engine.keyBases {
		if !b.perEdge() {
			continue
		}
		var positions []decompose.Position[T]
		var bases []decompose.Basis
		for pos := range x.Query + 1 {
			here := p.positionAt(pos, x, seq, schema.Key, head)
			basis, err := p.basisAt(b, x, head, pos, true, here)
			if err != nil {
				return nil, err
			}
			positions, bases = append(positions, here), append(bases, basis)
		}
		var err error
		if m.Parts[j], err = p.keys[at].Split(positions, bases); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

// meanScore returns the means of scores and of attention probabilities, weighted by an example's baseline.
func (p *pass[T]) meanScore(x schema.Example, seq int, head schema.Head) (score, prob float32) {
	row, sums := p.row(x, seq, head), [2]float64{}
	for i, w := range p.others(x, seq, head) {
		sums[0] += w * float64(row.Scores[i])
		sums[1] += w * float64(row.Pattern[i])
	}
	return float32(sums[0]), float32(sums[1])
}

// meanKey returns the mean of the model's own keys [d_head], weighted by an example's baseline.
func (p *pass[T]) meanKey(x schema.Example, seq int, head schema.Head) []T {
	mean, first := make([]float64, p.engine.spec.DHead), p.row(x, seq, head).First
	for i, w := range p.others(x, seq, head) {
		for j, v := range p.cache.K(head, seq, p.sequences[seq].place(first+i)) {
			mean[j] += w * float64(v)
		}
	}
	return narrowTo[T](mean)
}

// splitRows splits the rows of the queries of items that have not been split yet.
func (p *pass[T]) splitRows(ctx context.Context, items []item) ([]schema.Row, error) {
	var asked []item
	for _, it := range items {
		if at := (rowKey{seq: it.seq, query: it.x.Query}); !it.none && !p.rowed[at] {
			p.rowed[at], asked = true, append(asked, it)
		}
	}
	rows := make([][]schema.Row, len(asked))
	err := p.each(ctx, asked, func(i int) (err error) {
		rows[i], err = p.rowOf(asked[i].x, asked[i].seq)
		return err
	})
	return slices.Concat(rows...), err
}

// rowOf splits the attention row of a query position for every target head; x is an example of the position.
func (p *pass[T]) rowOf(x schema.Example, seq int) ([]schema.Row, error) {
	var list []schema.Row
	for _, head := range p.engine.heads {
		r, err := p.headRow(x, seq, head)
		if err != nil {
			return nil, fmt.Errorf("example %d, head %s: %w", x.Index, head, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// headRow is rowOf for one head.
func (p *pass[T]) headRow(x schema.Example, seq int, head schema.Head) (schema.Row, error) {
	e, row := p.engine, p.row(x, seq, head)
	keys := p.keys[promptHead{seq, head}]
	query := p.position(x, seq, atQuery, head)
	n, out := len(row.Scores), schema.Row{Head: head, Query: x.Query, FirstKey: row.First}
	bySide := [2]schema.RowTable{
		schema.Query: {Side: schema.Query, QueryBasis: 0, KeyBasis: len(e.queryBases),
			Components: e.sideComponents(head, e.layout.QBias())},
		schema.Key: {Side: schema.Key, QueryBasis: 0, KeyBasis: len(e.queryBases),
			Components: e.sideComponents(head, e.layout.KBias())},
	}
	byQuery, err := keys.QueryRow(&query, row.First, row.First+n)
	if err != nil {
		return out, err
	}
	byKey := keys.Row(query.Vector, row.First, row.First+n)
	for side := range bySide {
		t := &bySide[side]
		whole := make([]float32, len(t.Components)*n)
		for pos, score := range row.Scores {
			sum := 0.0
			for c := range t.Components {
				v := 0.0
				if t.Side == schema.Query {
					v = byQuery.At(c, pos)
				} else {
					v = byKey.At(pos, c)
				}
				whole[c*n+pos] = float32(v)
				sum += v
			}
			// The condition is written so that NaN fails it.
			residual := math.Abs(sum-float64(score)) / schema.ClosureScale(float64(score))
			if !(residual <= e.closureTolerance()) {
				return out,
					&ClosureError{Example: x.Index, Head: head, Residual: residual,
						Tolerance: e.closureTolerance()}
			}
		}
		t.Score[schema.PerpPerp] = whole
		out.Tables = append(out.Tables, *t)
	}
	if e.options.Keys.QueryBasis == "" {
		return out, nil
	}
	return out, p.splitRow(&out, x, seq)
}

// sideComponents returns the components that a side of a head is split over, with the bias last if there is
// one.
func (e *Engine) sideComponents(head schema.Head, bias int) []int {
	list := make([]int, e.layout.Below(head.Layer), e.layout.Below(head.Layer)+1)
	for i := range list {
		list[i] = i
	}
	if bias >= 0 {
		list = append(list, bias)
	}
	return list
}

// splitRow adds the tables of the pair of bases that was asked for: what each position has as a key.
func (p *pass[T]) splitRow(out *schema.Row, x schema.Example, seq int) error {
	e, head := p.engine, out.Head
	bases, err := e.rowBases()
	if err != nil {
		return err
	}
	q, k := bases[schema.Query], bases[schema.Key]
	n := x.Query + 1 - out.FirstKey
	var tables [2]schema.RowTable
	x.Baseline, x.BaselineKind = schema.NoPosition, schema.BaselineNone
	for i := range n {
		x.Key = out.FirstKey + i
		in := p.bareInput(x, seq, head)
		query, _, err := p.queryBasis(e.queryBases[q], x, head, in.Query)
		if err != nil {
			return err
		}
		key, err := p.keyBasis(e.keyBases[k], x, head, atKey, in.Key)
		if err != nil {
			return err
		}
		in.QueryBases, in.KeyBases = []decompose.Basis{query}, []decompose.KeyBases{{AtKey: key}}
		made, err := decompose.Contributions(in)
		if err != nil {
			return err
		}
		if !(made.RelativeClosure <= e.closureTolerance()) {
			return &ClosureError{Example: x.Index, Head: head, Residual: made.RelativeClosure,
				Tolerance: e.closureTolerance()}
		}
		for _, from := range made.Tables {
			t := &tables[from.Side]
			if i == 0 {
				*t = schema.RowTable{Side: from.Side, QueryBasis: q, KeyBasis: len(e.queryBases) + k,
					Components: e.sideComponents(head, e.layout.QBias())}
				if from.Side == schema.Key {
					t.Components = e.sideComponents(head, e.layout.KBias())
				}
				for quadrant := range t.Score {
					t.Score[quadrant] = make([]float32, len(from.Score)*n)
				}
			}
			for c, quadrants := range from.Score {
				for quadrant, v := range quadrants {
					t.Score[quadrant][c*n+i] = float32(v)
				}
			}
		}
	}
	out.Tables = append(out.Tables, tables[:]...)
	return nil
}

// rowBases returns the indices of the pair of bases that rows are split by, if any, or an error that says why
// the run cannot have it.
func (e *Engine) rowBases() (at [2]int, err error) {
	keys := e.options.Keys
	if keys.QueryBasis == "" {
		return at, nil
	}
	for side, name := range [...]string{schema.Query: keys.QueryBasis, schema.Key: keys.KeyBasis} {
		side, list := schema.Side(side), e.queryBases
		if side == schema.Key {
			list = e.keyBases
		}
		i := slices.IndexFunc(list, func(b basis) bool { return strings.EqualFold(b.Name, name) })
		switch {
		case i < 0:
			return at, advise(fmt.Sprintf("name %s among the %s bases of the run too", name, side),
				"keys %s: %w: the run has no %s basis %s", keys, ErrBasis, side, name)
		case list[i].Kind == schema.Replacement || list[i].perExample || list[i].random ||
			list[i].NeedsBaseline:
			return at, advise("name bases that every position has one of, such as unembed and mlp0",
				"keys %s: %w: %s basis %s replaces a vector, is random, "+
					"or belongs to one example or its baseline", keys, ErrBasis, side, name)
		}
		at[side] = i
	}
	return at, nil
}
