package family

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/jsonfault"
	"ducklens/engine/model"
	"ducklens/internal/advice"
)

// Bounds on the values of a configuration. They are far above any model and keep every product of two of them
// within an int64.
const (
	maxLayers     = 1 << 12
	maxWidth      = 1 << 18 // d_model, d_mlp, heads
	maxContext    = 1 << 24
	maxVocabulary = 1 << 26
)

// keys reads values from a configuration, remembers which, and collects all faults. As in Python, an absent
// key has the default of the family's class, and null is a value: not a number, not a string, and false.
type keys struct {
	values   checkpoint.Keys
	defaults checkpoint.Keys
	taken    map[string]bool
	faults   []error
	path     string                  // what stands before a key in messages, such as "config.json: "
	spell    func(key string) string // how the file spells a key
}

func newKeys(values checkpoint.Keys, defaults string) *keys {
	k := &keys{values: values, taken: map[string]bool{}, path: "config.json: ",
		spell: func(key string) string { return key }}
	if err := json.Unmarshal([]byte("{"+defaults+"}"), &k.defaults); err != nil {
		panic(fmt.Sprintf("family: defaults {%s}: %v", defaults, err)) // the page has a mistake
	}
	return k
}

// begin gives a spec what most families have.
func (k *keys) begin(s *model.Spec) {
	s.PreNorm, s.EmbedScale = true, 1
	k.take("model_type")
}

// finish checks for keys that nobody read and for sizes that do not fit together, and returns all faults.
func (k *keys) finish(s *model.Spec) error {
	for _, f := range []struct{ key, why string }{
		{"quantization_config", "such weights need scales from elsewhere; save the model in BF16 or float32"},
		{"add_cross_attention", "there is one stream"},
		{"is_encoder_decoder", "there is one stream"},
		{"pruned_heads", "pruned heads are not read"},
	} {
		if !k.taken[f.key] && k.isSet(f.key) {
			k.refuse("%s is %s: %s", f.key, brief(k.values[f.key]), f.why)
		}
	}
	if len(k.faults) == 0 {
		if s.Heads%s.KVHeads != 0 {
			k.fail("%d heads do not divide by %d key-value heads", s.Heads, s.KVHeads)
		}
		k.checkRotary(s)
	}
	if left := k.left(); len(left) > 0 {
		k.faults = append(k.faults, unknownKeys(k.path, left))
	}
	return errors.Join(k.faults...)
}

// checkRotary checks that the numbers of a rotation are reasonable.
func (k *keys) checkRotary(s *model.Spec) {
	for _, r := range s.Rotary {
		if r.Dims%2 != 0 || r.Dims > s.DHead {
			k.fail("%d rotary dimensions, want an even number of at most %d", r.Dims, s.DHead)
			return
		}
		for _, x := range slices.Concat(r.Frequencies, r.LongFrequencies, []float64{r.Factor}) {
			if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
				k.fail("the rotary embedding has a frequency or a factor of %v", x)
				return
			}
		}
	}
}

// left returns the keys that were not read and may mean something.
func (k *keys) left() []string {
	var left []string
	for key, value := range k.values {
		if !k.taken[key] && !isHarmless(key) && string(bytes.TrimSpace(value)) != "null" {
			left = append(left, k.spell(key))
		}
	}
	slices.Sort(left)
	return left
}

func unknownKeys(path string, keys []string) error {
	return advice.Add(fault(checkpoint.ErrUnsupported, "%sunknown keys %s", path, checkpoint.SomeOf(keys)),
		"no key is skipped: if these change nothing, take them out of the file")
}

func (k *keys) fail(format string, args ...any) {
	k.faults = append(k.faults, fault(checkpoint.ErrConfig, k.path+format, args...))
}

// refuse adds a fault for something that is understood but cannot be computed exactly.
func (k *keys) refuse(format string, args ...any) {
	k.faults = append(k.faults, advice.Add(fault(checkpoint.ErrUnsupported, k.path+format, args...),
		"`ducklens model families` lists what is read"))
}

// take marks keys as read.
func (k *keys) take(names ...string) {
	for _, key := range names {
		k.taken[key] = true
	}
}

