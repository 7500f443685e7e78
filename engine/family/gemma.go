package family

import (
	"math"

	"ducklens/engine/model"
)

// gemma1 is Llama with gains stored minus 1, an embedding that is multiplied by sqrt(d_model), and GELU.
var gemma1 = Family{
	Name:   "Gemma",
	Types:  []string{"gemma"},
	Models: []string{"google/gemma-2b", "google/gemma-7b", "google/codegemma-2b"},
	defaults: gemmaDefaults + `, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": null,
		"num_key_value_heads": 16, "rope_theta": 10000.0`,
	read: func(k *keys, s *model.Spec) {
		k.gemma(s)
		s.Activation = k.tanhForm("hidden_act")
		if k.has("hidden_activation") && k.tanhForm("hidden_activation") != s.Activation {
			k.refuse(
				"hidden_act is %q and hidden_activation is %q, want the same: "+
					"which one counts depends on the release of transformers",
				k.text("hidden_act"), k.text("hidden_activation"))
		}
		k.turn(s, rope{theta: "rope_theta"}, allFull(s))
	},
	names: func(*model.Spec) names {
		n := llamaNames
		n.plus = 1
		return n
	},
}

const gemmaDefaults = `"max_position_embeddings": 8192, "head_dim": 256,
	"hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6,
	"attention_bias": false, "tie_word_embeddings": true`

// gemma reads what all three share.
func (k *keys) gemma(s *model.Spec) {
	k.sizes(s)
	s.Norm.Eps = k.epsilon("rms_norm_eps")
	s.EmbedScale = math.Sqrt(float64(s.DModel))
	s.Gated = true
	biased := k.flag("attention_bias")
	s.Bias = model.Biases{QKV: biased, O: biased}
	k.want("use_bidirectional_attention", false, "tokens would see what comes after them")
}

// tanhForm reads a nonlinearity for which gelu, as in the published files, means the tanh form.
func (k *keys) tanhForm(key string) model.Activation {
	if act := k.activation(key); act != model.GELU {
		return act
	}
	return model.GELUTanh
}

// gemma2 adds norms after attention and MLP, caps of scores and logits, and windows in every other layer,
// beginning with the first.
var gemma2 = Family{
	Name:   "Gemma 2",
	Types:  []string{"gemma2"},
	Models: []string{"google/gemma-2-2b", "google/gemma-2-9b", "google/gemma-2-27b"},
	defaults: gemmaDefaults + `, "num_key_value_heads": 4, "rope_theta": 10000.0,
		"query_pre_attn_scalar": 256, "sliding_window": 4096,
		"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0`,
	read: func(k *keys, s *model.Spec) {
		k.gemma(s)
		k.gemmaNorms(s)
		types := k.layerTypes(s, func(layer int) bool { return layer%2 == 0 })
		k.turn(s, rope{theta: "rope_theta"}, types)
		k.window(s, "sliding_window", types)
		k.take("hidden_act", "sliding_window_size") // hidden_activation and sliding_window are what counts
	},
	names: gemma2Names,
}

// gemmaNorms reads what Gemma 2 and 3 add.
func (k *keys) gemmaNorms(s *model.Spec) {
	s.Activation = k.activation("hidden_activation")
	s.PostNorm = true
	s.AttnScale = math.Sqrt(k.positive("query_pre_attn_scalar"))
	s.SoftCap, s.LogitCap = k.optional("attn_logit_softcapping"), k.optional("final_logit_softcapping")
}

func gemma2Names(*model.Spec) names {
	n := llamaNames
	n.plus = 1
	n.postAttn, n.postMLP = "post_attention_layernorm", "post_feedforward_layernorm"
	n.mlpNorm = "pre_feedforward_layernorm"
	return n
}

// gemma3 has QK-norm instead of the caps, five layers with a window for each one without, and a rotary base
// for each kind.
var gemma3 = Family{
	Name:  "Gemma 3",
	Types: []string{"gemma3_text"},
	Models: []string{"google/gemma-3-270m", "google/gemma-3-1b-pt",
		"google/gemma-3-4b-pt to 27b-pt (the text model)"},
	Refused: []string{"Gemma 3n: embeddings of its own for every layer", "images"},
	defaults: gemmaDefaults + `, "max_position_embeddings": 131072, "vocab_size": 262208,
		"num_attention_heads": 8, "num_key_value_heads": 4,
		"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "query_pre_attn_scalar": 256,
		"sliding_window": 4096, "sliding_window_pattern": 6,
		"attn_logit_softcapping": null, "final_logit_softcapping": null`,
	read: func(k *keys, s *model.Spec) {
		k.gemma(s)
		k.gemmaNorms(s)
		if s.SoftCap != 0 {
			k.refuse(
				"attn_logit_softcapping is %v, want null: transformers reads it for Gemma 3 and applies no "+
					"cap, others may",
				s.SoftCap)
		}
		s.QKNorm, s.QKNormEps = model.PerHead, s.Norm.Eps
		every := k.count(k.either("sliding_window_pattern", "_sliding_window_pattern"), maxLayers)
		types := k.layerTypes(s, func(layer int) bool { return (layer+1)%every != 0 })
		k.turn(s, rope{theta: "rope_theta", local: "rope_local_base_freq"}, types)
		k.window(s, "sliding_window", types)
		k.take("hidden_act")
	},
	names: func(s *model.Spec) names {
		n := gemma2Names(s)
		n.qNorm, n.kNorm = "self_attn.q_norm", "self_attn.k_norm"
		return n
	},
}
