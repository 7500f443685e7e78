package family_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
	"ducklens/engine/family/familytest"
	"ducklens/engine/model"
)

type config = familytest.Config

// read reads a configuration without tensors.
func read(tb testing.TB, c config) (*family.Model, error) {
	tb.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	values, err := checkpoint.ParseKeys(text)
	if err != nil {
		tb.Fatal(err)
	}
	return family.Configure(values)
}

// spec returns the spec of a configuration, which must be readable.
func spec(tb testing.TB, c config) *model.Spec {
	tb.Helper()
	m, err := read(tb, c)
	if err != nil {
		tb.Fatal(err)
	}
	return m.Spec
}

func digest(tb testing.TB, c config) string {
	tb.Helper()
	return family.ConfigSHA(spec(tb, c))
}

const (
	slides = "sliding_attention"
	whole  = "full_attention"
)

// Two spellings of a configuration give the same model.
func TestSpellings(t *testing.T) {
	tiny := familytest.Tiny
	llama3 := config{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
		"original_max_position_embeddings": 16}
	llama := tiny("llama").With("rope_theta", 500000.0)
	gemma3 := tiny("gemma3_text")
	for name, pair := range map[string][2]config{
		"rope_parameters": {llama, llama.Without("rope_theta",
			"rope_scaling").With("rope_parameters", llama3.With("rope_theta", 500000))},
		"type": {llama, llama.With("rope_scaling",
			llama3.Without("rope_type").With("type", "llama3"))},
		"type and rope_type": {llama, llama.With("rope_scaling", llama3.With("type", "llama3"))},
		"rope_parameters win": {llama, llama.Without("rope_scaling").With("rope_theta", 3.0,
			"rope_parameters", llama3.With("rope_theta", 500000))},
		"original outside": {llama, llama.With("rope_scaling",
			llama3.Without("original_max_position_embeddings"), "original_max_position_embeddings", 16)},
		"rope_theta an integer": {llama, llama.With("rope_theta", 500000)},
		"whole floats": {llama, llama.With("num_hidden_layers", 3.0, "hidden_size",
			json.RawMessage("24.0"), "vocab_size", json.RawMessage("1.01e2"))},
		"head_dim null": {llama, llama.With("head_dim", nil)},
		"head_dim":      {llama, llama.With("head_dim", 6)},
		"defaults said": {llama, llama.With("hidden_act", "silu", "rms_norm_eps", 1e-6,
			"tie_word_embeddings", false)},
		"tie_word_embeddings null": {llama, llama.With("tie_word_embeddings", nil)},
		"key-value heads absent": {llama.With("num_key_value_heads", 4),
			llama.Without("num_key_value_heads")},
		"key-value heads null": {llama.With("num_key_value_heads", 4),
			llama.With("num_key_value_heads", nil)},
		"rope_scaling null": {llama.Without("rope_scaling"), llama.With("rope_scaling", nil)},
		"rope_scaling default": {llama.Without("rope_scaling"),
			llama.With("rope_scaling", config{"rope_type": "default"})},
		"harmless keys": {llama, llama.With("torch_dtype", "bfloat16", "eos_token_id",
			[]int{1, 2}, "pretraining_tp", 1, "_name_or_path", "x", "use_cache", false)},
		"an unknown key that is null": {llama, llama.With("something", nil)},
		"no model_type": {llama, llama.Without("model_type").With("architectures",
			[]string{"LlamaForCausalLM"})},
		"architectures of another": {tiny("mistral"),
			tiny("mistral").With("architectures", []string{"LlamaForCausalLM"})},
		"mistral without a window": {tiny("mistral").With("sliding_window", nil),
			tiny("mistral").With("sliding_window", nil, "rope_scaling", nil)},
		"mistral's own window": {tiny("mistral").Without("sliding_window"),
			tiny("mistral").With("sliding_window", 4096)},
		"window not used": {tiny("qwen2").With("use_sliding_window", false),
			tiny("qwen2").With("use_sliding_window", nil, "sliding_window", nil)},
		"windows by layer": {tiny("qwen2"),
			tiny("qwen2").With("layer_types", []string{whole, slides, slides})},
		"head_dim of Qwen3": {tiny("qwen3").Without("head_dim"),
			tiny("qwen3").With("head_dim", 128)},
		"neox, new": {tiny("gpt_neox"),
			tiny("gpt_neox").Without("rotary_pct").With("rope_parameters",
				config{"rope_theta": 10000, "partial_rotary_factor": 0.7, "rope_type": "default"})},
		"neox, other names too": {tiny("gpt_neox").With("rotary_pct", 0.4, "rotary_emb_base", 100),
			tiny("gpt_neox").With("rotary_pct", 0.4, "rotary_emb_base", 100, "partial_rotary_factor", 0.4, "rope_theta", 100.0)},
		"rope_parameters and rope_scaling": {llama, llama.With("rope_parameters", llama3.With("rope_theta", 500000))},
		"phi, inside": {tiny("phi"),
			tiny("phi").Without("partial_rotary_factor").With("rope_parameters",
				config{"rope_theta": 10000, "partial_rotary_factor": 0.7})},
		"phi3, su": {tiny("phi3"),
			tiny("phi3").With("rope_scaling", config{"type": "su", "short_factor": []float64{1, 1.1, 1.3},
				"long_factor": []float64{1.5, 4, 9}})},
		"gemma2, caps": {tiny("gemma2").Without("attn_logit_softcapping", "final_logit_softcapping"),
			tiny("gemma2").With("attn_logit_softcapping", 50, "final_logit_softcapping", 30)},
		"gemma2, hidden_act": {tiny("gemma2"),
			tiny("gemma2").With("hidden_act", "gelu_pytorch_tanh")},
		"gemma, gelu": {tiny("gemma"),
			tiny("gemma").With("hidden_act", "gelu", "hidden_activation", nil)},
		"gemma, gelu twice": {tiny("gemma"),
			tiny("gemma").With("hidden_act", "gelu", "hidden_activation", "gelu_pytorch_tanh")},
		"gemma3, layer_types": {gemma3, gemma3.Without("sliding_window_pattern").With("layer_types",
			[]string{slides, slides, whole})},
		"gemma3, _pattern": {gemma3, gemma3.Without("sliding_window_pattern").
			With("_sliding_window_pattern", 3)},
		"gemma3, rope by layer": {gemma3, gemma3.Without("rope_scaling").With("rope_parameters", config{
			whole: config{"rope_type": "linear", "factor": 8.0,
				"rope_theta": 1000000.0}, slides: config{"rope_type": "default", "rope_theta": 10000.0}})},
		"gemma3, nested": {gemma3, {"model_type": "gemma3", "text_config": gemma3,
			"vision_config": config{"hidden_size": 8}, "mm_tokens_per_image": 4, "torch_dtype": "bfloat16"}},
		"gemma3, heads": {gemma3.With("num_attention_heads", 8, "num_key_value_heads", 4),
			gemma3.Without("num_attention_heads", "num_key_value_heads")},
		"smollm3, by layer": {tiny("smollm3"), tiny("smollm3").With("no_rope_layers", []int{1, 0, 1})},
		"olmo3, old": {tiny("olmo3").With("rope_theta", 500000.0, "rope_scaling",
			config{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16}),
			tiny("olmo3").With("rope_parameters", config{slides: config{"rope_theta": 500000},
				whole: config{"rope_theta": 500000, "rope_type": "yarn", "factor": 4,
					"original_max_position_embeddings": 16}})},
		"gpt-oss, its own rope": {tiny("gpt_oss"), tiny("gpt_oss").With("rope_scaling",
			config{"rope_type": "yarn", "factor": 32, "beta_fast": 32, "beta_slow": 1, "truncate": false,
				"original_max_position_embeddings": 4096})},
		"opt, width": {tiny("opt"), tiny("opt").With("word_embed_proj_dim", 24,
			"do_layer_norm_before", true)},
		"falcon, old names": {tiny("falcon"), tiny("falcon").Without("num_hidden_layers",
			"num_attention_heads", "num_kv_heads").With("n_layer", 3, "n_head", 4, "n_head_kv", 2)},
		"gpt2, n_ctx": {tiny("gpt2"), tiny("gpt2").Without("n_positions",
			"model_type").With("n_ctx", 300.0)},
		"gpt2, n_inner null": {tiny("gpt2").With("n_inner", 96), tiny("gpt2").With("n_inner", nil)},
		"gpt2, not scaled": {tiny("gpt2").With("scale_attn_weights", false),
			tiny("gpt2").With("scale_attn_weights", nil)},
		"lens": {lensConfig(), lensConfig().With("attn_scale", -1.0, "d_head", 6,
			"attn_scores_soft_cap", -1.0, "rotary_dim", nil, "normalization_type", "LNPre")},
		"lens, scale": {lensConfig().With("use_attn_scale", false),
			lensConfig().With("attn_scale", 1.0)},
	} {
		t.Run(name, func(t *testing.T) {
			if digest(t, pair[0]) != digest(t, pair[1]) {
				t.Errorf("two models:\n%+v\n%+v", spec(t, pair[0]), spec(t, pair[1]))
			}
		})
	}
}

