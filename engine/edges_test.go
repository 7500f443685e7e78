package engine_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ducklens/engine"
	"ducklens/engine/family/familytest"
	"ducklens/schema"
)

// tinyFamily writes a small model of a family with a context of this many tokens.
func tinyFamily(tb testing.TB, kind string, tokens int) string {
	tb.Helper()
	c := familytest.Tiny(kind)
	for _, key := range []string{"n_positions", "max_position_embeddings"} {
		if _, ok := c[key]; ok {
			c = c.With(key, tokens)
		}
	}
	dir := tb.TempDir()
	if err := familytest.Write(dir, c, 3); err != nil {
		tb.Fatal(err)
	}
	if err := writeVocabulary(dir); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// randomText draws tokens of a small vocabulary, so that many are repeated.
func randomText(seed uint64, n, vocabulary int) []int {
	rng, list := rand.New(rand.NewPCG(seed, 1)), make([]int, n)
	for i := range list {
		list[i] = rng.IntN(vocabulary)
	}
	return list
}

// edgeFamilies are families with and without windows, a sink, a cap, and groups of heads.
var edgeFamilies = []string{"gpt2", "llama", "mistral", "gemma2", "gpt_oss", "olmo3"}

// twoHeads are target heads whose layers have different windows in some of the families.
var twoHeads = []schema.Head{{Layer: 1, Index: 1}, {Layer: 2, Index: 3}}

// whole returns the attention of a prompt by head and query, computed from edges that are given.
func whole(tb testing.TB, dir string, options engine.Options, x schema.Example) [][]schema.HeadResult {
	tb.Helper()
	e := open(tb, dir, engine.Options{Heads: options.Heads, Precision: options.Precision, AttentionOnly: true})
	var examples []schema.Example
	for query := range x.Tokens {
		x.Query, x.Key = query, query
		examples = append(examples, x)
	}
	list := make([][]schema.HeadResult, len(options.Heads))
	for _, r := range analyze(tb, e, examples) {
		for h := range r.Heads {
			list[h] = append(list[h], r.Heads[h])
		}
	}
	return list
}

// pair is an edge in tests.
type pair struct{ query, key int }

// brute chooses the edges of any rule except sample by looking at all edges.
func brute(attention [][]schema.HeadResult, tokens []int, r schema.EdgeRule) map[pair]bool {
	chosen := map[pair]bool{}
	for q := range tokens {
		var visible []int
		for k := range q + 1 {
			if !slices.ContainsFunc(attention, func(rows []schema.HeadResult) bool { return k < rows[q].FirstKey }) {
				visible = append(visible, k)
			}
		}
		for _, rows := range attention {
			prob := func(k int) float32 { return rows[q].Attention[k-rows[q].FirstKey].Prob }
			order := slices.Clone(visible)
			slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(prob(b), prob(a)) })
			for place, k := range order {
				earlier := k < q && tokens[k] == tokens[q]
				after := 0 < k && k < q && tokens[k-1] == tokens[q]
				if map[string]bool{
					"top": place < r.Count, "above": float64(prob(k)) > r.Enough, "previous": k == q-1, "first": k == 0 && q > 0,
					"self": k == q, "duplicate": earlier, "induction": after,
				}[r.Name] {
					chosen[pair{q, k}] = true
				}
			}
		}
	}
	return chosen
}

