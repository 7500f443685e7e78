package schema

import (
	"cmp"
	"fmt"
	"strings"
)

// ComponentKind is the kind of a [Component].
type ComponentKind uint8

// The kinds, named as in the component table.
const (
	Embed    ComponentKind = iota // token embedding W_E[token]
	PosEmbed                      // position embedding W_pos[position]
	HeadOut                       // z W_O of one attention head, no bias
	AttnBias                      // b_O of one attention layer, with the folded value biases
	MLP                           // output of one MLP, b_out included
	QBias                         // b_Q of the target head
	KBias                         // b_K of the target head
	Feature                       // one feature of a sparse dictionary: its activation times its decoder row
	Error                         // the part of a vector that its sparse dictionary does not reproduce
)

var componentKinds = [...]string{"embed", "pos_embed", "head", "attn_bias", "mlp", "q_bias", "k_bias",
	"feature", "error"}

// String returns the word of the component_kind enumeration.
func (k ComponentKind) String() string { return componentKinds[k] }

// ParseComponentKind is the inverse of [ComponentKind.String].
func ParseComponentKind(s string) (ComponentKind, error) {
	return parseEnum[ComponentKind]("component kind", componentKinds[:], s)
}

// Component is one term of a score: a part of the model that writes to the residual stream, or a bias of the
// target head. Layer is -1 if the kind has none; Head is -1 except for HeadOut.
type Component struct {
	Kind  ComponentKind
	Layer int
	Head  int

	// Name is the label of a Feature or Error in figures; "": its kind and layer. Source is its origin, such
	// as the name of a sparse dictionary. Both are "" for other kinds.
	Name, Source string
}

// Label returns the name in figures: W_E, W_pos, 9.6, b_O3, MLP3, b_Q, b_K. A part of a dictionary is
// labelled by its Name, or by its kind and layer, such as error3.
func (c Component) Label() string {
	switch c.Kind {
	case Embed:
		return "W_E"
	case PosEmbed:
		return "W_pos"
	case HeadOut:
		return Head{c.Layer, c.Head}.String()
	case AttnBias:
		return fmt.Sprintf("b_O%d", c.Layer)
	case MLP:
		return fmt.Sprintf("MLP%d", c.Layer)
	case QBias:
		return "b_Q"
	case KBias:
		return "b_K"
	case Feature, Error:
		return cmp.Or(c.Name, fmt.Sprintf("%s%d", c.Kind, c.Layer))
	}
	panic(fmt.Sprintf("schema: component kind %d", c.Kind))
}

// TLName returns TransformerLens's name if there is one (embed, pos_embed, L9H6, 3_mlp_out, like the labels
// of ActivationCache.get_full_resid_decomposition), else the parameter's name.
func (c Component) TLName() string {
	switch c.Kind {
	case Embed:
		return "embed"
	case PosEmbed:
		return "pos_embed"
	case HeadOut:
		return Head{c.Layer, c.Head}.TLName()
	case AttnBias:
		return fmt.Sprintf("blocks.%d.attn.b_O", c.Layer)
	case MLP:
		return fmt.Sprintf("%d_mlp_out", c.Layer)
	case QBias:
		return "b_Q"
	case KBias:
		return "b_K"
	case Feature, Error:
		return c.Label()
	}
	panic(fmt.Sprintf("schema: component kind %d", c.Kind))
}

// Components lists all components of a model in the order in which they write: W_E, W_pos, then for each
// layer its heads, its b_O and its MLP, and last b_Q and b_K. Go code identifies a component by its index in
// this list. The writers below layer L are the first [StreamComponents] of it.
func Components(layers, heads int) []Component {
	list := make([]Component, 0, StreamComponents(layers, heads)+2)
	list = append(list, Component{Kind: Embed, Layer: -1, Head: -1},
		Component{Kind: PosEmbed, Layer: -1, Head: -1})
	for l := range layers {
		for h := range heads {
			list = append(list, Component{Kind: HeadOut, Layer: l, Head: h})
		}
		list = append(list, Component{Kind: AttnBias, Layer: l, Head: -1},
			Component{Kind: MLP, Layer: l, Head: -1})
	}
	return append(list, Component{Kind: QBias, Layer: -1, Head: -1},
		Component{Kind: KBias, Layer: -1, Head: -1})
}

// StreamComponents returns the number of components that write to the residual stream before layer: the
// embeddings, and heads + 2 for each layer below.
func StreamComponents(layer, heads int) int { return 2 + layer*(heads+2) }

// Grid returns the component's cell in the heatmap. Row 0 holds the embeddings and the biases of the target
// head. Row 1+l holds layer l: its heads in columns 0..heads-1, then its MLP, its b_O, and the parts of
// dictionaries.
func (c Component) Grid(heads int) (row, column int) {
	switch c.Kind {
	case HeadOut:
		return 1 + c.Layer, c.Head
	case MLP:
		return 1 + c.Layer, heads
	case AttnBias:
		return 1 + c.Layer, heads + 1
	case Embed:
		return 0, 0
	case PosEmbed:
		return 0, 1
	case QBias, KBias:
		return 0, 2
	case Feature:
		return 1 + c.Layer, heads + 2
	case Error:
		return 1 + c.Layer, heads + 3
	}
	panic(fmt.Sprintf("schema: component kind %d", c.Kind))
}

// parseEnum finds s among the words of an enumeration. The error lists all of them.
func parseEnum[E ~uint8](what string, words []string, s string) (E, error) {
	for i, w := range words {
		if w == s {
			return E(i), nil
		}
	}
	return 0, fmt.Errorf("%s %q, want one of %s", what, s, strings.Join(words, ", "))
}
