package plain

import (
	"ducklens/schema"
)

// Side is the query or the key.
type Side int

// The sides of a score.
const (
	Query Side = iota
	Key
)

// raw reports whether weights are as stored, with value biases in the heads.
func raw(form schema.Processing) bool { return form != schema.Processed }

// Components returns what has written to the stream before a layer at a position: [C][d], in the order of
// [schema.Layout].
func (m *Model) Components(r *Run, form schema.Processing, layer, pos int) [][]float64 {
	layout := m.Layout(form)
	list := [][]float64{r.Embed[pos]}
	if r.Position != nil {
		list = append(list, r.Position[pos])
	}
	for l := range layer {
		o := &r.Layer[l]
		heads, bias := o.Head[pos], o.Bias[pos]
		if raw(form) {
			heads, bias = o.HeadRaw[pos], o.BiasRaw[pos]
		}
		list = append(list, heads...)
		if layout.AttnBias {
			list = append(list, bias)
		}
		list = append(list, o.MLP[pos])
	}
	return list
}

// Factors returns, for each component x [C][d] at a position and last for the bias of the side, the vector
// whose products make scores: rotated, with all scales held. [C+1][dh]
func (m *Model) Factors(r *Run, side Side, layer, head, pos int, x [][]float64) [][]float64 {
	a, o := &m.Layer[layer], &r.Layer[layer]
	w, b, gain, scale := a.Q, a.BQ, a.QGain, o.QScale[pos]
	if side == Key {
		head = m.KVHead(head)
		w, b, gain, scale = a.K, a.BK, a.KGain, o.KScale[pos]
	}
	var list [][]float64
	for _, c := range x {
		list = append(list, mul(w[head], a.Norm.Linear(c, o.Scale[pos])))
	}
	bias := b[head]
	if a.Norm.Shift != nil {
		bias = add(bias, mul(w[head], a.Norm.Shift))
	}
	list = append(list, append([]float64(nil), bias...))
	turn := m.RotaryOf(layer).At(pos, len(r.Tokens))
	for i := range list {
		if gain != nil {
			list[i] = times(scaled(list[i], 1/scale[head]), gain[head])
		}
		turn.Apply(list[i])
	}
	return list
}

// Pairs returns query component x key component for a key position: [C+1][C+1].
func (m *Model) Pairs(r *Run, form schema.Processing, layer, head, query, key int) [][]float64 {
	q := m.Factors(r, Query, layer, head, query, m.Components(r, form, layer, query))
	k := m.Factors(r, Key, layer, head, key, m.Components(r, form, layer, key))
	g := grid(len(q), len(k))
	for i := range q {
		for j := range k {
			g[i][j] = dot(q[i], k[j]) / m.AttnScaleOf(layer)
		}
	}
	return g
}

// Sums returns the contributions that pairs add up to: by key component, and by query component.
func Sums(pairs [][]float64) (keySide, querySide []float64) {
	keySide, querySide = make([]float64, len(pairs[0])), make([]float64, len(pairs))
	for i := range pairs {
		for j, v := range pairs[i] {
			keySide[j] += v
			querySide[i] += v
		}
	}
	return keySide, querySide
}

// UnembedDirection returns the row of a token in the unembedding, as a direction: [d]. It is as stored, or
// has the final gain folded in, minus the mean over d for LayerNorm, minus the mean over the vocabulary
// unless logits are capped.
func (m *Model) UnembedDirection(token int, form schema.Processing) []float64 {
	u := m.Unembed[token]
	if raw(form) {
		return u
	}
	if m.LogitCap == 0 {
		average := make([]float64, m.DModel)
		for _, row := range m.Unembed {
			for i, v := range row {
				average[i] += v / float64(m.DVocab)
			}
		}
		u = sub(u, average)
	}
	if m.Final.Gain != nil {
		u = times(u, m.Final.Gain)
	}
	return m.centred(u)
}

// centred subtracts the mean if the model's norm is a LayerNorm.
func (m *Model) centred(x []float64) []float64 {
	if m.Spec.Norm.Centre {
		return less(x)
	}
	return x
}

// Attn0 returns the whole output of attention 0 at a position, as it reached the stream: [d].
func (m *Model) Attn0(r *Run, pos int) []float64 {
	x := r.Layer[0].Bias[pos]
	for _, h := range r.Layer[0].Head[pos] {
		x = add(x, h)
	}
	return x
}

// Quadrants splits contributions by the bases of query and key: [C+1][4] on either side, in the order
// parallel parallel, parallel perpendicular, perpendicular parallel, perpendicular perpendicular, the query's
// part first. Biases are perpendicular.
func (m *Model) Quadrants(r *Run, layer, head, query, key int, queryBasis, keyBasis [][]float64) (keySide,
	querySide [][]float64) {
	split := func(side Side, pos int, basis [][]float64) [2][][]float64 {
		var parallel, perpendicular [][]float64
		for _, x := range m.Components(r, schema.Processed, layer, pos) {
			x = m.centred(x)
			p := project(x, basis...)
			parallel, perpendicular = append(parallel, p), append(perpendicular, sub(x, p))
		}
		f := [2][][]float64{m.Factors(r, side, layer, head, pos, parallel),
			m.Factors(r, side, layer, head, pos, perpendicular)}
		clear(f[0][len(parallel)])
		return f
	}
	q, k := split(Query, query, queryBasis), split(Key, key, keyBasis)
	keySide, querySide = grid(len(k[0]), 4), grid(len(q[0]), 4)
	for a := range 2 {
		for b := range 2 {
			for i := range q[a] {
				for j := range k[b] {
					v := dot(q[a][i], k[b][j]) / m.AttnScaleOf(layer)
					keySide[j][2*a+b] += v
					querySide[i][2*a+b] += v
				}
			}
		}
	}
	return keySide, querySide
}

// Substitute replaces the stream of one side by a vector [d] and recomputes every norm. It returns the raw
// score, and the key's probability if only this score changes.
func (m *Model) Substitute(r *Run, side Side, layer, head, query, key int, v []float64) (score,
	prob float64) {
	o, n := &r.Layer[layer], len(r.Tokens)
	x := m.Layer[layer].Norm.Apply(v)
	q, k := o.Q[query][head], o.K[key][m.KVHead(head)]
	if side == Query {
		all, _ := m.query(layer, x, query, n)
		q = all[head]
	} else {
		all, _ := m.key(layer, x, key, n)
		k = all[m.KVHead(head)]
	}
	score = dot(q, k) / m.AttnScaleOf(layer)
	row := append([]float64(nil), o.Score[head][query]...)
	row[key] = score
	pattern, _ := m.Attend(layer, head, row)
	return score, pattern[key]
}

// Effective returns the parts of the effective embedding of a token: embedding, attention of layer 0 to
// itself, output of MLP 0. [3][d]
func (m *Model) Effective(token int) [3][]float64 {
	a := &m.Layer[0]
	e := m.EmbedOf(token)
	x := a.Norm.Linear(e, a.Norm.Scale(e))
	attn := make([]float64, m.DModel)
	for h := range m.Heads {
		z := mul(a.V[m.KVHead(h)], x)
		if m.Sinks {
			z = add(z, a.BV[m.KVHead(h)])
		}
		attn = add(attn, mul(a.O[h], z))
	}
	attn = a.PostAttn.Linear(attn, a.PostAttn.Scale(attn))
	from := e
	if !m.Parallel {
		from = add(e, attn)
	}
	return [3][]float64{e, attn, a.PostMLP.Apply(m.mlp(a, a.MLPNorm.Apply(from)))}
}
