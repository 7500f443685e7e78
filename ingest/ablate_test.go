package ingest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// ablating returns a file with a run of the demo model, and options for an ablation in it.
func ablating(t *testing.T, examples int) ingest.AblateOptions {
	t.Helper()
	run := realOptions(t, examples, engine.Options{Heads: []schema.Head{{Layer: 3, Index: 0}, {Layer: 2, Index: 1}}, Threads: 1, QueryBases: []string{"none"}, KeyBases: []string{"none"}})
	mustRun(t, run)
	return ingest.AblateOptions{
		Path: run.Path, Method: ingest.Zero, Place: engine.Everywhere, Top: -1, Threads: 1, Database: dbfile.Options{Threads: 1},
		Open: func(o engine.Options) (ingest.Ablator, error) {
			e, err := engine.Open(demoModel, o)
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
			return e, nil
		},
	}
}

// TestAblate checks that all heads and MLPs have rows, that repeated calls add none twice, and that an
// ablation that was stopped and continued has the rows of one that was not.
func TestAblate(t *testing.T) {
	t.Parallel()
	const n = 7
	o := ablating(t, n)
	first := o
	first.Top, first.Components = 0, []string{"MLP0", "1.2"}
	done, err := ingest.Ablate(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if done.Rows != 2*2*n || done.Known != 0 || !slices.Equal(done.Components, []string{"MLP0", "1.2"}) {
		t.Errorf("%+v, want 2 components before 2 heads on %d examples", done, n)
	}
	if done, err = ingest.Ablate(t.Context(), first); err != nil || done.Rows != 0 || done.Known != 2*2*n {
		t.Errorf("the same again: %+v, %v", done, err)
	}
	if done, err = ingest.Ablate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	const components = 15 + 10 // in layers 0 to 2, before head 3.0, and in layers 0 and 1, before 2.1
	if done.Rows+done.Known != components*n || done.Known != 2*2*n {
		t.Errorf("%+v, want %d rows in all", done, components*n)
	}
	for _, place := range []string{engine.AtKey, engine.AtQuery, engine.Everywhere} {
		mean := first
		mean.Method, mean.Place = ingest.Mean, place
		if done, err = ingest.Ablate(t.Context(), mean); err != nil || done.Rows != 2*2*n {
			t.Errorf("means at %s: %+v, %v", place, done, err)
		}
	}
	check(t, o.Path)

	stopped := ablating(t, n)
	stopped.Batch = 1
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := 0
	open := stopped.Open
	stopped.Open = func(options engine.Options) (ingest.Ablator, error) {
		a, err := open(options)
		return stoppingAblator{a, func() {
			if calls++; calls == 2 {
				cancel()
			}
		}}, err
	}
	// With one example in a batch, the first example stays and the second is dropped.
	if done, err = ingest.Ablate(ctx, stopped); !errors.Is(err, context.Canceled) {
		t.Fatalf("an ablation that is stopped: %+v, %v", done, err)
	}
	check(t, stopped.Path)
	if done.Rows != components {
		t.Errorf("%d rows of one example are there, want %d", done.Rows, components)
	}
	if done, err = ingest.Ablate(t.Context(), stopped); err != nil || done.Rows+done.Known != components*n || done.Known != components {
		t.Fatalf("continued: %+v, %v", done, err)
	}
	check(t, stopped.Path)
	zero := func(path string) (rows []string) {
		for _, row := range tables(t, path)["ablation"] {
			if strings.Contains(row, "| zero |") {
				rows = append(rows, row)
			}
		}
		return rows
	}
	if diff := cmp.Diff(zero(o.Path), zero(stopped.Path)); diff != "" {
		t.Errorf("a run that was stopped has other rows:\n%.1000s", diff)
	}
}

// stoppingAblator calls a function before each ablation.
type stoppingAblator struct {
	ingest.Ablator
	called func()
}

func (s stoppingAblator) Ablate(ctx context.Context, examples []schema.Example, a engine.Ablation) ([]schema.Ablated, error) {
	s.called()
	return s.Ablator.Ablate(ctx, examples, a)
}

// TestAblateRefuses checks that other models, unknown heads and components, and files without a complete run
// are errors that leave the file unchanged.
func TestAblateRefuses(t *testing.T) {
	t.Parallel()
	o := ablating(t, 2)
	before := tables(t, o.Path)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.CopyFS(other, os.DirFS(demoModel)); err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(other, "model.safetensors")
	data, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(weights, data, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*ingest.AblateOptions){
		"has other weights":  func(o *ingest.AblateOptions) { o.Open = opener(t, other) },
		"no target head 1.1": func(o *ingest.AblateOptions) { o.Heads = []schema.Head{{Layer: 1, Index: 1}} },
		`"W_E" is no head`:   func(o *ingest.AblateOptions) { o.Components = []string{"W_E"} },
		`"3.1" is no head`:   func(o *ingest.AblateOptions) { o.Components = []string{"3.1"} },
		"there is no run 9":  func(o *ingest.AblateOptions) { o.Run = 9 },
	} {
		asked := o
		change(&asked)
		if _, err := ingest.Ablate(t.Context(), asked); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error that says %q", err, want)
		}
	}
	if diff := differAll(before, tables(t, o.Path)); diff != "" {
		t.Errorf("what was refused changed the file:\n%.1000s", diff)
	}
}

func opener(t *testing.T, path string) func(engine.Options) (ingest.Ablator, error) {
	return func(o engine.Options) (ingest.Ablator, error) {
		e, err := engine.Open(path, o)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = e.Close() })
		return e, nil
	}
}
