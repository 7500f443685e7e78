package schematest

import (
	"fmt"
	"strings"

	"ducklens/schema"
)

// component numbers a component within the file.
func (w *writer) component(c int) int { return w.modelID*10000 + c }

func (w *writer) queryFactors(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, f := range h.Factors {
			if f.Side != schema.Query {
				continue
			}
			if err := add(r.Example.Index, w.headID(h.Head), w.component(f.Component), f.Basis, f.Par, f.Perp); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) keyFactors(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, f := range h.Factors {
			if f.Side != schema.Key || f.AtBaseline {
				continue
			}
			var par, perp any
			for _, b := range h.Factors {
				if b.AtBaseline && b.Component == f.Component && b.Basis == f.Basis {
					par, perp = b.Par, b.Perp
				}
			}
			if err := add(r.Example.Index, w.headID(h.Head), w.component(f.Component), f.Basis, f.Par, f.Perp, par, perp); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) pairs(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, t := range h.Pairs {
			for i, s := range t.Score {
				row := []any{r.Example.Index, w.headID(h.Head), w.component(t.QueryComponents[i/len(t.KeyComponents)]),
					w.component(t.KeyComponents[i%len(t.KeyComponents)]), t.QueryBasis, t.KeyBasis, s[0], s[1], s[2], s[3], nil, nil, nil, nil}
				if t.Baseline != nil {
					for q, x := range t.Baseline[i] {
						row[10+q] = x
					}
				}
				if err := add(row...); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *writer) substitutions(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, s := range h.Substitutions {
			if err := add(r.Example.Index, w.headID(h.Head), s.Side.String(), s.Vector, s.Score, s.Baseline, s.Prob, s.DiffProb); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) projections(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, p := range h.Projections {
			measure := schema.AtKey
			if p.Diff {
				measure = schema.LessBaseline
			}
			if err := add(r.Example.Index, w.headID(h.Head), p.Side.String(), p.Vector, p.Basis, measure.String(), p.ParNorm, p.PerpNorm, p.ParCos, p.PerpCos); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) cosines(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, c := range h.Cosines {
			if err := add(r.Example.Index, c.Side.String(), c.VectorA, c.VectorB, c.Basis, c.ParCos, c.PerpCos); err != nil {
				return err
			}
		}
	}
	return nil
}

// pairMeans averages the stored pairs, or else the stored factors multiplied out, in SQL.
func (w *writer) pairMeans() error {
	source := "pair_wide"
	if w.run.Pairs {
		source = "pair_contribution_wide"
	}
	var fields []string
	for _, of := range []string{"score", "diff"} {
		for _, form := range []string{"avg(%s)", "stddev_samp(%s) / sqrt(count(%[1]s))"} {
			for _, q := range schema.Quadrants() {
				fields = append(fields, fmt.Sprintf(form, of+"_"+q.String()))
			}
		}
	}
	_, err := w.exec(`INSERT INTO pair_mean_wide SELECT run_id, head_id, query_component_id, key_component_id, query_basis_id, key_basis_id,
		count(score_perp_perp), count(diff_perp_perp), `+strings.Join(fields, ", ")+" FROM "+source+` WHERE run_id = ?
		GROUP BY run_id, head_id, query_component_id, key_component_id, query_basis_id, key_basis_id
		ORDER BY head_id, query_basis_id, key_basis_id, query_component_id, key_component_id`, w.runID)
	return err
}
