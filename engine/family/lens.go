package family

import (
	"strconv"
	"strings"

	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
)

// lens reads the configurations of TransformerLens, for models of GPT-2's shape
// (TransformerLensOrg/TransformerLens: transformer_lens/config).
var lens = Family{
	Name:   "TransformerLens",
	Types:  []string{"transformer_lens"},
	Models: []string{"state dicts of GPT-2's shape, raw or processed, with or without norms"},
	Refused: []string{"positional_embedding_type other than standard",
		"attn_only, gated_mlp, use_local_attn, use_qk_norm, post_embedding_ln", "normalization_type RMS"},
	defaults: `"d_mlp": null, "d_head": null, "act_fn": "gelu_new", "eps": 1e-5, "normalization_type": "LN",
		"positional_embedding_type": "standard",
		"attention_dir": "causal", "use_attn_scale": true, "attn_scale": -1.0, "attn_scores_soft_cap": -1.0,
			"scale_attn_by_inverse_layer_idx": false, "output_logits_soft_cap": -1.0`,
	read: func(k *keys, s *model.Spec) {
		s.Layers = k.count("n_layers", maxLayers)
		s.Heads = k.count("n_heads", maxWidth)
		s.KVHeads = s.Heads
		s.DModel = k.count("d_model", maxWidth)
		s.NCtx = k.count("n_ctx", maxContext)
		s.DVocab = k.count("d_vocab", maxVocabulary)
		s.DMLP = k.countOr("d_mlp", maxWidth, 4*s.DModel)
		k.headSize(s, "d_head")
		switch scale := k.number("attn_scale", -1, 1e6); {
		case !k.flag("use_attn_scale"):
			s.AttnScale = 1
		case scale > 0: // -1 means sqrt(d_head)
			s.AttnScale = scale
		}
		s.ByLayer = k.flag("scale_attn_by_inverse_layer_idx")
		s.SoftCap, s.LogitCap = max(k.number("attn_scores_soft_cap", -1, 1e6),
			0), max(k.number("output_logits_soft_cap", -1, 1e6), 0)
		s.Position, s.Parallel = true, k.flag("parallel_attn_mlp")
		s.Activation = k.activation("act_fn")
		s.Bias = model.Biases{QKV: true, O: true, Norm: true, MLP: true}
		k.lensNorm(s)
		k.lensRefusals(s)
	},
	names: gpt2.names,
}

// lensNorm reads which norm the model has; null is none.
func (k *keys) lensNorm(s *model.Spec) {
	s.Norm = model.Norm{Centre: true, Eps: k.epsilon("eps")}
	switch kind := k.text("normalization_type"); {
	case !k.has("normalization_type"):
		s.Norm, s.PreNorm, s.NoFinalNorm, s.Bias.Norm = model.Norm{}, false, true, false
	case kind != "LN" && kind != "LNPre":
		k.refuse("normalization_type is %q, want \"LN\", \"LNPre\" or null", kind)
	}
}

// lensRefusals reads the keys that must have the values of GPT-2's shape, and those that mean nothing with
// it.
func (k *keys) lensRefusals(s *model.Spec) {
	if kind := k.text("positional_embedding_type"); kind != "standard" {
		k.refuse("positional_embedding_type is %q, want \"standard\"", kind)
	}
	if direction := k.text("attention_dir"); direction != "causal" {
		k.refuse("attention_dir is %q, want \"causal\"", direction)
	}
	for _, key := range strings.Fields(
		`attn_only final_rms gated_mlp use_local_attn use_qk_norm post_embedding_ln
		use_normalization_before_and_after`) {
		k.want(key, false, "such models are not read in TransformerLens's form")
	}
	if n := k.countOr("n_key_value_heads", maxWidth, s.Heads); n != s.Heads {
		k.refuse("n_key_value_heads is %d, want n_heads, %d, or null", n, s.Heads)
	}
	if k.isSet("num_experts") {
		k.refuse("num_experts is %s, want null", k.value("num_experts"))
	}
	if k.has("d_vocab_out") {
		if n := k.number("d_vocab_out", -1, maxVocabulary); n != -1 && int(n) != s.DVocab {
			k.refuse("d_vocab_out is %v, want d_vocab, %d", n, s.DVocab)
		}
	}
	k.take(strings.Fields(`
		use_attn_result use_split_qkv_input use_hook_mlp_in use_attn_in use_hook_tokens
		ungroup_grouped_query_attention original_architecture from_checkpoint checkpoint_index
		checkpoint_label_type checkpoint_value tokenizer_name tokenizer_prepends_bos default_prepend_bos
		default_padding_side window_size attn_types init_mode init_weights device n_devices
		rotary_dim rotary_base rotary_adjacent_pairs n_params trust_remote_code load_in_4bit
		experts_per_token relative_attention_max_distance relative_attention_num_buckets
		decoder_start_token_id tie_word_embeddings use_NTK_by_parts_rope NTK_by_parts_low_freq_factor
		NTK_by_parts_high_freq_factor NTK_by_parts_factor NTK_original_ctx_len
		NTK_by_parts_original_max_position_embeddings rmsnorm_uses_offset rotary_base_local
		rotary_scaling_factor`)...)
}

