package family

import "ducklens/engine/model"

// falcon has one key-value head or a few, and one tensor for q, k and v, which holds for each key-value head
// its queries, its key and its value. Attention and MLP run in parallel.
var falcon = Family{
	Name:    "Falcon",
	Types:   []string{"falcon"},
	Models:  []string{"tiiuae/falcon-7b", "tiiuae/falcon-40b", "tiiuae/falcon-11B", "tiiuae/falcon-180B"},
	Refused: []string{"falcon-rw: ALiBi adds a bias by distance to the scores (alibi)"},
	defaults: `"max_position_embeddings": 2048, "layer_norm_epsilon": 1e-5, "activation": "gelu",
		"ffn_hidden_size": null, "num_kv_heads": null,
		"alibi": false, "new_decoder_architecture": false, "multi_query": true, "parallel_attn": true,
			"bias": false,
		"num_ln_in_parallel_attn": null, "rope_theta": 10000.0, "tie_word_embeddings": true`,
	read: func(k *keys, s *model.Spec) {
		s.DModel = k.count(k.either("hidden_size", "n_embed"), maxWidth)
		s.Layers = k.count(k.either("num_hidden_layers", "n_layer"), maxLayers)
		s.Heads = k.count(k.either("num_attention_heads", "n_head"), maxWidth)
		kv := k.countOr(k.either("num_kv_heads", "n_head_kv"), maxWidth, s.Heads)
		s.NCtx = k.count("max_position_embeddings", maxContext)
		s.DVocab = k.count("vocab_size", maxVocabulary)
		s.DMLP = k.countOr("ffn_hidden_size", maxWidth, 4*s.DModel)
		k.headSize(s, "")
		newer, one := k.flag("new_decoder_architecture"), k.flag("multi_query")
		switch {
		case newer:
			s.KVHeads = kv
		case one:
			s.KVHeads = 1
		default:
			s.KVHeads = s.Heads
		}
		s.Norm = model.Norm{Centre: true, Eps: k.epsilon("layer_norm_epsilon")}
		norms := k.countOr("num_ln_in_parallel_attn", 2, 2)
		s.Parallel = newer || k.flag("parallel_attn")
		s.SharedNorm = s.Parallel && !(newer && norms == 2)
		k.take("parallel_attn", "ff_factor")
		k.turn(s, rope{theta: "rope_theta"}, allFull(s))
		s.Activation = k.activation("activation")
		biased := k.flag("bias")
		s.Bias = model.Biases{QKV: biased, O: biased, MLP: biased, Norm: true}
		s.Tied = k.flag("tie_word_embeddings")
		k.want("alibi", false, "ALiBi adds a bias by distance to the scores")
		k.want("apply_residual_connection_post_layernorm", false, "the stream would be a normed one")
	},
	names: func(s *model.Spec) names {
		n := names{
			prefixes: []string{"transformer.", ""},
			embed:    "word_embeddings", final: "ln_f", unembed: []string{"lm_head"},
			layer: "h.%d.", norm: "input_layernorm",
			qkv: "self_attention.query_key_value", o: "self_attention.dense",
			mlpNorm: "post_attention_layernorm", in: "mlp.dense_h_to_4h", out: "mlp.dense_4h_to_h",
			split: byGroup,
		}
		if s.Parallel && !s.SharedNorm {
			n.norm, n.mlpNorm = "ln_attn", "ln_mlp"
		}
		return n
	},
}
