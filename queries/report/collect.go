package report

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/schema"
)

// Asker runs saved queries on a run file, as a session does.
type Asker interface {
	Run(ctx context.Context, q queries.Query, set map[string]string) (*queries.Result, error)
}

// Options say what a report is about. The zero value means the last complete run, its first head, and the
// queries that ship with ducklens.
type Options struct {
	Run, Head  string // default: the last complete run, its first head
	Queries    []queries.Query
	Prompts    int    // minimum number of prompts listed, without those behind cells; 0: 200
	Drivers    int    // number of prompts listed for a cell; 0: 8
	Provenance []Fact // what else is known about the file, such as its name

	// Explore returns the command that shows a view of the explorer, given what follows # in the view's
	// address. nil: leave such lines out.
	Explore func(view string) string

	// Another returns the command that makes the report of another head of the run. nil: leave it out.
	Another func(head string) string

	// Reason says why the run has no answer to a query that was run with the values in set, given the error.
	// nil: use the error's own text.
	Reason func(ctx context.Context, q queries.Query, set map[string]string, err error) string
}

// ErrEmpty is wrapped by the error of a query that returned no rows.
var ErrEmpty = errors.New("the answer has no rows")

// Defaults of [Options].
const (
	usualPrompts = 200
	usualDrivers = 8
)

//go:embed prompts.sql
var promptsText string

//go:embed heads.sql
var headsText string

//go:embed drivers.sql
var driversText string

//go:embed closure.sql
var closureText string

// Queries that a report runs in its own way.
const (
	closureQuery = "closure"    // believes what the file says; the page adds up again
	drillQuery   = "drill_down" // run for every cell at once instead
)

// Collect asks a run file for everything that a report says. If the run cannot answer a query, because it was
// made without what the query needs, the query is left out and listed with the reason. The file must have the
// run and the head.
func Collect(ctx context.Context, file Asker, o Options) (Input, error) {
	c := &collector{file: file, options: o, answers: map[string]*queries.Result{}}
	if c.options.Queries == nil {
		c.options.Queries = queries.Embedded()
	}
	if c.options.Prompts == 0 {
		c.options.Prompts = usualPrompts
	}
	if c.options.Drivers == 0 {
		c.options.Drivers = usualDrivers
	}
	if err := c.collect(ctx); err != nil {
		return Input{}, err
	}
	return c.in, nil
}

// collector is a report while it is being collected.
type collector struct {
	file    Asker
	options Options
	in      Input
	prompts []Prompt // all of the run
	facts   []figure.Fact
	heads   int                        // of the run
	edges   bool                       // the run has several edges of a prompt
	answers map[string]*queries.Result // to the queries of the options
}

func (c *collector) collect(ctx context.Context) error {
	if err := c.collectPrompts(ctx); err != nil {
		return err
	}
	if err := c.otherHeads(ctx); err != nil {
		return err
	}
	if err := c.addUp(ctx); err != nil {
		return err
	}
	for _, q := range c.options.Queries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if q.Name == drillQuery || q.Name == closureQuery {
			continue
		}
		if err := c.add(ctx, q); err != nil {
			if ctx.Err() != nil {
				return err
			}
			text := err.Error()
			if c.options.Reason != nil {
				text = c.options.Reason(ctx, q, c.set(q, nil), err)
			}
			c.in.LeftOut = append(c.in.LeftOut, Note{Title: q.Name, Text: text})
		}
	}
	c.findings()
	c.arrange()
	c.choosePrompts()
	return nil
}

// firstFigures returns the figures that answer a reader's first questions, in order. Other shipped figures
// are collapsed; a user's own come after the first.
func firstFigures() []string {
	return []string{"key_components", "query_components", "top_pairs", "basis_shares", "query_substitution_scores"}
}

// arrange puts figures and shares in reading order.
func (c *collector) arrange() {
	place := func(f Figure) int {
		if i := slices.Index(firstFigures(), f.Source.Name); i >= 0 {
			return i
		}
		if _, err := queries.Find(queries.Embedded(), f.Source.Name); err == nil {
			return math.MaxInt
		}
		return len(firstFigures())
	}
	slices.SortStableFunc(c.in.Figures, func(a, b Figure) int { return cmp.Compare(place(a), place(b)) })
	for i := range c.in.Figures {
		c.in.Figures[i].More = place(c.in.Figures[i]) == math.MaxInt
	}
	slices.SortStableFunc(c.in.Headlines, func(a, b Headline) int { return cmp.Compare(math.Abs(b.Percent), math.Abs(a.Percent)) })
}

