// Package vegalite writes a [figure.Figure] as a Vega-Lite specification: JSON that Vega-Lite 5 or newer can
// draw, with the data in it and the provenance in usermeta. Frames become a menu, and a click on the legend
// picks a series. Texts are data or plain titles, and never part of an expression.
//
// The same figure gives the same bytes.
package vegalite

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// Schema is the version of Vega-Lite that the specifications name.
const Schema = "https://vega.github.io/schema/vega-lite/v5.json"

// object is an object of a specification; encoding/json writes its keys in order.
type object = map[string]any

// Write writes the figure as one specification. A mark without an equivalent, or a figure without panels, is
// a [*figure.Error].
func Write(w io.Writer, f *figure.Figure) error {
	if len(f.Frames) == 0 || len(f.Frames[0].Panels) == 0 {
		return &figure.Error{Query: f.Name, Err: figure.ErrEmpty, Detail: "the figure has no panels"}
	}
	s := &spec{f: f}
	var rows func(figure.Panel) []object
	var view object
	switch f.Mark {
	case queries.Heatmap, queries.Matrix:
		view, rows = s.cells(), s.cellRows
	case queries.Histogram:
		view, rows = s.histogram(), s.valueRows
	case queries.Bar:
		view, rows = s.bars(), s.barRows
	case queries.Line:
		view, rows = s.lines(), s.pointRows
	case queries.Scatter:
		view, rows = s.points(), s.dotRows
	default:
		return &figure.Error{Query: f.Name, Err: figure.ErrMark, Detail: fmt.Sprintf("chart %s has no equivalent in Vega-Lite", f.Mark)}
	}
	text, err := json.Marshal(s.top(view, rows))
	if err == nil {
		_, err = w.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("figure of %s: writing Vega-Lite JSON: %w", f.Name, err)
	}
	return nil
}

// spec is a figure that is being converted to a specification.
type spec struct{ f *figure.Figure }

// top puts a view into panels and frames and adds data, title and provenance.
func (s *spec) top(view object, rows func(figure.Panel) []object) object {
	values := []object{}
	var frames, panels []string
	names := s.f.FrameNames()
	for i, frame := range s.f.Frames {
		frames = append(frames, oneLine.Replace(names[i]))
		panelNames := s.f.PanelNames(i)
		for j, panel := range frame.Panels {
			name := oneLine.Replace(panelNames[j])
			if !slices.Contains(panels, name) {
				panels = append(panels, name)
			}
			for _, row := range rows(panel) {
				if len(s.f.Frames) > 1 {
					row["frame"] = oneLine.Replace(names[i])
				}
				if len(frame.Panels) > 1 {
					row["panel"] = name
				}
				values = append(values, row)
			}
		}
	}
	top := view
	if many := len(s.f.Frames[0].Panels); many > 1 {
		columns := s.f.Columns
		if columns == 0 {
			columns = 2
		}
		top = object{
			"facet": object{"field": "panel", "type": "nominal", "sort": panels, "title": nil, "header": object{"labelAnchor": "start", "labelFontWeight": "bold"}},
			"spec":  view, "columns": min(columns, many),
		}
	}
	facts := object{"title": s.f.Title, "subtitle": strings.Join(s.f.Lead(), " · ")}
	for _, fact := range s.f.Facts {
		facts[fact.Name] = fact.Value
	}
	top["$schema"], top["usermeta"] = Schema, object{"ducklens": facts}
	if title := s.title(); title != nil {
		top["title"] = title
	}
	top["data"] = object{"values": values}
	if len(frames) > 1 {
		top["params"] = []object{{"name": "frame", "value": frames[0], "bind": object{"input": "select", "options": frames, "name": "frame "}}}
		top["transform"] = []object{{"filter": "datum.frame === frame"}}
	}
	return top
}

// title returns the title and, below it, what to know about the figure, one item per line.
func (s *spec) title() object {
	title := object{"text": "", "anchor": "start"}
	var lines []string
	if !s.f.Bare {
		title["text"] = oneLine.Replace(s.f.Title)
		lines = append(lines, s.f.Lead()...)
	}
	for _, key := range s.f.Keys() {
		lines = append(lines, strings.ToUpper(key[:1])+key[1:])
	}
	lines = wrapped(lines)
	switch {
	case len(lines) == 0 && s.f.Bare:
		return nil
	case len(lines) == 1:
		title["subtitle"] = lines[0]
	case len(lines) > 1:
		title["subtitle"] = lines
	}
	return title
}

// titleColumns is the length of a line below the title.
const titleColumns = 120

