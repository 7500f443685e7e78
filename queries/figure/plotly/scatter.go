package plotly

import (
	"ducklens/queries/figure"
)

// Sizes of a panel of points and of the names in it, in px. A page is scatterWidth wide or wider.
const (
	scatterHeight = 420
	scatterWidth  = 900
	nameSize      = 10
)

// scatterLayout makes the axes of points.
func (p *plot) scatterLayout() {
	p.legendRoom()
	x, y := p.arrange(scatterHeight)
	p.panelWidth = scatterWidth * (x[0][1] - x[0][0])
	for i, panel := range p.f.Frames[0].Panels {
		p.share(i, numberAxis(panel.X, x[i], axisName("y", i)), numberAxis(panel.Y, y[i], axisName("x", i)))
		if low, high, ok := panel.Diagonal(); ok && p.f.Diagonal != "" {
			p.shapes = append(p.shapes, object{"type": "line", "layer": "below", "xref": axisName("x", i), "yref": axisName("y", i),
				"x0": low, "y0": low, "x1": high, "y1": high, "line": object{"color": "#555555", "width": 1, "dash": "dot"},
				"label": object{"text": "y = x", "textposition": "start", "font": object{"size": 11, "color": "#555555"}}})
		}
	}
}

// scatterTraces makes the series of one frame: for each panel and series its points and, if any panel has
// one, its fitted line.
func (p *plot) scatterTraces(frame int) []object {
	var traces []object
	fitted := p.fitted()
	for i, panel := range p.f.Frames[frame].Panels {
		room := panel.HaveRoom(p.panelWidth, scatterHeight, nameSize)
		for k := range p.entries() {
			cloud, named := figure.Cloud{Series: k}, []bool(nil)
			for at, c := range panel.Clouds {
				if c.Series == k {
					cloud, named = c, room[at]
				}
			}
			traces = append(traces, p.entry(p.dots(panel, cloud, named, i), k, i, true))
			if fitted {
				traces = append(traces, p.entry(p.fitTrace(cloud, panel.Y, i), k, i, false))
			}
		}
	}
	return traces
}

// fitted reports whether a line is fitted to any series.
func (p *plot) fitted() bool {
	for _, frame := range p.f.Frames {
		for _, panel := range frame.Panels {
			for _, c := range panel.Clouds {
				if c.Fit != nil {
					return true
				}
			}
		}
	}
	return false
}

// dots returns the points of a series. Those that stand out and have room have their names beside them.
func (p *plot) dots(panel figure.Panel, cloud figure.Cloud, named []bool, i int) object {
	x, y, text, hover := []any{}, []any{}, []string{}, []string{}
	across, up := []any{}, []any{}
	for at, d := range cloud.Dots {
		x, y = append(x, finite(d.X)), append(y, finite(d.Y))
		across, up = append(across, finite(d.XError)), append(up, finite(d.YError))
		name := ""
		if named[at] {
			name = label(d.Label)
		}
		text = append(text, name)
		over := p.entryName(cloud.Series)
		if d.Label != "" {
			over += label(d.Label) + "<br>"
		}
		hover = append(hover, over+measured(panel.X.Title, d.X, d.XError, 0)+"<br>"+
			measured(panel.Y.Title, d.Y, d.YError, d.Count))
	}
	if len(x) == 0 { // a trace without data would be missing from the legend
		x, y, text, hover = []any{nil}, []any{nil}, []string{""}, []string{""}
	}
	symbols := []string{"circle", "square", "triangle-up", "diamond", "triangle-down"}
	color := cycled(colors, p.f.Legend.Style(cloud.Series))
	trace := object{
		"type": "scatter", "mode": "markers+text", "x": x, "y": y, "text": text, "textposition": "top right", "textfont": object{"size": nameSize},
		"hovertext": hover, "hoverinfo": "text",
		"marker": object{"size": 6, "opacity": 0.7, "color": color,
			"symbol": cycled(symbols, p.f.Legend.Style(cloud.Series))},
		"xaxis": axisName("x", i), "yaxis": axisName("y", i),
	}
	for key, errors := range map[string][]any{"error_x": across, "error_y": up} {
		if known(errors) {
			trace[key] = object{"type": "data", "array": errors, "visible": true, "color": sheer(color, 0.55), "thickness": 1, "width": 0}
		}
	}
	return trace
}

// fitTrace returns the fitted line of a series, with its correlation at the right end.
func (p *plot) fitTrace(cloud figure.Cloud, axis figure.Axis, i int) object {
	x, y, text := []any{nil}, []any{nil}, []string{""}
	if fit := cloud.Fit; fit != nil {
		low, high := cloud.Reach(axis.Low, axis.High)
		x, y = []any{low, high}, []any{finite(fit.At(low)), finite(fit.At(high))}
		text = []string{"", fit.String()}
	}
	return object{
		"type": "scatter", "mode": "lines+text", "x": x, "y": y, "text": text, "textposition": "top left", "textfont": object{"size": 11},
		"line": object{
			"color": cycled(colors, p.f.Legend.Style(cloud.Series)), "width": 2, "dash": cycled(dashes, p.f.Legend.Style(cloud.Series)),
		}, "hoverinfo": "skip",
		"xaxis": axisName("x", i), "yaxis": axisName("y", i),
	}
}