// Every rule chooses the edges that a look at all edges chooses, alone and with other rules, in every family.
// An edge of several rules is one example with the names of all, and edges are in order.
func TestRulesChoose(t *testing.T) {
	t.Parallel()
	texts := []string{"top:1", "top:3", "above:0.2", "above:0", "previous", "first", "self", "duplicate", "induction"}
	for _, kind := range edgeFamilies {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := tinyFamily(t, kind, 300)
			options := engine.Options{Heads: twoHeads, AttentionOnly: true, Precision: engine.Float32}
			x := openPrompt(0, randomText(5, 40, 9))
			tokens := make([]int, len(x.Tokens))
			for i, token := range x.Tokens {
				tokens[i] = token.ID
			}
			attention := whole(t, dir, options, x)
			want := map[pair][]string{}
			for _, text := range texts {
				options.Edges = []schema.EdgeRule{rule(t, text)}
				edges := brute(attention, tokens, options.Edges[0])
				if len(edges) == 0 && text != "first" { // which a window hides
					t.Errorf("%s chooses nothing", text)
				}
				for _, r := range explain(t, open(t, dir, options), x)[0].Examples {
					at := pair{r.Example.Query, r.Example.Key}
					if !edges[at] || !slices.Equal(r.Example.Rules, []string{text}) {
						t.Errorf("%s: edge %v by %v", text, at, r.Example.Rules)
					}
					delete(edges, at)
					want[at] = append(want[at], text)
				}
				if len(edges) > 0 {
					t.Errorf("%s: edges %v are not there", text, edges)
				}
			}
			options.Edges = nil
			for _, text := range texts {
				options.Edges = append(options.Edges, rule(t, text))
			}
			last := pair{-1, -1}
			for _, r := range explain(t, open(t, dir, options), x)[0].Examples {
				at := pair{r.Example.Query, r.Example.Key}
				if at.query < last.query || at.query == last.query && at.key <= last.key {
					t.Errorf("edge %v after %v", at, last)
				}
				if last = at; !slices.Equal(r.Example.Rules, want[at]) {
					t.Errorf("edge %v by %v, want %v", at, r.Example.Rules, want[at])
				}
				delete(want, at)
			}
			if len(want) > 0 {
				t.Errorf("edges %v are not there beside others", want)
			}
		})
	}
}

// A sample has the requested number of edges for each head, as many from each tenth of all edges by
// attention. Which ones depends on the seed and on the tokens.
func TestSampleIsSpread(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"gpt2", "gpt_oss"} {
		dir := tinyFamily(t, kind, 300)
		options := engine.Options{Heads: twoHeads[:1], AttentionOnly: true}
		x := openPrompt(0, randomText(5, 60, 9))
		type weighted struct {
			prob float32
			pair
		}
		var all []weighted
		for _, row := range whole(t, dir, options, x)[0] {
			query := row.FirstKey + len(row.Attention) - 1
			for i, a := range row.Attention {
				all = append(all, weighted{a.Prob, pair{query, row.FirstKey + i}})
			}
		}
		slices.SortFunc(all, func(a, b weighted) int {
			return cmp.Or(cmp.Compare(a.prob, b.prob), cmp.Compare(a.query, b.query), cmp.Compare(a.key, b.key))
		})
		seen := map[string]bool{}
		for _, c := range []struct {
			n, want int
			seed    int64
		}{{1, 1, 0}, {10, 10, 0}, {10, 10, 1}, {95, 95, 0}, {len(all) - 1, len(all) - 1, 0}, {len(all) + 5, len(all), 0}} {
			options.Edges, options.Seed = []schema.EdgeRule{{Name: schema.EdgeSample, Count: c.n}}, c.seed
			var tenths [10]int
			drawn := ""
			examples := explain(t, open(t, dir, options), x)[0].Examples
			for _, r := range examples {
				at := slices.IndexFunc(all, func(w weighted) bool { return w.pair == pair{r.Example.Query, r.Example.Key} })
				tenth := 9
				for tenth*len(all)/10 > at {
					tenth--
				}
				tenths[tenth]++
				drawn += fmt.Sprint(r.Example.Query, "-", r.Example.Key, " ")
			}
			if len(examples) != c.want {
				t.Errorf("%s: sample:%d gives %d edges of %d", kind, c.n, len(examples), len(all))
			}
			if low, high := slices.Min(tenths[:]), slices.Max(tenths[:]); high-low > 1 {
				t.Errorf("%s: sample:%d has %v of the tenths", kind, c.n, tenths)
			}
			if c.n == 1 && tenths[9] != 1 {
				t.Errorf("%s: sample:1 is of tenths %v, want the last", kind, tenths)
			}
			if c.n == 10 {
				seen[drawn] = true
			}
		}
		if len(seen) != 2 {
			t.Errorf("%s: two seeds draw %v", kind, seen)
		}
	}
}

