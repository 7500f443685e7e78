package decompose

import (
	"errors"
	"fmt"
	"math"

	"ducklens/engine/blas"
	"ducklens/engine/internal/workers"
	"ducklens/schema"
)

// ErrNoOther is returned for a mean over the other keys of a query that sees only its key.
var ErrNoOther = errors.New("the query sees no other position")

// Keys holds what the components add to the key vectors of one head at the positions 0, 1, ... of a prompt:
// for each, the whole vectors of [Factors], and how key bases split them. They do not depend on a query, so
// they are computed once for a prompt. Every query takes inner products with them ([Keys.Row]) or with
// weighted means of them ([Keys.Means]).
type Keys[T blas.Float] struct {
	Parts []*KeyParts[T] // by key basis

	in      Input[T] // norm, maps and components; nothing of a particular query
	rows    []int    // into Input.Components
	bias    bool     // there is one row more
	dHead   int
	threads int
	vectors []T         // [position, row, d_head]
	own     [][]float64 // [position][d_head] the model's own keys
}

// NewKeys returns Keys with room for the given numbers of positions, which [Keys.Add] adds, and of key bases.
// Of the input it reads what belongs to the head and not to a position. The convention must be exact. Work is
// done on the given number of threads.
func NewKeys[T blas.Float](in Input[T], positions, bases, threads int) (*Keys[T], error) {
	if in.Convention != schema.Exact {
		return nil, fmt.Errorf("keys of a prompt: %w", ErrConvention)
	}
	in.Query, in.Key, in.Baseline, in.Mean = Position[T]{}, Position[T]{}, nil, nil
	in.QueryBases, in.KeyBases, in.Pairs = nil, nil, nil
	k := &Keys[T]{Parts: make([]*KeyParts[T], bases), in: in, rows: in.rows(), bias: in.Maps.BK != nil,
		threads: threads}
	if in.Maps.WK != nil && in.Maps.WK.Dims() == 2 {
		k.dHead = in.Maps.WK.Shape()[1]
	}
	k.vectors = make([]T, 0, positions*k.size())
	return k, nil
}

// Add adds the next positions, from which it copies what it needs. For each key basis, bases has the bases of
// these positions, or nil to leave it out. Add returns [ErrShape] if something does not fit the head.
func (k *Keys[T]) Add(positions []Position[T], bases [][]Basis) error {
	if len(bases) != len(k.Parts) {
		return fmt.Errorf("positions with %d key bases, want %d: %w", len(bases), len(k.Parts), ErrShape)
	}
	for i := range positions {
		p := &positions[i]
		at := k.in
		at.Query, at.Key = *p, *p // a query vector is as long as a key vector
		if err := at.check(); err != nil {
			return fmt.Errorf("position %d: %w", len(k.own)+i, err)
		}
	}
	first := len(k.own)
	k.vectors = append(k.vectors, make([]T, len(positions)*k.size())...)
	faults := make([]error, len(positions))
	workers.Do(k.threads, len(positions), func(i int) {
		f, err := k.in.factorsAt(&positions[i], k.in.Maps.WK, k.in.maps(schema.Key), nil)
		copy(k.vectors[(first+i)*k.size():], f.Vectors)
		faults[i] = err
	})
	for i := range positions {
		if faults[i] != nil {
			return fmt.Errorf("keys at position %d: %w", first+i, faults[i])
		}
		k.own = append(k.own, widen(positions[i].Vector))
	}
	for j, list := range bases {
		if list == nil {
			continue
		}
		if k.Parts[j] == nil {
			k.Parts[j] = &KeyParts[T]{}
		}
		if err := k.split(k.Parts[j], positions, list); err != nil {
			return err
		}
	}
	return nil
}

// n returns the number of rows of a position, and size that of its numbers.
func (k *Keys[T]) n() int {
	if k.bias {
		return len(k.rows) + 1
	}
	return len(k.rows)
}

func (k *Keys[T]) size() int { return k.n() * k.dHead }

