package ingest

import (
	"context"
	"database/sql"
	"fmt"

	"ducklens/schema"
)

// refillMeans accumulates the means of pairs over the stored examples of a resumed run. Partial means are not
// stored with each batch, because a batch would then update rows instead of only appending some. Computing
// them again from the stored factors, or from the stored pairs, gives the same bits.
func (w *writer) refillMeans(ctx context.Context) error {
	if !w.run.PairMeans {
		return nil
	}
	r := refill{w: w, op: fmt.Sprintf("read pairs of run %d of", w.summary.RunID), index: map[int32]int{}}
	for i, id := range w.componentIDs {
		r.index[id] = i
	}
	read := r.pairs
	if w.run.Factors {
		read = r.factors
	}
	for example := range w.resumed.examples {
		if err := cancelled(ctx); err != nil {
			return err
		}
		byHead := map[int32]*schema.HeadResult{}
		if err := read(ctx, example, byHead); err != nil {
			return err
		}
		for _, head := range w.run.Heads {
			h := byHead[w.headID(head.Head)]
			if h == nil {
				return fmt.Errorf("%s %s: %w: none for head %s on example %d", r.op, w.opts.Path, ErrCounts,
					head, example)
			}
			h.Head = head.Head
			if err := w.means.Add(h); err != nil {
				return fmt.Errorf("%s %s: example %d, head %s: %w", r.op, w.opts.Path, example, head, err)
			}
		}
	}
	return nil
}

// refill reads the inputs of the means.
type refill struct {
	w     *writer
	op    string
	index map[int32]int // index of each component, by its id in the file
}

// query calls f for every row of a query about an example. Rows are sorted by head and then by orderBy.
func (r *refill) query(ctx context.Context, example int, f func(*sql.Rows) error,
	query, orderBy string) error {
	return r.w.each(ctx, r.op, f, query+" WHERE t.run_id = $1 AND t.example_id = $2 "+
		"ORDER BY t.head_id, "+orderBy, r.w.summary.RunID, example)
}

// inOrder joins the ordinal of each component within the run.
const inOrder = " AS t JOIN run_component AS o ON o.run_id = t.run_id AND o.component_id = t.component_id"

// factors reads the factors of an example by head.
func (r *refill) factors(ctx context.Context, example int, byHead map[int32]*schema.HeadResult) error {
	for _, from := range []struct {
		factors                         schema.Factors
		side, vector, image, coordinate string
	}{
		{schema.Factors{Side: schema.Query}, "query", "vector", "image", "coordinate"},
		{schema.Factors{Side: schema.Key}, "key", "vector", "image", "coordinate"},
		{schema.Factors{Side: schema.Key, AtBaseline: true}, "key", "baseline", "baseline", "baseline"},
	} {
		sides := map[int32]*schema.Factors{}
		if err := r.query(ctx, example, func(rows *sql.Rows) error {
			var head, component int32
			var vector floats
			if err := rows.Scan(&head, &component, &vector); err != nil {
				return err
			}
			if sides[head] == nil {
				f := from.factors
				f.DHead, sides[head] = len(vector), &f
			}
			f := sides[head]
			f.Components, f.Vectors = append(f.Components, r.index[component]), append(f.Vectors, vector...)
			return nil
		}, "SELECT t.head_id, t.component_id, t."+from.vector+" FROM "+from.side+"_factor"+inOrder,
			"o.ordinal"); err != nil {
			return err
		}
		if err := r.query(ctx, example, func(rows *sql.Rows) error {
			var head int32
			var a schema.Axis
			if err := rows.Scan(&head, &a.Basis, &a.Number, (*floats)(&a.Image)); err != nil ||
				a.Image == nil || sides[head] == nil {
				return err
			}
			sides[head].Axes = append(sides[head].Axes, a)
			return nil
		}, "SELECT t.head_id, t.basis_id, t.axis, t."+from.image+" FROM "+from.side+"_axis AS t",
			"t.basis_id, t.axis"); err != nil {
			return err
		}
		if err := r.query(ctx, example, func(rows *sql.Rows) error {
			var head int32
			var x sql.Null[float32]
			if err := rows.Scan(&head, &x); err != nil || !x.Valid || sides[head] == nil {
				return err
			}
			sides[head].Coordinates = append(sides[head].Coordinates, x.V)
			return nil
		}, "SELECT t.head_id, t."+from.coordinate+" FROM "+from.side+"_coordinate"+inOrder,
			"o.ordinal, t.basis_id, t.axis"); err != nil {
			return err
		}
		for head, f := range sides {
			if f.DHead > 0 { // 0 for baseline factors if the example has no baseline
				at(byHead, head).Factors = append(at(byHead, head).Factors, *f)
			}
		}
	}
	return nil
}

// pairs reads the pair tables of an example by head.
func (r *refill) pairs(ctx context.Context, example int, byHead map[int32]*schema.HeadResult) error {
	err := r.query(ctx, example, func(rows *sql.Rows) error {
		var head, queryID, keyID int32
		var queryBasis, keyBasis int
		var score [4]float32
		var baseline [4]sql.Null[float32]
		if err := rows.Scan(&head, &queryID, &keyID, &queryBasis, &keyBasis, &score[0], &score[1],
			&score[2], &score[3], &baseline[0], &baseline[1], &baseline[2], &baseline[3]); err != nil {
			return err
		}
		queryComponent, keyComponent := r.index[queryID], r.index[keyID]
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
			t.Baseline = append(t.Baseline, [4]float32{baseline[0].V, baseline[1].V, baseline[2].V,
				baseline[3].V})
		}
		return nil
	}, `SELECT t.head_id, t.query_component_id, t.key_component_id, t.query_basis_id, t.key_basis_id,
		t.score_par_par, t.score_par_perp, t.score_perp_par, t.score_perp_perp,
		t.baseline_par_par, t.baseline_par_perp, t.baseline_perp_par, t.baseline_perp_perp
		FROM pair_contribution_wide AS t
		JOIN run_component AS q ON q.run_id = t.run_id AND q.component_id = t.query_component_id
		JOIN run_component AS k ON k.run_id = t.run_id AND k.component_id = t.key_component_id`,
		"t.query_basis_id, t.key_basis_id, q.ordinal, k.ordinal")
	if err != nil {
		return err
	}
	for head, h := range byHead {
		for _, t := range h.Pairs {
			if want := len(t.QueryComponents) * len(t.KeyComponents); len(t.Score) != want ||
				len(t.Baseline) != 0 && len(t.Baseline) != want {
				return fmt.Errorf("%s %s: %w: a table of head number %d on example %d has %d scores and %d "+
					"baselines, want %d by %d", r.op, r.w.opts.Path, ErrCounts,
					head, example, len(t.Score), len(t.Baseline), len(t.QueryComponents),
					len(t.KeyComponents))
			}
		}
	}
	return nil
}

// at returns the result of a head, and creates it if there is none.
func at(byHead map[int32]*schema.HeadResult, head int32) *schema.HeadResult {
	if byHead[head] == nil {
		byHead[head] = &schema.HeadResult{}
	}
	return byHead[head]
}

// floats scans a FLOAT[]; NULL becomes nil.
type floats []float32

// Scan implements [sql.Scanner].
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