func lensConfig() config {
	return config{"n_layers": 3, "n_heads": 4, "d_model": 24, "n_ctx": 48, "d_vocab": 101}
}

// Each of these keys changes the model, so none is skipped.
func TestMeanings(t *testing.T) {
	for kind, changes := range map[string]config{
		"gpt2": {"n_inner": 41, "activation_function": "relu", "layer_norm_epsilon": 1e-3,
			"scale_attn_weights": false, "tie_word_embeddings": false, "n_positions": 299,
			"scale_attn_by_inverse_layer_idx": true},
		"llama": {"rope_theta": 2.0, "rms_norm_eps": 1e-3, "hidden_act": "gelu", "attention_bias": false,
			"mlp_bias": false, "head_dim": 8,
			"num_key_value_heads": 1, "rope_scaling": nil, "tie_word_embeddings": true},
		"mistral": {"sliding_window": 8},
		"qwen2":   {"max_window_layers": 0, "use_sliding_window": false, "sliding_window": 4},
		"gemma":   {"head_dim": 10, "hidden_act": "relu"},
		"gemma2": {"query_pre_attn_scalar": 7, "attn_logit_softcapping": nil,
			"final_logit_softcapping": nil, "sliding_window": nil},
		"gemma3_text": {"rope_local_base_freq": 3.0, "rope_theta": 3.0, "sliding_window_pattern": 2,
			"final_logit_softcapping": 4.0},
		"olmo3":   {"sliding_window": 6, "attention_bias": true},
		"smollm3": {"no_rope_layer_interval": 3, "no_rope_layers": []int{0, 0, 0}},
		"gpt_neox": {"use_parallel_residual": false, "rotary_emb_base": 3, "rotary_pct": 1.0,
			"attention_bias": false, "hidden_act": "gelu_new"},
		"phi":  {"partial_rotary_factor": 1.0, "layer_norm_eps": 1e-3},
		"phi3": {"original_max_position_embeddings": 21, "sliding_window": 6},
		"gpt_oss": {"swiglu_limit": 2.0, "swiglu_alpha": 1.0, "num_experts_per_tok": 3,
			"sliding_window": nil, "attention_bias": false},
		"gptj": {"rotary_dim": 6},
		"opt": {"enable_bias": false, "layer_norm_elementwise_affine": false,
			"activation_function": "gelu"},
		"falcon": {"new_decoder_architecture": false, "bias": false, "num_ln_in_parallel_attn": 1,
			"rope_theta": 3.0, "num_kv_heads": 1},
	} {
		plain := digest(t, familytest.Tiny(kind))
		for key, value := range changes {
			if digest(t, familytest.Tiny(kind).With(key, value)) == plain {
				t.Errorf("%s: %s %v changes nothing", kind, key, value)
			}
		}
	}
	for key, value := range (config{"normalization_type": nil, "attn_scores_soft_cap": 3.0,
		"output_logits_soft_cap": 3.0, "attn_scale": 4.0, "act_fn": "relu", "parallel_attn_mlp": true,
		"d_head": 7, "d_mlp": 5, "eps": 0.1}) {
		if digest(t, lensConfig().With(key, value)) == digest(t, lensConfig()) {
			t.Errorf("TransformerLens: %s %v changes nothing", key, value)
		}
	}
}

