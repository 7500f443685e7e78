package plain

import (
	"math"

	"ducklens/schema"
)

// Rows returns key-side contributions to the score of every position, with biases last: [C+1][n]; NaN where
// the query does not see.
func (m *Model) Rows(r *Run, layer, head, query int) [][]float64 {
	q := m.total(r, Query, layer, head, query)
	rows := grid(len(m.Components(r, schema.Processed, layer, query))+1, len(r.Tokens))
	for j := range r.Tokens {
		k := m.Factors(r, Key, layer, head, j, m.Components(r, schema.Processed, layer, j))
		for c := range k {
			rows[c][j] = dot(q, k[c]) / m.AttnScaleOf(layer)
			if !m.Sees(layer, query, j) {
				rows[c][j] = math.NaN()
			}
		}
	}
	return rows
}

// total returns the whole query or key: the sum of its factors.
func (m *Model) total(r *Run, side Side, layer, head, pos int) []float64 {
	v := make([]float64, m.DHead)
	for _, f := range m.Factors(r, side, layer, head, pos, m.Components(r, schema.Processed, layer, pos)) {
		v = add(v, f)
	}
	return v
}

// Contrasts subtracts a mean of contributions from those to the key: the mean over all other positions that
// the query sees, and the mean weighted by its attention to them. [C+1] each
func (m *Model) Contrasts(r *Run, rows [][]float64, layer, head, query, key int) (mean, weighted []float64) {
	for _, row := range rows {
		sum, count, weightedSum, weight := 0.0, 0.0, 0.0, 0.0
		for j, c := range row {
			if j == key || math.IsNaN(c) {
				continue
			}
			a := r.Layer[layer].Pattern[head][query][j]
			sum, count, weightedSum, weight = sum+c, count+1, weightedSum+a*c, weight+a
		}
		mean, weighted = append(mean, row[key]-sum/count), append(weighted, row[key]-weightedSum/weight)
	}
	return mean, weighted
}

// Without removes each component from the stream before the layer and recomputes every norm: the score to the
// key if the component is missing at the query, at the key, at both, and the key's probability in these
// cases. [C][6]
func (m *Model) Without(r *Run, layer, head, query, key int) [][]float64 {
	var list [][]float64
	for c := range m.Components(r, schema.Processed, layer, query) {
		list = append(list, m.WithoutSet(r, layer, head, query, key, []int{c}))
	}
	return list
}

// WithoutSet is Without for a set of components: [6].
func (m *Model) WithoutSet(r *Run, layer, head, query, key int, gone []int) []float64 {
	o, n, g := &r.Layer[layer], len(r.Tokens), m.KVHead(head)
	rest := func(pos int) []float64 {
		x, components := r.Resid[layer][pos], m.Components(r, schema.Processed, layer, pos)
		for _, c := range gone {
			x = sub(x, components[c])
		}
		return m.Layer[layer].Norm.Apply(x)
	}
	qs, _ := m.query(layer, rest(query), query, n)
	ks, _ := m.key(layer, rest(key), key, n)
	q, k := qs[head], ks[g]
	var scores, probs []float64
	for _, side := range [][2][]float64{{q, o.K[key][g]}, {o.Q[query][head], k}, {q, k}} {
		row := make([]float64, n)
		for j := range row {
			row[j] = math.Inf(-1)
			if m.Sees(layer, query, j) {
				row[j] = dot(side[0], o.K[j][g]) / m.AttnScaleOf(layer)
			}
		}
		row[key] = dot(side[0], side[1]) / m.AttnScaleOf(layer)
		pattern, _ := m.Attend(layer, head, row)
		scores, probs = append(scores, row[key]), append(probs, pattern[key])
	}
	return append(scores, probs...)
}

// SourcesOf splits the key-side contribution of every earlier head by the position that it read from: [layer
// H][n]. Norms are held, and value biases are separate.
func (m *Model) SourcesOf(r *Run, layer, head, query, key int) [][]float64 {
	return m.SourcesOn(r, schema.Processed, Key, layer, head, query, key)
}

// SourcesOn does the same on either side: for what the head wrote at the key, or at the query. If value
// biases are left in the heads, they are read with the values.
func (m *Model) SourcesOn(
	r *Run, form schema.Processing, side Side, layer, head, query, key int,
) [][]float64 {
	other, at, fixed := Query, key, query
	if side == Query {
		other, at, fixed = Key, query, key
	}
	whole := m.total(r, other, layer, head, fixed)
	list := grid(layer*m.Heads, len(r.Tokens))
	for l := range layer {
		a, o := &m.Layer[l], &r.Layer[l]
		for h := range m.Heads {
			for j := range r.Tokens {
				v := o.Value[j][m.KVHead(h)]
				if m.Sinks || raw(form) {
					v = add(v, o.ValueBias[m.KVHead(h)])
				}
				wrote := a.PostAttn.Linear(mul(a.O[h], scaled(v, o.Pattern[h][at][j])), o.PostScale[at])
				k := m.Factors(r, side, layer, head, at, [][]float64{wrote})
				list[l*m.Heads+h][j] = dot(whole, k[0]) / m.AttnScaleOf(layer)
			}
		}
	}
	return list
}

// Ablate removes each component at all positions where it is written and runs the model from there: score to
// the key, to the baseline, probability of the key, and the logits of both tokens at the query position.
// [C][5]; NaN for embeddings and b_O.
func (m *Model) Ablate(r *Run, layer, head, query, key, baseline int) [][]float64 {
	var list [][]float64
	for _, c := range m.Layout(schema.Processed).Components()[:m.Layout(schema.Processed).Below(layer)] {
		if c.Kind != schema.HeadOut && c.Kind != schema.MLP {
			list = append(list, []float64{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()})
			continue
		}
		away := schema.Head{Layer: c.Layer, Index: c.Head}
		run := m.ForwardWithout(r.Tokens, &away)
		o := &run.Layer[layer]
		logits := m.LogitsAt(run, query)
		list = append(list, []float64{o.Score[head][query][key], o.Score[head][query][baseline],
			o.Pattern[head][query][key],
			logits[r.Tokens[key]], logits[r.Tokens[baseline]]})
	}
	return list
}
