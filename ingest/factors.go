package ingest

import (
	"fmt"
	"math"
	"slices"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// factorSet holds the factors of one head on one example.
type factorSet struct {
	query, key, baseline *schema.Factors // baseline is nil if the example has none
}

// factorsOf sorts the factors of a head by side and checks them.
func factorsOf(h *schema.HeadResult) (s factorSet, err error) {
	for i := range h.Factors {
		f := &h.Factors[i]
		for _, list := range append([][]float32{f.Vectors, f.Coordinates}, images(f)...) {
			if !finite(list) {
				return s, fmt.Errorf("factors of the %s side: %w: NaN or infinite", f.Side,
					dbfile.ErrConstraint)
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
		return s, fmt.Errorf("factors of %d components at the baseline, want the %d at the key",
			len(s.baseline.Components), len(s.key.Components))
	}
	return s, nil
}

// images returns the images of the axes.
func images(f *schema.Factors) [][]float32 {
	list := make([][]float32, len(f.Axes))
	for i, a := range f.Axes {
		list[i] = a.Image
	}
	return list
}

// finite reports whether all numbers are finite.
func finite(list []float32) bool {
	for _, x := range list {
		if x-x != 0 {
			return false
		}
	}
	return true
}

// appendFactors appends the factors of a part, head by head: axes and coordinates by example, and vectors by
// component and example, because a query about one component then reads few of them.
func (w *writer) appendFactors(tables *appenders, results []schema.PromptResult) error {
	for i := range w.run.Heads {
		var sets []factorSet
		var examples [][]int32
		most := 0
		for j := range results {
			for k := range results[j].Examples {
				r := &results[j].Examples[k]
				s, err := factorsOf(&r.Heads[i])
				ids := []int32{w.runID(), int32(r.Example.Index), w.headID(r.Heads[i].Head)}
				if err == nil {
					err = w.appendAxesOf(tables, ids, s)
				}
				if err != nil {
					return fmt.Errorf("example %d: head %s: %w", r.Example.Index, r.Heads[i].Head, err)
				}
				sets, examples = append(sets, s), append(examples, ids)
				most = max(most, len(s.query.Components), len(s.key.Components))
			}
		}
		for row := range most {
			for j, s := range sets {
				if err := w.appendVector(tables, tableQueryFactor, examples[j], row, s.query, nil); err != nil {
					return err
				}
				if err := w.appendVector(tables, tableKeyFactor, examples[j], row, s.key, s.baseline); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// appendAxesOf appends the axes that split the factors of one head, and the coordinates along them.
func (w *writer) appendAxesOf(tables *appenders, ids []int32, s factorSet) error {
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

// appendVector appends one row of the vectors of a side, if the side has so many. Vectors at the baseline go
// into the rows of the key side.
func (w *writer) appendVector(tables *appenders, number int, ids []int32, row int,
	f, baseline *schema.Factors) error {
	if row >= len(f.Components) {
		return nil
	}
	table, err := tables.table(number)
	if err != nil {
		return err
	}
	from, to := row*f.DHead, (row+1)*f.DHead
	table.PutInt32(ids...)
	table.PutInt32(w.componentID(f.Components[row]))
	table.PutFloats(f.Vectors[from:to])
	if baseline != nil {
		table.PutFloats(baseline.Vectors[from:to])
	} else if number == tableKeyFactor {
		table.PutNull()
	}
	return table.EndRow()
}

// appendAxes appends a row for each axis of a side. A basis may have a different number of axes at the
// baseline.
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

// appendCoordinates appends a row for each basis, axis and component of a side, in this order: values that
// repeat from row to row compress to almost nothing.
func (w *writer) appendCoordinates(tables *appenders, number int, ids []int32,
	f, baseline *schema.Factors) error {
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

// putImage puts the image of an axis, or NULL if there is no such axis.
func putImage(table *dbfile.Appender, axes axes, axis int) {
	if axis < axes.n() {
		table.PutFloats(axes.f.Axes[axes.from+axis].Image)
	} else {
		table.PutNull()
	}
}

// basesOf lists the bases with axes in any of the sides, without duplicates and in ascending order.
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

// axes is the range of the axes of one basis. The axes of a basis are adjacent.
type axes struct {
	f        *schema.Factors
	from, to int
}

// axesOf finds the axes of a basis. The range may be empty.
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

// coordinate returns the coordinate of a row along an axis, or NaN if there is no such axis.
func (a axes) coordinate(row, axis int) float32 {
	if axis >= a.n() {
		return float32(math.NaN())
	}
	return a.f.Coordinates[row*len(a.f.Axes)+a.from+axis]
}
