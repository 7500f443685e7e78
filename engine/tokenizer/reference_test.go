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
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/tokenizer"
)

// reference is what Hugging Face's tokenizers gave, as stored in shared/tokenizers.
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

// referenceFile returns the tokenizer.json of a reference, with the changes of a variant.
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

// For texts that are hard to tokenise, published tokenizers give the ids of Hugging Face's tokenizers, and
// their tokens stand for the same bytes.
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
			fsys := fstest.MapFS{"tokenizer.json": {Data: referenceFile(t, dir, name)}}
			config := filepath.Join(filepath.Dir(path), "tokenizer_config.json.gz")
			if _, err := os.Stat(config); err == nil {
				fsys["tokenizer_config.json"] = &fstest.MapFile{Data: unzip(t, config)}
			}
			tok, err := tokenizer.Load(fsys)
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
			t.Fatalf("%s has no ids, or its bytes differ", text.ID)
		}
		if got := must(tok.Encode(text.Text)); !slices.Equal(got, w.IDs) {
			t.Errorf("%s (%s): Encode(%q) = %v, want %v", text.ID, text.Group, text.Text, got, w.IDs)
		}
		if got := must(tok.EncodeBOS(text.Text, tokenizer.AutoBOS)); !slices.Equal(got, w.Special) {
			t.Errorf("%s (%s): EncodeBOS(%q) = %v, want %v", text.ID, text.Group, text.Text, got, w.Special)
		}
		n++
	}
	t.Logf("%d texts compared", n)
}

// fakeMetadata are values of a GGUF file.
type fakeMetadata map[string]any

func value[T any](m fakeMetadata, key string) (T, bool) {
	v, ok := m[key].(T)
	return v, ok
}

func (m fakeMetadata) Text(key string) (string, bool)      { return value[string](m, key) }
func (m fakeMetadata) Texts(key string) ([]string, bool)   { return value[[]string](m, key) }
func (m fakeMetadata) Number(key string) (int64, bool)     { return value[int64](m, key) }
func (m fakeMetadata) Numbers(key string) ([]int64, bool)  { return value[[]int64](m, key) }
func (m fakeMetadata) Floats(key string) ([]float64, bool) { return value[[]float64](m, key) }
func (m fakeMetadata) Flag(key string) (bool, bool)        { return value[bool](m, key) }

// referenceMetadata writes a tokenizer.json as llama.cpp's converter would, with scores in the order of the
// merges.
func referenceMetadata(tb testing.TB, file []byte) fakeMetadata {
	var j struct {
		Added []struct {
			ID      int
			Content string
			Special bool
		} `json:"added_tokens"`
		Model struct {
			Vocab  map[string]int
			Merges []json.RawMessage
		}
	}
	unmarshal(tb, file, &j)
	n := len(j.Model.Vocab)
	for _, a := range j.Added {
		n = max(n, a.ID+1)
	}
	tokens, types, scores := make([]string, n), make([]int64, n), make([]float64, n)
	for token, id := range j.Model.Vocab {
		tokens[id], types[id] = token, 1
		if len(token) == 6 && strings.HasPrefix(token, "<0x") {
			types[id] = 6
		}
	}
	for _, a := range j.Added {
		tokens[a.ID], types[a.ID] = a.Content, 4
		if a.Special {
			types[a.ID] = 3
		}
	}
	var merges []string
	for rank, raw := range j.Model.Merges {
		var line string
		var pair []string
		if json.Unmarshal(raw, &line) != nil {
			unmarshal(tb, raw, &pair)
			line = strings.Join(pair, " ")
		}
		merges = append(merges, line)
		if id, ok := j.Model.Vocab[strings.Replace(line, " ", "", 1)]; ok && scores[id] == 0 {
			scores[id] = -float64(rank + 1)
		}
	}
	return fakeMetadata{
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types,
		"tokenizer.ggml.merges": merges, "tokenizer.ggml.scores": scores,
	}
}

// The same tokenizers in the metadata of a GGUF file give the same ids.
func TestReferenceMetadata(t *testing.T) {
	dir := referenceDir(t)
	var texts []referenceText
	refdata.JSON(t, filepath.Join(dir, "texts.json"), &texts)
	for name, set := range map[string]fakeMetadata{
		"smollm2":    {"tokenizer.ggml.pre": "smollm"},
		"llama3-bos": {"tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.bos_token_id": int64(128000)},
		"qwen3":      {"tokenizer.ggml.pre": "qwen2"},
		"mistral":    {"tokenizer.ggml.model": "llama", "tokenizer.ggml.bos_token_id": int64(1), "tokenizer.ggml.unknown_token_id": int64(0)},
	} {
		t.Run(name, func(t *testing.T) {
			var want reference
			refdata.JSON(t, filepath.Join(dir, name, "ids.json"), &want)
			m := referenceMetadata(t, referenceFile(t, dir, name))
			for key, value := range set {
				m[key] = value
			}
			tok, err := tokenizer.FromMetadata(m)
			if err != nil {
				t.Fatal(err)
			}
			compareReference(t, tok, texts, &want)
		})
	}
}

// A text of a megabyte that is one word takes hardly more time than its length needs.
func TestLongWord(t *testing.T) {
	dir := referenceDir(t)
	for _, name := range []string{"mistral", "gemma3"} {
		tok, err := tokenizer.Load(fstest.MapFS{"tokenizer.json": {Data: referenceFile(t, dir, name)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"When Mary and John went to the store, ", "x"} {
			text := strings.Repeat(part, 1<<20/len(part))
			start := time.Now()
			ids := must(tok.Encode(text))
			took := time.Since(start)
			if got := strings.TrimPrefix(tok.Decode(ids), " "); got != text {
				t.Errorf("%s: a megabyte of %q does not come back", name, part)
			}
			t.Logf("%s: a megabyte of %q is %d tokens, in %v", name, part, len(ids), took)
			if took > 30*time.Second {
				t.Errorf("%s: %v, want about a second", name, took)
			}
		}
	}
}

// The GGUF file of SmolLM2 gives the same ids as its tokenizer.json.
func TestSmolLM2(t *testing.T) {
	dir := referenceDir(t)
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "models", "smollm2-135m", "*.gguf"))
	if len(files) == 0 {
		t.Skip("no SmolLM2 beside the reference tokenizers")
	}
	c, err := checkpoint.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tok, err := tokenizer.FromMetadata(c.Metadata())
	if err != nil {
		t.Fatal(err)
	}
	var texts []referenceText
	refdata.JSON(t, filepath.Join(dir, "texts.json"), &texts)
	var want reference
	refdata.JSON(t, filepath.Join(dir, "smollm2", "ids.json"), &want)
	compareReference(t, tok, texts, &want)
	if bos, ok := tok.BOS(); !ok || tok.Token(bos) != "<|im_start|>" || tok.AddsBOS() {
		t.Errorf("BOS %d %v, added %v", bos, ok, tok.AddsBOS())
	}
}

// BenchmarkLoadReference reads tokenizer.json files of 33, 28 and 1.8 MB.
func BenchmarkLoadReference(b *testing.B) {
	dir := referenceDir(b)
	for _, name := range []string{"gemma3", "gptoss", "mistral"} {
		b.Run(name, func(b *testing.B) {
			fsys := fstest.MapFS{"tokenizer.json": {Data: referenceFile(b, dir, name)}}
			b.SetBytes(int64(len(fsys["tokenizer.json"].Data)))
			for b.Loop() {
				if _, err := tokenizer.Load(fsys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
