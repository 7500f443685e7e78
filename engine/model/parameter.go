package model

import (
	"fmt"
	"strconv"
	"strings"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
)

// Parameter gives a copy of a parameter under its TransformerLens name and in TransformerLens' shape:
//
//	blocks.N.attn.W_Q, W_K, W_V    [n_heads, d_model, d_head]
//	blocks.N.attn.b_Q, b_K, b_V    [n_heads, d_head]
//	blocks.N.attn.W_O, b_O         [n_heads, d_head, d_model], [d_model]
//	blocks.N.mlp.W_in, b_in        [d_model, d_mlp], [d_mlp]
//	blocks.N.mlp.W_out, b_out      [d_mlp, d_model], [d_model]
//	pos_embed.W_pos                [n_ctx, d_model]
//
// LayerNorm is folded in. Rows of the embedding tables come from [Model.Embed] and [Model.Unembed].
func (m *Model[T]) Parameter(name string) (*tensor.Dense, error) {
	unknown := fmt.Errorf("gpt2: no parameter %q: %w", name, ErrInput)
	if name == "pos_embed.W_pos" {
		return m.shaped(m.position.Data, m.position.Rows, m.position.Cols), nil
	}
	rest, ok := strings.CutPrefix(name, "blocks.")
	number, rest, found := strings.Cut(rest, ".")
	index, err := strconv.Atoi(number)
	if !ok || !found || err != nil || index < 0 || index >= len(m.layers) {
		return nil, unknown
	}
	l := &m.layers[index]
	d, dh, heads := m.config.DModel, m.config.DHead(), m.config.NHeads
	if letter, ok := strings.CutPrefix(rest, "attn.W_"); ok && len(letter) == 1 && strings.Contains("QKV", letter) {
		var data []T
		for h := range heads {
			from := strings.Index("QKV", letter)*d + h*dh
			data = append(data, l.qkv.Slice(0, d, from, from+dh).Unpack().Data...)
		}
		return m.shaped(data, heads, d, dh), nil
	}
	if letter, ok := strings.CutPrefix(rest, "attn.b_"); ok && len(letter) == 1 && strings.Contains("QKV", letter) {
		from := strings.Index("QKV", letter) * d
		return m.shaped(l.qkvBias[from:from+d], heads, dh), nil
	}
	switch rest {
	case "attn.W_O":
		return m.shaped(l.wo.Unpack().Data, heads, dh, d), nil
	case "attn.b_O":
		return m.shaped(l.bo, d), nil
	case "mlp.W_in":
		return m.shaped(l.win.Unpack().Data, d, m.config.DMLP), nil
	case "mlp.b_in":
		return m.shaped(l.bin, m.config.DMLP), nil
	case "mlp.W_out":
		return m.shaped(l.wout.Unpack().Data, m.config.DMLP, d), nil
	case "mlp.b_out":
		return m.shaped(l.bout, d), nil
	}
	return nil, unknown
}

// shaped makes a tensor of a copy of data.
func (m *Model[T]) shaped(data []T, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]T(nil), data...)),
		tensor.WithEngine(blas.Engine{Provider: m.provider, Threads: 1}))
}
