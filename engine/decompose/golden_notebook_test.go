package decompose_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// The published notebook's figures and numbers beyond the one-sided decompositions: pairs, histograms,
// projections.

// referenceFolders runs a test on the folder in the repository and on the full ones where they are, in both
// number types.
func referenceFolders(t *testing.T, in64, in32 func(t *testing.T, dir string)) {
	for name, dir := range map[string]func(testing.TB) string{
		"m2":      refdata.M2,
		"full/m2": func(tb testing.TB) string { return refdata.Goldens(tb, "m2") },
		"full/m1": func(tb testing.TB) string { return refdata.Goldens(tb, "m1") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := dir(t)
			t.Run("float64", func(t *testing.T) { in64(t, dir) })
			if in32 != nil {
				t.Run("float32", func(t *testing.T) { in32(t, dir) })
			}
		})
	}
}

// fullCall gives the bases and the subtraction that a name such as sub1/ee0/l00/inclS11 stands for.
func fullCall(t *testing.T, name string) (c call) {
	t.Helper()
	parts := strings.Split(name, "/")
	if len(parts) != 4 {
		t.Fatalf("array %s", name)
	}
	project := "project"
	c.InterveneOnQuery, c.InterveneOnKey = &project, &project
	c.Subtract = parts[0] == "sub1"
	c.EffectiveEmbed, c.Layer0Heads, c.IncludeS1 = parts[1] == "ee1", parts[2] == "l01", parts[3] == "inclS11"
	return c
}

// pairTable computes the pairs of one example under the bases of a call, in the reference's layout [quadrant,
// query, key]: the bias first, then the embeddings, the MLPs, the heads.
func (r reference[T]) pairTable(t *testing.T, c call, in decompose.Input[T], set decompose.FactorSet[T]) []float64 {
	t.Helper()
	provider, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	query, key := slices.Index(goldenQueryBases, c.queryBasis()), slices.Index(goldenKeyBases, c.keyBasis())
	score, err := decompose.Pairs(provider, 1/in.AttnScale, set.Query, set.Key, query, key)
	if err != nil {
		t.Fatal(err)
	}
	baseline, err := decompose.Pairs(provider, 1/in.AttnScale, set.Query, *set.Baseline, query, key)
	if err != nil {
		t.Fatal(err)
	}
	rows := set.Query.Rows
	n := len(rows) + 1
	order := []int{n - 1}
	for _, kind := range []schema.ComponentKind{schema.Embed, schema.PosEmbed, schema.MLP, schema.HeadOut} {
		for i, row := range rows {
			if in.Components[row].Kind == kind {
				order = append(order, i)
			}
		}
	}
	if len(order) != n {
		t.Fatalf("%d rows of the reference's kinds, want %d", len(order), n)
	}
	out := make([]float64, 0, 4*n*n)
	for q := range 4 {
		for _, i := range order {
			for _, j := range order {
				v := float64(score[i*n+j][q])
				if c.Subtract {
					v -= float64(baseline[i*n+j][q])
				}
				out = append(out, v)
			}
		}
	}
	return out
}

func (r reference[T]) factorSets(t *testing.T, convention schema.Convention) []decompose.FactorSet[T] {
	t.Helper()
	sets := make([]decompose.FactorSet[T], len(r.inputs))
	for i, in := range r.inputs {
		in.Convention = convention
		var err error
		if sets[i], err = decompose.AllFactors(in); err != nil {
			t.Fatal(err)
		}
	}
	return sets
}

func TestReferencePairs(t *testing.T) {
	referenceFolders(t,
		func(t *testing.T, dir string) { comparePairs[float64](t, dir, refdata.Float64) },
		func(t *testing.T, dir string) { comparePairs[float32](t, dir, refdata.Float32) })
}

