package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/figure/plotly"
	"ducklens/queries/figure/vegalite"
	"ducklens/queries/session"
)

// newPlot builds `ducklens plot`.
func newPlot() *cobra.Command {
	p := &plotting{}
	cmd := &cobra.Command{
		Use:   "plot FILE (NAME | -e SQL)",
		Short: "Draw the answer to a saved query, or to SQL of your own",
		Long: `Runs a query on a run file and draws its answer. NAME is a query that ships with ducklens or that the file carries
(ducklens queries list), or a .sql file of your own, drawn as its header says; -e takes SQL, drawn as --chart and the
flags beside it say. They also change what a header says: ducklens queries help explains both.

The figure is written to NAME.svg (with -e to plot.svg) unless -o names another file; its ending decides the format:
` + formatList() + `
A parameter with several values, such as --set head=10.7,11.10, gives a panel or frame for each, in one figure with
one scale; a value with a comma in it stands in double quotes. A parameter whose name is plural, such as heads, takes the
list itself. --set only=FIELD=VALUE takes the prompts that have a value in a field, such as prompt_order=ABBA.

The same data gives the same bytes. The query's SQL, its parameters, what there is to know about the run
and a fingerprint of its data (also in ducklens info) are in every file.`,
		Example: `  ducklens plot run.duckdb key_components
  ducklens plot run.duckdb key_quadrants -o quadrants.png --width 6.75in --dpi 300
  ducklens plot run.duckdb key_components --hide b_K,b_Q --scale panel --bare -o paper.pdf
  ducklens plot run.duckdb query_substitution_scores --set head=10.7 -o scores.html
  ducklens plot run.duckdb key_components --set only=prompt_order=ABBA,prompt_order=BABA -o orders.svg
  ducklens plot run.duckdb top_pairs --theme screen --caption -o pairs.pdf
  ducklens plot run.duckdb -e "SELECT score, prob, head FROM head_score" --chart scatter --color head --fit line -o scores.svg
  ducklens plot run.duckdb -e "SELECT diff FROM head_score WHERE diff IS NOT NULL" --chart histogram --bins 20`,
		GroupID:           groupAsk,
		Args:              p.args,
		ValidArgsFunction: completeQuery,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.given = cmd.Flags().Changed
			return p.run(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	p.addTo(cmd.Flags())
	return cmd
}

// plotting is one `ducklens plot` under way.
type plotting struct {
	question
	sql     string
	look    figure.Options
	chart   chartFlags
	output  string
	bare    bool
	caption bool
	off     string // series that an interactive figure does not show at first

	given func(flag string) bool // on the command line
}

func (p *plotting) addTo(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVarP(&p.output, "output", "o", "", "`file` to write (NAME.svg unless given)")
	flags.StringVarP(&p.sql, "sql", "e", "",
		"`SQL` of your own in place of NAME; - reads it from standard input")
	p.chart.addTo(flags)
	widthVar(flags, &p.look.Width)
	flags.Var((*inches)(&p.look.Height), "height",
		"height such as 2.5in or 6cm, as far as the panels can follow; 0 is what they need")
	flags.IntVar(&p.look.DPI, "dpi", 0,
		"resolution of a .png, dots per inch; 0 is for a screen, 300 for print")
	wordVar(flags, &p.look.Theme, "theme", figure.ParseTheme, "colours and sizes of .svg, .png and .pdf",
		figure.Paper, figure.Screen, figure.Dark)
	bareVar(flags, &p.bare)
	flags.StringVar(&p.off, "legend-only", "",
		"`series` of a .html or .json figure that a click on its legend shows first, with commas between")
	flags.BoolVar(&p.caption, "caption", false, "print a caption for a paper to standard output")
	p.question.addTo(flags)
}

// args wants a file, and a query by its name or as SQL.
func (p *plotting) args(cmd *cobra.Command, args []string) error {
	switch own := cmd.Flags().Changed("sql"); {
	case own && len(args) > 1:
		return usagef("both a saved query, %s, and SQL (-e): give one", args[1])
	case own:
		return exactly("FILE")(cmd, args)
	case len(args) == 1:
		return &usageError{err: fmt.Errorf("NAME is missing: which saved query, or -e for SQL of your own?"),
			hint: "ducklens queries list names them"}
	}
	return exactly("FILE", "NAME")(cmd, args)
}

// run asks the query and writes the figure.
func (p *plotting) run(
	ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer,
) (err error) {
	path := p.path(args)
	format, err := formatOfFigure(path)
	if err != nil {
		return err
	}
	if err := p.fits(format); err != nil {
		return err
	}
	set, err := p.values()
	if err != nil {
		return err
	}
	s, err := p.open(ctx, args[0], stderr)
	if err != nil {
		return err
	}
	defer closing(s, &err)
	q, err := p.query(ctx, s, args[1:], stdin, stderr)
	if err != nil {
		return err
	}
	f, err := makeFigure(ctx, s, q, set)
	if err != nil {
		return withRemedy(ctx, s, q, set, err)
	}
	if err := p.dress(f, format); err != nil {
		return err
	}
	if err := notes(ctx, s, q, stderr); err != nil {
		return err
	}
	p.noteBare(f, stderr)
	if err := p.noteHeight(f, stderr); err != nil {
		return err
	}
	if err := writeFile(path, func(w io.Writer) error { return format.write(f, w, p.look) }); err != nil {
		return err
	}
	if p.caption {
		fmt.Fprintln(stdout, queries.Printable(f.Caption()))
	}
	fmt.Fprintf(stderr, "%s\n", path)
	return nil
}

// path is the file to write.
func (p *plotting) path(args []string) string {
	switch {
	case p.output != "":
		return p.output
	case len(args) == 1:
		return "plot.svg"
	}
	return strings.TrimSuffix(filepath.Base(args[1]), ".sql") + ".svg"
}

// fits refuses flags that a format cannot follow.
func (p *plotting) fits(format figureFormat) error {
	for _, name := range []string{"width", "height", "dpi", "theme"} {
		if p.given(name) && (!format.print || name == "dpi" && format.ending != ".png") {
			return usagef("--%s has no effect on a %s file", name, format.ending)
		}
	}
	if p.given("legend-only") && format.ending != ".html" && format.ending != ".json" {
		return usagef("--legend-only has no effect on a %s file", format.ending)
	}
	if err := p.look.Validate(); err != nil {
		return asUsage(err)
	}
	return nil
}

// query is the one to ask: a saved one, or SQL of the user's, with what the flags say of its figure.
func (p *plotting) query(
	ctx context.Context, s *session.Session, names []string, stdin io.Reader, stderr io.Writer,
) (queries.Query, error) {
	var q queries.Query
	var err error
	if len(names) == 1 {
		q, err = find(ctx, s, names[0], stderr)
	} else {
		q, err = p.ownSQL(stdin)
	}
	if err != nil {
		return q, err
	}
	return q, p.chart.apply(&q, p.given)
}

// ownSQL is the query behind -e.
func (p *plotting) ownSQL(stdin io.Reader) (queries.Query, error) {
	sql := p.sql
	if sql == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, queries.MaxLength+1))
		if err != nil {
			return queries.Query{}, fmt.Errorf("read SQL from standard input: %w", err)
		}
		sql = string(text)
	}
	q, err := queries.AdHoc(sql)
	if err == nil && q.Chart.Mark == queries.Table && !p.given("chart") {
		err = &usageError{err: errors.New("--chart is missing: how is the answer to your SQL to be drawn?"),
			hint: "such as --chart scatter --x score --y prob; there is " + strings.Join(drawnMarks(), ", ")}
	}
	return q, err
}

