package report_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure/figuretest"
	"ducklens/queries/report"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/schematest"
)

// open makes a file with a run of made-up values that has rows in every table, and opens it.
func open(t *testing.T) *session.Session {
	t.Helper()
	db := schematest.NewDB(t)
	schematest.Full(t, db, 5, 6, schema.Head{Layer: 2, Index: 1}, schema.Head{Layer: 2, Index: 0})
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := session.Open(t.Context(), db.Path(), session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestCollect holds that the report has every shipped query, and behind every cell of a shipped heatmap
// prompts that add up.
func TestCollect(t *testing.T) {
	s := open(t)
	in, err := report.Collect(t.Context(), s, report.Options{Head: "2.0", Provenance: []report.Fact{{Name: "fingerprint", Value: "abc"}}, Drivers: 6,
		Another: func(head string) string { return "report of " + head }})
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range in.LeftOut {
		t.Logf("left out: %s: %s", left.Title, left.Text)
	}
	if !strings.HasPrefix(in.Title, "Head 2.0") || len(in.Prompts) != 6 || in.PromptCount != 6 {
		t.Errorf("%s: %d of %d prompts", in.Title, len(in.Prompts), in.PromptCount)
	}
	if !in.Closure.Judged || !in.Closure.OK || in.Closure.Scores != 12 {
		t.Errorf("closure %+v", in.Closure)
	}
	if in.Closure.Of != "2 heads on 6 prompts" {
		t.Errorf("closure of %q", in.Closure.Of)
	}
	if want := "This page is about head 2.0. The run has 2 heads: 2.1, 2.0."; in.Heads != want || in.Another.Text != "report of 2.1" {
		t.Errorf("heads %q, another %+v, want %q", in.Heads, in.Another, want)
	}
	checkFindings(t, s, in)
	headlines := map[string]report.Headline{}
	for _, h := range in.Headlines {
		headlines[h.Source.Name] = h
	}
	if h := headlines["pct_explained_mlp0"]; !(h.Low <= h.Percent && h.Percent <= h.High) || math.IsNaN(h.NullLow) || h.Level != 0.95 || h.NullCount != 2 || h.Count != 6 {
		t.Errorf("pct_explained_mlp0: %+v", h)
	}
	drilled := map[string]bool{}
	for _, f := range in.Figures {
		for i := range f.Drill {
			for j, drill := range f.Drill[i] {
				panel := f.Figure.Frames[i].Panels[j]
				if drill == nil {
					t.Errorf("%s, %q, %q: no drivers", f.Source.Name, f.Figure.Frames[i].Name, panel.Name)
					continue
				}
				drilled[f.Source.Name] = true
				for _, c := range panel.Cells {
					// All six prompts are listed, so that their mean is the cell.
					list, sum := drill.Cells[c.Label], 0.0
					for _, d := range list {
						sum += d.Value
					}
					if mean := sum / float64(len(list)); int64(len(list)) != c.Count || math.Abs(mean-c.Value) > 1e-6 {
						t.Fatalf("%s, %q, %q, %s: %d prompts with the mean %v, want %d and %v",
							f.Source.Name, f.Figure.Frames[i].Name, panel.Name, c.Label, len(list), mean, c.Count, c.Value)
					}
				}
			}
		}
		if f.Figure.Facts[len(f.Figure.Facts)-1].Name != "sql" || len(f.Source.Parameters) == 0 {
			t.Errorf("%s: facts %v, parameters %v", f.Source.Name, f.Figure.Facts, f.Source.Parameters)
		}
	}
	for _, name := range []string{"key_components", "query_components", "key_components_unembed_query", "key_quadrants", "query_quadrants"} {
		if !drilled[name] {
			t.Errorf("%s has no prompts behind its cells", name)
		}
	}
	answered := len(in.Figures) + len(in.Tables) + len(in.Headlines) + len(in.LeftOut) + 2 // closure and drill_down
	if answered != len(queries.Embedded()) {
		t.Errorf("%d queries answered or left out, want %d", answered, len(queries.Embedded()))
	}
}

// checkFindings holds that the report begins with what the run shows, in numbers that the file has, and has
// the figures of the first questions first, the others folded away.
func checkFindings(t *testing.T, s *session.Session, in report.Input) {
	t.Helper()
	if len(in.Findings) != 5 || !strings.HasPrefix(in.Findings[0].Text, "Head 2.0 attends from the query to the key with probability ") {
		t.Fatalf("findings %+v", in.Findings)
	}
	for i, want := range []string{1: "wrote at the key rather than at the baseline", 2: "the key and the baseline held fixed",
		3: "; ∥ is the part along unembed+baseline at the query, along mlp0 at the key, and ⊥ the rest"} {
		if !strings.HasSuffix(in.Findings[i].Text, want) && !strings.Contains(in.Findings[i].Text, want+":") {
			t.Errorf("finding %d: %q, want %q in it", i, in.Findings[i].Text, want)
		}
	}
	q, err := queries.AdHoc("SELECT component, mean_diff, se_diff FROM component_mean WHERE run_id = 1 AND head = 'L2H0' AND side = 'key' ORDER BY abs(mean_diff) DESC")
	if err != nil {
		t.Fatal(err)
	}
	means, err := s.Run(t.Context(), q, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, row := range means.Rows {
		sum += row[1].(float64)
	}
	for i, p := range in.Findings[1].Parts {
		row := means.Rows[i]
		if p.Name != row[0] || math.Abs(p.Mean-row[1].(float64)) > 1e-9 || math.Abs(p.Error-row[2].(float64)) > 1e-9 || math.Abs(p.Percent-100*p.Mean/sum) > 1e-9 {
			t.Errorf("key side, part %d: %+v, want %v of %v", i, p, row, sum)
		}
	}
	if got := len(in.Findings[1].Parts); got != 3 {
		t.Errorf("%d parts, want 3", got)
	}
	if p := in.Findings[4].Parts[0]; !(p.Low < p.Percent && p.Percent < p.High) || math.IsNaN(p.NullLow) {
		t.Errorf("directions: %+v", p)
	}
	var first []string
	for _, f := range in.Figures {
		if !f.More {
			first = append(first, f.Source.Name)
		}
	}
	if got, want := strings.Join(first, " "), "key_components query_components top_pairs basis_shares query_substitution_scores"; got != want || in.Figures[0].More {
		t.Errorf("first figures %s, want %s", got, want)
	}
	for i := 1; i < len(in.Headlines); i++ {
		if math.Abs(in.Headlines[i].Percent) > math.Abs(in.Headlines[i-1].Percent) {
			t.Error("shares of routes do not fall")
		}
	}
}

// TestCollectLeavesOut holds that a broken query of a stranger costs itself and not the report, and that an
// unknown head costs it.
func TestCollectLeavesOut(t *testing.T) {
	s := open(t)
	broken, err := queries.Parse("-- name: broken\n-- title: Broken\n-- description: asks for what is not there\n-- chart: table\n\nSELECT no_such_column FROM run\n")
	if err != nil {
		t.Fatal(err)
	}
	in, err := report.Collect(t.Context(), s, report.Options{Queries: []queries.Query{broken}})
	if err != nil || len(in.LeftOut) != 1 || in.LeftOut[0].Title != "broken" || !strings.Contains(in.LeftOut[0].Text, "no_such_column") {
		t.Errorf("left out %v, %v", in.LeftOut, err)
	}
	if _, err := report.Collect(t.Context(), s, report.Options{Head: "9.9"}); !errors.Is(err, session.ErrUnknown) {
		t.Errorf("an unknown head gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := report.Collect(ctx, s, report.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled report gives %v", err)
	}
}

// TestBrowser reads a report in a browser, from a file: moves the slider, toggles the legend, clicks a cell,
// sorts and finds prompts. Nothing may be wrong on the console, and nothing may be asked of the network.
func TestBrowser(t *testing.T) {
	in, err := report.Collect(t.Context(), open(t), report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in.Title = figuretest.Hostile
	in.Prompts[0].Tokens[0].Text = figuretest.Hostile
	in.Figures = append(in.Figures, report.Figure{Figure: figuretest.Histogram(t, 30), Source: report.Source{Name: "legend"}})
	path := filepath.Join(t.TempDir(), "report.html")
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Write(w, in); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Errors, Requests, Buttons  []string
		Covered                    []string
		Dialogs, Plots, Toggled    int
		Slid                       bool
		Heading, Drill, DrillAfter string
		Roles, Rows, Found         int
		First, Sorted              string
		Pages                      int
		Paper                      struct {
			Wide, Tall, Breaks []string
			Colours            string
			Folds              int
			Shown              bool
		}
	}
	figuretest.Browse(t, &got, "testdata/browse.cjs", path)
	if len(got.Errors) > 0 || len(got.Requests) > 0 || got.Dialogs > 0 {
		t.Errorf("console %q, requests %q, %d dialogs; want none", got.Errors, got.Requests, got.Dialogs)
	}
	for _, title := range got.Buttons {
		if strings.Contains(strings.ToLower(title), "share") {
			t.Errorf("there is a button %q, which would send the figure away", title)
		}
	}
	if len(got.Covered) > 0 {
		t.Errorf("buttons lie on %q, want none", got.Covered)
	}
	if got.Plots != len(in.Figures) {
		t.Errorf("%d figures are drawn, want %d", got.Plots, len(in.Figures))
	}
	if !got.Slid {
		t.Error("the slider changes nothing")
	}
	if got.Toggled != 2 {
		t.Errorf("a click on the legend switches %d traces off, want 2", got.Toggled)
	}
	if !strings.Contains(got.Drill, "The prompts behind") || !strings.Contains(got.Drill, "share of the sum") {
		t.Errorf("a click on a cell shows %.200q", got.Drill)
	}
	if got.DrillAfter == "" || got.DrillAfter == got.Drill {
		t.Errorf("the same cell in another frame shows %.200q again", got.DrillAfter)
	}
	if got.Roles == 0 {
		t.Error("no token is marked as key, baseline or query")
	}
	if got.Rows != len(in.Prompts) || got.Found != 1 {
		t.Errorf("%d prompts, %d found; want %d and 1", got.Rows, got.Found, len(in.Prompts))
	}
	if got.First == got.Sorted {
		t.Errorf("a click on a column leaves prompt %s first", got.First)
	}
	paper := got.Paper
	if len(paper.Wide) > 0 || len(paper.Tall) > 0 || len(paper.Breaks) > 0 {
		t.Errorf("on paper, cut off at the right: %q; higher than a page: %q; may be cut by the end of a page: %q; want none", paper.Wide, paper.Tall, paper.Breaks)
	}
	if paper.Colours != "exact" || !paper.Shown {
		t.Errorf("on paper, colours %q, want exact; says how many prompts are shown: %t", paper.Colours, paper.Shown)
	}
	if paper.Folds != 1 {
		t.Errorf("on paper, %d folds are seen, want the one that is open", paper.Folds)
	}
	if got.Pages < 5 {
		t.Errorf("%d pages of paper, want one for every few figures", got.Pages)
	}
	if !strings.Contains(got.Heading, "<script>alert(1)</script>") {
		t.Errorf("the heading is %q", got.Heading)
	}
}
