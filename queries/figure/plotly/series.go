package plotly

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"ducklens/queries/figure"
	"ducklens/queries/figure/internal/palette"
)

// colors are those of series and categories in print, which colour-blind readers can tell apart. Dashes and
// hatching make the same distinction in a grey print.
var (
	colors  = palette.Light.Lines()
	dashes  = []string{"solid", "dash", "dot", "dashdot", "longdash", "longdashdot"}
	hatches = []string{"", "/", "x", "-", ".", "\\", "+", "|"}
)

func cycled(list []string, i int) string { return list[i%len(list)] }

// pattern returns the hatching of style i: another one where the colours begin again.
func pattern(i int) string { return cycled(hatches, i+i/len(colors)) }

// namesRoom returns the space that the names of rows need at the left of the panels, in px, but at most most.
func namesRoom(names []string, most float64) float64 {
	widest := 1
	for _, name := range names {
		widest = max(widest, utf8.RuneCountInString(name))
	}
	return min(most, 24+6.6*float64(widest))
}

// legendRoom makes space for the legend at the right and describes it.
func (p *plot) legendRoom() {
	l := p.f.Legend
	p.layout["showlegend"] = len(l.Names) > 0
	if len(l.Names) == 0 {
		return
	}
	widest := utf8.RuneCountInString(l.Title)
	for _, name := range l.Names {
		widest = max(widest, utf8.RuneCountInString(name))
	}
	p.marginR = min(300, 60+7*float64(widest))
	p.layout["legend"] = object{
		"title": object{"text": label(l.Title)}, "x": 1.01, "xanchor": "left", "y": 1, "yanchor": "top", "tracegroupgap": 0, "itemsizing": "constant",
	}
}

// entry assigns a trace to entry k of the legend, so that all traces of an entry are switched together. The
// legend shows the traces of the first panel.
func (p *plot) entry(trace object, k, panel int, shown bool) object {
	if len(p.f.Legend.Names) > 0 {
		trace["name"] = label(p.f.Legend.Names[k])
		trace["legendgroup"] = "entry " + strconv.Itoa(k+1)
	}
	trace["showlegend"] = shown && panel == 0 && len(p.f.Legend.Names) > 0
	if len(p.f.Legend.Names) > 0 && slices.Contains(p.f.LegendOnly, p.f.Legend.Names[k]) {
		trace["visible"] = "legendonly"
	}
	return trace
}

// entries returns the number of series or categories: one without a name if there is nothing to distinguish.
func (p *plot) entries() int { return max(1, len(p.f.Legend.Names)) }

// entryName returns the name of entry k for tooltips.
func (p *plot) entryName(k int) string {
	if len(p.f.Legend.Names) == 0 {
		return ""
	}
	return "<b>" + label(p.f.Legend.Names[k]) + "</b><br>"
}

// numberAxis returns an axis of numbers with some margin at its ends.
func numberAxis(a figure.Axis, domain [2]float64, anchor string) object {
	room := 0.04 * (a.High - a.Low)
	if room == 0 {
		room = 0.5
	}
	axis := object{
		"domain": domain, "anchor": anchor, "range": []float64{a.Low - room, a.High + room}, "tickfont": object{"size": 11},
		"gridcolor": "#e6e6e6", "zeroline": true, "zerolinecolor": "#777777", "zerolinewidth": 1,
	}
	if a.Title != "" {
		axis["title"] = object{"text": label(a.Title), "standoff": 6}
	}
	return axis
}

// placed returns an axis of names or of numbers.
func placed(a figure.Axis, domain [2]float64, anchor string) object {
	if a.Numeric() {
		return numberAxis(a, domain, anchor)
	}
	return categoryAxis(a, domain, anchor)
}

// share makes axes zoom together and omits what the first column of panels already shows.
func (p *plot) share(i int, across, down object) {
	if i > 0 {
		across["matches"], down["matches"] = "x", "y"
	}
	if i%p.perRow > 0 {
		delete(down, "title")
		down["showticklabels"] = false
	}
	p.layout[axisKey("x", i)], p.layout[axisKey("y", i)] = across, down
}
