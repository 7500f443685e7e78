package verify_test

import (
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
	"ducklens/schema/verify"
)

// file makes a file with one run of two examples, once for all tests, and gives its bytes.
func file(fill func(tb testing.TB, db *dbfile.DB, seed uint64, examples int, heads ...schema.Head) int) func(*testing.T) []byte {
	var once sync.Once
	var data []byte
	return func(t *testing.T) []byte {
		t.Helper()
		once.Do(func() {
			db := schematest.NewDB(t)
			fill(t, db, 7, 2, schema.Head{Layer: 1, Index: 0})
			if err := db.Finalize(t.Context()); err != nil {
				t.Fatal(err)
			}
			var err error
			if data, err = os.ReadFile(db.Path()); err != nil {
				t.Fatal(err)
			}
		})
		if data == nil {
			t.Fatal("another test could not make the file")
		}
		return data
	}
}

// In both files nothing is wrong. The full one has rows in every table.
var (
	wholeFile = file(schematest.Synthetic)
	fullFile  = file(schematest.Full)
)

// written opens a file with these bytes.
func written(t *testing.T, data []byte) *dbfile.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.duckdb")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := dbfile.OpenWriter(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// damage is a change to a run, and the problem that verify should report. $run in a statement or in the text
// stands for the number of the run.
type damage struct {
	name   string
	damage []string
	kind   verify.ProblemKind
	text   string // in the problem
}

// do damages a run. An UPDATE, a DELETE and an INSERT ... SELECT concern its rows alone.
func (d *damage) do(t *testing.T, db *dbfile.DB, run int) {
	t.Helper()
	for _, s := range d.damage {
		switch {
		case strings.HasPrefix(s, "INSERT") && strings.Contains(s, " VALUES "):
			s = strings.ReplaceAll(s, "$run", fmt.Sprint(run))
		case strings.Contains(s, " WHERE "):
			s += fmt.Sprintf(" AND run_id = %d", run)
		default:
			s += fmt.Sprintf(" WHERE run_id = %d", run)
		}
		if _, err := db.SQL().ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %s: %v", d.name, s, err)
		}
	}
}

// found demands that one of the problems is the one of the damage.
func (d *damage) found(t *testing.T, problems []verify.Problem, run int) {
	t.Run(d.name, func(t *testing.T) {
		text := strings.ReplaceAll(d.text, "$run", fmt.Sprint(run))
		for _, p := range problems {
			if p.Kind == d.kind && strings.Contains(p.Text, text) {
				return
			}
		}
		t.Errorf("no problem is %q with %q; found:", d.kind, text)
		for _, p := range problems {
			t.Log(p)
		}
	})
}

// findDamages applies each damage to a run of its own in one file. A check of hundreds of rules takes a
// second for a file with one run, and little more for each other run. One more run is left as it is, and
// nothing may be wrong with it.
func findDamages(t *testing.T, whole []byte, list []damage) {
	t.Helper()
	db := written(t, whole)
	tables, err := dbfile.Tables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var columns, values []string
		for _, c := range table.Columns {
			if c.Expression != "" {
				continue
			}
			value := c.Name
			switch {
			case c.Name == "run_id":
				value = "copy"
			case c.Name == "key" && table.Name == "run":
				value = "md5(copy::VARCHAR)" // it is another for each run
			}
			columns, values = append(columns, c.Name), append(values, value)
		}
		if !slices.Contains(columns, "run_id") {
			continue
		}
		copying := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %[1]s, range(2, %[4]d) AS r (copy)", table.Name,
			strings.Join(columns, ", "), strings.Join(values, ", "), len(list)+2)
		if _, err := db.SQL().ExecContext(t.Context(), copying); err != nil {
			t.Fatalf("%s: %v", copying, err)
		}
	}
	for i := range list {
		list[i].do(t, db, i+1)
	}
	problems := make([][]verify.Problem, len(list)+2)
	for _, p := range verified(t, db).Problems {
		problems[p.RunID] = append(problems[p.RunID], p)
	}
	for i := range list {
		list[i].found(t, problems[i+1], i+1)
	}
	for _, p := range slices.Concat(problems[0], problems[len(list)+1]) {
		t.Errorf("%s, of what was not damaged", p)
	}
}

// findTogether does all to one file with one run.
func findTogether(t *testing.T, whole []byte, list []damage) {
	t.Helper()
	db := written(t, whole)
	for _, d := range list {
		for _, s := range d.damage {
			if _, err := db.SQL().ExecContext(t.Context(), s); err != nil {
				t.Fatalf("%s: %s: %v", d.name, s, err)
			}
		}
	}
	problems := verified(t, db).Problems
	for _, d := range list {
		d.found(t, problems, 1)
	}
}
