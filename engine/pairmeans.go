package engine

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// PairMeans averages pair tables over examples. If heads are added in the order of the examples, it returns
// the same bits whether they come from [Engine.Analyze] or from factors that were stored. It is not safe for
// concurrent use.
type PairMeans struct {
	blas   string // provider that multiplies factors
	bases  []schema.Basis
	scales map[schema.Head]float64 // score scales of the targets
	pairs  *PairMaker              // nil until there are factors
	means  map[schema.Head][]*PairMean
	flat   [2][]float32 // of a table of whole vectors
}

// NewPairMeans returns means without examples. It takes the name of a matrix-multiply provider and the bases
// of the run, as [NewPairMaker] does, and the run's target heads.
func NewPairMeans(blasName string, bases []schema.Basis, targets []schema.Target) *PairMeans {
	p := &PairMeans{blas: blasName, bases: bases, scales: map[schema.Head]float64{},
		means: map[schema.Head][]*PairMean{}}
	for _, t := range targets {
		p.scales[t.Head] = t.ScoreScale
	}
	return p
}

// Of returns the means of a head, in the order of its first example's tables.
func (p *PairMeans) Of(head schema.Head) []*PairMean { return p.means[head] }

// PairMean holds the means of one head under one pair of bases.
type PairMean struct {
	QueryBasis, KeyBasis           int
	QueryComponents, KeyComponents []int
	whole                          bool // neither side is split: only [schema.PerpPerp] is kept
	// [query component, key component, quadrant]; diff counts only examples with a baseline.
	score, diff blas.Moments
}

// N returns the number of examples and the number of those with a baseline.
func (m *PairMean) N() (n, nBaseline int) { return m.score.N, m.diff.N }

// Entry returns, for entry i of the table [query component, key component], the means of the four quadrants
// of the score followed by their standard errors (sample standard deviation / sqrt(n)), and the same for
// score - baseline. It returns NaN if there are too few examples.
func (m *PairMean) Entry(i int) (score, diff [8]float32) {
	return m.entry(&m.score, i), m.entry(&m.diff, i)
}

func (m *PairMean) entry(moments *blas.Moments, i int) [8]float32 {
	nan := float32(math.NaN())
	out := [8]float32{nan, nan, nan, nan, nan, nan, nan, nan}
	for q := range 4 {
		mean, squares := 0.0, 0.0
		switch {
		case !m.whole:
			mean, squares = moments.Mean[4*i+q], moments.Squares[4*i+q]
		case q == int(schema.PerpPerp):
			mean, squares = moments.Mean[i], moments.Squares[i]
		}
		if moments.N >= 1 {
			out[q] = float32(mean)
		}
		if moments.N >= 2 {
			out[4+q] = float32(math.Sqrt(squares / float64(moments.N-1) / float64(moments.N)))
		}
	}
	return out
}

// Add adds one head of the next example: its pair tables if it has them, or else the products of its factors
// if it has those.
func (p *PairMeans) Add(h *schema.HeadResult) error {
	tables := h.Pairs
	if len(tables) == 0 {
		if len(h.Factors) == 0 {
			return nil
		}
		var err error
		if p.pairs == nil {
			if p.pairs, err = NewPairMaker(p.blas, p.bases); err != nil {
				return err
			}
		}
		scale, ok := p.scales[h.Head]
		if !ok {
			return fmt.Errorf("factors of head %s, which is not among the %d targets", h.Head, len(p.scales))
		}
		if tables, err = p.pairs.Tables(scale, h.Factors); err != nil {
			return err
		}
	}
	for i := range tables {
		t := &tables[i]
		mean := p.find(h.Head, t)
		if !slices.Equal(mean.QueryComponents, t.QueryComponents) ||
			!slices.Equal(mean.KeyComponents, t.KeyComponents) {
			return fmt.Errorf("pair table of %d and %d components, want the %d and %d of other examples",
				len(t.QueryComponents), len(t.KeyComponents), len(mean.QueryComponents),
				len(mean.KeyComponents))
		}
		score, baseline := flat(t.Score), flat(t.Baseline)
		if mean.whole {
			score, baseline = perpPerp(&p.flat[0], t.Score), perpPerp(&p.flat[1], t.Baseline)
		}
		mean.score.Add(score, nil)
		if t.Baseline != nil {
			mean.diff.Add(score, baseline)
		}
	}
	return nil
}

// find returns the means that a table belongs to.
func (p *PairMeans) find(head schema.Head, t *schema.PairTable) *PairMean {
	for _, m := range p.means[head] {
		if m.QueryBasis == t.QueryBasis && m.KeyBasis == t.KeyBasis {
			return m
		}
	}
	whole := p.bases[t.QueryBasis].Kind == schema.Whole && p.bases[t.KeyBasis].Kind == schema.Whole
	n := 4 * len(t.Score)
	if whole {
		n = len(t.Score)
	}
	m := &PairMean{QueryBasis: t.QueryBasis, KeyBasis: t.KeyBasis,
		QueryComponents: slices.Clone(t.QueryComponents), KeyComponents: slices.Clone(t.KeyComponents),
		whole: whole, score: blas.NewMoments(n), diff: blas.NewMoments(n)}
	p.means[head] = append(p.means[head], m)
	return m
}

// flat returns the table's numbers as one slice, without copying.
func flat(table [][4]float32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(table))), 4*len(table))
}

// perpPerp returns the quadrant that holds everything in a table of whole vectors.
func perpPerp(space *[]float32, table [][4]float32) []float32 {
	*space = (*space)[:0]
	for i := range table {
		*space = append(*space, table[i][schema.PerpPerp])
	}
	return *space
}
