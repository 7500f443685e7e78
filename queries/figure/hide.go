package figure

import (
	"slices"

	"ducklens/queries"
)

// hide removes the rows that have one of names in one of columns; an empty column name is ignored.
func (t *table) hide(f *Figure, names []string, columns ...string) {
	if len(names) == 0 {
		return
	}
	var rows [][]any
	var lines []int
	for i := range t.rows {
		hidden := ""
		for _, column := range columns {
			if text := t.text(i, column); column != "" && slices.Contains(names, text) {
				hidden = text
			}
		}
		if hidden != "" {
			f.Hidden.add(hidden)
			continue
		}
		rows, lines = append(rows, t.rows[i]), append(lines, t.lines[i])
	}
	t.rows, t.lines = rows, lines
}

// nothingLeft returns the error for a figure whose rows were all hidden.
func (t *table) nothingLeft() error {
	return t.fail(ErrEmpty, "every row is hidden", nil, "hide fewer names")
}

// Names returns what can be hidden in the figure: labels of cells, names of bars, rows and columns, series,
// and names of points.
func (f *Figure) Names() []string {
	names := slices.Clone(f.Legend.Names)
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for p := range f.panels() {
		for _, c := range p.Cells {
			add(c.Label)
		}
		if f.Mark != queries.Heatmap {
			for _, name := range slices.Concat(p.Y.Names, p.X.Names) {
				add(name)
			}
		}
		for _, c := range p.Clouds {
			for _, d := range c.Dots {
				add(d.Label)
			}
		}
	}
	return names
}
