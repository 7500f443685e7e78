package queries_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
)

// twoSided is a query with the parameters that may have several values, and one that takes a list.
func twoSided() queries.Query {
	return queries.Query{
		Name: "q", Title: "Head {head}",
		Params: []queries.Param{{Name: "head"}, {Name: "heads"}, {Name: "key_basis", Default: "mlp0"}, {Name: "subtract", Type: queries.BooleanParam, Default: false}},
		Chart:  queries.Chart{Mark: queries.Heatmap, X: "x", Y: "y", Fill: "v"},
	}
}

func TestSeveral(t *testing.T) {
	t.Parallel()
	q := twoSided()
	for _, c := range []struct {
		set   map[string]string
		param string
		n     int
		want  string // part of the error
	}{
		{map[string]string{"head": "10.7"}, "", 1, ""},
		{map[string]string{"head": "10.7, 11.10"}, "head", 2, ""},
		{map[string]string{"heads": "9.9,9.6"}, "", 1, ""},
		{map[string]string{"key_basis": "mlp0,effective", "heads": "9.9,9.6"}, "key_basis", 2, ""},
		{map[string]string{"head": "10.7,", "heads": ""}, "", 0, "empty name"},
		{map[string]string{"head": `"a, b",c`}, "head", 2, ""},
		{map[string]string{"head": "1.0,1.1", "subtract": "true,false"}, "", 0, "head and subtract have several values each"},
	} {
		param, sets, err := q.Several(c.set)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: error %v, want %q", c.set, err, c.want)
			}
			continue
		}
		if err != nil || param != c.param || len(sets) != c.n {
			t.Errorf("%v: %q, %v, %v; want %q and %d", c.set, param, sets, err, c.param, c.n)
		}
		if param == "head" && sets[0]["head"] != "a, b" && (sets[0]["head"] != "10.7" || sets[1]["head"] != "11.10") {
			t.Errorf("sets %v", sets)
		}
	}
}

// TestSideBySide checks that results for several values become panels, or frames if panels are in use, and
// that titles name all values.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	answer := func(head string) *queries.Result {
		return &queries.Result{
			Columns: []queries.Column{{Name: "x", Type: queries.Integer}, {Name: "y", Type: queries.Integer}, {Name: "v", Type: queries.Float}, {Name: "panel", Type: queries.Text}, {Name: "frame", Type: queries.Text}},
			Rows:    [][]any{{int64(0), int64(0), 1.5, "p", "f"}, {int64(0), int64(1), 2.5, "p", "f"}},
			Facts:   []queries.Fact{{Name: "run", Value: "1"}, {Name: "head", Value: head}},
			Bound:   map[string]any{"head": head},
		}
	}
	for _, c := range []struct {
		facet, frame         string // of the query
		wantFacet, wantFrame string
		name                 string // of the last row
	}{
		{"", "", "asked_for", "", "head 11.10"},
		{"panel", "", "panel", "asked_for", "head 11.10"},
		{"", "frame", "asked_for", "frame", "head 11.10"},
		{"panel", "frame", "panel", "asked_for", "head 11.10: f"},
	} {
		q := twoSided()
		q.Chart.Facet, q.Chart.Frame = c.facet, c.frame
		got, all, err := q.SideBySide("head", []*queries.Result{answer("L10H7"), answer("L11H10")})
		if err != nil {
			t.Fatal(err)
		}
		if got.Chart.Facet != c.wantFacet || got.Chart.Frame != c.wantFrame {
			t.Errorf("%+v: facet %q, frame %q", c, got.Chart.Facet, got.Chart.Frame)
		}
		last := all.Rows[len(all.Rows)-1]
		if len(all.Rows) != 4 || last[0] != c.name {
			t.Errorf("%+v: rows %v", c, all.Rows)
		}
		if title, err := all.Expand(got.Title); err != nil || title != "Head 10.7 and 11.10" {
			t.Errorf("title %q, %v", title, err)
		}
		if settings := got.Settings(all.Bound); len(settings) != 0 {
			t.Errorf("settings %v, want none: the panels tell", settings)
		}
	}
	none, noneOther := answer("L1H1"), answer("L1H2")
	none.Rows, noneOther.Rows = nil, nil
	if _, _, err := twoSided().SideBySide("head", []*queries.Result{answer("L10H7"), answer("L10H7")}); err == nil || !strings.Contains(err.Error(), "twice, want it once") {
		t.Errorf("the same value twice: %v", err)
	}
	if _, _, err := twoSided().SideBySide("head", []*queries.Result{answer("L10H7"), none}); err == nil || !strings.Contains(err.Error(), "no rows for head 1.1") {
		t.Errorf("an answer without rows: error %v", err)
	}
	if _, all, err := twoSided().SideBySide("head", []*queries.Result{none, noneOther}); err != nil || len(all.Rows) != 0 {
		t.Errorf("no answer has rows: %v", err)
	}
	other := answer("L1H1")
	other.Columns = other.Columns[:3]
	if _, _, err := twoSided().SideBySide("head", []*queries.Result{answer("L10H7"), other}); err == nil || !strings.Contains(err.Error(), "different columns") {
		t.Errorf("error %v", err)
	}
}

