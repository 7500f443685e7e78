// Package demo embeds a small model in GPT-2's format, so that ducklens has something to work on where
// there is no checkpoint yet.
//
// It has 4 layers, 4 heads, d_model 96, 64 positions, and a byte-level vocabulary of its own in which every name, place, object and
// template word of ducklens's IOI prompts is one token. It has learnt the task: the program in train trained it, and says how. What is
// found in it holds for it, not for GPT-2; whoever shows it has to say so, and [Description] does.
//
// The program in generate makes the files but for the weights again, byte for byte.
package demo

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:generate go run ./generate -o model ../../ingest/prompts/ioi.json train/templates.json

//go:embed model
var files embed.FS

// Name is what the model is called in a run.
const Name = "ducklens-demo"

// Description is one sentence for whoever sees the model's output.
const Description = "4 layers of 4 heads, trained on sentences like these; it names the indirect object in over 99 % of prompts whose two names it has not seen together"

// FS gives the files of the model: config.json, vocab.json, merges.txt and model.safetensors.
func FS() fs.FS {
	sub, err := fs.Sub(files, "model")
	if err != nil {
		panic("demo: " + err.Error()) // the path is a constant, and valid
	}
	return sub
}

// Extract writes the files of the model into dir, which is made where it does not exist. A file that is
// already there is an error, unless it is the same.
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

// place writes a new file. It is complete or absent: the content goes to a temporary name first.
func place(path string, content []byte) error {
	if found, err := os.ReadFile(path); err == nil {
		if string(found) != string(content) {
			return fmt.Errorf("%s: %w, and is another file", path, fs.ErrExist)
		}
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once the file has its name
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
