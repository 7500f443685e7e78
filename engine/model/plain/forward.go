package plain

import (
	"math"
	"slices"

	"ducklens/engine/model"
	"ducklens/schema"
)

// Run is a forward pass with all of its intermediate values.
type Run struct {
	Tokens          []int
	Embed, Position [][]float64   // [n][d], the second nil where there are no positions
	Resid           [][][]float64 // [L+1][n][d]: the stream before each layer, and after the last
	Layer           []LayerRun
}

// LayerRun is what happened in one layer.
type LayerRun struct {
	Scale        []float64     // [n] of the norm before attention
	Q, K         [][][]float64 // [n][H][dh], [n][K][dh]: after QK-norm and rotation
	QScale       [][]float64   // [n][H]: of QK-norm; 1 if there is none
	KScale       [][]float64   // [n][K]
	Value        [][][]float64 // [n][K][dh] without any bias
	ValueBias    [][]float64   // [K][dh]: b_V, and the norm's shift seen through W_V
	Score        [][][]float64 // [H][n][n]: raw; -Inf where masked
	Pattern      [][][]float64 // [H][n][n]
	SinkProb     [][]float64   // [H][n]; nil without sinks
	Head         [][][]float64 // [n][H][d]: what reaches the stream, value biases in Bias
	HeadRaw      [][][]float64 // the same, value biases in the heads
	Bias         [][]float64   // [n][d]: the component b_O
	BiasRaw      [][]float64
	PostScale    []float64   // [n]: of the norm after attention; 1 if there is none
	MLPScale     []float64   // [n]: of the norm before the MLP
	PostMLPScale []float64   // [n]: of the norm after the MLP
	MLP          [][]float64 // [n][d]: what reaches the stream
	Attn         [][]float64 // [n][d]: all that attention adds
}

// Forward runs the model over tokens.
func (m *Model) Forward(tokens []int) *Run { return m.ForwardWithout(tokens, nil) }

// ForwardWithout runs the model with one component, a head or the MLP of a layer (index -1), removed from the
// stream at all positions where it is written. nil removes nothing.
func (m *Model) ForwardWithout(tokens []int, away *schema.Head) *Run {
	return m.ForwardInstead(tokens, away,
		func(int) ([]float64, bool) { return make([]float64, m.DModel), true })
}

// ForwardInstead replaces the component by what instead returns for a position [d], if it returns true.
func (m *Model) ForwardInstead(
	tokens []int, away *schema.Head, instead func(pos int) ([]float64, bool),
) *Run {
	r := &Run{Tokens: tokens}
	x := make([][]float64, len(tokens))
	for i, t := range tokens {
		r.Embed = append(r.Embed, m.EmbedOf(t))
		x[i] = r.Embed[i]
		if m.Spec.Position {
			r.Position = append(r.Position, m.Position[i+m.PositionOffset])
			x[i] = add(x[i], r.Position[i])
		}
	}
	for l := range m.Layers {
		r.Resid = append(r.Resid, x)
		o := m.attention(l, x)
		y := make([][]float64, len(x))
		for i := range x {
			y[i] = add(x[i], o.Attn[i])
			other, replaced := []float64(nil), false
			if away != nil && away.Layer == l {
				other, replaced = instead(i)
			}
			if replaced && away.Index >= 0 {
				y[i] = add(sub(y[i], o.Head[i][away.Index]), other)
			}
			from := y[i]
			if m.Parallel {
				from = x[i]
			}
			m.feed(l, &o, from)
			if replaced && away.Index < 0 {
				y[i] = add(y[i], other)
			} else {
				y[i] = add(y[i], o.MLP[i])
			}
		}
		x = y
		r.Layer = append(r.Layer, o)
	}
	r.Resid = append(r.Resid, x)
	return r
}

// feed runs the MLP of a layer at the next position, whose stream is x [d].
func (m *Model) feed(l int, o *LayerRun, x []float64) {
	a := &m.Layer[l]
	out := m.mlp(a, a.MLPNorm.Apply(x))
	o.MLPScale = append(o.MLPScale, a.MLPNorm.Scale(x))
	o.PostMLPScale = append(o.PostMLPScale, a.PostMLP.Scale(out))
	o.MLP = append(o.MLP, a.PostMLP.Apply(out))
}

