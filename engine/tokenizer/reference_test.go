package tokenizer_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/fstest"

	"ducklens/engine/internal/refdata"
	"ducklens/engine/tokenizer"
)

// reference is what Hugging Face's tokenizers gives, as shared/tokenizers has it.
type reference struct {
	Texts map[string]struct {
		IDs     []int `json:"ids"`
		Special []int `json:"ids_special"`
	} `json:"texts"`
	Bytes map[string]string `json:"bytes"`
}

type referenceText struct {
	ID, Group, Text, UTF8 string
}

func referenceDir(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(filepath.Dir(refdata.Goldens(tb, "m1")), "..", "tokenizers")
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("no reference tokenizers: %v", err)
	}
	return dir
}

func unzip(tb testing.TB, path string) []byte {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// referenceFile is the tokenizer.json of a reference, with the changes of a variant made.
func referenceFile(tb testing.TB, dir, name string) []byte {
	tb.Helper()
	path := filepath.Join(dir, name, "variant.json")
	if _, err := os.Stat(path); err != nil {
		return unzip(tb, filepath.Join(dir, name, "tokenizer.json.gz"))
	}
	var variant struct {
		Base  string
		Nodes map[string]json.RawMessage
		Model map[string]json.RawMessage
		Added []json.RawMessage `json:"added_tokens"`
	}
	refdata.JSON(tb, path, &variant)
	var file, model map[string]json.RawMessage
	var added []json.RawMessage
	unmarshal(tb, unzip(tb, filepath.Join(dir, variant.Base, "tokenizer.json.gz")), &file)
	unmarshal(tb, file["model"], &model)
	unmarshal(tb, file["added_tokens"], &added)
	for key, node := range variant.Nodes {
		file[key] = node
	}
	for key, flag := range variant.Model {
		model[key] = flag
	}
	file["model"] = marshal(tb, model)
	file["added_tokens"] = marshal(tb, append(added, variant.Added...))
	return marshal(tb, file)
}

func unmarshal(tb testing.TB, text []byte, value any) {
	tb.Helper()
	if err := json.Unmarshal(text, value); err != nil {
		tb.Fatal(err)
	}
}

// Published tokenizers give the ids of Hugging Face's tokenizers for texts that break tokenizers, and their tokens stand for
// the same bytes.
func TestReferenceTokenizers(t *testing.T) {
	dir := referenceDir(t)
	var texts []referenceText
	refdata.JSON(t, filepath.Join(dir, "texts.json"), &texts)
	folders, err := filepath.Glob(filepath.Join(dir, "*", "ids.json"))
	if err != nil || len(folders) < 16 {
		t.Fatalf("%d reference tokenizers: %v", len(folders), err)
	}
	for _, path := range folders {
		name := filepath.Base(filepath.Dir(path))
		t.Run(name, func(t *testing.T) {
			var want reference
			refdata.JSON(t, path, &want)
			tok, err := tokenizer.Load(fstest.MapFS{"tokenizer.json": {Data: referenceFile(t, dir, name)}})
			if err != nil {
				t.Fatal(err)
			}
			compareReference(t, tok, texts, &want)
			for id, spelt := range want.Bytes {
				n, _ := strconv.Atoi(id)
				if b, _ := hex.DecodeString(spelt); !bytes.Equal([]byte(tok.Token(n)), b) {
					t.Errorf("token %d is %q, want %q", n, tok.Token(n), b)
				}
			}
		})
	}
}

func compareReference(t *testing.T, tok *tokenizer.Tokenizer, texts []referenceText, want *reference) {
	n := 0
	for _, text := range texts {
		w, ok := want.Texts[text.ID]
		if raw, err := hex.DecodeString(text.UTF8); !ok || err != nil || string(raw) != text.Text {
			t.Fatalf("%s has no ids, or other bytes", text.ID)
		}
		if got := tok.Encode(text.Text); !slices.Equal(got, w.IDs) {
			t.Errorf("%s (%s): Encode(%q) = %v, want %v", text.ID, text.Group, text.Text, got, w.IDs)
		}
		if got := tok.EncodeBOS(text.Text, tokenizer.AutoBOS); !slices.Equal(got, w.Special) {
			t.Errorf("%s (%s): EncodeBOS(%q) = %v, want %v", text.ID, text.Group, text.Text, got, w.Special)
		}
		n++
	}
	t.Logf("%d texts compared", n)
}
