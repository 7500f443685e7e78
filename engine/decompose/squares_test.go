package decompose_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

// removed returns the score without components at both ends, with every norm recomputed.
func (e *example) removed(gone []int, atQuery, atKey bool) float64 {
	rest := func(p *place, away bool) []float64 {
		x := times(1, p.stream)
		for _, c := range gone {
			if away {
				x = add(x, times(-1, p.components[c]))
			}
		}
		return e.normalise(x)
	}
	return naiveDot(e.vector(e.toQuery, &e.query, rest(&e.query, atQuery)), e.vector(e.toKey, &e.key, rest(&e.key, atKey))) / e.attnScale
}

// responding computes the same from stored numbers: factors, and the squares of both norms. The macros of a
// file use the same formula.
func responding(t *rapid.T, e *example, f decompose.Factors[float64], p *decompose.Position[float64], m decompose.QKMap[float64], gone []int) []float64 {
	sum := func(rows ...int) []float64 {
		v := make([]float64, f.DHead)
		for _, i := range rows {
			v = add(v, f.Vectors[i*f.DHead:(i+1)*f.DHead])
		}
		return v
	}
	bias := make([]float64, f.DHead)
	if f.Bias {
		bias = sum(len(f.Rows))
	}
	without := add(add(p.Vector, times(-1, bias)), times(-1, sum(gone...)))
	r := 1.0
	if s := decompose.StreamSquares(e.norm, p, gone); len(s.With) > 0 {
		r = float64(p.Scale) / math.Sqrt(squareWithout(s, gone))
	}
	if e.qkNorm {
		s, err := decompose.SquaresOfVectors(e.norm, p, m, gone)
		if err != nil {
			t.Fatal(err)
		}
		cross := s.WholeBias
		for _, c := range gone {
			cross -= s.WithBias[c]
		}
		tau := math.Sqrt(r*r*squareWithout(s.Squares, gone) + 2*r*cross + s.Constant)
		return times(p.VectorScale/tau, add(times(r, without), bias))
	}
	return add(times(r, without), bias)
}

// squareWithout returns Whole without a set of components.
func squareWithout(s decompose.Squares, gone []int) float64 {
	square := s.Whole
	for i, c := range gone {
		square -= 2 * s.With[c]
		for j := range gone {
			square += s.Gram[i][j]
		}
	}
	return square
}

func TestNormsRespond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		if e.convention == schema.Notebook {
			t.Skip("its factors do not add up")
		}
		in := input[float64](e)
		set, err := decompose.AllFactors(in)
		if err != nil {
			t.Fatal(err)
		}
		var gone []int
		for c := range e.components {
			if rapid.Bool().Draw(t, "gone") {
				gone = append(gone, c)
			}
		}
		m := func(side maps) decompose.QKMap[float64] {
			return decompose.QKMap[float64]{W: dense[float64](side.w), Bias: side.b, Eps: e.qkEps}
		}
		q := responding(t, e, set.Query, &in.Query, m(e.toQuery), gone)
		k := responding(t, e, set.Key, &in.Key, m(e.toKey), gone)
		for _, x := range []struct {
			name           string
			q, k           []float64
			atQuery, atKey bool
		}{{"query", q, in.Key.Vector, true, false}, {"key", in.Query.Vector, k, false, true}, {"both", q, k, true, true}} {
			got, want := naiveDot(x.q, x.k)/e.attnScale, e.removed(gone, x.atQuery, x.atKey)
			if !(math.Abs(got-want) <= 1e-7*max(1, math.Abs(want))) {
				t.Errorf("%v away at the %s: %v, want %v; frozen %v", gone, x.name, got, want, e.score(&e.key))
			}
		}
	})
}

// If a component removes almost all of a massive activation, the squares keep the digits of the rest.
func TestSquaresOfMassiveActivations(t *testing.T) {
	t.Parallel()
	e := newExample(31, 2, 3, 16, 4, false)
	massive := &e.key.components[2]
	for i := range *massive {
		e.key.stream[i] += 1e4*float64(1+i%3) - (*massive)[i]
		(*massive)[i] = 1e4 * float64(1+i%3)
	}
	e.settle()
	in := input[float64](e)
	s := decompose.StreamSquares(e.norm, &in.Key, nil)
	rest := e.scale(add(e.key.stream, times(-1, *massive)))
	if got := math.Sqrt(s.Whole - 2*s.With[2] + s.Squared[2]); !(math.Abs(got-rest) <= 1e-6*rest) || e.key.sigma < 1e3*rest {
		t.Errorf("scale %v without a massive activation, want %v; with it %v", got, rest, e.key.sigma)
	}
}