// wrapped breaks texts into lines, because Vega-Lite does not.
func wrapped(texts []string) (lines []string) {
	for _, text := range texts {
		line := ""
		for _, word := range strings.Fields(oneLine.Replace(text)) {
			if line != "" && utf8.RuneCountInString(line+" "+word) > titleColumns {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		lines = append(lines, line)
	}
	return lines
}

// finite returns x, or null if it is not finite.
func finite(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return x
}

// oneLine removes line ends from a text. Vega-Lite makes string literals of titles and names in its own
// expressions, and its parser does not know U+2028.
var oneLine = strings.NewReplacer("\n", " ", "\r", " ", "\u2028", " ", "\u2029", " ")

// titled returns a title, or none.
func titled(s string) any {
	if s == "" {
		return nil
	}
	return oneLine.Replace(s)
}

// names returns the names of an axis. If two are the same, places are numbers.
func names(a figure.Axis) []any {
	seen := make(map[string]bool, len(a.Names))
	list := make([]any, len(a.Names))
	for i, name := range a.Names {
		name = oneLine.Replace(name)
		seen[name] = true
		list[i] = name
	}
	if len(seen) < len(list) {
		for i := range list {
			list[i] = i
		}
	}
	return list
}

// place encodes an axis of names.
func place(field string, a figure.Axis) object {
	return object{"field": field, "type": "ordinal", "title": titled(a.Title), "scale": object{"domain": names(a)}, "sort": nil}
}

// measure encodes an axis of numbers.
func measure(field string, a figure.Axis) object {
	return object{"field": field, "type": "quantitative", "title": titled(a.Title), "scale": object{"domain": []float64{a.Low, a.High}}}
}

// support returns the tooltip fields for what is known about a value.
func support(title string) []object {
	return []object{
		{"field": "value", "type": "quantitative", "title": oneLine.Replace(title), "format": ".5g"}, {"field": "se", "type": "quantitative", "title": "standard error", "format": ".2g"},
		{"field": "n", "type": "quantitative", "title": "n"},
	}
}

// behind adds what is known about a value to a row.
func behind(row object, value, se float64, n int64) object {
	row["value"] = finite(value)
	if v := finite(se); v != nil {
		row["se"] = v
	}
	if n > 0 {
		row["n"] = n
	}
	return row
}

// mostNumbered is the largest number of rows or columns whose cells have room for a number.
const mostNumbered = 35

// steps is the number of colours of the scale on each side of white.
const steps = 8

// cells encodes a heatmap, with its labels, or a matrix.
func (s *spec) cells() object {
	p := s.f.Frames[0].Panels[0]
	limit, field := s.f.Scale.Limit, "value"
	if !s.f.Scale.Shared() { // fractions of each panel's limit
		limit, field = 1, "shade"
	}
	step := object{"width": object{"step": 36}, "height": object{"step": 26}}
	tips := []object{{"field": "row", "type": "nominal", "title": axisTitle(p.Y, "row")}, {"field": "column", "type": "nominal", "title": axisTitle(p.X, "column")}}
	if s.f.Mark == queries.Heatmap {
		tips = []object{{"field": "label", "type": "nominal", "title": "component"}}
	} else {
		side := max(5, min(20, 560/max(len(p.X.Names), len(p.Y.Names))))
		step = object{"width": object{"step": side}, "height": object{"step": side}}
	}
	layers := []object{{
		"mark": object{"type": "rect"},
		"encoding": object{
			"color": object{
				"condition": object{"test": "datum.apart === true", "value": "#ffffff"},
				"field":     field, "type": "quantitative", "title": s.colorTitle(), "scale": colorScale(limit), "legend": object{"titleLimit": 0},
			},
			"tooltip": append(tips, support(s.f.Scale.Title)...),
		},
	}}
	if s.f.Mark == queries.Heatmap {
		layers = append(layers, object{
			"transform": []object{{"filter": "isValid(datum.label)"}},
			"mark":      object{"type": "text", "fontSize": 10},
			"encoding": object{
				"text":  object{"field": "label", "type": "nominal"},
				"color": object{"condition": object{"test": fmt.Sprintf("abs(datum.%s) > %g && datum.apart !== true", field, 0.62*limit), "value": "white"}, "value": "black"},
			},
		})
	}
	view := step
	x, y := place("column", p.X), place("row", p.Y)
	if s.f.Mark == queries.Matrix {
		x["axis"], y["axis"] = object{"labelOverlap": "greedy"}, object{"labelOverlap": "greedy"}
		layers = append(layers, object{
			"transform": []object{{"filter": "isValid(datum.beyond)"}}, "mark": object{"type": "text", "fontSize": 8, "color": "white"},
			"encoding": object{"text": object{"field": "beyond", "type": "nominal"}},
		})
	}
	view["encoding"] = object{"x": x, "y": y}
	view["layer"] = layers
	return view
}

// colorScale returns the colour scale, which is white at zero.
func colorScale(limit float64) object {
	domain, colors := []float64{}, []string{}
	for i := -steps; i <= steps; i++ {
		c := figure.Paper.Diverging(float64(i) / steps)
		domain = append(domain, limit*float64(i)/steps)
		colors = append(colors, fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B))
	}
	return object{"domain": domain, "range": colors, "clamp": true, "interpolate": "rgb"}
}

// colorTitle returns the title of the colour bar.
func (s *spec) colorTitle() any {
	if s.f.Scale.Shared() {
		return titled(s.f.Scale.Title)
	}
	return titled(s.f.Scale.Title + ", part of the end of its scale")
}

func axisTitle(a figure.Axis, other string) string {
	if a.Title != "" {
		return oneLine.Replace(a.Title)
	}
	return other
}

func (s *spec) cellRows(p figure.Panel) []object {
	x, y := names(p.X), names(p.Y)
	var rows []object
	for _, c := range p.Cells {
		row := object{"row": y[c.Row], "column": x[c.Column]}
		if c.Label != "" {
			row["label"] = c.Label
		}
		if c.Apart {
			row["apart"] = true
		}
		if s.f.Mark == queries.Matrix && s.f.FewBeyond() && p.Beyond(c) && max(len(p.X.Names), len(p.Y.Names)) <= mostNumbered {
			row["beyond"] = strings.NewReplacer("0.", ".", "-", "−").Replace(strconv.FormatFloat(c.Value, 'g', 2, 64))
		}
		if !s.f.Scale.Shared() {
			row["shade"], row["end"] = finite(p.Shade(c)), p.Limit
		}
		rows = append(rows, behind(row, c.Value, c.Error, c.Count))
	}
	return rows
}
