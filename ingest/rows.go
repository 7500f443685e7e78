package ingest

import (
	"fmt"
	"math"
	"strings"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// appendResult appends the rows of one example.
func (w *writer) appendResult(tables *appenders, r *schema.Result, closure *float64) error {
	if err := w.appendExample(tables, &r.Example); err != nil {
		return err
	}
	for i := range r.Heads {
		h := &r.Heads[i]
		*closure = max(*closure, h.Score.Closure)
		for _, rows := range []func(*appenders, int32, *schema.HeadResult) error{
			w.appendScore, w.appendContributions, w.appendFactors, w.appendPairs, w.appendVectors} {
			if err := rows(tables, int32(r.Example.Index), h); err != nil {
				return fmt.Errorf("head %s: %w", h.Head, err)
			}
		}
		if err := w.means.add(h); err != nil {
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

// appendContributions appends the wide rows of one head.
func (w *writer) appendContributions(tables *appenders, example int32, h *schema.HeadResult) error {
	// What is the same in every row is boxed once; the rest is overwritten from row to row.
	row := []dbfile.Value{w.runID(), example, w.headID(h.Head), nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}
	const side, component, queryBasis, keyBasis, score = 3, 4, 5, 6, 7
	for i := range h.Contributions {
		c := &h.Contributions[i]
		row[side] = c.Side.String()
		row[component] = w.componentID(c.Component)
		row[queryBasis], row[keyBasis] = int32(c.QueryBasis), int32(c.KeyBasis)
		quadrants(row[score:], c.Score, c.Baseline)
		if err := tables.row(tableContribution, row...); err != nil {
			return err
		}
	}
	return nil
}

// quadrants fills in the columns score_par_par to baseline_perp_perp.
func quadrants(row []dbfile.Value, score, baseline [4]float32) {
	for q := range score {
		row[q], row[len(score)+q] = score[q], nullable(baseline[q])
	}
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
	run, head := w.runID(), w.headID(h.Head)
	for i := range h.Factors {
		f := &h.Factors[i]
		component, basis := w.componentID(f.Component), int32(f.Basis)
		var err error
		switch b := baseline[place{f.Basis, f.Component}]; {
		case f.AtBaseline:
		case f.Side == schema.Query:
			err = tables.row(tableQueryFactor, run, example, head, component, basis, f.Par, f.Perp)
		case b == nil:
			err = tables.row(tableKeyFactor, run, example, head, component, basis, f.Par, f.Perp, nil, nil)
		default:
			err = tables.row(tableKeyFactor, run, example, head, component, basis, f.Par, f.Perp, b.Par, b.Perp)
		}
		if err != nil {
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
	row := []dbfile.Value{w.runID(), example, w.headID(h.Head), nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}
	const queryComponent, keyComponent, queryBasis, keyBasis, score = 3, 4, 5, 6, 7
	nan := float32(math.NaN())
	for _, t := range h.Pairs {
		row[queryBasis], row[keyBasis] = int32(t.QueryBasis), int32(t.KeyBasis)
		for i, s := range t.Score {
			row[queryComponent] = w.componentID(t.QueryComponents[i/len(t.KeyComponents)])
			row[keyComponent] = w.componentID(t.KeyComponents[i%len(t.KeyComponents)])
			baseline := [4]float32{nan, nan, nan, nan}
			if t.Baseline != nil {
				baseline = t.Baseline[i]
			}
			quadrants(row[score:], s, baseline)
			if err := tables.row(tablePair, row...); err != nil {
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
