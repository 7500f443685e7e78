package family

import (
	"slices"

	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
)

// gpt2 has LayerNorm, learned positions, all biases, and weights stored as (in, out).
var gpt2 = Family{
	Name:  "GPT-2",
	Types: []string{"gpt2"},
	Models: []string{"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "distilgpt2", "microsoft/DialoGPT",
		"stanford-crfm/alias-gpt2-small-x21"},
	Refused: []string{"add_cross_attention: there is one stream"},
	defaults: `"n_inner": null, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
		"scale_attn_weights": true, "scale_attn_by_inverse_layer_idx": false,
		"tie_word_embeddings": true`,
	read: func(k *keys, s *model.Spec) {
		k.gpt2Class()
		s.Layers = k.count("n_layer", maxLayers)
		s.Heads = k.count("n_head", maxWidth)
		s.KVHeads = s.Heads
		s.DModel = k.count("n_embd", maxWidth)
		s.NCtx = k.context()
		s.DVocab = k.count("vocab_size", maxVocabulary)
		s.DMLP = k.countOr("n_inner", maxWidth, 4*s.DModel)
		k.headSize(s, "")
		if !k.flag("scale_attn_weights") {
			s.AttnScale = 1
		}
		s.Norm = model.Norm{Centre: true, Eps: k.epsilon("layer_norm_epsilon")}
		s.Position = true
		s.Activation = k.activation("activation_function")
		s.Bias = model.Biases{QKV: true, O: true, Norm: true, MLP: true}
		s.Tied = k.flag("tie_word_embeddings")
		s.ByLayer = k.flag("scale_attn_by_inverse_layer_idx")
	},
	names: func(*model.Spec) names {
		return names{
			prefixes: []string{"", "transformer."},
			embed:    "wte", position: "wpe", final: "ln_f", unembed: []string{"lm_head"},
			layer: "h.%d.", norm: "ln_1", qkv: "attn.c_attn", o: "attn.c_proj",
			mlpNorm: "ln_2", in: "mlp.c_fc", out: "mlp.c_proj",
			order: model.InOut, split: oneByOne,
		}
	},
}

// gpt2Class refuses models that end in something other than an unembedding.
func (k *keys) gpt2Class() {
	var classes []string
	known := []string{"GPT2LMHeadModel", "GPT2Model"}
	if !k.decode("architectures", &classes) || len(classes) == 0 {
		return
	}
	if !slices.ContainsFunc(classes, func(n string) bool { return slices.Contains(known, n) }) {
		k.faults = append(k.faults, fault(checkpoint.ErrUnsupported,
			"config.json: architectures is %q, want %s or %s", classes, known[0], known[1]))
	}
}

// context reads n_positions, or n_ctx in older files. If both exist they must agree.
func (k *keys) context() int {
	if !k.has("n_positions") {
		return k.count("n_ctx", maxContext)
	}
	n := k.count("n_positions", maxContext)
	if k.has("n_ctx") {
		if other := k.count("n_ctx", maxContext); other != n {
			k.fail("n_ctx is %d and n_positions is %d, want the same number", other, n)
		}
	}
	return n
}

// gptj rotates adjacent pairs of the first dimensions, with base 10,000, and runs attention and MLP in
// parallel.
var gptj = Family{
	Name:   "GPT-J",
	Types:  []string{"gptj"},
	Models: []string{"EleutherAI/gpt-j-6b"},
	defaults: `"n_inner": null, "rotary_dim": 64, "activation_function": "gelu_new",
		"layer_norm_epsilon": 1e-5, "tie_word_embeddings": false,
		"n_positions": 2048, "vocab_size": 50400`,
	read: func(k *keys, s *model.Spec) {
		s.Layers = k.count("n_layer", maxLayers)
		s.Heads = k.count("n_head", maxWidth)
		s.KVHeads = s.Heads
		s.DModel = k.count("n_embd", maxWidth)
		s.NCtx = k.context()
		s.DVocab = k.count("vocab_size", maxVocabulary)
		s.DMLP = k.countOr("n_inner", maxWidth, 4*s.DModel)
		k.headSize(s, "")
		k.want("scale_attn_weights", true, "GPT-J's scores are always divided by sqrt(d_head)")
		k.take("rotary", "scale_attn_by_inverse_layer_idx")
		s.Norm = model.Norm{Centre: true, Eps: k.epsilon("layer_norm_epsilon")}
		s.Parallel, s.SharedNorm = true, true
		dims := k.count("rotary_dim", s.DHead)
		k.rotaryDims(s, dims, 10000)
		s.Activation = k.activation("activation_function")
		s.Bias = model.Biases{Norm: true, MLP: true, U: true}
		s.Tied = k.flag("tie_word_embeddings")
	},
	names: func(*model.Spec) names {
		return names{
			prefixes: []string{"transformer.", ""},
			embed:    "wte", final: "ln_f", unembed: []string{"lm_head"},
			layer: "h.%d.", norm: "ln_1",
			q: "attn.q_proj", k: "attn.k_proj", v: "attn.v_proj", o: "attn.out_proj",
			in: "mlp.fc_in", out: "mlp.fc_out",
			buffers: []string{".attn.embed_positions"},
		}
	},
}

// rotaryDims sets plain frequencies for the first dims dimensions of every layer, in adjacent pairs.
func (k *keys) rotaryDims(s *model.Spec, dims int, base float64) {
	turn := plainRotary(base, dims)
	turn.Pairs = true
	for range s.Layers {
		s.Rotary = append(s.Rotary, turn)
	}
	if dims%2 != 0 {
		k.fail("rotary_dim is %d, want an even number", dims)
	}
}