// dress gives the figure what belongs to its look and not to its data, and refuses names that are not in it.
func (p *plotting) dress(f *figure.Figure, format figureFormat) error {
	f.Bare = p.bare
	if p.given("hide") && len(f.Hidden.Names) == 0 { // one of b_K and b_Q is on each side: either is enough
		if err := unknownNames("hide", p.chart.values["hide"], f.Hidden.Names, f.Names()); err != nil {
			return err
		}
	}
	if !p.given("legend-only") {
		return nil
	}
	var c queries.Chart
	if err := c.Set("hide", p.off); err != nil {
		return usagef("--legend-only %s: want names with commas between them", p.off)
	}
	f.LegendOnly = c.Hide
	return unknownNames("legend-only", p.off, f.Legend.Names, f.Legend.Names)
}

// noteBare says which parameters a figure without words does not tell.
func (p *plotting) noteBare(f *figure.Figure, out io.Writer) {
	var texts []string
	for _, s := range slices.Concat(f.Told, f.Settings) {
		texts = append(texts, s.Name+" = "+s.Value)
	}
	if p.bare && !p.caption && len(texts) > 0 {
		fmt.Fprintf(out, "note: the figure, being --bare, does not say what is not at its default: %s; --caption prints a text that does\n",
			queries.Printable(strings.Join(texts, ", ")))
	}
}

