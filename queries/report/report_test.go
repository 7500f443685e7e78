package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/figure/figuretest"
	"ducklens/queries/figure/plotly"
	"ducklens/queries/report"
)

// input is a small report with one of everything.
func input(t *testing.T) report.Input {
	t.Helper()
	heatmap := figuretest.Heatmap(t, 4, 3, figuretest.Quadrants[:2], []string{"first", "second"})
	drill := [][]*report.Drill{{{Cells: map[string][]report.Driver{"MLP0": {{Prompt: 7, Value: 0.5, Share: 60}, {Prompt: 3, Value: -0.25, Share: math.NaN()}}}}, nil}, {nil, nil}}
	source := report.Source{Name: "key_quadrants", Description: "what it is", SQL: "SELECT 1", Parameters: []report.Fact{{Name: "run", Value: "1"}}}
	nan := math.NaN()
	return report.Input{
		Title: "Head 10.7: W_U[IO]", Subtitle: "gpt2", Run: []report.Fact{{Name: "model", Value: "gpt2"}},
		Closure: report.Closure{Judged: true, OK: true, Scores: 300, Worst: 2.4e-6, Relative: 2.4e-6, Tolerance: 1e-4, WorstPrompt: 7, WorstHead: "10.7", Source: source},
		Headlines: []report.Headline{
			{Title: "share of MLP0", Percent: 23.48, Error: 0.4, Low: 22.7, High: 24.2, NullLow: -0.1, NullHigh: 0.2, Level: 0.95, Count: 50, NullCount: 20, Denominator: "mean score", Source: source},
			{Title: "share of MLPs", Percent: -3.2, Error: 0.4, Low: nan, High: nan, NullLow: nan, NullHigh: nan, Level: nan, Source: source},
		},
		Figures: []report.Figure{{Figure: heatmap, Source: source, Drill: drill}, {Figure: figuretest.Histogram(t, 30), Source: report.Source{Name: "scores", SQL: "SELECT 2"}}},
		Tables: []report.Table{{Title: "cosines", Source: source, Result: &queries.Result{
			Columns: []queries.Column{{Name: "head", Type: queries.Text}, {Name: "cosine", Type: queries.Float}},
			Rows:    [][]any{{"9.9", -0.123456789}, {"9.6", nil}},
		}}},
		Prompts: []report.Prompt{
			{ID: 3, Score: 1, Baseline: nan, Prob: 0.5, Tokens: []report.Token{{Text: "Mary", Prob: 0.5, Role: report.KeyRole}, {Text: "\n", Prob: 0.5, Role: report.QueryRole}}},
			{ID: 7, Score: 2, Baseline: 0.5, Prob: 0.25, Tokens: []report.Token{{Text: "John", Prob: 0.25, Role: report.BaselineRole}, {Text: " to", Prob: nan}}},
		},
		PromptCount: 300, Notes: []report.Note{{Title: "Note.", Text: "a text"}}, LeftOut: []report.Note{{Title: "pair_matrix", Text: "no pairs"}},
		Provenance: []report.Fact{{Name: "fingerprint", Value: "0f1e2d3c"}},
	}
}

// write writes a report and gives it without plotly.js.
func write(t *testing.T, in report.Input) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Write(&b, in); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(b.String(), plotly.Script(), "", 1)
}

// data are the page's data.
type data struct {
	Figures []struct {
		Plot   map[string]any
		Labels []map[string]string
		Drill  [][]map[string][][3]*float64
	}
	Prompts []struct {
		ID     int64
		Tokens []string
		Probs  []float64
		Roles  []int
		Diff   *float64
	}
}

var dataPattern = regexp.MustCompile(`(?s)<script type="application/json" id="report-data">(.*?)</script>`)