func comparePairs[T blas.Float](t *testing.T, dir string, tol refdata.Tolerance) {
	head := targets(t, dir).Head
	r := loadSequences[T](t, dir, schema.Head{Layer: head[0], Index: head[1]}, promptSet(t, dir, "mixed_n50_seed0_bos"))
	sets := r.factorSets(t, schema.Notebook)
	var groups grouped
	arrays := refdata.Npz(t, filepath.Join(dir, "golden", "full_f64.npz"))
	if len(arrays) < 6 {
		t.Errorf("%d arrays, want 6 at least", len(arrays))
	}
	for name, want := range arrays {
		c := fullCall(t, name)
		mean := make([]float64, want.Len())
		for i, in := range r.inputs {
			for j, v := range r.pairTable(t, c, in, sets[i]) {
				mean[j] += v / float64(len(r.inputs))
			}
		}
		groups.add("pair means, "+c.group(), mean, want.Float64)
	}

	perPrompt := filepath.Join(dir, "golden", "full_per_prompt_f64.npz")
	if dir != refdata.M2(t) {
		for name, want := range refdata.Npz(t, perPrompt) {
			c := fullCall(t, name)
			for p := range want.Shape[0] {
				groups.add("pairs by prompt, "+c.group(), r.pairTable(t, c, r.inputs[p], sets[p]), want.At(p))
			}
		}
	}

	var identities []struct {
		Name       string
		Sum        float64
		ModelScore float64 `json:"mean_model_score"`
	}
	refdata.JSON(t, filepath.Join(dir, "golden", "full_identities.json"), &identities)
	exact := r.factorSets(t, schema.Exact)
	for _, want := range identities {
		c := fullCall(t, want.Name)
		// The notebook misses b_O on both sides; the exact pairs add up to the model's score.
		notebook, total, model := 0.0, 0.0, 0.0
		for i, in := range r.inputs {
			notebook += r.pairSum(t, c, sets[i]) / float64(len(r.inputs))
			total += r.pairSum(t, c, exact[i]) / float64(len(r.inputs))
			model += float64(in.Key.Score) / float64(len(r.inputs))
			if c.Subtract {
				model -= float64(in.Baseline.Score) / float64(len(r.inputs))
			}
		}
		groups.add("pair sums of full_identities.json", []float64{notebook}, []float64{want.Sum})
		groups.add("exact pair sums = mean model score of full_identities.json", []float64{total, model}, []float64{want.ModelScore, want.ModelScore})
		if math.Abs(want.ModelScore-want.Sum) < 1e-3 {
			t.Errorf("%s: the notebook's sum %g is the model's score: nothing is missing", want.Name, want.Sum)
		}
	}
	groups.compare(t, tol)
}

// pairSum adds up an example's pair table, less the baseline's where subtracted.
func (r reference[T]) pairSum(t *testing.T, c call, set decompose.FactorSet[T]) float64 {
	t.Helper()
	provider, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	query, key := slices.Index(goldenQueryBases, c.queryBasis()), slices.Index(goldenKeyBases, c.keyBasis())
	total := 0.0
	for i, at := range []decompose.Factors[T]{set.Key, *set.Baseline} {
		table, err := decompose.Pairs(provider, 1/r.inputs[0].AttnScale, set.Query, at, query, key)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, row := range table {
			for _, v := range row {
				sum += float64(v)
			}
		}
		switch {
		case i == 0:
			total += sum
		case c.Subtract:
			total -= sum
		}
	}
	return total
}

// notebookNumbers is notebook_numbers.json.
type notebookNumbers struct {
	Head   [2]int
	Movers [][2]int
	Values map[string]struct{ Float64, Float32 float64 }
}

// output is what a head wrote at the query position.
func (r reference[T]) output(in decompose.Input[T], head [2]int) []T {
	return in.Query.Component(r.layout.Head(schema.Head{Layer: head[0], Index: head[1]}))
}

// The substitution of each row of the reference's histograms, and its label there: for scores and
// probabilities, for scores with the baseline subtracted.
var histogramLabels = []struct {
	side               string
	vector, subtracted string
}{
	{"queries", "W_U[IO]", ""}, {"queries", "W_U[S]", ""}, {"queries", "W_U[random_name]", ""}, {"queries", "W_U[random]", ""},
	{"queries", "NMH_9.9_output", ""}, {"queries", "NMH_9.9,_perp_W_U[IO]", ""}, {"queries", "No_patching", ""},
	{"keys", "W_E[IO]", "W_E[IO]_-_W_E[S1]"}, {"keys", "W_EE[IO]", "W_EE[IO]_-_W_EE[S1]"},
	{"keys", "W_EE_subE[IO]", "W_EE_subE[IO]_-_W_EE_subE[S1]"},
	{"keys", "MLP0_out", "MLP0_out_(IO_-_S1)"}, {"keys", "No_patching", "No_patching_(IO_-_S1)"},
}

