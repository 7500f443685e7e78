package family

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"ducklens/engine/checkpoint"
	"ducklens/engine/checkpoint/gguf"
	"ducklens/engine/model"
	"ducklens/internal/advice"
)

// ggufReader turns metadata into keys.
type ggufReader struct {
	c     *checkpoint.Checkpoint
	meta  *gguf.Metadata
	arch  architecture
	keys  *keys
	read  map[string]bool   // metadata keys that were understood
	named map[string]string // metadata key by page's key, for messages
}

// spell returns the file's name for a page's key.
func (r *ggufReader) spell(key string) string {
	if name, ok := r.named[key]; ok {
		return name
	}
	return key
}

// number copies a number of the metadata to a page's key, and reports whether it exists. A list of equal
// numbers, one for each layer, is one number.
func (r *ggufReader) number(from, to string) bool {
	from = r.arch.name + "." + from
	if _, named := r.named[to]; !named {
		r.named[to] = from
	}
	if !r.meta.Has(from) {
		return false
	}
	r.read[from], r.named[to] = true, from
	x, ok := r.meta.Float(from)
	if list, many := r.meta.Floats(from); many && len(list) > 0 &&
		len(slices.Compact(slices.Clone(list))) == 1 {
		x, ok = list[0], true
	}
	if !ok {
		r.keys.refuse("%s is %s, want one number", from, r.meta.Describe(from))
		return true
	}
	r.set(to, x)
	return true
}

// set sets a value of a page's key.
func (r *ggufReader) set(to string, value any) {
	raw, err := json.Marshal(value)
	if err != nil { // NaN and infinities cannot be JSON
		raw = json.RawMessage(strconv.Quote(fmt.Sprint(value)))
	}
	r.keys.values[to] = raw
}

// fill sets the page's keys.
func (r *ggufReader) fill() {
	if r.arch.set != "" {
		var implied checkpoint.Keys
		if err := json.Unmarshal([]byte("{"+r.arch.set+"}"), &implied); err != nil {
			panic(fmt.Sprintf("family: %s: %v", r.arch.name, err)) // the table has a mistake
		}
		for key, value := range implied {
			r.keys.values[key] = value
		}
	}
	s := r.spelling()
	r.number("block_count", s.layers)
	r.number("embedding_length", s.width)
	r.number("attention.head_count", s.heads)
	r.number("feed_forward_length", s.mlp)
	r.number("context_length", s.context)
	r.number("attention.layer_norm_rms_epsilon", "rms_norm_eps")
	r.number("attention.layer_norm_epsilon", s.eps)
	if info, ok := r.c.Info("token_embd.weight"); ok && len(info.Shape) == 2 {
		r.set("vocab_size", info.Shape[0])
	}
	r.read[r.arch.name+".vocab_size"] = true
	r.heads()
	for _, from := range slices.Sorted(maps.Keys(r.arch.more)) {
		r.more(from, r.arch.more[from])
	}
	if r.arch.family.Name != gemma2.Name && r.keys.absent("sliding_window") &&
		r.keys.defaults["sliding_window"] != nil {
		r.set("sliding_window", nil)
	}
	if r.arch.family.Name != gpt2.Name {
		r.rope()
	}
	r.set("tie_word_embeddings", !r.c.Has("output.weight"))
}

// spelling holds a page's names of its sizes.
type spelling struct{ layers, width, heads, mlp, context, eps string }

func (r *ggufReader) spelling() spelling {
	switch r.arch.family.Name {
	case gpt2.Name:
		return spelling{"n_layer", "n_embd", "n_head", "n_inner", "n_positions", "layer_norm_epsilon"}
	}
	return spelling{"num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size",
		"max_position_embeddings", "layer_norm_eps"}
}

// heads reads the number of key-value heads and the width of a head, which the file may omit.
func (r *ggufReader) heads() {
	if r.arch.family.Name == gpt2.Name {
		r.take("attention.head_count_kv")
		return
	}
	if !r.number("attention.head_count_kv", "num_key_value_heads") {
		r.set("num_key_value_heads", nil)
	}
	if !r.number("attention.key_length", "head_dim") {
		r.set("head_dim", nil)
	}
}

// more reads a key of one architecture.
func (r *ggufReader) more(from, to string) {
	key := r.arch.name + "." + from
	if flags, ok := r.meta.Flags(key); ok { // windows: one boolean for each layer
		r.read[key] = true
		types := make([]string, len(flags))
		for i, windowed := range flags {
			types[i] = full
			if windowed {
				types[i] = local
			}
		}
		r.set("layer_types", types)
		return
	}
	if n, ok := r.meta.Number(key); ok && n == 0 && to == "sliding_window" { // no window
		r.read[key] = true
		r.set(to, nil)
		return
	}
	r.number(from, to)
}

func (r *ggufReader) take(keys ...string) {
	for _, key := range keys {
		r.read[r.arch.name+"."+key] = true
	}
}

