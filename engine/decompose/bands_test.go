package decompose_test

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/decompose"
	"ducklens/engine/rotary"
)

// Bands against vectors of which all but one pair of dimensions is put to zero, where they stand and with
// both at position 0.
func TestRotaryBandsAgreeWithExplicitVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		in := input[float64](e)
		got, err := decompose.RotaryBands(&in.Query, &in.Key, e.attnScale)
		if err != nil {
			t.Fatal(err)
		}
		single, err := decompose.RotaryBands(new(input[float32](e).Query), new(input[float32](e).Key), e.attnScale)
		if err != nil {
			t.Fatal(err)
		}
		q, k := e.own(e.toQuery, &e.query), e.own(e.toKey, &e.key)
		atZero := func(p place, m maps) []float64 {
			still := rotary.Turn{Pairs: p.turn.Pairs, Sin: make([]float64, len(p.turn.Sin))}
			for i, cos := range p.turn.Cos {
				still.Cos = append(still.Cos, math.Hypot(cos, p.turn.Sin[i])) // the factor
			}
			p.turn = still
			return e.own(m, &p)
		}
		q0, k0 := atZero(e.query, e.toQuery), atZero(e.key, e.toKey)
		n := len(e.query.turn.Cos)
		if len(got.Score) != n+1 || len(got.Content) != n+1 {
			t.Fatalf("%d scores and %d contents of %d pairs, want one more", len(got.Score), len(got.Content), n)
		}
		total, turned := 0.0, map[int]bool{}
		check := func(i int, score, content float64) {
			for name, pair := range map[string][3]float64{"score": {got.Score[i], score, single.Score[i]}, "content": {got.Content[i], content, single.Content[i]}} {
				if !(math.Abs(pair[0]-pair[1]) <= tolerance64) || !(math.Abs(pair[2]-pair[1]) <= tolerance32*max(1, math.Abs(pair[1]))) {
					t.Errorf("%s of band %d of %d is %v, in float32 %v, want %v", name, i, n, pair[0], pair[2], pair[1])
				}
			}
			total += got.Score[i]
		}
		for i := range n {
			a, b := i, i+n
			if e.query.turn.Pairs {
				a, b = 2*i, 2*i+1
			}
			turned[a], turned[b] = true, true
			check(i, (q[a]*k[a]+q[b]*k[b])/e.attnScale, (q0[a]*k0[a]+q0[b]*k0[b])/e.attnScale)
		}
		rest := 0.0
		for i := range q {
			if !turned[i] {
				rest += q[i] * k[i] / e.attnScale
			}
		}
		check(n, rest, rest)
		if want := e.score(&e.key); !(math.Abs(total-want) <= tolerance64) {
			t.Errorf("bands add up to %v, want the score %v", total, want)
		}
	})
}

func TestRotaryBandsRefuseWhatDoesNotFit(t *testing.T) {
	r := rotary.Rotary{Dims: 4, Frequencies: []float64{1, 0.1}, Factor: 1}
	p := decompose.Position[float64]{Vector: make([]float64, 4), Turn: r.At(1, 2)}
	for name, other := range map[string]decompose.Position[float64]{
		"length": {Vector: make([]float64, 5), Turn: r.At(1, 2)},
		"pairs":  {Vector: make([]float64, 4)},
	} {
		if _, err := decompose.RotaryBands(&p, &other, 1); !errors.Is(err, decompose.ErrShape) {
			t.Errorf("%s: %v, want ErrShape", name, err)
		}
	}
	short := decompose.Position[float64]{Vector: make([]float64, 3), Turn: r.At(1, 2)}
	if _, err := decompose.RotaryBands(&short, &short, 1); !errors.Is(err, decompose.ErrShape) {
		t.Errorf("more dimensions turn than there are: %v, want ErrShape", err)
	}
}
