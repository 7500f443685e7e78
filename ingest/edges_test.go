package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// texts returns n documents of increasing length.
func texts(n int) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		for i := range n {
			p := schema.Prompt{Document: fmt.Sprintf("doc %d", i), Text: fmt.Sprintf("text %d", i) + strings.Repeat(" and so on", i),
				Fields: schema.Fields{{Name: "n", Value: fmt.Sprint(i)}}}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// textOptions returns options for a run over n documents whose edges are chosen by rules.
func textOptions(t *testing.T, n int) ingest.Options {
	t.Helper()
	e := newFake(head1, head2)
	e.rules, e.measures, e.pass = true, true, 3
	o := options(t, e, 0)
	o.Prompts, o.Window = texts(n), 8
	return o
}

// TestRunOfTexts checks that a document has its tokens once, an example for each edge and an attention row
// for each query position, and that its windows have their offsets.
func TestRunOfTexts(t *testing.T) {
	t.Parallel()
	o := textOptions(t, 4)
	s := mustRun(t, o)
	check(t, o.Path)
	rows := tables(t, o.Path)
	// Documents of 2, 5, 8 and 11 tokens, in windows of 8. Each token has an edge to the one before; from the
	// third on, it has another one to the first token. The first token has one to itself.
	tokens := []int{2, 5, 8, 8, 3}
	edges, attention, all := 0, 0, 0
	for _, n := range tokens {
		edges, attention, all = edges+2*n-2, attention+n*(n+1)/2, all+n
	}
	if s.Prompts != len(tokens) || s.Examples != edges {
		t.Errorf("summary %+v, want %d prompts with %d edges", s, len(tokens), edges)
	}
	for table, want := range map[string]int{"prompt": len(tokens), "prompt_token": all, "edge": edges, "score": 2 * edges, "prompt_attention": 2 * attention,
		"head_measure": 2 * len(tokens)} {
		if len(rows[table]) != want {
			t.Errorf("table %s has %d rows, want %d", table, len(rows[table]), want)
		}
	}
	if want := fmt.Sprintf(" | complete | %d | 2 | %v", edges, s.MaxClosure); !strings.Contains(rows["run"][0], want) || !strings.Contains(rows["run"][0], fmt.Sprintf(` | numbers | %d | `, len(tokens))) ||
		!strings.Contains(rows["run"][0], `{"window":8}`) {
		t.Errorf("run row %q, want %q, %d prompts and the window", rows["run"][0], want, len(tokens))
	}
	if p := rows["prompt"]; !strings.HasSuffix(p[2], ` | doc 2 | 0 | {"n": 2}`) || !strings.HasSuffix(p[4], ` | and so on | 3 | true | <nil> | <nil> | doc 3 | 8 | {"n": 3}`) {
		t.Errorf("prompts %q", p)
	}
	if e := rows["edge"]; !strings.HasPrefix(e[0], "1 | 0 | 0 | first | 0 | 0 | none | <nil> |  text | ") || !strings.HasPrefix(e[1], "1 | 1 | 0 | previous first | 1 | 0 | none | <nil> |  text | ") {
		t.Errorf("edges %q", e[:2])
	}
}

// TestGivenAndRules checks that edges chosen by rules stand beside the one that a prompt came with, and that
// only the latter has a random name and token.
func TestGivenAndRules(t *testing.T) {
	t.Parallel()
	e := newFake(head1)
	e.rules, e.run.BOS = true, false
	o := options(t, e, 3)
	o.Names = []string{"Ann", "Bob"}
	s := mustRun(t, o)
	check(t, o.Path)
	if s.Prompts != 3 || s.Examples != 3*11 { // the query is the last of six tokens, the key is the third
		t.Errorf("%d prompts with %d edges", s.Prompts, s.Examples)
	}
	for _, row := range tables(t, o.Path)["edge"] {
		if given := strings.Contains(row, " | given | 5 | 2 | "); given == strings.HasSuffix(row, " | <nil> | <nil>") {
			t.Errorf("edge %q", row)
		}
	}
}

// TestTextBatches checks that the sizes of batches and parts do not change a bit of the tables.
func TestTextBatches(t *testing.T) {
	t.Parallel()
	var first map[string][]string
	for _, of := range []struct{ size, pass int }{{0, 0}, {0, 1}, {1, 0}, {2, 1}, {2, 2}, {5, 2}} {
		o := textOptions(t, 6)
		o.BatchPrompts = of.size
		o.Engine.(*fake).pass = of.pass
		mustRun(t, o)
		got := tables(t, o.Path)
		if first == nil {
			first = got
		}
		if diff := differAll(first, got); diff != "" {
			t.Errorf("batches of %d, passes of %d:\n%.2000s", of.size, of.pass, diff)
		}
	}
}

// TestTextResume checks that a run that stops within a prompt, whose edges come in several parts, keeps whole
// prompts only, and has the same rows after it is resumed.
func TestTextResume(t *testing.T) {
	t.Parallel()
	whole := textOptions(t, 6)
	mustRun(t, whole)
	check(t, whole.Path)
	want := tables(t, whole.Path)
	broken := errors.New("broken")
	for _, stop := range []int{1, 8, 23, 40, 1000} {
		o := textOptions(t, 6)
		o.BatchPrompts = 2
		e := o.Engine.(*fake)
		parts := 0
		o.Engine = interrupted{e, func() error {
			if parts++; parts == stop {
				return broken
			}
			return nil
		}}
		_, err := ingest.Run(t.Context(), o)
		if err == nil && stop == 1000 {
			continue
		}
		var incomplete *ingest.Incomplete
		if !errors.Is(err, broken) {
			t.Fatalf("stopped at part %d: %v", stop, err)
		}
		if errors.As(err, &incomplete) {
			got := tables(t, o.Path)
			if n := len(got["prompt"]); n != incomplete.Prompts || n%2 != 0 || n == 0 || !slices.Equal(got["prompt"], want["prompt"][:n]) || !slices.Equal(got["edge"], want["edge"][:len(got["edge"])]) {
				t.Errorf("stopped at part %d: %d prompts in the file, %d said", stop, n, incomplete.Prompts)
			}
		}
		again := textOptions(t, 6)
		again.Path, again.Resume = o.Path, true
		mustRun(t, again)
		if diff := differAll(want, tables(t, o.Path)); diff != "" {
			t.Errorf("stopped at part %d and resumed:\n%.2000s", stop, diff)
		}
	}
}

// interrupted is an engine that calls a function before each part.
type interrupted struct {
	*fake
	ask func() error
}

func (e interrupted) Stream(ctx context.Context, prompts []schema.Example, yield func(int, schema.PromptResult) error) error {
	return e.fake.Stream(ctx, prompts, func(i int, r schema.PromptResult) error {
		if err := e.ask(); err != nil {
			return err
		}
		return yield(i, r)
	})
}

// TestRealTexts checks with a real model that texts with rules give the same tables for any batches and
// threads, and after resuming.
func TestRealTexts(t *testing.T) {
	t.Parallel()
	rules := []schema.EdgeRule{{Name: schema.EdgeTop, Count: 1}, {Name: schema.EdgeInduction}, {Name: schema.EdgeSample, Count: 5}}
	open := func(threads int) ingest.Options {
		o := realOptions(t, 0, engine.Options{Threads: threads, Heads: twoHeads, Edges: rules, MaxEdges: 20, Measures: true, Baseline: schema.BaselineNone,
			QueryBases: []string{"none"}, KeyBases: []string{"none"}})
		o.Window, o.Stride = 16, 10
		o.Prompts = func(yield func(schema.Prompt, error) bool) {
			for i, text := range []string{"The cat and the dog went to the store, and the cat gave the dog a drink.", "Then the dog gave the cat a drink and the cat went to the store with the dog, and the dog and the cat had a drink.", "Then"} {
				if !yield(schema.Prompt{Text: text, Document: fmt.Sprint(i)}, nil) {
					return
				}
			}
		}
		return o
	}
	first := open(1)
	s := mustRun(t, first)
	check(t, first.Path)
	want := tables(t, first.Path)
	if s.Prompts < 5 || s.Examples <= s.Prompts || len(want["head_measure"]) == 0 {
		t.Fatalf("summary %+v", s)
	}
	for _, threads := range []int{1, 2} {
		for _, size := range []int{1, 3} {
			o := open(threads)
			o.BatchPrompts = size
			mustRun(t, o)
			got := tables(t, o.Path)
			delete(got, "run")
			for table := range got {
				if diff := differ(want[table], got[table]); diff != "" {
					t.Errorf("%d threads, batches of %d: table %s differs:\n%.2000s", threads, size, table, diff)
				}
			}
		}
	}
	again := open(1)
	again.Path, again.Append = filepath.Join(t.TempDir(), "two.duckdb"), false
	mustRun(t, again)
	db, err := dbfile.OpenFor(t.Context(), again.Path, dbfile.Options{Threads: 1}, "prompt_attention")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n := column(t, db, "SELECT count(*) FROM (SELECT run_id, prompt_id, query_pos, head_id, pos FROM prompt_attention GROUP BY ALL HAVING count(*) > 1)"); n[0] != 0 {
		t.Errorf("%v rows of attention are there twice", n[0])
	}
}
