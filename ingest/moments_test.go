package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/moment"
	"ducklens/schema/verify"
)

// grouped returns prompts with a template; some of them also have a field.
func grouped(n int) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		i := 0
		for p, err := range numbered(n) {
			p.Template = []string{"one", "two", "three"}[i%3]
			if i%2 == 0 {
				p.Fields = schema.Fields{{Name: "kind", Value: `"even"`}}
			}
			if i++; !yield(p, err) {
				return
			}
		}
	}
}

// momentsOf ingests prompts and returns the rows of contribution_moment by key, without the run.
func momentsOf(t *testing.T, prompts iter.Seq2[schema.Prompt, error], batch int) (path string, states map[string][]byte) {
	t.Helper()
	o := options(t, newFake(schema.Head{Layer: 2, Index: 1}, schema.Head{Layer: 1, Index: 0}), 0)
	o.Prompts, o.MeansOnly, o.By, o.BatchPrompts = prompts, true, []string{"template", "kind"}, batch
	if _, err := ingest.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	db, err := dbfile.OpenFor(t.Context(), o.Path, dbfile.Options{Threads: 1}, "contribution_moment")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.SQL().QueryContext(t.Context(), `SELECT concat_ws(' ', prompts, head_id, side, component_id, query_basis_id, key_basis_id, coalesce(quadrant::VARCHAR, 'sum')), state FROM contribution_moment`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	states = map[string][]byte{}
	for rows.Next() {
		var key string
		var state []byte
		if err := rows.Scan(&key, &state); err != nil {
			t.Fatal(err)
		}
		if states[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		states[key] = state
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return o.Path, states
}

// TestMoments checks that a run of means has no rows of contributions, that its bits do not depend on the
// size of batches, and that the moments of its parts add up to the same bits.
func TestMoments(t *testing.T) {
	t.Parallel()
	const n = 43 // more batches of one than checkpointBatches
	path, whole := momentsOf(t, grouped(n), 0)
	if _, other := momentsOf(t, grouped(n), 1); !equalStates(whole, other) {
		t.Error("batches of one give other moments")
	}
	stored := tables(t, path)
	if len(stored["contribution_wide"]) != 0 || len(stored["score"]) != 2*n || len(stored["edge"]) != n {
		t.Errorf("%d contributions, %d scores, %d edges", len(stored["contribution_wide"]), len(stored["score"]), len(stored["edge"]))
	}
	groups := map[string]bool{}
	for key := range whole {
		groups[key[:strings.IndexByte(key, ' ')]] = true
	}
	for _, want := range []string{"all", "template=one", "template=two", "template=three", "kind=even"} {
		if !groups[want] || len(groups) != 5 {
			t.Errorf("groups %v, want %s and four others", groups, want)
		}
	}
	report, err := verify.File(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil || !report.OK() {
		t.Errorf("verify: %v, %v", report.Problems, err)
	}
	// The moments of parts add up, whatever the parts and their order.
	together := map[string][]byte{}
	for _, part := range []func(int) bool{func(i int) bool { return i >= 15 }, func(i int) bool { return i < 4 }, func(i int) bool { return 4 <= i && i < 15 }} {
		_, states := momentsOf(t, some(grouped(n), part), 0)
		for key, state := range states {
			a, err := moment.ParseRow(together[key])
			if together[key] == nil {
				a, err = moment.NewRow(true), nil
			}
			b, berr := moment.ParseRow(state)
			if err := errors.Join(err, berr); err != nil {
				t.Fatal(key, err)
			}
			a.Merge(&b)
			together[key] = a.State()
		}
	}
	if !equalStates(whole, together) {
		t.Error("parts give other moments than the whole")
	}
}

// some returns the prompts whose indices are in a part.
func some(all iter.Seq2[schema.Prompt, error], in func(int) bool) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		i := 0
		for p, err := range all {
			if i++; in(i-1) && !yield(p, err) {
				return
			}
		}
	}
}

func equalStates(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for key := range a {
		if !slices.Equal(a[key], b[key]) {
			return false
		}
	}
	return true
}

// TestDamagedMoments checks that verify finds damaged moments.
func TestDamagedMoments(t *testing.T) {
	t.Parallel()
	sound, _ := momentsOf(t, grouped(6), 0)
	content, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, change, want string }{
		{"a row is missing", "DELETE FROM contribution_moment WHERE rowid = (SELECT min(rowid) FROM contribution_moment WHERE prompts = 'all')", "does not have the moments of each component once"},
		{"a mean", "UPDATE contribution_moment SET mean_score = mean_score + 1 WHERE prompts = 'all' AND quadrant IS NULL", "of mean contributions are not the mean scores"},
		{"a small change", "UPDATE contribution_moment SET variance_score = variance_score * (1 + 1e-15::DOUBLE) WHERE prompts = 'kind=even'", "do not follow from their exact sums"},
		{"a state", "UPDATE contribution_moment SET state = ''::BLOB", "do not follow from their exact sums"},
		{"a quadrant", "UPDATE contribution_moment SET mean_diff = mean_diff + 1 WHERE prompts = 'template=two' AND quadrant = 'perp_perp'", "are not the sums of their quadrants"},
		{"a count", "UPDATE contribution_moment SET n = n + 1", "are of other numbers of examples than their runs have"},
		{"all of them", "DELETE FROM contribution_moment", "or none although it keeps only means"},
		{"what is kept", "UPDATE run SET options = NULL", "although it keeps their rows"},
		{"a head", "UPDATE contribution_moment SET head_id = 99", "moments of contributions refer to no head"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "damaged.duckdb")
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			change(t, path, c.change)
			report, err := verify.File(t.Context(), path, dbfile.Options{Threads: 1})
			if err != nil || !strings.Contains(fmt.Sprint(report.Problems), c.want) {
				t.Errorf("%v, %v, want %q", report.Problems, err, c.want)
			}
		})
	}
}

