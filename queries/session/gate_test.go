package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

func TestGateAdmits(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for _, statement := range []string{
		"SELECT 1",
		"SELECT 1;",
		"-- why\nSELECT 1 -- because\n;\n",
		"(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1",
		"FROM run",
		"VALUES (1), (2)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n",
		"DESCRIBE run",
		"DESCRIBE SELECT 1",
		"SUMMARIZE head",
		"SHOW TABLES",
		"SHOW ALL TABLES",
		"EXPLAIN SELECT 1",
		"EXPLAIN (FORMAT json) (SELECT 1)",
		"EXPLAIN (SELECT 1)",
		"EXPLAIN(SELECT 1)",
		"-- why\n/* a /* b */ */ explain\nSELECT 1",
		"-- why\rEXPLAIN ( format 'text' ) SELECT 1",
		"PIVOT run ON status IN ('complete', 'running') USING count(*)",
		"UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b",
		"SELECT * FROM range(3), generate_series(1, 2), unnest([1])",
		"SELECT * FROM duckdb_columns()",
		"SELECT * FROM information_schema.tables",
		"SELECT * FROM json_each('[1]')",
		"SELECT * FROM query_table('run')",
		"SELECT * FROM heatmap()",
		"SELECT * FROM pct_explained(side := 'query')",
		"SELECT 'COPY run TO ''x''; enable_logging()' AS text",
		"SELECT run_id FROM run TABLESAMPLE 50%",
	} {
		if _, err := ask(t.Context(), s, statement, nil); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// TestHostileFile opens a file whose views, macros and saved queries were planted.
func TestHostileFile(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t, dbfile.Altered)
	ctx := t.Context()
	for _, statement := range []string{
		"CREATE VIEW harmless AS SELECT * FROM enable_logging(storage = 'stdout')",
		"CREATE MACRO friendly() AS TABLE SELECT * FROM enable_logging(storage = 'stdout')",
		"CREATE MACRO number() AS (SELECT count(*) FROM enable_logging(storage = 'stdout'))",
		"CREATE OR REPLACE MACRO latest_run() AS (SELECT count(*) FROM enable_logging(storage = 'stdout'))",
		"CREATE MACRO sneaky() AS TABLE SELECT * FROM query('FROM enable_logging()')",
		"INSERT INTO saved_query VALUES ('a_good', '-- name: a_good\n-- title: t\n-- description: d\n\nSELECT 1 AS one ORDER BY one')",
		"INSERT INTO saved_query VALUES ('b_copy', '-- name: b_copy\n-- title: t\n-- description: d\n\nCOPY run TO ''/tmp/x''')",
		"INSERT INTO saved_query VALUES ('c_header', '-- name: c_header\n-- exec: rm\n\nSELECT 1')",
		"INSERT INTO saved_query VALUES ('d_other_name', '-- name: closure\n-- title: t\n-- description: d\n\nSELECT 1')",
		"INSERT INTO saved_query VALUES ('e_escape', E'-- name: e_escape\n-- title: \\x1b[2J\n-- description: d\n\nSELECT 1')",
		"INSERT INTO saved_query VALUES ('f_two', '-- name: f_two\n-- title: t\n-- description: d\n\nSELECT 1; SELECT 2')",
	} {
		if _, err := db.SQL().ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Finalize(ctx); err != nil {
		t.Fatal(err)
	}
	s := openFile(t, db.Path(), session.Options{})
	for _, statement := range []string{
		"SELECT * FROM harmless", "SELECT * FROM friendly()", "SELECT number()", "SELECT latest_run()", "SELECT * FROM sneaky()",
	} {
		if _, err := ask(ctx, s, statement, nil); !errors.Is(err, session.ErrRefused) {
			t.Errorf("%s: error %v, want %v", statement, err, session.ErrRefused)
		}
	}
	list, faults := s.Saved(ctx)
	if len(list) != 2 || list[0].Name != "a_good" || list[1].Name != "b_copy" || len(faults) != 4 {
		t.Fatalf("saved queries %v, faults %v", list, faults)
	}
	for i, want := range []string{`unknown key "exec"`, `name "closure" in the header, want "d_other_name"`, "character U+001B", "a second statement"} {
		if !strings.Contains(faults[i].Error(), want) {
			t.Errorf("fault %v, want %q", faults[i], want)
		}
	}
	if result, err := s.Run(ctx, list[0], nil); err != nil || len(result.Rows) != 1 {
		t.Errorf("the good one: %v, %v", result, err)
	}
	if _, err := s.Run(ctx, list[1], nil); !errors.Is(err, session.ErrRefused) {
		t.Errorf("the bad one: error %v, want %v", err, session.ErrRefused)
	}
}

// TestPlanFunctions keeps the list of allowed table functions honest: every one exists, and those that
// must not be there are not.
func TestPlanFunctions(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	result, err := ask(t.Context(), s, "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'table' ORDER BY 1", nil)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, row := range result.Rows {
		known[queries.String(row[0])] = true
	}
	if len(known) < 60 {
		t.Errorf("%d table functions, want DuckDB's 60 and more", len(known))
	}
	for name := range session.Allowed {
		if !known[name] {
			t.Errorf("allowed function %s does not exist", name)
		}
		for _, bad := range []string{"read", "scan_", "enable", "disable", "logging", "checkpoint", "glob", "sniff", "secret", "serialized", "parquet", "arrow"} {
			if strings.Contains(name, bad) {
				t.Errorf("function %s is allowed", name)
			}
		}
	}
}

// TestSeveralReaders opens one file three times.
func TestSeveralReaders(t *testing.T) {
	t.Parallel()
	path := sampleFile(t)
	for range 3 {
		s := openFile(t, path, session.Options{})
		if _, err := ask(context.Background(), s, "SELECT count(*) FROM run", nil); err != nil {
			t.Error(err)
		}
	}
}
