package figure

import (
	"slices"

	"ducklens/queries"
)

// bars sets the frames and the legend of a bar chart from the rows.
func (f *Figure) bars(t *table, c queries.Chart) error {
	if t.hide(f, c.Hide, c.X, c.XTick, c.Category); len(t.rows) == 0 {
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
	categories, err := t.entries(c.Category)
	if err != nil {
		return err
	}
	x := t.categories(c.X)
	if len(x.names) > maxPlaces {
		return t.tooMany(c.X, float64(len(x.names)))
	}
	if x.names, err = t.ticks(x, c.X, c.XTick); err != nil {
		return err
	}
	y := Axis{Title: f.withWhole(orElse(c.YTitle, c.Y))}
	y.cover(0, 0)
	for i, v := range values {
		y.cover(v, se[i])
	}
	f.Legend = legend(c, c.Category, categories, t.whole().categories(c.Category))
	g, err := f.grid(t, c, Axis{Title: namesTitle(c.XTitle, c.X, c.XTick), Names: x.names}, y)
	if err != nil {
		return err
	}
	if err := g.single("bar", x.of, make([]int, len(x.of))); err != nil {
		return err
	}
	for i, v := range values {
		panel := g.panel(i)
		panel.Bars = append(panel.Bars, Bar{
			Place: x.of[i], Category: categories.of[i], Value: v, Error: se[i], Count: count[i], Label: t.text(i, c.Label),
		})
	}
	for panel := range f.panels() {
		slices.SortFunc(panel.Bars, func(a, b Bar) int { return a.Place - b.Place })
	}
	return nil
}
