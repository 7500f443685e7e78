package session_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
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

// TestHostileFile opens a file with views, macros and saved queries of an attacker.
func TestHostileFile(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t, verify.Altered)
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
	for statement, what := range map[string]string{
		"SELECT * FROM harmless": "harmless; it is a view of the file", "SELECT * FROM friendly()": "friendly; it is a macro of the file",
		"SELECT number()": "number; it is a macro of the file", "SELECT * FROM sneaky()": "sneaky; it is a macro of the file",
	} {
		if _, err := ask(ctx, s, statement, nil); !errors.Is(err, session.ErrRefused) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: error %v, want %v: %s", statement, err, session.ErrRefused, what)
		}
	}
	if left, err := s.LeftOut(ctx); err != nil || len(left) != 4 {
		t.Errorf("left out %v, %v; want the view and three macros", left, err)
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

// TestShadows queries a file whose macros and views have the names of DuckDB's functions and of this
// program's. None of them may run.
func TestShadows(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t, verify.Altered)
	run := small()
	schematest.Insert(t, db, run, schematest.Random(run, 1, 3))
	for _, statement := range []string{
		"CREATE MACRO upper(x) AS 'mine'", "CREATE MACRO range(x) AS TABLE SELECT 'mine' AS range",
		"CREATE OR REPLACE MACRO latest_run() AS 77", "DROP VIEW closure", "CREATE VIEW closure AS SELECT 'mine' AS ok",
		"CREATE MACRO duckdb_tables() AS TABLE SELECT 'mine' AS table_name", "CREATE MACRO isfinite(x) AS false",
		"COMMENT ON VIEW head_score IS 'mine'", "COMMENT ON COLUMN head_score.prob IS 'mine'",
	} {
		if _, err := db.SQL().ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := openFile(t, db.Path(), session.Options{})
	for sql, want := range map[string]string{
		"SELECT min(upper(status::VARCHAR)) FROM run":                                 "COMPLETE",
		"SELECT sum(range) FROM range(3)":                                             "3",
		"SELECT latest_run()":                                                         "1",
		"SELECT count(*) FROM closure WHERE convention = 'exact'":                     "1",
		"SELECT isfinite(1)":                                                          "true",
		"SELECT count(*) FROM duckdb_tables() WHERE table_name = 'score'":             "1",
		"SELECT left(comment, 10) FROM duckdb_views() WHERE view_name = 'head_score'": "score with",
		"SELECT left(comment, 9) FROM duckdb_columns() WHERE (table_name, column_name) = ('head_score', 'prob')": "Attention",
	} {
		result, err := ask(t.Context(), s, sql, nil)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
		} else if got := queries.String(result.Rows[0][0]); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
}

// TestOtherTables checks that files with a changed table are refused, with its name, because reading it could
// run code of the file.
func TestOtherTables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		statements []string
	}{
		{"computed column", `it has no stored column meta.value`, []string{
			"CREATE TABLE meta2(key VARCHAR PRIMARY KEY, value0 VARCHAR, value VARCHAR AS (reverse(value0)))",
			"INSERT INTO meta2(key, value0) SELECT key, value FROM meta", "DROP TABLE meta", "ALTER TABLE meta2 RENAME TO meta",
			"CREATE MACRO reverse(x) AS (SELECT x || content FROM read_text('/etc/passwd'))"}},
		{"view in place of a table", "it has no table score", []string{"DROP TABLE score", "CREATE VIEW score AS SELECT 1 AS run_id"}},
		{"no table", "it has no table layer_scale", []string{"DROP TABLE layer_scale"}},
		{"another type", `its table saved_query has "\"sql\" BLOB", want "\"sql\" VARCHAR NOT NULL"`, []string{"DROP TABLE saved_query", "CREATE TABLE saved_query(name VARCHAR PRIMARY KEY, sql BLOB)"}},
		{"another word in an enumeration", `want "side ENUM('query', 'key') NOT NULL"`, []string{"CREATE TYPE other AS ENUM ('query', 'key', 'x')",
			"ALTER TABLE substitution ALTER side TYPE other"}},
		{"a condition", "its table layer_scale has", []string{"DROP TABLE layer_scale",
			"CREATE TABLE layer_scale(run_id INTEGER NOT NULL, prompt_id INTEGER NOT NULL, layer INTEGER NOT NULL, pos INTEGER NOT NULL, post_attn_scale FLOAT NOT NULL CHECK (abs(post_attn_scale) > 0), post_mlp_scale FLOAT NOT NULL CHECK (isfinite(post_mlp_scale)))"}},
		{"a default", "its table logit_effect has", []string{"ALTER TABLE logit_effect ALTER effect SET DEFAULT 3"}},
		{"a column more", `its table mover has "more VARCHAR"`, []string{"ALTER TABLE mover ADD COLUMN more VARCHAR"}},
		{"an index", "its table edge has an index", []string{"CREATE INDEX i ON edge(lower(rule))"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := session.Open(t.Context(), alteredFile(t, c.statements...), session.Options{})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, dbfile.ErrNotDucklens) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %v: %s", err, dbfile.ErrNotDucklens, c.want)
			}
		})
	}
}

