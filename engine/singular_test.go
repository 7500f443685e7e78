package engine_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"ducklens/engine"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model/plain"
	"ducklens/schema"
)

// referenceRun is a family's folder and the plain reference for it.
type referenceRun struct {
	*familyGolden
	reference *plain.Model
	engine    *engine.Engine
}

// everyFamily opens the folders of reference numbers with their target heads. Prompts of more than 200 tokens
// are left out, because the reference takes minutes for them.
func everyFamily(t *testing.T, options func(*engine.Options), check func(r *referenceRun, x schema.Example, run *plain.Run, h *schema.HeadResult)) {
	folders, err := filepath.Glob(filepath.Join(refdata.Families(t), "*", "golden.json"))
	if err != nil || len(folders) < 24 {
		t.Fatalf("%d folders, want 24: %v", len(folders), err)
	}
	for _, file := range folders {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			g := readFamily(t, dir)
			c, err := checkpoint.Open(filepath.Join(dir, "model"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			reference, err := plain.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			o := engine.Options{Precision: engine.Float64}
			for _, label := range g.Heads {
				h, err := schema.ParseHead(label)
				if err != nil {
					t.Fatal(err)
				}
				o.Heads = append(o.Heads, h)
			}
			if g.BOS == nil {
				o.BOS = engine.BOSOff
			}
			o.QueryBases, o.KeyBases = []string{"none"}, []string{"none"}
			if options(&o); o.Rotary && reference.Rotary == nil {
				return
			}
			r := &referenceRun{familyGolden: g, reference: reference, engine: open(t, filepath.Join(dir, "model"), o)}
			examples := g.examples(r.engine)
			for i := range examples {
				if len(examples[i].Tokens) > 200 {
					examples = examples[:i]
					break
				}
			}
			for _, result := range analyze(t, r.engine, examples) {
				var ids []int
				for _, token := range result.Example.Tokens {
					ids = append(ids, token.ID)
				}
				run := reference.Forward(ids)
				for i := range result.Heads {
					check(r, result.Example, run, &result.Heads[i])
				}
			}
		})
	}
}

// directions returns the first k singular vectors of the scores that axes of the stream give, entry by entry:
// those of the query and those of the key. ok is false unless value k is well above the next.
func (r *referenceRun) directions(run *plain.Run, head schema.Head, query, key, k int) (u, v [][]float64, ok bool) {
	d := r.reference.DModel
	var axes [][]float64
	for i := range d {
		axis := make([]float64, d)
		axis[i] = 1
		axes = append(axes, axis)
	}
	q := r.reference.Factors(run, plain.Query, head.Layer, head.Index, query, axes)
	y := r.reference.Factors(run, plain.Key, head.Layer, head.Index, key, axes)
	b := mat.NewDense(d, d, nil)
	for i := range d {
		for j := range d {
			sum := 0.0
			for e, x := range q[i] {
				sum += x * y[j][e]
			}
			b.Set(i, j, sum)
		}
	}
	var svd mat.SVD
	if !svd.Factorize(b, mat.SVDFull) {
		return nil, nil, false
	}
	values := svd.Values(nil)
	var left, right mat.Dense
	svd.UTo(&left)
	svd.VTo(&right)
	for i := range k {
		u, v = append(u, mat.Col(nil, i, &left)), append(v, mat.Col(nil, i, &right))
	}
	return u, v, values[k-1]-values[k] > 1e-3*values[0]
}

// Contributions along svd:2 agree with explicit projections on the singular vectors of the whole d_model x
// d_model matrix, for every family: at the key, and at the baseline, whose key has directions for its own
// offset.
func TestSingularBasesOfFamilies(t *testing.T) {
	compared, skipped := 0, 0
	everyFamily(t, func(o *engine.Options) {
		o.QueryBases, o.KeyBases = []string{"none", "svd:2"}, []string{"none", "svd:2"}
	}, func(r *referenceRun, x schema.Example, run *plain.Run, h *schema.HeadResult) {
		r.tolerance = 1e-6
		u, v, ok := r.directions(run, h.Head, x.Query, x.Key, 2)
		_, w, okToo := r.directions(run, h.Head, x.Query, x.Baseline, 2)
		if !ok || !okToo {
			skipped++
			return
		}
		compared++
		var want [2][]float64 // by side: [component and bias, key and baseline, quadrant]
		keySide, querySide := r.reference.Quadrants(run, h.Head.Layer, h.Head.Index, x.Query, x.Key, u, v)
		keyBase, queryBase := r.reference.Quadrants(run, h.Head.Layer, h.Head.Index, x.Query, x.Baseline, u, w)
		for side, rows := range [2][2][][]float64{schema.Query: {querySide, queryBase}, schema.Key: {keySide, keyBase}} {
			for c := range rows[0] {
				want[side] = append(append(want[side], rows[0][c]...), rows[1][c]...)
			}
		}
		for _, side := range []schema.Side{schema.Query, schema.Key} {
			name := fmt.Sprintf("%d/%s/%s side along svd:2", x.Index, h.Head, side)
			r.arrays[name] = refdata.Array{Shape: []int{len(want[side])}, Float64: want[side]}
			r.compare(name, "singular", r.side(r.engine, *h, side, "svd:2", "svd:2", true))
		}
	})
	t.Logf("%d compared, %d without a gap", compared, skipped)
	if compared < 100 || skipped > compared/10 {
		t.Errorf("%d compared, %d without a gap: want most", compared, skipped)
	}
}