func TestReferenceHistograms(t *testing.T) {
	referenceFolders(t,
		func(t *testing.T, dir string) { compareHistograms[float64](t, dir, refdata.Float64, refdata.Float64) },
		func(t *testing.T, dir string) {
			compareHistograms[float32](t, dir, refdata.Float32, refdata.Float32Prob)
		})
}

func compareHistograms[T blas.Float](t *testing.T, dir string, tol, probTol refdata.Tolerance) {
	n := targets(t, dir)
	arrays := refdata.Npz(t, filepath.Join(dir, "golden", "hist_f64.npz"))
	own := refdata.Npz(t, filepath.Join(dir, "golden", "hist_model_own_f64.npz"))
	var scores, probs grouped
	compared := map[string]bool{"name_tokens": true}
	for batch := range 2 {
		r := loadSequences[T](t, dir, schema.Head{Layer: n.Head[0], Index: n.Head[1]}, promptSet(t, dir, fmt.Sprintf("mixed_n40_seed%d_nobos", batch)))
		for i, in := range r.inputs {
			example := 40*batch + i
			row := r.cache.Scores(r.head, i, 0)
			vectors := r.histogram(t, in, i, row, n.Movers[0], map[string]int{
				"W_U[random_name]": arrays["queries/sub0/random_name_token_ids"].Ints()[example],
				"W_U[random]":      arrays["queries/sub0/random_token_ids"].Ints()[example],
			})
			for _, label := range histogramLabels {
				got, ok := vectors[label.side+"/"+label.vector]
				if !ok {
					t.Fatalf("no substitution %s", label.vector)
				}
				check := func(g *grouped, name string, value float64) {
					want, ok := arrays[name]
					if !ok {
						t.Fatalf("no array %s", name)
					}
					compared[name] = true
					g.add(name, []float64{value}, []float64{want.Float64[example]})
				}
				subtracted := label.subtracted
				if subtracted == "" {
					subtracted = label.vector
				}
				check(&scores, label.side+"/sub0/score/"+label.vector, got.Score)
				check(&scores, label.side+"/sub1/score/"+subtracted, got.Score-got.Baseline)
				check(&probs, label.side+"/sub0/prob/"+label.vector, got.Prob)
				check(&probs, label.side+"/sub1/prob/"+label.vector, got.DiffProb)
			}

			in.Convention = schema.Exact
			s, err := decompose.NewSubstitution(in, row, r.sequences[i].Positions[1])
			if err != nil {
				t.Fatal(err)
			}
			for _, side := range []schema.Side{schema.Query, schema.Key} {
				unpatched, err := s.Unpatched(side)
				if err != nil {
					t.Fatal(err)
				}
				scores.add("exact, unpatched = the model's own score", []float64{unpatched.Score}, []float64{own["score"].Float64[example]})
				probs.add("exact, unpatched = the model's own probability", []float64{unpatched.Prob}, []float64{own["prob"].Float64[example]})
				if !math.IsNaN(unpatched.DiffProb) {
					t.Errorf("exact probability of a difference %g, want NaN", unpatched.DiffProb)
				}
			}
			// The same through the arithmetic of a substitution.
			atQuery, err := s.Query(in.Query.Stream)
			if err != nil {
				t.Fatal(err)
			}
			atKey, err := s.Key(in.Key.Stream, in.Baseline.Stream)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range []decompose.Substituted{atQuery, atKey} {
				scores.add("exact, the stream in its own place = the model's own score", []float64{v.Score, v.Baseline},
					[]float64{own["score"].Float64[example], float64(in.Baseline.Score)})
				probs.add("exact, the stream in its own place = the model's own probability", []float64{v.Prob}, []float64{own["prob"].Float64[example]})
			}
		}
	}
	for name := range arrays {
		if !compared[name] && !strings.HasSuffix(name, "token_ids") {
			t.Errorf("array %s was compared with nothing", name)
		}
	}
	scores.compare(t, tol)
	probs.compare(t, probTol)
}

