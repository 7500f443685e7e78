package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

var (
	head1 = schema.Head{Layer: 1, Index: 1}
	head2 = schema.Head{Layer: 2, Index: 0}
)

// mustRun runs, and fails the test on an error.
func mustRun(t *testing.T, o ingest.Options) ingest.Summary {
	t.Helper()
	s, err := ingest.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nothingBeside fails if the folder of path holds other files than the named ones.
func nothingBeside(t *testing.T, path string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	if !slices.Equal(found, names) {
		t.Errorf("the folder holds %q, want %q", found, names)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	o := options(t, newFake(head1, head2), 10)
	o.BatchPrompts = 4
	o.SavedQueries = []ingest.SavedQuery{{Name: "one", SQL: "SELECT 1"}, {Name: "two", SQL: "SELECT 2"}}
	var progress []ingest.Progress
	o.Progress = func(p ingest.Progress) { progress = append(progress, p) }
	s := mustRun(t, o)

	rows := tables(t, o.Path)
	components := o.Engine.Run().Components
	// Layer 1 reads 2+4 writers, layer 2 reads 2+8. Each side has its bias. There are 2 sides and 4 pairs of
	// bases.
	contributions := 10 * 2 * 4 * ((6 + 1) + (10 + 1))
	for table, want := range map[string]int{"model": 1, "run": 1, "component": len(components), "run_component": len(components), "head": 2, "basis": 4, "prompt": 10, "edge": 10,
		"prompt_token": 60, "score": 20, "prompt_attention": 120, "contribution_wide": contributions, "saved_query": 2} {
		if len(rows[table]) != want {
			t.Errorf("table %s has %d rows, want %d", table, len(rows[table]), want)
		}
	}
	total := int64(10 + 10 + 60 + 20 + 120 + contributions)
	want := ingest.Summary{Path: o.Path, RunID: 1, ModelID: 0, Prompts: 10, Examples: 10, Batches: 3, Rows: total, MaxClosure: s.MaxClosure, Elapsed: s.Elapsed}
	if !reflect.DeepEqual(s, want) || s.Elapsed <= 0 || s.MaxClosure <= 0 || s.MaxClosure > 1e-6 {
		t.Errorf("summary %+v, want %+v", s, want)
	}
	if run := rows["run"][0]; !strings.Contains(run, fmt.Sprintf("complete | 10 | 2 | %v", s.MaxClosure)) || !strings.Contains(run, " | true | on | exact | processed | float32 | auto | 1 | false | false | false | false | <nil> | ") {
		t.Errorf("run row %q, want status complete, 10 examples, 2 heads, closure %v", run, s.MaxClosure)
	}
	if got := []string{rows["head"][0], rows["head"][1]}; !slices.Equal(got, []string{"1 | 3 | 1 | 1 | L1H1 | 0 | 1 | 0.5 | <nil> | <nil> | <nil> | 0", "1 | 4 | 2 | 0 | L2H0 | 1 | 0 | 0.5 | <nil> | <nil> | <nil> | 0"}) {
		t.Errorf("heads %q", got)
	}
	if e := rows["edge"]; !strings.HasPrefix(e[0], "1 | 0 | 0 | given | 5 | 2 | none | <nil> |  follows | <nil> | <nil> | ") ||
		!strings.HasPrefix(e[1], "1 | 1 | 1 | given | 5 | 2 | token | 3 |  follows |  some | <nil> | ") {
		t.Errorf("edges %q", e[:2])
	}
	if p := rows["prompt"]; !strings.HasSuffix(p[0], " | number 0 follows some other number | 6 | true | <nil> | <nil> | <nil> | <nil> | <nil>") ||
		!strings.HasSuffix(p[1], ` | number 1 follows some other number | 6 | true | number [A] | ABBA | <nil> | <nil> | {"group": 1, "note": "odd"}`) {
		t.Errorf("prompts %q", p[:2])
	}
	if n := len(progress); n != 4 || progress[0] != (ingest.Progress{Total: 10}) || progress[1].Prompts != 4 || progress[3] != (ingest.Progress{Prompts: 10, Total: 10, Examples: 10, Rows: total}) {
		t.Errorf("progress %+v", progress)
	}
	check(t, o.Path)
	nothingBeside(t, o.Path, "run.duckdb")
}

// TestBatchSize checks that the tables do not depend on the size of batches.
func TestBatchSize(t *testing.T) {
	t.Parallel()
	var first map[string][]string
	for _, size := range []int{0, 1, 7, 20, 64} {
		o := options(t, newFake(head1, head2), 20)
		o.BatchPrompts = size
		mustRun(t, o)
		got := tables(t, o.Path)
		if first == nil {
			first = got
		}
		if diff := differAll(first, got); diff != "" {
			t.Errorf("batches of %d change the tables:\n%s", size, diff)
		}
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	o := options(t, newFake(head1), 5)
	o.SavedQueries = []ingest.SavedQuery{{Name: "one", SQL: "SELECT 1"}}
	mustRun(t, o)
	before := tables(t, o.Path)

	again := options(t, newFake(head2), 3)
	again.Path, again.Append = o.Path, true
	again.SavedQueries = []ingest.SavedQuery{{Name: "one", SQL: "SELECT 'changed'"}, {Name: "two", SQL: "SELECT 2"}}
	if s := mustRun(t, again); s.RunID != 2 || s.ModelID != 0 || s.Examples != 3 {
		t.Errorf("summary %+v, want run 2 of model 0 with 3 examples", s)
	}
	other := options(t, newFake(head1), 2)
	e := newFake(head1)
	e.run.Model.SHA256, e.run.Model.NLayers = strings.Repeat("a0", 32), 2
	e.layout = schematest.Layout(e.run.Model)
	e.run.Components = e.layout.Components()
	other.Engine, other.Path, other.Append = e, o.Path, true
	if s := mustRun(t, other); s.RunID != 3 || s.ModelID != 1 {
		t.Errorf("summary %+v, want run 3 of model 1", s)
	}

	after := tables(t, o.Path)
	for table, rows := range before {
		for _, row := range rows {
			if !slices.Contains(after[table], row) {
				t.Errorf("table %s has lost the row %s", table, row)
			}
		}
	}
	for table, want := range map[string]int{"run": 3, "model": 2, "edge": 10, "saved_query": 2, "component": 16 + 12, "run_component": 2*16 + 12} {
		if len(after[table]) != want {
			t.Errorf("table %s has %d rows, want %d", table, len(after[table]), want)
		}
	}
	check(t, o.Path)

	// The same weights with another configuration are another model.
	odd := newFake(head1)
	odd.run.Model.ConfigSHA = strings.Repeat("0d", 32)
	other.Engine = odd
	if s := mustRun(t, other); s.RunID != 4 || s.ModelID != 2 {
		t.Errorf("summary %+v, want run 4 of model 2", s)
	}
	check(t, o.Path)
}

// TestAppendShared appends to files whose model, or one of whose components, has the key of the run's but
// differs from it: an error, because the run would refer to the wrong row.
func TestAppendShared(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]string{
		"UPDATE model SET sha256 = 'aaaa'":                                               "its model 0 has the key of the run's and another description: it says sha256 aaaa",
		"UPDATE model SET ln_eps = 0.5":                                                  "its model 0 has the key of the run's and another description: it says ln_eps 0.5",
		"UPDATE component SET label = '9.9', head = 9, layer = 9 WHERE component_id = 4": "its component 4 has the key of the run's and another description: ",
		"UPDATE component SET source = 'x' WHERE component_id = 2":                       "its component 2 has the key of the run's and another description: ",
		"UPDATE model SET name = 'renamed'":                                              "",
	} {
		o := options(t, newFake(head1), 2)
		mustRun(t, o)
		path := filepath.Join(t.TempDir(), "changed.duckdb")
		data, err := os.ReadFile(o.Path)
		if err == nil {
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		schematest.Plant(t, path, change)
		again := options(t, newFake(head2), 2)
		again.Path, again.Append = path, true
		_, err = ingest.Run(t.Context(), again)
		if want == "" && err != nil || want != "" && (!errors.Is(err, dbfile.ErrConstraint) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", change, err, want)
		}
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	o := options(t, newFake(head1), 5)
	mustRun(t, o)
	before := tables(t, o.Path)

	if _, err := ingest.Run(t.Context(), o); !errors.Is(err, dbfile.ErrExists) {
		t.Errorf("an existing file: %v", err)
	}
	if diff := differAll(before, tables(t, o.Path)); diff != "" {
		t.Errorf("a refused run has changed the file:\n%s", diff)
	}

	// A forced run that fails before or in its first batch leaves the old file.
	failing := newFake(head2)
	forced := options(t, failing, 5)
	forced.Path, forced.Force, forced.BatchPrompts = o.Path, true, 2
	broken := errors.New("broken")
	failing.analyze = func(context.Context, []schema.Result) error { return broken }
	if _, err := ingest.Run(t.Context(), forced); !errors.Is(err, broken) {
		t.Errorf("a failing engine: %v", err)
	}
	failing.analyze = func(_ context.Context, r []schema.Result) error {
		r[1].Heads[0].Attention[0].Prob = float32(math.Inf(1))
		return nil
	}
	if _, err := ingest.Run(t.Context(), forced); !errors.Is(err, dbfile.ErrConstraint) {
		t.Errorf("a row that breaks a rule: %v", err)
	}
	if diff := differAll(before, tables(t, o.Path)); diff != "" {
		t.Errorf("a forced run that failed has changed the file:\n%s", diff)
	}
	nothingBeside(t, o.Path, "run.duckdb")

	failing.analyze = nil
	mustRun(t, forced)
	if got := tables(t, o.Path); len(got["run"]) != 1 || !strings.Contains(got["head"][0], "L2H0") {
		t.Errorf("after the forced run: runs %q, heads %q", got["run"], got["head"])
	}
	nothingBeside(t, o.Path, "run.duckdb")

	// These are refused before the engine is called.
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("not a database"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path       string
		add, force bool
		want       error
	}{
		"append to nothing":  {filepath.Join(t.TempDir(), "none.duckdb"), true, false, dbfile.ErrNotFound},
		"append to a text":   {text, true, false, dbfile.ErrNotDatabase},
		"no folder":          {filepath.Join(t.TempDir(), "no", "such.duckdb"), false, false, dbfile.ErrNotFound},
		"replace a text":     {text, false, true, dbfile.ErrNotDatabase},
		"new file":           {filepath.Join(t.TempDir(), "new.duckdb"), false, false, nil},
		"force a new file":   {filepath.Join(t.TempDir(), "new.duckdb"), false, true, nil},
		"replace a database": {o.Path, false, true, nil},
		"append":             {o.Path, true, false, nil},
	} {
		target := ingest.Options{Path: c.path, Append: c.add, Force: c.force}
		if err := target.CheckTarget(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestLocked checks that a file in use is neither replaced nor appended to.
func TestLocked(t *testing.T) {
	t.Parallel()
	o := options(t, newFake(head1), 5)
	mustRun(t, o)
	db, err := dbfile.OpenWriter(t.Context(), o.Path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, c := range []struct{ add, force bool }{{true, false}, {false, true}} {
		o.Append, o.Force = c.add, c.force
		if _, err := ingest.Run(t.Context(), o); !errors.Is(err, dbfile.ErrLocked) {
			t.Errorf("append %t, force %t: %v", c.add, c.force, err)
		}
	}
}

// TestBadInput checks that any faulty prompt, even the last one, is found before anything is written.
func TestBadInput(t *testing.T) {
	t.Parallel()
	sourceBroke := errors.New("source broke")
	with := func(last schema.Prompt, err error) iter.Seq2[schema.Prompt, error] {
		return func(yield func(schema.Prompt, error) bool) {
			for p, err := range numbered(9) {
				if !yield(p, err) {
					return
				}
			}
			yield(last, err)
		}
	}
	for name, c := range map[string]struct {
		prompts iter.Seq2[schema.Prompt, error]
		want    error
		message string
	}{
		"missing word":  {with(schema.Prompt{Text: "a b", Query: schema.AtIndex(-1), Key: schema.AtWord("zebra")}, nil), errNoWord, `prompt 10 of numbers: "zebra"`},
		"source":        {with(schema.Prompt{}, sourceBroke), sourceBroke, ""},
		"source, first": {func(yield func(schema.Prompt, error) bool) { yield(schema.Prompt{}, sourceBroke) }, sourceBroke, ""},
		"none":          {numbered(0), ingest.ErrNoPrompts, "numbers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newFake(head1)
			e.analyze = func(context.Context, []schema.Result) error {
				t.Error("the engine was asked to analyse")
				return nil
			}
			o := options(t, e, 0)
			o.Prompts = c.prompts
			o.BatchPrompts = 2
			_, err := ingest.Run(t.Context(), o)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.message)
			}
			nothingBeside(t, o.Path)
		})
	}
}

// TestClosure checks that ingest stores closure residuals and leaves it to the engine to judge them, but
// refuses a residual that is not a number.
func TestClosure(t *testing.T) {
	t.Parallel()
	for _, residual := range []float64{0.01, math.NaN(), math.Inf(1)} {
		e := newFake(head1, head2)
		e.run.Convention = schema.Notebook
		e.analyze = func(_ context.Context, r []schema.Result) error {
			for i := range r {
				if r[i].Example.Index == 5 {
					r[i].Heads[1].Score.Closure = residual
				}
			}
			return nil
		}
		o := options(t, e, 8)
		if residual < 1 {
			if s := mustRun(t, o); s.MaxClosure != residual {
				t.Errorf("largest residual %g, want %g", s.MaxClosure, residual)
			}
			continue
		}
		if _, err := ingest.Run(t.Context(), o); !errors.Is(err, dbfile.ErrConstraint) {
			t.Errorf("residual %g: error %v, want ErrConstraint", residual, err)
		}
		nothingBeside(t, o.Path)
	}
	e := newFake(head1)
	refused := &engine.ClosureError{Example: 5, Head: head1, Residual: 0.1, Tolerance: schema.ClosureTolerance}
	e.analyze = func(context.Context, []schema.Result) error { return refused }
	o := options(t, e, 8)
	if _, err := ingest.Run(t.Context(), o); !errors.Is(err, engine.ErrClosure) {
		t.Errorf("an engine that refuses: %v", err)
	}
	nothingBeside(t, o.Path)
}

// TestNotices checks that each notice about the run or its prompts appears once, with the first prompt that
// it is about.
func TestNotices(t *testing.T) {
	t.Parallel()
	e := newFake(head1)
	e.notices = []string{"a basis is left out"}
	e.odd = map[int]string{2: "it begins oddly", 5: "it begins oddly", 7: "it ends oddly"}
	s := mustRun(t, options(t, e, 9))
	if want := []string{"a basis is left out", "prompt 3 (example 2) and 1 more: it begins oddly", "prompt 8 (example 7): it ends oddly"}; !slices.Equal(s.Notices, want) {
		t.Errorf("notices %q, want %q", s.Notices, want)
	}
}

// TestSharedComponents checks that runs of a model share its components even if each has only a part of them.
func TestSharedComponents(t *testing.T) {
	t.Parallel()
	bare := newFake(head1)
	layout := schematest.Layout(bare.run.Model)
	layout.AttnBias = false
	bare.run.Components, bare.layout = layout.Components(), layout
	first := options(t, bare, 3)
	mustRun(t, first)
	second := options(t, newFake(head1), 3)
	second.Path, second.Append = first.Path, true
	mustRun(t, second)
	check(t, first.Path)
	rows := tables(t, first.Path)
	if len(rows["component"]) != 16 || len(rows["run_component"]) != 13+16 {
		t.Errorf("%d components, %d of runs, want 16 and 29", len(rows["component"]), len(rows["run_component"]))
	}
	db, err := dbfile.OpenFor(t.Context(), first.Path, dbfile.Options{Threads: 1}, "run_component", "component")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for run, want := range []string{"W_E W_pos 0.0 0.1 MLP0 1.0 1.1 MLP1 2.0 2.1 MLP2 b_Q b_K", "W_E W_pos 0.0 0.1 b_O0 MLP0 1.0 1.1 b_O1 MLP1 2.0 2.1 b_O2 MLP2 b_Q b_K"} {
		var got string
		if err := db.SQL().QueryRowContext(t.Context(), `SELECT string_agg(c.label, ' ' ORDER BY r.ordinal)
			FROM run_component AS r JOIN component AS c USING (component_id) WHERE run_id = ?`, run+1).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("run %d has %s, want %s", run+1, got, want)
		}
	}
}

// TestRunKeys checks that the same question has the same key in every file, and a different one in a file
// that has the key already.
func TestRunKeys(t *testing.T) {
	t.Parallel()
	keys := func(o ingest.Options) []string {
		t.Helper()
		var list []string
		for _, row := range tables(t, o.Path)["run"] {
			list = append(list, strings.Split(row, " | ")[1])
		}
		return list
	}
	a, b := options(t, newFake(head1), 3), options(t, newFake(head1), 3)
	b.CommandLine, b.CreatedAt = "another", created.Add(time.Hour)
	mustRun(t, a)
	mustRun(t, b)
	if x, y := keys(a), keys(b); len(x[0]) != 32 || !slices.Equal(x, y) {
		t.Errorf("keys %q and %q of the same question", x, y)
	}
	a.Append = true
	mustRun(t, a)
	if x := keys(a); len(x) != 2 || x[0] == x[1] {
		t.Errorf("keys %q of the same question asked twice", x)
	}
	c := options(t, newFake(head1), 4)
	mustRun(t, c)
	if x, y := keys(b), keys(c); x[0] == y[0] {
		t.Errorf("key %q of runs over 3 and over 4 prompts", x[0])
	}
}

// TestCancel stops a run at every batch. The file then holds whole batches, in order.
func TestCancel(t *testing.T) {
	t.Parallel()
	const examples, size = 30, 4
	complete := options(t, newFake(head1), examples)
	mustRun(t, complete)
	want := tables(t, complete.Path)
	stop := errors.New("the user wants to stop")
	for _, after := range []int{0, 1, 4, 7} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			o := options(t, newFake(head1), examples)
			o.BatchPrompts = size
			o.Progress = func(p ingest.Progress) {
				if p.Examples == after*size {
					cancel(stop)
				}
			}
			_, err := ingest.Run(ctx, o)
			if !errors.Is(err, stop) || !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v, want the cause of the cancel", err)
			}
			if after == 0 {
				nothingBeside(t, o.Path)
				return
			}
			var incomplete *ingest.Incomplete
			if !errors.As(err, &incomplete) || incomplete.RunID != 1 || incomplete.Total != examples || !strings.Contains(incomplete.Hint(), "marked running") {
				t.Fatalf("error %#v, want an Incomplete for run 1 of %d examples", err, examples)
			}
			got := tables(t, o.Path)
			// The batch after the cancellation may have been handed over already.
			if n := incomplete.Prompts; n < after*size || n > (after+1)*size || len(got["edge"]) != n {
				t.Errorf("%d examples in the file, the error says %d, want %d or %d", len(got["edge"]), n, after*size, (after+1)*size)
			}
			for _, table := range []string{"prompt", "edge", "score", "prompt_token", "prompt_attention", "contribution_wide"} {
				perExample := len(want[table]) / examples
				if wanted := want[table][:incomplete.Prompts*perExample]; !slices.Equal(got[table], wanted) {
					t.Errorf("table %s has %d rows, want the first %d of the complete run", table, len(got[table]), len(wanted))
				}
			}
			if !strings.Contains(got["run"][0], "running") {
				t.Errorf("run row %q, want status running", got["run"][0])
			}
			nothingBeside(t, o.Path, "run.duckdb")
		})
	}
}

