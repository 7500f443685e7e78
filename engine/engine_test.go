package engine_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ducklens/engine"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

func analyze(tb testing.TB, e *engine.Engine, examples []schema.Example) []schema.Result {
	tb.Helper()
	results, err := e.Analyze(tb.Context(), examples)
	if err != nil {
		tb.Fatal(err)
	}
	if len(results) != len(examples) {
		tb.Fatalf("%d results for %d examples", len(results), len(examples))
	}
	return results
}

func TestOpenDescribesTheModel(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	e := open(t, dir, engine.Options{Threads: 3, KeyBases: []string{"effective", "none", "mlp0"}})
	want := schema.Model{Name: filepath.Base(dir), Family: "gpt2", ConfigSHA: e.Model().ConfigSHA, NLayers: 3, NHeads: 4, NKVHeads: 4, DModel: 32, DHead: 8, DMLP: 128, DVocab: 1015, NCtx: 48, Norm: "LN", LNEps: 1e-4, Activation: "gelu_new",
		// testdata/README.md
		SHA256: "96a8a85fb4331af009565ddfbd7d479efed052e40c9816fb86f20e7380d449bd"}
	if d := cmp.Diff(want, e.Model()); d != "" {
		t.Error(d)
	}
	var names []string
	for _, b := range e.Bases() {
		names = append(names, b.Side.String()+" "+b.Name)
	}
	if d := cmp.Diff([]string{"query none", "query unembed", "query unembed+baseline", "query sub_unembed", "key none", "key effective", "key mlp0"}, names); d != "" {
		t.Error(d)
	}
	if len(e.Heads()) != 8 || e.Heads()[0] != (schema.Head{Layer: 1}) {
		t.Errorf("heads %v, want the 8 of layers 1 and 2: mlp0 is not there for layer 0", e.Heads())
	}
	if e.Precision() != engine.Float32 || e.Threads() != 3 || e.BLAS() == "" || e.BLAS() == "auto" {
		t.Errorf("precision %q, %d threads, BLAS %q", e.Precision(), e.Threads(), e.BLAS())
	}
	all := open(t, dir, engine.Options{KeyBases: []string{"none"}})
	if d := cmp.Diff(engine.AllHeads(all.Model()), all.Heads()); d != "" || len(all.Heads()) != 12 {
		t.Errorf("heads without a basis of layer 0: %s", d)
	}
}

// hint returns the advice of an error.
func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	for name, c := range map[string]struct {
		dir        string
		options    engine.Options
		is         error
		want, hint string
	}{
		"no folder":    {filepath.Join(dir, "nothing"), engine.Options{}, checkpoint.ErrNoCheckpoint, "nothing", ""},
		"unknown head": {dir, engine.Options{Heads: []schema.Head{{Layer: 12, Index: 3}}}, engine.ErrUnknownHead, "unknown head 12.3: model", "heads of this model are 0.0 to 2.3"},
		"unknown index": {dir, engine.Options{Heads: []schema.Head{{Layer: 1, Index: 4}}}, engine.ErrUnknownHead,
			"has 3 layers of 4 heads", "heads of this model are 0.0 to 2.3"},
		"MLP0 for layer 0": {dir, engine.Options{Heads: []schema.Head{{Layer: 0, Index: 1}}, KeyBases: []string{"mlp0"}}, engine.ErrBasis,
			"head 0.1: basis does not apply: key basis mlp0", "ask for a head in layer 1 or above, or leave key basis mlp0 out"},
		"invalid": {dir, engine.Options{Precision: "half"}, engine.ErrOptions, `precision "half", want float32 or float64`, ""},
	} {
		e, err := engine.Open(c.dir, c.options)
		if e != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint(err), c.hint) {
			t.Errorf("%s: error %v, hint %q; want %v that says %q, hint %q", name, err, hint(err), c.is, c.want, c.hint)
		}
	}
}

