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

// factorDifference is the largest difference between the parts of factors along a basis and the oracle's.
func factorDifference[T blas.Float](got decompose.Factors[T], basis int, want [][2][]float64) float64 {
	if len(got.Vectors) != len(want)*got.DHead || len(got.Coordinates) != len(want)*len(got.Axes) {
		return math.Inf(1)
	}
	largest := 0.0
	for i, row := range want {
		par := make([]float64, got.DHead)
		for a, axis := range got.Axes {
			if axis.Basis == basis {
				par = add(par, times(float64(got.Coordinates[i*len(got.Axes)+a]), widened(axis.Image)))
			}
		}
		for j, v := range par {
			perp := float64(got.Vectors[i*got.DHead+j]) - v
			largest = max(largest, math.Abs(v-row[0][j]), math.Abs(perp-row[1][j]))
		}
	}
	return largest
}

func widened[T blas.Float](x []T) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func allFactors[T blas.Float](t interface {
	Helper()
	Fatal(...any)
}, e *example) decompose.FactorSet[T] {
	t.Helper()
	set, err := decompose.AllFactors(input[T](e))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestFactorsAgreeWithExplicitVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		set, set32 := allFactors[float64](t, e), allFactors[float32](t, e)
		if (set.Baseline == nil) != (e.baseline == nil) {
			t.Fatalf("factors at the baseline: %v", set.Baseline)
		}
		check := func(name string, p *place, m maps, choices []choice, got decompose.Factors[float64], got32 decompose.Factors[float32]) {
			for i, c := range choices {
				if c.kind == schema.Replacement { // it has no axes, so its side is whole
					c = choice{}
				}
				want := e.naiveFactors(p, m, c)
				if d := factorDifference(got, i, want); !(d <= tolerance64) {
					t.Errorf("%s, basis %d: factors differ by %g", name, i, d)
				}
				if d := factorDifference(got32, i, want); !(d <= tolerance32) {
					t.Errorf("%s, basis %d: float32 factors differ by %g", name, i, d)
				}
			}
			if len(got.Axes) != 3 || got.Axes[0].Basis != 1 || got.Axes[2].Basis != 2 || got.Axes[2].Number != 1 {
				t.Errorf("%s: axes %v, want one of basis 1 and two of basis 2", name, got.Axes)
			}
		}
		check("query", &e.query, e.toQuery, e.queryChoices, set.Query, set32.Query)
		check("key", &e.key, e.toKey, e.keyChoices, set.Key, set32.Key)
		if e.baseline != nil {
			check("baseline", e.baseline, e.toKey, e.baseChoices, *set.Baseline, *set32.Baseline)
		}
	})
}

func TestFactorsAddUpToTheVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		e.convention = schema.Exact
		in := input[float64](e)
		set := allFactors[float64](t, e)
		check := func(name string, f decompose.Factors[float64], want []float64) {
			sum := make([]float64, f.DHead)
			for i, v := range f.Vectors {
				sum[i%f.DHead] += v
			}
			for j := range sum {
				if d := math.Abs(sum[j] - want[j]); !(d <= tolerance64) {
					t.Errorf("%s: factors miss entry %d of the model's vector by %g", name, j, d)
				}
			}
		}
		check("query", set.Query, in.Query.Vector)
		check("key", set.Key, in.Key.Vector)
		if in.Baseline != nil {
			check("baseline", *set.Baseline, in.Baseline.Vector)
		}
	})
}

