package schematest

import (
	"errors"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// AddNorms adds to results inner products of components that add up to the squares of their scales, and a
// QK-norm.
func AddNorms(run schema.Run, results []schema.Result) []schema.Result {
	const normScale = 2
	layout := Layout(run.Model)
	// Each of n components is the n-th part of a whole, plus a perpendicular vector.
	parts := func(n int, whole float64) (with, squared []float64) {
		for range n {
			with, squared = append(with, whole/float64(n)), append(squared, whole/float64(n))
		}
		return with, squared
	}
	gram := func(n int, whole float64) (g [][]float64) {
		for range run.Gram {
			row := make([]float64, len(run.Gram))
			for j := range row {
				row[j] = whole / float64(n*n)
			}
			g = append(g, row)
		}
		return g
	}
	for i := range results {
		r := &results[i]
		x := &r.Example
		layers := map[int]bool{}
		for j := range r.Heads {
			h := &r.Heads[j]
			n := layout.Below(h.Head.Layer)
			h.Score.QueryNormScale, h.Score.KeyNormScale = normScale, normScale
			positions := []int{x.Query, x.Key}
			if x.Baseline != schema.NoPosition {
				positions, h.Score.BaselineNormScale = append(positions, x.Baseline), normScale
			}
			for k, pos := range positions {
				scale := float64([]float32{h.Score.QueryScale, h.Score.KeyScale, h.Score.BaselineScale}[k])
				if !layers[h.Head.Layer] {
					with, squared := parts(n, scale*scale-run.Model.LNEps)
					r.Norms = append(r.Norms,
						schema.NormSquares{Layer: h.Head.Layer, Pos: pos, Whole: scale * scale, With: with,
							Squared: squared, Gram: gram(n, scale*scale)})
				}
				side := schema.Key
				if k == 0 {
					side = schema.Query
				}
				with, squared := parts(n, normScale*normScale-1)
				r.QKNorms = append(r.QKNorms,
					schema.QKNormSquares{Head: h.Head, Side: side, Pos: pos, Whole: normScale*normScale - 1,
						Constant: 1,
						With:     with, WithBias: make([]float64, n), Squared: squared, Gram: gram(n, normScale)})
			}
			layers[h.Head.Layer] = true
		}
	}
	return results
}

// AddAblations adds ablations of the components of layer 0 to a run.
func AddAblations(tb testing.TB, db *dbfile.DB, run int) {
	tb.Helper()
	conn, err := db.Conn(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	err = db.InTx(tb.Context(), conn, func() error {
		_, err := conn.ExecContext(tb.Context(), `INSERT INTO ablation SELECT s.run_id, s.example_id, s.head_id, c.component_id, 'zero', 'all',
			s.score / 2, s.baseline / 2, s.prob / 2, s.baseline_prob / 2, 1, CASE WHEN s.baseline IS NOT NULL THEN 2 END, 3, CASE WHEN s.baseline IS NOT NULL THEN 4 END
			FROM score AS s JOIN run_component AS o ON o.run_id = s.run_id JOIN component AS c ON c.component_id = o.component_id
			WHERE s.run_id = $1 AND c.layer = 0 AND c.kind IN ('head', 'mlp') ORDER BY s.example_id, s.head_id, o.ordinal`, run)
		return err
	})
	if err := errors.Join(err, conn.Close()); err != nil {
		tb.Fatal(err)
	}
}

func (w *writer) norms(r schema.Result, add func(...any) error) error {
	for _, n := range r.Norms {
		for c := range n.With {
			if err := add(r.Example.Index, n.Layer, n.Pos, w.component(c), n.Whole, n.With[c],
				n.Squared[c]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) qkNorms(r schema.Result, add func(...any) error) error {
	for _, n := range r.QKNorms {
		for c := range n.With {
			if err := add(r.Example.Index, w.headID(n.Head), n.Side.String(), n.Pos, w.component(c), n.Whole,
				n.WholeBias, n.Constant, n.With[c], n.WithBias[c], n.Squared[c]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) gram(r schema.Result, add func(...any) error) error {
	for _, n := range r.Norms {
		if err := w.products(n.Gram, func(a, b int, product float64) error {
			return add(r.Example.Index, n.Layer, n.Pos, a, b, product)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) qkGram(r schema.Result, add func(...any) error) error {
	for _, n := range r.QKNorms {
		if err := w.products(n.Gram, func(a, b int, product float64) error {
			return add(r.Example.Index, w.headID(n.Head), n.Side.String(), n.Pos, a, b, product)
		}); err != nil {
			return err
		}
	}
	return nil
}

// products calls f for each pair of different components of a matrix of inner products.
func (w *writer) products(gram [][]float64, f func(a, b int, product float64) error) error {
	for i, row := range gram {
		for j := range i {
			if err := f(w.component(w.run.Gram[j]), w.component(w.run.Gram[i]), row[j]); err != nil {
				return err
			}
		}
	}
	return nil
}
