package decompose_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"ducklens/engine/decompose"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// Absolute tolerances for made-up examples, whose scores are of the order of 1 to 100.
const (
	tolerance64 = 1e-9 // sums of a few hundred float64 terms
	tolerance32 = 1e-4 // inputs rounded to float32: 1e-7 of terms up to 100
)

// drawExample gives an example of random sizes, of a model that is made like any of the families.
func drawExample(t *rapid.T) *example {
	e := newExample(rapid.Uint64().Draw(t, "seed"),
		rapid.IntRange(0, 3).Draw(t, "layers"), rapid.IntRange(1, 5).Draw(t, "heads"),
		rapid.IntRange(4, 24).Draw(t, "d_model"), rapid.IntRange(1, 9).Draw(t, "d_head"),
		rapid.Bool().Draw(t, "baseline"))
	e.convention = rapid.SampledFrom([]schema.Convention{schema.Exact, schema.Notebook}).Draw(t, "convention")
	if e.convention == schema.Notebook || rapid.Bool().Draw(t, "like GPT-2") {
		return e
	}
	e.norm.Kind = rapid.SampledFrom([]decompose.NormKind{decompose.LN, decompose.RMS, decompose.NoNorm}).Draw(t, "norm")
	e.attnScale = rapid.Float64Range(0.5, 5).Draw(t, "attn scale")
	e.unbiased = rapid.Bool().Draw(t, "no bias")
	e.qkNorm, e.qkEps = rapid.Bool().Draw(t, "QK-norm"), 1e-6
	if rapid.Bool().Draw(t, "cap") {
		e.softCap = rapid.Float64Range(2, 50).Draw(t, "soft cap")
	}
	if rapid.Bool().Draw(t, "sink") {
		e.sinks = []float64{rapid.Float64Range(-3, 3).Draw(t, "sink logit")}
	}
	if rapid.Bool().Draw(t, "rotary") {
		r := rotary.Rotary{Dims: 2 * rapid.IntRange(0, e.dHead/2).Draw(t, "half the rotary dimensions"), Pairs: rapid.Bool().Draw(t, "pairs"),
			Factor: rapid.SampledFrom([]float64{1, 1.2}).Draw(t, "rotary factor")}
		for i := range r.Dims / 2 {
			r.Frequencies = append(r.Frequencies, math.Pow(10, -float64(i)))
		}
		e.query.turn, e.key.turn = r.At(17, 20), r.At(3, 20)
		if e.baseline != nil {
			e.baseline.turn = r.At(5, 20)
		}
	}
	e.settle()
	return e
}

func contributions(t interface {
	Helper()
	Fatal(...any)
}, in decompose.Input[float64]) decompose.Output {
	t.Helper()
	out, err := decompose.Contributions(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// difference is the largest absolute difference between two tables of numbers.
func difference(a, b [][4]float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	largest := 0.0
	for i := range a {
		for j := range a[i] {
			largest = max(largest, math.Abs(a[i][j]-b[i][j]))
		}
	}
	return largest
}

func sum(table [][4]float64) float64 {
	total := 0.0
	for _, row := range table {
		total += row[0] + row[1] + row[2] + row[3]
	}
	return total
}

func TestContributionsAgreeWithExplicitVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		out := contributions(t, input[float64](e))
		out32, err := decompose.Contributions(input[float32](e))
		if err != nil {
			t.Fatal(err)
		}
		// 4 x 4 choices, less those that replace the side that is split.
		if want := 2 * 4 * 3; len(out.Tables) != want {
			t.Fatalf("%d tables, want %d", len(out.Tables), want)
		}
		for i, table := range out.Tables {
			q, k := e.queryChoices[table.QueryBasis], e.keyChoices[table.KeyBasis]
			name := fmt.Sprintf("%s side, query %s, key %s", table.Side, q.kind, k.kind)
			want := e.naive(table.Side, &e.key, q, k)
			if d := difference(table.Score, want); !(d <= tolerance64) {
				t.Errorf("%s: score differs by %g", name, d)
			}
			if d := difference(out32.Tables[i].Score, want); !(d <= tolerance32*max(1, math.Abs(e.score(&e.key)))) {
				t.Errorf("%s: float32 score differs by %g", name, d)
			}
			if e.baseline == nil {
				if table.Baseline != nil {
					t.Errorf("%s: %d baseline rows, want none", name, len(table.Baseline))
				}
				continue
			}
			want = e.naive(table.Side, e.baseline, q, e.baseChoices[table.KeyBasis])
			if d := difference(table.Baseline, want); !(d <= tolerance64) {
				t.Errorf("%s: baseline differs by %g", name, d)
			}
		}
	})
}

