package family

import "strings"

// harmless are keys of configurations that do not change a forward pass: who made the file, how the model was
// trained, how text is generated.
var harmless = words(`
	_name_or_path transformers_version torch_dtype dtype architectures auto_map model_name tokenizer_class
	processor_class use_cache cache_implementation use_bfloat16 attn_implementation _attn_implementation
	_attn_implementation_autoset use_flash_attn use_flash_attention use_flash_attention_2 flash_attn
	fused_dense fused_mlp reorder_and_upcast_attn gradient_checkpointing torchscript return_dict
	return_dict_in_generate output_attentions output_hidden_states output_scores output_router_logits
	router_aux_loss_coef is_decoder is_composition chunk_size_feed_forward low_cpu_mem_usage
	initializer_range init_std initializer_factor init_device seed attention_dropout
	attention_probs_dropout_prob hidden_dropout hidden_dropout_prob dropout activation_dropout attn_pdrop
	embd_pdrop resid_pdrop layerdrop classifier_dropout summary_first_dropout embedding_dropout
	summary_activation summary_proj_to_labels summary_type summary_use_proj problem_type id2label label2id
	num_labels finetuning_task task_specific_params cross_attention_hidden_size tie_encoder_decoder
	bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id decoder_start_token_id
	forced_bos_token_id forced_eos_token_id prefix max_length min_length do_sample early_stopping num_beams
	num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty
	no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences
	remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens
	use_return_dict is_llama_config transformers.js_config _num_labels output_past model_max_length
	_commit_hash trust_remote_code license pretraining_tp model_parallel max_sequence_length language
	unsloth_fixed unsloth_version parallel_size
`)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

// isHarmless reports whether a key is on the list or is a comment.
func isHarmless(key string) bool { return harmless[key] || strings.HasPrefix(key, "_comment") }