// TestSideBySideRuns checks that panels of runs show how the runs differ.
func TestSideBySideRuns(t *testing.T) {
	t.Parallel()
	answer := func(run int64, processing string) *queries.Result {
		return &queries.Result{
			Columns: []queries.Column{{Name: "x", Type: queries.Integer}, {Name: "y", Type: queries.Integer}, {Name: "v", Type: queries.Float}},
			Rows:    [][]any{{int64(0), int64(0), 1.5}},
			Facts:   []queries.Fact{{Name: "model", Value: "gpt2"}, {Name: "processing", Value: processing}, {Name: "precision", Value: "float32"}},
			Bound:   map[string]any{"run": run},
		}
	}
	for other, want := range map[string]string{"raw": "run 1 (processed)", "processed": "run 1"} {
		_, all, err := twoSided().SideBySide("run", []*queries.Result{answer(1, "processed"), answer(2, other)})
		if err != nil {
			t.Fatal(err)
		}
		if got := all.Rows[0][0]; got != want {
			t.Errorf("beside a run with weights %s: %q, want %q", other, got, want)
		}
	}
}

// TestSideBySideAligns checks that components of the same name have the same place, although a model with
// more heads has its MLPs in another column.
func TestSideBySideAligns(t *testing.T) {
	t.Parallel()
	answer := func(run int64, names ...string) *queries.Result {
		r := &queries.Result{Bound: map[string]any{"head": run}, Columns: []queries.Column{{Name: "x", Type: queries.Integer}, {Name: "y", Type: queries.Integer},
			{Name: "v", Type: queries.Float}, {Name: "name", Type: queries.Text}, {Name: "whole", Type: queries.Float}, {Name: "measure", Type: queries.Text}}}
		for i, name := range names {
			r.Rows = append(r.Rows, []any{int64(i), int64(0), 1.5, name, float64(len(names)), fmt.Sprintf("of %d", run)})
		}
		return r
	}
	q := twoSided()
	q.Chart.XTick, q.Chart.Whole, q.Chart.XTitle = "name", "whole", "{measure}"
	got, all, err := q.SideBySide("head", []*queries.Result{answer(1, "H0", "MLP", "b_O"), answer(2, "H0", "H1", "H2", "MLP")})
	if err != nil {
		t.Fatal(err)
	}
	x, name, whole := all.Index("x"), all.Index("name"), all.Index("whole")
	want := map[string]int64{"H0": 0, "H1": 1, "H2": 2, "MLP": 3, "b_O": 4}
	for _, row := range all.Rows {
		if row[x] != want[row[name].(string)] || row[whole] != 7.0 {
			t.Errorf("row %v, want place %d and a whole of 7", row, want[row[name].(string)])
		}
	}
	if title, err := all.Expand(got.Chart.XTitle); err != nil || title != "of 1 and of 2" {
		t.Errorf("title %q, %v", title, err)
	}
}

