package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/exchange"
	"ducklens/engine/model"
	"ducklens/engine/rotary"
	"ducklens/internal/advice"
	"ducklens/schema"
)

// network is what an analysis needs of a model: its maps, the vectors of its tokens, and the activations of
// prompts. A [model.Model] computes them; a folder of activations has what another program computed.
type network[T blas.Float] interface {
	QK(head schema.Head) model.QK[T]
	Sink(head schema.Head) float64
	QKNormScale(head schema.Head, side schema.Side, normalised []float64) float64
	QKNormMap(head schema.Head, side schema.Side) (w *tensor.Dense, bias []T)
	Unembed(token int) []T // nil: there is no unembedding
	activate(ctx context.Context, sequences []sequence, wanted model.Wanted) (activations[T], error)
}

// activations are what a pass reads, at kept positions that are named as in [model.Cache].
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

	// Turn returns the rotation of queries and keys of a layer.
	Turn(layer, seq, i int) rotary.Turn
	recycle()
}

// running is a model that runs.
type running[T blas.Float] struct{ *model.Model[T] }

func (r running[T]) activate(
	ctx context.Context, sequences []sequence, wanted model.Wanted,
) (activations[T], error) {
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

// OpenActivations opens a folder of activations, in the format of docs/activations.md, instead of a model. If
// the options name no heads, all heads that the folder has are used. Processing, precision and BOS are always
// those of the folder. Options that need a model that runs, such as logits, are an error. So are those that
// need positions that the folder does not have, such as rules that choose edges if not every prompt in it is
// whole. Bases and substitutions for which the folder lacks data are left out with a notice, or are an error
// if they were named. Close the engine when done.
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
	if err := errors.Join(options.Validate(), options.withoutModel(folder.Whole())); err != nil {
		return nil, err
	}
	e := &Engine{options: options, folder: folder, spec: folder.Spec, layout: folder.Layout,
		description: folder.Model}
	e.description.Name = options.Name
	e.components, e.norm = e.layout.Components(), normOf(e.spec)
	for _, h := range options.Heads {
		if !slices.Contains(folder.Heads, h) && h.Layer < e.spec.Layers && h.Index < e.spec.Heads {
			return nil,
				advise("it has "+labels(folder.Heads), "%w %s: the folder of activations does not have it",
					ErrUnknownHead, h)
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
		return nil, err
	}
	if options.Precision == Float64 {
		e.compute = newAnalysis[float64](e, newGiven[float64](e), nil)
	} else {
		e.compute = newAnalysis[float32](e, newGiven[float32](e), nil)
	}
	e.describeTargets()
	return e, nil
}

// ActivationHeads returns the target heads of a folder of activations. It reads only the folder's
// description.
func ActivationHeads(path string) ([]schema.Head, error) { return exchange.Heads(path) }

// labels formats heads for a message.
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

// withoutModel returns an error for options that need a model that runs and, unless whole is set, for those
// that need all positions of a prompt.
func (o *Options) withoutModel(whole bool) error {
	const run = "run the model itself, or leave it out"
	const hint = `capture every position of the prompts, ducklens.capture(..., positions="all"), or leave it out`
	for _, asked := range []struct {
		is   bool
		what string
		hint string
	}{
		{o.Logits, "logits: the activations end before the last target head", run},
		{len(o.Sources) > 0 || o.TopSources > 0, "sources: what heads below read is not there", run},
		{o.Ablations, "ablations", run},
		{o.Nearest > 0, "the tokens whose unembeddings lie nearest: " +
			"the folder has the unembeddings of its own tokens alone", run},
		{o.Rotary, "bands of rotary embedding: their frequencies are not there", run},
		{o.Convention == schema.Notebook,
			"the notebook convention, which processes weights in a way of its own", run},
		{o.Measures && !whole,
			"what heads do on whole prompts: of some prompt there are chosen positions alone", hint},
		{slices.ContainsFunc(o.Edges, func(r schema.EdgeRule) bool { return !isGiven(r) }) && !whole,
			"rules that choose edges: of some prompt there are chosen positions alone", hint},
		{(o.Baseline == schema.BaselineMean || o.Baseline == schema.BaselineAttention) && !whole,
			"a mean of other keys as baseline: of some prompt there are chosen positions alone", hint},
		{o.Keys.All && !whole,
			"what the scores of all keys are made of: of some prompt there are chosen positions alone", hint},
	} {
		if asked.is {
			return advice.Add(invalid("a folder of activations, and asked for are %s", asked.what),
				asked.hint)
		}
	}
	return nil
}

func isGiven(r schema.EdgeRule) bool { return r.Name == schema.EdgeGiven }

// checkGiven returns an error for bases for which the folder lacks data, and leaves out those that were not
// asked for.
func (e *Engine) checkGiven() error {
	if err := e.checkUnembedding(); err != nil {
		return err
	}
	lacks := []struct {
		what  string
		needs func(b decompose.Definition) bool
	}{{"the effective embedding of a token: that needs a model that runs",
		func(b decompose.Definition) bool { return b.NeedsEffective }}}
	if e.spec.QKNorm == model.FullWidth && slices.ContainsFunc(e.options.Heads, func(h schema.Head) bool {
		return !e.folder.HasLayer(h.Layer)
	}) {
		what := "the maps of all heads of a layer, which its QK-norm reads"
		if e.options.Norms {
			e.options.Norms, e.options.Gram = false, 0
			e.notices = append(e.notices,
				"what scales of norms would be without a component is left out: "+
					"the folder of activations lacks "+what)
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
	if slices.ContainsFunc(e.options.Heads,
		func(h schema.Head) bool { return h.Layer < e.spec.Layers && e.spec.RotaryOf(h.Layer).Dims > 0 }) {
		lacks = append(lacks, struct {
			what  string
			needs func(b decompose.Definition) bool
		}{"the frequencies of the rotation, which singular directions of its heads' maps need",
			func(b decompose.Definition) bool { return b.Singular > 0 }})
	}
	if e.layout.Writers != nil && e.layout.MLP(0) < 0 {
		lacks = append(lacks, struct {
			what  string
			needs func(b decompose.Definition) bool
		}{"MLP0 among its components",
			func(b decompose.Definition) bool { return b.Side == schema.Key && b.Layers == 1 }})
	}
	for _, l := range lacks {
		for _, b := range slices.Concat(e.queryBases, e.keyBases) {
			if l.needs(b.Definition) && !b.byDefault {
				return advise("leave it out", "%s basis %s: %w: the folder of activations lacks %s", b.Side,
					b.Name, ErrBasis, l.what)
			}
		}
		e.dropDefaults("the folder of activations lacks "+l.what, l.needs)
	}
	if e.options.Substitutions {
		e.notices = append(e.notices,
			"substitutions of the effective embedding are left out: they need a model that runs")
	}
	return nil
}

// GivenPrompts yields the prompts of the folder of activations, in order: one for each edge, as a prompts
// file has one line for each, or one without positions if there are no edges or if only rules choose.
func (e *Engine) GivenPrompts() iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		for i := range e.folder.Prompts {
			p := &e.folder.Prompts[i]
			prompt := schema.Prompt{Text: p.Text, Fields: p.Fields, Stored: i + 1}
			edges := p.Edges
			if e.chooses() && !slices.ContainsFunc(e.options.Edges, isGiven) {
				edges = nil // only rules choose
			}
			if len(edges) == 0 && !yield(prompt, nil) {
				return
			}
			for _, edge := range edges {
				prompt.Query, prompt.Key, prompt.Baseline = schema.AtIndex(edge.Query), schema.AtIndex(
					edge.Key), schema.Position{}
				if edge.Baseline != schema.NoPosition {
					prompt.Baseline = schema.AtIndex(edge.Baseline)
				}
				if !yield(prompt, nil) {
					return
				}
			}
		}
	}
}

// given makes an example of a prompt of the folder of activations.
func (e *Engine) given(prompt schema.Prompt) (schema.Example, error) {
	i := prompt.Stored - 1
	if i < 0 || i >= len(e.folder.Prompts) {
		return schema.Example{},
			advise("a folder of activations has prompts of its own, and answers no others",
				"%w: it is none of the folder of activations: %s", ErrPrompt, excerpt(prompt.Text))
	}
	p := &e.folder.Prompts[i]
	at := func(p schema.Position) int {
		if index, ok := p.Index(); ok {
			return index
		}
		return schema.NoPosition
	}
	x := schema.Example{Prompt: prompt, Tokens: p.Tokens, Query: at(prompt.Query), Key: at(prompt.Key),
		Baseline:   at(prompt.Baseline),
		RandomName: schema.NoToken, RandomToken: schema.NoToken}
	if x.Query == schema.NoPosition {
		if !e.chooses() {
			return schema.Example{}, advise("name rules that choose them, such as top:1",
				"%w: the folder of activations has the whole prompt and no edges of it: %s", ErrPrompt,
				excerpt(prompt.Text))
		}
		return x, nil
	}
	x.Notices = doubtful(x)
	if x.Baseline == schema.NoPosition {
		for _, d := range e.queryBases {
			if d.NeedsBaseline && !d.byDefault {
				return schema.Example{}, advise(fmt.Sprintf("leave out query basis %s", d.Name),
					"%w: query basis %s is made from the baseline token, and the prompt has none: %s",
					ErrBasis, d.Name, excerpt(prompt.Text))
			}
		}
	}
	return x, nil
}