// value returns the value of a key, or nil for null and for an absent key without default.
func (k *keys) value(key string) json.RawMessage {
	k.take(key)
	raw, ok := k.values[key]
	if !ok {
		raw = k.defaults[key]
	}
	if raw = bytes.TrimSpace(raw); string(raw) == "null" {
		return nil
	}
	return raw
}

// has reports whether a key is in the file or has a default, and is not null.
func (k *keys) has(key string) bool { return k.value(key) != nil }

// absent reports whether the file does not have the key; null counts as present.
func (k *keys) absent(key string) bool {
	_, ok := k.values[key]
	return !ok
}

// isSet reports whether the value would be true in Python: it exists and is not null, false, 0, "", [] or {}.
func (k *keys) isSet(key string) bool {
	switch strings.Join(strings.Fields(string(k.value(key))), "") {
	case "", "false", "0", "0.0", `""`, "[]", "{}":
		return false
	}
	return true
}

// decode reads the value of a key into dst and reports whether there is one.
func (k *keys) decode(key string, dst any) bool {
	raw := k.value(key)
	if raw == nil {
		return false
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		k.fail("%s is %s: %w", k.spell(key), brief(raw), jsonfault.Explain(err))
		return false
	}
	return true
}

// brief shortens a value for a message.
func brief(raw json.RawMessage) string {
	if raw == nil {
		return "null"
	}
	text := strings.Join(strings.Fields(string(raw)), " ")
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "..."
	}
	return text
}

func (k *keys) text(key string) string {
	var s string
	k.decode(key, &s)
	return s
}

// flag reads true or false; null is false.
func (k *keys) flag(key string) bool {
	var b bool
	k.decode(key, &b)
	return b
}

// want refuses a key whose value is not want.
func (k *keys) want(key string, want bool, why string) {
	if got := k.flag(key); !k.absent(key) && got != want {
		k.refuse("%s is %v, want %v: %s", k.spell(key), got, want, why)
	}
}

// number reads a finite number from least to most.
func (k *keys) number(key string, least, most float64) float64 {
	var x float64
	switch {
	case !k.has(key):
		k.fail("%s is missing", k.spell(key))
		return least
	case !k.decode(key, &x):
		return least
	case !(x >= least && x <= most):
		k.fail("%s is %v, want %v to %v", k.spell(key), x, least, most)
		return least
	}
	return x
}

// positive reads a number above 0.
func (k *keys) positive(key string) float64 {
	return k.number(key, math.SmallestNonzeroFloat64, 1e30)
}

// optional reads a number, or returns 0 for null and for an absent key without default.
func (k *keys) optional(key string) float64 {
	if !k.has(key) {
		return 0
	}
	return k.positive(key)
}

func (k *keys) epsilon(key string) float64 {
	var eps float64
	if !k.has(key) {
		k.fail("%s is missing", k.spell(key))
	} else if k.decode(key, &eps) && !(eps >= 0 && eps < 1) {
		k.fail("%s is %v, want 0 to 1", k.spell(key), eps)
	}
	return eps
}

// count reads a whole number from 1 to limit; 48.0 is one.
func (k *keys) count(key string, limit int) int {
	if !k.has(key) {
		k.fail("%s is missing", k.spell(key))
		return 1
	}
	n, err := wholeNumber(k.value(key))
	if err != nil {
		k.fail("%s is %s: %w", k.spell(key), brief(k.value(key)), err)
		return 1
	}
	if n < 1 || n > int64(limit) {
		k.fail("%s is %d, want 1 to %d", k.spell(key), n, limit)
		return 1
	}
	return int(n)
}

// countOr reads a whole number, or returns other for null and for an absent key without default.
func (k *keys) countOr(key string, limit, other int) int {
	if !k.has(key) {
		return other
	}
	return k.count(key, limit)
}

// wholeNumber reads 48 or 48.0.
func wholeNumber(raw json.RawMessage) (int64, error) {
	text := string(raw)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, errors.New("want a whole number")
	}
	if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
		return 0, fmt.Errorf("want a whole number of at most %d", int64(1)<<53)
	}
	return int64(x), nil
}

