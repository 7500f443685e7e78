package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of an index of shards.
const (
	maxIndexBytes = 32 << 20
	maxShards     = 1024
)

// hub is a checkpoint in Hugging Face's form.
type hub struct {
	config  Config
	tensors map[string]View // by name without prefix, masks left out
	listed  []Info
	unmap   []func() error
}

func openHub(dir, file string, config Config) (*hub, []string, error) {
	files := []string{singleFile}
	var shardOf map[string]string
	if file == indexFile {
		var err error
		if shardOf, err = readIndex(filepath.Join(dir, indexFile)); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", indexFile, err)
		}
		files = slices.Compact(slices.Sorted(maps.Values(shardOf)))
	}
	h := &hub{config: config, tensors: map[string]View{}}
	err := h.load(dir, files, shardOf)
	if err == nil {
		err = h.check()
	}
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	return h, files, nil
}

// readIndex reads which shard holds which tensor.
func readIndex(path string) (map[string]string, error) {
	f, err := os.Open(path)
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
		return nil, fault(ErrFormat, "%w", err)
	}
	if len(index.WeightMap) == 0 {
		return nil, fault(ErrFormat, "weight_map is missing or empty")
	}
	shards := map[string]bool{}
	for tensor, file := range index.WeightMap {
		// A shard lies beside its index: a path, even a harmless one, is not followed.
		if file != filepath.Base(file) || !filepath.IsLocal(file) || strings.ContainsAny(file, `/\`) {
			return nil, fault(ErrFormat, "tensor %q lies in file %q, want the name of a file in the same folder", tensor, file)
		}
		shards[file] = true
	}
	if len(shards) > maxShards {
		return nil, fault(ErrFormat, "%d shards, want at most %d", len(shards), maxShards)
	}
	return index.WeightMap, nil
}

// load maps the files and collects their tensors. shardOf is nil for a single file.
func (h *hub) load(dir string, files []string, shardOf map[string]string) error {
	unlisted := maps.Clone(shardOf)
	for _, file := range files {
		bytes, unmap, err := mapFile(filepath.Join(dir, file))
		if err != nil {
			return fault(ErrFormat, "%w", err)
		}
		h.unmap = append(h.unmap, unmap)
		entries, data, err := parseSafetensors(bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, e := range entries {
			if shardOf != nil {
				if want, ok := shardOf[e.name]; !ok || want != file {
					return fault(ErrTensor, "%s holds tensor %q, which the index places in %q", file, e.name, want)
				}
				delete(unlisted, e.name)
			}
			if err := h.add(file, e, data[e.begin:e.end:e.end]); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	if len(unlisted) > 0 {
		missing := slices.Sorted(maps.Keys(unlisted))
		return fault(ErrTensor, "the index lists %s, which its file does not hold", someOf(missing))
	}
	return nil
}

func (h *hub) add(file string, e entry, data []byte) error {
	name := strings.TrimPrefix(e.name, "transformer.")
	mask := isMaskBuffer(name)
	h.listed = append(h.listed, Info{Name: e.name, DType: e.dtype, Shape: e.shape, Bytes: int64(len(data)), File: file, Buffer: mask})
	if mask {
		return nil
	}
	if _, twice := h.tensors[name]; twice {
		return fault(ErrTensor, "tensor %q is there twice, with and without its prefix", name)
	}
	if !e.dtype.isParameter() {
		return fault(ErrTensor, "tensor %q has type %s, want F32, F16 or BF16", e.name, e.dtype)
	}
	h.tensors[name] = View{Name: name, DType: e.dtype, Shape: e.shape, data: data, file: true}
	return nil
}

// check compares what is there with what the configuration calls for.
func (h *hub) check() error {
	unknown := maps.Clone(h.tensors)
	var missing []string
	for _, p := range parameters(h.config) {
		v, ok := h.tensors[p.name]
		if !ok {
			missing = append(missing, p.name)
			continue
		}
		if err := checkShape(p.name, v.Shape, p.shape); err != nil {
			return err
		}
		delete(unknown, p.name)
	}
	delete(unknown, "lm_head.weight")
	if len(missing) > 0 {
		err := fault(ErrTensor, "%s missing", someOf(missing))
		if len(unknown) > 0 {
			err = fault(ErrTensor, "%s missing; found %s instead", someOf(missing), someOf(slices.Sorted(maps.Keys(unknown))))
		}
		return withHint("does config.json belong to these weights?", err)
	}
	if len(unknown) > 0 {
		return withHint("does config.json belong to these weights?",
			fault(ErrTensor, "%s unknown in a GPT-2 of %d layers", someOf(slices.Sorted(maps.Keys(unknown))), h.config.NLayers))
	}
	return h.checkHead()
}

// checkHead compares lm_head.weight, which some files carry, with the embedding it is tied to.
func (h *hub) checkHead() error {
	const name = "lm_head.weight"
	head, ok := h.tensors[name]
	if !ok {
		if !h.config.Tied {
			return fault(ErrTensor, "%q missing, want it because tie_word_embeddings is false", name)
		}
		return nil
	}
	embedding := h.tensors["wte.weight"]
	if err := checkShape(name, head.Shape, embedding.Shape); err != nil {
		return err
	}
	if !h.config.Tied {
		return nil
	}
	d := h.config.DModel
	a, b := make([]float32, d), make([]float32, d)
	for row := range h.config.DVocab {
		Copy(a, head, row*d)
		Copy(b, embedding, row*d)
		for i := range a {
			if a[i] != b[i] && (a[i] == a[i] || b[i] == b[i]) {
				return withHint(`if the model really has an unembedding of its own, say "tie_word_embeddings": false in config.json`,
					fault(ErrTensor, "%q differs from wte.weight at [%d %d]: %v and %v, want them equal because the configuration ties them", name, row, i, a[i], b[i]))
			}
		}
	}
	head.Release(0, head.Len())
	embedding.Release(0, embedding.Len())
	return nil
}

func (h *hub) tensor(name string) (View, error) {
	v, ok := h.tensors[name]
	if !ok || name == "lm_head.weight" {
		return View{}, fault(ErrTensor, "no parameter is called %q", name)
	}
	return v, nil
}

func (h *hub) unembedding() (View, error) {
	if h.config.Tied {
		return h.tensors["wte.weight"], nil
	}
	return h.tensors["lm_head.weight"], nil
}

func (h *hub) unembeddingBias() (View, error) {
	return View{Name: "lm_head.bias", DType: F32, Shape: []int{0}}, nil
}

func (h *hub) infos() []Info { return slices.Clone(h.listed) }

func (h *hub) folded() bool { return false }

func (h *hub) name() string { return "Hugging Face safetensors" }

func (h *hub) close() error {
	var err error
	for _, unmap := range h.unmap {
		err = errors.Join(err, unmap())
	}
	h.unmap = nil
	return err
}
