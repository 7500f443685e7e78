package plain

import (
	"fmt"

	"ducklens/engine/model"
)

// Read returns the tensor of a source, or one expert's part of it, widened to float64.
type Read func(src model.Source) (shape []int, values []float64, err error)

// Model is a decoder with its weights as stored.
type Model struct {
	*model.Spec
	Embed    [][]float64 // [V][d], before the embedding's scale
	Position [][]float64 // [rows][d], or nil
	Final    Norm
	Unembed  [][]float64 // [V][d]; nil if it is not stored
	UBias    []float64   // [V], or nil
	Layer    []Layer
}

// Layer is one layer.
type Layer struct {
	Norm         Norm          // before attention
	Q, K, V      [][][]float64 // [H][dh][d], [K][dh][d] twice
	BQ, BK, BV   [][]float64   // [H][dh], [K][dh] twice; zeros where there are none
	QGain, KGain [][]float64   // [H][dh], [K][dh]; nil: no QK-norm
	Sink         []float64     // [H], or nil
	O            [][][]float64 // [H][d][dh]
	BO           []float64     // [d]; zeros
	PostAttn     Norm
	MLPNorm      Norm
	MLP          MLP
	Experts      []MLP // nil: MLP is used
	Router       [][]float64
	RouterBias   []float64
	PostMLP      Norm
}

// MLP is one feed-forward network.
type MLP struct {
	Gate, In, Out          [][]float64 // [m][d] (Gate may be nil), [m][d], [d][m]
	GateBias, InBias, Bias []float64
}

// loader reads sources and keeps the first error.
type loader struct {
	read Read
	err  error
}

// Load reads every parameter.
func Load(read Read, spec *model.Spec, src *model.Sources) (*Model, error) {
	l := &loader{read: read}
	s := spec
	m := &Model{Spec: spec,
		Embed: l.matrix(src.Embed, s.DVocab, s.DModel),
		Final: Norm{Is: !s.NoFinalNorm, Centre: s.Norm.Centre, Eps: s.Norm.Eps,
			Gain: l.vector(src.FinalGain, s.DModel), Shift: l.vector(src.FinalShift, s.DModel)},
		UBias: l.vector(src.UnembedBias, s.DVocab),
	}
	if s.Position {
		m.Position = l.matrix(src.Position, s.NCtx+s.PositionOffset, s.DModel)
	}
	if src.Unembed.Stored() {
		m.Unembed = l.matrix(src.Unembed, s.DVocab, s.DModel)
	}
	for i := range s.Layers {
		m.Layer = append(m.Layer, l.layer(s, src.Layer(i)))
	}
	return m, l.err
}

func (l *loader) layer(s *model.Spec, src model.LayerSources) Layer {
	d, dh, m := s.DModel, s.DHead, s.DMLP
	norm := func(is bool, gain, shift model.Source) Norm {
		return Norm{Is: is, Centre: s.Norm.Centre, Eps: s.Norm.Eps, Gain: l.vector(gain, d),
			Shift: l.vector(shift, d)}
	}
	a := Layer{
		Norm: norm(s.PreNorm, src.Gain, src.Shift),
		Q:    byHead(l.matrix(src.Q, s.Heads*dh, d), dh), K: byHead(l.matrix(src.K, s.KVHeads*dh, d),
			dh), V: byHead(l.matrix(src.V, s.KVHeads*dh, d), dh),
		BQ: parts(l.zeros(src.QBias, s.Heads*dh), dh), BK: parts(l.zeros(src.KBias, s.KVHeads*dh),
			dh), BV: parts(l.zeros(src.VBias, s.KVHeads*dh), dh),
		BO:       l.zeros(src.OBias, d),
		Sink:     l.vector(src.Sink, s.Heads),
		PostAttn: norm(s.PostNorm, src.PostAttnGain, model.Source{}),
		MLPNorm:  norm(s.PreNorm, src.MLPGain, src.MLPShift),
		PostMLP:  norm(s.PostNorm, src.PostMLPGain, model.Source{}),
	}
	if s.SharedNorm {
		a.MLPNorm = a.Norm
	}
	a.QGain, a.KGain = l.headGain(s, src.QGain, s.Heads), l.headGain(s, src.KGain, s.KVHeads)
	o := l.matrix(src.O, d, s.Heads*dh) // [d][H dh]
	for h := range s.Heads {
		w := make([][]float64, d) // [d][dh]
		for i := range w {
			w[i] = o[i][h*dh : (h+1)*dh]
		}
		a.O = append(a.O, w)
	}
	if s.Experts == nil {
		a.MLP = MLP{In: l.matrix(src.In, m, d), InBias: l.vector(src.InBias, m), Out: l.matrix(src.Out, d, m),
			Bias: l.vector(src.OutBias, d)}
		if s.Gated {
			a.MLP.Gate, a.MLP.GateBias = l.matrix(src.Gate, m, d), l.vector(src.GateBias, m)
		}
		return a
	}
	a.Router, a.RouterBias = l.matrix(src.Router, s.Experts.Count, d), l.vector(src.RouterBias,
		s.Experts.Count)
	for e := range s.Experts.Count {
		a.Experts = append(a.Experts, l.expert(src.Experts(e), m, d))
	}
	return a
}

