package transfer_test

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/transfer"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	options := transfer.DiffOptions{Limit: 5, Database: dbfile.Options{Threads: 1}}
	diff := func(a, b string) transfer.Comparison {
		t.Helper()
		c, err := transfer.Diff(ctx, a, b, options)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, same := runFile(t, "", 1), runFile(t, "", 2, 1) // the same run with another id
	c := diff(a, same)
	if !c.Same() || c.RunA != 1 || c.RunB != 2 || len(c.Manifest) != 0 || len(c.Worst) != 0 || c.Largest != 0 || c.Cells < 10_000 {
		t.Errorf("the same run: %+v", c)
	}
	if c := diff(a, a); !c.Same() {
		t.Errorf("a file and itself: %+v", c)
	}

	// Another model, with other ids. Components are matched by name.
	merged := filepath.Join(t.TempDir(), "merged.duckdb")
	if _, err := transfer.Merge(ctx, merged, []string{runFile(t, strings.Repeat("cd", 32), 7), a}, options.Database); err != nil {
		t.Fatal(err)
	}
	if c := diff(a, merged); !c.Same() || c.RunB != 2 {
		t.Errorf("a run and its copy with other numbers: %+v", c)
	}

	changed := runFile(t, "", 1)
	schematest.Plant(t, changed,
		"UPDATE score SET score = score + 0.5 WHERE example_id = 1",
		"UPDATE key_factor SET vector = list_transform(vector, lambda x: x + 2) WHERE example_id = 2 AND component_id = 1",
		"UPDATE key_coordinate SET baseline = baseline + 1 WHERE example_id = 2 AND component_id = 1",
		"UPDATE run SET seed = 9")
	c = diff(a, changed)
	if c.Same() || c.Different != 3 || c.OnlyA+c.OnlyB != 0 || math.Abs(c.Largest-2) > 1e-6 || len(c.Worst) != 3 {
		t.Fatalf("three changed cells: %+v", c)
	}
	for i, want := range []string{"key_factor vector", "key_coordinate baseline", "score score"} {
		if w := c.Worst[i]; w.Table+" "+w.Column != want || !strings.Contains(w.Row, "head L1H2") {
			t.Errorf("difference %d is %+v, want %s", i, w, want)
		}
	}
	if !strings.Contains(c.Worst[0].Row, "component W_pos") || !strings.Contains(c.Worst[1].Row, "basis key mlp0") {
		t.Errorf("the rows of the largest differences are %q and %q", c.Worst[0].Row, c.Worst[1].Row)
	}
	if len(c.Manifest) != 1 || c.Manifest[0].Column != "seed" || c.Manifest[0].A != "1" || c.Manifest[0].B != "9" {
		t.Errorf("manifests differ in %+v", c.Manifest)
	}
	if !c.Paired || len(c.Means) != 2 || c.Means[0].What != "score" || c.Means[1].What != "score difference" {
		t.Fatalf("what moved: %+v", c.Means)
	}
	for _, m := range c.Means { // one of n prompts changed by 0.5
		n := float64(m.CountA)
		if m.Head != "L1H2" || m.CountA != m.CountB || math.Abs(m.Change-0.5/n) > 1e-6 || math.Abs(m.Error-0.5/n) > 1e-6 || math.Abs(m.B-m.A-m.Change) > 1e-9 {
			t.Errorf("what moved: %+v, want a change of 0.5 in one of %v prompts", m, n)
		}
	}
	options.Tolerance = 0.6
	if c := diff(a, changed); c.Different != 2 || len(c.Worst) != 2 {
		t.Errorf("two changed cells beyond 0.6: %+v", c)
	}
	options.Tolerance = 2.1
	if c := diff(a, changed); !c.Same() || len(c.Worst) != 0 || c.Largest < 1.9 {
		t.Errorf("no changed cell beyond 2.1: %+v", c)
	}

	// A component with another size, and one different prompt: the means are over different prompts.
	moved := runFile(t, "", 1)
	schematest.Plant(t, moved, `UPDATE contribution_wide SET score_perp_perp = score_perp_perp + 0.25 WHERE side = 'key'
		AND component_id = (SELECT component_id FROM component WHERE label = 'MLP0') 
		AND key_basis_id = (SELECT basis_id FROM basis WHERE side = 'key' AND name = 'none')
		AND query_basis_id = (SELECT basis_id FROM basis WHERE side = 'query' AND name = 'none')`, "UPDATE prompt SET key = repeat('ab', 16) WHERE prompt_id = 0")
	c = diff(a, moved)
	if c.Paired || len(c.Means) != 1 || c.Means[0].What != "key side, MLP0" || math.Abs(c.Means[0].Change-0.25) > 1e-6 || c.Means[0].Error <= 0 {
		t.Errorf("MLP0 moved by 0.25: %+v", c.Means)
	}

	// Missing rows, missing numbers and other texts differ whatever the tolerance.
	options.Tolerance = 1e9
	less := runFile(t, "", 1)
	schematest.Plant(t, less, "DELETE FROM prompt_attention WHERE prompt_id = 0 AND pos = 3", "UPDATE prompt_token SET text = 'x' WHERE prompt_id = 2 AND pos = 0", "UPDATE score SET baseline = NULL WHERE example_id = 0")
	c = diff(a, less)
	if c.OnlyA != 1 || c.OnlyB != 0 || c.Different != 2 || !math.IsInf(c.Largest, 1) || len(c.Worst) != 3 {
		t.Errorf("a missing row, a missing number and another text: %+v", c)
	}
	if last := c.Worst[len(c.Worst)-1]; last.Column != "" {
		t.Errorf("the last difference is %+v, want the missing row", last)
	}
	if c := diff(less, a); c.OnlyA != 0 || c.OnlyB != 1 {
		t.Errorf("the other way round: %+v", c)
	}
}

func TestDiffRefuses(t *testing.T) {
	t.Parallel()
	a, unfinished := runFile(t, "", 1), runFile(t, "", 1)
	schematest.Plant(t, unfinished, "UPDATE run SET status = 'running'")
	planted := runFile(t, "", 1)
	schematest.Plant(t, planted, "ALTER TABLE projection RENAME TO p", "CREATE VIEW projection AS SELECT * FROM p")
	for _, tt := range []struct {
		a, b string
		runB int
		want error
	}{
		{a, unfinished, 0, dbfile.ErrUnfinished},
		{a, unfinished, 1, dbfile.ErrUnfinished},
		{a, a, 7, dbfile.ErrNotFound},
		{a, oldFile(t, 2), 0, dbfile.ErrSchemaVersion},
		{a, planted, 0, dbfile.ErrNotDucklens},
		{planted, a, 0, dbfile.ErrNotDucklens},
	} {
		if _, err := transfer.Diff(t.Context(), tt.a, tt.b, transfer.DiffOptions{RunB: tt.runB}); !errors.Is(err, tt.want) {
			t.Errorf("%v, want %v", err, tt.want)
		}
	}
}
