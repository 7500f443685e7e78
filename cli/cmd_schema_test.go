package cli_test

import (
	"path/filepath"
	"strings"
	"testing"

	"ducklens/cli"
	"ducklens/schema/schematest"
)

// TestSchemaOfLeftOut checks that a table that queries cannot use has the reason under its heading.
func TestSchemaOfLeftOut(t *testing.T) {
	t.Parallel()
	file := runCopy(t, filepath.Join(t.TempDir(), "a.duckdb"), "--head", "3.1", "-n", "2", "--factors", "off")
	schematest.Plant(t, file, "CREATE TABLE mine (x INTEGER)", "CREATE INDEX of_mine ON mine (x)")
	code, stdout, stderr := run(t.Context(), "schema", file, "mine")
	if want := "## table mine\n\nQueries cannot use it: it has an index"; code != cli.ExitOK || !strings.HasPrefix(stdout, want) {
		t.Errorf("exit code %d, %q, want %q\n%s", code, stdout, want, stderr)
	}
}
