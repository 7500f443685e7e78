package schema

import "slices"

// Layout describes the components of a model and the order in which they write to the residual stream. Go
// code identifies a component by its index in [Layout.Components].
type Layout struct {
	Layers, Heads int  // Heads is the number of query heads of a layer
	Position      bool // the model has a learned position embedding W_pos
	AttnBias      bool // attention adds a bias b_O to the stream in every layer
	QKBias        bool // the target heads have b_Q and b_K, stored or folded in from the norm before them

	// Writers lists the components that write to the stream if Position and AttnBias do not describe them,
	// such as the features of a sparse dictionary. They are in the order in which they write: those without a
	// layer first, then layer by layer. nil: the components of a model.
	Writers []Component
}

// Components lists all components of the layout: W_E, W_pos, then for each layer its heads, its b_O and its
// MLP, and last b_Q and b_K.
func (l Layout) Components() []Component {
	if l.Writers != nil {
		list := slices.Clone(l.Writers)
		if l.QKBias {
			list = append(list, Component{Kind: QBias, Layer: -1, Head: -1},
				Component{Kind: KBias, Layer: -1, Head: -1})
		}
		return list
	}
	list := make([]Component, 0, l.Below(l.Layers)+2)
	list = append(list, Component{Kind: Embed, Layer: -1, Head: -1})
	if l.Position {
		list = append(list, Component{Kind: PosEmbed, Layer: -1, Head: -1})
	}
	for layer := range l.Layers {
		for head := range l.Heads {
			list = append(list, Component{Kind: HeadOut, Layer: layer, Head: head})
		}
		if l.AttnBias {
			list = append(list, Component{Kind: AttnBias, Layer: layer, Head: -1})
		}
		list = append(list, Component{Kind: MLP, Layer: layer, Head: -1})
	}
	if l.QKBias {
		list = append(list, Component{Kind: QBias, Layer: -1, Head: -1},
			Component{Kind: KBias, Layer: -1, Head: -1})
	}
	return list
}

// Below returns the number of components that write to the stream before layer. They are the first in the
// list.
func (l Layout) Below(layer int) int {
	if l.Writers != nil {
		if i := slices.IndexFunc(l.Writers, func(c Component) bool { return c.Layer >= layer }); i >= 0 {
			return i
		}
		return len(l.Writers)
	}
	return l.embeddings() + layer*l.perLayer()
}

// Embed returns the index of W_E, or -1 if it is not a component.
func (l Layout) Embed() int {
	if l.Writers != nil {
		return l.find(Embed, -1, -1)
	}
	return 0
}

// find returns the index of a writer, or -1.
func (l Layout) find(kind ComponentKind, layer, head int) int {
	return slices.IndexFunc(l.Writers,
		func(c Component) bool { return c.Kind == kind && c.Layer == layer && c.Head == head })
}

// PosEmbed returns the index of W_pos, or -1 if the model has none.
func (l Layout) PosEmbed() int {
	if l.Writers != nil {
		return l.find(PosEmbed, -1, -1)
	}
	if l.Position {
		return 1
	}
	return -1
}

// Head returns the index of a head's output, or -1 if it is not a component.
func (l Layout) Head(h Head) int {
	if l.Writers != nil {
		return l.find(HeadOut, h.Layer, h.Index)
	}
	return l.Below(h.Layer) + h.Index
}

// AttnBiasOf returns the index of b_O of a layer, or -1 if the model has none.
func (l Layout) AttnBiasOf(layer int) int {
	if l.Writers != nil {
		return l.find(AttnBias, layer, -1)
	}
	if l.AttnBias {
		return l.Below(layer) + l.Heads
	}
	return -1
}

// MLP returns the index of the output of a layer's MLP, or -1 if it is not a component.
func (l Layout) MLP(layer int) int {
	if l.Writers != nil {
		return l.find(MLP, layer, -1)
	}
	return l.Below(layer+1) - 1
}

// QBias and KBias return the indices of b_Q and b_K, or -1 if the model has none.
func (l Layout) QBias() int { return l.bias(0) }
func (l Layout) KBias() int { return l.bias(1) }

func (l Layout) bias(i int) int {
	if l.QKBias {
		return l.Below(l.Layers) + i
	}
	return -1
}

func (l Layout) embeddings() int {
	if l.Position {
		return 2
	}
	return 1
}

func (l Layout) perLayer() int {
	if l.AttnBias {
		return l.Heads + 2
	}
	return l.Heads + 1
}
