package plotly

import (
	"fmt"

	"ducklens/queries/figure"
)

// barRow is the height of a bar with the gap to the next, px.
const barRow = 21

// barLayout makes the axes of bars that lie: names down the page, values across.
func (p *plot) barLayout() {
	p.legendRoom()
	first := p.f.Frames[0].Panels[0]
	p.marginL = namesRoom(first.X.Names, 420)
	x, y := p.arrange(max(120, barRow*float64(len(first.X.Names))))
	p.layout["barmode"] = "overlay"
	for i, panel := range p.f.Frames[0].Panels {
		across, down := numberAxis(panel.Y, x[i], axisName("y", i)), categoryAxis(panel.X, y[i], axisName("x", i))
		down["range"] = []float64{float64(len(panel.X.Names)) - 0.5, -0.5}
		p.share(i, across, down)
	}
}

// barTraces makes the bars of one frame: a trace for each panel and category.
func (p *plot) barTraces(frame int) []object {
	var traces []object
	for i, panel := range p.f.Frames[frame].Panels {
		for k := range p.entries() {
			places, values, errors := []int{}, []any{}, []any{}
			texts, hover := []string{}, []string{}
			labelled := false
			for _, b := range panel.Bars {
				if b.Category != k {
					continue
				}
				places, values, errors = append(places, b.Place), append(values, finite(b.Value)), append(errors, finite(b.Error))
				texts = append(texts, label(b.Label))
				labelled = labelled || b.Label != ""
				hover = append(hover, p.entryName(k)+label(panel.X.Names[b.Place])+"<br>"+measured(panel.Y.Title, b.Value, b.Error, b.Count))
			}
			if len(places) == 0 { // a trace without data would leave the legend
				places, values = []int{0}, []any{nil}
			}
			trace := p.entry(object{
				"type": "bar", "orientation": "h", "y": places, "x": values, "hovertext": hover, "hoverinfo": "text", "width": 0.74,
				"marker": object{"color": cycled(palette, k), "pattern": object{"shape": cycled(hatches, k), "fillmode": "overlay", "fgcolor": "#ffffff", "fgopacity": 0.7, "size": 6, "solidity": 0.2}},
				"xaxis":  axisName("x", i), "yaxis": axisName("y", i),
			}, k, i, true)
			if known(errors) {
				trace["error_x"] = object{"type": "data", "array": errors, "visible": true, "color": "#222222", "thickness": 1, "width": 3}
			}
			if labelled {
				trace["text"], trace["textposition"], trace["cliponaxis"] = texts, "outside", false
			}
			traces = append(traces, trace)
		}
	}
	return traces
}

// known tells whether some error is known.
func known(errors []any) bool {
	for _, e := range errors {
		if e != nil {
			return true
		}
	}
	return false
}

// lineHeight is the height of a panel of lines, px.
const lineHeight = 360

// lineLayout makes the axes of lines.
func (p *plot) lineLayout() {
	p.legendRoom()
	x, y := p.arrange(lineHeight)
	for i, panel := range p.f.Frames[0].Panels {
		p.share(i, placed(panel.X, x[i], axisName("y", i)), numberAxis(panel.Y, y[i], axisName("x", i)))
	}
}

// lineTraces makes the series of one frame: for each panel and series the band of one standard error, and the line.
func (p *plot) lineTraces(frame int) []object {
	var traces []object
	for i, panel := range p.f.Frames[frame].Panels {
		for k := range p.entries() {
			var points []figure.Point
			for _, l := range panel.Lines {
				if l.Series == k {
					points = l.Points
				}
			}
			x, y, around, band := []any{}, []any{}, []any{}, []any{}
			hover := []string{}
			for _, pt := range points {
				x, y = append(x, finite(pt.X)), append(y, finite(pt.Y))
				at := label(panel.X.Title) + " " + number(pt.X, 6)
				if !panel.X.Numeric() {
					at = label(panel.X.Names[int(pt.X)])
				}
				hover = append(hover, p.entryName(k)+at+"<br>"+measured(panel.Y.Title, pt.Y, pt.Error, pt.Count))
				if finite(pt.Error) != nil {
					around, band = append(around, pt.X), append(band, pt.Y+pt.Error)
				}
			}
			for j := len(points) - 1; j >= 0; j-- {
				if pt := points[j]; finite(pt.Error) != nil {
					around, band = append(around, pt.X), append(band, pt.Y-pt.Error)
				}
			}
			if len(x) == 0 {
				x, y = []any{nil}, []any{nil}
			}
			color := cycled(palette, k)
			traces = append(traces, p.entry(object{
				"type": "scatter", "mode": "lines", "x": around, "y": band, "fill": "toself", "fillcolor": faint(color), "line": object{"width": 0, "color": color},
				"hoverinfo": "skip", "xaxis": axisName("x", i), "yaxis": axisName("y", i),
			}, k, i, false), p.entry(object{
				"type": "scatter", "mode": "lines+markers", "x": x, "y": y, "hovertext": hover, "hoverinfo": "text",
				"line": object{"color": color, "width": 2, "dash": cycled(dashes, k)}, "marker": object{"size": 6, "color": color},
				"xaxis": axisName("x", i), "yaxis": axisName("y", i),
			}, k, i, true))
		}
	}
	return traces
}

// faint is a colour of the palette that lets most of what is behind it through.
func faint(color string) string {
	var r, g, b uint8
	if _, err := fmt.Sscanf(color, "#%02x%02x%02x", &r, &g, &b); err != nil {
		panic("plotly: color " + color) // the palette is part of the program
	}
	return fmt.Sprintf("rgba(%d,%d,%d,0.18)", r, g, b)
}