// TestSettings checks that a parameter with another value than its default is described by the header's
// phrase, or as NAME = VALUE.
func TestSettings(t *testing.T) {
	t.Parallel()
	q := twoSided()
	q.Phrases = []queries.Phrase{{Param: "subtract", Value: "true", Text: "baseline subtracted"}, {Param: "key_basis", Text: "keys split along {value}"}}
	bound := map[string]any{"head": "L10H7", "heads": nil, "key_basis": "effective", "subtract": true}
	var texts []string
	for _, s := range q.Settings(bound) {
		texts = append(texts, s.Text)
	}
	if want := []string{"head = 10.7", "keys split along effective", "baseline subtracted"}; !slices.Equal(texts, want) {
		t.Errorf("settings %q, want %q", texts, want)
	}
	bound = map[string]any{"head": nil, "heads": nil, "key_basis": "mlp0", "subtract": false}
	if settings := q.Settings(bound); len(settings) != 0 {
		t.Errorf("settings %v, want none: all are at their defaults", settings)
	}
}

func TestHeadName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"L10H7": "10.7", "L0H0": "0.0", "10.7": "10.7", "MLP3": "MLP3", "L10H7 output": "L10H7 output", "LH": "LH", "L1H": "L1H", "xL1H2": "xL1H2", "": ""} {
		if got := queries.HeadName(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestExpandChoices(t *testing.T) {
	t.Parallel()
	r := &queries.Result{Columns: []queries.Column{{Name: "yes"}, {Name: "no"}, {Name: "none"}}, Rows: [][]any{{true, false, nil}}, Bound: map[string]any{"basis": "mlp0"}}
	for text, want := range map[string]string{
		"score{yes? difference|}": "score difference", "{no?difference|score}": "score", "{none?a|b}": "b", "along {basis}": "along mlp0", "{basis?a|b}": "a / b",
	} {
		if got, err := r.Expand(text); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"{yes?a}", "{?a|b}", "{yes?{no}|b}"} {
		if _, err := r.Expand(text); err == nil || !strings.Contains(err.Error(), "braces only as") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

// TestManual checks that the manual names every key, and that its example can be parsed.
func TestManual(t *testing.T) {
	t.Parallel()
	manual := queries.Manual()
	for _, key := range queries.Keys() {
		if !strings.Contains(manual, "\n  "+key+" ") {
			t.Errorf("key %s is not in the manual", key)
		}
	}
	var example strings.Builder
	for line := range strings.Lines(manual) {
		if strings.HasPrefix(line, "  -- ") || strings.HasPrefix(line, "  SELECT") || strings.HasPrefix(line, "  WHERE") {
			example.WriteString(strings.TrimPrefix(line, "  "))
		}
	}
	if _, err := queries.Parse(example.String()); err != nil {
		t.Errorf("%v in\n%s", err, example.String())
	}
}

func TestInfer(t *testing.T) {
	t.Parallel()
	columns := []queries.Column{{Name: "head", Type: queries.Text}, {Name: "score", Type: queries.Float}, {Name: "prob", Type: queries.Float}, {Name: "layer", Type: queries.Integer}}
	for mark, want := range map[queries.Mark]queries.Chart{
		queries.Scatter:   {X: "score", Y: "prob"},
		queries.Histogram: {X: "score"},
		queries.Bar:       {X: "head", Y: "score"},
		queries.Line:      {X: "head", Y: "score"},
		queries.Heatmap:   {X: "head", Y: "score", Fill: "prob"},
	} {
		c := queries.Chart{Mark: mark}
		c.Infer(&queries.Result{Columns: columns})
		if c.X != want.X || c.Y != want.Y || c.Fill != want.Fill {
			t.Errorf("%v: %q over %q, %q; want %+v", mark, c.Y, c.X, c.Fill, want)
		}
	}
	c := queries.Chart{Mark: queries.Scatter, X: "prob"}
	if c.Infer(&queries.Result{Columns: columns}); c.X != "prob" || c.Y != "score" {
		t.Errorf("%q over %q, want score over prob", c.Y, c.X)
	}
	c = queries.Chart{Mark: queries.Bar, X: "score", XTitle: "length", Y: "head"} // x is the length, as seen in the figure
	if c.Infer(&queries.Result{Columns: columns}); c.X != "head" || c.Y != "score" || c.YTitle != "length" {
		t.Errorf("bars of %q for %q, %q, want score for head, length", c.Y, c.X, c.YTitle)
	}
}
