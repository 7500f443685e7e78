// Package checkpoint opens the weights of a GPT-2-style model and checks them before anybody uses them.
//
// [Open] reads a folder in one of two forms:
//
//   - a Hugging Face model: config.json with model.safetensors, or with model.safetensors.index.json and
//     its shards. The file is memory-mapped; tensors are F32, F16 or BF16, named with or without
//     "transformer.";
//   - a TransformerLens state dict: config.json with model.npz, one array per parameter under its
//     TransformerLens name (numpy.savez of the arrays of model.state_dict()). The state dict may be of a
//     model with raw or with processed weights.
//
// Both reach the reader under one set of names and layouts, those of Hugging Face without the prefix, in
// the (in, out) order of Conv1D; see [Checkpoint.Tensor] for the list. The unembedding is the one thing the
// forms do not share, so it has a method of its own, [Checkpoint.Unembedding].
//
// config.json carries Hugging Face's keys (n_layer, n_head, n_embd, n_ctx or n_positions, n_inner,
// vocab_size, layer_norm_epsilon, activation_function), or TransformerLens' (n_layers, n_heads, d_model,
// n_ctx, d_mlp, d_vocab, eps, act_fn). Settings that would change the mathematics are refused.
//
// Weight files come from strangers. Every length, offset, shape and name in them is checked against the
// size of the file and against the configuration before it decides an allocation; the errors name the
// tensor, what was found and what was wanted. Pickled files are never opened.
//
// Traps: a [View] of a memory-mapped file is valid until [Checkpoint.Close], is read-only (writing to it
// faults), and the file must not be truncated by another process while it is open. The arrays of a .npz
// are decompressed anew at every [Checkpoint.Tensor].
package checkpoint
