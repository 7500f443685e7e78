package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ducklens/cli/demo"
	"ducklens/internal/advice"
)

// demoModel is the name of the embedded model.
const demoModel = "demo"

// modelPath returns the path of a model. If no model is called demo, that name means the embedded model,
// which is written to a temporary folder until done is called. A folder demo without a model in it, such as
// the one that make demo writes, does not count.
func modelPath(name string) (path string, done func() error, err error) {
	done = func() error { return nil }
	if name != demoModel || isModel(name) {
		return name, done, nil
	}
	dir, err := temporaryFolder("ducklens-")
	if err != nil {
		return "", done, err
	}
	path = filepath.Join(dir, demoModel) // the folder's name becomes the model's
	done = func() error { return os.RemoveAll(dir) }
	if err := demo.Extract(path); err != nil {
		return "", done, errors.Join(err, done())
	}
	return path, done, nil
}

// isModel reports whether path is a file, or a folder with a configuration.
func isModel(path string) bool {
	if isFolder(path) {
		path = filepath.Join(path, "config.json")
	}
	_, err := os.Stat(path)
	return err == nil
}

// temporaryFolder makes a temporary folder.
func temporaryFolder(name string) (string, error) {
	dir, err := os.MkdirTemp("", name)
	if err != nil {
		err = fmt.Errorf("make a temporary folder in %s: %w", os.TempDir(), pathless(err))
		return "", advice.Add(err, "set the environment variable TMPDIR to a folder that can be written")
	}
	return dir, nil
}
