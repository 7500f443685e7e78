package family

import "ducklens/engine/model"

// neox rotates a part of each head, and runs attention and MLP in parallel, each with its own norm.
var neox = Family{
	Name:  "GPT-NeoX",
	Types: []string{"gpt_neox"},
	Models: []string{"EleutherAI/pythia-14m to 12b", "EleutherAI/gpt-neox-20b", "RedPajama-INCITE",
		"databricks/dolly-v2"},
	defaults: `"max_position_embeddings": 2048, "hidden_act": "gelu", "rotary_pct": 0.25,
		"rotary_emb_base": 10000, "layer_norm_eps": 1e-5,
		"use_parallel_residual": true, "attention_bias": true, "tie_word_embeddings": false`,
	read: func(k *keys, s *model.Spec) {
		k.sizes(s)
		s.Norm = model.Norm{Centre: true, Eps: k.epsilon("layer_norm_eps")}
		s.Parallel = k.flag("use_parallel_residual")
		k.turn(s, rope{theta: "rotary_emb_base", part: "rotary_pct"}, allFull(s))
		if !k.has("rope_parameters") {
			// Some releases also write the same numbers under these names, and none reads them.
			k.agree("rope_theta", "rotary_emb_base")
			k.agree("partial_rotary_factor", "rotary_pct")
		}
		s.Activation = k.activation("hidden_act")
		biased := k.flag("attention_bias")
		s.Bias = model.Biases{QKV: biased, O: biased, Norm: true, MLP: true}
	},
	names: func(*model.Spec) names {
		return names{
			prefixes: []string{"gpt_neox.", ""},
			embed:    "embed_in", final: "final_layer_norm", unembed: []string{"embed_out", "lm_head"},
			layer: "layers.%d.", norm: "input_layernorm",
			qkv: "attention.query_key_value", o: "attention.dense",
			mlpNorm: "post_attention_layernorm", in: "mlp.dense_h_to_4h", out: "mlp.dense_4h_to_h",
			split: byGroup,
		}
	},
}
