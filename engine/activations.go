package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/exchange"
	"ducklens/engine/model"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// network is what an analysis asks of a model: its maps, vectors of its tokens, and activations of prompts. A
// [model.Model] runs; a folder of activations has what was run elsewhere.
type network[T blas.Float] interface {
	QK(head schema.Head) model.QK[T]
	Sink(head schema.Head) float64
	QKNormScale(head schema.Head, side schema.Side, normalised []float64) float64
	QKNormMap(head schema.Head, side schema.Side) (w *tensor.Dense, bias []T)
	Unembed(token int) []T // nil: there is none
	activate(ctx context.Context, sequences []sequence, wanted model.Wanted) (activations[T], error)
}

// activations are what a pass reads, of kept positions as [model.Cache] names them.
type activations[T blas.Float] interface {
	Stop() int
	Make(places []model.Place)
	Components(seq, i int) *tensor.Dense
	ComponentsBefore(layer, seq, i int) *tensor.Dense
	ResidPre(layer, seq, i int) []T
	NormScale(layer, seq, i int) T
	PostAttnScale(layer, seq, i int) T
	PostMLPScale(layer, seq, i int) T
	Q(head schema.Head, seq, i int) []T
	K(head schema.Head, seq, i int) []T
	QNormScale(head schema.Head, seq, i int) T
	KNormScale(head schema.Head, seq, i int) T
	Row(dst model.Row[T], head schema.Head, seq, i int) model.Row[T]

	// Turn is the rotation of queries and keys of a layer.
	Turn(layer, seq, i int) rotary.Turn
	recycle()
}

// running is a model that runs.
type running[T blas.Float] struct{ *model.Model[T] }

func (r running[T]) activate(ctx context.Context, sequences []sequence, wanted model.Wanted) (activations[T], error) {
	list := make([]model.Sequence, len(sequences))
	for i, s := range sequences {
		list[i] = model.Sequence{Tokens: s.tokens, Length: len(s.asked[0].Tokens), Positions: s.positions}
	}
	cache, err := r.ForwardFor(ctx, list, wanted)
	if err != nil {
		return nil, err
	}
	return ran[T]{cache, r.Model, sequences}, nil
}

// ran is what a forward pass has kept.
type ran[T blas.Float] struct {
	*model.Cache[T]
	model     *model.Model[T]
	sequences []sequence
}

func (r ran[T]) Turn(layer, seq, i int) rotary.Turn {
	s := &r.sequences[seq]
	return r.model.Spec().RotaryOf(layer).At(s.positions[i], len(s.asked[0].Tokens))
}

func (r ran[T]) recycle() { r.model.Recycle(r.Cache) }

// OpenActivations opens a folder of activations, as docs/activations.md describes it, in place of a model. Heads,
// where the options name none, are all that the folder has; processing, precision and BOS are the folder's, whatever
// the options say. What needs a model that runs is refused: logits, rules that choose edges, measures of heads. Bases
// and substitutions are left out, with a notice, or refused where they are named, if the folder lacks what they are
// made from. Close the engine when done.
func OpenActivations(path string, options Options) (*Engine, error) {
	folder, err := exchange.Open(path)
	if err != nil {
		return nil, err
	}
	e, err := openActivations(folder, options)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return e, nil
}

func openActivations(folder *exchange.Folder, options Options) (*Engine, error) {
	options.Processing, options.Precision, options.BOS = folder.Processing, folder.Run.Precision, ""
	if len(options.Heads) == 0 {
		options.Heads = folder.Heads
	}
	if options.Name == "" {
		options.Name = folder.Model.Name
	}
	if err := errors.Join(options.Validate(), options.withoutModel()); err != nil {
		return nil, err
	}
	e := &Engine{options: options, folder: folder, spec: folder.Spec, layout: folder.Layout, description: folder.Model}
	e.description.Name = options.Name
	e.components, e.norm = e.layout.Components(), normOf(e.spec)
	for _, h := range options.Heads {
		if !slices.Contains(folder.Heads, h) && h.Layer < e.spec.Layers && h.Index < e.spec.Heads {
			return nil, advise("it has "+labels(folder.Heads), "engine: %w %s: the folder of activations does not have it", ErrUnknownHead, h)
		}
	}
	if err := e.settleBases(); err != nil {
		return nil, err
	}
	if err := e.checkGiven(); err != nil {
		return nil, err
	}
	if err := errors.Join(e.targetHeads(), e.checkUserBases()); err != nil {
		return nil, err
	}
	if err := errors.Join(e.settleMovers(), e.settleSources(), e.checkSingular()); err != nil {
		return nil, err
	}
	var err error
	if e.provider, err = blas.ByName(options.blasName()); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	if options.Precision == Float64 {
		e.compute = newAnalysis[float64](e, newGiven[float64](e), nil)
	} else {
		e.compute = newAnalysis[float32](e, newGiven[float32](e), nil)
	}
	e.describeTargets()
	return e, nil
}