// histogram computes the notebook's twelve substitutions for an example.
func (r reference[T]) histogram(t *testing.T, in decompose.Input[T], seq int, row []T, mover [2]int, random map[string]int) map[string]decompose.Substituted {
	t.Helper()
	in.Convention = schema.Notebook
	positions, tokens := r.sequences[seq].Positions, r.sequences[seq].Tokens
	io, s1 := tokens[positions[1]], tokens[positions[2]]
	s, err := decompose.NewSubstitution(in, row, positions[1])
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]decompose.Substituted{}
	enter := func(name string) func(decompose.Substituted, error) {
		return func(v decompose.Substituted, err error) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out[name] = v
		}
	}
	along, err := decompose.Span(ln, r.model.Unembed(io))
	if err != nil {
		t.Fatal(err)
	}
	output := r.output(in, mover)
	_, perp := decompose.Split(ln, along, output)
	enter("queries/W_U[IO]")(s.Query(r.model.Unembed(io)))
	enter("queries/W_U[S]")(s.Query(r.model.Unembed(s1)))
	for name, token := range random {
		enter("queries/" + name)(s.Query(r.model.Unembed(token)))
	}
	enter("queries/NMH_9.9_output")(s.Query(output))
	enter("queries/NMH_9.9,_perp_W_U[IO]")(s.Query(round[T](perp)))
	enter("queries/No_patching")(s.Unpatched(schema.Query))

	tokenVectors := func(token int) (embed, effective, mlp []T) {
		embed = r.model.Embed(token)
		mlp, attn := r.model.EffectiveEmbedding(token)
		for i := range embed {
			effective = append(effective, embed[i]+attn[i]+mlp[i])
		}
		return embed, effective, mlp
	}
	embed, effective, mlp := tokenVectors(io)
	embedS, effectiveS, mlpS := tokenVectors(s1)
	enter("keys/W_E[IO]")(s.Key(embed, embedS))
	enter("keys/W_EE[IO]")(s.Key(effective, effectiveS))
	enter("keys/W_EE_subE[IO]")(s.Key(mlp, mlpS))
	mlp0 := r.layout.MLP(0)
	enter("keys/MLP0_out")(s.Key(in.Key.Component(mlp0), in.Baseline.Component(mlp0)))
	enter("keys/No_patching")(s.Unpatched(schema.Key))
	return out
}

// Printed numbers of the notebook: an absolute 1e-6, shares 1e-5 of their value more.
var printedTolerance = refdata.Tolerance{Name: "float32 printed number", Absolute: 1e-6}

func TestReferenceNotebookNumbers(t *testing.T) {
	referenceFolders(t,
		func(t *testing.T, dir string) { compareNotebook[float64](t, dir, refdata.Float64, refdata.Float64) },
		func(t *testing.T, dir string) {
			compareNotebook[float32](t, dir, refdata.Float32Prob, printedTolerance)
		})
}

