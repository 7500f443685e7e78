package model

import (
	"fmt"
	"slices"

	"ducklens/engine/rotary"
	"ducklens/schema"
)

// Spec is everything about a decoder that is not a weight: its sizes, and what is computed in which order.
// Package family makes one from a configuration; [Load] and the forward pass know no family.
type Spec struct {
	Family                                                    string // such as gpt2, llama
	Layers, Heads, KVHeads, DModel, DHead, DMLP, DVocab, NCtx int    // NCtx: most tokens of a prompt

	Norm        Norm    // before attention, before the MLP, and before the unembedding
	PreNorm     bool    // false: attention and MLP read the stream as it is; Norm is that of post-norms and the last one
	NoFinalNorm bool    // nor is there a norm before the unembedding (TransformerLens: normalization_type null)
	PostNorm    bool    // what attention and what the MLP write goes through a norm of its own before it is added
	Parallel    bool    // the MLP reads the stream that attention read, not the one it wrote to
	SharedNorm  bool    // with Parallel: it reads it through the norm of attention
	EmbedScale  float64 // W_E[token] times this is the embedding component; 1 in most families

	Position       bool // learned position embeddings W_pos are added to the stream
	PositionOffset int  // row of the stored table for position 0

	Rotary    []rotary.Rotary // by layer; a layer with Dims 0 does not turn. nil: none does
	Window    []int           // by layer: positions a query sees, its own included; 0: all. nil: all in every layer
	QKNorm    QKNorm
	QKNormEps float64
	AttnScale float64 // scores are q . k / AttnScale: sqrt(d_head) in most families (TransformerLens: attn_scale)
	ByLayer   bool    // in layer l they are divided by l + 1 too
	SoftCap   float64 // scores s become cap tanh(s / cap) before softmax; 0: they do not
	LogitCap  float64 // the same for logits
	Sinks     bool    // softmax has one more column, a logit of the head, which is dropped afterwards

	Activation Activation
	Gated      bool     // MLP: W_out (act(W_gate x) * W_in x), else W_out act(W_in x)
	Experts    *Experts // nil: one MLP a layer

	Bias Biases
	Tied bool // the unembedding is the transposed token embedding
}

// Norm is the norm of a model: (x - mean) / sqrt(mean((x - mean)^2) + eps) for LN, x / sqrt(mean(x^2) + eps)
// for RMS. Gains and shifts are weights.
type Norm struct {
	Centre bool // LN: the mean is taken away
	Eps    float64
}

// QKNorm says whether q and k are normalised (RMS, with a gain) before they turn.
type QKNorm uint8

// PerHead normalises each head's vector by itself, FullWidth all heads of a position together.
const (
	NoQKNorm QKNorm = iota
	PerHead
	FullWidth
)

// Activation is the nonlinearity of the MLPs.
type Activation uint8

// GELUTanh is the tanh form (gelu_new, gelu_pytorch_tanh), GELU the erf form.
const (
	GELUTanh Activation = iota
	GELU
	SiLU
	ReLU
)

// String is the name that configurations have for it.
func (a Activation) String() string { return [...]string{"gelu_new", "gelu", "silu", "relu"}[a] }

// Experts is a mixture of experts: each position goes through the Top experts of Count whose router logits
// are largest, weighted by the softmax of those logits. An expert computes, with gate and up interleaved in
// its first map, W_out (min(gate, Limit) sigmoid(Alpha gate) (clip(up, Limit) + 1)) + b (gpt-oss).
type Experts struct {
	Count, Top   int
	Alpha, Limit float64
}

// Biases says which biases the checkpoint stores.
type Biases struct {
	QKV  bool // b_Q, b_K, b_V
	O    bool // b_O of attention
	Norm bool // shifts of the norms
	MLP  bool
	U    bool // of the unembedding
}

// Layout gives the components of the model, with weights of that form. Processed, value biases and what the
// norm's shift adds to values are part of b_O, except where rows of attention do not add up to one.
func (s *Spec) Layout(form schema.Processing) schema.Layout {
	shifted := s.Bias.QKV || s.Bias.Norm && s.PreNorm
	return schema.Layout{
		Layers: s.Layers, Heads: s.Heads, Position: s.Position,
		AttnBias: s.Bias.O || form == schema.Processed && !s.Sinks && shifted,
		QKBias:   shifted,
	}
}

// KVHead is the key-value head that a query head reads.
func (s *Spec) KVHead(head int) int { return head * s.KVHeads / s.Heads }

// WindowOf is the attention window of a layer, its own position included; 0: all positions before it.
func (s *Spec) WindowOf(layer int) int {
	if s.Window == nil {
		return 0
	}
	return s.Window[layer]
}

// AttnScaleOf is what scores of a layer are divided by.
func (s *Spec) AttnScaleOf(layer int) float64 {
	if s.ByLayer {
		return s.AttnScale * float64(layer+1)
	}
	return s.AttnScale
}

// RotaryOf is the rotation of a layer; Dims is 0 where it does not turn.
func (s *Spec) RotaryOf(layer int) rotary.Rotary {
	if s.Rotary == nil {
		return rotary.Rotary{}
	}
	return s.Rotary[layer]
}

// check refuses sizes that do not belong together, which no checkpoint can be blamed for.
func (s *Spec) check() error {
	sizes := []int{s.Layers, s.Heads, s.KVHeads, s.DModel, s.DHead, s.DMLP, s.DVocab, s.NCtx}
	switch {
	case slices.Min(sizes) < 1:
		return fmt.Errorf("specification of %s has a size below 1 among %v", s.Family, sizes)
	case s.Heads%s.KVHeads != 0:
		return fmt.Errorf("specification of %s has %d heads, want a multiple of its %d key-value heads", s.Family, s.Heads, s.KVHeads)
	case s.Rotary != nil && len(s.Rotary) != s.Layers || s.Window != nil && len(s.Window) != s.Layers:
		return fmt.Errorf("specification of %s has %d rotations and %d windows, want one for each of %d layers or none",
			s.Family, len(s.Rotary), len(s.Window), s.Layers)
	case !(s.AttnScale > 0):
		return fmt.Errorf("specification of %s divides scores by %v, want more than 0", s.Family, s.AttnScale)
	}
	for l, r := range s.Rotary {
		long := r.LongFrequencies
		if r.Dims > 0 && (r.Dims%2 != 0 || r.Dims > s.DHead || len(r.Frequencies) != r.Dims/2 || long != nil && len(long) != r.Dims/2) {
			return fmt.Errorf("specification of %s turns %d of %d dimensions by %d frequencies in layer %d, want two each",
				s.Family, r.Dims, s.DHead, len(r.Frequencies), l)
		}
	}
	return nil
}
