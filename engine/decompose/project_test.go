package decompose_test

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

func naiveCosine(a, b []float64) float64 {
	return naiveDot(a, b) / math.Sqrt(naiveDot(a, a)*naiveDot(b, b))
}

func TestProjectAgreesWithExplicitProjections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(5, 20).Draw(t, "d_model")
		directions := [][]float64{drawVector(t, n, "a"), drawVector(t, n, "b")}[:rapid.IntRange(1, 2).Draw(t, "directions")]
		others := [][]float64{drawVector(t, n, "c"), drawVector(t, n, "d")}[:len(directions)]
		x, y, m := drawVector(t, n, "x"), drawVector(t, n, "y"), drawVector(t, n, "map")
		basis, err := decompose.Span(ln, directions...)
		if err != nil {
			t.Skip("a constant direction")
		}
		other, err := decompose.Span(ln, others...)
		if err != nil || basis.Dim() != len(directions) || other.Dim() != len(directions) {
			t.Skip("parallel directions")
		}
		for _, v := range [][]float64{x, y, m} {
			if c := naiveCentre(v); naiveDot(c, c) < 1e-3 {
				t.Skip("a constant vector")
			}
		}
		unit := func(v []float64, directions [][]float64) (par, perp []float64) {
			c := naiveCentre(v)
			return project(times(1/math.Sqrt(naiveDot(c, c)), c), choice{kind: schema.Subspace, directions: directions})
		}
		near := func(what string, got, want, size float64) {
			if size < 1e-4 { // a part about as short as what counts as zero
				return
			}
			if !(math.Abs(got-want) <= 1e-6) {
				t.Errorf("%s %g, want %g", what, got, want)
			}
		}
		size := func(v []float64) float64 { return math.Sqrt(naiveDot(v, v)) }

		par, perp := unit(x, directions)
		got := decompose.Project(ln, basis, x, m)
		near("parallel norm", got.ParNorm, size(par), 1)
		near("perpendicular norm", got.PerpNorm, size(perp), 1)
		near("parallel cosine", got.ParCos, naiveCosine(par, m), size(par))
		near("perpendicular cosine", got.PerpCos, naiveCosine(perp, m), size(perp))
		if d := got.ParNorm*got.ParNorm + got.PerpNorm*got.PerpNorm - 1; !(math.Abs(d) <= 1e-9) {
			t.Errorf("fractions miss 1 by %g", d)
		}

		yPar, yPerp := unit(y, others)
		dPar, dPerp := add(par, times(-1, yPar)), add(perp, times(-1, yPerp))
		got = decompose.ProjectDiff(ln, basis, x, other, y, m)
		near("parallel norm of the difference", got.ParNorm, size(dPar), 1)
		near("perpendicular norm of the difference", got.PerpNorm, size(dPerp), 1)
		near("parallel cosine of the difference", got.ParCos, naiveCosine(dPar, m), size(dPar))
		near("perpendicular cosine of the difference", got.PerpCos, naiveCosine(dPerp, m), size(dPerp))

		zPar, zPerp := unit(y, directions)
		cosPar, cosPerp := decompose.Cosine(ln, basis, x, y)
		near("cosine of the parallel parts", cosPar, naiveCosine(par, zPar), min(size(par), size(zPar)))
		near("cosine of the perpendicular parts", cosPerp, naiveCosine(perp, zPerp), min(size(perp), size(zPerp)))
	})
}