// A configuration that cannot be computed exactly is refused, and the error names the key.
func TestRefusals(t *testing.T) {
	invalid, unsupported := checkpoint.ErrConfig, checkpoint.ErrUnsupported
	for _, x := range []struct {
		kind  string
		key   string
		value any
		is    error
		words string
	}{
		{"gpt2", "model_type", "bloom", unsupported, "bloom|ALiBi"},
		{"gpt2", "model_type", "deepseek_v3", unsupported, "deepseek_v3|MLA"},
		{"gpt2", "model_type", "gemma3n", unsupported, "per-layer embeddings"},
		{"gpt2", "model_type", "qwen3_next", unsupported, "linear attention"},
		{"gpt2", "model_type", "mystery", unsupported, "mystery|gpt2"},
		{"gpt2", "architectures", []string{"GPT2ForSequenceClassification"}, unsupported,
			"GPT2ForSequenceClassification"},
		{"gpt2", "activation_function", "mish", unsupported, "activation_function|mish"},
		{"gpt2", "add_cross_attention", true, unsupported, "add_cross_attention"},
		{"gpt2", "is_encoder_decoder", true, unsupported, "is_encoder_decoder"},
		{"gpt2", "quantization_config", config{"quant_method": "fp8"}, unsupported,
			"quantization_config|fp8"},
		{"gpt2", "n_layer", 0, invalid, "n_layer is 0"},
		{"gpt2", "n_layer", nil, invalid, "n_layer is missing"},
		{"gpt2", "n_layer", "3", invalid, "n_layer"},
		{"gpt2", "n_layer", 2.5, invalid, "n_layer|2.5"},
		{"gpt2", "n_layer", -3, invalid, "-3"},
		{"gpt2", "n_layer", json.RawMessage("1000000000000000000"), invalid, "1000000000000000000"},
		{"gpt2", "vocab_size", json.RawMessage("1e30"), invalid, "vocab_size"},
		{"gpt2", "n_head", 5, invalid, "24|5"},
		{"gpt2", "n_ctx", 47, invalid, "47|300"},
		{"gpt2", "layer_norm_epsilon", -0.1, invalid, "layer_norm_epsilon"},
		{"gpt2", "layer_norm_epsilon", "NaN", invalid, "layer_norm_epsilon"},
		{"gpt2", "bos_token_id", 1.5, invalid, "bos_token_id"},
		{"gpt2", "eos_token_id", []any{1, "x"}, invalid, "eos_token_id"},
		{"llama", "logit_scale", 0.25, unsupported, "logit_scale"},
		{"llama", "residual_multiplier", 0.25, unsupported, "residual_multiplier"},
		{"llama", "partial_rotary_factor", 0.5, unsupported, "partial_rotary_factor"},
		{"llama", "sliding_window", 5, unsupported, "sliding_window"},
		{"llama", "use_qk_norm", true, unsupported, "use_qk_norm"},
		{"llama", "num_key_value_heads", 3, invalid, "key-value heads"},
		{"llama", "hidden_act", "laplace", unsupported, "hidden_act|laplace"},
		{"llama", "head_dim", 7, invalid, "even"},
		{"llama", "rope_theta", 0, invalid, "rope_theta"},
		{"llama", "rope_theta", nil, invalid, "rope_theta"},
		{"llama", "rope_scaling", config{"type": "dynamic", "factor": 2}, unsupported,
			"dynamic|rope_scaling"},
		{"llama", "rope_scaling", config{"rope_type": "mrope", "mrope_section": []int{1}}, unsupported,
			"mrope|mrope_section"},
		{"llama", "rope_scaling", config{"type": "linear", "rope_type": "yarn", "factor": 2}, invalid,
			"linear|yarn"},
		{"llama", "rope_scaling", config{"rope_type": "linear"}, invalid, "factor is missing"},
		{"llama", "rope_scaling", config{"rope_type": "linear", "factor": -1}, invalid, "factor"},
		{"llama", "rope_scaling", config{"rope_type": "linear", "factor": 2, "bend": 3}, unsupported, "bend"},
		{"llama", "rope_scaling", config{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
			"high_freq_factor": 1}, invalid, "low_freq_factor"},
		{"llama", "rope_parameters", config{"rope_theta": 1}, unsupported, "rope_parameters|rope_scaling"},
		{"llama", "rope_scaling", 3, invalid, "rope_scaling"},
		{"mistral", "layer_types", []string{whole, whole, whole}, unsupported, "layer_types"},
		{"qwen2", "layer_types", []string{whole, whole}, invalid, "layer_types|3 layers"},
		{"qwen2", "layer_types", []string{whole, whole, "linear_attention"}, unsupported,
			"layer_types|linear_attention"},
		{"mistral", "sliding_window", 0, invalid, "sliding_window"},
		{"qwen2", "use_mrope", true, unsupported, "use_mrope"},
		{"gemma2", "use_bidirectional_attention", true, unsupported, "use_bidirectional_attention"},
		{"gemma2", "attn_logit_softcapping", -1, invalid, "attn_logit_softcapping"},
		{"gemma3_text", "rope_parameters", config{"rope_theta": 1}, unsupported, "rope_parameters"},
		{"olmo", "clip_qkv", 8.0, unsupported, "clip_qkv"},
		{"gemma", "hidden_activation", "relu", unsupported, "hidden_act|hidden_activation|relu"},
		{"gpt_neox", "partial_rotary_factor", 0.4, unsupported, "partial_rotary_factor|rotary_pct"},
		{"gpt_neox", "rope_theta", 3, unsupported, "rope_theta|rotary_emb_base"},
		{"gemma3_text", "attn_logit_softcapping", 4.0, unsupported, "attn_logit_softcapping"},
		{"olmo3", "rope_theta", 3.0, unsupported, "rope_theta|500000"},
		{"phi", "qk_layernorm", true, unsupported, "qk_layernorm"},
		{"phi", "partial_rotary_factor", 0.5, invalid, "partial_rotary_factor"},
		{"phi3", "original_max_position_embeddings", nil, invalid, "long_factor|short_factor"},
		{"phi3", "rope_scaling", config{"type": "longrope", "short_factor": []int{1},
			"long_factor": []int{1, 2, 3}}, invalid, "short_factor has 1"},
		{"phi3", "rope_scaling", config{"type": "longrope", "short_factor": []int{1, 2, 0},
			"long_factor": []int{1, 2, 3}}, invalid, "short_factor"},
		{"opt", "do_layer_norm_before", false, unsupported, "do_layer_norm_before"},
		{"opt", "word_embed_proj_dim", 12, unsupported, "word_embed_proj_dim"},
		{"opt", "_remove_final_layer_norm", true, unsupported, "_remove_final_layer_norm"},
		{"falcon", "alibi", true, unsupported, "alibi"},
		{"gptj", "rotary_dim", nil, invalid, "rotary_dim"},
		{"gptj", "rotary_dim", 3, invalid, "rotary_dim"},
		{"gpt_oss", "num_experts_per_tok", 9, invalid, "num_experts_per_tok"},
		{"smollm3", "no_rope_layers", []int{1}, invalid, "no_rope_layers"},
		{"", "positional_embedding_type", "rotary", unsupported, "positional_embedding_type|rotary"},
		{"", "normalization_type", "RMS", unsupported, "normalization_type|RMS"},
		{"", "attn_only", true, unsupported, "attn_only"},
		{"", "attention_dir", "bidirectional", unsupported, "attention_dir"},
		{"", "act_fn", "solu_ln", unsupported, "act_fn|solu_ln"},
		{"", "use_qk_norm", true, unsupported, "use_qk_norm"},
		{"", "d_vocab_out", 5, unsupported, "d_vocab_out"},
		{"", "mystery", 5, unsupported, "mystery"},
	} {
		c := lensConfig()
		if x.kind != "" {
			c = familytest.Tiny(x.kind)
		}
		if x.kind == "gemma3_text" {
			c = c.Without("rope_scaling")
		}
		if x.words == "long_factor|short_factor" {
			c = c.With("rope_scaling", config{"type": "longrope"})
		}
		t.Run(fmt.Sprintf("%s %s %v", x.kind, x.key, x.value), func(t *testing.T) {
			_, err := read(t, c.With(x.key, x.value))
			if !errors.Is(err, x.is) {
				t.Fatalf("%v, want %v", err, x.is)
			}
			for _, word := range strings.Split(x.words, "|") {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v: want it to name %s", err, word)
				}
			}
			if len(err.Error()) > 2000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
	_, err := read(t, familytest.Tiny("gpt2").With("n_layer", 0, "n_embd", 0))
	if err == nil || !strings.Contains(err.Error(), "n_layer") || !strings.Contains(err.Error(), "n_embd") {
		t.Errorf("two faults: %v", err)
	}
}

// A token is a number, a list of numbers, or missing.
func TestTokenIDs(t *testing.T) {
	m, err := read(t, familytest.Tiny("gpt2").With("bos_token_id", 7.0, "eos_token_id", []int{3, 4},
		"architectures", []string{"GPT2LMHeadModel"}))
	if err != nil || m.BOS != 7 || len(m.EOS) != 2 || m.EOS[1] != 4 || m.Class != "GPT2LMHeadModel" {
		t.Errorf("%+v, %v", m, err)
	}
	m, err = read(t, familytest.Tiny("gpt2").With("bos_token_id", nil))
	if err != nil || m.BOS != -1 || m.EOS != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

// Whatever is accepted is within the bounds.
func FuzzConfig(f *testing.F) {
	for _, kind := range familytest.Types() {
		text, err := json.Marshal(familytest.Tiny(kind))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"d_model":32,"n_layers":3,"n_heads":4,"n_ctx":48,"d_vocab":1015,
		"normalization_type":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := checkpoint.ParseKeys(text)
		if err != nil {
			return
		}
		m, err := family.Configure(values)
		if err != nil {
			if !errors.Is(err, checkpoint.ErrConfig) && !errors.Is(err, checkpoint.ErrUnsupported) {
				t.Errorf("%v is neither ErrConfig nor ErrUnsupported", err)
			}
			return
		}
		s := m.Spec
		if s.Layers < 1 || s.Heads < 1 || s.KVHeads < 1 || s.Heads%s.KVHeads != 0 || s.DHead < 1 ||
			s.DMLP < 1 || s.NCtx < 1 || s.DVocab < 1 ||
			!(s.Norm.Eps >= 0) || !(s.AttnScale > 0) || s.Rotary != nil && len(s.Rotary) != s.Layers {
			t.Errorf("%+v", s)
		}
	})
}
