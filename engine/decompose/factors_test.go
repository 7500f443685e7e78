package decompose_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

func provider(t interface {
	Helper()
	Fatal(...any)
}) blas.Provider {
	t.Helper()
	p, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// naiveFactors computes the factors of one position with explicit projections: rows, then the bias; each par, perp.
func (e *example) naiveFactors(p *place, w [][]float64, b []float64, c choice) [][2][]float64 {
	var rows [][2][]float64
	for i, component := range e.components {
		if e.convention == schema.Notebook && component.Kind == schema.AttnBias {
			continue
		}
		par, perp := project(times(1/p.sigma, naiveCentre(p.components[i])), c)
		rows = append(rows, [2][]float64{transposedTimes(w, par), transposedTimes(w, perp)})
	}
	return append(rows, [2][]float64{make([]float64, e.dHead), b})
}

// factorDifference is the largest difference between factors and the oracle's.
func factorDifference[T blas.Float](got decompose.Factors[T], want [][2][]float64) float64 {
	if len(got.Rows)+1 != len(want) {
		return math.Inf(1)
	}
	largest := 0.0
	for i, row := range want {
		for j := range row[0] {
			largest = max(largest, math.Abs(float64(got.Par[i*got.DHead+j])-row[0][j]), math.Abs(float64(got.Perp[i*got.DHead+j])-row[1][j]))
		}
	}
	return largest
}

func TestFactorsAgreeWithExplicitVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		set, err := decompose.AllFactors(input[float64](e))
		if err != nil {
			t.Fatal(err)
		}
		set32, err := decompose.AllFactors(input[float32](e))
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Query) != 4 || len(set.Key) != 4 || (set.Baseline == nil) != (e.baseline == nil) {
			t.Fatalf("factors of %d, %d and %d bases", len(set.Query), len(set.Key), len(set.Baseline))
		}
		check := func(name string, p *place, w [][]float64, b []float64, choices []choice, got []decompose.Factors[float64], got32 []decompose.Factors[float32]) {
			for i, c := range choices {
				if c.kind == schema.Replacement {
					if got[i].Par != nil || got[i].Perp != nil {
						t.Errorf("%s: a replaced vector has factors", name)
					}
					continue
				}
				want := e.naiveFactors(p, w, b, c)
				if d := factorDifference(got[i], want); !(d <= tolerance64) {
					t.Errorf("%s, basis %d: factors differ by %g", name, i, d)
				}
				if d := factorDifference(got32[i], want); !(d <= tolerance32) {
					t.Errorf("%s, basis %d: float32 factors differ by %g", name, i, d)
				}
			}
		}
		check("query", &e.query, e.wq, e.bq, e.queryChoices, set.Query, set32.Query)
		check("key", &e.key, e.wk, e.bk, e.keyChoices, set.Key, set32.Key)
		if e.baseline != nil {
			check("baseline", e.baseline, e.wk, e.bk, e.baseChoices, set.Baseline, set32.Baseline)
		}
	})
}

func TestFactorsAddUpToTheVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		e.convention = schema.Exact
		in := input[float64](e)
		set, err := decompose.AllFactors(in)
		if err != nil {
			t.Fatal(err)
		}
		check := func(name string, f decompose.Factors[float64], want []float64) {
			if f.Par == nil {
				return
			}
			sum := make([]float64, f.DHead)
			for i := range f.Par {
				sum[i%f.DHead] += f.Par[i] + f.Perp[i]
			}
			for j := range sum {
				if d := math.Abs(sum[j] - want[j]); !(d <= tolerance64) {
					t.Errorf("%s: factors miss entry %d of the model's vector by %g", name, j, d)
				}
			}
		}
		for i := range set.Query {
			check("query", set.Query[i], in.Query.Vector)
			check("key", set.Key[i], in.Key.Vector)
			if in.Baseline != nil {
				check("baseline", set.Baseline[i], in.Baseline.Vector)
			}
		}
	})
}

