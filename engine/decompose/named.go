package decompose

import (
	"errors"
	"fmt"
	"strings"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// ErrUnknownBasis is returned for a basis name that its side does not have.
var ErrUnknownBasis = errors.New("unknown basis")

// ErrNoBaseline is returned if a basis needs a baseline token and the example has none.
var ErrNoBaseline = errors.New("no baseline")

// Definition is a named basis.
type Definition struct {
	schema.Basis
	NeedsUnembed   bool // made from the unembedding
	NeedsBaseline  bool // made from the baseline token
	Layers         int  // layers whose output it is made from: a head has to be in this one or above
	NeedsEffective bool // made from the effective embedding of the token
	// Singular is the number of singular directions of the head's own map that it is made of; see [Circuit].
	// 0: none.
	Singular int
	from     *source
}

// definitions lists the named bases. A Dimension is that of directions that are not parallel.
var definitions = []Definition{
	{Basis: schema.Basis{Side: schema.Query, Kind: schema.Whole, Name: "none",
		Description: "query vector left whole: everything is in the perpendicular part"}},
	{Basis: schema.Basis{Side: schema.Query, Kind: schema.Subspace, Name: "unembed", Dimension: 1,
		Description: "W_U[key token], the unembedding of the token at the key position"}, NeedsUnembed: true},
	{Basis: schema.Basis{Side: schema.Query, Kind: schema.Subspace, Name: "unembed+baseline", Dimension: 2,
		Description: "span of W_U[key token] and W_U[baseline token]; dimension 1 where they are the same " +
			"token"}, NeedsUnembed: true, NeedsBaseline: true},
	{Basis: schema.Basis{Side: schema.Query, Kind: schema.Replacement, Name: "sub_unembed",
		Description: "query replaced: W_U[key token], normalised anew, in place of the stream; " +
			"its part is parallel, b_Q perpendicular"}, NeedsUnembed: true},
	{Basis: schema.Basis{Side: schema.Key, Kind: schema.Whole, Name: "none",
		Description: "key vector left whole: everything is in the perpendicular part"}},
	{Basis: schema.Basis{Side: schema.Key, Kind: schema.Subspace, Name: "mlp0", Dimension: 1,
		Description: "output of MLP0 at the same position"}, Layers: 1},
	{Basis: schema.Basis{Side: schema.Key, Kind: schema.Subspace, Name: "mlp0+attn0", Dimension: 1,
		Description: "output of MLP0 plus output of attention layer 0, its b_O included, at the same position"},
		Layers: 1},
	{Basis: schema.Basis{Side: schema.Key, Kind: schema.Subspace, Name: "effective", Dimension: 1,
		Description: "effective embedding of the token: MLP0 after layer 0 that attends to itself only, " +
			"no position, no b_O"}, NeedsEffective: true},
	{Basis: schema.Basis{Side: schema.Key, Kind: schema.Subspace, Name: "effective+attn0", Dimension: 1,
		Description: "effective embedding of the token plus the self-attention output of layer 0 it was " +
			"made with"}, NeedsEffective: true},
	{Basis: schema.Basis{Side: schema.Key, Kind: schema.Replacement, Name: "sub_mlp0",
		Description: "key replaced: MLP0's output at the same position, normalised anew, " +
			"in place of the stream; its part is parallel, b_K perpendicular"}, Layers: 1},
}

// Definitions returns the named bases of a side, with none first.
func Definitions(side schema.Side) []Definition {
	var list []Definition
	for _, d := range definitions {
		if d.Side == side {
			list = append(list, d)
		}
	}
	return list
}

// LookUp returns the basis with a name, in any case: one of [Definitions]; a component (mlp1, 9.9 or L9H9,
// W_E, W_pos, b_O3) or the stream before a layer (resid5); one of these as a replacement of the vector
// (sub_mlp1); or singular directions (svd:4). The error, [ErrUnknownBasis], lists the names.
func LookUp(side schema.Side, name string) (Definition, error) {
	var names []string
	for _, d := range Definitions(side) {
		if strings.EqualFold(d.Name, name) {
			return d, nil
		}
		names = append(names, d.Name)
	}
	if d, ok := alongComponent(side, name); ok {
		return d, nil
	}
	if d, ok := alongSingular(side, name); ok {
		return d, nil
	}
	return Definition{},
		fmt.Errorf("%w %q on the %s side, want one of %s; "+SingularNames+"; or a component: %s",
			ErrUnknownBasis, name, side, strings.Join(names, ", "), ComponentNames)
}

// ComponentNames says how components are named as bases.
const ComponentNames = "mlp1, 9.9, W_E, W_pos, b_O3, resid5 (the stream before layer 5), " +
	"sub_mlp1 (in place of the vector)"

// Embeddings provides the vectors of a token, each [d_model], that named bases are made from.
type Embeddings[T blas.Float] interface {
	// Unembed returns the token's column of W_U.
	Unembed(token int) []T
	// EffectiveEmbedding returns layer 0 applied to W_E[token] alone, with attention fixed on itself, and
	// without position and b_O: mlp is the output of MLP 0, attn that of the attention before it.
	EffectiveEmbedding(token int) (mlp, attn []T)
}

// QueryBasis makes the query-side basis called name for an example with these tokens at its key and baseline
// positions; baseline is [schema.NoPosition] if it has none. components [component, d_model] is what was
// written at the query position, in the order of the layout.
func QueryBasis[T blas.Float](
	n Norm, name string, from Embeddings[T], key, baseline int, components *tensor.Dense,
	layout schema.Layout,
) (Basis, error) {
	basis, err := queryBasis(n, name, from, key, baseline, components, layout)
	if err != nil {
		return Basis{}, fmt.Errorf("query basis %s: %w", name, err)
	}
	return basis, nil
}

func queryBasis[T blas.Float](
	n Norm, name string, from Embeddings[T], key, baseline int, components *tensor.Dense,
	layout schema.Layout,
) (Basis, error) {
	switch name {
	case "none":
		return Basis{}, nil
	case "unembed":
		return Span(n, from.Unembed(key))
	case "unembed+baseline":
		if baseline == schema.NoPosition {
			return Basis{}, ErrNoBaseline
		}
		return Span(n, from.Unembed(key), from.Unembed(baseline))
	case "sub_unembed":
		return Replace(n, from.Unembed(key))
	}
	return otherBasis[T](n, schema.Query, name, components, layout)
}

// KeyBasis makes the key-side basis called name for one position, the key's or the baseline's. token is the
// token there, and components [component, d_model] is what was written there, in the order of the layout.
func KeyBasis[T blas.Float](
	n Norm, name string, from Embeddings[T], token int, components *tensor.Dense, layout schema.Layout,
) (Basis, error) {
	basis, err := keyBasis(n, name, from, token, components, layout)
	if err != nil {
		return Basis{}, fmt.Errorf("key basis %s: %w", name, err)
	}
	return basis, nil
}

func keyBasis[T blas.Float](
	n Norm, name string, from Embeddings[T], token int, components *tensor.Dense, layout schema.Layout,
) (Basis, error) {
	switch name {
	case "none":
		return Basis{}, nil
	case "effective":
		mlp, _ := from.EffectiveEmbedding(token)
		return Span(n, mlp)
	case "effective+attn0":
		mlp, attn := from.EffectiveEmbedding(token)
		return Span(n, sum(mlp, attn))
	case "mlp0", "mlp0+attn0", "sub_mlp0":
		mlp, attn, err := layer0[T](components, layout)
		switch {
		case err != nil:
			return Basis{}, err
		case name == "mlp0":
			return Span(n, mlp)
		case name == "sub_mlp0":
			return Replace(n, mlp)
		}
		return Span(n, sum(mlp, attn))
	}
	return otherBasis[T](n, schema.Key, name, components, layout)
}

// otherBasis makes a basis along a component, or returns an error that lists the names.
func otherBasis[T blas.Float](
	n Norm, side schema.Side, name string, components *tensor.Dense, layout schema.Layout,
) (Basis, error) {
	d, err := LookUp(side, name)
	switch {
	case err != nil:
		return Basis{}, err
	case d.Singular > 0:
		return Basis{}, fmt.Errorf("%w %q: it is made from the head's map, and not from what was written",
			ErrUnknownBasis, name)
	case d.from == nil:
		return Basis{}, fmt.Errorf("%w %q, want %q", ErrUnknownBasis, name, d.Name)
	}
	return componentBasis[T](n, d, components, layout)
}

// layer0 returns the outputs of MLP 0 and of layer 0's attention (its heads, and b_O if there is one) from a
// component matrix.
func layer0[T blas.Float](components *tensor.Dense, layout schema.Layout) (mlp, attn []T, err error) {
	if components == nil || components.Dims() != 2 || components.Shape()[0] < layout.Below(1) {
		return nil, nil,
			fmt.Errorf("the components stop before MLP0, want a head in layer 1 or above: %w", ErrShape)
	}
	rows, dModel := components.Shape()[0], components.Shape()[1]
	if err := checkMatrix[T]("components", components, rows, dModel); err != nil {
		return nil, nil, err
	}
	x, last := data[T](components), layout.MLP(0)
	if last < 0 {
		return nil, nil, fmt.Errorf("the model has no MLP0 among its components: %w", ErrShape)
	}
	row := func(i int) []T { return x[i*dModel : (i+1)*dModel] }
	for i := layout.Below(0); i < last; i++ {
		attn = sum(attn, row(i))
	}
	return row(last), attn, nil
}

// sum returns a + b in a new slice; a nil a counts as zero.
func sum[T blas.Float](a, b []T) []T {
	out := append([]T(nil), b...)
	for i := range a {
		out[i] += a[i]
	}
	return out
}
