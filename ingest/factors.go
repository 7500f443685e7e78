package ingest

import (
	"fmt"
	"math"
	"slices"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// factorSet is the factors of one head on one example.
type factorSet struct {
	query, key, baseline *schema.Factors // baseline is nil where the example has none
}

// factorsOf sorts the factors of a head.
func factorsOf(h *schema.HeadResult) (s factorSet, err error) {
	for i := range h.Factors {
		f := &h.Factors[i]
		for _, list := range append([][]float32{f.Vectors, f.Coordinates}, images(f)...) {
			if !finite(list) {
				return s, fmt.Errorf("factors of the %s side: %w: NaN or infinite", f.Side, dbfile.ErrConstraint)
			}
		}
		switch {
		case f.Side == schema.Query:
			s.query = f
		case f.AtBaseline:
			s.baseline = f
		default:
			s.key = f
		}
	}
	if s.query == nil || s.key == nil {
		return s, fmt.Errorf("factors of %d sides, want those of the query and of the key", len(h.Factors))
	}
	if s.baseline != nil && len(s.baseline.Components) != len(s.key.Components) {
		return s, fmt.Errorf("factors of %d components at the baseline, want the %d at the key", len(s.baseline.Components), len(s.key.Components))
	}
	return s, nil
}

// images lists the images of the axes.
func images(f *schema.Factors) [][]float32 {
	list := make([][]float32, len(f.Axes))
	for i, a := range f.Axes {
		list[i] = a.Image
	}
	return list
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

// appendFactors appends the vectors of one head and the axes that split them. Those of the baseline go beside those of the key.
func (w *writer) appendFactors(tables *appenders, e *schema.Example, h *schema.HeadResult) error {
	if len(h.Factors) == 0 {
		return nil
	}
	s, err := factorsOf(h)
	if err != nil {
		return err
	}
	ids := []int32{w.runID(), int32(e.Index), w.headID(h.Head)}
	if err := w.appendVectorsOf(tables, tableQueryFactor, ids, s.query, nil); err != nil {
		return err
	}
	if err := w.appendVectorsOf(tables, tableKeyFactor, ids, s.key, s.baseline); err != nil {
		return err
	}
	if err := appendAxes(tables, tableQueryAxis, ids, s.query, nil); err != nil {
		return err
	}
	if err := appendAxes(tables, tableKeyAxis, ids, s.key, s.baseline); err != nil {
		return err
	}
	if err := w.appendCoordinates(tables, tableQueryCoordinate, ids, s.query, nil); err != nil {
		return err
	}
	return w.appendCoordinates(tables, tableKeyCoordinate, ids, s.key, s.baseline)
}

// appendVectorsOf appends a row for each component of a side.
func (w *writer) appendVectorsOf(tables *appenders, number int, ids []int32, f, baseline *schema.Factors) error {
	table, err := tables.table(number)
	if err != nil {
		return err
	}
	for i, c := range f.Components {
		from, to := i*f.DHead, (i+1)*f.DHead
		table.PutInt32(ids...)
		table.PutInt32(w.componentID(c))
		table.PutFloats(f.Vectors[from:to])
		if baseline != nil {
			table.PutFloats(baseline.Vectors[from:to])
		} else if number == tableKeyFactor {
			table.PutNull()
		}
		if err := table.EndRow(); err != nil {
			return err
		}
	}
	return nil
}

// appendAxes appends a row for each axis of a side. At the baseline a basis may have another number of axes than at the key.
func appendAxes(tables *appenders, number int, ids []int32, f, baseline *schema.Factors) error {
	for _, basis := range basesOf(f, baseline) {
		at, atBaseline := axesOf(f, basis), axes{}
		if baseline != nil {
			atBaseline = axesOf(baseline, basis)
		}
		for axis := range max(at.n(), atBaseline.n()) {
			table, err := tables.table(number)
			if err != nil {
				return err
			}
			table.PutInt32(ids...)
			table.PutInt32(int32(basis), int32(axis))
			putImage(table, at, axis)
			if number == tableKeyAxis {
				putImage(table, atBaseline, axis)
			}
			if err := table.EndRow(); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendCoordinates appends a row for each basis, axis and component of a side, in this order: numbers that stay the same from
// row to row take no room.
func (w *writer) appendCoordinates(tables *appenders, number int, ids []int32, f, baseline *schema.Factors) error {
	for _, basis := range basesOf(f, baseline) {
		at, atBaseline := axesOf(f, basis), axes{}
		if baseline != nil {
			atBaseline = axesOf(baseline, basis)
		}
		for axis := range max(at.n(), atBaseline.n()) {
			for i, c := range f.Components {
				table, err := tables.table(number)
				if err != nil {
					return err
				}
				table.PutInt32(ids...)
				table.PutInt32(w.componentID(c), int32(basis), int32(axis))
				table.PutNullable(at.coordinate(i, axis))
				if number == tableKeyCoordinate {
					table.PutNullable(atBaseline.coordinate(i, axis))
				}
				if err := table.EndRow(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// putImage puts the image of an axis, or NULL where there is no such.
func putImage(table *dbfile.Appender, axes axes, axis int) {
	if axis < axes.n() {
		table.PutFloats(axes.f.Axes[axes.from+axis].Image)
	} else {
		table.PutNull()
	}
}

// basesOf lists the bases that have axes on a side, each once and in order.
func basesOf(sides ...*schema.Factors) []int {
	var list []int
	for _, f := range sides {
		if f == nil {
			continue
		}
		for _, a := range f.Axes {
			list = append(list, a.Basis)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// axes are those of one basis among factors, where they lie together.
type axes struct {
	f        *schema.Factors
	from, to int
}

// axesOf finds the axes of a basis; there may be none.
func axesOf(f *schema.Factors, basis int) axes {
	ofBasis := func(a schema.Axis) bool { return a.Basis == basis }
	from := slices.IndexFunc(f.Axes, ofBasis)
	if from < 0 {
		return axes{}
	}
	to := from
	for to < len(f.Axes) && ofBasis(f.Axes[to]) {
		to++
	}
	return axes{f, from, to}
}

func (a axes) n() int { return a.to - a.from }

// coordinate gives that of a row along an axis, or NaN where there is no such.
func (a axes) coordinate(row, axis int) float32 {
	if axis >= a.n() {
		return float32(math.NaN())
	}
	return a.f.Coordinates[row*len(a.f.Axes)+a.from+axis]
}
