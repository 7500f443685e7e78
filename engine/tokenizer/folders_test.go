package tokenizer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/tokenizer"
)

// open reads the tokenizer of a model: a folder, or the GGUF file in it.
func open(t *testing.T, dir string) (*tokenizer.Tokenizer, error) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.gguf"))
	if len(files) == 0 {
		return tokenizer.Load(os.DirFS(dir))
	}
	c, err := checkpoint.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return tokenizer.FromMetadata(c.Metadata())
}

func firstPrompt(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	var p struct{ Text string }
	unmarshal(t, line, &p)
	return p.Text
}

// Folders that were rebuilt from bug reports give the ids that the reporters expected. They have further
// files beside the vocabulary, a BOS of their own, or lack bytes and tokens.
func TestReportedFolders(t *testing.T) {
	shared := filepath.Dir(referenceDir(t))
	cases, _ := filepath.Glob(filepath.Join(shared, "reports", "*", "expected.json"))
	more, _ := filepath.Glob(filepath.Join(shared, "reports", "checkpoints", "*", "expected.json"))
	n := 0
	for _, path := range append(cases, more...) {
		var want struct {
			IDs  []int    `json:"token_ids"`
			Args []string `json:"args"`
		}
		refdata.JSON(t, path, &want)
		dir := filepath.Dir(path)
		name := filepath.Base(dir)
		if len(want.IDs) == 0 || name == "prompt-files" {
			continue
		}
		tok, err := open(t, filepath.Join(dir, "model"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		bos := tokenizer.AutoBOS
		if slices.Contains(want.Args, "--no-bos") || name == "no-endoftext" {
			bos = tokenizer.WithoutBOS
		}
		text := firstPrompt(t, filepath.Join(dir, "prompts.jsonl"))
		if got := must(tok.EncodeBOS(text, bos)); !slices.Equal(got, want.IDs) {
			t.Errorf("%s: %q is %v, want %v", name, text, got, want.IDs)
		}
		n++
	}
	if n < 25 {
		t.Errorf("%d folders, want 25 or more", n)
	}
	t.Logf("%d folders agree", n)
}

// For models of all families, their own tokenizer.json gives the ids that transformers gave. Those of GPT-2
// have no BOS.
func TestFamilyFolders(t *testing.T) {
	shared := filepath.Dir(referenceDir(t))
	folders, _ := filepath.Glob(filepath.Join(shared, "families", "*", "golden.npz"))
	if len(folders) < 24 {
		t.Fatalf("%d families, want 24", len(folders))
	}
	n := 0
	for _, path := range folders {
		dir := filepath.Dir(path)
		tok, err := open(t, filepath.Join(dir, "model"))
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(dir), err)
			continue
		}
		bos := tokenizer.AutoBOS
		if filepath.Base(dir) == "gpt2" {
			bos = tokenizer.WithoutBOS
		}
		text, err := os.ReadFile(filepath.Join(dir, "prompts.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		arrays := refdata.Npz(t, path)
		for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
			var p struct{ Text string }
			if err := json.Unmarshal(line, &p); err != nil {
				t.Fatal(err)
			}
			stored, ok := arrays[fmt.Sprintf("%d/tokens", i)]
			if !ok {
				t.Fatalf("%s: no tokens of prompt %d", dir, i)
			}
			if got := must(tok.EncodeBOS(p.Text, bos)); !slices.Equal(got, stored.Ints()) {
				t.Errorf("%s: prompt %d: %v, want %v", filepath.Base(dir), i, got, stored.Ints())
			}
			n++
		}
	}
	t.Logf("%d prompts agree", n)
}