// ActivationHeads lists the target heads of a folder of activations, of which it reads the description alone.
func ActivationHeads(path string) ([]schema.Head, error) { return exchange.Heads(path) }

// labels lists heads for a message.
func labels(heads []schema.Head) string {
	text := ""
	for i, h := range heads {
		if i == 8 {
			return fmt.Sprintf("%s and %d more", text, len(heads)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += h.String()
	}
	return text
}

// withoutModel refuses what only a model that runs can answer.
func (o *Options) withoutModel() error {
	const hint = "run the model itself with --model, or leave it out"
	for _, asked := range []struct {
		is   bool
		what string
	}{
		{o.Logits, "logits: the activations end before the last target head"},
		{o.Measures, "what heads do on whole prompts: of each prompt there is one row of attention"},
		{slices.ContainsFunc(o.Edges, func(r schema.EdgeRule) bool { return r.Name != schema.EdgeGiven }), "rules that choose edges: of each prompt there is one edge"},
		{o.Baseline == schema.BaselineMean || o.Baseline == schema.BaselineAttention, "a mean of other keys as baseline: what they are made of is not there"},
		{len(o.Sources) > 0 || o.TopSources > 0, "sources: what heads below read is not there"},
		{o.Ablations, "ablations"},
		{o.Keys.All, "what the scores of all keys are made of: of each prompt there are a key and a baseline"},
		{o.Rotary, "bands of rotary embedding: their frequencies are not there"},
		{o.Convention == schema.Notebook, "the notebook convention, which processes weights in a way of its own"},
	} {
		if asked.is {
			return &hinted{invalid("a folder of activations, and asked for are %s", asked.what), hint}
		}
	}
	return nil
}

// checkGiven refuses bases that the folder lacks something of, and leaves out what was not asked for.
func (e *Engine) checkGiven() error {
	if err := e.checkUnembedding(); err != nil {
		return err
	}
	lacks := []struct {
		what  string
		needs func(b decompose.Definition) bool
	}{{"the effective embedding of a token: that needs a model that runs", func(b decompose.Definition) bool { return b.NeedsEffective }}}
	if e.spec.QKNorm == model.FullWidth && slices.ContainsFunc(e.options.Heads, func(h schema.Head) bool {
		return !e.folder.HasLayer(h.Layer)
	}) {
		what := "the maps of all heads of a layer, which its QK-norm reads"
		if e.options.Norms {
			e.options.Norms, e.options.Gram = false, 0
			e.notices = append(e.notices, "what scales of norms would be without a component is left out: the folder of activations lacks "+what)
		}
		lacks = append(lacks, struct {
			what  string
			needs func(b decompose.Definition) bool
		}{what, func(b decompose.Definition) bool { return b.Kind == schema.Replacement }})
		if e.options.Substitutions {
			e.options.Substitutions = false
			e.notices = append(e.notices, "substitutions are left out: the folder of activations lacks "+what)
		}
	}
	if slices.ContainsFunc(e.options.Heads, func(h schema.Head) bool { return h.Layer < e.spec.Layers && e.spec.RotaryOf(h.Layer).Dims > 0 }) {
		lacks = append(lacks, struct {
			what  string
			needs func(b decompose.Definition) bool
		}{"the frequencies of the rotation, which singular directions of its heads' maps need", func(b decompose.Definition) bool { return b.Singular > 0 }})
	}
	if e.layout.Writers != nil && e.layout.MLP(0) < 0 {
		lacks = append(lacks, struct {
			what  string
			needs func(b decompose.Definition) bool
		}{"MLP0 among its components", func(b decompose.Definition) bool { return b.Side == schema.Key && b.Layers == 1 }})
	}
	for _, l := range lacks {
		for _, b := range slices.Concat(e.queryBases, e.keyBases) {
			if l.needs(b.Definition) && !b.byDefault {
				return advise("leave it out", "engine: %s basis %s: %w: the folder of activations lacks %s", b.Side, b.Name, ErrBasis, l.what)
			}
		}
		e.dropDefaults("the folder of activations lacks "+l.what, l.needs)
	}
	if e.options.Substitutions {
		e.notices = append(e.notices, "substitutions of the effective embedding are left out: they need a model that runs")
	}
	return nil
}

// GivenPrompts gives the prompts of the folder of activations, in their order.
func (e *Engine) GivenPrompts() iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		for i := range e.folder.Prompts {
			p := &e.folder.Prompts[i]
			prompt := schema.Prompt{Text: p.Text, Query: schema.AtIndex(p.Query), Key: schema.AtIndex(p.Key), Fields: p.Fields, Stored: i + 1}
			if p.Baseline != schema.NoPosition {
				prompt.Baseline = schema.AtIndex(p.Baseline)
			}
			if !yield(prompt, nil) {
				return
			}
		}
	}
}