// Bands agree with the reference's own queries and keys, turned back by their angles.
func TestRotaryBandsOfFamilies(t *testing.T) {
	compared := 0
	everyFamily(t, func(o *engine.Options) { o.Rotary = true }, func(r *referenceRun, x schema.Example, run *plain.Run, h *schema.HeadResult) {
		r.tolerance = 1e-6
		rotation, o, kv := r.reference.RotaryOf(h.Head.Layer), &run.Layer[h.Head.Layer], r.reference.KVHead(h.Head.Index)
		back := func(v []float64, pos int) []float64 {
			out := append([]float64(nil), v...)
			for i, f := range rotation.FrequenciesOf(len(x.Tokens)) {
				a, b := i, i+rotation.Dims/2
				if rotation.Pairs {
					a, b = 2*i, 2*i+1
				}
				sin, cos := math.Sincos(float64(pos) * f)
				out[a], out[b] = v[a]*cos+v[b]*sin, v[b]*cos-v[a]*sin
			}
			return out
		}
		scale := r.reference.AttnScaleOf(h.Head.Layer)
		var want, got []float64
		q := o.Q[x.Query][h.Head.Index]
		for _, pos := range []int{x.Key, x.Baseline} {
			k := o.K[pos][kv]
			for _, vectors := range [][2][]float64{{q, k}, {back(q, x.Query), back(k, pos)}} {
				rest := 0.0
				for e := range rotation.Dims / 2 {
					a, b := e, e+rotation.Dims/2
					if rotation.Pairs {
						a, b = 2*e, 2*e+1
					}
					want = append(want, (vectors[0][a]*vectors[1][a]+vectors[0][b]*vectors[1][b])/scale)
				}
				for e := rotation.Dims; e < len(q); e++ {
					rest += vectors[0][e] * vectors[1][e] / scale
				}
				if rotation.Dims < len(q) {
					want = append(want, rest)
				}
			}
		}
		for _, number := range []func(b schema.Band) float32{func(b schema.Band) float32 { return b.Score }, func(b schema.Band) float32 { return b.Content },
			func(b schema.Band) float32 { return b.Baseline }, func(b schema.Band) float32 { return b.BaselineContent }} {
			for _, b := range h.Bands {
				got = append(got, float64(number(b)))
			}
		}
		for i, b := range h.Bands {
			wave := math.NaN()
			if i < rotation.Dims/2 {
				wave = 2 * math.Pi / rotation.FrequenciesOf(len(x.Tokens))[i]
			} else {
				i = -1
			}
			if b.Pair != i || b.Wavelength != wave && !(math.IsNaN(wave) && math.IsNaN(b.Wavelength)) {
				r.Errorf("example %d, head %s: band %d of wavelength %v, want %d of %v", x.Index, h.Head, b.Pair, b.Wavelength, i, wave)
			}
		}
		name := fmt.Sprintf("%d/%s/bands", x.Index, h.Head)
		r.arrays[name] = refdata.Array{Shape: []int{len(want)}, Float64: want}
		r.compare(name, "bands", got)
		sum := 0.0
		for _, b := range h.Bands {
			sum += float64(b.Score)
		}
		if !(math.Abs(sum-float64(h.Score.Score)) <= 1e-5*max(1, math.Abs(sum))) {
			r.Errorf("%s: bands add up to %v, want %v", name, sum, h.Score.Score)
		}
		compared++
	})
	if compared < 100 {
		t.Errorf("%d compared, want more", compared)
	}
}

// Results with singular directions do not depend on what was asked before.
func TestSingularBasesDoNotDependOnBatches(t *testing.T) {
	dir := filepath.Join(refdata.Families(t), "llama3")
	g := readFamily(t, dir)
	options := func() engine.Options {
		h, err := schema.ParseHead(g.Heads[0])
		if err != nil {
			t.Fatal(err)
		}
		return engine.Options{Heads: []schema.Head{h}, QueryBases: []string{"none", "svd:3"}, KeyBases: []string{"none", "svd:1"}, Factors: true, Pairs: true}
	}
	together := open(t, filepath.Join(dir, "model"), options())
	examples := g.examples(together)
	all := analyze(t, together, examples)
	for i := len(examples) - 1; i >= 0; i-- {
		alone := analyze(t, open(t, filepath.Join(dir, "model"), options()), examples[i:i+1])
		if !reflect.DeepEqual(alone[0].Heads[0].Contributions, all[i].Heads[0].Contributions) || !reflect.DeepEqual(alone[0].Heads[0].Pairs, all[i].Heads[0].Pairs) {
			t.Errorf("example %d has other numbers alone", i)
		}
	}
}

func TestSingularBasesThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	for name, c := range map[string]struct {
		err  error
		text string
	}{"svd:999": {engine.ErrBasis, "rank"}, "svd:0": {engine.ErrOptions, "svd:0"}, "svd:x": {engine.ErrOptions, "svd:4 (the first 4"}, "svd:02": {engine.ErrOptions, "svd:02"}} {
		e, err := engine.Open(dir, engine.Options{Heads: []schema.Head{{Layer: 1}}, QueryBases: []string{name}})
		if err == nil {
			e.Close()
		}
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.err, c.text)
		}
	}
	e, err := engine.Open(dir, engine.Options{Heads: []schema.Head{{Layer: 1}}, Rotary: true})
	if err == nil {
		e.Close()
	}
	if !errors.Is(err, engine.ErrOptions) || !strings.Contains(hint(err), "W_pos") {
		t.Errorf("bands of GPT-2: %v, hint %q", err, hint(err))
	}
}
