package ingest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// appendPrompt appends the rows of a prompt and its edges, or of further edges of the prompt. It leaves out
// the rows that are sorted over all prompts of a part.
func (w *writer) appendPrompt(tables *appenders, r *schema.PromptResult, further bool) error {
	if !further {
		w.prompt = stored{rows: map[int]bool{}, scales: map[[2]int]bool{}}
		if err := w.appendText(tables, &r.Prompt); err != nil {
			return err
		}
		if err := w.appendMeasures(tables, r); err != nil {
			return err
		}
	}
	for i := range r.Examples {
		if err := w.appendResult(tables, &r.Examples[i]); err != nil {
			return fmt.Errorf("example %d: %w", r.Examples[i].Example.Index, err)
		}
	}
	return nil
}

// stored records what is written for the current prompt and shared by several of its edges.
type stored struct {
	rows   map[int]bool    // attention rows, by query position
	scales map[[2]int]bool // scales of norms, by layer and position
}

// appendResult appends the rows of one example, except those that are sorted over all examples of a part.
func (w *writer) appendResult(tables *appenders, r *schema.Result) error {
	if err := w.appendEdge(tables, &r.Example); err != nil {
		return err
	}
	if err := w.appendScales(tables, r); err != nil {
		return err
	}
	if err := w.appendLogits(tables, r); err != nil {
		return err
	}
	if err := w.appendNorms(tables, r); err != nil {
		return err
	}
	for i := range r.Heads {
		h := &r.Heads[i]
		w.closure = max(w.closure, h.Score.Closure)
		for _, rows := range []func(*appenders, *schema.Example, *schema.HeadResult) error{
			w.appendScore, w.appendPairs, w.appendVectors, w.appendSources, w.appendBands,
			w.addToMeans} {
			if err := rows(tables, &r.Example, h); err != nil {
				return fmt.Errorf("head %s: %w", h.Head, err)
			}
		}
		if w.prompt.rows[r.Example.Query] {
			continue
		}
		if err := w.appendAttention(tables, &r.Example, h); err != nil {
			return fmt.Errorf("head %s: %w", h.Head, err)
		}
	}
	w.prompt.rows[r.Example.Query] = true
	return nil
}

// addToMeans adds a head to the means of pairs, if the run has them.
func (w *writer) addToMeans(_ *appenders, _ *schema.Example, h *schema.HeadResult) error {
	if !w.run.PairMeans {
		return nil
	}
	fed := schema.HeadResult{Head: h.Head, Factors: h.Factors, Pairs: h.Pairs}
	if !w.factors {
		fed.Pairs = w.storedPairTables(h.Pairs) // a resumed run has only these
	}
	return w.means.Add(&fed)
}

// promptID returns the prompt_id of an example.
func promptID(e *schema.Example) int32 { return int32(e.PromptIndex) }

// appendText appends a prompt and its tokens.
func (w *writer) appendText(tables *appenders, e *schema.Example) error {
	run, prompt := w.runID(), promptID(e)
	var offset dbfile.Value
	if e.Prompt.Document != "" {
		offset = int32(e.Offset)
	}
	if err := tables.row(tablePrompt, run, prompt, schema.PromptKey(e.Tokens), text(e.Prompt.Text),
		int32(len(e.Tokens)), w.run.BOS, optional(e.Prompt.Template), optional(e.Prompt.Order),
		optional(e.Prompt.Document), offset, optional(e.Prompt.Fields.JSON())); err != nil {
		return err
	}
	for pos, t := range e.Tokens {
		if err := tables.row(tablePromptToken, run, prompt, int32(pos), int32(t.ID),
			text(t.Text)); err != nil {
			return err
		}
	}
	return nil
}

// appendMeasures appends the measures of heads on a prompt.
func (w *writer) appendMeasures(tables *appenders, r *schema.PromptResult) error {
	for _, m := range r.Measures {
		if err := tables.row(tableMeasure, w.runID(), promptID(&r.Prompt), w.headID(m.Head), m.Measure,
			int32(m.N), float32(m.Value)); err != nil {
			return err
		}
	}
	return nil
}