// class returns the class that wrote the checkpoint. It decides nothing; model_type does.
func (k *keys) class() string {
	var names []string
	if k.decode("architectures", &names) && len(names) > 0 {
		return names[0]
	}
	return k.text("original_architecture")
}

// tokenID reads a token id, or returns -1 if there is none.
func (k *keys) tokenID(key string) int {
	if ids := k.tokenIDs(key); len(ids) > 0 {
		return ids[0]
	}
	return -1
}

// tokenIDs reads a token id or a list of them.
func (k *keys) tokenIDs(key string) []int {
	raw := k.value(key)
	if raw == nil {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	var ids []int
	for _, r := range list {
		n, err := wholeNumber(bytes.TrimSpace(r))
		if err != nil || n > maxVocabulary {
			k.fail("%s is %s, want the number of a token or a list of them", k.spell(key), brief(raw))
			return nil
		}
		if n >= 0 {
			ids = append(ids, int(n))
		}
	}
	return ids
}

// activation reads the name of a nonlinearity.
func (k *keys) activation(key string) model.Activation {
	switch name := k.text(key); name {
	case "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate":
		return model.GELUTanh
	case "gelu", "gelu_python":
		return model.GELU
	case "silu", "swish":
		return model.SiLU
	case "relu":
		return model.ReLU
	case "":
		k.fail("%s is missing", k.spell(key))
	default:
		k.refuse("%s is %q, want gelu, gelu_new, gelu_pytorch_tanh, silu or relu", k.spell(key), name)
	}
	return 0
}

// sizes reads the sizes in the spelling that all families since Llama share.
func (k *keys) sizes(s *model.Spec) {
	s.DModel = k.count("hidden_size", maxWidth)
	s.Layers = k.count("num_hidden_layers", maxLayers)
	s.Heads = k.count("num_attention_heads", maxWidth)
	s.KVHeads = k.countOr("num_key_value_heads", maxWidth, s.Heads)
	s.DMLP = k.count("intermediate_size", maxWidth)
	s.NCtx = k.count("max_position_embeddings", maxContext)
	s.DVocab = k.count("vocab_size", maxVocabulary)
	k.headSize(s, "head_dim")
	s.Tied = k.flag("tie_word_embeddings")
}

// headSize reads the width of a head, or computes it by division, and sets the usual scale of scores.
func (k *keys) headSize(s *model.Spec, key string) {
	if key != "" && k.has(key) {
		s.DHead = k.count(key, maxWidth)
	} else {
		if s.DModel%s.Heads != 0 {
			k.fail("width %d does not divide by the number of heads %d", s.DModel, s.Heads)
		}
		s.DHead = s.DModel / s.Heads
	}
	s.AttnScale = math.Sqrt(float64(s.DHead))
}

// gated reads the parts that Llama and its relatives share: RMSNorm and a gated MLP.
func (k *keys) gated(s *model.Spec) {
	k.sizes(s)
	s.Norm.Eps = k.epsilon("rms_norm_eps")
	s.Activation, s.Gated = k.activation("hidden_act"), true
}

// layerTypes reads layer_types. If the key is absent, sliding says which layers have a window.
func (k *keys) layerTypes(s *model.Spec, sliding func(layer int) bool) []string {
	list := make([]string, s.Layers)
	for i := range list {
		list[i] = full
		if sliding(i) {
			list[i] = local
		}
	}
	var stored []string
	if !k.decode("layer_types", &stored) {
		return list
	}
	if len(stored) != s.Layers {
		k.fail("layer_types has %d entries, want one for each of %d layers", len(stored), s.Layers)
		return list
	}
	for _, kind := range stored {
		if kind != full && kind != local {
			k.refuse("layer_types has %q, want %q or %q: other layers have no such scores", kind, full, local)
			return list
		}
	}
	return stored
}

// Types of layers.
const (
	full  = "full_attention"
	local = "sliding_attention"
)

// window gives local layers the window of a key; null means no window.
func (k *keys) window(s *model.Spec, key string, types []string) {
	n := k.countOr(key, maxContext, 0)
	if n == 0 || !slices.Contains(types, local) {
		return
	}
	s.Window = make([]int, s.Layers)
	for i, kind := range types {
		if kind == local {
			s.Window[i] = n
		}
	}
}
