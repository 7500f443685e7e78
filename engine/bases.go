package engine

import (
	"fmt"
	"slices"
	"strings"

	"ducklens/engine/decompose"
	"ducklens/schema"
)

// basis is a basis of an engine: a named one, the user's, or a random one.
type basis struct {
	decompose.Definition
	byDefault  bool              // not asked for: left out if it cannot be made
	user       []decompose.Basis // for a user's basis: one for all examples, or one for each
	atBaseline []decompose.Basis // the same at the baseline, if it differs there
	vectors    [2][][][]float64  // of a user's replacement: at the key or the query, and at the baseline
	perExample bool              // user has one for each example
	random     bool
	number     int // for a random basis
}

// factored reports whether components are stored as factors along the basis. Random bases are used for means
// only.
func (b basis) factored() bool { return b.Kind == schema.Subspace && !b.random }

// The bases of [Options] that name none: those used for the figures about the negative name mover heads.
var (
	defaultQueryBases = []string{"none", "unembed", "unembed+baseline", "sub_unembed"}
	defaultKeyBases   = []string{"none", "mlp0", "sub_mlp0"}
)

// bases returns the bases of one side for a model with that norm and layout: the named ones with none first,
// then the user's, then the random ones. The options must be valid.
func (o Options) bases(side schema.Side, norm decompose.Norm, layout schema.Layout) ([]basis, error) {
	if o.AttentionOnly {
		return nil, nil
	}
	names, defaults := o.QueryBases, defaultQueryBases
	if side == schema.Key {
		names, defaults = o.KeyBases, defaultKeyBases
	}
	byDefault := len(names) == 0
	if byDefault {
		names = defaults
	}
	list := []basis{}
	for _, name := range append([]string{"none"}, names...) {
		if strings.EqualFold(name, "none") && len(list) > 0 {
			continue
		}
		if d, err := decompose.LookUp(side, name); err == nil {
			if err := d.Check(layout); err != nil {
				return nil,
					advise("the components of a model: ducklens model inspect MODEL", "%s basis %s: %w: %w",
						side, d.Name, ErrBasis, err)
			}
			list = append(list, basis{Definition: d, byDefault: byDefault})
		}
	}
	for _, u := range o.UserBases {
		if u.Side == side {
			made, err := u.bases(norm, u.source(), u.Subspaces)
			if err != nil {
				return nil, fmt.Errorf("%s basis %s: %w", u.Side, u.Name, err)
			}
			b := basis{Definition: decompose.Definition{Basis: u.describe(made)}, user: made,
				perExample: u.PerExample}
			if b.atBaseline, err = u.bases(norm, u.BaselineSource, u.AtBaseline); err != nil {
				return nil, fmt.Errorf("%s basis %s: %w", u.Side, u.Name, err)
			}
			if u.Replacement {
				b.vectors = [2][][][]float64{u.Subspaces, u.AtBaseline}
			}
			list = append(list, b)
		}
	}
	for i := range o.NullBases {
		list = append(list, basis{Definition: decompose.Definition{Basis: schema.Basis{
			Side: side, Kind: schema.Subspace, Name: fmt.Sprintf("%s%d", randomName, i), Dimension: 1,
			Description: fmt.Sprintf(
				"null: a gaussian direction for each token, number %d of seed %d; "+
					"pairs with the other side's of the same number only", i, o.Seed),
		}}, random: true, number: i})
	}
	return list, nil
}

// pairs returns the pairs of bases that are computed: every pair of bases that are not random, and random
// ones with equal numbers.
func pairs(query, key []basis) [][2]int {
	list := [][2]int{}
	for i, q := range query {
		for j, k := range key {
			if q.random == k.random && (!q.random || q.number == k.number) {
				list = append(list, [2]int{i, j})
			}
		}
	}
	return list
}