// set returns the report's run and head, and more, for those parameters that the query has.
func (c *collector) set(q queries.Query, more map[string]string) map[string]string {
	values := map[string]string{}
	for _, p := range q.Params {
		switch {
		case p.Name == "run" && c.options.Run != "":
			values["run"] = c.options.Run
		case p.Name == "head" && c.options.Head != "":
			values["head"] = c.options.Head
		}
		if v, ok := more[p.Name]; ok {
			values[p.Name] = v
		}
	}
	return values
}

// ask runs a query and returns how it was run.
func (c *collector) ask(ctx context.Context, q queries.Query, more map[string]string) (*queries.Result, Source, error) {
	set := c.set(q, more)
	source := Source{Name: q.Name, Description: q.Description, SQL: q.SQL}
	result, err := c.file.Run(ctx, q, set)
	if err != nil {
		return nil, source, err
	}
	bound, err := q.Bind(set)
	if err != nil {
		return nil, source, err
	}
	for _, p := range q.Params {
		value := "NULL"
		if bound[p.Name] != nil {
			value = queries.Printable(queries.String(bound[p.Name]))
		}
		source.Parameters = append(source.Parameters, Fact{p.Name, value})
	}
	return result, source, nil
}

// add runs a query and puts its answer where its mark belongs.
func (c *collector) add(ctx context.Context, q queries.Query) error {
	result, source, err := c.ask(ctx, q, nil)
	if err != nil {
		return err
	}
	c.answers[q.Name] = result
	title, err := result.Expand(q.Title)
	if err != nil {
		if len(result.Rows) == 0 {
			return ErrEmpty // a title made of columns has nothing to say then
		}
		return err
	}
	switch q.Chart.Mark {
	case queries.Table:
		if len(result.Rows) == 0 {
			return ErrEmpty
		}
		c.in.Tables = append(c.in.Tables, Table{Title: title, Result: result, Source: source})
		return nil
	case queries.Scalar:
		return c.addHeadline(q, title, result, source)
	}
	var parameters []string
	for _, p := range source.Parameters {
		parameters = append(parameters, p.Name+" = "+p.Value)
	}
	facts := slices.Concat(c.facts, []figure.Fact{{Name: "parameters", Value: strings.Join(parameters, ", "), Quiet: true}})
	f, err := figure.New(q, result, facts...)
	if err != nil {
		return err
	}
	if c.options.Explore != nil {
		source.Explore = c.options.Explore(view(q, source.Parameters, c.options.Head))
	}
	entry := Figure{Figure: f, Source: source}
	if entry.Drill, err = c.drill(ctx, q.Name, f, source); err != nil {
		return err
	}
	c.in.Figures = append(c.in.Figures, entry)
	return nil
}

// cell reads the values of a row by column name.
type cell struct {
	result *queries.Result
	row    int
}

// number returns NaN for NULL and for a column that does not exist.
func (c cell) number(column string) float64 {
	if i := c.result.Index(column); i >= 0 {
		if x, ok := queries.Number(c.result.Rows[c.row][i]); ok {
			return x
		}
	}
	return math.NaN()
}

// whole returns 0 for NULL and for a column that does not exist.
func (c cell) whole(column string) int64 {
	x := c.number(column)
	if !known(x) {
		return 0
	}
	return int64(x)
}

func (c cell) text(column string) string {
	if i := c.result.Index(column); i >= 0 {
		return queries.Printable(queries.String(c.result.Rows[c.row][i]))
	}
	return ""
}

// mostHeads is how many heads of the run the opening names.
const mostHeads = 12

// otherHeads says which heads the run has, if it has several.
func (c *collector) otherHeads(ctx context.Context) error {
	q, err := queries.Parse(headsText)
	if err != nil {
		return err
	}
	result, _, err := c.ask(ctx, q, nil)
	if err != nil {
		return err
	}
	c.heads = len(result.Rows)
	var heads, others []string
	own := queries.HeadName(c.options.Head)
	for _, row := range result.Rows {
		head := queries.Printable(queries.HeadName(queries.String(row[0])))
		heads = append(heads, head)
		if head != own {
			others = append(others, head)
		}
	}
	if len(others) == 0 {
		return nil
	}
	list := strings.Join(heads[:min(len(heads), mostHeads)], ", ")
	if more := len(heads) - mostHeads; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	c.in.Heads = fmt.Sprintf("This page is about head %s. The run has %d heads: %s.", own, len(heads), list)
	if c.options.Another != nil {
		c.in.Another = Note{Title: "The page about " + others[0] + ":", Text: c.options.Another(others[0])}
	}
	return nil
}

