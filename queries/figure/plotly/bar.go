package plotly

// barRow is the height of a bar and the gap to the next, in px.
const barRow = 21

// barLayout makes the axes of horizontal bars: names down the page, values across.
func (p *plot) barLayout() {
	p.legendRoom()
	first := p.f.Frames[0].Panels[0]
	p.marginL = namesRoom(first.X.Names, 420)
	x, y := p.arrange(max(2*barRow, barRow*float64(len(first.X.Names))))
	p.layout["barmode"] = "overlay"
	for i, panel := range p.f.Frames[0].Panels {
		across, down := numberAxis(panel.Y, x[i], axisName("y", i)), categoryAxis(panel.X, y[i], axisName("x", i))
		down["range"] = []float64{float64(len(panel.X.Names)) - 0.5, -0.5}
		p.share(i, across, down)
	}
}

// barTraces makes the bars of one frame, a trace for each panel and category.
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
			if len(places) == 0 { // a trace without data would be missing from the legend
				places, values = []int{0}, []any{nil}
			}
			trace := p.entry(object{
				"type": "bar", "orientation": "h", "y": places, "x": values, "hovertext": hover, "hoverinfo": "text", "width": 0.74,
				// Lighter than lines, so that error bars are seen on it.
				"marker": object{"color": sheer(cycled(colors, p.f.Legend.Style(k)), 0.6), "line": object{"color": cycled(colors, p.f.Legend.Style(k)), "width": 1}, "pattern": object{"shape": pattern(p.f.Legend.Style(k)), "fillmode": "overlay", "fgcolor": "#ffffff", "fgopacity": 0.7, "size": 6, "solidity": 0.2}},
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

// known reports whether any error is known.
func known(errors []any) bool {
	for _, e := range errors {
		if e != nil {
			return true
		}
	}
	return false
}
