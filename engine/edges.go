package engine

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// ruleSet is a set of rules, by their numbers in a request.
type ruleSet uint64

// maxRules is the number of rules that fit into a ruleSet.
const maxRules = 64

func (r ruleSet) has(i int) bool { return r>>i&1 == 1 }

// edge is a query and a key position, with the rules that chose it.
type edge struct {
	query, key int
	rules      ruleSet
}

func compareEdges(a, b edge) int {
	return cmp.Or(cmp.Compare(a.query, b.query), cmp.Compare(a.key, b.key))
}

// chooses reports whether any rule chooses edges that did not come with a prompt.
func (r *request) chooses() bool {
	return slices.ContainsFunc(r.rules, func(r schema.EdgeRule) bool { return r.Name != schema.EdgeGiven })
}

// edgeFaults returns what is wrong with the options about edges.
func (o *Options) edgeFaults() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, invalid(format, args...)) }
	for i, r := range o.Edges {
		if parsed, err := schema.ParseEdgeRule(r.String()); err != nil {
			fault("%w", err)
		} else if parsed != r {
			fault("edge rule %+v, want no more than %s says", r, parsed)
		}
		if slices.Contains(o.Edges[:i], r) {
			fault("edge rule %s is given twice", r)
		}
	}
	if len(o.Edges) > maxRules {
		fault("%d edge rules, want at most %d", len(o.Edges), maxRules)
	}
	if o.MaxEdges < 0 {
		fault("at most %d edges of a prompt, want 1 or more, or 0 for all", o.MaxEdges)
	}
	kinds := []schema.BaselineKind{"", schema.BaselineNone, schema.BaselineToken, schema.BaselineMean,
		schema.BaselineAttention}
	if !slices.Contains(kinds, o.Baseline) {
		fault("baseline %q, want %s, %s, %s or %s", o.Baseline, schema.BaselineToken, schema.BaselineMean,
			schema.BaselineAttention, schema.BaselineNone)
	}
	if !(o.Threshold >= 0 && o.Threshold < 1) {
		fault("threshold %g of a row's largest probability, want a number from 0 to below 1", o.Threshold)
	}
	return faults
}

// items yields what is to be analysed of a prompt. The prompt is number seq of a pass, and the pass's first
// example is number first of the call.
func (s *sequence) items(e *Engine, r request, seq, first int) iter.Seq[item] {
	return func(yield func(item) bool) {
		for i, x := range s.asked {
			it := item{x: x, seq: seq, asked: first + s.first + i}
			if !r.open(&x) {
				r.settleBaseline(e, &it.x)
				if !yield(it) {
					return
				}
				continue
			}
			found := s.chosen(e, r, &x)
			if len(found) == 0 {
				it.none = true
				if !yield(it) {
					return
				}
			}
			for _, edge := range found {
				it.x = r.exampleOf(e, x, edge)
				if !yield(it) {
					return
				}
			}
		}
	}
}

// chosen returns the edges of a prompt, including the one that it came with if rules ask for it, cut to the
// limit.
func (s *sequence) chosen(e *Engine, r request, x *schema.Example) []edge {
	edges := s.edges
	given := slices.IndexFunc(r.rules, func(r schema.EdgeRule) bool { return r.Name == schema.EdgeGiven })
	if given >= 0 && x.Query != schema.NoPosition {
		edges = merged(append(slices.Clone(edges), edge{x.Query, x.Key, 1 << given}))
	} else {
		given = -1
	}
	if r.most > 0 && len(edges) > r.most {
		edges = limited(edges, len(r.rules), given, r.most, newDraw(e.options.Seed, x.Tokens))
	}
	return edges
}

// merged sorts edges and joins those that several rules chose.
func merged(edges []edge) []edge {
	slices.SortFunc(edges, compareEdges)
	n := 0
	for _, x := range edges {
		if n > 0 && compareEdges(edges[n-1], x) == 0 {
			edges[n-1].rules |= x.rules
			continue
		}
		edges[n] = x
		n++
	}
	return edges[:n]
}

