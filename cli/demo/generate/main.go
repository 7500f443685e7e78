// Command generate makes the files of the embedded demo model except its weights: config.json and a
// byte-level vocabulary in GPT-2's format. The vocabulary is made from the words of ducklens's own IOI
// prompts and of the training sentences. The same words give the same bytes on every platform. The program in
// ../train makes the weights.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("o", "", "folder to write to")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: generate -o FOLDER WORDS.json...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *out == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := generate(*out, flag.Args()...); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate writes the files to the folder out.
func generate(out string, words ...string) error {
	files := make([]wordLists, len(words))
	for i, path := range words {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &files[i]); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	v := train(pieces(files...))
	config, err := json.MarshalIndent(size{layers: 4, heads: 4, width: 96, context: 64,
		vocabulary: len(v.tokens)}.config(), "", "  ")
	if err != nil {
		return err
	}
	vocab, err := v.json()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"config.json": append(config, '\n'),
		"vocab.json":  vocab,
		"merges.txt":  v.mergesText(),
	} {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// size holds the sizes of the model.
type size struct {
	layers, heads, width, context, vocabulary int
}

// config returns config.json with Hugging Face's keys.
func (s size) config() map[string]any {
	return map[string]any{
		"_comment":            "made by ducklens/cli/demo/generate, trained by ducklens/cli/demo/train",
		"activation_function": "gelu_new",
		"architectures":       []string{"GPT2LMHeadModel"},
		"bos_token_id":        s.vocabulary - 1,
		"eos_token_id":        s.vocabulary - 1,
		"layer_norm_epsilon":  1e-5,
		"model_type":          "gpt2",
		"n_ctx":               s.context,
		"n_embd":              s.width,
		"n_head":              s.heads,
		"n_layer":             s.layers,
		"n_positions":         s.context,
		"vocab_size":          s.vocabulary,
	}
}
