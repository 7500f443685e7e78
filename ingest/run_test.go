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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

var (
	head1 = schema.Head{Layer: 1, Index: 1}
	head2 = schema.Head{Layer: 2, Index: 0}
)

// mustRun runs and fails the test on an error.
func mustRun(t *testing.T, o ingest.Options) ingest.Summary {
	t.Helper()
	s, err := ingest.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nothingBeside fails if a run has left anything in the folder of path but the files named.
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
	o.BatchExamples = 4
	o.SavedQueries = []ingest.SavedQuery{{Name: "one", SQL: "SELECT 1"}, {Name: "two", SQL: "SELECT 2"}}
	var progress []ingest.Progress
	o.Progress = func(p ingest.Progress) { progress = append(progress, p) }
	s := mustRun(t, o)

	rows := tables(t, o.Path)
	components := schema.Components(3, 2)
	// Layer 1 reads 2+4 writers, layer 2 2+8; each side has its bias; 2 sides, 4 pairs of bases.
	contributions := 10 * 2 * 4 * ((6 + 1) + (10 + 1))
	for table, want := range map[string]int{"model": 1, "run": 1, "component": len(components), "head": 2, "basis": 4, "example": 10,
		"token": 60, "score": 20, "attention": 120, "contribution_wide": contributions, "saved_query": 2} {
		if len(rows[table]) != want {
			t.Errorf("table %s has %d rows, want %d", table, len(rows[table]), want)
		}
	}
	total := int64(10 + 60 + 20 + 120 + contributions)
	want := ingest.Summary{Path: o.Path, RunID: 1, ModelID: 0, Examples: 10, Batches: 3, Rows: total, MaxClosure: s.MaxClosure, Elapsed: s.Elapsed}
	if s != want || s.Elapsed <= 0 || s.MaxClosure <= 0 || s.MaxClosure > 1e-6 {
		t.Errorf("summary %+v, want %+v", s, want)
	}
	if run := rows["run"][0]; !strings.Contains(run, fmt.Sprintf("complete | 10 | 2 | %v", s.MaxClosure)) {
		t.Errorf("run row %q, want status complete, 10 examples, 2 heads, closure %v", run, s.MaxClosure)
	}
	if got := []string{rows["head"][0], rows["head"][1]}; !slices.Equal(got, []string{"1 | 3 | 1 | 1 | 1.1 | 0", "1 | 4 | 2 | 0 | 2.0 | 1"}) {
		t.Errorf("heads %q", got)
	}
	if e := rows["example"]; !strings.HasPrefix(e[0], "1 | 0 | number 0 follows some other number | <nil> | <nil> |  follows | <nil> | 5 | 2 | <nil> | 6 | <nil> | ") ||
		!strings.HasPrefix(e[1], "1 | 1 | number 1 follows some other number | number [A] | ABBA |  follows |  some | 5 | 2 | 3 | 6 | <nil> | ") {
		t.Errorf("examples %q", e[:2])
	}
	if n := len(progress); n != 4 || progress[0] != (ingest.Progress{Total: 10}) || progress[1].Examples != 4 || progress[3] != (ingest.Progress{Examples: 10, Total: 10, Rows: total}) {
		t.Errorf("progress %+v", progress)
	}
	verify(t, o.Path)
	nothingBeside(t, o.Path, "run.duckdb")
}

