package decompose_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

// ln is the norm of GPT-2.
var ln = decompose.Norm{Eps: 1e-5}

// gpt2 is the layout of GPT-2.
func gpt2(layers, heads int) schema.Layout {
	return schema.Layout{Layers: layers, Heads: heads, Position: true, AttnBias: true, QKBias: true}
}

func span(t *testing.T, directions ...[]float64) decompose.Basis {
	t.Helper()
	b, err := decompose.Span(ln, directions...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func drawVector(t *rapid.T, n int, name string) []float64 {
	return rapid.SliceOfN(rapid.Float64Range(-10, 10), n, n).Draw(t, name)
}

func TestSplitIsAnOrthogonalProjection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(3, 20).Draw(t, "d_model")
		x, a, b := drawVector(t, n, "x"), drawVector(t, n, "a"), drawVector(t, n, "b")
		basis, err := decompose.Span(ln, a, b)
		if errors.Is(err, decompose.ErrDegenerate) {
			t.Skip("a constant direction")
		}
		if err != nil {
			t.Fatal(err)
		}
		par, perp := decompose.Split(ln, basis, x)
		for i, v := range naiveCentre(x) {
			if d := math.Abs(par[i] + perp[i] - v); !(d <= 1e-12*100) {
				t.Fatalf("par + perp misses centre(x) by %g at %d", d, i)
			}
		}
		if d := naiveDot(par, perp); !(math.Abs(d) <= 1e-9) {
			t.Errorf("par . perp = %g", d)
		}
		for _, v := range [][]float64{a, b} {
			// Below the tolerance a second axis is dropped, and up to that fraction of it stays behind.
			if d := naiveDot(perp, naiveCentre(v)); !(math.Abs(d) <= 1e-9) && basis.Dim() == 2 {
				t.Errorf("perp . direction = %g", d)
			}
		}
		again, rest := decompose.Split(ln, basis, par)
		for i := range again {
			if !(math.Abs(again[i]-par[i]) <= 1e-9 && math.Abs(rest[i]) <= 1e-9) {
				t.Fatalf("projecting twice moves entry %d from %g to %g", i, par[i], again[i])
			}
		}
	})
}

// Directions a hair apart are the hard case of Gram-Schmidt: one pass leaves the second axis slanted.
func TestSpanOfNearlyParallelDirectionsIsOrthogonal(t *testing.T) {
	t.Parallel()
	a := []float64{1, 2, 3, 5, -2, 0.3}
	b := []float64{1.0003, 2, 3, 5, -2, 0.3}
	basis := span(t, a, b)
	if basis.Dim() != 2 {
		t.Fatalf("dimension %d, want 2", basis.Dim())
	}
	x := []float64{3, -1, 4, 2, 7, 1}
	par, perp := decompose.Split(ln, basis, x)
	again, _ := decompose.Split(ln, basis, par)
	for i := range par {
		if d := math.Abs(again[i] - par[i]); d > 1e-14*norm(par) {
			t.Errorf("projecting twice moves entry %d by %g", i, d)
		}
	}
	if d := naiveDot(perp, naiveCentre(a)); math.Abs(d) > 1e-14*norm(a)*norm(x) {
		t.Errorf("perp . direction = %g", d)
	}
}

func norm(x []float64) float64 { return math.Sqrt(naiveDot(x, x)) }

func TestSpanDropsParallelDirections(t *testing.T) {
	t.Parallel()
	a := []float64{1, 2, 3, 5}
	x := []float64{1, -1, 4, 2}
	want, _ := decompose.Split(ln, span(t, a), x)
	for name, b := range map[string][]float64{
		"twice":                 {1, 2, 3, 5},
		"negative":              {-2, -4, -6, -10},
		"shifted by a constant": {11, 12, 13, 15},
		"float32 noise":         {1, 2, 3, 5 + 5e-7},
		"tiny":                  {1e-200, 2e-200, 3e-200, 5e-200},
		"huge":                  {1e200, 2e200, 3e200, 5e200},
	} {
		basis := span(t, a, b)
		if basis.Dim() != 1 {
			t.Errorf("%s: dimension %d, want 1", name, basis.Dim())
		}
		par, _ := decompose.Split(ln, basis, x)
		for i := range par {
			if math.Abs(par[i]-want[i]) > 1e-12 {
				t.Errorf("%s: parallel part %v, want %v", name, par, want)
				break
			}
		}
	}
	if got := span(t, a, []float64{1, 2, 3, 5.001}).Dim(); got != 2 {
		t.Errorf("dimension of two different directions %d, want 2", got)
	}
}

