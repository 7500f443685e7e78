package engine_test

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/engine/blas"
	"ducklens/engine/model/plain"
	"ducklens/engine/tokenizer"
	"ducklens/schema"
)

const nearest = 12

// nearestReference computes in float64 what nearest tokens are compared with.
type nearestReference struct {
	*plain.Model
	form      schema.Processing
	layout    schema.Layout
	unembed   [][]float64 // of every token, at unit length
	spelt     []int
	tolerance float64
}

func newNearestReference(t *testing.T, dir string, m *plain.Model, form schema.Processing, tolerance float64) *nearestReference {
	t.Helper()
	r := &nearestReference{Model: m, form: form, layout: m.Spec.Layout(form), tolerance: tolerance}
	tokens, err := tokenizer.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	for id := range m.DVocab {
		r.unembed = append(r.unembed, unit(m.UnembedDirection(id, form)))
		if tokens.Token(id) != "" {
			r.spelt = append(r.spelt, id)
		}
	}
	return r
}

func unit(x []float64) []float64 {
	length, out := math.Sqrt(blas.Dot(x, x)), make([]float64, len(x))
	for i, v := range x {
		out[i] = v / length
	}
	return out
}

// vectors returns the vectors of a head on an example, by side and name.
func (r *nearestReference) vectors(run *plain.Run, x schema.Example, h schema.Head, movers []schema.Head, seed int64) map[string][]float64 {
	var axes [][]float64
	for i := range r.DModel {
		axis := make([]float64, r.DModel)
		axis[i] = 1
		axes = append(axes, axis)
	}
	o, kv := &run.Layer[h.Layer], r.KVHead(h.Index)
	toScore := func(side plain.Side, pos int, fixed []float64) []float64 {
		out := make([]float64, r.DModel)
		for i, image := range r.Factors(run, side, h.Layer, h.Index, pos, axes)[:r.DModel] {
			out[i] = blas.Dot(image, fixed)
		}
		return out
	}
	fixed := slices.Clone(o.K[x.Key][kv])
	if x.Baseline != schema.NoPosition {
		for i, v := range o.K[x.Baseline][kv] {
			fixed[i] -= v
		}
	}
	centred := func(v []float64) []float64 {
		mean, out := 0.0, slices.Clone(v)
		for _, e := range v {
			mean += e / float64(len(v))
		}
		for i := range out {
			if r.Spec.Norm.Centre && r.PreNorm {
				out[i] -= mean
			}
		}
		return out
	}
	random := centred(engine.RandomDirection(seed, schema.Query, -1, x.PromptIndex, r.DModel))
	list := map[string][]float64{
		"query map": toScore(plain.Query, x.Query, fixed), "key map": toScore(plain.Key, x.Key, o.Q[x.Query][h.Index]),
		"query random": random, "key random": random,
	}
	for _, m := range movers {
		list["query "+m.String()] = centred(r.Components(run, r.form, h.Layer, x.Query)[r.layout.Head(m)])
	}
	return list
}

// check returns what is wrong with the nearest tokens of a head, or "".
func (r *nearestReference) check(rows []schema.NearestToken, vectors map[string][]float64, x schema.Example) string {
	found := map[string][]schema.NearestToken{}
	for _, row := range rows {
		name := row.Side.String() + " " + row.Vector
		found[name] = append(found[name], row)
	}
	if len(found) != len(vectors) {
		return fmt.Sprintf("%d vectors, want %d", len(found), len(vectors))
	}
	for name, vector := range vectors {
		cosines, direction := make([]float64, r.DVocab), unit(vector)
		for id, u := range r.unembed {
			cosines[id] = blas.Dot(u, direction)
		}
		sorted := slices.Clone(r.spelt)
		slices.SortFunc(sorted, func(a, b int) int { return cmp.Compare(cosines[b], cosines[a]) })
		seen := map[int]bool{}
		for i, row := range found[name] {
			id, want := row.Token.ID, cosines[row.Token.ID]
			switch {
			case seen[id]:
				return fmt.Sprintf("%s: token %d is there twice", name, id)
			case !(math.Abs(float64(row.Cosine)-want) <= r.tolerance):
				return fmt.Sprintf("%s: token %d has cosine %v, want %v", name, id, row.Cosine, want)
			case i < nearest && row.Rank != i+1, i >= nearest && row.Rank <= nearest:
				return fmt.Sprintf("%s: row %d has rank %d", name, i, row.Rank)
			// Tokens whose cosines differ by less than rounding may change places.
			case !(math.Abs(cosines[sorted[row.Rank-1]]-want) <= 2*r.tolerance):
				return fmt.Sprintf("%s: token %d has rank %d with cosine %v, and the token of that rank %v", name, id, row.Rank, want, cosines[sorted[row.Rank-1]])
			}
			seen[id] = true
		}
		if key := x.Tokens[x.Key].ID; !seen[key] {
			return fmt.Sprintf("%s: the key's token %d is missing", name, key)
		}
		if x.Baseline != schema.NoPosition && !seen[x.Tokens[x.Baseline].ID] {
			return name + ": the baseline's token is missing"
		}
		if n := len(found[name]); n < nearest || n > nearest+2 {
			return fmt.Sprintf("%s: %d tokens", name, n)
		}
	}
	return ""
}

