package transfer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/transfer"
	"ducklens/schema/verify"
)

// runFile gives a finished file with full runs of the given seeds, which may be changed.
func runFile(t *testing.T, sha string, seeds ...uint64) string {
	t.Helper()
	return made(t, fmt.Sprint("run", sha, seeds), func(db *dbfile.DB) {
		model := schematest.GPT2Small()
		if sha != "" {
			model.SHA256 = sha
		}
		for _, seed := range seeds {
			run := schema.Run{Model: model, Heads: schematest.Targets(schema.Head{Layer: 1, Index: 2}), Bases: schematest.AllBases(), Movers: []schema.Head{{Layer: 0, Index: 1}, {Layer: 0, Index: 0}},
				Seed: int64(seed), BOS: true, Factors: true, Pairs: true, Logits: true}
			schematest.Insert(t, db, run, schematest.AddLayerScales(schematest.Random(run, seed, 3)))
		}
	})
}

// fullFile gives a file of runs with rows in every table, which may be changed.
func fullFile(t *testing.T, seeds ...uint64) string {
	t.Helper()
	return made(t, fmt.Sprint("full", seeds), func(db *dbfile.DB) {
		for _, seed := range seeds {
			schematest.Full(t, db, seed, 3, schema.Head{Layer: 1, Index: 2})
		}
	})
}

// files are those that made has made.
var files = struct {
	sync.Mutex
	of map[string][]byte
}{of: map[string][]byte{}}

