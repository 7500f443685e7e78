package engine_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ducklens/engine"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// The rule of the choice, computed from contributions: the largest mean size of a head's share on the query
// side.
func TestPrepareChoosesMovers(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	examples := referenceExamples(t)[:engine.ProbeExamples]
	examples[4].Baseline = schema.NoPosition
	options := engine.Options{Heads: []schema.Head{{Layer: 2, Index: 1}, {Layer: 2, Index: 3}}, Substitutions: true}
	e := open(t, dir, options)
	if e.Movers() != nil {
		t.Fatalf("movers %v before Prepare", e.Movers())
	}
	if _, err := e.Analyze(t.Context(), examples[:1]); !errors.Is(err, engine.ErrMover) || !strings.Contains(hint(err), "Prepare") {
		t.Errorf("Analyze before Prepare: %v, hint %q", err, hint(err))
	}
	if err := e.Prepare(t.Context(), nil); !errors.Is(err, engine.ErrMover) || hint(err) == "" {
		t.Errorf("Prepare with no examples: %v", err)
	}
	if err := e.Prepare(t.Context(), examples); err != nil {
		t.Fatal(err)
	}

	components := e.Components()
	sizes := map[schema.Head]float64{}
	for _, r := range analyze(t, open(t, dir, engine.Options{Heads: options.Heads, QueryBases: []string{"none"}, KeyBases: []string{"none"}}), examples) {
		for _, h := range r.Heads {
			for _, c := range h.Contributions {
				if k := components[c.Component]; c.Side == schema.Query && k.Kind == schema.HeadOut {
					share := float64(c.Score[schema.PerpPerp])
					if r.Example.Baseline != schema.NoPosition {
						share -= float64(c.Baseline[schema.PerpPerp])
					}
					sizes[schema.Head{Layer: k.Layer, Index: k.Head}] += math.Abs(share)
				}
			}
		}
	}
	var heads []schema.Head
	for h := range sizes {
		heads = append(heads, h)
	}
	slices.SortFunc(heads, func(a, b schema.Head) int { return int(math.Copysign(1, sizes[b]-sizes[a])) })
	if len(heads) != 8 {
		t.Fatalf("%d heads below layer 2", len(heads))
	}
	if d := cmp.Diff(heads[:2], e.Movers()); d != "" {
		t.Errorf("movers: %s", d)
	}
	if h := analyze(t, e, examples[:1])[0].Heads[0]; len(h.Substitutions) != 1+1+1+1+2*2+1+5 {
		t.Errorf("%d substitutions: %+v", len(h.Substitutions), h.Substitutions)
	}

	// A second call changes nothing, and neither do named movers.
	if err := e.Prepare(t.Context(), examples[10:]); err != nil || !slices.Equal(e.Movers(), heads[:2]) {
		t.Errorf("movers %v after a second Prepare, error %v", e.Movers(), err)
	}
	named := open(t, dir, everything(t, engine.Options{}))
	if err := named.Prepare(t.Context(), examples); err != nil || !slices.Equal(named.Movers(), movers12) {
		t.Errorf("movers %v, want the named %v; error %v", named.Movers(), movers12, err)
	}
	if err := e.Prepare(t.Context(), []schema.Example{{Index: 3}}); !errors.Is(err, engine.ErrPrompt) {
		t.Errorf("Prepare with a bad example: %v", err)
	}
}

// Heads need not be known beforehand, even in a model with the layers and heads of GPT-2 small.
func TestDefaultMovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := modeltest.Config{NLayers: 12, NHeads: 12, DModel: 24, DMLP: 20, NCtx: 48, DVocab: vocabulary, LNEps: 1e-5}
	if err := modeltest.Write(dir, config, 1); err != nil {
		t.Fatal(err)
	}
	if err := writeVocabulary(dir); err != nil {
		t.Fatal(err)
	}
	for _, head := range []schema.Head{{Layer: 10, Index: 7}, {Layer: 9, Index: 1}, {Layer: 1}} {
		e := open(t, dir, engine.Options{Heads: []schema.Head{head}, Substitutions: true})
		if e.Movers() != nil {
			t.Errorf("head %s: movers %v before Prepare", head, e.Movers())
		}
	}
	// A head of layer 0 has neither movers nor MLP0, and the rest all the same.
	first := open(t, dir, engine.Options{Heads: []schema.Head{{}}, Substitutions: true, Projections: true, Factors: true, Pairs: true})
	x, err := first.Example(schema.Prompt{Text: "Then Ada and Bo spoke", Query: schema.AtWord("spoke"), Key: schema.AtWord("Bo"), Baseline: schema.AtWord("Ada")})
	if err != nil {
		t.Fatal(err)
	}
	if m := first.Movers(); m == nil || len(m) > 0 {
		t.Errorf("movers %v of a head of layer 0, want none, and settled", m)
	}
	h := analyze(t, first, []schema.Example{x})[0].Heads[0]
	if len(h.Substitutions) != 3+4 || len(h.Projections) != 0 || len(h.Pairs) != 3 {
		t.Errorf("%d substitutions, %d projections, %d pair tables", len(h.Substitutions), len(h.Projections), len(h.Pairs))
	}
}

func TestOpenRefusesMovers(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	for name, c := range map[string]struct {
		heads, movers []schema.Head
		is            error
		want, hint    string
	}{
		"same layer": {[]schema.Head{{Layer: 2, Index: 1}}, []schema.Head{{Layer: 1}, {Layer: 2}}, engine.ErrMover,
			"mover head 2.0: unusable mover head: head 2.1 reads the stream before layer 2, and the mover writes in layer 2", "name a mover in a layer below 2, or leave out head 2.1"},
		"later":        {[]schema.Head{{Layer: 2, Index: 1}, {Layer: 1}}, movers12, engine.ErrMover, "head 1.0 reads the stream before layer 1", "leave out head 1.0"},
		"not there":    {[]schema.Head{{Layer: 2, Index: 1}}, []schema.Head{{Layer: 9, Index: 9}}, engine.ErrUnknownHead, "unknown head 9.9 as mover: model", "heads of this model are 0.0 to 2.3"},
		"no such head": {[]schema.Head{{Layer: 2, Index: 1}}, []schema.Head{{Layer: 1, Index: 4}}, engine.ErrUnknownHead, "unknown head 1.4 as mover", "0.0 to 2.3"},
	} {
		_, err := engine.Open(dir, engine.Options{Heads: c.heads, Movers: c.movers})
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint(err), c.hint) {
			t.Errorf("%s: error %v, hint %q; want %q, hint %q", name, err, hint(err), c.want, c.hint)
		}
	}
}
