package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

// fake is an engine with made-up numbers that add up, so that its files verify. Words are tokens, and the
// numbers of an example depend on its text alone.
type fake struct {
	run      schema.Run
	pass     int // examples in a pass; 0: all
	notices  []string
	odd      map[int]string // notices of prompts, by index
	layout   schema.Layout
	probe    []schema.Example                                         // the argument of Prepare
	rules    bool                                                     // rules choose further edges
	measures bool                                                     // heads are measured
	analyze  func(ctx context.Context, results []schema.Result) error // sees results before they are returned; may be nil
}

var _ ingest.Engine = (*fake)(nil)

func newFake(heads ...schema.Head) *fake {
	model := schema.Model{Name: "fake", Family: "fake", SHA256: strings.Repeat("0f", 32), ConfigSHA: strings.Repeat("c0", 32),
		NLayers: 3, NHeads: 2, NKVHeads: 2, DModel: 8, DHead: 4, DMLP: 32, DVocab: 1 << 16, NCtx: 32, Norm: "LN", LNEps: 1e-5, Activation: "gelu_new"}
	return &fake{layout: schematest.Layout(model), run: schema.Run{
		Model: model, Heads: targets(heads...), Components: schematest.Layout(model).Components(),
		Bases: []schema.Basis{
			{Side: schema.Query, Kind: schema.Whole, Name: "none", Description: "not split"},
			{Side: schema.Query, Kind: schema.Subspace, Name: "unembed", Dimension: 1, Description: "the key token's unembedding"},
			{Side: schema.Key, Kind: schema.Whole, Name: "none", Description: "not split"},
			{Side: schema.Key, Kind: schema.Subspace, Name: "mlp0", Dimension: 1, Description: "the output of MLP 0"},
		},
		BOS: true, BOSPolicy: "on", Precision: "float32", BLAS: "auto", Threads: 1,
	}}
}

// targets returns heads of the fake engine, whose d_head is 4, as targets.
func targets(heads ...schema.Head) (list []schema.Target) {
	for _, h := range heads {
		list = append(list, schema.Target{Head: h, KVHead: h.Index, ScoreScale: 0.5, SinkLogit: math.NaN()})
	}
	return list
}

func (f *fake) Run() schema.Run   { return f.run }
func (f *fake) Notices() []string { return f.notices }

func (f *fake) Passes(examples []schema.Example) [][]schema.Example {
	size := f.pass
	if size == 0 {
		size = max(1, len(examples))
	}
	return slices.Collect(slices.Chunk(examples, size))
}

func (f *fake) Prepare(_ context.Context, probe []schema.Example) error {
	f.probe = probe
	return nil
}

var errNoWord = errors.New("no such word")

func (f *fake) Example(p schema.Prompt) (schema.Example, error) {
	e := schema.Example{Prompt: p, Baseline: schema.NoPosition}
	for i, notice := range f.odd {
		if strings.HasPrefix(p.Text, fmt.Sprintf("number %d ", i)) {
			e.Notices = []string{notice}
		}
	}
	for _, w := range strings.Fields(p.Text) {
		e.Tokens = append(e.Tokens, schema.Token{ID: int(number(w)*1000) & 0xffff, Text: " " + w})
	}
	find := func(p schema.Position) (int, error) {
		if i, ok := p.Index(); ok {
			return (i + len(e.Tokens)) % len(e.Tokens), nil
		}
		for i, t := range e.Tokens {
			if w, _ := p.Word(); t.Text == " "+w {
				return i, nil
			}
		}
		return 0, fmt.Errorf("%s: %w", p, errNoWord)
	}
	var err error
	if e.Query, err = find(p.Query); err != nil {
		return e, err
	}
	if e.Key, err = find(p.Key); err != nil {
		return e, err
	}
	if !p.Baseline.IsNone() {
		e.Baseline, err = find(p.Baseline)
	}
	return e, err
}

// number returns a number between 0 and 1 that depends on its arguments alone.
func number(of ...any) float64 {
	h := fnv.New32a()
	fmt.Fprint(h, of...)
	return float64(h.Sum32()) / math.MaxUint32
}

