package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/decompose"
	"ducklens/engine/exchange"
	"ducklens/engine/family"
	"ducklens/engine/internal/workers"
	"ducklens/engine/model"
	"ducklens/engine/tokenizer"
	"ducklens/internal/advice"
	"ducklens/internal/regular"
	"ducklens/schema"
)

// Engine is a loaded model with its tokenizer, its target heads and its bases. [Open] returns one. Only
// [Engine.Prepare], which must be called first, changes it; after that it may be used from several goroutines
// at once.
type Engine struct {
	options     Options
	description schema.Model
	checkpoint  *checkpoint.Checkpoint
	spec        *model.Spec
	sources     *model.Sources
	layout      schema.Layout
	norm        decompose.Norm // before attention
	components  []schema.Component
	tokenizer   *tokenizer.Tokenizer
	// folder holds activations to read instead of checkpoint, sources and tokenizer; nil: the model runs.
	folder   *exchange.Folder
	bos      tokenizer.BOS // what is put in front of every prompt
	provider blas.Provider
	heads    []schema.Head
	targets  []schema.Target

	queryBases, keyBases []basis
	movers               []schema.Head // nil: not chosen yet
	// readers holds, by target head, the heads whose outputs are split by the positions that they read; nil:
	// not chosen yet.
	readers map[schema.Head][]schema.Head
	gram    []int // component indices, ascending; nil: none, or not chosen yet
	spelt   []int // tokens that may be listed as nearest: those that the tokenizer spells
	notices []string

	// If the options name no heads, then until Prepare every head is a target; Prepare leaves out those that
	// do not see as far as the examples need.
	everyHead bool
	farthest  atomic.Int64

	compute computation
}

// computation is an [analysis] of either number type.
type computation interface {
	explain(ctx context.Context, prompts []schema.Example, r request,
		yield func(i int, result schema.PromptResult) error) error
	shares(ctx context.Context, examples []schema.Example, r request, sides ...schema.Side) ([]float64, error)
	sourceShares(ctx context.Context, examples []schema.Example, r request) (map[schema.Head]*[2][]float64,
		error)
	sink(head schema.Head) float64
	ablator
}

// Open loads the model at path, which is a folder or a GGUF file (of several, the first). Call Close when
// done.
func Open(path string, options Options) (*Engine, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	ckpt, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	e, err := open(path, ckpt, options)
	if err != nil {
		return nil, errors.Join(err, ckpt.Close())
	}
	return e, nil
}

func open(path string, ckpt *checkpoint.Checkpoint, options Options) (*Engine, error) {
	e, err := describe(path, ckpt, options)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(e.targetHeads(), e.checkUserBases()); err != nil {
		return nil, err
	}
	if err := errors.Join(e.settleMovers(), e.settleSources()); err != nil {
		return nil, err
	}
	if _, err := e.rowBases(); err != nil {
		return nil, err
	}
	if e.provider, err = blas.ByName(options.blasName()); err != nil {
		return nil, err
	}
	// These run concurrently: a digest uses one thread, and takes about as long as everything else does on
	// two.
	steps := []func() error{
		func() (err error) {
			if e.description.SHA256, err = ckpt.SHA256(); err != nil {
				return fmt.Errorf("digest of %s: %w", path, err)
			}
			return nil
		},
		func() error { return e.loadTokenizer(path) },
		func() (err error) {
			if options.Precision == Float64 {
				e.compute, err = load[float64](e)
			} else {
				e.compute, err = load[float32](e)
			}
			return err
		},
	}
	faults := make([]error, len(steps))
	workers.Do(options.threads(), len(steps), func(i int) { faults[i] = steps[i]() })
	for _, err := range faults {
		if err != nil {
			return nil, err // the first in the order of steps, whichever failed first
		}
	}
	if err := e.checkNearest(); err != nil {
		return nil, err
	}
	e.describeTargets()
	return e, nil
}

