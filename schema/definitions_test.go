package schema_test

import (
	"regexp"
	"strings"
	"testing"

	"ducklens/schema"
)

// TestDefinitionsHaveComments checks that every type, table, view and macro is followed by its comment.
func TestDefinitionsHaveComments(t *testing.T) {
	t.Parallel()
	tables, err := schema.Tables()
	if err != nil {
		t.Fatal(err)
	}
	views, err := schema.Views()
	if err != nil {
		t.Fatal(err)
	}
	create := regexp.MustCompile(`^CREATE (TYPE|TABLE|VIEW|MACRO) (\w+)`)
	for name, list := range map[string][]string{"tables": tables, "views": views} {
		n := 0
		for i, s := range list {
			m := create.FindStringSubmatch(s)
			if m == nil {
				continue
			}
			n++
			want := "COMMENT ON " + m[1]
			if i+1 == len(list) || !strings.HasPrefix(list[i+1], want) || !strings.Contains(list[i+1], " "+m[2]+" IS '") {
				t.Errorf("%s %s is not followed by its comment", m[1], m[2])
			}
		}
		if n == 0 {
			t.Errorf("%s define nothing", name)
		}
	}
}

// TestDefinitionsAreSQL checks that no template is left unexecuted, and no comment is part of a statement.
func TestDefinitionsAreSQL(t *testing.T) {
	t.Parallel()
	for _, read := range []func() ([]string, error){schema.Tables, schema.Views} {
		list, err := read()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if strings.Contains(s, "{{") || strings.Contains(s, "\n--") || strings.HasSuffix(s, ";") {
				t.Errorf("not a plain statement: %s", s)
			}
		}
	}
}
