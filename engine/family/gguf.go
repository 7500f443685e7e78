package family

import (
	"math"
	"slices"
	"strings"

	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
	"ducklens/internal/advice"
)

// architecture is how a GGUF stores a family. Its metadata say what a config.json says, under other names,
// and are read by the same page. If a file does not say something, llama.cpp's default applies.
type architecture struct {
	name    string // general.architecture
	family  Family
	set     string            // JSON: keys that the architecture implies
	more    map[string]string // its own metadata keys, and the page's keys for them
	permute bool              // rows of q and k are permuted, so that neighbours turn together
	partial bool              // a part of a head may turn
	change  func(n *names)    // what its names have other than the rest
	adjust  func(s *model.Spec)
}

var architectures = []architecture{
	{name: "llama", family: llama, set: `"hidden_act": "silu"`, permute: true},
	{name: "qwen2", family: qwen2, set: `"hidden_act": "silu"`},
	{name: "qwen3", family: qwen3, set: `"hidden_act": "silu"`},
	{name: "gemma", family: gemma1},
	{name: "gemma2", family: gemma2, more: gemmaKeys, adjust: gemmaScale(46)},
	{name: "gemma3", family: gemma3, more: gemmaKeys, adjust: gemmaScale(62)},
	{name: "smollm3", family: smollm3, set: `"hidden_act": "silu"`, permute: true},
	{name: "olmo", family: olmo1, set: `"hidden_act": "silu"`,
		more: map[string]string{"attention.clamp_kqv": "clip_qkv"}, permute: true,
		change: func(n *names) { n.norm, n.mlpNorm, n.final = "", "", "" }},
	{name: "olmo2", family: olmo2, set: `"hidden_act": "silu"`,
		change: func(n *names) { n.norm, n.mlpNorm = "", "" }},
	{name: "phi2", family: phi, set: `"hidden_act": "gelu_new"`, partial: true},
	{name: "phi3", family: phi3, set: `"hidden_act": "silu"`, partial: true,
		more: map[string]string{"attention.sliding_window": "sliding_window"},
		change: func(n *names) {
			n.q, n.k, n.v, n.qkv, n.split = "", "", "", "attn_qkv", oneByOne
			n.gate, n.in, n.gateIn = "", "", "ffn_up"
		}},
	{name: "gpt2", family: gpt2, set: `"activation_function": "gelu_new"`, change: func(n *names) {
		n.position, n.q, n.k, n.v, n.qkv, n.split = "position_embd", "", "", "", "attn_qkv", oneByOne
	}},
	{name: "gpt-oss", family: gptoss, set: `"hidden_act": "silu"`,
		more: map[string]string{"attention.sliding_window": "sliding_window",
			"expert_count": "num_local_experts", "expert_used_count": "num_experts_per_tok",
			"expert_feed_forward_length": "intermediate_size"},
		change: func(n *names) {
			n.mlpNorm, n.sink = "post_attention_norm", "attn_sinks.weight"
			n.router, n.experts = "ffn_gate_inp", ggufExpert
		}},
}

// Architectures returns the supported values of general.architecture in a GGUF.
func Architectures() []string {
	var list []string
	for _, a := range architectures {
		list = append(list, a.name)
	}
	return list
}

// ggufNotRead are architectures that users come across, and why they are not supported.
var ggufNotRead = map[string]string{
	"gptneox": "its file does not say whether GELU is the erf or the tanh form; take the safetensors",
	"falcon":  "its file does not say whether GELU is the erf or the tanh form; take the safetensors",
}

var gemmaKeys = map[string]string{"attention.sliding_window": "sliding_window",
	"attention.sliding_window_pattern": "sliding_window_pattern",
	"rope.freq_base_swa":               "rope_local_base_freq",
	"attn_logit_softcapping":           "attn_logit_softcapping",
	"final_logit_softcapping":          "final_logit_softcapping"}

// gemmaScale sets the scale of scores, which the file does not have. It is d_head^-0.5, except in the largest
// model, which is recognised by its number of layers, where it is (d_model / heads)^-0.5.
func gemmaScale(largest int) func(*model.Spec) {
	return func(s *model.Spec) {
		s.AttnScale = math.Sqrt(float64(s.DHead))
		if s.Layers == largest {
			s.AttnScale = math.Sqrt(float64(s.DModel / s.Heads))
		}
	}
}