// terms is the largest sum of the sizes of contributions to one score.
func terms(out decompose.Output) (largest float64) {
	for _, table := range out.Tables {
		for _, contributions := range [][][4]float64{table.Score, table.Baseline} {
			size := 0.0
			for _, row := range contributions {
				size += math.Abs(row[0]) + math.Abs(row[1]) + math.Abs(row[2]) + math.Abs(row[3])
			}
			largest = max(largest, size)
		}
	}
	return largest
}

func TestPartsAddUpToTheScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		e.convention = schema.Exact
		out := contributions(t, input[float64](e))
		if !(out.Closure <= tolerance64) || out.RelativeClosure > out.Closure {
			t.Errorf("closure %g, relative %g, want at most %g", out.Closure, out.RelativeClosure, tolerance64)
		}
		for _, table := range out.Tables {
			if e.queryChoices[table.QueryBasis].kind == schema.Replacement || e.keyChoices[table.KeyBasis].kind == schema.Replacement {
				continue
			}
			if d := math.Abs(sum(table.Score) - e.score(&e.key)); !(d <= tolerance64) {
				t.Errorf("sum of contributions misses the score by %g", d)
			}
		}
		out32, err := decompose.Contributions(input[float32](e))
		if err != nil {
			t.Fatal(err)
		}
		// A norm that does not divide leaves terms of thousands that cancel; rounding goes with the terms.
		if want := tolerance32 * max(1, terms(out32)/100); !(out32.RelativeClosure <= want) {
			t.Errorf("float32 relative closure %g, want at most %g", out32.RelativeClosure, want)
		}
	})
}

// The closure must notice a score, a component or a vector that does not belong.
func TestClosureNoticesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*decompose.Input[float64]){
		"score":              func(in *decompose.Input[float64]) { in.Key.Score += 1e-3 },
		"baseline score":     func(in *decompose.Input[float64]) { in.Baseline.Score += 1e-3 },
		"key component":      func(in *decompose.Input[float64]) { in.Key.Components.Data().([]float64)[7] += 1 },
		"baseline component": func(in *decompose.Input[float64]) { in.Baseline.Components.Data().([]float64)[7] += 1 },
		"query component":    func(in *decompose.Input[float64]) { in.Query.Components.Data().([]float64)[7] += 1 },
		"scale":              func(in *decompose.Input[float64]) { in.Key.Scale *= 1.001 },
		"query vector":       func(in *decompose.Input[float64]) { in.Query.Vector[0] += 0.1 },
		"key bias":           func(in *decompose.Input[float64]) { in.Maps.BK[0] += 0.1 },
		"NaN":                func(in *decompose.Input[float64]) { in.Query.Components.Data().([]float64)[7] = math.NaN() },
	} {
		in := input[float64](newExample(3, 2, 3, 16, 4, true))
		spoil(&in)
		if out := contributions(t, in); out.Closure <= 1e-4 || out.RelativeClosure <= 1e-5 {
			t.Errorf("%s spoilt: closure %g, relative %g", name, out.Closure, out.RelativeClosure)
		}
	}
}

// Splitting must not change what is split, in either convention.
func TestQuadrantsAddUpToTheUnsplitContribution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		e.convention = schema.Exact // the notebook's fixed side has another norm once it is split
		out := contributions(t, input[float64](e))
		unsplit := map[schema.Side][][4]float64{}
		for _, table := range out.Tables {
			if table.QueryBasis == 0 && table.KeyBasis == 0 {
				unsplit[table.Side] = table.Score
			}
		}
		for _, table := range out.Tables {
			if e.queryChoices[table.QueryBasis].kind == schema.Replacement || e.keyChoices[table.KeyBasis].kind == schema.Replacement {
				continue
			}
			for i, row := range table.Score {
				want := unsplit[table.Side][i][schema.PerpPerp]
				if got := sum([][4]float64{row}); !(math.Abs(got-want) <= tolerance64) {
					t.Errorf("row %d adds up to %g, unsplit %g", i, got, want)
				}
			}
		}
	})
}

