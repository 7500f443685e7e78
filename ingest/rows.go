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

// appendResult appends the rows of one example, but for contributions.
func (w *writer) appendResult(tables *appenders, r *schema.Result, closure *float64) error {
	if err := w.appendExample(tables, &r.Example); err != nil {
		return err
	}
	for i := range r.Heads {
		h := &r.Heads[i]
		*closure = max(*closure, h.Score.Closure)
		for _, rows := range []func(*appenders, int32, *schema.HeadResult) error{
			w.appendScore, w.appendFactors, w.appendPairs, w.appendVectors} {
			if err := rows(tables, int32(r.Example.Index), h); err != nil {
				return fmt.Errorf("head %s: %w", h.Head, err)
			}
		}
		if err := w.means.Add(h); err != nil {
			return fmt.Errorf("head %s: %w", h.Head, err)
		}
	}
	return nil
}

// appendExample appends an example and its tokens.
func (w *writer) appendExample(tables *appenders, e *schema.Example) error {
	run, example := w.runID(), int32(e.Index)
	var baseline, baselineToken dbfile.Value
	if e.Baseline != schema.NoPosition {
		baseline, baselineToken = int32(e.Baseline), text(e.Tokens[e.Baseline].Text)
	}
	if err := tables.row(tableExample, run, example, text(e.Prompt.Text), optional(e.Prompt.Template), optional(e.Prompt.Order),
		text(e.Tokens[e.Key].Text), baselineToken, int32(e.Query), int32(e.Key), baseline, int32(len(e.Tokens)),
		drawn(e.RandomName), drawn(e.RandomToken)); err != nil {
		return err
	}
	for pos, t := range e.Tokens {
		if err := tables.row(tableToken, run, example, int32(pos), int32(t.ID), text(t.Text)); err != nil {
			return err
		}
	}
	return nil
}

// appendScore appends the score of a head and its attention row.
func (w *writer) appendScore(tables *appenders, example int32, h *schema.HeadResult) error {
	run, head, s := w.runID(), w.headID(h.Head), h.Score
	if err := tables.row(tableScore, run, example, head, s.Score, nullable(s.Baseline), s.Prob, nullable(s.BaselineProb),
		s.QueryScale, s.KeyScale, nullable(s.BaselineScale), s.Closure); err != nil {
		return err
	}
	for pos, a := range h.Attention {
		if err := tables.row(tableAttention, run, example, head, int32(pos), a.Score, a.Prob); err != nil {
			return err
		}
	}
	return nil
}

// segment is the contributions of one head on one example to one side under one pair of bases.
type segment struct {
	head    schema.Head
	example int
	rows    []schema.Contribution
}

// segments cuts contributions where side or bases change.
func segments(list []segment, example int, h *schema.HeadResult) []segment {
	for rest := h.Contributions; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Side == rest[0].Side && rest[n].QueryBasis == rest[0].QueryBasis && rest[n].KeyBasis == rest[0].KeyBasis {
			n++
		}
		list, rest = append(list, segment{h.Head, example, rest[:n]}), rest[n:]
	}
	return list
}

