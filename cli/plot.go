package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/session"
)

// newPlot builds `ducklens plot`.
func newPlot() *cobra.Command {
	var (
		ask    question
		size   figure.Options
		output string
	)
	cmd := &cobra.Command{
		Use:   "plot FILE NAME",
		Short: "Draw the answer to a saved query",
		Long: `Runs a saved query on a run file and draws its answer, as the query's header says. NAME is a query that
ships with ducklens or that the file carries (ducklens queries list), or a .sql file of your own.

The figure is written to NAME.svg unless -o names another file; its ending, .svg or .png, decides the
format. The same data gives the same bytes.`,
		Example: `  ducklens plot run.duckdb key_components
  ducklens plot run.duckdb key_quadrants -o quadrants.png --width 6.75 --dpi 300
  ducklens plot run.duckdb query_components --set head=10.7 -o query.svg`,
		GroupID:           groupAsk,
		Args:              exactly("FILE", "NAME"),
		ValidArgsFunction: completeQuery,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			path := output
			if path == "" {
				path = strings.TrimSuffix(filepath.Base(args[1]), ".sql") + ".svg"
			}
			draw, err := drawing(path)
			if err != nil {
				return err
			}
			if err := size.Validate(); err != nil {
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
				return err
			}
			if err := writeFile(path, func(w io.Writer) error { return draw(f, w, size) }); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", path)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&output, "output", "o", "", "`file` to write, .svg or .png (NAME.svg unless given)")
	flags.Float64Var(&size.Width, "width", 0, fmt.Sprintf("width in inches: %g is one column, %g a page; 0 is as wide as the panels need", figure.ColumnWidth, figure.PageWidth))
	flags.IntVar(&size.DPI, "dpi", 0, "resolution of a .png, dots per inch; 0 is for a screen, 300 for print")
	ask.addTo(flags)
	return cmd
}

// drawing chooses the writer of a figure by the ending of a file's name.
func drawing(path string) (func(*figure.Figure, io.Writer, figure.Options) error, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".svg":
		return (*figure.Figure).WriteSVG, nil
	case ".png":
		return (*figure.Figure).WritePNG, nil
	}
	return nil, usagef("-o %s: figures are written as .svg or .png", path)
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
	return figure.New(q, result, facts...)
}

// factsSQL describes the run that a query with the parameter run is about.
const factsSQL = `SELECT r.run_id AS run, m.name AS model, r.n_examples AS prompts, r.prompt_source AS source, r.convention, r.processing AS weights,
  r.ducklens_version AS "made by ducklens", m.sha256 AS "model SHA-256", r.command_line AS command
FROM run AS r JOIN model AS m ON m.model_id = r.model_id
WHERE r.run_id = coalesce($run::INTEGER, (SELECT max(run_id) FROM run WHERE status = 'complete'))`

// runFacts says which run a figure shows. A query without the parameter run is about the whole file.
func runFacts(ctx context.Context, s *session.Session, q queries.Query, set map[string]string) ([]figure.Fact, error) {
	about := map[string]string{}
	found := false
	for _, p := range q.Params {
		if p.Name == "run" {
			found = true
		}
	}
	if !found {
		return nil, nil
	}
	if run, ok := set["run"]; ok {
		about["run"] = run
	}
	facts, err := queries.AdHoc(factsSQL)
	if err != nil {
		return nil, err
	}
	result, err := s.Run(ctx, facts, about)
	if err != nil {
		return nil, err
	}
	var list []figure.Fact
	for _, row := range result.Rows {
		for i, c := range result.Columns {
			// What the subtitle says is not said again below the figure.
			quiet := strings.Contains(c.Name, " ") || c.Name == "command" || strings.Contains(q.Title+q.Subtitle, "{"+c.Name+"}")
			list = append(list, figure.Fact{Name: c.Name, Value: queries.Printable(queries.String(row[i])), Quiet: quiet})
		}
	}
	return list, nil
}