// lensNames are the arrays of a state dict. In a processed one the norms are folded into what reads them, so
// it has no arrays for them.
func lensNames(s *model.Spec, c *checkpoint.Checkpoint) names {
	n := names{
		prefixes: []string{""}, layer: "blocks.%d.", buffers: []string{".attn.mask",
			".attn.IGNORE"}, all: lensSources,
		what: "state dict of " + strconv.Itoa(s.Layers) + " layers, LayerNorm not folded",
		hint: "save every array of model.state_dict() under its own name, for example with numpy.savez",
	}
	if folded := !s.NoFinalNorm && !c.Has("ln_final.w"); folded {
		n.what = "state dict of " + strconv.Itoa(s.Layers) + " layers, LayerNorm folded (no ln_final.w)"
		s.Bias.Norm = false
		n.folded = true
	}
	return n
}

func lensSources(s *model.Spec, w *wants) *model.Sources {
	s.Tied, s.Bias.U = false, true
	d, m := s.DModel, s.DMLP
	src := &model.Sources{
		Folded: w.n.folded,
		Embed:  w.want("embed.W_E", s.DVocab, d), Position: w.want("pos_embed.W_pos", s.NCtx, d),
		Unembed: ordered(w.want("unembed.W_U", d, s.DVocab), model.InOut), UnembedBias: w.want("unembed.b_U",
			s.DVocab),
	}
	norm := func(name string) (gain, shift model.Source) {
		if w.n.folded || s.NoFinalNorm {
			return model.Source{}, model.Source{}
		}
		return w.want(name+".w", d), w.want(name+".b", d)
	}
	src.FinalGain, src.FinalShift = norm("ln_final")
	layers := make([]model.LayerSources, s.Layers)
	for l := range layers {
		b := "blocks." + strconv.Itoa(l) + "."
		a := &layers[l]
		a.Gain, a.Shift = norm(b + "ln1")
		a.MLPGain, a.MLPShift = norm(b + "ln2")
		for letter, to := range map[string][2]*model.Source{"Q": {&a.Q, &a.QBias}, "K": {&a.K, &a.KBias},
			"V": {&a.V, &a.VBias}} {
			*to[0] = ordered(w.want(b+"attn.W_"+letter, s.Heads, d, s.DHead), model.HeadInOut)
			*to[1] = w.want(b+"attn.b_"+letter, s.Heads, s.DHead)
		}
		a.O, a.OBias = ordered(w.want(b+"attn.W_O", s.Heads, s.DHead, d),
			model.HeadOutIn), w.want(b+"attn.b_O", d)
		a.In, a.InBias = ordered(w.want(b+"mlp.W_in", d, m), model.InOut), w.want(b+"mlp.b_in", m)
		a.Out, a.OutBias = ordered(w.want(b+"mlp.W_out", m, d), model.InOut), w.want(b+"mlp.b_out", d)
	}
	src.Layer = func(layer int) model.LayerSources { return layers[layer] }
	return src
}

func ordered(src model.Source, order model.Order) model.Source {
	src.Order = order
	return src
}
