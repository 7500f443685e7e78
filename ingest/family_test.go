package ingest_test

import (
	"os"
	"path/filepath"
	"testing"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// TestFamilies writes a run with everything for a model of each family into one file. The file verifies,
// pairs and margins included, and has the tables that each family needs.
func TestFamilies(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir(reference(t, "families"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "run.duckdb")
	var families []string // by their runs
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		t.Run(folder.Name(), func(t *testing.T) {
			dir := reference(t, "families", folder.Name())
			o := everything(engine.Options{Heads: []schema.Head{{Layer: 1, Index: 1}, {Layer: 2, Index: 0}}, Threads: 1})
			e, err := engine.Open(filepath.Join(dir, "model"), o)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			s := mustRun(t, ingest.Options{
				Engine: e, Prompts: prompts.File(t.Context(), filepath.Join(dir, "prompts.jsonl")), Path: path, Append: len(families) > 0,
				CreatedAt: created, Version: "test", CommandLine: "go test", PromptSource: "prompts.jsonl", Seed: 3, Database: dbfile.Options{Threads: 1},
			})
			if families = append(families, folder.Name()); s.RunID != len(families) {
				t.Fatalf("run %d, want %d", s.RunID, len(families))
			}
		})
	}
	t.Logf("runs from 1 on are of %q", families)
	check(t, path)
	db, err := dbfile.OpenFor(t.Context(), path, dbfile.Options{Threads: 1}, "layer_scale")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i, family := range families {
		n := column(t, db, "SELECT count(*) FROM layer_scale WHERE run_id = ?", i+1)[0]
		if postNorms := family == "gemma2" || family == "gemma3" || family == "olmo2" || family == "olmo3"; postNorms != (n > 0) {
			t.Errorf("%s: %v scales of norms behind attention and MLP", family, n)
		}
	}
}
