package cli

import (
	"context"
	"fmt"
	"io"
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
	var (
		ask     question
		look    figure.Options
		output  string
		caption bool
	)
	cmd := &cobra.Command{
		Use:   "plot FILE NAME",
		Short: "Draw the answer to a saved query",
		Long: `Runs a saved query on a run file and draws its answer, as the query's header says. NAME is a query that
ships with ducklens or that the file carries (ducklens queries list), or a .sql file of your own.

The figure is written to NAME.svg unless -o names another file; its ending decides the format:
` + formatList() + `
The same data gives the same bytes. The query's SQL, its parameters, what there is to know about the run
and a fingerprint of its data (also in ducklens info) are in every file.`,
		Example: `  ducklens plot run.duckdb key_components
  ducklens plot run.duckdb key_quadrants -o quadrants.png --width 6.75in --dpi 300
  ducklens plot run.duckdb query_substitution_scores --set head=10.7 -o scores.html
  ducklens plot run.duckdb top_pairs --theme screen --caption -o pairs.pdf`,
		GroupID:           groupAsk,
		Args:              exactly("FILE", "NAME"),
		ValidArgsFunction: completeQuery,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			path := output
			if path == "" {
				path = strings.TrimSuffix(filepath.Base(args[1]), ".sql") + ".svg"
			}
			format, err := formatOfFigure(path)
			if err != nil {
				return err
			}
			for _, name := range []string{"width", "dpi", "theme"} {
				if given := cmd.Flags().Changed(name); given && (!format.print || name == "dpi" && format.ending != ".png") {
					return usagef("--%s has no effect on a %s file", name, format.ending)
				}
			}
			if err := look.Validate(); err != nil {
				return asUsage(err)
			}
			set, err := ask.values()
			if err != nil {
				return err
			}
			s, err := ask.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer closing(s, &err)
			q, err := find(cmd.Context(), s, args[1], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			f, err := makeFigure(cmd.Context(), s, q, set)
			if err != nil {
				return withRemedy(cmd.Context(), s, q, set, err)
			}
			if err := writeFile(path, func(w io.Writer) error { return format.write(f, w, look) }); err != nil {
				return err
			}
			if caption {
				fmt.Fprintln(cmd.OutOrStdout(), queries.Printable(f.Caption()))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", path)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&output, "output", "o", "", "`file` to write (NAME.svg unless given)")
	widthVar(flags, &look.Width)
	flags.IntVar(&look.DPI, "dpi", 0, "resolution of a .png, dots per inch; 0 is for a screen, 300 for print")
	wordVar(flags, &look.Theme, "theme", figure.ParseTheme, "colours and sizes of .svg, .png and .pdf", figure.Paper, figure.Screen, figure.Dark)
	flags.BoolVar(&caption, "caption", false, "print a caption for a paper to standard output")
	ask.addTo(flags)
	return cmd
}

// widthVar adds the flag for the width of figures.
func widthVar(flags *pflag.FlagSet, width *float64) {
	flags.Var((*inches)(width), "width", fmt.Sprintf("width such as 3.25in, 8.25cm or 82mm; a bare number is in inches: %g is one column, %g a page; 0 is as wide as the panels need",
		figure.ColumnWidth, figure.PageWidth))
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

// makeFigure asks a query and makes a figure of the answer, with what there is to know about its run.
func makeFigure(ctx context.Context, s *session.Session, q queries.Query, set map[string]string) (*figure.Figure, error) {
	result, err := s.Run(ctx, q, set)
	if err != nil {
		return nil, err
	}
	facts, err := runFacts(ctx, s, q, set)
	if err != nil {
		return nil, err
	}
	bound, err := parameters(q, set)
	if err != nil {
		return nil, err
	}
	return figure.New(q, result, append(facts, bound)...)
}

// parameters says what the parameters of a query were bound to.
func parameters(q queries.Query, set map[string]string) (figure.Fact, error) {
	bound, err := q.Bind(set)
	if err != nil {
		return figure.Fact{}, err
	}
	var list []string
	for _, p := range q.Params {
		value := "NULL"
		if bound[p.Name] != nil {
			value = queries.Printable(queries.String(bound[p.Name]))
		}
		list = append(list, p.Name+" = "+value)
	}
	return figure.Fact{Name: "parameters", Value: strings.Join(list, ", "), Quiet: true}, nil
}

// factsSQL describes the run that a query with the parameter run is about.
const factsSQL = `SELECT r.run_id AS run, m.name AS model, r.n_examples AS prompts, r.prompt_source AS source, r.convention, r.processing AS weights,
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
