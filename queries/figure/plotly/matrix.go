package plotly

import "ducklens/queries/figure"

// Lengths of a matrix in pixels.
const (
	matrixSize  = 560.0 // approximate height
	turnedNames = 72.0  // below a panel: names of columns, which are turned, and the title
	groupRoom   = 38.0  // to the right of a panel, for the names of groups
)

// matrixLayout makes the axes of a map with more places than a heatmap. Names are thinned out to those that
// have room, and reappear on zooming. Lines mark the borders of groups, whose names are above and to the
// right.
func (p *plot) matrixLayout() {
	first := p.f.Frames[0].Panels[0]
	p.marginR, p.barGap, p.gap = barRoom+groupRoom, groupRoom, groupRoom
	p.below = turnedNames
	rows := float64(len(first.Y.Names))
	x, y := p.arrange(rows * max(2, min(24, matrixSize/rows)))
	p.addColorAxis()
	p.layout["plot_bgcolor"] = "#ececec"
	for i, panel := range p.f.Frames[0].Panels {
		across, down := namedAxis(panel.X, x[i], axisName("y", i)), namedAxis(panel.Y, y[i], axisName("x", i))
		down["range"] = []float64{float64(len(panel.Y.Names)) - 0.5, -0.5}
		for _, axis := range []object{across, down} { // a frame, because zero is as white as the page
			axis["showline"], axis["mirror"], axis["linecolor"], axis["linewidth"] = true, true, "#555555", 1
		}
		p.share(i, across, down)
		p.borders(i, panel)
	}
}

// namedAxis returns an axis of names in plotly.js's form, if the names differ; otherwise places with names.
func namedAxis(a figure.Axis, domain [2]float64, anchor string) object {
	axis := categoryAxis(a, domain, anchor)
	if distinct(a.Names) {
		delete(axis, "tickvals")
		delete(axis, "ticktext")
		axis["type"], axis["tickmode"], axis["tickfont"] = "category", "auto", object{"size": 9}
		axis["categoryorder"], axis["categoryarray"] = "array", labels(a.Names)
	}
	return axis
}

func distinct(names []string) bool {
	seen := make(map[string]bool, len(names))
	for _, s := range names {
		if seen[s] {
			return false
		}
		seen[s] = true
	}
	return true
}

// borders draws the lines between groups of panel i and writes the groups' names.
func (p *plot) borders(i int, panel figure.Panel) {
	// If most cells are weak, darker lines would dominate.
	line := object{"color": "#c4c4c4", "width": 1}
	x, y := axisName("x", i), axisName("y", i)
	note := object{"showarrow": false, "font": object{"size": 10, "color": "#555555"}}
	for k, g := range panel.X.Groups {
		if k > 0 {
			at := float64(g.First) - 0.5
			p.shapes = append(p.shapes, object{"type": "line", "xref": x, "yref": y + " domain", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line})
		}
		p.notes = append(p.notes, with(note, object{
			"text": label(g.Name), "xref": x, "x": g.First + (g.N-1)/2, "yref": y + " domain", "y": 1, "yanchor": "bottom", "yshift": 0,
		}))
	}
	for k, g := range panel.Y.Groups {
		if k > 0 {
			at := float64(g.First) - 0.5
			p.shapes = append(p.shapes, object{"type": "line", "yref": y, "xref": x + " domain", "y0": at, "y1": at, "x0": 0, "x1": 1, "line": line})
		}
		p.notes = append(p.notes, with(note, object{
			"text": label(g.Name), "yref": y, "y": g.First + (g.N-1)/2, "xref": x + " domain", "x": 1, "xanchor": "left", "xshift": 1,
		}))
	}
}

// with merges a and b.
func with(a, b object) object {
	all := make(object, len(a)+len(b))
	for k, v := range a {
		all[k] = v
	}
	for k, v := range b {
		all[k] = v
	}
	return all
}