func TestValidateListsEveryFault(t *testing.T) {
	t.Parallel()
	options := engine.Options{
		Heads:      []schema.Head{{Layer: -1}, {Layer: 2}, {Layer: 2}},
		QueryBases: []string{"mlp", "unembed", "unembed"}, KeyBases: []string{"unembed"},
		Convention: 9, Processing: 9, Precision: "half", BLAS: "abacus", Threads: -1,
	}
	err := options.Validate()
	if !errors.Is(err, engine.ErrOptions) {
		t.Fatalf("error %v, want ErrOptions", err)
	}
	for _, want := range []string{"head -1.0", "head 2.0 is given twice", `unknown basis "mlp" on the query side`, "query basis unembed is given twice",
		`unknown basis "unembed" on the key side, want one of none, mlp0`, "convention number 9", "weight processing number 9", `precision "half"`, "abacus", "-1 threads"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	if err := (engine.Options{}).Validate(); err != nil {
		t.Errorf("zero options: %v", err)
	}
}

// The engine's rows agree with the reference: the model's scores and probabilities, and one map of
// contributions.
func TestAnalyzeAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	examples := referenceExamples(t)
	arrays := refdata.Npz(t, filepath.Join(refdata.M2(t), "golden", "forward_A_f64.npz"))
	means := refdata.Npy(t, filepath.Join(refdata.M2(t), "golden", "decompose_target_f64.npy"))
	for _, precision := range []string{engine.Float32, engine.Float64} {
		e := open(t, dir, head(t, engine.Options{Convention: schema.Notebook, Precision: precision}))
		var scores, probs, wantScores, wantProbs []float64
		cells := make([]float64, 3*5)
		results := analyze(t, e, examples)
		for p, r := range results {
			h := r.Heads[0]
			for i, a := range h.Attention {
				scores, probs = append(scores, float64(a.Score)), append(probs, float64(a.Prob))
				wantScores = append(wantScores, arrays["target_scores_end"].At(p)[i])
				wantProbs = append(wantProbs, arrays["target_pattern_end"].At(p)[i])
			}
			for i, at := range []int{r.Example.Key, r.Example.Baseline} {
				got := []schema.Attention{{Score: h.Score.Score, Prob: h.Score.Prob}, {Score: h.Score.Baseline, Prob: h.Score.BaselineProb}}[i]
				if got != h.Attention[at] {
					t.Errorf("example %d: %+v, attention row has %+v", p, got, h.Attention[at])
				}
			}
			scales := arrays["ln1_scale"].At(2, p)
			for i, got := range []float32{h.Score.QueryScale, h.Score.KeyScale, h.Score.BaselineScale} {
				if math.Abs(float64(got)-scales[i]) > 1e-5 {
					t.Errorf("example %d: scale %d is %g, want %g", p, i, got, scales[i])
				}
			}
			components := e.Components()
			for _, c := range h.Contributions {
				if c.Side != schema.Key || e.Bases()[c.QueryBasis].Name != "none" || e.Bases()[c.KeyBasis].Name != "none" {
					continue
				}
				y, x := components[c.Component].Grid(4)
				cells[5*y+x] += float64(c.Score[0]+c.Score[1]+c.Score[2]+c.Score[3]) / float64(len(results))
			}
		}
		refdata.Compare(t, precision+" scores", scores, wantScores, refdata.Float32)
		refdata.Compare(t, precision+" probabilities", probs, wantProbs, refdata.Float32Prob)
		// Row 0 of the index: decompose by keys, nothing subtracted, nothing replaced.
		refdata.Compare(t, precision+" key side", cells, means.At(0), refdata.Float32Mean)
	}
}