// At most the maximum number of edges is kept, some of every rule, and all with the rules that they had.
func TestMostEdges(t *testing.T) {
	t.Parallel()
	dir := tinyFamily(t, "llama", 300)
	options := engine.Options{Heads: twoHeads, AttentionOnly: true, Edges: []schema.EdgeRule{rule(t, "self"), rule(t, "induction"), rule(t, "first"), rule(t, "top:2")}}
	x := openPrompt(0, randomText(8, 50, 30))
	edges := map[pair][]string{}
	for _, r := range explain(t, open(t, dir, options), x)[0].Examples {
		edges[pair{r.Example.Query, r.Example.Key}] = r.Example.Rules
	}
	for _, most := range []int{1, 4, 7, len(edges) - 1, len(edges), len(edges) + 1} {
		options.MaxEdges = most
		examples := explain(t, open(t, dir, options), x)[0].Examples
		rules := map[string]int{}
		for _, r := range examples {
			if want := edges[pair{r.Example.Query, r.Example.Key}]; !slices.Equal(r.Example.Rules, want) {
				t.Errorf("edge %d, %d by %v, want %v", r.Example.Query, r.Example.Key, r.Example.Rules, want)
			}
			for _, name := range r.Example.Rules {
				rules[name]++
			}
		}
		if len(examples) != min(most, len(edges)) {
			t.Errorf("%d edges, want %d", len(examples), min(most, len(edges)))
		}
		for _, r := range options.Edges {
			if least := most / len(options.Edges); rules[r.String()] < min(1, least) {
				t.Errorf("of %d edges, %v by rules %v", most, rules, options.Edges)
			}
		}
	}
}

// An edge that came with a prompt is among the others if given is one of the rules, has its baseline, and is
// kept first. Without other rules, or if given is not one of them, it is the only edge.
func TestGivenBesideRules(t *testing.T) {
	t.Parallel()
	dir := tinyFamily(t, "gpt2", 300)
	options := head(t, engine.Options{AttentionOnly: true})
	x := openPrompt(0, randomText(8, 12, 30))
	x.Query, x.Key, x.Baseline = 9, 8, 3
	for name, c := range map[string]struct {
		rules []string
		most  int
		want  int
	}{
		"none":         {nil, 0, 1},
		"given":        {[]string{"given"}, 0, 1},
		"others":       {[]string{"first"}, 0, 1},
		"beside":       {[]string{"first", "given"}, 0, 12},
		"also chosen":  {[]string{"previous", "given"}, 0, 11},
		"first kept":   {[]string{"self", "given"}, 1, 1},
		"not measured": {[]string{"given"}, 3, 1},
	} {
		options.Edges, options.MaxEdges = nil, c.most
		for _, text := range c.rules {
			options.Edges = append(options.Edges, rule(t, text))
		}
		r := explain(t, open(t, dir, options), x)[0]
		at := slices.IndexFunc(r.Examples, func(r schema.Result) bool { return r.Example.Query == 9 && r.Example.Key == 8 })
		if len(r.Examples) != c.want || at < 0 || r.Examples[at].Example.Baseline != 3 || math.IsNaN(float64(r.Examples[at].Heads[0].Score.Baseline)) {
			t.Errorf("%s: %d examples, the given one is number %d", name, len(r.Examples), at)
			continue
		}
		for i := range r.Examples {
			if own := &r.Examples[i].Example; i != at && (own.Baseline != schema.NoPosition || slices.Contains(own.Rules, "given")) {
				t.Errorf("%s: baseline %d of an edge by %v", name, own.Baseline, own.Rules)
			}
		}
		if want := c.rules; name == "also chosen" && !slices.Equal(r.Examples[at].Example.Rules, want) {
			t.Errorf("%s: by %v, want %v", name, r.Examples[at].Example.Rules, want)
		}
		if (len(r.Measures) > 0) != (len(c.rules) > 1) {
			t.Errorf("%s: %d measures", name, len(r.Measures))
		}
	}
}