// Windows cuts documents without BOS.
func (f *fake) Windows(p schema.Prompt, window, stride int) iter.Seq2[schema.Example, error] {
	return func(yield func(schema.Example, error) bool) {
		words := strings.Fields(p.Text)
		if stride == 0 {
			stride = window
		}
		for first := 0; first == 0 || first-stride+window < len(words); first += stride {
			part := words[first:min(first+window, len(words))]
			e := schema.Example{Prompt: p, Offset: first, Query: schema.NoPosition, Key: schema.NoPosition, Baseline: schema.NoPosition,
				RandomName: schema.NoToken, RandomToken: schema.NoToken}
			if len(part) < len(words) {
				e.Prompt.Text = strings.Join(part, " ")
			}
			for _, w := range part {
				e.Tokens = append(e.Tokens, schema.Token{ID: int(number(w)*1000) & 0xffff, Text: " " + w})
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Stream explains the edge that a prompt came with and, with rules, the edges from each token to the one
// before and to the first one, two at a time.
func (f *fake) Stream(ctx context.Context, prompts []schema.Example, yield func(int, schema.PromptResult) error) error {
	var flat []schema.Result
	var counts []int
	for _, p := range prompts {
		edges := f.edges(p)
		for _, e := range edges {
			r := schema.Result{Example: e}
			for _, h := range f.run.Heads {
				r.Heads = append(r.Heads, f.head(e, h.Head))
			}
			flat = append(flat, r)
		}
		counts = append(counts, len(edges))
	}
	if f.analyze != nil {
		if err := f.analyze(ctx, flat); err != nil {
			return err
		}
	}
	for i, p := range prompts {
		result := schema.PromptResult{Prompt: p}
		if f.measures {
			for _, h := range f.run.Heads {
				self := 0.0
				for query := range p.Tokens {
					e := p
					e.Query, e.Key = query, 0
					self += float64(f.head(e, h.Head).Attention[query].Prob) / float64(len(p.Tokens))
				}
				result.Measures = append(result.Measures, schema.HeadMeasure{Head: h.Head, Measure: "self", N: len(p.Tokens), Value: self})
			}
		}
		for first := true; first || counts[i] > 0; first = false {
			n := min(counts[i], 2)
			result.Examples, flat = flat[:n:n], flat[n:]
			counts[i] -= n
			if err := yield(i, result); err != nil {
				return err
			}
			result.Measures = nil
		}
	}
	return nil
}

// edges lists the edges of a prompt in order.
func (f *fake) edges(p schema.Example) (list []schema.Example) {
	for query := range p.Tokens {
		for key := range query + 1 {
			e := p
			e.Query, e.Key, e.Rules = query, key, nil
			if p.Query == query && p.Key == key {
				e.Rules = append(e.Rules, "given")
			} else {
				e.Baseline, e.RandomName, e.RandomToken = schema.NoPosition, schema.NoToken, schema.NoToken
			}
			if f.rules && key == query-1 {
				e.Rules = append(e.Rules, "previous")
			}
			if f.rules && key == 0 {
				e.Rules = append(e.Rules, "first")
			}
			if e.Rules != nil {
				list = append(list, e)
			}
		}
	}
	return list
}

// head makes the rows of one head. On each side, and for each pair of bases, the components share the
// attention score in proportion to made-up numbers.
func (f *fake) head(e schema.Example, h schema.Head) schema.HeadResult {
	r := schema.HeadResult{Head: h}
	total := 0.0
	for pos := range e.Query + 1 {
		a := schema.Attention{Score: float32(4*number(e.Prompt.Text, h, pos) - 2)}
		r.Attention = append(r.Attention, a)
		total += math.Exp(float64(a.Score))
	}
	for pos := range r.Attention {
		r.Attention[pos].Prob = float32(math.Exp(float64(r.Attention[pos].Score)) / total)
	}
	nan := float32(math.NaN())
	r.Score = schema.Score{Score: r.Attention[e.Key].Score, Prob: r.Attention[e.Key].Prob, QueryScale: 1, KeyScale: 2,
		Baseline: nan, BaselineProb: nan, BaselineScale: nan, SinkProb: nan, QueryNormScale: nan, KeyNormScale: nan, BaselineNormScale: nan, Closure: 1e-6 * number(e.Prompt.Text)}
	if e.Baseline != schema.NoPosition {
		r.Score.Baseline, r.Score.BaselineProb, r.Score.BaselineScale = r.Attention[e.Baseline].Score, r.Attention[e.Baseline].Prob, 3
	}
	for _, side := range []schema.Side{schema.Query, schema.Key} {
		components := f.components(h, side)
		for q := range 2 {
			for k := range 2 {
				for _, c := range components {
					r.Contributions = append(r.Contributions, schema.Contribution{Side: side, Component: c, QueryBasis: q, KeyBasis: 2 + k,
						Score: split(r.Score.Score, len(components), q == 0, k == 0), Baseline: split(r.Score.Baseline, len(components), q == 0, k == 0)})
				}
			}
		}
	}
	return r
}

// components lists the components that write before a head, and the bias of the side.
func (f *fake) components(h schema.Head, side schema.Side) []int {
	var list []int
	for i := range f.layout.Below(h.Layer) {
		list = append(list, i)
	}
	return append(list, [...]int{f.layout.QBias(), f.layout.KBias()}[side])
}

// split returns the share of one component of a score, divided equally among the quadrants that a pair of
// bases has. A whole basis has no parallel part.
func split(score float32, components int, wholeQuery, wholeKey bool) [4]float32 {
	part := score / float32(components)
	zero := part * 0 // NaN stays NaN
	switch {
	case wholeQuery && wholeKey:
		return [4]float32{zero, zero, zero, part}
	case wholeQuery:
		return [4]float32{zero, zero, part / 2, part / 2}
	case wholeKey:
		return [4]float32{zero, part / 2, zero, part / 2}
	}
	return [4]float32{part / 4, part / 4, part / 4, part / 4}
}

// numbered returns n prompts; every third has no baseline.
func numbered(n int) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		for i := range n {
			p := schema.Prompt{Text: fmt.Sprintf("number %d follows some other number", i), Query: schema.AtIndex(-1), Key: schema.AtWord("follows")}
			if i%3 != 0 {
				p.Baseline, p.Template, p.Order = schema.AtWord("some"), "number [A]", "ABBA"
				p.Fields = schema.Fields{{Name: "group", Value: fmt.Sprint(i)}, {Name: "note", Value: `"odd"`}}
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// created is the time at which test runs claim to have begun.
var created = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// options returns options for a run of n prompts into a new file.
func options(t testing.TB, e ingest.Engine, n int) ingest.Options {
	t.Helper()
	return ingest.Options{
		Engine: e, Prompts: numbered(n), Path: filepath.Join(t.TempDir(), "run.duckdb"),
		CreatedAt: created, Version: "test", CommandLine: "go test", PromptSource: "numbers", Seed: 7,
		Database: dbfile.Options{Threads: 1},
	}
}

// storedTables lists the tables of a file.
var storedTables = []string{"meta", "model", "run", "component", "run_component", "head", "basis", "mover", "saved_query",
	"prompt", "prompt_token", "edge", "score", "prompt_attention", "layer_scale", "contribution_wide",
	"query_factor", "key_factor", "query_axis", "key_axis", "query_coordinate", "key_coordinate", "pair_contribution_wide", "pair_mean_wide",
	"substitution", "projection", "vector_cosine", "nearest_token", "logit", "logit_effect", "head_measure",
	"component_norm", "component_gram", "component_qk_norm", "component_qk_gram", "ablation"}

// tableColumns are the names of columns of each table.
var tableColumns sync.Map

// tables reads every stored table of a file as text, with sorted rows. Floats are printed so that they read
// back exactly, so two files with the same tables hold the same bits. DuckDB writes the text, which takes
// less time than to scan numbers and lists one by one; only runs are as Go prints them.
func tables(t *testing.T, path string) map[string][]string {
	t.Helper()
	db, err := dbfile.OpenFor(t.Context(), path, dbfile.Options{Threads: 1}, storedTables...)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string][]string{}
	read := func(query string, row func(values []any)) (columns []string) {
		rows, err := db.SQL().QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if columns, err = rows.Columns(); err != nil {
			t.Fatal(err)
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			row(values)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		return columns
	}
	for _, table := range storedTables {
		names, known := tableColumns.Load(table)
		if !known {
			names = read("SELECT * FROM "+table+" LIMIT 0", nil)
			tableColumns.Store(table, names)
		}
		var columns, texts []string
		for _, c := range names.([]string) {
			columns = append(columns, dbfile.QuoteName(c))
			texts = append(texts, "coalesce("+dbfile.QuoteName(c)+"::VARCHAR, '<nil>')")
		}
		// Of a column of zeros DuckDB keeps one, with its sign.
		query := "SELECT regexp_replace(concat_ws(' | ', " + strings.Join(texts, ", ") + `), '-0\.0( \||,|\]|$)', '0.0\1', 'g') FROM ` + table + " ORDER BY " + strings.Join(columns, ", ")
		if table == "run" {
			query = "SELECT * FROM run ORDER BY ALL"
		}
		read(query, func(values []any) {
			row := make([]string, len(values))
			for i, v := range values {
				row[i] = fmt.Sprint(v)
			}
			all[table] = append(all[table], strings.Join(row, " | "))
		})
	}
	return all
}

// differ says in what two lists of rows differ, or "". cmp.Diff takes seconds for long lists that are equal.
func differ(want, got []string) string {
	if slices.Equal(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

// differAll is differ for all tables of two files.
func differAll(want, got map[string][]string) string {
	if maps.EqualFunc(want, got, slices.Equal) {
		return ""
	}
	return cmp.Diff(want, got)
}

// check verifies a file as ducklens verify does.
func check(t *testing.T, path string, tolerated ...verify.ProblemKind) {
	t.Helper()
	report, err := verify.File(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
problems:
	for _, p := range report.Problems {
		for _, kind := range tolerated {
			if p.Kind == kind {
				continue problems
			}
		}
		t.Errorf("%s does not verify: %v", filepath.Base(path), p)
	}
}