// Row splits the scores of a query vector [d_head] with the positions from to to-1 over what the components
// added to the keys there: [position, component], with the components in the order of the input's and b_K
// last if there is one. Each position adds up to its score, before cap and softmax.
func (k *Keys[T]) Row(query []T, from, to int) blas.Matrix[float64] {
	q := widen(query)
	scale(q, 1/k.in.AttnScale)
	products := blas.Dots(k.vectors[from*k.size():to*k.size()], k.dHead, [][]float64{q})
	return blas.NewMatrix(to-from, k.n(), products.Data)
}

// QueryRow splits the same scores over what the components added to the query vector at position p:
// [component, position], with b_Q last if there is one.
func (k *Keys[T]) QueryRow(p *Position[T], from, to int) (blas.Matrix[float64], error) {
	f, err := k.in.factorsAt(p, k.in.Maps.WQ, k.in.maps(schema.Query), nil)
	if err != nil {
		return blas.Matrix[float64]{}, fmt.Errorf("query factors: %w", err)
	}
	out := blas.Dots(f.Vectors, k.dHead, k.own[from:to])
	scale(out.Data, 1/k.in.AttnScale)
	return out, nil
}

// KeyParts says how one key basis splits the keys at the positions of [Keys], at each along directions of its
// own. One component's key at position s is split by its coordinates along the axes V_s and by their images,
// as in [Factors]. The model's own key is split as at any position.
type KeyParts[T blas.Float] struct {
	kind  schema.BasisKind
	axes  []keyAxis[T] // as many as the position with the most axes has
	fixed []fixed      // by position
}

// keyAxis is one axis at each position: zeros where a basis has fewer axes, and short if the last positions
// have none.
type keyAxis[T blas.Float] struct {
	images      []T // [position, d_head]
	coordinates []T // [position, row]
}

// Split makes the parts of a basis that is not the same for all queries. It begins at position 0.
func (k *Keys[T]) Split(positions []Position[T], bases []Basis) (*KeyParts[T], error) {
	parts := &KeyParts[T]{}
	return parts, k.split(parts, positions, bases)
}

// Replace adds the next positions to parts, with vectors [d_model], normalised with their own scale, instead
// of their streams; see [Substitution.MeanOf].
func (k *Keys[T]) Replace(parts *KeyParts[T], positions []Position[T], vectors [][]T) error {
	bases := make([]Basis, len(vectors))
	for i, v := range vectors {
		bases[i] = Basis{kind: schema.Replacement, replacement: centred(k.in.Norm, v)}
	}
	return k.split(parts, positions, bases)
}

// split adds positions to parts.
func (k *Keys[T]) split(parts *KeyParts[T], positions []Position[T], bases []Basis) error {
	first := len(parts.fixed)
	if len(bases) != len(positions) {
		return fmt.Errorf("bases of %d positions, want %d: %w", len(bases), len(positions), ErrShape)
	}
	for i, b := range bases {
		if first+i == 0 {
			parts.kind = b.kind
		}
		if b.kind != parts.kind || !b.fits(len(positions[i].Stream)) {
			return fmt.Errorf(
				"basis at position %d is %s, and %s at the first, want one kind of d_model = %d entries: %w",
				first+i, b.kind, parts.kind, len(positions[i].Stream), ErrShape)
		}
		for len(parts.axes) < len(b.axes) {
			parts.axes = append(parts.axes, keyAxis[T]{})
		}
	}
	for i := range parts.axes {
		a := &parts.axes[i]
		a.images = append(a.images, make([]T, (first+len(bases))*k.dHead-len(a.images))...)
		a.coordinates = append(a.coordinates, make([]T, (first+len(bases))*k.n()-len(a.coordinates))...)
	}
	parts.fixed = append(parts.fixed, make([]fixed, len(bases))...)
	m := k.in.maps(schema.Key)
	workers.Do(k.threads, len(bases), func(i int) {
		p, at := &positions[i], first+i
		parts.fixed[at] = k.in.splitFixed(p, m, bases[i])
		if len(bases[i].axes) == 0 {
			return
		}
		along := products(data[T](p.Components), len(p.Stream), bases[i].axes)
		f := frameAt(m, p)
		for a, v := range bases[i].axes {
			axis := parts.axes[a]
			image := applyTransposed(m.w, v, k.dHead)
			f.apply(image)
			copy(axis.images[at*k.dHead:(at+1)*k.dHead], narrow[T](image))
			for j, row := range k.rows {
				axis.coordinates[at*k.n()+j] = T(along.row(row)[a] / float64(p.Scale))
			}
		}
	})
	return nil
}

