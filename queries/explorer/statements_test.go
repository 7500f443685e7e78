package explorer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/queries"
)

// TestStatements checks that the statements of the views are written like saved queries, from whose headers
// the types of parameters and the form of figures are read, and that none has the name of a saved query.
func TestStatements(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("sql/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("statements of the views: %d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		q, err := queries.AdHoc(string(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if _, err := queries.Find(queries.Embedded(), q.Name); err == nil {
			t.Errorf("%s has the name of a saved query", file)
		}
		if name := strings.TrimSuffix(filepath.Base(file), ".sql"); q.Name != name {
			t.Errorf("%s calls itself %q, want %q", file, q.Name, name)
		}
	}
}
