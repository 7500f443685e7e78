package engine

import (
	"ducklens/engine/model"
	"ducklens/schema"
)

// PassesOf splits examples into passes with at most this many rows and examples.
func PassesOf(examples []schema.Example, rows, most int) [][]schema.Example {
	return bounds{rows: int64(rows) * 10, row: 10, kept: int64(most) * 100, example: 100}.passes(examples, request{})
}

// PassBounds returns how many rows, and how many examples with query position query, a pass takes for a model
// of which only the spec is known.
func PassBounds(spec *model.Spec, options Options, heads []schema.Head, query int) (rows, examples int) {
	e := &Engine{options: options, spec: spec, layout: spec.Layout(options.Processing), norm: normOf(spec), heads: heads}
	for side, list := range map[schema.Side]*[]basis{schema.Query: &e.queryBases, schema.Key: &e.keyBases} {
		var err error
		if *list, err = options.bases(side, e.norm, e.layout); err != nil {
			panic(err)
		}
	}
	b := e.bounds()
	return int(b.rows / b.row), int(b.kept / b.given(query))
}

// RandomDirection exports the generator of random bases.
var RandomDirection = randomDirection

// Finite checks a result as Analyze does.
func Finite(e *Engine, x schema.Example, r *schema.HeadResult) error {
	p := &pass[float32]{analysis: &analysis[float32]{engine: e}}
	if err := p.finite(x, r); err != nil {
		return err
	}
	f := finder{baseline: compared(&x), position: x.Baseline != schema.NoPosition}
	p.finiteVectors(&f, r)
	return f.fault(x, r.Head)
}

// KeptBytes is the smallest bound on what a pass keeps.
const KeptBytes = keptBytes
