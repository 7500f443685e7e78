package family

import "ducklens/engine/model"

// gptoss has a sink in the softmax of every head, biases of q, k, v and o, windows in every other layer, and
// a mixture of experts.
var gptoss = Family{
	Name:    "gpt-oss",
	Types:   []string{"gpt_oss"},
	Models:  []string{"openai/gpt-oss-20b", "openai/gpt-oss-120b"},
	Refused: []string{"quantization_config other than mxfp4"},
	defaults: `"max_position_embeddings": 131072, "num_key_value_heads": 8, "head_dim": 64,
		"rms_norm_eps": 1e-5, "rope_theta": 150000.0,
		"rope_parameters": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
			"truncate": false, "original_max_position_embeddings": 4096},
		"sliding_window": 128, "attention_bias": true, "num_local_experts": 128, "num_experts_per_tok": 4,
		"swiglu_alpha": 1.702, "swiglu_limit": 7.0, "hidden_act": "silu", "tie_word_embeddings": false`,
	read: func(k *keys, s *model.Spec) {
		k.gated(s)
		if s.Activation != model.SiLU {
			k.refuse("hidden_act is %q, want \"silu\"", k.text("hidden_act"))
		}
		types := k.layerTypes(s, func(layer int) bool { return layer%2 == 0 })
		if k.isSet("rope_scaling") { // it replaces the default
			delete(k.defaults, "rope_parameters")
		}
		k.turn(s, rope{theta: "rope_theta"}, types)
		k.window(s, "sliding_window", types)
		s.Sinks = true
		biased := k.flag("attention_bias")
		s.Bias = model.Biases{QKV: biased, O: biased, MLP: true}
		s.Experts = &model.Experts{
			Count: k.count(k.either("num_local_experts", "num_experts"), maxWidth),
			Top:   k.count(k.either("num_experts_per_tok", "experts_per_token"), maxWidth),
			Alpha: k.positive("swiglu_alpha"), Limit: k.positive("swiglu_limit"),
		}
		if s.Experts.Top > s.Experts.Count {
			k.fail("num_experts_per_tok is %d, want at most the number of experts, %d", s.Experts.Top,
				s.Experts.Count)
		}
		k.take("initial_context_length")
		var packed struct {
			Method string `json:"quant_method"`
		}
		if k.has("quantization_config") && k.decode("quantization_config", &packed) &&
			packed.Method != "mxfp4" {
			k.refuse("quantization_config has quant_method %q, want \"mxfp4\"", packed.Method)
		}
	},
	names: func(*model.Spec) names {
		n := llamaNames
		n.sink, n.router, n.experts = "self_attn.sinks", "mlp.router", gptossExpert
		return n
	},
}

// either returns the first key, or the second if only that is in the file; both then count as read.
func (k *keys) either(key, other string) string {
	k.take(key, other)
	if k.absent(key) && !k.absent(other) {
		return other
	}
	return key
}

// gptossExpert returns one expert's part of tensors that hold all experts: [experts, in, out] or, as
// published, four-bit numbers [experts, out, in/32, 16] with their exponents in another tensor.
func gptossExpert(w *wants, base string, s *model.Spec) model.ExpertSources {
	n, p := s.Experts.Count, base+"mlp.experts."
	matrix := func(name string, in, out int) model.Source {
		if w.packed(p + name + "_blocks") {
			w.wantBytes(p+name+"_scales", n, out, in/32)
			src := w.wantBytes(p+name+"_blocks", n, out, in/32, 16)
			src.Scales, src.Experts = p+name+"_scales", n
			return src
		}
		src := w.want(p+name, n, in, out)
		src.Order, src.Experts = model.InOut, n
		return src
	}
	bias := func(name string, out int) model.Source {
		src := w.want(p+name, n, out)
		src.Experts = n
		return src
	}
	return model.ExpertSources{
		In: matrix("gate_up_proj", s.DModel, 2*s.DMLP), InBias: bias("gate_up_proj_bias", 2*s.DMLP),
		Out: matrix("down_proj", s.DMLP, s.DModel), OutBias: bias("down_proj_bias", s.DModel),
	}
}

// packed reports whether a tensor exists and consists of bytes.
func (w *wants) packed(name string) bool {
	info, ok := w.c.Info(name)
	return ok && info.DType == "U8"
}
