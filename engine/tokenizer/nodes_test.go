package tokenizer_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"testing/fstest"

	"ducklens/engine/tokenizer"
)

// made is a tokenizer that testdata/make.py wrote, with the ids that Hugging Face's tokenizers gave.
type made struct {
	File  json.RawMessage `json:"tokenizer"`
	Texts []struct {
		Text    string `json:"text"`
		IDs     []int  `json:"ids"`
		Special []int  `json:"ids_special"` // absent: the same ids
	} `json:"texts"`
}

func madeTokenizers(tb testing.TB) map[string]made {
	tb.Helper()
	text, err := os.ReadFile("testdata/nodes.json")
	if err != nil {
		tb.Fatal(err)
	}
	var list map[string]made
	unmarshal(tb, text, &list)
	if len(list) < 14 {
		tb.Fatalf("%d tokenizers, want 14", len(list))
	}
	return list
}

func loadMade(tb testing.TB, m made) *tokenizer.Tokenizer {
	tb.Helper()
	tok, err := tokenizer.Load(fstest.MapFS{"tokenizer.json": {Data: m.File}})
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

// Each kind of node gives the ids that Hugging Face's tokenizers gives.
func TestNodes(t *testing.T) {
	t.Parallel()
	for name, m := range madeTokenizers(t) {
		tok := loadMade(t, m)
		for _, text := range m.Texts {
			if got := must(tok.Encode(text.Text)); !slices.Equal(got, text.IDs) {
				t.Errorf("%s: Encode(%q) = %v, want %v", name, text.Text, got, text.IDs)
			}
			special := text.Special
			if special == nil {
				special = text.IDs
			}
			if got := must(tok.EncodeBOS(text.Text, tokenizer.AutoBOS)); !slices.Equal(got, special) {
				t.Errorf("%s: EncodeBOS(%q) = %v, want %v", name, text.Text, got, special)
			}
		}
	}
}

// must returns ids, and panics if there is an error.
func must(ids []int, err error) []int {
	if err != nil {
		panic(err)
	}
	return ids
}
