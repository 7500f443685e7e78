package model

import (
	"fmt"
	"slices"

	"ducklens/engine/rotary"
	"ducklens/schema"
)

// Spec is everything about a decoder except its weights: its sizes, and what is computed in which order.
// Package family makes one from a configuration; [Load] and the forward pass know no family.
type Spec struct {
	Family                                                    string // for example gpt2 or llama
	Layers, Heads, KVHeads, DModel, DHead, DMLP, DVocab, NCtx int    // NCtx: most tokens of a prompt

	Norm Norm // before attention, before the MLP, and before the unembedding
	// PreNorm false means that attention and MLP read the stream without a norm; Norm is then that of
	// post-norms and of the last norm.
	PreNorm bool
	// NoFinalNorm says that there is no norm before the unembedding (TransformerLens: normalization_type
	// null).
	NoFinalNorm bool
	// PostNorm says that the outputs of attention and MLP each go through a norm of their own before they are
	// added.
	PostNorm   bool
	Parallel   bool    // the MLP reads the stream that attention read, not the one it wrote to
	SharedNorm bool    // with Parallel: it reads it through the norm of attention
	EmbedScale float64 // W_E[token] times this is the embedding component; 1 in most families

	Position       bool // learned position embeddings W_pos are added to the stream
	PositionOffset int  // row of the stored table for position 0

	Rotary []rotary.Rotary // by layer; a layer with Dims 0 does not rotate. nil: no layer does
	// Window holds, by layer, the number of positions that a query sees, including its own; 0: all. nil: all
	// in every layer.
	Window    []int
	QKNorm    QKNorm
	QKNormEps float64
	// AttnScale divides scores q . k: sqrt(d_head) in most families (TransformerLens: attn_scale).
	AttnScale float64
	ByLayer   bool    // in layer l they are divided by l + 1 too
	SoftCap   float64 // scores s become cap tanh(s / cap) before softmax; 0: no cap
	LogitCap  float64 // the same for logits
	Sinks     bool    // softmax has one more column, a logit of the head, which is dropped afterwards

	Activation Activation
	Gated      bool     // MLP: W_out (act(W_gate x) * W_in x), else W_out act(W_in x)
	Experts    *Experts // nil: one MLP in each layer

	Bias Biases
	Tied bool // the unembedding is the transposed token embedding
}

// Norm is the norm of a model: (x - mean) / sqrt(mean((x - mean)^2) + eps) for LN, x / sqrt(mean(x^2) + eps)
// for RMS. Gains and shifts are weights.
type Norm struct {
	Centre bool // LN: the mean is subtracted
	Eps    float64
}

// QKNorm says whether q and k are normalised (RMS, with a gain) before they are rotated.
type QKNorm uint8

// PerHead normalises each head's vector by itself, FullWidth those of all heads at a position together.
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

// String returns the name that configurations use.
func (a Activation) String() string { return [...]string{"gelu_new", "gelu", "silu", "relu"}[a] }

// Experts is a mixture of experts. Each position goes through the Top experts of Count with the largest
// router logits, weighted by the softmax of these logits. An expert's first map has gate and up interleaved;
// it computes W_out (min(gate, Limit) sigmoid(Alpha gate) (clip(up, Limit) + 1)) + b (gpt-oss).
type Experts struct {
	Count, Top   int
	Alpha, Limit float64
}

// Biases says which biases the checkpoint has.
type Biases struct {
	QKV  bool // b_Q, b_K, b_V
	O    bool // b_O of attention
	Norm bool // shifts of the norms
	MLP  bool
	U    bool // of the unembedding
}

// Layout returns the components of the model for weights of that form. In processed weights, b_O includes the
// value biases and what the norm's shift adds to values, unless rows of attention do not add up to one.
func (s *Spec) Layout(form schema.Processing) schema.Layout {
	shifted := s.Bias.QKV || s.Bias.Norm && s.PreNorm
	return schema.Layout{
		Layers: s.Layers, Heads: s.Heads, Position: s.Position,
		AttnBias: s.Bias.O || form == schema.Processed && !s.Sinks && shifted,
		QKBias:   shifted,
	}
}

// KVHead returns the key-value head that a query head reads.
func (s *Spec) KVHead(head int) int { return head * s.KVHeads / s.Heads }

// WindowOf returns the attention window of a layer, including the query's own position; 0: no limit.
func (s *Spec) WindowOf(layer int) int {
	if s.Window == nil {
		return 0
	}
	return s.Window[layer]
}

// AttnScaleOf returns what scores of a layer are divided by.
func (s *Spec) AttnScaleOf(layer int) float64 {
	if s.ByLayer {
		return s.AttnScale * float64(layer+1)
	}
	return s.AttnScale
}

// RotaryOf returns the rotation of a layer. Its Dims is 0 if the layer does not rotate.
func (s *Spec) RotaryOf(layer int) rotary.Rotary {
	if s.Rotary == nil {
		return rotary.Rotary{}
	}
	return s.Rotary[layer]
}

// check returns an error for sizes that do not fit together, whatever the checkpoint.
func (s *Spec) check() error {
	sizes := []int{s.Layers, s.Heads, s.KVHeads, s.DModel, s.DHead, s.DMLP, s.DVocab, s.NCtx}
	switch {
	case slices.Min(sizes) < 1:
		return fmt.Errorf("specification of %s has a size below 1 among %v", s.Family, sizes)
	case s.Heads%s.KVHeads != 0:
		return fmt.Errorf("specification of %s has %d heads, want a multiple of its %d key-value heads",
			s.Family, s.Heads, s.KVHeads)
	case s.Rotary != nil && len(s.Rotary) != s.Layers || s.Window != nil && len(s.Window) != s.Layers:
		return fmt.Errorf(
			"specification of %s has %d rotations and %d windows, want one for each of %d layers or none",
			s.Family, len(s.Rotary), len(s.Window), s.Layers)
	case !(s.AttnScale > 0):
		return fmt.Errorf("specification of %s divides scores by %v, want more than 0", s.Family, s.AttnScale)
	}
	for l, r := range s.Rotary {
		long := r.LongFrequencies
		if r.Dims > 0 &&
			(r.Dims%2 != 0 || r.Dims > s.DHead || len(r.Frequencies) != r.Dims/2 || long != nil &&
				len(long) != r.Dims/2) {
			return fmt.Errorf(
				"specification of %s turns %d of %d dimensions by %d frequencies in layer %d, want two each",
				s.Family, r.Dims, s.DHead, len(r.Frequencies), l)
		}
	}
	return nil
}
