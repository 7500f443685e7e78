package cli_test

import (
	"path/filepath"
	"strings"
	"testing"

	"ducklens/cli"
	"ducklens/schema/schematest"
)

// TestSchemaOfLeftOut: a table that questions cannot use has the reason under its heading.
func TestSchemaOfLeftOut(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.duckdb")
	if code, _, stderr := run(t.Context(), "ingest", "--model", "demo", "--head", "3.1", "-n", "2", "--factors", "off", "-o", file); code != cli.ExitOK {
		t.Fatal(stderr)
	}
	schematest.Plant(t, file, "CREATE TABLE mine (x INTEGER)", "CREATE INDEX of_mine ON mine (x)")
	code, stdout, stderr := run(t.Context(), "schema", file, "mine")
	if want := "## table mine\n\nQuestions cannot use it: it has an index"; code != cli.ExitOK || !strings.HasPrefix(stdout, want) {
		t.Errorf("exit code %d, %q, want %q\n%s", code, stdout, want, stderr)
	}
}
