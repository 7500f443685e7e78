package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"ducklens/engine/internal/jsonfault"
	"ducklens/internal/advice"
	"ducklens/internal/regular"
)

// Limits of an index of shards.
const (
	maxIndexBytes = 32 << 20
	maxShards     = 1024
)

// mapped holds tensors of memory-mapped files.
type mapped struct {
	data  map[string][]byte // by name
	unmap []func() error
}

// file maps a file until the weights are closed.
func (m *mapped) file(path string) ([]byte, error) {
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, fault(ErrFormat, "%w", err)
	}
	m.unmap = append(m.unmap, unmap)
	if bytes.HasPrefix(data, []byte("version https://git-lfs")) {
		return nil,
			advice.Add(fault(ErrFormat, "%s is a pointer to a file that Git LFS keeps, not the file",
				filepath.Base(path)),
				"fetch the files themselves: git lfs pull")
	}
	return data, nil
}

func (m *mapped) read(i Info) (View, error) {
	return View{Name: i.Name, DType: i.DType, Shape: i.Shape, data: m.data[i.Name], file: true}, nil
}

func (m *mapped) close() error {
	var err error
	for _, unmap := range m.unmap {
		err = errors.Join(err, unmap())
	}
	m.unmap = nil
	return err
}

// openHub opens the safetensors of a folder: a single file, or the shards of an index.
func (c *Checkpoint) openHub(file string) error {
	c.form, c.files = HuggingFace, []string{singleFile}
	var shardOf map[string]string
	if file == indexFile {
		var err error
		if shardOf, err = readIndex(filepath.Join(c.folder, indexFile)); err != nil {
			return fmt.Errorf("%s: %w", indexFile, err)
		}
		c.files = slices.Compact(slices.Sorted(maps.Values(shardOf)))
	}
	m := &mapped{data: map[string][]byte{}}
	c.weights = m
	if err := c.loadHub(m, shardOf); err != nil {
		return errors.Join(err, m.close())
	}
	return nil
}

// readIndex reads which shard has which tensor.
func readIndex(path string) (map[string]string, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, fault(ErrFormat, "%w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxIndexBytes+1))
	if err != nil {
		return nil, fault(ErrFormat, "%w", err)
	}
	if len(text) > maxIndexBytes {
		return nil, fault(ErrFormat, "more than %d bytes", maxIndexBytes)
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fault(ErrFormat, "%w", jsonfault.Explain(err))
	}
	if len(index.WeightMap) == 0 {
		return nil, fault(ErrFormat, "weight_map is missing or empty")
	}
	shards := map[string]bool{}
	for tensor, file := range index.WeightMap {
		// A shard is in the folder of its index. A path is not followed, even a harmless one.
		if file != filepath.Base(file) || !filepath.IsLocal(file) || strings.ContainsAny(file, `/\`) {
			return nil,
				fault(ErrFormat, "tensor %q lies in file %q, want the name of a file in the same folder",
					tensor, file)
		}
		shards[file] = true
	}
	if len(shards) > maxShards {
		return nil, fault(ErrFormat, "%d shards, want at most %d", len(shards), maxShards)
	}
	return index.WeightMap, nil
}

// loadHub maps the files and collects their tensors. shardOf is nil for a single file.
func (c *Checkpoint) loadHub(m *mapped, shardOf map[string]string) error {
	unlisted := maps.Clone(shardOf)
	for _, file := range c.files {
		content, err := m.file(filepath.Join(c.folder, file))
		if err != nil {
			return err
		}
		entries, data, err := parseSafetensors(content)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, e := range entries {
			if shardOf != nil {
				if want, ok := shardOf[e.name]; !ok || want != file {
					return fault(ErrTensor, "%s holds tensor %q, which the index places in %q", file, e.name,
						want)
				}
				delete(unlisted, e.name)
			}
			m.data[e.name] = data[e.begin:e.end:e.end]
			c.infos = append(c.infos, Info{e.name, e.dtype, e.shape, int64(e.end - e.begin), file})
		}
	}
	if len(unlisted) > 0 {
		missing := slices.Sorted(maps.Keys(unlisted))
		return fault(ErrTensor, "the index lists %s, which its file does not hold", SomeOf(missing))
	}
	return nil
}
