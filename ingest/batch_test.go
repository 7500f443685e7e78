package ingest_test

import (
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

// TestBatchesLeaveNoHoles checks that DuckDB does not write batches of the default size twice, for several
// heads and bases, so that almost no blocks of the file are free.
func TestBatchesLeaveNoHoles(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]schema.Run{
		"layer 10":           {Heads: schematest.Targets(schema.Head{Layer: 10, Index: 7}), Bases: schematest.AllBases()},
		"layer 6":            {Heads: schematest.Targets(schema.Head{Layer: 6, Index: 0}), Bases: schematest.AllBases()}, // 8,352 query factors in 48 prompts
		"two heads":          {Heads: schematest.Targets(schema.Head{Layer: 6, Index: 1}, schema.Head{Layer: 6, Index: 2}), Bases: schematest.AllBases()},
		"one pair of bases":  {Heads: schematest.Targets(schema.Head{Layer: 10, Index: 7}), Bases: schematest.Bases()},
		"layer 1, few bases": {Heads: schematest.Targets(schema.Head{Layer: 1, Index: 0}), Bases: schematest.Bases()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run.Factors = true
			o := options(t, newReplay(run, 4), 110)
			mustRun(t, o)
			db, err := dbfile.OpenFor(t.Context(), o.Path, dbfile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var free, total int
			if err := db.SQL().QueryRowContext(t.Context(), "SELECT free_blocks, total_blocks FROM pragma_database_size() WHERE database_name = $1", dbfile.Catalog).Scan(&free, &total); err != nil {
				t.Fatal(err)
			}
			// An empty file has some 40 free blocks.
			t.Logf("batches of %d: %d of %d blocks are free", o.BatchSize(), free, total)
			if free > 60+total/20 {
				t.Errorf("with batches of %d, %d of %d blocks are free", o.BatchSize(), free, total)
			}
		})
	}
}