// TestFailureInMidRun checks that whole batches are left if the engine or the database fails later on.
func TestFailureInMidRun(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		spoil func(*schema.Result) error
		want  error
	}{
		"engine":      {func(*schema.Result) error { return broken }, broken},
		"closure":     {func(r *schema.Result) error { r.Heads[0].Score.Closure = math.NaN(); return nil }, dbfile.ErrConstraint},
		"factors":     {func(r *schema.Result) error { r.Heads[0].Factors = make([]schema.Factors, 2); return nil }, nil},
		"logits":      {func(r *schema.Result) error { r.Logits = &schema.Logits{}; return nil }, nil},
		"not finite":  {func(r *schema.Result) error { r.Heads[0].Contributions[3].Score[2] = float32(math.Inf(1)); return nil }, nil},
		"wrong head":  {func(r *schema.Result) error { r.Heads[0].Head.Index = 0; return nil }, nil},
		"wrong order": {func(r *schema.Result) error { r.Example.PromptIndex++; return nil }, nil},
		"no heads":    {func(r *schema.Result) error { r.Heads = nil; return nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newFake(head1)
			e.analyze = func(_ context.Context, results []schema.Result) error {
				for i := range results {
					if results[i].Example.Index == 9 {
						return c.spoil(&results[i])
					}
				}
				return nil
			}
			o := options(t, e, 20)
			o.BatchPrompts = 3
			_, err := ingest.Run(t.Context(), o)
			var incomplete *ingest.Incomplete
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !errors.As(err, &incomplete) || incomplete.Prompts != 9 {
				t.Fatalf("error %v, want %v after 9 examples", err, c.want)
			}
			if got := tables(t, o.Path); len(got["edge"]) != 9 || len(got["score"]) != 9 {
				t.Errorf("%d examples and %d scores in the file, want 9", len(got["edge"]), len(got["score"]))
			}
			nothingBeside(t, o.Path, "run.duckdb")
		})
	}
}