// Results of edges chosen by rules are bit by bit those of the same edges when they are given, with all
// options, and depend only on the prompt.
func TestEdgesAreExamples(t *testing.T) {
	t.Parallel()
	for _, kind := range edgeFamilies {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := tinyFamily(t, kind, 300)
			options := engine.Options{Heads: twoHeads, Threads: 1, Baseline: schema.BaselineNone, Movers: []schema.Head{{Layer: 0, Index: 2}},
				Factors: true, Substitutions: true, Projections: true, Logits: true, QueryBases: []string{"unembed"}, KeyBases: []string{"mlp0", "effective"},
				Edges: []schema.EdgeRule{rule(t, "sample:12"), rule(t, "top:1"), rule(t, "induction")}}
			var prompts []schema.Example
			for i, n := range []int{1, 30, 17, 64, 65} {
				prompts = append(prompts, openPrompt(i, randomText(uint64(i+1), n, 20)))
			}
			e := open(t, dir, options)
			together := explain(t, e, prompts...)
			options.Threads = 3
			other := open(t, dir, options)
			for i, want := range together {
				if d := difference(want, explain(t, other, prompts[i])[0]); d != "" {
					t.Errorf("prompt %d, alone on three threads: %.1000s", i, d)
				}
				var given []schema.Example
				for _, r := range want.Examples {
					given = append(given, r.Example)
				}
				results := analyze(t, other, given)
				if d := difference(want.Examples, results); d != "" {
					t.Errorf("prompt %d, edges given: %.1000s", i, d)
				}
				if len(want.Measures) == 0 || len(want.Examples) == 0 {
					t.Errorf("prompt %d: %d measures, %d edges", i, len(want.Measures), len(want.Examples))
				}
			}
			slices.Reverse(prompts)
			backwards := explain(t, other, prompts...)
			slices.Reverse(backwards)
			if d := difference(together, backwards); d != "" {
				t.Errorf("in reverse order: %.1000s", d)
			}
		})
	}
}

// difference shows how results differ; NaN equals NaN. It returns "" if they are the same bits.
func difference(want, got any) string {
	if sameBits(reflect.ValueOf(want), reflect.ValueOf(got)) {
		return ""
	}
	same := gocmp.Comparer(func(a, b schema.Position) bool { return a == b })
	return "other bits: " + gocmp.Diff(want, got, cmpopts.EquateNaNs(), same)
}