// load reads the weights at one precision.
func load[T blas.Float](e *Engine) (computation, error) {
	model, err := model.LoadTo[T](e.checkpoint, e.spec, e.sources, e.reach(), e.options.Processing,
		e.provider, e.options.threads())
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", e.description.Name, err)
	}
	return newAnalysis[T](e, running[T]{model}, model), nil
}

// reach returns the last layer that a run needs.
func (e *Engine) reach() int {
	if e.options.Logits || e.options.Ablations && e.unembeds() {
		return e.spec.Layers
	}
	reach := 0
	for _, h := range e.heads {
		reach = max(reach, h.Layer)
	}
	return reach
}

// describe returns an engine that knows its model but has loaded nothing of it.
func describe(path string, ckpt *checkpoint.Checkpoint, options Options) (*Engine, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", path, err)
	}
	m, err := family.Open(ckpt)
	if err != nil {
		return nil, err
	}
	s := m.Spec
	e := &Engine{options: options, checkpoint: ckpt, spec: s, sources: m.Sources}
	e.layout = s.Layout(options.Processing)
	e.components = e.layout.Components()
	e.norm = normOf(s)
	e.description = schema.Model{
		Name: cmp.Or(options.Name, nameOf(absolute, ckpt.Form())), Family: s.Family,
		ConfigSHA: family.ConfigSHA(s),
		NLayers:   s.Layers, NHeads: s.Heads, NKVHeads: s.KVHeads,
		DModel: s.DModel, DHead: s.DHead, DMLP: s.DMLP, DVocab: s.DVocab, NCtx: s.NCtx,
		Norm: e.norm.Kind.String(), LNEps: s.Norm.Eps, Activation: s.Activation.String(),
	}
	if options.Convention == schema.Notebook && !likeGPT2(s) {
		return nil, advice.Add(invalid("the notebook convention imitates published code for GPT-2 "+
			"(LayerNorm and biases, learned positions, no rotary embedding), and %s is %s",
			e.description.Name, s.Family),
			"use convention exact")
	}
	if err := e.settleBases(); err != nil {
		return nil, err
	}
	return e, errors.Join(e.checkUnembedding(), e.checkSingular(), e.checkRotary())
}

// settleBases resolves the bases that the options name.
func (e *Engine) settleBases() (err error) {
	if e.queryBases, err = e.options.bases(schema.Query, e.norm, e.layout); err != nil {
		return err
	}
	e.keyBases, err = e.options.bases(schema.Key, e.norm, e.layout)
	return err
}

// unembeds reports whether the checkpoint has an unembedding. A run that does not use it can do without.
func (e *Engine) unembeds() bool {
	if e.folder != nil {
		return e.folder.Unembeds()
	}
	return e.spec.Tied || e.sources.Unembed.Stored()
}

// checkUnembedding returns an error if the options ask for something that needs an unembedding and the model
// has none. Bases that were not asked for are left out instead.
func (e *Engine) checkUnembedding() error {
	if e.unembeds() {
		return nil
	}
	const hint = "name bases without it, such as none, or use a checkpoint that has one"
	if e.options.Logits {
		return advice.Add(invalid("logits of %s, which has no unembedding", e.description.Name), hint)
	}
	if e.options.Nearest > 0 {
		return advice.Add(invalid("the nearest tokens' unembeddings of %s, which has none",
			e.description.Name), "leave them out, or use a checkpoint that has an unembedding")
	}
	for _, b := range e.queryBases {
		if b.NeedsUnembed && !b.byDefault {
			return advise(hint, "query basis %s: %w: %s has no unembedding", b.Name, ErrBasis,
				e.description.Name)
		}
	}
	e.dropDefaults(e.description.Name+" has no unembedding",
		func(d decompose.Definition) bool { return d.NeedsUnembed })
	return nil
}

