package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ducklens/cli/demo"
)

// demoModel is the name of the embedded model where a model is asked for.
const demoModel = "demo"

// modelPath gives the path of a model. Where there is no model demo, that name is the embedded model, in a folder of its own until done is
// called. A folder demo without a model in it is what make demo leaves.
func modelPath(name string) (path string, done func() error, err error) {
	done = func() error { return nil }
	if name != demoModel || isModel(name) {
		return name, done, nil
	}
	dir, err := temporaryFolder("ducklens-")
	if err != nil {
		return "", done, err
	}
	path = filepath.Join(dir, demoModel) // a model is called as its folder
	done = func() error { return os.RemoveAll(dir) }
	if err := demo.Extract(path); err != nil {
		return "", done, errors.Join(err, done())
	}
	return path, done, nil
}

// isModel tells whether there is a file, or a folder with a configuration in it.
func isModel(path string) bool {
	if isFolder(path) {
		path = filepath.Join(path, "config.json")
	}
	_, err := os.Stat(path)
	return err == nil
}

// temporaryFolder makes a folder for files that are needed for a while.
func temporaryFolder(name string) (string, error) {
	dir, err := os.MkdirTemp("", name)
	if err != nil {
		err = fmt.Errorf("no temporary folder can be made in %s: %w", os.TempDir(), pathless(err))
		return "", &hinted{err, "the environment variable TMPDIR names the folder that they are made in"}
	}
	return dir, nil
}
