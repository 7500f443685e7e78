package vegalite_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/figure/figuretest"
	"ducklens/queries/figure/vegalite"
)

func write(t *testing.T, f *figure.Figure) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := vegalite.Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// spec is what the tests read of a specification.
type spec struct {
	Schema string `json:"$schema"`
	Title  struct{ Text, Subtitle any }
	Data   struct{ Values []map[string]any }
	Params []struct {
		Name, Value string
		Bind        struct{ Options []string }
	}
	Facet    map[string]any
	Usermeta struct{ Ducklens map[string]string }
	Spec     struct {
		Layer []struct {
			Mark     any
			Encoding map[string]any
		}
	}
}

func parse(t *testing.T, f *figure.Figure) spec {
	t.Helper()
	var s spec
	if err := json.Unmarshal(write(t, f), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHeatmap(t *testing.T) {
	f := figuretest.Heatmap(t, 4, 3, figuretest.Quadrants, []string{"with", "without"})
	s := parse(t, f)
	if s.Schema != vegalite.Schema || s.Title.Text != f.Title || s.Usermeta.Ducklens["run"] != "1" {
		t.Errorf("schema %q, title %q, run %q", s.Schema, s.Title.Text, s.Usermeta.Ducklens["run"])
	}
	cells := 0
	for _, frame := range f.Frames {
		for _, panel := range frame.Panels {
			cells += len(panel.Cells)
		}
	}
	if len(s.Data.Values) != cells {
		t.Errorf("%d rows, want %d", len(s.Data.Values), cells)
	}
	first, c := s.Data.Values[0], f.Frames[0].Panels[0].Cells[0]
	want := map[string]any{"frame": "with", "panel": figuretest.Quadrants[0], "row": "other", "column": "H0", "label": "W_E", "value": c.Value, "se": c.Error, "n": 50.0}
	if fmt.Sprint(first) != fmt.Sprint(want) {
		t.Errorf("first row %v, want %v", first, want)
	}
	if len(s.Params) != 1 || fmt.Sprint(s.Params[0].Bind.Options) != "[with without]" {
		t.Errorf("parameters %v, want a menu of the frames", s.Params)
	}
	scale := s.Spec.Layer[0].Encoding["color"].(map[string]any)["scale"].(map[string]any)
	domain, colors := scale["domain"].([]any), scale["range"].([]any)
	if n := len(domain); domain[0] != -f.Scale.Limit || domain[n-1] != f.Scale.Limit || domain[n/2] != 0.0 || colors[n/2] != "#ffffff" {
		t.Errorf("scale %v to %v, want it symmetric and white at zero", domain, colors)
	}
}

// TestRows holds that no value is lost in other marks.
func TestRows(t *testing.T) {
	for name, want := range map[string]int{"histogram": 7 * 60, "bar": 12, "line": 3 * 12, "matrix": 2 * 18 * 18, "scatter": 2*40 + 2*2} {
		if got := len(parse(t, figuretest.All(t)[name]).Data.Values); got != want {
			t.Errorf("%s: %d rows, want %d", name, got, want)
		}
	}
}

// TestNames falls back on numbers where two names of an axis are alike: Vega-Lite would draw both in one
// place.
func TestNames(t *testing.T) {
	f := figuretest.Bar(t, 3)
	f.Frames[0].Panels[0].X.Names = []string{"same", "same", "other"}
	s := parse(t, f)
	for i, row := range s.Data.Values {
		if row["name"] != float64(i) {
			t.Errorf("bar %d is called %v", i, row["name"])
		}
	}
}

// TestText holds that line separators, which Vega-Lite's expressions cannot hold, are nowhere but in
// usermeta, and that no text is part of an expression written here.
func TestText(t *testing.T) {
	for name, f := range figuretest.All(t) {
		var all map[string]any
		if err := json.Unmarshal(write(t, figuretest.Rename(f, figuretest.Hostile)), &all); err != nil {
			t.Fatal(err)
		}
		delete(all, "usermeta")
		var walk func(path string, v any)
		walk = func(path string, v any) {
			switch v := v.(type) {
			case string:
				if strings.ContainsAny(v, "\u2028\u2029\n") && !strings.HasSuffix(path, ".label") {
					t.Errorf("%s: %s is %q", name, path, v)
				}
				if (strings.HasSuffix(path, ".filter") || strings.HasSuffix(path, ".test")) && strings.Contains(v, "alert") {
					t.Errorf("%s: expression %q", name, v)
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
		walk("", all)
	}
}

func TestNotFinite(t *testing.T) {
	f := figuretest.Bar(t, 3)
	f.Frames[0].Panels[0].Bars[0].Value, f.Frames[0].Panels[0].Bars[1].Error = math.NaN(), math.Inf(1)
	s := parse(t, f)
	if s.Data.Values[0]["value"] != nil || s.Data.Values[1]["se"] != nil {
		t.Errorf("rows %v, want null for what is not finite", s.Data.Values[:2])
	}
}

func TestSameBytes(t *testing.T) {
	one, two := figuretest.All(t), figuretest.All(t)
	for name := range one {
		if !bytes.Equal(write(t, one[name]), write(t, two[name])) {
			t.Errorf("%s: two files of the same figure differ", name)
		}
	}
}

// failing is a disk that is full.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestErrors(t *testing.T) {
	f := figuretest.Bar(t, 3)
	if err := vegalite.Write(failing{}, f); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("on a full disk: %v", err)
	}
	f.Mark = queries.Scalar
	if err := vegalite.Write(&bytes.Buffer{}, f); !errors.Is(err, figure.ErrMark) {
		t.Errorf("a scalar gives %v, want %v", err, figure.ErrMark)
	}
	if err := vegalite.Write(&bytes.Buffer{}, &figure.Figure{Mark: queries.Bar}); !errors.Is(err, figure.ErrEmpty) {
		t.Errorf("a figure without panels gives %v, want %v", err, figure.ErrEmpty)
	}
}

// Points have their standard errors as bars, and the diagonal has data of its own; without the keys of the
// header there is neither.
func TestScatter(t *testing.T) {
	f := figuretest.Scatter(t, 6)
	dot := f.Frames[0].Panels[0].Clouds[0].Dots[1]
	row := parse(t, f).Data.Values[1]
	for key, want := range map[string]float64{"x_se": dot.XError, "x_low": dot.X - dot.XError, "x_high": dot.X + dot.XError,
		"y_se": dot.YError, "y_low": dot.Y - dot.YError, "y_high": dot.Y + dot.YError, "n": 30} {
		if row[key] != want {
			t.Errorf("%s of the second point is %v, want %v", key, row[key], want)
		}
	}
	low, high, _ := f.Frames[0].Panels[0].Diagonal()
	ends := fmt.Sprintf(`"data":{"values":[{"shown":"y = x","x":%[1]v,"y":%[1]v},{"x":%[2]v,"y":%[2]v}]}`, low, high)
	text := string(write(t, f))
	if strings.Count(text, ends) != 2 || strings.Count(text, `"type":"rule"`) != 2 {
		t.Errorf("%s\nwant %s for the diagonal and its name, and two rules", text, ends)
	}
	f.Diagonal = ""
	for i := range f.Frames[0].Panels[0].Clouds {
		for j := range f.Frames[0].Panels[0].Clouds[i].Dots {
			d := &f.Frames[0].Panels[0].Clouds[i].Dots[j]
			d.XError, d.YError = math.NaN(), math.NaN()
		}
	}
	if text := string(write(t, f)); strings.Contains(text, "y = x") || strings.Contains(text, "rule") || strings.Contains(text, "_se") {
		t.Errorf("%s\nwant neither bars nor the diagonal", text)
	}
}
