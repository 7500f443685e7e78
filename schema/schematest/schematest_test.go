package schematest_test

import (
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

func TestSyntheticVerifies(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	first := schematest.Synthetic(t, db, 1, 3, schema.Head{Layer: 10, Index: 7}, schema.Head{Layer: 1, Index: 0})
	second := schematest.Synthetic(t, db, 2, 2, schema.Head{Layer: 2, Index: 11})
	if first != 1 || second != 2 {
		t.Errorf("runs %d and %d, want 1 and 2", first, second)
	}
	report, err := dbfile.Verify(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Error(p)
	}
	// 3 examples x 4 pairs x 2 sides of (2 + 10*14 + 1) and (2 + 1*14 + 1) components.
	if got, want := report.Runs[0].Contributions, int64(3*4*2*(143+17)); got != want {
		t.Errorf("%d contributions, want %d", got, want)
	}
	if r := report.Runs[0]; r.Pairs != 8 || r.Examples != 3 || r.Heads != 2 || !r.Judged || r.WorstResidual > 1e-5 {
		t.Errorf("report %+v", r)
	}
	t.Logf("%+v", report)
}
