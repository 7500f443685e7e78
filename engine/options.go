package engine

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// Precisions of [Options]. The run table uses the same words.
const (
	Float32 = "float32"
	Float64 = "float64"
)

// Values of [Options.BOS].
const (
	BOSAuto = "auto"
	BOSOn   = "on"
	BOSOff  = "off"
)

// Options says what to compute. The zero value decomposes, in the exact convention and in float32, every head
// that the default bases apply to.
type Options struct {
	// Name is the model's name in results. Default: the name of its folder or file.
	Name string

	// Heads are the target heads, in the order of results. Default: every head of the model, except those of
	// layer 0 if a basis needs what layer 0 wrote, and those that cannot see the key or the baseline of an
	// example that [Engine.Example] made before [Engine.Prepare] was called.
	Heads []schema.Head

	// QueryBases and KeyBases name the bases of each side, as [decompose.Definitions] lists them. "none" is
	// always included, as the first. Default: none, unembed, unembed+baseline and sub_unembed for queries;
	// none, mlp0 and sub_mlp0 for keys. Defaults that the target heads or the prompts do not allow are left
	// out, and [Engine.Notices] says so. A basis that is named but not possible is an error.
	QueryBases, KeyBases []string

	// UserBases are the user's own bases. Every pair of a user's and a named basis is computed too.
	UserBases []UserBasis

	// NullBases is the number of random bases on each side, named random0, random1 and so on, with one
	// direction each. Number i of the query side is paired only with number i of the key side. They are the
	// null that a share along a basis is compared with: 20 give a rough 95 % band. 0: none.
	NullBases int

	// Seed seeds the random bases and the draws of edges.
	Seed int64

	// Movers are the heads whose outputs at the query position are substituted for the query and projected.
	// Each must be in a layer below every target head. Default: [Engine.Prepare] chooses them by measurement.
	Movers []schema.Head

	// Factors, Pairs, Substitutions and Projections ask for more than contributions: the fields of
	// [schema.HeadResult] with these names (Projections also asks for Cosines). Pairs take the most memory:
	// 16 bytes for each pair of components, pair of bases and position, which is 1.3 MB an example for a head
	// of layer 10 of GPT-2 small with the default bases. [PairMaker] computes them from Factors, one example
	// at a time.
	Factors, Pairs, Substitutions, Projections bool

	// Edges are the rules by which [Engine.Explain] chooses the edges of prompts that come without a query
	// position. Rules that look at attention look at every target head's; an edge that one of them chooses is
	// an example for all heads. An edge that the attention window of a target head hides is never chosen.
	// With [schema.EdgeGiven] among the rules, the edge that came with a prompt is kept as well.
	Edges []schema.EdgeRule

	// MaxEdges is the maximum number of edges kept for a prompt; 0: no limit. The rules take turns in keeping
	// one edge, drawn by Seed and by the tokens of the prompt. An edge that came with the prompt is kept
	// first.
	MaxEdges int

	// Baseline is what keys are compared with. Default: for an edge that came with a prompt, the token at the
	// baseline position; for an edge that a rule chose, the mean of the other keys, weighted by attention.
	// There is no baseline if the query sees no other key, or if a token is asked for and the example names
	// none.
	Baseline schema.BaselineKind

	// Keys asks for what the scores of all keys consist of, not only those of examples: the field Rows of
	// [schema.PromptResult]. A pair of bases that it names must be one of the run's.
	Keys schema.Keys

	// Measures asks for what heads do on every prompt, over all of its tokens; see [schema.HeadMeasure].
	// Prompts whose edges are chosen by rules are always measured.
	Measures bool

	// Threshold is the attention probability that [MeasureAbove] compares the largest of a row with. 0 means
	// 0.5: most of the attention is on one key.
	Threshold float64

	// Sources are heads whose contributions are split by the position that they read: for each target head,
	// those in a layer below it. TopSources is the alternative: the number of heads that [Engine.Prepare]
	// chooses for each target head and side, those that contribute most to its queries and those that
	// contribute most to its keys. All chosen heads are split on both sides.
	Sources    []schema.Head
	TopSources int

	// Rotary asks for scores by the pairs of dimensions that rotary embedding turns: the field Bands of
	// [schema.HeadResult].
	Rotary bool

	// Norms asks for the field of this name in [schema.Result] and for QKNorms: what it takes to recompute
	// the scales of norms without a component.
	Norms bool

	// Gram is the number of components whose inner products with each other are returned with Norms, so that
	// sets of components can be taken away. [Engine.Prepare] chooses those that contribute most. 0: none.
	Gram int

	// Nearest is the number of tokens that the field Nearest of [schema.HeadResult] lists for each vector,
	// besides the key's and the baseline's. It needs an unembedding. 0: none.
	Nearest int

	Convention schema.Convention // default: exact
	Processing schema.Processing // default: processed weights

	// Precision of the forward pass, [Float32] or [Float64]; default: float32. Float64 takes about ten times
	// as long and serves to tell rounding from faults.
	Precision string

	// BLAS names the matrix-multiply provider, as [blas.ByName] knows them; default: auto.
	BLAS string

	// Threads is the number of threads to compute with; 0: one for each CPU. Results do not depend on it.
	Threads int

	// BOS says whether the token that begins a text is put in front of every prompt: [BOSOn], [BOSOff], or as
	// the model's own tokenizer does it, [BOSAuto], which is the default. GPT-2's own files do not say; for
	// them it is on.
	BOS string

	// Logits runs all layers and asks for the field of this name in [schema.Result].
	Logits bool

	// Ablations prepares the engine for [Engine.Ablate]: all layers are loaded, and the unembedding, if the
	// model has one, so that logits can be read.
	Ablations bool

	// AttentionOnly leaves out bases, contributions and everything computed from them: only scores and
	// attention rows are computed, and empty Heads means every head. Closure is NaN, as there is nothing to
	// add up.
	AttentionOnly bool
}

