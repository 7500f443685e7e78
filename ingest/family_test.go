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

// TestFamilies writes a run with everything for a model of each family: it verifies, pairs and their margins included, and has the tables
// that the family calls for.
func TestFamilies(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir(reference(t, "families"))
	if err != nil {
		t.Fatal(err)
	}
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
			path := filepath.Join(t.TempDir(), "run.duckdb")
			mustRun(t, ingest.Options{
				Engine: e, Prompts: prompts.File(t.Context(), filepath.Join(dir, "prompts.jsonl")), Path: path,
				CreatedAt: created, Version: "test", CommandLine: "go test", PromptSource: "prompts.jsonl", Seed: 3, Database: dbfile.Options{Threads: 1},
			})
			check(t, path)
			rows := tables(t, path)
			if postNorms := folder.Name() == "gemma2" || folder.Name() == "gemma3" || folder.Name() == "olmo2" || folder.Name() == "olmo3"; postNorms != (len(rows["layer_scale"]) > 0) {
				t.Errorf("%d scales of norms behind attention and MLP", len(rows["layer_scale"]))
			}
		})
	}
}
