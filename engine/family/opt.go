package family

import "ducklens/engine/model"

// opt is GPT-2's shape, with positions that start at row 2 of their table, and eps 1e-5.
var opt = Family{
	Name:    "OPT",
	Types:   []string{"opt"},
	Models:  []string{"facebook/opt-125m", "facebook/opt-1.3b to 66b", "facebook/galactica"},
	Refused: []string{"opt-350m: do_layer_norm_before is false, word_embed_proj_dim another width"},
	defaults: `"max_position_embeddings": 2048, "activation_function": "relu", "do_layer_norm_before": true,
		"_remove_final_layer_norm": false,
		"word_embed_proj_dim": null, "enable_bias": true, "layer_norm_elementwise_affine": true,
			"tie_word_embeddings": true`,
	read: func(k *keys, s *model.Spec) {
		s.DModel = k.count("hidden_size", maxWidth)
		s.Layers = k.count("num_hidden_layers", maxLayers)
		s.Heads = k.count("num_attention_heads", maxWidth)
		s.KVHeads = s.Heads
		s.DMLP = k.count("ffn_dim", maxWidth)
		s.NCtx = k.count("max_position_embeddings", maxContext)
		s.DVocab = k.count("vocab_size", maxVocabulary)
		k.headSize(s, "")
		s.Norm = model.Norm{Centre: true, Eps: 1e-5}
		s.Position, s.PositionOffset = true, 2
		s.Activation = k.activation("activation_function")
		biased := k.flag("enable_bias")
		s.Bias = model.Biases{QKV: biased, O: biased, MLP: biased,
			Norm: k.flag("layer_norm_elementwise_affine")}
		s.Tied = k.flag("tie_word_embeddings")
		k.want("do_layer_norm_before", true, "norms after the maps are not read")
		k.want("_remove_final_layer_norm", false, "a model without its last norm is not read")
		if width := k.countOr("word_embed_proj_dim", maxWidth, s.DModel); width != s.DModel {
			k.refuse("word_embed_proj_dim is %d, want hidden_size, %d: another width is not read",
				width, s.DModel)
		}
	},
	names: func(s *model.Spec) names {
		n := names{
			prefixes: []string{"model.decoder.", "decoder.", ""},
			embed:    "embed_tokens", position: "embed_positions", final: "final_layer_norm",
			unembed: []string{"lm_head"},
			layer:   "layers.%d.", norm: "self_attn_layer_norm",
			q: "self_attn.q_proj", k: "self_attn.k_proj", v: "self_attn.v_proj", o: "self_attn.out_proj",
			mlpNorm: "final_layer_norm", in: "fc1", out: "fc2",
		}
		if !s.Bias.Norm {
			n.final, n.norm, n.mlpNorm = "", "", ""
		}
		return n
	},
}
