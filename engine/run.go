package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

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
		Factors: o.Factors, Pairs: o.Pairs, Logits: o.Logits, Gram: slices.Clone(e.gram), Options: o.further(),
	}
}

// further says in JSON what the options ask for beside what has a field in [schema.Run]; "" if nothing.
func (o *Options) further() string {
	type asked struct {
		Substitutions bool                `json:"substitutions"`
		Projections   bool                `json:"projections"`
		Edges         []string            `json:"edges,omitempty"`
		MaxEdges      int                 `json:"max_edges,omitempty"`
		Baseline      schema.BaselineKind `json:"baseline,omitempty"`
		Measures      bool                `json:"measures,omitempty"`
		Threshold     float64             `json:"threshold,omitempty"`
		Sources       string              `json:"sources,omitempty"`
		Rotary        bool                `json:"rotary,omitempty"`
		Norms         bool                `json:"norms,omitempty"`
		Gram          int                 `json:"gram,omitempty"`
		Keys          string              `json:"keys,omitempty"`
	}
	a := asked{o.Substitutions, o.Projections, nil, o.MaxEdges, o.Baseline, o.Measures, o.Threshold, o.sources(), o.Rotary, o.Norms, o.Gram, ""}
	if o.Keys.All {
		a.Keys = o.Keys.String()
	}
	for _, r := range o.Edges {
		a.Edges = append(a.Edges, r.String())
	}
	if reflect.DeepEqual(a, asked{}) {
		return ""
	}
	text, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("engine: options as JSON: %v", err)) // of finite numbers and text
	}
	return string(text)
}