// made gives a copy of a file, which is made and verified once for all tests: that takes a second.
func made(t *testing.T, key string, fill func(*dbfile.DB)) string {
	t.Helper()
	files.Lock()
	defer files.Unlock()
	if files.of[key] == nil {
		db := schematest.NewDB(t) // it is verified when the test ends
		fill(db)
		if err := db.Finalize(t.Context()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(db.Path())
		if err != nil {
			t.Fatal(err)
		}
		files.of[key] = data
	}
	path := filepath.Join(t.TempDir(), "runs.duckdb")
	if err := os.WriteFile(path, files.of[key], 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// dump returns the rows of a run, with labels instead of component ids and without the ids of run and model.
func dump(t *testing.T, path string, run int) (list []string) {
	t.Helper()
	db, err := dbfile.OpenFor(t.Context(), path, dbfile.Options{Threads: 1},
		"run", "model", "head", "basis", "mover", "run_component", "component", "prompt", "edge", "layer_scale", "query_axis", "key_axis", "query_coordinate", "key_coordinate",
		"logit", "logit_effect", "token", "score", "attention", "contribution_wide", "query_factor", "key_factor", "pair_contribution", "pair_mean", "substitution", "projection", "vector_cosine")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{
		"SELECT 'run ' || (SELECT sha256 FROM model WHERE model_id = run.model_id) || seed || created_at || n_examples || max_closure_residual FROM run WHERE run_id = $1",
		"SELECT 'head ' || head_id || label || ordinal FROM head WHERE run_id = $1",
		"SELECT 'basis ' || basis_id || name || dimension FROM basis WHERE run_id = $1",
		"SELECT 'mover ' || ordinal || label FROM mover WHERE run_id = $1",
		"SELECT 'component ' || ordinal || key FROM run_component JOIN component USING (component_id) WHERE run_id = $1",
		"SELECT 'prompt ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM prompt WHERE run_id = $1) AS t",
		"SELECT 'edge ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM edge WHERE run_id = $1) AS t",
		"SELECT 'layer scale ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM layer_scale WHERE run_id = $1) AS t",
		"SELECT 'query axis ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM query_axis WHERE run_id = $1) AS t",
		"SELECT 'key axis ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM key_axis WHERE run_id = $1) AS t",
		"SELECT 'query coordinate ' || t::VARCHAR FROM (SELECT w.* EXCLUDE (run_id, component_id), c.label FROM query_coordinate AS w JOIN component AS c USING (component_id) WHERE w.run_id = $1) AS t",
		"SELECT 'key coordinate ' || t::VARCHAR FROM (SELECT w.* EXCLUDE (run_id, component_id), c.label FROM key_coordinate AS w JOIN component AS c USING (component_id) WHERE w.run_id = $1) AS t",
		"SELECT 'logit ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM logit WHERE run_id = $1) AS t",
		"SELECT 'logit effect ' || t::VARCHAR FROM (SELECT w.* EXCLUDE (run_id, component_id), c.label FROM logit_effect AS w JOIN component AS c USING (component_id) WHERE w.run_id = $1) AS t",
		"SELECT 'token ' || example_id || pos || text FROM token WHERE run_id = $1",
		"SELECT 'score ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM score WHERE run_id = $1) AS t",
		"SELECT 'attention ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM attention WHERE run_id = $1) AS t",
		"SELECT 'contribution ' || t::VARCHAR FROM (SELECT w.* EXCLUDE (run_id, component_id), c.label FROM contribution_wide AS w JOIN component AS c USING (component_id) WHERE w.run_id = $1) AS t",
		"SELECT 'query factor ' || t::VARCHAR FROM (SELECT w.* EXCLUDE (run_id, component_id), c.label FROM query_factor AS w JOIN component AS c USING (component_id) WHERE w.run_id = $1) AS t",
		"SELECT 'key factor ' || t::VARCHAR FROM (SELECT w.* EXCLUDE (run_id, component_id), c.label FROM key_factor AS w JOIN component AS c USING (component_id) WHERE w.run_id = $1) AS t",
		"SELECT 'pair ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM pair_contribution WHERE run_id = $1) AS t",
		"SELECT 'mean ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM pair_mean WHERE run_id = $1) AS t",
		"SELECT 'substitution ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM substitution WHERE run_id = $1) AS t",
		"SELECT 'projection ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM projection WHERE run_id = $1) AS t",
		"SELECT 'cosine ' || t::VARCHAR FROM (SELECT * EXCLUDE run_id FROM vector_cosine WHERE run_id = $1) AS t",
	} {
		rows, err := db.SQL().QueryContext(t.Context(), query, run)
		if err != nil {
			t.Fatal(err)
		}
		n := len(list)
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			list = append(list, s)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if len(list) == n {
			t.Errorf("%s gives nothing", query)
		}
	}
	slices.Sort(list)
	return list
}

// verified fails if a file does not verify.
func verified(t *testing.T, path string) {
	t.Helper()
	report, err := verify.File(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil || !report.OK() {
		t.Errorf("%s does not verify: %v, %v", path, report.Problems, err)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	ctx, options := t.Context(), dbfile.Options{Threads: 1}
	a, b := runFile(t, "", 1, 2), runFile(t, strings.Repeat("ab", 32), 3)
	both := runFile(t, "", 2, 4) // its run 1 is run 2 of a
	into := filepath.Join(t.TempDir(), "c.duckdb")
	runs, err := transfer.Merge(ctx, into, []string{a, b, both}, options)
	if err != nil {
		t.Fatal(err)
	}
	verified(t, into)
	var got []string
	for _, r := range runs {
		got = append(got, fmt.Sprintf("%s:%d=%d,%t", map[string]string{a: "a", b: "b", both: "both"}[r.Path], r.RunID, r.NewID, r.Known))
	}
	if want := []string{"a:1=1,false", "a:2=2,false", "b:1=3,false", "both:1=2,true", "both:2=4,false"}; !slices.Equal(got, want) {
		t.Errorf("runs %q, want %q", got, want)
	}
	merged := map[int][]string{}
	for _, r := range runs {
		if merged[r.NewID] == nil {
			merged[r.NewID] = dump(t, into, r.NewID)
		}
		if !slices.Equal(dump(t, r.Path, r.RunID), merged[r.NewID]) {
			t.Errorf("run %d of %s differs from run %d of the merged file", r.RunID, r.Path, r.NewID)
		}
	}

	// Merging again adds nothing.
	again := filepath.Join(t.TempDir(), "d.duckdb")
	runs, err = transfer.Merge(ctx, again, []string{into, a, into, b, both}, options)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range runs {
		if r.Known != (i >= 4) {
			t.Errorf("merged again: run %d of %s known: %t", r.RunID, r.Path, r.Known)
		}
	}
	for run := 1; run <= 4; run++ {
		if !slices.Equal(merged[run], dump(t, again, run)) {
			t.Errorf("merged again: run %d differs", run)
		}
	}
	verified(t, again)
}

// TestMergeShared merges files that describe a model or a component of the same key differently, in both
// orders. This is refused, because one description would apply to the runs of both.
func TestMergeShared(t *testing.T) {
	t.Parallel()
	honest := runFile(t, "", 1)
	for i, tt := range []struct{ change, text string }{
		{"UPDATE model SET sha256 = 'aaaa'", "its model 0 has the same key as one of %s but a different description: sha256 "},
		{"UPDATE component SET label = '9.9', head = 9, layer = 9 WHERE component_id = 4", "its component 4 has the same key as one of %s but a different description: layer "},
		{"UPDATE component SET tl_name = 'x' WHERE component_id = 2", "its component 2 has the same key as one of %s but a different description: tl_name "},
		{"UPDATE component SET grid_column = 77 WHERE component_id = 2", "its component 2 has the same key as one of %s but a different description: grid_column "},
		{"UPDATE component SET source = 'x' WHERE component_id = 2", "its component 2 has the same key as one of %s but a different description: source "},
	} {
		for _, seed := range []uint64{2, 1} { // another run, and the same
			strange := runFile(t, "", seed)
			schematest.Plant(t, strange, tt.change)
			orders := [][]string{{honest, strange}, {strange, honest}}
			if i > 1 { // other columns of a component, which are compared in one place
				orders = orders[:seed-1]
			}
			for _, from := range orders {
				_, err := transfer.Merge(t.Context(), filepath.Join(t.TempDir(), "c.duckdb"), from, dbfile.Options{Threads: 1})
				if want := fmt.Sprintf(tt.text, from[0]); !errors.Is(err, dbfile.ErrConstraint) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), from[1]) || strings.Count(err.Error(), dbfile.ErrConstraint.Error()) != 1 {
					t.Errorf("%s: %v, want %v for %s with %q", tt.change, err, dbfile.ErrConstraint, from[1], want)
				}
			}
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	a := runFile(t, "", 1)
	unfinished := runFile(t, "", 2)
	schematest.Plant(t, unfinished, "UPDATE run SET status = 'running'")
	other := runFile(t, "", 2)
	schematest.Plant(t, other, "UPDATE model SET n_ctx = 7")
	planted := runFile(t, "", 2)
	schematest.Plant(t, planted, "ALTER TABLE projection RENAME TO p", "CREATE VIEW projection AS SELECT * FROM read_csv('/etc/passwd')")
	for _, tt := range []struct {
		name, source string
		want         error
		text         string
	}{
		{"older", oldFile(t, 2), dbfile.ErrSchemaVersion, "schema version 2"},
		{"unfinished", unfinished, dbfile.ErrUnfinished, "run 1 is running"},
		{"other model", other, dbfile.ErrConstraint, "a different description"},
		{"view for a table", planted, dbfile.ErrNotDucklens, "it has no table projection"},
		{"missing", filepath.Join(t.TempDir(), "x.duckdb"), dbfile.ErrNotFound, ""},
	} {
		into := filepath.Join(t.TempDir(), "c.duckdb")
		_, err := transfer.Merge(t.Context(), into, []string{a, tt.source}, dbfile.Options{Threads: 1})
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.want, tt.text)
		}
		if entries, _ := os.ReadDir(filepath.Dir(into)); len(entries) > 0 {
			t.Errorf("%s: %v is left", tt.name, entries)
		}
	}
	for _, replace := range []bool{false, true} {
		if _, err := transfer.Merge(t.Context(), a, []string{a}, dbfile.Options{Threads: 1, Replace: replace}); !errors.Is(err, dbfile.ErrExists) {
			t.Errorf("into a source: %v, want ErrExists", err)
		}
	}
	verified(t, a)
}