// Nearest tokens of every family are those that a float64 reference ranks: over all norms, tied and untied
// unembeddings, soft caps, both forms of the weights and both precisions. A reference with another weight of
// the final norm does not agree.
func TestNearestTokensOfFamilies(t *testing.T) {
	mutated := 0
	for _, o := range []struct {
		precision string
		form      schema.Processing
		tolerance float64
	}{{engine.Float64, schema.Processed, 1e-6}, {engine.Float64, schema.Raw, 1e-6}, {engine.Float32, schema.Processed, 1e-4}} {
		var reference, wrong *nearestReference
		var movers []schema.Head
		everyFamily(t, func(options *engine.Options) {
			options.Precision, options.Processing, options.Nearest, options.Seed = o.precision, o.form, nearest, 7
			options.Projections, options.Movers, movers, reference, wrong = true, nil, nil, nil, nil
			if !slices.ContainsFunc(options.Heads, func(h schema.Head) bool { return h.Layer == 0 }) {
				movers = []schema.Head{{Layer: 0, Index: 0}}
				options.Movers = movers
			}
		}, func(r *referenceRun, x schema.Example, run *plain.Run, h *schema.HeadResult) {
			if reference == nil {
				reference = newNearestReference(r.T, filepath.Join(r.dir, "model"), r.reference, o.form, o.tolerance)
			}
			vectors := reference.vectors(run, x, h.Head, movers, 7)
			if fault := reference.check(h.Nearest, vectors, x); fault != "" {
				r.Errorf("%s, %s: prompt %d, head %s: %s", o.precision, o.form, x.Index, h.Head, fault)
			}
			if r.reference.Final.Gain == nil || o.form == schema.Raw || x.Index > 0 {
				return
			}
			if wrong == nil {
				other := *r.reference
				other.Final.Gain = slices.Clone(other.Final.Gain)
				other.Final.Gain[1] += 0.5
				wrong = newNearestReference(r.T, filepath.Join(r.dir, "model"), &other, o.form, o.tolerance)
			}
			if wrong.check(h.Nearest, vectors, x) == "" {
				r.Errorf("head %s agrees with another weight of the final norm", h.Head)
			}
			mutated++
		})
	}
	if mutated < 24 {
		t.Errorf("%d heads compared with another weight of the final norm", mutated)
	}
}

// The cosine of the key's token with the map is that of projections along unembed, up to its sign. Results
// depend neither on the batch nor on the number of threads.
func TestNearestTokens(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	examples := referenceExamples(t)[:9]
	examples[4].Baseline = schema.NoPosition
	for i := range examples {
		examples[i].PromptIndex = i
	}
	options := everything(t, engine.Options{Nearest: nearest, Threads: 1})
	e := open(t, dir, options)
	results := analyze(t, e, examples)
	basis := basisNamed(t, e, schema.Query, "unembed")
	for i, r := range results {
		h := r.Heads[0]
		compared := 0
		for _, row := range h.Nearest {
			if row.Side != schema.Query || row.Vector != engine.VectorMap || row.Token.ID != r.Example.Tokens[r.Example.Key].ID {
				continue
			}
			for _, p := range h.Projections {
				if p.Side == schema.Query && p.Basis == basis && p.Diff == (r.Example.Baseline != schema.NoPosition) {
					if compared++; math.Abs(math.Abs(float64(p.ParCos))-math.Abs(float64(row.Cosine))) > 1e-6 {
						t.Errorf("example %d: cosine %v of the key's token, and %v by projection", i, row.Cosine, p.ParCos)
					}
				}
			}
		}
		if compared != len(movers12) {
			t.Errorf("example %d: %d projections compared", i, compared)
		}
	}
	options.Threads = 2
	again := open(t, dir, options)
	for i := range examples {
		one := analyze(t, again, examples[i:i+1])[0]
		if !slices.Equal(one.Heads[0].Nearest, results[i].Heads[0].Nearest) {
			t.Errorf("example %d alone: other nearest tokens", i)
		}
	}
}

func TestNearestTokensRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options engine.Options
		want    string
	}{
		"too many":       {engine.Options{Nearest: 101}, "the nearest 101 tokens, want 0 to 100"},
		"negative":       {engine.Options{Nearest: -1}, "the nearest -1 tokens, want 0 to 100"},
		"attention only": {engine.Options{Nearest: 1, AttentionOnly: true}, "nearest tokens: want one or the other"},
	} {
		if err := c.options.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
