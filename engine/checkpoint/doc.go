// Package checkpoint opens the files of a model and checks them before anything else uses them. It knows no
// architecture: package family says which tensors there should be, of which shapes, and what they mean.
//
// [Open] reads a model in one of three forms:
//
//   - a Hugging Face folder: config.json with model.safetensors, or with model.safetensors.index.json and its
//     shards. The files are memory-mapped;
//   - a TransformerLens folder: config.json with model.npz, one array per parameter under its TransformerLens
//     name (numpy.savez of the arrays of model.state_dict());
//   - a GGUF: the file itself, the first of split files (NAME-00001-of-00003.gguf), or a folder that holds
//     nothing else that is read. The files are memory-mapped.
//
// Tensors keep the names and the layouts of the file. The dimensions of a GGUF are returned in reverse, so
// that in every form the last dimension varies fastest.
//
// The configuration is returned as it is written: the values of config.json by key ([Checkpoint.Keys]), or
// the metadata of a GGUF ([Checkpoint.Metadata]).
//
// Weight files come from strangers. Every length, offset, shape and name in them is checked against the size
// of the file before it decides an allocation. Errors name the tensor, what was found and what was wanted.
// Pickled files are never opened, nor is anything that is not a regular file.
//
// A [View] of a memory-mapped file is valid until [Checkpoint.Close]. It is read-only (writing to it faults),
// and no other process may truncate the file while it is open. The arrays of a .npz are decompressed at every
// call of [Checkpoint.Tensor]; [Checkpoint.Info] returns a shape without that.
package checkpoint