// expert separates gate and up if they are interleaved.
func (l *loader) expert(x model.ExpertSources, m, d int) MLP {
	e := MLP{Out: l.matrix(x.Out, d, m), Bias: l.vector(x.OutBias, d)}
	if x.Gate.Stored() {
		e.Gate, e.GateBias, e.In, e.InBias = l.matrix(x.Gate, m, d), l.vector(x.GateBias, m), l.matrix(x.In,
			m, d), l.vector(x.InBias, m)
		return e
	}
	both, bias := l.matrix(x.In, 2*m, d), l.vector(x.InBias, 2*m)
	for i := range m {
		e.Gate, e.In = append(e.Gate, both[2*i]), append(e.In, both[2*i+1])
		e.GateBias, e.InBias = append(e.GateBias, bias[2*i]), append(e.InBias, bias[2*i+1])
	}
	return e
}

// headGain returns the gain of QK-norm for each head [heads][dh], or nil.
func (l *loader) headGain(s *model.Spec, src model.Source, heads int) [][]float64 {
	switch s.QKNorm {
	case model.PerHead:
		g := l.vector(src, s.DHead)
		list := make([][]float64, heads)
		for h := range list {
			list[h] = g
		}
		return list
	case model.FullWidth:
		return parts(l.vector(src, heads*s.DHead), s.DHead)
	}
	return nil
}

// matrix reads [outputs][inputs]. The order of the source says where element (o, i) is.
func (l *loader) matrix(src model.Source, outputs, inputs int) [][]float64 {
	w := grid(outputs, inputs)
	shape, x := l.tensor(src)
	if l.err != nil {
		return w
	}
	last := shape[len(shape)-1]
	for o := range outputs {
		at := src.OutputOf(o)
		for i := range inputs {
			var k int
			switch src.Order {
			case model.OutIn:
				k = at*inputs + i
			case model.InOut:
				k = i*last + at
			case model.HeadInOut: // [head, in, dh]
				k = (at/last*inputs+i)*last + at%last
			case model.HeadOutIn: // [head, dh, d]: the inputs are heads and their dimensions
				k = i*outputs + at
			}
			if k >= len(x) {
				l.fail(fmt.Errorf("plain: %s of shape %v ends before output %d of %d, input %d of %d",
					src.Tensor, shape, o, outputs, i, inputs))
				return w
			}
			w[o][i] = x[k] + src.Plus
		}
	}
	return w
}

// vector reads [outputs]; nil if it is not stored.
func (l *loader) vector(src model.Source, outputs int) []float64 {
	if !src.Stored() {
		return nil
	}
	v := make([]float64, outputs)
	shape, x := l.tensor(src)
	for o := range v {
		k := src.OutputOf(o)
		if k >= len(x) {
			l.fail(fmt.Errorf("plain: %s of shape %v ends before output %d of %d", src.Tensor, shape, o,
				outputs))
			break
		}
		v[o] = x[k] + src.Plus
	}
	return v
}

// zeros is vector, but returns zeros if nothing is stored.
func (l *loader) zeros(src model.Source, outputs int) []float64 {
	if v := l.vector(src, outputs); v != nil {
		return v
	}
	return make([]float64, outputs)
}

func (l *loader) tensor(src model.Source) ([]int, []float64) {
	shape, x, err := l.read(src)
	if err != nil {
		l.fail(err)
	}
	if l.err != nil {
		return nil, nil
	}
	return shape, x
}

func (l *loader) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// byHead cuts rows [heads dh][d] into [heads][dh][d].
func byHead(w [][]float64, dh int) [][][]float64 {
	var list [][][]float64
	for ; len(w) >= dh; w = w[dh:] {
		list = append(list, w[:dh])
	}
	return list
}

// parts cuts [heads dh] into [heads][dh].
func parts(x []float64, dh int) [][]float64 {
	var list [][]float64
	for ; len(x) >= dh; x = x[dh:] {
		list = append(list, x[:dh])
	}
	return list
}