// nameOf returns the name of the folder, or of the file without its extension.
func nameOf(path string, form checkpoint.Form) string {
	name := filepath.Base(path)
	if form == checkpoint.GGUF {
		name = strings.TrimSuffix(name, filepath.Ext(name))
	}
	return name
}

// normOf returns the norm in front of the query and key maps.
func normOf(s *model.Spec) decompose.Norm {
	switch {
	case !s.PreNorm:
		return decompose.Norm{Kind: decompose.NoNorm}
	case s.Norm.Centre:
		return decompose.Norm{Kind: decompose.LN, Eps: s.Norm.Eps}
	}
	return decompose.Norm{Kind: decompose.RMS, Eps: s.Norm.Eps}
}

// gpt2Families are the families of the model that the published code is about: GPT-2 from its own files and
// from those of TransformerLens.
var gpt2Families = []string{"gpt2", "transformer_lens"}

// likeGPT2 reports whether a model is built as the notebook convention assumes.
func likeGPT2(s *model.Spec) bool {
	return slices.Contains(gpt2Families, s.Family) && s.PreNorm && s.Norm.Centre && s.Position &&
		s.Bias.QKV && s.Bias.O &&
		s.Rotary == nil && s.QKNorm == model.NoQKNorm && !s.PostNorm && !s.Parallel
}

// loadTokenizer reads the tokenizer from the files beside the weights, or from the weights file itself, and
// decides what is put in front of prompts.
func (e *Engine) loadTokenizer(path string) (err error) {
	if e.checkpoint.Form() == checkpoint.GGUF {
		e.tokenizer, err = tokenizer.FromMetadata(e.checkpoint.Metadata())
	} else {
		e.tokenizer, err = tokenizer.Load(regular.DirFS(path))
	}
	if err != nil {
		return fmt.Errorf("tokenizer of %s: %w", path, err)
	}
	switch e.options.BOS {
	case BOSOn:
		e.bos = tokenizer.WithBOS
		if _, ok := e.tokenizer.BOS(); !ok {
			return advice.Add(
				invalid("a token that begins a text was asked for, and the tokenizer of %s has none", path),
				"leave it to the tokenizer: "+BOSAuto)
		}
	case BOSOff:
		e.bos = tokenizer.WithoutBOS
	}
	return nil
}

// Model describes the model. Its name is that of its folder or file unless [Options.Name] is set.
func (e *Engine) Model() schema.Model { return e.description }

// Heads returns the target heads, in the order of [schema.Result.Heads].
func (e *Engine) Heads() []schema.Head { return slices.Clone(e.heads) }

// Targets returns the target heads and what enters their scores, in the same order as Heads.
func (e *Engine) Targets() []schema.Target { return slices.Clone(e.targets) }

// describeTargets sets e.targets.
func (e *Engine) describeTargets() {
	for _, h := range e.heads {
		e.targets = append(e.targets, schema.Target{
			Head: h, KVHead: e.spec.KVHead(h.Index), ScoreScale: 1 / e.spec.AttnScaleOf(h.Layer),
			SoftCap: e.spec.SoftCap,
			Window:  e.spec.WindowOf(h.Layer), SinkLogit: e.compute.sink(h),
			RotaryDims: e.spec.RotaryOf(h.Layer).Dims,
		})
	}
}

// Components returns the components that results refer to by index, in the order in which they write.
func (e *Engine) Components() []schema.Component { return slices.Clone(e.components) }

// Layout returns which components the model has, and in which layers.
func (e *Engine) Layout() schema.Layout { return e.layout }

// BOS reports whether the token that begins a text is put in front of every prompt.
func (e *Engine) BOS() bool {
	if e.folder != nil {
		return e.folder.Run.BOS
	}
	return e.bos == tokenizer.WithBOS || e.bos == tokenizer.AutoBOS && e.tokenizer.AddsBOS()
}

