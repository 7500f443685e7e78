package engine_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ducklens/engine"
	"ducklens/engine/internal/npy"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// writeNpy writes an array of type "<f4" or "<f8" as numpy.save does.
func writeNpy(tb testing.TB, dtype string, shape []int, numbers []float64) string {
	tb.Helper()
	header := npy.Header{DType: dtype, Shape: shape}.String()
	for (10+len(header)+1)%64 != 0 {
		header += " "
	}
	text := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)+1), 0)
	text = append(text, header+"\n"...)
	for _, v := range numbers {
		if dtype == "<f4" {
			text = binary.LittleEndian.AppendUint32(text, math.Float32bits(float32(v)))
		} else {
			text = binary.LittleEndian.AppendUint64(text, math.Float64bits(v))
		}
	}
	path := filepath.Join(tb.TempDir(), "directions.npy")
	if err := os.WriteFile(path, text, 0o666); err != nil {
		tb.Fatal(err)
	}
	return path
}

func readBasis(tb testing.TB, side schema.Side, name, path string, perExample bool) engine.UserBasis {
	tb.Helper()
	b, err := engine.ReadUserBasis(engine.UserBasis{Side: side, Name: name, Source: path, PerExample: perExample})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// rowsOf returns the contributions under one pair of bases.
func rowsOf(tb testing.TB, e *engine.Engine, r schema.Result, query, key string) []schema.Contribution {
	tb.Helper()
	q, k := basisNamed(tb, e, schema.Query, query), basisNamed(tb, e, schema.Key, key)
	var rows []schema.Contribution
	for _, c := range r.Heads[0].Contributions {
		if c.QueryBasis == q && c.KeyBasis == k {
			c.QueryBasis, c.KeyBasis = 0, 0
			rows = append(rows, c)
		}
	}
	return rows
}

// near compares contributions to within rounding.
var near = cmp.Options{cmpopts.EquateApprox(0, 1e-5), cmpopts.EquateNaNs()}

// If a user's basis is the unembedding of each prompt's key token, its rows are those of the named basis
// along it.
func TestUserBasisForEachExample(t *testing.T) {
	t.Parallel()
	examples := referenceExamples(t)
	arrays := refdata.Npz(t, filepath.Join(refdata.M2(t), "golden", "effective_embedding_f64.npz"))
	ids := arrays["token_ids"].Ints()
	var one, both []float64
	for _, x := range examples {
		row := func(at int) []float64 {
			i := slices.Index(ids, x.Tokens[at].ID)
			if i < 0 {
				t.Fatalf("no unembedding of token %d", x.Tokens[at].ID)
			}
			return arrays["W_U"].At(i)
		}
		one = append(one, row(x.Key)...)
		both = append(append(both, row(x.Key)...), row(x.Baseline)...)
	}
	mine := readBasis(t, schema.Query, "mine", writeNpy(t, "<f8", []int{50, 32}, one), true)
	mine2 := readBasis(t, schema.Query, "mine2", writeNpy(t, "<f4", []int{50, 2, 32}, both), true)
	options := head(t, engine.Options{Factors: true})
	options.UserBases = []engine.UserBasis{mine, mine2}
	e := open(t, modelFolder(t), options)
	for _, r := range analyze(t, e, examples) {
		for user, named := range map[string]string{"mine": "unembed", "mine2": "unembed+baseline"} {
			for _, key := range []string{"none", "mlp0", "sub_mlp0"} {
				got, want := rowsOf(t, e, r, user, key), rowsOf(t, e, r, named, key)
				if d := cmp.Diff(want, got, near); d != "" || len(got) == 0 {
					t.Fatalf("example %d, %s against %s: %.500s", r.Example.Index, user, named, d)
				}
			}
		}
	}
	b := e.Bases()[basisNamed(t, e, schema.Query, "mine2")]
	if b.Kind != schema.Subspace || b.Dimension != 2 || !strings.Contains(b.Description, "directions.npy; one subspace for each of 50 examples") {
		t.Errorf("basis %+v", b)
	}
	// One prompt more than there are directions.
	extra := examples[0]
	extra.Index = 50
	_, err := e.Analyze(t.Context(), []schema.Example{extra})
	if !errors.Is(err, engine.ErrBasis) || !strings.Contains(err.Error(), "query basis mine has 50 subspaces, one for each example, and this is example 50, counted from 0") ||
		!strings.Contains(hint(err), "or run 50 prompts") {
		t.Errorf("error %v, hint %q", err, hint(err))
	}
}

func TestUserBasisForAllExamples(t *testing.T) {
	t.Parallel()
	vector, other := make([]float64, 32), make([]float64, 32)
	for i := range vector {
		vector[i], other[i] = math.Sin(float64(i)), math.Cos(float64(3*i))
	}
	sum := make([]float64, 32)
	for i := range sum {
		sum[i] = 3*vector[i] - 2*other[i] + 7
	}
	options := head(t, engine.Options{QueryBases: []string{"none"}})
	options.UserBases = []engine.UserBasis{
		readBasis(t, schema.Key, "plane", writeNpy(t, "<f8", []int{2, 32}, slices.Concat(vector, other)), false),
		readBasis(t, schema.Key, "same", writeNpy(t, "<f8", []int{3, 32}, slices.Concat(other, sum, vector)), false),
		readBasis(t, schema.Key, "line", writeNpy(t, "<f8", []int{32}, vector), false),
		{Side: schema.Query, Name: "line", Subspaces: [][][]float64{{vector}}},
	}
	e := open(t, modelFolder(t), options)
	var names []string
	for _, b := range e.Bases() {
		names = append(names, fmt.Sprintf("%s %s %d", b.Side, b.Name, b.Dimension))
	}
	if d := cmp.Diff([]string{"query none 0", "query line 1", "key none 0", "key mlp0 1", "key sub_mlp0 0", "key plane 2", "key same 2", "key line 1"}, names); d != "" {
		t.Error(d)
	}
	for _, r := range analyze(t, e, referenceExamples(t)[:3]) {
		plane := rowsOf(t, e, r, "line", "plane")
		if d := cmp.Diff(plane, rowsOf(t, e, r, "line", "same"), near); d != "" || len(plane) == 0 {
			t.Errorf("three directions of one plane: %.500s", d)
		}
		if cmp.Equal(plane, rowsOf(t, e, r, "line", "line"), near) {
			t.Error("a plane gives the numbers of a line in it")
		}
	}
}

// A basis with other directions at the baseline gives the scores of its own directions at the key and of the
// others at the baseline. A vector that replaces the model's gives a score that is also among the
// substitutions, under the name of the basis.
func TestUserBasisAtTheBaselineAndInPlace(t *testing.T) {
	t.Parallel()
	vector, other := make([]float64, 32), make([]float64, 32)
	for i := range vector {
		vector[i], other[i] = math.Sin(float64(i)), math.Cos(float64(3*i))
	}
	one, two := [][][]float64{{vector}}, [][][]float64{{other}}
	options := head(t, engine.Options{QueryBases: []string{"none"}, Substitutions: true, Movers: []schema.Head{{Layer: 0, Index: 0}}})
	options.UserBases = []engine.UserBasis{
		{Side: schema.Key, Name: "one", Subspaces: one}, {Side: schema.Key, Name: "two", Subspaces: two},
		{Side: schema.Key, Name: "each", Subspaces: one, AtBaseline: two},
		{Side: schema.Key, Name: "put", Subspaces: one, AtBaseline: two, Replacement: true},
		{Side: schema.Query, Name: "put", Subspaces: two, Replacement: true},
	}
	e := open(t, modelFolder(t), options)
	for _, r := range analyze(t, e, referenceExamples(t)[:3]) {
		one, two, each := rowsOf(t, e, r, "none", "one"), rowsOf(t, e, r, "none", "two"), rowsOf(t, e, r, "none", "each")
		for i := range each {
			want := one[i]
			want.Baseline = two[i].Baseline
			if d := cmp.Diff(want, each[i], near); d != "" {
				t.Fatalf("%.500s", d)
			}
		}
		var put schema.Substitution
		sums := map[schema.Side][2]float64{}
		for _, side := range []schema.Side{schema.Query, schema.Key} {
			query, key, held := "put", "none", schema.Key // the side whose vector is not replaced is split
			if side == schema.Key {
				query, key, held = "none", "put", schema.Query
			}
			for _, c := range rowsOf(t, e, r, query, key) {
				if c.Side == held {
					for q := range c.Score {
						sum := sums[side]
						sums[side] = [2]float64{sum[0] + float64(c.Score[q]), sum[1] + float64(c.Baseline[q])}
					}
				}
			}
			for _, s := range r.Heads[0].Substitutions {
				if s.Side == side && s.Vector == "put" {
					put = s
				}
			}
			if got := [2]float64{float64(put.Score), float64(put.Baseline)}; put.Vector == "" || !cmp.Equal(sums[side], got, cmpopts.EquateApprox(1e-4, 1e-5)) {
				t.Errorf("%s side: substitution %v, contributions add up to %v", side, got, sums[side])
			}
		}
	}
	for name, b := range map[string]engine.UserBasis{
		"want 1, on the key side":        {Side: schema.Query, Name: "x", Subspaces: one, AtBaseline: two},
		"want one vector to put in":      {Side: schema.Query, Name: "x", Subspaces: [][][]float64{{vector, other}}, Replacement: true},
		"of 2 entries for the baseline,": {Side: schema.Key, Name: "x", Subspaces: one, AtBaseline: [][][]float64{{{1, 2}}}},
	} {
		if err := (engine.Options{UserBases: []engine.UserBasis{b}}).Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
}

func TestReadUserBasisRefuses(t *testing.T) {
	t.Parallel()
	ones := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(i * i % 17)
		}
		return v
	}
	spoilt := func(n, at int, x float64) []float64 {
		v := ones(n)
		v[at] = x
		return v
	}
	zeroRow := ones(96)
	clear(zeroRow[32:64])
	text := filepath.Join(t.TempDir(), "directions.txt")
	if err := os.WriteFile(text, []byte("1 2 3\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path       string
		perExample bool
		want, hint string
	}{
		"no file":            {filepath.Join(t.TempDir(), "nothing.npy"), false, "nothing.npy: no such file", "path of a .npy file"},
		"text":               {text, false, "damaged numpy array", "numpy.save writes one"},
		"no dimension":       {writeNpy(t, "<f8", nil, ones(1)), false, "has shape [], want [d_model] or [r, d_model]", "numpy.save"},
		"three dimensions":   {writeNpy(t, "<f8", []int{2, 1, 32}, ones(64)), false, "has shape [2 1 32], want [d_model] or [r, d_model]", "one subspace for each example"},
		"four dimensions":    {writeNpy(t, "<f8", []int{1, 2, 1, 32}, ones(64)), true, "has shape [1 2 1 32], want [n, d_model] or [n, r, d_model]", "numpy.save"},
		"one for each of no": {writeNpy(t, "<f8", []int{32}, ones(32)), true, "has shape [32], want [n, d_model]", "numpy.save"},
		"empty":              {writeNpy(t, "<f8", []int{0, 32}, nil), false, "has shape [0 32]", "numpy.save"},
		"NaN":                {writeNpy(t, "<f4", []int{32}, spoilt(32, 5, math.NaN())), false, "direction 0 of 1: entry 5 is NaN", "zero or not finite"},
		"infinity":           {writeNpy(t, "<f8", []int{2, 32}, spoilt(64, 40, math.Inf(-1))), false, "direction 1 of 2: entry 8 is -Inf", "zero or not finite"},
		"zero row":           {writeNpy(t, "<f8", []int{3, 32}, zeroRow), false, "direction 1 of 3: every entry is 0", "zero or not finite"},
		"zero example":       {writeNpy(t, "<f8", []int{3, 32}, zeroRow), true, "directions.npy, example 1: direction 0 of 1: every entry is 0", "zero or"},
		"integers too short": {writeNpy(t, "<f2", []int{1}, nil), false, "bytes of numbers", "numpy.save"},
	} {
		_, err := engine.ReadUserBasis(engine.UserBasis{Side: schema.Key, Name: "mine", Source: c.path, PerExample: c.perExample})
		if !errors.Is(err, engine.ErrArray) || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint(err), c.hint) || !strings.Contains(err.Error(), "key basis mine") {
			t.Errorf("%s: error %v\nhint %q\nwant %q\nhint %q", name, err, hint(err), c.want, c.hint)
		}
	}
	wrong := readBasis(t, schema.Key, "mine", writeNpy(t, "<f8", []int{2, 48}, ones(96)), false)
	_, err := engine.Open(modelFolder(t), head(t, engine.Options{UserBases: []engine.UserBasis{wrong}}))
	if !errors.Is(err, engine.ErrArray) || !strings.Contains(err.Error(), "key basis mine: unusable array of directions: directions of 48 entries from ") ||
		!strings.Contains(err.Error(), "want d_model = 32") || !strings.Contains(hint(err), "last dimension is d_model = 32") {
		t.Errorf("another model's directions: error %v, hint %q", err, hint(err))
	}
}

