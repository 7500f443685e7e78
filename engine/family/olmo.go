package family

import "ducklens/engine/model"

const olmoDefaults = `"max_position_embeddings": 2048, "num_key_value_heads": null, "hidden_act": "silu",
	"attention_bias": false,
	"tie_word_embeddings": false`

// olmo1 is Llama with a LayerNorm without weights, with eps 1e-5.
var olmo1 = Family{
	Name:     "OLMo",
	Types:    []string{"olmo"},
	Models:   []string{"allenai/OLMo-1B-hf", "allenai/OLMo-7B-hf"},
	Refused:  []string{"clip_qkv: clipped vectors are no sums of components"},
	defaults: olmoDefaults + `, "rope_theta": 10000.0, "clip_qkv": null`,
	read: func(k *keys, s *model.Spec) {
		k.sizes(s)
		s.Norm = model.Norm{Centre: true, Eps: 1e-5}
		s.Activation, s.Gated = k.activation("hidden_act"), true
		k.turn(s, rope{theta: "rope_theta"}, allFull(s))
		biased := k.flag("attention_bias")
		s.Bias = model.Biases{QKV: biased, O: biased}
		if k.has("clip_qkv") {
			k.refuse("clip_qkv is %s, want null: a clipped vector is no sum of components",
				k.value("clip_qkv"))
		}
	},
	names: func(*model.Spec) names {
		n := llamaNames
		n.norm, n.mlpNorm, n.final = "", "", ""
		return n
	},
}

// olmo2 has norms after attention and MLP instead of before them, one norm over all queries of a position and
// one over all keys.
var olmo2 = Family{
	Name:     "OLMo 2",
	Types:    []string{"olmo2"},
	Models:   []string{"allenai/OLMo-2-0425-1B", "allenai/OLMo-2-1124-7B", "allenai/OLMo-2-1124-13B"},
	defaults: olmoDefaults + `, "rope_theta": 10000.0, "rms_norm_eps": 1e-5`,
	read: func(k *keys, s *model.Spec) {
		k.olmo(s)
		k.turn(s, rope{theta: "rope_theta"}, allFull(s))
	},
	names: olmo2Names,
}

// olmo reads what OLMo 2 and 3 share.
func (k *keys) olmo(s *model.Spec) {
	k.gated(s)
	s.PreNorm, s.PostNorm = false, true
	s.QKNorm, s.QKNormEps = model.FullWidth, s.Norm.Eps
	biased := k.flag("attention_bias")
	s.Bias = model.Biases{QKV: biased, O: biased}
}

func olmo2Names(*model.Spec) names {
	n := llamaNames
	n.norm, n.mlpNorm = "", ""
	n.postAttn, n.postMLP = "post_attention_layernorm", "post_feedforward_layernorm"
	n.qNorm, n.kNorm = "self_attn.q_norm", "self_attn.k_norm"
	return n
}

// olmo3Base is OLMo 3's rotary base if the file does not say.
const olmo3Base = 500000.0

// olmo3 has windows in three of four layers. Only the fourth uses the scaling that extends the context.
var olmo3 = Family{
	Name:     "OLMo 3",
	Types:    []string{"olmo3"},
	Models:   []string{"allenai/Olmo-3-1025-7B", "allenai/Olmo-3-1125-32B"},
	defaults: olmoDefaults + `, "rope_theta": 500000.0, "rms_norm_eps": 1e-5, "sliding_window": 4096`,
	read: func(k *keys, s *model.Spec) {
		k.olmo(s)
		types := k.layerTypes(s, func(layer int) bool { return (layer+1)%4 != 0 })
		k.turn(s, rope{theta: "rope_theta", local: "rope_theta"}, types)
		if theta := k.number("rope_theta", 0, 1e30); theta != olmo3Base && !k.has("rope_parameters") {
			k.refuse(
				"rope_theta is %v, want %v or rope_parameters for each type of layer: "+
					"releases of transformers differ "+
					"in whether it holds for layers with a window", theta, olmo3Base)
		}
		k.window(s, "sliding_window", types)
	},
	names: olmo2Names,
}