// limited keeps at most most edges. The rules take turns: each keeps the edge with the smallest lot among
// those that it chose and that are not kept yet. The edge that came with the prompt, by rule number given, is
// kept first.
func limited(edges []edge, rules, given, most int, lots draw) []edge {
	order := make([]int, len(edges)) // edges sorted by lot
	lot := make([]uint64, len(edges))
	for i, x := range edges {
		order[i], lot[i] = i, lots.of(x.query, x.key)
	}
	slices.SortFunc(order,
		func(a, b int) int { return cmp.Or(cmp.Compare(lot[a], lot[b]), cmp.Compare(a, b)) })
	kept, n := make([]bool, len(edges)), 0
	next := make([]int, rules) // for each rule, its position in order
	take := func(rule int) bool {
		for ; next[rule] < len(order); next[rule]++ {
			if i := order[next[rule]]; !kept[i] && edges[i].rules.has(rule) {
				kept[i] = true
				n++
				return true
			}
		}
		return false
	}
	if given >= 0 {
		take(given)
	}
	for more := true; more; {
		more = false
		for rule := range rules {
			more = n < most && take(rule) || more
		}
	}
	list := make([]edge, 0, n)
	for i, x := range edges {
		if kept[i] {
			list = append(list, x)
		}
	}
	return list
}

// exampleOf returns an edge of a prompt as an example.
func (r *request) exampleOf(e *Engine, x schema.Example, chosen edge) schema.Example {
	if chosen.query != x.Query || chosen.key != x.Key { // not the edge that the prompt came with
		x.Baseline, x.BaselineKind = schema.NoPosition, cmp.Or(r.baseline, schema.BaselineAttention)
	}
	x.Query, x.Key, x.Rules = chosen.query, chosen.key, nil
	for i, rule := range r.rules {
		if chosen.rules.has(i) {
			x.Rules = append(x.Rules, rule.String())
		}
	}
	r.settleBaseline(e, &x)
	return x
}

// settleBaseline sets the kind of an example's baseline. It leaves a kind that the example came with, and an
// empty kind if the options ask for none.
func (r *request) settleBaseline(e *Engine, x *schema.Example) {
	x.BaselineKind = r.kindOf(x)
	switch x.BaselineKind {
	case schema.BaselineToken:
		if x.Baseline == schema.NoPosition {
			x.BaselineKind = schema.BaselineNone
		}
	case schema.BaselineNone:
		x.Baseline = schema.NoPosition
	case schema.BaselineMean, schema.BaselineAttention:
		x.Baseline = schema.NoPosition
		if e.firstSeen(x.Query) == x.Query { // a target head sees no other key
			x.BaselineKind = schema.BaselineNone
		}
	}
}

// kindOf returns the kind of baseline that is asked for.
func (r *request) kindOf(x *schema.Example) schema.BaselineKind {
	return cmp.Or(x.BaselineKind, r.baseline)
}

// distributed reports whether an example's key may be compared with all other keys.
func (r *request) distributed(x *schema.Example) bool {
	kind := r.kindOf(x)
	return kind == schema.BaselineMean || kind == schema.BaselineAttention
}

// firstSeen returns the first position that every target head sees from a query position.
func (e *Engine) firstSeen(query int) int {
	first := 0
	for _, h := range e.heads {
		first = max(first, e.firstKey(h.Layer, query))
	}
	return first
}

// others returns the weights of a baseline that is a distribution, for the positions that a head sees from
// the query, beginning with [schema.HeadResult.FirstKey]. The key's weight is 0; the others' are equal or the
// attention that they get, and add up to one. Attention here is the softmax of the capped scores of the
// others alone, in float64. That equals their attention divided by its sum, and exists even if the key gets
// all of the attention. The query must see another key than x.Key.
func (p *pass[T]) others(x schema.Example, seq int, head schema.Head) []float64 {
	row := p.row(x, seq, head)
	weights, err := decompose.Others(x.BaselineKind, p.engine.spec.SoftCap, row.Scores, x.Key-row.First)
	if err != nil {
		// settleBaseline rules this out.
		panic(fmt.Sprintf("engine: example %d, head %s: %v", x.Index, head, err))
	}
	return weights
}

// textEdges returns the edges that rules choose by tokens and positions alone.
func (e *Engine) textEdges(r request, tokens []int) []edge {
	var list []edge
	again := repeatsOf(tokens)
	for i, rule := range r.rules {
		for query := range tokens {
			first := e.firstSeen(query)
			add := func(key int) {
				if key >= first {
					list = append(list, edge{query, key, 1 << i})
				}
			}
			switch rule.Name {
			case schema.EdgePrevious:
				add(query - 1)
			case schema.EdgeFirst:
				if query > 0 {
					add(0)
				}
			case schema.EdgeSelf:
				add(query)
			case schema.EdgeDuplicate:
				again.duplicates(query, add)
			case schema.EdgeInduction:
				again.inductions(query, add)
			}
		}
	}
	return list
}

// chooser chooses edges by the attention of one head.
type chooser[T blas.Float] struct {
	rules   []schema.EdgeRule
	samples bool // one of the rules draws
	lots    draw
	edges   []edge
	order   []int // scratch of top

	// For sample: the attention of every edge, as the 32 bits that are stored, followed by the edge's number;
	// and for each query, the number of its first edge and the position of that edge's key.
	attention []uint64
	start     []int
	first     []int
}

