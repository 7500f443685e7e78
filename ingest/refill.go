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
	// A statement takes a millisecond, however little it reads, so examples are read as many as a batch has.
	window := batchPrompts(w.opts.BatchPrompts, &w.run)
	for first := 0; first < w.resumed.examples; first += window {
		if err := cancelled(ctx); err != nil {
			return err
		}
		r.first, r.last = first, min(first+window, w.resumed.examples)-1
		r.results = map[place]*schema.HeadResult{}
		if err := read(ctx); err != nil {
			return err
		}
		for example := r.first; example <= r.last; example++ {
			for _, head := range w.run.Heads {
				h := r.results[place{example, w.headID(head.Head)}]
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
	}
	return nil
}

// refill reads the inputs of the means.
type refill struct {
	w           *writer
	op          string
	index       map[int32]int // index of each component, by its id in the file
	first, last int           // the examples that are being read
	results     map[place]*schema.HeadResult
}

// A place names a head of the file on an example.
type place struct {
	example int
	head    int32
}

// at returns the result at a place, and creates it if there is none.
func (r *refill) at(p place) *schema.HeadResult {
	if r.results[p] == nil {
		r.results[p] = &schema.HeadResult{}
	}
	return r.results[p]
}

// query calls f for every row of a query about the examples. Its first two columns are the example and the
// head, by which rows are sorted, and then by orderBy.
func (r *refill) query(ctx context.Context, f func(*sql.Rows) error, columns, from, orderBy string) error {
	return r.w.each(ctx, r.op, f, "SELECT t.example_id, t.head_id, "+columns+" FROM "+from+
		" WHERE t.run_id = $1 AND t.example_id BETWEEN $2 AND $3 ORDER BY t.example_id, t.head_id, "+orderBy,
		r.w.summary.RunID, r.first, r.last)
}

// inOrder joins the ordinal of each component within the run.
const inOrder = " AS t JOIN run_component AS o ON o.run_id = t.run_id AND o.component_id = t.component_id"

// factors reads the factors of the examples.
func (r *refill) factors(ctx context.Context) error {
	for _, from := range []struct {
		factors                         schema.Factors
		side, vector, image, coordinate string
	}{
		{schema.Factors{Side: schema.Query}, "query", "vector", "image", "coordinate"},
		{schema.Factors{Side: schema.Key}, "key", "vector", "image", "coordinate"},
		{schema.Factors{Side: schema.Key, AtBaseline: true}, "key", "baseline", "baseline", "baseline"},
	} {
		sides := map[place]*schema.Factors{}
		if err := r.query(ctx, func(rows *sql.Rows) error {
			var p place
			var component int32
			var vector floats
			if err := rows.Scan(&p.example, &p.head, &component, &vector); err != nil {
				return err
			}
			if sides[p] == nil {
				f := from.factors
				f.DHead, sides[p] = len(vector), &f
			}
			f := sides[p]
			f.Components, f.Vectors = append(f.Components, r.index[component]), append(f.Vectors, vector...)
			return nil
		}, "t.component_id, t."+from.vector, from.side+"_factor"+inOrder, "o.ordinal"); err != nil {
			return err
		}
		if err := r.query(ctx, func(rows *sql.Rows) error {
			var p place
			var a schema.Axis
			if err := rows.Scan(&p.example, &p.head, &a.Basis, &a.Number, (*floats)(&a.Image)); err != nil ||
				a.Image == nil || sides[p] == nil {
				return err
			}
			sides[p].Axes = append(sides[p].Axes, a)
			return nil
		}, "t.basis_id, t.axis, t."+from.image, from.side+"_axis AS t", "t.basis_id, t.axis"); err != nil {
			return err
		}
		if err := r.query(ctx, func(rows *sql.Rows) error {
			var p place
			var x sql.Null[float32]
			if err := rows.Scan(&p.example, &p.head, &x); err != nil || !x.Valid || sides[p] == nil {
				return err
			}
			sides[p].Coordinates = append(sides[p].Coordinates, x.V)
			return nil
		}, "t."+from.coordinate, from.side+"_coordinate"+inOrder, "o.ordinal, t.basis_id, t.axis"); err != nil {
			return err
		}
		for p, f := range sides {
			if f.DHead > 0 { // 0 for baseline factors if the example has no baseline
				r.at(p).Factors = append(r.at(p).Factors, *f)
			}
		}
	}
	return nil
}

// pairs reads the pair tables of the examples.
func (r *refill) pairs(ctx context.Context) error {
	err := r.query(ctx, func(rows *sql.Rows) error {
		var p place
		var queryID, keyID int32
		var queryBasis, keyBasis int
		var score [4]float32
		var baseline [4]sql.Null[float32]
		if err := rows.Scan(&p.example, &p.head, &queryID, &keyID, &queryBasis, &keyBasis, &score[0],
			&score[1], &score[2], &score[3], &baseline[0], &baseline[1], &baseline[2],
			&baseline[3]); err != nil {
			return err
		}
		queryComponent, keyComponent := r.index[queryID], r.index[keyID]
		h := r.at(p)
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
	}, `t.query_component_id, t.key_component_id, t.query_basis_id, t.key_basis_id,
		t.score_par_par, t.score_par_perp, t.score_perp_par, t.score_perp_perp,
		t.baseline_par_par, t.baseline_par_perp, t.baseline_perp_par, t.baseline_perp_perp`,
		`pair_contribution_wide AS t
		JOIN run_component AS q ON q.run_id = t.run_id AND q.component_id = t.query_component_id
		JOIN run_component AS k ON k.run_id = t.run_id AND k.component_id = t.key_component_id`,
		"t.query_basis_id, t.key_basis_id, q.ordinal, k.ordinal")
	if err != nil {
		return err
	}
	for p, h := range r.results {
		for _, t := range h.Pairs {
			if want := len(t.QueryComponents) * len(t.KeyComponents); len(t.Score) != want ||
				len(t.Baseline) != 0 && len(t.Baseline) != want {
				return fmt.Errorf("%s %s: %w: a table of head number %d on example %d has %d scores and %d "+
					"baselines, want %d by %d", r.op, r.w.opts.Path, ErrCounts,
					p.head, p.example, len(t.Score), len(t.Baseline), len(t.QueryComponents),
					len(t.KeyComponents))
			}
		}
	}
	return nil
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
