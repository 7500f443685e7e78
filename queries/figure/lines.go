package figure

import (
	"cmp"
	"math"
	"slices"

	"ducklens/queries"
)

// lines sets the frames and the legend of a line chart from the rows.
func (f *Figure) lines(t *table, c queries.Chart) error {
	if t.hide(f, c.Hide, c.Series); len(t.rows) == 0 {
		return t.nothingLeft()
	}
	if err := t.noNulls(c.X); err != nil {
		return err
	}
	values, err := t.numbers(c.Y)
	if err != nil {
		return err
	}
	se, count, err := t.support(c)
	if err != nil {
		return err
	}
	series, err := t.entries(c.Series)
	if err != nil {
		return err
	}
	at, xAxis, err := t.abscissa(c)
	if err != nil {
		return err
	}
	y := Axis{Title: orElse(c.YTitle, c.Y), Low: values[0], High: values[0]}
	for i, v := range values {
		y.cover(v, se[i])
	}
	f.Legend = legend(c, c.Series, series, t.whole().categories(c.Series))
	g, err := f.grid(t, c, xAxis, y)
	if err != nil {
		return err
	}
	if err := g.single("point", ranks(at), series.of); err != nil {
		return err
	}
	type key struct {
		panel  *Panel
		series int
	}
	points := make(map[key][]Point)
	for i, v := range values {
		k := key{g.panel(i), series.of[i]}
		points[k] = append(points[k], Point{X: at[i], Y: v, Error: se[i], Count: count[i]})
	}
	for panel := range f.panels() {
		for s := range series.names {
			if list := points[key{panel, s}]; list != nil {
				slices.SortFunc(list, func(a, b Point) int { return cmp.Compare(a.X, b.X) })
				panel.Lines = append(panel.Lines, Line{Series: s, Points: list})
			}
		}
	}
	return nil
}

// abscissa returns the place of each row on the x axis: its number or, for text and for numbers that have
// names, the index of the name.
func (t *table) abscissa(c queries.Chart) ([]float64, Axis, error) {
	if t.columns[t.result.Index(c.X)].Type.Numeric() && c.XTick == "" {
		values, err := t.numbers(c.X)
		if err != nil {
			return nil, Axis{}, err
		}
		return values, Axis{Title: orElse(c.XTitle, c.X), Low: slices.Min(values), High: slices.Max(values)}, nil
	}
	p, axis, err := t.axis(c.X, c.XTick, "", c.XTitle, false)
	at := make([]float64, len(p.of))
	for i, k := range p.of {
		at[i] = float64(k)
	}
	return at, axis, err
}

// ranks numbers the different values of x in ascending order.
func ranks(x []float64) []int {
	sorted := slices.Compact(slices.Sorted(slices.Values(x)))
	of := make([]int, len(x))
	for i, v := range x {
		of[i], _ = slices.BinarySearch(sorted, v)
	}
	return of
}

// cover extends an axis of numbers to a value and its standard error, if there is one.
func (a *Axis) cover(v, se float64) {
	if math.IsNaN(se) {
		se = 0
	}
	a.Low, a.High = min(a.Low, v-se), max(a.High, v+se)
}
