package ingest

import (
	"fmt"
	"math"
	"slices"

	"ducklens/engine"
	"ducklens/schema"
)

// pairMeans averages pair tables over the examples of a run. Fed with the heads of the examples in their order, it gives the same
// bits whatever the batches were, and whether it is fed with what the engine gave or with factors that were stored.
type pairMeans struct {
	blas  string            // multiplies factors
	pairs *engine.PairMaker // nil until there are factors
	heads []schema.Head
	means map[schema.Head][]*pairMean // in the order of the first example's tables
}

func newPairMeans(opts *Options) *pairMeans {
	return &pairMeans{blas: opts.Run.BLAS, heads: opts.Engine.Heads(), means: map[schema.Head][]*pairMean{}}
}

// pairMean holds the running means of one head under one pair of bases.
type pairMean struct {
	queryBasis, keyBasis           int
	queryComponents, keyComponents []int
	n, nBaseline                   int       // examples seen, and those that had a baseline
	score, diff                    []moments // [query component, key component]
}

// moments are the mean and the sum of squared distances from it of four quadrants (Welford 1962).
type moments struct{ mean, squares [4]float64 }

// add takes in number n, counted from 1, of each quadrant.
func (m *moments) add(x [4]float64, n int) {
	share := 1 / float64(n)
	for q, v := range x {
		distance := v - m.mean[q]
		m.mean[q] += distance * share
		m.squares[q] += distance * (v - m.mean[q])
	}
}

// add takes in one head of the next example: its pair tables, or else what its factors multiply to, if it has any.
func (p *pairMeans) add(h *schema.HeadResult) error {
	tables := h.Pairs
	if len(tables) == 0 {
		if len(h.Factors) == 0 {
			return nil
		}
		var err error
		if p.pairs == nil {
			if p.pairs, err = engine.NewPairMaker(p.blas); err != nil {
				return err
			}
		}
		if tables, err = p.pairs.Tables(h.Factors); err != nil {
			return err
		}
	}
	for i := range tables {
		t := &tables[i]
		mean := p.find(h.Head, t)
		if !slices.Equal(mean.queryComponents, t.QueryComponents) || !slices.Equal(mean.keyComponents, t.KeyComponents) {
			return fmt.Errorf("pair table of %d and %d components, want the %d and %d of other examples",
				len(t.QueryComponents), len(t.KeyComponents), len(mean.queryComponents), len(mean.keyComponents))
		}
		mean.add(t)
	}
	return nil
}

// find gives the means that a table belongs to.
func (p *pairMeans) find(head schema.Head, t *schema.PairTable) *pairMean {
	for _, m := range p.means[head] {
		if m.queryBasis == t.QueryBasis && m.keyBasis == t.KeyBasis {
			return m
		}
	}
	m := &pairMean{queryBasis: t.QueryBasis, keyBasis: t.KeyBasis, queryComponents: t.QueryComponents, keyComponents: t.KeyComponents,
		score: make([]moments, len(t.Score)), diff: make([]moments, len(t.Score))}
	p.means[head] = append(p.means[head], m)
	return m
}

func (m *pairMean) add(t *schema.PairTable) {
	m.n++
	for i, s := range t.Score {
		m.score[i].add([4]float64{float64(s[0]), float64(s[1]), float64(s[2]), float64(s[3])}, m.n)
	}
	if t.Baseline == nil {
		return
	}
	m.nBaseline++
	for i, s := range t.Score {
		b := t.Baseline[i]
		m.diff[i].add([4]float64{float64(s[0]) - float64(b[0]), float64(s[1]) - float64(b[1]), float64(s[2]) - float64(b[2]), float64(s[3]) - float64(b[3])}, m.nBaseline)
	}
}

// appendPairMeans appends the means of a run that has all its examples.
func (w *writer) appendPairMeans(tables *appenders) error {
	for _, head := range w.means.heads {
		for _, m := range w.means.means[head] {
			if err := w.appendPairMean(tables, w.headID(head), m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) appendPairMean(tables *appenders, head int32, m *pairMean) error {
	table, err := tables.table(tablePairMean)
	if err != nil {
		return err
	}
	for i := range m.score {
		table.PutInt32(w.runID(), head, w.componentID(m.queryComponents[i/len(m.keyComponents)]), w.componentID(m.keyComponents[i%len(m.keyComponents)]),
			int32(m.queryBasis), int32(m.keyBasis), int32(m.n), int32(m.nBaseline))
		score, diff := m.score[i].columns(m.n), m.diff[i].columns(m.nBaseline)
		table.PutNullable(score[:]...)
		table.PutNullable(diff[:]...)
		if err := table.EndRow(); err != nil {
			return err
		}
	}
	return nil
}

// columns gives the means of n numbers, then their standard errors: NaN where there are too few.
func (m *moments) columns(n int) [8]float32 {
	nan := float32(math.NaN())
	row := [8]float32{nan, nan, nan, nan, nan, nan, nan, nan}
	for q := range m.mean {
		if n >= 1 {
			row[q] = float32(m.mean[q])
		}
		if n >= 2 {
			row[4+q] = float32(math.Sqrt(m.squares[q] / float64(n-1) / float64(n)))
		}
	}
	return row
}