// Contributions add up for every head, both forms of the weights and every basis, in the rows that ingest
// gets.
func TestAnalyzeAddsUp(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	examples := referenceExamples(t)[:8]
	examples[3].Baseline = schema.NoPosition
	examples[4].Key = examples[4].Query
	var scores [2][]float64
	for i, processing := range []schema.Processing{schema.Processed, schema.Raw} {
		for _, precision := range []string{engine.Float32, engine.Float64} {
			e := open(t, dir, engine.Options{
				Processing: processing, Precision: precision,
				QueryBases: []string{"unembed", "sub_unembed"},
				KeyBases:   []string{"mlp0", "mlp0+attn0", "effective", "effective+attn0", "sub_mlp0"},
			})
			bases := e.Bases()
			worst := 0.0
			for _, r := range analyze(t, e, examples) {
				for _, h := range r.Heads {
					worst = max(worst, h.Score.Closure)
					if precision == engine.Float64 {
						scores[i] = append(scores[i], float64(h.Score.Score))
					}
					sums := map[[3]int]float64{}
					baselines := map[[3]int]float64{}
					for _, c := range h.Contributions {
						if bases[c.QueryBasis].Kind == schema.Replacement || bases[c.KeyBasis].Kind == schema.Replacement {
							continue
						}
						if bases[c.QueryBasis].Side != schema.Query || bases[c.KeyBasis].Side != schema.Key {
							t.Fatalf("bases %d and %d are %s and %s", c.QueryBasis, c.KeyBasis, bases[c.QueryBasis].Side, bases[c.KeyBasis].Side)
						}
						pair := [3]int{int(c.Side), c.QueryBasis, c.KeyBasis}
						for q := range c.Score {
							sums[pair] += float64(c.Score[q])
							baselines[pair] += float64(c.Baseline[q])
						}
					}
					// Two sides, query none and unembed, key none and four subspaces.
					if len(sums) != 2*2*5 {
						t.Fatalf("%d pairs of bases, want 20", len(sums))
					}
					for pair := range sums {
						if d := math.Abs(sums[pair] - float64(h.Score.Score)); !(d <= 1e-4) {
							t.Errorf("example %d, head %s, %v: rows miss the score by %g", r.Example.Index, h.Head, pair, d)
						}
						d := math.Abs(baselines[pair] - float64(h.Score.Baseline))
						if none := r.Example.Baseline == schema.NoPosition; none != math.IsNaN(d) || !none && !(d <= 1e-4) {
							t.Errorf("example %d, head %s, %v: rows miss the baseline by %g", r.Example.Index, h.Head, pair, d)
						}
					}
				}
			}
			t.Logf("%s weights, %s: largest closure residual %.2e", processing, precision, worst)
			if limit := map[string]float64{engine.Float32: 1e-4, engine.Float64: 1e-9}[precision]; !(worst <= limit) {
				t.Errorf("%s weights, %s: closure residual %g, want at most %g", processing, precision, worst, limit)
			}
		}
	}
	refdata.Compare(t, "scores of raw weights against processed", scores[1], scores[0], refdata.Float32)
}

// there returns results without the numbers that GPT-2 does not have, because their NaN is not equal to
// itself.
func there(results []schema.Result) []schema.Result {
	results = slices.Clone(results)
	for i := range results {
		results[i].Heads = slices.Clone(results[i].Heads)
		for j := range results[i].Heads {
			s := &results[i].Heads[j].Score
			s.SinkProb, s.QueryNormScale, s.KeyNormScale, s.BaselineNormScale = 0, 0, 0, 0
		}
	}
	return results
}

// Neither the batch nor the threads nor later tokens change a bit.
func TestAnalyzeDependsOnTheExampleAlone(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	options := head(t, engine.Options{Threads: 1, KeyBases: []string{"mlp0", "effective"}})
	examples := referenceExamples(t)
	examples = append(examples, examples...) // more tokens than one forward pass takes
	together := analyze(t, open(t, dir, options), examples)
	options.Threads = 5
	e := open(t, dir, options)
	same := func(what string, got, want []schema.Result) {
		t.Helper()
		if !reflect.DeepEqual(there(want), there(got)) {
			d := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmp.Comparer(func(a, b schema.Position) bool { return a == b }))
			t.Errorf("%s: %.2000s", what, d)
		}
	}
	same("five threads", analyze(t, e, examples), together)
	var single []schema.Result
	for _, x := range examples[:20] {
		single = append(single, analyze(t, e, []schema.Example{x})...)
	}
	same("one at a time", single, together[:20])
	var cut []schema.Example
	for _, x := range examples[:20] {
		x.Tokens = x.Tokens[:x.Query+1]
		cut = append(cut, x)
	}
	results := analyze(t, e, cut)
	for i := range results {
		results[i].Example = examples[i]
	}
	same("without later tokens", results, together[:20])
	reversed := analyze(t, e, []schema.Example{examples[7], examples[6]})
	same("reversed", []schema.Result{reversed[1], reversed[0]}, together[6:8])
	if len(analyze(t, e, nil)) != 0 {
		t.Error("results for no examples")
	}
}

