package vegalite

import (
	"fmt"
	"maps"

	"ducklens/queries/figure"
	"ducklens/queries/figure/internal/palette"
)

// colors are those of series in print, which colour-blind readers can tell apart.
var colors = palette.Light.Lines()

// color encodes the legend, if there is one, in the figure's order.
func (s *spec) color(encoding object) object {
	l := s.f.Legend
	if len(l.Names) == 0 {
		encoding["color"] = object{"value": colors[0]}
		return encoding
	}
	own := make([]string, len(l.Names))
	for i := range own {
		own[i] = styled(l.Style(i))
	}
	encoding["color"] = object{"field": "series", "type": "nominal", "title": titled(l.Title), "scale": object{"domain": s.entries(), "range": own}}
	return encoding
}

// styled returns the colour of a style. Where the colours begin again, they are lighter, and then darker.
func styled(style int) string {
	c := palette.Light.CategoryLine(style)
	switch style / palette.Light.Categories() {
	case 0:
	case 1:
		c = palette.Light.Over(c, 0.5)
	default:
		c = palette.Dark.Over(c, 0.6)
	}
	return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)
}

// entries returns the names of the legend.
func (s *spec) entries() []string {
	list := make([]string, len(s.f.Legend.Names))
	for i, name := range s.f.Legend.Names {
		list[i] = oneLine.Replace(name)
	}
	return list
}

// picked makes everything faint except what was picked in the legend; the view needs the parameter of
// [spec.pick].
func (s *spec) picked(encoding object, opacity float64) object {
	if len(s.f.Legend.Names) == 0 {
		encoding["opacity"] = object{"value": opacity}
		return encoding
	}
	encoding["opacity"] = object{"condition": object{"param": "series", "value": opacity}, "value": 0.05}
	return encoding
}

// pick returns the parameter that a click on the legend sets.
func (s *spec) pick() []object {
	if len(s.f.Legend.Names) == 0 {
		return []object{}
	}
	return []object{{"name": "series", "select": object{"type": "point", "fields": []string{"series"}}, "bind": "legend"}}
}

// series sets the name of entry k of the legend.
func (s *spec) series(row object, k int) object {
	if k < len(s.f.Legend.Names) {
		row["series"] = oneLine.Replace(s.f.Legend.Names[k])
	}
	return row
}

// histogram encodes distributions: box plots above bars, in the figure's bins.
func (s *spec) histogram() object {
	p := s.f.Frames[0].Panels[0]
	b := s.f.Bins
	low, high := b.Low, b.Edge(b.N)
	box := s.color(object{"x": object{"field": "value", "type": "quantitative", "title": nil, "scale": object{"domain": []float64{low, high}}, "axis": object{"labels": false}}})
	if len(s.f.Legend.Names) > 0 {
		box["y"] = object{"field": "series", "type": "nominal", "title": nil, "axis": nil, "scale": object{"domain": s.entries()}}
	}
	return object{"spacing": 4, "vconcat": []object{
		{"width": 520, "height": object{"step": 16}, "mark": object{"type": "boxplot", "size": 9, "extent": 1.5}, "encoding": box},
		{"width": 520, "height": 280, "params": s.pick(), "mark": object{"type": "bar", "binSpacing": 0}, "encoding": s.picked(s.color(object{
			"x": object{"field": "value", "type": "quantitative", "title": titled(p.X.Title), "scale": object{"domain": []float64{low, high}},
				"bin": object{"extent": []float64{low, high}, "step": b.Width}},
			"y": object{"aggregate": "count", "type": "quantitative", "title": titled(p.Y.Title), "stack": nil, "scale": object{"domain": []float64{0, p.Y.High}}},
		}), 0.5)},
	}}
}

func (s *spec) valueRows(p figure.Panel) []object {
	var rows []object
	for _, d := range p.Distributions {
		for _, v := range d.Values {
			rows = append(rows, s.series(object{"value": finite(v)}, d.Series))
		}
	}
	return rows
}

