package family_test

import (
	"encoding/json"
	"math"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
)

// Published configurations are read, with all their keys that change nothing. Lists with an entry for each
// layer are left out here.
func TestPublished(t *testing.T) {
	for name, x := range map[string]struct {
		text  string
		check func(*family.Model) bool
	}{
		"gpt2-xl": {`{"activation_function":"gelu_new","architectures":["GPT2LMHeadModel"],"attn_pdrop":0.1,
			"bos_token_id":50256,"embd_pdrop":0.1,
			"eos_token_id":50256,"initializer_range":0.02,"layer_norm_epsilon":1e-05,"model_type":"gpt2",
				"n_ctx":1024,"n_embd":1600,"n_head":25,"n_layer":48,
			"n_positions":1024,"output_past":true,"resid_pdrop":0.1,"summary_activation":null,
				"summary_first_dropout":0.1,"summary_proj_to_labels":true,
			"summary_type":"cls_index","summary_use_proj":true,
				"task_specific_params":{"text-generation":{"do_sample":true,"max_length":50}},
				"vocab_size":50257}`,
			func(m *family.Model) bool { return m.Spec.DHead == 64 && m.Spec.Tied && m.BOS == 50256 }},
		"pythia-70m": {`{"architectures":["GPTNeoXForCausalLM"],"bos_token_id":0,"classifier_dropout":0.1,
			"eos_token_id":0,"hidden_act":"gelu","hidden_size":512,
			"initializer_range":0.02,"intermediate_size":2048,"layer_norm_eps":1e-05,
				"max_position_embeddings":2048,"model_type":"gpt_neox","num_attention_heads":8,
			"num_hidden_layers":6,"rotary_emb_base":10000,"rotary_pct":0.25,"tie_word_embeddings":false,
				"torch_dtype":"float16","transformers_version":"4.24.0",
			"use_cache":true,"use_parallel_residual":true,"vocab_size":50304}`,
			func(m *family.Model) bool { return m.Spec.Parallel && m.Spec.Rotary[5].Dims == 16 }},
		"SmolLM2-135M-Instruct": {`{"architectures":["LlamaForCausalLM"],"attention_bias":false,
			"attention_dropout":0.0,"bos_token_id":1,"eos_token_id":2,"hidden_act":"silu",
			"hidden_size":576,"initializer_range":0.041666666666666664,"intermediate_size":1536,
				"is_llama_config":true,"max_position_embeddings":8192,"mlp_bias":false,
			"model_type":"llama","num_attention_heads":9,"num_hidden_layers":30,"num_key_value_heads":3,
				"pad_token_id":2,"pretraining_tp":1,"rms_norm_eps":1e-05,
			"rope_interleaved":false,"rope_scaling":null,"rope_theta":100000,"tie_word_embeddings":true,
				"torch_dtype":"bfloat16",
			"transformers.js_config":{"kv_cache_dtype":{"q4f16":"float16"}},"transformers_version":"4.42.3",
				"use_cache":true,"vocab_size":49152}`,
			func(m *family.Model) bool { return m.Spec.KVHeads == 3 && m.Spec.Norm.Eps == 1e-5 }},
		"Llama-3.2-1B": {`{"architectures":["LlamaForCausalLM"],"attention_bias":false,
			"attention_dropout":0.0,"bos_token_id":128000,"eos_token_id":128001,"head_dim":64,
			"hidden_act":"silu","hidden_size":2048,"initializer_range":0.02,"intermediate_size":8192,
				"max_position_embeddings":131072,"mlp_bias":false,"model_type":"llama",
			"num_attention_heads":32,"num_hidden_layers":16,"num_key_value_heads":8,"pretraining_tp":1,
				"rms_norm_eps":1e-05,"rope_scaling":{"factor":32.0,
			"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":8192,
				"rope_type":"llama3"},"rope_theta":500000.0,"tie_word_embeddings":true,
			"torch_dtype":"bfloat16","transformers_version":"4.45.0.dev0","use_cache":true,
				"vocab_size":128256}`,
			func(m *family.Model) bool { return m.Spec.NCtx == 131072 }},
		"Qwen2.5-0.5B": {`{"architectures":["Qwen2ForCausalLM"],"attention_dropout":0.0,"bos_token_id":151643,
			"eos_token_id":151643,"hidden_act":"silu","hidden_size":896,
			"initializer_range":0.02,"intermediate_size":4864,"max_position_embeddings":32768,
				"max_window_layers":24,"model_type":"qwen2","num_attention_heads":14,
			"num_hidden_layers":24,"num_key_value_heads":2,"rms_norm_eps":1e-06,"rope_theta":1000000.0,
				"sliding_window":32768,"tie_word_embeddings":true,
			"torch_dtype":"bfloat16","transformers_version":"4.40.1","use_cache":true,"use_mrope":false,
				"use_sliding_window":false,"vocab_size":151936}`,
			func(m *family.Model) bool { return m.Spec.Window == nil && m.Spec.Bias.QKV && !m.Spec.Bias.O }},
		"gemma-2-27b": {`{"architectures":["Gemma2ForCausalLM"],"attention_bias":false,
			"attention_dropout":0.0,"attn_logit_softcapping":50.0,"bos_token_id":2,
			"cache_implementation":"hybrid","eos_token_id":1,"final_logit_softcapping":30.0,"head_dim":128,
				"hidden_act":"gelu_pytorch_tanh",
			"hidden_activation":"gelu_pytorch_tanh","hidden_size":4608,"initializer_range":0.02,
				"intermediate_size":36864,"max_position_embeddings":8192,"model_type":"gemma2",
			"num_attention_heads":32,"num_hidden_layers":46,"num_key_value_heads":16,"pad_token_id":0,
				"query_pre_attn_scalar":144,"rms_norm_eps":1e-06,"rope_theta":10000.0,
			"sliding_window":4096,"sliding_window_size":4096,"torch_dtype":"float32",
				"transformers_version":"4.42.0.dev0","use_cache":true,"vocab_size":256000,
				"_attn_implementation":"eager"}`,
			func(m *family.Model) bool {
				return m.Spec.AttnScale == 12 && m.Spec.Window[0] == 4096 && m.Spec.Window[1] == 0
			}},
		"gemma-3-4b-it": {`{"architectures":["Gemma3ForConditionalGeneration"],"boi_token_index":255999,
			"eoi_token_index":256000,"eos_token_id":[1,106],"image_token_index":262144,
			"initializer_range":0.02,"mm_tokens_per_image":256,"model_type":"gemma3",
				"text_config":{"hidden_size":2560,"intermediate_size":10240,"model_type":"gemma3_text",
			"num_hidden_layers":34,"rope_scaling":{"factor":8.0,"rope_type":"linear"},"sliding_window":1024},
				"torch_dtype":"bfloat16","transformers_version":"4.50.0.dev0",
			"vision_config":{"hidden_size":1152,"image_size":896,"intermediate_size":4304,
				"model_type":"siglip_vision_model","num_attention_heads":16,"num_hidden_layers":27,
			"patch_size":14,"vision_use_head":false}}`,
			func(m *family.Model) bool {
				s := m.Spec
				return s.Heads == 8 && s.KVHeads == 4 && s.DHead == 256 && s.DVocab == 262208 &&
					s.Window[0] == 1024 && s.Window[5] == 0 && len(m.EOS) == 2 && s.Tied &&
					math.Abs(s.Rotary[5].Frequencies[0]-0.125) < 1e-12 && s.Rotary[0].Frequencies[0] == 1
			}},
		"SmolLM3-3B": {`{"architectures":["SmolLM3ForCausalLM"],"attention_bias":false,
			"attention_dropout":0.0,"bos_token_id":128000,"eos_token_id":128012,"hidden_act":"silu",
			"hidden_size":2048,"initializer_range":0.02,"intermediate_size":11008,
				"max_position_embeddings":65536,"max_window_layers":28,"mlp_bias":false,
				"model_type":"smollm3",
			"no_rope_layer_interval":4,"num_attention_heads":16,"num_hidden_layers":36,
				"num_key_value_heads":4,"pad_token_id":128004,"pretraining_tp":2,"rms_norm_eps":1e-06,
			"rope_scaling":null,"rope_theta":5000000.0,"sliding_window":null,"torch_dtype":"bfloat16",
				"transformers_version":"4.54.0.dev0","use_cache":false,
			"use_sliding_window":false,"vocab_size":128256}`,
			func(m *family.Model) bool {
				return m.Spec.Rotary[3].Dims == 0 && m.Spec.Rotary[2].Dims == 128 && m.Spec.Tied
			}},
		"gpt-oss-20b": {`{"architectures":["GptOssForCausalLM"],"attention_bias":true,"attention_dropout":0.0,
			"eos_token_id":200002,"experts_per_token":4,"head_dim":64,
			"hidden_act":"silu","hidden_size":2880,"initial_context_length":4096,"initializer_range":0.02,
				"intermediate_size":2880,"max_position_embeddings":131072,
			"model_type":"gpt_oss","num_attention_heads":64,"num_experts_per_tok":4,"num_hidden_layers":24,
				"num_key_value_heads":8,"num_local_experts":32,
			"output_router_logits":false,"pad_token_id":199999,
				"quantization_config":{"modules_to_not_convert":["model.layers.*.self_attn","lm_head"],
				"quant_method":"mxfp4"},
			"rms_norm_eps":1e-05,"rope_scaling":{"beta_fast":32.0,"beta_slow":1.0,"factor":32.0,
				"original_max_position_embeddings":4096,"rope_type":"yarn","truncate":false},
			"rope_theta":150000,"router_aux_loss_coef":0.9,"sliding_window":128,"swiglu_limit":7.0,
				"tie_word_embeddings":false,"transformers_version":"4.55.0.dev0",
			"use_cache":true,"vocab_size":201088}`,
			func(m *family.Model) bool {
				return m.Spec.Experts.Count == 32 && m.Spec.Sinks &&
					m.Spec.Window[1] == 0
			}},
		"falcon-11B": {`{"activation":"gelu","alibi":false,"architectures":["FalconForCausalLM"],
			"attention_dropout":0.0,"bias":false,"bos_token_id":11,"eos_token_id":11,
			"ff_factor":4,"ffn_hidden_size":16384,"hidden_dropout":0.0,"hidden_size":4096,
				"initializer_range":0.02,"layer_norm_epsilon":1e-05,"max_position_embeddings":8192,
			"model_type":"falcon","multi_query":true,"new_decoder_architecture":true,"num_attention_heads":32,
				"num_hidden_layers":60,"num_kv_heads":8,
			"num_ln_in_parallel_attn":1,"parallel_attn":true,"rope_theta":500042.0,
				"tie_word_embeddings":false,"torch_dtype":"bfloat16","vocab_size":65024}`,
			func(m *family.Model) bool { return m.Spec.SharedNorm && m.Spec.KVHeads == 8 }},
		"phi-2": {`{"architectures":["PhiForCausalLM"],"attention_dropout":0.0,"bos_token_id":50256,
			"embd_pdrop":0.0,"eos_token_id":50256,"hidden_act":"gelu_new","hidden_size":2560,
			"initializer_range":0.02,"intermediate_size":10240,"layer_norm_eps":1e-05,
				"max_position_embeddings":2048,"model_type":"phi","num_attention_heads":32,
			"num_hidden_layers":32,"num_key_value_heads":32,"partial_rotary_factor":0.4,"qk_layernorm":false,
				"resid_pdrop":0.1,"rope_scaling":null,"rope_theta":10000.0,
			"tie_word_embeddings":false,"torch_dtype":"float16","transformers_version":"4.37.0",
				"use_cache":true,"vocab_size":51200}`,
			func(m *family.Model) bool { return m.Spec.Rotary[0].Dims == 32 && m.Spec.Bias.U }},
	} {
		t.Run(name, func(t *testing.T) {
			var values checkpoint.Keys
			if err := json.Unmarshal([]byte(x.text), &values); err != nil {
				t.Fatal(err)
			}
			m, err := family.Configure(values)
			if err != nil {
				t.Fatal(err)
			}
			if !x.check(m) {
				t.Errorf("%+v", m.Spec)
			}
		})
	}
}