// TestBatchSize: the tables do not depend on how examples are grouped.
func TestBatchSize(t *testing.T) {
	t.Parallel()
	var first map[string][]string
	for _, size := range []int{0, 1, 7, 20, 64} {
		o := options(t, newFake(head1, head2), 20)
		o.BatchExamples = size
		mustRun(t, o)
		got := tables(t, o.Path)
		if first == nil {
			first = got
		}
		if diff := cmp.Diff(first, got); diff != "" {
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
	e.model.SHA256, e.model.NLayers = strings.Repeat("a0", 32), 2
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
	for table, want := range map[string]int{"run": 3, "model": 2, "example": 10, "saved_query": 2, "component": len(schema.Components(3, 2)) + len(schema.Components(2, 2))} {
		if len(after[table]) != want {
			t.Errorf("table %s has %d rows, want %d", table, len(after[table]), want)
		}
	}
	verify(t, o.Path)

	// The same weights with another configuration cannot be the same model.
	odd := newFake(head1)
	odd.model.LNEps = 1
	other.Engine = odd
	if _, err := ingest.Run(t.Context(), other); err == nil || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("the same weights with another configuration: %v", err)
	}
	if diff := cmp.Diff(after, tables(t, o.Path)); diff != "" {
		t.Errorf("a run that failed has changed the file:\n%s", diff)
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
	if diff := cmp.Diff(before, tables(t, o.Path)); diff != "" {
		t.Errorf("a refused run has changed the file:\n%s", diff)
	}

	// A forced run that fails before its first batch, or in it, leaves the old file.
	failing := newFake(head2)
	forced := options(t, failing, 5)
	forced.Path, forced.Force, forced.BatchExamples = o.Path, true, 2
	broken := errors.New("broken")
	failing.analyze = func(context.Context, []schema.Result) error { return broken }
	if _, err := ingest.Run(t.Context(), forced); !errors.Is(err, broken) {
		t.Errorf("a failing engine: %v", err)
	}
	failing.analyze = func(_ context.Context, r []schema.Result) error {
		r[1].Heads[0].Attention[0].Prob = 7
		return nil
	}
	if _, err := ingest.Run(t.Context(), forced); !errors.Is(err, dbfile.ErrConstraint) {
		t.Errorf("a row that breaks a rule: %v", err)
	}
	if diff := cmp.Diff(before, tables(t, o.Path)); diff != "" {
		t.Errorf("a forced run that failed has changed the file:\n%s", diff)
	}
	nothingBeside(t, o.Path, "run.duckdb")

	failing.analyze = nil
	mustRun(t, forced)
	if got := tables(t, o.Path); len(got["run"]) != 1 || !strings.Contains(got["head"][0], "2.0") {
		t.Errorf("after the forced run: runs %q, heads %q", got["run"], got["head"])
	}
	nothingBeside(t, o.Path, "run.duckdb")

	// Refusals that need no run.
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
		if err := ingest.CheckTarget(t.Context(), c.path, c.add, c.force); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestLocked: a file that is in use is neither replaced nor added to.
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

// TestBadInput: whatever is wrong with a prompt, even the last one, is found before anything is written.
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
			o.BatchExamples = 2
			_, err := ingest.Run(t.Context(), o)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.message)
			}
			nothingBeside(t, o.Path)
		})
	}
}

// TestClosure: an exact run whose parts do not add up fails, a notebook run says by how much.
func TestClosure(t *testing.T) {
	t.Parallel()
	for _, residual := range []float64{0.01, math.NaN(), math.Inf(1)} {
		e := newFake(head1, head2)
		e.analyze = func(_ context.Context, r []schema.Result) error {
			for i := range r {
				if r[i].Example.Index == 5 {
					r[i].Heads[1].Score.Closure = residual
				}
			}
			return nil
		}
		o := options(t, e, 8)
		_, err := ingest.Run(t.Context(), o)
		if !errors.Is(err, ingest.ErrClosure) || !strings.Contains(err.Error(), "example 5") || !strings.Contains(err.Error(), "head 2.0") {
			t.Errorf("residual %g: error %v, want ErrClosure for example 5, head 2.0", residual, err)
		}
		nothingBeside(t, o.Path)
		if residual > 1 || math.IsNaN(residual) {
			continue
		}
		o.Run.Convention = schema.Notebook
		if s := mustRun(t, o); s.MaxClosure != residual {
			t.Errorf("largest residual %g, want %g", s.MaxClosure, residual)
		}
	}
}

// TestCancel stops runs at every batch: what is in the file are whole batches, in order.
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
			o.BatchExamples = size
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
			// The batch after the cancel may have been handed over already.
			if n := incomplete.Examples; n < after*size || n > (after+1)*size || len(got["example"]) != n {
				t.Errorf("%d examples in the file, the error says %d, want %d or %d", len(got["example"]), n, after*size, (after+1)*size)
			}
			for _, table := range []string{"example", "score", "token", "attention", "contribution_wide"} {
				perExample := len(want[table]) / examples
				if wanted := want[table][:incomplete.Examples*perExample]; !slices.Equal(got[table], wanted) {
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

// TestFailureInMidRun: an engine or a database that fails later on leaves whole batches.
func TestFailureInMidRun(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		spoil func(*schema.Result) error
		want  error
	}{
		"engine":      {func(*schema.Result) error { return broken }, broken},
		"closure":     {func(r *schema.Result) error { r.Heads[0].Score.Closure = 1; return nil }, ingest.ErrClosure},
		"not finite":  {func(r *schema.Result) error { r.Heads[0].Contributions[3].Score[2] = float32(math.Inf(1)); return nil }, nil},
		"wrong head":  {func(r *schema.Result) error { r.Heads[0].Head.Index = 0; return nil }, nil},
		"wrong order": {func(r *schema.Result) error { r.Example.Index++; return nil }, nil},
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
			o.BatchExamples = 3
			_, err := ingest.Run(t.Context(), o)
			var incomplete *ingest.Incomplete
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !errors.As(err, &incomplete) || incomplete.Examples != 9 {
				t.Fatalf("error %v, want %v after 9 examples", err, c.want)
			}
			if got := tables(t, o.Path); len(got["example"]) != 9 || len(got["score"]) != 9 {
				t.Errorf("%d examples and %d scores in the file, want 9", len(got["example"]), len(got["score"]))
			}
			nothingBeside(t, o.Path, "run.duckdb")
		})
	}
}

// TestOverlap: while a batch is being written, the next one is computed. The writer is held up until that has begun.
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
	o.BatchExamples = 2
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