func TestValidateUserAndRandomBases(t *testing.T) {
	t.Parallel()
	good := [][][]float64{{{1, 2, 3}}}
	options := engine.Options{
		UserBases: []engine.UserBasis{
			{Side: 7, Name: "a", Subspaces: good},
			{Side: schema.Key, Name: "two words", Subspaces: good},
			{Side: schema.Key, Name: "mlp0", Subspaces: good},
			{Side: schema.Query, Name: "random3", Subspaces: good},
			{Side: schema.Query, Name: "b"},
			{Side: schema.Query, Name: "c", Subspaces: [][][]float64{{{1, 2, 3}}, {{1, 2}}}},
			{Side: schema.Query, Name: "d", PerExample: true, Subspaces: [][][]float64{{{1, 2, 3}}, {{1, 2}}}},
			{Side: schema.Query, Name: "e", Subspaces: [][][]float64{{}}},
			{Side: schema.Query, Name: "f", Subspaces: good}, {Side: schema.Query, Name: "f", Subspaces: good}, {Side: schema.Key, Name: "f", Subspaces: good},
		},
		NullBases: -1,
		Movers:    []schema.Head{{Layer: -1}, {Layer: 1}, {Layer: 1}},
	}
	err := options.Validate()
	for _, want := range []string{`basis "a" of side number 7`, `key basis name "two words", want a letter`, "key basis name mlp0 is taken", "query basis name random3 is taken",
		"query basis b has 0 subspaces", "query basis c has 2 subspaces, want one, or one for each example and PerExample set", "query basis d: unusable array of directions: UserBasis.Subspaces, example 1: 2 entries, want 3",
		"span of no directions", "query basis f is given twice", "-1 random bases, want 0 to 1000", "mover head -1.0", "mover head 1.0 is given twice"} {
		if err == nil || !errors.Is(err, engine.ErrOptions) || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	if strings.Count(err.Error(), "is given twice") != 2 {
		t.Errorf("one name on both sides is a fault: %v", err)
	}
	if err := (engine.Options{AttentionOnly: true, Pairs: true}).Validate(); !errors.Is(err, engine.ErrOptions) || !strings.Contains(err.Error(), "attention only") {
		t.Errorf("attention only with pairs: %v", err)
	}
}

// Random bases are paired by number and are the same for the same seed, and the contributions along them add
// up.
func TestRandomBases(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	const n = 20
	options := head(t, engine.Options{NullBases: n, Seed: 5})
	e := open(t, dir, options)
	bases := e.Bases()
	if len(bases) != 4+3+2*n || bases[4].Name != "random0" || bases[4+n-1].Name != "random19" || bases[len(bases)-1].Side != schema.Key {
		t.Fatalf("%d bases", len(bases))
	}
	random := func(b schema.Basis) bool { return strings.HasPrefix(b.Name, "random") }
	examples := referenceExamples(t)
	results := analyze(t, e, examples)
	tables := map[[3]int]bool{}
	worst := 0.0
	var along, whole float64 // sums of squares, over everything
	for _, r := range results {
		h := r.Heads[0]
		worst = max(worst, h.Score.Closure)
		sums := map[[3]int]float64{}
		for _, c := range h.Contributions {
			q, k := bases[c.QueryBasis], bases[c.KeyBasis]
			if random(q) != random(k) || random(q) && q.Name != k.Name {
				t.Fatalf("bases %s and %s are a pair", q.Name, k.Name)
			}
			pair := [3]int{int(c.Side), c.QueryBasis, c.KeyBasis}
			tables[pair] = true
			for _, v := range c.Score {
				sums[pair] += float64(v)
			}
			if random(q) && c.Side == schema.Key {
				part := float64(c.Score[schema.PerpPar])
				rest := part + float64(c.Score[schema.PerpPerp])
				along, whole = along+part*part, whole+rest*rest
			}
		}
		for pair, sum := range sums {
			if bases[pair[1]].Kind == schema.Replacement || bases[pair[2]].Kind == schema.Replacement {
				continue
			}
			if d := math.Abs(sum - float64(h.Score.Score)); !(d <= 1e-4) {
				t.Fatalf("example %d, %v: rows miss the score by %g", r.Example.Index, pair, d)
			}
		}
	}
	// Key side: four query bases by two, query side: three by three.
	if len(tables) != 4*2+3*3+2*n {
		t.Errorf("%d tables, want %d", len(tables), 4*2+3*3+2*n)
	}
	if worst > 1e-4 {
		t.Errorf("closure %g", worst)
	}
	// A random direction holds a small part of a contribution: of the order of 1/d_model of its square.
	if share := along / whole; share < 0.001 || share > 0.2 {
		t.Errorf("random directions hold %g of the squares", share)
	}

	again := analyze(t, open(t, dir, options), examples[3:5])
	if d := cmp.Diff(results[3:5], again, cmpopts.EquateNaNs(), cmp.Comparer(func(a, b schema.Position) bool { return a == b })); d != "" {
		t.Errorf("the same seed in another batch: %.500s", d)
	}
	options.Seed = 6
	other := open(t, dir, options)
	if cmp.Equal(rowsOf(t, e, results[0], "random3", "random3"), rowsOf(t, other, analyze(t, other, examples[:1])[0], "random3", "random3"), near) {
		t.Error("another seed gives the same directions")
	}
	if cmp.Equal(rowsOf(t, e, results[0], "random3", "random3"), rowsOf(t, e, results[0], "random4", "random4"), near) {
		t.Error("another number gives the same directions")
	}
}

// Default bases that do not apply are left out with a notice; named ones are errors.
func TestDefaultBasesAreLeftOut(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	names := func(e *engine.Engine) string {
		var list []string
		for _, b := range e.Bases() {
			list = append(list, b.Name)
		}
		return strings.Join(list, " ")
	}
	for name, c := range map[string]struct {
		options       engine.Options
		bases, notice string
	}{
		"all there":     {head(t, engine.Options{}), "none unembed unembed+baseline sub_unembed none mlp0 sub_mlp0", ""},
		"early head":    {engine.Options{Heads: []schema.Head{{Layer: 2}, {Layer: 0, Index: 1}}}, "none unembed unembed+baseline sub_unembed none", "key bases mlp0 and sub_mlp0 are left out: head 0.1 reads the stream before layer 0 has written"},
		"every head":    {engine.Options{}, "none unembed unembed+baseline sub_unembed none mlp0 sub_mlp0", "heads of layer 0 are left out: key bases mlp0 and sub_mlp0 are made from the output of layer 0"},
		"attention":     {engine.Options{AttentionOnly: true}, "", ""},
		"none asked":    {engine.Options{KeyBases: []string{"none"}}, "none unembed unembed+baseline sub_unembed none", ""},
		"substitutions": {engine.Options{KeyBases: []string{"none"}, Substitutions: true}, "none unembed unembed+baseline sub_unembed none", "no mover heads: head 0.0 is in layer 0, and no head writes before it"},
	} {
		e := open(t, dir, c.options)
		if got := strings.Join(e.Notices(), "; "); names(e) != c.bases || got != c.notice {
			t.Errorf("%s: bases %s, notice %q; want %s, %q", name, names(e), got, c.bases, c.notice)
		}
	}

	e := open(t, dir, head(t, engine.Options{Factors: true}))
	prompt := schema.Prompt{Text: "Then Ada and Bo spoke", Query: schema.AtWord("spoke"), Key: schema.AtWord("Bo")}
	x, err := e.Example(prompt)
	if err != nil {
		t.Fatalf("a prompt without a baseline under the default bases: %v", err)
	}
	if x.RandomName != schema.NoToken || x.RandomToken != schema.NoToken {
		t.Errorf("random tokens %d and %d, want none", x.RandomName, x.RandomToken)
	}
	// Among prompts that have one, its rows of that basis are missing.
	results := analyze(t, e, []schema.Example{referenceExamples(t)[0], x})
	if len(rowsOf(t, e, results[0], "unembed+baseline", "mlp0")) == 0 || len(rowsOf(t, e, results[1], "unembed+baseline", "mlp0")) != 0 || len(rowsOf(t, e, results[1], "unembed", "mlp0")) == 0 {
		t.Error("rows of unembed+baseline where there is a baseline, and only there")
	}
	before := rowsOf(t, e, results[1], "unembed", "mlp0")
	if err := e.Prepare(t.Context(), []schema.Example{x}); err != nil {
		t.Fatal(err)
	}
	if want := "query basis unembed+baseline is left out: example 0 has no baseline"; !slices.Contains(e.Notices(), want) || names(e) != "none unembed sub_unembed none mlp0 sub_mlp0" {
		t.Errorf("bases %s, notices %q; want %q", names(e), e.Notices(), want)
	}
	after := analyze(t, e, []schema.Example{x})
	if d := cmp.Diff(before, rowsOf(t, e, after[0], "unembed", "mlp0"), near); d != "" {
		t.Errorf("rows without the basis: %.500s", d)
	}
	asked := open(t, dir, head(t, engine.Options{QueryBases: []string{"unembed+baseline"}}))
	if _, err := asked.Example(prompt); !errors.Is(err, engine.ErrBasis) || !strings.Contains(hint(err), "leave out query basis unembed+baseline") {
		t.Errorf("a basis that was asked for: error %v, hint %q", err, hint(err))
	}
}
