package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/verify"
)

// newVerify builds `ducklens verify`.
func newVerify() *cobra.Command {
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check that a run file is complete and its contributions add up",
		Long: `Reads every value of the file. It checks that tables, views and macros are those that ducklens
makes, that runs are complete, that no row is missing, duplicated or refers to a row that does not exist, that
numbers are finite, and that the stored contributions of every prompt, head, side and pair of bases add up to
the score of the model.

The exit code is 0 if nothing is wrong and 1 if something is.`,
		Example: `  ducklens verify run.duckdb
  ducklens verify run.duckdb --json`,
		GroupID: groupAsk,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ownProcess(cmd.Context()).guard(cmd.Context(), session.DefaultMemory, 0)
			var report verify.Report
			if err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				report, err = verify.File(ctx, args[0], dbfile.Options{Data: dataFolder(ctx)})
				return err
			}); err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				err = e.Encode(report)
			} else {
				err = printReport(cmd.OutOrStdout(), args[0], report)
			}
			if err == nil && !report.OK() {
				err = advice.Add(fmt.Errorf("verify %s: %s", args[0],
					plural(len(report.Problems), "problem")),
					report.Hint())
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	timeoutVar(cmd.Flags(), &timeout)
	return cmd
}

// printReport writes a report as text.
func printReport(w io.Writer, path string, r verify.Report) error {
	fmt.Fprintf(w, "%s: schema version %d, %d rows\n", path, r.SchemaVersion, r.Rows)
	for _, run := range r.Runs {
		stored := fmt.Sprintf("%d contributions in rows of four", run.Contributions)
		if run.MeansOnly {
			stored = fmt.Sprintf("%d rows of means", run.Moments)
		}
		fmt.Fprintf(w, "run %d: %s, %s, %s, %s of bases, %s\n", run.RunID, run.Status,
			promptsAndEdges(int(run.Prompts), int(run.Examples)), plural(int(run.Heads), "head"),
			plural(int(run.Pairs), "pair"), stored)
		switch {
		case run.Contributions == 0:
		case run.Judged:
			fmt.Fprintf(w,
				"run %d: stored contributions add up to the score within %.1e; divided by "+
					"max(1, |score|, |baseline|) that is %.1e at worst (%s), and %.0e is allowed\n",
				run.RunID, run.WorstResidual, run.WorstRelative, queries.Printable(run.WorstAt),
				schema.ClosureTolerance)
		default:
			fmt.Fprintf(w,
				"run %d: %s runs do not add up by design; they miss the score by %.1e; divided by "+
					"max(1, |score|, |baseline|) that is %.1e at worst (%s)\n",
				run.RunID, run.Convention, run.WorstResidual, run.WorstRelative,
				queries.Printable(run.WorstAt))
		}
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "%s\n", queries.Printable(p.String()))
	}
	var err error
	if r.OK() {
		_, err = fmt.Fprintln(w, "nothing wrong")
	}
	return err
}