// Bases returns the bases that results refer to by index: those of the query side, then those of the key
// side. Each side begins with none, followed by the other named bases, the user's and the random ones.
func (e *Engine) Bases() []schema.Basis {
	var list []schema.Basis
	for _, b := range slices.Concat(e.queryBases, e.keyBases) {
		list = append(list, b.Basis)
	}
	return list
}

// Notices returns one sentence for each thing that the options leave open and the model or the prompts do not
// allow, such as a default basis that is left out. Call it after [Engine.Prepare].
func (e *Engine) Notices() []string { return slices.Clone(e.notices) }

// checkUserBases checks that users' directions have the model's dimension.
func (e *Engine) checkUserBases() error {
	for _, u := range e.options.UserBases {
		if d := u.dModel(); d != e.description.DModel {
			return advise(
				fmt.Sprintf("directions live in the residual stream: the last dimension is d_model = %d",
					e.description.DModel),
				"%s basis %s: %w: directions of %d entries from %s, want d_model = %d of %s",
				u.Side, u.Name, ErrArray, d, u.source(), e.description.DModel, e.description.Name)
		}
	}
	return nil
}

// Precision returns the number type in use, [Float32] or [Float64].
func (e *Engine) Precision() string {
	if e.options.Precision == "" {
		return Float32
	}
	return e.options.Precision
}

// BLAS returns the name of the matrix-multiply provider in use.
func (e *Engine) BLAS() string { return e.provider.Name() }

// Threads returns the number of threads in use.
func (e *Engine) Threads() int { return e.options.threads() }

// Close releases the model's files. The engine must not be used afterwards.
func (e *Engine) Close() error {
	if e.folder != nil {
		return e.folder.Close()
	}
	return e.checkpoint.Close()
}