func TestDegenerateDirectionsAreErrors(t *testing.T) {
	t.Parallel()
	for name, v := range map[string][]float64{
		"zero":     {0, 0, 0},
		"constant": {7, 7, 7},
		"noise":    {0.1 + 0.2, 0.3, 0.3}, // differ by one rounding
		"NaN":      {1, math.NaN(), 2},
		"infinite": {1, math.Inf(1), 2},
		"empty":    {},
	} {
		if _, err := decompose.Span(ln, v); !errors.Is(err, decompose.ErrDegenerate) {
			t.Errorf("Span of %s: error %v, want ErrDegenerate", name, err)
		}
		if _, err := decompose.Replace(ln, v); !errors.Is(err, decompose.ErrDegenerate) {
			t.Errorf("Replace by %s: error %v, want ErrDegenerate", name, err)
		}
	}
	if _, err := decompose.Span(ln, []float64{1, 2, 3}, []float64{0, 0, 0}); !errors.Is(err, decompose.ErrDegenerate) {
		t.Errorf("Span with a zero second direction: error %v, want ErrDegenerate", err)
	}
	if _, err := decompose.Span[float64](ln); !errors.Is(err, decompose.ErrDegenerate) {
		t.Errorf("Span of nothing: error %v, want ErrDegenerate", err)
	}
	if _, err := decompose.Span(ln, []float64{1, 2, 3}, []float64{1, 2}); err == nil {
		t.Error("Span of directions of two lengths: no error")
	}
}

// embeddings is a stand-in for a model with a four-dimensional stream.
type embeddings struct{}

func (embeddings) Unembed(token int) []float64 {
	return [][]float64{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 0, 0}}[token]
}

func (embeddings) EffectiveEmbedding(token int) (mlp, attn []float64) {
	return []float64{0, 0, 1, float64(token)}, []float64{0, 1, 0, 0}
}

func TestNamedBases(t *testing.T) {
	t.Parallel()
	// One layer of one head: W_E, W_pos, 0.0, b_O0, MLP0.
	components := dense[float64]([][]float64{{9, 0, 0, 0}, {0, 9, 0, 0}, {1, 2, 0, 0}, {0, 0, 4, 0}, {0, 0, 1, 3}})
	direction := map[string][][]float64{ // what each name stands for, with key token 0 and baseline token 1
		"unembed": {{1, 0, 0, 0}}, "unembed+baseline": {{1, 0, 0, 0}, {0, 1, 0, 0}},
		"mlp0": {{0, 0, 1, 3}}, "mlp0+attn0": {{1, 2, 5, 3}},
		"effective": {{0, 0, 1, 0}}, "effective+attn0": {{0, 1, 1, 0}},
	}
	x := []float64{0.3, -2, 1, 5}
	for _, side := range []schema.Side{schema.Query, schema.Key} {
		for i, d := range decompose.Definitions(side) {
			var b decompose.Basis
			var err error
			if side == schema.Query {
				b, err = decompose.QueryBasis(ln, d.Name, embeddings{}, 0, 1, components, gpt2(1, 1))
			} else {
				b, err = decompose.KeyBasis(ln, d.Name, embeddings{}, 0, components, gpt2(1, 1))
			}
			if err != nil {
				t.Fatal(err)
			}
			if b.Kind() != d.Kind || b.Dim() != d.Dimension || d.Side != side || (i == 0) != (d.Name == "none") {
				t.Errorf("%s is %s of dimension %d at place %d, definition %+v", d.Name, b.Kind(), b.Dim(), i, d)
			}
			par, _ := decompose.Split(ln, b, x)
			want := make([]float64, 4)
			if dirs := direction[d.Name]; dirs != nil {
				want, _ = project(naiveCentre(x), choice{kind: schema.Subspace, directions: dirs})
			}
			for j := range par {
				if math.Abs(par[j]-want[j]) > 1e-12 {
					t.Errorf("%s: parallel part %v, want %v", d.Name, par, want)
					break
				}
			}
		}
	}
}

func TestNamedBasesSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := decompose.QueryBasis(ln, "unembed+baseline", embeddings{}, 0, schema.NoPosition, nil, gpt2(1, 1)); !errors.Is(err, decompose.ErrNoBaseline) {
		t.Errorf("no baseline: error %v", err)
	}
	if b, err := decompose.QueryBasis(ln, "unembed+baseline", embeddings{}, 0, 0, nil, gpt2(1, 1)); err != nil || b.Dim() != 1 {
		t.Errorf("key token as baseline: dimension %d, error %v, want the one dimension there is", b.Dim(), err)
	}
	if _, err := decompose.QueryBasis(ln, "unembed", embeddings{}, 2, 0, nil, gpt2(1, 1)); !errors.Is(err, decompose.ErrDegenerate) {
		t.Errorf("zero unembedding: error %v", err)
	}
	embedsOnly := dense[float64]([][]float64{{1, 0, 0, 0}, {0, 1, 0, 0}})
	if _, err := decompose.KeyBasis(ln, "mlp0", embeddings{}, 0, embedsOnly, gpt2(1, 1)); !errors.Is(err, decompose.ErrShape) {
		t.Errorf("components without MLP0: error %v", err)
	}
	_, err := decompose.QueryBasis(ln, "mlp", embeddings{}, 0, 0, nil, gpt2(1, 1))
	if want := `query basis mlp: unknown basis "mlp" on the query side, want one of none, unembed, unembed+baseline, sub_unembed; ` + decompose.SingularNames + `; or a component: ` + decompose.ComponentNames; !errors.Is(err, decompose.ErrUnknownBasis) || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if _, err := decompose.KeyBasis(ln, "", embeddings{}, 0, embedsOnly, gpt2(1, 1)); !errors.Is(err, decompose.ErrUnknownBasis) {
		t.Errorf("unnamed key basis: error %v", err)
	}
}

// A basis along a component is along what it wrote at the position; one along a stream along the sum of all
// that did, and the name may be written in any case.
func TestBasesAlongComponents(t *testing.T) {
	t.Parallel()
	// One layer of one head: W_E, W_pos, 0.0, b_O0, MLP0.
	rows := [][]float64{{9, 0, 0, 0}, {0, 9, 0, 0}, {1, 2, 0, 0}, {0, 0, 4, 0}, {0, 0, 1, 3}}
	components, layout := dense[float64](rows), gpt2(2, 1)
	x := []float64{0.3, -2, 1, 5}
	for name, c := range map[string]struct {
		want      string
		layers    int
		direction []float64
	}{
		"w_e": {"W_E", 0, rows[0]}, "W_POS": {"W_pos", 0, rows[1]}, "l0h0": {"0.0", 1, rows[2]}, "0.0": {"0.0", 1, rows[2]},
		"B_O0": {"b_O0", 1, rows[3]}, "MLP0": {"mlp0", 1, rows[4]}, "Resid1": {"resid1", 1, []float64{10, 11, 5, 3}}, "resid0": {"resid0", 0, []float64{9, 9, 0, 0}},
		"SUB_b_o0": {"sub_b_O0", 1, rows[3]}, "sub_resid1": {"sub_resid1", 1, []float64{10, 11, 5, 3}},
	} {
		for _, side := range []schema.Side{schema.Query, schema.Key} {
			d, err := decompose.LookUp(side, name)
			if err != nil || d.Name != c.want || d.Layers != c.layers || d.Side != side || d.Check(layout) != nil {
				t.Errorf("%s: %+v, %v, want %s above %d layers", name, d, err, c.want, c.layers)
				continue
			}
			var b decompose.Basis
			if side == schema.Query {
				b, err = decompose.QueryBasis(ln, d.Name, embeddings{}, 0, 1, components, layout)
			} else {
				b, err = decompose.KeyBasis(ln, d.Name, embeddings{}, 0, components, layout)
			}
			if err != nil || b.Kind() != d.Kind || b.Dim() != d.Dimension {
				t.Errorf("%s: %s of dimension %d, %v, want %+v", name, b.Kind(), b.Dim(), err, d)
				continue
			}
			if d.Kind == schema.Replacement {
				continue
			}
			par, _ := decompose.Split(ln, b, x)
			want, _ := project(naiveCentre(x), choice{kind: schema.Subspace, directions: [][]float64{c.direction}})
			for j := range par {
				if math.Abs(par[j]-want[j]) > 1e-12 {
					t.Errorf("%s: parallel part %v, want %v", name, par, want)
					break
				}
			}
		}
	}
	for _, name := range []string{"mlp", "mlp01", "mlp-1", "resid", "b_Q", "sub_", "sub_x", "9.", "W_U"} {
		if _, err := decompose.LookUp(schema.Key, name); !errors.Is(err, decompose.ErrUnknownBasis) {
			t.Errorf("%s: error %v, want ErrUnknownBasis", name, err)
		}
	}
	for name, want := range map[string]string{"mlp1": "1 layers of 1 heads", "0.1": "1 layers of 1 heads", "w_pos": "no W_pos", "b_O0": "no b_O0"} {
		d, err := decompose.LookUp(schema.Query, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Check(schema.Layout{Layers: 1, Heads: 1}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
}
