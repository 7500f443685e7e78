package ingest

import (
	"cmp"
	"fmt"
	"slices"

	"ducklens/schema"
)

// rowSide is one side of a row of contributions to every key, under one pair of bases.
type rowSide struct {
	prompt int32
	row    *schema.Row
	table  *schema.RowTable
}

// appendKeys appends the contributions to every key of a part. It sorts them by kind of bases, head, side,
// bases, prompt, query position, component and position, like the contributions of examples, because a
// question is about one head and one side, of one example or of all.
func (w *writer) appendKeys(tables *appenders, results []schema.PromptResult) error {
	var list []rowSide
	for i := range results {
		for j := range results[i].Rows {
			row := &results[i].Rows[j]
			for t := range row.Tables {
				list = append(list, rowSide{promptID(&results[i].Prompt), row, &row.Tables[t]})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b rowSide) int {
		x, y := a.table, b.table
		return cmp.Or(w.compareWhole(x.QueryBasis, y.QueryBasis), w.compareWhole(x.KeyBasis, y.KeyBasis),
			cmp.Compare(w.headID(a.row.Head), w.headID(b.row.Head)), cmp.Compare(x.Side, y.Side),
			cmp.Compare(x.QueryBasis, y.QueryBasis), cmp.Compare(x.KeyBasis, y.KeyBasis))
	})
	for _, r := range list {
		if err := w.appendRowSide(tables, r); err != nil {
			return fmt.Errorf("prompt %d, query token %d: head %s: %w", r.prompt+1, r.row.Query,
				r.row.Head, err)
		}
	}
	return nil
}

// appendRowSide appends a row for each component and position.
func (w *writer) appendRowSide(tables *appenders, r rowSide) error {
	to, err := tables.table(tableRow)
	if err != nil {
		return err
	}
	run, head, n := w.runID(), w.headID(r.row.Head), r.row.Query+1-r.row.FirstKey
	side, query, key := r.table.Side.String(), int32(r.table.QueryBasis), int32(r.table.KeyBasis)
	for c, component := range r.table.Components {
		id := w.componentID(component)
		for pos := range n {
			to.PutInt32(run, r.prompt, int32(r.row.Query), head)
			to.PutText(side)
			to.PutInt32(id, query, key, int32(r.row.FirstKey+pos))
			for _, numbers := range r.table.Score {
				if numbers == nil {
					to.PutFloat32(0)
				} else {
					to.PutFloat32(numbers[c*n+pos])
				}
			}
			if err := to.EndRow(); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyRowCount counts the contributions to every key in a result.
func keyRowCount(r *schema.PromptResult) (n int) {
	for i := range r.Rows {
		for _, t := range r.Rows[i].Tables {
			n += len(t.Score[schema.PerpPerp])
		}
	}
	return n
}