// scored says which scores were compared: one for each head and prompt.
func (c *collector) scored(scores int64) string {
	if scores != c.in.PromptCount*int64(c.heads) {
		return ""
	}
	edges := "prompt"
	if c.edges {
		edges = "edge"
	}
	return fmt.Sprintf("%s on %s", plural(int64(c.heads), "head"), plural(c.in.PromptCount, edges))
}

// plural is "1 head", "2 heads".
func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// addUp adds up the contributions of the run, some prompts at a time, because the sums that the file states
// may be false. The parts cover all numbers that a prompt can have.
func (c *collector) addUp(ctx context.Context) error {
	text, err := schema.Expand("closure.sql", closureText)
	if err != nil {
		return err
	}
	q, err := queries.Parse(text)
	if err != nil {
		return err
	}
	const most = 200 // prompts: with a hundred heads and fifty pairs of bases, a million sums
	total := Closure{Tolerance: schema.ClosureTolerance, OK: true}
	for at := 0; at == 0 || at < len(c.prompts); at += most {
		more := map[string]string{}
		if at > 0 {
			more["first"] = strconv.FormatInt(c.prompts[at].ID, 10)
		}
		if at+most < len(c.prompts) {
			more["last"] = strconv.FormatInt(c.prompts[at+most].ID-1, 10)
		}
		result, _, err := c.ask(ctx, q, more)
		if err != nil {
			return err
		}
		total.add(cell{result, 0})
	}
	if total.Scores == 0 {
		return fmt.Errorf("run %s has no scores", c.options.Run)
	}
	total.Of = c.scored(total.Scores)
	total.OK = total.Lacking == 0 && total.Relative <= total.Tolerance
	total.Source = Source{Name: q.Name, Description: q.Description, SQL: q.SQL, Parameters: []Fact{{"run", c.options.Run}}}
	c.in.Closure = total
	return nil
}

// add adds what was found for some more prompts.
func (c *Closure) add(row cell) {
	c.Judged = row.text("convention") == schema.Exact.String()
	c.Scores += row.whole("n_scores")
	c.Lacking += row.whole("n_lacking")
	// The condition is written so that NaN counts as the worst.
	if worst := row.number("worst_relative"); row.text("worst_head") != "" && (c.WorstHead == "" || !(worst <= c.Relative)) {
		c.Relative, c.WorstPrompt, c.WorstHead = worst, row.whole("worst_example_id"), row.text("worst_head")
	}
	if worst := row.number("worst_residual"); row.text("worst_head") != "" && !(worst <= c.Worst) {
		c.Worst = worst
	}
}

// addHeadline reads the only row of a percentage. Any other scalar becomes a table.
func (c *collector) addHeadline(q queries.Query, title string, result *queries.Result, source Source) error {
	if len(result.Rows) != 1 {
		return fmt.Errorf("a number in %d rows, want 1", len(result.Rows))
	}
	row := cell{result, 0}
	if !strings.HasPrefix(q.Chart.Y, "pct") {
		c.in.Tables = append(c.in.Tables, Table{Title: title, Result: result, Source: source})
		return nil
	}
	h := Headline{
		Title: title, Percent: row.number(q.Chart.Y), Error: row.number(q.Chart.Error), Low: row.number("low"), High: row.number("high"),
		NullLow: row.number("null_low"), NullHigh: row.number("null_high"), Level: math.NaN(), Count: row.whole(q.Chart.Count),
		NullCount: row.whole("null_n"), Source: source,
	}
	for _, w := range result.Wholes(q.Chart.Y) { // one
		h.Denominator, h.Doubt = queries.Printable(w.Is)+", "+w.Number(), queries.Printable(w.Doubt())
	}
	for _, p := range source.Parameters {
		if x, err := strconv.ParseFloat(p.Value, 64); p.Name == "level" && err == nil {
			h.Level = x
		}
	}
	if why := result.Undefined(q.Chart.Y); why != "" {
		return errors.New(why)
	}
	if !known(h.Percent) {
		return errors.New("the percentage is NULL: the run lacks what it is made of")
	}
	c.in.Headlines = append(c.in.Headlines, h)
	return nil
}

