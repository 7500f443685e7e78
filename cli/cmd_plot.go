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
		Short: "Draw the answer to a saved query or to your own SQL",
		Long: `Runs a query on a run file and draws its answer. NAME is a query that ships with ducklens or
that the file carries (ducklens queries list), or a .sql file of your own, drawn as its header says. -e takes
SQL, drawn as --chart and the flags below it say. These flags also override a header; ducklens queries help
explains both.

The figure is written to NAME.svg (plot.svg with -e) unless -o names another file. The ending decides the
format:
` + formatList() + `
If a parameter has several values, as in --set head=10.7,11.10, the figure has a panel or frame for each, on
one scale; put a value that contains a comma in double quotes. A parameter whose name is plural, such as
heads, takes the list itself. --set only=FIELD=VALUE selects prompts with this value in a field, such as
prompt_order=ABBA.

The same data gives the same bytes. Every file carries the query's SQL, its parameters, what is known about
the run, and a fingerprint of its data (also shown by ducklens info).`,
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

// plotting is a running `ducklens plot`.
type plotting struct {
	question
	sql     string
	look    figure.Options
	chart   chartFlags
	output  string
	bare    bool
	caption bool
	off     string // series that an interactive figure hides at first

	given func(flag string) bool // reports whether the flag is on the command line
}

func (p *plotting) addTo(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVarP(&p.output, "output", "o", "", "`file` to write (default NAME.svg)")
	flags.StringVarP(&p.sql, "sql", "e", "",
		"your own `SQL` instead of NAME; - reads it from standard input")
	p.chart.addTo(flags)
	widthVar(flags, &p.look.Width)
	flags.Var((*inches)(&p.look.Height), "height",
		fmt.Sprintf("height such as 2.5in or 6cm, if the panels fit, from %d to %d inches (default what they need)",
			figure.LeastHeight, figure.MostHeight))
	dpiVar(flags, &p.look.DPI, "a .png")
	wordVar(flags, &p.look.Theme, "theme", figure.ParseTheme,
		"colours and sizes in .svg, .png and .pdf files",
		figure.Paper, figure.Screen, figure.Dark)
	bareVar(flags, &p.bare)
	flags.StringVar(&p.off, "legend-only", "",
		"comma-separated `series` that a .html or .json figure hides until their name in the legend is "+
			"clicked")
	flags.BoolVar(&p.caption, "caption", false, "print a caption for a paper to standard output")
	p.question.addTo(flags)
}

// args checks that there is a file, and a query by name or as SQL.
func (p *plotting) args(cmd *cobra.Command, args []string) error {
	switch own := cmd.Flags().Changed("sql"); {
	case own && len(args) > 1:
		return usagef("both a saved query (%s) and SQL (-e): give one of them", args[1])
	case own:
		return exactly("FILE")(cmd, args)
	case len(args) == 1:
		return &usageError{err: fmt.Errorf("NAME is missing: name a saved query, or give SQL with -e"),
			hint: "see ducklens queries list"}
	}
	return exactly("FILE", "NAME")(cmd, args)
}

// run runs the query and writes the figure.
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
	noteDoubts(queries.Doubts(f.Wholes), stderr)
	if asksFirstHead(q, set) {
		if err := noteFirstHead(ctx, s, set["run"], stderr); err != nil {
			return err
		}
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
		text := f.Caption()
		if format.print {
			if text, err = f.PrintedCaption(p.look); err != nil {
				return err
			}
		}
		fmt.Fprintln(stdout, queries.Printable(text))
	}
	fmt.Fprintf(stderr, "%s\n", path)
	return nil
}

// path returns the file to write.
func (p *plotting) path(args []string) string {
	switch {
	case p.output != "":
		return p.output
	case len(args) == 1:
		return "plot.svg"
	}
	return strings.TrimSuffix(filepath.Base(args[1]), ".sql") + ".svg"
}

// fits rejects flags that have no effect on a format.
func (p *plotting) fits(format figureFormat) error {
	for _, name := range []string{"width", "height", "dpi", "theme"} {
		if p.given(name) && (!format.print || name == "dpi" && format.ending != ".png") {
			return usagef("--%s has no effect on a %s file", name, format.ending)
		}
	}
	if p.given("legend-only") && format.ending != ".html" && format.ending != ".json" {
		return usagef("--legend-only has no effect on a %s file", format.ending)
	}
	return checkLook(p.look, p.given)
}

// query returns the query to run, a saved one or the user's SQL, with its header changed by the flags.
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

// ownSQL returns the query given with -e.
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
		err = &usageError{err: errors.New("--chart is missing: it says how to draw the answer to your SQL"),
			hint: "such as --chart scatter --x score --y prob; the charts are " +
				strings.Join(drawnMarks(), ", ")}
	}
	return q, err
}

// dress applies the flags that concern the figure's look and not its data. It rejects names that are not in
// the figure.
func (p *plotting) dress(f *figure.Figure, format figureFormat) error {
	f.Bare = p.bare
	if p.given("hide") && len(f.Hidden.Names) == 0 { // each side has only one of b_K and b_Q
		if err := unknownNames("hide", p.chart.values["hide"], f.Hidden.Names, f.Names()); err != nil {
			return err
		}
	}
	if !p.given("legend-only") {
		return nil
	}
	var c queries.Chart
	if err := c.Set("hide", p.off); err != nil {
		return usagef("--legend-only %s, want names separated by commas", p.off)
	}
	f.LegendOnly = c.Hide
	return unknownNames("legend-only", p.off, f.Legend.Names, f.Legend.Names)
}

