package plotly_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/figure/figuretest"
	"ducklens/queries/figure/plotly"
)

var update = flag.Bool("update", false, "write the golden files in place of comparing with them")

// TestVendored holds the vendored file to its checksum, and to what a page needs of it.
func TestVendored(t *testing.T) {
	sum := sha256.Sum256([]byte(plotly.Script()))
	if got := hex.EncodeToString(sum[:]); got != plotly.SHA256 {
		t.Errorf("SHA-256 of plotly.js is %s, want %s", got, plotly.SHA256)
	}
	if want := "plotly.js (cartesian - minified) v" + plotly.Version; !strings.Contains(plotly.Script()[:100], want) {
		t.Errorf("plotly.js begins with %.100q, want %q", plotly.Script(), want)
	}
	for _, ends := range []string{"</script", "<!--", "\r"} {
		if strings.Contains(strings.ToLower(plotly.Script()), ends) {
			t.Errorf("plotly.js holds %q, which does not survive in a script element", ends)
		}
	}
	for _, trace := range []string{"bar", "box", "heatmap", "histogram", "scatter"} {
		if !strings.Contains(plotly.Script(), `moduleType:"trace",name:"`+trace+`"`) {
			t.Errorf("plotly.js lacks the trace %s", trace)
		}
	}
	if licence, err := os.ReadFile("vendored/LICENSE-plotly.js"); err != nil || !bytes.Contains(licence, []byte("MIT License")) {
		t.Errorf("licence of plotly.js: %v", err)
	}
}

// parsed is a figure as plotly.js reads it.
type parsed struct {
	Data   []map[string]any
	Layout map[string]any
	Frames []struct {
		Name   string
		Data   []map[string]any
		Traces []int
	}
}

func parse(t *testing.T, f *figure.Figure) parsed {
	t.Helper()
	text, err := plotly.JSON(f, plotly.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var p parsed
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGolden compares the JSON of each mark, a key to a line, with what was stored.
func TestGolden(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the golden files were made on amd64; other machines fuse multiplication and addition, which changes last digits of the made-up values")
	}
	for name, f := range figuretest.All(t) {
		t.Run(name, func(t *testing.T) {
			var b, pretty bytes.Buffer
			if err := plotly.WriteJSON(&b, f); err != nil {
				t.Fatal(err)
			}
			if err := json.Indent(&pretty, b.Bytes(), "", " "); err != nil {
				t.Fatal(err)
			}
			// Lists of numbers and names stay in one line each.
			got := regexp.MustCompile(`\n +("[^"\n]*"|[-0-9.e]+|null)(,?)\n? *([\]])?`).ReplaceAll(pretty.Bytes(), []byte(" $1$2$3"))
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(got, want) {
				return
			}
			a, c := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
			for i := range min(len(a), len(c)) {
				if a[i] != c[i] {
					t.Fatalf("line %d: got\n%.300s\nwant\n%.300s\n(run with -update to accept)", i+1, a[i], c[i])
				}
			}
			t.Fatalf("%d lines, want %d (run with -update to accept)", len(a), len(c))
		})
	}
}

// TestSameBytes writes every figure twice.
func TestSameBytes(t *testing.T) {
	one, two := figuretest.All(t), figuretest.All(t)
	for name := range one {
		for _, write := range []func(*bytes.Buffer, *figure.Figure) error{
			func(b *bytes.Buffer, f *figure.Figure) error { return plotly.WriteJSON(b, f) },
			func(b *bytes.Buffer, f *figure.Figure) error { return plotly.WriteHTML(b, f) },
		} {
			var a, b bytes.Buffer
			if err := errors.Join(write(&a, one[name]), write(&b, two[name])); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Errorf("%s: two files of the same figure differ", name)
			}
		}
	}
}

