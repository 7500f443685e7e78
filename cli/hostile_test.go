package cli_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// TestHostileTextStaysText puts terminal control sequences into every text column of a run file, and runs the
// commands that read it. None of them may print a control character, whether it succeeds or fails.
func TestHostileTextStaysText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := runCopy(t, filepath.Join(dir, "run.duckdb"), "--head", "3.1", "-n", "4")
	if planted := plantText(t, file); planted < 10 {
		t.Fatalf("text was planted in %d columns, want more", planted)
	}
	const sql = "SELECT * FROM example"
	tried := 0
	for _, command := range [][]string{
		{"info"}, {"heads"}, {"schema"}, {"verify"},
		{"queries", "list"}, {"queries", "show", "evil"}, {"queries", "show", "evil2"}, {"report", "-o", filepath.Join(dir, "x.html")},
		{"query", "-e", sql}, {"query", "-e", sql, "--format", "md"},
		{"query", "-e", "SELECT text::INTEGER FROM example"},
		{"query", "-e", "SELECT error(text) FROM example"},
		{"query", "-e", "SELECT \"\x1b[2J\" FROM example"},
		{"query", "-e", "SELECT 1 AS \"\x1b[2J\""},
		{"query", "-e", "SELECT \x1b[2J"},
		{"query", "\x1b[2J"}, {"query", "evil"}, {"query", "evil2"},
		{"query", "key_components", "--set", "head=\x1b[2J"},
		{"query", "key_components", "--set", "\x1b[2J=1"},
		{"query", "prompt_scores"}, {"query", "tokens"},
		{"plot", "evil", "--caption", "-o", filepath.Join(dir, "x.svg")},
		{"plot", "key_components", "--caption", "-o", filepath.Join(dir, "x.svg")},
		{"plot", "key_components", "--caption", "-o", filepath.Join(dir, "x\x1b[2J.gif")},
	} {
		args := append([]string(nil), command...)
		switch args[0] {
		case "queries":
			args = append(args, file)
		default:
			args = append(args[:1], append([]string{file}, args[1:]...)...)
		}
		_, stdout, stderr := run(t.Context(), args...)
		for _, text := range []string{stdout, stderr} {
			if at := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }); at >= 0 {
				t.Errorf("%q prints %.60q", command, text[max(at-20, 0):])
			}
		}
		if stdout+stderr == "" {
			t.Errorf("%q prints nothing", command)
		}
		tried++
	}
	t.Logf("%d commands", tried)
}

// plantText changes every text column of the file that has no constraint, and returns their number.
func plantText(t *testing.T, file string) int {
	t.Helper()
	db, err := sql.Open("duckdb", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT '"' || c.table_name || '"', '"' || column_name || '"' FROM duckdb_columns() AS c JOIN duckdb_tables() AS t USING (table_oid)
		WHERE data_type = 'VARCHAR' AND t.table_name NOT IN ('meta', 'saved_query') ORDER BY ALL`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var columns [][2]string
	for rows.Next() {
		var c [2]string
		if err := rows.Scan(&c[0], &c[1]); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	const evil = "\x1b[2J\x1b]8;;https://example.org\x1b\\x\r\a\u202e\u009b31m\n<script>"
	planted := 0
	for _, c := range columns {
		if _, err := db.Exec("UPDATE "+c[0]+" SET "+c[1]+" = "+c[1]+" || ?", evil); err == nil {
			planted++
		}
	}
	for name, text := range map[string]string{
		"evil":         "-- name: evil\n-- title: t\n-- description: d\n\nSELECT text AS \"a\x1b[2J\" FROM example ORDER BY text",
		"evil2":        "-- name: evil2\n-- title: \x1b[2J\n-- description: d\n\nSELECT 1",
		"\x1b[2Jevil3": "-- nonsense\x1b[2J: \x1b[2J",
	} {
		if _, err := db.Exec("INSERT INTO saved_query VALUES (?, ?)", name, text); err != nil {
			t.Fatal(err)
		}
	}
	return planted
}