// ggufNames are the names of the gguf library (ggml-org/llama.cpp: gguf-py/gguf/constants.py).
var ggufNames = names{
	prefixes: []string{""},
	embed:    "token_embd", final: "output_norm", unembed: []string{"output"},
	layer: "blk.%d.", norm: "attn_norm", q: "attn_q", k: "attn_k", v: "attn_v", o: "attn_output",
	qNorm: "attn_q_norm", kNorm: "attn_k_norm",
	mlpNorm: "ffn_norm", gate: "ffn_gate", in: "ffn_up", out: "ffn_down",
	buffers: []string{".attn_rot_embd.weight"},
	unread:  []string{"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"},
}

// openGGUF reads the metadata of a GGUF as the keys of a family.
func openGGUF(c *checkpoint.Checkpoint) (*Model, error) {
	meta := c.Metadata()
	name, _ := meta.Text("general.architecture")
	i := slices.IndexFunc(architectures, func(a architecture) bool { return a.name == name })
	if i < 0 {
		return nil, unknownArchitecture(name)
	}
	a := architectures[i]
	if _, windowed := meta.Number("olmo2.attention.sliding_window"); name == "olmo2" && windowed {
		a.family, a.more = olmo3, map[string]string{"attention.sliding_window": "sliding_window"}
	}
	r := &ggufReader{c: c, meta: meta, arch: a, keys: newKeys(checkpoint.Keys{}, a.family.defaults),
		read: map[string]bool{}, named: map[string]string{}}
	k := r.keys
	k.path, k.spell = "", r.spell
	r.fill()
	m := &Model{Spec: &model.Spec{Family: a.family.Types[0]}, Name: a.family.Name, BOS: -1}
	k.begin(m.Spec)
	a.family.read(k, m.Spec)
	if m.Spec.Norm.Centre && k.has("layer_norm_eps") {
		m.Spec.Norm.Eps = k.epsilon("layer_norm_eps")
	}
	if a.adjust != nil {
		a.adjust(m.Spec)
	}
	r.stored(m.Spec)
	m.Class, _ = meta.Text("general.name")
	if id, ok := meta.Number("tokenizer.ggml.bos_token_id"); ok {
		m.BOS = int(id)
	}
	if id, ok := meta.Number("tokenizer.ggml.eos_token_id"); ok {
		m.EOS = []int{int(id)}
	}
	r.leftOver()
	if err := k.finish(m.Spec); err != nil {
		return nil, err
	}
	n := ggufNames
	if m.Spec.PostNorm {
		n.postAttn, n.postMLP = "post_attention_norm", "post_ffw_norm"
	}
	n.permute = a.permute
	if a.change != nil {
		a.change(&n)
	}
	if a.name == "phi2" && c.Has("blk.0.attn_qkv.weight") {
		n.q, n.k, n.v, n.qkv, n.split = "", "", "", "attn_qkv", oneByOne
	}
	return m, m.place(c, n)
}

func unknownArchitecture(name string) error {
	reason := ""
	if why, ok := ggufNotRead[name]; ok {
		reason = ": " + why
	}
	return advice.Add(fault(checkpoint.ErrUnsupported, "general.architecture is %q, want one of %s%s", name,
		strings.Join(Architectures(), ", "), reason),
		"`ducklens model families` lists what is read")
}

// ggufExpert returns one expert's part of tensors that hold all experts: [experts, out, in], with gate and up
// separate.
func ggufExpert(w *wants, base string, s *model.Spec) model.ExpertSources {
	n := s.Experts.Count
	part := func(name string, shape ...int) model.Source {
		src := w.want(base+name, append([]int{n}, shape...)...)
		src.Experts = n
		return src
	}
	return model.ExpertSources{
		Gate: part("ffn_gate_exps.weight", s.DMLP, s.DModel), GateBias: part("ffn_gate_exps.bias", s.DMLP),
		In: part("ffn_up_exps.weight", s.DMLP, s.DModel), InBias: part("ffn_up_exps.bias", s.DMLP),
		Out: part("ffn_down_exps.weight", s.DModel, s.DMLP), OutBias: part("ffn_down_exps.bias", s.DModel),
	}
}
