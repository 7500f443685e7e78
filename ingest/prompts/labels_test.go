package prompts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ducklens/ingest/prompts"
	"ducklens/schema"
)

func TestReadLabels(t *testing.T) {
	t.Parallel()
	label := func(run, example int, text string, fields ...string) schema.Label {
		l := schema.Label{Run: run, Example: example, Text: text}
		for i := 0; i < len(fields); i += 2 {
			l.Fields = append(l.Fields, schema.Field{Name: fields[i], Value: fields[i+1]})
		}
		return l
	}
	for name, c := range map[string]struct {
		text string
		want []schema.Label
		err  string
	}{
		"number.csv":   {"example_id,kind\n2.0,a\n3,\n", []schema.Label{label(0, 2, "", "kind", `"a"`), label(0, 3, "", "kind", "null")}, ""},
		"pandas.csv":   {",run_id,example_id,n\n0,1,2,2.5\n", []schema.Label{label(1, 2, "", "n", "2.5")}, ""},
		"unnamed.csv":  {"Unnamed: 0,text,a,b\n0,x y,1,z\n", []schema.Label{label(0, -1, "x y", "a", "1", "b", `"z"`)}, ""},
		"lines.jsonl":  {`{"text": "x", "tags": ["p", "q"]}`, []schema.Label{label(0, -1, "x", "tags", `["p","q"]`)}, ""},
		"half.csv":     {"example_id,kind\n2.5,a\n", nil, "file of labels half.csv: line 2: example_id is 2.5, want a whole number from 0"},
		"negative.csv": {"example_id,kind\n-1,a\n", nil, "line 2: example_id is -1, want a whole number from 0"},
		"nobody.jsonl": {`{"kind": "a"}`, nil, "line 1: neither text nor example_id says whose labels these are; found kind"},
		"nobody.csv":   {"kind\na\n", nil, "no column text or example_id, found kind"},
		"nothing.csv":  {"example_id\n1\n", nil, "line 2: no labels beside text, example_id and run_id"},
		"empty.csv":    {"example_id,kind\n", nil, "it has no rows, want one for each example or text"},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := prompts.ReadLabels(t.Context(), path)
		if c.err != "" {
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), path, name), c.err) {
				t.Errorf("%s: error %v, want %q", name, err, c.err)
			}
			continue
		}
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
}
