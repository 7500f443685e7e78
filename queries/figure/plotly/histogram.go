package plotly

import (
	"math"

	"ducklens/queries/figure"
)

// Heights in pixels of a histogram: of the bars, and of the row of each box above them.
const (
	countsHeight = 300
	boxRow       = 16
)

// histogramLayout makes the axes: those of the counts and, above each, an axis for the box plots, which is
// numbered after all others.
func (p *plot) histogramLayout() {
	p.legendRoom()
	boxes := boxRow*float64(p.entries()) + 8
	x, y := p.arrange(countsHeight + boxes)
	p.layout["barmode"] = "overlay"
	n := len(p.f.Frames[0].Panels)
	for i, panel := range p.f.Frames[0].Panels {
		border := y[i][1] - boxes/p.inner
		across, down := numberAxis(panel.X, x[i], axisName("y", i)), numberAxis(panel.Y, [2]float64{y[i][0], fraction(border)}, axisName("x", i))
		down["range"] = []float64{0, 1.04 * panel.Y.High}
		p.share(i, across, down)
		p.layout[axisKey("y", n+i)] = object{
			"domain": [2]float64{fraction(border), y[i][1]}, "anchor": axisName("x", i), "range": []float64{float64(p.entries()) - 0.4, -0.6},
			"showgrid": false, "zeroline": false, "showticklabels": false, "fixedrange": true,
		}
	}
}

// histogramTraces makes the series of one frame: for each panel and series the values, which plotly.js counts
// in the figure's own bins, and a box plot of the figure's own quartiles. A series that a panel lacks has a
// trace without values, so that all frames have the same traces.
func (p *plot) histogramTraces(frame int) []object {
	var traces []object
	b := p.f.Bins
	panels := p.f.Frames[frame].Panels
	for i, panel := range panels {
		for k := range p.entries() {
			var d *figure.Distribution
			for j := range panel.Distributions {
				if panel.Distributions[j].Series == k {
					d = &panel.Distributions[j]
				}
			}
			color := cycled(colors, p.f.Legend.Style(k))
			counts := p.entry(object{
				"type": "histogram", "x": []any{nil}, "xbins": object{"start": b.Low, "end": b.Edge(b.N), "size": b.Width}, "autobinx": false,
				"marker": object{"color": sheer(color, p.fillOpacity()), "line": object{"color": color, "width": 1}},
				"xaxis":  axisName("x", i), "yaxis": axisName("y", i),
			}, k, i, true)
			if style := p.f.Legend.Style(k); style >= len(colors) {
				counts["marker"].(object)["pattern"] = object{"shape": pattern(style), "fillmode": "overlay", "fgcolor": color, "size": 6, "solidity": 0.2}
			}
			box := p.entry(object{
				"type": "box", "orientation": "h", "q1": []any{}, "median": []any{}, "q3": []any{}, "y": []int{k},
				"lowerfence": []any{}, "upperfence": []any{}, "mean": []any{}, "fillcolor": "rgba(255,255,255,0)", "line": object{"color": color, "width": 1.2},
				"marker": object{"color": color, "size": 3, "opacity": 0.6}, "width": 0.7, "xaxis": axisName("x", i), "yaxis": axisName("y", len(panels)+i),
			}, k, i, false)
			if d != nil {
				values := make([]stored, len(d.Values))
				for j, v := range d.Values {
					values[j] = stored(v)
				}
				counts["x"] = values
				counts["hovertemplate"] = p.entryName(k) + "%{x}<br>" + label(panel.Y.Title) + ": %{y}<br>" +
					measured("mean", d.Mean, d.Error, int64(len(d.Values))) + "<extra></extra>"
				outside := make([]stored, len(d.Box.Outliers))
				for j, v := range d.Box.Outliers {
					outside[j] = stored(v)
				}
				box["q1"], box["median"], box["q3"] = []any{finite(d.Box.Q1)}, []any{finite(d.Box.Median)}, []any{finite(d.Box.Q3)}
				box["lowerfence"], box["upperfence"], box["mean"] = []any{finite(d.Box.Low)}, []any{finite(d.Box.High)}, []any{finite(d.Mean)}
				box["boxpoints"], box["hoverinfo"] = false, "x"
				if len(outside) > 0 { // an empty list would hide the box
					box["x"], box["boxpoints"], box["jitter"], box["pointpos"] = [][]stored{outside}, "all", 0, 0
				}
			}
			traces = append(traces, counts, box)
		}
	}
	return traces
}

// fillOpacity returns the opacity of a series, as in print: the more series, the less each hides.
func (p *plot) fillOpacity() float64 { return max(0.16, 0.5/math.Sqrt(float64(p.entries()))) }
