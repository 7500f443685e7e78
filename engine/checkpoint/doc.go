// Package checkpoint opens the files of a model and checks them before anybody uses them. It knows no
// architecture: which tensors there should be, of which shapes, and what they mean, package family says.
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
// Tensors keep the names and the layouts of the file. A GGUF's dimensions are given the other way round, so
// that in every form the last dimension runs fastest.
//
// The configuration comes as it is written: the values of config.json by key ([Checkpoint.Keys]), or a GGUF's
// metadata ([Checkpoint.Metadata]).
//
// Weight files come from strangers. Every length, offset, shape and name in them is checked against the size
// of the file before it decides an allocation; the errors name the tensor, what was found and what was
// wanted. Pickled files are never opened, and what is no regular file is not opened either.
//
// Traps: a [View] of a memory-mapped file is valid until [Checkpoint.Close], is read-only (writing to it
// faults), and the file must not be truncated by another process while it is open. The arrays of a .npz are
// decompressed anew at every [Checkpoint.Tensor]; [Checkpoint.Info] tells a shape without that.
package checkpoint