// A direction has no length and no sign, and a LayerNorm sees no mean.
func TestScaleAndMeanOfDirectionsAndComponentsDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		before := contributions(t, input[float64](e))
		factor := rapid.Float64Range(1e-3, 1e3).Draw(t, "factor")
		if rapid.Bool().Draw(t, "negative") {
			factor = -factor
		}
		shift := rapid.Float64Range(-5, 5).Draw(t, "shift")
		if e.norm.Kind != decompose.LN {
			shift = 0
		}
		for _, list := range [][]choice{e.queryChoices, e.keyChoices, e.baseChoices} {
			for _, c := range list {
				for _, d := range c.directions {
					for i := range d {
						if c.kind == schema.Subspace { // a norm's eps and sign see the scale of a replacement
							d[i] *= factor
						}
						d[i] += shift
					}
				}
			}
		}
		for n, p := range []*place{&e.query, &e.key, e.baseline} {
			if p == nil {
				continue
			}
			for c := range p.components {
				for i := range p.components[c] {
					p.components[c][i] += shift * float64(n+c)
				}
			}
			for i := range p.stream {
				p.stream[i] += shift
			}
		}
		after := contributions(t, input[float64](e))
		for i := range before.Tables {
			if d := difference(before.Tables[i].Score, after.Tables[i].Score); !(d <= 10*tolerance64) {
				t.Errorf("table %d: score moved by %g", i, d)
			}
			if e.baseline != nil {
				if d := difference(before.Tables[i].Baseline, after.Tables[i].Baseline); !(d <= 10*tolerance64) {
					t.Errorf("table %d: baseline moved by %g", i, d)
				}
			}
		}
	})
}

func TestReplacementsMoveTheOtherSide(t *testing.T) {
	t.Parallel()
	e := newExample(5, 2, 3, 16, 4, true)
	for _, convention := range []schema.Convention{schema.Exact, schema.Notebook} {
		e.convention = convention
		tables := map[string]decompose.Table{}
		for _, table := range contributions(t, input[float64](e)).Tables {
			tables[fmt.Sprintf("%s %s/%s", table.Side, e.queryChoices[table.QueryBasis].kind, e.keyChoices[table.KeyBasis].kind)] = table
		}
		if _, ok := tables["query replacement/whole"]; ok {
			t.Error("a replaced query was split into components")
		}
		if _, ok := tables["key whole/replacement"]; ok {
			t.Error("a replaced key was split into components")
		}
		whole, replaced := tables["key whole/whole"], tables["key replacement/whole"]
		if d := math.Abs(sum(whole.Score) - sum(replaced.Score)); d < 0.1 {
			t.Errorf("%s: replacing the query moves the sum by %g", convention, d)
		}
		whole, replaced = tables["query whole/whole"], tables["query whole/replacement"]
		d := math.Abs(sum(whole.Score) - sum(replaced.Score))
		b := math.Abs(sum(whole.Baseline) - sum(replaced.Baseline))
		if convention == schema.Exact && (d < 0.1 || b < 0.1) {
			t.Errorf("exact: replacing the key moves the sums by %g and %g", d, b)
		}
		// The published code writes the new key where nothing reads it.
		if convention == schema.Notebook && (difference(whole.Score, replaced.Score) != 0 || difference(whole.Baseline, replaced.Baseline) != 0) {
			t.Errorf("notebook: replacing the key moves the sums by %g and %g, want no change to the bit", d, b)
		}
	}
}

// Each quirk of the notebook convention must show: otherwise the two would be one.
func TestConventionsDiffer(t *testing.T) {
	t.Parallel()
	e := newExample(8, 2, 3, 16, 4, true)
	exact := contributions(t, input[float64](e))
	e.convention = schema.Notebook
	notebook := contributions(t, input[float64](e))
	if got, want := len(exact.Rows)-len(notebook.Rows), 2; got != want {
		t.Errorf("notebook leaves out %d rows, want %d attention biases", got, want)
	}
	for _, i := range notebook.Rows {
		if e.components[i].Kind == schema.AttnBias {
			t.Errorf("notebook keeps %s", e.components[i].Label())
		}
	}
	if !(notebook.Closure > 1e-3) {
		t.Errorf("notebook closure %g, want the missing biases to show", notebook.Closure)
	}
	for i, table := range exact.Tables {
		wholeFixed := table.Side == schema.Key && e.queryChoices[table.QueryBasis].kind == schema.Whole ||
			table.Side == schema.Query && e.keyChoices[table.KeyBasis].kind == schema.Whole
		// Row 0 is W_E in both.
		d := difference(table.Score[:1], notebook.Tables[i].Score[:1])
		if wholeFixed && d != 0 {
			t.Errorf("table %d: W_E differs by %g where the fixed side is whole", i, d)
		}
		if !wholeFixed && d == 0 {
			t.Errorf("table %d: W_E is the same where the fixed side has another norm", i)
		}
	}
}

