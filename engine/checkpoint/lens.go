package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ducklens/engine/internal/npy"
)

// lens is a checkpoint in TransformerLens' form.
type lens struct {
	config    Config
	archive   *npy.Archive
	shapes    map[string][]int // of the parameters that tensor gives
	processed bool             // LayerNorm folded: the ln arrays are absent
}

func openLens(dir string, config Config) (*lens, error) {
	archive, err := npy.OpenArchive(filepath.Join(dir, lensFile))
	if err != nil {
		return nil, fault(ErrFormat, "%s: %w", lensFile, err)
	}
	l := &lens{config: config, archive: archive, shapes: map[string][]int{}}
	for _, p := range parameters(config) {
		l.shapes[p.name] = p.shape
	}
	if err := l.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", lensFile, err), archive.Close())
	}
	return l, nil
}

// lensParameters lists the arrays of a TransformerLens state dict (TransformerLensOrg/TransformerLens:
// transformer_lens/HookedTransformer.py and components), those of the LayerNorms apart.
func lensParameters(c Config) (weights, norms []parameter) {
	d, dh, heads := c.DModel, c.DHead(), c.NHeads
	weights = []parameter{{"embed.W_E", []int{c.DVocab, d}}, {"pos_embed.W_pos", []int{c.NCtx, d}}}
	for i := range c.NLayers {
		b := "blocks." + strconv.Itoa(i) + "."
		for _, m := range []string{"Q", "K", "V"} {
			weights = append(weights,
				parameter{b + "attn.W_" + m, []int{heads, d, dh}},
				parameter{b + "attn.b_" + m, []int{heads, dh}})
		}
		weights = append(weights,
			parameter{b + "attn.W_O", []int{heads, dh, d}},
			parameter{b + "attn.b_O", []int{d}},
			parameter{b + "mlp.W_in", []int{d, c.DMLP}},
			parameter{b + "mlp.b_in", []int{c.DMLP}},
			parameter{b + "mlp.W_out", []int{c.DMLP, d}},
			parameter{b + "mlp.b_out", []int{d}})
		for _, n := range []string{"ln1.w", "ln1.b", "ln2.w", "ln2.b"} {
			norms = append(norms, parameter{b + n, []int{d}})
		}
	}
	weights = append(weights, parameter{"unembed.W_U", []int{d, c.DVocab}}, parameter{"unembed.b_U", []int{c.DVocab}})
	norms = append(norms, parameter{"ln_final.w", []int{d}}, parameter{"ln_final.b", []int{d}})
	return weights, norms
}

// isLensBuffer tells blocks.N.attn.mask and blocks.N.attn.IGNORE, which state dicts carry.
func isLensBuffer(name string) bool {
	layer, ok := strings.CutPrefix(name, "blocks.")
	if !ok {
		return false
	}
	number, rest, _ := strings.Cut(layer, ".")
	_, err := strconv.Atoi(number)
	return err == nil && (rest == "attn.mask" || rest == "attn.IGNORE")
}

// check compares what is there with what the configuration calls for.
func (l *lens) check() error {
	weights, norms := lensParameters(l.config)
	_, raw := l.archive.Header("ln_final.w")
	l.processed = !raw
	if raw {
		weights = append(weights, norms...)
	}
	unknown := map[string]bool{}
	for _, name := range l.archive.Names() {
		unknown[name] = !isLensBuffer(name)
	}
	maps.DeleteFunc(unknown, func(_ string, parameter bool) bool { return !parameter })
	var missing []string
	for _, p := range weights {
		h, ok := l.archive.Header(p.name)
		if !ok {
			missing = append(missing, p.name)
			continue
		}
		if err := checkShape(p.name, h.Shape, p.shape); err != nil {
			return err
		}
		if h.DType != "<f4" && h.DType != "<f2" {
			return fault(ErrTensor, "array %q has type %s, want <f4 or <f2", p.name, h.DType)
		}
		delete(unknown, p.name)
	}
	if len(missing) > 0 {
		return withHint("save every array of model.state_dict() under its own name, for example with numpy.savez",
			fault(ErrTensor, "%s missing", someOf(missing)))
	}
	if len(unknown) > 0 {
		return fault(ErrTensor, "%s unknown in a state dict of %d layers, %s", someOf(slices.Sorted(maps.Keys(unknown))), l.config.NLayers, l.kind())
	}
	return nil
}

func (l *lens) kind() string {
	if l.processed {
		return "LayerNorm folded (no ln_final.w)"
	}
	return "LayerNorm not folded"
}

