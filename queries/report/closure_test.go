package report_test

import (
	"testing"

	"ducklens/queries"
	"ducklens/queries/report"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

// TestClosureIsRecomputed holds that the page adds up what is stored, whatever the file says that it comes
// to.
func TestClosureIsRecomputed(t *testing.T) {
	for _, c := range []struct {
		name, change string
		ok           bool
		lacking      int64
	}{
		{"whole", "SELECT 1", true, 0},
		{"false residual", "UPDATE score SET closure_residual = 0.5", true, 0},
		{"one contribution", "UPDATE contribution_wide SET score_par_par = score_par_par + 0.5 WHERE example_id = 3 AND rowid = (SELECT min(rowid) FROM contribution_wide WHERE example_id = 3)", false, 0},
		{"a side is gone", "DELETE FROM contribution_wide WHERE example_id = 2 AND side = 'query'", false, 2},
		{"a prompt is gone", "DELETE FROM contribution_wide WHERE example_id = 0", false, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := schematest.NewDB(t, verify.NotClosed, verify.Incomplete, verify.Conflicting, verify.Miscounted)
			schematest.Full(t, db, 5, 6, schema.Head{Layer: 2, Index: 1}, schema.Head{Layer: 2, Index: 0})
			if _, err := db.SQL().ExecContext(t.Context(), c.change); err != nil {
				t.Fatal(err)
			}
			if err := db.Finalize(t.Context()); err != nil {
				t.Fatal(err)
			}
			s, err := session.Open(t.Context(), db.Path(), session.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			in, err := report.Collect(t.Context(), s, report.Options{Queries: []queries.Query{}})
			if err != nil {
				t.Fatal(err)
			}
			if got := in.Closure; !got.Judged || got.OK != c.ok || got.Lacking != c.lacking || got.Scores != 12 {
				t.Errorf("%+v, want OK %v and %d scores that lack contributions", got, c.ok, c.lacking)
			}
		})
	}
}
