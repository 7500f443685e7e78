// Command generate makes the embedded demo model: a GPT-2 with random weights and a byte-level vocabulary
// made from the words of ducklens's own IOI prompts. The same seed and words give the same bytes on every platform.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	words := flag.String("words", "", "JSON file of templates, names, places and objects")
	out := flag.String("o", "", "folder to write to")
	seed := flag.Uint64("seed", 1, "seed of the weights")
	flag.Parse()
	if *words == "" || *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := generate(*words, *out, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate writes the four files of the model.
func generate(words, out string, seed uint64) error {
	text, err := os.ReadFile(words)
	if err != nil {
		return err
	}
	var lists wordLists
	if err := json.Unmarshal(text, &lists); err != nil {
		return fmt.Errorf("%s: %w", words, err)
	}
	v := train(lists.pieces())
	s := size{layers: 4, heads: 4, width: 64, context: 64, vocabulary: len(v.tokens)}
	config, err := json.MarshalIndent(s.config(), "", "  ")
	if err != nil {
		return err
	}
	vocab, err := v.json()
	if err != nil {
		return err
	}
	weights, err := s.weights(seed)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"config.json":       append(config, '\n'),
		"vocab.json":        vocab,
		"merges.txt":        v.mergesText(),
		"model.safetensors": weights,
	} {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
