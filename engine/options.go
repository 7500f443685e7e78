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

// Precisions of [Options], the words of the run table.
const (
	Float32 = "float32"
	Float64 = "float64"
)

// Words of [Options.BOS].
const (
	BOSAuto = "auto"
	BOSOn   = "on"
	BOSOff  = "off"
)

// Options says what to compute. The zero value decomposes every head that the default bases apply to, in
// the exact convention, in float32.
type Options struct {
	// Name is what the model is called in results; empty: as its folder or file.
	Name string

	// Heads are the target heads, in the order of results. Empty: every head of the model, but for those of
	// layer 0 where a basis needs what layer 0 wrote, and those that do not see a key or a baseline of an
	// example that [Engine.Example] has made before [Engine.Prepare].
	Heads []schema.Head

	// QueryBases and KeyBases name the bases of each side, as [decompose.Definitions] lists them. "none" is
	// always there and always first. Empty: none, unembed, unembed+baseline and sub_unembed; none, mlp0 and
	// sub_mlp0. Of these defaults, those that the target heads or the prompts cannot have are left out, and
	// [Engine.Notices] says so; a basis that is named is an error where it cannot be had.
	QueryBases, KeyBases []string

	// UserBases are bases of your own, beside the named ones: every pair of both kinds is computed.
	UserBases []UserBasis

	// NullBases is the number of random bases of each side, named random0, random1 and so on, one direction
	// each. Number i of the query side is paired with number i of the key side only. They are the null that a
	// share along a basis is compared with: 20 give a rough band of 95 percent. 0: none.
	NullBases int

	// Seed of the random bases, and of draws of edges.
	Seed int64

	// Movers are the heads whose outputs at the query position are substituted for the query and projected,
	// each in a layer below every target head. Empty: those that [Engine.Prepare] chooses by measure.
	Movers []schema.Head

	// Factors, Pairs, Substitutions and Projections ask for more than contributions: the fields of
	// [schema.HeadResult] with those names (Projections for Cosines too). Pairs take the most memory, 16
	// bytes for each pair of components, pair of bases and position, 1.3 MB an example for a head of layer 10
	// of GPT-2 small with the default bases; [PairMaker] makes them from Factors one example at a time.
	Factors, Pairs, Substitutions, Projections bool

	// Edges are the rules by which [Engine.Explain] chooses edges of prompts that come without a query position.
	// Rules that look at attention look at that of every target head; an edge that one of them chooses is an
	// example for all. An edge that the attention window of a target head hides is never chosen.
	// [schema.EdgeGiven] beside others takes in the edge that a prompt came with.
	Edges []schema.EdgeRule

	// MaxEdges is how many edges of a prompt are kept at most, 0: all. The rules take turns to keep one, drawn by
	// Seed and by the tokens of the prompt; an edge that came with the prompt is kept first.
	MaxEdges int

	// Baseline is what keys are compared with. Empty: the token at the baseline position, for an edge that came
	// with a prompt; the mean of the other keys, weighted by attention, for edges that rules choose. None stands
	// where a query sees no other key, and where a token is asked for and the example names none.
	Baseline schema.BaselineKind

	// Keys asks for what the scores of all keys are made of, and not only those of examples: the field of
	// [schema.PromptResult] with the name Rows. A pair of bases that it names is one of the run's.
	Keys schema.Keys

	// Measures asks for what heads do on every prompt, on all of its tokens; see [schema.HeadMeasure]. It comes
	// unasked for prompts whose edges rules choose.
	Measures bool

	// Threshold is the attention probability that the largest of a row is compared with, for the measure above;
	// 0 is 0.5: most of the attention is on one key.
	Threshold float64

	// Sources are heads whose contributions are split by the position that they read: for each target head those
	// of a layer below it. TopSources, in place of them, is how many [Engine.Prepare] chooses for each target
	// head and side: those that contribute most to its queries, and those that contribute most to its keys; all
	// of them are split on both sides.
	Sources    []schema.Head
	TopSources int

	// Rotary asks for scores by pairs of dimensions that rotary embedding turns: the field Bands of
	// [schema.HeadResult].
	Rotary bool

	// Norms asks for the fields of [schema.Result] with this name and for QKNorms: what the scales of norms
	// need to be made again without a component.
	Norms bool

	// Gram is the number of components whose inner products with each other come with Norms, so that sets of
	// them can be taken away: those that contribute most, which [Engine.Prepare] chooses. 0: none.
	Gram int

	Convention schema.Convention // exact unless set
	Processing schema.Processing // processed weights unless set

	// Precision of the forward pass, [Float32] or [Float64]; empty is float32. Float64 takes about ten
	// times as long and is for telling rounding from faults.
	Precision string

	// BLAS names the matrix-multiply provider, as [blas.ByName] knows them; empty is auto.
	BLAS string

	// Threads is the number of threads to compute on; 0 is one for each CPU. Results do not depend on it.
	Threads int

	// BOS says whether the token that begins a text stands in front of every prompt: [BOSOn], [BOSOff], or
	// what the model's own tokenizer does, [BOSAuto], which is meant by an empty string too. GPT-2's own
	// files have no policy; there it is on.
	BOS string

	// Logits runs all layers, and asks for the field of [schema.Result] with this name.
	Logits bool

	// Ablations makes the engine ready for [Engine.Ablate]: all layers are there, where the model has an
	// unembedding to read logits by.
	Ablations bool

	// AttentionOnly leaves out bases, contributions and all that comes with them: only scores and attention
	// rows are computed, and Heads empty means every head. Closure is NaN then: there is nothing to add up.
	AttentionOnly bool
}

