package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"ducklens/engine/checkpoint/gguf"
)

// Form is how a model is stored.
type Form uint8

// HuggingFace is config.json with model.safetensors or its shards, TransformerLens is config.json with
// model.npz, and GGUF is llama.cpp's file.
const (
	HuggingFace Form = iota
	TransformerLens
	GGUF
)

// String returns the name of the form and its files.
func (f Form) String() string {
	return [...]string{"Hugging Face safetensors", "TransformerLens npz", "GGUF"}[f]
}

// Checkpoint is an open model. The headers of its files have been checked. It may be read from several
// goroutines at once.
type Checkpoint struct {
	path     string
	form     Form
	keys     Keys
	text     []byte // config.json
	metadata *gguf.Metadata
	folder   string   // where the weight files lie
	files    []string // names of the weight files
	infos    []Info
	index    map[string]int // index into infos, by name
	weights  weights
	sha      func() (string, error)
	close    func() error
}

// weights are open weight files: memory-mapped files, or an archive.
type weights interface {
	read(Info) (View, error)
	close() error
}

// Info describes a stored tensor.
type Info struct {
	Name  string
	DType DType
	Shape []int // row-major: the last dimension varies fastest
	Bytes int64 // uncompressed
	File  string
}

// Elements returns the number of numbers in the tensor.
func (i Info) Elements() int64 {
	n := int64(1)
	for _, d := range i.Shape {
		n *= int64(d)
	}
	return n
}

// Open opens the model at path, which is a folder or a .gguf file. It does not read weights yet.
func Open(path string) (*Checkpoint, error) {
	c, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return c, nil
}

func open(path string) (*Checkpoint, error) {
	c := &Checkpoint{path: path, index: map[string]int{}}
	c.sha = sync.OnceValues(c.hash)
	if err := c.openFiles(); err != nil {
		return nil, err
	}
	c.close = sync.OnceValue(c.weights.close)
	for i, info := range c.infos {
		c.index[info.Name] = i
	}
	return c, nil
}

// Path returns the path that was opened.
func (c *Checkpoint) Path() string { return c.path }

// Form returns the form in which the model is stored.
func (c *Checkpoint) Form() Form { return c.form }

// Keys returns the values of config.json, or nil for a GGUF, which has [Checkpoint.Metadata].
func (c *Checkpoint) Keys() Keys { return c.keys }

// ConfigJSON returns the text of config.json, or nil for a GGUF.
func (c *Checkpoint) ConfigJSON() []byte { return slices.Clone(c.text) }

// Metadata returns the metadata of a GGUF (of the first file if it is split), or nil for the other forms.
func (c *Checkpoint) Metadata() *gguf.Metadata { return c.metadata }

// Names returns the names of the stored tensors, in the order of the files.
func (c *Checkpoint) Names() []string {
	names := make([]string, len(c.infos))
	for i := range c.infos {
		names[i] = c.infos[i].Name
	}
	return names
}

// Infos returns the descriptions of the stored tensors, in the order of the files.
func (c *Checkpoint) Infos() []Info { return slices.Clone(c.infos) }

// Info returns the description of the tensor called name, and reports whether it exists. It reads nothing.
func (c *Checkpoint) Info(name string) (Info, bool) {
	i, ok := c.index[name]
	if !ok {
		return Info{}, false
	}
	return c.infos[i], true
}

// Has reports whether there is a tensor called name.
func (c *Checkpoint) Has(name string) bool {
	_, ok := c.index[name]
	return ok
}

// Tensor returns the tensor called name, under the file's name for it and in the file's layout. It returns an
// error for types that do not widen to float32 exactly; see [Info.CheckType].
func (c *Checkpoint) Tensor(name string) (View, error) { return c.tensor(name, Info.CheckType) }

// Raw returns the tensor called name, whatever its type: [View.Bytes] are those of the file.
func (c *Checkpoint) Raw(name string) (View, error) {
	return c.tensor(name, func(Info) error { return nil })
}

func (c *Checkpoint) tensor(name string, check func(Info) error) (View, error) {
	info, ok := c.Info(name)
	if !ok {
		return View{},
			fmt.Errorf("checkpoint %s: %w", c.path, fault(ErrTensor, "no tensor is called %q", name))
	}
	err := check(info)
	if err != nil {
		return View{}, fmt.Errorf("checkpoint %s: %w", c.path, err)
	}
	v, err := c.weights.read(info)
	if err != nil {
		return View{}, fmt.Errorf("checkpoint %s: %w", c.path, err)
	}
	return v, nil
}

// Parameters counts the numbers in all tensors of the types that [Checkpoint.Tensor] returns. The count
// includes buffers of these types, such as the causal masks in the official GPT-2 files; a caller that knows
// the architecture can be more precise.
func (c *Checkpoint) Parameters() int64 {
	var n int64
	for _, i := range c.infos {
		if i.CheckType() == nil {
			n += i.Elements()
		}
	}
	return n
}

// Files returns the names of the weight files, in the order in which [Checkpoint.SHA256] reads them.
func (c *Checkpoint) Files() []string { return slices.Clone(c.files) }

// SHA256 returns the digest of the weight files, in hexadecimal: of the single file, or of all shards
// concatenated in the order of their names. The first call computes it and reads every byte.
func (c *Checkpoint) SHA256() (string, error) { return c.sha() }

func (c *Checkpoint) hash() (string, error) {
	h := sha256.New()
	for _, name := range c.files {
		data, unmap, err := mapFile(filepath.Join(c.folder, name))
		if err != nil {
			return "", fmt.Errorf("checkpoint %s: hash: %w", c.path, err)
		}
		const strip = 4 << 20 // bytes that are in memory at a time
		for part := range slices.Chunk(data, strip) {
			h.Write(part) // never returns an error
			releasePages(part)
		}
		if err := unmap(); err != nil {
			return "", fmt.Errorf("checkpoint %s: hash %s: %w", c.path, name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Close unmaps the files. Views must not be used afterwards.
func (c *Checkpoint) Close() error { return c.close() }

// present returns those of names that exist in dir.
func present(dir string, names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err != nil
	})
}