// TestOverlap checks that the next batch is computed while one is being written: the writer waits until that
// has begun.
func TestOverlap(t *testing.T) {
	t.Parallel()
	second := make(chan struct{})
	e := newFake(head1)
	e.analyze = func(_ context.Context, r []schema.Result) error {
		if r[0].Example.Index == 2 {
			close(second)
		}
		return nil
	}
	o := options(t, e, 6)
	o.BatchPrompts = 2
	o.Progress = func(p ingest.Progress) {
		if p.Examples != 2 {
			return
		}
		select {
		case <-second:
		case <-time.After(30 * time.Second):
			t.Error("the second batch is not computed while the first is written")
		}
	}
	mustRun(t, o)
}

// TestSourceChanges checks that a source that returns other prompts the second time is an error.
func TestSourceChanges(t *testing.T) {
	t.Parallel()
	for _, second := range []int{3, 7} {
		passes := 0
		o := options(t, newFake(head1), 0)
		o.Prompts = func(yield func(schema.Prompt, error) bool) {
			passes++
			n := 5
			if passes == 2 {
				n = second
			}
			numbered(n)(yield)
		}
		if _, err := ingest.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "changed in between") {
			t.Errorf("5 prompts, then %d: error %v", second, err)
		}
	}
}

// TestForeignText checks that a part of a character and an empty token can be stored.
func TestForeignText(t *testing.T) {
	t.Parallel()
	o := options(t, newFake(head1), 1)
	e := newFake(head1)
	e.analyze = func(_ context.Context, r []schema.Result) error {
		r[0].Example.Tokens[0].Text, r[0].Example.Tokens[1].Text = "\xe2\x82", ""
		return nil
	}
	o.Engine = e
	mustRun(t, o)
	if got := tables(t, o.Path)["prompt_token"]; !strings.HasSuffix(got[0], "| \ufffd") || !strings.HasSuffix(got[1], "| ") {
		t.Errorf("tokens %q", got[:2])
	}
}

