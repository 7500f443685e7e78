package figure

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"ducklens/queries"
)

// Part says how much of a larger matrix a figure shows. The zero value means all of it.
type Part struct {
	Rows, OfRows       int
	Columns, OfColumns int
	Share              float64 // of the sum of the sizes of all values; 0 if unknown
}

// Hidden says what a reader did not want to see.
type Hidden struct {
	Names []string // in the order in which they were found
	Share float64  // of the sum of the sizes of all values, where these are parts of a sum
}

func (h *Hidden) add(name string) {
	if !slices.Contains(h.Names, name) {
		h.Names = append(h.Names, name)
	}
}

// Rows and columns of a matrix that can be read in print, and how many are kept of one that cannot.
const (
	mostPlaces    = 48
	largestPlaces = 28
)

// keepLargest reduces a matrix that is too large to read to the rows and columns that carry most: those with
// the largest sums of the sizes of their values, over all panels. Hidden ones lose their places.
func (f *Figure) keepLargest(t *table, c queries.Chart) error {
	if f.Mark != queries.Matrix {
		return nil
	}
	first := &f.Frames[0].Panels[0]
	rows, columns := f.weights()
	most := c.Largest
	// Otherwise the query has chosen.
	if most == 0 && c.Whole == "" && max(len(rows), len(columns)) > mostPlaces {
		most = largestPlaces
	}
	whole, err := f.whole(t, c)
	if err != nil {
		return err
	}
	part := Part{OfRows: len(rows), OfColumns: len(columns)}
	keepRows, keepColumns := f.largest(rows, first.Y.Names, most), f.largest(columns, first.X.Names, most)
	part.Rows, part.Columns = len(keepRows), len(keepColumns)
	less := part.Rows < part.OfRows || part.Columns < part.OfColumns
	shown := f.keep(keepRows, keepColumns)
	if !less && shown >= whole*(1-1e-9) {
		return nil // all of it
	}
	if whole > 0 {
		part.Share = shown / whole
	}
	// Most groups have only one place left, and its name says more.
	for p := range f.panels() {
		p.X.Groups, p.Y.Groups = nil, nil
	}
	f.Part = part
	return nil
}

// weights returns the sums of the sizes of the values of each row and column, over all panels.
func (f *Figure) weights() (rows, columns []float64) {
	first := &f.Frames[0].Panels[0]
	rows, columns = make([]float64, len(first.Y.Names)), make([]float64, len(first.X.Names))
	for p := range f.panels() {
		for _, cell := range p.Cells {
			rows[cell.Row] += math.Abs(cell.Value)
			columns[cell.Column] += math.Abs(cell.Value)
		}
	}
	return rows, columns
}

// whole returns the sum of the sizes of all values: of those in the answer or, if the query left some out, as
// a column of the answer says.
func (f *Figure) whole(t *table, c queries.Chart) (float64, error) {
	sum := 0.0
	for p := range f.panels() {
		for _, cell := range p.Cells {
			sum += math.Abs(cell.Value)
		}
	}
	if c.Whole == "" {
		return sum, nil
	}
	values, err := t.numbers(c.Whole)
	if err != nil {
		return 0, err
	}
	for i, v := range values {
		if v != values[0] {
			return 0, t.fail(ErrValue, fmt.Sprintf("column %s has two values, want the sum of the sizes of all cells in every row", c.Whole), []int{0, i}, "")
		}
	}
	return values[0], nil
}

// largest returns the places of the largest weights, in the order of the axis, without hidden ones; most = 0:
// all.
func (f *Figure) largest(weights []float64, names []string, most int) []int {
	var order []int
	for i := range weights {
		if !slices.Contains(f.Hidden.Names, names[i]) {
			order = append(order, i)
		}
	}
	if most > 0 && len(order) > most {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[b], weights[a]) })
		order = order[:most]
		slices.Sort(order)
	}
	return order
}

// keep keeps some rows and columns in every panel, and returns the sum of the sizes of their values.
func (f *Figure) keep(rows, columns []int) (sum float64) {
	row, column := make(map[int]int, len(rows)), make(map[int]int, len(columns))
	for to, from := range rows {
		row[from] = to
	}
	for to, from := range columns {
		column[from] = to
	}
	for p := range f.panels() {
		p.X, p.Y = p.X.only(columns), p.Y.only(rows)
		kept := p.Cells[:0]
		for _, c := range p.Cells {
			r, inRows := row[c.Row]
			k, inColumns := column[c.Column]
			if inRows && inColumns {
				c.Row, c.Column = r, k
				kept = append(kept, c)
				sum += math.Abs(c.Value)
			}
		}
		p.Cells = kept
	}
	return sum
}

// only returns the axis with some of its places, in ascending order, without groups.
func (a Axis) only(places []int) Axis {
	if len(places) == len(a.Names) {
		return a
	}
	names := make([]string, len(places))
	for i, from := range places {
		names[i] = a.Names[from]
	}
	a.Names, a.Groups = names, nil
	return a
}
