package queries_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ducklens/queries"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text     string
		want     []queries.Statement
		rest     string
		restLine int
	}{
		{"", nil, "", 1},
		{"SELECT 1", nil, "SELECT 1", 1},
		{"SELECT 1;", []queries.Statement{{"SELECT 1", 1}}, "", 1},
		{"SELECT 1 ; FROM x;\n", []queries.Statement{{"SELECT 1", 1}, {"FROM x", 1}}, "\n", 1},
		{"\n-- a; b\nSELECT ';', \"a;b\", $t$;$t$ /* ; /* ; */ */\n;\nFROM y", []queries.Statement{{"SELECT ';', \"a;b\", $t$;$t$ /* ; /* ; */ */", 3}}, "\nFROM y", 4},
		{"SELECT 'open;\n;", nil, "SELECT 'open;\n;", 1},
		{"SELECT 1; /* open;", []queries.Statement{{"SELECT 1", 1}}, " /* open;", 1},
		{";; -- nothing\n;", nil, "", 2},
		{"SELECT e'\\';' ;", []queries.Statement{{`SELECT e'\';'`, 1}}, "", 1},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			list, rest, line := queries.Statements(c.text)
			if diff := cmp.Diff(c.want, list); diff != "" || rest != c.rest || line != c.restLine {
				t.Errorf("rest %q from line %d, want %q from %d; statements (-want +got):\n%s", rest, line, c.rest, c.restLine, diff)
			}
		})
	}
}

// FuzzStatements checks that no text is lost, and that the statements are not split again.
func FuzzStatements(f *testing.F) {
	f.Add("SELECT 1; -- x;\nSELECT $a$;$a$ ; /* */ e'")
	f.Fuzz(func(t *testing.T, text string) {
		list, rest, _ := queries.Statements(text)
		if !strings.HasSuffix(text, rest) {
			t.Fatalf("rest %q is not the end of %q", rest, text)
		}
		for _, s := range list {
			if !strings.Contains(text, s.SQL) {
				t.Fatalf("statement %q is not in %q", s.SQL, text)
			}
			again, _, _ := queries.Statements(s.SQL + "\n;")
			if len(again) != 1 {
				t.Fatalf("statement %q of %q is cut into %d", s.SQL, text, len(again))
			}
		}
	})
}

func ExampleStatements() {
	list, rest, _ := queries.Statements("SELECT ';' AS a; -- first;\nFROM run;\nFROM")
	for _, s := range list {
		fmt.Printf("line %d: %s\n", s.Line, s.SQL)
	}
	fmt.Printf("rest: %q\n", rest)
	// Output:
	// line 1: SELECT ';' AS a
	// line 2: FROM run
	// rest: "\nFROM"
}
