package engine

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"ducklens/engine/internal/workers"
	"ducklens/engine/model"
	"ducklens/schema"
)

// What a head does, averaged over the query positions of a prompt that the measure applies to. Positions are
// those of the text, including BOS if it is in front. A key that an attention window hides gets no attention.
const (
	MeasurePrevious  = "previous"  // attention to the token before; queries from position 1 on
	MeasureFirst     = "first"     // to position 0; queries from position 1 on
	MeasureSelf      = "self"      // to the query itself
	MeasureDuplicate = "duplicate" // to all earlier occurrences of the query's token; queries that have one
	MeasureInduction = "induction" // to all tokens right after one, before the query; queries that have one

	// Over rows that see more than one token, from position 1 on.
	MeasureEntropy  = "entropy"  // of the row, in nats: -sum p ln p, including a sink's share
	MeasureDistance = "distance" // mean of query - key, weighted by attention; a sink has no distance
	MeasureAbove    = "above"    // share of rows whose largest probability is above Options.Threshold
)

// Indices of measures in results.
const (
	previous = iota
	first
	self
	duplicate
	induction
	entropy
	distance
	above
)

// measures are their names.
var measures = [...]string{previous: MeasurePrevious, first: MeasureFirst, self: MeasureSelf,
	duplicate: MeasureDuplicate,
	induction: MeasureInduction, entropy: MeasureEntropy, distance: MeasureDistance, above: MeasureAbove}

// defaultThreshold is the default threshold of [MeasureAbove].
const defaultThreshold = 0.5

// mean is a running mean.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) { m.sum, m.n = m.sum+v, m.n+1 }

// repeats holds the earlier occurrences of the tokens of a text.
type repeats []int // for each position, the latest earlier one of its token, or -1

func repeatsOf(tokens []int) repeats {
	last, list := map[int]int{}, make(repeats, len(tokens))
	for i, t := range tokens {
		list[i] = -1
		if at, ok := last[t]; ok {
			list[i] = at
		}
		last[t] = i
	}
	return list
}

// duplicates calls do with each earlier occurrence of a position's token, the latest first.
func (r repeats) duplicates(position int, do func(earlier int)) {
	for at := r[position]; at >= 0; at = r[at] {
		do(at)
	}
}

// inductions calls do with the position after each of these, if it is before the given position.
func (r repeats) inductions(position int, do func(after int)) {
	r.duplicates(position, func(earlier int) {
		if earlier+1 < position {
			do(earlier + 1)
		}
	})
}

// survey looks at the attention of every target head at every position of the prompts that are measured. It
// computes what the heads do and which edges the rules choose.
func (p *pass[T]) survey(ctx context.Context, r request) error {
	type task struct {
		seq  int
		head schema.Head
	}
	var tasks []task
	for i := range p.sequences {
		for _, head := range p.engine.heads {
			if p.sequences[i].measured {
				tasks = append(tasks, task{i, head})
			}
		}
	}
	done, errs := make([]survey, len(tasks)), make([]error, len(tasks))
	workers.Do(p.engine.options.threads(), len(tasks), func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			done[i], errs[i] = p.surveyHead(r, tasks[i].seq, tasks[i].head)
		}
	})
	for i, task := range tasks {
		if errs[i] != nil {
			return errs[i]
		}
		s := &p.sequences[task.seq]
		for m, mean := range done[i].means {
			if mean.n > 0 {
				s.measures = append(s.measures,
					schema.HeadMeasure{Head: task.head, Measure: measures[m], N: mean.n,
						Value: mean.sum / float64(mean.n)})
			}
		}
		s.edges = append(s.edges, done[i].edges...)
	}
	for i := range p.sequences {
		if s := &p.sequences[i]; s.measured {
			s.edges = merged(append(s.edges, p.engine.textEdges(r, s.tokens)...))
		}
	}
	return nil
}

// survey is the result of one head on one prompt.
type survey struct {
	means [len(measures)]mean
	edges []edge // chosen by rules by its attention
}

// surveyHead looks at the rows of one head, one after the other.
func (p *pass[T]) surveyHead(r request, seq int, head schema.Head) (survey, error) {
	tokens := p.sequences[seq].tokens
	m := measurer{repeats: repeatsOf(tokens), threshold: cmp.Or(p.engine.options.Threshold, defaultThreshold)}
	c := newChooser[T](r.rules, newDraw(p.engine.options.Seed, p.sequences[seq].asked[0].Tokens))
	var row model.Row[T]
	probs := make([]float64, 0, len(tokens))
	for query := range tokens {
		row = p.cache.Row(row, head, seq, query)
		probs = probs[:0]
		for i, v := range row.Pattern {
			if score := float64(row.Scores[i]); math.IsNaN(score) || math.IsInf(score, 0) {
				return survey{},
					&NotFiniteError{Example: p.sequences[seq].asked[0].Index, Layer: head.Layer, Head: &head,
						Value: score,
						What:  fmt.Sprintf("score of token %d to token %d", query, row.First+i)}
			}
			probs = append(probs, float64(v))
		}
		m.add(query, row.First, probs, float64(row.Sink))
		seen := p.engine.firstSeen(query)
		c.add(query, seen, row.Pattern[seen-row.First:])
	}
	return survey{m.means, c.done()}, nil
}

// measurer measures the rows of a head, which must be added in order.
type measurer struct {
	repeats   repeats
	threshold float64
	means     [len(measures)]mean
}

// add adds the row of a query. Its first probability is that of position from.
func (m *measurer) add(query, from int, probs []float64, sink float64) {
	at := func(position int) float64 {
		if position < from {
			return 0
		}
		return probs[position-from]
	}
	sum := func(measure int, positions func(query int, do func(position int))) {
		sum, n := 0.0, 0
		positions(query, func(position int) { sum, n = sum+at(position), n+1 })
		if n > 0 {
			m.means[measure].add(sum)
		}
	}
	m.means[self].add(at(query))
	sum(duplicate, m.repeats.duplicates)
	sum(induction, m.repeats.inductions)
	if query == 0 {
		return
	}
	m.means[previous].add(at(query - 1))
	m.means[first].add(at(0))
	nats, all, far, largest, high := -plogp(sink), 0.0, 0.0, 0.0, 0.0
	for i, v := range probs {
		nats -= plogp(v)
		all += v
		far += v * float64(query-from-i)
		largest = max(largest, v)
	}
	m.means[entropy].add(nats)
	if all > 0 { // a sink may take all of the attention
		m.means[distance].add(far / all)
	}
	if largest > m.threshold {
		high = 1
	}
	m.means[above].add(high)
}

func plogp(p float64) float64 {
	if p == 0 {
		return 0
	}
	return p * math.Log(p)
}
