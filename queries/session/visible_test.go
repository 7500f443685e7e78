package session_test

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/figure/plotly"
	"ducklens/queries/figure/vegalite"
	"ducklens/queries/session"
)

// printedText matches the text that a reader of an SVG sees, without tooltips and metadata.
var printedText = regexp.MustCompile(`<text[^>]*>([^<]*)</text>`)

// words returns the text of the figure besides its values: titles, remarks, names of axes. All of it must be
// visible.
func words(t *testing.T, f *figure.Figure) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.WriteSVG(&b, figure.Options{Width: 12}); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, m := range printedText.FindAllStringSubmatch(b.String(), -1) {
		all.WriteString(m[1])
	}
	first := f.Frames[0].Panels[0]
	said := []string{f.Title, strings.Join(f.Lead(), " "), first.X.Title, first.Y.Title, f.Scale.Title, f.Legend.Title}
	plain := func(s string) string { return strings.NewReplacer(" ", "", "_", "", "&apos;", "'").Replace(s) }
	for _, text := range said {
		for word := range strings.FieldsSeq(text) {
			if !strings.Contains(plain(all.String()), plain(word)) {
				t.Errorf("%s: %q is not printed", f.Name, word)
			}
		}
	}
	return strings.Join(said, "\n")
}

// formats writes a figure in every format.
var formats = map[string]func(*figure.Figure, io.Writer) error{
	"svg":     func(f *figure.Figure, w io.Writer) error { return f.WriteSVG(w, figure.Options{}) },
	"png":     func(f *figure.Figure, w io.Writer) error { return f.WritePNG(w, figure.Options{DPI: 50}) },
	"pdf":     func(f *figure.Figure, w io.Writer) error { return f.WritePDF(w, figure.Options{}) },
	"html":    func(f *figure.Figure, w io.Writer) error { return plotly.WriteHTML(w, f) },
	"json":    func(f *figure.Figure, w io.Writer) error { return plotly.WriteJSON(w, f) },
	"vl.json": func(f *figure.Figure, w io.Writer) error { return vegalite.Write(w, f) },
}

// another returns a value of a parameter other than its default.
func another(p queries.Param) any {
	switch v := p.Default.(type) {
	case bool:
		return !v
	case int64:
		return v + 1
	case float64:
		return v / 2
	}
	return map[queries.ParamType]any{queries.TextParam: "another", queries.IntegerParam: int64(7), queries.DoubleParam: 0.25, queries.BooleanParam: true}[p.Type]
}

// TestParametersAreSeen checks that a figure shows every parameter that changes its numbers: with another
// value than the default, the title, the text below it or the axes of every shipped query differ, in every
// format.
func TestParametersAreSeen(t *testing.T) {
	t.Parallel()
	sample, sinks := open(t, session.Options{}), openFile(t, sinkFile(t), session.Options{})
	for _, q := range queries.Embedded() {
		if q.Chart.Mark == queries.Table || q.Chart.Mark == queries.Scalar {
			continue
		}
		t.Run(q.Name, func(t *testing.T) {
			s := sample
			if q.Name == "sink_components" {
				s = sinks
			}
			usual, err := s.Run(t.Context(), q, nil)
			if err != nil {
				t.Fatal(err)
			}
			plain := drawn(t, q, usual)
			said := words(t, plain)
			for _, p := range q.Params {
				var changed *figure.Figure
				if set, ok := map[string]string{"run": "1", "head": "2.0"}[p.Name]; ok { // shown by the facts
					result, err := s.Run(t.Context(), q, map[string]string{p.Name: set})
					if err != nil {
						t.Fatalf("%s = %s: %v", p.Name, set, err)
					}
					changed = drawn(t, q, result)
				} else { // the same rows, so that only the text can differ
					changed = drawn(t, q, rebound(usual, p.Name, another(p)))
				}
				if words(t, changed) == said {
					t.Errorf("%s: nothing in the figure tells that it is not at its default", p.Name)
				}
				differ(t, p.Name, plain, changed)
			}
		})
	}
}

// rebound returns the result as if a parameter had another value. A query may return the value of a parameter
// in a column of its name.
func rebound(r *queries.Result, param string, value any) *queries.Result {
	same := *r
	same.Bound = maps.Clone(r.Bound)
	same.Bound[param] = value
	if i := r.Index(param); i >= 0 {
		same.Rows = nil
		for _, row := range r.Rows {
			row = slices.Clone(row)
			row[i] = value
			same.Rows = append(same.Rows, row)
		}
	}
	return &same
}

// differ compares two figures in every format.
func differ(t *testing.T, param string, a, b *figure.Figure) {
	t.Helper()
	for name, write := range formats {
		var x, y bytes.Buffer
		if err := write(a, &x); err != nil {
			t.Fatal(err)
		}
		if err := write(b, &y); err != nil {
			t.Fatal(err)
		}
		same := bytes.Equal(x.Bytes(), y.Bytes())
		if name == "png" { // compare the pixels, because the metadata differ too
			same = reflect.DeepEqual(pixels(t, &x), pixels(t, &y))
		}
		if same {
			t.Errorf("%s: the .%s is the same with and without it", param, name)
		}
	}
}

func pixels(t *testing.T, r io.Reader) image.Image {
	t.Helper()
	img, err := png.Decode(r)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// drawn makes a figure without facts, which the metadata of a file would contain.
func drawn(t *testing.T, q queries.Query, r *queries.Result) *figure.Figure {
	t.Helper()
	f, err := figure.New(q, r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestEndlessTimes checks that infinite times print like in DuckDB.
func TestEndlessTimes(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	for _, kind := range []string{"DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"} {
		for _, sign := range []string{"", "-"} {
			got, err := ask(t.Context(), s, "SELECT x, [x] AS l FROM (SELECT '"+sign+"infinity'::"+kind+" AS x)", nil)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := queries.String(got.Rows[0][0]), queries.String(got.Rows[0][1]); a != sign+"infinity" || b != `["`+sign+`infinity"]` {
				t.Errorf("%s %sinfinity is %s and %s", kind, sign, a, b)
			}
		}
	}
	got, err := ask(t.Context(), s, "SELECT DATE '2020-01-02', TIMESTAMP '2020-01-02 03:04:05'", nil)
	if err != nil || queries.String(got.Rows[0][0]) != "2020-01-02" || queries.String(got.Rows[0][1]) != "2020-01-02 03:04:05" {
		t.Errorf("%v, %v", got, err)
	}
}