// TestMadeFor checks that something made for each example must have as many parts as there are examples.
func TestMadeFor(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4, 5, 6} {
		o := options(t, newFake(head1), 5)
		o.MadeFor = map[string]int{"key basis other": 5, "query basis mine": n}
		_, err := ingest.Run(t.Context(), o)
		var made *ingest.MadeForError
		switch {
		case n == 5 && err != nil:
			t.Error(err)
		case n != 5 && (!errors.As(err, &made) || *made != ingest.MadeForError{What: "query basis mine", Examples: n, Total: 5} || !strings.Contains(made.Hint(), fmt.Sprint(n))):
			t.Errorf("made for %d: error %v, want a MadeForError", n, err)
		case n != 5:
			nothingBeside(t, o.Path)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	o := ingest.Options{Append: true, Force: true, BatchPrompts: -1}
	err := o.Validate()
	if !errors.Is(err, ingest.ErrOptions) {
		t.Fatalf("error %v, want ErrOptions", err)
	}
	for _, fault := range []string{"no engine", "no prompts", "no file", "append and force", "batches of -1", "no creation time"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("error %v does not name the fault %q", err, fault)
		}
	}
	o = options(t, &fake{}, 1)
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "no target heads") || !strings.Contains(err.Error(), "no bases for the key side") {
		t.Errorf("an engine without heads and bases: %v", err)
	}
	if _, err := ingest.Run(t.Context(), o); !errors.Is(err, ingest.ErrOptions) {
		t.Errorf("run: %v, want ErrOptions", err)
	}
	if _, err := os.Stat(o.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused run has made a file: %v", err)
	}
}