// Validate returns every fault that can be found without a model, joined. Each is an [ErrOptions].
func (o Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, invalid(format, args...))
	}
	for i, h := range o.Heads {
		if h.Layer < 0 || h.Index < 0 {
			fault("head %s, want layer and index from 0", h)
		}
		if slices.Contains(o.Heads[:i], h) {
			fault("head %s is given twice", h)
		}
	}
	for side, names := range [...][]string{schema.Query: o.QueryBases, schema.Key: o.KeyBases} {
		side := schema.Side(side)
		seen := map[string]bool{}
		for _, name := range names {
			d, err := decompose.LookUp(side, name)
			if err != nil {
				fault("%w", err)
				continue
			}
			if seen[d.Name] {
				fault("%s basis %s is given twice", side, d.Name)
			}
			seen[d.Name] = true
		}
	}
	for i, u := range o.UserBases {
		if err := u.check(); err != nil {
			fault("%w", err)
		}
		if slices.ContainsFunc(o.UserBases[:i],
			func(b UserBasis) bool { return b.Side == u.Side && b.Name == u.Name }) {
			fault("%s basis %s is given twice", u.Side, u.Name)
		}
	}
	if o.NullBases < 0 || o.NullBases > maxNullBases {
		fault("%d random bases, want 0 to %d", o.NullBases, maxNullBases)
	}
	for i, m := range o.Movers {
		if m.Layer < 0 || m.Index < 0 {
			fault("mover head %s, want layer and index from 0", m)
		}
		if slices.Contains(o.Movers[:i], m) {
			fault("mover head %s is given twice", m)
		}
	}
	for i, h := range o.Sources {
		if h.Layer < 0 || h.Index < 0 {
			fault("source head %s, want layer and index from 0", h)
		}
		if slices.Contains(o.Sources[:i], h) {
			fault("source head %s is given twice", h)
		}
	}
	if o.TopSources < 0 || o.TopSources > 0 && len(o.Sources) > 0 {
		fault("the largest %d sources, and %d that are named: want one or the other", o.TopSources,
			len(o.Sources))
	}
	if o.AttentionOnly &&
		(o.Factors || o.Pairs || o.Substitutions || o.Projections || o.Logits || len(o.Sources) > 0 ||
			o.TopSources > 0 || o.Rotary || o.Norms || o.Nearest > 0) {
		fault("attention only, together with factors, pairs, substitutions, projections, logits, sources, " +
			"rotary bands, norms or nearest tokens: want one or the other")
	}
	if o.Nearest < 0 || o.Nearest > maxNearest {
		fault("the nearest %d tokens, want 0 to %d", o.Nearest, maxNearest)
	}
	if o.Norms && o.Convention != schema.Exact {
		fault("norms that respond need contributions that add up, and those of convention %s do not",
			o.Convention)
	}
	if o.Gram < 0 || o.Gram > maxGram {
		fault("inner products of %d components, want 0 to %d", o.Gram, maxGram)
	}
	if o.Gram > 0 && !o.Norms {
		fault("inner products of %d components need norms, which are off", o.Gram)
	}
	if o.Convention == schema.Notebook && (isMean(o.Baseline) || o.Keys.All) {
		fault("baseline %s and keys %s in the notebook convention, which is the arithmetic of code that "+
			"has neither: want %s, or a token and keys %s",
			cmp.Or(o.Baseline, schema.BaselineToken), o.Keys, schema.Exact, schema.Keys{})
	}
	if o.AttentionOnly && o.Keys.All {
		fault("attention only, together with contributions to all keys: want one or the other")
	}
	if (o.Keys.QueryBasis == "") != (o.Keys.KeyBasis == "") || o.Keys.QueryBasis != "" && !o.Keys.All {
		fault("keys %+v, want all keys with a query basis and a key basis, or without", o.Keys)
	}
	faults = append(faults, o.edgeFaults()...)
	if !slices.Contains([]string{"", BOSAuto, BOSOn, BOSOff}, o.BOS) {
		fault("BOS %q, want %s, %s or %s", o.BOS, BOSAuto, BOSOn, BOSOff)
	}
	if o.Convention > schema.Notebook {
		fault("convention number %d, want %d for %s or %d for %s", o.Convention, schema.Exact, schema.Exact,
			schema.Notebook, schema.Notebook)
	}
	if o.Processing > schema.Raw {
		fault("weight processing number %d, want %d for %s or %d for %s", o.Processing, schema.Processed,
			schema.Processed, schema.Raw, schema.Raw)
	}
	if !slices.Contains([]string{"", Float32, Float64}, o.Precision) {
		fault("precision %q, want %s or %s", o.Precision, Float32, Float64)
	}
	if _, err := blas.ByName(o.blasName()); err != nil {
		fault("%w", err)
	}
	if o.Threads < 0 {
		fault("%d threads, want 1 or more, or 0 for one for each CPU", o.Threads)
	}
	return errors.Join(faults...)
}

