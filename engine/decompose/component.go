package decompose

import (
	"fmt"
	"strconv"
	"strings"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// A source is what a basis along a component is made from: what the component wrote at the position whose
// vector is split or, if Stream is set, the stream before the component's layer.
type source struct {
	stream    bool
	component schema.Component
}

// replacing is the prefix of the names of replacements.
const replacing = "sub_"

// parseSource parses the name of a component in any case, or residN for the stream before layer N. canonical
// is the name as [schema.Component.Label] writes it, with MLPs as mlpN.
func parseSource(name string) (s source, canonical string, ok bool) {
	lower := strings.ToLower(name)
	layer := func(prefix string) (int, bool) {
		digits, found := strings.CutPrefix(lower, prefix)
		n, err := strconv.Atoi(digits)
		return n, found && err == nil && 0 <= n && n < 10000 && strconv.Itoa(n) == digits
	}
	s.component = schema.Component{Layer: -1, Head: -1}
	if h, err := schema.ParseHead(strings.ToUpper(name)); err == nil {
		s.component = schema.Component{Kind: schema.HeadOut, Layer: h.Layer, Head: h.Index}
		return s, h.String(), true
	}
	if lower == "w_e" || lower == "w_pos" {
		if s.component.Kind = schema.Embed; lower == "w_pos" {
			s.component.Kind = schema.PosEmbed
		}
		return s, s.component.Label(), true
	}
	if n, found := layer("mlp"); found {
		s.component.Kind, s.component.Layer = schema.MLP, n
		return s, strings.ToLower(s.component.Label()), true
	}
	if n, found := layer("b_o"); found {
		s.component.Kind, s.component.Layer = schema.AttnBias, n
		return s, s.component.Label(), true
	}
	if n, found := layer("resid"); found {
		s.stream, s.component.Layer = true, n
		return s, "resid" + strconv.Itoa(n), true
	}
	return source{}, "", false
}

// alongComponent returns the basis of a side along the component with that name.
func alongComponent(side schema.Side, name string) (Definition, bool) {
	bare, replaces := name, len(name) > len(replacing) && strings.EqualFold(name[:len(replacing)], replacing)
	if replaces {
		bare = name[len(replacing):]
	}
	from, canonical, ok := parseSource(bare)
	if !ok {
		return Definition{}, false
	}
	what := "what " + canonical + " wrote"
	if from.stream {
		what = fmt.Sprintf("the residual stream before layer %d", from.component.Layer)
	}
	d := Definition{from: &from,
		Basis: schema.Basis{Side: side, Kind: schema.Subspace, Name: canonical, Dimension: 1,
			Description: what + " at the same position"}}
	if replaces {
		bias := "b_Q"
		if side == schema.Key {
			bias = "b_K"
		}
		d.Kind, d.Name, d.Dimension = schema.Replacement, replacing+canonical, 0
		d.Description = fmt.Sprintf(
			"%s replaced: %s, normalised anew, in place of the stream; its part is parallel, %s perpendicular",
			side, d.Description, bias)
	}
	switch {
	case from.stream:
		d.Layers = from.component.Layer
	case from.component.Layer >= 0:
		d.Layers = from.component.Layer + 1
	}
	return d, true
}

// Check returns an error that says what the basis needs and a model of this layout does not have.
func (d Definition) Check(l schema.Layout) error {
	if d.from == nil {
		return nil
	}
	switch c := d.from.component; {
	case c.Layer >= l.Layers || c.Kind == schema.HeadOut && c.Head >= l.Heads:
		return fmt.Errorf("the model has %d layers of %d heads", l.Layers, l.Heads)
	case d.from.stream && l.Below(c.Layer) == 0, d.from.row(l) < 0:
		return fmt.Errorf("the model has no %s", c.Label())
	}
	return nil
}

// row returns the index of the component, or of the last component of the stream; -1 if the model has none.
func (s source) row(l schema.Layout) int {
	switch c := s.component; {
	case s.stream:
		return l.Below(c.Layer) - 1
	case c.Kind == schema.PosEmbed:
		return l.PosEmbed()
	case c.Kind == schema.HeadOut:
		return l.Head(schema.Head{Layer: c.Layer, Index: c.Head})
	case c.Kind == schema.AttnBias:
		return l.AttnBiasOf(c.Layer)
	case c.Kind == schema.MLP:
		return l.MLP(c.Layer)
	}
	return l.Embed()
}

// componentBasis makes the basis from the components [component, d_model] of the position.
func componentBasis[T blas.Float](
	n Norm, d Definition, components *tensor.Dense, layout schema.Layout,
) (Basis, error) {
	last := d.from.row(layout)
	if last < 0 || components == nil || components.Dims() != 2 || components.Shape()[0] <= last {
		return Basis{}, fmt.Errorf("the components stop before it: %w", ErrShape)
	}
	rows, dModel := components.Shape()[0], components.Shape()[1]
	if err := checkMatrix[T]("components", components, rows, dModel); err != nil {
		return Basis{}, err
	}
	first := last
	if d.from.stream {
		first = 0
	}
	direction, x := make([]float64, dModel), data[T](components)
	for i := first; i <= last; i++ {
		for j, v := range x[i*dModel : (i+1)*dModel] {
			direction[j] += float64(v)
		}
	}
	if d.Kind == schema.Replacement {
		return Replace(n, direction)
	}
	return Span(n, direction)
}
