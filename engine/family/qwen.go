package family

import "ducklens/engine/model"

const qwenDefaults = `"max_position_embeddings": 32768, "num_key_value_heads": 32, "hidden_act": "silu",
	"rms_norm_eps": 1e-6, "rope_theta": 10000.0,
	"use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28,
		"tie_word_embeddings": false`

// qwen2 is Llama with biases of q, k and v.
var qwen2 = Family{
	Name:  "Qwen2",
	Types: []string{"qwen2"},
	Models: []string{"Qwen/Qwen2-0.5B to 72B", "Qwen/Qwen2.5-0.5B to 72B", "Qwen/Qwen2.5-Coder",
		"deepseek-ai/DeepSeek-R1-Distill-Qwen"},
	Refused:  []string{"use_mrope, rope_type mrope: positions of images"},
	defaults: qwenDefaults,
	read: func(k *keys, s *model.Spec) {
		k.qwen(s)
		s.Bias.QKV = true
		k.want("use_mrope", false, "positions of images are not read")
	},
	names: func(*model.Spec) names { return llamaNames },
}

// qwen3 has a norm of each head's query and key instead of the biases.
var qwen3 = Family{
	Name:     "Qwen3",
	Types:    []string{"qwen3"},
	Models:   []string{"Qwen/Qwen3-0.6B to 32B"},
	Refused:  []string{"Qwen3.5 and Qwen3-Next: most layers have linear attention, which has no scores"},
	defaults: qwenDefaults + `, "head_dim": 128, "attention_bias": false`,
	read: func(k *keys, s *model.Spec) {
		k.qwen(s)
		biased := k.flag("attention_bias")
		s.Bias = model.Biases{QKV: biased, O: biased}
		s.QKNorm, s.QKNormEps = model.PerHead, s.Norm.Eps
		k.want("use_mrope", false, "positions of images are not read")
	},
	names: func(*model.Spec) names {
		n := llamaNames
		n.qNorm, n.kNorm = "self_attn.q_norm", "self_attn.k_norm"
		return n
	},
}

// qwen reads what both share: layers from max_window_layers on have a window, if use_sliding_window is true.
func (k *keys) qwen(s *model.Spec) {
	k.gated(s)
	windowed, from := k.flag("use_sliding_window"), 0
	if k.take("max_window_layers", "sliding_window"); windowed {
		from = k.whole("max_window_layers")
	}
	types := k.layerTypes(s, func(layer int) bool {
		return windowed && k.has("sliding_window") &&
			layer >= from
	})
	k.turn(s, rope{theta: "rope_theta"}, types)
	if windowed {
		k.window(s, "sliding_window", types)
	}
}

// whole reads a whole number that is not negative.
func (k *keys) whole(key string) int {
	n, err := wholeNumber(k.value(key))
	if err != nil || n < 0 || n > maxWidth {
		k.fail("%s is %s, want a whole number from 0 to %d", k.spell(key), brief(k.value(key)), maxWidth)
		return 0
	}
	return int(n)
}