// EmbedOf returns the embedding component of a token: [d].
func (m *Model) EmbedOf(token int) []float64 { return scaled(m.Embed[token], m.EmbedScale) }

// LogitsAt returns the logits at a position: [V].
func (m *Model) LogitsAt(r *Run, pos int) []float64 {
	y := mul(m.Unembed, m.Final.Apply(r.Resid[m.Layers][pos]))
	if m.UBias != nil {
		y = add(y, m.UBias)
	}
	for i := range y {
		y[i] = capped(y[i], m.LogitCap)
	}
	return y
}

// attention runs the attention of a layer over the stream x [n][d].
func (m *Model) attention(l int, x [][]float64) LayerRun {
	a, n := &m.Layer[l], len(x)
	o := LayerRun{}
	for pos := range n {
		scale := a.Norm.Scale(x[pos])
		o.Scale = append(o.Scale, scale)
		in := a.Norm.Linear(x[pos], scale)
		q, qs := m.query(l, add(in, a.Norm.Shift), pos, n)
		k, ks := m.key(l, add(in, a.Norm.Shift), pos, n)
		v := make([][]float64, m.KVHeads)
		for g := range v {
			v[g] = mul(a.V[g], in)
		}
		o.Q, o.QScale = append(o.Q, q), append(o.QScale, qs)
		o.K, o.KScale = append(o.K, k), append(o.KScale, ks)
		o.Value = append(o.Value, v)
	}
	o.ValueBias = m.valueBias(l)
	for h := range m.Heads {
		score, pattern, sinks := grid(n, n), grid(n, n), make([]float64, n)
		for p := range n {
			for j := range n {
				score[p][j] = math.Inf(-1)
				if m.Sees(l, p, j) {
					score[p][j] = dot(o.Q[p][h], o.K[j][m.KVHead(h)]) / m.AttnScaleOf(l)
				}
			}
			pattern[p], sinks[p] = m.Attend(l, h, score[p])
		}
		o.Score, o.Pattern = append(o.Score, score), append(o.Pattern, pattern)
		if a.Sink != nil {
			o.SinkProb = append(o.SinkProb, sinks)
		}
	}
	m.write(l, &o)
	return o
}

// Sees reports whether position p attends to position j.
func (m *Model) Sees(layer, p, j int) bool {
	w := m.WindowOf(layer)
	return j <= p && (w == 0 || j > p-w)
}

// Attend returns the probabilities of raw scores [n], and the sink's.
func (m *Model) Attend(layer, head int, scores []float64) (pattern []float64, sink float64) {
	row := make([]float64, len(scores))
	for j, s := range scores {
		row[j] = capped(s, m.SoftCap)
	}
	if m.Layer[layer].Sink == nil {
		return softmax(row), 0
	}
	row = softmax(append(row, m.Layer[layer].Sink[head]))
	return row[:len(scores)], row[len(scores)]
}

// query and key return the vectors [heads][dh] of a normed stream x [d] at a position, and the scales of
// QK-norm [heads].
func (m *Model) query(l int, x []float64, pos, n int) ([][]float64, []float64) {
	a := &m.Layer[l]
	return m.qk(l, a.Q, a.BQ, a.QGain, x, pos, n)
}

func (m *Model) key(l int, x []float64, pos, n int) ([][]float64, []float64) {
	a := &m.Layer[l]
	return m.qk(l, a.K, a.BK, a.KGain, x, pos, n)
}

func (m *Model) qk(l int, w [][][]float64, b, gain [][]float64, x []float64, pos, n int) ([][]float64,
	[]float64) {
	y, scales := make([][]float64, len(w)), make([]float64, len(w))
	whole := 0.0
	for h := range w {
		y[h] = add(mul(w[h], x), b[h])
		whole += dot(y[h], y[h])
	}
	turn := m.RotaryOf(l).At(pos, n)
	for h := range y {
		scales[h] = 1
		switch m.QKNorm {
		case model.PerHead:
			scales[h] = math.Sqrt(dot(y[h], y[h])/float64(m.DHead) + m.QKNormEps)
		case model.FullWidth:
			scales[h] = math.Sqrt(whole/float64(len(w)*m.DHead) + m.QKNormEps)
		}
		if gain != nil {
			y[h] = times(scaled(y[h], 1/scales[h]), gain[h])
		}
		turn.Apply(y[h])
	}
	return y, scales
}

