package family

import (
	"slices"

	"ducklens/engine/model"
)

// phi rotates a part of each head. Attention and MLP run in parallel and read the stream through one norm.
// All maps have biases, including the unembedding.
var phi = Family{
	Name:    "Phi",
	Types:   []string{"phi"},
	Models:  []string{"microsoft/phi-1", "microsoft/phi-1_5", "microsoft/phi-2"},
	Refused: []string{"qk_layernorm: a LayerNorm of queries and keys"},
	defaults: `"max_position_embeddings": 2048, "num_key_value_heads": null, "hidden_act": "gelu_new",
		"layer_norm_eps": 1e-5, "rope_theta": 10000.0,
		"partial_rotary_factor": 0.5, "qk_layernorm": false, "tie_word_embeddings": false`,
	read: func(k *keys, s *model.Spec) {
		k.sizes(s)
		s.Norm = model.Norm{Centre: true, Eps: k.epsilon("layer_norm_eps")}
		s.Parallel, s.SharedNorm = true, true
		k.turn(s, rope{theta: "rope_theta", part: "partial_rotary_factor"}, allFull(s))
		s.Activation = k.activation("hidden_act")
		s.Bias = model.Biases{QKV: true, O: true, Norm: true, MLP: true, U: true}
		k.want("qk_layernorm", false, "a LayerNorm of queries and keys is not read")
	},
	names: func(*model.Spec) names {
		n := llamaNames
		n.final, n.o, n.in, n.out = "final_layernorm", "self_attn.dense", "mlp.fc1", "mlp.fc2"
		return n
	},
}

// phi3 is Llama with q, k, v in one tensor and gate and up in another, and with longrope, which older files
// call su or yarn.
var phi3 = Family{
	Name:  "Phi-3",
	Types: []string{"phi3"},
	Models: []string{"microsoft/Phi-3-mini-4k-instruct", "microsoft/Phi-3-mini-128k-instruct",
		"microsoft/Phi-3-medium", "microsoft/phi-4", "microsoft/Phi-4-mini-instruct"},
	Refused: []string{"Phi-3-small, Phi-3.5-MoE: other architectures"},
	defaults: `"max_position_embeddings": 4096, "num_key_value_heads": null, "hidden_act": "silu",
		"rms_norm_eps": 1e-5, "rope_theta": 10000.0,
		"original_max_position_embeddings": 4096, "partial_rotary_factor": 1.0, "sliding_window": null,
			"tie_word_embeddings": false`,
	read: func(k *keys, s *model.Spec) {
		k.gated(s)
		types := slices.Repeat([]string{local}, s.Layers)
		k.turn(s, rope{theta: "rope_theta", part: "partial_rotary_factor",
			aliases: map[string]string{"su": "longrope", "yarn": "longrope"}}, types)
		k.window(s, "sliding_window", types)
		for _, key := range []string{"attention_bias", "mlp_bias", "lm_head_bias"} {
			k.want(key, false, "Phi-3 has no biases")
		}
		k.take("full_attn_mod", "interpolate_factor") // of the authors' own code; these models have 1
	},
	names: func(*model.Spec) names {
		n := llamaNames
		n.q, n.k, n.v, n.gate, n.in = "", "", "", "", ""
		n.qkv, n.split, n.gateIn = "self_attn.qkv_proj", oneByOne, "mlp.gate_up_proj"
		return n
	},
}