// change alters a file with SQL, behind the program's back.
func change(t *testing.T, path, statement string) {
	t.Helper()
	db, err := dbfile.OpenWriter(t.Context(), path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestMomentsInOnePiece checks that a run of means that is stopped leaves no file, and that means that cannot
// be stored are refused before the run begins.
func TestMomentsInOnePiece(t *testing.T) {
	t.Parallel()
	with := func(alter func(*ingest.Options, *fake)) (ingest.Options, error) {
		f := newFake(schema.Head{Layer: 1, Index: 0})
		o := options(t, f, 20)
		o.Prompts, o.MeansOnly, o.BatchPrompts = grouped(20), true, 2
		alter(&o, f)
		_, err := ingest.Run(t.Context(), o)
		return o, err
	}
	stop := errors.New("stop")
	seen := 0
	o, err := with(func(_ *ingest.Options, f *fake) {
		f.analyze = func(context.Context, []schema.Result) error {
			if seen++; seen > 5 {
				return stop
			}
			return nil
		}
	})
	var lost *ingest.Lost
	if !errors.Is(err, stop) || !errors.As(err, &lost) || lost.Prompts == 0 {
		t.Errorf("stopped: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(o.Path), "*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
	for want, alter := range map[string]func(*ingest.Options, *fake){
		"no prompt has it":           func(o *ingest.Options, _ *fake) { o.By = []string{"colour"} },
		"written in one piece":       func(o *ingest.Options, _ *fake) { o.Resume = true },
		"rows can be grouped":        func(o *ingest.Options, _ *fake) { o.MeansOnly, o.By = false, []string{"template"} },
		"want numbers below 1.12589": func(_ *ingest.Options, f *fake) { f.analyze = huge },
	} {
		if _, err := with(alter); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// huge makes contributions too large for means.
func huge(_ context.Context, results []schema.Result) error {
	for i := range results {
		results[i].Heads[0].Contributions[0].Score[0] = math.MaxFloat32
	}
	return nil
}
