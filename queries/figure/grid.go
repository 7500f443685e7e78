package figure

import (
	"fmt"

	"ducklens/queries"
)

// grid is the frames and panels of a figure while rows are being placed.
type grid struct {
	f              *Figure
	t              *table
	frames, facets places
}

// grid makes the figure's frames and panels, empty, with their axes.
func (f *Figure) grid(t *table, c queries.Chart, x, y Axis) (grid, error) {
	if err := t.noNulls(c.Facet, c.Frame); err != nil {
		return grid{}, err
	}
	g := grid{f: f, t: t, frames: t.categories(c.Frame), facets: t.categories(c.Facet)}
	if n := len(g.frames.names) * len(g.facets.names); n > maxPanels {
		return g, t.fail(ErrAxis, fmt.Sprintf("%d frames of %d panels, want at most %d panels in all",
			len(g.frames.names), len(g.facets.names), maxPanels), nil, "let the query choose some")
	}
	for _, frame := range g.frames.names {
		panels := make([]Panel, len(g.facets.names))
		for i, facet := range g.facets.names {
			panels[i] = Panel{Name: facet, X: x, Y: y}
		}
		f.Frames = append(f.Frames, Frame{Name: frame, Panels: panels})
	}
	return g, nil
}

// maxPanels is the maximum number of panels of a figure, over all frames.
const maxPanels = 512

// panel returns the panel of row i.
func (g grid) panel(i int) *Panel { return &g.f.Frames[g.frames.of[i]].Panels[g.facets.of[i]] }

// single returns an error if two rows of a panel have the same place. what is a word for a place; a and b are
// the places of the rows.
func (g grid) single(what string, a, b []int) error {
	type place struct{ frame, facet, a, b int }
	of := func(i int) place { return place{g.frames.of[i], g.facets.of[i], a[i], b[i]} }
	taken := make(map[place]int, len(a))
	for i := range a {
		first, ok := taken[of(i)]
		if !ok {
			taken[of(i)] = i
			continue
		}
		same := []int{first}
		for j := i; j < len(a); j++ {
			if of(j) == of(i) {
				same = append(same, j)
			}
		}
		return g.t.fail(ErrDuplicate, fmt.Sprintf("%d rows for one %s", len(same), what), same,
			"let the query aggregate, or name the column that tells the rows apart as facet or frame")
	}
	return nil
}
