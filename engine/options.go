package engine

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// Precisions of [Options], the words of the run table.
const (
	Float32 = "float32"
	Float64 = "float64"
)

// Options says what to compute. The zero value decomposes every head that the default bases apply to, in
// the exact convention, in float32.
type Options struct {
	// Heads are the target heads, in the order of results. Empty: every head of the model, but for those of
	// layer 0 where a basis needs what layer 0 wrote.
	Heads []schema.Head

	// QueryBases and KeyBases name the bases of each side, as [decompose.Definitions] lists them. "none" is always
	// there and always first. Empty: none, unembed, unembed+baseline, and none, mlp0.
	QueryBases, KeyBases []string

	Convention schema.Convention // exact unless set
	Processing schema.Processing // processed weights unless set

	// Precision of the forward pass, [Float32] or [Float64]; empty is float32. Float64 takes about ten
	// times as long and is for telling rounding from faults.
	Precision string

	// BLAS names the matrix-multiply provider, as [blas.ByName] knows them; empty is auto.
	BLAS string

	// Threads is the number of threads to compute on; 0 is one for each CPU. Results do not depend on it.
	Threads int

	// NoBOS leaves out the <|endoftext|> token in front of every prompt.
	NoBOS bool

	// AttentionOnly leaves out bases and contributions: only scores and attention rows are computed, and Heads empty
	// means every head. Closure is NaN then: there is nothing to add up.
	AttentionOnly bool
}

// The bases of an [Options] that names none: what the figures of the negative name mover heads are made with.
var (
	defaultQueryBases = []string{"none", "unembed", "unembed+baseline"}
	defaultKeyBases   = []string{"none", "mlp0"}
)

// Validate returns every fault that can be seen without a model, joined; each is an [ErrOptions].
func (o Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("engine: %w: %w", ErrOptions, fmt.Errorf(format, args...)))
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
		for i, name := range names {
			if _, err := decompose.LookUp(side, name); err != nil {
				fault("%w", err)
			}
			if slices.Contains(names[:i], name) {
				fault("%s basis %s is there twice", side, name)
			}
		}
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

// bases resolves the names of both sides. It expects valid options.
func (o Options) bases() (query, key []decompose.Definition) {
	if o.AttentionOnly {
		return nil, nil
	}
	resolve := func(side schema.Side, names, defaults []string) []decompose.Definition {
		if len(names) == 0 {
			names = defaults
		}
		list := []decompose.Definition{}
		for _, name := range append([]string{"none"}, names...) {
			if name == "none" && len(list) > 0 {
				continue
			}
			if d, err := decompose.LookUp(side, name); err == nil {
				list = append(list, d)
			}
		}
		return list
	}
	return resolve(schema.Query, o.QueryBases, defaultQueryBases), resolve(schema.Key, o.KeyBases, defaultKeyBases)
}

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

// targetHeads gives the heads of a run on this model, or says which of them it cannot have.
func (o Options) targetHeads(model schema.Model) ([]schema.Head, error) {
	var layer0 []string // bases that need what layer 0 wrote
	_, key := o.bases()
	for _, d := range key {
		if d.NeedsLayer0 {
			layer0 = append(layer0, d.Name)
		}
	}
	if len(o.Heads) == 0 {
		heads := AllHeads(model)
		if len(layer0) > 0 {
			heads = heads[min(model.NHeads, len(heads)):]
		}
		if len(heads) == 0 {
			return nil, advise("ask for key basis none or effective",
				"engine: %w: key basis %s needs a head in layer 1 or above, and %s has 1 layer", ErrBasis, layer0[0], model.Name)
		}
		return heads, nil
	}
	for _, h := range o.Heads {
		if h.Layer >= model.NLayers || h.Index >= model.NHeads {
			return nil, advise(fmt.Sprintf("heads of this model are 0.0 to %s", schema.Head{Layer: model.NLayers - 1, Index: model.NHeads - 1}),
				"engine: %w %s: model %s has %d layers of %d heads", ErrUnknownHead, h, model.Name, model.NLayers, model.NHeads)
		}
		if h.Layer == 0 && len(layer0) > 0 {
			return nil, advise("ask for a head in layer 1 or above, or for key basis none or effective",
				"engine: head %s: %w: key basis %s is made from the output of layer 0, which is written after the heads of layer 0 have read the stream", h, ErrBasis, layer0[0])
		}
	}
	return slices.Clone(o.Heads), nil
}
