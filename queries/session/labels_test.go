package session_test

import (
	"fmt"
	"strings"
	"testing"

	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

// TestLabel joins labels to the examples by number or by text, of one run or of all. They appear beside the
// columns of the prompts.
func TestLabel(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	texts, err := ask(t.Context(), s, "SELECT text FROM example WHERE run_id = 1 ORDER BY example_id", nil)
	if err != nil {
		t.Fatal(err)
	}
	first := texts.Rows[0][0].(string)
	field := func(name, value string) schema.Fields { return schema.Fields{{Name: name, Value: value}} }
	joined, err := s.Label(t.Context(), []schema.Label{
		{Example: 1, Run: 2, Fields: field("kind", `"a \"b\""`)},
		{Example: 77, Fields: field("kind", `"nobody's"`)},
		{Example: 2, Fields: field("size", "2.50")},
		{Example: -1, Text: first, Run: 1, Fields: field("note", "null")},
		{Example: -1, Text: "no such text", Fields: field("kind", `"c"`)},
	})
	if err != nil || fmt.Sprint(joined.Unused) != "[1 4]" || joined.Labelled != 6 {
		t.Fatalf("%+v, error %v, want the second and the last unused, and six examples labelled", joined, err)
	}
	got, err := ask(t.Context(), s, "SELECT run_id, example_id, name, value FROM example_field WHERE run_id < 3 AND name IN ('kind', 'size', 'note') AND (example_id = 0 OR name <> 'note') ORDER BY ALL", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[[1 0 note <nil>] [1 2 size 2.50] [2 1 kind a "b"] [2 2 size 2.50]]`; fmt.Sprint(got.Rows) != want {
		t.Errorf("labels %v, want %s", got.Rows, want)
	}
	got, err = ask(t.Context(), s, "SELECT count(*) FILTER (example_id = 2), count(*) FROM examples_where(2, 'size=2.50')", nil)
	if err != nil || fmt.Sprint(got.Rows) != "[[1 1]]" {
		t.Errorf("examples_where finds %v by a label, %v, want example 2", got, err)
	}
	if _, err := s.Label(t.Context(), nil); err == nil {
		t.Error("labels twice")
	}
}

// TestLabelsOverColumns checks that a label replaces a column of the same name, and cannot have two values.
func TestLabelsOverColumns(t *testing.T) {
	t.Parallel()
	path := sampleWith(t, 1)
	db, err := dbfile.OpenWriter(t.Context(), path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), `UPDATE prompt SET fields = '{"kind": "theirs", "size": 3}'`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := session.Open(t.Context(), path, session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Label(t.Context(), []schema.Label{{Example: 0, Fields: schema.Fields{{Name: "kind", Value: `"mine"`}}}}); err != nil {
		t.Fatal(err)
	}
	got, err := ask(t.Context(), s, "SELECT example_id, name, value FROM example_field WHERE run_id = 1 AND example_id < 2 ORDER BY ALL", nil)
	if want := "[[0 kind mine] [0 size 3] [1 kind theirs] [1 size 3]]"; err != nil || fmt.Sprint(got.Rows) != want {
		t.Errorf("fields %v, %v, want %s", got, err, want)
	}

	got, err = ask(t.Context(), s, "SELECT example_id, fields::VARCHAR FROM example WHERE run_id = 1 AND example_id < 2 ORDER BY ALL", nil)
	if want := `[[0 {"size":3,"kind":"mine"}] [1 {"kind": "theirs", "size": 3}]]`; err != nil || fmt.Sprint(got.Rows) != want {
		t.Errorf("fields %v, %v, want %s", got, err, want)
	}

	s = open(t, session.Options{})
	_, err = s.Label(t.Context(), []schema.Label{{Example: 0, Fields: schema.Fields{{Name: "x", Value: "1"}}}, {Example: 0, Run: 2, Fields: schema.Fields{{Name: "x", Value: "2"}}}})
	if err == nil || !strings.Contains(err.Error(), "labels of run 2, example 0: x is 1 and 2, want one of them") {
		t.Errorf("error %v", err)
	}
}

// TestLabelsByNumberAndText checks that a label with a number and a text belongs to the example with both,
// and that another text with this number is an error.
func TestLabelsByNumberAndText(t *testing.T) {
	t.Parallel()
	fields := schema.Fields{{Name: "kind", Value: `"a"`}}
	s := open(t, session.Options{})
	texts, err := ask(t.Context(), s, "SELECT text FROM example WHERE run_id = 1 AND example_id < 2 ORDER BY example_id", nil)
	if err != nil {
		t.Fatal(err)
	}
	zero, one := texts.Rows[0][0].(string), texts.Rows[1][0].(string)
	other := zero + "!"
	_, err = s.Label(t.Context(), []schema.Label{{Example: 0, Run: 1, Text: zero, Fields: fields}, {Example: 0, Run: 1, Text: other, Fields: fields}})
	if want := "labels: row 2 says that example 0 has the text " + fmt.Sprintf("%.200q", other); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	s = open(t, session.Options{})
	if joined, err := s.Label(t.Context(), []schema.Label{{Example: 1, Run: 1, Text: one, Fields: fields}}); err != nil || joined.Labelled != 1 {
		t.Errorf("%+v, %v, want one example labelled", joined, err)
	}
}

// TestLabelsBesideUserTables checks that labels do not collide with tables of the user.
func TestLabelsBesideUserTables(t *testing.T) {
	t.Parallel()
	path := sampleWith(t, 1)
	schematest.Plant(t, path, "CREATE TABLE example_label (x INTEGER)", "CREATE TABLE label_given (x INTEGER)", "INSERT INTO example_label VALUES (7)")
	s, err := session.Open(t.Context(), path, session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := ask(t.Context(), s, "SELECT x FROM example_label", nil); err != nil {
		t.Fatal(err)
	}
	if joined, err := s.Label(t.Context(), []schema.Label{{Example: 0, Fields: schema.Fields{{Name: "kind", Value: `"a"`}}}}); err != nil || joined.Labelled == 0 {
		t.Errorf("%+v, %v, want examples labelled", joined, err)
	}
}
