package plotly

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// object is an object of plotly.js's figure format; encoding/json writes its keys in order.
type object = map[string]any

// Options say which parts of a figure are drawn. The zero value draws all of it.
type Options struct {
	// Bare leaves out the title, the subtitle and the line of provenance, for a page that has them in its own
	// text. They stay in the metadata.
	Bare bool
}

// bare reports whether title, subtitle and provenance are left to the text around the figure.
func (p *plot) bare() bool { return p.o.Bare || p.f.Bare }

// Lengths in pixels of a figure on a screen.
const (
	left  = 64 // minimum space for the names of rows
	right = 24
	below = 46 // below a row of panels: names of columns, title of the axis
	// Space above the panels, if there is no title, for the buttons that appear with the pointer.
	buttonRoom  = 32.0
	titleLine   = 24
	textLine    = 16
	nameLine    = 18 // the name of a panel, above it
	groupLine   = 15 // the names of groups of columns, below that
	panelGap    = 28 // between panels side by side on a page of pageWidth
	sliderRoom  = 78
	pageWidth   = 1150
	footColumns = 150 // letters in a line of provenance
)

// JSON returns the figure in the form that plotly.js reads: {"data": [...], "layout": {...}, "frames":
// [...]}. layout.meta has the provenance: the query, its SQL, its parameters and the figure's other facts.
//
// A mark that this package cannot draw with plotly.js is a [*figure.Error].
func JSON(f *figure.Figure, o Options) ([]byte, error) {
	p := &plot{f: f, o: o, layout: object{}}
	if err := p.build(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(struct {
		Data   []object `json:"data"`
		Layout object   `json:"layout"`
		Frames []object `json:"frames,omitempty"`
	}{p.data, p.layout, p.frames})
	if err != nil {
		return nil, fmt.Errorf("figure of %s: writing plotly JSON: %w", f.Name, err)
	}
	return text, nil
}

// WriteJSON writes the result of [JSON] and a newline.
func WriteJSON(w io.Writer, f *figure.Figure) error {
	text, err := JSON(f, Options{})
	if err != nil {
		return err
	}
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("figure of %s: writing plotly JSON: %w", f.Name, err)
	}
	return nil
}

// plot is a figure that is being converted to JSON.
type plot struct {
	f      *figure.Figure
	o      Options
	data   []object // traces of the first frame
	layout object
	frames []object
	notes  []object // annotations: titles of panels, provenance
	shapes []object

	perRow     int     // panels side by side
	marginL    float64 // space to the left of the panels, px; 0: left
	marginR    float64 // space to the right of them, in addition to the usual margin
	below      float64 // below a row of panels, px; at least the constant below
	gap        float64 // between panels side by side, px; 0 is panelGap
	barGap     float64 // between the panels and the colour bar, px
	tall       float64 // height of the whole figure, px
	inner      float64 // height inside the margins, px
	textSize   float64 // of the labels in cells, px
	panelWidth float64 // of points, px
}

func (p *plot) build() error {
	if len(p.f.Frames) == 0 || len(p.f.Frames[0].Panels) == 0 {
		return &figure.Error{Query: p.f.Name, Err: figure.ErrEmpty, Detail: "the figure has no panels"}
	}
	var traces func(frame int) []object
	switch p.f.Mark {
	case queries.Heatmap:
		p.heatmapLayout()
		traces = p.cellTraces
	case queries.Matrix:
		p.matrixLayout()
		traces = p.cellTraces
	case queries.Histogram:
		p.histogramLayout()
		traces = p.histogramTraces
	case queries.Bar:
		p.barLayout()
		traces = p.barTraces
	case queries.Line:
		p.lineLayout()
		traces = p.lineTraces
	case queries.Scatter:
		p.scatterLayout()
		traces = p.scatterTraces
	default:
		return &figure.Error{Query: p.f.Name, Err: figure.ErrMark, Detail: fmt.Sprintf("chart %s has no interactive figure", p.f.Mark)}
	}
	p.data = traces(0)
	p.addFrames(traces)
	p.addTexts()
	p.layout["meta"] = p.meta()
	p.layout["font"] = object{"family": "system-ui, \"Segoe UI\", \"Helvetica Neue\", Arial, \"DejaVu Sans\", sans-serif", "size": 12, "color": "#1a1a1a"}
	p.layout["paper_bgcolor"] = "#ffffff"
	p.layout["hoverlabel"] = object{"bgcolor": "#ffffff", "bordercolor": "#666666", "align": "left", "font": object{"color": "#1a1a1a"}}
	p.layout["annotations"] = p.notes
	if p.shapes != nil {
		p.layout["shapes"] = p.shapes
	}
	return nil
}