// appendEdge appends the edge of an example.
func (w *writer) appendEdge(tables *appenders, e *schema.Example) error {
	rule := cmp.Or(strings.Join(e.Rules, " "), schema.EdgeGiven)
	kind := e.BaselineKind
	var baseline, token dbfile.Value
	if e.Baseline != schema.NoPosition {
		kind, baseline, token = schema.BaselineToken, int32(e.Baseline), text(e.Tokens[e.Baseline].Text)
	}
	return tables.row(tableEdge, w.runID(), int32(e.Index), promptID(e), rule, int32(e.Query), int32(e.Key),
		string(cmp.Or(kind, schema.BaselineNone)), baseline, text(e.Tokens[e.Key].Text), token,
		drawn(e.RandomName), drawn(e.RandomToken))
}

// appendScales appends the scales of the norms behind attention and MLP at positions that no earlier edge
// had.
func (w *writer) appendScales(tables *appenders, r *schema.Result) error {
	for _, s := range r.LayerScales {
		at := [2]int{s.Layer, s.Pos}
		if w.prompt.scales[at] {
			continue
		}
		w.prompt.scales[at] = true
		if err := tables.row(tableLayerScale, w.runID(), promptID(&r.Example), int32(s.Layer), int32(s.Pos),
			s.PostAttn, s.PostMLP); err != nil {
			return err
		}
	}
	return nil
}

