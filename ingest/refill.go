package ingest

import (
	"context"
	"database/sql"
	"fmt"

	"ducklens/schema"
)

// refillMeans feeds the means of pairs with what the file has of a resumed run. Means are not kept from batch to batch, so that a
// batch stays one append: they are gathered anew from the stored factors, or from the stored pairs, which gives the same bits
// as gathering them on the way did. A run that stores neither has no means.
func (w *writer) refillMeans(ctx context.Context) error {
	if !w.factors && !w.pairs {
		return nil
	}
	op := fmt.Sprintf("read pairs of run %d of", w.summary.RunID)
	for example := range w.resumed.examples {
		if err := cancelled(ctx); err != nil {
			return err
		}
		var byHead map[int32]*schema.HeadResult
		var err error
		if w.factors {
			byHead, err = w.storedFactors(ctx, op, example)
		} else {
			byHead, err = w.storedPairs(ctx, op, example)
		}
		if err != nil {
			return err
		}
		for _, head := range w.opts.Engine.Heads() {
			h := byHead[w.headID(head)]
			if h == nil {
				return fmt.Errorf("%s %s: %w: none for head %s on example %d", op, w.opts.Path, ErrCounts, head, example)
			}
			h.Head = head
			if err := w.means.Add(h); err != nil {
				return fmt.Errorf("%s %s: example %d, head %s: %w", op, w.opts.Path, example, head, err)
			}
		}
	}
	return nil
}

// storedFactors reads the factors of an example by head.
func (w *writer) storedFactors(ctx context.Context, op string, example int) (map[int32]*schema.HeadResult, error) {
	byHead := map[int32]*schema.HeadResult{}
	for _, vector := range []struct {
		side       schema.Side
		atBaseline bool
		query      string
	}{
		{schema.Query, false, "SELECT head_id, component_id, basis_id, par, perp FROM query_factor"},
		{schema.Key, false, "SELECT head_id, component_id, basis_id, par, perp FROM key_factor"},
		{schema.Key, true, "SELECT head_id, component_id, basis_id, baseline_par, baseline_perp FROM key_factor"},
	} {
		if err := w.each(ctx, op, func(rows *sql.Rows) error {
			f := schema.Factor{Side: vector.side, AtBaseline: vector.atBaseline}
			var head int32
			if err := rows.Scan(&head, &f.Component, &f.Basis, (*floats)(&f.Par), (*floats)(&f.Perp)); err != nil {
				return err
			}
			if f.Par == nil && vector.atBaseline {
				return nil // no baseline
			}
			f.Component -= w.summary.ModelID * componentsPerModel
			at(byHead, head).Factors = append(at(byHead, head).Factors, f)
			return nil
		}, vector.query+" WHERE run_id = $1 AND example_id = $2 ORDER BY head_id, basis_id, component_id", w.summary.RunID, example); err != nil {
			return nil, err
		}
	}
	return byHead, nil
}

// storedPairs reads the pair tables of an example by head.
func (w *writer) storedPairs(ctx context.Context, op string, example int) (map[int32]*schema.HeadResult, error) {
	byHead := map[int32]*schema.HeadResult{}
	err := w.each(ctx, op, func(rows *sql.Rows) error {
		var head int32
		var queryComponent, keyComponent, queryBasis, keyBasis int
		var score [4]float32
		var baseline [4]sql.Null[float32]
		if err := rows.Scan(&head, &queryComponent, &keyComponent, &queryBasis, &keyBasis, &score[0], &score[1], &score[2], &score[3],
			&baseline[0], &baseline[1], &baseline[2], &baseline[3]); err != nil {
			return err
		}
		queryComponent -= w.summary.ModelID * componentsPerModel
		keyComponent -= w.summary.ModelID * componentsPerModel
		h := at(byHead, head)
		n := len(h.Pairs)
		if n == 0 || h.Pairs[n-1].QueryBasis != queryBasis || h.Pairs[n-1].KeyBasis != keyBasis {
			h.Pairs = append(h.Pairs, schema.PairTable{QueryBasis: queryBasis, KeyBasis: keyBasis})
			n++
		}
		t := &h.Pairs[n-1]
		if r := len(t.QueryComponents); r == 0 || t.QueryComponents[r-1] != queryComponent {
			t.QueryComponents = append(t.QueryComponents, queryComponent)
		}
		if len(t.QueryComponents) == 1 {
			t.KeyComponents = append(t.KeyComponents, keyComponent)
		}
		t.Score = append(t.Score, score)
		if baseline[0].Valid {
			t.Baseline = append(t.Baseline, [4]float32{baseline[0].V, baseline[1].V, baseline[2].V, baseline[3].V})
		}
		return nil
	}, `SELECT head_id, query_component_id, key_component_id, query_basis_id, key_basis_id, score_par_par, score_par_perp, score_perp_par, score_perp_perp,
		baseline_par_par, baseline_par_perp, baseline_perp_par, baseline_perp_perp FROM pair_contribution_wide WHERE run_id = $1 AND example_id = $2
		ORDER BY head_id, query_basis_id, key_basis_id, query_component_id, key_component_id`, w.summary.RunID, example)
	if err != nil {
		return nil, err
	}
	for head, h := range byHead {
		for _, t := range h.Pairs {
			if want := len(t.QueryComponents) * len(t.KeyComponents); len(t.Score) != want || len(t.Baseline) != 0 && len(t.Baseline) != want {
				return nil, fmt.Errorf("%s %s: %w: a table of head number %d on example %d has %d scores and %d baselines, want %d by %d", op, w.opts.Path, ErrCounts,
					head, example, len(t.Score), len(t.Baseline), len(t.QueryComponents), len(t.KeyComponents))
			}
		}
	}
	return byHead, nil
}

// at gives the result of a head, a new one if there is none.
func at(byHead map[int32]*schema.HeadResult, head int32) *schema.HeadResult {
	if byHead[head] == nil {
		byHead[head] = &schema.HeadResult{}
	}
	return byHead[head]
}

// floats takes a FLOAT[] from the driver; NULL is nil.
type floats []float32

// Scan is that of [sql.Scanner].
func (f *floats) Scan(from any) error {
	if from == nil {
		*f = nil
		return nil
	}
	list, ok := from.([]any)
	if !ok {
		return fmt.Errorf("a %T, want a list", from)
	}
	*f = make([]float32, len(list))
	for i, v := range list {
		if (*f)[i], ok = v.(float32); !ok {
			return fmt.Errorf("a list with a %T, want float32", v)
		}
	}
	return nil
}
