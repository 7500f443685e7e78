package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ducklens/queries"
	page "ducklens/queries/report"
)

// newReport builds `ducklens report`.
func newReport() *cobra.Command {
	var (
		ask    question
		about  page.Options
		output string
		folder string
		force  bool
	)
	cmd := &cobra.Command{
		Use:   "report FILE",
		Short: "Write one page about a run: what it shows, does it add up, every figure, the prompts",
		Long: `Writes one HTML page about a head of a run: what the run shows, in a few numbers, whether the contributions add up to the
scores, the figures of the first questions and the others behind folds, each with its SQL, shares of known routes with
their intervals, and the prompts with their tokens coloured by attention. A click on a cell of a heatmap lists the prompts
that drive it.

The page is one file that needs no network. What the run cannot answer, because it was made without what a query
needs, is named at its end with the reason.`,
		Example: `  ducklens report run.duckdb
  ducklens report run.duckdb --set head=10.7 --prompts 20 -o report.html
  ducklens report run.duckdb --queries my_queries -o mine.html`,
		GroupID: groupAsk,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			switch set, err := ask.values(); {
			case err != nil:
				return err
			default:
				for name, value := range set {
					switch name {
					case "run":
						about.Run = value
					case "head":
						about.Head = value
					default:
						return &usageError{err: fmt.Errorf("--set %s: a report has no such parameter", name), hint: "it is about one run and one head: --set run=1 --set head=10.7"}
					}
				}
			}
			if about.Prompts < 1 {
				return usagef("--prompts %d, want 1 or more", about.Prompts)
			}
			if _, err := os.Lstat(output); err == nil && !force {
				return &hinted{fmt.Errorf("report: %s is there already", output), "--force replaces it, -o names another file"}
			}
			if folder != "" {
				if about.Queries, err = readAll([]string{folder}); err != nil {
					return err
				}
			}
			s, err := ask.open(cmd.Context(), args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer closing(s, &err)
			about.Reason = func(ctx context.Context, q queries.Query, set map[string]string, err error) string {
				return reason(ctx, s, q, set, err)
			}
			about.Provenance = []page.Fact{{Name: "file", Value: queries.Printable(filepath.Base(args[0]))}}
			in, err := page.Collect(cmd.Context(), s, about)
			if err != nil {
				return err
			}
			if err := writeFile(output, func(w io.Writer) error { return page.Write(w, in) }); err != nil {
				return err
			}
			for _, note := range in.LeftOut {
				fmt.Fprintf(cmd.ErrOrStderr(), "left out: %s: %s\n", queries.Printable(note.Title), queries.Printable(note.Text))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", output)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&output, "output", "o", "report.html", "`file` to write")
	flags.BoolVar(&force, "force", false, "replace the file if it is there")
	flags.StringVar(&folder, "queries", "", "`folder` of saved queries to show in place of those that ship with ducklens")
	flags.IntVar(&about.Prompts, "prompts", 200, "how many prompts to list at least; those behind cells come beside them")
	ask.addTo(flags)
	return cmd
}