// given makes an example of a prompt of the folder of activations.
func (e *Engine) given(prompt schema.Prompt) (schema.Example, error) {
	i := prompt.Stored - 1
	if i < 0 || i >= len(e.folder.Prompts) {
		return schema.Example{}, advise("a folder of activations has prompts of its own, and answers no others",
			"engine: %w: it is none of the folder of activations: %s", ErrPrompt, excerpt(prompt.Text))
	}
	p := &e.folder.Prompts[i]
	x := schema.Example{Prompt: prompt, Tokens: p.Tokens, Query: p.Query, Key: p.Key, Baseline: p.Baseline,
		RandomName: schema.NoToken, RandomToken: schema.NoToken}
	if p.Baseline == schema.NoPosition {
		for _, d := range e.queryBases {
			if d.NeedsBaseline && !d.byDefault {
				return schema.Example{}, advise(fmt.Sprintf("leave out query basis %s", d.Name),
					"engine: %w: query basis %s is made from the baseline token, and the prompt has none: %s", ErrBasis, d.Name, excerpt(prompt.Text))
			}
		}
	}
	return x, nil
}

// given is a folder of activations as a network.
type given[T blas.Float] struct {
	engine *Engine
	folder *exchange.Folder

	mu   sync.Mutex
	maps map[schema.Head]exchange.Maps[T] // that were asked for; those of all heads of a layer under head -1
}

func newGiven[T blas.Float](e *Engine) *given[T] {
	return &given[T]{engine: e, folder: e.folder, maps: map[schema.Head]exchange.Maps[T]{}}
}

// dense makes a tensor of numbers that nobody else changes.
func (g *given[T]) dense(data []T, rows, cols int) *tensor.Dense {
	return tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(data), tensor.WithEngine(blas.Engine{Provider: g.engine.provider, Threads: 1}))
}