func ExampleRun() {
	dir, err := os.MkdirTemp("", "ingest-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	o := ingest.Options{
		Engine: newFake(head1), Prompts: numbered(10), Path: filepath.Join(dir, "run.duckdb"), BatchPrompts: 5,
		CreatedAt: created, Version: "example", PromptSource: "numbers",
		Progress: func(p ingest.Progress) { fmt.Printf("%d of %d\n", p.Examples, p.Total) },
	}
	summary, err := ingest.Run(context.Background(), o)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("run %d: %d examples, %d rows\n", summary.RunID, summary.Examples, summary.Rows)
	// Output:
	// 0 of 10
	// 5 of 10
	// 10 of 10
	// run 1: 10 examples, 710 rows
}

// TestLastExamplesJoin checks that, with the default batch size, a last batch of up to a quarter of it joins
// the one before.
func TestLastExamplesJoin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ n, chosen, batches int }{{48, 0, 1}, {60, 0, 1}, {61, 0, 2}, {108, 0, 2}, {109, 0, 3}, {60, 48, 2}} {
		o := options(t, newFake(head1), c.n)
		if size := o.BatchSize(); size != 48 {
			t.Fatalf("batches of %d, want 48 for this test", size)
		}
		o.BatchPrompts = c.chosen
		if s := mustRun(t, o); s.Batches != c.batches || s.Examples != c.n {
			t.Errorf("%d examples, size %d: %d examples in %d batches, want %d", c.n, c.chosen, s.Examples, s.Batches, c.batches)
		}
	}
}

