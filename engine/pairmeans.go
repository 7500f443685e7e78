package engine

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// PairMeans averages pair tables over examples. Fed with the heads of the examples in their order, it gives the same bits
// whether it is fed with what [Engine.Analyze] gave or with factors that were stored. It belongs to one goroutine.
type PairMeans struct {
	blas  string     // multiplies factors
	pairs *PairMaker // nil until there are factors
	means map[schema.Head][]*PairMean
}

// NewPairMeans takes the name of a multiply provider, as [NewPairMaker] does.
func NewPairMeans(blasName string) *PairMeans {
	return &PairMeans{blas: blasName, means: map[schema.Head][]*PairMean{}}
}

// Of gives the means of a head, in the order of its first example's tables.
func (p *PairMeans) Of(head schema.Head) []*PairMean { return p.means[head] }

// PairMean holds the means of one head under one pair of bases.
type PairMean struct {
	QueryBasis, KeyBasis           int
	QueryComponents, KeyComponents []int
	score, diff                    blas.Moments // [query component, key component, quadrant]; diff of the examples that had a baseline
}

// N is the number of examples, and of those that had a baseline.
func (m *PairMean) N() (n, nBaseline int) { return m.score.N, m.diff.N }

// Entry gives, of entry i of the table [query component, key component], the means of the four quadrants of the score, then their standard
// errors, which are the sample standard deviations over sqrt(n); and the same of score - baseline. NaN stands where there are too few examples.
func (m *PairMean) Entry(i int) (score, diff [8]float32) {
	return entry(&m.score, i), entry(&m.diff, i)
}

func entry(m *blas.Moments, i int) [8]float32 {
	nan := float32(math.NaN())
	out := [8]float32{nan, nan, nan, nan, nan, nan, nan, nan}
	for q := range 4 {
		if m.N >= 1 {
			out[q] = float32(m.Mean[4*i+q])
		}
		if m.N >= 2 {
			out[4+q] = float32(math.Sqrt(m.Squares[4*i+q] / float64(m.N-1) / float64(m.N)))
		}
	}
	return out
}

// Add takes in one head of the next example: its pair tables, or else what its factors multiply to, if it has any.
func (p *PairMeans) Add(h *schema.HeadResult) error {
	tables := h.Pairs
	if len(tables) == 0 {
		if len(h.Factors) == 0 {
			return nil
		}
		var err error
		if p.pairs == nil {
			if p.pairs, err = NewPairMaker(p.blas); err != nil {
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
		if !slices.Equal(mean.QueryComponents, t.QueryComponents) || !slices.Equal(mean.KeyComponents, t.KeyComponents) {
			return fmt.Errorf("engine: pair table of %d and %d components, want the %d and %d of other examples",
				len(t.QueryComponents), len(t.KeyComponents), len(mean.QueryComponents), len(mean.KeyComponents))
		}
		mean.score.Add(flat(t.Score), nil)
		if t.Baseline != nil {
			mean.diff.Add(flat(t.Score), flat(t.Baseline))
		}
	}
	return nil
}

// find gives the means that a table belongs to.
func (p *PairMeans) find(head schema.Head, t *schema.PairTable) *PairMean {
	for _, m := range p.means[head] {
		if m.QueryBasis == t.QueryBasis && m.KeyBasis == t.KeyBasis {
			return m
		}
	}
	n := 4 * len(t.Score)
	m := &PairMean{QueryBasis: t.QueryBasis, KeyBasis: t.KeyBasis, QueryComponents: t.QueryComponents, KeyComponents: t.KeyComponents,
		score: blas.NewMoments(n), diff: blas.NewMoments(n)}
	p.means[head] = append(p.means[head], m)
	return m
}

// flat gives quadrant after quadrant of a table, in its own memory.
func flat(table [][4]float32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(table))), 4*len(table))
}