// Mean is a key without a position: the mean of the keys of a prompt, with weights that add up to 1. Scores
// are linear in the key, so a score with it is the mean of the scores, with the same weights. The same holds
// for everything else that is linear in the key.
type Mean[T blas.Float] struct {
	Score float64        // the mean of the model's own scores with the same weights, before any cap
	Parts []*KeyParts[T] // by index of Input.KeyBases: those of the keys, unless others replace them

	keys    *Keys[T]
	weights []float64 // by position from 0; zero where the query does not see, and at the end
	vectors []T       // [row, d_head] mean of Keys.vectors
	vector  []float64 // [d_head] mean of the model's own keys
}

// meansTogether is the maximum number of means in one matrix product.
const meansTogether = 32

// Means returns a mean for each list of weights, which are by position from 0; positions after the end of a
// list have weight 0. Each mean is the same whatever others are asked for.
func (k *Keys[T]) Means(provider blas.Provider, weights [][]float64) ([]*Mean[T], error) {
	list := make([]*Mean[T], 0, len(weights))
	for len(weights) > 0 {
		part := weights[:min(meansTogether, len(weights))]
		weights = weights[len(part):]
		w := blas.NewMatrix(len(part), len(k.own), make([]T, len(part)*len(k.own)))
		for i, x := range part {
			if len(x) > len(k.own) {
				return nil,
					fmt.Errorf("weights of %d positions, and there are keys of %d: %w", len(x), len(k.own),
						ErrShape)
			}
			copy(w.Row(i), narrow[T](x))
		}
		all := blas.NewMatrix(len(part), k.size(), make([]T, len(part)*k.size()))
		blas.Gemm(provider, k.threads, all, w, blas.NewMatrix(len(k.own), k.size(), k.vectors), false)
		for i, x := range part {
			m := &Mean[T]{Score: math.NaN(), Parts: k.Parts, keys: k, weights: x, vectors: all.Row(i),
				vector: make([]float64, k.dHead)}
			for s, weight := range x {
				axpy(weight, k.own[s], m.vector)
			}
			list = append(list, m)
		}
	}
	return list, nil
}

// fits returns the first mismatch with an input.
func (m *Mean[T]) fits(in *Input[T]) error {
	switch {
	case in.Baseline != nil:
		return fmt.Errorf("a baseline position and a mean key, want one of them: %w", ErrShape)
	case in.Convention != schema.Exact:
		return fmt.Errorf("mean key: %w", ErrConvention)
	case m.keys.dHead != len(in.Query.Vector) || len(m.keys.in.Components) != len(in.Components):
		return fmt.Errorf("mean key of %d entries and %d components, want %d and %d: %w",
			m.keys.dHead, len(m.keys.in.Components), len(in.Query.Vector), len(in.Components), ErrShape)
	case len(m.Parts) != len(in.KeyBases):
		return fmt.Errorf("parts of the mean key along %d bases, want %d: %w", len(m.Parts), len(in.KeyBases),
			ErrShape)
	}
	for i, b := range in.KeyBases {
		switch parts := m.Parts[i]; {
		case parts == nil || len(parts.fixed) < len(m.weights):
			return fmt.Errorf("key basis %d does not split the mean key: %w", i, ErrShape)
		case b.kind() != parts.kind:
			return fmt.Errorf("key basis %d is %s at the key and %s in the mean, want one kind: %w", i,
				b.kind(), parts.kind, ErrShape)
		}
	}
	return nil
}