// noteBare lists the parameters that a figure without words does not show.
func (p *plotting) noteBare(f *figure.Figure, out io.Writer) {
	var texts []string
	for _, s := range slices.Concat(f.Told, f.Settings) {
		texts = append(texts, s.Name+" = "+s.Value)
	}
	if p.bare && !p.caption && len(texts) > 0 {
		fmt.Fprintf(out,
			"note: a --bare figure does not show parameters that differ from their defaults: %s; "+
				"--caption prints a text that does\n",
			queries.Printable(strings.Join(texts, ", ")))
	}
}

// noteHeight notes that the panels need another height than the one set.
func (p *plotting) noteHeight(f *figure.Figure, out io.Writer) error {
	if p.look.Height == 0 {
		return nil
	}
	height, err := f.Height(p.look)
	if err == nil && math.Abs(height-p.look.Height) > 0.01*p.look.Height {
		fmt.Fprintf(out,
			"note: --height: the figure is %.2f in high instead of %.2f in, "+
				"because its panels and texts need the space\n", height, p.look.Height)
	}
	return err
}

// unknownNames rejects names of a flag that are not in found. The hint suggests names from known.
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
			hint = "the names are " + strings.Join(known[:min(len(known), 30)], ", ")
		}
		err := fmt.Errorf("--%s %s: nothing in the figure has this name", flag, name)
		return &usageError{err: err, hint: hint}
	}
	return nil
}

// widthVar adds the flag --width.
func widthVar(flags *pflag.FlagSet, width *float64) {
	flags.Var((*inches)(width), "width",
		fmt.Sprintf(
			"width such as 3.25in, 8.25cm or 82mm; a number without unit is in inches, from %d to %d: %g fits a "+
				"column, %g a page (default what the panels need)",
			figure.LeastWidth, figure.MostWidth, figure.ColumnWidth, figure.PageWidth))
}

// dpiVar adds the flag --dpi.
func dpiVar(flags *pflag.FlagSet, dpi *int, of string) {
	flags.IntVar(dpi, "dpi", 0, fmt.Sprintf(
		"resolution of %s in dots per inch, from %d to %d: 300 suits print (default one for a screen)",
		of, figure.LeastDPI, figure.MostDPI))
}

// checkLook returns an error for sizes out of range. 0 means no size to [figure.Options], but not on a
// command line.
func checkLook(look figure.Options, given func(flag string) bool) error {
	for _, size := range []struct {
		flag, want string
		zero       bool
	}{
		{"width", fmt.Sprintf("%d to %d in", figure.LeastWidth, figure.MostWidth), look.Width == 0},
		{"height", fmt.Sprintf("%d to %d in", figure.LeastHeight, figure.MostHeight), look.Height == 0},
		{"dpi", fmt.Sprintf("%d to %d", figure.LeastDPI, figure.MostDPI), look.DPI == 0},
	} {
		if given(size.flag) && size.zero {
			return usagef("--%s 0, want %s, or leave it out", size.flag, size.want)
		}
	}
	return asUsage(look.Validate())
}

// bareVar adds the flag --bare.
func bareVar(flags *pflag.FlagSet, bare *bool) {
	flags.BoolVar(bare, "bare", false,
		"leave out title, subtitle and footer, for a paper that has its own caption")
}

// inches is a length as a flag. It is a [pflag.Value].
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
	if err != nil && !errors.Is(err, strconv.ErrRange) { // infinity is out of any range
		return fmt.Errorf("%q is not a length, want inches such as 3.25 or 3.25in, or 8.25cm, or 82mm", s)
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
	print  bool // --width, --height and --theme have an effect
	write  func(*figure.Figure, io.Writer, figure.Options) error
}

// figureFormats lists the formats. An ending comes before those that are suffixes of it.
func figureFormats() []figureFormat {
	plain := func(write func(io.Writer, *figure.Figure) error) func(*figure.Figure, io.Writer,
		figure.Options) error {
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

// formatList lists the formats for a help text.
func formatList() string {
	var b strings.Builder
	for _, f := range figureFormats() {
		fmt.Fprintf(&b, "  %-9s %s\n", f.ending, f.what)
	}
	return b.String()
}

// formatOfFigure chooses the format by a file name's ending.
func formatOfFigure(path string) (figureFormat, error) {
	var endings []string
	for _, f := range figureFormats() {
		if strings.HasSuffix(strings.ToLower(path), f.ending) {
			return f, nil
		}
		endings = append(endings, f.ending)
	}
	return figureFormat{}, &usageError{err: fmt.Errorf("-o %s: figures are not written in this format", path),
		hint: "known endings: " + strings.Join(endings, ", ")}
}

// makeFigure runs a query and makes a figure of the answer, with facts about its run. A query with several
// values of a parameter runs once for each.
func makeFigure(
	ctx context.Context, s *session.Session, q queries.Query, set map[string]string,
) (*figure.Figure, error) {
	param, sets, err := q.Several(set)
	if err != nil {
		return nil, asUsage(err)
	}
	var results []*queries.Result
	var facts []figure.Fact
	for _, set := range sets {
		result, err := s.Run(ctx, q, set)
		if err != nil {
			return nil, oneOfSeveral(err, param, sets)
		}
		results = append(results, result)
		about, err := runFacts(ctx, s, q, result)
		if err != nil {
			return nil, err
		}
		facts = united(facts, about)
	}
	result := results[0]
	if param != "" {
		if q, result, err = q.SideBySide(param, results); err != nil {
			return nil, oneOfSeveral(err, param, sets)
		}
	}
	q.Chart.Infer(result)
	bound := figure.Fact{Name: "parameters", Value: q.BoundText(result.Bound), Quiet: true}
	return figure.New(q, result, append(facts, bound)...)
}

// united adds the facts of another run to those of the first. A fact that differs gets both values.
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