// dropDefaults removes the default bases that cannot be made, and says so in a notice.
func (e *Engine) dropDefaults(why string, cannot func(decompose.Definition) bool) {
	for _, list := range []*[]basis{&e.queryBases, &e.keyBases} {
		var dropped []string
		side := schema.Query
		*list = slices.DeleteFunc(slices.Clone(*list), func(b basis) bool {
			drop := b.byDefault && cannot(b.Definition)
			if drop {
				dropped, side = append(dropped, b.Name), b.Side
			}
			return drop
		})
		if len(dropped) > 0 {
			e.notices = append(e.notices, fmt.Sprintf("%s %s left out: %s", side, basesAre(dropped), why))
		}
	}
}

// basesAre returns "basis a is" or "bases a and b are".
func basesAre(names []string) string {
	if len(names) == 1 {
		return "basis " + names[0] + " is"
	}
	return "bases " + strings.Join(names, " and ") + " are"
}

// queryBasis makes basis b for the query of an example. ok is false if b is a default that needs a baseline
// and the example has none.
func (p *pass[T]) queryBasis(
	b basis, x schema.Example, head schema.Head, here decompose.Position[T],
) (made decompose.Basis, ok bool, err error) {
	switch {
	case b.random:
		made, err = decompose.Span(p.engine.norm, p.randomDirection(b, x.Tokens[x.Key].ID))
		return made, true, err
	case b.Singular > 0:
		made, err = p.singularBasis(b, &x, head, x.Key)
		return made, true, err
	case b.user != nil:
		i, err := b.place(x)
		if err != nil {
			return decompose.Basis{}, true, err
		}
		return b.user[i], true, nil
	case b.byDefault && b.NeedsBaseline && x.Baseline == schema.NoPosition:
		return decompose.Basis{}, false, nil
	}
	baseline := schema.NoPosition
	if x.Baseline != schema.NoPosition {
		baseline = x.Tokens[x.Baseline].ID
	}
	made, err = decompose.QueryBasis(p.engine.norm, b.Name, p, x.Tokens[x.Key].ID, baseline, here.Components,
		p.engine.layout)
	return made, true, err
}

// keyBasis makes basis b for an example's position of a role.
func (p *pass[T]) keyBasis(
	b basis, x schema.Example, head schema.Head, role int, here decompose.Position[T],
) (decompose.Basis, error) {
	return p.basisAt(b, x, head, positionOf(&x, role), role == atBaseline, here)
}

// perEdge reports whether a basis can differ between the queries of a prompt.
func (b basis) perEdge() bool { return b.perExample || b.Singular > 0 }

// basisAt makes key-side basis b for one position of an example. A user's basis is the same at the key and at
// the baseline unless it has its own for the baseline; every other basis is that of the position.
func (p *pass[T]) basisAt(
	b basis, x schema.Example, head schema.Head, pos int, inBaseline bool, here decompose.Position[T],
) (decompose.Basis, error) {
	token := x.Tokens[pos].ID
	switch {
	case b.Singular > 0:
		return p.singularBasis(b, &x, head, pos)
	case b.random:
		return decompose.Span(p.engine.norm, p.randomDirection(b, token))
	case b.user != nil:
		i, err := b.place(x)
		switch {
		case err != nil:
			return decompose.Basis{}, err
		case inBaseline && len(b.atBaseline) > 0:
			return b.atBaseline[i], nil
		}
		return b.user[i], nil
	}
	return decompose.KeyBasis(p.engine.norm, b.Name, p, token, here.Components, p.engine.layout)
}

// randomDirection returns the direction of a random basis for a token.
func (p *pass[T]) randomDirection(b basis, token int) []float64 {
	return randomDirection(p.engine.options.Seed, b.Side, b.number, token, p.engine.description.DModel)
}

// place returns the index of an example's subspace among those of a user's basis.
func (b basis) place(x schema.Example) (int, error) {
	switch {
	case !b.perExample:
		return 0, nil
	case x.Index < 0 || x.Index >= len(b.user):
		return 0,
			advise(fmt.Sprintf("give %s basis %s one subspace for each prompt, or run %d prompts", b.Side,
				b.Name, len(b.user)),
				"%w: %s basis %s has %d subspaces, one for each example, and this is example %d, "+
					"counted from 0",
				ErrBasis, b.Side, b.Name, len(b.user), x.Index)
	}
	return x.Index, nil
}