// contributions returns the quadrants of each row, then of the bias if there is one, of the score with the
// mean key, for one fixed query and one key basis. With g a part of the query, and V_s the axes at position
// s,
//
//	g . sum_s w_s k_c,s / attn_scale             all of component c, k_c,s being its vector of Keys
//	sum_s w_s (g . F_s W_K^T V_s) (V_s^T x_c,s / sigma_s) / attn_scale   what of it is parallel
func (m *Mean[T]) contributions(attnScale float64, f fixed, basis int) [][4]float64 {
	place := [2][2]schema.Quadrant{{schema.ParPar, schema.ParPerp}, {schema.PerpPar, schema.PerpPerp}}
	n := m.keys.n()
	out := make([][4]float64, n)
	for part, g := range [2][]float64{f.par, f.perp} {
		if g == nil {
			continue
		}
		whole := products(m.vectors, m.keys.dHead, [][]float64{g})
		par := make([]float64, n)
		for _, axis := range m.Parts[basis].axes {
			along := make([]float64, min(len(m.weights), len(axis.coordinates)/n))
			for s, w := range m.weights[:len(along)] {
				if w != 0 {
					along[s] = w * blas.Dot(axis.images[s*m.keys.dHead:(s+1)*m.keys.dHead], g)
				}
			}
			axpy(1, blas.Combine(axis.coordinates[:len(along)*n], along, n), par)
		}
		for i := range out {
			out[i][place[part][0]] = par[i] / attnScale
			out[i][place[part][1]] = (whole.Data[i] - par[i]) / attnScale
		}
	}
	return out
}

// split returns the mean of the model's own keys, each split along its own basis.
func (m *Mean[T]) split(parts *KeyParts[T]) fixed {
	out := fixed{perp: make([]float64, m.keys.dHead)}
	if parts.kind != schema.Whole {
		out.par = make([]float64, m.keys.dHead)
	}
	for s, w := range m.weights {
		if w == 0 {
			continue
		}
		axpy(w, parts.fixed[s].perp, out.perp)
		if out.par != nil {
			axpy(w, parts.fixed[s].par, out.par)
		}
	}
	return out
}

// factors returns those of the mean key, whole. Its parts along a basis are a mean over positions that each
// have their own axes, so it has no few axes and coordinates of its own.
func (m *Mean[T]) factors() *Factors[T] {
	return &Factors[T]{Rows: m.keys.rows, Bias: m.keys.bias, DHead: m.keys.dHead, Vectors: m.vectors}
}

// Others returns the weights, which add up to 1, of the positions other than its key that a query sees, for a
// baseline of that kind: equal ones ([schema.BaselineMean]), or the attention probabilities renormalised
// without the key and without a sink ([schema.BaselineAttention]). scores is the row of scores of what the
// query sees, before any cap, and key is the index of the key in it. Others returns [ErrNoOther] if the query
// sees only the key.
func Others[T blas.Float](kind schema.BaselineKind, softCap float64, scores []T, key int) ([]float64, error) {
	if key < 0 || key >= len(scores) {
		return nil, fmt.Errorf("key at %d of an attention row of %d: %w", key, len(scores), ErrShape)
	}
	if len(scores) < 2 {
		return nil, fmt.Errorf("baseline %s: %w", kind, ErrNoOther)
	}
	weights := make([]float64, len(scores))
	switch kind {
	case schema.BaselineMean:
		for i := range weights {
			weights[i] = 1 / float64(len(scores)-1)
		}
		weights[key] = 0
	// Computed from scores: if the key takes all attention, the others' probabilities are rounded away.
	case schema.BaselineAttention:
		top := math.Inf(-1)
		for i, s := range scores {
			if weights[i] = capped(softCap, float64(s)); i != key {
				top = max(top, weights[i])
			}
		}
		sum := 0.0
		for i, s := range weights {
			if weights[i] = math.Exp(s - top); i == key {
				weights[i] = 0
			}
			sum += weights[i]
		}
		scale(weights, 1/sum)
	default:
		return nil, fmt.Errorf("baseline %q has no weights, want %s or %s: %w", kind, schema.BaselineMean,
			schema.BaselineAttention, ErrShape)
	}
	return weights, nil
}
