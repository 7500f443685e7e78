package session_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ducklens/queries"
	"ducklens/queries/output"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

// emptyFile creates a run file without runs.
func emptyFile(ctx context.Context) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "ducklens-example-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "empty.duckdb")
	db, err := dbfile.Create(ctx, path, dbfile.Options{})
	if err == nil {
		err = db.Finalize(ctx)
	}
	return path, func() { _ = os.RemoveAll(dir) }, err
}

func ExampleSession_Run() {
	ctx := context.Background()
	path, remove, err := emptyFile(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove()
	s, err := session.Open(ctx, path, session.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	q, err := queries.AdHoc("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = $table ORDER BY column_index LIMIT 2")
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := s.Run(ctx, q, map[string]string{"table": "mover"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := output.Write(ctx, os.Stdout, output.Table, result, output.Options{}); err != nil {
		fmt.Println(err)
	}

	_, err = s.Run(ctx, queries.Query{SQL: "SELECT 1,\n  nmae FROM model"}, nil)
	fmt.Println(err)
	_, err = s.Run(ctx, queries.Query{SQL: "DELETE FROM run"}, nil)
	fmt.Println(err)
	// Output:
	// column_name  comment
	// ───────────────────────────────────────────────────────────────────────
	// run_id       The run.
	// ordinal      Place in the order of the request or the choice, from 0.
	// SQL line 2, column 3: Referenced column "nmae" not found in FROM clause
	//     nmae FROM model
	//     ^
	// refused: a statement that is not a SELECT; the file is open for reading only
}

func BenchmarkRun(b *testing.B) {
	db := schematest.NewDB(b)
	schematest.Synthetic(b, db, 1, 50, schema.Head{Layer: 10, Index: 7})
	if err := db.Finalize(b.Context()); err != nil {
		b.Fatal(err)
	}
	s, err := session.Open(b.Context(), db.Path(), session.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	list := append(queries.Embedded(), queries.Query{Name: "select_1", SQL: "SELECT 1"})
	for _, q := range list {
		b.Run(q.Name+"/50examples", func(b *testing.B) {
			rows := 0
			for b.Loop() {
				result, err := s.Run(b.Context(), q, nil)
				if err != nil {
					b.Fatal(err)
				}
				rows = len(result.Rows)
			}
			b.ReportMetric(float64(rows), "rows")
		})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s, err := session.Open(b.Context(), db.Path(), session.Options{})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