func compareNotebook[T blas.Float](t *testing.T, dir string, tol, printed refdata.Tolerance) {
	n := targets(t, dir)
	head := schema.Head{Layer: n.Head[0], Index: n.Head[1]}
	r := loadSequences[T](t, dir, head, promptSet(t, dir, "mixed_n100_seed42_bos"))
	arrays := refdata.Npz(t, filepath.Join(dir, "golden", "notebook_per_prompt_f64.npz"))
	values := map[string][]float64{}
	add := func(name string, v ...float64) { values[name] = append(values[name], v...) }
	unembed, both, mlp0 := slices.Index(goldenQueryBases, "unembed"), slices.Index(goldenQueryBases, "unembed+baseline"), slices.Index(goldenKeyBases, "mlp0")
	for _, in := range r.inputs {
		toKey, toBaseline, err := decompose.QueryLinear(in)
		if err != nil {
			t.Fatal(err)
		}
		keys, _, err := decompose.KeyLinear(in)
		if err != nil {
			t.Fatal(err)
		}
		diff := toKey.Minus(toBaseline)
		add("linear_map/queries", toKey.Map...)
		add("linear_map/queries_bias", toKey.Bias)
		add("linear_map/queries_sub", diff.Map...)
		add("linear_map/queries_sub_bias", diff.Bias)
		add("linear_map/keys", keys.Map...)
		add("linear_map/keys_bias", keys.Bias)

		first, second := r.output(in, n.Movers[0]), r.output(in, n.Movers[1])
		one := decompose.Project(ln, in.QueryBases[unembed], first, toKey.Map)
		oneSub := decompose.Project(ln, in.QueryBases[unembed], first, diff.Map)
		two := decompose.Project(ln, in.QueryBases[both], first, diff.Map)
		add("In14/io_component_norm", one.ParNorm)
		add("In14/io_perp_component_norm", one.PerpNorm)
		add("In14/io_s_component_norm", two.ParNorm)
		add("In14/io_s_perp_component_norm", two.PerpNorm)
		add("In15/cos_io", one.ParCos)
		add("In15/cos_io_perp", one.PerpCos)
		add("In15/cos_io_sub", oneSub.ParCos)
		add("In15/cos_io_perp_sub", oneSub.PerpCos)
		add("In15/cos_io_s_sub", two.ParCos)
		add("In15/cos_io_s_perp_sub", two.PerpCos)
		par, perp := decompose.Cosine(ln, in.QueryBases[both], first, second)
		add("In16/cos_parallel", par)
		add("In16/cos_perp", perp)

		basis := in.KeyBases[mlp0]
		atKey := decompose.Project(ln, basis.AtKey, in.Key.Stream, keys.Map)
		less := decompose.ProjectDiff(ln, basis.AtKey, in.Key.Stream, basis.AtBaseline, in.Baseline.Stream, keys.Map)
		add("MLP0/component_norm", atKey.ParNorm)
		add("MLP0/perp_component_norm", atKey.PerpNorm)
		add("MLP0/cos", atKey.ParCos)
		add("MLP0/cos_perp", atKey.PerpCos)
		add("MLP0/cos_sub", less.ParCos)
		add("MLP0/cos_perp_sub", less.PerpCos)
	}
	var groups grouped
	means := map[string]float64{}
	for name, want := range arrays {
		got, ok := values[name]
		if !ok {
			t.Errorf("array %s was compared with nothing", name)
		}
		if strings.HasPrefix(name, "linear_map/") {
			if tol.Name != refdata.Float64.Name {
				refdata.Compare(t, "by prompt, "+name, got, want.Float64, refdata.Float32)
				continue
			}
		}
		groups.add("by prompt, "+name, got, want.Float64)
		for _, v := range got {
			means[name] += v / float64(len(r.inputs))
		}
	}
	groups.compare(t, tol)

	var shares, numbers grouped
	for name, want := range n.Values {
		var got float64
		fraction, isFraction := strings.CutSuffix(name, "_fraction_explained")
		switch {
		case strings.HasPrefix(name, "pct/"):
			continue
		case isFraction: // the square of a mean, not the mean of squares: they do not add up to 1
			got = math.Pow(means[fraction+"_norm"], 2)
		case name == "MLP0/assert_value":
			got = math.Abs(1 - math.Pow(means["MLP0/component_norm"], 2) - math.Pow(means["MLP0/perp_component_norm"], 2))
		default:
			got = means[name]
		}
		numbers.add("printed, "+name, []float64{got}, []float64{want.Float64})
	}
	a := load[T](t, dir, head)
	for name, got := range a.percentages(t, n.Movers) {
		want := n.Values["pct/"+name].Float64
		shares.add("printed, pct/"+name, []float64{got}, []float64{want})
	}
	numbers.compare(t, printed)
	if printed.Name != refdata.Float64.Name {
		printed.OfScale = 1e-5
	}
	shares.compare(t, printed)
}