// read gives one array under the name that it was asked by.
func (l *lens) read(array, name string, shape []int) (View, error) {
	a, err := l.archive.Read(array)
	if err != nil {
		return View{}, fault(ErrFormat, "%s: %w", lensFile, err)
	}
	return View{Name: name, DType: lensDType(a.DType), Shape: shape, data: a.Data}, nil
}

func lensDType(numpy string) DType {
	switch numpy {
	case "<f4":
		return F32
	case "<f2":
		return F16
	}
	return DType(numpy)
}

// tensor puts arrays into the layout of [Checkpoint.Tensor].
func (l *lens) tensor(name string) (View, error) {
	shape, ok := l.shapes[name]
	if !ok {
		return View{}, fault(ErrTensor, "no parameter is called %q", name)
	}
	switch name {
	case "wte.weight":
		return l.read("embed.W_E", name, shape)
	case "wpe.weight":
		return l.read("pos_embed.W_pos", name, shape)
	case "ln_f.weight":
		return l.norm("ln_final.w", name, shape)
	case "ln_f.bias":
		return l.norm("ln_final.b", name, shape)
	}
	parts := strings.SplitN(name, ".", 3) // h, N, rest
	block := "blocks." + parts[1] + "."
	switch rest := parts[2]; rest {
	case "ln_1.weight":
		return l.norm(block+"ln1.w", name, shape)
	case "ln_1.bias":
		return l.norm(block+"ln1.b", name, shape)
	case "ln_2.weight":
		return l.norm(block+"ln2.w", name, shape)
	case "ln_2.bias":
		return l.norm(block+"ln2.b", name, shape)
	case "attn.c_attn.weight":
		return l.joined(block+"attn.W_", name, shape, l.config.DModel)
	case "attn.c_attn.bias":
		return l.joined(block+"attn.b_", name, shape, 1)
	default: // [n_heads, d_head, d_model] is [d_model, d_model] with the heads' rows one after the other
		return l.read(block+map[string]string{
			"attn.c_proj.weight": "attn.W_O",
			"attn.c_proj.bias":   "attn.b_O",
			"mlp.c_fc.weight":    "mlp.W_in",
			"mlp.c_fc.bias":      "mlp.b_in",
			"mlp.c_proj.weight":  "mlp.W_out",
			"mlp.c_proj.bias":    "mlp.b_out",
		}[rest], name, shape)
	}
}

// norm gives a LayerNorm parameter: where it has been folded away, ones for a weight and zeros for a bias.
func (l *lens) norm(array, name string, shape []int) (View, error) {
	if !l.processed {
		return l.read(array, name, shape)
	}
	x := make([]float32, shape[0])
	if strings.HasSuffix(array, ".w") {
		for i := range x {
			x[i] = 1
		}
	}
	return float32View(name, shape, x), nil
}

// joined puts the three arrays prefix+Q, K, V [n_heads, rows, d_head] side by side into [rows, 3 d_model].
func (l *lens) joined(prefix, name string, shape []int, rows int) (View, error) {
	d, dh := l.config.DModel, l.config.DHead()
	x := make([]float32, rows*3*d)
	for m, letter := range []string{"Q", "K", "V"} {
		v, err := l.read(prefix+letter, name, []int{l.config.NHeads, rows, dh})
		if err != nil {
			return View{}, err
		}
		for head := range l.config.NHeads {
			for row := range rows {
				at := row*3*d + m*d + head*dh
				Copy(x[at:at+dh], v, (head*rows+row)*dh)
			}
		}
	}
	return float32View(name, shape, x), nil
}

func (l *lens) unembedding() (View, error) {
	d, vocabulary := l.config.DModel, l.config.DVocab
	v, err := l.read("unembed.W_U", "unembed.W_U", []int{d, vocabulary})
	if err != nil {
		return View{}, err
	}
	x := make([]float32, d*vocabulary)
	row := make([]float32, vocabulary)
	for i := range d {
		Copy(row, v, i*vocabulary)
		for t, f := range row {
			x[t*d+i] = f
		}
	}
	return float32View("lm_head.weight", []int{vocabulary, d}, x), nil
}

func (l *lens) unembeddingBias() (View, error) {
	return l.read("unembed.b_U", "lm_head.bias", []int{l.config.DVocab})
}

func (l *lens) infos() []Info {
	var list []Info
	for _, name := range l.archive.Names() {
		h, _ := l.archive.Header(name)
		list = append(list, Info{Name: name, DType: lensDType(h.DType), Shape: h.Shape, Bytes: h.Bytes(), File: lensFile, Buffer: isLensBuffer(name)})
	}
	return list
}

func (l *lens) folded() bool { return l.processed }

func (l *lens) name() string { return "TransformerLens npz" }

func (l *lens) close() error { return l.archive.Close() }
