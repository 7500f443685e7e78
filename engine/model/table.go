package model

import (
	"fmt"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
)

// table is a matrix with a row for each token, in the form that the checkpoint has. It is never widened as a
// whole.
type table struct {
	view    checkpoint.View
	rows, d int
	columns bool // stored [d, rows]
	plus    float64
}

// openTable opens the table of a source without reading its numbers.
func openTable(c *checkpoint.Checkpoint, s Source, rows, d int) (table, error) {
	v, err := c.Tensor(s.Tensor)
	if err != nil {
		return table{}, err
	}
	t := table{view: v, rows: rows, d: d, columns: s.Order == InOut, plus: s.Plus}
	first, second := rows, d
	if t.columns {
		first, second = d, rows
	}
	if len(v.Shape) != 2 || v.Shape[0] != first || v.Shape[1] != second {
		return table{}, misfit(c, v, first, second)
	}
	return t, nil
}

// tableRows widens rows into dst, beginning with row from, until dst is full.
func tableRows[T blas.Float](dst []T, t table, from int) {
	defer plus(dst, t.plus)
	if !t.columns {
		checkpoint.Copy(dst, t.view, from*t.d)
		return
	}
	n := len(dst) / t.d
	column := make([]T, n)
	for i := range t.d {
		checkpoint.Copy(column, t.view, i*t.rows+from)
		for r, v := range column {
			dst[r*t.d+i] = v
		}
	}
}

// misfit returns the error for a matrix of the wrong shape.
func misfit(c *checkpoint.Checkpoint, v checkpoint.View, rows, columns int) error {
	return fmt.Errorf("checkpoint %s: tensor %q has shape %v, want [%d %d]", c.Path(), v.Name, v.Shape, rows,
		columns)
}

// visit calls do with ranges of rows that cover the table, after checking that all numbers in them are
// finite. Only a strip of the file is in memory at a time.
func (t table) visit(c *checkpoint.Checkpoint, do func(from, to int)) error {
	if t.columns {
		if err := checkFinite(c, t.view); err != nil {
			return err
		}
	}
	for from := 0; from < t.rows; from += strip {
		to := min(t.rows, from+strip)
		if !t.columns && t.view.Rows(from, to).CheckFinite() != nil {
			return checkFinite(c, t.view) // it says where in the table
		}
		do(from, to)
		if !t.columns {
			t.view.Release(from*t.d, to*t.d)
		}
	}
	return nil
}

func (t table) release() { t.view.Release(0, t.view.Len()) }

// strip is the number of rows of a table that are read together. Widened, they fit into the processor's
// cache.
const strip = 1024

// openTables opens the embedding tables and W_pos. It returns the work that is left, which takes time and can
// run concurrently.
func (m *Model[T]) openTables(r *reader[T], src *Sources) (later []func() error, err error) {
	s := m.spec
	if m.embedding, err = openTable(r.checkpoint, src.Embed, s.DVocab, s.DModel); err != nil {
		return nil, err
	}
	if s.Position {
		if err := m.readPositions(r, src.Position); err != nil {
			return nil, err
		}
	}
	if err := m.unembed.open(r, m, src); err != nil {
		return nil, err
	}
	if m.unembed.stored {
		later = append(later, func() error { return m.unembed.read(r.checkpoint) })
	}
	if !m.unembed.stored || !m.unembed.tied {
		later = append(later, func() error { return m.embedding.visit(r.checkpoint, func(int, int) {}) })
	}
	return later, nil
}

// readPositions reads W_pos.
func (m *Model[T]) readPositions(r *reader[T], src Source) error {
	rows, d := m.spec.NCtx+m.spec.PositionOffset, m.spec.DModel
	v, err := r.checkpoint.Tensor(src.Tensor)
	if err == nil {
		err = checkFinite(r.checkpoint, v)
	}
	if err != nil {
		return err
	}
	if len(v.Shape) != 2 || v.Shape[0] < rows || v.Shape[1] != d {
		return misfit(r.checkpoint, v, rows, d)
	}
	x := make([]float64, rows*d)
	checkpoint.Copy(x, v, 0)
	plus(x, src.Plus)
	for i := 0; i < len(x) && m.centres(); i += d {
		centre(x[i : i+d])
	}
	m.position = blas.NewMatrix(rows, d, rounded[T](x))
	return nil
}

// Embed returns W_E[token] [d_model] times the model's scale of embeddings: the component that the token
// embedding writes.
func (m *Model[T]) Embed(token int) []T {
	row := make([]T, m.spec.DModel)
	m.embedInto(row, token)
	m.releaseTables()
	return row
}

func (m *Model[T]) embedInto(row []T, token int) {
	wide := make([]float64, len(row))
	tableRows(wide, m.embedding, token)
	if scale := m.spec.EmbedScale; scale != 1 {
		for i := range wide {
			wide[i] *= scale
		}
	}
	if m.centres() {
		centre(wide)
	}
	round(row, wide)
}
