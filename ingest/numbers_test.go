package ingest_test

import (
	"errors"
	"strings"
	"testing"

	"ducklens/ingest"
	"ducklens/schema/dbfile"
)

// TestLastNumber checks that a file with the largest possible run_id takes no more runs and is not changed.
func TestLastNumber(t *testing.T) {
	t.Parallel()
	o := options(t, newFake(head1), 3)
	mustRun(t, o)
	db, err := dbfile.OpenWriter(t.Context(), o.Path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"run", "edge"} {
		if _, err := db.SQL().ExecContext(t.Context(), "UPDATE "+table+" SET run_id = 2147483647"); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := tables(t, o.Path)
	o.Append = true
	if _, err := ingest.Run(t.Context(), o); !errors.Is(err, dbfile.ErrConstraint) || !strings.Contains(err.Error(), "its largest run_id is 2147483647") {
		t.Errorf("%v", err)
	}
	if len(tables(t, o.Path)["run"]) != len(before["run"]) {
		t.Error("a run was added")
	}
}
