package jsonfault_test

import (
	"encoding/json"
	"testing"

	"ducklens/engine/internal/jsonfault"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	type inner struct {
		Heads int `json:"heads"`
	}
	for text, c := range map[string]struct {
		into any
		want string
	}{
		`[1]`:        {&map[string]int{}, "a JSON array, want an object"},
		`{"a": "x"}`: {&map[string]int{}, "a JSON string, want a whole number"},
		`1.5`:        {new(int), "a JSON number 1.5, want a whole number"},
		`"yes"`:      {new(bool), "a JSON string, want true or false"},
		`3`:          {new(string), "a JSON number, want a text"},
		`{}`:         {&[]int{}, "a JSON object, want a list"},
		`true`:       {new(*float64), "a JSON bool, want a number"},
		`{"in": {"heads": "x"}}`: {&struct {
			In inner `json:"in"`
		}{}, "in.heads: a JSON string, want a whole number"},
		`{`: {&inner{}, "unexpected end of JSON input"},
	} {
		if err := jsonfault.Explain(json.Unmarshal([]byte(text), c.into)); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", text, err, c.want)
		}
	}
	if err := jsonfault.Explain(nil); err != nil {
		t.Errorf("nothing wrong: %v", err)
	}
}
