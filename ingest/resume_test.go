package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/verify"
)

// mustRead returns the bytes of a file.
func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// stopAfter runs until n batches are committed, and leaves an unfinished run.
func stopAfter(t *testing.T, o ingest.Options, n int) *ingest.Incomplete {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	batches := -1 // the first report comes before the first batch
	o.Progress = func(ingest.Progress) {
		if batches++; batches == n {
			stop()
		}
	}
	_, err := ingest.Run(ctx, o)
	var incomplete *ingest.Incomplete
	if !errors.As(err, &incomplete) || !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want an incomplete, cancelled run", err)
	}
	if !strings.Contains(incomplete.Hint(), "--resume") {
		t.Errorf("hint %q does not say how to resume", incomplete.Hint())
	}
	return incomplete
}

// sameTables fails if two files differ in anything other than the times and command lines of their runs.
func sameTables(t *testing.T, got, want string) {
	t.Helper()
	a, b := tables(t, got), tables(t, want)
	for table := range b {
		if diff := differ(b[table], a[table]); diff != "" {
			t.Errorf("table %s differs from that of an uninterrupted run:\n%.2000s", table, diff)
		}
	}
}

// TestResume continues runs twice, with other batches and threads, and expects the rows of an uninterrupted
// run, with means of pairs from stored factors, from stored pairs and from both.
func TestResume(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]engine.Options{
		"all":     everything(engine.Options{}),
		"factors": {Factors: true},
		"pairs":   {Pairs: true},
		"neither": {Substitutions: true, Projections: true, Logits: true},
		"whole":   {Factors: true, QueryBases: []string{"none"}, KeyBases: []string{"none"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with.Heads, with.Threads = twoHeads, 1
			whole := realOptions(t, 13, with)
			mixed(&whole, 13, 0, 5)
			mustRun(t, whole)

			parts := realOptions(t, 13, with)
			mixed(&parts, 13, 0, 5)
			parts.BatchPrompts = 3
			first := stopAfter(t, parts, 1)
			if name == "all" { // which has the tables of the others
				check(t, parts.Path, verify.Unfinished)
			}
			if first.Prompts%3 != 0 || first.Prompts == 0 || first.Total != 13 {
				t.Errorf("stopped after %d of %d examples, want batches of 3", first.Prompts, first.Total)
			}
			with.Threads = 2
			again := realOptions(t, 13, with)
			mixed(&again, 13, 0, 5)
			again.Path, again.Resume, again.BatchPrompts = parts.Path, true, 2
			second := stopAfter(t, again, 1)
			if name == "all" {
				check(t, parts.Path, verify.Unfinished)
			}
			if second.Prompts <= first.Prompts || second.RunID != first.RunID {
				t.Errorf("stopped at %d of run %d, then at %d of run %d", first.Prompts, first.RunID, second.Prompts, second.RunID)
			}
			again.BatchPrompts = 0
			s := mustRun(t, again)
			if s.Resumed != second.Prompts || s.Examples != 13 || s.RunID != 1 {
				t.Errorf("summary %+v, want 13 examples, %d of them from before", s, second.Prompts)
			}
			sameTables(t, parts.Path, whole.Path)
			check(t, parts.Path)
			nothingBeside(t, parts.Path, "run.duckdb")

			// The run is complete now, and left alone.
			before := mustRead(t, parts.Path)
			known := mustRun(t, again)
			if !known.Known || known.Prompts != 13 || known.Examples != 13 || known.RunID != 1 || known.Rows != s.Rows || known.MaxClosure != s.MaxClosure {
				t.Errorf("resuming a complete run: %+v, want what is stored: %+v", known, s)
			}
			if !bytes.Equal(mustRead(t, parts.Path), before) {
				t.Error("resuming a complete run changed its file")
			}
			nothingBeside(t, parts.Path, "run.duckdb")
			again.Seed++
			_, err := ingest.Run(t.Context(), again)
			if !errors.Is(err, ingest.ErrNotResumable) || !strings.Contains(err.Error(), "complete and has other options") {
				t.Errorf("resuming a complete run with another seed: %v", err)
			}
		})
	}
}