// noteHeight says that the panels could not follow a height.
func (p *plotting) noteHeight(f *figure.Figure, out io.Writer) error {
	if p.look.Height == 0 {
		return nil
	}
	height, err := f.Height(p.look)
	if err == nil && math.Abs(height-p.look.Height) > 0.01*p.look.Height {
		fmt.Fprintf(out, "note: --height: the figure is %.2f in high, not %.2f in: its panels and texts need that\n", height, p.look.Height)
	}
	return err
}

// unknownNames refuses names of a flag that are not found; known are those that there are.
func unknownNames(flag, list string, found, known []string) error {
	var c queries.Chart
	if err := c.Set("hide", list); err != nil {
		return usagef("--%s: %w", flag, err)
	}
	for _, name := range c.Hide {
		if slices.Contains(found, name) {
			continue
		}
		hint := "the figure has no names"
		if near := queries.Nearest(name, known); len(near) > 0 {
			hint = "did you mean " + strings.Join(near, " or ") + "?"
		} else if len(known) > 0 {
			hint = "there is " + strings.Join(known[:min(len(known), 30)], ", ")
		}
		err := fmt.Errorf("--%s %s: nothing in the figure is called that", flag, name)
		return &usageError{err: err, hint: hint}
	}
	return nil
}

// widthVar adds the flag for the width of figures.
func widthVar(flags *pflag.FlagSet, width *float64) {
	flags.Var((*inches)(width), "width", fmt.Sprintf("width such as 3.25in, 8.25cm or 82mm; a bare number is in inches: %g is one column, %g a page; 0 is as wide as the panels need",
		figure.ColumnWidth, figure.PageWidth))
}

// bareVar adds the flag for figures without words around them.
func bareVar(flags *pflag.FlagSet, bare *bool) {
	flags.BoolVar(bare, "bare", false, "leave out title, subtitle and what stands at the foot, for a paper whose text says it")
}

// inches is a length on paper as a flag.
type inches float64

// String implements pflag.Value.
func (l *inches) String() string { return strconv.FormatFloat(float64(*l), 'g', -1, 64) }

// Set implements pflag.Value.
func (l *inches) Set(s string) error {
	number, perInch := strings.TrimSuffix(s, "in"), 1.0
	if mm, ok := strings.CutSuffix(s, "mm"); ok {
		number, perInch = mm, 25.4
	} else if cm, ok := strings.CutSuffix(s, "cm"); ok {
		number, perInch = cm, 2.54
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return fmt.Errorf("%q is no length, want inches such as 3.25 or 3.25in, or 8.25cm, or 82mm", s)
	}
	*l = inches(x / perInch)
	return nil
}

// Type implements pflag.Value.
func (l *inches) Type() string { return "length" }

// A figureFormat is a kind of file that figures are written to.
type figureFormat struct {
	ending string
	what   string
	print  bool // its look can be chosen
	write  func(*figure.Figure, io.Writer, figure.Options) error
}

// figureFormats lists the formats. An ending that ends like another stands before it.
func figureFormats() []figureFormat {
	plain := func(write func(io.Writer, *figure.Figure) error) func(*figure.Figure, io.Writer, figure.Options) error {
		return func(f *figure.Figure, w io.Writer, _ figure.Options) error { return write(w, f) }
	}
	return []figureFormat{
		{".svg", "vector graphics, text stays text", true, (*figure.Figure).WriteSVG},
		{".png", "a picture", true, (*figure.Figure).WritePNG},
		{".pdf", "vector graphics for a paper", true, (*figure.Figure).WritePDF},
		{".html", "interactive, one file that needs no network", false, plain(plotly.WriteHTML)},
		{".vl.json", "a Vega-Lite specification", false, plain(vegalite.Write)},
		{".json", "a plotly figure, for plotly.io.read_json", false, plain(plotly.WriteJSON)},
	}
}

