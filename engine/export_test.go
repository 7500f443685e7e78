package engine

import "ducklens/schema"

// Bounds of a pass.
const (
	PassRows     = passRows
	PassExamples = passExamples
)

// RandomDirection is the generator of random bases.
var RandomDirection = randomDirection

// Finite checks a result as Analyze does.
func Finite(e *Engine, x schema.Example, r *schema.HeadResult) error {
	p := &pass[float32]{analysis: &analysis[float32]{engine: e}}
	if err := p.finite(x, r); err != nil {
		return err
	}
	f := finder{baseline: x.Baseline != schema.NoPosition}
	p.finiteVectors(&f, r)
	return f.fault(x, r.Head)
}