func newChooser[T blas.Float](rules []schema.EdgeRule, lots draw) *chooser[T] {
	samples := func(r schema.EdgeRule) bool { return r.Name == schema.EdgeSample }
	return &chooser[T]{rules: rules, samples: slices.ContainsFunc(rules, samples), lots: lots}
}

// add takes the row of the next query. Its first probability is that of position first.
func (c *chooser[T]) add(query, first int, probs []T) {
	for i, rule := range c.rules {
		choose := func(place int) { c.edges = append(c.edges, edge{query, first + place, 1 << i}) }
		switch rule.Name {
		case schema.EdgeTop:
			for _, place := range c.top(probs, rule.Count) {
				choose(place)
			}
		case schema.EdgeAbove:
			for place, v := range probs {
				if float64(v) > rule.Enough {
					choose(place)
				}
			}
		}
	}
	if c.samples {
		c.start, c.first = append(c.start, len(c.attention)), append(c.first, first)
		for _, v := range probs {
			bits := uint64(math.Float32bits(float32(v))) // in the order of the numbers, as none is negative
			c.attention = append(c.attention, bits<<32|uint64(len(c.attention)))
		}
	}
}

// top returns the places of the count largest numbers; of equal ones, the first.
func (c *chooser[T]) top(probs []T, count int) []int {
	c.order = c.order[:0]
	for place, v := range probs {
		if len(c.order) == count {
			if v <= probs[c.order[count-1]] {
				continue
			}
			c.order = c.order[:count-1]
		}
		at, _ := slices.BinarySearchFunc(c.order, v, func(other int, v T) int {
			if probs[other] >= v {
				return -1
			}
			return 1
		})
		c.order = slices.Insert(c.order, at, place)
	}
	return c.order
}

// done returns the chosen edges. All rows must have been added.
func (c *chooser[T]) done() []edge {
	slices.Sort(c.attention) // edges of equal attention by query and key
	for i, rule := range c.rules {
		if rule.Name == schema.EdgeSample {
			for _, at := range c.sample(rule.Count) {
				query, key := c.positions(at)
				c.edges = append(c.edges, edge{query, key, 1 << i})
			}
		}
	}
	return c.edges
}

// positions returns the positions of the edge at a place of the sorted attention.
func (c *chooser[T]) positions(at int) (query, key int) {
	number := int(uint32(c.attention[at]))
	query, found := slices.BinarySearch(c.start, number)
	if !found {
		query--
	}
	return query, c.first[query] + number - c.start[query]
}

// sample draws count places of the sorted attention by smallest lot: from each tenth the same number, apart
// from the remainder of a division by ten. If a tenth has too few, others give more.
func (c *chooser[T]) sample(count int) []int {
	const parts = 10
	n := len(c.attention)
	count = min(count, n)
	var drawn []int
	for i := range parts {
		drawn = append(drawn, c.draw(i*n/parts, (i+1)*n/parts, (i+1)*count/parts-i*count/parts, nil)...)
	}
	if len(drawn) == count {
		return drawn
	}
	taken := map[int]bool{}
	for _, at := range drawn {
		taken[at] = true
	}
	return append(drawn, c.draw(0, n, count-len(drawn), taken)...)
}

// draw returns the count places with the smallest lots in the range from to below to, leaving out those that
// are taken; all of them if there are fewer.
func (c *chooser[T]) draw(from, to, count int, taken map[int]bool) []int {
	type lot struct {
		number uint64
		at     int
	}
	if count == 0 {
		return nil
	}
	compare := func(a, b lot) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.at, b.at)) }
	var smallest []lot
	for at := from; at < to; at++ {
		if taken[at] {
			continue
		}
		x := lot{c.lots.of(c.positions(at)), at}
		if len(smallest) == count {
			if compare(x, smallest[count-1]) > 0 {
				continue
			}
			smallest = smallest[:count-1]
		}
		place, _ := slices.BinarySearchFunc(smallest, x, compare)
		smallest = slices.Insert(smallest, place, x)
	}
	places := make([]int, len(smallest))
	for i, x := range smallest {
		places[i] = x.at
	}
	return places
}

// draw assigns every edge of a prompt a lot, from the seed of the run and the prompt's tokens.
type draw uint64

func newDraw(seed int64, tokens []schema.Token) draw {
	state := mix(uint64(seed))
	for _, t := range tokens {
		state = mix(state ^ uint64(t.ID))
	}
	return draw(state)
}

func (d draw) of(query, key int) uint64 { return mix(mix(uint64(d)^uint64(query)) ^ uint64(key)) }
