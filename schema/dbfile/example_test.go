package dbfile_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ducklens/schema/dbfile"
	"ducklens/schema/verify"
)

// A new file has all tables and no rows. Rows are appended in a transaction, and Finalize leaves a single
// file.
func ExampleCreate() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "ducklens")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := dbfile.Create(ctx, filepath.Join(dir, "run.duckdb"), dbfile.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = db.InTx(ctx, conn, func() error {
		queries, err := db.Appender(conn, "saved_query")
		if err != nil {
			return err
		}
		if err := queries.AppendRow("heads", "SELECT label FROM head ORDER BY ordinal"); err != nil {
			fmt.Println(err) // Close returns it again
		}
		return queries.Close()
	})
	fmt.Println("stored:", err == nil)
	if err := conn.Close(); err != nil {
		fmt.Println(err)
	}

	fmt.Println("finished:", db.Finalize(ctx) == nil)
	report, err := verify.File(ctx, db.Path(), dbfile.Options{})
	fmt.Println("sound:", err == nil && report.OK(), "runs:", len(report.Runs), "schema version:", report.SchemaVersion)
	entries, err := os.ReadDir(dir)
	if err != nil {
		fmt.Println(err)
	}
	for _, e := range entries {
		fmt.Println(e.Name())
	}
	// Output:
	// stored: true
	// finished: true
	// sound: true runs: 0 schema version: 7
	// run.duckdb
}
