//go:build unix

package checkpoint_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ducklens/engine/checkpoint"
	"ducklens/internal/regular"
)

// A folder, a pipe or a device in place of a file is refused at once, and by what it is.
func TestNoFiles(t *testing.T) {
	t.Parallel()
	list, config := tensors(t)
	members, lensConfig := lensArrays()
	good := safetensors(list)
	makers := map[string]func(string) error{
		"a folder":     func(path string) error { return os.Mkdir(path, 0o755) },
		"a named pipe": func(path string) error { return unix.Mkfifo(path, 0o644) },
		"a device":     func(path string) error { return os.Symlink("/dev/zero", path) },
	}
	for name, c := range map[string]struct {
		folder files
		file   string // to be replaced
		open   string // in the folder
	}{
		"config.json":      {files{"config.json": config, "model.safetensors": good}, "config.json", ""},
		"safetensors":      {files{"config.json": config, "model.safetensors": good}, "model.safetensors", ""},
		"index":            {files{"config.json": config, "model.safetensors.index.json": nil}, "model.safetensors.index.json", ""},
		"shard":            {files{"config.json": config, "model.safetensors.index.json": []byte(`{"weight_map":{"a":"x.safetensors"}}`)}, "x.safetensors", ""},
		"npz":              {files{"config.json": lensConfig, "model.npz": npz(t, members)}, "model.npz", ""},
		"gguf in a folder": {files{}, "model.gguf", ""},
		"gguf":             {files{}, "model.gguf", "model.gguf"},
		"part":             {files{"m-00001-of-00002.gguf": part(0, 2, 2, "a")}, "m-00002-of-00002.gguf", "m-00001-of-00002.gguf"},
		"blob":             {files{}, "blob", "blob"},
	} {
		for kind, put := range makers {
			if kind == "a folder" && c.open == c.file {
				continue // a folder without weights
			}
			dir := c.folder.write(t)
			path := filepath.Join(dir, c.file)
			if err := errors.Join(os.RemoveAll(path), put(path)); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				opened, err := checkpoint.Open(filepath.Join(dir, c.open))
				if err == nil {
					err = errors.Join(errors.New("it was opened"), opened.Close())
				}
				done <- err
			}()
			select {
			case err := <-done:
				if !errors.Is(err, regular.ErrNotRegular) || !strings.Contains(err.Error(), kind) {
					t.Errorf("%s is %s: %v", name, kind, err)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s is %s: still waiting", name, kind)
			}
		}
	}
}