func TestSwappingKeyAndBaselineSwapsTheirColumns(t *testing.T) {
	t.Parallel()
	e := newExample(11, 2, 2, 12, 3, true)
	before := contributions(t, input[float64](e))
	e.key, *e.baseline = *e.baseline, e.key
	e.keyChoices, e.baseChoices = e.baseChoices, e.keyChoices
	after := contributions(t, input[float64](e))
	for i := range before.Tables {
		if difference(before.Tables[i].Score, after.Tables[i].Baseline) != 0 || difference(before.Tables[i].Baseline, after.Tables[i].Score) != 0 {
			t.Errorf("table %d is not the swapped one", i)
		}
	}
}

func TestContributionsRefuseWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	other := func(rows, cols int) *tensor.Dense {
		return tensor.New(tensor.WithShape(rows, cols), tensor.Of(tensor.Float64))
	}
	for name, c := range map[string]struct {
		spoil func(*decompose.Input[float64])
		want  string
	}{
		"empty":      {func(in *decompose.Input[float64]) { *in = decompose.Input[float64]{} }, "query stream of 0 entries"},
		"W_Q":        {func(in *decompose.Input[float64]) { in.Maps.WQ = other(5, 4) }, "W_Q has shape (5, 4), want [16 4]"},
		"W_K":        {func(in *decompose.Input[float64]) { in.Maps.WK = nil }, "W_K missing"},
		"bias":       {func(in *decompose.Input[float64]) { in.Maps.BK = in.Maps.BK[1:] }, "b_K has 3 entries, want 4"},
		"components": {func(in *decompose.Input[float64]) { in.Key.Components = other(3, 16) }, "components at the key has shape (3, 16), want [12 16]"},
		"number type": {func(in *decompose.Input[float64]) {
			in.Maps.WQ = tensor.New(tensor.WithShape(16, 4), tensor.Of(tensor.Float32))
		}, "W_Q holds []float32, want 64 numbers of float64"},
		"view": {func(in *decompose.Input[float64]) {
			view, err := other(16, 8).Slice(nil, tensor.S(0, 4))
			if err != nil {
				t.Fatal(err)
			}
			in.Maps.WQ = view.(*tensor.Dense)
		}, "want a contiguous row-major matrix"},
		"baseline":    {func(in *decompose.Input[float64]) { in.Baseline.Vector = nil }, "baseline vector has 0 entries, want 4"},
		"query basis": {func(in *decompose.Input[float64]) { in.QueryBases[1] = span(t, []float64{1, 0}) }, "query basis 1 does not have d_model = 16 entries"},
		"key basis":   {func(in *decompose.Input[float64]) { in.KeyBases[1].AtBaseline = span(t, []float64{1, 0}) }, "key basis 1 does not have d_model = 16 entries"},
		"kinds":       {func(in *decompose.Input[float64]) { in.KeyBases[1].AtBaseline = decompose.Basis{} }, "key basis 1 is subspace at the key and whole at the baseline"},
	} {
		in := input[float64](newExample(3, 2, 3, 16, 4, true))
		c.spoil(&in)
		_, err := decompose.Contributions(in)
		if !errors.Is(err, decompose.ErrShape) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.want)
		}
	}
}

// A subspace has no axes of its own: other directions with the same span give the same contributions and the
// same pairs.
func TestRotatedBasisChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		pairs := func() [][4]float64 {
			set, err := decompose.AllFactors(input[float64](e))
			if err != nil {
				t.Fatal(err)
			}
			table, err := decompose.Pairs(provider(t), 1/e.attnScale, set.Query, set.Key, 2, 2)
			if err != nil {
				t.Fatal(err)
			}
			return table
		}
		before, pairsBefore := contributions(t, input[float64](e)), pairs()
		angle := rapid.Float64Range(0, 6).Draw(t, "angle")
		for _, list := range [][]choice{e.queryChoices, e.keyChoices, e.baseChoices} {
			d := list[2].directions
			a, b := d[0], d[1]
			d[0] = add(times(math.Cos(angle), a), times(math.Sin(angle), b))
			d[1] = add(times(-math.Sin(angle), a), times(math.Cos(angle), b))
		}
		after := contributions(t, input[float64](e))
		for i := range before.Tables {
			if d := difference(before.Tables[i].Score, after.Tables[i].Score); !(d <= tolerance64) {
				t.Errorf("table %d: score moved by %g", i, d)
			}
		}
		if d := difference(pairsBefore, pairs()); !(d <= tolerance64) {
			t.Errorf("pairs moved by %g", d)
		}
	})
}