// Analyze runs the examples through the model and decomposes the scores of every target head. Results are in
// the order of the examples. Apart from the results, memory does not grow with the number of examples. Only
// the tokens up to the query position matter; later ones count only by their number, in models whose rotary
// embedding depends on it (longrope). In the exact convention, contributions that do not add up to the
// model's score are a [ClosureError]. The notebook convention leaves parts out, so there the residual is only
// recorded.
func (e *Engine) Analyze(ctx context.Context, examples []schema.Example) ([]schema.Result, error) {
	results := make([]schema.Result, len(examples))
	err := e.stream(ctx, examples, request{baseline: e.options.Baseline},
		func(i int, r schema.PromptResult) error {
			results[i] = r.Examples[0]
			return nil
		})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// Explain analyses prompts in order. A prompt with a query position is analysed as given. One whose Query is
// [schema.NoPosition] is analysed at the edges that the rules of [Options.Edges] choose from all the edges
// that every target head sees, by the attention of the same forward pass. If [schema.EdgeGiven] is one of
// several rules, the edge that came with a prompt is among them.
//
// Edges are ordered by query, then key. Each is a copy of the prompt's Example, including its Index, with its
// own positions, rules and kind of baseline; a caller that numbers the examples of a run does so afterwards.
// Measures are returned if rules choose the edges, and for every prompt if [Options.Measures] is set.
// Consecutive examples with the same PromptIndex and the same tokens share work. Results are as described for
// [Engine.Analyze].
func (e *Engine) Explain(ctx context.Context, prompts []schema.Example) ([]schema.PromptResult, error) {
	results := make([]schema.PromptResult, len(prompts))
	err := e.Stream(ctx, prompts, func(i int, r schema.PromptResult) error {
		results[i].Prompt = r.Prompt
		results[i].Measures = append(results[i].Measures, r.Measures...)
		results[i].Examples = append(results[i].Examples, r.Examples...)
		results[i].Rows = append(results[i].Rows, r.Rows...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// Stream is [Engine.Explain], except that it passes results to yield as they are made, so that memory does
// not grow with the number of edges. Prompt i gets one or more consecutive calls, each with some of its
// examples; the first has the measures. Stream stops at the first error that yield returns.
func (e *Engine) Stream(
	ctx context.Context, prompts []schema.Example, yield func(i int, part schema.PromptResult) error,
) error {
	return e.stream(ctx, prompts, e.request(), yield)
}

// request returns what the options ask of prompts.
func (e *Engine) request() request {
	return request{rules: e.options.Edges, measure: e.options.Measures, most: e.options.MaxEdges,
		baseline: e.options.Baseline, every: e.options.Keys.All}
}

// chooses reports whether rules choose the edges of prompts that come without positions.
func (e *Engine) chooses() bool {
	r := e.request()
	return r.chooses()
}

func (e *Engine) stream(
	ctx context.Context, prompts []schema.Example, r request,
	yield func(i int, part schema.PromptResult) error,
) error {
	for _, x := range prompts {
		if err := e.check(x, r); err != nil {
			return err
		}
	}
	if e.movers == nil && (e.options.Substitutions || e.options.Projections) {
		return advise("call Prepare with the first examples, or name mover heads",
			"no mover heads chosen: %w", ErrMover)
	}
	if e.readers == nil {
		return advise("call Prepare with the first examples, or name sources", "no sources chosen: %w",
			ErrSource)
	}
	if e.gram == nil && e.options.Gram > 0 {
		return advise("call Prepare with the first examples", "no components chosen for inner products: %w",
			ErrOptions)
	}
	return e.compute.explain(ctx, prompts, r, yield)
}

// Passes splits examples into groups, one for each forward pass: as few groups as the bounds on memory allow,
// of about the same number of examples. A long prompt that exceeds the bounds is a group of its own. Results
// do not depend on the grouping, but memory does, and so does speed if groups become short.
func (e *Engine) Passes(examples []schema.Example) [][]schema.Example {
	return e.bounds().passes(examples, e.request())
}

// check returns an error for an example that [Engine.Example] did not make and that would be read out of
// bounds.
func (e *Engine) check(x schema.Example, r request) error {
	switch {
	case x.Query == schema.NoPosition: // rules choose
		if len(r.rules) == 0 && !r.measure {
			return advise("give it a query and a key position, or name rules that choose edges",
				"example %d: %w: it has no query position", x.Index, ErrPrompt)
		}
		if len(x.Tokens) == 0 {
			return fmt.Errorf("example %d: %w: it has no tokens", x.Index, ErrPrompt)
		}
	case x.Query < 0 || x.Query >= len(x.Tokens) || x.Key < 0 || x.Key > x.Query ||
		x.Baseline < schema.NoPosition || x.Baseline > x.Query || x.Query >= e.description.NCtx:
		return fmt.Errorf(
			"example %d: %w: query %d, key %d, baseline %d of %d tokens in a model that reads %d",
			x.Index, ErrPrompt, x.Query, x.Key, x.Baseline, len(x.Tokens), e.description.NCtx)
	default:
		if err := e.inWindows(x); err != nil {
			return fmt.Errorf("example %d: %w", x.Index, err)
		}
	}
	for _, id := range []int{x.RandomName, x.RandomToken} {
		if id != schema.NoToken && (id < 0 || id >= e.description.DVocab) {
			return fmt.Errorf("example %d: %w: random token id %d, want 0 to %d, or %d for none", x.Index,
				ErrPrompt, id, e.description.DVocab-1, schema.NoToken)
		}
	}
	used := x.Query + 1
	if r.measured(&x) {
		if used = len(x.Tokens); used > e.description.NCtx {
			return fmt.Errorf("example %d: %w: %d tokens in a model that reads %d", x.Index, ErrPrompt, used,
				e.description.NCtx)
		}
	}
	for i, t := range x.Tokens[:used] {
		if t.ID < 0 || t.ID >= e.description.DVocab {
			return fmt.Errorf("example %d: %w: token %d has id %d, want 0 to %d", x.Index, ErrPrompt, i, t.ID,
				e.description.DVocab-1)
		}
	}
	return nil
}