// Entry by entry against inner products; the quadrants of a pair add up to the unsplit pair, and each margin
// is the contributions of its side.
func TestPairsAgreeWithInnerProductsAndSides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		e.convention = schema.Exact
		set, set32 := allFactors[float64](t, e), allFactors[float32](t, e)
		split := func(query, key int) [][4]float64 {
			pairs, err := decompose.Pairs(provider(t), 1/e.attnScale, set.Query, set.Key, query, key)
			if err != nil {
				t.Fatal(err)
			}
			return pairs
		}
		unsplit := split(0, 0)
		for _, table := range contributions(t, input[float64](e)).Tables {
			query, key := e.queryChoices[table.QueryBasis], e.keyChoices[table.KeyBasis]
			if query.kind == schema.Replacement || key.kind == schema.Replacement {
				continue
			}
			pairs := split(table.QueryBasis, table.KeyBasis)
			wide, err := decompose.Pairs(provider(t), 1/e.attnScale, set32.Query, set32.Key, table.QueryBasis, table.KeyBasis)
			if err != nil {
				t.Fatal(err)
			}
			n := len(table.Score)
			if len(pairs) != n*n || len(wide) != n*n {
				t.Fatalf("%d pairs of %d rows", len(pairs), n)
			}
			naiveQ, naiveK := e.naiveFactors(&e.query, e.toQuery, query), e.naiveFactors(&e.key, e.toKey, key)
			margin := make([][4]float64, n) // over the other side, quadrant by quadrant
			for i := range n {
				for j := range n {
					entry := pairs[i*n+j]
					whole := math.Abs(unsplit[i*n+j][schema.PerpPerp])
					if d := math.Abs(sum(pairs[i*n+j:i*n+j+1]) - unsplit[i*n+j][schema.PerpPerp]); !(d <= tolerance64) || sum(unsplit[i*n+j:i*n+j+1]) != unsplit[i*n+j][schema.PerpPerp] {
						t.Fatalf("pair %d, %d: quadrants %v, unsplit %v", i, j, entry, unsplit[i*n+j])
					}
					for quadrant := range 4 {
						want := naiveDot(naiveQ[i][quadrant/2], naiveK[j][quadrant%2]) / e.attnScale
						if d := math.Abs(entry[quadrant] - want); !(d <= tolerance64) {
							t.Fatalf("pair %d, %d, quadrant %d: differs by %g", i, j, quadrant, d)
						}
						if d := math.Abs(float64(wide[i*n+j][quadrant]) - want); !(d <= tolerance32*max(1, math.Abs(want), whole)) {
							t.Fatalf("pair %d, %d, quadrant %d: float32 differs by %g", i, j, quadrant, d)
						}
						side := i
						if table.Side == schema.Key {
							side = j
						}
						margin[side][quadrant] += entry[quadrant]
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

// Another provider, rows read back: the table is made of the numbers alone.
func TestPairsOfPlainNumbers(t *testing.T) {
	t.Parallel()
	query := decompose.Factors[float32]{Rows: []int{7}, Bias: true, DHead: 4, Vectors: []float32{1, 2, 0, 0, 0, 0, 1, 1},
		Axes: []decompose.Axis[float32]{{Basis: 2, Image: []float32{1, 0, 0, 0}}}, Coordinates: []float32{1, 0}}
	key := decompose.Factors[float32]{DHead: 4, Bias: true, Vectors: []float32{7, 5, 7, 1}}
	for _, name := range blas.Providers() {
		p, err := blas.ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for basis, want := range map[int][][4]float32{
			2: {{0, 3.5, 0, 5}, {0, 0, 0, 4}},
			1: {{0, 0, 0, 8.5}, {0, 0, 0, 4}},
		} {
			got, err := decompose.Pairs(p, 0.5, query, key, basis, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
				t.Errorf("%s, basis %d: %v, want %v", name, basis, got, want)
			}
		}
	}
	for name, spoil := range map[string]func(q, k *decompose.Factors[float32]){
		"query rows":   func(q, _ *decompose.Factors[float32]) { q.Rows = nil },
		"no bias":      func(q, _ *decompose.Factors[float32]) { q.Bias = false },
		"key numbers":  func(_, k *decompose.Factors[float32]) { k.Vectors = k.Vectors[1:] },
		"no d_head":    func(q, _ *decompose.Factors[float32]) { q.DHead = 0 },
		"other d_head": func(_, k *decompose.Factors[float32]) { k.DHead, k.Vectors = 2, k.Vectors[:2] },
		"coordinates":  func(q, _ *decompose.Factors[float32]) { q.Coordinates = q.Coordinates[1:] },
		"image":        func(q, _ *decompose.Factors[float32]) { q.Axes = []decompose.Axis[float32]{{Image: []float32{1}}} },
	} {
		q, k := query, key
		spoil(&q, &k)
		if _, err := decompose.Pairs(provider(t), 0.5, q, k, 2, 1); !errors.Is(err, decompose.ErrShape) {
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
