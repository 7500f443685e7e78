package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ducklens/engine/checkpoint/gguf"
	"ducklens/internal/advice"
	"ducklens/internal/regular"
)

// splitName matches the names that llama.cpp gives to the parts of a split model.
var splitName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

const maxParts = 1024

// openGGUF opens a GGUF file, and the others if it is split.
func (c *Checkpoint) openGGUF(file string) error {
	parts, err := partsOf(file)
	if err != nil {
		return err
	}
	c.form, c.files = GGUF, parts
	m := &mapped{data: map[string][]byte{}}
	c.weights = m
	if err := c.loadGGUF(m); err != nil {
		return errors.Join(err, m.close())
	}
	return nil
}

// partsOf returns the names of the files that the model consists of.
func partsOf(file string) ([]string, error) {
	found := splitName.FindStringSubmatch(file)
	if found == nil {
		return []string{file}, nil
	}
	number, _ := strconv.Atoi(found[2])
	count, _ := strconv.Atoi(found[3])
	if number < 1 || number > count || count > maxParts {
		return nil, fault(ErrNoCheckpoint, "%s is part %d of %d, want a part from 1 on, of at most %d",
			file, number, count, maxParts)
	}
	parts := make([]string, count)
	for i := range parts {
		parts[i] = fmt.Sprintf("%s-%05d-of-%05d.gguf", found[1], i+1, count)
	}
	return parts, nil
}

func (c *Checkpoint) loadGGUF(m *mapped) error {
	for i, file := range c.files {
		data, err := m.file(filepath.Join(c.folder, file))
		if err != nil {
			return err
		}
		f, err := gguf.Parse(data)
		if err == nil {
			err = checkPart(f.Metadata, i, len(c.files))
		}
		switch {
		case errors.Is(err, gguf.ErrUnsupported):
			return advice.Add(fault(ErrUnsupported, "%s: %w", file, err),
				"most models are published in several types: take one that is read")
		case err != nil:
			return advice.Add(fault(ErrFormat, "%s: %w", file, err), "download or copy the file again")
		}
		if i == 0 {
			c.metadata = f.Metadata
		}
		for _, t := range f.Tensors {
			if _, twice := m.data[t.Name]; twice {
				return fault(ErrFormat, "%s: tensor %q is in a part before it as well", file, t.Name)
			}
			m.data[t.Name] = t.Data
			c.infos = append(c.infos, Info{t.Name, DType(t.Type.String()), t.Shape, int64(len(t.Data)), file})
		}
	}
	const total = "split.tensors.count"
	if want, ok := c.metadata.Number(total); ok && len(c.files) > 1 && want != int64(len(c.infos)) {
		return fault(ErrFormat, "%d tensors in %d files, want %d, as %s says", len(c.infos), len(c.files),
			want, total)
	}
	return nil
}

// checkPart compares what a file says about its place among others with its name.
func checkPart(m *gguf.Metadata, part, parts int) error {
	if n, ok := m.Number("split.count"); ok && n != int64(parts) && n > 1 {
		return advice.Add(fmt.Errorf("split.count is %d, and the name makes it %d", n, parts),
			"keep the files in one folder, under the names that they were published with "+
				"(NAME-00001-of-00003.gguf and so on)")
	}
	if n, ok := m.Number("split.no"); ok && n != int64(part) {
		return fmt.Errorf("split.no is %d, want %d for part %d", n, part, part+1)
	}
	return nil
}

// ggufIn returns the path of the model in a folder that holds nothing else that can be read: its file, or the
// first of its parts. It returns "" if there is none.
func ggufIn(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fault(ErrNoCheckpoint, "%w", err)
	}
	var models []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".gguf") {
			continue
		}
		name := e.Name()
		if parts, err := partsOf(name); err == nil {
			name = parts[0]
		}
		if !slices.Contains(models, name) {
			models = append(models, name)
		}
	}
	switch len(models) {
	case 0:
		return "", nil
	case 1:
		return models[0], nil
	}
	return "",
		advice.Add(fault(ErrNoCheckpoint, "%d GGUF models in the folder: %s", len(models), SomeOf(models)),
			"name the file")
}

// isGGUF reports whether the file at path is a GGUF, by its name or, if that does not say, by its first
// bytes.
func isGGUF(path string) bool {
	if filepath.Ext(path) == ".gguf" {
		return true
	}
	f, err := regular.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [len(gguf.Magic)]byte
	_, err = f.Read(magic[:])
	return err == nil && string(magic[:]) == gguf.Magic
}