// TestHeatmap holds what a reader of a heatmap relies on: values in their places, null where there is no
// component, white at zero, one symmetric scale, frames that replace all traces.
func TestHeatmap(t *testing.T) {
	f := figuretest.Heatmap(t, 4, 3, figuretest.Quadrants, []string{"with", "without"})
	p := parse(t, f)
	if len(p.Data) != 4 || len(p.Frames) != 2 {
		t.Fatalf("%d traces and %d frames, want 4 and 2", len(p.Data), len(p.Frames))
	}
	for k, frame := range p.Frames {
		for i, trace := range frame.Data {
			z := trace["z"].([]any)
			cells := map[[2]int]figure.Cell{}
			for _, c := range f.Frames[k].Panels[i].Cells {
				cells[[2]int{c.Row, c.Column}] = c
			}
			for row := range z {
				for column, v := range z[row].([]any) {
					c, ok := cells[[2]int{row, column}]
					switch {
					case !ok && v != nil:
						t.Errorf("frame %d panel %d row %d column %d is %v, want null", k, i, row, column, v)
					case ok && v != c.Value:
						t.Errorf("frame %d panel %d row %d column %d is %v, want %v", k, i, row, column, v, c.Value)
					}
				}
			}
		}
	}
	scale := p.Layout["coloraxis"].(map[string]any)
	if low, high := scale["cmin"].(float64), scale["cmax"].(float64); low != -high || high != f.Scale.Limit {
		t.Errorf("scale from %v to %v, want ±%v", low, high, f.Scale.Limit)
	}
	colors := scale["colorscale"].([]any)
	if middle := colors[len(colors)/2].([]any); middle[0] != 0.5 || middle[1] != "#ffffff" {
		t.Errorf("the middle of the scale is %v, want white", middle)
	}
	for i, trace := range p.Data {
		if trace["coloraxis"] != "coloraxis" {
			t.Errorf("trace %d has a scale of its own", i)
		}
	}
	hover := p.Data[0]["hovertemplate"].(string)
	for _, want := range []string{"%{text}", "mean contribution to the score: %{z", "standard error: %{customdata:", "n = 50<"} {
		if !strings.Contains(hover, want) {
			t.Errorf("hovering shows %q, want %q in it", hover, want)
		}
	}
	if title := p.Layout["annotations"].([]any)[0].(map[string]any)["text"]; title != "<b>query ∥ W<sub>U</sub>[IO], key ∥ MLP0</b>" {
		t.Errorf("the first panel is called %v", title)
	}
}

// TestSupport holds that hovering tells what is known about each cell, and does not make numbers of what is
// not.
func TestSupport(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func([]figure.Cell)
		want  string
		data  string
	}{
		"all known":     {func([]figure.Cell) {}, "standard error: %{customdata:.2g}<br>n = 50", "0.08"},
		"no error":      {func(cells []figure.Cell) { each(cells, func(c *figure.Cell) { c.Error = math.NaN() }) }, "n = 50", "<nil>"},
		"nothing":       {func(cells []figure.Cell) { each(cells, func(c *figure.Cell) { c.Error, c.Count = math.NaN(), 0 }) }, "", "<nil>"},
		"some errors":   {func(cells []figure.Cell) { cells[0].Error = math.NaN() }, "standard error: %{customdata}<br>n = 50", "0.08"},
		"counts differ": {func(cells []figure.Cell) { cells[0].Count = 3 }, "standard error: %{customdata[0]:.2g}<br>n = %{customdata[1]}", "[0.08 50]"},
		"counts differ only": {func(cells []figure.Cell) {
			each(cells, func(c *figure.Cell) { c.Error = math.NaN() })
			cells[0].Count = 0
		}, "n = %{customdata}", "50"},
	} {
		f := figuretest.Heatmap(t, 4, 3, figuretest.Quadrants[:1], []string{""})
		c.spoil(f.Frames[0].Panels[0].Cells)
		trace := parse(t, f).Data[0]
		if hover := trace["hovertemplate"].(string); !strings.Contains(hover, c.want) || c.want == "" && (strings.Contains(hover, "n =") || strings.Contains(hover, "customdata")) {
			t.Errorf("%s: %q, want %q in it", name, hover, c.want)
		}
		got := "<nil>"
		if data, ok := trace["customdata"].([]any); ok {
			got = fmt.Sprint(data[1].([]any)[4]) // MLP0
		}
		if got != c.data {
			t.Errorf("%s: MLP0 has %s, want %s", name, got, c.data)
		}
	}
}