// valueBias returns what the biases add to the value at every position: [K][dh].
func (m *Model) valueBias(l int) [][]float64 {
	a := &m.Layer[l]
	b := slices.Clone(a.BV)
	for g := range b {
		if a.Norm.Shift != nil {
			b[g] = add(b[g], mul(a.V[g], a.Norm.Shift))
		}
	}
	return b
}

// write computes what attention writes to the stream, by head.
func (m *Model) write(l int, o *LayerRun) {
	a, n := &m.Layer[l], len(o.Q)
	for p := range n {
		heads, raw := make([][]float64, m.Heads), make([][]float64, m.Heads)
		bias, total := a.BO, a.BO
		for h := range m.Heads {
			g := m.KVHead(h)
			z, whole := make([]float64, m.DHead), make([]float64, m.DHead)
			for j := range n {
				for i, v := range o.Value[j][g] {
					z[i] += o.Pattern[h][p][j] * v
					whole[i] += o.Pattern[h][p][j] * (v + o.ValueBias[g][i])
				}
			}
			heads[h], raw[h] = mul(a.O[h], z), mul(a.O[h], whole)
			bias = add(bias, mul(a.O[h], o.ValueBias[g]))
			total = add(total, raw[h])
		}
		plain := a.BO
		if m.Sinks { // rows do not add up to one, so the value bias belongs to each head
			heads, bias = slices.Clone(raw), a.BO
		}
		s := a.PostAttn.Scale(total)
		for h := range heads {
			heads[h], raw[h] = a.PostAttn.Linear(heads[h], s), a.PostAttn.Linear(raw[h], s)
		}
		o.Head, o.HeadRaw = append(o.Head, heads), append(o.HeadRaw, raw)
		o.Bias, o.BiasRaw = append(o.Bias, a.PostAttn.Linear(bias, s)), append(o.BiasRaw,
			a.PostAttn.Linear(plain, s))
		o.PostScale = append(o.PostScale, s)
		o.Attn = append(o.Attn, a.PostAttn.Linear(total, s))
	}
}

// mlp runs the MLP of a layer, or its experts: [d] -> [d].
func (m *Model) mlp(a *Layer, x []float64) []float64 {
	if m.Experts == nil {
		up := add(mul(a.MLP.In, x), a.MLP.InBias)
		act := make([]float64, len(up))
		if m.Gated {
			gate := add(mul(a.MLP.Gate, x), a.MLP.GateBias)
			for i := range act {
				act[i] = activate(m.Activation, gate[i]) * up[i]
			}
		} else {
			for i := range act {
				act[i] = activate(m.Activation, up[i])
			}
		}
		return add(mul(a.MLP.Out, act), a.MLP.Bias)
	}
	router := add(mul(a.Router, x), a.RouterBias)
	order := make([]int, len(router))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case router[i] > router[j]:
			return -1
		case router[i] < router[j]:
			return 1
		}
		return 0
	})
	top := make([]float64, m.Experts.Top)
	for i := range top {
		top[i] = router[order[i]]
	}
	y := make([]float64, m.DModel)
	for i, share := range softmax(top) {
		y = add(y, scaled(m.expert(a.Experts[order[i]], x), share))
	}
	return y
}

// expert runs one expert of gpt-oss: [d] -> [d].
func (m *Model) expert(e MLP, x []float64) []float64 {
	gate, up := add(mul(e.Gate, x), e.GateBias), add(mul(e.In, x), e.InBias)
	act := make([]float64, len(up))
	for i := range act {
		g, u := min(gate[i], m.Experts.Limit), max(min(up[i], m.Experts.Limit), -m.Experts.Limit)
		act[i] = g * sigmoid(m.Experts.Alpha*g) * (u + 1)
	}
	return add(mul(e.Out, act), e.Bias)
}

// activate applies the nonlinearity.
func activate(kind model.Activation, x float64) float64 {
	switch kind {
	case model.GELU:
		return x * 0.5 * math.Erfc(-x/math.Sqrt2)
	case model.SiLU:
		return x * sigmoid(x)
	case model.ReLU:
		return max(x, 0)
	}
	return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}