// TestSourceChanges: a source that gives something else the second time is an error.
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

// TestForeignText: half a character and an empty token can be stored.
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
	if got := tables(t, o.Path)["token"]; !strings.HasSuffix(got[0], "| \ufffd") || !strings.HasSuffix(got[1], "| ") {
		t.Errorf("tokens %q", got[:2])
	}
}

// TestMadeFor: what has a part for each example must have as many as there are.
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
	o := ingest.Options{Append: true, Force: true, BatchExamples: -1}
	err := o.Validate()
	if !errors.Is(err, ingest.ErrOptions) {
		t.Fatalf("error %v, want ErrOptions", err)
	}
	for _, fault := range []string{"no engine", "no prompts", "no file", "append and force", "batches of -1", "0 threads", `precision ""`, "no creation time"} {
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
		Engine: newFake(head1), Prompts: numbered(10), Path: filepath.Join(dir, "run.duckdb"), BatchExamples: 5,
		Run:      schema.Run{CreatedAt: created, Version: "example", PromptSource: "numbers", Precision: "float32", Threads: 1},
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
	// run 1: 10 examples, 700 rows
}

// TestLastExamplesJoin: where nobody chose the size of batches, a last batch of up to a quarter of it joins the one before.
func TestLastExamplesJoin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ n, chosen, batches int }{{48, 0, 1}, {60, 0, 1}, {61, 0, 2}, {108, 0, 2}, {109, 0, 3}, {60, 48, 2}} {
		o := options(t, newFake(head1), c.n)
		if size := o.BatchSize(); size != 48 {
			t.Fatalf("batches of %d, want 48 for this test", size)
		}
		o.BatchExamples = c.chosen
		if s := mustRun(t, o); s.Batches != c.batches || s.Examples != c.n {
			t.Errorf("%d examples, size %d: %d examples in %d batches, want %d", c.n, c.chosen, s.Examples, s.Batches, c.batches)
		}
	}
}

// TestManyBases: a run has all its bases, in their order, however many statements they take.
func TestManyBases(t *testing.T) {
	t.Parallel()
	e := newFake(head1)
	for i := range 250 {
		e.bases = append(e.bases, schema.Basis{Side: schema.Key, Kind: schema.Subspace, Name: fmt.Sprintf("mine%d", i), Dimension: 1, Description: "one of many"})
	}
	o := options(t, e, 1)
	mustRun(t, o)
	rows := tables(t, o.Path)["basis"] // begin with the run and the number of the basis
	if len(rows) != len(e.bases) {
		t.Fatalf("%d bases, want %d", len(rows), len(e.bases))
	}
	for i, b := range e.bases {
		if !strings.HasPrefix(rows[i], fmt.Sprintf("1 | %d | ", i)) || !strings.Contains(rows[i], " | "+b.Name+" | ") {
			t.Errorf("basis %d is %s, want %s", i, rows[i], b.Name)
		}
	}
}

// TestPartsOfABatch: a batch of long prompts is computed in several forward passes. What fails in one leaves the passes before it in the
// file, in the batch that was begun as well, and the rest of the run makes the file that it would have been.
func TestPartsOfABatch(t *testing.T) {
	t.Parallel()
	long := func(yield func(schema.Prompt, error) bool) {
		for p, err := range numbered(20) {
			// Two of them fit in a pass: they begin with a number of their own, and share nothing.
			p.Text = strings.Fields(p.Text)[1] + strings.Repeat(" word", 300) + " " + p.Text
			if !yield(p, err) {
				return
			}
		}
	}
	whole := options(t, newFake(head1), 20)
	whole.Prompts, whole.BatchExamples = long, 20
	if s := mustRun(t, whole); s.Batches != 1 {
		t.Fatalf("%d batches, want 1", s.Batches)
	}
	e := newFake(head1)
	broken := errors.New("broken")
	e.analyze = func(_ context.Context, results []schema.Result) error {
		if len(results) != 2 {
			return fmt.Errorf("a pass of %d prompts, want 2", len(results))
		}
		if results[1].Example.Index == 9 {
			return broken
		}
		return nil
	}
	o := options(t, e, 20)
	o.Prompts, o.BatchExamples = long, 6
	_, err := ingest.Run(t.Context(), o)
	var incomplete *ingest.Incomplete
	if !errors.Is(err, broken) || !errors.As(err, &incomplete) || incomplete.Examples != 8 {
		t.Fatalf("error %v, want broken after 8 examples", err)
	}
	e.analyze, o.Resume = nil, true
	if s := mustRun(t, o); s.Resumed != 8 || s.Batches != 2 {
		t.Errorf("%d examples resumed, then %d batches, want 8 and 2", s.Resumed, s.Batches)
	}
	if d := cmp.Diff(tables(t, whole.Path), tables(t, o.Path)); d != "" {
		t.Errorf("the resumed run differs from one in one go: %.1000s", d)
	}
}
