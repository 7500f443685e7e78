package demo_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/cli/demo"
	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
	"ducklens/engine/tokenizer"
	"ducklens/ingest/prompts"
)

func TestExtract(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "model")
	for range 2 { // the second time everything is there already
		if err := demo.Extract(dir); err != nil {
			t.Fatal(err)
		}
	}
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := family.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if s := m.Spec; s.Layers != 4 || s.Heads != 4 || s.DModel != 96 || s.NCtx != 64 {
		t.Errorf("spec %+v", s)
	}
	for _, info := range c.Infos() {
		v, err := c.Tensor(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.CheckFinite(); err != nil {
			t.Error(err)
		}
	}
	tok, err := tokenizer.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if tok.VocabSize() != m.Spec.DVocab || tok.EndOfText() != m.BOS {
		t.Errorf("%d tokens, end of text %d, the model has %d and %d", tok.VocabSize(), tok.EndOfText(), m.Spec.DVocab, m.BOS)
	}

	if err := os.WriteFile(filepath.Join(dir, "merges.txt"), []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := demo.Extract(dir); err == nil || !strings.Contains(err.Error(), "merges.txt") {
		t.Errorf("another file in the way gives %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 4 {
		t.Errorf("%d files, %v, want 4", len(entries), err)
	}
}

// Every word of a prompt is one token, and every prompt fits.
func TestWordsAreTokens(t *testing.T) {
	t.Parallel()
	tok, err := tokenizer.Load(demo.FS())
	if err != nil {
		t.Fatal(err)
	}
	lists := prompts.IOI()
	for _, word := range slices.Concat(lists.Names, lists.Places, lists.Objects) {
		if ids, err := tok.Encode(" " + word); err != nil || len(ids) != 1 {
			t.Errorf("%q has %d tokens, %v, want 1", " "+word, len(ids), err)
		}
	}
	for p, err := range lists.Prompts(prompts.Sampling{N: 500, Seed: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		ids, err := tok.Encode(p.Text)
		if err != nil {
			t.Fatal(err)
		}
		words := len(strings.Fields(p.Text)) + strings.Count(p.Text, ",") + strings.Count(p.Text, ".")
		if len(ids) != words || tok.Decode(ids) != p.Text || len(ids) > 63 {
			t.Errorf("%q has %d tokens, want %d", p.Text, len(ids), words)
		}
	}
}