// arrange places n panels of a height in a grid. It returns the domains of their axes as fractions of the
// area inside the margins: x from the left, y from the bottom.
func (p *plot) arrange(height float64) (x, y [][2]float64) {
	n := len(p.f.Frames[0].Panels)
	p.perRow = p.f.Columns
	if p.perRow == 0 || p.perRow > n {
		p.perRow = min(n, []int{1, 1, 2, 3, 2, 3, 3, 3, 4}[min(n, 8)])
	}
	rows := (n + p.perRow - 1) / p.perRow
	top := buttonRoom
	if !p.bare() {
		top = 12 + titleLine*float64(len(p.title())) + textLine*float64(len(p.subtitle())) + 8
	}
	p.below = max(p.below, below)
	bottom := p.below
	if len(p.f.Frames) > 1 {
		bottom += sliderRoom
	}
	bottom += textLine * float64(len(p.foot()))
	above, shift := 8.0, 3
	if p.f.PanelNames(0)[0] != "" {
		above += nameLine
	}
	if p.f.Frames[0].Panels[0].X.Groups != nil {
		above += groupLine
		shift += groupLine
	}
	p.inner = float64(rows)*(above+height) + float64(rows-1)*p.below
	p.tall = top + p.inner + bottom
	p.marginL = max(p.marginL, left)
	p.layout["height"] = math.Round(p.tall)
	p.layout["margin"] = object{"l": p.marginL, "r": right + p.marginR, "t": top, "b": bottom, "pad": 0}
	gap := max(p.gap, panelGap) / p.innerWidth()
	width := (1 - gap*float64(p.perRow-1)) / float64(p.perRow)
	for i := range n {
		row, column := i/p.perRow, i%p.perRow
		from := float64(column) * (width + gap)
		down := float64(row)*(above+height+p.below) + above
		x = append(x, [2]float64{fraction(from), fraction(min(1, from+width))})
		y = append(y, [2]float64{fraction(max(0, 1-(down+height)/p.inner)), fraction(1 - down/p.inner)})
		if name := p.f.PanelNames(0)[i]; name != "" {
			p.notes = append(p.notes, object{
				"text": "<b>" + label(name) + "</b>", "showarrow": false, "xref": "paper", "yref": "paper",
				"x": x[i][0], "xanchor": "left", "y": y[i][1], "yanchor": "bottom", "yshift": shift, "align": "left", "font": object{"size": 13},
			})
		}
	}
	return x, y
}

// innerWidth returns the width inside the margins on a page of pageWidth, in px.
func (p *plot) innerWidth() float64 { return pageWidth - p.marginL - right - p.marginR }

// fraction rounds a fraction to the precision of a pixel.
func fraction(x float64) float64 { return math.Round(x*1e5) / 1e5 }

// axisName returns the name of an axis of panel i in a trace, such as x, x2, x3; in the layout these are
// xaxis, xaxis2, xaxis3.
func axisName(letter string, i int) string {
	if i == 0 {
		return letter
	}
	return letter + strconv.Itoa(i+1)
}

func axisKey(letter string, i int) string {
	return letter + "axis" + strings.TrimPrefix(axisName(letter, i), letter)
}

// addFrames adds the frames and the slider that switches between them.
func (p *plot) addFrames(traces func(int) []object) {
	if len(p.f.Frames) < 2 {
		return
	}
	numbers := make([]int, len(p.data))
	for i := range numbers {
		numbers[i] = i
	}
	steps := make([]object, len(p.f.Frames))
	for i, shown := range p.f.FrameNames() {
		name := strconv.Itoa(i+1) + ": " + shown
		frame := object{"name": name, "data": traces(i), "traces": numbers}
		if p.namesVary() {
			frame["layout"] = object{"annotations": p.notesOf(i)}
		}
		p.frames = append(p.frames, frame)
		steps[i] = object{
			"label": label(shown), "method": "animate",
			"args": []any{[]string{name}, object{
				"mode": "immediate", "transition": object{"duration": 0}, "frame": object{"duration": 0, "redraw": true},
			}},
		}
	}
	p.layout["sliders"] = []object{{
		"active": 0, "steps": steps, "x": 0, "len": 1, "xanchor": "left", "y": 0, "yanchor": "top",
		"pad":          object{"t": p.below - 12, "l": 0, "r": 0, "b": 0},
		"currentvalue": object{"visible": true, "prefix": "", "xanchor": "left", "font": object{"size": 13}},
		"transition":   object{"duration": 0},
	}}
}

