package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/internal/advice"
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
		Short: "Write a page about a run: main numbers, closure, figures and prompts",
		Long: `Writes one HTML page about a head of a run. It shows the main numbers of the run, whether the
contributions add up to the scores, the figures of the saved queries with their SQL, the shares of known
routes with intervals, and the prompts with their tokens coloured by attention. Click a cell of a heatmap to
list the prompts that drive it.

The page is one file that needs no network. If the run was made without what a query needs, the end of the
page lists the query with the reason.`,
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
						return &usageError{
							err:  fmt.Errorf("--set %s: a report does not have this parameter", name),
							hint: "a report is about one run and one head: --set run=1 --set head=10.7",
						}
					}
				}
			}
			if about.Prompts < 1 {
				return usagef("--prompts %d, want 1 or more", about.Prompts)
			}
			if ext := strings.ToLower(filepath.Ext(output)); ext != "" && ext != ".html" && ext != ".htm" {
				return &usageError{err: fmt.Errorf("-o %s: a report is an HTML page", output),
					hint: "choose a name with the ending .html"}
			}
			if _, err := os.Lstat(output); err == nil && !force {
				return advice.Add(fmt.Errorf("report: %s already exists", output),
					"use --force to replace it, or -o to name another file")
			}
			if err := writable(output); err != nil {
				return err
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
			if about.Head == "" {
				if err := noteFirstHead(cmd.Context(), s, about.Run, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			about.Reason = func(ctx context.Context, q queries.Query, set map[string]string,
				err error) string {
				return reason(ctx, s, q, set, err)
			}
			file := queries.Printable(filepath.Base(args[0]))
			about.Explore = func(view string) string {
				return "ducklens explore " + quote(file) + " --open " +
					quote("#"+view)
			}
			run := about.Run
			about.Another = func(head string) string {
				command := "ducklens report " + quote(file)
				if run != "" {
					command += " --set run=" + quote(run)
				}
				return command + " --set head=" + quote(head) + " -o " + quote("head-"+head+".html")
			}
			about.Provenance = []page.Fact{{Name: "file", Value: file}}
			in, err := page.Collect(cmd.Context(), s, about)
			if err != nil {
				return err
			}
			if err := writeFile(output, func(w io.Writer) error { return page.Write(w, in) }); err != nil {
				return err
			}
			for _, h := range in.Headlines {
				if h.Doubt != "" {
					fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", h.Doubt)
					break // those of the other headlines are of the same scores
				}
			}
			for _, note := range in.LeftOut {
				fmt.Fprintf(cmd.ErrOrStderr(), "left out: %s: %s\n", queries.Printable(note.Title),
					queries.Printable(note.Text))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", output)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&output, "output", "o", "report.html", "`file` to write")
	flags.BoolVar(&force, "force", false, "replace the file if it exists")
	flags.StringVar(&folder, "queries", "",
		"`folder` of saved queries to show instead of those that ship with ducklens")
	flags.IntVar(&about.Prompts, "prompts", 200,
		"minimum number of prompts to list; those behind the cells are added")
	ask.addTo(flags)
	return cmd
}
