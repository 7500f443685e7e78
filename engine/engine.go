package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
	"ducklens/engine/internal/workers"
	"ducklens/engine/tokenizer"
	"ducklens/schema"
)

// Engine is a loaded model with its tokenizer, its target heads and its bases. It is made by [Open]; but for
// [Engine.Prepare], which comes first, nothing changes it, so it may be used from several goroutines at once.
type Engine struct {
	options     Options
	description schema.Model
	checkpoint  *checkpoint.Checkpoint
	tokenizer   *tokenizer.Tokenizer
	provider    blas.Provider
	heads       []schema.Head
	components  []schema.Component

	queryBases, keyBases []basis
	movers               []schema.Head // nil: not chosen yet
	notices              []string

	compute computation
}

// computation is an [analysis] of either number type.
type computation interface {
	run(ctx context.Context, examples []schema.Example) ([]schema.Result, error)
	shares(ctx context.Context, examples []schema.Example) ([]float64, error)
}

// Open loads the model in folder dir. Close it when done.
func Open(dir string, options Options) (*Engine, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	ckpt, err := checkpoint.Open(dir)
	if err != nil {
		return nil, err
	}
	e, err := open(dir, ckpt, options)
	if err != nil {
		return nil, errors.Join(err, ckpt.Close())
	}
	return e, nil
}

func open(dir string, ckpt *checkpoint.Checkpoint, options Options) (*Engine, error) {
	e := &Engine{options: options, checkpoint: ckpt}
	e.queryBases, e.keyBases = options.bases(schema.Query), options.bases(schema.Key)
	var err error
	if e.description, err = describe(dir, ckpt); err != nil {
		return nil, err
	}
	e.components = schema.Components(e.description.NLayers, e.description.NHeads)
	if err := errors.Join(e.targetHeads(), e.checkUserBases()); err != nil {
		return nil, err
	}
	if err := e.settleMovers(); err != nil {
		return nil, err
	}
	if e.provider, err = blas.ByName(options.blasName()); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	// Beside each other: a digest is made by one thread, and takes about as long as all the rest does on two.
	steps := []func() error{
		func() (err error) {
			if e.description.SHA256, err = ckpt.SHA256(); err != nil {
				return fmt.Errorf("engine: digest of %s: %w", dir, err)
			}
			return nil
		},
		func() (err error) {
			if e.tokenizer, err = tokenizer.Load(os.DirFS(dir)); err != nil {
				return fmt.Errorf("engine: tokenizer of %s: %w", dir, err)
			}
			return nil
		},
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
			return nil, err // the first in this order, whichever was found first
		}
	}
	return e, nil
}

// load reads the weights at one precision.
func load[T blas.Float](e *Engine) (computation, error) {
	reach := 0
	for _, h := range e.heads {
		reach = max(reach, h.Layer)
	}
	model, err := model.LoadTo[T](e.checkpoint, reach, e.options.Processing, e.provider, e.options.threads())
	if err != nil {
		return nil, fmt.Errorf("engine: model %s: %w", e.description.Name, err)
	}
	return newAnalysis(e, model), nil
}

// describe fills the row of the model table, but for the digest.
func describe(dir string, ckpt *checkpoint.Checkpoint) (schema.Model, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return schema.Model{}, fmt.Errorf("engine: folder %s: %w", dir, err)
	}
	c := ckpt.Config()
	return schema.Model{
		Name:    filepath.Base(absolute),
		NLayers: c.NLayers, NHeads: c.NHeads, DModel: c.DModel, DHead: c.DHead(), DMLP: c.DMLP, DVocab: c.DVocab, NCtx: c.NCtx,
		LNEps: c.LNEps, Activation: c.Activation,
	}, nil
}

// Model describes the model. Its name is that of its folder.
func (e *Engine) Model() schema.Model { return e.description }

// Heads lists the target heads, in the order of [schema.Result.Heads].
func (e *Engine) Heads() []schema.Head { return slices.Clone(e.heads) }

// Bases lists the bases that results refer to by index: those of the query side, then those of the key side; on each
// none, the other named ones, the user's, the random ones.
func (e *Engine) Bases() []schema.Basis {
	var list []schema.Basis
	for _, b := range slices.Concat(e.queryBases, e.keyBases) {
		list = append(list, b.Basis)
	}
	return list
}

// Notices says, in a sentence each, what the options leave open and the model or the prompts do not allow, such as a
// default basis that is left out. Ask after [Engine.Prepare].
func (e *Engine) Notices() []string { return slices.Clone(e.notices) }

// checkUserBases compares the users' directions with the model.
func (e *Engine) checkUserBases() error {
	for _, u := range e.options.UserBases {
		if d := u.dModel(); d != e.description.DModel {
			return advise(fmt.Sprintf("directions live in the residual stream: the last dimension is d_model = %d", e.description.DModel),
				"engine: %s basis %s: %w: directions of %d entries from %s, want d_model = %d of %s", u.Side, u.Name, ErrArray, d, u.source(), e.description.DModel, e.description.Name)
		}
	}
	return nil
}

// Precision is the number type in use, [Float32] or [Float64].
func (e *Engine) Precision() string {
	if e.options.Precision == "" {
		return Float32
	}
	return e.options.Precision
}

// BLAS names the matrix-multiply provider in use.
func (e *Engine) BLAS() string { return e.provider.Name() }

// Threads is the number of threads in use.
func (e *Engine) Threads() int { return e.options.threads() }

// Close releases the model's files. The engine must not be used after it.
func (e *Engine) Close() error { return e.checkpoint.Close() }

// Analyze runs the examples through the model and decomposes the scores of every target head. Results are in the
// order of the examples; memory beyond them does not grow with their number. An example counts its tokens up to its query
// position only: later ones cannot matter. In the exact convention contributions that miss the model's score are a
// [ClosureError]; in the notebook convention, which leaves parts out, the residual is only recorded.
func (e *Engine) Analyze(ctx context.Context, examples []schema.Example) ([]schema.Result, error) {
	for _, x := range examples {
		if err := e.check(x); err != nil {
			return nil, err
		}
	}
	if e.movers == nil && (e.options.Substitutions || e.options.Projections) {
		return nil, advise("call Prepare with the first examples, or name mover heads", "engine: no mover heads chosen: %w", ErrMover)
	}
	return e.compute.run(ctx, examples)
}

// check refuses an example that did not come from [Engine.Example] and would read outside of something.
func (e *Engine) check(x schema.Example) error {
	if x.Query < 0 || x.Query >= len(x.Tokens) || x.Key < 0 || x.Key > x.Query || x.Baseline < schema.NoPosition || x.Baseline > x.Query || x.Query >= e.description.NCtx {
		return fmt.Errorf("engine: example %d: %w: query %d, key %d, baseline %d of %d tokens in a model that reads %d",
			x.Index, ErrPrompt, x.Query, x.Key, x.Baseline, len(x.Tokens), e.description.NCtx)
	}
	for _, id := range []int{x.RandomName, x.RandomToken} {
		if id != schema.NoToken && (id < 0 || id >= e.description.DVocab) {
			return fmt.Errorf("engine: example %d: %w: random token id %d, want 0 to %d, or %d for none", x.Index, ErrPrompt, id, e.description.DVocab-1, schema.NoToken)
		}
	}
	for i, t := range x.Tokens[:x.Query+1] {
		if t.ID < 0 || t.ID >= e.description.DVocab {
			return fmt.Errorf("engine: example %d: %w: token %d has id %d, want 0 to %d", x.Index, ErrPrompt, i, t.ID, e.description.DVocab-1)
		}
	}
	return nil
}
