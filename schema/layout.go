package schema

// Layout says which components a model has, and in which order they write into the residual stream. An index into
// [Layout.Components] is the component's number everywhere in Go.
type Layout struct {
	Layers, Heads int  // Heads: query heads of a layer
	Position      bool // a learned position embedding W_pos is a component
	AttnBias      bool // attention adds a bias b_O to the stream in every layer
	QKBias        bool // the target heads have b_Q and b_K, stored or folded in from the norm before them
}

// Components lists every component: W_E, W_pos, then for each layer its heads, its b_O and its MLP, and last b_Q and
// b_K; those that the layout does not have are left out.
func (l Layout) Components() []Component {
	list := make([]Component, 0, l.Below(l.Layers)+2)
	list = append(list, Component{Embed, -1, -1})
	if l.Position {
		list = append(list, Component{PosEmbed, -1, -1})
	}
	for layer := range l.Layers {
		for head := range l.Heads {
			list = append(list, Component{HeadOut, layer, head})
		}
		if l.AttnBias {
			list = append(list, Component{AttnBias, layer, -1})
		}
		list = append(list, Component{MLP, layer, -1})
	}
	if l.QKBias {
		list = append(list, Component{QBias, -1, -1}, Component{KBias, -1, -1})
	}
	return list
}

// Below counts the components that have written into the stream before layer: they are the first of the list.
func (l Layout) Below(layer int) int { return l.embeddings() + layer*l.perLayer() }

// Embed is the number of W_E.
func (l Layout) Embed() int { return 0 }

// PosEmbed is the number of W_pos, or -1 where the model has none.
func (l Layout) PosEmbed() int {
	if l.Position {
		return 1
	}
	return -1
}

// Head is the number of what a head writes.
func (l Layout) Head(h Head) int { return l.Below(h.Layer) + h.Index }

// AttnBiasOf is the number of b_O of a layer, or -1 where the model has none.
func (l Layout) AttnBiasOf(layer int) int {
	if l.AttnBias {
		return l.Below(layer) + l.Heads
	}
	return -1
}

// MLP is the number of what the MLP of a layer writes.
func (l Layout) MLP(layer int) int { return l.Below(layer+1) - 1 }

// QBias and KBias are the numbers of b_Q and b_K, or -1 where the model has none.
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
