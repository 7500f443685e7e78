package engine

import (
	"cmp"
	"encoding/json"
	"fmt"

	"ducklens/schema"
)

// Run is the manifest of a run of this engine, as far as an engine knows it: nothing of the prompts and of who asks. Bases, movers and,
// where the options name none, heads may change in [Engine.Prepare].
func (e *Engine) Run() schema.Run {
	o := &e.options
	return schema.Run{
		Model: e.Model(), Heads: e.Targets(), Components: e.Components(), Bases: e.Bases(), Movers: e.Movers(),
		BOS: e.BOS(), BOSPolicy: cmp.Or(o.BOS, BOSAuto), Convention: o.Convention, Processing: o.Processing,
		Precision: e.Precision(), BLAS: e.BLAS(), Threads: e.Threads(),
		Factors: o.Factors, Pairs: o.Pairs, Logits: o.Logits, Options: o.further(),
	}
}

// further says in JSON what the options ask for beside what has a field in [schema.Run]; "" if nothing.
func (o *Options) further() string {
	if !o.Substitutions && !o.Projections {
		return ""
	}
	text, err := json.Marshal(struct {
		Substitutions bool `json:"substitutions"`
		Projections   bool `json:"projections"`
	}{o.Substitutions, o.Projections})
	if err != nil {
		panic(fmt.Sprintf("engine: options as JSON: %v", err)) // of two booleans
	}
	return string(text)
}