// TestResumeRefuses checks that a run is continued only with the options that it was begun with, and that the
// error names the difference.
func TestResumeRefuses(t *testing.T) {
	t.Parallel()
	begin := options(t, newFake(head1, head2), 9)
	begin.BatchPrompts = 2
	begin.CommandLine = "ducklens ingest --as-it-was"
	stopAfter(t, begin, 2)
	check(t, begin.Path, verify.Unfinished)
	before := tables(t, begin.Path)
	for name, c := range map[string]struct {
		change func(*ingest.Options, *fake)
		want   string
	}{
		"model":        {func(_ *ingest.Options, f *fake) { f.run.Model.SHA256 = strings.Repeat("1e", 32) }, "model fake with SHA-256 0f0f"},
		"more prompts": {func(o *ingest.Options, _ *fake) { o.Prompts = numbered(10) }, "prompts 9, now 10"},
		"other prompts": {func(o *ingest.Options, _ *fake) {
			o.Prompts = func(yield func(schema.Prompt, error) bool) {
				i := 0
				for p, err := range numbered(9) {
					if i++; i == 9 { // the last one, which is not stored yet
						p.Text = "number 8 follows some another number"
					}
					if !yield(p, err) {
						return
					}
				}
			}
		}, "prompts with SHA-256 "},
		"position": {func(o *ingest.Options, _ *fake) {
			o.Prompts = func(yield func(schema.Prompt, error) bool) {
				for p, err := range numbered(9) {
					p.Key = schema.AtIndex(1)
					if !yield(p, err) {
						return
					}
				}
			}
		}, "prompts with SHA-256 "},
		"names":      {func(o *ingest.Options, _ *fake) { o.Names = []string{"Mary"} }, "prompts with SHA-256 "},
		"seed":       {func(o *ingest.Options, _ *fake) { o.Seed = 8 }, "seed 7, now 8"},
		"bos":        {func(_ *ingest.Options, f *fake) { f.run.BOS = false }, "bos true, now false"},
		"convention": {func(_ *ingest.Options, f *fake) { f.run.Convention = schema.Notebook }, "convention exact, now notebook"},
		"processing": {func(_ *ingest.Options, f *fake) { f.run.Processing = schema.Raw }, "processing processed, now raw"},
		"precision":  {func(_ *ingest.Options, f *fake) { f.run.Precision = "float64" }, "precision float32, now float64"},
		"blas":       {func(_ *ingest.Options, f *fake) { f.run.BLAS = "gonum" }, "blas auto, now gonum"},
		"version":    {func(o *ingest.Options, _ *fake) { o.Version = "next" }, "ducklens version test, now next"},
		"heads":      {func(_ *ingest.Options, f *fake) { f.run.Heads = f.run.Heads[:1] }, "heads 1.1, 2.0, now 1.1"},
		"movers":     {func(_ *ingest.Options, f *fake) { f.run.Movers = []schema.Head{{Layer: 0, Index: 1}} }, "movers , now 0.1"},
		"fewer bases": {func(_ *ingest.Options, f *fake) { f.run.Bases = f.run.Bases[:3] },
			"bases key mlp0 (subspace of 1: the output of MLP 0), now without them"},
		"other basis": {func(_ *ingest.Options, f *fake) { f.run.Bases[1].Description = "another" }, "bases query unembed (subspace of 1: the key token's unembedding), now query unembed (subspace of 1: another)"},
		"null": {func(_ *ingest.Options, f *fake) {
			f.run.Bases = append(f.run.Bases, schema.Basis{Side: schema.Query, Kind: schema.Subspace, Name: schema.NullBasis(0), Dimension: 1, Description: "null"})
		}, "bases without them, now query random0"},
		"factors":       {func(_ *ingest.Options, f *fake) { f.run.Factors = true }, "factors false, now true"},
		"pairs":         {func(_ *ingest.Options, f *fake) { f.run.Pairs = true }, "pairs false, now true"},
		"logits":        {func(_ *ingest.Options, f *fake) { f.run.Logits = true }, "logits false, now true"},
		"options":       {func(_ *ingest.Options, f *fake) { f.run.Options = `{"substitutions":true}` }, `options , now {"substitutions":true}`},
		"configuration": {func(_ *ingest.Options, f *fake) { f.run.Model.ConfigSHA = "other" }, "model fake, now fake with the same weights and another configuration"},
		"components": {func(_ *ingest.Options, f *fake) {
			f.layout.AttnBias = false
			f.run.Components = f.layout.Components()
		}, "components W_E, W_pos, 0.0, 0.1, b_O0, MLP0, "},
	} {
		t.Run(name, func(t *testing.T) {
			e := newFake(head1, head2)
			o := options(t, e, 9)
			o.Path, o.Resume = begin.Path, true
			c.change(&o, e)
			_, err := ingest.Run(t.Context(), o)
			var different *ingest.DifferentError
			if !errors.As(err, &different) || !errors.Is(err, ingest.ErrNotResumable) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want a difference with %q", err, c.want)
			}
			if len(different.Differences) != 1 {
				t.Errorf("%d differences, want 1: %v", len(different.Differences), different.Differences)
			}
			if !strings.Contains(different.Hint(), begin.CommandLine) {
				t.Errorf("hint %q does not give the command", different.Hint())
			}
		})
	}
	if diff := differAll(before, tables(t, begin.Path)); diff != "" {
		t.Errorf("a refused resumption has changed the file:\n%s", diff)
	}
	for _, wrong := range []func(*ingest.Options){func(o *ingest.Options) { o.Append = true }, func(o *ingest.Options) { o.Force = true }} {
		o := options(t, newFake(head1, head2), 9)
		o.Path, o.Resume = begin.Path, true
		wrong(&o)
		if _, err := ingest.Run(t.Context(), o); !errors.Is(err, ingest.ErrOptions) {
			t.Errorf("resume with append or force: %v", err)
		}
	}
}

