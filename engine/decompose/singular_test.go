package decompose_test

import (
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

// circuit computes B [d_model, d_model] entry by entry: the score of each pair of axes of the stream, without
// biases and scales.
func (e *example) circuit(key *place) *mat.Dense {
	n := e.dModel
	side := func(p *place, m maps) [][]float64 {
		var rows [][]float64
		for i := range n {
			axis := make([]float64, n)
			axis[i] = 1
			rows = append(rows, e.framed(m, p, 1, transposedTimes(m.w, e.centre(axis))))
		}
		return rows
	}
	q, k := side(&e.query, e.toQuery), side(key, e.toKey)
	b := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			b.Set(i, j, naiveDot(q[i], k[j]))
		}
	}
	return b
}

// projector returns the projection matrix of a basis.
func projector(b decompose.Basis, n int) *mat.Dense {
	p := mat.NewDense(n, n, nil)
	for i := range n {
		axis := make([]float64, n)
		axis[i] = 1
		par, _ := decompose.Split(decompose.Norm{Kind: decompose.NoNorm}, b, axis)
		p.SetRow(i, par)
	}
	return p
}

// singular returns the first k directions of an example's head at its key.
func (e *example) singular(t *rapid.T, key *place, k int) decompose.Singular {
	c, err := decompose.NewCircuit(e.norm, input[float64](e).Maps)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Singular(e.query.turn, key.turn, k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Singular directions agree with the decomposition of the whole d_model x d_model matrix.
func TestSingularDirectionsAgreeWithTheWholeMatrix(t *testing.T) {
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		var svd mat.SVD
		if !svd.Factorize(e.circuit(&e.key), mat.SVDFull) {
			t.Skip("no convergence")
		}
		want := svd.Values(nil)
		k := rapid.IntRange(1, min(e.dModel, e.dHead)).Draw(t, "k")
		s := e.singular(t, &e.key, k)
		if len(s.Values) != min(e.dModel, e.dHead) {
			t.Fatalf("%d values, want %d", len(s.Values), min(e.dModel, e.dHead))
		}
		for i, v := range s.Values {
			if !(math.Abs(v-want[i]) <= 1e-10*want[0]) {
				t.Errorf("value %d is %v, want %v", i, v, want[i])
			}
		}
		if want[k-1] < 1e-3*want[0] || k < len(want) && want[k-1]-want[k] < 1e-3*want[0] {
			return // no single subspace of this dimension
		}
		compared++
		var u, v mat.Dense
		svd.UTo(&u)
		svd.VTo(&v)
		for name, side := range map[string]struct {
			got  decompose.Basis
			axes *mat.Dense
		}{"query": {s.Query, &u}, "key": {s.Key, &v}} {
			if side.got.Dim() != k || side.got.Kind() != schema.Subspace {
				t.Errorf("%s: a %s of dimension %d, want a subspace of %d", name, side.got.Kind(), side.got.Dim(), k)
			}
			axes := side.axes.Slice(0, e.dModel, 0, k)
			var p mat.Dense
			p.Mul(axes, axes.T())
			p.Sub(&p, projector(side.got, e.dModel))
			if d := mat.Norm(&p, 2); !(d <= 1e-8) {
				t.Errorf("%s: projection differs by %g", name, d)
			}
		}
	})
	if compared < 20 {
		t.Errorf("%d subspaces compared, want more", compared)
	}
}

// A singular direction of the query only reads its partner of the key. So contributions along one and across
// the other are zero, and the part along both is the sum of s a b over singular values.
func TestSingularDirectionsReadTheirPartners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		if e.convention == schema.Notebook {
			e.convention = schema.Exact
		}
		k := rapid.IntRange(1, min(e.dModel, e.dHead)).Draw(t, "k")
		s := e.singular(t, &e.key, k)
		in := input[float64](e)
		in.QueryBases = []decompose.Basis{{}, s.Query}
		in.KeyBases = []decompose.KeyBases{{}, {AtKey: s.Key, AtBaseline: s.Key}}
		in.Pairs = [][2]int{{1, 1}}
		set, err := decompose.AllFactors(in)
		if err != nil {
			t.Fatal(err)
		}
		if !e.unbiased { // components alone
			set.Query.Vectors, set.Query.Coordinates = set.Query.Vectors[:len(set.Query.Rows)*e.dHead], set.Query.Coordinates[:len(set.Query.Rows)*len(set.Query.Axes)]
			set.Key.Vectors, set.Key.Coordinates = set.Key.Vectors[:len(set.Key.Rows)*e.dHead], set.Key.Coordinates[:len(set.Key.Rows)*len(set.Key.Axes)]
			set.Query.Bias, set.Key.Bias = false, false
		}
		table, err := decompose.Pairs(provider(t), 1/e.attnScale, set.Query, set.Key, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		size := 1.0
		for _, row := range table {
			size = max(size, math.Abs(row[schema.ParPar]), math.Abs(row[schema.PerpPerp]))
		}
		for i, row := range table {
			if !(math.Abs(row[schema.ParPerp]) <= 1e-9*size && math.Abs(row[schema.PerpPar]) <= 1e-9*size) {
				t.Fatalf("pair %d has %v across, want nothing beside %v", i, row, size)
			}
		}
		if k == min(e.dModel, e.dHead) && s.Query.Dim() == k { // all of B
			for i, row := range table {
				if !(math.Abs(row[schema.PerpPerp]) <= 1e-7*size) {
					t.Fatalf("pair %d has %v outside of all directions, want nothing beside %v", i, row, size)
				}
			}
		}
	})
}

func TestSingularDirectionsSayWhatIsMissing(t *testing.T) {
	e := newExample(3, 1, 1, 8, 4, false)
	maps := input[float64](e).Maps
	c, err := decompose.NewCircuit(e.norm, maps)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []int{0, 5} {
		if _, err := c.Singular(e.query.turn, e.key.turn, k); !errors.Is(err, decompose.ErrShape) {
			t.Errorf("%d directions of a head of 4: %v, want ErrShape", k, err)
		}
	}
	if _, err := decompose.NewCircuit(e.norm, decompose.Maps[float64]{WQ: maps.WQ}); !errors.Is(err, decompose.ErrShape) {
		t.Errorf("no W_K: %v, want ErrShape", err)
	}
	zero := decompose.Maps[float64]{WQ: maps.WQ, WK: dense[float64](make2(8, 4))}
	if c, err = decompose.NewCircuit(e.norm, zero); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Singular(e.query.turn, e.key.turn, 1); !errors.Is(err, decompose.ErrDegenerate) {
		t.Errorf("a map of zeros: %v, want ErrDegenerate", err)
	}
	thin := make2(8, 4) // of rank 1
	for i, row := range e.toKey.w {
		thin[i][0] = row[0]
	}
	if c, err = decompose.NewCircuit(e.norm, decompose.Maps[float64]{WQ: maps.WQ, WK: dense[float64](thin)}); err != nil {
		t.Fatal(err)
	}
	s, err := c.Singular(e.query.turn, e.key.turn, 3)
	if err != nil || s.Query.Dim() != 1 || s.Key.Dim() != 1 {
		t.Errorf("a map of rank 1 gives %d and %d directions, error %v, want 1 each", s.Query.Dim(), s.Key.Dim(), err)
	}
}

func make2(rows, cols int) [][]float64 {
	m := make([][]float64, rows)
	for i := range m {
		m[i] = make([]float64, cols)
	}
	return m
}