// Entry by entry against inner products, and each margin against the contributions of its side.
func TestPairsAgreeWithInnerProductsAndSides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		e.convention = schema.Exact
		in := input[float64](e)
		set, err := decompose.AllFactors(in)
		if err != nil {
			t.Fatal(err)
		}
		set32, err := decompose.AllFactors(input[float32](e))
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range contributions(t, in).Tables {
			query, key := e.queryChoices[table.QueryBasis], e.keyChoices[table.KeyBasis]
			if query.kind == schema.Replacement || key.kind == schema.Replacement {
				continue
			}
			q, k := set.Query[table.QueryBasis], set.Key[table.KeyBasis]
			pairs, err := decompose.Pairs(provider(t), q, k)
			if err != nil {
				t.Fatal(err)
			}
			wide, err := decompose.Pairs(provider(t), set32.Query[table.QueryBasis], set32.Key[table.KeyBasis])
			if err != nil {
				t.Fatal(err)
			}
			n := len(table.Score)
			if len(pairs) != n*n || len(wide) != n*n {
				t.Fatalf("%d pairs of %d rows", len(pairs), n)
			}
			naiveQ, naiveK := e.naiveFactors(&e.query, e.wq, e.bq, query), e.naiveFactors(&e.key, e.wk, e.bk, key)
			margin := make([][4]float64, n) // over the other side, quadrant by quadrant
			for i := range n {
				for j := range n {
					for quadrant := range 4 {
						want := naiveDot(naiveQ[i][quadrant/2], naiveK[j][quadrant%2]) / math.Sqrt(float64(e.dHead))
						if d := math.Abs(pairs[i*n+j][quadrant] - want); !(d <= tolerance64) {
							t.Fatalf("pair %d, %d, quadrant %d: differs by %g", i, j, quadrant, d)
						}
						if d := math.Abs(float64(wide[i*n+j][quadrant]) - want); !(d <= tolerance32*max(1, math.Abs(want))) {
							t.Fatalf("pair %d, %d, quadrant %d: float32 differs by %g", i, j, quadrant, d)
						}
						side := i
						if table.Side == schema.Key {
							side = j
						}
						margin[side][quadrant] += pairs[i*n+j][quadrant]
					}
				}
			}
			if d := difference(margin, table.Score); !(d <= 10*tolerance64) {
				t.Errorf("%s side, bases %d and %d: margins of the pairs miss the contributions by %g", table.Side, table.QueryBasis, table.KeyBasis, d)
			}
			if d := math.Abs(sum(pairs) - e.score(&e.key)); !(d <= 10*tolerance64) {
				t.Errorf("pairs miss the score by %g", d)
			}
		}
	})
}

// Another number type, another provider, rows read back: the table is made of the numbers alone.
func TestPairsOfPlainNumbers(t *testing.T) {
	t.Parallel()
	query := decompose.Factors[float32]{Rows: []int{7}, DHead: 4, Par: []float32{1, 0, 0, 0, 0, 0, 0, 0}, Perp: []float32{0, 2, 0, 0, 0, 0, 1, 1}}
	key := decompose.Factors[float32]{Rows: nil, DHead: 4, Par: []float32{3, 5, 0, 0}, Perp: []float32{4, 0, 7, 1}}
	for _, name := range blas.Providers() {
		p, err := blas.ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decompose.Pairs(p, query, key)
		if err != nil {
			t.Fatal(err)
		}
		// Divided by sqrt(4).
		want := [][4]float32{{1.5, 2, 5, 0}, {0, 0, 0, 4}}
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for name, spoil := range map[string]func(q, k *decompose.Factors[float32]){
		"query rows":   func(q, _ *decompose.Factors[float32]) { q.Rows = nil },
		"key numbers":  func(_, k *decompose.Factors[float32]) { k.Perp = k.Perp[1:] },
		"no d_head":    func(q, _ *decompose.Factors[float32]) { q.DHead = 0 },
		"other d_head": func(_, k *decompose.Factors[float32]) { k.DHead, k.Par, k.Perp = 2, k.Par[:2], k.Perp[:2] },
	} {
		q, k := query, key
		spoil(&q, &k)
		if _, err := decompose.Pairs(provider(t), q, k); !errors.Is(err, decompose.ErrShape) {
			t.Errorf("%s: %v, want ErrShape", name, err)
		}
	}
}

// Only the pairs asked for, with the numbers they have among all.
func TestWantedPairsOfBases(t *testing.T) {
	t.Parallel()
	e := newExample(4, 2, 3, 16, 4, true)
	in := input[float64](e)
	all := contributions(t, in)
	in.Pairs = [][2]int{{1, 2}, {0, 0}, {3, 1}}
	got := contributions(t, in)
	if len(got.Tables) != 5 { // a replaced query has no query side
		t.Fatalf("%d tables, want 5", len(got.Tables))
	}
	for _, table := range got.Tables {
		found := false
		for _, other := range all.Tables {
			if other.Side == table.Side && other.QueryBasis == table.QueryBasis && other.KeyBasis == table.KeyBasis {
				found = difference(other.Score, table.Score) == 0 && difference(other.Baseline, table.Baseline) == 0
			}
		}
		if !found {
			t.Errorf("%s side, bases %d and %d: not the table it is among all pairs", table.Side, table.QueryBasis, table.KeyBasis)
		}
	}
	if in.Pairs = [][2]int{}; len(contributions(t, in).Tables) != 0 {
		t.Error("tables for no pairs")
	}
	in.Pairs = [][2]int{{0, 4}}
	if _, err := decompose.Contributions(in); !errors.Is(err, decompose.ErrShape) || !strings.Contains(err.Error(), "pair of bases [0 4], and there are 4 of the query and 4 of the key") {
		t.Errorf("error %v", err)
	}
}