func parse(t *testing.T, page string) data {
	t.Helper()
	var d data
	if err := json.Unmarshal([]byte(dataPattern.FindStringSubmatch(page)[1]), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWrite(t *testing.T) {
	in := input(t)
	in.Findings = []report.Finding{{Text: "a finding"}}
	page := write(t, in)
	for _, want := range []string{
		"<h1>Head 10.7: W<sub>U</sub>[IO]</h1>", "<dt>model</dt><dd>gpt2</dd>", "<b>Yes.</b> In each of 300 scores", "2.4×10⁻⁶",
		"23.5 %", "95 % interval: 22.7 to 24.2 %", "random directions: −0.10 to 0.20 % (20 pairs)", "100 % is the mean score",
		"−3.2 %", "standard error: 0.40 percentage points", "random directions: the run has none",
		"<pre>SELECT 2</pre>", "run = 1", "−0.12346", "<dt>pair_matrix</dt><dd>no pairs</dd>", `<meta name="ducklens:fingerprint" content="0f1e2d3c">`,
		"2 of 300 prompts", "<b>Note.</b> a text",
		">a finding</p>", "does not say how the score would change without the component", "<code>ducklens ablate</code> measure that",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	d := parse(t, page)
	if len(d.Figures) != 2 || d.Figures[1].Drill != nil {
		t.Fatalf("%d figures", len(d.Figures))
	}
	// MLP0 of the first panel of the first frame: the prompts by their place in the list, values, shares.
	var at string
	for where, label := range d.Figures[0].Labels[0] {
		if label == "MLP0" {
			at = where
		}
	}
	list := d.Figures[0].Drill[0][0][at]
	if len(list) != 2 || *list[0][0] != 1 || *list[0][1] != 0.5 || *list[0][2] != 60 || *list[1][0] != 0 || list[1][2] != nil {
		t.Errorf("behind MLP0 at %s: %v", at, list)
	}
	p := d.Prompts[1]
	if p.ID != 7 || fmt.Sprint(p.Roles, p.Probs) != "[2 0] [0.25 0]" || *p.Diff != 1.5 || d.Prompts[0].Diff != nil {
		t.Errorf("prompt %+v", p)
	}
	if again := write(t, in); again != page {
		t.Error("two pages of the same input differ")
	}
}

// TestClosure holds that a run that does not add up says so first of all.
func TestClosure(t *testing.T) {
	in := input(t)
	in.Closure.OK, in.Closure.Worst, in.Closure.Relative = false, 0.5, 0.25
	if page := write(t, in); !strings.Contains(page, "<b>No.</b>") || !strings.Contains(page, "prompt 7, head 10.7") || strings.Contains(page, "<b>Yes.</b>") {
		t.Error("a run that does not add up is not named")
	}
	in.Closure.Judged = false
	if page := write(t, in); !strings.Contains(page, "<b>Not promised.</b>") || strings.Contains(page, "<b>No.</b>") {
		t.Error("a notebook run is judged")
	}
}

// TestText holds that text stays text, and that the page runs three scripts, whatever is in it.
func TestText(t *testing.T) {
	in := input(t)
	h := figuretest.Hostile
	source := report.Source{Name: h, Description: h, SQL: h, Parameters: []report.Fact{{Name: h, Value: h}}}
	in.Title, in.Subtitle, in.Run, in.Notes, in.LeftOut, in.Provenance = h, h, []report.Fact{{Name: h, Value: h}}, []report.Note{{Title: h, Text: h}}, []report.Note{{Title: h, Text: h}}, []report.Fact{{Name: h, Value: h}}
	in.Closure.WorstHead, in.Closure.Source, in.Closure.Judged = h, source, false
	in.Headlines[0].Title, in.Headlines[0].Denominator, in.Headlines[0].Source = h, h, source
	in.Figures[0].Source, in.Figures[0].Drill = source, nil
	figuretest.Rename(in.Figures[0].Figure, h)
	in.Tables[0].Title, in.Tables[0].Source, in.Tables[0].Result.Columns[0].Name, in.Tables[0].Result.Rows[0][0] = h, source, h, h
	in.Prompts[0].Tokens[0].Text = h
	page := write(t, in)
	for _, bad := range []string{"<script>alert", "</title>\u2028"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if got := strings.Count(page, "<script"); got != 3 {
		t.Errorf("%d script elements, want 3", got)
	}
	if got := parse(t, page).Prompts[0].Tokens[0]; got != h {
		t.Errorf("the token is %q, want %q", got, h)
	}
}

// TestPolicy holds that the page may run its own scripts and nothing else, and reach nothing.
func TestPolicy(t *testing.T) {
	page := write(t, input(t))
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if policy == nil {
		t.Fatal("no policy")
	}
	if got := strings.Count(policy[1], "sha256-"); got != 2 || !strings.HasPrefix(policy[1], "default-src &#39;none&#39;; script-src &#39;sha256-") {
		t.Errorf("policy %s", policy[1])
	}
	for _, bad := range []string{"http:", "https:", "connect-src", "unsafe-eval"} {
		if strings.Contains(policy[1], bad) {
			t.Errorf("policy %s holds %s", policy[1], bad)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*report.Input)
		want  string
	}{
		"prompt that is not there": {func(in *report.Input) { in.Prompts = in.Prompts[:1] }, "cell MLP0: prompt 7 is not among the prompts"},
		"prompt given twice":       {func(in *report.Input) { in.Prompts[1].ID = 3 }, "prompt 3 is given twice"},
		"frames":                   {func(in *report.Input) { in.Figures[0].Drill = in.Figures[0].Drill[:1] }, "drivers of 1 frames, want 2"},
		"panels":                   {func(in *report.Input) { in.Figures[0].Drill[1] = nil }, "drivers of 0 panels, want 2"},
		"figure":                   {func(in *report.Input) { in.Figures[0].Figure.Frames = nil }, "no panels"},
	} {
		in := input(t)
		c.spoil(&in)
		var b bytes.Buffer
		if err := report.Write(&b, in); err == nil || !strings.Contains(err.Error(), c.want) || b.Len() > 0 {
			t.Errorf("%s: %v and %d bytes, want %q and none", name, err, b.Len(), c.want)
		}
	}
	if err := report.Write(failing{}, input(t)); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("on a full disk: %v", err)
	}
}

// failing is a disk that is full.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// A report of nothing but a title is a page all the same.
func ExampleWrite() {
	var page bytes.Buffer
	err := report.Write(&page, report.Input{Title: "Head 10.7"})
	fmt.Println(err, strings.Contains(page.String(), "<h1>Head 10.7</h1>"))
	// Output:
	// <nil> true
}

// A share a little below zero is 0 where it is rounded, and so is the tick at zero.
func TestNothingIsMinusZero(t *testing.T) {
	in := input(t)
	in.Headlines[0].Percent, in.Headlines[0].Low = -0.004, -0.003
	page := write(t, in)
	if strings.Contains(page, "−0 %") || strings.Contains(page, "−0.00") {
		t.Error("the page has a −0")
	}
	if !strings.Contains(page, ">0 %<") {
		t.Error("the page has no tick at 0 %")
	}
}