// TestResumeAmong checks that the matching one of several runs is continued and the others do not change.
func TestResumeAmong(t *testing.T) {
	t.Parallel()
	done := options(t, newFake(head2), 3)
	mustRun(t, done)
	left := options(t, newFake(head1), 9)
	left.Path, left.Append, left.BatchPrompts = done.Path, true, 2
	stopAfter(t, left, 1)
	other := options(t, newFake(head1, head2), 6)
	other.Path, other.Append, other.BatchPrompts = done.Path, true, 2
	stopAfter(t, other, 1)

	left.Append, left.Resume = false, true
	left.CreatedAt = created.Add(time.Hour)
	if s := mustRun(t, left); s.RunID != 2 || s.Examples != 9 {
		t.Errorf("summary %+v, want run 2 with 9 examples", s)
	}
	rows := tables(t, done.Path)["run"]
	for i, want := range []string{"complete | 3", "complete | 9", "running | <nil>"} {
		if !strings.Contains(rows[i], want) || !strings.Contains(rows[i], fmt.Sprint(created)) {
			t.Errorf("run %d is %s, want %s, begun at %v", i+1, rows[i], want, created)
		}
	}
	check(t, done.Path, verify.Unfinished)
}

// TestResumeEmpty checks that a run that was stopped before its first batch begins again, whether there is no
// file or one without runs.
func TestResumeEmpty(t *testing.T) {
	t.Parallel()
	whole := options(t, newFake(head1), 5)
	mustRun(t, whole)
	o := options(t, newFake(head1), 5)
	o.Resume = true
	if s := mustRun(t, o); s.RunID != 1 || s.Resumed != 0 || !slices.Contains(s.Notices, "there is no file yet, so the run is begun") {
		t.Errorf("no file: summary %+v, want run 1 from its beginning, and a notice", s)
	}
	sameTables(t, o.Path, whole.Path)
	o.Path = filepath.Join(t.TempDir(), "empty.duckdb")
	db, err := dbfile.Create(t.Context(), o.Path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := mustRun(t, o); s.RunID != 1 || s.Resumed != 0 {
		t.Errorf("summary %+v, want run 1 from its beginning", s)
	}
	sameTables(t, o.Path, whole.Path)
}

// TestForcedRunStops checks that a run that stops before it replaces a file leaves that file unchanged, and
// its own results in a file beside it.
func TestForcedRunStops(t *testing.T) {
	t.Parallel()
	old := options(t, newFake(head1), 5)
	mustRun(t, old)
	before := tables(t, old.Path)
	whole := options(t, newFake(head2), 30)
	whole.BatchPrompts = 2
	mustRun(t, whole)

	stopping := newFake(head2)
	o := options(t, stopping, 30)
	o.Path, o.Force, o.BatchPrompts = old.Path, true, 2
	broken := errors.New("broken")
	calls := 0
	stopping.analyze = func(context.Context, []schema.Result) error {
		if calls++; calls > 10 {
			return broken
		}
		return nil
	}
	var stopped *ingest.Incomplete
	if _, err := ingest.Run(t.Context(), o); !errors.Is(err, broken) || !errors.As(err, &stopped) || stopped.Kept != old.Path || stopped.Prompts == 0 {
		t.Fatalf("a run that stops: %v", err)
	}
	if diff := differAll(before, tables(t, old.Path)); diff != "" {
		t.Errorf("the old file has changed:\n%s", diff)
	}
	nothingBeside(t, old.Path, "run.duckdb", "run.duckdb.unfinished")
	rest := options(t, newFake(head2), 30)
	rest.Path, rest.Resume, rest.BatchPrompts = stopped.Path, true, 2
	if s := mustRun(t, rest); s.Resumed != stopped.Prompts {
		t.Errorf("%d examples resumed, want %d", s.Resumed, stopped.Prompts)
	}
	sameTables(t, stopped.Path, whole.Path)

	// A second one that stops does not take the name of the first.
	calls = 0
	if _, err := ingest.Run(t.Context(), o); !errors.As(err, &stopped) || stopped.Path != old.Path+".unfinished-2" {
		t.Fatalf("a second run that stops: %v, want it in %s.unfinished-2", err, old.Path)
	}
	nothingBeside(t, old.Path, "run.duckdb", "run.duckdb.unfinished", "run.duckdb.unfinished-2")
	sameTables(t, rest.Path, whole.Path)

	// Nor does a third one take a name for which only a log exists.
	log := old.Path + ".unfinished-3.wal"
	if err := os.WriteFile(log, []byte("another's"), 0o644); err != nil {
		t.Fatal(err)
	}
	calls = 0
	if _, err := ingest.Run(t.Context(), o); !errors.As(err, &stopped) || stopped.Path != old.Path+".unfinished-4" {
		t.Fatalf("a third run that stops: %v, want it in %s.unfinished-4", err, old.Path)
	}
	if text, err := os.ReadFile(log); err != nil || string(text) != "another's" {
		t.Errorf("%v: a log that lay alone is gone", err)
	}
}

// TestPromptsFingerprint checks that the fingerprint in the manifest depends on the prompts alone.
func TestPromptsFingerprint(t *testing.T) {
	t.Parallel()
	print := func(o ingest.Options) (n int, sha string) {
		t.Helper()
		mustRun(t, o)
		db, err := dbfile.OpenFor(t.Context(), o.Path, dbfile.Options{Threads: 1}, "run")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.SQL().QueryRowContext(t.Context(), "SELECT n_prompts, prompts_sha256 FROM run").Scan(&n, &sha); err != nil {
			t.Fatal(err)
		}
		return n, sha
	}
	a := realOptions(t, 6, engine.Options{})
	n, sha := print(a)
	if n != 6 || len(sha) != 64 {
		t.Errorf("%d prompts, SHA-256 %q", n, sha)
	}
	b := realOptions(t, 6, engine.Options{Convention: schema.Notebook})
	if _, again := print(b); again != sha {
		t.Error("another convention changes the fingerprint of the prompts")
	}
	c := realOptions(t, 6, engine.Options{})
	c.Prompts = prompts.IOI().Prompts(prompts.Sampling{N: 6, Seed: 4})
	if _, other := print(c); other == sha {
		t.Error("other prompts have the same fingerprint")
	}
}

// TestResumeTorn cuts the log of a run. The file then holds whole batches, and a run that is continued or
// begun again has the rows of an uninterrupted one.
func TestResumeTorn(t *testing.T) {
	t.Parallel()
	const n, batch = 50, 10 // contributions fill more than a row group, and four batches follow the first
	with := engine.Options{Factors: true, Threads: 1}
	whole := realOptions(t, n, with)
	mustRun(t, whole)
	check(t, whole.Path)
	// The file and its log after each batch but the first, which is in the file when it gets its name.
	type moment struct {
		file, log []byte
		stored    int // prompts before the batch
	}
	var moments []moment
	parts := realOptions(t, n, with)
	parts.BatchPrompts = batch
	parts.Progress = func(p ingest.Progress) {
		log, err := os.ReadFile(parts.Path + ".wal")
		if err != nil {
			return
		}
		file, err := os.ReadFile(parts.Path)
		if err != nil {
			t.Error(err)
		}
		moments = append(moments, moment{file, log, p.Prompts - batch})
	}
	mustRun(t, parts)
	if len(moments) < 2 {
		t.Fatalf("%d moments with a log, want one for each batch but the first", len(moments))
	}
	orphans := 0
	for _, m := range moments[1:2] { // a batch in the file, one whole in the log, and one torn
		for _, cut := range []int{1, 1000} {
			o := realOptions(t, n, with)
			o.BatchPrompts, o.Resume = batch, true
			for name, content := range map[string][]byte{o.Path: m.file, o.Path + ".wal": m.log[:len(m.log)-cut]} {
				if err := os.WriteFile(name, content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, row := range tables(t, o.Path)["contribution_wide"] {
				_, example, _ := strings.Cut(row, " | ")
				if strings.HasPrefix(example, fmt.Sprint(m.stored, " | ")) {
					orphans++
				}
			}
			if s := mustRun(t, o); s.Resumed != m.stored {
				t.Errorf("after %d prompts, cut %d: %d examples resumed", m.stored, cut, s.Resumed)
			}
			sameTables(t, o.Path, whole.Path)
			nothingBeside(t, o.Path, "run.duckdb")
		}
	}
	if orphans == 0 {
		t.Skip("DuckDB replays torn logs rightly: nothing is tested")
	}
}