// appendContributions appends the wide rows of a part in the order head, side, query basis, key basis, example, component. Questions
// are about one head, one side and one pair of bases over all examples: in this order DuckDB finds them in few places.
func (w *writer) appendContributions(tables *appenders, results []schema.Result) error {
	var list []segment
	for i := range results {
		for j := range results[i].Heads {
			list = segments(list, results[i].Example.Index, &results[i].Heads[j])
		}
	}
	slices.SortStableFunc(list, func(a, b segment) int {
		x, y := &a.rows[0], &b.rows[0]
		return cmp.Or(cmp.Compare(w.headID(a.head), w.headID(b.head)), cmp.Compare(x.Side, y.Side),
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

// appendFactors appends the factors of one head. Those of the baseline go beside those of the key.
func (w *writer) appendFactors(tables *appenders, example int32, h *schema.HeadResult) error {
	type place struct{ basis, component int }
	baseline := map[place]*schema.Factor{}
	for i := range h.Factors {
		f := &h.Factors[i]
		for _, part := range [][]float32{f.Par, f.Perp} {
			if !finite(part) {
				return fmt.Errorf("factor of component %d in basis %d: %w: NaN or infinite", f.Component, f.Basis, dbfile.ErrConstraint)
			}
		}
		if f.AtBaseline {
			baseline[place{f.Basis, f.Component}] = f
		}
	}
	for i := range h.Factors {
		f := &h.Factors[i]
		if f.AtBaseline {
			continue
		}
		number := tableQueryFactor
		if f.Side == schema.Key {
			number = tableKeyFactor
		}
		table, err := tables.table(number)
		if err != nil {
			return err
		}
		table.PutInt32(w.runID(), example, w.headID(h.Head), w.componentID(f.Component), int32(f.Basis))
		table.PutFloats(f.Par)
		table.PutFloats(f.Perp)
		if b := baseline[place{f.Basis, f.Component}]; f.Side == schema.Key && b != nil {
			table.PutFloats(b.Par)
			table.PutFloats(b.Perp)
		} else if f.Side == schema.Key {
			table.PutNull()
			table.PutNull()
		}
		if err := table.EndRow(); err != nil {
			return err
		}
	}
	return nil
}

// finite tells whether no number is NaN or infinite.
func finite(list []float32) bool {
	for _, x := range list {
		if x-x != 0 {
			return false
		}
	}
	return true
}

// appendPairs appends the pair tables of one head.
func (w *writer) appendPairs(tables *appenders, example int32, h *schema.HeadResult) error {
	if len(h.Pairs) == 0 {
		return nil
	}
	table, err := tables.table(tablePair)
	if err != nil {
		return err
	}
	run, head := w.runID(), w.headID(h.Head)
	nan := float32(math.NaN())
	none := [4]float32{nan, nan, nan, nan}
	for _, t := range h.Pairs {
		for i, s := range t.Score {
			baseline := &none
			if t.Baseline != nil {
				baseline = &t.Baseline[i]
			}
			table.PutInt32(run, example, head, w.componentID(t.QueryComponents[i/len(t.KeyComponents)]), w.componentID(t.KeyComponents[i%len(t.KeyComponents)]),
				int32(t.QueryBasis), int32(t.KeyBasis))
			table.PutFloat32(s[:]...)
			table.PutNullable(baseline[:]...)
			if err := table.EndRow(); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendVectors appends substitutions, projections and cosines of one head.
func (w *writer) appendVectors(tables *appenders, example int32, h *schema.HeadResult) error {
	run, head := w.runID(), w.headID(h.Head)
	for _, s := range h.Substitutions {
		if err := tables.row(tableSubstitution, run, example, head, s.Side.String(), s.Vector, s.Score, nullable(s.Baseline), s.Prob,
			nullable(s.DiffProb)); err != nil {
			return err
		}
	}
	for _, p := range h.Projections {
		measure := schema.AtKey
		if p.Diff {
			measure = schema.LessBaseline
		}
		if err := tables.row(tableProjection, run, example, head, p.Side.String(), p.Vector, int32(p.Basis), measure.String(),
			p.ParNorm, p.PerpNorm, nullable(p.ParCos), nullable(p.PerpCos)); err != nil {
			return err
		}
	}
	for _, c := range h.Cosines {
		if err := tables.row(tableCosine, run, example, c.Side.String(), c.VectorA, c.VectorB, int32(c.Basis), nullable(c.ParCos),
			nullable(c.PerpCos)); err != nil {
			return err
		}
	}
	return nil
}

// runID numbers the run within the file.
func (w *writer) runID() int32 { return int32(w.summary.RunID) }

// componentID numbers a component within the file.
func (w *writer) componentID(c int) int32 { return int32(w.summary.ModelID*componentsPerModel + c) }

// headID numbers a head within its model.
func (w *writer) headID(h schema.Head) int32 { return int32(h.Layer*w.nHeads + h.Index) }

// nullable stores NaN, which stands for a baseline that is not there, as NULL.
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

// text makes a string storable: a token may be a part of a character, which is not UTF-8 by itself.
func text(s string) dbfile.Value { return strings.ToValidUTF8(s, "\ufffd") }