func each(cells []figure.Cell, f func(*figure.Cell)) {
	for i := range cells {
		f(&cells[i])
	}
}

// TestHistogram holds that plotly.js counts in the figure's bins, and that a series is switched on and off as
// a whole.
func TestHistogram(t *testing.T) {
	f := figuretest.Histogram(t, 60)
	p := parse(t, f)
	if want := 2 * len(f.Legend.Names); len(p.Data) != want {
		t.Fatalf("%d traces, want %d", len(p.Data), want)
	}
	shown := 0
	for i, trace := range p.Data {
		d := f.Frames[0].Panels[0].Distributions[i/2]
		if want := fmt.Sprintf("entry %d", i/2+1); trace["legendgroup"] != want {
			t.Errorf("trace %d is in the group %v, want %s", i, trace["legendgroup"], want)
		}
		if trace["showlegend"] == true {
			shown++
		}
		if trace["type"] == "box" {
			if got := trace["median"].([]any)[0]; got != d.Box.Median {
				t.Errorf("median of series %d is %v, want %v", i/2, got, d.Box.Median)
			}
			continue
		}
		bins := trace["xbins"].(map[string]any)
		if bins["start"] != f.Bins.Low || bins["size"] != f.Bins.Width {
			t.Errorf("bins %v, want from %v by %v", bins, f.Bins.Low, f.Bins.Width)
		}
		x := trace["x"].([]any)
		for j, v := range x {
			if float32(v.(float64)) != float32(d.Values[j]) {
				t.Fatalf("value %d of series %d is %v, want %v", j, i/2, v, d.Values[j])
			}
		}
	}
	if shown != len(f.Legend.Names) {
		t.Errorf("%d entries in the legend, want %d", shown, len(f.Legend.Names))
	}
}

// TestFramesKeepTraces holds that every frame has a value for every trace, also where a panel lacks a series:
// else a slider leaves bars of another frame standing.
func TestFramesKeepTraces(t *testing.T) {
	f := figuretest.Bar(t, 12)
	second := f.Frames[0]
	second.Name, second.Panels = "second", append([]figure.Panel(nil), second.Panels...)
	second.Panels[0].Bars = second.Panels[0].Bars[:1]
	f.Frames[0].Name, f.Frames = "first", append(f.Frames, second)
	p := parse(t, f)
	for i, frame := range p.Frames {
		if len(frame.Data) != len(p.Data) || len(frame.Traces) != len(p.Data) {
			t.Errorf("frame %d has %d traces, want %d", i, len(frame.Data), len(p.Data))
		}
	}
}

// TestMatrix holds the lines between layers and the names of the axes.
func TestMatrix(t *testing.T) {
	f := figuretest.Matrix(t, 3, 3)
	p := parse(t, f)
	groups := len(f.Frames[0].Panels[0].X.Groups)
	if got, want := len(p.Layout["shapes"].([]any)), 2*2*(groups-1); groups < 3 || got != want {
		t.Errorf("%d lines between %d groups, want %d", got, groups, want)
	}
	if x := p.Data[0]["x"].([]any); x[0] != "b<sub>K</sub>" {
		t.Errorf("the first column is called %v", x[0])
	}
}

// TestMeta holds that provenance is in the file as data.
func TestMeta(t *testing.T) {
	meta := parse(t, figuretest.Bar(t, 3)).Layout["meta"].(map[string]any)
	for name, want := range map[string]string{"query": "top_pairs", "sql": "SELECT 1 -- top_pairs", "run": "1", "fingerprint": "0f1e2d3c"} {
		if meta[name] != want {
			t.Errorf("meta %s is %v, want %s", name, meta[name], want)
		}
	}
}