// rope reads the rotary embedding.
func (r *ggufReader) rope() {
	if !r.number("rope.freq_base", "rope_theta") {
		r.set("rope_theta", 10000)
	}
	key := r.arch.name + ".rope.dimension_count"
	if dims, ok := r.meta.Number(key); ok {
		r.read[key] = true
		r.partly(key, int(dims))
	}
	r.take("rope.scaling.finetuned")
	scaling := map[string]any{}
	kind, _ := r.meta.Text(r.arch.name + ".rope.scaling.type")
	r.take("rope.scaling.type")
	for from, to := range map[string]string{"factor": "factor",
		"original_context_length": "original_max_position_embeddings",
		"yarn_beta_fast":          "beta_fast", "yarn_beta_slow": "beta_slow",
		"attn_factor": "attention_factor"} {
		key := r.arch.name + ".rope.scaling." + from
		if x, ok := r.meta.Float(key); ok {
			r.read[key] = true
			scaling[to] = x
		}
	}
	for to, tensor := range map[string]string{"short_factor": "rope_factors_short.weight",
		"long_factor": "rope_factors_long.weight"} {
		if v, err := r.c.Tensor(tensor); r.c.Has(tensor) && err == nil {
			scaling[to] = checkpoint.Values[float64](v)
			kind = "longrope"
		}
	}
	r.scaling(kind, scaling)
}

// scaling sets the page's rope_scaling. If the file has an attention factor, yarn multiplies its own factor
// by it.
func (r *ggufReader) scaling(kind string, p map[string]any) {
	if factor, _ := p["factor"].(float64); kind == "" && factor > 0 {
		kind = "linear" // llama.cpp's default
	}
	switch kind {
	case "", "none":
		r.set("rope_scaling", nil)
		r.set("rope_parameters", nil)
		return
	case "yarn":
		if by, ok := p["attention_factor"].(float64); ok {
			factor, _ := p["factor"].(float64)
			p["attention_factor"] = by * (0.1*math.Log(max(factor, 1)) + 1)
		}
	case "longrope":
		if _, ok := p["attention_factor"]; !ok {
			p["attention_factor"] = 1.0
		}
		delete(p, "factor")
		if original, ok := p["original_max_position_embeddings"]; ok {
			r.set("original_max_position_embeddings", original)
		}
	}
	p["rope_type"] = kind
	r.set("rope_scaling", p)
	r.set("rope_parameters", nil)
}

// partly handles heads that are rotated only in part.
func (r *ggufReader) partly(key string, dims int) {
	k := r.keys
	heads, err1 := wholeNumber(k.values["num_attention_heads"])
	width, err2 := wholeNumber(k.values["hidden_size"])
	size, err3 := wholeNumber(k.values["head_dim"])
	if err1 != nil || err2 != nil || heads == 0 {
		return // already reported
	}
	if err3 != nil {
		size = width / heads
	}
	switch {
	case r.arch.partial && size > 0:
		// A quarter more, so that rounding the product with the width does not give less than dims.
		r.set("partial_rotary_factor", min((float64(dims)+0.25)/float64(size), 1))
	case int64(dims) != size:
		k.refuse("%s is %d, want the width of a head, %d: in this architecture whole heads turn", key, dims,
			size)
	}
}

// stored completes the spec by the tensors that exist: a GGUF does not say which maps have biases, and its
// rotary frequencies may be divided by numbers in a tensor.
func (r *ggufReader) stored(s *model.Spec) {
	first := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			return r.c.Has("blk.0." + name +
				".bias")
		})
	}
	s.Bias = model.Biases{QKV: first("attn_q", "attn_qkv"), O: first("attn_output"), Norm: first("attn_norm"),
		MLP: first("ffn_up", "ffn_up_exps"),
		U:   r.c.Has("output.bias")}
	const width = "attention.value_length"
	if n, ok := r.meta.Number(r.arch.name + "." + width); ok && n != int64(s.DHead) {
		r.keys.refuse("%s.%s is %d, want the width of keys, %d", r.arch.name, width, n, s.DHead)
	}
	r.take(width)
	const divisors = "rope_freqs.weight"
	if !r.c.Has(divisors) {
		return
	}
	v, err := r.c.Tensor(divisors)
	if err != nil {
		r.keys.faults = append(r.keys.faults, err)
		return
	}
	by := checkpoint.Values[float64](v)
	for l := range s.Rotary {
		turn := &s.Rotary[l]
		if len(turn.Frequencies) != len(by) {
			r.keys.fail("%s has %d numbers, want %d, one for each pair of dimensions that turn", divisors,
				len(by), len(turn.Frequencies))
			return
		}
		turn.Frequencies = slices.Clone(turn.Frequencies)
		for i := range by {
			if !(by[i] > 0) {
				r.keys.fail("%s has %v, want numbers above 0", divisors, by[i])
				return
			}
			turn.Frequencies[i] /= by[i]
		}
	}
}

// leftOver refuses metadata of the architecture that were not read.
func (r *ggufReader) leftOver() {
	zero := []string{"expert_count", "expert_used_count", "pooling_type"}
	var left []string
	for _, key := range r.meta.Keys() {
		name, mine := strings.CutPrefix(key, r.arch.name+".")
		n, _ := r.meta.Number(key)
		causal, isFlag := r.meta.Flag(key)
		switch {
		case !mine, r.read[key], slices.Contains(zero, name) && n == 0, name == "attention.causal" &&
			isFlag && causal, name == "tensor_data_layout":
		default:
			left = append(left, key)
		}
	}
	if len(left) > 0 {
		r.keys.faults = append(r.keys.faults,
			advice.Add(fault(checkpoint.ErrUnsupported, "unknown keys %s in the metadata",
				checkpoint.SomeOf(left)),
				"a key is read or refused, never skipped"))
	}
}
