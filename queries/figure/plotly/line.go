package plotly

import (
	"fmt"

	"ducklens/queries/figure"
)

// lineHeight is the height of a panel of lines, in px.
const lineHeight = 360

// lineLayout makes the axes of lines.
func (p *plot) lineLayout() {
	p.legendRoom()
	x, y := p.arrange(lineHeight)
	for i, panel := range p.f.Frames[0].Panels {
		p.share(i, placed(panel.X, x[i], axisName("y", i)), numberAxis(panel.Y, y[i], axisName("x", i)))
	}
}

// lineTraces makes the series of one frame: for each panel and series the band of one standard error, and the
// line.
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
				if finite(pt.Y+pt.Error) != nil {
					around, band = append(around, pt.X), append(band, pt.Y+pt.Error)
				}
			}
			for j := len(points) - 1; j >= 0; j-- {
				if pt := points[j]; finite(pt.Y-pt.Error) != nil {
					around, band = append(around, pt.X), append(band, pt.Y-pt.Error)
				}
			}
			if len(x) == 0 {
				x, y = []any{nil}, []any{nil}
			}
			color := cycled(colors, p.f.Legend.Style(k))
			traces = append(traces, p.entry(object{
				"type": "scatter", "mode": "lines", "x": around, "y": band, "fill": "toself", "fillcolor": sheer(color, 0.18), "line": object{"width": 0, "color": color},
				"hoverinfo": "skip", "xaxis": axisName("x", i), "yaxis": axisName("y", i),
			}, k, i, false), p.entry(object{
				"type": "scatter", "mode": "lines+markers", "x": x, "y": y, "hovertext": hover, "hoverinfo": "text",
				"line": object{"color": color, "width": 2, "dash": cycled(dashes, p.f.Legend.Style(k))}, "marker": object{"size": 6, "color": color},
				"xaxis": axisName("x", i), "yaxis": axisName("y", i),
			}, k, i, true))
		}
	}
	return traces
}

// sheer returns a series colour with an opacity.
func sheer(color string, alpha float64) string {
	var r, g, b uint8
	if _, err := fmt.Sscanf(color, "#%02x%02x%02x", &r, &g, &b); err != nil {
		panic("plotly: color " + color) // the colours are part of the program
	}
	return fmt.Sprintf("rgba(%d,%d,%d,%.2f)", r, g, b, alpha)
}