// TestNotFinite holds that a figure with numbers that JSON does not have is written all the same, with null
// in their place.
func TestNotFinite(t *testing.T) {
	for name, f := range figuretest.All(t) {
		panel := &f.Frames[0].Panels[0]
		for i := range panel.Cells {
			panel.Cells[i].Value, panel.Cells[i].Error = math.Inf(1), math.NaN()
		}
		for i := range panel.Bars {
			panel.Bars[i].Value, panel.Bars[i].Error = math.NaN(), math.Inf(1)
		}
		for i := range panel.Lines {
			panel.Lines[i].Points[0].Y, panel.Lines[i].Points[1].Error = math.NaN(), math.NaN()
		}
		for i := range panel.Distributions {
			panel.Distributions[i].Values[0], panel.Distributions[i].Error = math.NaN(), math.NaN()
		}
		text, err := plotly.JSON(f, plotly.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if bytes.Contains(text, []byte("NaN")) || bytes.Contains(text, []byte("Inf")) {
			t.Errorf("%s: a number that JSON does not have was written", name)
		}
	}
}

// TestText holds that text stays text in JSON and HTML: for plotly.js no tag but those written here, no
// entity, no placeholder.
func TestText(t *testing.T) {
	tag := regexp.MustCompile(`<[^<>]*>`)
	for name, f := range figuretest.All(t) {
		figuretest.Rename(f, figuretest.Hostile)
		p := parse(t, f)
		allowed := map[string]bool{"<b>": true, "</b>": true, "<br>": true, "<sub>": true, "</sub>": true, "<extra>": true, "</extra>": true, "</span>": true,
			`<span style="font-size: 13px; color: #555555">`: true}
		var walk func(path string, v any)
		walk = func(path string, v any) {
			switch v := v.(type) {
			case string:
				if strings.HasPrefix(path, ".layout.meta") || strings.Contains(path, ".args") || strings.HasSuffix(path, ".frame.name") {
					return // not shown
				}
				for _, found := range tag.FindAllString(v, -1) {
					if !allowed[found] {
						t.Errorf("%s: %s holds the tag %s", name, path, found)
					}
				}
				if strings.Contains(v, "%{x} $") || strings.Contains(v, "$x^2$") || strings.Contains(v, "&amp;<") {
					t.Errorf("%s: %s is %.200q: a placeholder, an entity or mathematics", name, path, v)
				}
			case []any:
				for _, e := range v {
					walk(path, e)
				}
			case map[string]any:
				for k, e := range v {
					walk(path+"."+k, e)
				}
			}
		}
		for _, trace := range p.Data {
			walk(".data", map[string]any(trace))
		}
		walk(".layout", p.Layout)
		for _, frame := range p.Frames {
			for _, trace := range frame.Data {
				walk(".frame.data", map[string]any(trace))
			}
		}

		var page bytes.Buffer
		if err := plotly.WriteHTML(&page, f); err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(page.String(), plotly.Script(), "")
		for _, bad := range []string{"<script>alert", "</title>\u2028", "\u2028\"'</script>"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: the page holds %q", name, bad)
			}
		}
		if got := strings.Count(text, "<script"); got != 3 {
			t.Errorf("%s: %d script elements, want 3", name, got)
		}
	}
}

// TestMarks refuses what is not drawn.
func TestMarks(t *testing.T) {
	f := figuretest.Bar(t, 3)
	f.Mark = queries.Table
	if _, err := plotly.JSON(f, plotly.Options{}); !errors.Is(err, figure.ErrMark) {
		t.Errorf("a table gives %v, want %v", err, figure.ErrMark)
	}
	var b bytes.Buffer
	if err := plotly.WriteHTML(&b, &figure.Figure{Mark: queries.Bar}); !errors.Is(err, figure.ErrEmpty) || b.Len() != 0 {
		t.Errorf("a figure without panels gives %v and %d bytes, want %v and none", err, b.Len(), figure.ErrEmpty)
	}
}