// Validate returns every fault that can be seen without a model, joined; each is an [ErrOptions].
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
			fault("head %s is there twice", h)
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
				fault("%s basis %s is there twice", side, d.Name)
			}
			seen[d.Name] = true
		}
	}
	for i, u := range o.UserBases {
		if err := u.check(); err != nil {
			fault("%w", err)
		}
		if slices.ContainsFunc(o.UserBases[:i], func(b UserBasis) bool { return b.Side == u.Side && b.Name == u.Name }) {
			fault("%s basis %s is there twice", u.Side, u.Name)
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
			fault("mover head %s is there twice", m)
		}
	}
	for i, h := range o.Sources {
		if h.Layer < 0 || h.Index < 0 {
			fault("source head %s, want layer and index from 0", h)
		}
		if slices.Contains(o.Sources[:i], h) {
			fault("source head %s is there twice", h)
		}
	}
	if o.TopSources < 0 || o.TopSources > 0 && len(o.Sources) > 0 {
		fault("the largest %d sources, and %d that are named: want one or the other", o.TopSources, len(o.Sources))
	}
	if o.AttentionOnly && (o.Factors || o.Pairs || o.Substitutions || o.Projections || o.Logits || len(o.Sources) > 0 || o.TopSources > 0 || o.Rotary || o.Norms) {
		fault("attention only, and factors, pairs, substitutions, projections, logits, sources, rotary bands or norms as well: want one or the other")
	}
	if o.Norms && o.Convention != schema.Exact {
		fault("norms that answer are arithmetic on contributions that add up, and those of convention %s do not", o.Convention)
	}
	if o.Gram < 0 || o.Gram > maxGram {
		fault("inner products of %d components, want 0 to %d", o.Gram, maxGram)
	}
	if o.Gram > 0 && !o.Norms {
		fault("inner products of components without norms: want both")
	}
	if o.Convention == schema.Notebook && (isMean(o.Baseline) || o.Keys.All) {
		fault("baseline %s and keys %s in the notebook convention, which is the arithmetic of code that has neither: want %s, or a token and keys %s",
			cmp.Or(o.Baseline, schema.BaselineToken), o.Keys, schema.Exact, schema.Keys{})
	}
	if o.AttentionOnly && o.Keys.All {
		fault("attention only, and contributions to all keys as well: want one or the other")
	}
	if (o.Keys.QueryBasis == "") != (o.Keys.KeyBasis == "") || o.Keys.QueryBasis != "" && !o.Keys.All {
		fault("keys %+v, want all keys with a query basis and a key basis, or without", o.Keys)
	}
	faults = append(faults, o.edgeFaults()...)
	if !slices.Contains([]string{"", BOSAuto, BOSOn, BOSOff}, o.BOS) {
		fault("BOS %q, want %s, %s or %s", o.BOS, BOSAuto, BOSOn, BOSOff)
	}
	if o.Convention > schema.Notebook {
		fault("convention number %d, want %d for %s or %d for %s", o.Convention, schema.Exact, schema.Exact, schema.Notebook, schema.Notebook)
	}
	if o.Processing > schema.Raw {
		fault("weight processing number %d, want %d for %s or %d for %s", o.Processing, schema.Processed, schema.Processed, schema.Raw, schema.Raw)
	}
	if !slices.Contains([]string{"", Float32, Float64}, o.Precision) {
		fault("precision %q, want %s or %s", o.Precision, Float32, Float64)
	}
	if _, err := blas.ByName(o.blasName()); err != nil {
		fault("%w", err)
	}
	if o.Threads < 0 {
		fault("%d threads, want 1 or more, or 0 for one each CPU", o.Threads)
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

// maxNullBases bounds the tables of an example, and maxGram its inner products of components.
const (
	maxNullBases = 1000
	maxGram      = 200
)

// AllHeads lists every head of a model, layer after layer.
func AllHeads(model schema.Model) []schema.Head {
	heads := make([]schema.Head, 0, model.NLayers*model.NHeads)
	for l := range model.NLayers {
		for h := range model.NHeads {
			heads = append(heads, schema.Head{Layer: l, Index: h})
		}
	}
	return heads
}

// targetHeads settles the heads of the run on this model, or says which of them it cannot have.
func (e *Engine) targetHeads() error {
	model := e.description
	if len(e.options.Heads) == 0 {
		return e.takeEveryHead()
	}
	for _, h := range e.options.Heads {
		if h.Layer >= model.NLayers || h.Index >= model.NHeads {
			return advise(fmt.Sprintf("heads of this model are 0.0 to %s", schema.Head{Layer: model.NLayers - 1, Index: model.NHeads - 1}),
				"engine: %w %s: model %s has %d layers of %d heads", ErrUnknownHead, h, model.Name, model.NLayers, model.NHeads)
		}
		late := func(d decompose.Definition) bool { return d.Layers > h.Layer }
		for _, b := range slices.Concat(e.queryBases, e.keyBases) {
			if late(b.Definition) && !b.byDefault {
				advice := fmt.Sprintf("ask for a head in layer %d or above, or leave %s basis %s out", b.Layers, b.Side, b.Name)
				if b.Layers >= model.NLayers {
					advice = fmt.Sprintf("leave %s basis %s out: no head of the model reads the stream after layer %d", b.Side, b.Name, b.Layers-1)
				}
				return advise(advice,
					"engine: head %s: %w: %s basis %s is made from the output of layer %d, which is written after the heads of layer %d have read the stream",
					h, ErrBasis, b.Side, b.Name, b.Layers-1, h.Layer)
			}
		}
		e.dropDefaults(fmt.Sprintf("head %s reads the stream before layer 0 has written", h), late)
	}
	e.heads = slices.Clone(e.options.Heads)
	return nil
}

// takeEveryHead takes the heads of the layers that all bases can be had in. Where there is none, bases of the defaults go.
func (e *Engine) takeEveryHead() error {
	model := e.description
	e.heads, e.everyHead = AllHeads(model), true
	first, asked := 0, false
	var why []string
	for _, bases := range [][]basis{e.queryBases, e.keyBases} {
		layers, names := 0, []string{} // what bases of this side need
		for _, b := range bases {
			if b.Layers > 0 {
				layers, asked, names = max(layers, b.Layers), asked || !b.byDefault, append(names, b.Name)
			}
		}
		if len(names) > 0 {
			first, why = max(first, layers), append(why, fmt.Sprintf("%s %s made from the output of layer %d", bases[0].Side, basesAre(names), layers-1))
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
		return advise("leave it out", "engine: %w: %s, and %s has no layer above", ErrBasis, needy, model.Name)
	default:
		e.dropDefaults(fmt.Sprintf("%s has no layer after layer %d", model.Name, first-1), func(d decompose.Definition) bool { return d.Layers > 0 })
	}
	return nil
}
