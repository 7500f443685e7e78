package model

// Source says where and how a checkpoint stores a parameter. The zero Source is a parameter that is not
// stored.
type Source struct {
	Tensor string  // its name in the checkpoint
	Order  Order   // of a matrix
	Plus   float64 // added to every number: Gemma stores gains minus 1

	// Out maps output i of the parameter (i counts heads * d_head for attention) to the output in the stored
	// tensor, for parts of fused tensors and permuted rows. nil: i itself.
	Out func(i int) int

	// Expert is for tensors that hold all experts, one after the other: the source is part Expert of Experts.
	// Experts 0: the tensor is not divided.
	Expert, Experts int

	// Scales is the tensor of exponents of four-bit numbers ([checkpoint.Checkpoint.MXFP4]); "" for all other
	// types.
	Scales string
}

// Order is the order in which a matrix with inputs and outputs is stored.
type Order uint8

// OutIn is PyTorch's Linear, InOut is GPT-2's Conv1D. HeadInOut and HeadOutIn are TransformerLens's [head,
// d_model, d_head] (W_Q, W_K, W_V) and [head, d_head, d_model] (W_O).
const (
	OutIn Order = iota
	InOut
	HeadInOut
	HeadOutIn
)

// OutputOf returns the output in the stored tensor of output i of the parameter.
func (s Source) OutputOf(i int) int {
	if s.Out == nil {
		return i
	}
	return s.Out(i)
}

// Stored reports whether the checkpoint has the parameter.
func (s Source) Stored() bool { return s.Tensor != "" }

// Sources say where the parameters of a model are.
type Sources struct {
	Embed, Position       Source // [d_vocab, d_model], [n_ctx, d_model]
	FinalGain, FinalShift Source // [d_model]
	// [d_vocab, d_model] (OutIn) or [d_model, d_vocab] (InOut); [d_vocab]. Unembed is Embed if the model is
	// tied.
	Unembed, UnembedBias Source
	Layer                func(layer int) LayerSources

	// Folded says that the norms' gains and shifts are already folded into the stored weights (a processed
	// TransformerLens state dict), so there is no raw form.
	Folded bool
}

// LayerSources say where the parameters of one layer are.
type LayerSources struct {
	Gain, Shift         Source // of the norm before attention [d_model]
	Q, K, V             Source // [d_model -> heads d_head], kv_heads d_head for K and V
	QBias, KBias, VBias Source
	QGain, KGain        Source // of QK-norm: [d_head], or the full width
	Sink                Source // [heads]
	O, OBias            Source // [heads d_head -> d_model]
	PostAttnGain        Source // of the norm after attention
	MLPGain, MLPShift   Source // of the norm before the MLP
	Gate, GateBias      Source // [d_model -> d_mlp]
	// [d_model -> d_mlp]; for an expert without Gate: gate and up interleaved [d_model -> 2 d_mlp].
	In, InBias         Source
	Out, OutBias       Source // [d_mlp -> d_model]
	PostMLPGain        Source // of the norm after the MLP
	Router, RouterBias Source // [d_model -> experts]
	Experts            func(expert int) ExpertSources
}

// ExpertSources say where one expert is. Without Gate, gate and up are interleaved in In [d_model -> 2
// d_mlp].
type ExpertSources struct {
	Gate, GateBias, In, InBias, Out, OutBias Source
}
