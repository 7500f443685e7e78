package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Names of the files of a model folder.
const (
	configFile = "config.json"
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
	lensFile   = "model.npz"
)

// Checkpoint is an open model folder whose names, shapes and types have been checked. It may be read from
// several goroutines at once.
type Checkpoint struct {
	dir    string
	config Config
	text   []byte // config.json
	files  []string
	form   form
	sha    func() (string, error)
	once   sync.Once
	closed error
}

// form is a way to store parameters: Hugging Face's or TransformerLens'.
type form interface {
	tensor(name string) (View, error) // one of parameters(config)
	unembedding() (View, error)       // [d_vocab, d_model]
	unembeddingBias() (View, error)   // [d_vocab]
	infos() []Info
	folded() bool
	name() string
	close() error
}

// Info describes a tensor as it is stored.
type Info struct {
	Name   string // in the file, with its prefix
	DType  DType  // of a buffer in a .npz: numpy's spelling
	Shape  []int
	Bytes  int64 // uncompressed
	File   string
	Buffer bool // not a parameter: a causal mask, which is ignored
}

// Elements is the number of numbers in the tensor.
func (i Info) Elements() int64 {
	n := int64(1)
	for _, d := range i.Shape {
		n *= int64(d)
	}
	return n
}

// Open opens the model in dir and checks the names, shapes and types of its tensors against its
// configuration. No weights are read yet, except to compare a stored lm_head with the embedding it is tied to.
func Open(dir string) (*Checkpoint, error) {
	c, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return c, nil
}

func open(dir string) (*Checkpoint, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fault(ErrNoCheckpoint, "%w", err)
	}
	if !info.IsDir() {
		return nil, withHint("give the folder that holds config.json, not a file in it", fault(ErrNoCheckpoint, "not a folder"))
	}
	config, text, err := readConfig(filepath.Join(dir, configFile))
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{dir: dir, config: config, text: text}
	c.sha = sync.OnceValues(c.hash)
	switch found := present(dir, singleFile, indexFile, lensFile); {
	case len(found) == 0:
		err := fault(ErrNoCheckpoint, "no %s, %s or %s", singleFile, indexFile, lensFile)
		if len(present(dir, "pytorch_model.bin", "pytorch_model.bin.index.json")) > 0 {
			return nil, withHint("pytorch_model.bin is a pickle, which can run code when it is opened; save the model as safetensors instead", err)
		}
		return nil, err
	case len(found) > 1:
		return nil, withHint("keep one form of the weights in a folder", fault(ErrNoCheckpoint, "both %s and %s, want one of them", found[0], found[1]))
	case found[0] == lensFile:
		c.files = []string{lensFile}
		c.form, err = openLens(dir, config)
	default:
		c.form, c.files, err = openHub(dir, found[0], config)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// present gives those of names that exist in dir.
func present(dir string, names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err != nil
	})
}

// Dir is the folder that was opened.
func (c *Checkpoint) Dir() string { return c.dir }

// Config gives the configuration.
func (c *Checkpoint) Config() Config { return c.config }

// ConfigJSON gives the text of config.json.
func (c *Checkpoint) ConfigJSON() []byte { return slices.Clone(c.text) }

// Form names how the weights are stored: "Hugging Face safetensors" or "TransformerLens npz".
func (c *Checkpoint) Form() string { return c.form.name() }

// Folded tells that the file holds processed weights: a TransformerLens state dict with LayerNorm folded
// into the weights that follow it. Its LayerNorm parameters are then given as ones and zeros, and folding
// them again changes nothing; the raw weights are lost.
func (c *Checkpoint) Folded() bool { return c.form.folded() }

// Tensor gives one parameter by its Hugging Face name without prefix:
//
//	wte.weight                [d_vocab, d_model]
//	wpe.weight                [n_ctx, d_model]
//	h.N.ln_1.weight, .bias    [d_model]             N from 0 to n_layers-1
//	h.N.attn.c_attn.weight    [d_model, 3 d_model]  columns: query, key, value; in each, head after head
//	h.N.attn.c_attn.bias      [3 d_model]
//	h.N.attn.c_proj.weight    [d_model, d_model]    rows: head after head
//	h.N.attn.c_proj.bias      [d_model]
//	h.N.ln_2.weight, .bias    [d_model]
//	h.N.mlp.c_fc.weight       [d_model, d_mlp]
//	h.N.mlp.c_fc.bias         [d_mlp]
//	h.N.mlp.c_proj.weight     [d_mlp, d_model]
//	h.N.mlp.c_proj.bias       [d_model]
//	ln_f.weight, ln_f.bias    [d_model]
//
// A tensor of a TransformerLens state dict is rearranged into this layout.
func (c *Checkpoint) Tensor(name string) (View, error) {
	v, err := c.form.tensor(name)
	if err != nil {
		return View{}, fmt.Errorf("checkpoint %s: %w", c.dir, err)
	}
	return v, nil
}

// Unembedding gives the matrix [d_vocab, d_model] whose row t is the direction that token t is read from,
// before any folding of the last LayerNorm by the reader: wte.weight where the embeddings are tied, a
// stored lm_head.weight or the transpose of W_U where they are not.
func (c *Checkpoint) Unembedding() (View, error) {
	v, err := c.form.unembedding()
	if err != nil {
		return View{}, fmt.Errorf("checkpoint %s: unembedding: %w", c.dir, err)
	}
	return v, nil
}

// UnembeddingBias gives b_U [d_vocab], what is added to the logits, or a view of no elements where the
// model has none.
func (c *Checkpoint) UnembeddingBias() (View, error) {
	v, err := c.form.unembeddingBias()
	if err != nil {
		return View{}, fmt.Errorf("checkpoint %s: unembedding bias: %w", c.dir, err)
	}
	return v, nil
}

// Infos lists the stored tensors in the order of the files.
func (c *Checkpoint) Infos() []Info { return c.form.infos() }

// Parameters counts the stored numbers that are parameters.
func (c *Checkpoint) Parameters() int64 {
	var n int64
	for _, i := range c.form.infos() {
		if !i.Buffer {
			n += i.Elements()
		}
	}
	return n
}

// Files names the weight files, in the order in which [Checkpoint.SHA256] reads them.
func (c *Checkpoint) Files() []string { return slices.Clone(c.files) }

// SHA256 is the digest of the weight files, in hexadecimal: of the single file, or of all shards in the
// order of their names, one after the other. It is computed at the first call, which reads every byte.
func (c *Checkpoint) SHA256() (string, error) { return c.sha() }

func (c *Checkpoint) hash() (string, error) {
	h := sha256.New()
	for _, name := range c.files {
		data, unmap, err := mapFile(filepath.Join(c.dir, name))
		if err != nil {
			return "", fmt.Errorf("checkpoint %s: hash: %w", c.dir, err)
		}
		const strip = 4 << 20 // bytes that stay in memory together
		for part := range slices.Chunk(data, strip) {
			h.Write(part) // never fails
			releasePages(part)
		}
		if err := unmap(); err != nil {
			return "", fmt.Errorf("checkpoint %s: hash %s: %w", c.dir, name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Close unmaps the files. Views must not be used after it.
func (c *Checkpoint) Close() error {
	c.once.Do(func() { c.closed = c.form.close() })
	return c.closed
}
