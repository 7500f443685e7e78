package checkpoint_test

import (
	"maps"
	"testing"

	"ducklens/engine/checkpoint"
)

func TestParseKeys(t *testing.T) {
	t.Parallel()
	keys, err := checkpoint.ParseKeys([]byte(`{"a": 1, "b": NaN, "c": [Infinity, -Infinity], "d": "NaN \\" , "e": "\"NaN", "f": null, "a": 2.0, "NaN": {"x": NaN}}`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for k, v := range keys {
		got[k] = string(v)
	}
	want := map[string]string{"a": "2.0", "b": `"NaN"`, "c": `["Infinity", "-Infinity"]`, "d": `"NaN \\"`, "e": `"\"NaN"`, "f": "null", "NaN": `{"x": "NaN"}`}
	if !maps.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
