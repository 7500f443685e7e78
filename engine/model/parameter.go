package model

import (
	"fmt"
	"strconv"
	"strings"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
)

// Parameter returns a copy of a parameter by its TransformerLens name, in TransformerLens's shape:
//
//	blocks.N.attn.W_Q, W_K, W_V    [heads, d_model, d_head], kv_heads for K and V
//	blocks.N.attn.b_Q, b_K, b_V    [heads, d_head]
//	blocks.N.attn.W_O, b_O         [heads, d_head, d_model], [d_model]
//	blocks.N.mlp.W_gate, W_in      [d_model, d_mlp]
//	blocks.N.mlp.b_gate, b_in      [d_mlp]
//	blocks.N.mlp.W_out, b_out      [d_mlp, d_model], [d_model]
//	pos_embed.W_pos                [n_ctx, d_model]
//
// Norms are folded in. Rows of the embedding tables come from [Model.Embed] and [Model.Unembed]. A name that
// the model does not have is an [ErrInput].
func (m *Model[T]) Parameter(name string) (*tensor.Dense, error) {
	s := m.spec
	if name == "pos_embed.W_pos" && s.Position {
		rows := m.position.Slice(s.PositionOffset, m.position.Rows, 0, s.DModel)
		return m.shaped(rows.Data, s.NCtx, s.DModel), nil
	}
	rest, ok := strings.CutPrefix(name, "blocks.")
	number, rest, found := strings.Cut(rest, ".")
	index, err := strconv.Atoi(number)
	if ok && found && err == nil && index >= 0 && index < len(m.layers) {
		if data, shape := m.layers[index].parameter(s, rest); len(data) > 0 {
			return m.shaped(data, shape...), nil
		}
	}
	return nil, fmt.Errorf("no parameter %q: %w", name, ErrInput)
}

// parameter returns the numbers and the shape of a layer's parameter, or nil.
func (l *layer[T]) parameter(s *Spec, name string) ([]T, []int) {
	if letter, ok := strings.CutPrefix(name, "attn.W_"); ok && len(letter) == 1 &&
		strings.Contains("QKV", letter) {
		return l.byHead(s, strings.Index("QKV", letter))
	}
	if letter, ok := strings.CutPrefix(name, "attn.b_"); ok && len(letter) == 1 &&
		strings.Contains("QKV", letter) {
		section := strings.Index("QKV", letter)
		_, bias := l.part(s, section, 0, s.sectionHeads(section))
		return bias, []int{s.sectionHeads(section), s.DHead}
	}
	switch name {
	case "attn.W_O":
		return l.wo.Unpack().Data, []int{s.Heads, s.DHead, s.DModel}
	case "attn.b_O":
		return l.bo, []int{s.DModel}
	case "mlp.W_gate":
		return l.mlp.gate.Unpack().Data, []int{s.DModel, s.DMLP}
	case "mlp.b_gate":
		return l.mlp.gateBias, []int{s.DMLP}
	case "mlp.W_in":
		return l.mlp.in.Unpack().Data, []int{s.DModel, s.DMLP}
	case "mlp.b_in":
		return l.mlp.inBias, []int{s.DMLP}
	case "mlp.W_out":
		return l.mlp.out.Unpack().Data, []int{s.DMLP, s.DModel}
	case "mlp.b_out":
		return l.mlp.outBias, []int{s.DModel}
	}
	return nil, nil
}

// byHead returns the map of a section of qkv, head by head.
func (l *layer[T]) byHead(s *Spec, section int) (data []T, shape []int) {
	heads := s.sectionHeads(section)
	for h := range heads {
		w, _ := l.part(s, section, h, h+1)
		data = append(data, w.Unpack().Data...)
	}
	return data, []int{heads, s.DModel, s.DHead}
}

// shaped returns a copy of data as a tensor.
func (m *Model[T]) shaped(data []T, shape ...int) *tensor.Dense {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]T(nil), data[:n]...)),
		tensor.WithEngine(blas.Engine{Provider: m.provider, Threads: 1}))
}