// A part that is zero has no direction, so its cosine is NaN, not the cosine of rounding errors.
func TestCosineOfNothingIsNaN(t *testing.T) {
	t.Parallel()
	a, m := []float64{1, 2, -3, 0}, []float64{1, -1, 1, -1}
	across := []float64{1, 1, 1, -3} // a . across = 0
	basis := span(t, a)
	inside := decompose.Project(ln, basis, []float32{0.1, 0.2, -0.3, 0}, m)
	if !math.IsNaN(inside.PerpCos) || math.IsNaN(inside.ParCos) || math.Abs(inside.ParNorm-1) > 1e-7 || inside.PerpNorm > 1e-6 {
		t.Errorf("a vector inside: %+v", inside)
	}
	outside := decompose.Project(ln, basis, across, m)
	if !math.IsNaN(outside.ParCos) || math.IsNaN(outside.PerpCos) || math.Abs(outside.PerpNorm-1) > 1e-12 {
		t.Errorf("a vector across: %+v", outside)
	}
	if p := decompose.Project(ln, basis, across, make([]float64, 4)); !math.IsNaN(p.PerpCos) {
		t.Errorf("a zero map: %+v", p)
	}
	if p := decompose.Project(ln, basis, []float64{5, 5, 5, 5}, m); p.ParNorm != 0 || p.PerpNorm != 0 || !math.IsNaN(p.PerpCos) {
		t.Errorf("a constant vector: %+v", p)
	}
	if p := decompose.ProjectDiff(ln, basis, a, basis, times(2, a), m); p.ParNorm > 1e-12 || !math.IsNaN(p.ParCos) {
		t.Errorf("a vector less twice itself, both at unit length: %+v", p)
	}
	if par, perp := decompose.Cosine(ln, basis, a, across); !math.IsNaN(par) || !math.IsNaN(perp) {
		t.Errorf("cosines %g and %g, want none", par, perp)
	}
	if par, perp := decompose.Cosine(ln, basis, add(a, across), add(times(-2, a), across)); math.Abs(par+1) > 1e-12 || math.Abs(perp-1) > 1e-12 {
		t.Errorf("cosines %g and %g, want -1 and 1", par, perp)
	}
}

func TestLinearMapsGiveTheScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		in := input[float64](e)
		toKey, toBaseline, err := decompose.QueryLinear(in)
		if err != nil {
			t.Fatal(err)
		}
		atKey, atBaseline, err := decompose.KeyLinear(in)
		if err != nil {
			t.Fatal(err)
		}
		check := func(name string, l decompose.Linear, p *place, want float64) {
			t.Helper()
			got := (naiveDot(l.Map, times(1/p.sigma, e.centre(p.stream))) + l.Bias) / p.qkScale
			if d := math.Abs(got - want); !(d <= tolerance64) {
				t.Errorf("%s: the map misses the score by %g", name, d)
			}
		}
		check("query side", toKey, &e.query, e.score(&e.key))
		check("key side", atKey, &e.key, e.score(&e.key))
		if e.baseline == nil {
			if toBaseline.Map != nil || toBaseline.Bias != 0 || atBaseline.Map != nil {
				t.Errorf("a map to no baseline: %+v, %+v", toBaseline, atBaseline)
			}
			return
		}
		check("difference", toKey.Minus(toBaseline), &e.query, e.score(&e.key)-e.score(e.baseline))
		check("baseline", atBaseline, e.baseline, e.score(e.baseline))
	})
}

// If the norm does not centre, a constant direction is like any other, and a vector keeps its mean.
func TestOnlyLayerNormCentres(t *testing.T) {
	t.Parallel()
	ones, x := []float64{1, 1, 1, 1}, []float64{3, 1, 1, 3}
	for kind, want := range map[decompose.NormKind]float64{decompose.RMS: 2, decompose.NoNorm: 2} {
		n := decompose.Norm{Kind: kind}
		basis, err := decompose.Span(n, ones)
		if err != nil {
			t.Fatal(err)
		}
		if par, perp := decompose.Split(n, basis, x); math.Abs(par[0]-want) > 1e-12 || math.Abs(perp[0]-1) > 1e-12 {
			t.Errorf("%s: parts begin with %g and %g, want %g and 1", kind, par[0], perp[0], want)
		}
		if _, err := decompose.Span(n, make([]float64, 4)); !errors.Is(err, decompose.ErrDegenerate) {
			t.Errorf("%s: a zero direction: %v, want ErrDegenerate", kind, err)
		}
	}
	if _, err := decompose.Span(ln, ones); !errors.Is(err, decompose.ErrDegenerate) {
		t.Errorf("LN: a constant direction: %v, want ErrDegenerate", err)
	}
}