// alteredFile creates a file without runs and changes it. The file is not verified.
func alteredFile(t *testing.T, statements ...string) string {
	t.Helper()
	db, err := dbfile.Create(t.Context(), filepath.Join(t.TempDir(), "altered.duckdb"), dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	schematest.Plant(t, db.Path(), statements...)
	return db.Path()
}

// TestFurtherTables queries tables that a user has added to a file.
func TestFurtherTables(t *testing.T) {
	t.Parallel()
	s := openFile(t, alteredFile(t,
		"CREATE TABLE notes(example_id INTEGER PRIMARY KEY, label VARCHAR, twice INTEGER AS (ceil(example_id * 2)))",
		"INSERT INTO notes VALUES (1, 'one'), (2, 'two')",
		"CREATE MACRO ceil(x) AS 77",
		"CREATE TABLE indexed(a VARCHAR)", "CREATE INDEX i ON indexed(lower(a))",
		"CREATE TABLE \"Of a \"\"person\"\"\"(x INTEGER DEFAULT 3)", "INSERT INTO \"Of a \"\"person\"\"\" VALUES (7)",
	), session.Options{})
	for sql, want := range map[string]string{
		"SELECT string_agg(label, ',' ORDER BY example_id) FROM notes WHERE example_id < 3": "one,two",
		"SELECT x FROM \"Of a \"\"person\"\"\"":                                             "7",
		"SELECT count(*) FROM (DESCRIBE notes)":                                             "2",
	} {
		result, err := ask(t.Context(), s, sql, nil)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
		} else if got := queries.String(result.Rows[0][0]); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if _, err := ask(t.Context(), s, "FROM indexed", nil); !errors.Is(err, session.ErrRefused) {
		t.Errorf("a table with an index: error %v, want %v", err, session.ErrRefused)
	}
	left, err := s.LeftOut(t.Context())
	var names []string
	for _, l := range left {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	if want := []string{"ceil", "indexed", "notes.twice"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("left out %v, %v; want %v", names, err, want)
	}
	if further := s.Further(); len(further) != 2 {
		t.Errorf("further tables %q, want two", further)
	}
}

// TestAggregateStates queries a file with states of aggregates. The first of its tables made DuckDB read
// memory at an address from the file.
func TestAggregateStates(t *testing.T) {
	t.Parallel()
	const state = "first('a text of more than twelve bytes ' || x) EXPORT_STATE"
	s := openFile(t, alteredFile(t,
		"CREATE TABLE plain AS SELECT "+state+" AS st FROM range(1) AS t(x)",
		"CREATE TABLE nested AS SELECT 1 AS one, [{'a': "+state+"}] AS st FROM range(1) AS t(x)",
		"CREATE TABLE mapped AS SELECT MAP {1: "+state+"} AS st FROM range(1) AS t(x)",
		"CREATE TABLE united AS SELECT union_value(a := "+state+") AS st FROM range(1) AS t(x)",
		`CREATE TABLE kept("AGGREGATE_STATE" INTEGER, word ENUM('INVALID'), s STRUCT("AGGREGATE_STATE" INTEGER))`,
	), session.Options{})
	const why = "the state of an aggregate holds addresses of memory"
	for sql, what := range map[string]string{
		"SELECT st FROM plain":                                    `plain; its column "st" has the type AGGREGATE_STATE`,
		"SELECT one FROM nested":                                  `nested; its column "st" has the type STRUCT(a AGGREGATE_STATE`,
		"FROM mapped":                                             `mapped; its column "st" has the type MAP(INTEGER, AGGREGATE_STATE`,
		"FROM united":                                             `united; its column "st" has the type UNION(a AGGREGATE_STATE`,
		"SELECT finalize(st) FROM plain":                          "function finalize; " + why,
		"SELECT (st).FINALIZE() FROM plain":                       "function finalize; " + why,
		"SELECT system.main.combine(st, st) FROM plain":           "function combine; " + why,
		"SELECT list_transform([1], lambda x: finalize(x))":       "function finalize; " + why,
		"SELECT hex((" + state + ")::BLOB) FROM range(1) AS t(x)": "EXPORT_STATE; " + why,
		"WITH a AS (SELECT sum(x) EXPORT_STATE AS st FROM range(1) AS t(x)) SELECT 1 FROM a":     "EXPORT_STATE; " + why,
		"EXPLAIN SELECT 1 ORDER BY (SELECT sum(x) EXPORT_STATE FROM range(1) AS t(x))":           "EXPORT_STATE; " + why,
		"PIVOT (FROM range(3) AS t(x)) ON x IN (1, 2) USING finalize(sum(x)), sum(x) GROUP BY x": "function finalize; " + why,
		"SELECT 1 FROM range(1) AS t(x) GROUP BY x HAVING finalize(x) IS NULL":                   "function finalize; " + why,
	} {
		if _, err := ask(t.Context(), s, sql, nil); !errors.Is(err, session.ErrRefused) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: error %v, want %v: %s", sql, err, session.ErrRefused, what)
		}
	}
	if further := s.Further(); !slices.Equal(further, []string{"kept"}) {
		t.Errorf("further tables %q, want the one without states", further)
	}
}

// TestTableFunctions checks that each function and view of DuckDB is in one of the gate's lists, and that
// dangerous ones are refused.
func TestTableFunctions(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	names := func(sql string) map[string]bool {
		list := map[string]bool{}
		result, err := ask(t.Context(), s, sql, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range result.Rows {
			list[queries.String(row[0])] = true
		}
		return list
	}
	exist := names("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro') AND database_name = 'system'")
	if len(exist) < 60 {
		t.Errorf("%d table functions, want DuckDB's 60 and more", len(exist))
	}
	if diff := cmp.Diff(exist, keys(session.TableFunctions)); diff != "" {
		t.Errorf("table functions of DuckDB and of the gate (-DuckDB +gate):\n%s", diff)
	}
	for name, allowed := range session.TableFunctions {
		for _, bad := range []string{"read", "scan", "enable", "disable", "logging", "checkpoint", "glob", "sniff", "secret", "serialized", "parquet", "arrow", "query", "constraint"} {
			if allowed && strings.Contains(name, bad) {
				t.Errorf("function %s is allowed", name)
			}
		}
	}
	values := names("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type NOT IN ('table', 'table_macro', 'pragma') AND database_name = 'system'")
	for name := range session.ActingFunctions {
		if !values[name] && session.TableFunctions[name] {
			t.Errorf("function %s does not exist", name)
		}
	}
	reviewed, err := os.ReadFile("testdata/functions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(reviewed)) {
		delete(values, name)
	}
	if len(values) > 0 {
		t.Errorf("functions of DuckDB that nobody has looked at: %v; if they only compute, add them to testdata/functions.txt, else to actingFunctions",
			slices.Sorted(maps.Keys(values)))
	}
	views := names("SELECT view_name FROM duckdb_views() WHERE internal")
	if diff := cmp.Diff(views, keys(session.SystemViews, session.OtherSystemViews)); diff != "" {
		t.Errorf("views of DuckDB and of the gate (-DuckDB +gate):\n%s", diff)
	}
	for name := range names("SELECT view_name FROM duckdb_views() WHERE internal AND sql LIKE '%duckdb_constraints%'") {
		if session.SystemViews[name] {
			t.Errorf("view %s is allowed, and binds conditions of tables", name)
		}
	}
}

// keys returns the names in several lists.
func keys(lists ...map[string]bool) map[string]bool {
	all := map[string]bool{}
	for _, list := range lists {
		for name := range list {
			all[name] = true
		}
	}
	return all
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
