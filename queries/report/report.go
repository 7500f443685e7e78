// Package report writes one page about a run: what was run, whether it adds up, the headline percentages,
// every figure with its SQL, and the prompts, which a click on a cell of a heatmap leads to. The page
// contains its data and plotly.js, works from a file, and makes no requests to the network.
//
// [Write] writes a page from plain values, an [Input]. [Collect] makes an Input by running saved queries on a
// run file.
//
// Texts come from run files and saved queries of strangers, and stay text: html/template escapes what is in
// the page, and the page's scripts insert data as text. The same Input gives the same bytes.
package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/figure/plotly"
)

// Input is everything that a report says.
type Input struct {
	Title, Subtitle string
	Heads           string // which heads the run has; "": only the one of the report
	Another         Note   // command that makes the page about another head
	Run             []Fact // what was run
	Findings        []Finding
	Closure         Closure
	Headlines       []Headline
	Figures         []Figure
	Tables          []Table
	Prompts         []Prompt
	PromptCount     int64 // of the run; Prompts may have fewer
	Notes           []Note
	LeftOut         []Note // what was asked for and could not be shown, with the reason
	Provenance      []Fact // below the page, for example the file's fingerprint
}

// Fact is one thing to know about a run.
type Fact struct{ Name, Value string }

// Note is a text with a heading.
type Note struct{ Title, Text string }

// Source says how an answer was obtained.
type Source struct {
	Name        string // of the saved query
	Description string
	SQL         string
	Parameters  []Fact // as they were bound
	Explore     string // command that shows what explains the answer; or ""
}

// Closure says whether the contributions add up to the scores.
type Closure struct {
	Judged      bool    // whether the run's convention promises it
	OK          bool    // whether every score is within the tolerance, and none lacks contributions
	Scores      int64   // how many were compared: prompts x target heads
	Of          string  // such as "2 heads on 30 prompts"; "": not said
	Lacking     int64   // of those, how many lack the contributions of a side and pair of bases
	Worst       float64 // largest distance, score units
	Relative    float64 // largest distance / [schema.ClosureScale]
	Tolerance   float64 // bound for Relative
	WorstPrompt int64
	WorstHead   string
	Source      Source
}

// Headline is a percentage and its uncertainty. Unknown numbers are NaN.
type Headline struct {
	Title             string
	Percent           float64
	Error             float64 // standard error, percentage points
	Low, High         float64 // interval of the value at Level
	NullLow, NullHigh float64 // the same for random directions
	Level             float64 // for example 0.95
	Count             int64   // prompts
	NullCount         int64   // pairs of random directions
	Denominator       string  // what is 100 %, with its value
	Doubt             string  // says that this is too close to 0, or is empty
	Source            Source
}

// Figure is a figure and the query that it answers.
type Figure struct {
	Figure *figure.Figure
	Source Source
	More   bool // collapsed until a reader opens it
	// Drill has, for each frame and panel of a heatmap, the prompts that drive its cells. It is nil, or nil
	// for a panel, if there are none.
	Drill [][]*Drill
}

// Drill lists the prompts that contribute most to each cell of a panel, largest first.
type Drill struct {
	Cells map[string][]Driver // by the cell's label
}

// Driver is one prompt behind a cell.
type Driver struct {
	Prompt int64   // its ID
	Value  float64 // its contribution, in the unit of the cell
	Share  float64 // percent of the sum over all prompts; NaN where that is zero
}

// Table is an answer as rows.
type Table struct {
	Title  string
	Result *queries.Result
	Source Source
}

// Prompt is a prompt and what the target head attends to from its query position. Unknown numbers are NaN.
type Prompt struct {
	ID              int64
	Tokens          []Token
	Score, Baseline float64 // attention score to the key and to the baseline position
	Prob            float64 // attention probability of the key position
}

// Token is a token of a prompt.
type Token struct {
	Text string
	Prob float64 // attention that it gets, 0 to 1
	Role Role
}

// Role says which position of a prompt a token is at.
type Role uint8

// The roles.
const (
	NoRole Role = iota
	KeyRole
	BaselineRole
	QueryRole
)

//go:embed page.tmpl
var pageText string

//go:embed page.css
var style string

//go:embed page.js
var script string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"label": plotly.Label, "percent": percent, "known": known, "number": number, "strip": strip, "scientific": scientific, "breakable": breakable,
	"first": firstSentence, "plural": plural,
	"level": func(x float64) string { return strconv.FormatFloat(100*x, 'g', 4, 64) },
}).Parse(pageText))

// Write writes the report.
func Write(w io.Writer, in Input) error {
	data, err := embedded(in)
	if err != nil {
		return err
	}
	content := struct {
		Input
		Policy               string
		Style                template.CSS
		Tables               []tableRows
		Data, Plotly, Script template.JS
	}{
		Input: in, Policy: plotly.Policy(plotly.Script(), script), Style: template.CSS(style), Data: template.JS(data),
		Plotly: template.JS(plotly.Script()), Script: template.JS(script),
	}
	for _, t := range in.Tables {
		content.Tables = append(content.Tables, newTableRows(t))
	}
	if err := page.Execute(w, content); err != nil {
		return err
	}
	return nil
}

// pageData is what the page's scripts read. Its JSON contains no <, > or &, so that it can be put into a
// script element.
type pageData struct {
	Figures []figureData `json:"figures"`
	Prompts []promptData `json:"prompts"`
}