// sameBits is reflect.DeepEqual, except that NaN equals NaN and private fields are ignored.
func sameBits(a, b reflect.Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case reflect.Float32, reflect.Float64:
		return math.Float64bits(a.Float()) == math.Float64bits(b.Float())
	case reflect.Pointer:
		return a.IsNil() == b.IsNil() && (a.IsNil() || sameBits(a.Elem(), b.Elem()))
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		if row, ok := a.Interface().([]schema.Attention); ok {
			return slices.Equal(row, b.Interface().([]schema.Attention))
		}
		for i := range a.Len() {
			if !sameBits(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		for i := range a.NumField() {
			if a.Type().Field(i).IsExported() && !sameBits(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Array:
		for i := range a.Len() {
			if !sameBits(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}

// A long document is analysed in parts of bounded size. Together they are what Explain returns, and
// contributions add up on all edges.
func TestLongDocument(t *testing.T) {
	t.Parallel()
	const most = 1100
	for _, kind := range []string{"gpt2", "gpt_oss"} {
		dir := tinyFamily(t, kind, most)
		all := engine.AllHeads(schema.Model{NLayers: 3, NHeads: 4})
		for name, options := range map[string]engine.Options{
			"attention":  {AttentionOnly: true, Heads: all, Edges: []schema.EdgeRule{rule(t, "self")}},
			"components": {Heads: twoHeads, QueryBases: []string{"none"}, KeyBases: []string{"none"}, Edges: []schema.EdgeRule{rule(t, "sample:30"), rule(t, "self")}},
			"float64":    {Precision: engine.Float64, Heads: twoHeads, QueryBases: []string{"none"}, KeyBases: []string{"none"}, Edges: []schema.EdgeRule{rule(t, "previous")}},
		} {
			tokens := 620
			if name == "attention" {
				tokens = most // whose rows are more than a part may have
			}
			e := open(t, dir, options)
			x := openPrompt(4, randomText(9, tokens, 90))
			want := explain(t, e, x)[0]
			edges, parts := 0, 0
			err := e.Stream(t.Context(), []schema.Example{x}, func(i int, part schema.PromptResult) error {
				if i != 0 || (parts == 0) != (len(part.Measures) > 0) {
					t.Errorf("%s %s: part %d of prompt %d has %d measures", kind, name, parts, i, len(part.Measures))
				}
				if d := difference(want.Examples[edges:edges+len(part.Examples)], part.Examples); d != "" {
					t.Errorf("%s %s: part %d: %.500s", kind, name, parts, d)
				}
				bytes, last := 0, -1
				for _, r := range part.Examples {
					for _, h := range r.Heads {
						if r.Example.Query != last {
							bytes += 8 * len(h.Attention)
						}
						bytes += 64 * len(h.Contributions)
					}
					last = r.Example.Query
				}
				if bytes > engine.KeptBytes {
					t.Errorf("%s %s: a part of %d bytes", kind, name, bytes)
				}
				parts++
				edges += len(part.Examples)
				return nil
			})
			if err != nil || edges != len(want.Examples) || edges < tokens-1 {
				t.Errorf("%s %s: %d edges in parts, %d together: %v", kind, name, edges, len(want.Examples), err)
			}
			if name == "attention" && parts < 2 {
				t.Errorf("%s: all in one part", kind)
			}
			if options.AttentionOnly {
				continue
			}
			for _, r := range want.Examples {
				for i, h := range r.Heads {
					sum := 0.0
					for _, c := range h.Contributions {
						if c.Side == schema.Key {
							for _, q := range c.Score {
								sum += float64(q)
							}
						}
					}
					score := float64(h.Score.Score)
					if !(math.Abs(sum-score) <= 1e-4*max(1, math.Abs(score))) {
						t.Fatalf("%s %s: edge %d, %d, head %d: contributions add up to %v, the score is %v", kind, name, r.Example.Query, r.Example.Key, i, sum, score)
					}
				}
			}
		}
	}
}

// The kind of a baseline follows the options, and is none if there is nothing to compare with.
func TestKindsOfBaselines(t *testing.T) {
	t.Parallel()
	dir := tinyFamily(t, "gpt2", 300)
	x := openPrompt(0, randomText(3, 6, 20))
	given := x
	given.Index, given.PromptIndex, given.Query, given.Key, given.Baseline = 1, 1, 4, 2, 1
	bare := given
	bare.Index, bare.PromptIndex, bare.Baseline = 2, 2, schema.NoPosition
	for kind, want := range map[schema.BaselineKind][4]schema.BaselineKind{ // of query 0, of query 3, given, given without
		"":                       {"none", "attention", "", ""},
		schema.BaselineNone:      {"none", "none", "none", "none"},
		schema.BaselineToken:     {"none", "none", "token", "none"},
		schema.BaselineMean:      {"none", "mean", "mean", "mean"},
		schema.BaselineAttention: {"none", "attention", "attention", "attention"},
	} {
		options := head(t, engine.Options{Baseline: kind, QueryBases: []string{"none"}, KeyBases: []string{"none"}, Edges: []schema.EdgeRule{rule(t, "self")}})
		r := explain(t, open(t, dir, options), x, given, bare)
		got := [4]schema.BaselineKind{r[0].Examples[0].Example.BaselineKind, r[0].Examples[3].Example.BaselineKind, r[1].Examples[0].Example.BaselineKind, r[2].Examples[0].Example.BaselineKind}
		if got != want {
			t.Errorf("baseline %q: kinds %q, want %q", kind, got, want)
		}
		if has := r[1].Examples[0].Example.Baseline != schema.NoPosition; has != (kind == "" || kind == schema.BaselineToken) {
			t.Errorf("baseline %q: a position %t", kind, has)
		}
	}
}

func TestEdgeOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]engine.Options{
		"edge rule self is given twice":                    {Edges: []schema.EdgeRule{{Name: "self"}, {Name: "self"}}},
		`wrong edge rule "top:0"`:                          {Edges: []schema.EdgeRule{{Name: "top"}}},
		"want no more than self says":                      {Edges: []schema.EdgeRule{{Name: "self", Count: 3}}},
		"at most -1 edges of a prompt":                     {MaxEdges: -1},
		`baseline "all", want token, mean, attention or`:   {Baseline: "all"},
		"threshold 1 of a row's largest probability, want": {Threshold: 1},
	} {
		if err := o.Validate(); !errors.Is(err, engine.ErrOptions) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want ErrOptions with %q", err, want)
		}
	}
	dir := tinyFamily(t, "gpt2", 300)
	e := open(t, dir, head(t, engine.Options{Edges: []schema.EdgeRule{{Name: "self"}}}))
	if _, err := e.Analyze(t.Context(), []schema.Example{openPrompt(3, []int{1, 2})}); !errors.Is(err, engine.ErrPrompt) || !strings.Contains(err.Error(), "example 3") {
		t.Errorf("Analyze of a prompt without positions: %v", err)
	}
	for name, ids := range map[string][]int{"none": {}, "too many": make([]int, 301), "unknown": {1, 101}} {
		if _, err := e.Explain(t.Context(), []schema.Example{openPrompt(3, ids)}); !errors.Is(err, engine.ErrPrompt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	x, err := e.Example(schema.Prompt{Text: "Then Ada gave the key"})
	if err != nil || x.Query != schema.NoPosition || x.Key != schema.NoPosition || len(x.Tokens) == 0 {
		t.Errorf("a prompt without positions: %+v, %v", x, err)
	}
	if _, err := open(t, dir, head(t, engine.Options{})).Example(schema.Prompt{Text: "Then Ada gave the key"}); !errors.Is(err, engine.ErrPrompt) {
		t.Errorf("without rules: %v", err)
	}
}

// Measures agree with a look at all rows.
func TestMeasuresOfRows(t *testing.T) {
	t.Parallel()
	for _, kind := range edgeFamilies {
		dir := tinyFamily(t, kind, 300)
		options := engine.Options{Heads: twoHeads, AttentionOnly: true, Measures: true, Threshold: 0.2}
		x := openPrompt(0, randomText(5, 40, 9))
		attention := whole(t, dir, options, x)
		got := map[string]schema.HeadMeasure{}
		for _, m := range explain(t, open(t, dir, options), x)[0].Measures {
			got[m.Head.String()+m.Measure] = m
		}
		for h, rows := range attention {
			want := map[string][]float64{}
			add := func(name string, v float64) { want[name] = append(want[name], v) }
			for q, row := range rows {
				prob := func(k int) float64 {
					if k < row.FirstKey {
						return 0
					}
					return float64(row.Attention[k-row.FirstKey].Prob)
				}
				entropy, distance, all, largest := 0.0, 0.0, 0.0, 0.0
				var twice, after []float64
				for k := range q + 1 {
					p := prob(k)
					if p > 0 {
						entropy -= p * math.Log(p)
					}
					distance, all, largest = distance+p*float64(q-k), all+p, max(largest, p)
					if k < q && x.Tokens[k] == x.Tokens[q] {
						twice = append(twice, p)
					}
					if 0 < k && k < q && x.Tokens[k-1] == x.Tokens[q] {
						after = append(after, p)
					}
				}
				if sink := 1 - all; kind == "gpt_oss" {
					entropy -= sink * math.Log(sink)
				}
				add("self", prob(q))
				for name, list := range map[string][]float64{"duplicate": twice, "induction": after} {
					if len(list) > 0 {
						sum := 0.0
						for _, p := range list {
							sum += p
						}
						add(name, sum)
					}
				}
				if q > 0 {
					above := 0.0
					if largest > options.Threshold {
						above = 1
					}
					add("previous", prob(q-1))
					add("first", prob(0))
					add("entropy", entropy)
					add("distance", distance/all)
					add("above", above)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(want)) {
				sum := 0.0
				for _, v := range want[name] {
					sum += v
				}
				m := got[twoHeads[h].String()+name]
				if value := sum / float64(len(want[name])); m.N != len(want[name]) || !(math.Abs(m.Value-value) <= 2e-6*max(1, math.Abs(value))) {
					t.Errorf("%s, head %s: %s %v of %d, want %v of %d", kind, twoHeads[h], name, m.Value, m.N, value, len(want[name]))
				}
			}
			if len(want) != 8 {
				t.Errorf("%d measures", len(want))
			}
		}
		if len(got) != 16 {
			t.Errorf("%s: %d measures of two heads", kind, len(got))
		}
	}
}

// A prompt without repeated tokens has no measures of them.
func TestMeasuresThatAreNotThere(t *testing.T) {
	t.Parallel()
	e := open(t, tinyFamily(t, "gpt2", 300), engine.Options{Heads: twoHeads[:1], AttentionOnly: true, Measures: true})
	names := func(ids ...int) (list []string) {
		for _, m := range explain(t, e, openPrompt(0, ids))[0].Measures {
			list = append(list, m.Measure)
		}
		return list
	}
	if got := names(1); !slices.Equal(got, []string{"self"}) {
		t.Errorf("measures of one token: %v", got)
	}
	if got := names(1, 2, 3); !slices.Equal(got, []string{"previous", "first", "self", "entropy", "distance", "above"}) {
		t.Errorf("measures without repeats: %v", got)
	}
	if got := names(1, 1); !slices.Equal(got, []string{"previous", "first", "self", "duplicate", "entropy", "distance", "above"}) {
		t.Errorf("measures of a token twice: %v", got) // the token after the first is the query
	}
}

// Many given edges of one prompt share its forward pass.
func TestGivenEdgesShareAPass(t *testing.T) {
	t.Parallel()
	e := open(t, tinyFamily(t, "llama", 300), engine.Options{Heads: twoHeads, QueryBases: []string{"none"}, KeyBases: []string{"none"}})
	x := openPrompt(0, randomText(2, 300, 90))
	var examples []schema.Example
	for i := range 400 {
		x.Index, x.Query, x.Key = i, 299-i%300, (299-i%300)/2
		examples = append(examples, x)
	}
	if passes := e.Passes(examples); len(passes) != 1 {
		t.Errorf("%d passes", len(passes))
	}
	together := analyze(t, e, examples)
	for _, i := range []int{0, 7, 399} {
		if d := difference(together[i:i+1], analyze(t, e, examples[i:i+1])); d != "" {
			t.Errorf("example %d alone: %.500s", i, d)
		}
	}
}

// Mover heads can be chosen by edges that rules choose, with any number of threads. Default bases that are
// made from a baseline are left out.
func TestPrepareByRules(t *testing.T) {
	t.Parallel()
	dir := tinyFamily(t, "gpt2", 300)
	options := engine.Options{Heads: twoHeads, Substitutions: true, Edges: []schema.EdgeRule{rule(t, "top:2"), rule(t, "sample:30")}}
	var movers [][]schema.Head
	for _, threads := range []int{1, 3} {
		options.Threads = threads
		e := open(t, dir, options)
		var probe []schema.Example
		for i := range 12 {
			probe = append(probe, openPrompt(i, randomText(uint64(i), 250, 90)))
		}
		if err := e.Prepare(t.Context(), probe); err != nil {
			t.Fatal(err)
		}
		movers = append(movers, e.Movers())
		if notices := strings.Join(e.Notices(), "\n"); !strings.Contains(notices, "edges that rules choose have no baseline token") {
			t.Errorf("notices %q", notices)
		}
		if r := explain(t, e, probe[0])[0]; len(r.Examples) < 250 || len(r.Examples[0].Heads[0].Substitutions) == 0 {
			t.Errorf("%d examples", len(r.Examples))
		}
	}
	if len(movers[0]) != 2 || !slices.Equal(movers[0], movers[1]) || movers[0][0].Layer != 0 {
		t.Errorf("movers %v", movers)
	}
}

// A prompt that came with an edge can be measured too: over all of its tokens, and without changing the
// results of the edge.
func TestMeasuresOfGivenPrompts(t *testing.T) {
	t.Parallel()
	dir := tinyFamily(t, "gemma2", 300)
	options := engine.Options{Heads: twoHeads, QueryBases: []string{"none"}, KeyBases: []string{"none"}}
	x := openPrompt(0, randomText(5, 40, 9))
	options.Measures = true
	e := open(t, dir, options)
	want := explain(t, e, x)[0].Measures
	x.Query, x.Key, x.Baseline = 20, 18, 16
	later := x
	later.Index, later.Query, later.Key, later.Baseline = 1, 30, 30, 29
	for i, r := range explain(t, e, x, later) {
		given := []schema.Example{x, later}[i]
		if d := difference(want, r.Measures); d != "" {
			t.Errorf("example %d: measures %.500s", i, d)
		}
		if d := difference(analyze(t, e, []schema.Example{given}), r.Examples); d != "" {
			t.Errorf("example %d: %.500s", i, d)
		}
	}
}

// A score that is not finite is an error that says where, even if only measures are asked for.
func TestMeasuresNameWhatIsNotFinite(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	huge := make([]float32, 96)
	for i := range huge {
		huge[i] = 1e20 * float32(1+i%2)
	}
	addToTensor(t, dir, "h.2.attn.c_attn.bias", huge)
	e := open(t, dir, head(t, engine.Options{AttentionOnly: true, Measures: true}))
	x := openPrompt(7, []int{3, 4, 5})
	if _, err := e.Explain(t.Context(), []schema.Example{x}); !errors.Is(err, engine.ErrNotFinite) || !strings.Contains(err.Error(), "example 7, head 2.1: score of token 0 to token 0 is +Inf") {
		t.Errorf("error %v", err)
	}
}
