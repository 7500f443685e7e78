package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"ducklens/internal/advice"
	"ducklens/internal/regular"
)

// Names of the files of a model folder.
const (
	configFile  = "config.json"
	singleFile  = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
	lensFile    = "model.npz"
	adapterFile = "adapter_model.safetensors"
	mistralFile = "consolidated.safetensors"
)

// openFiles finds out what is at the path, and opens it.
func (c *Checkpoint) openFiles() error {
	info, err := os.Stat(c.path)
	switch {
	case err != nil:
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err // the caller names the path
		}
		return fault(ErrNoCheckpoint, "%w", err)
	case info.IsDir():
		c.folder = c.path
		return c.openFolder()
	}
	if err := regular.Check(c.path, info.Mode()); err != nil {
		return fault(ErrNoCheckpoint, "%w", err)
	}
	if !isGGUF(c.path) {
		return advice.Add(fault(ErrNoCheckpoint, "neither a folder nor a .gguf file"),
			"give the folder that holds config.json, not a file in it")
	}
	c.folder = filepath.Dir(c.path)
	return c.openGGUF(filepath.Base(c.path))
}

// openFolder opens the weights in the folder, in whichever form they are. It ignores other files.
func (c *Checkpoint) openFolder() (err error) {
	found := present(c.folder, singleFile, indexFile, lensFile)
	both := slices.Equal(found, []string{singleFile, indexFile})
	if both && isIndexOf(filepath.Join(c.folder, indexFile), singleFile) {
		found = found[1:]
	}
	switch {
	case len(found) == 0:
		model, err := ggufIn(c.folder)
		if err != nil {
			return err
		}
		if model == "" {
			return noWeights(c.folder)
		}
		return c.openGGUF(model)
	case len(found) > 1:
		return advice.Add(fault(ErrNoCheckpoint, "both %s and %s, want one of them", found[0], found[1]),
			"keep one form of the weights in a folder")
	}
	if c.keys, c.text, err = readKeys(filepath.Join(c.folder, configFile)); err != nil {
		return err
	}
	if found[0] == lensFile {
		return c.openLens()
	}
	return c.openHub(found[0])
}

// isIndexOf reports whether an index names no file but this one.
func isIndexOf(index, file string) bool {
	shardOf, err := readIndex(index)
	for _, shard := range shardOf {
		if shard != file {
			return false
		}
	}
	return err == nil
}

// noWeights returns an error that says what the folder has instead of weights that can be read.
func noWeights(dir string) error {
	err := fault(ErrNoCheckpoint, "no %s, %s, %s or .gguf file", singleFile, indexFile, lensFile)
	others := present(dir, adapterFile, "adapter_model.bin", "pytorch_model.bin",
		"pytorch_model.bin.index.json",
		mistralFile)
	if len(others) == 0 {
		return advice.Add(err, "point at a folder with config.json and model.safetensors, as the Hugging Face hub "+
			"has them, or at a .gguf file")
	}
	err = fmt.Errorf("%w, but %s", err, others[0])
	switch others[0] {
	case adapterFile, "adapter_model.bin":
		return advice.Add(err,
			"an adapter holds the changes to a model and not the model: merge it into its base model "+
				"(peft: merge_and_unload) and save that")
	case mistralFile:
		return advice.Add(err,
			"consolidated.safetensors has Mistral's own names: take the files with Hugging Face's "+
				"(model.safetensors, config.json) from the same place")
	}
	return advice.Add(err,
		"pytorch_model.bin is a pickle, which can run code when it is opened; save the model as "+
			"safetensors instead")
}
