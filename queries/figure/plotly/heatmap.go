package plotly

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// Lengths of a heatmap in pixels.
const (
	leastCell = 27.0 // height of a cell
	mostCell  = 40.0 // the same in a grid with few rows
	gridSize  = 200.0
	barRoom   = 88.0  // the colour bar with its ticks and title
	barLength = 330.0 // maximum
	barTitle  = 200.0 // a shorter bar has its title above
	letter    = 0.62  // width of a letter by its size, on average
)

// steps is the number of colours of the scale on each side of white; plotly.js interpolates linearly between
// them.
const steps = 16

// colorScale returns the scale, which is symmetric and white at zero.
func colorScale() [][2]any {
	colors := make([][2]any, 0, 2*steps+1)
	for i := -steps; i <= steps; i++ {
		c := figure.Paper.Diverging(float64(i) / steps)
		colors = append(colors, [2]any{float64(i+steps) / (2 * steps), fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)})
	}
	return colors
}

// colorAxis returns the single scale of all panels and frames.
func (p *plot) colorAxis() object {
	s := p.f.Scale
	return object{"cmin": -s.Limit, "cmax": s.Limit, "colorscale": colorScale(), "colorbar": p.colorBar()}
}

// colorBar returns the colour bar, which is at the right.
func (p *plot) colorBar() object {
	s := p.f.Scale
	length, title := min(barLength, p.inner), object{"text": label(s.Title), "side": "right"}
	if length < barTitle {
		title = object{"text": strings.Join(labels(wrap(s.Title, 14)), "<br>"), "side": "top", "font": object{"size": 11}}
	}
	return object{
		"title": title, "thickness": 14, "len": length, "lenmode": "pixels",
		"y": 1, "yanchor": "top", "x": fraction(1 + p.barGap/p.innerWidth()), "xanchor": "left", "outlinewidth": 0.5, "outlinecolor": "#888888", "tickfont": object{"size": 11},
	}
}

// shade sets the colours of a trace of cells: the shared axis or, if each panel has its own limit, a scale of
// its own, of which the single colour bar then shows fractions.
func (p *plot) shade(trace object, panel figure.Panel, first bool) {
	if p.f.Scale.Shared() {
		trace["coloraxis"] = "coloraxis"
		return
	}
	l := panel.Limit
	trace["zmin"], trace["zmax"], trace["colorscale"], trace["showscale"] = -l, l, colorScale(), first
	if first {
		bar := p.colorBar()
		bar["tickvals"] = []float64{-l, -l / 2, 0, l / 2, l}
		bar["ticktext"] = []string{"−end", "−½", "0", "½", "end"}
		trace["colorbar"] = bar
	}
}

// heatmapLayout makes the axes of a heatmap. Places without a component are grey, unlike zero, which is
// white.
func (p *plot) heatmapLayout() {
	first := p.f.Frames[0].Panels[0]
	p.marginR, p.barGap = barRoom, 10
	p.marginL = namesRoom(first.Y.Names, 220)
	rows := float64(len(first.Y.Names))
	x, y := p.arrange(rows * max(leastCell, min(mostCell, gridSize/rows)))
	widest := 1
	for _, frame := range p.f.Frames {
		for _, panel := range frame.Panels {
			for _, c := range panel.Cells {
				widest = max(widest, utf8.RuneCountInString(c.Label))
			}
		}
	}
	cell := (x[0][1] - x[0][0]) * p.innerWidth() / float64(len(first.X.Names))
	p.textSize = math.Round(2*max(7, min(12, 0.95*cell/(letter*float64(widest))))) / 2
	p.addColorAxis()
	p.layout["plot_bgcolor"] = "#ececec"
	for i, panel := range p.f.Frames[0].Panels {
		across, down := categoryAxis(panel.X, x[i], axisName("y", i)), categoryAxis(panel.Y, y[i], axisName("x", i))
		down["range"] = []float64{float64(len(panel.Y.Names)) - 0.5, -0.5} // the first row is at the top
		p.share(i, across, down)
		for _, g := range panel.Y.Groups[min(1, len(panel.Y.Groups)):] { // a gap
			at := float64(g.First) - 0.5
			p.shapes = append(p.shapes, object{"type": "line", "yref": axisName("y", i), "xref": axisName("x", i) + " domain",
				"y0": at, "y1": at, "x0": 0, "x1": 1, "line": object{"color": "#ffffff", "width": 5}})
		}
	}
}