// collectPrompts reads the prompts, and finds out from the facts about them which run and head the report is
// about.
func (c *collector) collectPrompts(ctx context.Context) error {
	q, err := queries.Parse(promptsText)
	if err != nil {
		return err
	}
	result, _, err := c.ask(ctx, q, nil)
	if err != nil {
		return err
	}
	about := map[string]string{}
	for _, f := range result.Facts {
		value := queries.Printable(f.Value)
		about[f.Name] = value
		name := f.Name
		if name == "sha256" { // that of the data is shown already
			name = "model SHA-256"
		}
		c.in.Run = append(c.in.Run, Fact{name, value})
		quiet := slices.Contains([]string{"sha256", "edges", "baseline", "created", "version", "seed", "bos", "processing", "precision", "source", "command"}, f.Name)
		c.facts = append(c.facts, figure.Fact{Name: name, Value: value, Quiet: quiet})
	}
	data, err := c.file.Run(ctx, queries.Fingerprint(), map[string]string{"run": about["run"]})
	if err != nil {
		return err
	}
	c.in.Provenance = slices.Clone(c.options.Provenance)
	for _, row := range data.Rows {
		c.in.Provenance = append(c.in.Provenance, Fact{"data SHA-256", queries.String(row[1])})
	}
	for _, f := range c.in.Provenance {
		c.facts = append(c.facts, figure.Fact{Name: f.Name, Value: f.Value, Quiet: true})
	}
	c.options.Run, c.options.Head = about["run"], about["head"]
	c.in.Title = "Head " + about["head"] + ": what its attention is made of"
	c.in.Subtitle, err = result.Expand("{model}, {prompts} prompts ({source}), baseline {baseline}, " +
		"{convention} convention, run {run}")
	if err != nil {
		return err
	}
	c.in.Subtitle = queries.Printable(c.in.Subtitle)
	c.in.PromptCount = int64(len(result.Rows))
	c.edges = about["prompts"] != strconv.Itoa(len(result.Rows))
	for i := range result.Rows {
		p, err := prompt(cell{result, i})
		if err != nil {
			return err
		}
		c.prompts = append(c.prompts, p)
	}
	return nil
}

// prompt reads one prompt.
func prompt(row cell) (Prompt, error) {
	p := Prompt{ID: row.whole("example_id"), Score: row.number("score"), Baseline: row.number("baseline"), Prob: row.number("prob")}
	texts, textsOK := row.result.Rows[row.row][row.result.Index("tokens")].([]any)
	probs, probsOK := row.result.Rows[row.row][row.result.Index("probs")].([]any)
	if !textsOK || !probsOK || len(texts) != len(probs) {
		return p, fmt.Errorf("prompt %d: tokens and attention are not lists of the same length", p.ID)
	}
	roles := map[int64]Role{row.whole("query_pos"): QueryRole}
	if x := row.number("baseline_pos"); known(x) {
		roles[int64(x)] = BaselineRole
	}
	roles[row.whole("key_pos")] = KeyRole
	for i := range texts {
		prob, ok := queries.Number(probs[i])
		if !ok {
			prob = math.NaN()
		}
		p.Tokens = append(p.Tokens, Token{Text: visible(queries.String(texts[i])), Prob: prob, Role: roles[int64(i)]})
	}
	return p, nil
}

// visible is [queries.Printable] for tokens. The page has its own sign for line ends.
func visible(s string) string {
	return strings.ReplaceAll(queries.Printable(s), `\n`, "\n")
}

// choosePrompts keeps the first prompts and those behind a cell.
func (c *collector) choosePrompts() {
	needed := make(map[int64]bool)
	for _, f := range c.in.Figures {
		for _, panels := range f.Drill {
			for _, d := range panels {
				if d == nil {
					continue
				}
				for _, drivers := range d.Cells {
					for _, driver := range drivers {
						needed[driver.Prompt] = true
					}
				}
			}
		}
	}
	for i, p := range c.prompts {
		if i < c.options.Prompts || needed[p.ID] {
			c.in.Prompts = append(c.in.Prompts, p)
		}
	}
	slices.SortFunc(c.in.Prompts, func(a, b Prompt) int { return cmp.Compare(a.ID, b.ID) })
}
