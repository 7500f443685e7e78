package session_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

// small is a run of a model of three layers with two heads each, with rows in every table. Its contributions
// add up.
func small() schema.Run {
	model := schematest.GPT2Small()
	model.Name, model.NLayers, model.NHeads, model.DModel, model.DHead = "small", 3, 2, 8, 4
	return schema.Run{
		Model: model, Heads: schematest.Targets(schema.Head{Layer: 2, Index: 1}, schema.Head{Layer: 2, Index: 0}), Seed: 42, BOS: true, PromptSource: "ioi",
		Bases: schematest.AllBases(), Movers: []schema.Head{{Layer: 1, Index: 1}, {Layer: 0, Index: 0}}, Factors: true, Pairs: true, Logits: true, Options: schematest.FullOptions,
	}
}

// sampleBytes is the sample file, created by the first test that needs it.
var sampleBytes struct {
	sync.Once
	data []byte
}

// sampleFile returns a file with two complete runs of three prompts, 1 and 2, and a run 3 that was stopped.
func sampleFile(t *testing.T) string {
	t.Helper()
	sampleBytes.Do(func() {
		data, err := os.ReadFile(sampleWith(t, 1, 2))
		if err != nil {
			t.Fatal(err)
		}
		sampleBytes.data = data
	})
	path := filepath.Join(t.TempDir(), "sample.duckdb")
	if err := os.WriteFile(path, sampleBytes.data, 0o400); err != nil {
		t.Fatal(err)
	}
	return path
}

// sampleWith returns a file with complete runs of the given seeds, and a last run that was stopped.
func sampleWith(t *testing.T, complete ...uint64) string {
	t.Helper()
	db := schematest.NewDB(t, verify.Unfinished)
	for _, seed := range append(complete, 99) {
		run := small()
		id := schematest.Insert(t, db, run, schematest.AddSources(run, schematest.Random(run, seed, 3)))
		schematest.AddMeasures(t, db, id)
		schematest.AddAblations(t, db, id)
	}
	if _, err := db.SQL().ExecContext(t.Context(), `UPDATE run SET status = 'running', n_examples = NULL, max_closure_residual = NULL
		WHERE run_id = (SELECT max(r.run_id) FROM run AS r)`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), `DELETE FROM pair_mean_wide WHERE run_id = (SELECT max(r.run_id) FROM run AS r)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db.Path()
}

// open creates a sample file and opens it.
func open(t *testing.T, options session.Options) *session.Session {
	t.Helper()
	return openFile(t, sampleFile(t), options)
}

// openFile opens a file until the test ends.
func openFile(t *testing.T, path string, options session.Options) *session.Session {
	t.Helper()
	s, err := session.Open(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