func (p *plot) addColorAxis() {
	if p.f.Scale.Shared() {
		p.layout["coloraxis"] = p.colorAxis()
	}
}

// categoryAxis returns an axis with places 0, 1, 2, ... that have names.
func categoryAxis(a figure.Axis, domain [2]float64, anchor string) object {
	at := make([]int, len(a.Names))
	for i := range at {
		at[i] = i
	}
	axis := object{
		"domain": domain, "anchor": anchor, "range": []float64{-0.5, float64(len(a.Names)) - 0.5}, "tickmode": "array", "tickvals": at,
		"ticktext": labels(a.Names), "tickfont": object{"size": 11}, "showgrid": false, "zeroline": false, "ticks": "outside", "ticklen": 4, "tickcolor": "rgba(0,0,0,0)",
	}
	if a.Title != "" {
		axis["title"] = object{"text": label(a.Title), "standoff": 6}
	}
	return axis
}

// cellTraces makes the cells of one frame of a heatmap or a matrix, a trace for each panel. customdata has
// the standard error and the number of examples of each cell, if they are known and differ.
func (p *plot) cellTraces(frame int) []object {
	var traces []object
	for i, panel := range p.f.Frames[frame].Panels {
		rows, columns := len(panel.Y.Names), len(panel.X.Names)
		z, text := grid[any](rows, columns), grid[string](rows, columns)
		labelled := false
		for _, c := range panel.Cells {
			switch {
			case c.Apart: // it has its own trace
			case p.f.Mark == queries.Matrix:
				z[c.Row][c.Column] = short{c.Value, 5} // there are tens of thousands
			default:
				z[c.Row][c.Column] = finite(c.Value)
			}
			text[c.Row][c.Column] = label(c.Label)
			labelled = labelled || c.Label != ""
		}
		trace := object{
			"type": "heatmap", "name": label(panel.Name), "z": z,
			"xaxis": axisName("x", i), "yaxis": axisName("y", i), "hoverongaps": false,
		}
		p.shade(trace, panel, i == 0)
		if labelled {
			trace["text"], trace["texttemplate"], trace["textfont"] = text, "%{text}", object{"size": p.textSize}
		}
		if p.f.Mark == queries.Heatmap {
			trace["xgap"], trace["ygap"] = 1, 1
		} else {
			if distinct(panel.X.Names) {
				trace["x"] = labels(panel.X.Names)
			}
			if distinct(panel.Y.Names) {
				trace["y"] = labels(panel.Y.Names)
			}
		}
		data, template := support(panel, rows, columns)
		if data != nil {
			trace["customdata"] = data
		}
		name := "<b>%{text}</b>"
		if !labelled {
			name = "<b>%{y}</b> " + label(panel.Y.Title) + "<br><b>%{x}</b> " + label(panel.X.Title)
		}
		hover := name + "<br>" + label(p.f.Scale.Title) + ": %{z:.5g}" + template
		if panel.Name != "" {
			hover += "<br>" + label(panel.Name)
		}
		trace["hovertemplate"] = hover + "<extra></extra>"
		traces = append(traces, trace)
	}
	if p.apart() {
		for i, panel := range p.f.Frames[frame].Panels {
			traces = append(traces, p.apartTrace(i, panel))
		}
	}
	first := p.f.Frames[0].Panels[0]
	if p.f.Mark == queries.Matrix && p.f.FewBeyond() && max(len(first.X.Names), len(first.Y.Names)) <= mostNumbered {
		for i, panel := range p.f.Frames[frame].Panels {
			traces = append(traces, beyondTrace(i, panel))
		}
	}
	return traces
}

// mostNumbered is the largest number of rows or columns whose cells have room for a number.
const mostNumbered = 35

