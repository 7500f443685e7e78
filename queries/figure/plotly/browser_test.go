package plotly_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure/figuretest"
	"ducklens/queries/figure/plotly"
)

// TestBrowser opens a page of every mark in a browser, from a file: nothing is wrong on the console, nothing
// is asked of the network, and hovering, clicking, the slider and the legend do their work. The same with
// hostile text.
func TestBrowser(t *testing.T) {
	figures := figuretest.All(t)
	for name, f := range figuretest.All(t) {
		figures[name+", hostile"] = figuretest.Rename(f, figuretest.Hostile)
	}
	names := slices.Sorted(maps.Keys(figures))
	dir := t.TempDir()
	var paths []string
	for i, name := range names {
		path := filepath.Join(dir, string(rune('a'+i))+".html")
		w, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := plotly.WriteHTML(w, figures[name]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	var found []struct {
		Errors, Requests, Buttons []string
		Dialogs, Toggled          int
		Text, Hover               string
		Clicked                   *struct{ Curve int }
		Slid                      bool
	}
	figuretest.Browse(t, &found, "testdata/browse.cjs", paths...)
	if len(found) != len(names) {
		t.Fatalf("%d pages seen, want %d", len(found), len(names))
	}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			got, f := found[i], figures[name]
			if len(got.Errors) > 0 || len(got.Requests) > 0 || got.Dialogs > 0 {
				t.Errorf("console %q, requests %q, %d dialogs; want none", got.Errors, got.Requests, got.Dialogs)
			}
			for _, title := range got.Buttons {
				if strings.Contains(strings.ToLower(title), "share") || strings.Contains(strings.ToLower(title), "cloud") {
					t.Errorf("there is a button %q, which would send the figure away", title)
				}
			}
			if len(f.Frames) > 1 && !got.Slid {
				t.Error("the slider changes nothing")
			}
			if n := len(f.Legend.Names); n > 0 {
				perEntry := map[queries.Mark]int{queries.Histogram: 2, queries.Bar: 1, queries.Line: 2, queries.Scatter: 2}[f.Mark]
				if got.Toggled != perEntry {
					t.Errorf("a click on the legend switches %d traces off, want %d", got.Toggled, perEntry)
				}
			}
			if f.Mark == queries.Heatmap || f.Mark == queries.Matrix {
				if got.Clicked == nil {
					t.Error("a click on a cell is no event")
				}
				if got.Hover == "" {
					t.Error("hovering shows nothing")
				}
			}
			if strings.HasSuffix(name, "hostile") {
				// The separator of lines is a space to a browser; all else is there, letter by letter.
				if want := `<script>alert(1)</script><b>&amp;</b> %{x} $x^2$ </title>`; !strings.Contains(got.Text, want) {
					t.Errorf("the figure shows %.300q, want %q in it", got.Text, want)
				}
			} else if f.Mark == queries.Heatmap && !strings.Contains(got.Hover, "standard error") {
				t.Errorf("hovering shows %q, want the standard error in it", got.Hover)
			}
		})
	}
}
