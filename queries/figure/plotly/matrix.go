package plotly

import "ducklens/queries/figure"

// matrixSize is about how high a matrix is, px.
const matrixSize = 560

// matrixLayout makes the axes of a map with more places than a heatmap: names are thinned out to what has room, and come back on
// zooming; lines mark the borders of groups, whose names stand above and to the right.
func (p *plot) matrixLayout() {
	first := p.f.Frames[0].Panels[0]
	p.marginR = barRoom
	rows := float64(len(first.Y.Names))
	x, y := p.arrange(rows * max(2, min(24, matrixSize/rows)))
	p.layout["coloraxis"] = p.colorAxis()
	p.layout["plot_bgcolor"] = "#ececec"
	for i, panel := range p.f.Frames[0].Panels {
		across, down := namedAxis(panel.X, x[i], axisName("y", i)), namedAxis(panel.Y, y[i], axisName("x", i))
		down["range"] = []float64{float64(len(panel.Y.Names)) - 0.5, -0.5}
		p.share(i, across, down)
		p.borders(i, panel)
	}
}

// namedAxis is an axis of names as plotly.js knows them, where they differ; else places with names.
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

// borders draws the lines between groups of panel i and writes their names.
func (p *plot) borders(i int, panel figure.Panel) {
	line := object{"color": "#555555", "width": 0.6}
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

// with is a and b in one.
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

// matrixTraces makes the maps of one frame: a trace for each panel. Values have seven digits: there are tens of thousands.
func (p *plot) matrixTraces(frame int) []object {
	var traces []object
	for i, panel := range p.f.Frames[frame].Panels {
		rows, columns := len(panel.Y.Names), len(panel.X.Names)
		z := grid[any](rows, columns)
		var more [][][]any
		var hasError, hasCount bool
		for _, c := range panel.Cells {
			hasError = hasError || finite(c.Error) != nil
			hasCount = hasCount || c.Count > 0
		}
		if hasError || hasCount {
			more = grid[[]any](rows, columns)
		}
		for _, c := range panel.Cells {
			z[c.Row][c.Column] = short(c.Value)
			if more != nil {
				se := "unknown"
				if finite(c.Error) != nil {
					se = number(c.Error, 2)
				}
				more[c.Row][c.Column] = []any{se, c.Count}
			}
		}
		hover := "<b>%{y}</b> " + label(panel.Y.Title) + "<br><b>%{x}</b> " + label(panel.X.Title) + "<br>" + label(p.f.Scale.Title) + ": %{z:.5g}"
		if hasError {
			hover += "<br>standard error: %{customdata[0]}"
		}
		if hasCount {
			hover += "<br>n = %{customdata[1]}"
		}
		if panel.Name != "" {
			hover += "<br>" + label(panel.Name)
		}
		trace := object{
			"type": "heatmap", "name": label(panel.Name), "z": z, "hovertemplate": hover + "<extra></extra>", "coloraxis": "coloraxis",
			"xaxis": axisName("x", i), "yaxis": axisName("y", i), "hoverongaps": false,
		}
		if distinct(panel.X.Names) {
			trace["x"] = labels(panel.X.Names)
		}
		if distinct(panel.Y.Names) {
			trace["y"] = labels(panel.Y.Names)
		}
		if more != nil {
			trace["customdata"] = more
		}
		traces = append(traces, trace)
	}
	return traces
}