// mapsOf gives the maps of a head, or those of all heads of its layer.
func (g *given[T]) mapsOf(head schema.Head, all bool) exchange.Maps[T] {
	if all {
		head.Index = -1
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m, ok := g.maps[head]
	if !ok {
		if all {
			m, _ = exchange.LayerMaps[T](g.folder, head.Layer) // [Engine.checkGiven] has seen to it
		} else {
			m = exchange.HeadMaps[T](g.folder, head)
		}
		g.maps[head] = m
	}
	return m
}

func (g *given[T]) QK(head schema.Head) model.QK[T] {
	m, s := g.mapsOf(head, false), g.folder.Spec
	return model.QK[T]{WQ: g.dense(m.WQ, s.DModel, s.DHead), WK: g.dense(m.WK, s.DModel, s.DHead), BQ: m.BQ, BK: m.BK, QGain: m.QGain, KGain: m.KGain}
}

// QKNormMap is as [model.Model.QKNormMap] has it.
func (g *given[T]) QKNormMap(head schema.Head, side schema.Side) (w *tensor.Dense, bias []T) {
	m, s := g.mapsOf(head, g.folder.Spec.QKNorm == model.FullWidth), g.folder.Spec
	numbers, bias := m.WQ, m.BQ
	if side == schema.Key {
		numbers, bias = m.WK, m.BK
	}
	w = g.dense(numbers, s.DModel, len(bias))
	if !g.folder.Layout.QKBias {
		bias = nil
	}
	return w, bias
}

func (g *given[T]) Sink(head schema.Head) float64 {
	if !g.folder.Spec.Sinks {
		return math.Inf(-1)
	}
	return g.folder.Sink(head)
}

// QKNormScale is as [model.Model.QKNormScale] has it.
func (g *given[T]) QKNormScale(head schema.Head, side schema.Side, normalised []float64) float64 {
	s := g.folder.Spec
	if s.QKNorm == model.NoQKNorm {
		return 1
	}
	m := g.mapsOf(head, s.QKNorm == model.FullWidth)
	w, b := m.WQ, m.BQ
	if side == schema.Key {
		w, b = m.WK, m.BK
	}
	y := make([]float64, len(b))
	for j, v := range b {
		y[j] = float64(v)
	}
	for i, x := range normalised {
		for j, v := range w[i*len(b):][:len(b)] {
			y[j] += x * float64(v)
		}
	}
	squares := 0.0
	for _, v := range y {
		squares += v * v
	}
	return math.Sqrt(squares/float64(len(y)) + s.QKNormEps)
}

func (g *given[T]) Unembed(token int) []T { return exchange.Unembed[T](g.folder, token) }

func (g *given[T]) activate(_ context.Context, sequences []sequence, _ model.Wanted) (activations[T], error) {
	r := &stored[T]{given: g, sequences: sequences}
	for i := range sequences {
		x := &sequences[i].asked[0]
		number := x.Prompt.Stored - 1
		if len(sequences[i].asked) > 1 || number < 0 || number >= len(g.folder.Prompts) || !g.folder.Prompts[number].Is(x) {
			return nil, fmt.Errorf("example %d: %w: it is none of the folder of activations", x.Index, ErrPrompt)
		}
		a, err := exchange.Load[T](g.folder, number)
		if err != nil {
			return nil, err
		}
		r.prompts = append(r.prompts, a)
	}
	return r, nil
}

// stored are activations of a folder.
type stored[T blas.Float] struct {
	*given[T]
	sequences []sequence
	prompts   []*exchange.Activations[T]
}

// at gives a prompt, and the role of a kept position in it.
func (s *stored[T]) at(seq, i int) (*exchange.Activations[T], int) {
	a := s.prompts[seq]
	return a, a.Role(s.sequences[seq].positions[i])
}

// atKey does so for a position that is a key or a baseline.
func (s *stored[T]) atKey(seq, i int) (*exchange.Activations[T], int) {
	a := s.prompts[seq]
	return a, a.KeyRole(s.sequences[seq].positions[i])
}

// Stop is the layer of the last target head of the engine: the folder may have more.
func (s *stored[T]) Stop() int { return s.engine.stop() }

func (s *stored[T]) Make([]model.Place) {} // they are there

func (s *stored[T]) Components(seq, i int) *tensor.Dense {
	return s.ComponentsBefore(s.Stop(), seq, i)
}

func (s *stored[T]) ComponentsBefore(layer, seq, i int) *tensor.Dense {
	a, role := s.at(seq, i)
	data := a.Components(layer, role)
	return s.dense(data, len(data)/s.folder.Spec.DModel, s.folder.Spec.DModel)
}

func (s *stored[T]) ResidPre(layer, seq, i int) []T {
	a, role := s.at(seq, i)
	return a.Stream(layer, role)
}

func (s *stored[T]) NormScale(layer, seq, i int) T {
	a, role := s.at(seq, i)
	return a.NormScale(layer, role)
}

func (s *stored[T]) PostAttnScale(layer, seq, i int) T {
	a, role := s.at(seq, i)
	attention, _ := a.PostScales(layer, role)
	return attention
}

func (s *stored[T]) PostMLPScale(layer, seq, i int) T {
	a, role := s.at(seq, i)
	_, mlp := a.PostScales(layer, role)
	return mlp
}

func (s *stored[T]) Q(head schema.Head, seq, _ int) []T { return s.prompts[seq].Q(head) }

func (s *stored[T]) K(head schema.Head, seq, i int) []T {
	a, role := s.atKey(seq, i)
	return a.K(head, role)
}

func (s *stored[T]) QNormScale(head schema.Head, seq, _ int) T { return s.prompts[seq].QScale(head) }

func (s *stored[T]) KNormScale(head schema.Head, seq, i int) T {
	a, role := s.atKey(seq, i)
	return a.KScale(head, role)
}

func (s *stored[T]) Row(dst model.Row[T], head schema.Head, seq, _ int) model.Row[T] {
	first, scores := s.prompts[seq].Scores(head)
	return model.RowOf(dst, first, scores, s.folder.Spec.SoftCap, s.Sink(head))
}

func (s *stored[T]) Turn(layer, seq, i int) rotary.Turn {
	a, role := s.at(seq, i)
	return a.Turn(layer, role)
}

func (s *stored[T]) recycle() {}