// TestManyBases checks that a run has all its bases in order even if they take several statements.
func TestManyBases(t *testing.T) {
	t.Parallel()
	e := newFake(head1)
	for i := range 250 {
		e.run.Bases = append(e.run.Bases, schema.Basis{Side: schema.Key, Kind: schema.Subspace, Name: fmt.Sprintf("mine%d", i), Dimension: 1, Description: "one of many"})
	}
	o := options(t, e, 1)
	mustRun(t, o)
	rows := tables(t, o.Path)["basis"] // each row begins with the run and the index of the basis
	if len(rows) != len(e.run.Bases) {
		t.Fatalf("%d bases, want %d", len(rows), len(e.run.Bases))
	}
	for i, b := range e.run.Bases {
		if !strings.HasPrefix(rows[i], fmt.Sprintf("1 | %d | ", i)) || !strings.Contains(rows[i], " | "+b.Name+" | ") {
			t.Errorf("basis %d is %s, want %s", i, rows[i], b.Name)
		}
	}
}

// TestPartsOfABatch has a batch of several forward passes. If one of them fails, the passes before it stay in
// the file, and after the run is resumed the file is the same as without the failure.
func TestPartsOfABatch(t *testing.T) {
	t.Parallel()
	whole := options(t, newFake(head1), 20)
	whole.BatchPrompts = 20
	if s := mustRun(t, whole); s.Batches != 1 {
		t.Fatalf("%d batches, want 1", s.Batches)
	}
	e := newFake(head1)
	e.pass = 2
	broken := errors.New("broken")
	e.analyze = func(_ context.Context, results []schema.Result) error {
		if results[1].Example.Index == 9 {
			return broken
		}
		return nil
	}
	o := options(t, e, 20)
	o.BatchPrompts = 6
	_, err := ingest.Run(t.Context(), o)
	var incomplete *ingest.Incomplete
	if !errors.Is(err, broken) || !errors.As(err, &incomplete) || incomplete.Prompts != 8 {
		t.Fatalf("error %v, want broken after 8 examples", err)
	}
	e.analyze, o.Resume = nil, true
	if s := mustRun(t, o); s.Resumed != 8 || s.Batches != 2 {
		t.Errorf("%d examples resumed, then %d batches, want 8 and 2", s.Resumed, s.Batches)
	}
	if d := differAll(tables(t, whole.Path), tables(t, o.Path)); d != "" {
		t.Errorf("the resumed run differs from one in one go: %.1000s", d)
	}
}