// percentages computes the printed shares from prompt set A, all subtracted: query along W_U[IO], key along
// MLP0.
func (r reference[T]) percentages(t *testing.T, movers [][2]int) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	project := "project"
	for i, in := range r.outputs(t, schema.Notebook) {
		c := call{InterveneOnQuery: &project, InterveneOnKey: &project, Subtract: true, Part: []string{"IO_dir", "MLP0_dir"}}
		for _, side := range []string{"keys", "queries"} {
			c.DecomposeBy = side
			whole := c
			whole.Part = nil
			for _, v := range whole.share(whole.table(t, in)) {
				out[side+"_denominator"] += v / float64(len(r.inputs))
			}
			for row, v := range c.share(c.table(t, in))[:len(in.Rows)] {
				component := r.inputs[i].Components[in.Rows[row]]
				v /= float64(len(r.inputs))
				switch {
				case side == "keys" && component.Kind == schema.MLP:
					out["keys_all_MLPs"] += v
					if component.Layer == 0 {
						out["keys_only_MLP0"] += v
					}
				case side == "queries" && component.Kind == schema.HeadOut && slices.Contains(movers, [2]int{component.Layer, component.Head}):
					out["queries_movers"] += v
				}
			}
		}
	}
	out["keys_only_MLP0"] /= out["keys_denominator"]
	out["keys_all_MLPs"] /= out["keys_denominator"]
	out["queries_movers"] /= out["queries_denominator"]
	return out
}

// mirrored turns a vector v into (v, -v)/sqrt(2): its mean is zero, and inner products are as before. The
// reference's projection does not centre, ours does.
func mirrored(v []float64) []float64 {
	out := times(1/math.Sqrt2, v)
	return append(out, times(-1/math.Sqrt2, v)...)
}

func TestReferenceProject(t *testing.T) {
	referenceFolders(t, func(t *testing.T, dir string) {
		arrays := refdata.Npz(t, filepath.Join(dir, "golden", "project_f64.npz"))
		var groups grouped
		for i := range arrays["x"].Shape[0] {
			x, a, b := mirrored(arrays["x"].At(i)), mirrored(arrays["a"].At(i)), mirrored(arrays["b"].At(i))
			compare := func(name string, basis decompose.Basis) {
				par, perp := decompose.Split(ln, basis, x)
				groups.add(name+"_par", par, mirrored(arrays[name+"_par"].At(i)))
				groups.add(name+"_perp", perp, mirrored(arrays[name+"_perp"].At(i)))
			}
			compare("one", span(t, a))
			compare("two", span(t, a, b))
			par, _ := decompose.Split(ln, span(t, a), x)
			groups.add("size of one_coeff", []float64{math.Sqrt(naiveDot(par, par))}, []float64{math.Abs(arrays["one_coeff"].At(i)[0])})

			// The reference projects onto a plane with an axis made up by its SVD; there is one direction,
			// and that is all we use.
			parallel := span(t, a, times(2, a))
			if parallel.Dim() != 1 {
				t.Errorf("span of a and 2 a has dimension %d, want 1", parallel.Dim())
			}
			par, _ = decompose.Split(ln, parallel, x)
			groups.add("parallel directions: the projection on the first", par, mirrored(arrays["one_par"].At(i)))
			made := arrays["parallel_dirs_par"].At(i)
			if d := naiveDot(add(par[:10], times(-1/math.Sqrt2, made)), add(par[:10], times(-1/math.Sqrt2, made))); d < 1e-6 {
				t.Errorf("row %d: the reference's projection on parallel directions is ours; want the made-up axis to show", i)
			}
			// On a zero vector the reference makes up a direction.
			if _, err := decompose.Span(ln, make([]float64, 20)); !errors.Is(err, decompose.ErrDegenerate) {
				t.Errorf("span of a zero vector: %v, want ErrDegenerate", err)
			}
			if v := arrays["zero_dir_par"].At(i); naiveDot(v, v) < 1e-9 {
				t.Errorf("row %d: the reference's projection on a zero vector is zero", i)
			}
		}
		groups.compare(t, refdata.Float64)
	}, nil) // projections are computed in float64 whatever the numbers are
}