// bars encodes horizontal bars and their standard errors.
func (s *spec) bars() object {
	p := s.f.Frames[0].Panels[0]
	tips := append([]object{{"field": "name", "type": "nominal", "title": axisTitle(p.X, "bar")}}, support(axisTitle(p.Y, "value"))...)
	names := place("name", p.X)
	names["axis"] = object{"labelLimit": 400}
	return object{
		"width": 480, "height": object{"step": 18}, "encoding": object{"y": names},
		"layer": []object{
			{"params": s.pick(), "mark": "bar", "encoding": s.picked(s.color(object{"x": measure("value", p.Y), "tooltip": tips}), 0.6)},
			{"transform": []object{{"filter": "isValid(datum.low)"}}, "mark": object{"type": "rule", "color": "#222222"},
				"encoding": object{"x": object{"field": "low", "type": "quantitative"}, "x2": object{"field": "high"}}},
		},
	}
}

func (s *spec) barRows(p figure.Panel) []object {
	x := names(p.X)
	var rows []object
	for _, b := range p.Bars {
		row := s.series(behind(object{"name": x[b.Place]}, b.Value, b.Error, b.Count), b.Category)
		rows = append(rows, around(row, b.Value, b.Error))
	}
	return rows
}

// around adds the interval of one standard error to a row.
func around(row object, value, se float64) object {
	if finite(value-se) != nil {
		row["low"], row["high"] = value-se, value+se
	}
	return row
}

// lines encodes series of points with bands of one standard error.
func (s *spec) lines() object {
	p := s.f.Frames[0].Panels[0]
	x := measure("x", p.X)
	if !p.X.Numeric() {
		x = place("x", p.X)
	}
	y := measure("value", p.Y)
	band := maps.Clone(y)
	band["field"] = "low"
	return object{
		"width": 520, "height": 320, "encoding": object{"x": x},
		"layer": []object{
			{"mark": "area", "encoding": s.picked(s.color(object{"y": band, "y2": object{"field": "high"}}), 0.18)},
			{"params": s.pick(), "mark": object{"type": "line", "point": true}, "encoding": s.picked(s.color(object{
				"y": y, "tooltip": append([]object{{"field": "x", "title": axisTitle(p.X, "x")}}, support(axisTitle(p.Y, "value"))...),
			}), 1)},
		},
	}
}

func (s *spec) pointRows(p figure.Panel) []object {
	var x []any
	if !p.X.Numeric() {
		x = names(p.X)
	}
	var rows []object
	for _, l := range p.Lines {
		for _, pt := range l.Points {
			row := object{"x": finite(pt.X)}
			if x != nil {
				row["x"] = x[int(pt.X)]
			}
			rows = append(rows, around(s.series(behind(row, pt.Y, pt.Error, pt.Count), l.Series), pt.Y, pt.Error))
		}
	}
	return rows
}

// Sizes of a panel of points and of the names in it, in px.
const (
	pointsWidth  = 480
	pointsHeight = 360
	nameSize     = 10
)

// points encodes points, with the names of those that stand out and have room, and the lines fitted to them.
func (s *spec) points() object {
	p := s.f.Frames[0].Panels[0]
	x, y := measure("x", p.X), measure("y", p.Y)
	tips := []object{
		{"field": "name", "type": "nominal"},
		{"field": "x", "type": "quantitative", "title": axisTitle(p.X, "x")},
		{"field": "y", "type": "quantitative", "title": axisTitle(p.Y, "y")},
	}
	if s.f.Uncertain() {
		tips = append(tips,
			object{"field": "x_se", "type": "quantitative", "title": "standard error of x", "format": ".2g"},
			object{"field": "y_se", "type": "quantitative", "title": "standard error of y", "format": ".2g"},
			object{"field": "n", "type": "quantitative", "title": "n"})
	}
	dots, lines := object{"filter": "datum.fit !== true"}, object{"filter": "datum.fit === true"}
	named := object{"filter": "isValid(datum.shown)"}
	shown := object{"field": "shown"}
	layers := append(s.diagonal(p), s.errorBars(x, y)...)
	return object{
		"width": pointsWidth, "height": pointsHeight, "encoding": object{"x": x, "y": y},
		"layer": append(layers, []object{
			{"params": s.pick(), "transform": []object{dots}, "mark": object{"type": "point", "filled": true, "size": 30},
				"encoding": s.picked(s.color(object{"tooltip": tips}), 0.7)},
			{"transform": []object{dots, named}, "encoding": object{"text": shown},
				"mark": object{"type": "text", "align": "left", "dx": 4, "dy": -6, "fontSize": nameSize}},
			{"transform": []object{lines}, "mark": "line", "encoding": s.picked(s.color(object{}), 1)},
			{"transform": []object{lines, named}, "encoding": s.color(object{"text": shown}),
				"mark": object{"type": "text", "align": "right", "dy": -6}},
		}...),
	}
}