// beyondTrace returns the values of the cells of a panel that are beyond the colour scale, written on them.
func beyondTrace(i int, panel figure.Panel) object {
	across, down := labels(panel.X.Names), labels(panel.Y.Names)
	x, y, text := []any{nil}, []any{nil}, []string{""}
	for _, c := range panel.Cells {
		if !panel.Beyond(c) {
			continue
		}
		var column, row any = c.Column, c.Row
		if distinct(panel.X.Names) {
			column = across[c.Column]
		}
		if distinct(panel.Y.Names) {
			row = down[c.Row]
		}
		x, y, text = append(x, column), append(y, row), append(text, strings.Replace(number(c.Value, 2), "0.", ".", 1))
	}
	return object{
		"type": "scatter", "mode": "text", "x": x, "y": y, "text": text, "textfont": object{"size": 9, "color": "#ffffff"},
		"hoverinfo": "skip", "showlegend": false, "xaxis": axisName("x", i), "yaxis": axisName("y", i),
	}
}

// apart reports whether a cell is outside of the colour scale.
func (p *plot) apart() bool {
	for _, frame := range p.f.Frames {
		for _, panel := range frame.Panels {
			for _, c := range panel.Cells {
				if c.Apart {
					return true
				}
			}
		}
	}
	return false
}

// apartTrace returns the cells of a panel that are outside of the colour scale: white, with their numbers.
func (p *plot) apartTrace(i int, panel figure.Panel) object {
	x, y, text, hover := []any{nil}, []any{nil}, []string{""}, []string{""}
	for _, c := range panel.Cells {
		if c.Apart {
			x, y = append(x, c.Column), append(y, c.Row)
			text = append(text, label(c.Label)+"<br>"+number(c.Value, 3))
			hover = append(hover, "<b>"+label(c.Label)+"</b><br>"+
				measured(p.f.Scale.Title, c.Value, c.Error, c.Count)+"<br>outside the colour scale")
		}
	}
	return object{
		"type": "scatter", "mode": "markers+text", "x": x, "y": y, "text": text, "textfont": object{"size": 9}, "hovertext": hover, "hoverinfo": "text",
		"marker": object{"symbol": "square", "size": leastCell - 2, "color": "#ffffff",
			"line": object{"color": "#888888", "width": 1}},
		"xaxis": axisName("x", i), "yaxis": axisName("y", i), "showlegend": false,
	}
}

// support returns the standard error and the number of examples of each cell, and the template that shows
// them; nil if no cell of the panel has them. A number of examples that all cells share is only in the
// template.
func support(panel figure.Panel, rows, columns int) (data [][]any, template string) {
	var someError, someCount bool
	allErrors, sameCount := true, true
	for _, c := range panel.Cells {
		known := finite(c.Error) != nil
		someError, allErrors = someError || known, allErrors && known
		someCount, sameCount = someCount || c.Count > 0, sameCount && c.Count == panel.Cells[0].Count
	}
	errorAt, countAt := "%{customdata}", "%{customdata}"
	both := someError && someCount && !sameCount
	if both {
		errorAt, countAt = "%{customdata[0]}", "%{customdata[1]}"
	}
	if someError || !sameCount {
		data = grid[any](rows, columns)
		for _, c := range panel.Cells {
			var se, n any = short{c.Error, 3}, c.Count
			if finite(c.Error) == nil {
				se = "unknown"
			}
			if c.Count == 0 {
				n = "unknown"
			}
			switch at := &data[c.Row][c.Column]; {
			case both:
				*at = []any{se, n}
			case someError:
				*at = se
			default:
				*at = n
			}
		}
	}
	if someError {
		if allErrors { // a format would turn "unknown" into a number
			errorAt = strings.Replace(errorAt, "}", ":.2g}", 1)
		}
		template = "<br>standard error: " + errorAt
	}
	switch {
	case someCount && sameCount:
		template += fmt.Sprintf("<br>n = %d", panel.Cells[0].Count)
	case someCount:
		template += "<br>n = " + countAt
	}
	return data, template
}

func grid[T any](rows, columns int) [][]T {
	all := make([]T, rows*columns)
	g := make([][]T, rows)
	for i := range g {
		g[i] = all[i*columns : (i+1)*columns : (i+1)*columns]
	}
	return g
}