// formatList is the list of formats in the help.
func formatList() string {
	var b strings.Builder
	for _, f := range figureFormats() {
		fmt.Fprintf(&b, "  %-9s %s\n", f.ending, f.what)
	}
	return b.String()
}

// formatOfFigure chooses the format of a figure by the ending of a file's name.
func formatOfFigure(path string) (figureFormat, error) {
	var endings []string
	for _, f := range figureFormats() {
		if strings.HasSuffix(strings.ToLower(path), f.ending) {
			return f, nil
		}
		endings = append(endings, f.ending)
	}
	return figureFormat{}, &usageError{err: fmt.Errorf("-o %s: figures are not written in this format", path), hint: "known endings: " + strings.Join(endings, ", ")}
}

// makeFigure asks a query and makes a figure of the answer, with what there is to know about its run. A
// parameter with several values is asked for each of them.
func makeFigure(ctx context.Context, s *session.Session, q queries.Query, set map[string]string) (*figure.Figure, error) {
	param, sets, err := q.Several(set)
	if err != nil {
		return nil, asUsage(err)
	}
	var results []*queries.Result
	var facts []figure.Fact
	for _, set := range sets {
		result, err := s.Run(ctx, q, set)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
		about, err := runFacts(ctx, s, q, set)
		if err != nil {
			return nil, err
		}
		facts = united(facts, about)
	}
	result := results[0]
	if param != "" {
		if q, result, err = q.SideBySide(param, results); err != nil {
			return nil, err
		}
	}
	q.Chart.Infer(result)
	bound := figure.Fact{Name: "parameters", Value: q.BoundText(result.Bound), Quiet: true}
	return figure.New(q, result, append(facts, bound)...)
}

// united adds the facts of another run to those of the first: a fact that differs has both values.
func united(facts, more []figure.Fact) []figure.Fact {
	if facts == nil {
		return more
	}
	for _, fact := range more {
		i := slices.IndexFunc(facts, func(f figure.Fact) bool { return f.Name == fact.Name })
		switch {
		case i < 0:
			facts = append(facts, fact)
		case !slices.Contains(strings.Split(facts[i].Value, ", "), fact.Value):
			facts[i].Value += ", " + fact.Value
		}
	}
	return facts
}

// factsSQL describes the run that a query with the parameter run is about.
const factsSQL = `SELECT r.run_id AS run, m.name AS model, coalesce(r.n_prompts, r.n_examples) AS prompts, r.prompt_source AS source, r.convention, r.processing AS weights,
  r.ducklens_version AS "made by ducklens", m.sha256 AS "model SHA-256", r.command_line AS command
FROM run AS r JOIN model AS m ON m.model_id = r.model_id
WHERE r.run_id = coalesce($run::INTEGER, (SELECT max(run_id) FROM run WHERE status = 'complete'))`

// runFacts says which run a figure shows. A query without the parameter run is about the whole file.
func runFacts(ctx context.Context, s *session.Session, q queries.Query, set map[string]string) ([]figure.Fact, error) {
	about := map[string]string{}
	if !slices.ContainsFunc(q.Params, func(p queries.Param) bool { return p.Name == "run" }) {
		return fingerprints(ctx, s, about)
	}
	if run, ok := set["run"]; ok {
		about["run"] = run
	}
	result, err := ask(ctx, s, factsSQL, about)
	if err != nil {
		return nil, err
	}
	var list []figure.Fact
	for _, row := range result.Rows {
		about["run"] = queries.String(row[0])
		for i, c := range result.Columns {
			// What the subtitle says is not said again below the figure.
			quiet := strings.Contains(c.Name, " ") || c.Name == "command" || strings.Contains(q.Title+q.Subtitle, "{"+c.Name+"}")
			list = append(list, figure.Fact{Name: c.Name, Value: queries.Printable(queries.String(row[i])), Quiet: quiet})
		}
	}
	data, err := fingerprints(ctx, s, about)
	return append(list, data...), err
}

// fingerprints says which data a figure shows: those of a run, or of every complete run of the file.
func fingerprints(ctx context.Context, s *session.Session, about map[string]string) ([]figure.Fact, error) {
	result, err := s.Run(ctx, queries.Fingerprint(), about)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, row := range result.Rows {
		list = append(list, queries.String(row[1]))
	}
	return []figure.Fact{{Name: "data SHA-256", Value: strings.Join(list, ", "), Quiet: true}}, nil
}
