// Package demo embeds a small model in GPT-2's format, so that users can try ducklens without a checkpoint.
//
// It has 4 layers, 4 heads, d_model 96, 64 positions, and its own byte-level vocabulary, in which every name,
// place, object and template word of ducklens's IOI prompts is one token. It has learnt the task; the program
// in train trained it, and its README says how. Findings are about this model, not about GPT-2. Programs that
// show it must say so, for example with [Description].
//
// The program in generate makes all files except the weights again, byte for byte.
package demo

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ducklens/schema/draft"
)

//go:generate go run ./generate -o model ../../ingest/prompts/ioi.json train/templates.json

//go:embed model
var files embed.FS

// Name is the model's name in a run.
const Name = "ducklens-demo"

// Description is one sentence for those who see the model's output.
const Description = "4 layers of 4 heads, trained on sentences like these; " +
	"it names the indirect object in over 99 % of prompts whose two names it has not seen together"

// FS returns the files of the model: config.json, vocab.json, merges.txt and model.safetensors.
func FS() fs.FS {
	sub, err := fs.Sub(files, "model")
	if err != nil {
		panic("demo: " + err.Error()) // the path is a constant, and valid
	}
	return sub
}

// Extract writes the files of the model into dir, which it makes if necessary. An existing file is an error
// unless it has the same content.
func Extract(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("demo model: %w", err)
	}
	entries, err := fs.ReadDir(FS(), ".")
	if err != nil {
		return fmt.Errorf("demo model: %w", err)
	}
	for _, e := range entries {
		content, err := fs.ReadFile(FS(), e.Name())
		if err == nil {
			err = place(filepath.Join(dir, e.Name()), content)
		}
		if err != nil {
			return fmt.Errorf("demo model: %w", err)
		}
	}
	return nil
}

// place writes a new file, which is complete or absent.
func place(path string, content []byte) error {
	if found, err := os.ReadFile(path); err == nil {
		if string(found) != string(content) {
			return fmt.Errorf("%s: %w, and is another file", path, fs.ErrExist)
		}
		return nil
	}
	return draft.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}