// failing is a disk that is full.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteFails(t *testing.T) {
	f := figuretest.Bar(t, 3)
	for name, err := range map[string]error{"JSON": plotly.WriteJSON(failing{}, f), "HTML": plotly.WriteHTML(failing{}, f)} {
		if err == nil || !strings.Contains(err.Error(), "disk full") || !strings.Contains(err.Error(), "top_pairs") {
			t.Errorf("%s on a full disk: %v", name, err)
		}
	}
}

// The figure is data that a notebook opens with plotly.io.read_json.
func ExampleJSON() {
	f := &figure.Figure{
		Name: "mine", Mark: queries.Bar, Title: "W_U[IO]",
		Frames: []figure.Frame{{Panels: []figure.Panel{{
			X: figure.Axis{Names: []string{"MLP0"}}, Y: figure.Axis{Title: "score", High: 1},
			Bars: []figure.Bar{{Value: 0.8, Error: math.NaN()}},
		}}}},
	}
	text, err := plotly.JSON(f, plotly.Options{Bare: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	var p struct {
		Data []struct{ Type, Hovertext any }
	}
	if err := json.Unmarshal(text, &p); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Data[0].Type, p.Data[0].Hovertext)
	// Output:
	// bar [MLP0<br>score: 0.8]
}

// Points have their standard errors as bars and in tooltips, and the diagonal is within the axes; without the
// keys of the header there is neither.
func TestScatter(t *testing.T) {
	f := figuretest.Scatter(t, 6)
	p := parse(t, f)
	dot := f.Frames[0].Panels[0].Clouds[0].Dots[1]
	first := p.Data[0]
	for key, want := range map[string]float64{"error_x": dot.XError, "error_y": dot.YError} {
		bars, ok := first[key].(map[string]any)
		if !ok || bars["array"].([]any)[1] != want {
			t.Errorf("%s is %v, want %v for the second point", key, first[key], want)
		}
	}
	if text := fmt.Sprint(first["hovertext"].([]any)[1]); strings.Count(text, "standard error: ") != 2 || !strings.Contains(text, "n = 30") {
		t.Errorf("hovering shows %q, want two standard errors and n", text)
	}
	shapes := p.Layout["shapes"].([]any)
	low, high, ok := f.Frames[0].Panels[0].Diagonal()
	line := shapes[0].(map[string]any)
	if len(shapes) != 1 || !ok || line["x0"] != low || line["y0"] != low || line["x1"] != high || line["y1"] != high {
		t.Errorf("shapes %v, want a line from %v to %v on both axes", shapes, low, high)
	}
	f.Diagonal = ""
	for i := range f.Frames[0].Panels[0].Clouds {
		for j := range f.Frames[0].Panels[0].Clouds[i].Dots {
			d := &f.Frames[0].Panels[0].Clouds[i].Dots[j]
			d.XError, d.YError = math.NaN(), math.NaN()
		}
	}
	p = parse(t, f)
	if p.Layout["shapes"] != nil || p.Data[0]["error_x"] != nil || p.Data[0]["error_y"] != nil {
		t.Errorf("shapes %v, bars %v and %v, want none", p.Layout["shapes"], p.Data[0]["error_x"], p.Data[0]["error_y"])
	}
}

// Groups of rows of a heatmap have a gap between them.
func TestHeatmapGroups(t *testing.T) {
	f := figuretest.Heatmap(t, 3, 3, figuretest.Quadrants[:2], []string{"with"})
	for i := range f.Frames[0].Panels {
		f.Frames[0].Panels[i].Y.Groups = []figure.Group{{Name: "other", First: 0, N: 1}, {Name: "layer", First: 1, N: 3}}
	}
	shapes := parse(t, f).Layout["shapes"].([]any)
	if len(shapes) != len(f.Frames[0].Panels) || shapes[0].(map[string]any)["y0"] != 0.5 {
		t.Errorf("%v, want a line below the first row of each panel", shapes)
	}
}