// namesVary reports whether panels have different names in different frames, because of their scales or
// numbers of examples.
func (p *plot) namesVary() bool {
	for i := range p.f.Frames {
		if !slices.Equal(p.f.PanelNames(i), p.f.PanelNames(0)) {
			return true
		}
	}
	return false
}

// notesOf returns the annotations with the names of the panels in a frame. They come first, one for each
// panel.
func (p *plot) notesOf(frame int) []object {
	notes := slices.Clone(p.notes)
	for i, name := range p.f.PanelNames(frame) {
		if i < len(notes) && p.f.PanelNames(0)[i] != "" {
			notes[i] = with(notes[i], object{"text": "<b>" + label(name) + "</b>"})
		}
	}
	return notes
}

// addTexts adds the title and the lines below the figure.
func (p *plot) addTexts() {
	if !p.bare() {
		p.addTitle()
	}
	lines := p.foot()
	if len(lines) == 0 {
		return
	}
	p.notes = append(p.notes, object{
		"text": strings.Join(lines, "<br>"), "showarrow": false, "xref": "paper", "yref": "paper", "x": 0, "xanchor": "left", "align": "left",
		"y": 0, "yanchor": "top", "yshift": -p.footShift(), "font": object{"size": 11, "color": "#555555"},
	})
}

func (p *plot) addTitle() {
	var text strings.Builder
	for i, line := range p.title() {
		if i > 0 {
			text.WriteString("<br>")
		}
		text.WriteString("<b>" + label(line) + "</b>")
	}
	for _, line := range p.subtitle() {
		text.WriteString(`<br><span style="font-size: 13px; color: #555555">` + label(line) + `</span>`)
	}
	p.layout["title"] = object{
		"text": text.String(), "x": 0, "xanchor": "left", "xref": "paper", "y": fraction(1 - 10/p.tall), "yanchor": "top", "yref": "container", "font": object{"size": 17},
	}
}

// foot returns the lines below the figure: what the colours mean, and where the figure comes from.
func (p *plot) foot() []string {
	var lines []string
	keys := p.f.Keys()
	if p.f.Mark == queries.Histogram {
		keys = append(keys, "boxes: quartiles, median (line) and mean (dotted line); whiskers within 1.5 × the interquartile range")
	}
	for _, key := range keys {
		lines = append(lines, labels(wrap(upperFirst(key), footColumns))...)
	}
	if !p.bare() {
		for _, line := range wrap(Provenance(p.f), footColumns) {
			lines = append(lines, literal(line))
		}
	}
	return lines
}

// upperFirst capitalises s if it begins with an ASCII letter.
func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// footShift returns how far below the panels the foot is.
func (p *plot) footShift() float64 {
	if len(p.f.Frames) > 1 {
		return p.below + sliderRoom - 6
	}
	return p.below - 4
}

func (p *plot) title() []string { return wrap(p.f.Title, 110) }

func (p *plot) subtitle() []string {
	var lines []string
	for _, line := range p.f.Lead() {
		lines = append(lines, wrap(line, footColumns)...)
	}
	return lines
}

// Provenance returns the line that says where a figure comes from: its facts, without the quiet ones.
func Provenance(f *figure.Figure) string {
	var parts []string
	for _, fact := range f.Facts {
		if !fact.Quiet {
			parts = append(parts, fact.Name+" "+fact.Value)
		}
	}
	return strings.Join(parts, "  ·  ")
}

// wrap breaks a text at spaces into lines of at most width letters.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// meta returns the provenance as data.
func (p *plot) meta() object {
	facts := object{"title": p.f.Title, "subtitle": strings.Join(p.f.Lead(), " · ")}
	for _, fact := range p.f.Facts {
		facts[fact.Name] = fact.Value
	}
	return facts
}
