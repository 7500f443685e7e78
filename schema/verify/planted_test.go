package verify_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/schema/dbfile"
	"ducklens/schema/verify"
)

// TestPlantedMacros adds macros with the names of all functions. They must not change what verify finds, and
// each must be reported.
func TestPlantedMacros(t *testing.T) {
	t.Parallel()
	whole := wholeFile(t)
	for name, damage := range map[string]string{
		"whole":   "SELECT 1",
		"damaged": "UPDATE contribution_wide SET score_par_par = score_par_par + 5 WHERE example_id = 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.duckdb")
			if err := os.WriteFile(path, whole, 0o644); err != nil {
				t.Fatal(err)
			}
			changeRaw(t, path, func(db *sql.DB) error {
				_, err := db.ExecContext(t.Context(), damage)
				return err
			})
			want, err := verify.File(t.Context(), path, dbfile.Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			var planted []string
			changeRaw(t, path, func(db *sql.DB) (err error) {
				planted, err = plantAll(t, db)
				return err
			})
			got, err := verify.File(t.Context(), path, dbfile.Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			reported := 0
			var rest []verify.Problem
			for _, p := range got.Problems {
				if p.Kind == verify.Altered && strings.Contains(p.Text, "has the name of a DuckDB function") {
					reported++
				} else {
					rest = append(rest, p)
				}
			}
			if len(planted) < 500 || reported < len(planted) {
				t.Errorf("%d macros were planted, and %d are reported", len(planted), reported)
			}
			if !slices.Equal(rest, want.Problems) {
				t.Errorf("problems %v, want %v", rest, want.Problems)
			}
			if g, w := fmt.Sprint(got.Rows, got.Runs), fmt.Sprint(want.Rows, want.Runs); g != w {
				t.Errorf("the report says %s, want %s", g, w)
			}
			if (name == "whole") != (len(want.Problems) == 0) {
				t.Errorf("without macros, problems are %v", want.Problems)
			}
		})
	}
}

// changeRaw changes a file the way anybody can.
func changeRaw(t *testing.T, path string, change func(*sql.DB) error) {
	t.Helper()
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := change(db); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// plantAll creates macros with the names of all DuckDB functions, for any number of arguments, that return
// nonsense.
func plantAll(t *testing.T, db *sql.DB) (planted []string, err error) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT DISTINCT function_name, function_type LIKE 'table%' FROM duckdb_functions()
		WHERE internal AND function_type IN ('scalar', 'aggregate', 'macro', 'table', 'table_macro') ORDER BY ALL`)
	if err != nil {
		return nil, err
	}
	var statements []string
	for rows.Next() {
		var name string
		var table bool
		if err := rows.Scan(&name, &table); err != nil {
			return nil, err
		}
		planted = append(planted, name)
		body := "AS NULL"
		if table {
			body = "AS TABLE (SELECT 1 AS planted)"
		}
		var forms []string
		for n := range 8 {
			forms = append(forms, "("+strings.Join([]string{"a", "b", "c", "d", "e", "f", "g"}[:n], ", ")+") "+body)
		}
		statements = append(statements, "CREATE MACRO "+dbfile.QuoteName(name)+strings.Join(forms, ", "))
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	return slices.Compact(planted), nil
}