// appendLogits appends the logits of the key's and the baseline's token, and the contribution of each
// component to them.
func (w *writer) appendLogits(tables *appenders, r *schema.Result) error {
	if r.Logits == nil {
		return nil
	}
	l, run, example := r.Logits, w.runID(), int32(r.Example.Index)
	for _, t := range []struct {
		name            string
		pos             int
		logit, constant float32
		effect          func(*schema.LogitEffect) float32
	}{
		{"key", r.Example.Key, l.Key, l.KeyBias, func(e *schema.LogitEffect) float32 { return e.Key }},
		{"baseline", r.Example.Baseline, l.Baseline, l.BaselineBias,
			func(e *schema.LogitEffect) float32 { return e.Baseline }},
	} {
		if t.pos == schema.NoPosition {
			continue
		}
		if err := tables.row(tableLogit, run, example, t.name, int32(r.Example.Tokens[t.pos].ID), t.logit,
			t.constant, l.Scale, l.Closure); err != nil {
			return err
		}
		for i := range l.Effects {
			e := &l.Effects[i]
			if err := tables.row(tableLogitEffect, run, example, w.componentID(e.Component), t.name,
				t.effect(e)); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendScore appends the score of a head.
func (w *writer) appendScore(tables *appenders, e *schema.Example, h *schema.HeadResult) error {
	s := h.Score
	return tables.row(tableScore, w.runID(), int32(e.Index), w.headID(h.Head), s.Score, nullable(s.Baseline),
		s.Prob, nullable(s.BaselineProb), nullable(s.SinkProb), s.QueryScale, s.KeyScale,
		nullable(s.BaselineScale), nullable(s.QueryNormScale), nullable(s.KeyNormScale),
		nullable(s.BaselineNormScale), s.Closure)
}

// appendAttention appends the attention row of a head at a query position.
func (w *writer) appendAttention(tables *appenders, e *schema.Example, h *schema.HeadResult) error {
	for i, a := range h.Attention {
		if err := tables.row(tablePromptAttention, w.runID(), promptID(e), int32(e.Query), w.headID(h.Head),
			int32(h.FirstKey+i), a.Score, a.Prob); err != nil {
			return err
		}
	}
	return nil
}

// segment holds the contributions to one side of one head on one example, under one pair of bases.
type segment struct {
	head    schema.Head
	example int
	rows    []schema.Contribution
}

// segments splits contributions wherever the side or the bases change.
func segments(list []segment, example int, h *schema.HeadResult) []segment {
	for rest := h.Contributions; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Side == rest[0].Side && rest[n].QueryBasis == rest[0].QueryBasis &&
			rest[n].KeyBasis == rest[0].KeyBasis {
			n++
		}
		list, rest = append(list, segment{h.Head, example, rest[:n]}), rest[n:]
	}
	return list
}

// appendContributions appends the wide rows of a part, sorted by head, side, query basis, key basis, example
// and component. A question is about one head, one side and one pair of bases over all examples, and in this
// order DuckDB finds its rows close together. The first sort key is the kind of the bases: whole vectors have
// zeros in most quadrants, and zeros take no room if they are adjacent.
func (w *writer) appendContributions(tables *appenders, results []schema.PromptResult) error {
	var list []segment
	for i := range results {
		for j := range results[i].Examples {
			r := &results[i].Examples[j]
			for k := range r.Heads {
				list = segments(list, r.Example.Index, &r.Heads[k])
			}
		}
	}
	slices.SortStableFunc(list, func(a, b segment) int {
		x, y := &a.rows[0], &b.rows[0]
		return cmp.Or(w.compareWhole(x.QueryBasis, y.QueryBasis), w.compareWhole(x.KeyBasis, y.KeyBasis),
			cmp.Compare(w.headID(a.head), w.headID(b.head)), cmp.Compare(x.Side, y.Side),
			cmp.Compare(x.QueryBasis, y.QueryBasis), cmp.Compare(x.KeyBasis, y.KeyBasis))
	})
	for _, s := range list {
		table, err := tables.table(tableContribution)
		if err != nil {
			return err
		}
		run, example, head := w.runID(), int32(s.example), w.headID(s.head)
		for i := range s.rows {
			c := &s.rows[i]
			table.PutInt32(run, example, head)
			table.PutText(c.Side.String())
			table.PutInt32(w.componentID(c.Component), int32(c.QueryBasis), int32(c.KeyBasis))
			table.PutFloat32(c.Score[:]...)
			table.PutNullable(c.Baseline[:]...)
			if err := table.EndRow(); err != nil {
				return fmt.Errorf("example %d: head %s: %w", s.example, s.head, err)
			}
		}
	}
	return nil
}

// compareWhole sorts whole bases before the others.
func (w *writer) compareWhole(a, b int) int {
	rank := func(basis int) int {
		if w.run.Bases[basis].Kind == schema.Whole {
			return 0
		}
		return 1
	}
	return cmp.Compare(rank(a), rank(b))
}

// storedPairTables leaves out the table of whole vectors if there is a split one, because it is the sum of
// that.
func (w *writer) storedPairTables(tables []schema.PairTable) []schema.PairTable {
	whole := func(t schema.PairTable) bool {
		return w.run.Bases[t.QueryBasis].Kind == schema.Whole && w.run.Bases[t.KeyBasis].Kind == schema.Whole
	}
	if len(tables) == 1 {
		return tables
	}
	return slices.DeleteFunc(slices.Clone(tables), whole)
}

// appendPairs appends the pair tables of one head.
func (w *writer) appendPairs(tables *appenders, e *schema.Example, h *schema.HeadResult) error {
	if len(h.Pairs) == 0 || !w.run.Pairs {
		return nil
	}
	table, err := tables.table(tablePair)
	if err != nil {
		return err
	}
	run, example, head := w.runID(), int32(e.Index), w.headID(h.Head)
	nan := float32(math.NaN())
	none := [4]float32{nan, nan, nan, nan}
	for _, t := range w.storedPairTables(h.Pairs) {
		for i, s := range t.Score {
			baseline := &none
			if t.Baseline != nil {
				baseline = &t.Baseline[i]
			}
			query, key := t.QueryComponents[i/len(t.KeyComponents)], t.KeyComponents[i%len(t.KeyComponents)]
			table.PutInt32(run, example, head, w.componentID(query), w.componentID(key), int32(t.QueryBasis),
				int32(t.KeyBasis))
			table.PutFloat32(s[:]...)
			table.PutNullable(baseline[:]...)
			if err := table.EndRow(); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendVectors appends the substitutions, projections, cosines and nearest tokens of one head.
func (w *writer) appendVectors(tables *appenders, e *schema.Example, h *schema.HeadResult) error {
	run, example, head := w.runID(), int32(e.Index), w.headID(h.Head)
	for _, s := range h.Substitutions {
		if err := tables.row(tableSubstitution, run, example, head, s.Side.String(), s.Vector, s.Score,
			nullable(s.Baseline), s.Prob, nullable(s.DiffProb)); err != nil {
			return err
		}
	}
	for _, p := range h.Projections {
		measure := schema.AtKey
		if p.Diff {
			measure = schema.LessBaseline
		}
		if err := tables.row(tableProjection, run, example, head, p.Side.String(), p.Vector, int32(p.Basis),
			measure.String(), p.ParNorm, p.PerpNorm, nullable(p.ParCos), nullable(p.PerpCos)); err != nil {
			return err
		}
	}
	for _, c := range h.Cosines {
		if err := tables.row(tableCosine, run, example, c.Side.String(), c.VectorA, c.VectorB, int32(c.Basis),
			nullable(c.ParCos), nullable(c.PerpCos)); err != nil {
			return err
		}
	}
	for _, n := range h.Nearest {
		if err := tables.row(tableNearest, run, example, head, n.Side.String(), n.Vector, int32(n.Rank),
			int32(n.Token.ID), text(n.Token.Text), n.Cosine); err != nil {
			return err
		}
	}
	return nil
}

// appendSources appends the outputs of heads, split by the position that they read.
func (w *writer) appendSources(tables *appenders, e *schema.Example, h *schema.HeadResult) error {
	if len(h.Sources) == 0 {
		return nil
	}
	table, err := tables.table(tableSource)
	if err != nil {
		return err
	}
	run, example, head := w.runID(), int32(e.Index), w.headID(h.Head)
	for _, s := range h.Sources {
		for i, score := range s.Score {
			baseline := float32(math.NaN())
			if s.Baseline != nil {
				baseline = s.Baseline[i]
			}
			table.PutInt32(run, example, head)
			table.PutText(s.Side.String())
			table.PutInt32(w.componentID(s.Component), int32(s.First+i))
			table.PutFloat32(score)
			table.PutNullable(baseline)
			if err := table.EndRow(); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendBands appends the bands of rotary embedding.
func (w *writer) appendBands(tables *appenders, e *schema.Example, h *schema.HeadResult) error {
	for _, b := range h.Bands {
		if err := tables.row(tableRotary, w.runID(), int32(e.Index), w.headID(h.Head), index(b.Pair),
			nullable(float32(b.Wavelength)), b.Score, b.Content, nullable(b.Baseline),
			nullable(b.BaselineContent)); err != nil {
			return err
		}
	}
	return nil
}

// runID returns the run_id in the file.
func (w *writer) runID() int32 { return int32(w.summary.RunID) }

// componentID returns the component_id in the file.
func (w *writer) componentID(c int) int32 { return w.componentIDs[c] }

// headID returns the head_id, which is unique within a model.
func (w *writer) headID(h schema.Head) int32 { return int32(h.Layer*w.run.Model.NHeads + h.Index) }

// nullable stores NaN, which stands for a missing baseline, as NULL.
func nullable(f float32) dbfile.Value {
	if math.IsNaN(float64(f)) {
		return nil
	}
	return f
}

// drawn stores a token that was not drawn as NULL.
func drawn(id int) dbfile.Value {
	if id == schema.NoToken {
		return nil
	}
	return int32(id)
}

// optional stores "" as NULL.
func optional(s string) dbfile.Value {
	if s == "" {
		return nil
	}
	return text(s)
}

// text returns s as valid UTF-8. A token may be a part of a character, which is not valid by itself.
func text(s string) dbfile.Value { return strings.ToValidUTF8(s, "\ufffd") }
