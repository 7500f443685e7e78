package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"ducklens/schema"
)

// Run returns the part of a run's manifest that the engine knows: nothing about the prompts or about who runs
// it. [Engine.Prepare] may change bases, movers and, if the options name none, heads.
func (e *Engine) Run() schema.Run {
	o := &e.options
	return schema.Run{
		Model: e.Model(), Heads: e.Targets(), Components: e.Components(), Bases: e.Bases(),
		Movers: e.Movers(),
		BOS:    e.BOS(), BOSPolicy: cmp.Or(o.BOS, BOSAuto), Convention: o.Convention,
		Processing: o.Processing,
		Precision:  e.Precision(), BLAS: e.BLAS(), Threads: e.Threads(),
		Factors: o.Factors, Pairs: o.Pairs, Logits: o.Logits, Gram: slices.Clone(e.gram),
		Options: o.further(),
	}
}

// further returns as JSON the options that have no field in [schema.Run]; "" if none is set.
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
		Nearest       int                 `json:"nearest,omitempty"`
		Keys          string              `json:"keys,omitempty"`
	}
	a := asked{o.Substitutions, o.Projections, nil, o.MaxEdges, o.Baseline, o.Measures, o.Threshold,
		o.sources(), o.Rotary, o.Norms, o.Gram, o.Nearest, ""}
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
		panic(fmt.Sprintf("engine: options as JSON: %v", err)) // cannot happen: finite numbers and text
	}
	return string(text)
}