type figureData struct {
	Plot   json.RawMessage     `json:"plot"`
	Labels []map[string]string `json:"labels,omitempty"` // for each panel, by "row,column"
	// For each frame and panel, by "row,column": index of the prompt, value, share.
	Drill [][]map[string][][3]digits `json:"drill,omitempty"`
}

type promptData struct {
	ID       int64     `json:"id"`
	Tokens   []string  `json:"tokens"`
	Probs    []float64 `json:"probs"` // to three decimals
	Roles    []int     `json:"roles"` // a slice of Role would become a base64 string
	Score    digits    `json:"score"`
	Baseline digits    `json:"baseline"`
	Diff     digits    `json:"diff"`
	Prob     digits    `json:"prob"`
}

// digits is a number as JSON writes it.
type digits string

func (d digits) MarshalJSON() ([]byte, error) { return []byte(d), nil }

// null stands for an unknown number.
const null = digits("null")

// short formats a number with four digits: there are thousands of them, and the page shows three digits.
func short(x float64) digits {
	if !known(x) {
		return null
	}
	return digits(strconv.FormatFloat(x, 'g', 4, 64))
}

// embedded returns the page's data.
func embedded(in Input) ([]byte, error) {
	data := pageData{Figures: []figureData{}, Prompts: []promptData{}}
	places := make(map[int64]int, len(in.Prompts))
	for i, p := range in.Prompts {
		if _, twice := places[p.ID]; twice {
			return nil, fmt.Errorf("prompt %d is given twice", p.ID)
		}
		places[p.ID] = i
		d := promptData{ID: p.ID, Score: short(p.Score), Baseline: short(p.Baseline), Diff: short(p.Score - p.Baseline), Prob: short(p.Prob)}
		for _, t := range p.Tokens {
			prob := t.Prob
			if !known(prob) {
				prob = 0
			}
			d.Tokens, d.Probs, d.Roles = append(d.Tokens, t.Text), append(d.Probs, math.Round(prob*1000)/1000), append(d.Roles, int(t.Role))
		}
		data.Prompts = append(data.Prompts, d)
	}
	for _, f := range in.Figures {
		plot, err := plotly.JSON(f.Figure, plotly.Options{Bare: true})
		if err != nil {
			return nil, err
		}
		d := figureData{Plot: plot}
		if err := d.drill(f, places); err != nil {
			return nil, fmt.Errorf("figure %s: %w", f.Source.Name, err)
		}
		data.Figures = append(data.Figures, d)
	}
	return json.Marshal(data)
}

// drill connects the drivers of a figure with its cells.
func (d *figureData) drill(f Figure, places map[int64]int) error {
	if f.Drill == nil {
		return nil
	}
	if len(f.Drill) != len(f.Figure.Frames) {
		return fmt.Errorf("drivers of %d frames, want %d", len(f.Drill), len(f.Figure.Frames))
	}
	for i, frame := range f.Figure.Frames {
		if len(f.Drill[i]) != len(frame.Panels) {
			return fmt.Errorf("drivers of %d panels, want %d", len(f.Drill[i]), len(frame.Panels))
		}
		var panels []map[string][][3]digits
		for j, panel := range frame.Panels {
			cells := map[string][][3]digits{}
			names := map[string]string{}
			for _, c := range panel.Cells {
				at := strconv.Itoa(c.Row) + "," + strconv.Itoa(c.Column)
				names[at] = c.Label
				if f.Drill[i][j] == nil {
					continue
				}
				for _, driver := range f.Drill[i][j].Cells[c.Label] {
					place, ok := places[driver.Prompt]
					if !ok {
						return fmt.Errorf("cell %s: prompt %d is not among the prompts of the report", c.Label, driver.Prompt)
					}
					share := null
					if known(driver.Share) {
						share = digits(strconv.FormatFloat(driver.Share, 'f', 1, 64))
					}
					cells[at] = append(cells[at], [3]digits{digits(strconv.Itoa(place)), short(driver.Value), share})
				}
			}
			if i == 0 {
				d.Labels = append(d.Labels, names)
			}
			panels = append(panels, cells)
		}
		d.Drill = append(d.Drill, panels)
	}
	return nil
}

// firstSentence returns the part of a description that everybody reads.
func firstSentence(s string) string {
	first, _, _ := strings.Cut(s, ". ")
	return strings.TrimRight(first, ".") + "."
}

// breakable returns the name of a column that may be wrapped after each _.
func breakable(name string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(name), "_", "_<wbr>"))
}

// known reports whether x is a finite number.
func known(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// percent formats a percentage with one decimal, or two if it is small, and a true minus sign.
func percent(x float64) string {
	decimals := 1
	if math.Abs(x) < 1 {
		decimals = 2
	}
	unit := math.Pow10(decimals)
	x = math.Round(x*unit)/unit + 0 // + 0 turns -0 into 0
	return strings.Replace(strconv.FormatFloat(x, 'f', decimals, 64), "-", "−", 1)
}

// number formats a value with four digits.
func number(x float64) string {
	return strings.Replace(strconv.FormatFloat(x, 'g', 4, 64), "-", "−", 1)
}

// scientific formats a small distance, such as 2.4e-06, as 2.4×10⁻⁶.
func scientific(x float64) string {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', 1, 64), "e")
	n, err := strconv.Atoi(exponent)
	if err != nil || n == 0 {
		return mantissa
	}
	return mantissa + "×10" + strings.NewReplacer("-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴",
		"5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹").Replace(strconv.Itoa(n))
}
