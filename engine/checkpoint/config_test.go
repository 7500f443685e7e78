package checkpoint_test

import (
	"testing"

	"ducklens/engine/checkpoint"
)

// Both spellings of a configuration, and what may be left out.
func TestParseConfig(t *testing.T) {
	t.Parallel()
	small := checkpoint.Config{NLayers: 12, NHeads: 12, DModel: 768, DMLP: 3072, NCtx: 1024, DVocab: 50257, LNEps: 1e-5, Activation: "gelu_new", BOS: -1, EOS: -1}
	for name, c := range map[string]struct {
		text  string
		class string
		dmlp  int
		bos   int
		tied  bool
	}{
		"Hugging Face, least":    {`{"n_layer":12,"n_head":12,"n_embd":768,"n_positions":1024,"vocab_size":50257}`, "", 3072, -1, true},
		"Hugging Face, nulls":    {`{"n_layer":12,"n_head":12,"n_embd":768,"n_ctx":1024,"vocab_size":50257,"n_inner":null,"bos_token_id":null}`, "", 3072, -1, true},
		"Hugging Face, untied":   {`{"architectures":["GPT2LMHeadModel"],"n_layer":12,"n_head":12,"n_embd":768,"n_ctx":1024,"n_inner":1536,"vocab_size":50257,"bos_token_id":7,"tie_word_embeddings":false}`, "GPT2LMHeadModel", 1536, 7, false},
		"harmless settings":      {`{"n_layer":12,"n_head":12,"n_embd":768,"n_ctx":1024,"vocab_size":50257,"reorder_and_upcast_attn":true,"activation_function":"gelu_pytorch_tanh","resid_pdrop":0.1}`, "", 3072, -1, true},
		"TransformerLens, least": {`{"n_layers":12,"n_heads":12,"d_model":768,"n_ctx":1024,"d_vocab":50257}`, "", 3072, -1, false},
		"TransformerLens, more": {`{"n_layers":12,"n_heads":12,"d_model":768,"d_head":64,"d_mlp":3072,"n_ctx":1024,"d_vocab":50257,"eps":1e-5,"act_fn":"gelu_new","attn_scale":8.0,
			"normalization_type":"LNPre","positional_embedding_type":"standard","original_architecture":"GPT2LMHeadModel","use_attn_scale":true,"attention_dir":"causal","rotary_dim":null}`, "GPT2LMHeadModel", 3072, -1, false},
	} {
		got, err := checkpoint.ParseConfig([]byte(c.text))
		want := small
		want.Architecture, want.DMLP, want.BOS, want.Tied = c.class, c.dmlp, c.bos, c.tied
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}
