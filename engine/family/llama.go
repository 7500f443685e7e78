package family

import (
	"slices"

	"ducklens/engine/model"
	"ducklens/engine/rotary"
)

// llama is the shape that most families share: RMSNorm, rotary embedding, key-value heads, a gated MLP.
// SmolLM and SmolLM2 have this type too.
var llama = Family{
	Name:  "Llama",
	Types: []string{"llama"},
	Models: []string{"meta-llama/Llama-2-7b", "meta-llama/Meta-Llama-3-8B", "meta-llama/Llama-3.1-8B",
		"meta-llama/Llama-3.2-1B", "HuggingFaceTB/SmolLM-135M",
		"HuggingFaceTB/SmolLM2-135M to 1.7B", "TinyLlama", "01-ai/Yi", "deepseek-llm"},
	Refused: []string{"rope_type dynamic: frequencies depend on the length of the text"},
	defaults: `"max_position_embeddings": 2048, "num_key_value_heads": null, "hidden_act": "silu",
		"rms_norm_eps": 1e-6, "rope_theta": 10000.0,
		"attention_bias": false, "mlp_bias": false, "head_dim": null, "tie_word_embeddings": false`,
	read: func(k *keys, s *model.Spec) {
		k.gated(s)
		k.turn(s, rope{theta: "rope_theta"}, allFull(s))
		biased := k.flag("attention_bias")
		s.Bias = model.Biases{QKV: biased, O: biased, MLP: k.flag("mlp_bias")}
		k.want("rope_interleaved", false, "rotations of neighbouring dimensions are not read here")
	},
	names: func(*model.Spec) names { return llamaNames },
}

// mistral is Llama without biases, and with a window unless sliding_window is null.
var mistral = Family{
	Name:  "Mistral",
	Types: []string{"mistral"},
	Models: []string{"mistralai/Mistral-7B-v0.1 to v0.3", "mistralai/Mistral-Nemo-Base-2407",
		"mistralai/Mistral-Small-24B", "HuggingFaceH4/zephyr-7b"},
	defaults: `"max_position_embeddings": 131072, "num_key_value_heads": 8, "hidden_act": "silu",
		"rms_norm_eps": 1e-6, "rope_theta": 10000.0,
		"head_dim": null, "tie_word_embeddings": false, "sliding_window": 4096`,
	read: func(k *keys, s *model.Spec) {
		k.gated(s)
		types := slices.Repeat([]string{local}, s.Layers)
		k.turn(s, rope{theta: "rope_theta"}, types)
		k.window(s, "sliding_window", types)
		k.want("attention_bias", false, "Mistral has no biases")
		k.want("mlp_bias", false, "Mistral has no biases")
	},
	names: func(*model.Spec) names { return llamaNames },
}

// llamaNames are the names of Llama and of later models.
var llamaNames = names{
	prefixes: []string{"model.", "", "language_model.model.", "model.language_model.", "language_model."},
	embed:    "embed_tokens", final: "norm", unembed: []string{"lm_head", "language_model.lm_head",
		"embed_out"},
	layer: "layers.%d.", norm: "input_layernorm",
	q: "self_attn.q_proj", k: "self_attn.k_proj", v: "self_attn.v_proj", o: "self_attn.o_proj",
	mlpNorm: "post_attention_layernorm", gate: "mlp.gate_proj", in: "mlp.up_proj", out: "mlp.down_proj",
	unread: []string{"vision_tower.", "multi_modal_projector.", "model.vision_tower.",
		"model.multi_modal_projector."},
}

// smollm3 is Llama without rotation in every fourth layer.
var smollm3 = Family{
	Name:   "SmolLM3",
	Types:  []string{"smollm3"},
	Models: []string{"HuggingFaceTB/SmolLM3-3B"},
	defaults: `"max_position_embeddings": 32768, "num_key_value_heads": 4, "hidden_act": "silu",
		"rms_norm_eps": 1e-6, "rope_theta": 2000000.0,
		"no_rope_layers": null, "no_rope_layer_interval": 4, "use_sliding_window": false,
			"sliding_window": null, "attention_bias": false,
		"mlp_bias": false, "tie_word_embeddings": true`,
	read: func(k *keys, s *model.Spec) {
		k.gated(s)
		turns := k.turningLayers(s)
		windowed := k.flag("use_sliding_window")
		types := k.layerTypes(s, func(layer int) bool {
			return windowed && k.has("sliding_window") &&
				!turns[layer]
		})
		k.turn(s, rope{theta: "rope_theta"}, types)
		for i, turns := range turns {
			if !turns {
				s.Rotary[i] = rotary.Rotary{}
			}
		}
		// The second is in the published file, but nothing reads it.
		k.take("sliding_window", "max_window_layers")
		if windowed {
			k.window(s, "sliding_window", types)
		}
		biased := k.flag("attention_bias")
		s.Bias = model.Biases{QKV: biased, O: biased, MLP: k.flag("mlp_bias")}
	},
	names: func(*model.Spec) names { return llamaNames },
}

// turningLayers reads no_rope_layers, in which 1 means, contrary to the name, that the layer rotates.
func (k *keys) turningLayers(s *model.Spec) []bool {
	every := k.count("no_rope_layer_interval", maxLayers)
	turns := make([]bool, s.Layers)
	for i := range turns {
		turns[i] = (i+1)%every != 0
	}
	var list []float64
	if !k.decode("no_rope_layers", &list) {
		return turns
	}
	if len(list) < s.Layers {
		k.fail("no_rope_layers has %d entries, want one for each of %d layers", len(list), s.Layers)
		return turns
	}
	for i := range turns {
		turns[i] = list[i] != 0
	}
	return turns
}
