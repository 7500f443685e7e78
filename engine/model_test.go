package engine_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/tokenizer"
	"ducklens/schema"
)

// words are those that the vocabulary of the test model spells with one token each.
var words = []string{" Ada", " Bo", " Cy", " gave", " the", " key", " to", "Then", " and", " spoke", ".", ","}

const (
	vocabulary = 1015 // of testdata/m2, whose last token is the end of text
	head21     = "2.1"
)

// modelFolder makes a folder with the weights of testdata/m2 and a vocabulary invented for these tests: the
// 256 bytes, what it takes to merge the words above, and fillers.
func modelFolder(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := testModel(dir, filepath.Join(refdata.M2(tb), "model")); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// testModel fills dir with the weights in source and the vocabulary.
func testModel(dir, source string) error {
	for _, name := range []string{"config.json", "model.safetensors"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			return err
		}
	}
	return writeVocabulary(dir)
}

func writeVocabulary(dir string) error {
	ids := map[string]int{}
	for b := range 256 {
		ids[tokenizer.Printable(string([]byte{byte(b)}))] = b
	}
	merges := []string{"#version: 0.2"}
	for _, w := range words {
		for n := 2; n <= len(w); n++ {
			token := tokenizer.Printable(w[:n])
			if _, ok := ids[token]; !ok {
				ids[token] = len(ids)
				merges = append(merges, tokenizer.Printable(w[:n-1])+" "+tokenizer.Printable(w[n-1:n]))
			}
		}
	}
	for len(ids) < vocabulary-1 {
		ids[fmt.Sprintf("filler%d", len(ids))] = len(ids)
	}
	ids[tokenizer.EndOfTextText] = len(ids)
	text, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "vocab.json"), text, 0o666); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "merges.txt"), []byte(strings.Join(merges, "\n")+"\n"), 0o666)
}

// open opens a model folder and closes it when the test ends.
func open(tb testing.TB, dir string, options engine.Options) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(dir, options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// head returns options for the reference data's target head.
func head(tb testing.TB, options engine.Options) engine.Options {
	tb.Helper()
	h, err := schema.ParseHead(head21)
	if err != nil {
		tb.Fatal(err)
	}
	options.Heads = []schema.Head{h}
	return options
}

// referenceExamples are the 50 prompts of the reference data, as token ids.
func referenceExamples(tb testing.TB) []schema.Example {
	tb.Helper()
	arrays := refdata.Npz(tb, filepath.Join(refdata.M2(tb), "golden", "forward_A_f64.npz"))
	toks, positions := arrays["toks"], arrays["positions_end_io_s1"]
	var list []schema.Example
	for p := range toks.Shape[0] {
		x := schema.Example{Index: p, Query: positions.Ints(0, p)[0], Key: positions.Ints(1, p)[0], Baseline: positions.Ints(2, p)[0]}
		for _, id := range toks.Ints(p) {
			x.Tokens = append(x.Tokens, schema.Token{ID: id})
		}
		list = append(list, x)
	}
	return list
}

// addToTensor adds values to a stored F32 tensor of a model folder.
func addToTensor(tb testing.TB, dir, name string, values []float32) {
	tb.Helper()
	path := filepath.Join(dir, "model.safetensors")
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	headerSize := int(binary.LittleEndian.Uint64(text))
	var header map[string]struct {
		DType   string `json:"dtype"`
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(text[8:8+headerSize], &header); err != nil {
		tb.Fatal(err)
	}
	info, ok := header[name]
	if !ok || info.DType != "F32" || info.Offsets[1]-info.Offsets[0] != 4*len(values) {
		tb.Fatalf("tensor %s is %+v, want F32 of %d numbers", name, info, len(values))
	}
	stored := text[8+headerSize+info.Offsets[0]:]
	for i, v := range values {
		old := math.Float32frombits(binary.LittleEndian.Uint32(stored[4*i:]))
		binary.LittleEndian.PutUint32(stored[4*i:], math.Float32bits(old+v))
	}
	if err := os.WriteFile(path, text, 0o666); err != nil {
		tb.Fatal(err)
	}
}
