package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The committed files are what the program makes.
func TestGenerate(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if err := generate(out, filepath.Join("..", "..", "..", "ingest", "prompts", "ioi.json"), filepath.Join("..", "train", "templates.json")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "vocab.json", "merges.txt"} {
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("..", "model", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the committed file: run make generate", name)
		}
	}
}
