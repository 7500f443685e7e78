package schema_test

import (
	"encoding/json"
	"testing"

	"ducklens/schema"
)

func TestParseWord(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]schema.Position{
		"Mary":                      schema.AtWord("Mary"),
		"Mary#2":                    schema.AtOccurrence("Mary", 2),
		"last of Łukasz":            schema.AtPart("Łukasz", 0, schema.LastToken),
		"first of Łukasz":           schema.AtPart("Łukasz", 0, schema.FirstToken),
		"last of New York#12":       schema.AtPart("New York", 12, schema.LastToken),
		"first of first of all":     schema.AtPart("first of all", 0, schema.FirstToken),
		"last of":                   schema.AtWord("last of"),
		"last of ":                  schema.AtWord("last of "),
		"C#":                        schema.AtWord("C#"),
		"C##1":                      schema.AtOccurrence("C#", 1),
		"C#2#1":                     schema.AtOccurrence("C#2", 1),
		"#2":                        schema.AtWord("#2"),
		"#2#1":                      schema.AtOccurrence("#2", 1),
		"Mary#0":                    schema.AtWord("Mary#0"),
		"Mary#02":                   schema.AtWord("Mary#02"),
		"Mary#-1":                   schema.AtWord("Mary#-1"),
		"Mary#99999999999999999999": schema.AtWord("Mary#99999999999999999999"),
	} {
		got := schema.ParseWord(text)
		if got != want {
			t.Errorf("%q is %s (%+v), want %s", text, got, got, want)
		}
	}
}

// TestPositionString checks that a position prints as it is parsed.
func TestPositionString(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]schema.Position{
		`none`:                     {},
		`-2`:                       schema.AtIndex(-2),
		`"Mary"`:                   schema.AtWord("Mary"),
		`"Mary#2"`:                 schema.AtOccurrence("Mary", 2),
		`"last of Łukasz"`:         schema.AtPart("Łukasz", 0, schema.LastToken),
		`"first of Łukasz#3"`:      schema.AtPart("Łukasz", 3, schema.FirstToken),
		`before "first of Łukasz"`: schema.AtPart("Łukasz", 0, schema.FirstToken).Before(),
	} {
		if got := p.String(); got != want {
			t.Errorf("%+v is %s, want %s", p, got, want)
		}
	}
}

func TestFieldsJSON(t *testing.T) {
	t.Parallel()
	if got := (schema.Fields{}).JSON(); got != "" {
		t.Errorf("no fields are %q", got)
	}
	got := schema.Fields{{Name: `a "b"`, Value: `[1,2]`}, {Name: "S", Value: "2.50"}, {Name: "s", Value: `"é"`}}.JSON()
	if want := `{"a \"b\"": [1,2], "S": 2.50, "s": "é"}`; got != want || !json.Valid([]byte(got)) {
		t.Errorf("%s, want %s", got, want)
	}
}