func (o Options) blasName() string {
	if o.BLAS == "" {
		return "auto"
	}
	return o.BLAS
}

func (o Options) threads() int {
	if o.Threads == 0 {
		return runtime.GOMAXPROCS(0)
	}
	return o.Threads
}

// maxNullBases bounds the tables of an example, maxGram its inner products between components, and maxNearest
// the tokens of a vector.
const (
	maxNullBases = 1000
	maxGram      = 200
	maxNearest   = 100
)

// AllHeads returns every head of a model, layer by layer.
func AllHeads(model schema.Model) []schema.Head {
	heads := make([]schema.Head, 0, model.NLayers*model.NHeads)
	for l := range model.NLayers {
		for h := range model.NHeads {
			heads = append(heads, schema.Head{Layer: l, Index: h})
		}
	}
	return heads
}

// targetHeads sets the heads of the run, or returns an error that names one that this model does not have or
// that a basis rules out.
func (e *Engine) targetHeads() error {
	model := e.description
	if len(e.options.Heads) == 0 {
		return e.takeEveryHead()
	}
	for _, h := range e.options.Heads {
		if h.Layer >= model.NLayers || h.Index >= model.NHeads {
			return advise(fmt.Sprintf("heads of this model are 0.0 to %s",
				schema.Head{Layer: model.NLayers - 1, Index: model.NHeads - 1}),
				"%w %s: model %s has %d layers of %d heads", ErrUnknownHead, h, model.Name, model.NLayers,
				model.NHeads)
		}
		late := func(d decompose.Definition) bool { return d.Layers > h.Layer }
		for _, b := range slices.Concat(e.queryBases, e.keyBases) {
			if late(b.Definition) && !b.byDefault {
				advice := fmt.Sprintf("ask for a head in layer %d or above, or leave %s basis %s out",
					b.Layers, b.Side, b.Name)
				if b.Layers >= model.NLayers {
					advice = fmt.Sprintf(
						"leave %s basis %s out: no head of the model reads the stream after layer %d", b.Side,
						b.Name, b.Layers-1)
				}
				return advise(advice,
					"head %s: %w: %s basis %s is made from the output of layer %d, "+
						"which is written after the heads of layer %d have read the stream",
					h, ErrBasis, b.Side, b.Name, b.Layers-1, h.Layer)
			}
		}
		e.dropDefaults(fmt.Sprintf("head %s reads the stream before layer 0 has written", h), late)
	}
	e.heads = slices.Clone(e.options.Heads)
	return nil
}

// takeEveryHead takes the heads of all layers for which every basis exists. If there are none, it drops
// default bases.
func (e *Engine) takeEveryHead() error {
	model := e.description
	e.heads, e.everyHead = AllHeads(model), true
	first, asked := 0, false
	var why []string
	for _, bases := range [][]basis{e.queryBases, e.keyBases} {
		layers, names := 0, []string{} // the number of layers whose outputs bases of this side need
		for _, b := range bases {
			if b.Layers > 0 {
				layers, asked, names = max(layers, b.Layers), asked || !b.byDefault, append(names, b.Name)
			}
		}
		if len(names) > 0 {
			first, why = max(first, layers), append(why,
				fmt.Sprintf("%s %s made from the output of layer %d", bases[0].Side, basesAre(names),
					layers-1))
		}
	}
	needy := strings.Join(why, ", ")
	switch {
	case first == 0:
	case first < model.NLayers:
		e.heads = e.heads[first*model.NHeads:]
		below := "heads of layer 0"
		if first > 1 {
			below = fmt.Sprintf("heads of layers 0 to %d", first-1)
		}
		e.notices = append(e.notices, below+" are left out: "+needy)
	case asked:
		return advise("leave it out", "%w: %s, and %s has no layer above", ErrBasis, needy, model.Name)
	default:
		e.dropDefaults(fmt.Sprintf("%s has no layer after layer %d", model.Name, first-1),
			func(d decompose.Definition) bool { return d.Layers > 0 })
	}
	return nil
}