// diagonal encodes the line y = x, the same in every panel and frame, if the figure has it.
func (s *spec) diagonal(p figure.Panel) []object {
	low, high, ok := p.Diagonal()
	if s.f.Diagonal == "" || !ok {
		return nil
	}
	const grey = "#555555"
	ends := []object{{"x": low, "y": low, "shown": "y = x"}, {"x": high, "y": high}}
	data := object{"values": ends}
	return []object{
		{"data": data, "mark": object{"type": "line", "color": grey, "strokeWidth": 1, "strokeDash": []int{1, 3}}},
		{"data": data, "transform": []object{{"filter": "isValid(datum.shown)"}}, "encoding": object{"text": object{"field": "shown"}},
			"mark": object{"type": "text", "color": grey, "align": "left", "dx": 8, "fontSize": 10}},
	}
}

// errorBars encodes one standard error on each side of points, across and up.
func (s *spec) errorBars(x, y object) []object {
	if !s.f.Uncertain() {
		return nil
	}
	var layers []object
	for i, axis := range []object{x, y} {
		at, low := []string{"x", "y"}[i], maps.Clone(axis)
		low["field"] = at + "_low"
		layers = append(layers, object{
			"transform": []object{{"filter": "isValid(datum." + at + "_low)"}}, "mark": object{"type": "rule", "strokeWidth": 1},
			"encoding": s.picked(s.color(object{at: low, at + "2": object{"field": at + "_high"}}), 0.55),
		})
	}
	return layers
}

func (s *spec) dotRows(p figure.Panel) []object {
	var rows []object
	room := p.HaveRoom(pointsWidth, pointsHeight, nameSize)
	for i, c := range p.Clouds {
		for j, d := range c.Dots {
			row := s.series(object{"x": finite(d.X), "y": finite(d.Y)}, c.Series)
			if d.Label != "" {
				row["name"] = oneLine.Replace(d.Label)
			}
			if room[i][j] {
				row["shown"] = oneLine.Replace(d.Label)
			}
			if finite(d.X-d.XError) != nil {
				row["x_se"], row["x_low"], row["x_high"] = d.XError, d.X-d.XError, d.X+d.XError
			}
			if finite(d.Y-d.YError) != nil {
				row["y_se"], row["y_low"], row["y_high"] = d.YError, d.Y-d.YError, d.Y+d.YError
			}
			if d.Count > 0 {
				row["n"] = d.Count
			}
			rows = append(rows, row)
		}
		if c.Fit != nil {
			rows = append(rows, s.fitRows(c, p.Y)...)
		}
	}
	return rows
}

// fitRows returns the two ends of the line fitted to a series.
func (s *spec) fitRows(c figure.Cloud, y figure.Axis) []object {
	low, high := c.Reach(y.Low, y.High)
	left := s.series(object{"x": finite(low), "y": finite(c.Fit.At(low)), "fit": true}, c.Series)
	right := s.series(object{"x": finite(high), "y": finite(c.Fit.At(high)), "fit": true}, c.Series)
	right["shown"] = c.Fit.String()
	return []object{left, right}
}