func TestAttentionOnly(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	examples := referenceExamples(t)[:3]
	e := open(t, dir, engine.Options{AttentionOnly: true})
	if len(e.Heads()) != 12 || len(e.Bases()) != 0 {
		t.Fatalf("%d heads, %d bases, want all 12 and none", len(e.Heads()), len(e.Bases()))
	}
	whole := analyze(t, open(t, dir, engine.Options{KeyBases: []string{"none"}}), examples)
	for i, r := range analyze(t, e, examples) {
		for j, h := range r.Heads {
			if h.Contributions != nil || !math.IsNaN(h.Score.Closure) {
				t.Errorf("head %s: %d contributions, closure %g, want none and NaN", h.Head, len(h.Contributions), h.Score.Closure)
			}
			want := whole[i].Heads[j]
			h.Contributions, h.Score.Closure = want.Contributions, want.Score.Closure
			if d := cmp.Diff(want, h, cmpopts.EquateNaNs()); d != "" {
				t.Errorf("head %s differs from the whole analysis: %.500s", h.Head, d)
			}
		}
	}
}

func TestAnalyzeRefuses(t *testing.T) {
	t.Parallel()
	e := open(t, modelFolder(t), head(t, engine.Options{}))
	good := referenceExamples(t)[0]
	for name, spoil := range map[string]func(*schema.Example){
		"query outside":    func(x *schema.Example) { x.Query = len(x.Tokens) },
		"negative query":   func(x *schema.Example) { x.Query = -1 },
		"key after query":  func(x *schema.Example) { x.Key = x.Query + 1 },
		"baseline after":   func(x *schema.Example) { x.Baseline = x.Query + 1 },
		"negative token":   func(x *schema.Example) { x.Tokens[1].ID = -1 },
		"token of another": func(x *schema.Example) { x.Tokens[1].ID = 50256 },
		"long": func(x *schema.Example) {
			x.Tokens = make([]schema.Token, 49)
			x.Query = 48
		},
	} {
		bad := good
		bad.Index = 17
		bad.Tokens = append([]schema.Token(nil), good.Tokens...)
		spoil(&bad)
		if _, err := e.Analyze(t.Context(), []schema.Example{good, bad}); !errors.Is(err, engine.ErrPrompt) || !strings.Contains(err.Error(), "example 17") {
			t.Errorf("%s: error %v, want ErrPrompt about example 17", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Analyze(ctx, []schema.Example{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// Layer 0 writes a hundred thousand of something that layer 1 takes away again. Float32 cannot hold what is
// in between, and its parts miss the score; float64 can.
func TestAnalyzeFailsWhereFloat32CannotAddUp(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	bias := make([]float32, 32)
	for i := range bias {
		bias[i] = 1e5 * float32(math.Sin(float64(i)))
	}
	addToTensor(t, dir, "h.0.mlp.c_proj.bias", bias)
	for i := range bias {
		bias[i] = -bias[i]
	}
	addToTensor(t, dir, "h.1.mlp.c_proj.bias", bias)
	examples := referenceExamples(t)[2:4]
	_, err := open(t, dir, head(t, engine.Options{})).Analyze(t.Context(), examples)
	var closure *engine.ClosureError
	if !errors.Is(err, engine.ErrClosure) || !errors.As(err, &closure) {
		t.Fatalf("float32: error %v, want ErrClosure", err)
	}
	if closure.Example != 2 || closure.Head.String() != head21 || !(closure.Residual > closure.Tolerance) || !strings.Contains(closure.Hint(), "float64") {
		t.Errorf("error %+v, hint %q", closure, closure.Hint())
	}
	if !strings.Contains(err.Error(), "example 2, head 2.1: contributions do not add up to the score: relative residual") {
		t.Errorf("error %q", err)
	}
	if advice := (&engine.ClosureError{Residual: math.NaN()}).Hint(); !strings.Contains(advice, "NaN") {
		t.Errorf("hint for NaN: %q", advice)
	}
	results, err := open(t, dir, head(t, engine.Options{Convention: schema.Notebook})).Analyze(t.Context(), examples)
	if err != nil || !(results[0].Heads[0].Score.Closure > 1e-4) {
		t.Errorf("notebook: error %v, want the residual recorded", err)
	}
	if results, err = open(t, dir, head(t, engine.Options{Precision: engine.Float64})).Analyze(t.Context(), examples); err != nil {
		t.Errorf("float64: %v", err)
	} else {
		t.Logf("float64 closure residual %.2e", results[0].Heads[0].Score.Closure)
	}
}
